/* The element type of what a node makes, where the file does not say it. */
#include "runtime/onnx/ir_build.h"

#include <string.h>

/* Where the type of an output is that of. */
enum {
    BOOLEAN = -1,
    LONG = -2,    /* int64 */
    INTEGER = -3, /* int32 */
    BYTE = -4,    /* uint8 */
    SINGLE = -5,  /* float */
    BY_DTYPE = -6,
    /* 0 ...: of that input */
};

/* first: of output 0; rest: of the others. Operators that are not here: of input 0. */
typedef struct rule {
    const char *op;
    int first, rest;
} rule;

static const rule rules[] = {
    {"And", BOOLEAN, 0},
    {"ArgMax", LONG, 0},
    {"ArgMin", LONG, 0},
    {"BlackmanWindow", SINGLE, 0},
    {"CastLike", 1, 0},
    {"ConvInteger", INTEGER, 0},
    {"DequantizeLinear", 1, 0},
    {"Dropout", 0, BOOLEAN},
    {"DynamicQuantizeLinear", BYTE, SINGLE},
    {"DynamicQuantizeMatMul", SINGLE, 0},
    {"EmbedLayerNormalization", 2, INTEGER},
    {"Equal", BOOLEAN, 0},
    {"EyeLike", BY_DTYPE, 0},
    {"Greater", BOOLEAN, 0},
    {"GreaterOrEqual", BOOLEAN, 0},
    {"HammingWindow", SINGLE, 0},
    {"HannWindow", SINGLE, 0},
    {"IsInf", BOOLEAN, 0},
    {"IsNaN", BOOLEAN, 0},
    {"LayerNormalization", 0, SINGLE},
    {"Less", BOOLEAN, 0},
    {"LessOrEqual", BOOLEAN, 0},
    {"MatMulInteger", INTEGER, 0},
    {"MatMulIntegerToFloat", SINGLE, 0},
    {"MaxPool", 0, LONG},
    {"NonMaxSuppression", LONG, 0},
    {"NonZero", LONG, 0},
    {"Not", BOOLEAN, 0},
    {"OneHot", 2, 0},
    {"Or", BOOLEAN, 0},
    {"QAttention", SINGLE, SINGLE},
    {"QLinearConv", 7, 0},
    {"QLinearMatMul", 7, 0},
    {"SequenceLength", LONG, 0},
    {"Shape", LONG, 0},
    {"Size", LONG, 0},
    {"TopK", 0, LONG},
    {"Unique", 0, LONG},
    {"Where", 1, 0},
    {"Xor", BOOLEAN, 0},
};

static attn_onnx_type of_input(const attn_ir_node *node, size_t i)
{
    const attn_ir_value *in = attn_ir_in(node, i);
    return in ? in->type : ATTN_ONNX_UNDEFINED;
}

static attn_onnx_type by_rule(const attn_ir_node *node, int where)
{
    switch (where) {
    case BOOLEAN:
        return ATTN_ONNX_BOOL;
    case LONG:
        return ATTN_ONNX_INT64;
    case INTEGER:
        return ATTN_ONNX_INT32;
    case BYTE:
        return ATTN_ONNX_UINT8;
    case SINGLE:
        return ATTN_ONNX_FLOAT;
    case BY_DTYPE:
        return (attn_onnx_type)attn_ir_int(node, "dtype", of_input(node, 0));
    default:
        return of_input(node, (size_t)where);
    }
}

/* The first input of which it is known. */
static attn_onnx_type of_any_input(const attn_ir_node *node)
{
    for (size_t i = 0; i < node->inputs; i++)
        if (of_input(node, i)) return of_input(node, i);
    return ATTN_ONNX_UNDEFINED;
}

static attn_onnx_type type_of(const attn_ir_node *node, size_t slot)
{
    const attn_onnx_tensor *value = attn_ir_tensor(node, "value");
    if (node->bodies) { /* a Loop's body gives its condition first */
        size_t at = slot + (attn_ir_is(node, "Loop") ? 1 : 0);
        const attn_ir_body *body = node->body[0];
        return at < body->results && body->result[at] ? body->result[at]->type
                                                      : ATTN_ONNX_UNDEFINED;
    }
    if (attn_ir_is(node, "Cast"))
        return (attn_onnx_type)attn_ir_int(node, "to", ATTN_ONNX_UNDEFINED);
    if (attn_ir_is(node, "ConstantOfShape")) return value ? value->type : ATTN_ONNX_FLOAT;
    if (attn_ir_is(node, "QuantizeLinear")) {
        int64_t type = attn_ir_int(node, "output_dtype", ATTN_ONNX_UNDEFINED);
        if (type) return (attn_onnx_type)type;
        return attn_ir_in(node, 2) ? of_input(node, 2) : ATTN_ONNX_UINT8;
    }
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (strcmp(rules[i].op, node->op) == 0)
            return by_rule(node, slot ? rules[i].rest : rules[i].first);
    return of_any_input(node);
}

void attn_ir_infer_types(attn_ir_node *node)
{
    for (size_t i = 0; i < node->outputs; i++)
        if (node->out[i] && !node->out[i]->type) node->out[i]->type = type_of(node, i);
}
