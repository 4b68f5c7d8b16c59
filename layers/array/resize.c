/* resize: axis after axis, y[o] = sum over j of w[o, j] x[i[o, j]], as ONNX's Resize has it.
 * The place of o in x, with s = out / in or the given scale:
 *   half_pixel (o + 0.5) / s - 0.5; pytorch_half_pixel the same, 0 where out is 1; asymmetric o /
 * s; half_pixel_symmetric as half_pixel around the centre of what in s is without its fraction;
 *   align_corners o (in - 1) / (out - 1), where out is s in if a scale is given; half_pixel_for_nn
 * (o + 0.5) / s; tf_crop_and_resize: from start (in - 1) to end (in - 1) of "roi" "nearest" takes
 * one element; "linear" two; "cubic" four (Keys 1981, with cubic_a), at the edges those of the
 * edge, or, "exclude_outside", none of those beyond it, and the rest weighted up. "antialias"
 * widens the filters by 1 / s where s < 1. Places are computed in f32. */
#include "layers/support.h"

#include <math.h>
#include <string.h>

enum { HALF, SYMMETRIC, PYTORCH, ASYMMETRIC, ALIGN, CROP, NEAREST_HALF };
enum { NEAREST, LINEAR, CUBIC };
enum { PREFER_FLOOR, PREFER_CEIL, FLOOR, CEIL };
enum { STRETCH, NOT_LARGER, NOT_SMALLER };
enum { MAX_TAPS = 4096 };

typedef struct resize_params {
    int coordinate, mode, nearest, aspect;
    bool exclude, antialias, extrapolates;
    float cubic_a, extrapolation;
    attn_ints sizes, axes;
    int scales, roi; /* operands, or -1 */
} resize_params;

static attn_status resize_parse(attn_reader *r, void *params)
{
    static const char *const coordinates[] = {
        "half_pixel",    "half_pixel_symmetric", "pytorch_half_pixel", "asymmetric",
        "align_corners", "tf_crop_and_resize",   "half_pixel_for_nn",  NULL};
    static const char *const modes[] = {"nearest", "linear", "cubic", NULL};
    static const char *const rounds[] = {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil",
                                         NULL};
    static const char *const aspects[] = {"stretch", "not_larger", "not_smaller", NULL};
    resize_params *p = params;
    p->cubic_a = -0.75f;
    ATTN_TRY(attn_need_inputs(r, 1, 1, NULL));
    ATTN_TRY(attn_need_outputs(r, 1, 1, NULL));
    ATTN_TRY(attn_read_word(r, "mode", modes, &p->mode));
    ATTN_TRY(attn_read_word(r, "coordinate", coordinates, &p->coordinate));
    ATTN_TRY(attn_read_word(r, "nearest", rounds, &p->nearest));
    ATTN_TRY(attn_read_word(r, "keep_aspect", aspects, &p->aspect));
    ATTN_TRY(attn_read_bool(r, "exclude_outside", &p->exclude));
    ATTN_TRY(attn_read_bool(r, "antialias", &p->antialias));
    ATTN_TRY(attn_read_float(r, "cubic_a", -16, 16, &p->cubic_a));
    p->extrapolates = p->coordinate == CROP;
    if (p->extrapolates)
        ATTN_TRY(attn_read_float(r, "extrapolation", -3e38, 3e38, &p->extrapolation));
    ATTN_TRY(attn_read_known_ints(r, "sizes", 1, 1L << 30, &p->sizes));
    ATTN_TRY(attn_read_known_ints(r, "axes", -ATTN_MAX_RANK, ATTN_MAX_RANK - 1, &p->axes));
    ATTN_TRY(attn_read_operand(r, "scales_from", &p->scales));
    ATTN_TRY(attn_read_operand(r, "roi_from", &p->roi));
    if (p->sizes.given == (p->scales >= 0))
        return attn_reader_fail(r, "expected one of \"sizes\" and \"scales_from\"");
    if (p->coordinate == CROP && p->roi < 0)
        return attn_reader_fail(r, "the key \"roi_from\" is missing");
    return ATTN_OK;
}

