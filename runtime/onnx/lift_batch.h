/* Between lift_batch.c, which walks the graph, and lift_batch_rules.c, which knows the operators.
 */
#ifndef ATTN_ONNX_LIFT_BATCH_H
#define ATTN_ONNX_LIFT_BATCH_H

#include "runtime/onnx/lift.h"

/* Where a value has the batch (value->batch). */
enum {
    ATTN_BATCH_NONE,  /* it does not depend on it */
    ATTN_BATCH_FIRST, /* dimension 0 is the batch; it goes */
    ATTN_BATCH_OUTER, /* dimension 0 is the batch times something, the batch outermost: it is
                       * divided */
};

typedef struct attn_batch {
    attn_ir *ir;
    int symbol;
    bool write; /* false: may it be done? Nothing is changed. true: do it */
} attn_batch;

/* A rule of an operator, of which some input has the batch: does each item of the batch go its own
 * way through it, and if so, with which attributes? */
typedef bool (*attn_batch_rule)(attn_batch *b, attn_ir_node *node);

/* NULL: there is none. */
attn_batch_rule attn_batch_find_rule(const attn_ir_node *node);

bool attn_batch_same(const attn_ir_amount *a, const attn_ir_amount *b);
/* Is the batch a factor of it? */
bool attn_batch_in(const attn_batch *b, const attn_ir_amount *a);
/* The dimensions without the batch, symbols as they were; returns the rank. */
int attn_batch_item_dims(const attn_batch *b, const attn_ir_value *value, attn_ir_amount *dim);

#endif
