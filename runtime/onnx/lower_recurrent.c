/* LSTM, GRU and RNN. */
#include "runtime/onnx/lower.h"

#include <string.h>

/* The activations that a layer knows by these names; others have parameters of their own. */
static const char *activation(const attn_onnx_text *text)
{
    static const char *const known[][2] = {{"Sigmoid", "sigmoid"}, {"Tanh", "tanh"},
                                           {"Relu", "relu"},       {"sigmoid", "sigmoid"},
                                           {"tanh", "tanh"},       {"relu", "relu"}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (text->length == strlen(known[i][0]) &&
            memcmp(text->text, known[i][0], text->length) == 0)
            return known[i][1];
    return NULL;
}

static attn_status activations(attn_lower *l, const attn_ir_node *node, cJSON *layer, size_t each)
{
    static const char *const keys[] = {"f", "g", "h", "f_reverse", "g_reverse", "h_reverse"};
    const attn_onnx_attr *list = attn_ir_attr(node, "activations");
    for (size_t i = 0; list && i < list->count && i < 2 * each; i++) {
        const char *word = activation(&list->texts[i]);
        if (!word)
            return attn_lower_fail(l, node, "activation %zu is none of Sigmoid, Tanh and Relu", i);
        attn_lower_word(l, layer, keys[i < each ? i : 3 + i - each], word);
    }
    return ATTN_OK;
}

static attn_status lower_recurrent(attn_lower *l, const attn_ir_node *node)
{
    static const char *const keys[] = {NULL,        "weight_from",  "recurrent_from",
                                       "bias_from", "lengths_from", "state_from",
                                       "cell_from", "peephole_from"};
    const char *name = attn_lower_entry(l)->layer;
    const char *direction = attn_ir_text(node, "direction", "forward");
    bool lstm = strcmp(name, "lstm") == 0, gru = strcmp(name, "gru") == 0;
    cJSON *layer = attn_lower_layer(l, node, name);
    attn_lower_in(l, layer, attn_ir_in(node, 0));
    for (size_t i = 0; i < (lstm ? 3 : 2); i++)
        if (i == 0 || attn_ir_out(node, i) || (i == 1 && attn_ir_out(node, 2)))
            attn_lower_out(l, layer, attn_ir_out(node, i));
    for (size_t i = 1; i < sizeof keys / sizeof *keys; i++) {
        attn_ir_value *value = attn_ir_in(node, i);
        if (value && value->constant && value->constant->count && i <= 2)
            ATTN_TRY(attn_lower_weight(l, node, layer, i == 1 ? "weight" : "recurrent", value, ""));
        else if (value)
            attn_lower_word(l, layer, keys[i], attn_lower_value(l, value));
    }
    attn_lower_word(l, layer, "direction", direction);
    if (attn_ir_int(node, "layout", 0)) attn_lower_flag(l, layer, "batch_first", true);
    float clip = attn_ir_float(node, "clip", 0);
    if (clip > 0) attn_lower_number(l, layer, "clip", (double)clip);
    if (gru && attn_ir_int(node, "linear_before_reset", 0))
        attn_lower_flag(l, layer, "linear_before_reset", true);
    if (lstm && attn_ir_int(node, "input_forget", 0))
        attn_lower_flag(l, layer, "input_forget", true);
    return activations(l, node, layer, lstm ? 3 : gru ? 2 : 1);
}

const attn_lowering attn_lowerings_recurrent[] = {
    {"GRU", "", lower_recurrent, "gru"},
    {"LSTM", "", lower_recurrent, "lstm"},
    {"RNN", "", lower_recurrent, "rnn"},
    {NULL, NULL, NULL, NULL},
};
