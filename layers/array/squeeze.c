/* flatten, squeeze, unsqueeze: the same elements in C order, f32 or i32; y may be x.
 *   flatten:   x [a..., b...] -> y [prod a, prod b], a the dimensions before the axis
 *   squeeze:   x without dimensions of 1: those of "axes", or all
 *   unsqueeze: y [...] has a dimension of 1 at each of "axes", which count in y */
#include "layers/array/indexing.h"

typedef struct squeeze_params {
    attn_ints axes;
    long axis;
} squeeze_params;

static attn_status flatten_parse(attn_reader *r, void *params)
{
    squeeze_params *p = params;
    p->axis = 1;
    ATTN_TRY(attn_need_inputs(r, 1, 1, NULL));
    ATTN_TRY(attn_need_outputs(r, 1, 1, NULL));
    return attn_read_int(r, "axis", -ATTN_MAX_RANK, ATTN_MAX_RANK, &p->axis);
}

static attn_status squeeze_parse(attn_reader *r, void *params)
{
    squeeze_params *p = params;
    ATTN_TRY(attn_need_inputs(r, 1, 1, NULL));
    ATTN_TRY(attn_need_outputs(r, 1, 1, NULL));
    return attn_read_known_ints(r, "axes", -ATTN_MAX_RANK, ATTN_MAX_RANK - 1, &p->axes);
}

static attn_status unsqueeze_parse(attn_reader *r, void *params)
{
    const squeeze_params *p = params;
    ATTN_TRY(squeeze_parse(r, params));
    return p->axes.given ? ATTN_OK : attn_reader_fail(r, "the key \"axes\" is missing");
}

static attn_status flatten_infer(attn_infer *c, const void *params)
{
    const squeeze_params *p = params;
    const attn_shape *x = &c->in[0];
    attn_shape_text text;
    size_t count;
    ATTN_TRY(attn_want_any(c, 0, 0, ATTN_MAX_RANK));
    ATTN_TRY(attn_want_count(c, x, &count));
    if (p->axis < -x->rank || p->axis > x->rank)
        return attn_infer_fail(c, "axis %ld is none of input 0, %s", p->axis,
                               attn_format_shape(&text, x->dim, x->rank));
    int axis = attn_axis(p->axis, x->rank);
    c->out[0] = (attn_shape){x->dtype, 2, {attn_span(x, 0, axis), attn_span(x, axis, x->rank)}};
    return ATTN_OK;
}

static attn_status squeeze_infer(attn_infer *c, const void *params)
{
    const squeeze_params *p = params;
    const attn_shape *x = &c->in[0];
    attn_shape *y = &c->out[0];
    attn_shape_text text;
    long axes[ATTN_MAX_INTS];
    int count;
    bool all = p->axes.operand < 0 && p->axes.count == 0, gone[ATTN_MAX_RANK] = {false};
    ATTN_TRY(attn_want_any(c, 0, 0, ATTN_MAX_RANK));
    ATTN_TRY(attn_infer_axes(c, &p->axes, x->rank, all, axes, &count));
    for (int i = 0; i < count; i++) {
        gone[axes[i]] = x->dim[axes[i]] == 1;
        if (!all && !gone[axes[i]])
            return attn_infer_fail(c, "dimension %ld of input %s is not 1", axes[i],
                                   attn_format_shape(&text, x->dim, x->rank));
    }
    *y = (attn_shape){.dtype = x->dtype};
    for (int i = 0; i < x->rank; i++)
        if (!gone[i]) y->dim[y->rank++] = x->dim[i];
    return ATTN_OK;
}

static attn_status unsqueeze_infer(attn_infer *c, const void *params)
{
    const squeeze_params *p = params;
    const attn_shape *x = &c->in[0];
    attn_shape *y = &c->out[0];
    long axes[ATTN_MAX_INTS];
    int count, from = 0;
    ATTN_TRY(attn_want_any(c, 0, 0, ATTN_MAX_RANK));
    ATTN_TRY(attn_infer_ints(c, &p->axes, ATTN_MAX_RANK, axes, &count));
    ATTN_TRY(attn_want_rank(c, (size_t)(x->rank + count)));
    *y = (attn_shape){.dtype = x->dtype, .rank = x->rank + count};
    ATTN_TRY(attn_infer_axes(c, &p->axes, y->rank, false, axes, &count));
    for (int i = 0; i < count; i++) y->dim[axes[i]] = 1;
    for (int i = 0; i < y->rank; i++)
        if (!y->dim[i]) y->dim[i] = x->dim[from++];
    return ATTN_OK;
}

static void squeeze_run(const attn_run_context *c, const void *params)
{
    (void)params;
    attn_run_copy(c);
}

const attn_layer attn_layer_flatten = {
    "flatten",     ATTN_STEP_SHARED, ATTN_IN_PLACE, sizeof(squeeze_params),
    flatten_parse, flatten_infer,    squeeze_run};
const attn_layer attn_layer_squeeze = {
    "squeeze",     ATTN_STEP_SHARED, ATTN_IN_PLACE, sizeof(squeeze_params),
    squeeze_parse, squeeze_infer,    squeeze_run};
const attn_layer attn_layer_unsqueeze = {
    "unsqueeze",     ATTN_STEP_SHARED, ATTN_IN_PLACE, sizeof(squeeze_params),
    unsqueeze_parse, unsqueeze_infer,  squeeze_run};
