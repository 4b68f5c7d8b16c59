/* The decoders behind attn_image_decode. Each fills a zeroed image, or fails and leaves what it
 * allocated in image->pixels for the caller to free. */
#ifndef ATTN_INPUTS_DECODE_H
#define ATTN_INPUTS_DECODE_H

#include "runtime/inputs/image.h"

typedef struct attn_source {
    const char *name;
    const uint8_t *data;
    size_t size;
    attn_memory *memory;
    attn_error *err;
} attn_source;

typedef enum attn_image_format {
    ATTN_IMAGE_UNKNOWN,
    ATTN_IMAGE_PNG,
    ATTN_IMAGE_JPEG,
    ATTN_IMAGE_GIF,
    ATTN_IMAGE_BMP,
    ATTN_IMAGE_PNM,
    ATTN_IMAGE_TGA,
} attn_image_format;

/* Checks the limits and allocates the pixels. */
attn_status attn_image_alloc(attn_image *image, const attn_source *source, size_t width,
                             size_t height);

/* PNG, GIF, BMP, TGA, and JPEG unless ATTN_LIBJPEG. */
attn_status attn_decode_stb(attn_image *image, const attn_source *source, attn_image_format format);
attn_status attn_decode_pnm(attn_image *image, const attn_source *source);
#ifdef ATTN_LIBJPEG
attn_status attn_decode_jpeg(attn_image *image, const attn_source *source);
#endif

/* CMYK as JPEG files store it (255: no ink) to RGB, as Pillow does it. */
static inline void attn_cmyk_to_rgb(uint8_t *rgb, const uint8_t *cmyk)
{
    for (int c = 0; c < 3; c++) {
        unsigned product = (255u - cmyk[c]) * cmyk[3] + 128;
        rgb[c] = (uint8_t)(cmyk[3] - (((product >> 8) + product) >> 8));
    }
}

#endif
