/* The keys of an image input: how its pixels lie ("layout", "channels"), and "image", which says
 * how a photo becomes that shape where no preprocessor_config.json does. */
#include "runtime/builder.h"
#include "runtime/inputs/preprocess.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MAX_SIDE = 1 << 20 };

/* A number, or an expression that gives one. */
static attn_status read_number(attn_builder *b, const char *place, const char *key,
                               const cJSON *json, double min, double max, double *out)
{
    attn_attr value;
    attn_error inner;
    attn_json_text shown;
    if (attn_builder_attr(b, json, 0, &value, &inner) ||
        (value.kind == ATTN_ATTR_TEXT && attn_builder_evaluate(b, value.text, &value, &inner)))
        return attn_builder_fail(b, place, "\"%s\": %s", key, inner.text);
    *out = value.number;
    if (value.kind == ATTN_ATTR_NUMBER && *out >= min && *out <= max) return ATTN_OK;
    return attn_builder_fail(b, place, "\"%s\" is %s, expected a number in [%.10g, %.10g]", key,
                             attn_json_show(&shown, json), min, max);
}

/* One number, or one for each channel, in the order in which the model has them. */
static attn_status read_statistics(attn_builder *b, const char *place, const cJSON *image,
                                   const char *key, double min, bool bgr, float out[3], bool *given)
{
    const cJSON *item = attn_json_get(image, key), *entry = item;
    attn_json_text shown;
    if (!item) return ATTN_OK;
    *given = true;
    if (cJSON_IsArray(item) && cJSON_GetArraySize(item) != 3)
        return attn_builder_fail(b, place, "\"%s\" is %s, expected a number or a list of 3", key,
                                 attn_json_show(&shown, item));
    if (cJSON_IsArray(item)) entry = item->child;
    for (int c = 0; c < 3; c++) {
        double value;
        ATTN_TRY(read_number(b, place, key, entry, min, 1e6, &value));
        out[bgr ? 2 - c : c] = (float)value;
        if (cJSON_IsArray(item)) entry = entry->next;
    }
    return ATTN_OK;
}

static attn_status read_size(attn_builder *b, const char *place, const cJSON *image,
                             const char *key, size_t *out)
{
    const cJSON *item = attn_json_get(image, key);
    double value;
    if (!item) return ATTN_OK;
    ATTN_TRY(attn_builder_integer(b, place, key, item, 1, MAX_SIDE, &value));
    *out = (size_t)value;
    return ATTN_OK;
}

/* Keys that only one way to fit a photo has. */
static attn_status refuse_keys(attn_builder *b, const char *place, const cJSON *image,
                               const char *const *keys, const char *fit)
{
    for (; *keys; keys++)
        if (attn_json_get(image, *keys))
            return attn_builder_fail(b, place, "\"%s\" goes with \"fit\": \"%s\"", *keys, fit);
    return ATTN_OK;
}

/* height, width: of the shape; 0: free. */
static attn_status read_fit(attn_builder *b, const char *place, const cJSON *image, size_t height,
                            size_t width, attn_preprocess *p)
{
    static const char *const fits[] = {"stretch", "crop", "height", NULL};
    static const char *const of_crop[] = {"edge", NULL};
    static const char *const of_height[] = {"min_width", "max_width", "multiple", NULL};
    int fit;
    ATTN_TRY(attn_builder_choice(b, place, image, "fit", fits, 0, &fit));
    if (fit != 1) ATTN_TRY(refuse_keys(b, place, image, of_crop, "crop"));
    if (fit != 2) ATTN_TRY(refuse_keys(b, place, image, of_height, "height"));
    if (!height || height > MAX_SIDE || width > MAX_SIDE || (!width && fit != 2))
        return attn_builder_fail(b, place,
                                 "\"fit\": \"%s\" needs %s of the shape to be a number up to %d",
                                 fits[fit], fit == 2 ? "the height" : "height and width", MAX_SIDE);
    p->do_resize = true;
    p->height = height;
    p->width = width;
    if (fit == 0) {
        p->rule = ATTN_SIZE_EXACT;
        return ATTN_OK;
    }
    if (fit == 1) {
        p->rule = ATTN_SIZE_SHORTEST;
        p->shortest = height > width ? height : width;
        p->do_center_crop = true;
        p->crop_height = height;
        p->crop_width = width;
        return read_size(b, place, image, "edge", &p->shortest);
    }
    p->rule = ATTN_SIZE_HEIGHT;
    p->multiple = 1;
    p->min_width = width ? width : 1;
    p->max_width = width ? width : MAX_SIDE;
    ATTN_TRY(read_size(b, place, image, "min_width", &p->min_width));
    ATTN_TRY(read_size(b, place, image, "max_width", &p->max_width));
    ATTN_TRY(read_size(b, place, image, "multiple", &p->multiple));
    if (p->min_width > p->max_width || (width && (p->min_width != width || p->max_width != width)))
        return attn_builder_fail(b, place,
                                 "widths of %zu to %zu do not fit a shape that is %zu wide",
                                 p->min_width, p->max_width, width ? width : p->max_width);
    return ATTN_OK;
}

