/* A trie over bytes: which of a set of texts stand at a place of a text, the longest first. One
 * table for all edges, open addressing, so that a step costs the same in a node of two edges and in
 * one of two hundred. */
#ifndef ATTN_TOKENIZER_TRIE_H
#define ATTN_TOKENIZER_TRIE_H

#include "runtime/base/memory.h"

typedef struct attn_trie_edge {
    uint32_t key;   /* (node << 8 | byte) + 1; 0: free */
    uint32_t child; /* node */
} attn_trie_edge;

typedef struct attn_trie {
    size_t nodes, most; /* node 0 is the root; room for `most` */
    int32_t *value;     /* [nodes] of the text that ends there, or -1 */
    attn_trie_edge *edge;
    size_t slots; /* a power of two, at least twice `most` */
} attn_trie;

enum { ATTN_TRIE_MAX = 1 << 24 }; /* nodes */

/* Room for texts of `bytes` bytes in all. */
attn_status attn_trie_init(attn_trie *trie, size_t bytes, attn_arena *arena, attn_error *err);
/* The value, not negative, of a text; a text that is there already keeps its first value. False:
 * no more room than attn_trie_init was told of. */
bool attn_trie_add(attn_trie *trie, const char *text, size_t length, int32_t value);

static inline size_t attn_trie_slot(uint32_t key)
{
    return (size_t)(key * 0x9e3779b97f4a7c15u >> 32);
}

/* The child of a node, or 0. */
static inline uint32_t attn_trie_step(const attn_trie *trie, uint32_t node, unsigned char byte)
{
    uint32_t key = (node << 8 | byte) + 1;
    size_t mask = trie->slots - 1, at = attn_trie_slot(key) & mask;
    while (trie->edge[at].key && trie->edge[at].key != key) at = (at + 1) & mask;
    return trie->edge[at].key ? trie->edge[at].child : 0;
}

#endif
