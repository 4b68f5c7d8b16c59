#include "runtime/inputs/tokenizer/trie.h"

#include <string.h>

attn_status attn_trie_init(attn_trie *trie, size_t bytes, attn_arena *arena, attn_error *err)
{
    size_t most = bytes + 1;
    if (bytes >= ATTN_TRIE_MAX - 1)
        return attn_fail(err, ATTN_LIMIT, "tokens of %zu bytes in all: at most %d", bytes,
                         ATTN_TRIE_MAX - 2);
    *trie = (attn_trie){.nodes = 1, .most = most, .slots = 16};
    while (trie->slots < 2 * most) trie->slots *= 2;
    trie->value = attn_arena_get(arena, most, sizeof *trie->value, err);
    trie->edge = attn_arena_get(arena, trie->slots, sizeof *trie->edge, err);
    if (!trie->value || !trie->edge) return ATTN_NO_MEMORY;
    memset(trie->value, 0xff, most * sizeof *trie->value);
    return ATTN_OK;
}

bool attn_trie_add(attn_trie *trie, const char *text, size_t length, int32_t value)
{
    uint32_t node = 0;
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)text[i];
        uint32_t child = attn_trie_step(trie, node, byte);
        if (!child) {
            if (trie->nodes == trie->most) return false;
            uint32_t key = (node << 8 | byte) + 1;
            size_t mask = trie->slots - 1, at = attn_trie_slot(key) & mask;
            while (trie->edge[at].key) at = (at + 1) & mask;
            child = (uint32_t)trie->nodes++;
            trie->edge[at] = (attn_trie_edge){key, child};
        }
        node = child;
    }
    if (trie->value[node] < 0) trie->value[node] = value;
    return true;
}
