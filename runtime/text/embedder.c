/* Sentences to vectors: tokens, the model in batches of like length, the folder's modules. */
#include "runtime/attn_text.h"
#include "runtime/onnx/import.h"
#include "runtime/onnx/onnx.h"
#include "runtime/session.h"
#include "runtime/text/batches.h"
#include "runtime/text/modules.h"
#include "runtime/weights/gguf.h"

#include <string.h>
#include <utf8proc.h>

enum { CHUNK = 4096 }; /* texts that are tokenized at a time */

struct attn_embedder {
    attn_memory memory;
    attn_arena arena;
    attn_model *model;
    attn_session *session;
    attn_tokenizer *tokenizer;
    attn_modules modules;
    const char *output; /* "last_hidden_state", or the output of kind embedding */
    bool pooled;        /* the latter */
    size_t max_tokens;
    int32_t padding;
    float *vectors;
    size_t bytes;
};

static attn_status choose_output(attn_embedder *e, attn_error *err)
{
    const attn_graph *g = &e->model->graph;
    for (size_t i = 0; i < g->outputs; i++)
        if (strcmp(g->output[i].name, "last_hidden_state") == 0) e->output = g->output[i].name;
    for (size_t i = 0; i < g->outputs && !e->output; i++)
        if (g->output[i].kind == ATTN_KIND_EMBEDDING) {
            e->output = g->output[i].name;
            e->pooled = true;
        }
    if (e->output) return ATTN_OK;
    return attn_fail(err, ATTN_BAD_MODEL,
                     "%s: model \"%s\" has neither an output \"last_hidden_state\" nor one of kind "
                     "embedding",
                     e->model->description_name, e->model->name);
}

/* A GGUF file says itself how the rows become one vector: "bert.pooling_type", by ggml's numbers. A
 * folder's modules.json comes first. */
static attn_status choose_pooling(attn_embedder *e, attn_error *err)
{
    static const struct {
        double number;
        attn_pooling pooling;
    } known[] = {{1, ATTN_POOL_MEAN}, {2, ATTN_POOL_CLS}, {3, ATTN_POOL_LAST}};
    const attn_gguf *gguf = e->model->weights.gguf;
    static const char end[] = ".pooling_type";
    if (!gguf || !e->modules.by_default) return ATTN_OK;
    for (size_t i = 0; i < gguf->count; i++) {
        const attn_gguf_value *v = &gguf->value[i];
        const unsigned char *at = v->data;
        attn_gguf_item item;
        size_t length = strlen(v->key);
        if (length < sizeof end || strcmp(v->key + length - (sizeof end - 1), end) != 0 ||
            v->type == ATTN_GGUF_ARRAY || v->type == ATTN_GGUF_TEXT)
            continue;
        if (!attn_gguf_next(v, &at, &item)) continue;
        for (size_t j = 0; j < sizeof known / sizeof *known; j++)
            if (item.number == known[j].number) {
                e->modules.module[0].pooling[0] = known[j].pooling;
                return ATTN_OK;
            }
        return attn_fail(err, ATTN_BAD_MODEL,
                         "%s: %s is %g, expected 1 (mean), 2 (cls) or 3 (last)", gguf->file, v->key,
                         item.number);
    }
    return ATTN_OK;
}

static attn_status open_parts(attn_embedder *e, const char *folder,
                              const attn_model_options *options,
                              const attn_session_options *session, attn_error *err)
{
    const char *file = attn_is_onnx(folder) ? folder : NULL;
    if (file) ATTN_TRY(attn_onnx_folder(file, &e->arena, &folder, err));
    ATTN_TRY(attn_modules_read(&e->modules, folder, &e->memory, &e->arena, err));
    attn_tokenizer_options text = {.allocator = options->allocator,
                                   .max_memory = options->max_memory,
                                   .budget = options->budget};
    ATTN_TRY(attn_model_open(&e->model, file ? file : e->modules.folder, options, err));
    ATTN_TRY(choose_output(e, err));
    ATTN_TRY(choose_pooling(e, err));
    ATTN_TRY(attn_session_open(&e->session, e->model, session, err));
    ATTN_TRY(attn_tokenizer_open(&e->tokenizer, e->modules.folder, &text, err));
    size_t limit = attn_text_limit(e->model), cut = attn_tokenizer_max_tokens(e->tokenizer);
    if (e->modules.max_tokens) cut = e->modules.max_tokens; /* and not the tokenizer's */
    e->max_tokens = cut && cut < limit ? cut : limit;
    e->padding = attn_tokenizer_special(e->tokenizer, "pad");
    if (e->padding < 0) e->padding = 0;
    return ATTN_OK;
}

