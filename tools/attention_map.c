#include "tools/attention_map.h"

#include <math.h>

attn_status attention_map_check(const attention_map *map, size_t index, attn_error *err)
{
    const char *name = map->name ? map->name : "unnamed";
    size_t dim[3] = {map->heads, map->queries, map->keys}, count;
    attn_shape_text shape;
    if (!map->weights || !attn_product(dim, 3, &count) || count == 0)
        return attn_fail(
            err, ATTN_BAD_INPUT,
            "attention map %zu (%s) of shape [heads, queries, keys] = %s holds nothing", index,
            name, attn_format_shape(&shape, dim, 3));
    for (size_t i = 0; i < count; i++)
        if (!isfinite(map->weights[i]))
            return attn_fail(err, ATTN_BAD_INPUT,
                             "attention map %zu (%s): weight [%zu, %zu, %zu] is %g", index, name,
                             i / map->keys / map->queries, i / map->keys % map->queries,
                             i % map->keys, (double)map->weights[i]);
    return ATTN_OK;
}
