/* concat, slice and split: pieces along one axis. Elements are f32 or i32.
 *   concat: x_i [outer..., n_i, inner...] -> y [outer..., sum n_i, inner...]
 *   slice:  y = x[..., start : end, ...], negative counted from the end
 *   split:  the outputs are x's pieces in order, even or by "sizes" */
#include "layers/support.h"

#include <limits.h>
#include <string.h>

enum { MAX_PIECES = 32 };

typedef struct pieces_params {
    long axis;
    size_t count;
    long start, end; /* slice */
    bool has_end;
    long sizes[MAX_PIECES];
    int size_count;
} pieces_params;

static attn_status concat_parse(attn_reader *r, void *params)
{
    pieces_params *p = params;
    ATTN_TRY(attn_need_inputs(r, 1, MAX_PIECES, &p->count));
    ATTN_TRY(attn_need_outputs(r, 1, 1, NULL));
    return attn_need_int(r, "axis", -ATTN_MAX_RANK, ATTN_MAX_RANK - 1, &p->axis);
}

static attn_status slice_parse(attn_reader *r, void *params)
{
    pieces_params *p = params;
    ATTN_TRY(attn_need_inputs(r, 1, 1, NULL));
    ATTN_TRY(attn_need_outputs(r, 1, 1, NULL));
    ATTN_TRY(attn_need_int(r, "axis", -ATTN_MAX_RANK, ATTN_MAX_RANK - 1, &p->axis));
    ATTN_TRY(attn_read_int(r, "start", -(1L << 40), 1L << 40, &p->start));
    p->end = LONG_MAX;
    ATTN_TRY(attn_read_int(r, "end", -(1L << 40), 1L << 40, &p->end));
    p->has_end = p->end != LONG_MAX;
    return ATTN_OK;
}

static attn_status split_parse(attn_reader *r, void *params)
{
    pieces_params *p = params;
    p->axis = -1;
    ATTN_TRY(attn_need_inputs(r, 1, 1, NULL));
    ATTN_TRY(attn_need_outputs(r, 1, MAX_PIECES, &p->count));
    ATTN_TRY(attn_read_int(r, "axis", -ATTN_MAX_RANK, ATTN_MAX_RANK - 1, &p->axis));
    ATTN_TRY(attn_read_ints(r, "sizes", 1, 1L << 40, false, MAX_PIECES, p->sizes, &p->size_count));
    if (attn_has_key(r, "sizes") && (size_t)p->size_count != p->count)
        return attn_reader_fail(r, "\"sizes\" has %d entries for %zu outputs", p->size_count,
                                p->count);
    return ATTN_OK;
}

static attn_status concat_infer(attn_infer *c, const void *params)
{
    const pieces_params *p = params;
    const attn_shape *x = &c->in[0];
    attn_shape_text text[2];
    int axis;
    size_t count;
    ATTN_TRY(attn_want_any(c, 0, 1, ATTN_MAX_RANK));
    ATTN_TRY(attn_want_axis(c, 0, p->axis, &axis));
    c->out[0] = *x;
    for (size_t i = 1; i < p->count; i++) {
        const attn_shape *other = &c->in[i];
        ATTN_TRY(attn_want_filled(c, i, x->dtype, x->rank, x->rank));
        for (int d = 0; d < x->rank; d++)
            if (d != axis && other->dim[d] != x->dim[d])
                return attn_infer_fail(c, "inputs %s and %s differ in dimension %d",
                                       attn_format_shape(&text[0], x->dim, x->rank),
                                       attn_format_shape(&text[1], other->dim, other->rank), d);
        if (!attn_add(c->out[0].dim[axis], other->dim[axis], &c->out[0].dim[axis]))
            return attn_infer_fail(c, "the sizes along axis %d are too large", axis);
    }
    return attn_want_count(c, &c->out[0], &count);
}

/* First and end index of the slice, or start >= end if it is empty or outside. */
static void slice_range(const pieces_params *p, size_t dim, long *start, long *end)
{
    long size = (long)dim;
    *start = p->start < 0 ? p->start + size : p->start;
    *end = !p->has_end ? size : p->end < 0 ? p->end + size : p->end;
}

