#include "layers/row_blocks.h"

#include "layers/grid.h"

enum {
    LEAST_ROWS = 14,
    NARROW_ROWS = 28,
    MOST_ROWS = 56,
    BLOCK_FLOATS = 1 << 17,
    TASKS_PER_WORKER = 4
};

attn_row_blocks attn_cut_row_blocks(size_t batch, size_t heads, size_t q_len, size_t k_len,
                                    size_t workers, bool narrow)
{
    size_t rows = BLOCK_FLOATS / k_len, limit = narrow ? NARROW_ROWS : MOST_ROWS;
    if (rows < LEAST_ROWS) rows = LEAST_ROWS;
    if (rows > limit) rows = limit;
    attn_row_blocks b = {.heads = heads, .q_len = q_len, .k_len = k_len};
    b.per_head = (q_len + rows - 1) / rows;
    if (workers > 1) {
        size_t want = (TASKS_PER_WORKER * workers + batch * heads - 1) / (batch * heads);
        size_t most = q_len / LEAST_ROWS;
        if (want > most) want = most;
        if (want > b.per_head) b.per_head = want;
    }
    b.rows = (q_len + b.per_head - 1) / b.per_head;
    b.tasks = batch * heads * b.per_head;
    return b;
}

attn_row_block attn_get_row_block(const attn_row_blocks *b, size_t task)
{
    size_t head = task / b->per_head, part = task % b->per_head;
    attn_row_block block = {.item = head / b->heads,
                            .head = head % b->heads,
                            .row = attn_part(b->q_len, b->per_head, part),
                            .keys = b->k_len,
                            .ld = b->k_len};
    block.rows = attn_part(b->q_len, b->per_head, part + 1) - block.row;
    return block;
}
