/* batch_norm and group_norm: y = x * scale + shift with one scale and shift per channel.
 *   x, y: [outer..., C, inner...]; weight, bias, running_mean, running_var: [C]; y may be x
 *   batch_norm: scale = weight / sqrt(running_var + eps), shift = bias - running_mean * scale
 *               (Ioffe & Szegedy 2015, alg. 2)
 *   group_norm: x is normalised over groups of C / groups channels as layer_norm does, then
 *               multiplied by weight and added to bias (Wu & He 2018, eq. 1-2); groups of 0: each
 *               channel alone (instance normalisation, Ulyanov et al. 2016). Its weight and bias
 *               may have one element for each group, too. */
#include "layers/support.h"

#include <math.h>

typedef struct channel_norm_params {
    attn_param weight, bias, mean, var;
    int from[4]; /* operands instead of these, or -1 */
    float eps;
    long axis;
    size_t groups;
} channel_norm_params;

/* "<name>_from" of the first `count` weights. *found: whether there is one. */
static attn_status read_operands(attn_reader *r, channel_norm_params *p, int count, bool *found)
{
    static const char *const keys[] = {"weight_from", "bias_from", "mean_from", "var_from"};
    *found = false;
    for (int i = 0; i < 4; i++) {
        p->from[i] = -1;
        if (i < count) ATTN_TRY(attn_read_operand(r, keys[i], &p->from[i]));
        *found |= p->from[i] >= 0;
    }
    return ATTN_OK;
}

static attn_status batch_norm_parse(attn_reader *r, void *params)
{
    channel_norm_params *p = params;
    bool affine = true, computed;
    p->axis = -3;
    ATTN_TRY(attn_need_inputs(r, 1, 1, NULL));
    ATTN_TRY(attn_need_outputs(r, 1, 1, NULL));
    ATTN_TRY(attn_need_float(r, "eps", 0, 1, &p->eps));
    ATTN_TRY(attn_read_int(r, "axis", -ATTN_MAX_RANK, ATTN_MAX_RANK - 1, &p->axis));
    ATTN_TRY(read_operands(r, p, 4, &computed));
    if (computed && (p->from[2] < 0 || p->from[3] < 0))
        return attn_reader_fail(r, "\"mean_from\" and \"var_from\" are needed");
    if (computed) return ATTN_OK;
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
    bool affine = true, computed;
    ATTN_TRY(attn_need_inputs(r, 1, 1, NULL));
    ATTN_TRY(attn_need_outputs(r, 1, 1, NULL));
    ATTN_TRY(attn_need_float(r, "eps", 0, 1, &p->eps));
    ATTN_TRY(attn_need_size(r, "groups", 0, (size_t)1 << 32, &p->groups));
    ATTN_TRY(attn_read_int(r, "channel_axis", -ATTN_MAX_RANK, ATTN_MAX_RANK - 1, &p->axis));
    ATTN_TRY(read_operands(r, p, 2, &computed));
    if (computed) return ATTN_OK;
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

/* The operands instead of weights: `channels` elements, or `other`. */
static attn_status want_operands(attn_infer *c, const channel_norm_params *p, size_t channels,
                                 size_t other)
{
    for (int i = 0; i < 4; i++) {
        if (p->from[i] < 0) continue;
        size_t input = (size_t)p->from[i];
        ATTN_TRY(attn_want_filled(c, input, ATTN_F32, 1, 1));
        size_t have = c->in[input].dim[0];
        if (have != channels && have != other)
            return attn_infer_fail(c, "input %zu has %zu elements for %zu channels", input, have,
                                   channels);
    }
    return ATTN_OK;
}

/* Weight i of an item and its elements, or NULL. */
static const float *get_weight(const attn_run_context *c, const channel_norm_params *p, int i,
                               size_t item, size_t *count)
{
    const attn_param *const params[] = {&p->weight, &p->bias, &p->mean, &p->var};
    const attn_value *from = p->from[i] < 0 ? NULL : &c->in[p->from[i]];
    *count = from ? from->count : params[i]->dim[0];
    return from ? attn_item(from, item) : params[i]->source ? params[i]->data : NULL;
}

static attn_status batch_norm_infer(attn_infer *c, const void *params)
{
    const channel_norm_params *p = params;
    int axis;
    ATTN_TRY(attn_want_filled(c, 0, ATTN_F32, 1, ATTN_MAX_RANK));
    ATTN_TRY(attn_want_axis(c, 0, p->axis, &axis));
    size_t channels = c->in[0].dim[axis];
    ATTN_TRY(want_channels(c, channels, &p->mean));
    ATTN_TRY(want_operands(c, p, channels, channels));
    c->out[0] = c->in[0];
    c->flops = (double)attn_span(&c->in[0], 0, c->in[0].rank);
    return attn_add_scratch(c, 2 * channels * c->batch, sizeof(float), &c->scratch);
}

static attn_status group_norm_infer(attn_infer *c, const void *params)
{
    const channel_norm_params *p = params;
    int axis;
    ATTN_TRY(attn_want_filled(c, 0, ATTN_F32, 1, ATTN_MAX_RANK));
    ATTN_TRY(attn_want_axis(c, 0, p->axis, &axis));
    size_t channels = c->in[0].dim[axis];
    if (p->weight.dim[0] != p->groups) ATTN_TRY(want_channels(c, channels, &p->weight));
    ATTN_TRY(want_operands(c, p, channels, p->groups));
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
    const float *x = attn_item(&c->in[0], item);
    const float *scale = (const float *)c->scratch + 2 * channels * item;
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
    size_t rows = attn_span(s, 0, axis) * (inner > 1 ? channels : 1), count;
    for (size_t item = 0; item < c->batch; item++) {
        float *scale = (float *)c->scratch + 2 * channels * item;
        const float *w[4];
        for (int i = 0; i < 4; i++) w[i] = get_weight(c, p, i, item, &count);
        for (size_t i = 0; i < channels; i++) {
            double factor = 1 / sqrt((double)w[3][i] + (double)p->eps);
            if (w[0]) factor *= (double)w[0][i];
            scale[i] = (float)factor;
            scale[channels + i] = (float)((w[1] ? (double)w[1][i] : 0) - (double)w[2][i] * factor);
        }
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
    size_t count, biases;
    const float *weight = get_weight(c, p, 0, item, &count);
    const float *bias = get_weight(c, p, 1, item, &biases);
    for (size_t i = first; i < end; i++) {
        const float *x = attn_item(&c->in[0], item) + i * group * inner;
        float *y = attn_item(&c->out[0], item) + i * group * inner;
        c->kernels->layer_norm(y, x, NULL, NULL, group * inner, p->eps);
        for (size_t j = 0; weight && j < group; j++) {
            size_t channel = i % groups * group + j;
            const float *w = weight + (count == channels ? channel : i % groups);
            const float *shift = bias ? bias + (biases == channels ? channel : i % groups) : &zero;
            c->kernels->fma(y + j * inner, y + j * inner, 1, w, 0, shift, 0, inner);
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
