/* batch_norm and group_norm: y = x * scale + shift with one scale and shift per channel.
 *   x, y: [outer..., C, inner...]; weight, bias, running_mean, running_var: [C]; y may be x
 *   batch_norm: scale = weight / sqrt(running_var + eps), shift = bias - running_mean * scale
 *               (Ioffe & Szegedy 2015, alg. 2)
 *   group_norm: x is normalised over groups of C / groups channels as layer_norm does, then
 *               multiplied by weight and added to bias (Wu & He 2018, eq. 1-2); groups of 0: each
 *               channel alone (instance normalisation, Ulyanov et al. 2016) */
#include "layers/support.h"

#include <math.h>

typedef struct channel_norm_params {
    attn_param weight, bias, mean, var;
    float eps;
    long axis;
    size_t groups;
} channel_norm_params;

static attn_status batch_norm_parse(attn_reader *r, void *params)
{
    channel_norm_params *p = params;
    bool affine = true;
    p->axis = -3;
    ATTN_TRY(attn_need_inputs(r, 1, 1, NULL));
    ATTN_TRY(attn_need_outputs(r, 1, 1, NULL));
    ATTN_TRY(attn_need_float(r, "eps", 0, 1, &p->eps));
    ATTN_TRY(attn_read_int(r, "axis", -ATTN_MAX_RANK, ATTN_MAX_RANK - 1, &p->axis));
    ATTN_TRY(attn_read_bool(r, "affine", &affine));
    ATTN_TRY(attn_need_weight(r, "weight", ".running_mean", 1, &p->mean));
    ATTN_TRY(attn_need_weight(r, "weight", ".running_var", 1, &p->var));
    ATTN_TRY(attn_need_length(r, &p->var, p->mean.dim[0]));
    if (!affine) return ATTN_OK;
    ATTN_TRY(attn_need_weight(r, "weight", ".weight", 1, &p->weight));
    ATTN_TRY(attn_need_length(r, &p->weight, p->mean.dim[0]));
    ATTN_TRY(attn_read_bias(r, "weight", &p->bias));
    return attn_need_length(r, &p->bias, p->mean.dim[0]);
}

static attn_status group_norm_parse(attn_reader *r, void *params)
{
    channel_norm_params *p = params;
    bool affine = true;
    ATTN_TRY(attn_need_inputs(r, 1, 1, NULL));
    ATTN_TRY(attn_need_outputs(r, 1, 1, NULL));
    ATTN_TRY(attn_need_float(r, "eps", 0, 1, &p->eps));
    ATTN_TRY(attn_need_size(r, "groups", 0, (size_t)1 << 32, &p->groups));
    ATTN_TRY(attn_read_int(r, "channel_axis", -ATTN_MAX_RANK, ATTN_MAX_RANK - 1, &p->axis));
    ATTN_TRY(attn_read_bool(r, "affine", &affine));
    if (!affine) return ATTN_OK;
    ATTN_TRY(attn_need_weight(r, "weight", ".weight", 1, &p->weight));
    ATTN_TRY(attn_read_bias(r, "weight", &p->bias));
    return attn_need_length(r, &p->bias, p->weight.dim[0]);
}

static attn_status want_channels(attn_infer *c, size_t channels, const attn_param *weight)
{
    attn_shape_text shape;
    if (!weight->source || weight->dim[0] == channels) return ATTN_OK;
    return attn_infer_fail(c, "input %s has %zu channels, but \"%s\" has [%zu]",
                           attn_format_shape(&shape, c->in[0].dim, c->in[0].rank), channels,
                           weight->source->name, weight->dim[0]);
}

static attn_status batch_norm_infer(attn_infer *c, const void *params)
{
    const channel_norm_params *p = params;
    int axis;
    ATTN_TRY(attn_want_filled(c, 0, ATTN_F32, 1, ATTN_MAX_RANK));
    ATTN_TRY(attn_want_axis(c, 0, p->axis, &axis));
    ATTN_TRY(want_channels(c, c->in[0].dim[axis], &p->mean));
    c->out[0] = c->in[0];
    c->flops = (double)attn_span(&c->in[0], 0, c->in[0].rank);
    return attn_add_scratch(c, 2 * p->mean.dim[0], sizeof(float), &c->scratch);
}

