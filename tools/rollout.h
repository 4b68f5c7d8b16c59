/* Attention rollout: how much each input token contributes to the result, through all layers.
 *
 * S. Abnar, W. Zuidema, Quantifying Attention Flow in Transformers, ACL 2020, section 3:
 *     A_l = mean over heads of layer l's weights            [tokens, tokens]
 *     B_l = (A_l + I) / 2, each row divided by its sum      (I: the residual connection)
 *     R   = B_L ... B_2 B_1
 * What is asked for is one mixture of R's rows, from * R, so the product is taken from the left as
 * vector times matrix and R is never formed. */
#ifndef TOOLS_ROLLOUT_H
#define TOOLS_ROLLOUT_H

#include "tools/attention_map.h"

/* maps: in graph order, each with queries = keys = tokens.
 * from: [tokens], the share of each final token in the result: 1 at the CLS token, the weights of
 * an attention pooling, or 1 / tokens for mean pooling. out: [tokens], not aliasing from.
 * Errors: ATTN_BAD_INPUT (no map, another shape, a weight that is negative or not finite),
 * ATTN_NO_MEMORY. */
attn_status rollout(attn_memory *memory, const attention_map *maps, size_t count, size_t tokens,
                    const double *from, double *out, attn_error *err);

#endif
