/* Products and normalisation. */
#include "runtime/onnx/lower.h"

#include <string.h>

/* ---- products ------------------------------------------------------------------------------ */

/* alpha A B + beta C, each of A and B transposed or not. */
static attn_status lower_gemm(attn_lower *l, const attn_ir_node *node)
{
    attn_ir_value *a = attn_ir_in(node, 0), *b = attn_ir_in(node, 1), *c = attn_ir_in(node, 2);
    double alpha = (double)attn_ir_float(node, "alpha", 1);
    double beta = (double)attn_ir_float(node, "beta", 1);
    cJSON *layer;
    if (!a || !b) return attn_lower_fail(l, node, "an operand is missing");
    const char *left = attn_lower_value(l, a), *right = attn_lower_value(l, b);
    if (attn_ir_int(node, "transA", 0)) {
        left = attn_lower_unary(l, node, "transpose", left, &layer);
        attn_lower_flag(l, layer, "reverse", true);
    }
    bool add = c && beta != 0;
    const char *last = c ? attn_lower_value(l, c) : NULL;
    if (add && beta != 1) {
        last = attn_lower_unary(l, node, "mul", last, &layer);
        attn_lower_number(l, layer, "value", beta);
    }
    layer = attn_lower_layer(l, node, "matmul");
    attn_lower_in_name(l, layer, left);
    attn_lower_in_name(l, layer, right);
    if (attn_ir_int(node, "transB", 0)) attn_lower_flag(l, layer, "transpose_b", true);
    if (alpha != 1) attn_lower_number(l, layer, "scale", alpha);
    if (!add) {
        attn_lower_out(l, layer, attn_ir_out(node, 0));
        return ATTN_OK;
    }
    const char *product = attn_lower_temp(l);
    attn_lower_out_name(l, layer, product);
    layer = attn_lower_layer(l, node, "add");
    attn_lower_in_name(l, layer, product);
    attn_lower_in_name(l, layer, last);
    attn_lower_out(l, layer, attn_ir_out(node, 0));
    return ATTN_OK;
}

/* ---- normalisation ------------------------------------------------------------------------- */

/* Whether a layer over `axis` takes it as its weight: it then has the row's shape. */
static bool is_weight(const attn_ir_value *value, int64_t axis)
{
    const attn_onnx_tensor *t = value ? value->constant : NULL;
    return t && t->count > 1 && (axis >= 0 ? t->rank > 0 : t->rank == -axis);
}

/* y = norm(x) * scale + shift into `out`; layer: layer_norm or rms_norm. mean, deviation: further
 * outputs of layer_norm, or NULL. */
static attn_status normalize(attn_lower *l, const attn_ir_node *node, const char *name,
                             const char *x, int64_t axis, attn_ir_value *scale,
                             attn_ir_value *shift, attn_ir_value *out, attn_ir_value *mean,
                             attn_ir_value *deviation)
{
    bool rms = strcmp(name, "rms_norm") == 0;
    bool plain = is_weight(scale, axis) &&
                 (!shift || (shift->constant && !rms && shift->constant->rank == 1));
    cJSON *layer = attn_lower_layer(l, node, name);
    const char *y = plain || (!scale && !shift) ? NULL : attn_lower_temp(l);
    attn_lower_in_name(l, layer, x);
    if (y)
        attn_lower_out_name(l, layer, y);
    else
        attn_lower_out(l, layer, out);
    if (mean || deviation) attn_lower_out(l, layer, mean);
    if (deviation) attn_lower_out(l, layer, deviation);
    attn_lower_number(l, layer, "eps", (double)attn_ir_float(node, "epsilon", 1e-5f));
    if (axis != -1) attn_lower_number(l, layer, "axis", (double)axis);
    if (plain) {
        ATTN_TRY(attn_lower_weight(l, node, layer, "weight", scale, ".weight"));
        return rms ? ATTN_OK : attn_lower_bias(l, node, layer, shift);
    }
    attn_lower_flag(l, layer, "affine", false);
    for (int i = 0; i < 2; i++) {
        attn_ir_value *with = i == 0 ? scale : shift;
        if (!with) continue;
        const char *operand = attn_lower_value(l, with);
        layer = attn_lower_layer(l, node, i == 0 ? "mul" : "add");
        attn_lower_in_name(l, layer, y);
        attn_lower_in_name(l, layer, operand);
        if (i == 0 && shift) {
            y = attn_lower_temp(l);
            attn_lower_out_name(l, layer, y);
        } else {
            attn_lower_out(l, layer, out);
        }
    }
    return ATTN_OK;
}