attn_status attn_embedder_open(attn_embedder **out, const char *folder,
                               const attn_model_options *model, const attn_session_options *session,
                               attn_error *err)
{
    attn_model_options defaults = {0};
    attn_error inner;
    attn_memory memory;
    void *fresh;
    if (!model) model = &defaults;
    if (!err) err = &inner;
    *out = NULL;
    attn_memory_init(&memory, model->allocator, model->max_memory);
    memory.budget = model->budget;
    memory.holder = ATTN_HELD_BY_SESSION;
    ATTN_TRY(attn_alloc(&memory, sizeof(attn_embedder), "an embedder", &fresh, err));
    attn_embedder *e = fresh;
    *e = (attn_embedder){.memory = memory};
    attn_arena_init(&e->arena, &e->memory);
    char *copy = attn_arena_text(&e->arena, folder, strlen(folder), err);
    if (!copy || open_parts(e, copy, model, session, err)) {
        attn_embedder_close(e);
        return err->status;
    }
    *out = e;
    return ATTN_OK;
}

void attn_embedder_close(attn_embedder *e)
{
    if (!e) return;
    attn_modules_close(&e->modules);
    attn_tokenizer_close(e->tokenizer);
    attn_session_close(e->session);
    attn_model_close(e->model);
    attn_release(&e->memory, e->vectors, e->bytes);
    attn_arena_free(&e->arena);
    attn_memory memory = e->memory;
    attn_release(&memory, e, sizeof *e);
}

const attn_model *attn_embedder_model(const attn_embedder *e)
{
    return e->model;
}

/* ---- tokens -------------------------------------------------------------------------------- */

/* Lower case, character by character; to: room for twice the length. */
static size_t to_lower(const char *text, size_t length, char *to)
{
    size_t used = 0;
    for (size_t i = 0; i < length;) {
        utf8proc_int32_t c;
        utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)text + i,
                                              (utf8proc_ssize_t)(length - i), &c);
        if (n < 1) {
            to[used++] = text[i++]; /* malformed: the tokenizer replaces it */
            continue;
        }
        used += (size_t)utf8proc_encode_char(utf8proc_tolower(c), (utf8proc_uint8_t *)to + used);
        i += (size_t)n;
    }
    return used;
}

/* The prompt and the text, in lower case where the folder wants it. */
static attn_status encode_text(const attn_embedder *e, const char *prompt, const char *text,
                               size_t length, attn_encoding *out, attn_error *err)
{
    attn_encode_options options = {.no_padding = true, .no_truncation = e->max_tokens == SIZE_MAX};
    attn_memory memory = e->memory;
    size_t before = strlen(prompt), room;
    void *buffer;
    if (e->max_tokens != SIZE_MAX) options.max_length = e->max_tokens;
    if (!before && !e->modules.lower)
        return attn_tokenizer_encode(e->tokenizer, text, length, NULL, 0, &options, out, err);
    if (!attn_add(before, length, &room) || !attn_mul(room, 3, &room))
        return attn_fail(err, ATTN_LIMIT, "a text of %zu bytes is too long", length);
    ATTN_TRY(attn_alloc(&memory, room, "a text", &buffer, err));
    char *whole = buffer, *lower = whole + before + length;
    memcpy(whole, prompt, before);
    memcpy(whole + before, text, length);
    size_t bytes = before + length;
    if (e->modules.lower) bytes = to_lower(whole, bytes, lower);
    attn_status status = attn_tokenizer_encode(e->tokenizer, e->modules.lower ? lower : whole,
                                               bytes, NULL, 0, &options, out, err);
    attn_release(&memory, buffer, room);
    return status;
}

/* Tokens that the prompt alone has, without what stands after it. */
static attn_status count_prompt(const attn_embedder *e, const char *prompt, size_t *count,
                                attn_error *err)
{
    attn_encoding encoding;
    *count = 0;
    if (!*prompt || e->modules.module[0].include_prompt) return ATTN_OK;
    ATTN_TRY(encode_text(e, "", prompt, strlen(prompt), &encoding, err));
    *count = encoding.count;
    if (*count && encoding.special[*count - 1]) --*count;
    attn_encoding_free(e->tokenizer, &encoding);
    return ATTN_OK;
}

/* ---- runs ---------------------------------------------------------------------------------- */

/* encodings [count], sorted; index[i]: whose vector it is. */
typedef struct run {
    attn_embedder *e;
    const attn_encoding *encoding;
    const size_t *index;
    size_t first; /* of the chunk */
    size_t texts; /* of all chunks */
    size_t prompt, *size;
} run;

