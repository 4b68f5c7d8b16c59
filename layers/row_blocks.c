#include "layers/row_blocks.h"

enum { MIN_ROWS = 8, MAX_ROWS = 64, BLOCK_FLOATS = 1 << 16 };

attn_row_blocks attn_cut_row_blocks(size_t batch, size_t heads, size_t q_len, size_t k_len,
                                    size_t workers)
{
    size_t rows = BLOCK_FLOATS / k_len & ~(size_t)(MIN_ROWS - 1);
    if (rows < MIN_ROWS) rows = MIN_ROWS;
    if (rows > MAX_ROWS) rows = MAX_ROWS;
    while (workers > 1 && rows > MIN_ROWS &&
           batch * heads * ((q_len + rows - 1) / rows) < 2 * workers)
        rows /= 2;
    if (rows > q_len) rows = q_len;
    attn_row_blocks blocks = {.heads = heads, .q_len = q_len, .rows = rows};
    blocks.per_head = (q_len + rows - 1) / rows;
    blocks.tasks = batch * heads * blocks.per_head;
    return blocks;
}

attn_row_block attn_get_row_block(const attn_row_blocks *blocks, size_t task)
{
    size_t head = task / blocks->per_head;
    attn_row_block block = {.item = head / blocks->heads,
                            .head = head % blocks->heads,
                            .row = task % blocks->per_head * blocks->rows};
    size_t left = blocks->q_len - block.row;
    block.rows = left < blocks->rows ? left : blocks->rows;
    return block;
}