static attn_status lower_layer_norm(attn_lower *l, const attn_ir_node *node)
{
    const char *layer = attn_lower_entry(l)->layer;
    bool rms = strcmp(layer, "rms_norm") == 0;
    if (!attn_ir_in(node, 0)) return attn_lower_fail(l, node, "there is no input");
    if (rms && (attn_ir_out(node, 1) || attn_ir_out(node, 2)))
        return attn_lower_fail(l, node, "only the first output is supported");
    return normalize(l, node, layer, attn_lower_value(l, node->in[0]),
                     attn_ir_int(node, "axis", -1), attn_ir_in(node, 1), attn_ir_in(node, 2),
                     attn_ir_out(node, 0), attn_ir_out(node, 1), attn_ir_out(node, 2));
}

/* com.microsoft: the norm of input + skip + bias. */
static attn_status lower_skip_norm(attn_lower *l, const attn_ir_node *node)
{
    const char *name = attn_lower_entry(l)->layer;
    bool rms = strcmp(name, "rms_norm") == 0;
    attn_ir_value *bias = attn_ir_in(node, rms ? 3 : 4), *sum = attn_ir_out(node, 3);
    if (!attn_ir_in(node, 0) || !attn_ir_in(node, 1))
        return attn_lower_fail(l, node, "an operand is missing");
    if (attn_ir_out(node, 1) || attn_ir_out(node, 2))
        return attn_lower_fail(l, node, "mean and inv_std_var are not supported");
    const char *x = attn_lower_value(l, node->in[0]);
    x = attn_lower_binary(l, node, "add", x, attn_lower_value(l, node->in[1]), NULL);
    if (bias) x = attn_lower_binary(l, node, "add", x, attn_lower_value(l, bias), NULL);
    if (sum) attn_lower_result(l, node, x, sum);
    return normalize(l, node, name, x, -1, attn_ir_in(node, 2), rms ? NULL : attn_ir_in(node, 3),
                     attn_ir_out(node, 0), NULL, NULL);
}

/* Instance and group normalisation: channels are axis 1; "channel_axis" where the batch is gone. */
static attn_status lower_group_norm(attn_lower *l, const attn_ir_node *node)
{
    attn_ir_value *scale = attn_ir_in(node, 1), *shift = attn_ir_in(node, 2);
    bool grouped = strcmp(node->op, "GroupNormalization") == 0;
    cJSON *layer = attn_lower_layer(l, node, "group_norm");
    if (!scale || !shift) return attn_lower_fail(l, node, "an operand is missing");
    attn_lower_in(l, layer, attn_ir_in(node, 0));
    attn_lower_out(l, layer, attn_ir_out(node, 0));
    attn_lower_number(l, layer, "eps", (double)attn_ir_float(node, "epsilon", 1e-5f));
    attn_lower_number(l, layer, "groups", grouped ? (double)attn_ir_int(node, "num_groups", 1) : 0);
    attn_lower_number(l, layer, "channel_axis", (double)attn_ir_int(node, "channel_axis", 1));
    if (scale->constant && shift->constant) {
        ATTN_TRY(attn_lower_weight(l, node, layer, "weight", scale, ".weight"));
        return attn_lower_bias(l, node, layer, shift);
    }
    attn_lower_word(l, layer, "weight_from", attn_lower_value(l, scale));
    attn_lower_word(l, layer, "bias_from", attn_lower_value(l, shift));
    return ATTN_OK;
}

static attn_status lower_batch_norm(attn_lower *l, const attn_ir_node *node)
{
    static const char *const keys[] = {"weight_from", "bias_from", "mean_from", "var_from"};
    cJSON *layer = attn_lower_layer(l, node, "batch_norm");
    if (attn_ir_int(node, "training_mode", 0) || attn_ir_out(node, 1))
        return attn_lower_fail(l, node, "training_mode is not supported");
    attn_lower_in(l, layer, attn_ir_in(node, 0));
    attn_lower_out(l, layer, attn_ir_out(node, 0));
    attn_lower_number(l, layer, "eps", (double)attn_ir_float(node, "epsilon", 1e-5f));
    attn_lower_number(l, layer, "axis", (double)attn_ir_int(node, "channel_axis", 1));
    for (size_t i = 0; i < 4; i++) {
        if (!attn_ir_in(node, 1 + i)) return attn_lower_fail(l, node, "an operand is missing");
        attn_lower_word(l, layer, keys[i], attn_lower_value(l, node->in[1 + i]));
    }
    return ATTN_OK;
}

