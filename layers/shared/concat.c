/* concat and split: pieces along one axis. Elements are f32 or i32.
 *   concat: x_i [outer..., n_i, inner...] -> y [outer..., sum n_i, inner...]
 *   split:  the outputs are x's pieces in order: even, by "sizes", or "parts" of which the last may
 *           be smaller */
#include "layers/array/indexing.h"

enum { MAX_PIECES = ATTN_MAX_OPERANDS };

typedef struct pieces_params {
    long axis;
    size_t count;
    long sizes[MAX_PIECES];
    int size_count;
    int sizes_from; /* the operand that has them, or -1 */
    bool rounded_up;
} pieces_params;

static attn_status concat_parse(attn_reader *r, void *params)
{
    pieces_params *p = params;
    ATTN_TRY(attn_need_inputs(r, 1, MAX_PIECES, &p->count));
    ATTN_TRY(attn_need_outputs(r, 1, 1, NULL));
    return attn_need_int(r, "axis", -ATTN_MAX_RANK, ATTN_MAX_RANK - 1, &p->axis);
}

static attn_status split_parse(attn_reader *r, void *params)
{
    pieces_params *p = params;
    size_t parts = 0;
    p->axis = -1;
    ATTN_TRY(attn_need_inputs(r, 1, 1, NULL));
    ATTN_TRY(attn_need_outputs(r, 1, MAX_PIECES, &p->count));
    ATTN_TRY(attn_read_int(r, "axis", -ATTN_MAX_RANK, ATTN_MAX_RANK - 1, &p->axis));
    ATTN_TRY(attn_read_ints(r, "sizes", 1, 1L << 40, false, MAX_PIECES, p->sizes, &p->size_count));
    ATTN_TRY(attn_read_operand(r, "sizes_from", &p->sizes_from));
    ATTN_TRY(attn_read_size(r, "parts", 1, MAX_PIECES, &parts));
    p->rounded_up = parts != 0;
    if (parts && parts != p->count)
        return attn_reader_fail(r, "\"parts\" is %zu, but there are %zu outputs", parts, p->count);
    if ((p->size_count != 0) + (p->sizes_from >= 0) + p->rounded_up > 1)
        return attn_reader_fail(r, "\"sizes\", \"sizes_from\" and \"parts\": one is enough");
    if (p->size_count && (size_t)p->size_count != p->count)
        return attn_reader_fail(r, "\"sizes\" has %d entries for %zu outputs", p->size_count,
                                p->count);
    return ATTN_OK;
}

/* What is known as the plan is made, such as part of a shape, may be empty. */
static attn_status want_piece(attn_infer *c, size_t i, attn_dtype dtype, int min, int max)
{
    if (c->known && c->known[i]) return attn_want(c, i, dtype, min, max);
    return attn_want_filled(c, i, dtype, min, max);
}

