/* If: both branches, of which a plan takes one; the other costs nothing. Loop and Scan are unrolled
 * before (unroll.c): those that are left cannot be. */
#include "runtime/onnx/lower_state.h"

/* A branch's result. Merged decoders give constants without elements where a branch has nothing to
 * say (the keys of the encoder, once they are cached); since no value is empty, each dimension of 0
 * becomes 1, and the elements 0. */
static const char *branch_result(attn_lower *l, attn_ir_value *result)
{
    const attn_onnx_tensor *t = result ? result->constant : NULL;
    if (!t || t->count || t->type == ATTN_ONNX_STRING) return attn_lower_value(l, result);
    int64_t shape[ATTN_MAX_RANK];
    const char *name = attn_lower_temp(l);
    for (int d = 0; d < t->rank; d++) shape[d] = t->dim[d] ? (int64_t)t->dim[d] : 1;
    cJSON *layer = attn_lower_layer(l, NULL, "fill");
    attn_lower_out_name(l, layer, name);
    attn_lower_number(l, layer, "value", 0);
    attn_lower_int_list(l, layer, "shape", shape, (size_t)t->rank);
    attn_lower_word(l, layer, "dtype", attn_onnx_is_float(t->type) ? "f32" : "i32");
    return name;
}

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
        const char *yes = branch_result(l, node->body[0]->result[i]);
        const char *no = branch_result(l, node->body[1]->result[i]);
        cJSON *layer = attn_lower_layer(l, node, "choose");
        attn_lower_in(l, layer, attn_ir_in(node, 0));
        attn_lower_in_name(l, layer, yes);
        attn_lower_in_name(l, layer, no);
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
