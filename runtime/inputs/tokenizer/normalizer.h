/* Normalizers: what is done to a text before it is cut. */
#ifndef ATTN_TOKENIZER_NORMALIZER_H
#define ATTN_TOKENIZER_NORMALIZER_H

#include "runtime/inputs/tokenizer/precompiled.h"
#include "runtime/inputs/tokenizer/reader.h"

typedef struct attn_normalizer attn_normalizer;

/* What the normalizers of one encoding share. */
typedef struct attn_normalizing {
    const attn_unicode *unicode;
    attn_matcher *matcher;
} attn_normalizing;

/* Writes `in`, not empty, to `out`. */
typedef attn_status attn_normalize_run(const attn_normalizer *n, const attn_normalizing *shared,
                                       const attn_string *in, attn_string *out, attn_error *err);

struct attn_normalizer {
    attn_normalize_run *run;
    bool flag[4];     /* BertNormalizer: clean_text, handle_chinese_chars, strip_accents,
                       * lowercase; Strip: left, right; NFC...: composed, compatible */
    const char *text; /* Replace: content; Prepend */
    size_t length;
    const attn_pattern *pattern;
    struct attn_precompiled *precompiled;
};

typedef struct attn_normalizers {
    size_t count;
    attn_normalizer *list; /* sequences are part of it, flat */
} attn_normalizers;

/* "normalizer" of the file; null: none. Patterns are added to *patterns. */
attn_status attn_normalizers_read(attn_normalizers *n, const attn_place *place,
                                  attn_pattern **patterns, attn_arena *arena, attn_error *err);
/* Normalizes `in` by all of them. *out is in, a or b; a and b are overwritten. */
attn_status attn_normalize(const attn_normalizers *n, const attn_normalizing *shared,
                           const attn_string *in, attn_string *a, attn_string *b,
                           const attn_string **out, attn_error *err);

attn_normalize_run attn_normalize_bert, attn_normalize_unicode, attn_normalize_lowercase,
    attn_normalize_strip, attn_normalize_strip_accents, attn_normalize_replace,
    attn_normalize_prepend, attn_normalize_nmt, attn_normalize_byte_level,
    attn_normalize_precompiled;

#endif
