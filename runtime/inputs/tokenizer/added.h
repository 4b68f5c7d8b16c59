/* Added tokens: found in the text before it is cut, special ones in the text as it was given,
 * others in its normal form. */
#ifndef ATTN_TOKENIZER_ADDED_H
#define ATTN_TOKENIZER_ADDED_H

#include "runtime/inputs/tokenizer/normalizer.h"
#include "runtime/inputs/tokenizer/vocabulary.h"

typedef struct attn_added_token {
    const char *text, *normal; /* normal: in normal form, as it is looked for and decoded */
    size_t length, normal_length;
    int32_t id;
    bool single_word, lstrip, rstrip, normalized, special;
} attn_added_token;

/* Finds the longest of a set of texts at each place of a text, in time linear in the text whatever
 * the set: an automaton over the texts read backwards. */
typedef struct attn_finder {
    size_t nodes, slots;
    struct attn_finder_edge *edge; /* open addressing: (node, byte) -> node */
    uint32_t *fail;                /* [nodes] the longest proper suffix that is a node */
    uint32_t *best;                /* [nodes] 1 + the longest text that ends there, or 0 */
    bool last[256];                /* the bytes that a text ends with */
} attn_finder;

/* Room for texts of `bytes` bytes in all; then each text (one that is there already gets the new
 * index); then finish. */
attn_status attn_finder_init(attn_finder *f, size_t bytes, attn_arena *arena, attn_error *err);
void attn_finder_add(attn_finder *f, const char *text, size_t length, size_t index);
attn_status attn_finder_finish(attn_finder *f, attn_memory *memory, attn_error *err);
/* hits: {place, index} wherever a text begins, from the last place to the first. */
attn_status attn_finder_run(const attn_finder *f, const char *text, size_t length,
                            attn_ranges *hits, attn_error *err);

typedef struct attn_added {
    size_t count;
    attn_added_token *token;
    attn_finder finder[2];      /* [0] as given, [1] in normal form */
    attn_vocabulary vocabulary; /* text -> index */
    size_t size;                /* the highest id + 1 */
    uint32_t *by_id;            /* [size] index or UINT32_MAX */
} attn_added;

/* "added_tokens" of the file. vocabulary: the model's, which gives ids to the tokens that it has;
 * the others get the next ones. */
attn_status attn_added_read(attn_added *a, const attn_place *place,
                            const attn_vocabulary *vocabulary, const attn_normalizers *normalizers,
                            const attn_normalizing *shared, attn_arena *arena, attn_error *err);
/* NULL: none. */
const attn_added_token *attn_added_by_id(const attn_added *a, int32_t id);
const attn_added_token *attn_added_by_text(const attn_added *a, const char *text, size_t length);

/* Cuts a text at added tokens: pieces in order, `token` NULL for what lies between. */
typedef struct attn_added_piece {
    attn_range range;
    const attn_added_token *token;
} attn_added_piece;
typedef struct attn_added_pieces {
    attn_memory *memory;
    size_t count, room;
    attn_added_piece *piece;
    attn_ranges hits; /* scratch: [place, index] from the end to the beginning */
} attn_added_pieces;
attn_status attn_added_cut(const attn_added *a, bool normal, const attn_unicode *u,
                           const attn_string *text, attn_added_pieces *out, attn_error *err);
void attn_added_pieces_free(attn_added_pieces *p);

#endif
