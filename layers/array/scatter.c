/* scatter_elements, scatter_nd: x with some of its elements replaced by updates u, or combined with
 * them by "reduction"; f32 or i32. Indices i as in gather.c; updates are taken in C order, one
 * after another. Sums of i32 wrap. scatter_elements: x [..., n, ...], i and u [..., m, ...]: y[...,
 * i[..., j, ...], ...] = u[..., j, ...] scatter_nd:       x [n..., b...], i [c..., k], u [c...,
 * b...]: y[i[c..., 0], ..., i[c..., k - 1], b...] = u[c..., b...] As ONNX's operators of these
 * names. */
#include "layers/array/indexing.h"

typedef enum reduction { SET, ADD, MUL, MAX, MIN } reduction;

typedef struct scatter_params {
    long axis;
    int reduction;
} scatter_params;

static attn_status scatter_nd_parse(attn_reader *r, void *params)
{
    static const char *const words[] = {"none", "add", "mul", "max", "min", NULL};
    scatter_params *p = params;
    ATTN_TRY(attn_need_inputs(r, 3, 3, NULL));
    ATTN_TRY(attn_need_outputs(r, 1, 1, NULL));
    return attn_read_word(r, "reduction", words, &p->reduction);
}

static attn_status scatter_elements_parse(attn_reader *r, void *params)
{
    scatter_params *p = params;
    ATTN_TRY(scatter_nd_parse(r, params));
    return attn_read_int(r, "axis", -ATTN_MAX_RANK, ATTN_MAX_RANK - 1, &p->axis);
}

/* The updates must have x's type and this shape; y is as x. */
static attn_status want_updates(attn_infer *c, const attn_shape *want)
{
    const attn_shape *x = &c->in[0], *u = &c->in[2];
    attn_shape_text text[2];
    ATTN_TRY(attn_want_filled(c, 2, x->dtype, 0, ATTN_MAX_RANK));
    if (u->rank != want->rank || memcmp(u->dim, want->dim, sizeof(size_t) * (size_t)u->rank) != 0)
        return attn_infer_fail(c, "the updates are %s, expected %s",
                               attn_format_shape(&text[0], u->dim, u->rank),
                               attn_format_shape(&text[1], want->dim, want->rank));
    c->out[0] = *x;
    return ATTN_OK;
}

static attn_status scatter_elements_infer(attn_infer *c, const void *params)
{
    const scatter_params *p = params;
    int axis;
    ATTN_TRY(attn_want_elements(c, p->axis, &axis));
    return want_updates(c, &c->in[1]);
}

static attn_status scatter_nd_infer(attn_infer *c, const void *params)
{
    (void)params;
    const attn_shape *x = &c->in[0], *i = &c->in[1];
    int k;
    ATTN_TRY(attn_want_tuples(c, 0, &k));
    ATTN_TRY(attn_want_rank(c, (size_t)(i->rank - 1 + x->rank - k)));
    attn_shape want = {.rank = i->rank - 1 + x->rank - k};
    for (int d = 0; d < want.rank; d++)
        want.dim[d] = d < i->rank - 1 ? i->dim[d] : x->dim[d - (i->rank - 1) + k];
    return want_updates(c, &want);
}

static float combine_f32(float y, float u, reduction how)
{
    switch (how) {
    case ADD:
        return y + u;
    case MUL:
        return y * u;
    case MAX:
        return u > y || u != u ? u : y;
    case MIN:
        return u < y || u != u ? u : y;
    default:
        return u;
    }
}

static int32_t combine_i32(int32_t y, int32_t u, reduction how)
{
    switch (how) {
    case ADD:
        return (int32_t)((uint32_t)y + (uint32_t)u);
    case MUL:
        return (int32_t)((uint32_t)y * (uint32_t)u);
    case MAX:
        return u > y ? u : y;
    case MIN:
        return u < y ? u : y;
    default:
        return u;
    }
}

/* n elements of y, combined with those of u. */
static void combine(attn_dtype dtype, void *y, const void *u, size_t n, reduction how)
{
    if (how == SET) {
        memcpy(y, u, n * 4);
        return;
    }
    for (size_t i = 0; i < n; i++)
        if (dtype == ATTN_I32)
            ((int32_t *)y)[i] = combine_i32(((int32_t *)y)[i], ((const int32_t *)u)[i], how);
        else
            ((float *)y)[i] = combine_f32(((float *)y)[i], ((const float *)u)[i], how);
}

static void scatter_elements_task(const attn_run_context *c, const void *params, size_t item,
                                  size_t first, size_t end, size_t worker)
{
    const scatter_params *p = params;
    const attn_shape *x = &c->in[0].shape, *i = &c->in[1].shape;
    (void)first;
    (void)end;
    (void)worker;
    int axis = attn_axis(p->axis, x->rank);
    size_t n = x->dim[axis], step = attn_span(x, axis + 1, x->rank), row_size = attn_last(i);
    size_t along = axis == x->rank - 1 ? 0 : 1;
    const int32_t *index = attn_item_i32(&c->in[1], item);
    const float *u = attn_item(&c->in[2], item);
    for (size_t row = 0; row < c->in[1].count / row_size; row++) {
        float *to = attn_item(&c->out[0], item) + attn_elements_row(x, i, axis, row);
        for (size_t j = 0; j < row_size; j++, index++, u++)
            combine(x->dtype, to + j * along + attn_place(*index, n) * step, u, 1,
                    (reduction)p->reduction);
    }
}

static void scatter_nd_task(const attn_run_context *c, const void *params, size_t item,
                            size_t first, size_t end, size_t worker)
{
    const scatter_params *p = params;
    const attn_shape *x = &c->in[0].shape;
    (void)first;
    (void)end;
    (void)worker;
    int k = (int)attn_last(&c->in[1].shape);
    size_t inner = attn_span(x, k, x->rank);
    const int32_t *index = attn_item_i32(&c->in[1], item);
    const float *u = attn_item(&c->in[2], item);
    for (size_t row = 0; row < c->in[1].count / (size_t)k; row++, index += k, u += inner)
        combine(x->dtype, attn_item(&c->out[0], item) + attn_tuple_offset(x, 0, index, k), u, inner,
                (reduction)p->reduction);
}

/* Each item is one task: updates may meet in one element. */
static void scatter_elements_run(const attn_run_context *c, const void *params)
{
    attn_run_copy(c);
    attn_each_rows(c, params, 1, 1, scatter_elements_task);
}

static void scatter_nd_run(const attn_run_context *c, const void *params)
{
    attn_run_copy(c);
    attn_each_rows(c, params, 1, 1, scatter_nd_task);
}

const attn_layer attn_layer_scatter_elements = {
    "scatter_elements",     ATTN_STEP_SHARED,    0, sizeof(scatter_params), scatter_elements_parse,
    scatter_elements_infer, scatter_elements_run};
const attn_layer attn_layer_scatter_nd = {
    "scatter_nd",     ATTN_STEP_SHARED, 0, sizeof(scatter_params), scatter_nd_parse,
    scatter_nd_infer, scatter_nd_run};