/* ---- one axis ------------------------------------------------------------------------------ */

typedef struct resize_axis {
    size_t in, out, taps;
    float scale, start, end;
} resize_axis;

/* Of all dimensions of x. scales, roi: the operands' elements or NULL. False: a size is wrong. */
static bool plan_axes(const resize_params *p, const attn_shape *x, const long *axis, int axes,
                      const long *sizes, const float *scales, const float *roi, resize_axis *plan)
{
    float aspect = p->aspect == NOT_LARGER ? INFINITY : 0;
    for (int i = 0; i < x->rank; i++)
        plan[i] = (resize_axis){.in = x->dim[i], .out = x->dim[i], .taps = 1, .scale = 1, .end = 1};
    for (int i = 0; i < axes && sizes; i++) {
        float ratio = (float)sizes[i] / (float)x->dim[axis[i]];
        if (p->aspect == NOT_LARGER ? ratio < aspect : ratio > aspect) aspect = ratio;
    }
    for (int i = 0; i < axes; i++) {
        resize_axis *a = &plan[axis[i]];
        float out = sizes ? (float)sizes[i] : floorf((float)a->in * scales[i]);
        if (sizes && p->aspect != STRETCH) out = floorf(aspect * (float)a->in + 0.5f);
        if (!(out >= 1) || out > 0x1p30f) return false;
        a->out = sizes && p->aspect == STRETCH ? (size_t)sizes[i] : (size_t)out;
        a->scale = scales                 ? scales[i]
                   : p->aspect == STRETCH ? (float)a->out / (float)a->in
                                          : aspect;
        if (!(a->scale > 1e-6f) || a->scale > 1e9f) return false;
        if (roi) {
            a->start = roi[i];
            a->end = roi[axes + i];
        }
        float wide = p->antialias && a->scale < 1 ? 1 / a->scale : 1;
        float taps = p->mode == NEAREST ? 1 : 2 * ceilf((p->mode == CUBIC ? 2 : 1) * wide);
        if (taps > MAX_TAPS) return false;
        a->taps = (size_t)taps;
    }
    return true;
}

static float place(const resize_params *p, const resize_axis *a, size_t o)
{
    /* The length that is asked for, of which out has the whole part. */
    float at = (float)o, in = (float)a->in, out = p->scales < 0 ? (float)a->out : a->scale * in;
    if (fabsf(out - (float)a->out) < 1e-3f) out = (float)a->out;
    float half = (at + 0.5f) / a->scale - 0.5f;
    switch (p->coordinate) {
    case SYMMETRIC:
        return in / 2 * (1 - (float)a->out / (a->scale * in)) + half;
    case PYTORCH:
        return a->out > 1 ? half : 0;
    case ASYMMETRIC:
        return at / a->scale;
    case ALIGN:
        return out > 1 ? at * (in - 1) / (out - 1) : 0;
    case CROP:
        return a->out > 1 ? a->start * (in - 1) + at * (a->end - a->start) * (in - 1) / (out - 1)
                          : 0.5f * (a->start + a->end) * (in - 1);
    case NEAREST_HALF:
        return (at + 0.5f) / a->scale;
    default:
        return half;
    }
}

static float filter(const resize_params *p, float x)
{
    float a = p->cubic_a;
    x = fabsf(x);
    if (p->mode == LINEAR) return x < 1 ? 1 - x : 0;
    if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? ((x - 5) * x + 8) * x * a - 4 * a : 0;
}

