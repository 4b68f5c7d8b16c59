/* one_hot: indices i32 [a..., b...], depth (one i32, known), values [2], f32 or i32 -> y
 * [a..., depth, b...]: values[1] where the place along the new axis is the index, values[0]
 * elsewhere. Negative indices count from depth; one that is outside is nowhere. */
#include "layers/array/indexing.h"

typedef struct one_hot_params {
    long axis;
} one_hot_params;

static attn_status one_hot_parse(attn_reader *r, void *params)
{
    one_hot_params *p = params;
    p->axis = -1;
    ATTN_TRY(attn_need_inputs(r, 3, 3, NULL));
    ATTN_TRY(attn_need_outputs(r, 1, 1, NULL));
    return attn_read_int(r, "axis", -ATTN_MAX_RANK, ATTN_MAX_RANK - 1, &p->axis);
}

static attn_status one_hot_infer(attn_infer *c, const void *params)
{
    const one_hot_params *p = params;
    const attn_shape *i = &c->in[0];
    attn_shape *y = &c->out[0];
    attn_shape_text text;
    const void *depth;
    size_t count;
    ATTN_TRY(attn_want_filled(c, 0, ATTN_I32, 0, ATTN_MAX_RANK - 2));
    ATTN_TRY(attn_want_filled(c, 1, ATTN_I32, 0, 1));
    ATTN_TRY(attn_want_any(c, 2, 1, 1));
    ATTN_TRY(attn_want_known(c, 1, "the depth", &depth));
    int32_t n = *(const int32_t *)depth;
    if (n < 1 || c->in[2].dim[0] != 2)
        return attn_infer_fail(c, "a depth of %d and %zu values, expected at least 1, and 2",
                               (int)n, c->in[2].dim[0]);
    *y = (attn_shape){.dtype = c->in[2].dtype, .rank = i->rank + 1};
    if (p->axis < -y->rank || p->axis >= y->rank)
        return attn_infer_fail(c, "axis %ld is none of the output's for indices %s", p->axis,
                               attn_format_shape(&text, i->dim, i->rank));
    int axis = attn_axis(p->axis, y->rank);
    for (int d = 0; d < y->rank; d++) y->dim[d] = d == axis ? (size_t)n : i->dim[d - (d > axis)];
    return attn_want_count(c, y, &count);
}

static void one_hot_task(const attn_run_context *c, const void *params, size_t item, size_t first,
                         size_t end, size_t worker)
{
    const one_hot_params *p = params;
    const attn_shape *y = &c->out[0].shape;
    (void)worker;
    int axis = attn_axis(p->axis, y->rank);
    size_t inner = attn_span(y, axis + 1, y->rank), depth = y->dim[axis], size = depth * inner;
    const float *values = attn_item(&c->in[2], item);
    for (size_t row = first; row < end; row++) {
        const int32_t *index = attn_item_i32(&c->in[0], item) + row * inner;
        float *to = attn_item(&c->out[0], item) + row * size;
        for (size_t j = 0; j < size; j++) memcpy(to + j, values, 4);
        for (size_t j = 0; j < inner; j++) {
            int64_t at = index[j] < 0 ? index[j] + (int64_t)depth : index[j];
            if (at >= 0 && at < (int64_t)depth) memcpy(to + (size_t)at * inner + j, values + 1, 4);
        }
    }
}

static void one_hot_run(const attn_run_context *c, const void *params)
{
    const one_hot_params *p = params;
    const attn_shape *y = &c->out[0].shape;
    int axis = attn_axis(p->axis, y->rank);
    attn_each_rows(c, params, attn_span(y, 0, axis), attn_grain(attn_span(y, axis, y->rank)),
                   one_hot_task);
}

const attn_layer attn_layer_one_hot = {
    "one_hot",     ATTN_STEP_SHARED, 0,          sizeof(one_hot_params),
    one_hot_parse, one_hot_infer,    one_hot_run};
