/* How the attention layers cut their work: a block of query rows of one head of one item of the
 * batch, and the keys that they meet. A row's result never depends on the block that it is in. */
#ifndef ATTN_LAYERS_ROW_BLOCKS_H
#define ATTN_LAYERS_ROW_BLOCKS_H

#include "layers/layer.h"

/* One bound for every count that a description may give; products of two fit a size_t. */
#define ATTN_COUNT_MAX ((size_t)1 << 31)

typedef struct attn_row_blocks {
    size_t heads, q_len, k_len;
    size_t per_head; /* blocks, nearly equal ones */
    size_t rows;     /* of the largest */
    size_t tasks;    /* batch * heads * per_head */
} attn_row_blocks;

typedef struct attn_row_block {
    size_t item, head, row, rows;
    size_t first, keys; /* keys [first, first + keys) */
    size_t ld;          /* floats from row to row of the scores */
} attn_row_block;

/* A block's scores [rows, k_len] should stay in the second-level cache, and every worker should
 * find tasks. narrow: a row looks at some keys, a block meets those of all its rows, so it has few.
 * Sizes are at least 1. */
attn_row_blocks attn_cut_row_blocks(size_t batch, size_t heads, size_t q_len, size_t k_len,
                                    size_t workers, bool narrow);
/* With all keys. */
attn_row_block attn_get_row_block(const attn_row_blocks *blocks, size_t task);

/* Bytes rounded up to whole cache lines; false on overflow. */
static inline bool attn_round_bytes(size_t bytes, size_t *out)
{
    bool fits = attn_add(bytes, 63, out);
    *out &= ~(size_t)63;
    return fits;
}

#endif
