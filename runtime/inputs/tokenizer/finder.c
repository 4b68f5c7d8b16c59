#include "runtime/inputs/tokenizer/added.h"

#include <string.h>

struct attn_finder_edge {
    uint64_t key; /* (node << 8 | byte) + 1; 0: free */
    uint32_t child;
};

static size_t slot_of(const attn_finder *f, uint64_t key)
{
    size_t mask = f->slots - 1, at = (size_t)(key * 0x9e3779b97f4a7c15u >> 32) & mask;
    while (f->edge[at].key && f->edge[at].key != key) at = (at + 1) & mask;
    return at;
}

static uint32_t child_of(const attn_finder *f, uint32_t node, unsigned char byte)
{
    return f->edge[slot_of(f, ((uint64_t)node << 8 | byte) + 1)].child;
}

attn_status attn_finder_init(attn_finder *f, size_t bytes, attn_arena *arena, attn_error *err)
{
    if (bytes > (size_t)1 << 26)
        return attn_fail(err, ATTN_LIMIT, "added tokens of %zu bytes in all: at most %d", bytes,
                         1 << 26);
    *f = (attn_finder){.nodes = 1, .slots = 16};
    while (f->slots < 2 * bytes + 2) f->slots *= 2;
    f->edge = attn_arena_get(arena, f->slots, sizeof *f->edge, err);
    f->fail = attn_arena_get(arena, bytes + 1, sizeof *f->fail, err);
    f->best = attn_arena_get(arena, bytes + 1, sizeof *f->best, err);
    return f->edge && f->fail && f->best ? ATTN_OK : ATTN_NO_MEMORY;
}

void attn_finder_add(attn_finder *f, const char *text, size_t length, size_t index)
{
    uint32_t node = 0;
    if (!length) return;
    f->last[(unsigned char)text[length - 1]] = true;
    for (size_t i = length; i-- > 0;) {
        uint64_t key = ((uint64_t)node << 8 | (unsigned char)text[i]) + 1;
        struct attn_finder_edge *edge = &f->edge[slot_of(f, key)];
        if (!edge->key) *edge = (struct attn_finder_edge){key, (uint32_t)f->nodes++};
        node = edge->child;
    }
    f->best[node] = (uint32_t)index + 1;
}

attn_status attn_finder_finish(attn_finder *f, attn_memory *memory, attn_error *err)
{
    /* From the root outwards. The edges of a node lie anywhere in the table: listed by node first.
     */
    size_t n = f->nodes, bytes = (4 * n + 1) * sizeof(uint32_t), count = 0;
    void *scratch;
    ATTN_TRY(attn_alloc(memory, bytes, "added tokens", &scratch, err));
    uint32_t *begin = scratch, *filled = begin + n + 1, *slot = filled + n, *queue = slot + n;
    memset(begin, 0, (n + 1) * sizeof *begin);
    for (size_t i = 0; i < f->slots; i++)
        if (f->edge[i].key) begin[((f->edge[i].key - 1) >> 8) + 1]++;
    for (size_t i = 0; i < n; i++) begin[i + 1] += begin[i];
    memcpy(filled, begin, n * sizeof *begin);
    for (size_t i = 0; i < f->slots; i++)
        if (f->edge[i].key) slot[filled[(f->edge[i].key - 1) >> 8]++] = (uint32_t)i;
    queue[count++] = 0;
    for (size_t q = 0; q < count; q++) {
        uint32_t node = queue[q];
        for (uint32_t s = begin[node]; s < begin[node + 1]; s++) {
            const struct attn_finder_edge *edge = &f->edge[slot[s]];
            unsigned char byte = (unsigned char)(edge->key - 1);
            uint32_t back = f->fail[node], next = 0;
            if (node)
                while (!(next = child_of(f, back, byte)) && back) back = f->fail[back];
            f->fail[edge->child] = next;
            if (!f->best[edge->child]) f->best[edge->child] = f->best[next];
            queue[count++] = edge->child;
        }
    }
    attn_release(memory, scratch, bytes);
    return ATTN_OK;
}

attn_status attn_finder_run(const attn_finder *f, const char *text, size_t length,
                            attn_ranges *hits, attn_error *err)
{
    uint32_t node = 0;
    hits->count = 0;
    for (size_t i = length; i-- > 0;) {
        unsigned char byte = (unsigned char)text[i];
        if (!node && !f->last[byte]) continue;
        uint32_t next;
        while (!(next = child_of(f, node, byte)) && node) node = f->fail[node];
        node = next;
        if (f->best[node]) ATTN_TRY(attn_ranges_add(hits, i, f->best[node] - 1, err));
    }
    return ATTN_OK;
}
