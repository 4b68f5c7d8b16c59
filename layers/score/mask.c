/* Masks and position biases: what is added to the scores, and what may not be looked at.
 *
 * The ends of queries and keys are aligned: query i stands at position p = i + k_len - q_len, so
 * that queries appended to cached keys see the right ones.
 *   causal:    key j if j <= p
 *   window n:  key j if |p - j| < n; with causal: p - n < j <= p
 */
#include "layers/score/score.h"

#include <math.h>

/* The keys [*first, *end) that query i may look at. */
static void allowed_keys(const attn_score_params *p, const attn_score_size *z, size_t i,
                         size_t *first, size_t *end)
{
    *first = 0;
    *end = z->k_len;
    /* Positions are moved by q_len, so that none is negative. */
    size_t position = i + z->k_len, origin = z->q_len;
    if (p->causal || p->window) {
        size_t after = position + (p->causal ? 1 : p->window); /* first key that is too late */
        size_t limit = after > origin ? after - origin : 0;
        if (limit < *end) *end = limit;
    }
    if (p->window && position + 1 > origin + p->window) *first = position + 1 - origin - p->window;
    if (*first > *end) *first = *end;
}

static void keep_where(const attn_value *keep, size_t item, size_t at, float *row, size_t n)
{
    if (keep->shape.dtype == ATTN_I32) {
        const int32_t *flag = attn_item_i32(keep, item) + at;
        for (size_t j = 0; j < n; j++)
            if (flag[j] == 0) row[j] = -INFINITY;
    } else {
        const float *flag = attn_item(keep, item) + at;
        for (size_t j = 0; j < n; j++)
            if (flag[j] == 0) row[j] = -INFINITY;
    }
}

static void add_row(const attn_score_run *s, const attn_value *v, size_t item, size_t at,
                    float *row)
{
    s->kernels->binary(ATTN_BIN_ADD, row, row, 1, attn_item(v, item) + at, 1, s->size.k_len);
}

void attn_score_mask(const attn_score_run *s, const attn_row_block *block, float *scores)
{
    const attn_score_size *z = &s->size;
    for (size_t r = 0; r < block->rows; r++) {
        float *row = scores + r * z->k_len;
        size_t i = block->row + r, first, end;
        size_t in_plane = i * z->k_len, in_stack = (block->head * z->q_len + i) * z->k_len;
        if (s->bias)
            add_row(s, s->bias, block->item, s->bias->shape.rank == 3 ? in_stack : in_plane, row);
        if (s->mask) {
            size_t at = s->mask->shape.rank == 3 ? in_stack : in_plane;
            if (s->mask->shape.dtype == ATTN_I32)
                keep_where(s->mask, block->item, at, row, z->k_len);
            else
                add_row(s, s->mask, block->item, at, row);
        }
        if (s->padding) keep_where(s->padding, block->item, 0, row, z->k_len);
        allowed_keys(s->p, z, i, &first, &end);
        for (size_t j = 0; j < first; j++) row[j] = -INFINITY;
        for (size_t j = end; j < z->k_len; j++) row[j] = -INFINITY;
    }
}
