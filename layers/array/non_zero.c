/* non_zero, compress: what is not zero. How much that is must be known before a run.
 *   non_zero: x, f32 or i32, known -> i32 [rank, n]: column j has the indices of the j-th element
 *             of x that is not zero, in C order
 *   compress: x, condition i32 [m], known -> the slices of x along "axis", or without it the
 *             elements, where the condition is not 0 */
#include "layers/array/indexing.h"

typedef struct compress_params {
    bool has_axis;
    long axis;
} compress_params;

static attn_status non_zero_parse(attn_reader *r, void *params)
{
    (void)params;
    ATTN_TRY(attn_need_inputs(r, 1, 1, NULL));
    return attn_need_outputs(r, 1, 1, NULL);
}

static attn_status compress_parse(attn_reader *r, void *params)
{
    compress_params *p = params;
    ATTN_TRY(attn_need_inputs(r, 2, 2, NULL));
    ATTN_TRY(attn_need_outputs(r, 1, 1, NULL));
    p->has_axis = attn_has_key(r, "axis");
    return attn_read_int(r, "axis", -ATTN_MAX_RANK, ATTN_MAX_RANK - 1, &p->axis);
}

static bool is_set(const void *x, attn_dtype dtype, size_t i)
{
    return dtype == ATTN_I32 ? ((const int32_t *)x)[i] != 0 : ((const float *)x)[i] != 0;
}

/* How many of the first n elements of a known operand are not zero: at least one, or an error. */
static attn_status count_set(attn_infer *c, size_t input, size_t n, size_t *count)
{
    const void *x;
    *count = 0;
    ATTN_TRY(attn_want_known(c, input, "what is not zero", &x));
    for (size_t i = 0; i < n; i++) *count += is_set(x, c->in[input].dtype, i);
    return *count ? ATTN_OK : attn_infer_fail(c, "nothing is left: all of input %zu is 0", input);
}

static attn_status non_zero_infer(attn_infer *c, const void *params)
{
    (void)params;
    const attn_shape *x = &c->in[0];
    size_t n, count;
    ATTN_TRY(attn_want_any(c, 0, 0, ATTN_MAX_RANK));
    ATTN_TRY(attn_want_count(c, x, &n));
    ATTN_TRY(count_set(c, 0, n, &count));
    if (n > INT32_MAX) return attn_infer_fail(c, "%zu elements are more than an i32 counts", n);
    c->out[0] = (attn_shape){ATTN_I32, 2, {x->rank ? (size_t)x->rank : 1, count}};
    return ATTN_OK;
}

static attn_status compress_infer(attn_infer *c, const void *params)
{
    const compress_params *p = params;
    const attn_shape *x = &c->in[0];
    size_t n, count;
    int axis = 0;
    ATTN_TRY(attn_want_any(c, 0, p->has_axis ? 1 : 0, ATTN_MAX_RANK));
    ATTN_TRY(attn_want_filled(c, 1, ATTN_I32, 1, 1));
    ATTN_TRY(attn_want_count(c, x, &n));
    if (p->has_axis) {
        ATTN_TRY(attn_want_axis(c, 0, p->axis, &axis));
        n = x->dim[axis];
    }
    ATTN_TRY(count_set(c, 1, n < c->in[1].dim[0] ? n : c->in[1].dim[0], &count));
    c->out[0] = p->has_axis ? *x : (attn_shape){.dtype = x->dtype, .rank = 1};
    c->out[0].dim[axis] = count;
    return ATTN_OK;
}

static void non_zero_run(const attn_run_context *c, const void *params)
{
    (void)params;
    const attn_value *x = &c->in[0];
    size_t count = attn_last(&c->out[0].shape);
    for (size_t item = 0; item < c->batch; item++) {
        int32_t *to = attn_item_i32(&c->out[0], item);
        for (size_t i = 0, j = 0; i < x->count && j < count; i++) {
            if (!is_set(attn_item(x, item), x->shape.dtype, i)) continue;
            size_t rest = i;
            to[j] = 0; /* of a scalar */
            for (int d = x->shape.rank - 1; d >= 0; d--) {
                to[(size_t)d * count + j] = (int32_t)(rest % x->shape.dim[d]);
                rest /= x->shape.dim[d];
            }
            j++;
        }
    }
}

static void compress_run(const attn_run_context *c, const void *params)
{
    const compress_params *p = params;
    const attn_value *x = &c->in[0];
    int axis = attn_axis(p->axis, x->shape.rank);
    size_t n = p->has_axis ? x->shape.dim[axis] : x->count;
    size_t inner = p->has_axis ? attn_span(&x->shape, axis + 1, x->shape.rank) : 1;
    size_t m = c->in[1].count < n ? c->in[1].count : n;
    for (size_t item = 0; item < c->batch; item++) {
        const int32_t *condition = attn_item_i32(&c->in[1], item);
        const float *from = attn_item(x, item);
        float *to = attn_item(&c->out[0], item);
        for (size_t row = 0; row < x->count / (n * inner); row++, from += n * inner)
            for (size_t i = 0; i < m; i++) {
                if (!condition[i]) continue;
                memcpy(to, from + i * inner, inner * 4);
                to += inner;
            }
    }
}

const attn_layer attn_layer_non_zero = {"non_zero",     ATTN_STEP_SHARED, 0,           0,
                                        non_zero_parse, non_zero_infer,   non_zero_run};
const attn_layer attn_layer_compress = {
    "compress",     ATTN_STEP_SHARED, 0,           sizeof(compress_params),
    compress_parse, compress_infer,   compress_run};
