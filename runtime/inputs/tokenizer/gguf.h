/* The tokenizer of a GGUF file, made of its metadata in the likeness of tokenizer.json and
 * tokenizer_config.json. */
#ifndef ATTN_TOKENIZER_GGUF_H
#define ATTN_TOKENIZER_GGUF_H

#include "runtime/json.h"
#include "runtime/weights/gguf.h"

/* The kinds of "tokenizer.ggml.model": gpt2 (byte-level BPE; "tokenizer.ggml.pre" names how text is
 * cut first), llama (a SentencePiece BPE: without merges they are what the vocabulary and its
 * scores imply), bert (WordPiece). A file with "tokenizer.huggingface.json" says all in it.
 * *tokenizer and *config are the caller's (cJSON_Delete). memory: for what is needed meanwhile.
 * Errors, which name file and key: ATTN_BAD_MODEL: no tokenizer, or an unknown model or pre;
 * ATTN_BAD_FILE: lists of other types or lengths, ids outside the vocabulary, tokens that are no
 * UTF-8; ATTN_LIMIT; ATTN_NO_MEMORY. */
attn_status attn_gguf_tokenizer(const attn_gguf *gguf, attn_memory *memory, cJSON **tokenizer,
                                cJSON **config, attn_error *err);

/* ---- parts -------------------------------------------------------------------------------- */

/* The patterns that "tokenizer.ggml.pre" names, each of which cuts the pieces of those before it;
 * NULL: unknown. */
typedef struct attn_gguf_cut {
    const char *names; /* " gpt-2 phi-2 " */
    const char *pattern[4];
    bool digits;      /* first every digit by itself */
    bool byte_level;  /* GPT-2's own pattern at the end */
    bool whole_words; /* a word that is a token needs no merges */
    bool nfc;         /* text is normalized first */
    bool begins;      /* the first token is bos, if nothing else is said */
} attn_gguf_cut;
const attn_gguf_cut *attn_gguf_find_cut(const char *name, size_t length);

/* A token as tokenizer.json spells it, where spaces are marks (U+2581): a run of at least two
 * spaces stands in the file as it is. to: room for 3 * length + 1 bytes. Its length, terminated. */
size_t attn_gguf_spell(const attn_gguf_item *token, char *to);

/* Merges that a vocabulary with scores implies: every way in which a token is two others, best
 * score first, of equal ones longer left sides first, then longer right ones, then in the order of
 * the tokens. scores NULL: the earlier a token, the better. *merges: a list of ["left", "right"].
 */
attn_status attn_gguf_imply_merges(const attn_gguf *gguf, const attn_gguf_value *tokens,
                                   const attn_gguf_value *scores, attn_memory *memory,
                                   cJSON **merges, attn_error *err);

#endif
