/* Patterns of tokenizer.json: a text, or a regular expression, written for Oniguruma (Ruby's
 * syntax) and run by PCRE2. */
#ifndef ATTN_TOKENIZER_PATTERN_H
#define ATTN_TOKENIZER_PATTERN_H

#include "runtime/inputs/tokenizer/text.h"

typedef struct attn_pattern {
    void *code; /* pcre2_code, or NULL: a literal text */
    const char *literal;
    size_t length;
    struct attn_pattern *next; /* of those that the tokenizer frees */
} attn_pattern;

enum { ATTN_PATTERN_MAX = 1 << 16 }; /* bytes */

/* What running patterns needs; zeroed, or what an encoding before has left. */
typedef struct attn_matcher {
    void *data, *context, *stack; /* PCRE2's */
    double deadline;              /* seconds of a monotonic clock; 0: not yet set */
    unsigned calls;
} attn_matcher;

/* file and where are for the message, "FILE: pre_tokenizer.pattern: ...". */
attn_status attn_pattern_init(attn_pattern *p, const char *text, bool literal, const char *file,
                              const char *where, attn_arena *arena, attn_error *err);
void attn_pattern_free(attn_pattern *p);

/* Time for patterns begins to count: a pattern that takes longer than some microseconds for each
 * of `length` bytes is refused, so that none hangs. */
void attn_matcher_begin(attn_matcher *m, size_t length);
void attn_matcher_free(attn_matcher *m);

/* The matches in text[0..length), valid UTF-8, from the first to the last; an empty match just
 * after a match does not count. */
typedef struct attn_search {
    const attn_pattern *pattern;
    attn_matcher *matcher;
    const char *text;
    size_t length, at;
    size_t last_end; /* of the match before, or SIZE_MAX */
    attn_range match;
} attn_search;
attn_search attn_search_begin(const attn_pattern *p, attn_matcher *m, const char *text,
                              size_t length);
/* *found: search->match is the next one. */
attn_status attn_search_next(attn_search *s, bool *found, attn_error *err);

/* Rewrites Oniguruma's syntax as PCRE2's where they differ; NULL with err filled. Terminated. */
char *attn_pattern_translate(const char *text, const char *file, const char *where,
                             attn_arena *arena, attn_error *err);

#endif
