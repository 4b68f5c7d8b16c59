/* The prompt of attn generate: a text, a chat or ids. */
#include "tools/generate.h"

#include <stdlib.h>
#include <string.h>

/* Where the tokenizer and the chat template are: the folder, or the GGUF file. */
static const char *text_path(const generate *g)
{
    return g->model->weights.gguf ? g->model->weights_name : g->model->folder;
}

static attn_status encode(generate *g, const char *text, size_t length, bool no_special,
                          attn_error *err)
{
    const attn_encode_options options = {
        .no_special = no_special, .no_truncation = true, .no_padding = true};
    attn_encoding e;
    ATTN_TRY(attn_tokenizer_encode(g->tokenizer, text, length, NULL, 0, &options, &e, err));
    g->ids = malloc((e.count ? e.count : 1) * sizeof *g->ids);
    attn_status status = ATTN_OK;
    if (!g->ids) {
        status = attn_fail(err, ATTN_NO_MEMORY, "out of memory: a prompt of %zu tokens", e.count);
    } else {
        memcpy(g->ids, e.ids, e.count * sizeof *g->ids);
        g->count = e.count;
    }
    attn_encoding_free(g->tokenizer, &e);
    return status;
}

/* The token that ends an answer ends the text, too. */
static void stop_at(generate *g, int32_t id)
{
    attn_generator_options *o = &g->options;
    for (size_t i = 0; i < o->stops; i++)
        if (g->stop_id[i] == id) return;
    if (id >= 0 && o->stops < ATTN_MAX_STOPS) g->stop_id[o->stops++] = id;
}

static attn_status encode_chat(generate *g, const char *text, size_t length, attn_error *err)
{
    attn_chat *chat;
    char *rendered;
    attn_message message[2];
    size_t count = 0, bytes;
    ATTN_TRY(attn_chat_open(&chat, text_path(g), g->template_name, err));
    if (g->system) message[count++] = (attn_message){"system", g->system, strlen(g->system)};
    message[count++] = (attn_message){"user", text, length};
    attn_status status = attn_chat_render(chat, message, count, true, &rendered, &bytes, err);
    if (!status) {
        const char *end = attn_chat_end(chat);
        status = encode(g, rendered, bytes, true, err);
        if (*end) stop_at(g, attn_tokenizer_id(g->tokenizer, end, strlen(end)));
    }
    attn_chat_free(chat, rendered);
    attn_chat_close(chat);
    return status;
}

static attn_status encode_text(generate *g, attn_error *err)
{
    const char *text = g->prompt ? g->prompt : "";
    size_t length = strlen(text);
    char *owned = NULL;
    attn_status status = ATTN_OK;
    if (g->file) {
        status = cli_read_file(g->file, &owned, &length, err);
        text = owned;
    }
    if (!status)
        status = g->chat ? encode_chat(g, text, length, err) : encode(g, text, length, g->raw, err);
    free(owned);
    return status;
}

/* An empty prompt begins with the token that begins a text. */
static attn_status fill_empty(generate *g, int32_t bos, attn_error *err)
{
    if (g->count > 0) return ATTN_OK;
    if (bos < 0 && g->tokenizer) bos = attn_tokenizer_special(g->tokenizer, "bos");
    if (bos < 0)
        return attn_fail(err, ATTN_BAD_INPUT,
                         "the prompt is empty, and model \"%s\" has no token that begins a text",
                         attn_model_name(g->model));
    g->ids[g->count++] = bos;
    return ATTN_OK;
}

static attn_status open_text(generate *g, attn_error *err)
{
    const attn_tokenizer_options own = {.budget = cli_budget()};
    const attn_text_stream_options stream = {
        .skip_special = true, .stops = g->stop.count, .stop = g->stop.item};
    ATTN_TRY(attn_tokenizer_open(&g->tokenizer, text_path(g), &own, err));
    ATTN_TRY(attn_text_stream_open(&g->stream, g->tokenizer, &stream, err));
    if (g->options.stops == 0) stop_at(g, attn_tokenizer_special(g->tokenizer, "eos"));
    ATTN_TRY(encode_text(g, err));
    /* What decoding needs of the budget is taken now: a text that begins can end. */
    char *none;
    size_t length;
    ATTN_TRY(attn_tokenizer_decode(g->tokenizer, NULL, 0, false, &none, &length, err));
    attn_text_free(g->tokenizer, none);
    return ATTN_OK;
}

attn_status generate_open(generate *g, attn_error *err)
{
    attn_special_ids special;
    attn_generator_options *o = &g->options;
    ATTN_TRY(attn_model_special_ids(g->model, &special, err));
    for (size_t i = 0; i < special.stops; i++) stop_at(g, special.stop[i]);
    if (g->ids_text)
        ATTN_TRY(cli_parse_ids("--ids", g->ids_text, &g->ids, &g->count, err));
    else
        ATTN_TRY(open_text(g, err));
    ATTN_TRY(fill_empty(g, special.bos, err));
    o->stop = g->stop_id;
    o->threads = g->cli->threads;
    return attn_generator_open(&g->generator, g->model, g->ids, g->count, o, err);
}

void generate_close(generate *g)
{
    attn_generator_close(g->generator);
    attn_text_stream_close(g->stream);
    attn_tokenizer_close(g->tokenizer);
    free(g->ids);
}
