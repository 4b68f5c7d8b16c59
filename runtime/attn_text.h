/* attn_text: text in and out. The public header of libattn_text, which stands on libattn, PCRE2 and
 * utf8proc; the core library needs none of them.
 *
 *     attn_tokenizer_open     a folder's tokenizer -> immutable, shared by threads
 *     attn_tokenizer_encode   text -> ids, with the place of each in the text
 *     attn_tokenizer_decode   ids -> text
 *     attn_set_encodings      texts as the inputs of a session
 *     attn_embedder_run       sentences -> vectors
 *
 * Ownership, errors and threads are as in attn.h. Text is UTF-8 with its length, need not be
 * terminated and may hold zero bytes; malformed bytes are replaced by U+FFFD, as Python's
 * errors="replace" does, and never an error. */
#ifndef ATTN_TEXT_H
#define ATTN_TEXT_H

#include "attn.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct attn_tokenizer attn_tokenizer;

typedef struct attn_tokenizer_options {
    const attn_allocator *allocator; /* NULL: malloc */
    size_t max_memory;               /* bytes; 0: no limit */
    attn_budget *budget;             /* NULL, or what it shares with others */
} attn_tokenizer_options;

/* Opens the tokenizer of a model folder, or one file: tokenizer.json; else tokenizer.model
 * (SentencePiece), vocab.json + merges.txt, vocab.txt, or the only .gguf file, in whose
 * metadata it is; of an .onnx file, that of its folder. tokenizer_config.json and
 * special_tokens_map.json, where they are, add what these do not say. options may be NULL. */
ATTN_API attn_status attn_tokenizer_open(attn_tokenizer **out, const char *path,
                                         const attn_tokenizer_options *options, attn_error *err);
ATTN_API void attn_tokenizer_close(attn_tokenizer *tokenizer);

/* The number of ids, added tokens included: ids are below it. */
ATTN_API size_t attn_tokenizer_size(const attn_tokenizer *tokenizer);
/* The id of a token ("[CLS]", "Ġthe") or -1; the token of an id, or NULL; *length may be NULL. */
ATTN_API int32_t attn_tokenizer_id(const attn_tokenizer *tokenizer, const char *token,
                                   size_t length);
ATTN_API const char *attn_tokenizer_token(const attn_tokenizer *tokenizer, int32_t id,
                                          size_t *length);
/* The special token of a role ("bos", "eos", "unk", "pad", "cls", "sep", "mask"), or -1. */
ATTN_API int32_t attn_tokenizer_special(const attn_tokenizer *tokenizer, const char *role);
/* The tokens that a text is cut at by tokenizer_config.json ("model_max_length"); 0: not said. */
ATTN_API size_t attn_tokenizer_max_tokens(const attn_tokenizer *tokenizer);

/* The result of an encoding: `count` entries in each array, which belong to it. */
typedef struct attn_encoding {
    size_t count;
    int32_t *ids;
    int32_t *type_ids;   /* 0: first text, 1: its pair (as the post-processor says) */
    int32_t *attention;  /* 0 where padded, else 1 */
    int32_t *special;    /* 1: put there by the post-processor or the padding */
    int32_t *sequence;   /* 0 or 1: the text it is of; -1: none */
    int32_t *word;       /* the number of its pre-token in its text; -1: none */
    size_t (*offset)[2]; /* bytes [first, end) of the text that the token stands for */
    void *memory;        /* everything above lies in it */
    size_t bytes;
} attn_encoding;

/* What truncation cuts: of a pair the longer one first, as transformers' "longest_first". */
typedef enum attn_cut_texts {
    ATTN_CUT_AS_FILE, /* as tokenizer.json says; if it says nothing, the longest first */
    ATTN_CUT_LONGEST_FIRST,
    ATTN_CUT_ONLY_FIRST,
    ATTN_CUT_ONLY_SECOND,
} attn_cut_texts;

typedef struct attn_encode_options {
    bool no_special;    /* leave the post-processor's tokens out */
    bool no_truncation; /* leave out what tokenizer.json says of truncation, */
    bool no_padding;    /* and of padding */
    size_t max_length;  /* truncate to so many tokens, special ones included; 0: as the file says */
    size_t stride;      /* tokens that windows share; 0: as the file says */
    attn_cut_texts cut;
} attn_encode_options;

/* pair may be NULL: one text. options may be NULL. Linear in the length of the text. */
ATTN_API attn_status attn_tokenizer_encode(const attn_tokenizer *tokenizer, const char *text,
                                           size_t length, const char *pair, size_t pair_length,
                                           const attn_encode_options *options, attn_encoding *out,
                                           attn_error *err);
ATTN_API void attn_encoding_free(const attn_tokenizer *tokenizer, attn_encoding *encoding);

/* The same with what truncation cuts off, as windows: *windows[0] is what attn_tokenizer_encode
 * gives, then come those that the `tokenizers` library calls overflowing, in its order, never
 * padded. Of a pair of which both are cut, each window of the one meets each of the other. Errors:
 * a stride that is not less than what a window takes of its text. */
ATTN_API attn_status attn_tokenizer_windows(const attn_tokenizer *tokenizer, const char *text,
                                            size_t length, const char *pair, size_t pair_length,
                                            const attn_encode_options *options,
                                            attn_encoding **windows, size_t *count,
                                            attn_error *err);
ATTN_API void attn_windows_free(const attn_tokenizer *tokenizer, attn_encoding *windows,
                                size_t count);

/* The text of ids, as the decoder of the file makes it. *text is terminated, of *length bytes, and
 * freed by attn_text_free. Ids outside the vocabulary are left out, as the reference does. */
