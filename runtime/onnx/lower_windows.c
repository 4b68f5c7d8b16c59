/* Convolution and pooling. */
#include "runtime/onnx/lower_conv.h"

#include <string.h>

/* ---- windows ------------------------------------------------------------------------------- */

static void list(attn_lower *l, const attn_ir_node *node, cJSON *layer, const char *attr,
                 const char *key)
{
    size_t count;
    const int64_t *values = attn_ir_ints(node, attr, &count);
    if (values && count) attn_lower_int_list(l, layer, key, values, count);
}

/* "stride", "dilation" and "padding". */
static attn_status windows(attn_lower *l, const attn_ir_node *node, cJSON *layer)
{
    const char *pad = attn_ir_text(node, "auto_pad", "NOTSET");
    list(l, node, layer, "strides", "stride");
    list(l, node, layer, "dilations", "dilation");
    if (strcmp(pad, "VALID") == 0) return ATTN_OK;
    if (strcmp(pad, "NOTSET") == 0 || !*pad) {
        list(l, node, layer, "pads", "padding");
        return ATTN_OK;
    }
    if (strcmp(pad, "SAME_UPPER") != 0 && strcmp(pad, "SAME_LOWER") != 0)
        return attn_lower_fail(l, node, "auto_pad is \"%.40s\"", pad);
    attn_lower_flag(l, layer, "same_padding", true);
    if (strcmp(pad, "SAME_LOWER") == 0) attn_lower_flag(l, layer, "same_lower", true);
    return ATTN_OK;
}

/* A computed weight or bias by its value's name, a constant one as a tensor. */
static attn_status weights(attn_lower *l, const attn_ir_node *node, cJSON *layer)
{
    attn_ir_value *weight = attn_ir_in(node, 1), *bias = attn_ir_in(node, 2);
    if (!weight) return attn_lower_fail(l, node, "there is no weight");
    if (weight->constant)
        ATTN_TRY(attn_lower_weight(l, node, layer, "weight", weight, ".weight"));
    else
        attn_lower_word(l, layer, "weight_from", attn_lower_value(l, weight));
    if (!bias || bias->constant) return attn_lower_bias(l, node, layer, bias);
    attn_lower_word(l, layer, "bias_from", attn_lower_value(l, bias));
    return ATTN_OK;
}

attn_status attn_lower_conv_attributes(attn_lower *l, const attn_ir_node *node, cJSON *layer)
{
    int64_t groups = attn_ir_int(node, "group", 1);
    if (groups != 1) attn_lower_number(l, layer, "groups", (double)groups);
    return windows(l, node, layer);
}

static attn_status lower_conv(attn_lower *l, const attn_ir_node *node)
{
    cJSON *layer = attn_lower_layer(l, node, attn_lower_entry(l)->layer);
    attn_lower_in(l, layer, attn_ir_in(node, 0));
    attn_lower_out(l, layer, attn_ir_out(node, 0));
    ATTN_TRY(weights(l, node, layer));
    if (strcmp(node->op, "ConvTranspose") == 0) {
        list(l, node, layer, "output_padding", "output_padding");
        list(l, node, layer, "output_shape", "output_shape");
    }
    const char *activation = attn_ir_text(node, "activation", NULL);
    if (activation) attn_lower_word(l, layer, "activation", activation);
    return attn_lower_conv_attributes(l, node, layer);
}

/* ---- pooling ------------------------------------------------------------------------------- */

static attn_status lower_pool(attn_lower *l, const attn_ir_node *node)
{
    attn_ir_value *in = attn_ir_in(node, 0), *indices = attn_ir_out(node, 1);
    const char *kind = attn_lower_entry(l)->layer;
    size_t count;
    bool integer = in && attn_onnx_is_integer(in->type);
    if (!in) return attn_lower_fail(l, node, "there is no input");
    const char *x = attn_lower_value(l, in), *y;
    if (integer) {
        cJSON *cast;
        x = attn_lower_unary(l, node, "cast", x, &cast);
        attn_lower_word(l, cast, "to", "f32");
    }
    cJSON *layer = attn_lower_layer(l, node, "pool");
    attn_lower_in_name(l, layer, x);
    y = integer ? attn_lower_temp(l) : NULL;
    if (integer)
        attn_lower_out_name(l, layer, y);
    else
        attn_lower_out(l, layer, attn_ir_out(node, 0));
    if (indices) attn_lower_out(l, layer, indices);
    attn_lower_word(l, layer, "kind", kind);
    if (strcmp(kind, "lp") == 0)
        attn_lower_number(l, layer, "p", (double)attn_ir_int(node, "p", 2));
    if (strncmp(node->op, "Global", 6) == 0) {
        attn_lower_flag(l, layer, "global", true);
    } else {
        if (!attn_ir_ints(node, "kernel_shape", &count) || !count)
            return attn_lower_fail(l, node, "there is no kernel_shape");
        list(l, node, layer, "kernel_shape", "kernel");
        if (!attn_ir_ints(node, "strides", &count)) attn_lower_number(l, layer, "stride", 1);
        ATTN_TRY(windows(l, node, layer));
        if (attn_ir_int(node, "ceil_mode", 0)) attn_lower_flag(l, layer, "ceil_mode", true);
        if (strcmp(kind, "mean") == 0)
            attn_lower_flag(l, layer, "count_include_pad",
                            attn_ir_int(node, "count_include_pad", 0) != 0);
        if (indices && attn_ir_int(node, "storage_order", 0))
            attn_lower_flag(l, layer, "by_column", true);
    }
    if (!integer) return ATTN_OK;
    layer = attn_lower_layer(l, node, "cast");
    attn_lower_in_name(l, layer, y);
    attn_lower_out(l, layer, attn_ir_out(node, 0));
    attn_lower_word(l, layer, "to", "i32");
    return ATTN_OK;
}

