#include "tools/picture.h"

#include <math.h>
#include <string.h>

attn_status picture_open(picture *p, attn_memory *memory, size_t width, size_t height,
                         rgb background, attn_error *err)
{
    *p = (picture){.memory = memory};
    if (width == 0 || height == 0)
        return attn_fail(err, ATTN_BAD_INPUT, "a picture of %zu x %zu pixels is empty", width,
                         height);
    if (width > PICTURE_MAX_SIDE || height > PICTURE_MAX_SIDE ||
        width * height > PICTURE_MAX_PIXELS)
        return attn_fail(err, ATTN_LIMIT,
                         "a picture of %zu x %zu pixels is too large: at most %d a side and %d in "
                         "all",
                         width, height, PICTURE_MAX_SIDE, PICTURE_MAX_PIXELS);
    void *pixels;
    ATTN_TRY(attn_alloc(memory, width * height * 3, "picture", &pixels, err));
    p->pixels = pixels;
    p->width = (int)width;
    p->height = (int)height;
    picture_fill(p, (picture_rect){0, 0, p->width, p->height}, background, 1);
    return ATTN_OK;
}

void picture_close(picture *p)
{
    if (p->pixels) attn_release(p->memory, p->pixels, (size_t)p->width * (size_t)p->height * 3);
    *p = (picture){0};
}

picture_rect picture_clip(const picture *p, picture_rect rect)
{
    long long x0 = rect.x, y0 = rect.y, x1 = x0 + rect.width, y1 = y0 + rect.height;
    if (x0 < 0) x0 = 0;
    if (y0 < 0) y0 = 0;
    if (x1 > p->width) x1 = p->width;
    if (y1 > p->height) y1 = p->height;
    if (x1 <= x0 || y1 <= y0) return (picture_rect){0, 0, 0, 0};
    return (picture_rect){(int)x0, (int)y0, (int)(x1 - x0), (int)(y1 - y0)};
}

void picture_fill(picture *p, picture_rect rect, rgb colour, double alpha)
{
    rect = picture_clip(p, rect);
    for (int y = rect.y; y < rect.y + rect.height; y++)
        for (int x = rect.x; x < rect.x + rect.width; x++) picture_blend(p, x, y, colour, alpha);
}

void picture_mute(picture *p, picture_rect rect, double saturation, double low, double high)
{
    rect = picture_clip(p, rect);
    for (int y = rect.y; y < rect.y + rect.height; y++) {
        for (int x = rect.x; x < rect.x + rect.width; x++) {
            uint8_t *pixel = p->pixels + ((size_t)y * (size_t)p->width + (size_t)x) * 3;
            /* luma of ITU-R BT.709 */
            double grey = 0.2126 * pixel[0] + 0.7152 * pixel[1] + 0.0722 * pixel[2];
            for (int c = 0; c < 3; c++) {
                double value = grey + (pixel[c] - grey) * saturation;
                value = low + value * (high - low) / 255;
                pixel[c] = (uint8_t)(picture_clamp(value, 0, 255) + 0.5);
            }
        }
    }
}

void picture_blit(picture *p, int x, int y, const picture *from)
{
    picture_rect rect = picture_clip(p, (picture_rect){x, y, from->width, from->height});
    for (int row = rect.y; row < rect.y + rect.height; row++) {
        const uint8_t *source =
            from->pixels + ((size_t)(row - y) * (size_t)from->width + (size_t)(rect.x - x)) * 3;
        uint8_t *target = p->pixels + ((size_t)row * (size_t)p->width + (size_t)rect.x) * 3;
        memcpy(target, source, (size_t)rect.width * 3);
    }
}

/* ---- scaling ----------------------------------------------------------------------------------
 * Convolution with the cubic of Keys (1981), a = -1/2, stretched by the factor of reduction; taps
 * beyond the photo are left out and the rest is normalised. */

static double cubic(double t)
{
    t = fabs(t);
    if (t < 1) return (1.5 * t - 2.5) * t * t + 1;
    if (t < 2) return ((-0.5 * t + 2.5) * t - 4) * t + 2;
    return 0;
}

typedef struct taps {
    double centre, stretch, total;
    size_t first, last; /* first..last) */
} taps;

/* The taps along one axis for target pixel i of `target`. false: its centre is not on the photo. */
static bool find_taps(taps *out, int i, int target, double start, double length, size_t size)
{
    double step = length / target, stretch = step > 1 ? step : 1;
    double centre = start + (i + 0.5) * step;
    if (!(centre >= 0 && centre < (double)size)) return false;
    double low = floor(centre - 2 * stretch), high = ceil(centre + 2 * stretch);
    *out = (taps){.centre = centre, .stretch = stretch};
    out->first = low > 0 ? (size_t)low : 0;
    out->last = high < (double)size ? (size_t)high : size;
    for (size_t k = out->first; k < out->last; k++)
        out->total += cubic(((double)k + 0.5 - centre) / stretch);
    return true;
}

static double tap_weight(const taps *t, size_t k)
{
    return cubic(((double)k + 0.5 - t->centre) / t->stretch) / t->total;
}

/* row: [photo width, 3]; only columns [from, to) are made. */
static void mix_rows(float *row, const picture_photo *photo, const taps *vertical, size_t from,
                     size_t to)
{
    memset(row + from * 3, 0, (to - from) * 3 * sizeof *row);
    for (size_t k = vertical->first; k < vertical->last; k++) {
        float weight = (float)tap_weight(vertical, k);
        const uint8_t *source = photo->pixels + k * photo->width * 3;
        for (size_t i = from * 3; i < to * 3; i++) row[i] += weight * source[i];
    }
}

static void mix_columns(uint8_t *pixel, const float *row, const taps *horizontal)
{
    double sum[3] = {0, 0, 0};
    for (size_t k = horizontal->first; k < horizontal->last; k++) {
        double weight = tap_weight(horizontal, k);
        for (int c = 0; c < 3; c++) sum[c] += weight * row[k * 3 + (size_t)c];
    }
    for (int c = 0; c < 3; c++) pixel[c] = (uint8_t)(picture_clamp(sum[c], 0, 255) + 0.5);
}

attn_status picture_scale(picture *p, picture_rect rect, const picture_photo *photo,
                          picture_region region, attn_error *err)
{
    size_t from = photo->width, to = 0;
    taps horizontal, vertical;
    for (int x = 0; x < rect.width; x++) {
        if (!find_taps(&horizontal, x, rect.width, region.x, region.width, photo->width)) continue;
        if (horizontal.first < from) from = horizontal.first;
        if (horizontal.last > to) to = horizontal.last;
    }
    if (from >= to) return ATTN_OK;
    size_t bytes;
    if (!attn_mul(photo->width, 3 * sizeof(float), &bytes))
        return attn_fail(err, ATTN_LIMIT, "a photo of %zu x %zu pixels is too large", photo->width,
                         photo->height);
    void *row;
    ATTN_TRY(attn_alloc(p->memory, bytes, "a row of the photo", &row, err));
    for (int y = 0; y < rect.height; y++) {
        if (!find_taps(&vertical, y, rect.height, region.y, region.height, photo->height)) continue;
        mix_rows(row, photo, &vertical, from, to);
        for (int x = 0; x < rect.width; x++) {
            if (!find_taps(&horizontal, x, rect.width, region.x, region.width, photo->width))
                continue;
            size_t at = (size_t)(rect.y + y) * (size_t)p->width + (size_t)(rect.x + x);
            mix_columns(p->pixels + at * 3, row, &horizontal);
        }
    }
    attn_release(p->memory, row, bytes);
    return ATTN_OK;
}
