/* Step 2: every query meets every key. Shared by the layers `score` and `attention`, which call
 * the same functions and so give the same bits.
 *
 *   q: [q_len, heads * q_dim]    k: [k_len, kv_heads * k_dim]    scores: [heads, q_len, k_len]
 *
 * Query head h meets key head h / (heads / kv_heads): multi-head attention (Vaswani et al. 2017),
 * multi-query (Shazeer 2019) if kv_heads is 1, grouped-query (Ainslie et al. 2023) between. */
#ifndef ATTN_SCORE_H
#define ATTN_SCORE_H

#include "layers/row_blocks.h"

typedef enum attn_score_kind {
    ATTN_SCORE_SCALED_DOT, /* q.k / sqrt(q_dim); Vaswani et al. 2017, eq. 1 */
    ATTN_SCORE_DOT,        /* q.k; Luong et al. 2015, eq. 8 */
    ATTN_SCORE_COSINE,     /* q.k / (|q| |k|); Graves et al. 2014, eq. 6 */
    ATTN_SCORE_BILINEAR,   /* q W k; Luong et al. 2015, eq. 8, "general" */
    ATTN_SCORE_ADDITIVE,   /* v tanh(q + k + b); Bahdanau et al. 2015, appendix A.1.2 */
    ATTN_SCORE_GAUSSIAN,   /* -|q - k|^2 / (2 sigma^2); Nadaraya 1964, Watson 1964 */
} attn_score_kind;

typedef struct attn_score_params {
    int kind; /* attn_score_kind */
    size_t heads, kv_heads;
    bool has_scale; /* else 1 / sqrt(q_dim) for scaled_dot, 1 for the others */
    float scale, sigma, eps;
    float softcap; /* 0: none */
    bool alibi;
    bool causal;
    size_t window; /* 0: none */
    /* Indices of further operands among the node's inputs, or -1. */
    int padding; /* [k_len], f32 or i32: nonzero where a key may be looked at */
    int mask;    /* [q_len, k_len] or [heads, q_len, k_len]: f32 added, i32 nonzero where kept */
    int bias;    /* the same shapes, f32, added */
    attn_param weight;     /* bilinear: W [q_dim, k_dim] or [heads, q_dim, k_dim], PANELS;
                              additive: v [dim] or [heads, dim] */
    attn_param score_bias; /* additive: b [dim] or [heads, dim] */
} attn_score_params;

typedef struct attn_score_size {
    size_t heads, kv_heads, q_len, k_len, q_dim, k_dim;
} attn_score_size;

/* Reads the score attributes of a node; kind_key is "kind" or "score". */
attn_status attn_score_parse(attn_reader *r, const char *kind_key, attn_score_params *p);

/* Checks the shapes of inputs 0 (q) and 1 (k), of the further operands and of the weights. */
attn_status attn_score_check(attn_infer *c, const attn_score_params *p, attn_score_size *size);

/* The pairs of query and key that "causal" and "window" leave; of very many queries, all. */
double attn_score_pairs(const attn_score_params *p, const attn_score_size *size);
/* `wanted` (F32 or BF16_DOT) where these scores can be computed with it; otherwise F32. */
attn_panel_type attn_score_type(const attn_score_params *p, attn_panel_type wanted);
/* Bytes of one prepared key head, and of what a worker needs for a block of `rows` rows; whole
 * cache lines. false on overflow. */
bool attn_score_key_bytes(const attn_kernels *kernels, const attn_score_params *p,
                          attn_panel_type type, const attn_score_size *size, size_t *bytes);
bool attn_score_worker_bytes(const attn_kernels *kernels, const attn_score_params *p,
                             attn_panel_type type, const attn_score_size *size, size_t rows,
                             size_t *bytes);

/* A run of this step. Set up by attn_score_begin; a key head is prepared before the blocks that
 * meet it, in any order and on any worker. */
typedef struct attn_score_run {
    const attn_score_params *p;
    attn_score_size size;
    const attn_kernels *kernels;
    attn_panel_type type;
    const attn_value *q, *k;
    const attn_value *padding, *mask, *bias; /* or NULL */
    float scale;
    size_t key_items; /* items of k with data of their own */
    size_t key_bytes; /* of one prepared key head; 0 if there is nothing to prepare */
} attn_score_run;

void attn_score_begin(attn_score_run *s, const attn_run_context *c, const attn_score_params *p,
                      attn_panel_type wanted);
/* Key head `head` of `item` into keys: [key_bytes]. Nothing to do if key_bytes is 0. */
void attn_score_prepare(const attn_score_run *s, size_t item, size_t head, void *keys);
/* Leaves out the keys at both ends that no row of the block may look at: their weights would be 0.
 * At least one key stays. */
void attn_score_narrow(const attn_score_run *s, attn_row_block *block);
/* scores: [block.rows, block.keys], masked: a key that may not be looked at has -infinity.
 * keys: the prepared key head. scratch: attn_score_worker_bytes. */
void attn_score_block(const attn_score_run *s, const attn_row_block *block, const void *keys,
                      float *scores, void *scratch);

/* The slope of a head's ALiBi: row i, key j gets -slope * |p - j|, p the position of query i. */
float attn_alibi_slope(size_t head, size_t heads);

/* Cap, biases and masks of a block, in place; called by attn_score_block. */
void attn_score_mask(const attn_score_run *s, const attn_row_block *block, float *scores);

#endif
