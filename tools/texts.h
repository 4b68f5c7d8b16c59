/* Texts of the command line, and models that read text. */
#ifndef TOOLS_TEXTS_H
#define TOOLS_TEXTS_H

#include "runtime/attn_text.h"
#include "tools/cli.h"

/* Arguments, then the lines of a file. */
typedef struct texts {
    size_t count, room;
    const char **text;
    size_t *length;
    char *file; /* its bytes; the lines lie in it */
} texts;

/* The arguments from `first` on, and the lines of `file` ("-": standard input; NULL: none), which
 * may end with a carriage return. */
attn_status texts_read(texts *t, const cli *c, size_t first, const char *file, attn_error *err);
attn_status texts_add(texts *t, const char *text, size_t length, attn_error *err);
void texts_free(texts *t);

/* Text on one line: control characters and the backslash as escapes. */
void texts_print_line(const char *text, size_t length);

/* Characters of UTF-8 before byte `at`: offsets as Python counts them. */
size_t texts_characters(const char *text, size_t at);

/* A model, a session and the tokenizer of the folder. */
typedef struct text_model {
    attn_model *model;
    attn_session *session;
    attn_tokenizer *tokenizer;
    size_t limit; /* tokens of a text: the model's, or what tokenizer_config.json says */
    int32_t padding;
} text_model;

attn_status text_model_open(text_model *m, const cli *c, const char *path, attn_error *err);
void text_model_close(text_model *m);

/* A text, and its pair unless it is NULL, cut at the limit: then *cut is set. */
attn_status text_model_encode(const text_model *m, const char *text, size_t length,
                              const char *pair, size_t pair_length, attn_encoding *out, bool *cut,
                              attn_error *err);

/* Sets, prepares and runs `count` encodings. */
attn_status text_model_run(const text_model *m, const attn_encoding *encoding, size_t count,
                           attn_error *err);

/* The first output of this kind, or of this name; NULL if there is none. */
const attn_port *text_model_output(const text_model *m, attn_kind kind, const char *name);

/* y = softmax of n logits. */
void text_softmax(const text_model *m, const float *logits, float *y, size_t n);

/* What the file says of images decides between text and pictures: true if the model has an input of
 * kind image. Not opened: false. */
bool texts_model_sees(const char *path);

#endif