static attn_status slice_infer(attn_infer *c, const void *params)
{
    const pieces_params *p = params;
    const attn_shape *x = &c->in[0];
    attn_shape_text text;
    int axis;
    long start, end;
    ATTN_TRY(attn_want_any(c, 0, 1, ATTN_MAX_RANK));
    ATTN_TRY(attn_want_axis(c, 0, p->axis, &axis));
    slice_range(p, x->dim[axis], &start, &end);
    if (start < 0 || end > (long)x->dim[axis] || start >= end)
        return attn_infer_fail(c, "[%ld, %ld) is no part of dimension %d of input %s", start, end,
                               axis, attn_format_shape(&text, x->dim, x->rank));
    c->out[0] = *x;
    c->out[0].dim[axis] = (size_t)(end - start);
    return ATTN_OK;
}

static attn_status split_infer(attn_infer *c, const void *params)
{
    const pieces_params *p = params;
    const attn_shape *x = &c->in[0];
    attn_shape_text text;
    int axis;
    size_t sum = 0;
    ATTN_TRY(attn_want_any(c, 0, 1, ATTN_MAX_RANK));
    ATTN_TRY(attn_want_axis(c, 0, p->axis, &axis));
    if (!p->size_count && x->dim[axis] % p->count != 0)
        return attn_infer_fail(c, "dimension %d of input %s does not split evenly into %zu", axis,
                               attn_format_shape(&text, x->dim, x->rank), p->count);
    for (size_t i = 0; i < p->count; i++) {
        c->out[i] = *x;
        c->out[i].dim[axis] = p->size_count ? (size_t)p->sizes[i] : x->dim[axis] / p->count;
        sum += c->out[i].dim[axis];
    }
    if (sum != x->dim[axis])
        return attn_infer_fail(c, "\"sizes\" add up to %zu, but dimension %d of input %s is %zu",
                               sum, axis, attn_format_shape(&text, x->dim, x->rank), x->dim[axis]);
    return ATTN_OK;
}

/* Copies `rows` pieces of n elements, from every from_step'th to every to_step'th element. */
static void copy_rows(float *to, size_t to_step, const float *from, size_t from_step, size_t n,
                      size_t rows)
{
    for (size_t i = 0; i < rows; i++) memcpy(to + i * to_step, from + i * from_step, n * 4);
}

/* Elements from one index of the dimensions before the axis to the next. */
static size_t outer_step(const attn_value *v, long axis)
{
    return attn_span(&v->shape, (int)(axis < 0 ? axis + v->shape.rank : axis), v->shape.rank);
}

static void concat_run(const attn_run_context *c, const void *params)
{
    const pieces_params *p = params;
    const attn_value *y = &c->out[0];
    size_t to_step = outer_step(y, p->axis);
    for (size_t item = 0; item < c->batch; item++) {
        float *to = attn_item(y, item);
        for (size_t i = 0; i < p->count; i++) {
            size_t n = outer_step(&c->in[i], p->axis);
            copy_rows(to, to_step, attn_item(&c->in[i], item), n, n, y->count / to_step);
            to += n;
        }
    }
}

static void slice_run(const attn_run_context *c, const void *params)
{
    const pieces_params *p = params;
    const attn_value *x = &c->in[0], *y = &c->out[0];
    size_t from_step = outer_step(x, p->axis), n = outer_step(y, p->axis);
    int axis = (int)(p->axis < 0 ? p->axis + x->shape.rank : p->axis);
    long start, end;
    slice_range(p, x->shape.dim[axis], &start, &end);
    size_t skip = (size_t)start * (from_step / x->shape.dim[axis]);
    for (size_t item = 0; item < c->batch; item++)
        copy_rows(attn_item(y, item), n, attn_item(x, item) + skip, from_step, n, y->count / n);
}

static void split_run(const attn_run_context *c, const void *params)
{
    const pieces_params *p = params;
    const attn_value *x = &c->in[0];
    size_t from_step = outer_step(x, p->axis);
    for (size_t item = 0; item < c->batch; item++) {
        const float *from = attn_item(x, item);
        for (size_t i = 0; i < p->count; i++) {
            size_t n = outer_step(&c->out[i], p->axis);
            copy_rows(attn_item(&c->out[i], item), n, from, from_step, n, x->count / from_step);
            from += n;
        }
    }
}

const attn_layer attn_layer_concat = {
    "concat", ATTN_STEP_SHARED, 0, sizeof(pieces_params), concat_parse, concat_infer, concat_run};
const attn_layer attn_layer_slice = {"slice",     ATTN_STEP_SHARED, 0,        sizeof(pieces_params),
                                     slice_parse, slice_infer,      slice_run};
const attn_layer attn_layer_split = {"split",     ATTN_STEP_SHARED, 0,        sizeof(pieces_params),
                                     split_parse, split_infer,      split_run};
