/* The params of `linear`, for the planner, which fuses others into it. */
#ifndef ATTN_LINEAR_H
#define ATTN_LINEAR_H

#include "layers/layer.h"

enum {
    ATTN_LINEAR_OUTPUTS = 16, /* of one linear */
    ATTN_LINEAR_JOINED = 3,   /* query, key and value */
};

typedef struct attn_linear_params {
    attn_param weight, bias;
    attn_unary unary;
    size_t in, out;
    size_t outputs;
    size_t end[ATTN_LINEAR_OUTPUTS]; /* columns of output i: end[i - 1] (0) .. end[i] */
    bool residual;                   /* fused: the second input is added, after the activation */
    /* fused: further ones of the same x, whose outputs follow this one's */
    size_t joined;
    const struct attn_linear_params *join[ATTN_LINEAR_JOINED - 1];
} attn_linear_params;

/* What the planner may do to a copy of the params of a node, once the weights are in place. Each
 * gives the same bits as the layers that it replaces; false: not possible, and nothing changed.
 *   join:      another linear of the same x; `other` must live as long as p
 *   activate:  the only output goes through `unary` and nowhere else
 *   residual:  then a value of the output's shape, input 1, is added to it */
bool attn_linear_join(attn_linear_params *p, const attn_linear_params *other);
bool attn_linear_activate(attn_linear_params *p, attn_unary unary);
bool attn_linear_add_residual(attn_linear_params *p);

/* Is it one of the layers y = f(x)? Then: the f of such a node. */
bool attn_is_activation(const attn_layer *layer);
attn_unary attn_activation_unary(const void *activation_params);

#endif
