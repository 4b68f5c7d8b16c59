/* What unroll.c, unroll_copy.c and sequence.c share. */
#ifndef ATTN_ONNX_UNROLL_H
#define ATTN_ONNX_UNROLL_H

#include "runtime/base/names.h"
#include "runtime/onnx/ir.h"

/* Whether the value is one whole number (or a truth) that is known. */
bool attn_unroll_known(const attn_ir_value *value, int64_t *out);
/* A constant of one element. */
attn_ir_value *attn_unroll_number(attn_ir *ir, const char *name, int64_t number, int rank,
                                  attn_onnx_type type);

/* Copies the body's nodes in front of `before`, or, if that is NULL, to the end of `to`. The body's
 * inputs have their `copy`; afterwards all values of the body have. */
void attn_unroll_copy(attn_ir *ir, const attn_ir_body *from, attn_ir_body *to,
                      attn_ir_node *before);
/* What the value is in the last copy: itself, if it is made outside. */
attn_ir_value *attn_unroll_copied(attn_ir_value *value);
/* A value of a body that stays must not be taken for its copy. */
void attn_unroll_forget(const attn_ir_body *body);
/* The nodes of the body and of what is in it. */
size_t attn_unroll_count(const attn_ir_body *body);

/* A node of the standard domain with one output, in front of another: its version is 13, in which
 * Unsqueeze and Slice have their axes as operands. */
attn_ir_node *attn_unroll_insert(attn_ir *ir, attn_ir_node *before, const char *op,
                                 const char *name, size_t inputs, attn_ir_value *const *in,
                                 attn_ir_value **out);
/* list[0..count), count > 0, one after the other along the axis, or, if it is `fresh`, along a
 * dimension that they do not have yet. The list is used up. */
attn_ir_value *attn_unroll_join(attn_ir *ir, attn_ir_node *before, attn_ir_value **list,
                                size_t count, int64_t axis, bool fresh, const char *name);
/* A constant list of one integer. */
attn_ir_value *attn_unroll_list(attn_ir *ir, int64_t number);
/* The size of a dimension, if it is the same always. */
bool attn_unroll_size(const attn_ir_value *value, int64_t axis, size_t *out);

/* ---- sequences ------------------------------------------------------------------------------ */

typedef struct attn_sequences {
    attn_names lists; /* name of a value -> what it consists of */
    size_t elements;  /* of all lists, so far */
} attn_sequences;

bool attn_is_sequence_node(const attn_ir_node *n);
bool attn_is_sequence(const attn_sequences *s, const attn_ir_value *value);
/* It is dead then, if all that it needs is known. */
attn_status attn_sequence_resolve(attn_ir *ir, attn_sequences *s, attn_ir_node *n);
/* That what is left reads no sequences. */
attn_status attn_sequence_check(attn_ir *ir, const attn_sequences *s, const attn_ir_body *body);

#endif
