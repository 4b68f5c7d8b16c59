/* One attention node's weights, as the views and the rollout take them. */
#ifndef TOOLS_ATTENTION_MAP_H
#define TOOLS_ATTENTION_MAP_H

#include "runtime/base/memory.h"

typedef struct attention_map {
    const char *name; /* of the node, for messages; may be NULL */
    size_t heads, queries, keys;
    const float *weights; /* [heads, queries, keys] */
} attention_map;

/* Errors (ATTN_BAD_INPUT, naming map `index`): no head, query, key or weights; a weight that is not
 * finite. */
attn_status attention_map_check(const attention_map *map, size_t index, attn_error *err);

#endif
