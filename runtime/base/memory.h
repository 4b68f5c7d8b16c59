/* Memory: the allocator with its limit, and the metadata arena.
 *
 *   arena:  block -> block -> block      each: [ next | used | size | bytes ... ]
 *
 * Everything that a model keeps about itself (names, nodes, parameters) lies in one arena and is
 * freed as a whole, so a half-built model is closed like a complete one. */
#ifndef ATTN_BASE_MEMORY_H
#define ATTN_BASE_MEMORY_H

#include "runtime/base/status.h"

/* An allocator with a limit of its own, and its part of a budget. Not shared between threads. */
typedef struct attn_memory {
    attn_allocator allocator;
    size_t limit;        /* bytes; 0: none */
    size_t used;         /* bytes now allocated */
    attn_budget *budget; /* NULL: none is shared */
    attn_holder holder;
} attn_memory;

/* allocator may be NULL (aligned malloc). */
void attn_memory_init(attn_memory *memory, const attn_allocator *allocator, size_t limit);

/* What `what` needs, from the budget (NULL: from none) and back. Any thread. Errors: ATTN_LIMIT,
 * with what each holder has. */
attn_status attn_budget_take(attn_budget *budget, attn_holder holder, size_t size, const char *what,
                             attn_error *err);
void attn_budget_give(attn_budget *budget, attn_holder holder, size_t size);

/* 64-byte aligned, contents undefined; size 0 gives a valid pointer. what: for the message.
 * Errors: ATTN_NO_MEMORY; ATTN_LIMIT if the budget would be exceeded. */
attn_status attn_alloc(attn_memory *memory, size_t size, const char *what, void **out,
                       attn_error *err);
/* size: as given to attn_alloc; p may be NULL. */
void attn_release(attn_memory *memory, void *p, size_t size);

typedef struct attn_arena {
    attn_memory *memory;
    struct attn_arena_block *blocks;
} attn_arena;

void attn_arena_init(attn_arena *arena, attn_memory *memory);
void attn_arena_free(attn_arena *arena);
/* count * size zeroed bytes aligned to 16, or NULL with err filled (overflow counts as no memory).
 */
void *attn_arena_get(attn_arena *arena, size_t count, size_t size, attn_error *err);
/* A copy of text[0..length) with a terminating zero. */
char *attn_arena_text(attn_arena *arena, const char *text, size_t length, attn_error *err);
char *attn_arena_printf(attn_arena *arena, attn_error *err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