ATTN_API attn_status attn_tokenizer_decode(const attn_tokenizer *tokenizer, const int32_t *ids,
                                           size_t count, bool skip_special, char **text,
                                           size_t *length, attn_error *err);
ATTN_API void attn_text_free(const attn_tokenizer *tokenizer, char *text);

/* ---- text as it is generated --------------------------------------------------------------- */

/* Turns ids into text while they come. What may still change waits: the bytes of a character that
 * is not complete, tokens whose text depends on the next one, and the beginning of a stop string.
 * All pieces together are what attn_tokenizer_decode makes of all ids, or, where a stop string
 * comes, what stands before it. Linear in the length of the text. */
typedef struct attn_text_stream attn_text_stream;

typedef struct attn_text_stream_options {
    bool skip_special;
    size_t stops;
    const char *const *stop; /* texts that end the text, terminated; they may span tokens. The one
                              * that is complete first counts, of several the longest */
} attn_text_stream_options;

/* The tokenizer must outlive the stream. options may be NULL. Errors: an empty stop string. */
ATTN_API attn_status attn_text_stream_open(attn_text_stream **out, const attn_tokenizer *tokenizer,
                                           const attn_text_stream_options *options,
                                           attn_error *err);
ATTN_API void attn_text_stream_close(attn_text_stream *stream);
/* The next id. *text, of *length bytes, is the next piece, often empty; it belongs to the stream,
 * until its next use. *stopped: a stop string has come, the piece is the last one; what is pushed
 * after it is ignored. */
ATTN_API attn_status attn_text_stream_push(attn_text_stream *stream, int32_t id, const char **text,
                                           size_t *length, bool *stopped, attn_error *err);
/* No id comes any more: the piece is all that has waited. */
ATTN_API attn_status attn_text_stream_end(attn_text_stream *stream, const char **text,
                                          size_t *length, bool *stopped, attn_error *err);

/* ---- chats --------------------------------------------------------------------------------- */

/* A chat template: how the messages of a chat are written for a model that was trained on them.
 * The templates of Hugging Face folders are programs; the common ones are recognised by their text,
 * and any other is an error (ATTN_BAD_MODEL), which says so. */
typedef struct attn_chat attn_chat;

typedef struct attn_message {
    const char *role; /* "system", "user", "assistant" */
    const char *text;
    size_t length;
} attn_message;

/* path: a model folder (chat_template.jinja, or else tokenizer_config.json) or a GGUF file.
 * name: a known template instead of the one found there ("chatml", "qwen3", "llama-2", "llama-3",
 * "llama-3.1", "mistral-v0.1", "mistral-v0.2", "mistral-v1", "mistral-v3", "zephyr", "gemma",
 * "gemma-3", "phi-3", "phi-3-mini"), or NULL. */
ATTN_API attn_status attn_chat_open(attn_chat **out, const char *path, const char *name,
                                    attn_error *err);
ATTN_API void attn_chat_close(attn_chat *chat);
ATTN_API const char *attn_chat_name(const attn_chat *chat);
/* The token that ends an answer, "<|im_end|>"; "" if it is not known. */
ATTN_API const char *attn_chat_end(const attn_chat *chat);

/* The text of the messages, terminated, of *length bytes; prompt: with the beginning of an answer.
 * It has its special tokens in it: encode it with no_special. Freed by attn_chat_free. Errors
 * (ATTN_BAD_INPUT): a role or an order that the template does not know. */
ATTN_API attn_status attn_chat_render(const attn_chat *chat, const attn_message *messages,
                                      size_t count, bool prompt, char **text, size_t *length,
                                      attn_error *err);
ATTN_API void attn_chat_free(const attn_chat *chat, char *text);

/* ---- texts through a model ---------------------------------------------------------------- */

/* The most tokens that a text may have; SIZE_MAX: any number. */
ATTN_API size_t attn_text_limit(const attn_model *model);

/* Sets the inputs of one text (count 1: without a batch) or of a batch of texts: its token ids, and
 * attention_mask and token_type_ids if the model has inputs of these names. Shorter texts are
 * padded on the right with padding_id, and the mask hides it: each text has the result that it has
 * alone, bit for bit. The session keeps the data. Errors: no input of kind tokens; texts of unequal
 * length, and the model has no attention_mask. */
ATTN_API attn_status attn_set_encodings(attn_session *session, const attn_encoding *encoding,
                                        size_t count, int32_t padding_id, attn_error *err);

/* Sentences to vectors, as the folder's modules.json says (Transformer, Pooling, Dense, Normalize,
 * with sentence_bert_config.json and the prompts of config_sentence_transformers.json); without it,
 * as a GGUF file's "pooling_type" says, or the mean over the tokens of "last_hidden_state",
 * normalised, or else the output of kind embedding. Opens the model, a session and the tokenizer of
 * the folder. */
typedef struct attn_embedder attn_embedder;

ATTN_API attn_status attn_embedder_open(attn_embedder **out, const char *folder,
                                        const attn_model_options *model,
                                        const attn_session_options *session, attn_error *err);
ATTN_API void attn_embedder_close(attn_embedder *embedder);
ATTN_API const attn_model *attn_embedder_model(const attn_embedder *embedder);

/* The vectors of `count` texts, one after the other: *vectors is [count, *size], belongs to the
 * embedder and is valid until its next run. prompt: the name of a prompt of the folder that stands
 * before each text; NULL: the folder's default, "": none. Texts of like length run together. */
ATTN_API attn_status attn_embedder_run(attn_embedder *embedder, const char *const *text,
                                       const size_t *length, size_t count, const char *prompt,
                                       const float **vectors, size_t *size, attn_error *err);

#ifdef __cplusplus
}
#endif
#endif
