#include "runtime/inputs/resize.h"

#include <math.h>
#include <string.h>

enum { PRECISION = 22, CHANNELS = 3 };
#define MAX_SIDE ((size_t)1 << 30)
#define PI 3.14159265358979323846

/* ---- filters ----------------------------------------------------------------------------- */

static double box(double x)
{
    return x > -0.5 && x <= 0.5 ? 1.0 : 0.0;
}

static double triangle(double x)
{
    x = fabs(x);
    return x < 1.0 ? 1.0 - x : 0.0;
}

static double hamming(double x)
{
    x = fabs(x);
    if (x == 0.0) return 1.0;
    if (x >= 1.0) return 0.0;
    x *= PI;
    return sin(x) / x * (0.54 + 0.46 * cos(x));
}

static double cubic(double x)
{
    const double a = -0.5;
    x = fabs(x);
    if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
    if (x < 2.0) return (((x - 5) * x + 8) * x - 4) * a;
    return 0.0;
}

static double sinc(double x)
{
    if (x == 0.0) return 1.0;
    x *= PI;
    return sin(x) / x;
}

static double lanczos(double x)
{
    return x >= -3.0 && x < 3.0 ? sinc(x) * sinc(x / 3) : 0.0;
}

static const struct {
    double (*weight)(double x);
    double support;
} filters[ATTN_FILTER_COUNT] = {
    [ATTN_FILTER_LANCZOS] = {lanczos, 3.0}, [ATTN_FILTER_BILINEAR] = {triangle, 1.0},
    [ATTN_FILTER_BICUBIC] = {cubic, 2.0},   [ATTN_FILTER_BOX] = {box, 0.5},
    [ATTN_FILTER_HAMMING] = {hamming, 1.0},
};

/* ---- weights ------------------------------------------------------------------------------ */

/* Output position i is the sum of weights[i * taps + k] * input[first[i] + k], k < count[i]. */
typedef struct axis {
    size_t taps;
    size_t *first, *count;
    int32_t *weights;
    void *block;
    size_t bytes;
} axis;

static int32_t to_fixed(double weight)
{
    double scaled = weight * (1 << PRECISION);
    return (int32_t)(weight < 0 ? scaled - 0.5 : scaled + 0.5);
}

static void fill_axis(axis *a, size_t in, size_t out, attn_filter filter, double *scratch)
{
    double scale = (double)in / (double)out;
    double filter_scale = scale < 1.0 ? 1.0 : scale;
    double support = filters[filter].support * filter_scale, inverse = 1.0 / filter_scale;
    for (size_t i = 0; i < out; i++) {
        double center = ((double)i + 0.5) * scale, sum = 0.0;
        double low = center - support + 0.5, high = center + support + 0.5;
        size_t first = low < 0 ? 0 : (size_t)low;
        size_t last = high < (double)in ? (size_t)high : in;
        size_t count = last > first ? last - first : 0;
        if (count > a->taps) count = a->taps;
        for (size_t k = 0; k < count; k++) {
            scratch[k] = filters[filter].weight(((double)(k + first) - center + 0.5) * inverse);
            sum += scratch[k];
        }
        for (size_t k = 0; k < count; k++)
            a->weights[i * a->taps + k] = to_fixed(sum != 0.0 ? scratch[k] / sum : scratch[k]);
        a->first[i] = first;
        a->count[i] = count;
    }
}

static attn_status make_axis(axis *a, size_t in, size_t out, attn_filter filter,
                             attn_memory *memory, attn_error *err)
{
    double scale = (double)in / (double)out;
    double support = filters[filter].support * (scale < 1.0 ? 1.0 : scale);
    size_t bounds, weights, bytes;
    a->taps = (size_t)ceil(support) * 2 + 1;
    if (!attn_mul(out, 2 * sizeof(size_t), &bounds) || !attn_mul(out, a->taps, &weights) ||
        !attn_mul(weights, sizeof(int32_t), &weights) || !attn_add(bounds, weights, &bytes))
        return attn_fail(err, ATTN_NO_MEMORY, "resizing %zu to %zu pixels: too large", in, out);
    void *scratch;
    ATTN_TRY(attn_alloc(memory, a->taps * sizeof(double), "resizing an image", &scratch, err));
    attn_status status = attn_alloc(memory, bytes, "resizing an image", &a->block, err);
    if (!status) {
        a->bytes = bytes;
        a->first = a->block;
        a->count = a->first + out;
        a->weights = (int32_t *)(a->count + out);
        fill_axis(a, in, out, filter, scratch);
    }
    attn_release(memory, scratch, a->taps * sizeof(double));
    return status;
}

