/* Operators that move elements: shapes, slices, pads, gathers, scatters, what is sorted and
 * counted. */
#include "runtime/onnx/lower.h"

#include <math.h>
#include <string.h>

/* A layer of input 0 and all outputs; the other operands are added as keys. */
static cJSON *of_first(attn_lower *l, const attn_ir_node *node, const char *name)
{
    cJSON *layer = attn_lower_layer(l, node, name);
    attn_lower_in(l, layer, attn_ir_in(node, 0));
    for (size_t i = 0; i < node->outputs; i++) attn_lower_out(l, layer, node->out[i]);
    return layer;
}

/* An integer attribute, if it is there, as `key`. */
static void copy_int(attn_lower *l, const attn_ir_node *node, cJSON *layer, const char *from,
                     const char *key)
{
    if (attn_ir_attr(node, from))
        attn_lower_number(l, layer, key, (double)attn_ir_int(node, from, 0));
}

/* Integers that are input `slot`, or in older versions the attribute `from`. */
static void copy_ints(attn_lower *l, const attn_ir_node *node, cJSON *layer, const char *from,
                      const char *key, size_t slot)
{
    size_t count;
    const int64_t *values = attn_ir_ints(node, from, &count);
    if (attn_ir_in(node, slot))
        attn_lower_ints(l, layer, key, node->in[slot]);
    else if (attn_ir_attr(node, from))
        attn_lower_int_list(l, layer, key, values, count);
}

static const char *layer_of(const attn_lower *l)
{
    return attn_lower_entry(l)->layer;
}

/* All inputs are operands; "axis" and "batch_dims", "reduction" are called the same, and so are
 * their defaults. */
static attn_status lower_gather(attn_lower *l, const attn_ir_node *node)
{
    cJSON *layer = attn_lower_plain(l, node, layer_of(l));
    const char *reduction = attn_ir_text(node, "reduction", "none");
    copy_int(l, node, layer, "axis", "axis");
    copy_int(l, node, layer, "batch_dims", "batch_dims");
    if (strcmp(reduction, "none") != 0) attn_lower_word(l, layer, "reduction", reduction);
    return ATTN_OK;
}

/* What is left out of a Concat, since no value is empty: constants without elements, and parts of a
 * shape before its first dimension or after its last, as functions take them. */
static bool is_nothing(const attn_ir_value *value)
{
    double ends[2];
    const attn_ir_node *slice = value ? attn_ir_made_by(value, "Slice") : NULL;
    if (value && value->constant) return value->constant->count == 0;
    const attn_ir_value *sliced = slice ? attn_ir_in(slice, 0) : NULL;
    const attn_ir_node *shape = sliced ? attn_ir_made_by(sliced, "Shape") : NULL;
    const attn_ir_value *x = shape ? attn_ir_in(shape, 0) : NULL;
    if (!x || !x->shaped || shape->attrs || attn_ir_in(slice, 4)) return false;
    for (size_t i = 0; i < 2; i++) {
        const attn_ir_value *at = attn_ir_in(slice, i + 1);
        if (!at || !attn_ir_number(at, &ends[i])) return false;
        if (ends[i] < 0) ends[i] = fmax(ends[i] + x->rank, 0);
        ends[i] = fmin(ends[i], x->rank);
    }
    return ends[0] >= ends[1];
}

static attn_status lower_concat(attn_lower *l, const attn_ir_node *node)
{
    cJSON *layer = attn_lower_layer(l, node, "concat");
    for (size_t i = 0; i < node->inputs; i++)
        if (!is_nothing(node->in[i])) attn_lower_in(l, layer, node->in[i]);
    attn_lower_out(l, layer, attn_ir_out(node, 0));
    copy_int(l, node, layer, "axis", "axis");
    return ATTN_OK;
}

static attn_status lower_reshape(attn_lower *l, const attn_ir_node *node)
{
    cJSON *layer = of_first(l, node, "reshape");
    copy_ints(l, node, layer, "shape", "shape", 1);
    if (attn_ir_int(node, "allowzero", 0)) attn_lower_flag(l, layer, "allow_zero", true);
    return ATTN_OK;
}

static attn_status lower_flatten(attn_lower *l, const attn_ir_node *node)
{
    copy_int(l, node, of_first(l, node, "flatten"), "axis", "axis");
    return ATTN_OK;
}

static attn_status lower_squeeze(attn_lower *l, const attn_ir_node *node)
{
    copy_ints(l, node, of_first(l, node, layer_of(l)), "axes", "axes", 1);
    return ATTN_OK;
}

static attn_status lower_expand(attn_lower *l, const attn_ir_node *node)
{
    attn_lower_ints(l, of_first(l, node, "expand"), "shape", attn_ir_in(node, 1));
    return ATTN_OK;
}

