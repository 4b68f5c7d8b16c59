/* What several layers share: checks of shapes in infer, splitting of work in run. */
#ifndef ATTN_SUPPORT_H
#define ATTN_SUPPORT_H

#include "layers/layer.h"

/* ---- parse and infer ---------------------------------------------------------------------- */

/* attn_want, and no dimension is zero. */
attn_status attn_want_filled(attn_infer *c, size_t input, attn_dtype dtype, int min_rank,
                             int max_rank);
/* The same for a layer that only moves elements: f32 or i32. */
attn_status attn_want_any(attn_infer *c, size_t input, int min_rank, int max_rank);
/* axis, counted from the front or (negative) from the end of input's dimensions, into *out. */
attn_status attn_want_axis(attn_infer *c, size_t input, long axis, int *out);
/* Where there is a context: rows must be as many as the run appends to the cache. */
attn_status attn_want_appended(attn_infer *c, size_t rows);
/* Elements of an output's shape; an error if the count overflows. */
attn_status attn_want_count(attn_infer *c, const attn_shape *shape, size_t *count);
/* An error at the node if a weight has no elements. source may be NULL. */
attn_status attn_need_elements(attn_reader *r, const attn_param *param);
/* An error at the node unless param is absent or has exactly `size` elements. */
attn_status attn_need_length(attn_reader *r, const attn_param *param, size_t size);
/* An activation by its name here or in Hugging Face's ACT2FN; left as it was if `key` is absent. */
attn_status attn_read_activation(attn_reader *r, const char *key, attn_unary *unary);
/* The operand `index` must be a padding mask [seq], f32 or i32 (see attn_mask_keeps); -1: none. */
attn_status attn_want_mask(attn_infer *c, int index, size_t seq);

/* ---- shapes ------------------------------------------------------------------------------- */

/* Product of dim[from..to), of a shape whose count is known not to overflow. */
static inline size_t attn_span(const attn_shape *shape, int from, int to)
{
    size_t n = 1;
    for (int i = from; i < to; i++) n *= shape->dim[i];
    return n;
}
/* The last dimension; 1 for rank 0. */
static inline size_t attn_last(const attn_shape *shape)
{
    return shape->rank ? shape->dim[shape->rank - 1] : 1;
}

/* ---- run ---------------------------------------------------------------------------------- */

/* Rows [first, end) of batch item `item`. */
typedef void (*attn_row_task)(const attn_run_context *c, const void *params, size_t item,
                              size_t first, size_t end, size_t worker);
/* Calls task for all rows of all items, cut into tasks of at least `grain` rows. */
void attn_each_rows(const attn_run_context *c, const void *params, size_t rows, size_t grain,
                    attn_row_task task);
/* Rows that make a task worth starting, where a row costs about `cost` simple operations. */
static inline size_t attn_grain(size_t cost)
{
    return cost < 16384 ? 16384 / (cost ? cost : 1) : 1;
}
/* Panels of w [k, n] that a task packs into its scratch: at least one, bounded by memory, and few
 * enough for all workers to find a task where there are only `jobs` matrices. */
size_t attn_block_panels(const attn_kernels *kernels, size_t k, size_t n, size_t jobs,
                         size_t workers);
/* Element t of a mask: true if it is not zero. */
bool attn_mask_keeps(const attn_value *mask, size_t item, size_t t);

/* y[i0, i1, ...] = x at the offset first + i0 * step[0] + i1 * step[1] ..., all of 4-byte elements:
 *   y: dim[0..rank) in C order; step: in elements, 0 to repeat, negative (modulo 2^64) to go back.
 * Parallel. y and x must not overlap. */
enum { ATTN_GATHER_RANK = 2 * ATTN_MAX_RANK + 1 };
typedef struct attn_gather {
    int rank;
    size_t dim[ATTN_GATHER_RANK];
    size_t step[ATTN_GATHER_RANK];
    size_t first;
    void *y;
    const void *x;
} attn_gather;
void attn_run_gather(const attn_run_context *c, const attn_gather *g);
/* out[0] has the elements of in[0], in whose buffer it may be. Parallel. */
void attn_run_copy(const attn_run_context *c);

#endif