/* The elements that o takes, and their weights. */
static void choose(const resize_params *p, const resize_axis *a, size_t o, size_t *index, float *w)
{
    float at = place(p, a, o), last = (float)(a->in - 1), sum = 0;
    if (!(at > -1e9f)) at = -1e9f;
    if (at > 1e9f) at = 1e9f;
    if (a->taps == 1 && a->out == a->in && a->scale == 1 && p->coordinate != CROP) {
        index[0] = o;
        w[0] = 1;
        return;
    }
    if (p->mode == NEAREST || a->taps == 1) {
        float i = p->nearest == PREFER_FLOOR  ? ceilf(at - 0.5f)
                  : p->nearest == PREFER_CEIL ? floorf(at + 0.5f)
                  : p->nearest == FLOOR       ? floorf(at)
                                              : ceilf(at);
        index[0] = i < 0 ? 0 : i > last ? a->in - 1 : (size_t)i;
        w[0] = 1;
        return;
    }
    float narrow = p->antialias && a->scale < 1 ? a->scale : 1;
    float first = floorf(at) - (float)(a->taps / 2 - 1);
    for (size_t j = 0; j < a->taps; j++) {
        float i = first + (float)j;
        bool outside = i < 0 || i > last;
        w[j] = p->exclude && outside ? 0 : filter(p, (i - at) * narrow);
        index[j] = i < 0 ? 0 : i > last ? a->in - 1 : (size_t)i;
        sum += w[j];
    }
    for (size_t j = 0; j < a->taps && (p->exclude || narrow != 1) && sum != 0; j++) w[j] /= sum;
}

/* ---- infer --------------------------------------------------------------------------------- */

/* Dimensions in the order that they are resized in are those of x; the sizes in between. */
static attn_status add_tables(attn_infer *c, const resize_axis *plan, int rank)
{
    size_t count = 1, most = 0, tables = 0, entries;
    attn_shape s = c->in[0];
    for (int i = 0; i < rank; i++) {
        s.dim[i] = plan[i].out;
        ATTN_TRY(attn_want_count(c, &s, &count));
        if (count > most) most = count;
        if (!attn_mul(plan[i].out, plan[i].taps, &entries) || !attn_add(tables, entries, &tables))
            return attn_infer_fail(c, "the sizes are too large");
        c->flops += (double)count * (double)plan[i].taps;
    }
    ATTN_TRY(attn_add_scratch(c, tables, sizeof(size_t), &c->scratch));
    ATTN_TRY(attn_add_scratch(c, tables, sizeof(float), &c->scratch));
    ATTN_TRY(attn_add_scratch(c, most, sizeof(float), &c->scratch));
    return attn_add_scratch(c, most, sizeof(float), &c->scratch);
}

static attn_status want_floats(attn_infer *c, int operand, const char *what, size_t count,
                               const void **data)
{
    *data = NULL;
    if (operand < 0) return ATTN_OK;
    size_t input = (size_t)operand;
    ATTN_TRY(attn_want_filled(c, input, ATTN_F32, 1, 1));
    if (c->in[input].dim[0] != count)
        return attn_infer_fail(c, "%s have %zu numbers, expected %zu", what, c->in[input].dim[0],
                               count);
    return attn_want_known(c, input, what, data);
}

static attn_status resize_infer(attn_infer *c, const void *params)
{
    const resize_params *p = params;
    const attn_shape *x = &c->in[0];
    long axis[ATTN_MAX_INTS], sizes[ATTN_MAX_INTS];
    int axes, count = 0;
    const void *scales, *roi;
    resize_axis plan[ATTN_MAX_RANK];
    ATTN_TRY(attn_want_any(c, 0, 1, ATTN_MAX_RANK));
    if (x->dtype == ATTN_I32 && p->mode != NEAREST)
        return attn_infer_fail(c, "of i32 only \"nearest\" is possible");
    ATTN_TRY(attn_infer_ints(c, &p->axes, x->rank, axis, &axes));
    for (int i = 0; i < axes; i++) {
        int found;
        ATTN_TRY(attn_want_axis(c, 0, axis[i], &found));
        axis[i] = found;
        for (int k = 0; k < i; k++)
            if (axis[k] == found) return attn_infer_fail(c, "axis %d is there twice", found);
    }
    if (!p->axes.given)
        for (axes = 0; axes < x->rank; axes++) axis[axes] = axes;
    ATTN_TRY(attn_infer_ints(c, &p->sizes, x->rank, sizes, &count));
    if (p->sizes.given && count != axes)
        return attn_infer_fail(c, "\"sizes\" has %d numbers for %d axes", count, axes);
    ATTN_TRY(want_floats(c, p->scales, "the scales", (size_t)axes, &scales));
    ATTN_TRY(want_floats(c, p->roi, "the roi", 2 * (size_t)axes, &roi));
    if (!plan_axes(p, x, axis, axes, p->sizes.given ? sizes : NULL, scales, roi, plan))
        return attn_infer_fail(c, "sizes or scales are too small or too large");
    c->out[0] = *x;
    for (int i = 0; i < x->rank; i++) c->out[0].dim[i] = plan[i].out;
    return add_tables(c, plan, x->rank);
}

