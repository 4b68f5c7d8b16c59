/* pool and pool2d: what one to three axes' windows hold: the maximum, the mean, or (pool) the
 * p-norm. x: [..., spatial], y: [..., spatial']; pool2d: x [..., H, W]. With "global" the windows
 * are all of the axes from the third on (x: [N, C, spatial]).
 * Outside x: nothing for "max" and "lp"; for "mean" zeros that count (as torch), or that do not
 * with "count_include_pad": false. A window is reduced down its columns first, then along the row;
 * one that takes no element gives -infinity as a maximum, 0 otherwise.
 * indices, of "max": i32 places in x [batch..., spatial] as a whole; of equal elements the first.
 */
#include "layers/encode/window.h"
#include "layers/support.h"

#include <math.h>
#include <string.h>

enum { POOL_MAX, POOL_MEAN, POOL_LP };

typedef struct pool_params {
    int kind, axes;
    bool global, count_padding, by_column, indices;
    float p;
    size_t kernel[ATTN_WINDOW_AXES];
    attn_windows windows;
} pool_params;

static attn_status read_kernel(attn_reader *r, pool_params *p, int axes)
{
    long kernel[ATTN_WINDOW_AXES];
    int count;
    ATTN_TRY(attn_read_ints(r, "kernel", 1, 1L << 20, false, axes ? axes : ATTN_WINDOW_AXES, kernel,
                            &count));
    if (!count) return attn_reader_fail(r, "the key \"kernel\" is missing");
    p->axes = axes ? axes : count;
    for (int i = 0; i < p->axes; i++) p->kernel[i] = (size_t)kernel[count == 1 ? 0 : i];
    ATTN_TRY(attn_read_windows(r, &p->windows, p->axes, true));
    for (int i = 0; axes && i < 2 * p->axes && p->windows.pads; i++) {
        size_t pad = (size_t)p->windows.pad[p->windows.pads == 1 ? 0 : i % p->windows.pads];
        if (pad >= p->kernel[i % p->axes])
            return attn_reader_fail(r, "padding %zu must be smaller than the kernel %zu", pad,
                                    p->kernel[i % p->axes]);
    }
    return attn_read_bool(r, "ceil_mode", &p->windows.ceil);
}

static attn_status parse(attn_reader *r, pool_params *p, int axes)
{
    static const char *const kinds[] = {"max", "mean", "lp", NULL};
    size_t outputs;
    p->count_padding = true;
    p->p = 2;
    ATTN_TRY(attn_need_inputs(r, 1, 1, NULL));
    ATTN_TRY(attn_need_outputs(r, 1, 2, &outputs));
    ATTN_TRY(attn_need_word(r, "kind", kinds, &p->kind));
    p->indices = outputs == 2;
    if (p->indices && p->kind != POOL_MAX)
        return attn_reader_fail(r, "a second output is of \"max\" only");
    if (p->indices) ATTN_TRY(attn_read_bool(r, "by_column", &p->by_column));
    if (p->kind == POOL_LP) ATTN_TRY(attn_read_float(r, "p", 1e-3, 1e6, &p->p));
    if (!axes) ATTN_TRY(attn_read_bool(r, "global", &p->global));
    if (p->global) return ATTN_OK;
    ATTN_TRY(read_kernel(r, p, axes));
    if (p->kind != POOL_MEAN) return ATTN_OK;
    return attn_read_bool(r, "count_include_pad", &p->count_padding);
}

static attn_status pool_parse(attn_reader *r, void *params)
{
    return parse(r, params, 0);
}
static attn_status pool2d_parse(attn_reader *r, void *params)
{
    return parse(r, params, 2);
}

/* The windows, or for a global pool one of all elements along x. */
static void place(const pool_params *p, const attn_shape *x, attn_window *w)
{
    if (!p->global) {
        attn_place_windows(&p->windows, p->axes, p->kernel, x->dim + x->rank - p->axes, w);
        return;
    }
    size_t all = attn_span(x, 2, x->rank);
    attn_place_windows(&p->windows, 1, &all, &all, w);
}