static const char *reduced(attn_lower *l, const attn_ir_node *node, const char *name, const char *x,
                           const int64_t *axes, size_t count)
{
    cJSON *layer;
    const char *y = attn_lower_unary(l, node, name, x, &layer);
    attn_lower_int_list(l, layer, "axes", axes, count);
    return y;
}

/* (x - mean) / (standard deviation + 1e-9) */
static attn_status lower_mean_variance(attn_lower *l, const attn_ir_node *node)
{
    static const int64_t usual[] = {0, 2, 3};
    size_t count;
    const int64_t *axes = attn_ir_ints(node, "axes", &count);
    cJSON *layer;
    if (!axes || !count) {
        axes = usual;
        count = 3;
    }
    if (!attn_ir_in(node, 0)) return attn_lower_fail(l, node, "there is no input");
    const char *x = attn_lower_value(l, node->in[0]);
    const char *mean = reduced(l, node, "reduce_mean", x, axes, count);
    const char *centred = attn_lower_binary(l, node, "sub", x, mean, NULL);
    const char *squares = attn_lower_binary(l, node, "mul", centred, centred, NULL);
    squares = reduced(l, node, "reduce_mean", squares, axes, count);
    const char *deviation = attn_lower_unary(l, node, "sqrt", squares, NULL);
    deviation = attn_lower_unary(l, node, "add", deviation, &layer);
    attn_lower_number(l, layer, "value", 1e-9);
    layer = attn_lower_layer(l, node, "div");
    attn_lower_in_name(l, layer, centred);
    attn_lower_in_name(l, layer, deviation);
    attn_lower_out(l, layer, attn_ir_out(node, 0));
    return ATTN_OK;
}

/* x / norm, where a norm of 0 gives 0. */
static attn_status lower_lp_norm(attn_lower *l, const attn_ir_node *node)
{
    int64_t axis = attn_ir_int(node, "axis", -1), p = attn_ir_int(node, "p", 2);
    cJSON *layer;
    if (p != 1 && p != 2) return attn_lower_fail(l, node, "p is %lld", (long long)p);
    if (!attn_ir_in(node, 0)) return attn_lower_fail(l, node, "there is no input");
    const char *x = attn_lower_value(l, node->in[0]);
    const char *norm = reduced(l, node, p == 1 ? "reduce_l1" : "reduce_l2", x, &axis, 1);
    norm = attn_lower_unary(l, node, "max", norm, &layer);
    attn_lower_number(l, layer, "value", 1e-37);
    layer = attn_lower_layer(l, node, "div");
    attn_lower_in_name(l, layer, x);
    attn_lower_in_name(l, layer, norm);
    attn_lower_out(l, layer, attn_ir_out(node, 0));
    return ATTN_OK;
}

const attn_lowering attn_lowerings_products[] = {
    {"BatchNormalization", "", lower_batch_norm, NULL},
    {"Gemm", "", lower_gemm, NULL},
    {"GroupNormalization", "", lower_group_norm, NULL},
    {"InstanceNormalization", "", lower_group_norm, NULL},
    {"LayerNormalization", "", lower_layer_norm, "layer_norm"},
    {"LpNormalization", "", lower_lp_norm, NULL},
    {"MatMul", "", attn_lower_same, "matmul"},
    {"MeanVarianceNormalization", "", lower_mean_variance, NULL},
    {"RMSNormalization", "", lower_layer_norm, "rms_norm"},
    {"SimplifiedLayerNormalization", "", lower_layer_norm, "rms_norm"},
    {"SimplifiedLayerNormalization", "com.microsoft", lower_layer_norm, "rms_norm"},
    {"SkipLayerNormalization", "com.microsoft", lower_skip_norm, "layer_norm"},
    {"SkipSimplifiedLayerNormalization", "com.microsoft", lower_skip_norm, "rms_norm"},
    {NULL, NULL, NULL, NULL},
};
