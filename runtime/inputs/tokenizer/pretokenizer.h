/* Pre-tokenizers: cut a text into what the model is given piece by piece. */
#ifndef ATTN_TOKENIZER_PRETOKENIZER_H
#define ATTN_TOKENIZER_PRETOKENIZER_H

#include "runtime/inputs/tokenizer/reader.h"

typedef struct attn_pretokenizer attn_pretokenizer;

/* A text being cut. `spans` are ranges of *text; some pre-tokenizers rewrite the text as well, to
 * the one of `spare` that it does not lie in. */
typedef struct attn_cutting {
    const attn_unicode *unicode;
    attn_matcher *matcher;
    const attn_string *text;
    attn_string spare[2];
    attn_ranges spans, next; /* of `next`, what is being made */
    attn_ranges matches;
} attn_cutting;

typedef attn_status attn_cut_run(const attn_pretokenizer *p, attn_cutting *c, attn_error *err);

/* What happens to what a pattern matches. */
typedef enum attn_behavior {
    ATTN_REMOVED,
    ATTN_ISOLATED,
    ATTN_WITH_PREVIOUS,
    ATTN_WITH_NEXT,
    ATTN_CONTIGUOUS,
} attn_behavior;

typedef enum attn_prepend {
    ATTN_PREPEND_FIRST,
    ATTN_PREPEND_NEVER,
    ATTN_PREPEND_ALWAYS
} attn_prepend;

struct attn_pretokenizer {
    attn_cut_run *run;
    const attn_pattern *pattern;
    unsigned is;        /* splits at characters with one of these properties */
    uint32_t character; /* CharDelimiterSplit, Metaspace's replacement */
    attn_behavior behavior;
    attn_prepend prepend;
    bool invert, split; /* split: also use_regex */
    bool add_prefix_space;
    size_t length; /* FixedLength */
};

typedef struct attn_pretokenizers {
    size_t count;
    attn_pretokenizer *list; /* sequences are part of it, flat */
} attn_pretokenizers;

attn_status attn_pretokenizers_read(attn_pretokenizers *p, const attn_place *place,
                                    attn_pattern **patterns, attn_arena *arena, attn_error *err);
/* The members of Metaspace, which its decoder shares. */
attn_status attn_metaspace_read(const attn_place *p, uint32_t *replacement, attn_prepend *prepend,
                                bool *split, attn_error *err);

/* Cuts text[first..end) by all of them; the result stands in c->text and c->spans. */
attn_status attn_cut(const attn_pretokenizers *p, attn_cutting *c, const attn_string *text,
                     size_t first, size_t end, attn_error *err);

/* Cuts one span by c->matches, ranges in order that do not overlap, into c->next. */
attn_status attn_cut_span(attn_cutting *c, attn_range span, attn_behavior behavior, bool invert,
                          attn_error *err);

attn_cut_run attn_cut_bert, attn_cut_words, attn_cut_property, attn_cut_character, attn_cut_pattern,
    attn_cut_byte_level, attn_cut_metaspace, attn_cut_length, attn_cut_scripts;

#endif