/* ---- run ----------------------------------------------------------------------------------- */

typedef struct resize_pass {
    const attn_run_context *c;
    const resize_axis *a;
    const size_t *index; /* [out, taps] */
    const float *weight;
    size_t inner, rows, size; /* elements behind the axis; rows of y; of a task */
    const float *x;
    float *y;
} resize_pass;

/* A row where the axis is the last dimension, and each element has its own weights. */
static void mix_row(const resize_pass *s, const float *x, float *y)
{
    size_t taps = s->a->taps;
    if (taps == 1) { /* as bytes: f32 or i32 */
        for (size_t o = 0; o < s->a->out; o++) memcpy(&y[o], &x[s->index[o]], 4);
        return;
    }
    if (taps == 2) {
        for (size_t o = 0; o < s->a->out; o++)
            y[o] = x[s->index[2 * o]] * s->weight[2 * o] +
                   x[s->index[2 * o + 1]] * s->weight[2 * o + 1];
        return;
    }
    for (size_t o = 0; o < s->a->out; o++) {
        const size_t *index = s->index + o * taps;
        const float *w = s->weight + o * taps;
        float sum = x[index[0]] * w[0];
        for (size_t j = 1; j < taps; j++) sum += x[index[j]] * w[j];
        y[o] = sum;
    }
}

/* Row o of [out, inner]: a mixture of rows of x. */
static void mix_rows(const resize_pass *s, const float *x, size_t o, float *y)
{
    const attn_kernels *kernels = s->c->kernels;
    const size_t *index = s->index + o * s->a->taps;
    const float *w = s->weight + o * s->a->taps;
    if (s->a->taps == 1) {
        memcpy(y, x + index[0] * s->inner, s->inner * sizeof(float));
        return;
    }
    kernels->binary(ATTN_BIN_MUL, y, x + index[0] * s->inner, 1, w, 0, s->inner);
    for (size_t j = 1; j < s->a->taps; j++)
        kernels->fma(y, x + index[j] * s->inner, 1, w + j, 0, y, 1, s->inner);
}

static void pass_task(void *arg, size_t task, size_t worker)
{
    const resize_pass *s = arg;
    size_t end = (task + 1) * s->size < s->rows ? (task + 1) * s->size : s->rows;
    (void)worker;
    for (size_t i = task * s->size; i < end; i++) {
        if (s->inner == 1) {
            mix_row(s, s->x + i * s->a->in, s->y + i * s->a->out);
        } else {
            size_t outer = i / s->a->out;
            mix_rows(s, s->x + outer * s->a->in * s->inner, i % s->a->out, s->y + i * s->inner);
        }
    }
}

/* What lies beyond the first or last element along any axis. */
static void extrapolate(const resize_params *p, const resize_axis *plan, const attn_shape *shape,
                        float *y, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t rest = i;
        for (int d = shape->rank - 1; d >= 0; d--) {
            float at = place(p, &plan[d], rest % shape->dim[d]);
            rest /= shape->dim[d];
            if (at < 0 || at > (float)(plan[d].in - 1)) y[i] = p->extrapolation;
        }
    }
}