/* ---- passes ------------------------------------------------------------------------------- */

/* Sums are unsigned so that a filter's overshoot cannot overflow a signed integer. */
static uint8_t to_byte(uint32_t sum)
{
    int32_t value = (int32_t)sum >> PRECISION;
    return value < 0 ? 0 : value > 255 ? 255 : (uint8_t)value;
}

/* in: [rows, in_width, 3], out: [rows, out_width, 3] */
static void pass_horizontal(uint8_t *out, size_t out_width, const uint8_t *in, size_t in_width,
                            size_t rows, const axis *a)
{
    for (size_t y = 0; y < rows; y++) {
        const uint8_t *row = in + y * in_width * CHANNELS;
        for (size_t x = 0; x < out_width; x++, out += CHANNELS) {
            const int32_t *weight = a->weights + x * a->taps;
            const uint8_t *pixel = row + a->first[x] * CHANNELS;
            uint32_t r = 1u << (PRECISION - 1), g = r, b = r;
            for (size_t k = 0; k < a->count[x]; k++, pixel += CHANNELS) {
                uint32_t w = (uint32_t)weight[k];
                r += w * pixel[0];
                g += w * pixel[1];
                b += w * pixel[2];
            }
            out[0] = to_byte(r);
            out[1] = to_byte(g);
            out[2] = to_byte(b);
        }
    }
}

/* in: [.., row] from input row `base` on, out: [out_height, row], sums: [row] */
static void pass_vertical(uint8_t *out, size_t out_height, const uint8_t *in, size_t base,
                          size_t row, const axis *a, uint32_t *sums)
{
    for (size_t y = 0; y < out_height; y++, out += row) {
        const int32_t *weight = a->weights + y * a->taps;
        const uint8_t *source = in + (a->first[y] - base) * row;
        for (size_t x = 0; x < row; x++) sums[x] = 1u << (PRECISION - 1);
        for (size_t k = 0; k < a->count[y]; k++, source += row) {
            uint32_t w = (uint32_t)weight[k];
            for (size_t x = 0; x < row; x++) sums[x] += w * source[x];
        }
        for (size_t x = 0; x < row; x++) out[x] = to_byte(sums[x]);
    }
}

/* Pillow 13 starts with the height where that takes away much more than the width loses. */
static bool vertical_first(size_t in_height, size_t in_width, size_t out_height, size_t out_width)
{
    size_t less = in_width > out_width ? in_width - out_width : 0;
    return in_height > out_height && in_height - out_height > 2 * less;
}

/* Two passes; the horizontal one, when first, runs only on the rows that the vertical one reads. */
static attn_status resize_passes(uint8_t *out, size_t out_height, size_t out_width,
                                 const uint8_t *in, size_t in_width, bool vertical_is_first,
                                 const axis *horizontal, const axis *vertical, attn_memory *memory,
                                 attn_error *err)
{
    if (!vertical->block) {
        pass_horizontal(out, out_width, in, in_width, out_height, horizontal);
        return ATTN_OK;
    }
    size_t base = vertical->first[0], between = 0, bytes;
    size_t rows = vertical->first[out_height - 1] + vertical->count[out_height - 1] - base;
    size_t row = (vertical_is_first ? in_width : out_width) * CHANNELS; /* of the vertical pass */
    if ((horizontal->block && !attn_mul(vertical_is_first ? out_height : rows, row, &between)) ||
        !attn_add(between, row * sizeof(uint32_t) + 64, &bytes))
        return attn_fail(err, ATTN_NO_MEMORY, "resizing to %zu x %zu pixels: too large", out_width,
                         out_height);
    void *block;
    ATTN_TRY(attn_alloc(memory, bytes, "resizing an image", &block, err));
    uint32_t *sums = block;
    uint8_t *middle = (uint8_t *)block + row * sizeof(uint32_t);
    in += base * in_width * CHANNELS;
    if (!horizontal->block) {
        pass_vertical(out, out_height, in, base, row, vertical, sums);
    } else if (vertical_is_first) {
        pass_vertical(middle, out_height, in, base, row, vertical, sums);
        pass_horizontal(out, out_width, middle, in_width, out_height, horizontal);
    } else {
        pass_horizontal(middle, out_width, in, in_width, rows, horizontal);
        pass_vertical(out, out_height, middle, base, row, vertical, sums);
    }
    attn_release(memory, block, bytes);
    return ATTN_OK;
}

