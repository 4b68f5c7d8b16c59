#include "runtime/inputs/image.h"

#include "runtime/base/file.h"
#include "runtime/inputs/decode.h"
#include "runtime/inputs/exif.h"

#include <string.h>

attn_status attn_image_alloc(attn_image *image, const attn_source *source, size_t width,
                             size_t height)
{
    if (width == 0 || height == 0)
        return attn_fail(source->err, ATTN_BAD_FILE, "%s: an image of %zu x %zu pixels",
                         source->name, width, height);
    if (width > ATTN_IMAGE_MAX_PIXELS / height)
        return attn_fail(source->err, ATTN_LIMIT,
                         "%s: %zu x %zu pixels, at most %zu in all are decoded", source->name,
                         width, height, ATTN_IMAGE_MAX_PIXELS);
    void *pixels;
    size_t bytes = width * height * 3;
    ATTN_TRY(attn_alloc(source->memory, bytes, source->name, &pixels, source->err));
    *image = (attn_image){pixels, width, height, bytes};
    return ATTN_OK;
}

static bool has_text(const attn_source *s, size_t at, const char *text, size_t length)
{
    return s->size >= at + length && memcmp(s->data + at, text, length) == 0;
}

/* TGA has no signature: every field of its header must make sense. */
static bool is_tga(const attn_source *s)
{
    if (s->size < 19) return false;
    const uint8_t *h = s->data;
    unsigned type = h[2] & ~8u, depth = h[16];
    bool mapped = type == 1;
    if (h[1] > 1 || type < 1 || type > 3 || (h[2] & ~8u) != type || h[2] > 11) return false;
    if (mapped != (h[1] == 1) && mapped) return false;
    if (h[1] && h[7] != 15 && h[7] != 16 && h[7] != 24 && h[7] != 32) return false;
    if (type == 1) return depth == 8;
    if (type == 3) return depth == 8 || depth == 16;
    return depth == 15 || depth == 16 || depth == 24 || depth == 32;
}

static attn_image_format find_format(const attn_source *s, const char **other)
{
    *other = NULL;
    if (has_text(s, 0, "\x89PNG\r\n\x1a\n", 8)) return ATTN_IMAGE_PNG;
    if (has_text(s, 0, "\xff\xd8\xff", 3)) return ATTN_IMAGE_JPEG;
    if (has_text(s, 0, "GIF87a", 6) || has_text(s, 0, "GIF89a", 6)) return ATTN_IMAGE_GIF;
    if (has_text(s, 0, "BM", 2)) return ATTN_IMAGE_BMP;
    if (s->size > 2 && s->data[0] == 'P' && s->data[1] >= '1' && s->data[1] <= '6' &&
        strchr(" \t\r\n#", s->data[2] ? s->data[2] : 'x'))
        return ATTN_IMAGE_PNM;
    if (has_text(s, 0, "RIFF", 4) && has_text(s, 8, "WEBP", 4)) *other = "WebP";
    if (has_text(s, 0, "II*\0", 4) || has_text(s, 0, "MM\0*", 4)) *other = "TIFF";
    if (has_text(s, 4, "ftyp", 4)) *other = "AVIF and HEIF";
    return !*other && is_tga(s) ? ATTN_IMAGE_TGA : ATTN_IMAGE_UNKNOWN;
}

/* A new image: pixel (x, y) of the upright one comes from the stored one as the orientation says:
 * 2 mirrored, 3 rotated by 180 degrees, 4 upside down, 5 transposed, 6 to be turned clockwise,
 * 7 transposed over the other diagonal, 8 to be turned counter-clockwise. */
static attn_status make_upright(attn_image *image, int orientation, const attn_source *source)
{
    bool swap = orientation >= 5;
    bool flip_x = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
    bool flip_y = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
    attn_image upright = {0};
    ATTN_TRY(attn_image_alloc(&upright, source, swap ? image->height : image->width,
                              swap ? image->width : image->height));
    uint8_t *out = upright.pixels;
    for (size_t y = 0; y < upright.height; y++) {
        for (size_t x = 0; x < upright.width; x++, out += 3) {
            size_t from_x = swap ? y : x, from_y = swap ? x : y;
            if (flip_x) from_x = image->width - 1 - from_x;
            if (flip_y) from_y = image->height - 1 - from_y;
            memcpy(out, image->pixels + (from_y * image->width + from_x) * 3, 3);
        }
    }
    attn_image_free(image, source->memory);
    *image = upright;
    return ATTN_OK;
}

attn_status attn_image_decode(attn_image *image, const char *name, const void *data, size_t size,
                              attn_memory *memory, attn_error *err)
{
    const attn_source source = {name, data, size, memory, err};
    const char *other;
    *image = (attn_image){0};
    attn_image_format format = find_format(&source, &other);
    attn_status status;
    if (format == ATTN_IMAGE_UNKNOWN)
        status = other ? attn_fail(err, ATTN_BAD_FILE, "%s: %s images are not decoded", name, other)
                       : attn_fail(err, ATTN_BAD_FILE,
                                   "%s: not an image (PNG, JPEG, GIF, BMP, PNM or TGA), %zu bytes",
                                   name, size);
    else if (format == ATTN_IMAGE_PNM)
        status = attn_decode_pnm(image, &source);
#ifdef ATTN_LIBJPEG
    else if (format == ATTN_IMAGE_JPEG)
        status = attn_decode_jpeg(image, &source);
#endif
    else
        status = attn_decode_stb(image, &source, format);
    int orientation = status ? 1 : attn_exif_orientation(data, size);
    if (orientation > 1) status = make_upright(image, orientation, &source);
    if (status) attn_image_free(image, memory);
    return status;
}

attn_status attn_image_load(attn_image *image, const char *path, attn_memory *memory,
                            attn_error *err)
{
    attn_file file;
    *image = (attn_image){0};
    ATTN_TRY(attn_file_map(&file, path, err));
    attn_status status = attn_image_decode(image, path, file.data, file.size, memory, err);
    attn_file_unmap(&file);
    return status;
}

void attn_image_free(attn_image *image, attn_memory *memory)
{
    attn_release(memory, image->pixels, image->bytes);
    *image = (attn_image){0};
}
