/* pad: x with more, or fewer, elements before and after along each axis, f32 or i32.
 *   in: x, and maybe the constant, one element of x's type. What is added is that, or by "mode":
 *   edge: the nearest element; reflect: x mirrored at its first and last element, over and over;
 *   wrap: x again. Negative numbers take away, before anything is added (ONNX's Pad). */
#include "layers/array/indexing.h"

typedef enum pad_mode { PAD_CONSTANT, PAD_REFLECT, PAD_EDGE, PAD_WRAP } pad_mode;

typedef struct pad_params {
    attn_ints pads, axes;
    int mode;
    size_t inputs;
    float value;
} pad_params;

/* A dimension of y: x's [first, first + count), with `before` elements before it. */
typedef struct pad_dim {
    size_t first, count, before, size;
} pad_dim;

static attn_status pad_parse(attn_reader *r, void *params)
{
    static const char *const modes[] = {"constant", "reflect", "edge", "wrap", NULL};
    pad_params *p = params;
    ATTN_TRY(attn_need_inputs(r, 1, 2, &p->inputs));
    ATTN_TRY(attn_need_outputs(r, 1, 1, NULL));
    ATTN_TRY(attn_read_known_ints(r, "pads", -(1L << 40), 1L << 40, &p->pads));
    if (!p->pads.given) return attn_reader_fail(r, "the key \"pads\" is missing");
    ATTN_TRY(attn_read_known_ints(r, "axes", -ATTN_MAX_RANK, ATTN_MAX_RANK - 1, &p->axes));
    ATTN_TRY(attn_read_word(r, "mode", modes, &p->mode));
    if (p->inputs == 2 && attn_has_key(r, "value"))
        return attn_reader_fail(r, "the constant is given twice: as an input and as \"value\"");
    return attn_read_float(r, "value", -3.5e38, 3.5e38, &p->value);
}

static attn_status pad_infer(attn_infer *c, const void *params)
{
    const pad_params *p = params;
    const attn_shape *x = &c->in[0];
    attn_shape_text text;
    long pads[ATTN_MAX_INTS], axes[ATTN_MAX_INTS];
    int given, count;
    size_t elements;
    ATTN_TRY(attn_want_any(c, 0, 0, ATTN_MAX_RANK - 1));
    ATTN_TRY(attn_infer_ints(c, &p->pads, ATTN_MAX_INTS, pads, &given));
    ATTN_TRY(attn_infer_axes(c, &p->axes, x->rank, !p->axes.given, axes, &count));
    attn_format_shape(&text, x->dim, x->rank);
    if (given != 2 * count)
        return attn_infer_fail(c, "\"pads\" has %d numbers, expected %d for input %s", given,
                               2 * count, text.text);
    if (p->inputs == 2) {
        ATTN_TRY(attn_want_filled(c, 1, x->dtype, 0, 1));
        if (c->in[1].rank && c->in[1].dim[0] != 1)
            return attn_infer_fail(c, "the constant has %zu elements, expected 1", c->in[1].dim[0]);
    }
    c->out[0] = *x;
    for (int i = 0; i < count; i++) {
        long n = (long)x->dim[axes[i]], before = pads[i], after = pads[i + count];
        long kept = n + (before < 0 ? before : 0) + (after < 0 ? after : 0);
        if (kept < 1)
            return attn_infer_fail(c, "%ld and %ld leave nothing of dimension %ld of input %s",
                                   before, after, axes[i], text.text);
        c->out[0].dim[axes[i]] = (size_t)(n + before + after);
    }
    return attn_want_count(c, &c->out[0], &elements);
}

/* x's dimensions, those after the last that is padded joined to it: the row that is written at a
 * time is dim[rank - 1], each of whose elements is `inner` of x's. */
typedef struct pad_job {
    pad_mode mode;
    bool given; /* the constant is an input */
    int rank;
    pad_dim dim[ATTN_MAX_RANK];
    size_t step[ATTN_MAX_RANK]; /* of x */
    size_t inner;
    float value;
} pad_job;

