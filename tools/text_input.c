#include "tools/text_input.h"

#include <string.h>

attn_status text_input_set(attn_session *s, const char *model, const char *text, const char *pair,
                           text_input *in, attn_error *err)
{
    *in = (text_input){0};
    const attn_tokenizer_options shared = {.budget = cli_budget()};
    ATTN_TRY(attn_tokenizer_open(&in->tokenizer, model, &shared, err));
    const attn_encode_options options = {.no_padding = true};
    ATTN_TRY(attn_tokenizer_encode(in->tokenizer, text, strlen(text), pair, pair ? strlen(pair) : 0,
                                   &options, &in->encoding, err));
    in->words = (explain_words){.tokenizer = in->tokenizer,
                                .encoding = &in->encoding,
                                .text = {text, pair},
                                .length = {strlen(text), pair ? strlen(pair) : 0}};
    return attn_set_encodings(s, &in->encoding, 1, 0, err);
}

void text_input_free(text_input *in)
{
    if (in->tokenizer) attn_encoding_free(in->tokenizer, &in->encoding);
    attn_tokenizer_close(in->tokenizer);
    *in = (text_input){0};
}
