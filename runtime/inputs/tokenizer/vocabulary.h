/* A vocabulary: token <-> id. Built once, then immutable; shared by the models and the added
 * tokens. Tokens are bytes of any kind, also none, with their length. */
#ifndef ATTN_TOKENIZER_VOCABULARY_H
#define ATTN_TOKENIZER_VOCABULARY_H

#include "runtime/json.h"

enum { ATTN_VOCABULARY_MAX = 1 << 24 }; /* tokens, and ids */

typedef struct attn_token {
    const char *text; /* terminated; may hold zero bytes */
    uint32_t length;
    int32_t id;
} attn_token;

typedef struct attn_vocabulary {
    size_t count;      /* tokens */
    size_t room;       /* for so many */
    size_t size;       /* the highest id + 1; ids may leave gaps */
    attn_token *token; /* [count] in the order of insertion */
    uint32_t *by_id;   /* [size] index into token, or UINT32_MAX */
    uint32_t *slot;    /* open addressing: index into token, or UINT32_MAX */
    size_t slots;      /* a power of two, at least 2 * count */
} attn_vocabulary;

/* Room for `count` tokens of ids below `size`, all in the arena. */
attn_status attn_vocabulary_init(attn_vocabulary *v, size_t count, size_t size, attn_arena *arena,
                                 attn_error *err);
/* Copies the text. A text that is there already gets the new id (as a JSON object's last key
 * would); of two tokens with one id the later is found by it. False: id outside, or full. */
bool attn_vocabulary_add(attn_vocabulary *v, const char *text, size_t length, int32_t id,
                         attn_arena *arena, attn_error *err);
/* -1 if there is none. */
int32_t attn_vocabulary_id(const attn_vocabulary *v, const char *text, size_t length);
/* NULL if there is none. */
const attn_token *attn_vocabulary_token(const attn_vocabulary *v, int32_t id);

/* From a JSON object {"token": id}. file and where ("model.vocab") are for messages. */
attn_status attn_vocabulary_read(attn_vocabulary *v, const cJSON *object, const char *file,
                                 const char *where, attn_arena *arena, attn_error *err);

#endif
