#include "runtime/inputs/preprocess.h"

#include <math.h>

/* Sizes as transformers computes them: quotients in double, truncated. All sides are below 2^31,
 * so products are exact. */
static size_t scaled_side(double size, size_t side, size_t other)
{
    double value = size * (double)side / (double)other;
    return value >= 1 && value < 1e15 ? (size_t)value : value >= 1 ? SIZE_MAX : 0;
}

/* The shorter side to `size`, or to what `longest` leaves of it. */
static void size_longest(const attn_preprocess *p, size_t height, size_t width, size_t *out_height,
                         size_t *out_width)
{
    double low = (double)(height < width ? height : width);
    double high = (double)(height < width ? width : height);
    double size = (double)p->shortest, raw = size;
    if (high / low * size > (double)p->longest) {
        raw = (double)p->longest * low / high;
        size = rint(raw);
    }
    if ((height <= width && (double)height == size) || (width <= height && (double)width == size)) {
        *out_height = height;
        *out_width = width;
    } else if (width < height) {
        *out_width = (size_t)size;
        *out_height = scaled_side(raw, height, width);
    } else {
        *out_height = (size_t)size;
        *out_width = scaled_side(raw, width, height);
    }
}

static void resized_size(const attn_preprocess *p, size_t height, size_t width, size_t *out_height,
                         size_t *out_width)
{
    double by_height, by_width, scale;
    switch (p->rule) {
    case ATTN_SIZE_EXACT:
        *out_height = p->height;
        *out_width = p->width;
        break;
    case ATTN_SIZE_SHORTEST:
        *out_height = *out_width = p->shortest;
        if (width <= height)
            *out_height = scaled_side((double)p->shortest, height, width);
        else
            *out_width = scaled_side((double)p->shortest, width, height);
        break;
    case ATTN_SIZE_LONGEST:
        size_longest(p, height, width, out_height, out_width);
        break;
    case ATTN_SIZE_WITHIN:
        by_height = (double)p->height / (double)height;
        by_width = (double)p->width / (double)width;
        scale = by_height < by_width ? by_height : by_width;
        *out_height = (size_t)((double)height * scale);
        *out_width = (size_t)((double)width * scale);
        break;
    case ATTN_SIZE_HEIGHT: /* the width by proportional_width */
        *out_height = p->height;
        *out_width = 0;
        break;
    }
}

/* ATTN_SIZE_HEIGHT: of the image and of the result around it. Sides above every limit stay so. */
static void proportional_width(const attn_preprocess *p, size_t height, size_t width,
                               size_t *resized, size_t *padded)
{
    double ideal = (double)p->height * ((double)width / (double)height);
    size_t wide = ideal < 1e15 ? (size_t)ideal : (size_t)1e15;
    if (wide < p->min_width) wide = p->min_width;
    if (wide % p->multiple) wide += p->multiple - wide % p->multiple;
    if (wide > p->max_width) wide = p->max_width;
    *padded = wide;
    *resized = ceil(ideal) < (double)wide ? (size_t)ceil(ideal) : wide;
}

/* (side - crop) / 2, rounded down also below zero. */
static ptrdiff_t crop_start(size_t side, size_t crop)
{
    ptrdiff_t difference = (ptrdiff_t)side - (ptrdiff_t)crop;
    return difference >= 0 ? difference / 2 : -((1 - difference) / 2);
}

attn_status attn_preprocess_geometry(const attn_preprocess *p, size_t image_height,
                                     size_t image_width, attn_geometry *g, attn_error *err)
{
    if (!image_height || !image_width)
        return attn_fail(err, ATTN_BAD_INPUT, "an image of %zu x %zu pixels", image_width,
                         image_height);
    size_t height = image_height, width = image_width, padded = 0;
    if (p->do_resize) resized_size(p, image_height, image_width, &height, &width);
    if (p->do_resize && p->rule == ATTN_SIZE_HEIGHT)
        proportional_width(p, image_height, image_width, &width, &padded);
    const size_t widest = width > padded ? width : padded;
    if (!height || !width)
        return attn_fail(err, ATTN_BAD_INPUT,
                         "an image of %zu x %zu pixels would be resized to %zu x %zu", image_width,
                         image_height, width, height);
    if (widest > ATTN_IMAGE_MAX_PIXELS / height)
        return attn_fail(err, ATTN_LIMIT,
                         "an image of %zu x %zu pixels would be resized to %zu x %zu, more than "
                         "%zu pixels",
                         image_width, image_height, widest, height, ATTN_IMAGE_MAX_PIXELS);
    *g = (attn_geometry){
        .height = height, .width = widest, .resized_height = height, .resized_width = width};
    if (p->do_center_crop) {
        g->height = p->crop_height;
        g->width = p->crop_width;
        g->top = crop_start(height, p->crop_height);
        g->left = crop_start(width, p->crop_width);
    }
    if (p->do_pad) {
        if (g->height > p->pad_height || g->width > p->pad_width)
            return attn_fail(err, ATTN_BAD_INPUT,
                             "%zu x %zu pixels cannot be padded to pad_size %zu x %zu", g->width,
                             g->height, p->pad_width, p->pad_height);
        g->height = p->pad_height;
        g->width = p->pad_width;
    }
    double step_x = (double)image_width / (double)width;
    double step_y = (double)image_height / (double)height;
    g->x = (double)g->left * step_x;
    g->y = (double)g->top * step_y;
    g->photo_width = (double)g->width * step_x;
    g->photo_height = (double)g->height * step_y;
    return ATTN_OK;
}

