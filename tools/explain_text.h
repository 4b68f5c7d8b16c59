/* The attention of a text: a page for the browser, and who attends to whom in the terminal. */
#ifndef TOOLS_EXPLAIN_TEXT_H
#define TOOLS_EXPLAIN_TEXT_H

#include "tools/cli.h"

#include "runtime/attn_text.h"

/* A text as the model saw it: its tokens, and where in the texts they lie. Nothing is owned. */
typedef struct explain_words {
    const attn_tokenizer *tokenizer;
    const attn_encoding *encoding;
    const char *text[2]; /* the text and, or NULL, its pair */
    size_t length[2];
} explain_words;

/* Writes a page, one file that needs no other, with the attention maps of the session's last run
 * (with keep_attention; of a batch, the first item's) over these tokens: layers whose queries and
 * keys are not the tokens are left out. title: the model's result in words, or NULL.
 * Errors: ATTN_BAD_MODEL: no attention over the tokens. ATTN_LIMIT: more than 64 MB of weights.
 * ATTN_IO; ATTN_NO_MEMORY. */
attn_status explain_page(const attn_session *session, const explain_words *words, const char *title,
                         const char *path, attn_error *err);

#endif
