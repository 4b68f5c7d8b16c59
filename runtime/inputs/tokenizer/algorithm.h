/* The interface of a tokenizer's model: WordPiece, BPE, Unigram, WordLevel. One file each.
 *
 * `build` reads the "model" object of tokenizer.json (or what a loader of an older format made in
 * its likeness) into the tokenizer's arena; `encode` cuts one pre-token into tokens. A model is
 * immutable; what an encoding needs meanwhile comes from `work`. */
#ifndef ATTN_TOKENIZER_ALGORITHM_H
#define ATTN_TOKENIZER_ALGORITHM_H

#include "runtime/inputs/tokenizer/vocabulary.h"
#include "runtime/json.h"

/* A growing list of tokens; offsets are bytes of the text that `encode` was given. */
typedef struct attn_piece {
    int32_t id;
    uint32_t first, end;
} attn_piece;

typedef struct attn_pieces {
    attn_memory *memory;
    size_t count, room;
    attn_piece *piece;
} attn_pieces;

/* Appends; ATTN_NO_MEMORY or ATTN_LIMIT. */
attn_status attn_pieces_add(attn_pieces *pieces, int32_t id, size_t first, size_t end,
                            attn_error *err);

void attn_pieces_free(attn_pieces *pieces);

/* A member of the "model" object: a text or NULL (absent or null; an error if `needed`), a flag, a
 * number in [min, max]; absent or null ones leave *out as it is. */
attn_status attn_model_text(const cJSON *model, const char *key, bool needed, const char *file,
                            const char **out, attn_error *err);
attn_status attn_model_flag(const cJSON *model, const char *key, const char *file, bool *out,
                            attn_error *err);
attn_status attn_model_integer(const cJSON *model, const char *key, double min, double max,
                               const char *file, size_t *out, attn_error *err);

/* Scratch that grows and is reused from pre-token to pre-token of one encoding, such as a BPE's
 * list of symbols or a cache of words. Starts zeroed; each algorithm uses it as it likes. */
typedef struct attn_tokenizer_work {
    attn_memory *memory;
    void *data; /* of the algorithm, freed by its close_work */
    size_t bytes;
} attn_tokenizer_work;

typedef struct attn_algorithm {
    const char *name; /* the "type" of tokenizer.json: "BPE" */
    size_t size;      /* of its struct, which starts zeroed in the arena */
    /* vocabulary: filled by build, owned by the tokenizer. file: the name for messages; every
     * error is one line "FILE: model.merges[3]: ...". */
    attn_status (*build)(void *self, const cJSON *model, const char *file,
                         attn_vocabulary *vocabulary, attn_arena *arena, attn_error *err);
    /* text: valid UTF-8, at most 4 GB; not empty. Linear (times a small logarithm) in length. */
    attn_status (*encode)(const void *self, const attn_vocabulary *vocabulary, const char *text,
                          size_t length, attn_tokenizer_work *work, attn_pieces *out,
                          attn_error *err);
    void (*close_work)(attn_tokenizer_work *work);
} attn_algorithm;

extern const attn_algorithm attn_algorithm_wordpiece, attn_algorithm_bpe, attn_algorithm_unigram,
    attn_algorithm_wordlevel;

#endif
