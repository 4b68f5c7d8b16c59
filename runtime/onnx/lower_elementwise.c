/* What works element by element. Integers of fewer than 32 bits wrap around as theirs do: what may
 * leave their range is cast back. */
#include "runtime/onnx/lower.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static attn_onnx_type type_of(const attn_ir_node *node, size_t input)
{
    const attn_ir_value *value = attn_ir_in(node, input);
    return value ? value->type : ATTN_ONNX_UNDEFINED;
}

static bool is_integer(const attn_ir_node *node, size_t input)
{
    return attn_onnx_is_integer(type_of(node, input));
}

/* The word of `cast` for a type; NULL: no layer has it. */
static const char *cast_word(attn_onnx_type type)
{
    switch (type) {
    case ATTN_ONNX_FLOAT:
    case ATTN_ONNX_DOUBLE:
        return "f32";
    case ATTN_ONNX_FLOAT16:
        return "f16";
    case ATTN_ONNX_BFLOAT16:
        return "bf16";
    case ATTN_ONNX_INT32:
    case ATTN_ONNX_INT64:
    case ATTN_ONNX_UINT64:
        return "i32";
    case ATTN_ONNX_UINT32:
        return "u32";
    case ATTN_ONNX_INT16:
        return "i16";
    case ATTN_ONNX_UINT16:
        return "u16";
    case ATTN_ONNX_INT8:
        return "i8";
    case ATTN_ONNX_UINT8:
        return "u8";
    case ATTN_ONNX_BOOL:
        return "bool";
    default:
        return NULL;
    }
}

static const char *cast_to(attn_lower *l, const attn_ir_node *node, const char *x, const char *word)
{
    cJSON *layer;
    const char *y = attn_lower_unary(l, node, "cast", x, &layer);
    attn_lower_word(l, layer, "to", word);
    return y;
}

/* The output of a layer of integers, cut to the bits of the node's type. */
static void out_narrow(attn_lower *l, const attn_ir_node *node, cJSON *layer)
{
    attn_ir_value *y = attn_ir_out(node, 0);
    const char *word = y ? cast_word(y->type) : NULL;
    if (!word || !attn_onnx_is_integer(y->type) || strstr("i32 u32 bool", word)) {
        attn_lower_out(l, layer, y);
        return;
    }
    const char *wide = attn_lower_temp(l);
    attn_lower_out_name(l, layer, wide);
    cJSON *cast = attn_lower_layer(l, node, "cast");
    attn_lower_word(l, cast, "to", word);
    attn_lower_in_name(l, cast, wide);
    attn_lower_out(l, cast, y);
}

/* ---- one operand --------------------------------------------------------------------------- */

static attn_status lower_narrow(attn_lower *l, const attn_ir_node *node)
{
    cJSON *layer = attn_lower_layer(l, node, attn_lower_entry(l)->layer);
    attn_lower_in(l, layer, attn_ir_in(node, 0));
    out_narrow(l, node, layer);
    return ATTN_OK;
}

/* The attributes that functions of one element have, here and there. */
static attn_status lower_function(attn_lower *l, const attn_ir_node *node)
{
    static const char *const keys[][2] = {{"alpha", "alpha"},
                                          {"beta", "beta"},
                                          {"gamma", "gamma"},
                                          {"lambd", "lambda"},
                                          {"bias", "bias"}};
    cJSON *layer = attn_lower_plain(l, node, attn_lower_entry(l)->layer);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (attn_ir_attr(node, keys[i][0]))
            attn_lower_number(l, layer, keys[i][1], (double)attn_ir_float(node, keys[i][0], 0));
    return ATTN_OK;
}

static attn_status lower_is_inf(attn_lower *l, const attn_ir_node *node)
{
    cJSON *layer = attn_lower_plain(l, node, "is_inf");
    if (!attn_ir_int(node, "detect_positive", 1)) attn_lower_flag(l, layer, "positive", false);
    if (!attn_ir_int(node, "detect_negative", 1)) attn_lower_flag(l, layer, "negative", false);
    return ATTN_OK;
}

