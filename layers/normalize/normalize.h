/* Step 3: the scores of a query become weights. Shared by the layers `normalize` and `attention`.
 */
#ifndef ATTN_NORMALIZE_H
#define ATTN_NORMALIZE_H

#include "layers/row_blocks.h"

typedef enum attn_normalize_kind {
    ATTN_NORMALIZE_SOFTMAX,   /* Bridle 1990 */
    ATTN_NORMALIZE_SIGMOID,   /* every key on its own; no sum is kept */
    ATTN_NORMALIZE_SPARSEMAX, /* projection onto the simplex; Martins & Astudillo 2016 */
    ATTN_NORMALIZE_NONE,      /* the scores themselves, with 0 for a masked key */
} attn_normalize_kind;

typedef struct attn_normalize_params {
    int kind; /* attn_normalize_kind */
    float temperature;
} attn_normalize_params;

/* Reads the attributes; kind_key is "kind" or "normalize". */
attn_status attn_normalize_parse(attn_reader *r, const char *kind_key, attn_normalize_params *p);

/* Floats that a worker needs for rows of n. */
static inline size_t attn_normalize_worker_floats(const attn_normalize_params *p, size_t n)
{
    return p->kind == ATTN_NORMALIZE_SPARSEMAX ? n : 0;
}

/* y: [rows, n], x: [rows, n], may be the same array. A score of -infinity (a masked key) gives 0,
 * also where a whole row is masked; a NaN in a row of softmax or sparsemax gives a row of NaN. */
void attn_normalize_rows(const attn_kernels *kernels, const attn_normalize_params *p, float *y,
                         const float *x, size_t rows, size_t n, float *worker_scratch);

/* The sparsemax of scale * x; heap: room for n. */
void attn_sparsemax(const attn_kernels *kernels, float *y, const float *x, size_t n, float scale,
                    float *heap);

#endif
