/* Step 4: the weights pick or mix the values. Shared by the layers `select` and `attention`.
 *
 *   w: [heads, q_len, k_len]    v: [k_len, kv_heads * v_dim]    y: [q_len, heads * v_dim]
 *
 * y of query i, head h: sum over j of w[h][i][j] v[j][h / (heads / kv_heads)], where `top_k`,
 * `hard` and `threshold` first set the weights of the keys that they drop to 0. */
#ifndef ATTN_SELECT_H
#define ATTN_SELECT_H

#include "layers/row_blocks.h"

typedef enum attn_select_kind {
    ATTN_SELECT_WEIGHTED,  /* all of them */
    ATTN_SELECT_TOP_K,     /* the k largest weights; of equal ones the first */
    ATTN_SELECT_HARD,      /* the largest, with weight 1; of equal ones the first */
    ATTN_SELECT_THRESHOLD, /* the weights of at least `threshold` */
} attn_select_kind;

typedef struct attn_select_params {
    int kind;        /* attn_select_kind */
    size_t kv_heads; /* 0: as many as w has heads */
    size_t k;
    float threshold;
    bool renormalize; /* top_k, threshold: divide what is kept by its sum */
} attn_select_params;

typedef struct attn_select_size {
    size_t heads, kv_heads, q_len, k_len, v_dim;
} attn_select_size;

/* Reads the attributes but kv_heads; kind_key is "kind" or "select". */
attn_status attn_select_parse(attn_reader *r, const char *kind_key, attn_select_params *p);

/* Checks the values, input `v`, against the shape of the weights [heads, q_len, k_len]. */
attn_status attn_select_check(attn_infer *c, const attn_select_params *p, const attn_shape *w,
                              size_t v, attn_select_size *size);

/* `wanted` (F32 or BF16_DOT) where this selection can be computed with it; otherwise F32. */
attn_panel_type attn_select_type(const attn_select_params *p, attn_panel_type wanted);
/* Bytes of one prepared value head, and of what a worker needs for a block of `rows` rows; whole
 * cache lines. false on overflow. */
bool attn_select_value_bytes(const attn_kernels *kernels, const attn_select_params *p,
                             attn_panel_type type, const attn_select_size *size, size_t *bytes);
bool attn_select_worker_bytes(const attn_kernels *kernels, const attn_select_params *p,
                              attn_panel_type type, const attn_select_size *size, size_t rows,
                              size_t *bytes);

/* Bytes from panel to panel of values that have room for `rows`, whole cache lines: in a cache. 0
 * on overflow. */
size_t attn_value_stride(const attn_kernels *kernels, attn_panel_type type, size_t rows);

/* A run of this step. Set up by attn_select_begin; a value head is prepared before the blocks that
 * it is mixed for, in any order and on any worker. */
typedef struct attn_select_run {
    const attn_select_params *p;
    attn_select_size size;
    const attn_kernels *kernels;
    attn_panel_type type;
    const attn_value *v, *y;
    size_t value_items;  /* items of v with data of their own */
    size_t value_bytes;  /* of one prepared value head; 0 if there is nothing to prepare */
    size_t panel_stride; /* bytes from panel to panel of it */
} attn_select_run;

/* heads, q_len: of the weights. */
void attn_select_begin(attn_select_run *s, const attn_run_context *c, const attn_select_params *p,
                       attn_panel_type wanted, size_t heads, size_t q_len, const attn_value *v);
/* Value head `head` of `item` into values: [value_bytes]. Nothing to do if value_bytes is 0. */
void attn_select_prepare(const attn_select_run *s, size_t item, size_t head, void *values);

/* Sets the weights of dropped keys to 0 and renormalizes, in place; nothing for `weighted`.
 * w: [rows, n]. A row with a NaN stays as it is. */
void attn_select_sparsify(const attn_kernels *kernels, const attn_select_params *p, float *w,
                          size_t rows, size_t n, float *worker_scratch);
/* Writes the block's rows of y. w: [block.rows, block.keys], sparsified; values: the prepared value
 * head; scratch: attn_select_worker_bytes. */
void attn_select_block(const attn_select_run *s, const attn_row_block *block, const void *values,
                       const float *w, void *scratch);

#endif
