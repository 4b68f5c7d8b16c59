#include "runtime/base/names.h"

#include "runtime/base/hash.h"

#include <string.h>

enum { FIRST_ROOM = 16, FEW = 8 };

static struct attn_names_entry *find(const attn_names *names, const char *name)
{
    size_t mask = names->room - 1, at = (size_t)attn_hash(0, name, strlen(name)) & mask;
    while (names->entry[at].name && strcmp(names->entry[at].name, name) != 0) at = (at + 1) & mask;
    return &names->entry[at];
}

void *attn_names_get(const attn_names *names, const char *name)
{
    return names->room ? find(names, name)->value : NULL;
}

static bool grow(attn_names *names, attn_error *err)
{
    attn_names larger = {.arena = names->arena, .count = names->count};
    larger.room = names->room ? 2 * names->room : FIRST_ROOM;
    larger.entry = attn_arena_get(names->arena, larger.room, sizeof *larger.entry, err);
    if (!larger.entry) return false;
    for (size_t i = 0; i < names->room; i++)
        if (names->entry[i].name) *find(&larger, names->entry[i].name) = names->entry[i];
    *names = larger;
    return true;
}

bool attn_names_set(attn_names *names, const char *name, void *value, attn_error *err)
{
    if (2 * names->count >= names->room && !grow(names, err)) return false;
    struct attn_names_entry *e = find(names, name);
    names->count += e->name == NULL;
    *e = (struct attn_names_entry){name, value};
    return true;
}

/* A few small numbers are tried, then the one that only grows: linear for hostile names too. */
const char *attn_names_free(const attn_names *names, const char *base, size_t *next,
                            attn_error *err)
{
    if (!attn_names_get(names, base)) return attn_arena_text(names->arena, base, strlen(base), err);
    for (size_t i = 2;; i++) {
        const char *name =
            attn_arena_printf(names->arena, err, "%s_%zu", base, i < FEW ? i : *next);
        if (!name || !attn_names_get(names, name)) return name;
        if (i >= FEW) ++*next;
    }
}