static attn_status lower_gelu(attn_lower *l, const attn_ir_node *node)
{
    bool approximate = strcmp(attn_ir_text(node, "approximate", "none"), "tanh") == 0;
    attn_lower_plain(l, node, approximate ? "gelu_tanh" : "gelu");
    return ATTN_OK;
}

/* gelu(x + bias), of com.microsoft; a bias may be left out. */
static attn_status lower_bias_gelu(attn_lower *l, const attn_ir_node *node)
{
    const char *gelu = attn_lower_entry(l)->layer;
    if (!attn_ir_in(node, 0)) return attn_lower_fail(l, node, "an input is missing");
    const char *x = attn_lower_value(l, node->in[0]);
    if (attn_ir_in(node, 1))
        x = attn_lower_binary(l, node, "add", x, attn_lower_value(l, node->in[1]), NULL);
    cJSON *layer = attn_lower_layer(l, node, gelu);
    attn_lower_in_name(l, layer, x);
    attn_lower_out(l, layer, attn_ir_out(node, 0));
    return ATTN_OK;
}

/* x sigmoid(alpha x) */
static attn_status lower_quick_gelu(attn_lower *l, const attn_ir_node *node)
{
    float alpha = attn_ir_float(node, "alpha", 1.702f);
    cJSON *layer;
    if (alpha == 1.702f || alpha == 1) {
        attn_lower_plain(l, node, alpha == 1 ? "silu" : "quick_gelu");
        return ATTN_OK;
    }
    if (!attn_ir_in(node, 0)) return attn_lower_fail(l, node, "an input is missing");
    const char *x = attn_lower_value(l, node->in[0]);
    const char *y = attn_lower_unary(l, node, "mul", x, &layer);
    attn_lower_number(l, layer, "value", (double)alpha);
    y = attn_lower_unary(l, node, "sigmoid", y, NULL);
    layer = attn_lower_layer(l, node, "mul");
    attn_lower_in_name(l, layer, x);
    attn_lower_in_name(l, layer, y);
    attn_lower_out(l, layer, attn_ir_out(node, 0));
    return ATTN_OK;
}

/* A bound of Clip that a number of the description holds exactly, or that is none. */
static void clip_bound(attn_lower *l, cJSON *layer, const char *key, attn_ir_value *value)
{
    double number;
    char from[16];
    if (!value) return;
    if (!attn_ir_number(value, &number) || number != number) {
        attn_lower_operand(l, layer, key, value);
    } else if (attn_onnx_is_integer(value->type) && fabs(number) > 1 << 24) {
        snprintf(from, sizeof from, "%s_from", key);
        attn_lower_word(l, layer, from, attn_lower_value(l, value));
    } else if (fabs(number) < (double)FLT_MAX) {
        attn_lower_number(l, layer, key, number);
    }
}

/* Is it min(max(x, 0), 6)? */
static bool is_relu6(const attn_ir_node *node)
{
    if (!attn_onnx_is_float(type_of(node, 0))) return false;
    if (node->version && node->version < 11)
        return attn_ir_float(node, "min", -1) == 0 && attn_ir_float(node, "max", -1) == 6;
    return attn_ir_is_number(attn_ir_in(node, 1), 0) && attn_ir_is_number(attn_ir_in(node, 2), 6);
}

static attn_status lower_clip(attn_lower *l, const attn_ir_node *node)
{
    if (is_relu6(node)) {
        cJSON *relu = attn_lower_layer(l, node, "relu6");
        attn_lower_in(l, relu, attn_ir_in(node, 0));
        attn_lower_out(l, relu, attn_ir_out(node, 0));
        return ATTN_OK;
    }
    cJSON *layer = attn_lower_layer(l, node, "clip");
    attn_lower_in(l, layer, attn_ir_in(node, 0));
    if (node->version && node->version < 11) {
        float least = attn_ir_float(node, "min", -FLT_MAX),
              most = attn_ir_float(node, "max", FLT_MAX);
        if (least > -FLT_MAX) attn_lower_number(l, layer, "min", (double)least);
        if (most < FLT_MAX) attn_lower_number(l, layer, "max", (double)most);
    } else {
        clip_bound(l, layer, "min", attn_ir_in(node, 1));
        clip_bound(l, layer, "max", attn_ir_in(node, 2));
    }
    attn_lower_out(l, layer, attn_ir_out(node, 0));
    return ATTN_OK;
}

