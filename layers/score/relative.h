/* Positions relative to each other: the distance from key to query becomes a row of a table.
 *
 * The ends of queries and keys are aligned, as in score: query i stands at i + k_len - q_len, and
 * distance = that - j for key j. */
#ifndef ATTN_RELATIVE_H
#define ATTN_RELATIVE_H

#include "layers/support.h"

typedef enum attn_relative_kind {
    ATTN_RELATIVE_T5,   /* Raffel et al. 2020 (arXiv:1910.10683), sec. 2.1 */
    ATTN_RELATIVE_LOG,  /* He et al. 2021 (arXiv:2111.09543), DeBERTa's log buckets */
    ATTN_RELATIVE_CLIP, /* Shaw et al. 2018 (arXiv:1803.02155), sec. 3.2 */
} attn_relative_kind;

typedef struct attn_relative {
    int kind; /* attn_relative_kind */
    size_t buckets, max_distance;
    bool bidirectional; /* T5 */
} attn_relative;

/* Reads "kind", "buckets", "max_distance" and "bidirectional". */
attn_status attn_relative_parse(attn_reader *r, attn_relative *p);

/* Rows of the table: every bucket is below it. */
size_t attn_relative_rows(const attn_relative *p);

/* bucket: [q_len + k_len - 1]; that of query i and key j is bucket[j - i + q_len - 1]. */
void attn_relative_buckets(const attn_relative *p, size_t q_len, size_t k_len, int32_t *bucket);

/* Both lengths, and scratch for the buckets. */
attn_status attn_relative_lengths(attn_infer *c, size_t q_len, size_t k_len);

#endif
