#include "runtime/plan.h"

#include <stdlib.h>

enum { ALIGNMENT = 64 };

static size_t round_up(size_t size)
{
    return (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* Sift-down heap sort by size, larger first, then by index: qsort has no argument for `block`. */
static bool before(const attn_block *block, size_t a, size_t b)
{
    if (block[a].size != block[b].size) return block[a].size > block[b].size;
    return a < b;
}

static void sift(const attn_block *block, size_t *order, size_t root, size_t end)
{
    for (size_t child; (child = 2 * root + 1) < end; root = child) {
        if (child + 1 < end && before(block, order[child], order[child + 1])) child++;
        if (before(block, order[child], order[root])) return;
        size_t swap = order[root];
        order[root] = order[child];
        order[child] = swap;
    }
}

static void sort(const attn_block *block, size_t *order, size_t count)
{
    for (size_t i = 0; i < count; i++) order[i] = i;
    for (size_t i = count / 2; i-- > 0;) sift(block, order, i, count);
    for (size_t end = count; end-- > 1;) {
        size_t swap = order[0];
        order[0] = order[end];
        order[end] = swap;
        sift(block, order, 0, end);
    }
}

/* The lowest offset at which the block misses every placed one that is in use meanwhile. placed: by
 * offset, so one walk finds it. */
static size_t lowest_gap(const attn_block *block, const size_t *placed, size_t count,
                         const attn_block *fresh)
{
    size_t size = round_up(fresh->size), offset = 0;
    for (size_t i = 0; i < count; i++) {
        const attn_block *other = &block[placed[i]];
        if (other->last < fresh->first || fresh->last < other->first) continue;
        if (other->offset >= offset + size) break;
        size_t end = other->offset + round_up(other->size);
        if (end > offset) offset = end;
    }
    return offset;
}

static void insert(const attn_block *block, size_t *placed, size_t count, size_t fresh)
{
    size_t at = count;
    for (; at > 0 && block[placed[at - 1]].offset > block[fresh].offset; at--)
        placed[at] = placed[at - 1];
    placed[at] = fresh;
}

bool attn_plan_blocks(attn_block *block, size_t count, size_t *order, size_t *total)
{
    size_t sum = 0, *placed = order + count, placed_count = 0;
    *total = 0;
    /* No offset exceeds the sum of all: once that fits, nothing overflows. */
    for (size_t i = 0; i < count; i++)
        if (block[i].size > SIZE_MAX - ALIGNMENT || !attn_add(sum, round_up(block[i].size), &sum))
            return false;
    sort(block, order, count);
    for (size_t i = 0; i < count; i++) {
        attn_block *b = &block[order[i]];
        b->offset = 0;
        if (b->size == 0) continue;
        b->offset = lowest_gap(block, placed, placed_count, b);
        insert(block, placed, placed_count++, order[i]);
        size_t end = b->offset + round_up(b->size);
        if (end > *total) *total = end;
    }
    return true;
}