/* The buffer of all vectors, once their size is known; behind them a vector of scratch. */
static attn_status reserve(run *r, size_t dim, attn_error *err)
{
    attn_embedder *e = r->e;
    size_t size = e->pooled ? dim : attn_modules_size(&e->modules, dim);
    size_t width = e->pooled ? dim : attn_modules_width(&e->modules, dim), floats, bytes;
    if (size == 0)
        return attn_fail(err, ATTN_BAD_MODEL,
                         "%s: the modules do not fit to vectors of %zu columns", e->modules.folder,
                         dim);
    if (*r->size == size) return ATTN_OK;
    if (!attn_mul(r->texts, size, &floats) || !attn_add(floats, 2 * width, &floats) ||
        !attn_mul(floats, sizeof(float), &bytes))
        return attn_fail(err, ATTN_LIMIT, "%zu vectors are too many", r->texts);
    if (e->bytes < bytes) {
        void *fresh;
        attn_release(&e->memory, e->vectors, e->bytes);
        e->vectors = NULL;
        e->bytes = 0;
        ATTN_TRY(attn_alloc(&e->memory, bytes, "the vectors", &fresh, err));
        e->vectors = fresh;
        e->bytes = bytes;
    }
    *r->size = size;
    return ATTN_OK;
}

/* `count` encodings from `at` on, together. */
static attn_status run_batch(run *r, size_t at, size_t count, attn_error *err)
{
    attn_embedder *e = r->e;
    attn_tensor t;
    ATTN_TRY(attn_set_encodings(e->session, r->encoding + at, count, e->padding, err));
    ATTN_TRY(attn_prepare(e->session, err));
    ATTN_TRY(attn_run(e->session, err));
    ATTN_TRY(attn_output(e->session, e->output, &t, err));
    int rank = (count > 1) + (e->pooled ? 1 : 2);
    if (t.rank != rank || t.dtype != ATTN_F32)
        return attn_fail(err, ATTN_BAD_MODEL, "output \"%s\" has rank %d, expected %d", e->output,
                         t.rank, rank);
    size_t dim = t.dim[rank - 1], rows = e->pooled ? 1 : t.dim[rank - 2];
    ATTN_TRY(reserve(r, dim, err));
    float *scratch = e->vectors + r->texts * *r->size;
    float *vector = scratch + attn_modules_width(&e->modules, dim);
    for (size_t i = 0; i < count; i++) {
        const float *from = (const float *)t.data + i * rows * dim;
        float *to = e->vectors + (r->first + r->index[at + i]) * *r->size;
        if (e->pooled) {
            memcpy(to, from, dim * sizeof *to);
            continue;
        }
        attn_modules_run(&e->modules, e->model->kernels, from, r->encoding[at + i].count, dim,
                         r->prompt, scratch, vector);
        memcpy(to, vector, *r->size * sizeof *to);
    }
    return ATTN_OK;
}

typedef struct chunk {
    attn_encoding *encoding;
    size_t *index;
    size_t count, filled;
} chunk;

static attn_status run_chunk(run *r, chunk *c, const char *prompt, const char *const *text,
                             const size_t *length, attn_error *err)
{
    for (c->filled = 0; c->filled < c->count; c->filled++)
        ATTN_TRY(encode_text(r->e, prompt, text[r->first + c->filled], length[r->first + c->filled],
                             &c->encoding[c->filled], err));
    attn_batches_sort(c->encoding, c->index, c->count);
    r->encoding = c->encoding;
    r->index = c->index;
    for (size_t at = 0, n; at < c->count; at += n) {
        n = attn_batches_next(c->encoding + at, c->count - at);
        ATTN_TRY(run_batch(r, at, n, err));
    }
    return ATTN_OK;
}

attn_status attn_embedder_run(attn_embedder *e, const char *const *text, const size_t *length,
                              size_t count, const char *prompt, const float **vectors, size_t *size,
                              attn_error *err)
{
    run r = {.e = e, .texts = count, .size = size};
    size_t most = count < CHUNK ? count : CHUNK,
           bytes = most * (sizeof(attn_encoding) + sizeof(size_t));
    const char *before;
    void *buffer;
    *vectors = NULL;
    *size = 0;
    if (count == 0) return attn_fail(err, ATTN_BAD_ARGUMENT, "no text");
    ATTN_TRY(attn_modules_prompt(&e->modules, prompt, &before, err));
    ATTN_TRY(count_prompt(e, before, &r.prompt, err));
    ATTN_TRY(attn_alloc(&e->memory, bytes, "the tokens", &buffer, err));
    chunk c = {.encoding = buffer};
    c.index = (size_t *)(void *)(c.encoding + most);
    attn_status status = ATTN_OK;
    for (; r.first < count && !status; r.first += c.count) {
        c.count = count - r.first < CHUNK ? count - r.first : CHUNK;
        status = run_chunk(&r, &c, before, text, length, err);
        for (size_t i = 0; i < c.filled; i++) attn_encoding_free(e->tokenizer, &c.encoding[i]);
    }
    attn_release(&e->memory, buffer, bytes);
    *vectors = e->vectors;
    return status;
}
