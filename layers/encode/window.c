#include "layers/encode/window.h"

#define MOST (1L << 20)

static attn_status read_padding(attn_reader *r, attn_windows *w, int axes)
{
    int most = 2 * (axes ? axes : ATTN_WINDOW_AXES);
    ATTN_TRY(attn_read_ints(r, "padding", 0, MOST, false, most, w->pad, &w->pads));
    ATTN_TRY(attn_read_bool(r, "same_padding", &w->same));
    if (w->same) ATTN_TRY(attn_read_bool(r, "same_lower", &w->lower));
    bool counts = w->pads == 1 || w->pads == axes || w->pads == 2 * axes || axes == 0;
    if (attn_has_key(r, "padding") && (w->same || !counts))
        return attn_reader_fail(r, "\"padding\" has %d numbers%s, expected 1, %d or %d", w->pads,
                                w->same ? " beside \"same_padding\"" : "", axes, 2 * axes);
    return ATTN_OK;
}

attn_status attn_read_windows(attn_reader *r, attn_windows *w, int axes, bool pooling)
{
    int most = axes ? axes : ATTN_WINDOW_AXES;
    w->pooling = pooling;
    ATTN_TRY(attn_read_ints(r, "stride", 1, MOST, false, most, w->stride, &w->strides));
    ATTN_TRY(attn_read_ints(r, "dilation", 1, MOST, false, most, w->dilation, &w->dilations));
    return read_padding(r, w, axes);
}

/* Number i of a list, or of the one that stands for all. */
static size_t entry(const long *list, int count, int i, size_t otherwise)
{
    return count == 0 ? otherwise : (size_t)list[count == 1 ? 0 : i];
}

/* All but the padding of `same`, and out. */
static attn_window start_window(const attn_windows *w, int axes, int i, size_t kernel, size_t in)
{
    int after = w->pads == 2 * axes ? i + axes : i;
    return (attn_window){.kernel = kernel,
                         .stride = entry(w->stride, w->strides, i, w->pooling ? kernel : 1),
                         .dilation = entry(w->dilation, w->dilations, i, 1),
                         .before = entry(w->pad, w->pads, i, 0),
                         .after = entry(w->pad, w->pads, after, 0),
                         .in = in};
}

static void place(const attn_windows *w, attn_window *a)
{
    size_t span = a->dilation * (a->kernel - 1) + 1;
    if (w->same) {
        a->out = a->in / a->stride + (a->in % a->stride != 0);
        size_t need = (a->out - 1) * a->stride + span;
        need = need > a->in ? need - a->in : 0;
        a->before = w->lower ? need - need / 2 : need / 2;
        a->after = need - a->before;
        return;
    }
    size_t room = a->in + a->before + a->after - span;
    a->out = room / a->stride + 1;
    if (w->ceil && room % a->stride != 0 && a->out * a->stride < a->in + a->before) a->out++;
}

void attn_place_windows(const attn_windows *w, int axes, const size_t *kernel, const size_t *in,
                        attn_window *out)
{
    for (int i = 0; i < ATTN_WINDOW_AXES; i++)
        out[i] = (attn_window){.kernel = 1, .stride = 1, .dilation = 1, .in = 1, .out = 1};
    for (int i = 0; i < axes; i++) {
        attn_window *a = &out[ATTN_WINDOW_AXES - axes + i];
        *a = start_window(w, axes, i, kernel[i], in[i]);
        place(w, a);
    }
}

attn_status attn_fit_windows(attn_infer *c, const attn_windows *w, int axes, const size_t *kernel,
                             const size_t *in, attn_window *out)
{
    const int counts[] = {w->strides, w->dilations, w->pads == 2 * axes ? 0 : w->pads};
    for (int i = 0; i < 3; i++)
        if (counts[i] > 1 && counts[i] != axes)
            return attn_infer_fail(c, "\"%s\" has %d numbers for %d axes",
                                   i == 0   ? "stride"
                                   : i == 1 ? "dilation"
                                            : "padding",
                                   counts[i], axes);
    for (int i = 0; i < axes; i++) {
        attn_window a = start_window(w, axes, i, kernel[i], in[i]);
        size_t span, padded;
        if (!attn_mul(a.dilation, a.kernel - 1, &span) || !attn_add(span, 1, &span) ||
            !attn_add(a.in, a.before + a.after, &padded) || padded > (size_t)1 << 40 ||
            span > (size_t)1 << 40)
            return attn_infer_fail(c, "a window of %zu over %zu is too large", a.kernel, a.in);
        if (!w->same && padded < span)
            return attn_infer_fail(
                c, "a window of %zu (dilation %zu) does not fit into %zu + %zu + %zu", a.kernel,
                a.dilation, a.in, a.before, a.after);
    }
    attn_place_windows(w, axes, kernel, in, out);
    return ATTN_OK;
}