/* ---- cast ---------------------------------------------------------------------------------- */

/* Does every number of the type stay as it is? */
static bool is_kept(attn_onnx_type from, attn_onnx_type to)
{
    bool wide = to == ATTN_ONNX_INT32 || to == ATTN_ONNX_INT64 || to == ATTN_ONNX_UINT64;
    if (attn_onnx_is_float(from))
        return to == ATTN_ONNX_FLOAT || to == ATTN_ONNX_DOUBLE || to == from;
    return attn_onnx_is_integer(from) && (wide || to == from);
}

static attn_status lower_cast_to(attn_lower *l, const attn_ir_node *node, attn_onnx_type to)
{
    const char *word = cast_word(to);
    if (!word)
        return attn_lower_fail(l, node, "%s is no type that layers have", attn_onnx_type_name(to));
    bool kept = is_kept(type_of(node, 0), to);
    cJSON *layer = attn_lower_layer(l, node, kept ? "identity" : "cast");
    attn_lower_in(l, layer, attn_ir_in(node, 0));
    attn_lower_out(l, layer, attn_ir_out(node, 0));
    if (!kept) attn_lower_word(l, layer, "to", word);
    return ATTN_OK;
}

static attn_status lower_cast(attn_lower *l, const attn_ir_node *node)
{
    return lower_cast_to(l, node, (attn_onnx_type)attn_ir_int(node, "to", ATTN_ONNX_UNDEFINED));
}

static attn_status lower_cast_like(attn_lower *l, const attn_ir_node *node)
{
    return lower_cast_to(l, node, type_of(node, 1));
}

/* ---- two operands and more ----------------------------------------------------------------- */

/* Is b, beside a, a "value" of a binary layer? One element, of no more dimensions than a has. */
static bool is_value(const attn_ir_value *a, const attn_ir_value *b, double *number)
{
    if (!a || !b || a->constant || !attn_ir_number(b, number)) return false;
    if (b->constant->rank > 0 && !(a->shaped && a->rank >= b->constant->rank)) return false;
    if (attn_onnx_is_integer(b->type)) return fabs(*number) <= 1 << 24;
    return fabs(*number) < (double)FLT_MAX;
}

static void second_operand(attn_lower *l, cJSON *layer, attn_ir_value *a, attn_ir_value *b)
{
    double number;
    if (is_value(a, b, &number))
        attn_lower_number(l, layer, "value", number);
    else
        attn_lower_in(l, layer, b);
}

/* A constant of several numbers is the layer's own weight, where it takes one. */
static bool is_weight(const char *layer, const attn_ir_value *a, const attn_ir_value *b)
{
    static const char *const layers[] = {"add", "sub", "mul", "div", "max", "min", NULL};
    for (int i = 0; layers[i]; i++)
        if (strcmp(layer, layers[i]) == 0)
            return !a->constant && b->constant && b->constant->count > 1 &&
                   attn_onnx_is_float(b->constant->type);
    return false;
}

static attn_status lower_binary(attn_lower *l, const attn_ir_node *node)
{
    const char *name = attn_lower_entry(l)->layer;
    attn_ir_value *a = attn_ir_in(node, 0), *b = attn_ir_in(node, 1);
    double number;
    if (!a || !b) return attn_lower_fail(l, node, "an operand is missing");
    bool commutes = strcmp(name, "add") == 0 || strcmp(name, "mul") == 0;
    if (commutes && (is_value(b, a, &number) || is_weight(name, b, a))) {
        attn_ir_value *first = a;
        a = b;
        b = first;
    }
    cJSON *layer = attn_lower_layer(l, node, name);
    attn_lower_in(l, layer, a);
    if (is_weight(name, a, b))
        ATTN_TRY(attn_lower_weight(l, node, layer, "weight", b, ""));
    else
        second_operand(l, layer, a, b);
    out_narrow(l, node, layer);
    return ATTN_OK;
}