/* One item, from buffer to buffer. */
static void resize_item(const attn_run_context *c, const resize_params *p, const resize_axis *plan,
                        size_t item, const size_t *index, const float *weight, float *buffer[2])
{
    const attn_shape *x = &c->in[0].shape;
    const float *from = attn_item(&c->in[0], item);
    float *y = attn_item(&c->out[0], item);
    size_t outer = 1;
    int last = -1, turn = 0;
    for (int i = 0; i < x->rank; i++)
        if (plan[i].out != plan[i].in || plan[i].scale != 1 || p->extrapolates) last = i;
    if (last < 0) memcpy(y, from, c->in[0].count * sizeof(float));
    for (int i = 0; i <= last; i++, turn ^= 1) {
        resize_pass s = {.c = c, .a = &plan[i], .index = index, .weight = weight, .x = from};
        s.inner = attn_span(x, i + 1, x->rank);
        s.rows = outer * (s.inner == 1 ? 1 : plan[i].out);
        outer *= plan[i].out;
        index += plan[i].out * plan[i].taps;
        weight += plan[i].out * plan[i].taps;
        if (i < last && plan[i].out == plan[i].in && plan[i].scale == 1 && !p->extrapolates)
            continue;
        s.y = i == last ? y : buffer[turn];
        size_t cost = (s.inner == 1 ? plan[i].out : s.inner) * plan[i].taps;
        size_t tasks = attn_split(s.rows, attn_grain(cost), c->workers, &s.size);
        c->parallel(c->pool, tasks, pass_task, &s);
        from = s.y;
    }
    if (p->extrapolates) extrapolate(p, plan, &c->out[0].shape, y, c->out[0].count);
}

static void resize_run(const attn_run_context *c, const void *params)
{
    const resize_params *p = params;
    const attn_shape *x = &c->in[0].shape;
    long axis[ATTN_MAX_INTS], sizes[ATTN_MAX_INTS];
    resize_axis plan[ATTN_MAX_RANK];
    int axes = attn_run_ints(c, &p->axes, axis);
    for (int i = 0; i < axes; i++) axis[i] += axis[i] < 0 ? x->rank : 0;
    if (!p->axes.given)
        for (axes = 0; axes < x->rank; axes++) axis[axes] = axes;
    attn_run_ints(c, &p->sizes, sizes);
    plan_axes(p, x, axis, axes, p->sizes.given ? sizes : NULL,
              p->scales < 0 ? NULL : c->in[p->scales].data, p->roi < 0 ? NULL : c->in[p->roi].data,
              plan);
    size_t tables = 0, at = 0, most = 0;
    attn_shape shape = *x;
    for (int i = 0; i < x->rank; i++) {
        tables += plan[i].out * plan[i].taps;
        shape.dim[i] = plan[i].out;
        size_t count = attn_span(&shape, 0, shape.rank);
        if (count > most) most = count;
    }
    /* As in infer: each part is rounded up to 64 bytes. */
    size_t *index = c->scratch;
    float *weight = (float *)((char *)c->scratch + (tables * sizeof(size_t) + 63) / 64 * 64);
    float *buffer[2] = {weight + (tables + 15) / 16 * 16, NULL};
    buffer[1] = buffer[0] + (most + 15) / 16 * 16;
    for (int i = 0; i < x->rank; i++)
        for (size_t o = 0; o < plan[i].out; o++, at += plan[i].taps)
            choose(p, &plan[i], o, index + at, weight + at);
    for (size_t item = 0; item < c->batch; item++)
        resize_item(c, p, plan, item, index, weight, buffer);
}

const attn_layer attn_layer_resize = {
    .name = "resize",
    .step = ATTN_STEP_SHARED,
    .params_size = sizeof(resize_params),
    .parse = resize_parse,
    .infer = resize_infer,
    .run = resize_run,
};
