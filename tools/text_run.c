/* Many texts through a model: in batches of like length, results by their number. */
#include "runtime/text/batches.h"
#include "tools/text_tasks.h"

#include <stdio.h>
#include <stdlib.h>

enum { CHUNK = 1024 };

typedef struct chunk {
    attn_encoding encoding[CHUNK];
    size_t index[CHUNK], filled;
} chunk;

static attn_status run_chunk(const text_model *m, const texts *t, size_t first, size_t count,
                             const char *pair, chunk *c, size_t *cut, text_result result,
                             void *user, attn_error *err)
{
    size_t pair_length = pair ? strlen(pair) : 0;
    for (c->filled = 0; c->filled < count; c->filled++) {
        bool was_cut;
        size_t i = first + c->filled;
        ATTN_TRY(text_model_encode(m, t->text[i], t->length[i], pair, pair_length,
                                   &c->encoding[c->filled], &was_cut, err));
        *cut += was_cut;
    }
    attn_batches_sort(c->encoding, c->index, count);
    for (size_t at = 0, n; at < count; at += n) {
        n = attn_batches_next(c->encoding + at, count - at);
        ATTN_TRY(text_model_run(m, c->encoding + at, n, err));
        for (size_t i = 0; i < n; i++)
            ATTN_TRY(result(user, first + c->index[at + i], i, &c->encoding[at + i], err));
    }
    return ATTN_OK;
}

attn_status text_model_each(const text_model *m, const texts *t, const char *pair,
                            const cli *command, text_result result, void *user, attn_error *err)
{
    chunk *c = malloc(sizeof *c);
    size_t cut = 0;
    attn_status status = c ? ATTN_OK : attn_fail(err, ATTN_NO_MEMORY, "out of memory");
    for (size_t first = 0; first < t->count && !status; first += CHUNK) {
        size_t count = t->count - first < CHUNK ? t->count - first : CHUNK;
        status = run_chunk(m, t, first, count, pair, c, &cut, result, user, err);
        for (size_t i = 0; i < c->filled; i++) attn_encoding_free(m->tokenizer, &c->encoding[i]);
        cli_progress(command, first + count, t->count);
    }
    free(c);
    if (cut && !status && !command->quiet)
        fprintf(stderr, "attn: %zu of %zu texts are longer than %zu tokens: what follows is cut\n",
                cut, t->count, m->limit);
    return status;
}

attn_status text_model_row(const text_model *m, const char *output, size_t item, int rank,
                           attn_tensor *row, attn_error *err)
{
    attn_tensor t;
    size_t count = 1;
    ATTN_TRY(attn_output(m->session, output, &t, err));
    bool batched = t.rank == rank + 1;
    if (t.dtype != ATTN_F32 || (t.rank != rank && !batched))
        return attn_fail(err, ATTN_BAD_MODEL, "output \"%s\" has rank %d, expected %d", output,
                         t.rank, rank);
    *row = (attn_tensor){.dtype = ATTN_F32, .rank = rank};
    for (int i = 0; i < rank; i++) count *= row->dim[i] = t.dim[i + batched];
    row->data = (float *)t.data + (batched ? item * count : 0);
    return ATTN_OK;
}