/* Elements that all windows of an axis reach over, with the padding. */
static size_t padded_length(const attn_window *w)
{
    return (w->out - 1) * w->stride + (w->kernel - 1) * w->dilation + 1;
}

static attn_status pool_infer(attn_infer *c, const void *params)
{
    const pool_params *p = params;
    const attn_shape *x = &c->in[0];
    attn_window w[ATTN_WINDOW_AXES];
    size_t count, all;
    ATTN_TRY(attn_want_filled(c, 0, ATTN_F32, p->global ? 2 : p->axes, ATTN_MAX_RANK));
    ATTN_TRY(attn_want_count(c, x, &all));
    c->out[0] = *x;
    if (p->global) {
        for (int i = 2; i < x->rank; i++) c->out[0].dim[i] = 1;
        place(p, x, w);
    } else {
        ATTN_TRY(
            attn_fit_windows(c, &p->windows, p->axes, p->kernel, x->dim + x->rank - p->axes, w));
        for (int i = 0; i < p->axes; i++)
            c->out[0].dim[x->rank - p->axes + i] = w[ATTN_WINDOW_AXES - p->axes + i].out;
    }
    if (p->indices) {
        c->out[1] = c->out[0];
        c->out[1].dtype = ATTN_I32;
        if (all > INT32_MAX)
            return attn_infer_fail(c, "%zu elements are more than i32 counts", all);
    }
    ATTN_TRY(attn_want_count(c, &c->out[0], &count));
    c->flops = (double)count * (double)w[0].kernel * (double)w[1].kernel * (double)w[2].kernel;
    return attn_add_scratch(c, 2 * (w[2].in + padded_length(&w[2])), sizeof(float),
                            &c->worker_scratch);
}

/* ---- one row of y -------------------------------------------------------------------------- */

typedef struct pool_row {
    const attn_run_context *c;
    const pool_params *p;
    attn_window w[ATTN_WINDOW_AXES];
} pool_row;

/* |x|^p */
static void raise(const pool_row *j, float *to, const float *x)
{
    size_t n = j->w[2].in;
    if (j->p->p == 1 || j->p->p == 2)
        j->c->kernels->unary(j->p->p == 1 ? ATTN_ABS : ATTN_SQUARE, to, x, n);
    else
        for (size_t i = 0; i < n; i++) to[i] = (float)pow(fabs((double)x[i]), (double)j->p->p);
}

/* All rows of x that a row of y takes, as one: in column, or the only one where it lies. */
static const float *reduce_columns(const pool_row *j, const float *x, size_t z, size_t y,
                                   float *column)
{
    const attn_window *wz = &j->w[0], *wy = &j->w[1];
    size_t width = j->w[2].in, first_z, end_z, first_y, end_y;
    float *raised = column + width;
    const float *all = NULL;
    attn_clip_window(wz, z, &first_z, &end_z);
    attn_clip_window(wy, y, &first_y, &end_y);
    for (size_t kz = first_z; kz < end_z; kz++)
        for (size_t ky = first_y; ky < end_y; ky++) {
            size_t row = (z * wz->stride + kz * wz->dilation - wz->before) * wy->in +
                         (y * wy->stride + ky * wy->dilation - wy->before);
            const float *from = x + row * width;
            if (j->p->kind == POOL_LP) {
                raise(j, all ? raised : column, from);
                from = all ? raised : column;
            }
            if (all)
                j->c->kernels->binary(j->p->kind == POOL_MAX ? ATTN_BIN_MAX : ATTN_BIN_ADD, column,
                                      all, 1, from, 1, width);
            all = all ? column : from;
        }
    if (all) return all;
    for (size_t i = 0; i < width; i++) column[i] = j->p->kind == POOL_MAX ? -INFINITY : 0;
    return column;
}

/* Elements of window `at` that lie in the input or in the padding. */
static size_t padded_count(const attn_window *w, size_t at)
{
    size_t room = w->before + w->in + w->after - at * w->stride;
    size_t count = w->dilation == 1 ? room : (room - 1) / w->dilation + 1;
    return count < w->kernel ? count : w->kernel;
}

