/* reverse_sequence: the first lengths[b] places along "axis" in the opposite order, b being the
 * place along "batch_axis".
 *   x: f32 or i32; lengths: i32 [size of batch_axis], cut to what x has; y: as x */
#include "layers/array/indexing.h"

typedef struct reverse_params {
    long axis, batch_axis;
} reverse_params;

static attn_status reverse_parse(attn_reader *r, void *params)
{
    reverse_params *p = params;
    p->batch_axis = 1;
    ATTN_TRY(attn_need_inputs(r, 2, 2, NULL));
    ATTN_TRY(attn_need_outputs(r, 1, 1, NULL));
    ATTN_TRY(attn_read_int(r, "axis", -ATTN_MAX_RANK, ATTN_MAX_RANK - 1, &p->axis));
    return attn_read_int(r, "batch_axis", -ATTN_MAX_RANK, ATTN_MAX_RANK - 1, &p->batch_axis);
}

static attn_status reverse_infer(attn_infer *c, const void *params)
{
    const reverse_params *p = params;
    int axis, batch;
    ATTN_TRY(attn_want_any(c, 0, 2, ATTN_MAX_RANK));
    ATTN_TRY(attn_want_axis(c, 0, p->axis, &axis));
    ATTN_TRY(attn_want_axis(c, 0, p->batch_axis, &batch));
    ATTN_TRY(attn_want(c, 1, ATTN_I32, 1, 1));
    if (axis == batch || c->in[1].dim[0] != c->in[0].dim[batch])
        return attn_infer_fail(c, "%zu lengths for axes %d and %d", c->in[1].dim[0], axis, batch);
    c->out[0] = c->in[0];
    return ATTN_OK;
}

/* A row: all that follows both axes. */
static size_t row_size(const attn_run_context *c, const reverse_params *p, int *axis, int *batch)
{
    const attn_shape *x = &c->in[0].shape;
    *axis = attn_axis(p->axis, x->rank);
    *batch = attn_axis(p->batch_axis, x->rank);
    return attn_span(x, (*axis > *batch ? *axis : *batch) + 1, x->rank);
}

static void reverse_task(const attn_run_context *c, const void *params, size_t item, size_t first,
                         size_t end, size_t worker)
{
    const attn_shape *x = &c->in[0].shape;
    int axis, batch;
    (void)worker;
    size_t size = row_size(c, params, &axis, &batch), n = x->dim[axis];
    size_t step = attn_span(x, axis + 1, x->rank) / size;
    size_t each = attn_span(x, batch + 1, x->rank) / size;
    for (size_t row = first; row < end; row++) {
        int32_t given = attn_item_i32(&c->in[1], item)[row / each % x->dim[batch]];
        size_t length = given < 0 ? 0 : (size_t)given < n ? (size_t)given : n;
        size_t t = row / step % n, from = row;
        if (t < length) from = row - t * step + (length - 1 - t) * step;
        memcpy(attn_item(&c->out[0], item) + row * size, attn_item(&c->in[0], item) + from * size,
               size * 4);
    }
}

static void reverse_run(const attn_run_context *c, const void *params)
{
    int axis, batch;
    size_t size = row_size(c, params, &axis, &batch);
    attn_each_rows(c, params, c->out[0].count / size, attn_grain(size), reverse_task);
}

const attn_layer attn_layer_reverse_sequence = {
    "reverse_sequence", ATTN_STEP_SHARED, 0,          sizeof(reverse_params),
    reverse_parse,      reverse_infer,    reverse_run};
