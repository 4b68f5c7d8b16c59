/* Lifting: low-level operators become what they are a spelling of. Each pass rewrites the
 * importer's graph; what it does not recognise stays as it is. What lifting makes has the domain
 * "attn":
 *
 *   Linear     x [..., in], weight [in, out] (a constant), bias [out] or left out
 *   Conv       as the operator, with constant weights and an "activation"
 *   Attention  q [..., q_len, heads * dim], k, v [..., k_len, ...], two biases of the scores, a
 * mask, the padding; each of the last four may be left out LayerNorm, RMSNorm, Gelu, GeluTanh,
 * QuickGelu, Silu, HardSwish
 *   PatchEmbed x [C, H, W], weight, bias or left out
 *   Prepend, Append  x [seq, dim], rows (a constant)
 *   Token      x [..., seq, dim], "index"
 *   Positions  x [..., seq, dim], table [max, dim] (a constant)
 *
 * The passes need what attn_ir_probe says, as far as it is still true. */
#ifndef ATTN_ONNX_LIFT_H
#define ATTN_ONNX_LIFT_H

#include "runtime/onnx/ir.h"

/* All passes, in their order. *keep_batch: leave the batch of the exporter where it is; set, if its
 * removal has failed and the graph has to be made anew. */
attn_status attn_lift(attn_ir *ir, bool *keep_batch);

/* Errors: ATTN_BAD_MODEL, an attribute or input that is not known. */
attn_status attn_lift_operators(attn_ir *ir);
/* com.microsoft's product with a matrix of a few bits. */
attn_status attn_lift_bits(attn_ir *ir, attn_ir_node *node);
void attn_lift_dequantized(attn_ir *ir);
void attn_lift_conv(attn_ir *ir);
void attn_lift_norms(attn_ir *ir);
void attn_lift_activations(attn_ir *ir);
void attn_lift_linear(attn_ir *ir);
void attn_lift_attention(attn_ir *ir);
void attn_lift_sizes(attn_ir *ir);
void attn_lift_masks(attn_ir *ir);
void attn_lift_trivial(attn_ir *ir);
void attn_lift_moves(attn_ir *ir);
void attn_lift_names(attn_ir *ir);
/* *undo: the graph is not right any more. */
attn_status attn_lift_batch(attn_ir *ir, bool *undo);
/* Patches, class tokens, positions: of a graph without a batch, probed. */
void attn_lift_tokens(attn_ir *ir);

/* ---- patterns ------------------------------------------------------------------------------ */

/* node is op(a, number) with the constant on either side (Add, Mul), or in second place (Div, Sub,
 * Pow): the other input, or NULL. */
attn_ir_value *attn_lift_with_number(const attn_ir_node *node, const char *op, double number);
/* The same with any number of one element. */
attn_ir_value *attn_lift_with_any(const attn_ir_node *node, const char *op, double *number);
/* The input of a node of two that is not `value`; NULL if neither is. */
attn_ir_value *attn_lift_other(const attn_ir_node *node, const attn_ir_value *value);
/* All of the value's elements are the same number, known at every size. */
bool attn_lift_uniform(const attn_ir_value *value, double *number);
/* The node gives `value` now, as op of the domain "attn" with these inputs: inserted where the node
 * that made it stood. Returns the new node. */
attn_ir_node *attn_lift_make(attn_ir *ir, attn_ir_value *value, const char *op, size_t inputs,
                             attn_ir_value *const *in);
/* Does attention of q and k, [lead..., length, columns], take the value as mask or bias? NULL: yes.
 */
bool attn_lift_mask_fits(const attn_ir_value *value, const attn_ir_value *q, const attn_ir_value *k,
                         size_t heads);
/* Equal at every size; 1 at every size. */
bool attn_lift_same_amount(const attn_ir_amount *a, const attn_ir_amount *b);
bool attn_lift_is_one(const attn_ir_amount *a);
/* The last dimension, if it is a plain number; otherwise 0. */
size_t attn_lift_columns(const attn_ir_value *value);

/* ---- views --------------------------------------------------------------------------------- */

/* Transposes and reshapes tell where each element of a value comes from. They are compared by
 * doing them to the indices of the elements, at one size of the symbols. */
typedef struct attn_view {
    size_t count;
    uint32_t *from; /* [count]: for each element its index in the source */
} attn_view;

/* The sizes of a value at the sizes of the symbols that views are compared at; false: not known, or
 * too large. */
bool attn_view_dims(const attn_ir *ir, const attn_ir_value *value, size_t *dim, size_t *count);
/* Is the node one that only moves elements of its first input (Reshape, Transpose, Squeeze,
 * Unsqueeze, Flatten, Expand, Slice, Gather of one index)? */
bool attn_view_is(const attn_ir_node *node);
/* All elements of the first input, in their order. */
bool attn_view_is_flat(const attn_ir_node *node);
/* *view: each element in its own place. */
bool attn_view_begin(const attn_ir *ir, size_t count, attn_view *view);
/* What node->out[slot] is of that of which node->in[0] is `in`; false: it cannot be told. */
bool attn_view_follow(attn_ir *ir, const attn_ir_node *node, size_t slot, const attn_view *in,
                      attn_view *out);
void attn_view_free(const attn_ir *ir, attn_view *view);

#endif