void attn_preprocess_size(const attn_preprocess *p, size_t size[2])
{
    bool exact = p->do_resize && p->rule == ATTN_SIZE_EXACT;
    size[0] = p->do_pad           ? p->pad_height
              : p->do_center_crop ? p->crop_height
              : exact             ? p->height
                                  : 0;
    size[1] = p->do_pad ? p->pad_width : p->do_center_crop ? p->crop_width : exact ? p->width : 0;
}

/* table[c][v]: what a byte v of channel c becomes; in NumPy's order and types. */
static void fill_table(const attn_preprocess *p, float table[3][256])
{
    for (int c = 0; c < 3; c++)
        for (int v = 0; v < 256; v++) {
            float x = p->do_rescale ? (float)((double)v * p->rescale_factor) : (float)v;
            table[c][v] = p->do_normalize ? (x - p->mean[c]) / p->std[c] : x;
        }
}

/* How the result lies: of pixel (y, x) and channel c, at y * row + x * column + plane[c]. */
typedef struct strides {
    size_t row, column, plane[3]; /* plane: of red, green, blue */
} strides;

static strides result_strides(const attn_preprocess *p, const attn_geometry *g)
{
    size_t plane = p->channels_last ? 1 : g->height * g->width;
    size_t red = p->bgr ? 2 * plane : 0, blue = p->bgr ? 0 : 2 * plane;
    return (strides){.row = p->channels_last ? 3 * g->width : g->width,
                     .column = p->channels_last ? 3 : 1,
                     .plane = {red, plane, blue}};
}

/* One channel. Rows and columns outside the resized image are black; those of the padding are 0. */
static void write_channel(const attn_preprocess *p, const attn_geometry *g, const uint8_t *pixels,
                          const float *table, const strides *to, void *out)
{
    const size_t rows = p->do_center_crop ? p->crop_height : g->resized_height;
    const size_t columns = p->do_center_crop ? p->crop_width : g->resized_width;
    for (size_t y = 0; y < g->height; y++) {
        ptrdiff_t from_y = (ptrdiff_t)y + g->top;
        bool row_inside = from_y >= 0 && (size_t)from_y < g->resized_height;
        const uint8_t *row = pixels + (row_inside ? (size_t)from_y * g->resized_width * 3 : 0);
        size_t at = y * to->row;
        for (size_t x = 0; x < g->width; x++, at += to->column) {
            ptrdiff_t from_x = (ptrdiff_t)x + g->left;
            bool inside = row_inside && from_x >= 0 && (size_t)from_x < g->resized_width;
            bool padding = y >= rows || x >= columns;
            uint8_t value = inside ? row[(size_t)from_x * 3] : 0;
            if (p->bytes)
                ((uint8_t *)out)[at] = padding ? 0 : value;
            else
                ((float *)out)[at] = padding ? 0.0f : table[value];
        }
    }
}

static void write_pixels(const attn_preprocess *p, const attn_geometry *g, const uint8_t *pixels,
                         void *out)
{
    float table[3][256];
    strides to = result_strides(p, g);
    fill_table(p, table);
    for (size_t c = 0; c < 3; c++)
        write_channel(p, g, pixels + c, table[c], &to,
                      (char *)out + to.plane[c] * (p->bytes ? 1 : sizeof(float)));
}

attn_status attn_preprocess_apply(const attn_preprocess *p, const attn_image *image, void *pixels,
                                  attn_memory *memory, attn_error *err)
{
    attn_geometry g;
    ATTN_TRY(attn_preprocess_geometry(p, image->height, image->width, &g, err));
    void *resized = NULL;
    size_t bytes = g.resized_height * g.resized_width * 3;
    if (g.resized_height != image->height || g.resized_width != image->width) {
        ATTN_TRY(attn_alloc(memory, bytes, "the resized image", &resized, err));
        attn_status status = attn_resize(resized, g.resized_height, g.resized_width, image->pixels,
                                         image->height, image->width, p->resample, memory, err);
        if (status) {
            attn_release(memory, resized, bytes);
            return status;
        }
    }
    write_pixels(p, &g, resized ? resized : image->pixels, pixels);
    attn_release(memory, resized, bytes);
    return ATTN_OK;
}
