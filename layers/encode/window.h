/* A window that slides along one axis, for convolution and pooling.
 *   out = (in + before + after - (dilation * (kernel - 1) + 1)) / stride + 1, rounded down
 * With `same`, out = in / stride rounded up, and the padding is what that takes, the odd one
 * at the end (as torch's padding="same" and TensorFlow's SAME). */
#ifndef ATTN_WINDOW_H
#define ATTN_WINDOW_H

#include "layers/layer.h"

typedef struct attn_window {
    size_t kernel, stride, dilation, before, after;
    bool same;
} attn_window;

/* Reads "stride" (default 1; when pooling the kernel), "dilation" (not when pooling), "padding":
 * one number, one per axis, or before and after ([top, left, bottom, right] for two axes); or
 * "same_padding". axes: 1 or 2; the caller has set kernel (at most 2^20 when pooling). */
attn_status attn_read_window(attn_reader *r, attn_window *w, int axes, bool pooling);

/* Places the window on `in` elements: *before of padding, *out positions. Errors: it does not fit,
 * or the numbers overflow. */
attn_status attn_window_fit(attn_infer *c, const attn_window *w, size_t in, size_t *before,
                            size_t *out);
/* The same where attn_window_fit has succeeded. */
void attn_window_place(const attn_window *w, size_t in, size_t *before, size_t *out);

#endif
