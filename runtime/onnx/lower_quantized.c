/* Quantisation, and what computes with quantised values: they are integers as i32, products are
 * made of their distances from the zero points as f32, exact while sums stay below 2^24. */
#include "runtime/onnx/lower_conv.h"

#include <string.h>

static const char *type_word(attn_onnx_type type)
{
    switch (type) {
    case ATTN_ONNX_INT8:
        return "i8";
    case ATTN_ONNX_UINT16:
        return "u16";
    case ATTN_ONNX_INT16:
        return "i16";
    case ATTN_ONNX_INT32:
        return "i32";
    default:
        return "u8";
    }
}

/* y = quantize_linear(x, scale, zero); zero may be NULL. */
static cJSON *quantize(attn_lower *l, const attn_ir_node *node, const char *x, const char *scale,
                       attn_ir_value *zero, int64_t type)
{
    const char *offset = zero ? attn_lower_value(l, zero) : NULL;
    cJSON *layer = attn_lower_layer(l, node, "quantize_linear");
    attn_lower_in_name(l, layer, x);
    attn_lower_in_name(l, layer, scale);
    if (offset) attn_lower_in_name(l, layer, offset);
    attn_lower_out(l, layer, attn_ir_out(node, 0));
    attn_lower_word(l, layer, "type",
                    type_word(zero && zero->type ? zero->type : (attn_onnx_type)type));
    return layer;
}

static void place(attn_lower *l, const attn_ir_node *node, cJSON *layer)
{
    int64_t axis = attn_ir_int(node, "axis", 1), block = attn_ir_int(node, "block_size", 0);
    if (axis != 1) attn_lower_number(l, layer, "axis", (double)axis);
    if (block) attn_lower_number(l, layer, "block_size", (double)block);
}

static attn_status lower_quantize(attn_lower *l, const attn_ir_node *node)
{
    attn_ir_value *in = attn_ir_in(node, 0), *scale = attn_ir_in(node, 1);
    cJSON *cast;
    int64_t type = attn_ir_int(node, "output_dtype", ATTN_ONNX_UINT8);
    if (!in || !scale) return attn_lower_fail(l, node, "an operand is missing");
    const char *x = attn_lower_value(l, in);
    if (attn_onnx_is_integer(in->type)) {
        x = attn_lower_unary(l, node, "cast", x, &cast);
        attn_lower_word(l, cast, "to", "f32");
    }
    place(l, node, quantize(l, node, x, attn_lower_value(l, scale), attn_ir_in(node, 2), type));
    return ATTN_OK;
}

static attn_status lower_dequantize(attn_lower *l, const attn_ir_node *node)
{
    place(l, node, attn_lower_plain(l, node, "dequantize_linear"));
    return ATTN_OK;
}

/* (x - zero) * scale as f32; scale NULL: 1, zero may be NULL. */
static const char *distance(attn_lower *l, const attn_ir_node *node, const char *x,
                            const char *scale, attn_ir_value *zero, int axis)
{
    const char *offset = zero ? attn_lower_value(l, zero) : NULL;
    const char *factor = scale ? scale : attn_lower_scalar(l, 1, false);
    cJSON *layer;
    const char *y = attn_lower_binary(l, node, "dequantize_linear", x, factor, &layer);
    if (offset) attn_lower_in_name(l, layer, offset);
    attn_lower_number(l, layer, "axis", axis);
    return y;
}

static attn_status cast_result(attn_lower *l, const attn_ir_node *node, const char *y)
{
    cJSON *layer = attn_lower_layer(l, node, "cast");
    attn_lower_in_name(l, layer, y);
    attn_lower_out(l, layer, attn_ir_out(node, 0));
    attn_lower_word(l, layer, "to", "i32");
    return ATTN_OK;
}

static attn_status lower_matmul_integer(attn_lower *l, const attn_ir_node *node)
{
    if (!attn_ir_in(node, 0) || !attn_ir_in(node, 1))
        return attn_lower_fail(l, node, "an operand is missing");
    const char *a =
        distance(l, node, attn_lower_value(l, node->in[0]), NULL, attn_ir_in(node, 2), -2);
    const char *b =
        distance(l, node, attn_lower_value(l, node->in[1]), NULL, attn_ir_in(node, 3), -1);
    return cast_result(l, node, attn_lower_binary(l, node, "matmul", a, b, NULL));
}

