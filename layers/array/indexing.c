#include "layers/array/indexing.h"

attn_status attn_want_rank(attn_infer *c, size_t rank)
{
    if (rank < ATTN_MAX_RANK) return ATTN_OK;
    return attn_infer_fail(c, "the output has rank %zu, at most %d is possible", rank,
                           ATTN_MAX_RANK - 1);
}

static int all_axes(int rank, long *axis)
{
    for (int i = 0; i < rank; i++) axis[i] = i;
    return rank;
}

attn_status attn_infer_axes(attn_infer *c, const attn_ints *ints, int rank, bool all, long *axis,
                            int *count)
{
    unsigned seen = 0;
    ATTN_TRY(attn_infer_ints(c, ints, ATTN_MAX_RANK, axis, count));
    if (*count == 0 && all) *count = all_axes(rank, axis);
    for (int i = 0; i < *count; i++) {
        if (axis[i] < -rank || axis[i] >= rank)
            return attn_infer_fail(c, "\"%s\" has %ld, but the rank is %d", ints->key, axis[i],
                                   rank);
        axis[i] = attn_axis(axis[i], rank);
        if (seen & 1u << axis[i])
            return attn_infer_fail(c, "\"%s\" has axis %ld twice", ints->key, axis[i]);
        seen |= 1u << axis[i];
    }
    return ATTN_OK;
}

int attn_run_axes(const attn_run_context *c, const attn_ints *ints, int rank, bool all, long *axis)
{
    int count = attn_run_ints(c, ints, axis);
    if (count == 0 && all) return all_axes(rank, axis);
    for (int i = 0; i < count; i++) axis[i] = attn_axis(axis[i], rank);
    return count;
}

void attn_start_gather(const attn_run_context *c, attn_gather *g)
{
    const attn_shape *x = &c->in[0].shape;
    *g = (attn_gather){.rank = x->rank + 1, .y = c->out[0].data, .x = c->in[0].data};
    g->dim[0] = c->batch;
    g->step[0] = c->in[0].stride;
    for (int i = 0; i < x->rank; i++) {
        g->dim[i + 1] = x->dim[i];
        g->step[i + 1] = attn_span(x, i + 1, x->rank);
    }
}

attn_status attn_want_elements(attn_infer *c, long axis, int *out)
{
    const attn_shape *x = &c->in[0], *i = &c->in[1];
    attn_shape_text text[2];
    size_t count;
    ATTN_TRY(attn_want_any(c, 0, 1, ATTN_MAX_RANK));
    ATTN_TRY(attn_want_axis(c, 0, axis, out));
    ATTN_TRY(attn_want_filled(c, 1, ATTN_I32, x->rank, x->rank));
    for (int d = 0; d < x->rank; d++)
        if (d != *out && i->dim[d] > x->dim[d])
            return attn_infer_fail(c, "indices %s do not fit input %s along axis %d",
                                   attn_format_shape(&text[0], i->dim, i->rank),
                                   attn_format_shape(&text[1], x->dim, x->rank), *out);
    return attn_want_count(c, i, &count);
}

size_t attn_elements_row(const attn_shape *x, const attn_shape *i, int axis, size_t row)
{
    size_t offset = 0, step = attn_last(x);
    for (int d = x->rank - 2; d >= 0; d--) {
        if (d != axis) offset += row % i->dim[d] * step;
        row /= i->dim[d];
        step *= x->dim[d];
    }
    return offset;
}

attn_status attn_want_tuples(attn_infer *c, int batch, int *k)
{
    const attn_shape *x = &c->in[0], *i = &c->in[1];
    attn_shape_text text[2];
    ATTN_TRY(attn_want_any(c, 0, 1, ATTN_MAX_RANK));
    ATTN_TRY(attn_want_filled(c, 1, ATTN_I32, 1, ATTN_MAX_RANK));
    size_t last = attn_last(i);
    bool fits = batch < x->rank && batch < i->rank && last <= (size_t)(x->rank - batch);
    for (int d = 0; d < batch && fits; d++) fits = i->dim[d] == x->dim[d];
    *k = (int)last;
    if (fits) return ATTN_OK;
    return attn_infer_fail(c, "indices %s do not fit input %s",
                           attn_format_shape(&text[0], i->dim, i->rank),
                           attn_format_shape(&text[1], x->dim, x->rank));
}

size_t attn_tuple_offset(const attn_shape *x, int batch, const int32_t *index, int k)
{
    size_t offset = 0;
    for (int d = 0; d < k; d++)
        offset = offset * x->dim[batch + d] + attn_place(index[d], x->dim[batch + d]);
    return offset * attn_span(x, batch + k, x->rank);
}
