/* A canvas of RGB pixels: fill, blend, copy, scale, text, PNG.
 *
 * Coordinates are pixels, the origin is the top left corner. Everything that is drawn is clipped to
 * the canvas, so no position is an error. */
#ifndef TOOLS_PICTURE_H
#define TOOLS_PICTURE_H

#include "runtime/base/memory.h"

typedef struct rgb {
    uint8_t r, g, b;
} rgb;

typedef struct picture {
    attn_memory *memory;
    uint8_t *pixels; /* [height, width, 3] */
    int width, height;
} picture;

typedef struct picture_rect {
    int x, y, width, height;
} picture_rect;

/* Somebody else's pixels: [height, width, 3]. */
typedef struct picture_photo {
    const uint8_t *pixels;
    size_t width, height;
} picture_photo;

/* A rectangle of a photo; may reach beyond it. */
typedef struct picture_region {
    double x, y, width, height;
} picture_region;

enum {
    PICTURE_MAX_SIDE = 32768,
    PICTURE_MAX_PIXELS = 1 << 25, /* keeps every size of the PNG encoder within an int */
};

/* Errors: ATTN_BAD_INPUT for a side of 0, ATTN_LIMIT beyond the bounds above, ATTN_NO_MEMORY. */
attn_status picture_open(picture *p, attn_memory *memory, size_t width, size_t height,
                         rgb background, attn_error *err);
/* Accepts a zeroed or failed picture. */
void picture_close(picture *p);

/* alpha 0: nothing, 1: opaque. */
void picture_fill(picture *p, picture_rect rect, rgb colour, double alpha);
/* Keeps `saturation` (0 to 1) of the colour in rect, and maps black to low, white to high (0 to
 * 255).
 */
void picture_mute(picture *p, picture_rect rect, double saturation, double low, double high);
/* Copies `from` (not p) to (x, y). */
void picture_blit(picture *p, int x, int y, const picture *from);

/* Draws `region` of the photo over rect by cubic interpolation, averaging where it shrinks. Pixels
 * of rect that lie beyond the photo stay as they are. rect lies within the canvas.
 * Errors: ATTN_NO_MEMORY. */
attn_status picture_scale(picture *p, picture_rect rect, const picture_photo *photo,
                          picture_region region, attn_error *err);

/* Text in a font of lines and one size, enlarged `scale` times (1, 2, ...). ASCII; any other
 * character, however many bytes of UTF-8 it takes, is shown as one '?'. */
enum { PICTURE_TEXT_HEIGHT = 9 }; /* at scale 1, with the descent of 2 */
int picture_text_width(const char *text, int scale);
void picture_text(picture *p, int x, int y, int scale, rgb colour, const char *text);
/* The same, running upwards from (x, y), its lower left corner. */
void picture_text_up(picture *p, int x, int y, int scale, rgb colour, const char *text);
/* Copies text to out[0..size), size at least 3, shortened to end in ".." where it is wider than
 * `width`. */
void picture_text_fit(const char *text, int scale, int width, char *out, size_t size);

/* Errors: ATTN_IO with path and reason (the file may then hold a part), ATTN_NO_MEMORY. */
attn_status picture_write_png(const picture *p, const char *path, attn_error *err);

static inline double picture_clamp(double value, double low, double high)
{
    return value < low ? low : value > high ? high : value;
}

static inline void picture_blend(picture *p, int x, int y, rgb colour, double alpha)
{
    uint8_t *pixel = p->pixels + ((size_t)y * (size_t)p->width + (size_t)x) * 3;
    pixel[0] = (uint8_t)(pixel[0] + (colour.r - pixel[0]) * alpha + 0.5);
    pixel[1] = (uint8_t)(pixel[1] + (colour.g - pixel[1]) * alpha + 0.5);
    pixel[2] = (uint8_t)(pixel[2] + (colour.b - pixel[2]) * alpha + 0.5);
}

/* The part of rect that lies on the canvas; width and height 0 if none does. */
picture_rect picture_clip(const picture *p, picture_rect rect);

#endif
