/* SentencePiece's `.model` files: a protocol buffer, read here by hand.
 *
 *   ModelProto      1 repeated piece {1 text, 2 score: float, 3 type}
 *                   2 trainer  {3 model type, 24 white space as suffix, 35 byte fallback,
 *                               40-43 ids and 45-48 texts of unk, bos, eos, pad}
 *                   3 normalizer {2 character map, 3 add dummy prefix, 4 remove extra white space,
 *                                 5 escape white space}
 *
 * Fields that are not named are skipped. */
#ifndef ATTN_TOKENIZER_SENTENCEPIECE_H
#define ATTN_TOKENIZER_SENTENCEPIECE_H

#include "runtime/json.h"

typedef enum attn_piece_type {
    ATTN_PIECE_NORMAL = 1,
    ATTN_PIECE_UNKNOWN,
    ATTN_PIECE_CONTROL,
    ATTN_PIECE_USER,
    ATTN_PIECE_UNUSED,
    ATTN_PIECE_BYTE,
} attn_piece_type;

/* Bytes of the file; not terminated. */
typedef struct attn_slice {
    const char *text;
    size_t length;
} attn_slice;

typedef struct attn_sentencepiece_entry {
    attn_slice text; /* UTF-8 without zero bytes, not empty */
    float score;     /* finite */
    attn_piece_type type;
} attn_sentencepiece_entry;

enum { ATTN_ROLE_UNK, ATTN_ROLE_BOS, ATTN_ROLE_EOS, ATTN_ROLE_PAD, ATTN_ROLES };

typedef struct attn_sentencepiece {
    size_t count;
    attn_sentencepiece_entry *piece; /* [count], in the arena */
    bool is_bpe;                     /* else Unigram */
    bool byte_fallback;
    int32_t role[ATTN_ROLES]; /* ids, or -1 */
    attn_slice charsmap;      /* empty: none */
    bool add_dummy_prefix, remove_extra_whitespaces, escape_whitespaces;
} attn_sentencepiece;

/* Views data[0..size), which must live as long. Errors are one line "FILE: byte 17: ..." or
 * "FILE: piece 3: ...": cut off, not the format, no pieces, a piece that is empty, no text or not
 * finite, an id without a piece, a model of words or characters, byte fallback without all bytes.
 */
attn_status attn_sentencepiece_read(attn_sentencepiece *model, const char *file, const void *data,
                                    size_t size, attn_arena *arena, attn_error *err);

/* The likeness of a tokenizer.json, to be freed by cJSON_Delete. config: the folder's
 * tokenizer_config.json, or NULL. Its tokenizer_class decides, as in transformers: LlamaTokenizer,
 * GemmaTokenizer, T5Tokenizer, XLMRobertaTokenizer, AlbertTokenizer, DebertaV2Tokenizer,
 * PreTrainedTokenizerFast or TokenizersBackend ("Fast" may follow each); without one it is as the
 * sentencepiece library does with the file alone. Beyond tokenizer.json there is the object
 * "special_tokens_map" with the tokens of the roles ("bos_token": "<s>"). */
attn_status attn_sentencepiece_json(const char *file, const void *data, size_t size,
                                    const cJSON *config, attn_memory *memory, cJSON **out,
                                    attn_error *err);

#endif
