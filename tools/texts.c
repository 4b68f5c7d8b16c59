#include "tools/texts.h"

#include "tools/cli_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

attn_status texts_add(texts *t, const char *text, size_t length, attn_error *err)
{
    if (t->count == t->room) {
        size_t room = t->room ? 2 * t->room : 64;
        const char **text_list = realloc(t->text, room * sizeof *text_list);
        if (text_list) t->text = text_list;
        size_t *lengths = text_list ? realloc(t->length, room * sizeof *lengths) : NULL;
        if (!lengths) return attn_fail(err, ATTN_NO_MEMORY, "out of memory: %zu texts", room);
        t->length = lengths;
        t->room = room;
    }
    t->text[t->count] = text;
    t->length[t->count++] = length;
    return ATTN_OK;
}

attn_status texts_read(texts *t, const cli *c, size_t first, const char *file, attn_error *err)
{
    size_t size;
    for (size_t i = first; i < c->count; i++)
        ATTN_TRY(texts_add(t, c->argument[i], strlen(c->argument[i]), err));
    if (!file) return ATTN_OK;
    ATTN_TRY(cli_read_file(file, &t->file, &size, err));
    for (size_t at = 0; at < size;) {
        const char *line = t->file + at, *end = memchr(line, '\n', size - at);
        size_t length = end ? (size_t)(end - line) : size - at;
        at += length + (end != NULL);
        if (length && line[length - 1] == '\r') length--;
        ATTN_TRY(texts_add(t, line, length, err));
    }
    return ATTN_OK;
}

void texts_free(texts *t)
{
    free(t->text);
    free(t->length);
    free(t->file);
    *t = (texts){0};
}

void texts_print_line(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '\n')
            fputs("\\n", stdout);
        else if (c == '\t')
            fputs("\\t", stdout);
        else if (c == '\\')
            fputs("\\\\", stdout);
        else if (c < 0x20 || c == 0x7f)
            printf("\\x%02x", c);
        else
            putchar(c);
    }
}

size_t texts_characters(const char *text, size_t at)
{
    size_t count = 0;
    for (size_t i = 0; i < at; i++) count += ((unsigned char)text[i] & 0xc0) != 0x80;
    return count;
}

attn_status text_model_open(text_model *m, const cli *c, const char *path, attn_error *err)
{
    *m = (text_model){0};
    ATTN_TRY(cli_open(c, path, NULL, &m->model, &m->session, err));
    attn_tokenizer_options options = {.budget = cli_budget()};
    attn_status status = attn_tokenizer_open(&m->tokenizer, path, &options, err);
    if (status) {
        text_model_close(m);
        return status;
    }
    m->limit = attn_text_limit(m->model);
    size_t cut = attn_tokenizer_max_tokens(m->tokenizer);
    if (cut && cut < m->limit) m->limit = cut;
    m->padding = attn_tokenizer_special(m->tokenizer, "pad");
    if (m->padding < 0) m->padding = 0;
    return ATTN_OK;
}

void text_model_close(text_model *m)
{
    attn_tokenizer_close(m->tokenizer);
    attn_session_close(m->session);
    attn_model_close(m->model);
    *m = (text_model){0};
}

attn_status text_model_encode(const text_model *m, const char *text, size_t length,
                              const char *pair, size_t pair_length, attn_encoding *out, bool *cut,
                              attn_error *err)
{
    attn_encode_options options = {.no_padding = true, .no_truncation = true};
    *cut = false;
    ATTN_TRY(
        attn_tokenizer_encode(m->tokenizer, text, length, pair, pair_length, &options, out, err));
    if (out->count <= m->limit) return ATTN_OK;
    attn_encoding_free(m->tokenizer, out);
    *cut = true;
    options = (attn_encode_options){.no_padding = true, .max_length = m->limit};
    return attn_tokenizer_encode(m->tokenizer, text, length, pair, pair_length, &options, out, err);
}

attn_status text_model_run(const text_model *m, const attn_encoding *encoding, size_t count,
                           attn_error *err)
{
    ATTN_TRY(attn_set_encodings(m->session, encoding, count, m->padding, err));
    ATTN_TRY(attn_prepare(m->session, err));
    return attn_run(m->session, err);
}

const attn_port *text_model_output(const text_model *m, attn_kind kind, const char *name)
{
    const attn_graph *g = &m->model->graph;
    for (size_t i = 0; i < g->outputs; i++)
        if (name ? strcmp(g->output[i].name, name) == 0 : g->output[i].kind == kind)
            return &g->output[i];
    return NULL;
}

void text_softmax(const text_model *m, const float *logits, float *y, size_t n)
{
    const attn_kernels *kernels = m->model->kernels;
    float max = kernels->max(logits, n), sum = 0;
    for (size_t i = 0; i < n; i++) y[i] = logits[i] - max;
    kernels->unary(ATTN_EXP, y, y, n);
    for (size_t i = 0; i < n; i++) sum += y[i];
    for (size_t i = 0; i < n; i++) y[i] /= sum;
}

bool texts_model_sees(const char *path)
{
    attn_model *model;
    const attn_model_options options = {.budget = cli_budget()};
    if (attn_model_describe(&model, path, &options, NULL)) return false;
    bool sees = false;
    for (size_t i = 0; i < model->graph.inputs; i++)
        sees = sees || model->graph.input[i].kind == ATTN_KIND_IMAGE;
    attn_model_close(model);
    return sees;
}
