#include "tools/rollout.h"

#include <string.h>

static attn_status check(const attention_map *map, size_t index, size_t tokens, attn_error *err)
{
    ATTN_TRY(attention_map_check(map, index, err));
    const char *name = map->name ? map->name : "unnamed";
    if (map->queries != tokens || map->keys != tokens)
        return attn_fail(err, ATTN_BAD_INPUT,
                         "rollout: attention map %zu (%s) has %zu queries and %zu keys, but the "
                         "model has %zu tokens",
                         index, name, map->queries, map->keys, tokens);
    for (size_t i = 0; i < map->heads * tokens * tokens; i++)
        if (map->weights[i] < 0)
            return attn_fail(err, ATTN_BAD_INPUT,
                             "rollout: attention map %zu (%s) holds a negative weight, %g", index,
                             name, (double)map->weights[i]);
    return ATTN_OK;
}

/* row: [keys], row `query` of B_l. */
static void make_row(double *row, const attention_map *map, size_t query)
{
    size_t keys = map->keys;
    double sum = 0;
    memset(row, 0, keys * sizeof *row);
    for (size_t head = 0; head < map->heads; head++) {
        const float *weights = map->weights + (head * map->queries + query) * keys;
        for (size_t key = 0; key < keys; key++) row[key] += weights[key];
    }
    for (size_t key = 0; key < keys; key++) {
        row[key] = 0.5 * row[key] / (double)map->heads + (key == query ? 0.5 : 0);
        sum += row[key];
    }
    for (size_t key = 0; key < keys; key++) row[key] /= sum;
}

attn_status rollout(attn_memory *memory, const attention_map *maps, size_t count, size_t tokens,
                    const double *from, double *out, attn_error *err)
{
    if (count == 0 || tokens == 0)
        return attn_fail(err, ATTN_BAD_INPUT, "rollout: %zu attention maps over %zu tokens", count,
                         tokens);
    for (size_t i = 0; i < count; i++) ATTN_TRY(check(&maps[i], i, tokens, err));
    size_t bytes;
    if (!attn_mul(tokens, 2 * sizeof(double), &bytes))
        return attn_fail(err, ATTN_LIMIT, "rollout: %zu tokens are too many", tokens);
    void *scratch;
    ATTN_TRY(attn_alloc(memory, bytes, "rollout", &scratch, err));
    double *row = scratch, *next = row + tokens;
    memcpy(out, from, tokens * sizeof *out);
    for (size_t layer = count; layer-- > 0;) {
        memset(next, 0, tokens * sizeof *next);
        for (size_t query = 0; query < tokens; query++) {
            if (out[query] == 0) continue;
            make_row(row, &maps[layer], query);
            for (size_t key = 0; key < tokens; key++) next[key] += out[query] * row[key];
        }
        memcpy(out, next, tokens * sizeof *out);
    }
    attn_release(memory, scratch, bytes);
    return ATTN_OK;
}
