/* If: both branches, of which a plan takes one; the other costs nothing. Loop and Scan are unrolled
 * before (unroll.c): those that are left cannot be. */
#include "runtime/onnx/lower_state.h"

static attn_status lower_if(attn_lower *l, const attn_ir_node *node)
{
    if (node->bodies != 2) return attn_lower_fail(l, node, "a branch is missing");
    for (size_t b = 0; b < 2; b++) {
        if (node->body[b]->results != node->outputs || node->body[b]->inputs)
            return attn_lower_fail(l, node, "a branch has other inputs or outputs");
        ATTN_TRY(attn_lower_body(l, node->body[b]));
    }
    for (size_t i = 0; i < node->outputs; i++) {
        if (!node->out[i]) continue;
        cJSON *layer = attn_lower_layer(l, node, "choose");
        attn_lower_in(l, layer, attn_ir_in(node, 0));
        for (size_t b = 0; b < 2; b++) attn_lower_in(l, layer, node->body[b]->result[i]);
        attn_lower_out(l, layer, node->out[i]);
    }
    return ATTN_OK;
}

static attn_status lower_rounds(attn_lower *l, const attn_ir_node *node)
{
    return attn_lower_fail(l, node, "how often it runs is not known when the file is read");
}

const attn_lowering attn_lowerings_control[] = {
    {"If", "", lower_if, NULL},
    {"Loop", "", lower_rounds, NULL},
    {"Scan", "", lower_rounds, NULL},
    {NULL, NULL, NULL, NULL},
};
