/* What the lifting passes have made. */
#include "runtime/onnx/lower.h"

#include <math.h>
#include <string.h>

static attn_status lower_linear(attn_lower *l, const attn_ir_node *node)
{
    const char *x = attn_lower_value(l, node->in[0]);
    cJSON *layer = attn_lower_layer(l, node, "linear");
    attn_lower_in_name(l, layer, x);
    ATTN_TRY(attn_lower_weight(l, node, layer, "weight", node->in[1], ".weight"));
    ATTN_TRY(attn_lower_bias(l, node, layer, attn_ir_in(node, 2)));
    if (attn_ir_int(node, "transposed", 0)) attn_lower_flag(l, layer, "transposed", true);
    attn_lower_out(l, layer, node->out[0]);
    return ATTN_OK;
}

static attn_status lower_embedding(attn_lower *l, const attn_ir_node *node)
{
    const char *ids = attn_lower_value(l, node->in[0]);
    cJSON *layer = attn_lower_layer(l, node, "embedding");
    attn_lower_in_name(l, layer, ids);
    ATTN_TRY(attn_lower_weight(l, node, layer, "weight", node->in[1], ".weight"));
    attn_lower_out(l, layer, node->out[0]);
    return ATTN_OK;
}

static attn_status lower_norm(attn_lower *l, const attn_ir_node *node)
{
    const char *x = attn_lower_value(l, node->in[0]);
    cJSON *layer = attn_lower_layer(l, node, attn_lower_entry(l)->layer);
    attn_lower_in_name(l, layer, x);
    if (attn_ir_in(node, 1)) {
        ATTN_TRY(attn_lower_weight(l, node, layer, "weight", node->in[1], ".weight"));
        if (node->op[0] == 'L') ATTN_TRY(attn_lower_bias(l, node, layer, attn_ir_in(node, 2)));
    } else {
        attn_lower_flag(l, layer, "affine", false);
    }
    attn_lower_number(l, layer, "eps", (double)attn_ir_float(node, "eps", 0));
    attn_lower_out(l, layer, node->out[0]);
    return ATTN_OK;
}

static attn_status lower_attention(attn_lower *l, const attn_ir_node *node)
{
    int64_t heads = attn_ir_int(node, "heads", 1), kv_heads = attn_ir_int(node, "kv_heads", 1);
    float scale = attn_ir_float(node, "scale", 0); /* 0: the usual one */
    int64_t dim = attn_ir_int(node, "dim", 0);
    double usual = dim > 0 ? 1 / sqrt((double)dim) : 0;
    const char *in[7];
    for (size_t i = 0; i < 7; i++)
        in[i] = attn_ir_in(node, i) ? attn_lower_value(l, node->in[i]) : NULL;
    if (in[4] && in[5]) { /* two biases and a mask: the first two are one */
        in[3] = in[3] ? attn_lower_binary(l, node, "add", in[3], in[4], NULL) : in[4];
        in[4] = NULL;
    }
    cJSON *layer = attn_lower_layer(l, node, "attention");
    for (size_t i = 0; i < 3; i++) attn_lower_in_name(l, layer, in[i]);
    attn_lower_number(l, layer, "heads", (double)heads);
    if (kv_heads != heads) attn_lower_number(l, layer, "kv_heads", (double)kv_heads);
    if (scale != 0 && fabs((double)scale - usual) > 1e-6 * usual)
        attn_lower_number(l, layer, "scale", (double)scale);
    if (in[3]) attn_lower_word(l, layer, "bias", in[3]);
    if (in[4]) attn_lower_word(l, layer, "mask", in[4]);
    if (in[5]) attn_lower_word(l, layer, "mask", in[5]);
    if (in[6]) attn_lower_word(l, layer, "padding", in[6]);
    if (attn_ir_int(node, "causal", 0)) attn_lower_flag(l, layer, "causal", true);
    float softcap = attn_ir_float(node, "softcap", 0);
    if (softcap > 0) attn_lower_number(l, layer, "softcap", (double)softcap);
    attn_lower_out(l, layer, node->out[0]);
    return ATTN_OK;
}

static attn_status lower_patch_embed(attn_lower *l, const attn_ir_node *node)
{
    const char *x = attn_lower_value(l, node->in[0]);
    cJSON *layer = attn_lower_layer(l, node, "patch_embed");
    attn_lower_in_name(l, layer, x);
    ATTN_TRY(attn_lower_weight(l, node, layer, "weight", node->in[1], ".weight"));
    ATTN_TRY(attn_lower_bias(l, node, layer, attn_ir_in(node, 2)));
    attn_lower_out(l, layer, node->out[0]);
    return ATTN_OK;
}

/* x and a constant by its full name. */
static attn_status lower_rows(attn_lower *l, const attn_ir_node *node)
{
    const char *x = attn_lower_value(l, node->in[0]);
    cJSON *layer = attn_lower_layer(l, node, attn_lower_entry(l)->layer);
    attn_lower_in_name(l, layer, x);
    ATTN_TRY(attn_lower_weight(l, node, layer, "weight", node->in[1], ""));
    if (strcmp(node->op, "Positions") == 0) attn_lower_flag(l, layer, "slice_rows", true);
    attn_lower_out(l, layer, node->out[0]);
    return ATTN_OK;
}

static attn_status lower_token(attn_lower *l, const attn_ir_node *node)
{
    cJSON *layer = attn_lower_plain(l, node, "token");
    attn_lower_number(l, layer, "index", (double)attn_ir_int(node, "index", 0));
    return ATTN_OK;
}

const attn_lowering attn_lowerings_lifted[] = {
    {"Append", "attn", lower_rows, "append"},
    {"Attention", "attn", lower_attention, NULL},
    {"Embedding", "attn", lower_embedding, NULL},
    {"Gelu", "attn", attn_lower_same, "gelu"},
    {"GeluTanh", "attn", attn_lower_same, "gelu_tanh"},
    {"HardSwish", "attn", attn_lower_same, "hard_swish"},
    {"LayerNorm", "attn", lower_norm, "layer_norm"},
    {"Linear", "attn", lower_linear, NULL},
    {"PatchEmbed", "attn", lower_patch_embed, NULL},
    {"Positions", "attn", lower_rows, "add"},
    {"Prepend", "attn", lower_rows, "prepend"},
    {"QuickGelu", "attn", attn_lower_same, "quick_gelu"},
    {"RMSNorm", "attn", lower_norm, "rms_norm"},
    {"Silu", "attn", attn_lower_same, "silu"},
    {"Token", "attn", lower_token, NULL},
    {NULL, NULL, NULL, NULL},
};
