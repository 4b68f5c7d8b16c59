/* pool2d: the maximum or mean over windows. x: [..., H, W], y: [..., H', W'].
 * Outside x: nothing for "max"; for "mean" zeros that count (as torch), or that do not with
 * "count_include_pad": false. A window is reduced down its columns first, then along the row. */
#include "layers/encode/window.h"
#include "layers/support.h"

#include <string.h>

enum { POOL_MAX, POOL_MEAN };

typedef struct pool2d_params {
    int kind;
    bool count_padding;
    attn_window window[2];
} pool2d_params;

static attn_status pool2d_parse(attn_reader *r, void *params)
{
    static const char *const kinds[] = {"max", "mean", NULL};
    pool2d_params *p = params;
    long kernel[2];
    int count;
    p->count_padding = true;
    ATTN_TRY(attn_need_inputs(r, 1, 1, NULL));
    ATTN_TRY(attn_need_outputs(r, 1, 1, NULL));
    ATTN_TRY(attn_need_word(r, "kind", kinds, &p->kind));
    ATTN_TRY(attn_read_ints(r, "kernel", 1, 1L << 20, false, 2, kernel, &count));
    if (!count) return attn_reader_fail(r, "the key \"kernel\" is missing");
    for (int i = 0; i < 2; i++) p->window[i].kernel = (size_t)kernel[count == 1 ? 0 : i];
    ATTN_TRY(attn_read_window(r, p->window, 2, true));
    for (int i = 0; i < 2; i++) {
        size_t before = p->window[i].before, after = p->window[i].after;
        size_t most = before > after ? before : after;
        if (most >= p->window[i].kernel)
            return attn_reader_fail(r, "padding %zu must be smaller than the kernel %zu", most,
                                    p->window[i].kernel);
    }
    if (p->kind != POOL_MEAN) return ATTN_OK;
    return attn_read_bool(r, "count_include_pad", &p->count_padding);
}

static attn_status pool2d_infer(attn_infer *c, const void *params)
{
    const pool2d_params *p = params;
    const attn_shape *x = &c->in[0];
    size_t before, count;
    ATTN_TRY(attn_want_filled(c, 0, ATTN_F32, 2, ATTN_MAX_RANK));
    c->out[0] = *x;
    for (int i = 0; i < 2; i++)
        ATTN_TRY(attn_window_fit(c, &p->window[i], x->dim[x->rank - 2 + i], &before,
                                 &c->out[0].dim[x->rank - 2 + i]));
    ATTN_TRY(attn_want_count(c, &c->out[0], &count));
    c->flops = (double)count * (double)p->window[0].kernel * (double)p->window[1].kernel;
    return attn_add_scratch(c, attn_last(x), sizeof(float), &c->worker_scratch);
}

/* The part of window `at` that lies in [0, in). Never empty: padding is smaller than the kernel. */
static void clip(const attn_window *w, size_t at, size_t before, size_t in, size_t *low,
                 size_t *high)
{
    size_t start = at * w->stride, end = start + w->kernel;
    *low = start > before ? start - before : 0;
    *high = end - before < in ? end - before : in;
}

static void reduce_row(const pool2d_params *p, const float *column, size_t width, size_t rows,
                       float *y, size_t out_width, size_t left)
{
    const attn_window *w = &p->window[1];
    for (size_t i = 0; i < out_width; i++) {
        size_t low, high;
        clip(w, i, left, width, &low, &high);
        float value = column[low];
        for (size_t j = low + 1; j < high; j++) {
            float next = column[j];
            if (p->kind == POOL_MEAN)
                value += next;
            else if (next > value || next != next)
                value = next;
        }
        size_t count = p->count_padding ? p->window[0].kernel * w->kernel : rows * (high - low);
        y[i] = p->kind == POOL_MEAN ? value / (float)count : value;
    }
}

/* Rows [first, end) of all rows of y. */
static void pool2d_task(const attn_run_context *c, const void *params, size_t item, size_t first,
                        size_t end, size_t worker)
{
    const pool2d_params *p = params;
    const attn_shape *s = &c->in[0].shape;
    size_t height = s->dim[s->rank - 2], width = s->dim[s->rank - 1];
    size_t top, left, out_height, out_width;
    float *column = attn_worker_scratch(c, worker);
    attn_binary op = p->kind == POOL_MEAN ? ATTN_BIN_ADD : ATTN_BIN_MAX;
    attn_window_place(&p->window[0], height, &top, &out_height);
    attn_window_place(&p->window[1], width, &left, &out_width);
    for (size_t i = first; i < end; i++) {
        const float *x = attn_item(&c->in[0], item) + i / out_height * height * width;
        size_t low, high;
        clip(&p->window[0], i % out_height, top, height, &low, &high);
        memcpy(column, x + low * width, width * sizeof(float));
        for (size_t j = low + 1; j < high; j++)
            c->kernels->binary(op, column, column, 1, x + j * width, 1, width);
        reduce_row(p, column, width, high - low, attn_item(&c->out[0], item) + i * out_width,
                   out_width, left);
    }
}

static void pool2d_run(const attn_run_context *c, const void *params)
{
    const pool2d_params *p = params;
    size_t width = attn_last(&c->in[0].shape);
    attn_each_rows(c, p, attn_rows(&c->out[0]),
                   attn_grain(width * (p->window[0].kernel + p->window[1].kernel)), pool2d_task);
}

const attn_layer attn_layer_pool2d = {
    "pool2d", ATTN_STEP_ENCODE, 0, sizeof(pool2d_params), pool2d_parse, pool2d_infer, pool2d_run};
