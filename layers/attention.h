/* attention: score, normalize and select in one layer, a block of query rows at a time.
 *
 *   q [q_len, heads * q_dim], k [k_len, kv_heads * k_dim], v [k_len, kv_heads * v_dim]
 *   -> y [q_len, heads * v_dim], and if asked weights [heads, q_len, k_len]
 *
 * The scores of a block live in a worker's scratch; the whole [q_len, k_len] is stored only where
 * a second output asks for it. It holds the weights as they mix the values: after the selection
 * has dropped what it drops. The results are those of the three layers, bit for bit.
 *
 * With "cache", in a session with a context, k_len counts the rows of earlier runs too: they lie in
 * the cache as the products take them, this run's are appended. */
#ifndef ATTN_ATTENTION_H
#define ATTN_ATTENTION_H

#include "layers/normalize/normalize.h"
#include "layers/score/score.h"
#include "layers/select/select.h"

typedef struct attn_attention_params {
    attn_score_params score;
    attn_normalize_params normalize;
    attn_select_params select;
    bool cached; /* the session keeps the keys and values of earlier runs */
} attn_attention_params;

/* Composes the params of a `score`, a `normalize` and a `select` node into those of an `attention`
 * node. Its inputs are then q, k of the score node, v of the select node, and the further operands
 * of the score node in their order: v is put in at index 2. false if there is no such node (the
 * heads do not fit); then *attention_params is not to be used. Call it once the weights are in
 * place: their `data` is copied. */
bool attn_attention_fuse(const void *score_params, const void *normalize_params,
                         const void *select_params, void *attention_params);

#endif
