#include "layers/encode/conv.h"

#include <string.h>

enum { CHUNK = 16 }; /* floats that are copied at a time, or more than a row needs */
enum { LINE = 16 };  /* floats of a line of the cache */

attn_conv_copy attn_conv_cut_copy(const attn_conv_size *s, size_t rows, size_t columns)
{
    attn_conv_copy t;
    t.run = columns + s->x.dilation * (s->x.kernel - 1) / s->x.stride;
    t.pitch = t.run * s->x.stride;
    t.rows = (rows - 1) * s->y.stride + s->y.dilation * (s->y.kernel - 1) + 1;
    t.plane = ((t.rows * t.pitch + LINE - 1) / LINE | 1) * LINE;
    return t;
}

attn_status attn_conv_fit_copy(attn_infer *c, const attn_conv_size *s, size_t rows, size_t columns,
                               size_t *floats)
{
    size_t run, copied, taps;
    if (attn_mul(s->x.dilation, s->x.kernel, &run) && attn_add(run, columns, &run) &&
        attn_mul(run, s->x.stride, floats) && attn_mul(s->y.dilation, s->y.kernel, &taps) &&
        attn_mul(rows, s->y.stride, &copied) && attn_add(taps, copied, &copied) &&
        attn_mul(*floats, copied, floats) && attn_mul(*floats, s->z.kernel, floats) &&
        attn_mul(*floats, s->group_in, floats) && *floats < SIZE_MAX / 1024) {
        attn_conv_copy t = attn_conv_cut_copy(s, rows, columns);
        *floats = t.plane * s->z.kernel * s->group_in + ATTN_TAPS_BEHIND;
        return ATTN_OK;
    }
    return attn_infer_fail(c, "windows of %zu x %zu are too large", s->y.kernel, s->x.kernel);
}

void attn_conv_offsets(const attn_conv_size *s, const attn_conv_copy *t, size_t *offset)
{
    for (size_t plane = 0; plane < s->group_in * s->z.kernel; plane++) {
        for (size_t y = 0; y < s->y.kernel; y++) {
            size_t row = plane * t->plane + y * s->y.dilation * t->pitch, x = 0;
            for (size_t i = 0; i < s->x.kernel; i++, x += s->x.dilation)
                *offset++ = row + x % s->x.stride * t->run + x / s->x.stride;
        }
    }
}

static void copy_floats(float *to, const float *from, size_t n, const float *end)
{
    size_t i = 0;
    for (; i < n && (size_t)(end - from) >= i + CHUNK; i += CHUNK)
        memcpy(to + i, from + i, CHUNK * sizeof(float));
    if (i < n) memcpy(to + i, from + i, (n - i) * sizeof(float));
}

static inline size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}
static inline size_t most(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* The elements of run r that lie in the row: before <= r + i * stride < before + in. */
static void clip_run(const attn_window *w, size_t run, size_t r, size_t *first, size_t *end)
{
    *first = r < w->before ? (w->before - r + w->stride - 1) / w->stride : 0;
    *end = w->before + w->in > r ? (w->before + w->in - r - 1) / w->stride + 1 : 0;
    if (*end > run) *end = run;
    if (*first > *end) *first = *end;
}

static void copy_run(float *to, const float *row, const attn_window *w, size_t r, size_t first,
                     size_t end)
{
    for (size_t i = first; i < end; i++) to[i] = row[r + i * w->stride - w->before];
}

/* Of a run: its elements from x, [first, end). */
typedef struct run_clip {
    size_t first, end;
} run_clip;

/* Two runs, which take turns: clip [2], and the part that both have. */
static void copy_two_runs(const attn_kernels *kernels, float *to, const float *row,
                          const attn_window *w, size_t run, const run_clip *clip, run_clip both)
{
    for (size_t r = 0; r < 2; r++) {
        float *y = to + r * run;
        for (size_t i = 0; i < clip[r].first; i++) y[i] = 0;
        copy_run(y, row, w, r, clip[r].first, least(both.first, clip[r].end));
        copy_run(y, row, w, r, most(both.end, clip[r].first), clip[r].end);
        for (size_t i = clip[r].end; i < run; i++) y[i] = 0;
    }
    if (both.first < both.end)
        kernels->split(to + both.first, to + run + both.first, row + (2 * both.first - w->before),
                       both.end - both.first);
}

/* The runs of a row with another stride. */
static void copy_runs(float *to, const float *row, const attn_window *w, size_t run)
{
    for (size_t r = 0; r < w->stride; r++, to += run) {
        size_t first, end;
        clip_run(w, run, r, &first, &end);
        for (size_t i = 0; i < first; i++) to[i] = 0;
        copy_run(to, row, w, r, first, end);
        for (size_t i = end; i < run; i++) to[i] = 0;
    }
}

void attn_conv_copy_rows(const attn_kernels *kernels, const attn_conv_size *s,
                         const attn_conv_copy *t, float *to, const float *plane, const float *end,
                         size_t first, size_t rows, size_t column)
{
    attn_window local = s->x;
    const attn_window *w = &local;
    size_t width = s->x.in, skipped = column * w->stride, left = 0;
    if (skipped > w->before) left = least(skipped - w->before, width);
    local.before -= least(skipped, w->before);
    local.in -= left;
    if (plane) plane += left;
    size_t count = (rows - 1) * s->y.stride + s->y.dilation * (s->y.kernel - 1) + 1;
    run_clip clip[2], both = {0};
    if (w->stride == 2) {
        for (size_t r = 0; r < 2; r++) clip_run(w, t->run, r, &clip[r].first, &clip[r].end);
        both.first = most(clip[0].first, clip[1].first);
        both.end = most(both.first, least(clip[0].end, clip[1].end));
    }
    for (size_t i = 0; i < count; i++, to += t->pitch) {
        size_t y = first * s->y.stride + i - s->y.before;
        if (!plane || y >= s->y.in) {
            memset(to, 0, t->pitch * sizeof(float));
        } else if (w->stride == 2) {
            copy_two_runs(kernels, to, plane + y * width, w, t->run, clip, both);
        } else if (w->stride > 2) {
            copy_runs(to, plane + y * width, w, t->run);
        } else {
            size_t before = w->before < t->run ? w->before : t->run;
            size_t n = w->in < t->run - before ? w->in : t->run - before;
            for (size_t k = 0; k < before; k++) to[k] = 0;
            copy_floats(to + before, plane + y * width, n, end);
            for (size_t k = before + n; k < t->run; k++) to[k] = 0;
        }
    }
}

void attn_conv_copy_planes(const attn_kernels *kernels, const attn_conv_size *s,
                           const attn_conv_copy *t, float *to, const float *x, size_t z,
                           size_t first, size_t rows, size_t column)
{
    size_t plane = s->y.in * s->x.in;
    const float *end = x + s->group_in * s->plane;
    for (size_t i = 0; i < s->group_in * s->z.kernel; i++, to += t->plane) {
        size_t at = z * s->z.stride + i % s->z.kernel * s->z.dilation - s->z.before;
        const float *from = x + i / s->z.kernel * s->plane;
        attn_conv_copy_rows(kernels, s, t, to, at < s->z.in ? from + at * plane : NULL, end, first,
                            rows, column);
    }
}
