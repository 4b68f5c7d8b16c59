/* What the planner may do to a copy of the params of add, sub, mul, div, max, min. Each gives the
 * bits of the layers that it replaces. */
#ifndef ATTN_ELEMENTWISE_H
#define ATTN_ELEMENTWISE_H

#include "layers/layer.h"

/* y = unary(a) op b; two inputs must be different values. */
void attn_binary_activate(void *params, attn_unary unary);

/* Is it one of these layers; and one whose b is a "value", or an activation: a step of one operand,
 * that the pass of such a layer can take along? */
bool attn_binary_leads(const attn_layer *layer, const void *params);
bool attn_binary_is_step(const attn_layer *layer, const void *params);
/* What was y goes through that step as well; false: there are too many. */
bool attn_binary_add_step(void *params, const attn_layer *layer, const void *step);

#endif
