/* How the attention layers cut their work: a task is a block of query rows of one head of one item
 * of the batch. A row's result never depends on the block that it is in. */
#ifndef ATTN_LAYERS_ROW_BLOCKS_H
#define ATTN_LAYERS_ROW_BLOCKS_H

#include "layers/layer.h"

/* One bound for every count that a description may give; products of two fit a size_t. */
#define ATTN_COUNT_MAX ((size_t)1 << 31)

typedef struct attn_row_blocks {
    size_t heads, q_len;
    size_t rows;     /* of a block; the last one of a head may have fewer */
    size_t per_head; /* blocks */
    size_t tasks;    /* batch * heads * per_head */
} attn_row_blocks;

typedef struct attn_row_block {
    size_t item, head, row, rows;
} attn_row_block;

/* Blocks of 8 to 64 rows: a block's scores [rows, k_len] should stay in the second-level cache,
 * and every worker should find a task. Sizes are at least 1. */
attn_row_blocks attn_cut_row_blocks(size_t batch, size_t heads, size_t q_len, size_t k_len,
                                    size_t workers);
attn_row_block attn_get_row_block(const attn_row_blocks *blocks, size_t task);

/* count floats, rounded up to whole cache lines; false on overflow. */
static inline bool attn_round_floats(size_t count, size_t *out)
{
    bool fits = attn_add(count, 15, out);
    *out &= ~(size_t)15;
    return fits;
}

#endif
