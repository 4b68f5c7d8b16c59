/* The inside of attn_tokenizer.
 *
 *     text -> added tokens -> normalizers -> pre-tokenizers -> model -> post-processors -> ids
 *
 * One file per step; every step leaves the place of each token in the text that was given. */
#ifndef ATTN_TOKENIZER_TOKENIZER_H
#define ATTN_TOKENIZER_TOKENIZER_H

#include "runtime/attn_text.h"
#include "runtime/inputs/tokenizer/algorithm.h"
#include "runtime/inputs/tokenizer/decoder.h"
#include "runtime/inputs/tokenizer/postprocessor.h"

enum { ATTN_ROLE_COUNT = 7 };
extern const char *const attn_role_names[ATTN_ROLE_COUNT]; /* "bos", ... */

/* What one encoding or decoding works with; kept for the next one. */
typedef struct attn_tokenizing {
    attn_memory memory;
    attn_memory decoding; /* of the words; in no budget: what began to come can come to its end */
    attn_matcher matcher;
    attn_string given;          /* the text repaired, if it was malformed */
    attn_string normal[2];      /* in normal form */
    attn_added_pieces raw, cut; /* added tokens in the text as given, in normal form */
    attn_cutting cutting;
    attn_pieces pieces;
    attn_tokenizer_work work;
    attn_words words[2];
} attn_tokenizing;

struct attn_tokenizer {
    attn_memory memory;
    attn_arena arena;
    attn_unicode unicode;
    const attn_algorithm *algorithm;
    void *model;
    attn_vocabulary vocabulary; /* the model's */
    attn_normalizers normalizers;
    attn_pretokenizers pretokenizers;
    attn_added added;
    attn_postprocessors postprocessors;
    attn_decoders decoders;
    attn_truncation truncation;
    attn_padding padding;
    int32_t role[ATTN_ROLE_COUNT]; /* -1: none */
    size_t max_tokens;             /* 0: not said */
    attn_pattern *patterns;        /* to be freed */
    _Atomic(attn_tokenizing *) spare;
};

/* A tokenizer from tokenizer.json's object, or from one made in its likeness by the reader of an
 * older format. An object "special_tokens_map" there gives the roles ("bos_token": "<s>"). file is
 * for messages. */
attn_status attn_tokenizer_build(attn_tokenizer **out, const char *file, const cJSON *json,
                                 const attn_tokenizer_options *options, attn_error *err);
/* The roles that an object names ("bos_token": "<s>" or {"content": "<s>"}); those that it does not
 * name stay. */
void attn_tokenizer_read_roles(attn_tokenizer *t, const cJSON *object);
/* The likeness of a tokenizer.json for a vocab.txt; config may be NULL. Free by cJSON_Delete. */
attn_status attn_vocab_txt_json(const char *path, const cJSON *config, cJSON **out,
                                attn_error *err);

/* Takes the spare work, or makes one; gives it back. */
attn_tokenizing *attn_tokenizing_take(const attn_tokenizer *t, attn_error *err);
void attn_tokenizing_give(const attn_tokenizer *t, attn_tokenizing *w);

#endif
