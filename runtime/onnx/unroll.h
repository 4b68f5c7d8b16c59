/* What unroll.c and unroll_copy.c share. */
#ifndef ATTN_ONNX_UNROLL_H
#define ATTN_ONNX_UNROLL_H

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

#endif
