/* slice: a part of x, f32 or i32.
 *   y = x[..., start : end, ...] along one axis, which must lie in x, or along several, with steps,
 *   cut off where they leave x, as ONNX's Slice. Negative ones count from the end. */
#include "layers/array/indexing.h"

#include <limits.h>

typedef struct slice_params {
    bool several;
    long axis, start, end; /* one; */
    bool has_end;
    attn_ints starts, ends, axes, steps; /* ... or several */
} slice_params;

/* y's index j of a dimension is x's first + j * step. */
typedef struct part {
    long first, step, count;
} part;

static attn_status slice_parse(attn_reader *r, void *params)
{
    slice_params *p = params;
    const long most = 1L << 40;
    ATTN_TRY(attn_need_inputs(r, 1, 1, NULL));
    ATTN_TRY(attn_need_outputs(r, 1, 1, NULL));
    ATTN_TRY(attn_read_known_ints(r, "starts", -most, most, &p->starts));
    ATTN_TRY(attn_read_known_ints(r, "ends", -most, most, &p->ends));
    p->several = p->starts.given || p->ends.given;
    if (p->several) {
        if (!p->starts.given || !p->ends.given)
            return attn_reader_fail(r, "\"starts\" and \"ends\" are needed both");
        ATTN_TRY(attn_read_known_ints(r, "axes", -ATTN_MAX_RANK, ATTN_MAX_RANK - 1, &p->axes));
        return attn_read_known_ints(r, "steps", -most, most, &p->steps);
    }
    ATTN_TRY(attn_need_int(r, "axis", -ATTN_MAX_RANK, ATTN_MAX_RANK - 1, &p->axis));
    ATTN_TRY(attn_read_int(r, "start", -most, most, &p->start));
    p->end = LONG_MAX;
    ATTN_TRY(attn_read_int(r, "end", -most, most, &p->end));
    p->has_end = p->end != LONG_MAX;
    return ATTN_OK;
}

/* The slice as it is given, or count < 1 if it is empty or outside. */
static part exact_part(long start, long end, long n)
{
    if (start < 0) start += n;
    if (end < 0) end += n;
    return (part){start, 1, start < 0 || end > n ? 0 : end - start};
}

static long clamp(long i, long lowest, long highest)
{
    return i < lowest ? lowest : i > highest ? highest : i;
}

/* What of it lies in x. */
static part clamped_part(long start, long end, long step, long n)
{
    long back = step < 0;
    if (start < 0) start += n;
    if (end < 0) end += n;
    start = clamp(start, 0, n - back);
    end = clamp(end, -back, n);
    if (n == 0) return (part){0, step, 0};
    long length = back ? start - end : end - start, size = back ? -step : step;
    return (part){start, step, length > 0 ? (length - 1) / size + 1 : 0};
}

/* Of what is known as the plan is made, such as a shape, nothing may be left. */
static bool is_known(const attn_infer *c)
{
    return c->known && c->known[0];
}

/* "axes" and "steps" may be absent: 0, 1, 2, ... and 1. */
static attn_status infer_several(attn_infer *c, const slice_params *p, int axis[], part parts[],
                                 int *count)
{
    const attn_shape *x = &c->in[0];
    attn_shape_text text;
    long starts[ATTN_MAX_INTS], ends[ATTN_MAX_INTS], axes[ATTN_MAX_INTS], steps[ATTN_MAX_INTS];
    int numbers[4];
    ATTN_TRY(attn_infer_ints(c, &p->starts, x->rank, starts, &numbers[0]));
    ATTN_TRY(attn_infer_ints(c, &p->ends, x->rank, ends, &numbers[1]));
    ATTN_TRY(attn_infer_axes(c, &p->axes, x->rank, !p->axes.given, axes, &numbers[2]));
    ATTN_TRY(attn_infer_ints(c, &p->steps, x->rank, steps, &numbers[3]));
    *count = numbers[0];
    if (numbers[1] != *count || (p->axes.given && numbers[2] != *count) ||
        (p->steps.given && numbers[3] != *count))
        return attn_infer_fail(c,
                               "\"starts\", \"ends\", \"axes\" and \"steps\" are not equally long");
    for (int i = 0; i < *count; i++) {
        long step = p->steps.given ? steps[i] : 1;
        axis[i] = (int)axes[i];
        if (step == 0) return attn_infer_fail(c, "\"steps\" has 0");
        parts[i] = clamped_part(starts[i], ends[i], step, (long)x->dim[axis[i]]);
        if (parts[i].count < 1 && !is_known(c))
            return attn_infer_fail(
                c, "[%ld, %ld) by steps of %ld leaves nothing of dimension %d of input %s",
                starts[i], ends[i], step, axis[i], attn_format_shape(&text, x->dim, x->rank));
    }
    return ATTN_OK;
}