static size_t inner_count(const attn_window *w, size_t at)
{
    size_t first = at * w->stride, end, reach = (w->kernel - 1) * w->dilation;
    if (first >= w->before && first - w->before + reach < w->in) return w->kernel;
    attn_clip_window(w, at, &first, &end);
    return end - first;
}

/* The column with its padding around it: in `to`, or as it is. */
static const float *pad_column(const pool_row *j, const float *column, float *to)
{
    const attn_window *w = &j->w[2];
    float outside = j->p->kind == POOL_MAX ? -INFINITY : 0;
    size_t length = padded_length(w), before = w->before < length ? w->before : length;
    size_t n = w->in < length - before ? w->in : length - before;
    if (n == length) return column;
    for (size_t i = 0; i < before; i++) to[i] = outside;
    memcpy(to + before, column, n * sizeof(float));
    for (size_t i = before + n; i < length; i++) to[i] = outside;
    return to;
}

static void pick(float *to, const float *x, size_t stride, size_t n)
{
    for (size_t i = 0; i < n; i++) to[i] = x[i * stride];
}

/* A window's elements from the first on, one after the other. Windows that lie close are reduced at
 * every place, as those are neighbours, and then picked; of others the elements are picked first.
 * all: [padded_length], for what is not picked yet. */
static void reduce_windows(const pool_row *j, const float *x, float *all, float *to)
{
    enum { CLOSE = 4 };
    const attn_window *w = &j->w[2];
    attn_binary op = j->p->kind == POOL_MAX ? ATTN_BIN_MAX : ATTN_BIN_ADD;
    bool close = w->stride <= CLOSE;
    size_t count = close ? (w->out - 1) * w->stride + 1 : w->out;
    float *y = close && w->stride > 1 ? all : to;
    if (!close)
        pick(y, x, w->stride, count);
    else if (w->kernel == 1)
        memcpy(y, x, count * sizeof(float));
    for (size_t k = 1; k < w->kernel; k++) {
        const float *next = x + k * w->dilation;
        if (!close) {
            pick(all, next, w->stride, count);
            next = all;
        }
        j->c->kernels->binary(op, y, next, 1, close && k == 1 ? x : y, 1, count);
    }
    if (y == all) pick(to, all, w->stride, w->out);
}

/* Sums to means; runs of windows of one count at a time. */
static void divide_row(const pool_row *j, float *to, size_t z, size_t y)
{
    const attn_window *w = &j->w[2];
    size_t (*count)(const attn_window *, size_t) = j->p->count_padding ? padded_count : inner_count;
    size_t rows = count(&j->w[0], z) * count(&j->w[1], y), reach = (w->kernel - 1) * w->dilation;
    size_t room = w->before + w->in + (j->p->count_padding ? w->after : 0);
    size_t whole =
        room > reach ? (room - reach - 1) / w->stride + 1 : 0; /* those before end in it */
    for (size_t i = 0, end; i < w->out; i = end) {
        size_t n = rows * count(w, i);
        float divisor = n ? (float)n : 1; /* a window of nothing is 0 */
        end = count(w, i) == w->kernel && whole > i ? whole : i + 1;
        if (end > w->out) end = w->out;
        j->c->kernels->binary(ATTN_BIN_DIV, to + i, to + i, 1, &divisor, 0, end - i);
    }
}

static void reduce_row(const pool_row *j, const float *padded, float *all, float *to, size_t z,
                       size_t y)
{
    const pool_params *p = j->p;
    reduce_windows(j, padded, all, to);
    if (p->kind == POOL_MEAN) divide_row(j, to, z, y);
    if (p->kind != POOL_LP || p->p == 1) return;
    for (size_t i = 0; i < j->w[2].out; i++)
        to[i] = p->p == 2 ? sqrtf(to[i]) : (float)pow((double)to[i], 1 / (double)p->p);
}