static attn_status concat_infer(attn_infer *c, const void *params)
{
    const pieces_params *p = params;
    const attn_shape *x = &c->in[0];
    attn_shape_text text[2];
    int axis;
    size_t count;
    ATTN_TRY(want_piece(c, 0, x->dtype, 1, ATTN_MAX_RANK));
    ATTN_TRY(attn_want_axis(c, 0, p->axis, &axis));
    c->out[0] = *x;
    for (size_t i = 1; i < p->count; i++) {
        const attn_shape *other = &c->in[i];
        ATTN_TRY(want_piece(c, i, x->dtype, x->rank, x->rank));
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

/* The size of each piece of n. */
static attn_status split_sizes(attn_infer *c, const pieces_params *p, size_t n, long *sizes)
{
    const void *known = NULL;
    size_t step = p->rounded_up ? n / p->count + (n % p->count != 0) : n / p->count;
    if (p->sizes_from >= 0) {
        size_t from = (size_t)p->sizes_from;
        ATTN_TRY(attn_want(c, from, ATTN_I32, 1, 1));
        ATTN_TRY(attn_want_known(c, from, "sizes_from", &known));
        if (c->in[from].dim[0] != p->count)
            return attn_infer_fail(c, "\"sizes\" has %zu entries for %zu outputs",
                                   c->in[from].dim[0], p->count);
    }
    for (size_t i = 0; i < p->count; i++) {
        sizes[i] = p->size_count ? p->sizes[i] : known ? ((const int32_t *)known)[i] : (long)step;
        if (p->rounded_up && i + 1 == p->count) sizes[i] = (long)n - (long)(i * step);
        if (sizes[i] < 1)
            return attn_infer_fail(c, "output %zu of %zu would have no elements", i, p->count);
    }
    return ATTN_OK;
}

static attn_status split_infer(attn_infer *c, const void *params)
{
    const pieces_params *p = params;
    const attn_shape *x = &c->in[0];
    attn_shape_text text;
    long sizes[MAX_PIECES];
    int axis;
    size_t sum = 0;
    ATTN_TRY(attn_want_any(c, 0, 1, ATTN_MAX_RANK));
    ATTN_TRY(attn_want_axis(c, 0, p->axis, &axis));
    bool even = !p->size_count && p->sizes_from < 0 && !p->rounded_up;
    attn_format_shape(&text, x->dim, x->rank);
    if (even && x->dim[axis] % p->count != 0)
        return attn_infer_fail(c, "dimension %d of input %s does not split evenly into %zu", axis,
                               text.text, p->count);
    ATTN_TRY(split_sizes(c, p, x->dim[axis], sizes));
    for (size_t i = 0; i < p->count; i++) {
        c->out[i] = *x;
        c->out[i].dim[axis] = (size_t)sizes[i];
        sum += c->out[i].dim[axis];
    }
    if (sum == x->dim[axis]) return ATTN_OK;
    return attn_infer_fail(c, "\"sizes\" add up to %zu, but dimension %d of input %s is %zu", sum,
                           axis, text.text, x->dim[axis]);
}

/* Elements from one index of the dimensions before the axis to the next. */
static size_t outer_step(const attn_value *v, long axis)
{
    return attn_span(&v->shape, attn_axis(axis, v->shape.rank), v->shape.rank);
}

typedef struct pieces_job {
    const attn_run_context *c;
    long axis;
    size_t count;
    const attn_value *whole, *piece; /* one, and [count] */
} pieces_job;

/* Copies a piece of an item: from its place in the whole, or to it. */
static void copy_piece(void *arg, size_t task, size_t worker)
{
    const pieces_job *job = arg;
    (void)worker;
    size_t item = task / job->count, which = task % job->count;
    const attn_value *part = &job->piece[which];
    size_t step = outer_step(job->whole, job->axis), n = outer_step(part, job->axis);
    float *whole = attn_item(job->whole, item), *piece = attn_item(part, item);
    for (size_t i = 0; i < which; i++) whole += outer_step(&job->piece[i], job->axis);
    bool join = job->piece == job->c->in;
    for (size_t i = 0, at = 0; i < part->count; i += n, at += step)
        memcpy(join ? whole + at : piece + i, join ? piece + i : whole + at, n * 4);
}

static void copy_pieces(pieces_job *job)
{
    enum { SMALL = 1 << 15 };
    size_t tasks = job->c->batch * job->count;
    if (job->whole->count >= SMALL)
        job->c->parallel(job->c->pool, tasks, copy_piece, job);
    else
        for (size_t i = 0; i < tasks; i++) copy_piece(job, i, 0);
}

static void concat_run(const attn_run_context *c, const void *params)
{
    const pieces_params *p = params;
    if (!c->out[0].count) return;
    copy_pieces(&(pieces_job){c, p->axis, p->count, &c->out[0], c->in});
}

static void split_run(const attn_run_context *c, const void *params)
{
    const pieces_params *p = params;
    copy_pieces(&(pieces_job){c, p->axis, p->count, &c->in[0], c->out});
}

const attn_layer attn_layer_concat = {
    "concat",     ATTN_STEP_SHARED, ATTN_TAKES_EMPTY, sizeof(pieces_params),
    concat_parse, concat_infer,     concat_run};
const attn_layer attn_layer_split = {"split",     ATTN_STEP_SHARED, 0,        sizeof(pieces_params),
                                     split_parse, split_infer,      split_run};
