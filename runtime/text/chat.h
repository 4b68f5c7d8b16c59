/* Chat templates: which of the common ones a template is, and what each writes.
 *
 * A template is a program in Jinja. It is not run: it is read into its words, recognised as one of
 * a table of families, and rendered as that family's entry says. */
#ifndef ATTN_TEXT_CHAT_H
#define ATTN_TEXT_CHAT_H

#include "runtime/attn_text.h"
#include "runtime/base/memory.h"

/* ---- words of a template ------------------------------------------------------------------- */

/* A template without what does not change its meaning: comments, whitespace between words, kinds of
 * quotes. Literals stand in single quotes, their escapes decoded. */
typedef struct attn_template_words {
    char *text;
    size_t length;
    size_t count;      /* literals */
    char **literal;    /* [count] */
    bool *in_error;    /* [count] it is what raise_exception says */
    size_t names;      /* words that are neither literals nor numbers */
    const char **name; /* [names] */
    bool has_text;     /* other text than whitespace stands outside of tags */
} attn_template_words;

/* All in the arena. file: for messages. Errors: ATTN_BAD_FILE: a tag or literal that does not end;
 * ATTN_LIMIT: over 1 MB. */
attn_status attn_template_read(attn_template_words *words, const char *file, const char *text,
                               size_t length, attn_arena *arena, attn_error *err);

/* ---- families ------------------------------------------------------------------------------ */

typedef enum chat_system {
    CHAT_SYSTEM_TURN,     /* a turn of its own */
    CHAT_SYSTEM_IN_FIRST, /* at the beginning of the first user turn */
    CHAT_SYSTEM_IN_LAST,  /* at the beginning of the last user turn */
    CHAT_SYSTEM_ALWAYS,   /* a turn of its own, also if nothing is said */
    CHAT_SYSTEM_DROPPED,
    CHAT_SYSTEM_REFUSED,
} chat_system;

/* In these texts \1 stands for the token that begins a text, \2 for the one that ends it, \3 for
 * the date. */
typedef struct attn_chat_family {
    const char *name;
    const char *has[6];   /* fragments of attn_template_words.text: all must be there ... */
    const char *hasnt[4]; /* ... and none of these */
    bool strict;          /* every word must be known: those of all templates, and these literals */
    const char *literal[14];
    bool bos; /* the text begins with \1; otherwise only if the template's first word says so */
    chat_system system;
    const char *system_before, *system_after;
    const char *user_before, *user_after, *assistant_before, *assistant_after;
    bool trim;          /* whitespace around what is said is left out */
    bool trim_user;     /* ... where trim says so, also that of user turns */
    bool thinking;      /* what an assistant turn has up to </think> is left out */
    bool alternate;     /* user and assistant must take turns */
    const char *prompt; /* begins the answer */
    const char *end;    /* the token that ends an answer; NULL: \2 */
} attn_chat_family;

extern const attn_chat_family attn_chat_families[]; /* ended by a NULL name */

/* The family that the template is of, or NULL; *system: the text that it puts where no system
 * message is given, in the arena, or NULL. */
attn_status attn_chat_recognise(const attn_template_words *words, const attn_chat_family **family,
                                const char **system, attn_arena *arena, attn_error *err);

struct attn_chat {
    attn_memory memory;
    attn_arena arena;
    const attn_chat_family *family;
    const char *bos, *eos; /* texts of the tokens; "" if there are none */
    const char *system;    /* the default, or NULL */
    bool begins;           /* with bos */
    bool today;            /* the date is today's */
};

#endif
