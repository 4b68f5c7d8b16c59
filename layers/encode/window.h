/* Windows that slide along up to three axes, for convolution and pooling. Along each:
 *   out = (in + before + after - (dilation * (kernel - 1) + 1)) / stride + 1, rounded down
 * With `ceil` rounded up, but no window starts behind the elements and the padding before them.
 * With `same`, out = in / stride rounded up, and the padding is what that takes, the odd one
 * at the end (as torch's padding="same" and TensorFlow's SAME), or with `lower` at the start. */
#ifndef ATTN_WINDOW_H
#define ATTN_WINDOW_H

#include "layers/layer.h"

enum { ATTN_WINDOW_AXES = 3 };

/* What the attributes say: counts of 0 (absent), 1 (for all axes), or one number for each axis. */
typedef struct attn_windows {
    long stride[ATTN_WINDOW_AXES], dilation[ATTN_WINDOW_AXES], pad[2 * ATTN_WINDOW_AXES];
    int strides, dilations, pads;
    bool pooling, same, lower, ceil;
} attn_windows;

/* One axis of an input. */
typedef struct attn_window {
    size_t kernel, stride, dilation, before, after, in, out;
} attn_window;

/* Reads "stride" (default 1; when pooling the kernel), "dilation", "padding": one number, one per
 * axis, or before and after ([top, left, bottom, right] for two axes); or "same_padding", and then
 * "same_lower". axes: 1 to 3, or 0 if the number is known in infer alone. */
attn_status attn_read_windows(attn_reader *r, attn_windows *w, int axes, bool pooling);

/* Places windows of `kernel` on `in` elements, both [axes]: the last axes of out, which has
 * ATTN_WINDOW_AXES (z, y, x); those before are 1. Errors: a window does not fit, or the numbers
 * overflow. */
attn_status attn_fit_windows(attn_infer *c, const attn_windows *w, int axes, const size_t *kernel,
                             const size_t *in, attn_window *out);
/* The same where attn_fit_windows has succeeded. */
void attn_place_windows(const attn_windows *w, int axes, const size_t *kernel, const size_t *in,
                        attn_window *out);

/* Of the elements that window `at` takes, [*first, *end) lie within the input, of the kernel's. */
static inline void attn_clip_window(const attn_window *w, size_t at, size_t *first, size_t *end)
{
    size_t start = at * w->stride, stop = w->before + w->in; /* counted from the padding on */
    size_t outside = start < w->before ? w->before - start : 0;
    size_t inside = start < stop ? stop - start : 0;
    if (w->dilation > 1) { /* a division is slow */
        outside = (outside + w->dilation - 1) / w->dilation;
        inside = (inside + w->dilation - 1) / w->dilation;
    }
    *first = outside;
    *end = inside;
    if (*end > w->kernel) *end = w->kernel;
    if (*first > *end) *first = *end;
}

#endif
