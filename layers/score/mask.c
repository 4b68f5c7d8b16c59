/* Caps, masks and position biases: what is added to the scores, and what may not be looked at.
 *
 * The ends of queries and keys are aligned: query i stands at position p = i + k_len - q_len, so
 * that queries appended to cached keys see the right ones.
 *   causal:    key j if j <= p
 *   window n:  key j if |p - j| < n; with causal: p - n < j <= p
 */
#include "layers/exact.h"
#include "layers/score/score.h"

#include <math.h>
#include <string.h>

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

double attn_score_pairs(const attn_score_params *p, const attn_score_size *z)
{
    enum { MOST_COUNTED = 1 << 20 }; /* queries: a description may claim any number */
    double pairs = 0;
    size_t first, end;
    if ((!p->causal && !p->window) || z->q_len > MOST_COUNTED)
        return (double)z->q_len * (double)z->k_len;
    for (size_t i = 0; i < z->q_len; i++) {
        allowed_keys(p, z, i, &first, &end);
        pairs += (double)(end - first);
    }
    return pairs;
}

static bool keeps(const attn_value *keep, size_t item, size_t at)
{
    return keep->shape.dtype == ATTN_I32 ? attn_item_i32(keep, item)[at] != 0
                                         : attn_item(keep, item)[at] != 0;
}

void attn_score_narrow(const attn_score_run *s, attn_row_block *block)
{
    const attn_score_size *z = &s->size;
    size_t first, end, unused, step = s->kernels->panel > 16 ? s->kernels->panel : 16;
    /* Both bounds grow with the query. */
    allowed_keys(s->p, z, block->row, &first, &unused);
    allowed_keys(s->p, z, block->row + block->rows - 1, &unused, &end);
    if (s->padding) {
        while (end > first && !keeps(s->padding, block->item, end - 1)) end--;
        while (first < end && !keeps(s->padding, block->item, first)) first++;
    }
    if (first >= end) first = end ? end - 1 : 0;
    if (end == 0) end = 1;
    /* From a panel on, and one of the 16 partial results of a row: see kernels.h. */
    block->first = first / step * step;
    block->keys = end - block->first;
}

static bool keeps_all(const attn_value *keep, size_t item, size_t at, size_t n)
{
    bool all = true;
    for (size_t j = 0; j < n; j++) all &= keeps(keep, item, at + j);
    return all;
}

/* By bits, as no branch would be foreseen. */
static inline void hide(float *score, bool keep)
{
    const float hidden = -INFINITY;
    uint32_t bits, others, mask = (uint32_t)0 - keep;
    memcpy(&bits, score, sizeof bits);
    memcpy(&others, &hidden, sizeof others);
    bits = (bits & mask) | (others & ~mask);
    memcpy(score, &bits, sizeof bits);
}

static void keep_where(const attn_value *keep, size_t item, size_t at, float *row, size_t n)
{
    if (keep->shape.dtype == ATTN_I32) {
        const int32_t *k = attn_item_i32(keep, item) + at;
        for (size_t j = 0; j < n; j++) hide(&row[j], k[j] != 0);
    } else {
        const float *k = attn_item(keep, item) + at;
        for (size_t j = 0; j < n; j++) hide(&row[j], k[j] != 0);
    }
}

static void add_row(const attn_score_run *s, const attn_value *v, size_t item, size_t at,
                    float *row, size_t n)
{
    s->kernels->binary(ATTN_BIN_ADD, row, row, 1, attn_item(v, item) + at, 1, n);
}

/* Press et al. 2021 (arXiv:2108.12409), sec. 3 and its code: 2^(-8 (h + 1) / heads) if heads is a
 * power of two; otherwise those of the power of two below, then every other one of that above. */
float attn_alibi_slope(size_t head, size_t heads)
{
    const double ln2 = 0.69314718055994530942;
    size_t power = 1;
    while (power * 2 <= heads) power *= 2;
    double exponent = head < power ? 8 * (double)(head + 1) / (double)power
                                   : 4 * (double)(2 * (head - power) + 1) / (double)power;
    return (float)attn_exp_of_minus(ln2 * exponent);
}

/* position: of the query, counted from the row's first key. */
static void add_distances(float slope, long position, float *row, size_t n)
{
    for (size_t j = 0; j < n; j++) {
        long distance = position - (long)j;
        row[j] -= slope * (float)(distance < 0 ? -distance : distance);
    }
}

/* c tanh(score / c) */
static void cap(const attn_score_run *s, float *scores, size_t n)
{
    const float *c = &s->p->softcap;
    s->kernels->binary(ATTN_BIN_DIV, scores, scores, 1, c, 0, n);
    s->kernels->unary(ATTN_TANH, scores, scores, n);
    s->kernels->binary(ATTN_BIN_MUL, scores, scores, 1, c, 0, n);
}

/* Where the row of a mask or bias begins, [heads, q_len, k_len], both of the first may be 1 or
 * heads missing. */
static size_t row_at(const attn_value *v, const attn_score_size *z, size_t head, size_t row)
{
    const attn_shape *m = &v->shape;
    size_t rows = m->dim[m->rank - 2], at = rows == 1 ? 0 : row * z->k_len;
    return m->rank == 3 && m->dim[0] != 1 ? at + head * rows * z->k_len : at;
}

void attn_score_mask(const attn_score_run *s, const attn_row_block *block, float *scores)
{
    const attn_score_size *z = &s->size;
    size_t n = block->keys, begin = block->first, stop = begin + n;
    for (size_t r = 0; s->p->softcap != 0 && r < block->rows; r++)
        cap(s, scores + r * block->ld, n);
    bool padded = s->padding && !keeps_all(s->padding, block->item, begin, n);
    if (!padded && !s->mask && !s->bias && !s->p->alibi && !s->p->causal && !s->p->window) return;
    float slope = s->p->alibi ? attn_alibi_slope(block->head, z->heads) : 0;
    for (size_t r = 0; r < block->rows; r++) {
        float *row = scores + r * block->ld;
        size_t i = block->row + r, first, end;
        if (s->p->alibi)
            add_distances(slope, (long)(i + z->k_len) - (long)z->q_len - (long)begin, row, n);
        if (s->bias)
            add_row(s, s->bias, block->item, row_at(s->bias, z, block->head, i) + begin, row, n);
        if (s->mask) {
            size_t at = row_at(s->mask, z, block->head, i) + begin;
            if (s->mask->shape.dtype == ATTN_I32)
                keep_where(s->mask, block->item, at, row, n);
            else
                add_row(s, s->mask, block->item, at, row, n);
        }
        if (padded) keep_where(s->padding, block->item, begin, row, n);
        if (!s->p->causal && !s->p->window) continue;
        allowed_keys(s->p, z, i, &first, &end);
        for (size_t j = begin; j < first && j < stop; j++) row[j - begin] = -INFINITY;
        for (size_t j = end > begin ? end : begin; j < stop; j++) row[j - begin] = -INFINITY;
    }
}
