/* A table from names to records, in an arena. */
#ifndef ATTN_BASE_NAMES_H
#define ATTN_BASE_NAMES_H

#include "runtime/base/memory.h"

typedef struct attn_names {
    attn_arena *arena;
    size_t count, room; /* room: a power of two, or 0 */
    struct attn_names_entry {
        const char *name; /* NULL: free */
        void *value;
    } * entry;
} attn_names;

/* What stands under the name, or NULL. */
void *attn_names_get(const attn_names *names, const char *name);
/* Puts value (not NULL) under the name, which must live as long as the table. False: no memory. */
bool attn_names_set(attn_names *names, const char *name, void *value, attn_error *err);
/* `base`, or base_2, base_3 ..., whichever is free; a copy in the arena. *next: a number above all
 * that were tried, 2 at first. NULL: no memory. */
const char *attn_names_free(const attn_names *names, const char *base, size_t *next,
                            attn_error *err);

#endif