static attn_status lower_mod(attn_lower *l, const attn_ir_node *node)
{
    cJSON *layer = attn_lower_plain(l, node, "mod");
    if (attn_ir_int(node, "fmod", 0)) attn_lower_flag(l, layer, "fmod", true);
    return ATTN_OK;
}

static attn_status lower_shift(attn_lower *l, const attn_ir_node *node)
{
    bool left = strcmp(attn_ir_text(node, "direction", ""), "LEFT") == 0;
    cJSON *layer = attn_lower_layer(l, node, left ? "shift_left" : "shift_right");
    attn_lower_in(l, layer, attn_ir_in(node, 0));
    attn_lower_in(l, layer, attn_ir_in(node, 1));
    out_narrow(l, node, layer);
    return ATTN_OK;
}

/* The types of base and power may differ; the result has the base's. */
static attn_status lower_pow(attn_lower *l, const attn_ir_node *node)
{
    attn_ir_value *a = attn_ir_in(node, 0), *b = attn_ir_in(node, 1);
    if (!a || !b) return attn_lower_fail(l, node, "an operand is missing");
    bool base = is_integer(node, 0), power = is_integer(node, 1);
    double number;
    if (base == power || (!base && is_value(a, b, &number))) return lower_binary(l, node);
    const char *x = attn_lower_value(l, a), *y = attn_lower_value(l, b);
    if (base) x = cast_to(l, node, x, "f32");
    if (power) y = cast_to(l, node, y, "f32");
    y = attn_lower_binary(l, node, "pow", x, y, NULL);
    if (!base) {
        attn_lower_result(l, node, y, attn_ir_out(node, 0));
        return ATTN_OK;
    }
    const char *word = cast_word(a->type);
    cJSON *layer = attn_lower_layer(l, node, "cast");
    attn_lower_in_name(l, layer, y);
    attn_lower_word(l, layer, "to", word ? word : "i32");
    attn_lower_out(l, layer, attn_ir_out(node, 0));
    return ATTN_OK;
}

/* Sum, Mean, Max, Min of any number of inputs. */
static attn_status lower_many(attn_lower *l, const attn_ir_node *node)
{
    const char *name = attn_lower_entry(l)->layer;
    bool mean = strcmp(node->op, "Mean") == 0;
    cJSON *layer;
    for (size_t i = 0; i < node->inputs; i++)
        if (!node->in[i]) return attn_lower_fail(l, node, "an operand is missing");
    if (node->inputs == 0) return attn_lower_fail(l, node, "there are no operands");
    const char *y = attn_lower_value(l, node->in[0]);
    for (size_t i = 1; i + !mean < node->inputs; i++)
        y = attn_lower_binary(l, node, name, y, attn_lower_value(l, node->in[i]), NULL);
    if (node->inputs == 1) {
        attn_lower_result(l, node, y, attn_ir_out(node, 0));
        return ATTN_OK;
    }
    if (!mean) {
        const char *last = attn_lower_value(l, node->in[node->inputs - 1]);
        layer = attn_lower_layer(l, node, name);
        attn_lower_in_name(l, layer, y);
        attn_lower_in_name(l, layer, last);
    } else {
        layer = attn_lower_layer(l, node, "div");
        attn_lower_in_name(l, layer, y);
        attn_lower_number(l, layer, "value", (double)node->inputs);
    }
    attn_lower_out(l, layer, attn_ir_out(node, 0));
    return ATTN_OK;
}