/* ---- resizing ------------------------------------------------------------------------------ */

static bool is_there(const attn_ir_value *value)
{
    return value && (!value->constant || value->constant->count);
}

/* The scales of Upsample-7, an attribute. */
static const char *listed_scales(attn_lower *l, const attn_ir_node *node)
{
    size_t count;
    const float *scales = attn_ir_floats(node, "scales", &count);
    if (!scales || !count) return NULL;
    cJSON *layer = attn_lower_layer(l, node, "constant"),
          *values = cJSON_AddArrayToObject(layer, "value");
    const char *name = attn_lower_temp(l);
    attn_lower_out_name(l, layer, name);
    for (size_t i = 0; i < count; i++)
        cJSON_AddItemToArray(values, cJSON_CreateNumber((double)scales[i]));
    return name;
}

static void word(attn_lower *l, const attn_ir_node *node, cJSON *layer, const char *attr,
                 const char *key, const char *otherwise)
{
    attn_lower_word(l, layer, key, attn_ir_text(node, attr, otherwise));
}

/* Resize from version 11 on. */
static void resize_attributes(attn_lower *l, const attn_ir_node *node, cJSON *layer)
{
    const char *place = attn_ir_text(node, "coordinate_transformation_mode", "half_pixel");
    float a = attn_ir_float(node, "cubic_coeff_a", -0.75f);
    size_t count;
    const int64_t *axes = attn_ir_ints(node, "axes", &count);
    if (strcmp(place, "tf_half_pixel_for_nn") == 0) place = "half_pixel_for_nn";
    attn_lower_word(l, layer, "coordinate", place);
    word(l, node, layer, "nearest_mode", "nearest", "round_prefer_floor");
    word(l, node, layer, "keep_aspect_ratio_policy", "keep_aspect", "stretch");
    if (a != -0.75f) attn_lower_number(l, layer, "cubic_a", (double)a);
    if (attn_ir_int(node, "exclude_outside", 0)) attn_lower_flag(l, layer, "exclude_outside", true);
    if (attn_ir_int(node, "antialias", 0)) attn_lower_flag(l, layer, "antialias", true);
    if (axes && count) attn_lower_int_list(l, layer, "axes", axes, count);
    if (strcmp(place, "tf_crop_and_resize") != 0) return;
    attn_lower_number(l, layer, "extrapolation",
                      (double)attn_ir_float(node, "extrapolation_value", 0));
    if (is_there(attn_ir_in(node, 1)))
        attn_lower_word(l, layer, "roi_from", attn_lower_value(l, node->in[1]));
}

static attn_status lower_resize(attn_lower *l, const attn_ir_node *node)
{
    bool old = strcmp(node->op, "Upsample") == 0 || (node->version && node->version < 11);
    attn_ir_value *scales = attn_ir_in(node, old ? 1 : 2),
                  *sizes = old ? NULL : attn_ir_in(node, 3);
    const char *mode = attn_ir_text(node, "mode", "nearest");
    const char *list_name = old && !scales ? listed_scales(l, node) : NULL;
    cJSON *layer = attn_lower_layer(l, node, "resize");
    attn_lower_in(l, layer, attn_ir_in(node, 0));
    attn_lower_out(l, layer, attn_ir_out(node, 0));
    attn_lower_word(l, layer, "mode", strcmp(mode, "bilinear") == 0 ? "linear" : mode);
    if (is_there(sizes))
        attn_lower_ints(l, layer, "sizes", sizes);
    else if (is_there(scales) || list_name)
        attn_lower_word(l, layer, "scales_from",
                        list_name ? list_name : attn_lower_value(l, scales));
    else
        return attn_lower_fail(l, node, "there are neither scales nor sizes");
    if (!old) {
        resize_attributes(l, node, layer);
        return ATTN_OK;
    }
    attn_lower_word(l, layer, "coordinate", "asymmetric");
    attn_lower_word(l, layer, "nearest", "floor");
    return ATTN_OK;
}

