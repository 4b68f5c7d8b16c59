/* depth_to_space, space_to_depth: channels become blocks of b x b places, and back; f32 or i32.
 *   depth_to_space: x [..., C, H, W] -> y [..., C / b^2, H b, W b]
 *   space_to_depth: x [..., C, H b, W b] -> y [..., C b^2, H, W]
 * The many channels are, by "mode", dcr: (row of the block, column of it, channel of the few); crd:
 * (channel of the few, row, column), as in pixel_shuffle. As ONNX's operators of these names. */
#include "layers/array/indexing.h"

typedef struct depth_params {
    size_t block;
    int crd;
} depth_params;

static attn_status depth_parse(attn_reader *r, void *params)
{
    static const char *const modes[] = {"dcr", "crd", NULL};
    depth_params *p = params;
    ATTN_TRY(attn_need_inputs(r, 1, 1, NULL));
    ATTN_TRY(attn_need_outputs(r, 1, 1, NULL));
    ATTN_TRY(attn_read_word(r, "mode", modes, &p->crd));
    return attn_need_size(r, "block", 1, 1 << 16, &p->block);
}

static attn_status resize(attn_infer *c, size_t block, bool to_space)
{
    const attn_shape *x = &c->in[0];
    attn_shape *y = &c->out[0];
    attn_shape_text text;
    size_t count, b2 = block * block;
    ATTN_TRY(attn_want_any(c, 0, 3, ATTN_MAX_RANK));
    size_t d = (size_t)x->rank - 3;
    bool fits =
        to_space ? x->dim[d] % b2 == 0 : x->dim[d + 1] % block == 0 && x->dim[d + 2] % block == 0;
    if (!fits)
        return attn_infer_fail(c, "input %s does not divide into blocks of %zu",
                               attn_format_shape(&text, x->dim, x->rank), block);
    *y = *x;
    bool counted = true;
    if (to_space)
        y->dim[d] /= b2;
    else
        counted = attn_mul(y->dim[d], b2, &y->dim[d]);
    for (size_t i = d + 1; i < d + 3; i++)
        if (to_space)
            counted &= attn_mul(y->dim[i], block, &y->dim[i]);
        else
            y->dim[i] /= block;
    if (!counted) return attn_infer_fail(c, "the output is too large");
    return attn_want_count(c, y, &count);
}

static attn_status to_space_infer(attn_infer *c, const void *params)
{
    return resize(c, ((const depth_params *)params)->block, true);
}

static attn_status to_depth_infer(attn_infer *c, const void *params)
{
    return resize(c, ((const depth_params *)params)->block, false);
}

/* y's dimensions with their steps in x. */
static void move(const attn_run_context *c, const size_t dim[5], const size_t step[5])
{
    const attn_shape *x = &c->in[0].shape;
    attn_gather g = {.rank = 7, .y = c->out[0].data, .x = c->in[0].data};
    g.dim[0] = c->batch;
    g.step[0] = c->in[0].stride;
    g.dim[1] = attn_span(x, 0, x->rank - 3);
    g.step[1] = attn_span(x, x->rank - 3, x->rank);
    memcpy(g.dim + 2, dim, 5 * sizeof *dim);
    memcpy(g.step + 2, step, 5 * sizeof *step);
    attn_run_gather(c, &g);
}

static void to_space_run(const attn_run_context *c, const void *params)
{
    const depth_params *p = params;
    const size_t *y = c->out[0].shape.dim + c->out[0].shape.rank - 3, b = p->block;
    size_t h = y[1] / b, w = y[2] / b, plane = h * w, all = y[0] * plane;
    size_t channel = p->crd ? b * b * plane : plane;
    size_t row = p->crd ? b * plane : b * all, column = p->crd ? plane : all;
    move(c, (size_t[]){y[0], h, b, w, b}, (size_t[]){channel, w, row, 1, column});
}

static void to_depth_run(const attn_run_context *c, const void *params)
{
    const depth_params *p = params;
    const size_t *x = c->in[0].shape.dim + c->in[0].shape.rank - 3, b = p->block;
    size_t h = x[1] / b, w = x[2] / b, line = x[2], plane = x[1] * line;
    if (p->crd)
        move(c, (size_t[]){x[0], b, b, h, w}, (size_t[]){plane, line, 1, b * line, b});
    else
        move(c, (size_t[]){b, b, x[0], h, w}, (size_t[]){line, 1, plane, b * line, b});
}

const attn_layer attn_layer_depth_to_space = {
    "depth_to_space", ATTN_STEP_SHARED, 0,           sizeof(depth_params),
    depth_parse,      to_space_infer,   to_space_run};
const attn_layer attn_layer_space_to_depth = {
    "space_to_depth", ATTN_STEP_SHARED, 0,           sizeof(depth_params),
    depth_parse,      to_depth_infer,   to_depth_run};
