/* Images: decoding to upright RGB bytes.
 *
 * The reference is Hugging Face's loader: Pillow's Image.open, ImageOps.exif_transpose and
 * convert("RGB"). So grey is repeated, a palette is expanded, alpha is dropped (not blended:
 * transparent pixels keep their colour), and the EXIF orientation is applied.
 *
 * PNG   equal to Pillow. 16 bits per channel: colour (and grey with alpha) keeps the high byte;
 *       grey without alpha is clipped at 255, not scaled, as Pillow does it.
 * GIF   first frame, equal to Pillow. Refused: a frame that leaves the screen.
 * BMP   equal to Pillow for 1, 4, 8, 16, 24 and 32 bits. Refused: run-length coded ones.
 * TGA   equal to Pillow for types 1, 2, 3, 9, 10 and 11 (an index past the palette aside).
 * PNM   P5 and P6, any maxval, equal to Pillow. Refused: P1 to P4.
 * JPEG  by stb_image: not quite libjpeg's (Pillow's) pixels. Measured: over the 10,000 CIFAR-10
 *       test images (as JPEG) at most 3 levels, 0.09 in the mean, 7 % of the bytes differ; over
 *       photos without chroma subsampling at most 2 and 0.015, with 4:2:2 at most 10 and 0.12.
 *       CMYK needs an Adobe marker. With the build option ATTN_LIBJPEG: libjpeg-turbo, the same
 *       pixels as Pillow. The orientation comes from EXIF or, without that, from XMP.
 *
 * A truncated file is refused, as by Pillow. */
#ifndef ATTN_INPUTS_IMAGE_H
#define ATTN_INPUTS_IMAGE_H

#include "runtime/base/memory.h"

/* As Pillow's decompression bomb check; refused before anything is decoded. */
#define ATTN_IMAGE_MAX_PIXELS ((size_t)178956970)

typedef struct attn_image {
    uint8_t *pixels; /* [height, width, 3] */
    size_t width, height;
    size_t bytes; /* as allocated */
} attn_image;

/* Decodes data[0..size); `name` is for messages. All memory comes from `memory`.
 * Errors: ATTN_BAD_FILE: unknown format, malformed, truncated, or a kind listed as refused above;
 * ATTN_LIMIT: more than ATTN_IMAGE_MAX_PIXELS, or than the memory limit; ATTN_NO_MEMORY. */
attn_status attn_image_decode(attn_image *image, const char *name, const void *data, size_t size,
                              attn_memory *memory, attn_error *err);
/* The same for a file; ATTN_IO if it cannot be read. */
attn_status attn_image_load(attn_image *image, const char *path, attn_memory *memory,
                            attn_error *err);
/* Accepts a zeroed or failed image. */
void attn_image_free(attn_image *image, attn_memory *memory);

#endif