static attn_status lower_tile(attn_lower *l, const attn_ir_node *node)
{
    attn_lower_ints(l, of_first(l, node, "tile"), "repeats", attn_ir_in(node, 1));
    return ATTN_OK;
}

static attn_status lower_transpose(attn_lower *l, const attn_ir_node *node)
{
    size_t count;
    const int64_t *axes = attn_ir_ints(node, "perm", &count);
    cJSON *layer = of_first(l, node, "transpose");
    if (axes && count)
        attn_lower_int_list(l, layer, "axes", axes, count);
    else
        attn_lower_flag(l, layer, "reverse", true);
    return ATTN_OK;
}

static attn_status lower_slice(attn_lower *l, const attn_ir_node *node)
{
    static const char *const keys[] = {"starts", "ends", "axes", "steps"};
    const attn_ir_value *out = attn_ir_out(node, 0);
    bool skipped = out && !out->results && is_nothing(out);
    for (size_t i = 0; out && i < out->uses; i++) skipped &= attn_ir_is(out->use[i].node, "Concat");
    if (skipped) return ATTN_OK;
    cJSON *layer = of_first(l, node, "slice");
    for (size_t i = 0; i < 4; i++) copy_ints(l, node, layer, keys[i], keys[i], i + 1);
    return ATTN_OK;
}

static attn_status lower_split(attn_lower *l, const attn_ir_node *node)
{
    cJSON *layer = of_first(l, node, "split");
    attn_lower_number(l, layer, "axis", (double)attn_ir_int(node, "axis", 0));
    copy_ints(l, node, layer, "split", "sizes", 1);
    if (!attn_ir_in(node, 1)) copy_int(l, node, layer, "num_outputs", "parts");
    return ATTN_OK;
}

static attn_status lower_pad(attn_lower *l, const attn_ir_node *node)
{
    const char *mode = attn_ir_text(node, "mode", "constant");
    attn_ir_value *value = attn_ir_in(node, 2);
    double number = 0;
    /* What the layer's "value", an f32, can say. */
    bool plain =
        attn_ir_number(value, &number) && isfinite(number) && (double)(float)number == number;
    cJSON *layer = of_first(l, node, "pad");
    if (value && !plain) attn_lower_in(l, layer, value);
    copy_ints(l, node, layer, "pads", "pads", 1);
    attn_lower_ints(l, layer, "axes", attn_ir_in(node, 3));
    if (strcmp(mode, "constant") != 0) attn_lower_word(l, layer, "mode", mode);
    if (!value) number = (double)attn_ir_float(node, "value", 0);
    if (number != 0 && (plain || !value)) attn_lower_number(l, layer, "value", number);
    return ATTN_OK;
}

/* The value as i32. */
static const char *as_integer(attn_lower *l, const attn_ir_node *node, attn_ir_value *value)
{
    cJSON *cast;
    const char *name = attn_lower_value(l, value);
    if (attn_onnx_is_integer(value->type)) return name;
    name = attn_lower_unary(l, node, "cast", name, &cast);
    attn_lower_word(l, cast, "to", "i32");
    return name;
}

static attn_status lower_one_hot(attn_lower *l, const attn_ir_node *node)
{
    if (!attn_ir_in(node, 0) || !attn_ir_in(node, 1))
        return attn_lower_fail(l, node, "an input is missing");
    const char *indices = as_integer(l, node, node->in[0]);
    const char *depth = as_integer(l, node, node->in[1]);
    cJSON *layer = attn_lower_layer(l, node, "one_hot");
    attn_lower_in_name(l, layer, indices);
    attn_lower_in_name(l, layer, depth);
    attn_lower_in(l, layer, attn_ir_in(node, 2));
    attn_lower_out(l, layer, attn_ir_out(node, 0));
    copy_int(l, node, layer, "axis", "axis");
    return ATTN_OK;
}

static attn_status lower_top_k(attn_lower *l, const attn_ir_node *node)
{
    cJSON *layer = of_first(l, node, "top_k");
    attn_lower_operand(l, layer, "k", attn_ir_in(node, 1));
    copy_int(l, node, layer, "k", "k");
    copy_int(l, node, layer, "axis", "axis");
    if (!attn_ir_int(node, "largest", 1)) attn_lower_flag(l, layer, "largest", false);
    return ATTN_OK;
}

static attn_status lower_unique(attn_lower *l, const attn_ir_node *node)
{
    cJSON *layer = of_first(l, node, "unique");
    copy_int(l, node, layer, "axis", "axis");
    if (!attn_ir_int(node, "sorted", 1)) attn_lower_flag(l, layer, "sorted", false);
    return ATTN_OK;
}

static attn_status lower_trilu(attn_lower *l, const attn_ir_node *node)
{
    cJSON *layer = of_first(l, node, "trilu");
    attn_lower_operand(l, layer, "k", attn_ir_in(node, 1));
    if (!attn_ir_int(node, "upper", 1)) attn_lower_flag(l, layer, "upper", false);
    return ATTN_OK;
}

