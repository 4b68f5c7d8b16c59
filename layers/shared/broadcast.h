/* Elementwise operations on several operands, with NumPy's broadcasting: shapes are aligned at
 * their last dimension, and a dimension of 1 is repeated. */
#ifndef ATTN_BROADCAST_H
#define ATTN_BROADCAST_H

#include "layers/layer.h"

/* The shape that a and b broadcast to, with a's dtype; false if they do not. *da, *db: the
 * dimensions that differ. */
bool attn_broadcast_shapes(const attn_shape *a, const attn_shape *b, attn_shape *out, size_t *da,
                           size_t *db);
/* The same of the node's inputs `first` and after, in turn; out may be c->out[0]. An error at the
 * node if they do not broadcast, or to more elements than can be counted. */
attn_status attn_want_broadcast(attn_infer *c, size_t first, size_t count, attn_shape *out);

enum { ATTN_BROADCAST_OPERANDS = 3 };

typedef struct attn_broadcast {
    const attn_run_context *c;
    const void *params;
    /* y[i] = f(x[0][i * step[0]], x[1][i * step[1]] ...) for i < n. Elements have 4 bytes; steps
     * are 0 (one element for all) or 1. */
    void (*row)(const struct attn_broadcast *b, void *y, const void *const *x, const size_t *step,
                size_t n);
    int operands;
    attn_shape shape[ATTN_BROADCAST_OPERANDS];
    const char *x[ATTN_BROADCAST_OPERANDS];
    size_t stride[ATTN_BROADCAST_OPERANDS]; /* elements from item to item */
    /* The work, made by attn_run_broadcast. */
    int rank;
    size_t dim[ATTN_MAX_RANK + 1], steps[ATTN_BROADCAST_OPERANDS][ATTN_MAX_RANK + 1];
    size_t total, size;
} attn_broadcast;

/* Takes input `from` as operand i. */
void attn_broadcast_input(attn_broadcast *b, int i, size_t from);
/* All elements of the node's output 0, in parallel. */
void attn_run_broadcast(attn_broadcast *b);

#endif
