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

/* Rows of y that are reduced together: of one plane, and in the first-level cache. */
static size_t cut_rows(const attn_window *w)
{
    enum { MOST_FLOATS = 2048 };
    size_t rows = MOST_FLOATS / padded_length(&w[2]);
    if (rows < 1) rows = 1;
    return rows < w[1].out ? rows : w[1].out;
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
    if (p->global) return attn_add_scratch(c, w[2].in, sizeof(float), &c->worker_scratch);
    size_t floats = 2 * cut_rows(w) * padded_length(&w[2]);
    return attn_add_scratch(c, w[2].in + floats, sizeof(float), &c->worker_scratch);
}

/* ---- rows of y ----------------------------------------------------------------------------- */

typedef struct pool_job {
    const attn_run_context *c;
    const pool_params *p;
    attn_window w[ATTN_WINDOW_AXES];
    size_t pitch;   /* floats of a row with its padding */
    float *raised;  /* [in] of the last axis */
    float *columns; /* rows of x, reduced to those of y: [rows, pitch] */
    float *all;     /* windows at every place of these: the same size */
} pool_job;

/* |x|^p */
static void raise(const pool_job *j, float *to, const float *x, size_t n)
{
    if (j->p->p == 1 || j->p->p == 2)
        j->c->kernels->unary(j->p->p == 1 ? ATTN_ABS : ATTN_SQUARE, to, x, n);
    else
        for (size_t i = 0; i < n; i++) to[i] = (float)pow(fabs((double)x[i]), (double)j->p->p);
}

static void fill(float *to, size_t n, float value)
{
    for (size_t i = 0; i < n; i++) to[i] = value;
}