/* scale of a * scale of b / scale of y */
static const char *factor(attn_lower *l, const attn_ir_node *node, size_t a, size_t b, size_t y)
{
    const char *left = attn_lower_value(l, node->in[a]), *right = attn_lower_value(l, node->in[b]);
    const char *product = attn_lower_binary(l, node, "mul", left, right, NULL);
    return attn_lower_binary(l, node, "div", product, attn_lower_value(l, node->in[y]), NULL);
}

static attn_status lower_qlinear_matmul(attn_lower *l, const attn_ir_node *node)
{
    for (size_t i = 0; i < 8; i++)
        if (!attn_ir_in(node, i)) return attn_lower_fail(l, node, "an operand is missing");
    const char *a = distance(l, node, attn_lower_value(l, node->in[0]), NULL, node->in[2], -2);
    const char *b = distance(l, node, attn_lower_value(l, node->in[3]), NULL, node->in[5], -1);
    const char *y = attn_lower_binary(l, node, "matmul", a, b, NULL);
    y = attn_lower_binary(l, node, "mul", y, factor(l, node, 1, 4, 6), NULL);
    quantize(l, node, y, attn_lower_scalar(l, 1, false), node->in[7], ATTN_ONNX_UINT8);
    return ATTN_OK;
}

/* The convolution of distances x and w, into a fresh name. */
static attn_status convolve(attn_lower *l, const attn_ir_node *node, const char *x, const char *w,
                            const char *bias, const char **y)
{
    cJSON *layer;
    *y = attn_lower_unary(l, node, "conv", x, &layer);
    attn_lower_word(l, layer, "weight_from", w);
    if (bias) attn_lower_word(l, layer, "bias_from", bias);
    return attn_lower_conv_attributes(l, node, layer);
}

static attn_status lower_conv_integer(attn_lower *l, const attn_ir_node *node)
{
    const char *y;
    if (!attn_ir_in(node, 0) || !attn_ir_in(node, 1))
        return attn_lower_fail(l, node, "an operand is missing");
    const char *x =
        distance(l, node, attn_lower_value(l, node->in[0]), NULL, attn_ir_in(node, 2), 1);
    const char *w =
        distance(l, node, attn_lower_value(l, node->in[1]), NULL, attn_ir_in(node, 3), 0);
    ATTN_TRY(convolve(l, node, x, w, NULL, &y));
    return cast_result(l, node, y);
}

static attn_status lower_qlinear_conv(attn_lower *l, const attn_ir_node *node)
{
    const char *y, *bias = NULL;
    for (size_t i = 0; i < 8; i++)
        if (!attn_ir_in(node, i)) return attn_lower_fail(l, node, "an operand is missing");
    const char *x = distance(l, node, attn_lower_value(l, node->in[0]), NULL, node->in[2], 1);
    const char *w = distance(l, node, attn_lower_value(l, node->in[3]), NULL, node->in[5], 0);
    if (attn_ir_in(node, 8))
        bias = distance(l, node, attn_lower_value(l, node->in[8]), NULL, NULL, 0);
    ATTN_TRY(convolve(l, node, x, w, bias, &y));
    y = distance(l, node, y, factor(l, node, 1, 4, 6), NULL, 1);
    quantize(l, node, y, attn_lower_scalar(l, 1, false), node->in[7], ATTN_ONNX_UINT8);
    return ATTN_OK;
}

static attn_status lower_dynamic(attn_lower *l, const attn_ir_node *node)
{
    cJSON *layer = attn_lower_layer(l, node, "dynamic_quantize_linear");
    attn_lower_in(l, layer, attn_ir_in(node, 0));
    for (size_t i = 0; i < 3; i++) attn_lower_out(l, layer, attn_ir_out(node, i));
    return ATTN_OK;
}

const attn_lowering attn_lowerings_quantized[] = {
    {"ConvInteger", "", lower_conv_integer, NULL},
    {"DequantizeLinear", "", lower_dequantize, NULL},
    {"DequantizeLinear", "com.microsoft", lower_dequantize, NULL},
    {"DynamicQuantizeLinear", "", lower_dynamic, NULL},
    {"MatMulInteger", "", lower_matmul_integer, NULL},
    {"QLinearConv", "", lower_qlinear_conv, NULL},
    {"QLinearMatMul", "", lower_qlinear_matmul, NULL},
    {"QuantizeLinear", "", lower_quantize, NULL},
    {"QuantizeLinear", "com.microsoft", lower_quantize, NULL},
    {NULL, NULL, NULL, NULL},
};