static attn_status read_resize(attn_builder *b, const char *place, const cJSON *image,
                               attn_preprocess *p)
{
    static const char *const words[] = {"bilinear", "bicubic", "lanczos",       "box",
                                        "hamming",  "nearest", "opencv_linear", NULL};
    static const attn_filter filters[] = {
        ATTN_FILTER_BILINEAR, ATTN_FILTER_BICUBIC, ATTN_FILTER_LANCZOS,      ATTN_FILTER_BOX,
        ATTN_FILTER_HAMMING,  ATTN_FILTER_NEAREST, ATTN_FILTER_OPENCV_LINEAR};
    int word;
    if (!attn_json_get(image, "resize"))
        return attn_builder_fail(
            b, place,
            "the key \"resize\" is missing: \"bilinear\" and others, as Pillow "
            "has them, or \"opencv_linear\"");
    ATTN_TRY(attn_builder_choice(b, place, image, "resize", words, 0, &word));
    p->resample = filters[word];
    return ATTN_OK;
}

/* height and width are the axes `at` and `at` + 1 of the shape. */
static attn_status read_image(attn_builder *b, const char *place, const cJSON *image, int at,
                              attn_port *port)
{
    static const char *const keys[] = {"resize",    "fit",      "edge",  "min_width",
                                       "max_width", "multiple", "scale", "mean",
                                       "std",       "note",     NULL};
    attn_preprocess *p = attn_arena_get(b->arena, 1, sizeof *p, b->err);
    if (!p) return ATTN_NO_MEMORY;
    *p = (attn_preprocess){.rescale_factor = 1, .std = {1, 1, 1}};
    ATTN_TRY(attn_builder_keys(b, place, image, keys));
    size_t height = port->dim[at] > ATTN_SYMBOL_BASE ? (size_t)port->dim[at] : 0;
    size_t width = port->dim[at + 1] > ATTN_SYMBOL_BASE ? (size_t)port->dim[at + 1] : 0;
    ATTN_TRY(read_resize(b, place, image, p));
    ATTN_TRY(read_fit(b, place, image, height, width, p));
    const cJSON *scale = attn_json_get(image, "scale");
    p->do_rescale = scale != NULL;
    if (scale) ATTN_TRY(read_number(b, place, "scale", scale, -1e6, 1e6, &p->rescale_factor));
    ATTN_TRY(read_statistics(b, place, image, "mean", -1e6, port->bgr, p->mean, &p->do_normalize));
    ATTN_TRY(read_statistics(b, place, image, "std", 1e-6, port->bgr, p->std, &p->do_normalize));
    if (port->dtype == ATTN_I32 && (p->do_rescale || p->do_normalize))
        return attn_builder_fail(b, place, "an image of dtype i32 has no scale, mean or std");
    port->preprocess = p;
    return ATTN_OK;
}

attn_status attn_builder_image(attn_builder *b, const char *place, const cJSON *input,
                               attn_port *port)
{
    static const char *const layouts[] = {"chw", "hwc", NULL}, *const orders[] = {"rgb", "bgr",
                                                                                  NULL};
    static const char *const keys[] = {"layout", "channels", "image"};
    const cJSON *image = attn_json_get(input, "image");
    char inside[330];
    int last, bgr;
    attn_json_text shown;
    if (port->kind != ATTN_KIND_IMAGE) {
        for (int i = 0; i < 3; i++)
            if (attn_json_get(input, keys[i]))
                return attn_builder_fail(b, place, "\"%s\" is for inputs of kind image", keys[i]);
        return ATTN_OK;
    }
    ATTN_TRY(attn_builder_choice(b, place, input, "layout", layouts, 0, &last));
    ATTN_TRY(attn_builder_choice(b, place, input, "channels", orders, 0, &bgr));
    port->channels_last = last;
    port->bgr = bgr;
    int lead = port->rank - 3; /* of exported models: a batch, of one photo */
    if (lead != 0 && lead != 1)
        return attn_builder_fail(b, place, "an image is of rank 3, %s, or 4 with a batch in front",
                                 last ? "[height, width, 3]" : "[3, height, width]");
    if (!image) return ATTN_OK;
    if (!cJSON_IsObject(image))
        return attn_builder_fail(b, place, "\"image\" is %s, expected an object",
                                 attn_json_show(&shown, image));
    if (port->dim[lead + (last ? 2 : 0)] != 3 || (lead && port->dim[0] > 1))
        return attn_builder_fail(b, place,
                                 "\"image\" is for a shape of 3 channels and a batch of 1");
    snprintf(inside, sizeof inside, "%s: image", place);
    return read_image(b, inside, image, lead + (last ? 0 : 1), port);
}