/* All rows of x that a row of y takes, as one, with the padding around it: to, [pitch]. */
static void reduce_columns(const pool_job *j, const float *x, size_t z, size_t y, float *to)
{
    const attn_window *wz = &j->w[0], *wy = &j->w[1], *w = &j->w[2];
    size_t first_z, end_z, first_y, end_y, rows = 0;
    size_t before = w->before < j->pitch ? w->before : j->pitch;
    size_t n = w->in < j->pitch - before ? w->in : j->pitch - before;
    attn_binary op = j->p->kind == POOL_MAX ? ATTN_BIN_MAX : ATTN_BIN_ADD;
    float outside = j->p->kind == POOL_MAX ? -INFINITY : 0, *column = to + before;
    const float *one = NULL;
    attn_clip_window(wz, z, &first_z, &end_z);
    attn_clip_window(wy, y, &first_y, &end_y);
    for (size_t kz = first_z; kz < end_z; kz++)
        for (size_t ky = first_y; ky < end_y; ky++, rows++) {
            size_t row = (z * wz->stride + kz * wz->dilation - wz->before) * wy->in +
                         (y * wy->stride + ky * wy->dilation - wy->before);
            const float *from = x + row * w->in;
            if (j->p->kind == POOL_LP) {
                raise(j, rows ? j->raised : column, from, n);
                from = rows ? j->raised : column;
            }
            if (rows)
                j->c->kernels->binary(op, column, rows > 1 ? column : one, 1, from, 1, n);
            else
                one = from;
        }
    if (rows == 0) fill(column, n, outside);
    if (rows == 1 && one != column) memcpy(column, one, n * sizeof(float));
    fill(to, before, outside);
    fill(column + n, j->pitch - before - n, outside);
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

static void pick(const pool_job *j, float *to, const float *x, size_t stride, size_t n)
{
    if (stride == 1) memcpy(to, x, n * sizeof(float));
    if (stride == 2) j->c->kernels->split(to, NULL, x, n);
    for (size_t i = 0; stride > 2 && i < n; i++) to[i] = x[i * stride];
}

/* The windows along j->columns, a window's elements from the first on, one after the other. Windows
 * that lie close are reduced at every place, as those are neighbours, in all rows together, and
 * then picked; of others the elements are picked first. */
static void reduce_windows(const pool_job *j, size_t rows, float *to)
{
    enum { CLOSE = 4 };
    const attn_window *w = &j->w[2];
    attn_binary op = j->p->kind == POOL_MAX ? ATTN_BIN_MAX : ATTN_BIN_ADD;
    bool close = w->stride <= CLOSE;
    size_t count = (rows - 1) * j->pitch + (w->out - 1) * w->stride + 1;
    size_t together = !close ? 1 : w->stride == 1 && w->kernel > 1 ? w->kernel - 1 : w->kernel;
    const float *x = j->columns;
    for (size_t k = 1; k < together; k++) {
        j->c->kernels->binary(op, j->all, j->columns + k * w->dilation, 1, x, 1, count);
        x = j->all;
    }
    for (size_t r = 0; r < rows; r++, to += w->out, x += j->pitch) {
        const float *next = j->columns + r * j->pitch + together * w->dilation;
        if (close && together < w->kernel) { /* the last of neighbours */
            j->c->kernels->binary(op, to, next, 1, x, 1, w->out);
            continue;
        }
        pick(j, to, x, w->stride, w->out);
        for (size_t k = together; k < w->kernel; k++, next += w->dilation) {
            pick(j, j->all, next, w->stride, w->out);
            j->c->kernels->binary(op, to, j->all, 1, to, 1, w->out);
        }
    }
}

/* Sums to means; runs of windows of one count at a time. */
static void divide_row(const pool_job *j, float *to, size_t z, size_t y)
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

/* Rows y, y + 1 ... of plane z, from x. */
static void reduce_rows(const pool_job *j, const float *x, size_t z, size_t y, size_t rows,
                        float *to)
{
    const pool_params *p = j->p;
    size_t out = j->w[2].out;
    for (size_t r = 0; r < rows; r++) reduce_columns(j, x, z, y + r, j->columns + r * j->pitch);
    reduce_windows(j, rows, to);
    for (size_t r = 0; p->kind == POOL_MEAN && r < rows; r++) divide_row(j, to + r * out, z, y + r);
    if (p->kind != POOL_LP || p->p == 1) return;
    for (size_t i = 0; i < rows * out; i++)
        to[i] = p->p == 2 ? sqrtf(to[i]) : (float)pow((double)to[i], 1 / (double)p->p);
}

/* One window over all of x, which is a row. */
static float reduce_all(const pool_job *j, const float *x)
{
    const attn_kernels *kernels = j->c->kernels;
    size_t n = j->w[2].in;
    if (j->p->kind == POOL_MAX) return kernels->max(x, n);
    if (j->p->kind == POOL_MEAN) return kernels->sum(x, n) / (float)n;
    raise(j, j->raised, x, n);
    float sum = kernels->sum(j->raised, n);
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

/* The row's maxima and where they are. */
static void find_row(const pool_job *j, const float *x, size_t z, size_t y, size_t image, float *to,
                     int32_t *index)
{
    for (size_t k = 0; k < j->w[2].out; k++) {
        size_t found = find_max(j->w, x, (const size_t[]){z, y, k}, &to[k]);
        if (j->p->by_column) found = index_by_column(j->w, found);
        index[k] = (int32_t)(image + found);
    }
}

/* Rows [first, end) of all rows of y. */
static void pool_task(const attn_run_context *c, const void *params, size_t item, size_t first,
                      size_t end, size_t worker)
{
    pool_job j = {.c = c, .p = params, .raised = attn_worker_scratch(c, worker)};
    place(j.p, &c->in[0].shape, j.w);
    size_t out = j.w[2].out, planes = j.w[0].out, block = cut_rows(j.w);
    size_t image = j.w[0].in * j.w[1].in * j.w[2].in;
    j.pitch = padded_length(&j.w[2]);
    j.columns = j.raised + j.w[2].in;
    j.all = j.columns + block * j.pitch;
    for (size_t i = first, rows; i < end; i += rows) {
        size_t y = i % j.w[1].out, plane = i / j.w[1].out, z = plane % planes;
        size_t start = plane / planes * image;
        const float *x = attn_item(&c->in[0], item) + start;
        float *to = attn_item(&c->out[0], item) + i * out;
        rows = 1;
        if (j.p->global) {
            *to = reduce_all(&j, x);
        } else if (j.p->indices) {
            find_row(&j, x, z, y, start, to, attn_item_i32(&c->out[1], item) + i * out);
        } else {
            rows = block < j.w[1].out - y ? block : j.w[1].out - y;
            if (rows > end - i) rows = end - i;
            reduce_rows(&j, x, z, y, rows, to);
        }
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
