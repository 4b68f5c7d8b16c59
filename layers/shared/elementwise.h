/* What the planner may do to the params of `mul`. */
#ifndef ATTN_ELEMENTWISE_H
#define ATTN_ELEMENTWISE_H

#include "layers/layer.h"

/* Fused: y = unary(a) * b, of a copy of the params of a `mul` with two inputs, which must be
 * different values. Gives the bits of the two layers. */
void attn_binary_activate(void *params, attn_unary unary);

#endif