/* ---- others -------------------------------------------------------------------------------- */

static attn_status lower_grid_sample(attn_lower *l, const attn_ir_node *node)
{
    cJSON *layer = attn_lower_plain(l, node, "grid_sample");
    const char *mode = attn_ir_text(node, "mode", "bilinear");
    attn_lower_word(l, layer, "mode",
                    strcmp(mode, "bilinear") == 0  ? "linear"
                    : strcmp(mode, "bicubic") == 0 ? "cubic"
                                                   : mode);
    word(l, node, layer, "padding_mode", "padding", "zeros");
    if (attn_ir_int(node, "align_corners", 0)) attn_lower_flag(l, layer, "align_corners", true);
    return ATTN_OK;
}

static attn_status lower_lrn(attn_lower *l, const attn_ir_node *node)
{
    cJSON *layer = attn_lower_plain(l, node, "lrn");
    attn_lower_number(l, layer, "size", (double)attn_ir_int(node, "size", 1));
    attn_lower_number(l, layer, "alpha", (double)attn_ir_float(node, "alpha", 1e-4f));
    attn_lower_number(l, layer, "beta", (double)attn_ir_float(node, "beta", 0.75f));
    attn_lower_number(l, layer, "bias", (double)attn_ir_float(node, "bias", 1));
    return ATTN_OK;
}

static attn_status lower_max_unpool(attn_lower *l, const attn_ir_node *node)
{
    static const int64_t ones[] = {1, 1, 1};
    size_t axes, count;
    cJSON *layer = attn_lower_layer(l, node, "max_unpool");
    attn_lower_in(l, layer, attn_ir_in(node, 0));
    attn_lower_in(l, layer, attn_ir_in(node, 1));
    attn_lower_out(l, layer, attn_ir_out(node, 0));
    attn_ir_ints(node, "kernel_shape", &axes);
    list(l, node, layer, "kernel_shape", "kernel");
    list(l, node, layer, "strides", "stride");
    list(l, node, layer, "pads", "padding");
    if (!attn_ir_ints(node, "strides", &count) && axes <= 3)
        attn_lower_int_list(l, layer, "stride", ones, axes);
    attn_lower_ints(l, layer, "output_shape", attn_ir_in(node, 2));
    return ATTN_OK;
}

static attn_status lower_roi_align(attn_lower *l, const attn_ir_node *node)
{
    bool old = node->version && node->version < 16;
    cJSON *layer = attn_lower_plain(l, node, "roi_align");
    const char *place = attn_ir_text(node, "coordinate_transformation_mode",
                                     old ? "output_half_pixel" : "half_pixel");
    attn_lower_flag(l, layer, "half_pixel", strcmp(place, "half_pixel") == 0);
    attn_lower_word(l, layer, "kind",
                    strcmp(attn_ir_text(node, "mode", "avg"), "max") == 0 ? "max" : "mean");
    attn_lower_number(l, layer, "height", (double)attn_ir_int(node, "output_height", 1));
    attn_lower_number(l, layer, "width", (double)attn_ir_int(node, "output_width", 1));
    attn_lower_number(l, layer, "sampling", (double)attn_ir_int(node, "sampling_ratio", 0));
    attn_lower_number(l, layer, "scale", (double)attn_ir_float(node, "spatial_scale", 1));
    return ATTN_OK;
}

static attn_status lower_einsum(attn_lower *l, const attn_ir_node *node)
{
    cJSON *layer = attn_lower_plain(l, node, "einsum");
    attn_lower_word(l, layer, "equation", attn_ir_text(node, "equation", ""));
    return ATTN_OK;
}

const attn_lowering attn_lowerings_windows[] = {
    {"AveragePool", "", lower_pool, "mean"},
    {"Conv", "", lower_conv, "conv"},
    {"Conv", "attn", lower_conv, "conv"},
    {"ConvTranspose", "", lower_conv, "conv_transpose"},
    {"Einsum", "", lower_einsum, NULL},
    {"GlobalAveragePool", "", lower_pool, "mean"},
    {"GlobalLpPool", "", lower_pool, "lp"},
    {"GlobalMaxPool", "", lower_pool, "max"},
    {"GridSample", "", lower_grid_sample, NULL},
    {"LRN", "", lower_lrn, NULL},
    {"LpPool", "", lower_pool, "lp"},
    {"MaxPool", "", lower_pool, "max"},
    {"MaxUnpool", "", lower_max_unpool, NULL},
    {"Resize", "", lower_resize, NULL},
    {"RoiAlign", "", lower_roi_align, NULL},
    {"Upsample", "", lower_resize, NULL},
    {NULL, NULL, NULL, NULL},
};
