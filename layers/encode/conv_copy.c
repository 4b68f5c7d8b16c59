#include "layers/encode/conv.h"

#include <string.h>

enum { CHUNK = 16 }; /* floats that are copied at a time, or more than a row needs */

attn_conv_copy attn_conv_cut_copy(const attn_conv_size *s, size_t rows)
{
    attn_conv_copy t;
    t.run = s->x.out + s->x.dilation * (s->x.kernel - 1) / s->x.stride;
    t.pitch = t.run * s->x.stride;
    t.rows = (rows - 1) * s->y.stride + s->y.dilation * (s->y.kernel - 1) + 1;
    return t;
}

attn_status attn_conv_fit_copy(attn_infer *c, const attn_conv_size *s, size_t rows, size_t *floats)
{
    size_t run, copied, taps;
    if (attn_mul(s->x.dilation, s->x.kernel, &run) && attn_add(run, s->x.out, &run) &&
        attn_mul(run, s->x.stride, floats) && attn_mul(s->y.dilation, s->y.kernel, &taps) &&
        attn_mul(rows, s->y.stride, &copied) && attn_add(taps, copied, &copied) &&
        attn_mul(*floats, copied, floats) && attn_mul(*floats, s->z.kernel, floats) &&
        attn_mul(*floats, s->group_in, floats) && *floats < SIZE_MAX / 8) {
        attn_conv_copy t = attn_conv_cut_copy(s, rows);
        *floats = t.rows * t.pitch * s->z.kernel * s->group_in + ATTN_TAPS_BEHIND;
        return ATTN_OK;
    }
    return attn_infer_fail(c, "windows of %zu x %zu are too large", s->y.kernel, s->x.kernel);
}

void attn_conv_offsets(const attn_conv_size *s, const attn_conv_copy *t, size_t *offset)
{
    for (size_t k = 0; k < s->k; k++) {
        size_t x = k % s->x.kernel * s->x.dilation, rest = k / s->x.kernel;
        size_t y = rest % s->y.kernel * s->y.dilation, plane = rest / s->y.kernel;
        offset[k] = (plane * t->rows + y) * t->pitch + x % s->x.stride * t->run + x / s->x.stride;
    }
}

static void copy_floats(float *to, const float *from, size_t n, const float *end)
{
    size_t i = 0;
    for (; i < n && (size_t)(end - from) >= i + CHUNK; i += CHUNK)
        memcpy(to + i, from + i, CHUNK * sizeof(float));
    if (i < n) memcpy(to + i, from + i, (n - i) * sizeof(float));
}

typedef float four __attribute__((vector_size(16)));

/* to[i] = from[2 i] and odd[i] = from[2 i + 1] */
static void split_pairs(float *even, float *odd, const float *from, size_t n)
{
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        four a, b, c;
        memcpy(&a, from + 2 * i, sizeof a);
        memcpy(&b, from + 2 * i + 4, sizeof b);
        c = __builtin_shufflevector(a, b, 0, 2, 4, 6);
        memcpy(even + i, &c, sizeof c);
        c = __builtin_shufflevector(a, b, 1, 3, 5, 7);
        memcpy(odd + i, &c, sizeof c);
    }
    for (; i < n; i++) {
        even[i] = from[2 * i];
        odd[i] = from[2 * i + 1];
    }
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

/* The runs of a row with a stride. */
static void copy_runs(float *to, const float *row, const attn_window *w, size_t run)
{
    size_t low[2] = {0}, high[2] = {0};
    for (size_t r = 0; r < w->stride; r++) {
        float *y = to + r * run;
        size_t first, end;
        clip_run(w, run, r, &first, &end);
        for (size_t i = 0; i < first; i++) y[i] = 0;
        for (size_t i = end; i < run; i++) y[i] = 0;
        if (w->stride != 2) {
            copy_run(y, row, w, r, first, end);
            continue;
        }
        low[r] = first;
        high[r] = end;
    }
    if (w->stride != 2) return;
    size_t first = low[0] > low[1] ? low[0] : low[1], end = high[0] < high[1] ? high[0] : high[1];
    if (end < first) end = first;
    for (size_t r = 0; r < 2; r++) {
        copy_run(to + r * run, row, w, r, low[r], first < high[r] ? first : high[r]);
        copy_run(to + r * run, row, w, r, end > low[r] ? end : low[r], high[r]);
    }
    if (first < end)
        split_pairs(to + first, to + run + first, row + (2 * first - w->before), end - first);
}

void attn_conv_copy_rows(const attn_conv_size *s, const attn_conv_copy *t, float *to,
                         const float *plane, const float *end, size_t first, size_t rows)
{
    const attn_window *w = &s->x;
    size_t count = (rows - 1) * s->y.stride + s->y.dilation * (s->y.kernel - 1) + 1;
    for (size_t i = 0; i < count; i++, to += t->pitch) {
        size_t y = first * s->y.stride + i - s->y.before;
        if (!plane || y >= s->y.in) {
            memset(to, 0, t->pitch * sizeof(float));
        } else if (w->stride > 1) {
            copy_runs(to, plane + y * w->in, w, t->run);
        } else {
            size_t before = w->before < t->run ? w->before : t->run;
            size_t n = w->in < t->run - before ? w->in : t->run - before;
            for (size_t k = 0; k < before; k++) to[k] = 0;
            copy_floats(to + before, plane + y * w->in, n, end);
            for (size_t k = before + n; k < t->run; k++) to[k] = 0;
        }
    }
}
