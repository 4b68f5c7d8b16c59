#include "runtime/inputs/tokenizer/automaton.h"

#include <string.h>

#define NONE ATTN_AUTOMATON_NONE

/* A node whose children are to be placed: the texts first to end share its `depth` bytes. */
typedef struct range {
    uint32_t slot, first, end, depth;
} range;

/* Free slots are a ring: base is the next one, suffix the previous one. */
typedef struct builder {
    attn_memory *memory;
    attn_automaton_node *node;
    size_t slots, room;
    uint32_t free; /* where the search begins; NONE: no slot is free */
    range *queue;  /* nodes in the order of their depth */
    size_t head, tail, queue_room;
    attn_automaton_text *text;
    attn_error *err;
} builder;

/* Slots end at 2^31, so that no index overflows. */
static attn_status reserve(builder *b, size_t slots)
{
    void *fresh;
    size_t room = b->room ? b->room : 1024;
    if (slots <= b->room) return ATTN_OK;
    while (room < slots) room *= 2;
    if (room > (size_t)1 << 31)
        return attn_fail(b->err, ATTN_LIMIT, "a vocabulary needs more than 2^31 nodes");
    ATTN_TRY(
        attn_alloc(b->memory, room * sizeof *b->node, "the nodes of a vocabulary", &fresh, b->err));
    if (b->slots) memcpy(fresh, b->node, b->slots * sizeof *b->node);
    attn_release(b->memory, b->node, b->room * sizeof *b->node);
    b->node = fresh;
    b->room = room;
    return ATTN_OK;
}

static void unlink_slot(builder *b, uint32_t slot)
{
    attn_automaton_node *n = b->node;
    uint32_t next = n[slot].base, previous = n[slot].suffix;
    n[previous].base = next;
    n[next].suffix = previous;
    if (b->free == slot) b->free = next == slot ? NONE : next;
}

static attn_status extend(builder *b, size_t slots)
{
    ATTN_TRY(reserve(b, slots));
    attn_automaton_node *n = b->node;
    for (; b->slots < slots; b->slots++) {
        uint32_t slot = (uint32_t)b->slots;
        if (b->free == NONE) {
            n[slot] = (attn_automaton_node){slot, NONE, slot, NONE};
            b->free = slot;
        } else {
            uint32_t last = n[b->free].suffix;
            n[slot] = (attn_automaton_node){b->free, NONE, last, NONE};
            n[last].base = slot;
            n[b->free].suffix = slot;
        }
    }
    return ATTN_OK;
}

/* A base for the children's bytes, ascending. A bounded search among the free slots, so that
 * building stays linear whatever the texts are; then new slots. */
static attn_status find_base(builder *b, const unsigned char *byte, size_t count, uint32_t *base)
{
    enum { MOST_TRIES = 128 };
    for (int i = 0; i < MOST_TRIES && b->free != NONE; i++, b->free = b->node[b->free].base) {
        size_t at, j = 1;
        if (b->free <= byte[0]) continue;
        at = b->free - byte[0];
        ATTN_TRY(extend(b, at + 256));
        while (j < count && b->node[at + byte[j]].parent == NONE) j++;
        *base = (uint32_t)at;
        if (j == count) return ATTN_OK;
    }
    *base = (uint32_t)b->slots;
    return extend(b, b->slots + 256);
}

static attn_status enqueue(builder *b, range r)
{
    if (b->tail == b->queue_room) {
        size_t room = b->queue_room ? 2 * b->queue_room : 1024, waiting = b->tail - b->head;
        void *fresh;
        ATTN_TRY(
            attn_alloc(b->memory, room * sizeof r, "the nodes of a vocabulary", &fresh, b->err));
        if (waiting) memcpy(fresh, b->queue + b->head, waiting * sizeof r);
        attn_release(b->memory, b->queue, b->queue_room * sizeof r);
        b->queue = fresh;
        b->queue_room = room;
        b->head = 0;
        b->tail = waiting;
    }
    b->queue[b->tail++] = r;
    return ATTN_OK;
}

static void set_match(builder *b, const range *r)
{
    attn_automaton_node *node = &b->node[r->slot];
    uint32_t shorter = r->slot ? b->node[node->suffix].match : NONE;
    node->match = shorter;
    if (b->text[r->first].length == r->depth) {
        node->match = r->first;
        b->text[r->first].shorter = shorter;
    }
}

/* The child's texts: those of [first, end) with its byte at `depth`. */
static attn_status place(builder *b, uint32_t parent, unsigned char byte, range child)
{
    attn_automaton_node *n = b->node;
    unlink_slot(b, child.slot);
    n[child.slot] = (attn_automaton_node){0, parent, 0, NONE};
    if (parent) {
        attn_automaton known = {n, b->slots};
        n[child.slot].suffix = attn_automaton_step(&known, n[parent].suffix, byte);
    }
    return enqueue(b, child);
}

static attn_status add_children(builder *b, range r)
{
    unsigned char byte[256];
    uint32_t first[257], base;
    size_t count = 0;
    set_match(b, &r);
    for (uint32_t i = r.first; i < r.end; i++) {
        if (b->text[i].length == r.depth) continue;
        unsigned char c = (unsigned char)b->text[i].text[r.depth];
        if (count && byte[count - 1] == c) continue;
        byte[count] = c;
        first[count++] = i;
    }
    if (count == 0) return ATTN_OK;
    first[count] = r.end;
    ATTN_TRY(find_base(b, byte, count, &base));
    b->node[r.slot].base = base;
    for (size_t i = 0; i < count; i++)
        ATTN_TRY(place(b, r.slot, byte[i],
                       (range){base + byte[i], first[i], first[i + 1], r.depth + 1}));
    return ATTN_OK;
}

static attn_status build(builder *b, size_t count, attn_automaton *automaton, attn_arena *arena)
{
    ATTN_TRY(extend(b, 512));
    unlink_slot(b, 0);
    b->node[0] = (attn_automaton_node){0, 0, 0, NONE};
    if (count) ATTN_TRY(enqueue(b, (range){0, 0, (uint32_t)count, 0}));
    while (b->head < b->tail) ATTN_TRY(add_children(b, b->queue[b->head++]));
    automaton->slots = b->slots;
    automaton->node = attn_arena_get(arena, b->slots, sizeof *b->node, b->err);
    if (!automaton->node) return ATTN_NO_MEMORY;
    memcpy(automaton->node, b->node, b->slots * sizeof *b->node);
    return ATTN_OK;
}

attn_status attn_automaton_build(attn_automaton *automaton, attn_automaton_text *text, size_t count,
                                 attn_arena *arena, attn_error *err)
{
    builder b = {.memory = arena->memory, .free = NONE, .text = text, .err = err};
    if (count >= NONE) return attn_fail(err, ATTN_LIMIT, "%zu tokens are too many", count);
    attn_status status = build(&b, count, automaton, arena);
    attn_release(b.memory, b.node, b.room * sizeof *b.node);
    attn_release(b.memory, b.queue, b.queue_room * sizeof *b.queue);
    return status;
}
