/* What the layers that move elements share. */
#ifndef ATTN_INDEXING_H
#define ATTN_INDEXING_H

#include "layers/support.h"

#include <string.h>

/* The axis, checked by infer, counted from the front. */
static inline int attn_axis(long axis, int rank)
{
    return (int)(axis < 0 ? axis + rank : axis);
}
/* An index into n elements: negative ones count from the end; beyond an end it is the nearest. */
static inline size_t attn_place(int32_t index, size_t n)
{
    size_t i = (size_t)(index < 0 ? -(int64_t)index : index);
    if (index < 0) return i < n ? n - i : 0;
    return i < n ? i : n - 1;
}
/* An output of this rank can be, or an error at the node. */
attn_status attn_want_rank(attn_infer *c, size_t rank);
/* The axes that `ints` gives of a shape of this rank, each once, counted from the front. None may
 * be given: then all, if `all`. */
attn_status attn_infer_axes(attn_infer *c, const attn_ints *ints, int rank, bool all, long *axis,
                            int *count);
int attn_run_axes(const attn_run_context *c, const attn_ints *ints, int rank, bool all, long *axis);
/* A gather that copies in[0] to out[0]: dimension i + 1 is dimension i of in[0], 0 the batch. */
void attn_start_gather(const attn_run_context *c, attn_gather *g);

/* gather_elements, scatter_elements: in[1] is i32, of in[0]'s rank, and nowhere but along the axis
 * longer than it. */
attn_status attn_want_elements(attn_infer *c, long axis, int *out);
/* Where row `row` of the indices i begins in x, the index along the axis being 0. */
size_t attn_elements_row(const attn_shape *x, const attn_shape *i, int axis, size_t row);
/* gather_nd, scatter_nd: in[1] is i32 [batch..., c..., k], tuples of indices into the k dimensions
 * of in[0] that follow its first `batch`, which must be as in[1]'s. */
attn_status attn_want_tuples(attn_infer *c, int batch, int *k);
/* Where the element that a tuple gives lies. */
size_t attn_tuple_offset(const attn_shape *x, int batch, const int32_t *index, int k);

#endif