static attn_status slice_infer(attn_infer *c, const void *params)
{
    const slice_params *p = params;
    const attn_shape *x = &c->in[0];
    attn_shape_text text;
    part parts[ATTN_MAX_INTS];
    int axes[ATTN_MAX_INTS], count = 1;
    if (p->several && is_known(c))
        ATTN_TRY(attn_want(c, 0, x->dtype, 0, ATTN_MAX_RANK));
    else
        ATTN_TRY(attn_want_any(c, 0, p->several ? 0 : 1, ATTN_MAX_RANK));
    if (p->several) {
        ATTN_TRY(infer_several(c, p, axes, parts, &count));
    } else {
        ATTN_TRY(attn_want_axis(c, 0, p->axis, &axes[0]));
        long n = (long)x->dim[axes[0]];
        parts[0] = exact_part(p->start, p->has_end ? p->end : n, n);
        if (parts[0].first < 0 || parts[0].count < 1) {
            long end = !p->has_end ? n : p->end < 0 ? p->end + n : p->end;
            return attn_infer_fail(c, "[%ld, %ld) is no part of dimension %d of input %s",
                                   parts[0].first, end, axes[0],
                                   attn_format_shape(&text, x->dim, x->rank));
        }
    }
    c->out[0] = *x;
    for (int i = 0; i < count; i++) c->out[0].dim[axes[i]] = (size_t)parts[i].count;
    return ATTN_OK;
}

static void slice_run(const attn_run_context *c, const void *params)
{
    const slice_params *p = params;
    const attn_shape *x = &c->in[0].shape, *y = &c->out[0].shape;
    long starts[ATTN_MAX_INTS] = {p->start}, ends[ATTN_MAX_INTS] = {0};
    long axes[ATTN_MAX_INTS] = {attn_axis(p->axis, x->rank)}, steps[ATTN_MAX_INTS];
    int count = 1;
    attn_gather g;
    if (!c->out[0].count) return;
    attn_start_gather(c, &g);
    if (p->several) {
        count = attn_run_ints(c, &p->starts, starts);
        attn_run_ints(c, &p->ends, ends);
        attn_run_axes(c, &p->axes, x->rank, !p->axes.given, axes);
        attn_run_ints(c, &p->steps, steps);
    }
    for (int i = 0; i < count; i++) {
        long n = (long)x->dim[axes[i]], step = p->several && p->steps.given ? steps[i] : 1;
        part s =
            p->several ? clamped_part(starts[i], ends[i], step, n) : exact_part(p->start, n, n);
        size_t *stride = &g.step[axes[i] + 1];
        g.first += (size_t)s.first * *stride;
        *stride *= (size_t)s.step;
        g.dim[axes[i] + 1] = y->dim[axes[i]];
    }
    attn_run_gather(c, &g);
}

const attn_layer attn_layer_slice = {
    "slice",     ATTN_STEP_SHARED, ATTN_TAKES_EMPTY, sizeof(slice_params),
    slice_parse, slice_infer,      slice_run};
