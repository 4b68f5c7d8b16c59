/* A few operators, to show how lowerings are written; the rest stand in their families. */
#include "runtime/onnx/lower.h"

/* Dropout, outside training: its mask, if it is asked for, keeps all. */
static attn_status lower_dropout(attn_lower *l, const attn_ir_node *node)
{
    double training = 0;
    if (attn_ir_in(node, 2) && !attn_ir_number(node->in[2], &training)) training = 1;
    if (training != 0) return attn_lower_fail(l, node, "training_mode is not false");
    cJSON *layer = attn_lower_layer(l, node, "identity");
    attn_lower_in(l, layer, attn_ir_in(node, 0));
    attn_lower_out(l, layer, attn_ir_out(node, 0));
    if (!attn_ir_out(node, 1)) return ATTN_OK;
    const char *x = attn_lower_value(l, node->in[0]);
    const char *shape = attn_lower_unary(l, node, "shape", x, NULL);
    cJSON *all = attn_lower_layer(l, node, "expand");
    attn_lower_in_name(l, all, attn_lower_scalar(l, 1, true));
    attn_lower_word(l, all, "shape_from", shape);
    attn_lower_out(l, all, node->out[1]);
    return ATTN_OK;
}

const attn_lowering attn_lowerings_basic[] = {
    {"Dropout", "", lower_dropout, NULL},
    {"Identity", "", attn_lower_same, "identity"},
    {"Relu", "", attn_lower_same, "relu"},
    {NULL, NULL, NULL, NULL},
};
