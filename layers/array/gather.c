/* gather, gather_elements, gather_nd: elements of x by their number, f32 or i32. Indices i are i32;
 * negative ones count from the end, those beyond an end take the nearest.
 *   gather:          x [a..., n, b...], i [c...] -> y [a..., c..., b...]:
 *                    x[a..., i[c...], b...]
 *   gather_elements: x [..., n, ...], i [..., m, ...] -> y as i:
 *                    x[..., i[..., j, ...], ...]
 *   gather_nd:       x [a..., n..., b...], i [a..., c..., k] -> y [a..., c..., b...]:
 *                    x[a..., i[a..., c..., 0], ..., i[a..., c..., k - 1], b...]
 * As ONNX's operators of these names. */
#include "layers/array/indexing.h"

typedef struct gather_params {
    long axis;
    size_t batch_dims;
} gather_params;

static attn_status gather_parse(attn_reader *r, void *params)
{
    gather_params *p = params;
    ATTN_TRY(attn_need_inputs(r, 2, 2, NULL));
    ATTN_TRY(attn_need_outputs(r, 1, 1, NULL));
    return attn_read_int(r, "axis", -ATTN_MAX_RANK, ATTN_MAX_RANK - 1, &p->axis);
}

static attn_status gather_nd_parse(attn_reader *r, void *params)
{
    gather_params *p = params;
    ATTN_TRY(attn_need_inputs(r, 2, 2, NULL));
    ATTN_TRY(attn_need_outputs(r, 1, 1, NULL));
    return attn_read_size(r, "batch_dims", 0, ATTN_MAX_RANK - 2, &p->batch_dims);
}

static attn_status gather_infer(attn_infer *c, const void *params)
{
    const gather_params *p = params;
    const attn_shape *x = &c->in[0], *i = &c->in[1];
    attn_shape *y = &c->out[0];
    size_t count;
    int axis;
    ATTN_TRY(attn_want_any(c, 0, 1, ATTN_MAX_RANK));
    ATTN_TRY(attn_want_filled(c, 1, ATTN_I32, 0, ATTN_MAX_RANK));
    ATTN_TRY(attn_want_axis(c, 0, p->axis, &axis));
    ATTN_TRY(attn_want_rank(c, (size_t)(x->rank - 1 + i->rank)));
    *y = (attn_shape){.dtype = x->dtype, .rank = x->rank - 1 + i->rank};
    for (int d = 0; d < y->rank; d++)
        y->dim[d] = d < axis             ? x->dim[d]
                    : d < axis + i->rank ? i->dim[d - axis]
                                         : x->dim[d - i->rank + 1];
    return attn_want_count(c, y, &count);
}

static void gather_task(const attn_run_context *c, const void *params, size_t item, size_t first,
                        size_t end, size_t worker)
{
    const gather_params *p = params;
    const attn_shape *x = &c->in[0].shape;
    (void)worker;
    int axis = attn_axis(p->axis, x->rank);
    size_t n = x->dim[axis], inner = attn_span(x, axis + 1, x->rank), m = c->in[1].count;
    size_t outer = first / m, j = first % m;
    const int32_t *index = attn_item_i32(&c->in[1], item);
    const float *from = attn_item(&c->in[0], item) + outer * n * inner;
    float *to = attn_item(&c->out[0], item) + first * inner;
    for (size_t row = first; row < end; row++, to += inner) {
        const float *at = from + attn_place(index[j], n) * inner;
        if (inner == 1)
            memcpy(to, at, 4);
        else
            memcpy(to, at, inner * 4);
        if (++j < m) continue;
        j = 0;
        from += n * inner;
    }
}

static void gather_run(const attn_run_context *c, const void *params)
{
    const gather_params *p = params;
    const attn_shape *x = &c->in[0].shape;
    int axis = attn_axis(p->axis, x->rank);
    size_t rows = attn_span(x, 0, axis) * c->in[1].count;
    attn_each_rows(c, params, rows, attn_grain(attn_span(x, axis + 1, x->rank)), gather_task);
}

