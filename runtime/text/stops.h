/* Stop strings in a text that comes in pieces: one automaton of Knuth, Morris and Pratt each. */
#ifndef ATTN_TEXT_STOPS_H
#define ATTN_TEXT_STOPS_H

#include "runtime/base/memory.h"

typedef struct attn_stop {
    const char *text;
    size_t length;
    size_t *failure; /* [length] the longest proper border of text[0 ... i] */
    size_t state;    /* bytes of text that the text so far ends with */
} attn_stop;

typedef struct attn_stops {
    size_t count;
    attn_stop *stop;
} attn_stops;

/* Copies the texts; all in the arena. Errors: ATTN_BAD_ARGUMENT: an empty one. */
attn_status attn_stops_init(attn_stops *s, const char *const *texts, size_t count,
                            attn_arena *arena, attn_error *err);
/* Takes bytes until a stop string is complete. Returns its length, or 0; *taken: the bytes. */
size_t attn_stops_take(attn_stops *s, const char *text, size_t length, size_t *taken);
/* Bytes at the end of the text that may be the beginning of a stop string. */
size_t attn_stops_held(const attn_stops *s);

#endif