static attn_status lower_eye_like(attn_lower *l, const attn_ir_node *node)
{
    cJSON *layer = of_first(l, node, "eye_like");
    attn_onnx_type type = (attn_onnx_type)attn_ir_int(node, "dtype", 0);
    copy_int(l, node, layer, "k", "k");
    if (type) attn_lower_word(l, layer, "dtype", attn_onnx_is_float(type) ? "f32" : "i32");
    return ATTN_OK;
}

static attn_status lower_depth(attn_lower *l, const attn_ir_node *node)
{
    cJSON *layer = of_first(l, node, layer_of(l));
    copy_int(l, node, layer, "blocksize", "block");
    if (strcmp(attn_ir_text(node, "mode", "DCR"), "DCR") != 0)
        attn_lower_word(l, layer, "mode", "crd");
    return ATTN_OK;
}

static attn_status lower_reverse(attn_lower *l, const attn_ir_node *node)
{
    cJSON *layer = attn_lower_plain(l, node, "reverse_sequence");
    copy_int(l, node, layer, "time_axis", "axis");
    copy_int(l, node, layer, "batch_axis", "batch_axis");
    return ATTN_OK;
}

/* A pad, which also crops: half of what is lacking, rounded toward 0, before, the rest after. */
static attn_status lower_center_crop_pad(attn_lower *l, const attn_ir_node *node)
{
    size_t count;
    const int64_t *axes = attn_ir_ints(node, "axes", &count);
    if (!attn_ir_in(node, 0) || !attn_ir_in(node, 1))
        return attn_lower_fail(l, node, "an input is missing");
    const char *have = attn_lower_unary(l, node, "shape", attn_lower_value(l, node->in[0]), NULL);
    cJSON *layer;
    if (axes) {
        const char *list = attn_lower_temp(l);
        layer = attn_lower_layer(l, node, "constant");
        attn_lower_int_list(l, layer, "value", axes, count);
        attn_lower_word(l, layer, "dtype", "i32");
        attn_lower_out_name(l, layer, list);
        have = attn_lower_binary(l, node, "gather", have, list, NULL);
    }
    const char *want = attn_lower_value(l, node->in[1]);
    const char *lacking = attn_lower_binary(l, node, "sub", want, have, NULL);
    const char *two = attn_lower_scalar(l, 2, true);
    const char *before = attn_lower_binary(l, node, "div", lacking, two, NULL);
    const char *after = attn_lower_binary(l, node, "sub", lacking, before, NULL);
    const char *pads = attn_lower_binary(l, node, "concat", before, after, &layer);
    attn_lower_number(l, layer, "axis", 0);
    layer = of_first(l, node, "pad");
    attn_lower_word(l, layer, "pads_from", pads);
    if (axes) attn_lower_int_list(l, layer, "axes", axes, count);
    return ATTN_OK;
}

const attn_lowering attn_lowerings_indexing[] = {
    {"CenterCropPad", "", lower_center_crop_pad, NULL},
    {"Compress", "", lower_gather, "compress"},
    {"Concat", "", lower_concat, NULL},
    {"DepthToSpace", "", lower_depth, "depth_to_space"},
    {"Expand", "", lower_expand, NULL},
    {"EyeLike", "", lower_eye_like, NULL},
    {"Flatten", "", lower_flatten, NULL},
    {"Gather", "", lower_gather, "gather"},
    {"GatherElements", "", lower_gather, "gather_elements"},
    {"GatherND", "", lower_gather, "gather_nd"},
    {"GatherND", "com.microsoft", lower_gather, "gather_nd"},
    {"NonZero", "", attn_lower_same, "non_zero"},
    {"OneHot", "", lower_one_hot, NULL},
    {"Pad", "", lower_pad, NULL},
    {"Pad", "com.microsoft", lower_pad, NULL},
    {"Reshape", "", lower_reshape, NULL},
    {"ReverseSequence", "", lower_reverse, NULL},
    {"Scatter", "", lower_gather, "scatter_elements"},
    {"ScatterElements", "", lower_gather, "scatter_elements"},
    {"ScatterND", "", lower_gather, "scatter_nd"},
    {"Slice", "", lower_slice, NULL},
    {"SpaceToDepth", "", lower_depth, "space_to_depth"},
    {"Split", "", lower_split, NULL},
    {"Squeeze", "", lower_squeeze, "squeeze"},
    {"Tile", "", lower_tile, NULL},
    {"TopK", "", lower_top_k, NULL},
    {"Transpose", "", lower_transpose, NULL},
    {"Trilu", "", lower_trilu, NULL},
    {"Trilu", "com.microsoft", lower_trilu, NULL},
    {"Unique", "", lower_unique, NULL},
    {"Unsqueeze", "", lower_squeeze, "unsqueeze"},
    {NULL, NULL, NULL, NULL},
};