static attn_status resize_nearest(uint8_t *out, size_t out_height, size_t out_width,
                                  const uint8_t *in, size_t in_height, size_t in_width,
                                  attn_memory *memory, attn_error *err)
{
    void *block;
    ATTN_TRY(attn_alloc(memory, out_width * sizeof(size_t), "resizing an image", &block, err));
    size_t *column = block;
    double step_x = (double)in_width / (double)out_width, x_in = step_x * 0.5;
    double step_y = (double)in_height / (double)out_height, y_in = step_y * 0.5;
    for (size_t x = 0; x < out_width; x++, x_in += step_x) column[x] = (size_t)x_in;
    for (size_t y = 0; y < out_height; y++, y_in += step_y) {
        size_t row = (size_t)y_in;
        for (size_t x = 0; x < out_width; x++, out += CHANNELS) {
            /* The rounding of the summed coordinate may step over the edge: black, as Pillow. */
            if (row < in_height && column[x] < in_width)
                memcpy(out, in + (row * in_width + column[x]) * CHANNELS, CHANNELS);
            else
                memset(out, 0, CHANNELS);
        }
    }
    attn_release(memory, block, out_width * sizeof(size_t));
    return ATTN_OK;
}

attn_status attn_resize(uint8_t *out, size_t out_height, size_t out_width, const uint8_t *in,
                        size_t in_height, size_t in_width, attn_filter filter, attn_memory *memory,
                        attn_error *err)
{
    if (!out_height || !out_width || !in_height || !in_width || out_height > MAX_SIDE ||
        out_width > MAX_SIDE || in_height > MAX_SIDE || in_width > MAX_SIDE)
        return attn_fail(err, ATTN_BAD_ARGUMENT,
                         "resizing %zu x %zu to %zu x %zu pixels: "
                         "sides are 1 to 2^30",
                         in_width, in_height, out_width, out_height);
    if ((unsigned)filter >= ATTN_FILTER_COUNT && filter != ATTN_FILTER_OPENCV_LINEAR)
        return attn_fail(err, ATTN_BAD_ARGUMENT, "resizing: unknown filter %d", (int)filter);
    if (in_height == out_height && in_width == out_width) {
        memcpy(out, in, out_height * out_width * CHANNELS);
        return ATTN_OK;
    }
    if (filter == ATTN_FILTER_OPENCV_LINEAR)
        return attn_resize_opencv(out, out_height, out_width, in, in_height, in_width, memory, err);
    if (filter == ATTN_FILTER_NEAREST)
        return resize_nearest(out, out_height, out_width, in, in_height, in_width, memory, err);
    axis horizontal = {0}, vertical = {0};
    attn_status status = ATTN_OK;
    if (in_width != out_width)
        status = make_axis(&horizontal, in_width, out_width, filter, memory, err);
    if (!status && in_height != out_height)
        status = make_axis(&vertical, in_height, out_height, filter, memory, err);
    if (!status)
        status = resize_passes(out, out_height, out_width, in, in_width,
                               vertical_first(in_height, in_width, out_height, out_width),
                               &horizontal, &vertical, memory, err);
    attn_release(memory, vertical.block, vertical.bytes);
    attn_release(memory, horizontal.block, horizontal.bytes);
    return status;
}
