/* max_unpool: zeros, but for the elements of x at their indices: what pool with a second output
 * gave. x, indices (i32): [N, C, spatial]; an index counts in [N, C, spatial'] as a whole, where
 * along an axis spatial' = (spatial - 1) stride + kernel - padding. With output_shape that is the
 * start of a larger output, or of a smaller one; what lies outside is left out. */
#include "layers/support.h"

#include <string.h>

enum { AXES = 3, MOST = 1 << 20 };

typedef struct unpool_params {
    int axes, strides, pads;
    long kernel[AXES], stride[AXES], pad[2 * AXES];
    attn_ints shape;
} unpool_params;

static attn_status unpool_parse(attn_reader *r, void *params)
{
    unpool_params *p = params;
    ATTN_TRY(attn_need_inputs(r, 2, 2, NULL));
    ATTN_TRY(attn_need_outputs(r, 1, 1, NULL));
    ATTN_TRY(attn_read_ints(r, "kernel", 1, MOST, false, AXES, p->kernel, &p->axes));
    if (!p->axes) return attn_reader_fail(r, "the key \"kernel\" is missing");
    ATTN_TRY(attn_read_ints(r, "stride", 1, MOST, false, p->axes, p->stride, &p->strides));
    ATTN_TRY(attn_read_ints(r, "padding", 0, MOST, false, 2 * p->axes, p->pad, &p->pads));
    if ((p->strides && p->strides != p->axes) || (p->pads && p->pads != 2 * p->axes))
        return attn_reader_fail(r, "\"stride\" needs %d numbers, \"padding\" %d", p->axes,
                                2 * p->axes);
    return attn_read_known_ints(r, "output_shape", 1, 1L << 30, &p->shape);
}

/* The shape that the indices count in. False: it has no elements. */
static bool own_shape(const unpool_params *p, const attn_shape *x, attn_shape *own)
{
    *own = *x;
    for (int i = 0; i < p->axes; i++) {
        size_t *dim = &own->dim[x->rank - p->axes + i];
        long stride = p->strides ? p->stride[i] : p->kernel[i], size;
        if (*dim > (size_t)1 << 32) return false;
        size = ((long)*dim - 1) * stride + p->kernel[i];
        if (p->pads) size -= p->pad[i] + p->pad[p->axes + i];
        if (size < 1) return false;
        *dim = (size_t)size;
    }
    return true;
}

static attn_status unpool_infer(attn_infer *c, const void *params)
{
    const unpool_params *p = params;
    const attn_shape *x = &c->in[0];
    attn_shape own;
    long shape[ATTN_MAX_INTS];
    int count;
    size_t elements;
    ATTN_TRY(attn_want_filled(c, 0, ATTN_F32, p->axes + 1, ATTN_MAX_RANK));
    ATTN_TRY(attn_want_filled(c, 1, ATTN_I32, x->rank, x->rank));
    if (memcmp(x->dim, c->in[1].dim, (size_t)x->rank * sizeof *x->dim) != 0)
        return attn_infer_fail(c, "the indices have another shape than the input");
    if (!own_shape(p, x, &own)) return attn_infer_fail(c, "the windows leave nothing");
    ATTN_TRY(attn_want_count(c, &own, &elements));
    ATTN_TRY(attn_infer_ints(c, &p->shape, x->rank, shape, &count));
    c->out[0] = own;
    if (p->shape.given && count != x->rank)
        return attn_infer_fail(c, "\"output_shape\" has %d numbers for rank %d", count, x->rank);
    for (int i = 0; i < count; i++) c->out[0].dim[i] = (size_t)shape[i];
    return attn_want_count(c, &c->out[0], &elements);
}

static void unpool_run(const attn_run_context *c, const void *params)
{
    const unpool_params *p = params;
    const attn_shape *out = &c->out[0].shape;
    attn_shape own;
    own_shape(p, &c->in[0].shape, &own);
    size_t total = attn_span(&own, 0, own.rank);
    for (size_t item = 0; item < c->batch; item++) {
        const float *x = attn_item(&c->in[0], item);
        const int32_t *index = attn_item_i32(&c->in[1], item);
        float *y = attn_item(&c->out[0], item);
        memset(y, 0, c->out[0].count * sizeof(float));
        for (size_t i = 0; i < c->in[0].count; i++) {
            size_t rest = (size_t)index[i], at = 0, step = 1;
            bool inside = index[i] >= 0 && rest < total;
            for (int d = own.rank - 1; inside && d >= 0; d--) {
                size_t place = rest % own.dim[d];
                inside = place < out->dim[d];
                at += place * step;
                step *= out->dim[d];
                rest /= own.dim[d];
            }
            if (inside) y[at] = x[i];
        }
    }
}

const attn_layer attn_layer_max_unpool = {
    "max_unpool", ATTN_STEP_SHARED, 0,         sizeof(unpool_params),
    unpool_parse, unpool_infer,     unpool_run};
