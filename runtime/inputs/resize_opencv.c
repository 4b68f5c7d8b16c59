/* cv2.resize(..., interpolation=cv2.INTER_LINEAR) of 8-bit images, byte for byte.
 *
 * Two taps on each axis, also where an image is made smaller (no antialiasing), with weights of 11
 * bits. A row of sums has 8 + 11 bits; the vertical pass drops 4 of them, multiplies, drops 16,
 * adds both and rounds the last 2. Reference: OpenCV, modules/imgproc/src/resize.cpp; compared
 * with 5.0. */
#include "runtime/inputs/resize.h"

#include <math.h>
#include <string.h>

enum { CHANNELS = 3, WEIGHT_BITS = 11, WEIGHT_ONE = 1 << WEIGHT_BITS };

/* Output position i mixes the input's positions low[i] and high[i]. */
typedef struct taps {
    size_t low, high;
    int32_t low_weight, high_weight;
} taps;

/* Halves to even, as lrintf in the usual rounding mode, whatever the mode is. */
static int32_t to_weight(float weight)
{
    float scaled = weight * WEIGHT_ONE, down = floorf(scaled), rest = scaled - down;
    int32_t value = (int32_t)down;
    return rest > 0.5f || (rest == 0.5f && value % 2 != 0) ? value + 1 : value;
}

static size_t clamped(int64_t position, size_t size)
{
    return position < 0 ? 0 : position >= (int64_t)size ? size - 1 : (size_t)position;
}

/* Beyond the first and last column a weight is 1; beyond the first and last row both taps are the
 * same row, which rounds differently. */
static taps make_taps(size_t i, size_t in, size_t out, bool horizontal)
{
    double scale = 1.0 / ((double)out / (double)in);
    float at = (float)(((double)i + 0.5) * scale - 0.5);
    int64_t first = (int64_t)floorf(at);
    at -= (float)first;
    if (horizontal && (first < 0 || first >= (int64_t)in - 1)) at = 0;
    return (taps){clamped(first, in), clamped(first + 1, in), to_weight(1.0f - at), to_weight(at)};
}

/* in: [in_width, 3], out: [out_width, 3] */
static void mix_columns(int32_t *out, size_t out_width, const uint8_t *in, const taps *columns)
{
    for (size_t x = 0; x < out_width; x++, out += CHANNELS) {
        const taps *t = &columns[x];
        const uint8_t *low = in + t->low * CHANNELS, *high = in + t->high * CHANNELS;
        for (int c = 0; c < CHANNELS; c++)
            out[c] = low[c] * t->low_weight + high[c] * t->high_weight;
    }
}

static void mix_rows(uint8_t *out, size_t count, const int32_t *low, const int32_t *high,
                     const taps *row)
{
    for (size_t i = 0; i < count; i++) {
        int32_t sum =
            (((low[i] >> 4) * row->low_weight) >> 16) + (((high[i] >> 4) * row->high_weight) >> 16);
        sum = (sum + 2) >> 2;
        out[i] = sum > 255 ? 255 : (uint8_t)sum;
    }
}

/* The two rows that are mixed, in one of two buffers each: rows come in order, so that each input
 * row is made once. */
typedef struct mixed_rows {
    int32_t *buffer[2];
    size_t row[2]; /* SIZE_MAX: none */
} mixed_rows;

static const int32_t *get_row(mixed_rows *m, size_t row, size_t keep, size_t out_width,
                              const uint8_t *in, size_t in_width, const taps *columns)
{
    for (int i = 0; i < 2; i++)
        if (m->row[i] == row) return m->buffer[i];
    int i = m->row[0] == keep ? 1 : 0;
    mix_columns(m->buffer[i], out_width, in + row * in_width * CHANNELS, columns);
    m->row[i] = row;
    return m->buffer[i];
}

attn_status attn_resize_opencv(uint8_t *out, size_t out_height, size_t out_width, const uint8_t *in,
                               size_t in_height, size_t in_width, attn_memory *memory,
                               attn_error *err)
{
    size_t bytes;
    const size_t row_bytes = out_width * CHANNELS * sizeof(int32_t); /* sides are at most 2^30 */
    if (!attn_mul(out_width, sizeof(taps), &bytes) || !attn_add(bytes, 2 * row_bytes, &bytes))
        return attn_fail(err, ATTN_NO_MEMORY, "resizing to %zu pixels: too large", out_width);
    void *block;
    ATTN_TRY(attn_alloc(memory, bytes, "resizing an image", &block, err));
    taps *columns = block;
    mixed_rows rows = {.row = {SIZE_MAX, SIZE_MAX}};
    rows.buffer[0] = (int32_t *)(columns + out_width);
    rows.buffer[1] = rows.buffer[0] + out_width * CHANNELS;
    for (size_t x = 0; x < out_width; x++) columns[x] = make_taps(x, in_width, out_width, true);
    for (size_t y = 0; y < out_height; y++, out += out_width * CHANNELS) {
        taps t = make_taps(y, in_height, out_height, false);
        const int32_t *low = get_row(&rows, t.low, t.high, out_width, in, in_width, columns);
        const int32_t *high = get_row(&rows, t.high, t.low, out_width, in, in_width, columns);
        mix_rows(out, out_width * CHANNELS, low, high, &t);
    }
    attn_release(memory, block, bytes);
    return ATTN_OK;
}