static attn_status group_norm_infer(attn_infer *c, const void *params)
{
    const channel_norm_params *p = params;
    int axis;
    ATTN_TRY(attn_want_filled(c, 0, ATTN_F32, 1, ATTN_MAX_RANK));
    ATTN_TRY(attn_want_axis(c, 0, p->axis, &axis));
    size_t channels = c->in[0].dim[axis];
    ATTN_TRY(want_channels(c, channels, &p->weight));
    if (p->groups && channels % p->groups != 0)
        return attn_infer_fail(c, "%zu channels do not divide into %zu groups", channels,
                               p->groups);
    c->out[0] = c->in[0];
    c->flops = 4 * (double)attn_span(&c->in[0], 0, c->in[0].rank);
    return ATTN_OK;
}

/* Rows of [outer, C] where a channel has inner elements, or of [outer] where it has one. */
static void batch_norm_task(const attn_run_context *c, const void *params, size_t item,
                            size_t first, size_t end, size_t worker)
{
    (void)worker;
    const channel_norm_params *p = params;
    const attn_shape *s = &c->in[0].shape;
    int axis = (int)(p->axis < 0 ? p->axis + s->rank : p->axis);
    size_t channels = s->dim[axis], inner = attn_span(s, axis + 1, s->rank);
    size_t row = inner > 1 ? inner : channels, step = inner > 1 ? 0 : 1;
    const float *x = attn_item(&c->in[0], item), *scale = c->scratch;
    float *y = attn_item(&c->out[0], item);
    for (size_t i = first; i < end; i++) {
        size_t channel = inner > 1 ? i % channels : 0;
        c->kernels->fma(y + i * row, x + i * row, 1, scale + channel, step,
                        scale + channels + channel, step, row);
    }
}

static void batch_norm_run(const attn_run_context *c, const void *params)
{
    const channel_norm_params *p = params;
    const attn_shape *s = &c->in[0].shape;
    int axis = (int)(p->axis < 0 ? p->axis + s->rank : p->axis);
    size_t channels = s->dim[axis], inner = attn_span(s, axis + 1, s->rank);
    size_t rows = attn_span(s, 0, axis) * (inner > 1 ? channels : 1);
    float *scale = c->scratch;
    for (size_t i = 0; i < channels; i++) {
        double factor = 1 / sqrt((double)p->var.data[i] + (double)p->eps);
        if (p->weight.source) factor *= (double)p->weight.data[i];
        scale[i] = (float)factor;
        scale[channels + i] = (float)((p->bias.source ? (double)p->bias.data[i] : 0) -
                                      (double)p->mean.data[i] * factor);
    }
    attn_each_rows(c, params, rows, attn_grain(inner > 1 ? inner : channels), batch_norm_task);
}

/* Groups [first, end) of all those of an item. */
static void group_norm_task(const attn_run_context *c, const void *params, size_t item,
                            size_t first, size_t end, size_t worker)
{
    (void)worker;
    const channel_norm_params *p = params;
    const attn_shape *s = &c->in[0].shape;
    int axis = (int)(p->axis < 0 ? p->axis + s->rank : p->axis);
    size_t channels = s->dim[axis], inner = attn_span(s, axis + 1, s->rank);
    size_t groups = p->groups ? p->groups : channels, group = channels / groups;
    const float zero = 0;
    for (size_t i = first; i < end; i++) {
        const float *x = attn_item(&c->in[0], item) + i * group * inner;
        float *y = attn_item(&c->out[0], item) + i * group * inner;
        c->kernels->layer_norm(y, x, NULL, NULL, group * inner, p->eps);
        for (size_t j = 0; p->weight.source && j < group; j++) {
            size_t channel = i % groups * group + j;
            const float *bias = p->bias.source ? p->bias.data + channel : &zero;
            c->kernels->fma(y + j * inner, y + j * inner, 1, p->weight.data + channel, 0, bias, 0,
                            inner);
        }
    }
}

static void group_norm_run(const attn_run_context *c, const void *params)
{
    const channel_norm_params *p = params;
    const attn_shape *s = &c->in[0].shape;
    int axis = (int)(p->axis < 0 ? p->axis + s->rank : p->axis);
    size_t groups = attn_span(s, 0, axis) * (p->groups ? p->groups : s->dim[axis]);
    attn_each_rows(c, params, groups, attn_grain(4 * (c->in[0].count / groups)), group_norm_task);
}

const attn_layer attn_layer_batch_norm = {
    "batch_norm",     ATTN_STEP_SHARED, ATTN_IN_PLACE, sizeof(channel_norm_params),
    batch_norm_parse, batch_norm_infer, batch_norm_run};
const attn_layer attn_layer_group_norm = {
    "group_norm",     ATTN_STEP_SHARED, ATTN_IN_PLACE, sizeof(channel_norm_params),
    group_norm_parse, group_norm_infer, group_norm_run};