static void start_pad(const attn_run_context *c, const pad_params *p, pad_job *job)
{
    const attn_shape *x = &c->in[0].shape, *y = &c->out[0].shape;
    long pads[ATTN_MAX_INTS], axes[ATTN_MAX_INTS];
    attn_run_ints(c, &p->pads, pads);
    int count = attn_run_axes(c, &p->axes, x->rank, !p->axes.given, axes);
    *job =
        (pad_job){.mode = (pad_mode)p->mode, .given = p->inputs == 2, .rank = 1, .value = p->value};
    job->dim[0] = (pad_dim){0, 1, 0, 1}; /* of a scalar */
    for (int i = 0; i < x->rank; i++) job->dim[i] = (pad_dim){0, x->dim[i], 0, y->dim[i]};
    for (int i = 0; i < count; i++) {
        pad_dim *d = &job->dim[axes[i]];
        long before = pads[i], after = pads[i + count];
        d->first = before < 0 ? (size_t)-before : 0;
        d->before = before < 0 ? 0 : (size_t)before;
        d->count -= d->first + (after < 0 ? (size_t)-after : 0);
        if ((before || after) && axes[i] + 1 > job->rank) job->rank = (int)axes[i] + 1;
    }
    for (int i = 0; i < job->rank; i++) job->step[i] = attn_span(x, i + 1, x->rank);
    job->inner = job->step[job->rank - 1];
}

/* x's index for y's index j along d, where it is not the constant. */
static size_t pad_source(const pad_dim *d, pad_mode mode, size_t j)
{
    size_t n = d->count;
    bool low = j < d->before;
    if (!low && j - d->before < n) return d->first + (j - d->before);
    size_t far = low ? d->before - j : j - d->before - (n - 1); /* from the edge, at least 1 */
    if (mode == PAD_WRAP) {
        far = (far - 1) % n;
        return d->first + (low ? n - 1 - far : far);
    }
    size_t in = 0;
    if (mode == PAD_REFLECT && n > 1) {
        in = far % (2 * (n - 1));
        if (in > n - 1) in = 2 * (n - 1) - in;
    }
    return d->first + (low ? in : n - 1 - in);
}

static void fill(char *y, size_t count, const void *value)
{
    for (size_t i = 0; i < count; i++) memcpy(y + i * 4, value, 4);
}

/* Row `row` of y from x, all elements of one item. */
static void pad_row(const pad_job *job, const char *x, char *y, size_t row, const void *value)
{
    const pad_dim *last = &job->dim[job->rank - 1];
    size_t bytes = job->inner * 4, from = 0, end = last->before + last->count;
    for (int i = job->rank - 2; i >= 0; i--) {
        const pad_dim *d = &job->dim[i];
        size_t j = row % d->size;
        row /= d->size;
        if (job->mode == PAD_CONSTANT && (j < d->before || j - d->before >= d->count)) {
            fill(y, last->size * job->inner, value);
            return;
        }
        from += pad_source(d, job->mode, j) * job->step[i];
    }
    x += from * 4;
    memcpy(y + last->before * bytes, x + last->first * bytes, last->count * bytes);
    if (job->mode == PAD_CONSTANT) {
        fill(y, last->before * job->inner, value);
        fill(y + end * bytes, (last->size - end) * job->inner, value);
        return;
    }
    for (size_t j = 0; j < last->size; j++) {
        if (j == last->before) j = end;
        if (j == last->size) break;
        memcpy(y + j * bytes, x + pad_source(last, job->mode, j) * bytes, bytes);
    }
}

static void pad_task(const attn_run_context *c, const void *params, size_t item, size_t first,
                     size_t end, size_t worker)
{
    const pad_job *job = params;
    (void)worker;
    int32_t number = 0;
    const void *value = &job->value;
    if (c->in[0].shape.dtype == ATTN_I32) {
        float v = job->value;
        number = v >= 2147483648.0f ? INT32_MAX : v < -2147483648.0f ? INT32_MIN : (int32_t)v;
        value = &number;
    }
    if (job->given) value = attn_item(&c->in[1], item);
    size_t n = job->dim[job->rank - 1].size * job->inner;
    for (size_t row = first; row < end; row++)
        pad_row(job, (const char *)attn_item(&c->in[0], item),
                (char *)(attn_item(&c->out[0], item) + row * n), row, value);
}

static void pad_run(const attn_run_context *c, const void *params)
{
    pad_job job;
    start_pad(c, params, &job);
    size_t n = job.dim[job.rank - 1].size * job.inner;
    attn_each_rows(c, &job, c->out[0].count / n, attn_grain(n), pad_task);
}

const attn_layer attn_layer_pad = {"pad",     ATTN_STEP_SHARED, 0,      sizeof(pad_params),
                                   pad_parse, pad_infer,        pad_run};