const attn_lowering attn_lowerings_elementwise[] = {
    {"Abs", "", attn_lower_same, "abs"},
    {"Acos", "", attn_lower_same, "acos"},
    {"Acosh", "", attn_lower_same, "acosh"},
    {"Add", "", lower_binary, "add"},
    {"And", "", lower_binary, "and"},
    {"Asin", "", attn_lower_same, "asin"},
    {"Asinh", "", attn_lower_same, "asinh"},
    {"Atan", "", attn_lower_same, "atan"},
    {"Atanh", "", attn_lower_same, "atanh"},
    {"BiasGelu", "com.microsoft", lower_bias_gelu, "gelu"},
    {"BitShift", "", lower_shift, NULL},
    {"BitwiseAnd", "", lower_binary, "bit_and"},
    {"BitwiseNot", "", lower_narrow, "bit_not"},
    {"BitwiseOr", "", lower_binary, "bit_or"},
    {"BitwiseXor", "", lower_binary, "bit_xor"},
    {"Cast", "", lower_cast, NULL},
    {"CastLike", "", lower_cast_like, NULL},
    {"Ceil", "", attn_lower_same, "ceil"},
    {"Celu", "", lower_function, "celu"},
    {"Clip", "", lower_clip, NULL},
    {"Cos", "", attn_lower_same, "cos"},
    {"Cosh", "", attn_lower_same, "cosh"},
    {"Div", "", lower_binary, "div"},
    {"Elu", "", lower_function, "elu"},
    {"Equal", "", lower_binary, "equal"},
    {"Erf", "", attn_lower_same, "erf"},
    {"Exp", "", attn_lower_same, "exp"},
    {"FastGelu", "com.microsoft", lower_bias_gelu, "gelu_tanh"},
    {"Floor", "", attn_lower_same, "floor"},
    {"Gelu", "", lower_gelu, NULL},
    {"Gelu", "com.microsoft", attn_lower_same, "gelu"},
    {"Greater", "", lower_binary, "greater"},
    {"GreaterOrEqual", "", lower_binary, "greater_equal"},
    {"HardSigmoid", "", lower_function, "hard_sigmoid"},
    {"HardSwish", "", attn_lower_same, "hard_swish"},
    {"IsInf", "", lower_is_inf, NULL},
    {"IsNaN", "", attn_lower_same, "is_nan"},
    {"LeakyRelu", "", lower_function, "leaky_relu"},
    {"Less", "", lower_binary, "less"},
    {"LessOrEqual", "", lower_binary, "less_equal"},
    {"Log", "", attn_lower_same, "log"},
    {"Max", "", lower_many, "max"},
    {"Mean", "", lower_many, "add"},
    {"Min", "", lower_many, "min"},
    {"Mish", "", attn_lower_same, "mish"},
    {"Mod", "", lower_mod, NULL},
    {"Mul", "", lower_binary, "mul"},
    {"Neg", "", lower_narrow, "neg"},
    {"Not", "", attn_lower_same, "not"},
    {"Or", "", lower_binary, "or"},
    {"PRelu", "", attn_lower_same, "prelu"},
    {"Pow", "", lower_pow, "pow"},
    {"QuickGelu", "com.microsoft", lower_quick_gelu, NULL},
    {"Reciprocal", "", attn_lower_same, "reciprocal"},
    {"Round", "", attn_lower_same, "round"},
    {"Selu", "", lower_function, "selu"},
    {"Shrink", "", lower_function, "shrink"},
    {"Sigmoid", "", attn_lower_same, "sigmoid"},
    {"Sign", "", attn_lower_same, "sign"},
    {"Sin", "", attn_lower_same, "sin"},
    {"Sinh", "", attn_lower_same, "sinh"},
    {"Softplus", "", attn_lower_same, "softplus"},
    {"Softsign", "", attn_lower_same, "softsign"},
    {"Sqrt", "", attn_lower_same, "sqrt"},
    {"Sub", "", lower_binary, "sub"},
    {"Sum", "", lower_many, "add"},
    {"Tan", "", attn_lower_same, "tan"},
    {"Tanh", "", attn_lower_same, "tanh"},
    {"ThresholdedRelu", "", lower_function, "thresholded_relu"},
    {"Where", "", attn_lower_same, "where"},
    {"Xor", "", lower_binary, "xor"},
    {NULL, NULL, NULL, NULL},
};
