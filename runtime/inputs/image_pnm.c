/* PGM and PPM, binary. stb_image reads these too, but does not scale by maxval. */
#include "runtime/inputs/decode.h"

#include <math.h>

static bool is_space(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* The next decimal number of the header, after white space and comments, and the one byte that
 * ends it. */
static bool read_number(const attn_source *s, size_t *at, size_t *out)
{
    while (*at < s->size && (is_space(s->data[*at]) || s->data[*at] == '#')) {
        if (s->data[*at] == '#')
            while (*at < s->size && s->data[*at] != '\n' && s->data[*at] != '\r') ++*at;
        else
            ++*at;
    }
    size_t value = 0, digits = 0;
    for (; *at < s->size && s->data[*at] >= '0' && s->data[*at] <= '9'; ++*at) {
        value = value * 10 + (size_t)(s->data[*at] - '0');
        if (++digits > 9) return false;
    }
    if (!digits || *at >= s->size || !is_space(s->data[*at])) return false;
    ++*at;
    *out = value;
    return true;
}

/* One sample to a byte. Pillow scales to 0..255, rounding half to even, except deep grey: that
 * becomes 16 bits, clipped at 255. */
static uint8_t scale_sample(size_t value, size_t max, bool grey)
{
    if (max == 255) return (uint8_t)value;
    size_t full = max > 255 && grey ? 65535 : 255;
    if (value > max) value = max;
    double scaled = rint((double)value / (double)max * (double)full);
    return scaled > 255 ? 255 : (uint8_t)scaled;
}

attn_status attn_decode_pnm(attn_image *image, const attn_source *source)
{
    size_t width, height, max, at = 2, samples, bytes;
    bool grey = source->data[1] == '5';
    if (!grey && source->data[1] != '6')
        return attn_fail(source->err, ATTN_BAD_FILE,
                         "%s: PNM type P%c is not decoded, only P5 and P6", source->name,
                         source->data[1]);
    if (!read_number(source, &at, &width) || !read_number(source, &at, &height) ||
        !read_number(source, &at, &max) || max == 0 || max > 65535)
        return attn_fail(source->err, ATTN_BAD_FILE,
                         "%s: malformed PNM header near byte %zu (width, height and a maxval of 1 "
                         "to 65535)",
                         source->name, at);
    size_t depth = max > 255 ? 2 : 1;
    if (!attn_mul(width, height, &samples) || !attn_mul(samples, grey ? 1 : 3, &samples) ||
        !attn_mul(samples, depth, &bytes) || source->size - at < bytes)
        return attn_fail(source->err, ATTN_BAD_FILE,
                         "%s: truncated: %zu bytes of pixels for %zu x %zu", source->name,
                         source->size - at, width, height);
    ATTN_TRY(attn_image_alloc(image, source, width, height));
    const uint8_t *in = source->data + at;
    uint8_t table[256], *out = image->pixels;
    for (size_t i = 0; i < 256; i++) table[i] = max > 255 ? 0 : scale_sample(i, max, grey);
    for (size_t i = 0; i < samples; i++, in += depth) {
        uint8_t value =
            depth == 1 ? table[*in] : scale_sample((size_t)in[0] << 8 | in[1], max, grey);
        *out++ = value;
        if (grey) {
            *out++ = value;
            *out++ = value;
        }
    }
    return ATTN_OK;
}
