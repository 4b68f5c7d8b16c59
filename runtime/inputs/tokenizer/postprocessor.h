/* What is done with the tokens of a text or a pair: truncation, the special tokens around them,
 * padding. */
#ifndef ATTN_TOKENIZER_POSTPROCESSOR_H
#define ATTN_TOKENIZER_POSTPROCESSOR_H

#include "runtime/inputs/tokenizer/added.h"

/* A token of an encoding being made; offsets in the text that was given. */
typedef struct attn_entry {
    int32_t id;
    int32_t word, type, sequence; /* -1: none */
    uint32_t first, end;
    uint8_t added, special, padding;
} attn_entry;

/* The tokens of one text, or what a post-processor puts between two. */
typedef struct attn_part {
    size_t count, room;
    attn_entry *entry;
} attn_part;

typedef struct attn_parts {
    attn_memory *memory;
    size_t count;
    attn_part part[2];
    bool later[2]; /* not the first window: the reference's templates leave the types as they are */
} attn_parts;
enum { ATTN_POSTPROCESSORS_MAX = 16 };

attn_status attn_part_add(attn_memory *memory, attn_part *part, attn_entry entry, attn_error *err);
void attn_part_free(attn_memory *memory, attn_part *part);

/* ---- post-processors ------------------------------------------------------------------------ */

/* A piece of a template: text 0 or 1, or the ids of a special token. */
typedef struct attn_template_piece {
    int sequence; /* -1: special */
    int32_t type;
    size_t count;
    int32_t *id;
} attn_template_piece;

typedef struct attn_template {
    size_t count;
    attn_template_piece *piece;
    size_t added; /* special tokens */
} attn_template;

typedef enum attn_post_kind {
    ATTN_POST_BERT,
    ATTN_POST_ROBERTA,
    ATTN_POST_TEMPLATE,
    ATTN_POST_BYTES
} attn_post_kind;

typedef struct attn_postprocessor {
    attn_post_kind kind;
    int32_t cls, sep;
    bool trim_offsets, add_prefix_space;
    attn_template single, pair;
} attn_postprocessor;

typedef struct attn_postprocessors {
    size_t count;
    attn_postprocessor *list; /* sequences are part of it, flat */
} attn_postprocessors;

attn_status attn_postprocessors_read(attn_postprocessors *p, const attn_place *place,
                                     attn_arena *arena, attn_error *err);
/* The special tokens that it will add. */
size_t attn_postprocessors_added(const attn_postprocessors *p, bool pair);

/* What trimming offsets needs to know: the texts, and the text of each token. */
typedef struct attn_token_texts {
    const attn_unicode *unicode;
    const attn_vocabulary *vocabulary;
    struct {
        const char *text;
        size_t length;
    } given[2];
} attn_token_texts;
/* parts: one or two, to be joined in order afterwards. */
attn_status attn_postprocess(const attn_postprocessors *p, attn_parts *parts, bool special,
                             const attn_token_texts *texts, attn_error *err);
/* Leaves leading and trailing white space out of the offsets, as byte-level post-processors do. */
void attn_trim_offsets(attn_part *part, int text, bool add_prefix_space,
                       const attn_token_texts *texts);

/* ---- truncation and padding ----------------------------------------------------------------- */

typedef enum attn_truncate { ATTN_LONGEST_FIRST, ATTN_ONLY_FIRST, ATTN_ONLY_SECOND } attn_truncate;

typedef struct attn_truncation {
    bool set, left;
    attn_truncate strategy;
    size_t max_length, stride;
} attn_truncation;

typedef struct attn_padding {
    bool set, left;
    size_t fixed;       /* 0: as long as it is */
    size_t multiple_of; /* 0: any */
    int32_t id, type;
} attn_padding;

attn_status attn_truncation_read(attn_truncation *t, const attn_place *place, attn_error *err);
attn_status attn_padding_read(attn_padding *p, const attn_place *place, attn_error *err);
/* `added` special tokens will come. */
attn_status attn_truncate_parts(const attn_truncation *t, attn_parts *parts, size_t added,
                                attn_error *err);
attn_status attn_pad(const attn_padding *p, attn_memory *memory, attn_part *part, int sequence,
                     attn_error *err);

#endif