/* One window over all of x, which is a row. */
static float reduce_all(const pool_row *j, const float *x, float *raised)
{
    const attn_kernels *kernels = j->c->kernels;
    size_t n = j->w[2].in;
    if (j->p->kind == POOL_MAX) return kernels->max(x, n);
    if (j->p->kind == POOL_MEAN) return kernels->sum(x, n) / (float)n;
    raise(j, raised, x);
    float sum = kernels->sum(raised, n);
    return j->p->p == 1   ? sum
           : j->p->p == 2 ? sqrtf(sum)
                          : (float)pow((double)sum, 1 / (double)j->p->p);
}

/* Where the maximum of a window lies in the image x; *value is -infinity if it takes none. */
static size_t find_max(const attn_window *w, const float *x, const size_t *at, float *value)
{
    size_t first[3], end[3], best = 0;
    bool none = true;
    *value = -INFINITY;
    for (int i = 0; i < 3; i++) attn_clip_window(&w[i], at[i], &first[i], &end[i]);
    for (size_t kz = first[0]; kz < end[0]; kz++)
        for (size_t ky = first[1]; ky < end[1]; ky++)
            for (size_t kx = first[2]; kx < end[2]; kx++) {
                const size_t k[3] = {kz, ky, kx};
                size_t index = 0;
                for (int i = 0; i < 3; i++)
                    index = index * w[i].in +
                            (at[i] * w[i].stride + k[i] * w[i].dilation - w[i].before);
                if (none || x[index] > *value || (x[index] != x[index] && *value == *value)) {
                    *value = x[index];
                    best = index;
                }
                none = false;
            }
    return best;
}

/* Of an index in an image by rows: the one where the first axis runs fastest. */
static size_t index_by_column(const attn_window *w, size_t index)
{
    size_t x = index % w[2].in, y = index / w[2].in % w[1].in, z = index / w[2].in / w[1].in;
    return (x * w[1].in + y) * w[0].in + z;
}

/* Rows [first, end) of all rows of y. */
static void pool_task(const attn_run_context *c, const void *params, size_t item, size_t first,
                      size_t end, size_t worker)
{
    pool_row j = {.c = c, .p = params};
    float *column = attn_worker_scratch(c, worker);
    place(j.p, &c->in[0].shape, j.w);
    size_t image = j.w[0].in * j.w[1].in * j.w[2].in, rows = j.w[0].out * j.w[1].out;
    for (size_t i = first; i < end; i++) {
        size_t z = i % rows / j.w[1].out, y = i % j.w[1].out;
        const float *x = attn_item(&c->in[0], item) + i / rows * image;
        float *to = attn_item(&c->out[0], item) + i * j.w[2].out;
        if (j.p->global) *to = reduce_all(&j, x, column);
        for (size_t k = 0; j.p->indices && k < j.w[2].out; k++) {
            size_t found = find_max(j.w, x, (const size_t[]){z, y, k}, &to[k]);
            if (j.p->by_column) found = index_by_column(j.w, found);
            attn_item_i32(&c->out[1], item)[i * j.w[2].out + k] =
                (int32_t)(i / rows * image + found);
        }
        if (j.p->global || j.p->indices) continue;
        x = reduce_columns(&j, x, z, y, column);
        float *padded = column + 2 * j.w[2].in;
        x = pad_column(&j, x, padded);
        reduce_row(&j, x, padded + padded_length(&j.w[2]), to, z, y);
    }
}

static void pool_run(const attn_run_context *c, const void *params)
{
    attn_window w[ATTN_WINDOW_AXES];
    place(params, &c->in[0].shape, w);
    size_t rows = c->out[0].count / w[2].out;
    size_t cost = w[2].in * w[0].kernel * w[1].kernel + w[2].out * w[2].kernel;
    attn_each_rows(c, params, rows, attn_grain(cost), pool_task);
}

const attn_layer attn_layer_pool = {"pool",     ATTN_STEP_ENCODE, 0,       sizeof(pool_params),
                                    pool_parse, pool_infer,       pool_run};
const attn_layer attn_layer_pool2d = {"pool2d",     ATTN_STEP_ENCODE, 0,       sizeof(pool_params),
                                      pool2d_parse, pool_infer,       pool_run};
