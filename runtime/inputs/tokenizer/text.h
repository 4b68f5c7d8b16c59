/* A text that is being normalized, and what each of its bytes stands for in the text that was
 * given. While nothing has moved, that is the byte's own character and need not be written down:
 *
 *     text     h  e  l  l  o       mapped = false: byte i is the original's byte base + i
 *
 *     text     e  (was é)          mapped = true: origin[i] = the original's bytes [first, end)
 *     origin   [3, 5)
 */
#ifndef ATTN_TOKENIZER_TEXT_H
#define ATTN_TOKENIZER_TEXT_H

#include "runtime/inputs/tokenizer/unicode.h"

typedef struct attn_range {
    uint32_t first, end;
} attn_range;

typedef struct attn_string {
    attn_memory *memory;
    char *text;
    size_t length, room; /* bytes */
    attn_range *origin;  /* [length], if mapped */
    size_t origin_room;
    bool mapped;
    size_t base;
} attn_string;

void attn_string_free(attn_string *s);
/* Empties it, keeping its memory. */
void attn_string_clear(attn_string *s, size_t base);
attn_status attn_string_reserve(attn_string *s, size_t length, attn_error *err);
/* Writes the origins down. */
attn_status attn_string_map(attn_string *s, attn_error *err);
/* What bytes [first, end) of it stand for: whole characters. */
attn_range attn_string_origin(const attn_string *s, size_t first, size_t end);

/* Rewrites `in` to `out`, which is emptied: `at` is how far `in` has been read. In the end the rest
 * of `in` that has not been skipped must have been copied. */
typedef struct attn_edit {
    const attn_string *in;
    attn_string *out;
    size_t at;
    attn_error *err;
} attn_edit;

attn_edit attn_edit_begin(const attn_string *in, attn_string *out, attn_error *err);
/* The next bytes as they are. */
attn_status attn_edit_copy(attn_edit *e, size_t bytes);
/* The next bytes, whole characters, left out. */
static inline void attn_edit_skip(attn_edit *e, size_t bytes)
{
    e->at += bytes;
}
/* The next `bytes` bytes, one character, become c. */
attn_status attn_edit_replace(attn_edit *e, size_t bytes, uint32_t c);
/* Text that is put in, standing for what byte `from` of `in` does. */
attn_status attn_edit_insert(attn_edit *e, const char *text, size_t length, size_t from);
attn_status attn_edit_insert_char(attn_edit *e, uint32_t c, size_t from);

/* Growing lists of ranges: pre-tokens, matches. */
typedef struct attn_ranges {
    attn_memory *memory;
    size_t count, room;
    attn_range *range;
} attn_ranges;
attn_status attn_ranges_grow(attn_ranges *r, attn_error *err);
static inline attn_status attn_ranges_add(attn_ranges *r, size_t first, size_t end, attn_error *err)
{
    if (r->count == r->room) ATTN_TRY(attn_ranges_grow(r, err));
    r->range[r->count++] = (attn_range){(uint32_t)first, (uint32_t)end};
    return ATTN_OK;
}
void attn_ranges_free(attn_ranges *r);

#endif
