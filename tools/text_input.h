/* A text as the input of a model, for commands that show its tokens. */
#ifndef TOOLS_TEXT_INPUT_H
#define TOOLS_TEXT_INPUT_H

#include "tools/explain_text.h"

typedef struct text_input {
    attn_tokenizer *tokenizer;
    attn_encoding encoding;
    explain_words words; /* of the two above */
} text_input;

/* Opens the tokenizer of `model` and gives the text (and its pair, or NULL) to the session. The
 * texts must live as long as the input. Frees nothing on failure: text_input_free does. */
attn_status text_input_set(attn_session *session, const char *model, const char *text,
                           const char *pair, text_input *input, attn_error *err);
/* Accepts a zeroed or half-made one. */
void text_input_free(text_input *input);

#endif
