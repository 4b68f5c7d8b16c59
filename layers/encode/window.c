#include "layers/encode/window.h"

#define MOST (1L << 20)

/* "key": one number for all axes or one for each. Values stay as they are if the key is absent. */
static attn_status read_each(attn_reader *r, const char *key, int axes, long *values)
{
    long read[2];
    int count;
    ATTN_TRY(attn_read_ints(r, key, 1, MOST, false, axes, read, &count));
    for (int i = 0; count && i < axes; i++) values[i] = read[count == 1 ? 0 : i];
    return ATTN_OK;
}

static attn_status read_padding(attn_reader *r, attn_window *w, int axes)
{
    long pad[4];
    int count;
    bool same = false;
    ATTN_TRY(attn_read_ints(r, "padding", 0, MOST, false, 2 * axes, pad, &count));
    ATTN_TRY(attn_read_bool(r, "same_padding", &same));
    if (attn_has_key(r, "padding") && (same || (count != 1 && count != axes && count != 2 * axes)))
        return attn_reader_fail(r, "\"padding\" has %d numbers%s, expected 1, %d or %d", count,
                                same ? " beside \"same_padding\"" : "", axes, 2 * axes);
    for (int i = 0; i < axes; i++) {
        /* [before, after] for one axis, [top, left, bottom, right] for two. */
        int before = count == 1 ? 0 : i, after = count == 2 * axes ? i + axes : before;
        w[i].before = count ? (size_t)pad[before] : 0;
        w[i].after = count ? (size_t)pad[after] : 0;
        w[i].same = same;
    }
    return ATTN_OK;
}

attn_status attn_read_window(attn_reader *r, attn_window *w, int axes, bool pooling)
{
    long stride[2] = {1, 1}, dilation[2] = {1, 1};
    for (int i = 0; pooling && i < axes; i++) stride[i] = (long)w[i].kernel;
    ATTN_TRY(read_each(r, "stride", axes, stride));
    if (!pooling) ATTN_TRY(read_each(r, "dilation", axes, dilation));
    for (int i = 0; i < axes; i++) {
        w[i].stride = (size_t)stride[i];
        w[i].dilation = (size_t)dilation[i];
    }
    return read_padding(r, w, axes);
}

void attn_window_place(const attn_window *w, size_t in, size_t *before, size_t *out)
{
    size_t span = w->dilation * (w->kernel - 1) + 1;
    if (!w->same) {
        *before = w->before;
        *out = (in + w->before + w->after - span) / w->stride + 1;
        return;
    }
    *out = in / w->stride + (in % w->stride != 0);
    size_t need = (*out - 1) * w->stride + span;
    *before = need > in ? (need - in) / 2 : 0;
}

attn_status attn_window_fit(attn_infer *c, const attn_window *w, size_t in, size_t *before,
                            size_t *out)
{
    size_t span, padded;
    if (!attn_mul(w->dilation, w->kernel - 1, &span) || !attn_add(span, 1, &span) ||
        !attn_add(in, w->before + w->after, &padded) || padded > (size_t)1 << 40 ||
        span > (size_t)1 << 40)
        return attn_infer_fail(c, "a window of %zu over %zu is too large", w->kernel, in);
    if (!w->same && padded < span)
        return attn_infer_fail(c,
                               "a window of %zu (dilation %zu) does not fit into %zu + %zu + %zu",
                               w->kernel, w->dilation, in, w->before, w->after);
    attn_window_place(w, in, before, out);
    return ATTN_OK;
}
