#include "tools/text_input.h"

#include <string.h>

static attn_status set_ids(attn_session *s, const text_input *in, attn_error *err)
{
    const attn_graph *g = &s->model->graph;
    const attn_encoding *e = &in->encoding;
    size_t set = 0;
    for (size_t i = 0; i < g->inputs; i++) {
        const char *name = g->input[i].name;
        attn_tensor t = {.dtype = ATTN_I32, .rank = 1, .dim = {e->count}};
        if (strcmp(name, "attention_mask") == 0)
            t.data = e->attention;
        else if (strcmp(name, "token_type_ids") == 0)
            t.data = e->type_ids;
        else if (g->input[i].kind == ATTN_KIND_TOKENS)
            t.data = e->ids;
        else
            continue;
        set += g->input[i].kind == ATTN_KIND_TOKENS;
        ATTN_TRY(attn_set_input(s, name, &t, err));
    }
    if (set) return ATTN_OK;
    return attn_fail(err, ATTN_BAD_MODEL, "%s: model \"%s\" has no input of kind tokens",
                     s->model->description_name, s->model->name);
}

attn_status text_input_set(attn_session *s, const char *model, const char *text, const char *pair,
                           text_input *in, attn_error *err)
{
    *in = (text_input){0};
    ATTN_TRY(attn_tokenizer_open(&in->tokenizer, model, NULL, err));
    const attn_encode_options options = {.no_padding = true};
    ATTN_TRY(attn_tokenizer_encode(in->tokenizer, text, strlen(text), pair, pair ? strlen(pair) : 0,
                                   &options, &in->encoding, err));
    in->words = (explain_words){.tokenizer = in->tokenizer,
                                .encoding = &in->encoding,
                                .text = {text, pair},
                                .length = {strlen(text), pair ? strlen(pair) : 0}};
    return set_ids(s, in, err);
}

void text_input_free(text_input *in)
{
    if (in->tokenizer) attn_encoding_free(in->tokenizer, &in->encoding);
    attn_tokenizer_close(in->tokenizer);
    *in = (text_input){0};
}