static attn_status gather_elements_infer(attn_infer *c, const void *params)
{
    const gather_params *p = params;
    int axis;
    ATTN_TRY(attn_want_elements(c, p->axis, &axis));
    c->out[0] = c->in[1];
    c->out[0].dtype = c->in[0].dtype;
    return ATTN_OK;
}

static void gather_elements_task(const attn_run_context *c, const void *params, size_t item,
                                 size_t first, size_t end, size_t worker)
{
    const gather_params *p = params;
    const attn_shape *x = &c->in[0].shape, *i = &c->in[1].shape;
    (void)worker;
    int axis = attn_axis(p->axis, x->rank);
    size_t n = x->dim[axis], step = attn_span(x, axis + 1, x->rank), row_size = attn_last(i);
    size_t along = axis == x->rank - 1 ? 0 : 1;
    for (size_t row = first; row < end; row++) {
        const float *from = attn_item(&c->in[0], item) + attn_elements_row(x, i, axis, row);
        const int32_t *index = attn_item_i32(&c->in[1], item) + row * row_size;
        float *to = attn_item(&c->out[0], item) + row * row_size;
        for (size_t j = 0; j < row_size; j++)
            memcpy(to + j, from + j * along + attn_place(index[j], n) * step, 4);
    }
}

static void gather_elements_run(const attn_run_context *c, const void *params)
{
    size_t n = attn_last(&c->in[1].shape);
    attn_each_rows(c, params, c->in[1].count / n, attn_grain(n), gather_elements_task);
}

static attn_status gather_nd_infer(attn_infer *c, const void *params)
{
    const gather_params *p = params;
    const attn_shape *x = &c->in[0], *i = &c->in[1];
    attn_shape *y = &c->out[0];
    size_t count, slices;
    int batch = (int)p->batch_dims, k;
    ATTN_TRY(attn_want_tuples(c, batch, &k));
    ATTN_TRY(attn_want_rank(c, (size_t)(i->rank - 1 + x->rank - batch - k)));
    *y = (attn_shape){.dtype = x->dtype, .rank = i->rank - 1 + x->rank - batch - k};
    for (int d = 0; d < y->rank; d++)
        y->dim[d] = d < i->rank - 1 ? i->dim[d] : x->dim[d - (i->rank - 1) + batch + k];
    ATTN_TRY(attn_want_count(c, i, &slices));
    return attn_want_count(c, y, &count);
}

static void gather_nd_task(const attn_run_context *c, const void *params, size_t item, size_t first,
                           size_t end, size_t worker)
{
    const gather_params *p = params;
    const attn_shape *x = &c->in[0].shape, *i = &c->in[1].shape;
    (void)worker;
    int batch = (int)p->batch_dims, k = (int)attn_last(i);
    size_t inner = attn_span(x, batch + k, x->rank), each = attn_span(i, batch, i->rank - 1);
    size_t step = attn_span(x, batch, x->rank);
    for (size_t row = first; row < end; row++) {
        const int32_t *index = attn_item_i32(&c->in[1], item) + row * (size_t)k;
        const float *from =
            attn_item(&c->in[0], item) + row / each * step + attn_tuple_offset(x, batch, index, k);
        memcpy(attn_item(&c->out[0], item) + row * inner, from, inner * 4);
    }
}

static void gather_nd_run(const attn_run_context *c, const void *params)
{
    const gather_params *p = params;
    const attn_shape *x = &c->in[0].shape;
    size_t k = attn_last(&c->in[1].shape);
    size_t inner = attn_span(x, (int)(p->batch_dims + k), x->rank);
    attn_each_rows(c, params, c->in[1].count / k, attn_grain(inner), gather_nd_task);
}

const attn_layer attn_layer_gather = {
    "gather", ATTN_STEP_SHARED, 0, sizeof(gather_params), gather_parse, gather_infer, gather_run};
const attn_layer attn_layer_gather_elements = {
    "gather_elements",     ATTN_STEP_SHARED,   0, sizeof(gather_params), gather_parse,
    gather_elements_infer, gather_elements_run};
const attn_layer attn_layer_gather_nd = {"gather_nd",           ATTN_STEP_SHARED, 0,
                                         sizeof(gather_params), gather_nd_parse,  gather_nd_infer,
                                         gather_nd_run};
