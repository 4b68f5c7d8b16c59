/* All tokens that end at each place of a text, in one pass (Aho and Corasick 1975): a trie in which
 * every node knows the longest proper suffix of its text that is a node too. The trie is a double
 * array (Aoe 1989): the child of node n by byte c is slot base[n] + c, if its parent is n. */
#ifndef ATTN_TOKENIZER_AUTOMATON_H
#define ATTN_TOKENIZER_AUTOMATON_H

#include "runtime/base/memory.h"

#define ATTN_AUTOMATON_NONE UINT32_MAX

typedef struct attn_automaton_node {
    uint32_t base, parent; /* parent NONE: a free slot */
    uint32_t suffix;
    uint32_t match; /* the longest text that ends here, or NONE */
} attn_automaton_node;

/* A text that is looked for. */
typedef struct attn_automaton_text {
    const char *text;
    uint32_t length;  /* not 0 */
    uint32_t shorter; /* the next shorter one that ends where it ends, or NONE: filled */
} attn_automaton_text;

typedef struct attn_automaton {
    attn_automaton_node *node; /* node 0: the root */
    size_t slots;
} attn_automaton;

/* text: sorted by bytes, no two alike; they must live as long. Linear in their bytes. */
attn_status attn_automaton_build(attn_automaton *automaton, attn_automaton_text *text, size_t count,
                                 attn_arena *arena, attn_error *err);

static inline uint32_t attn_automaton_step(const attn_automaton *automaton, uint32_t node,
                                           unsigned char byte)
{
    const attn_automaton_node *n = automaton->node;
    for (;; node = n[node].suffix) {
        uint32_t child = n[node].base + byte;
        if (n[child].parent == node) return child;
        if (!node) return 0;
    }
}

#endif
