/* decode MODEL STEPS ID...: the STEPS ids that follow, each the largest logit's, of a language
 * model without a cache (the whole text in every run) and with one: the prompt as one block, in
 * blocks of three, and token by token. Prints the ids, if all ways give the same bits of logits. */
#include "runtime/attn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_IDS = 4096 };

typedef struct text {
    int32_t id[MAX_IDS];
    size_t count;
} text;

static attn_status run_ids(attn_session *session, text *ids, size_t first, size_t count,
                           attn_tensor *logits, attn_error *err)
{
    attn_tensor in = {ATTN_I32, 1, {count}, ids->id + first};
    attn_status status = attn_set_input(session, "input_ids", &in, err);
    if (!status) status = attn_prepare(session, err);
    if (!status) status = attn_run(session, err);
    return status ? status : attn_output(session, "logits", logits, err);
}

/* Runs what is new in ids, in blocks of at most `block`, and appends the largest logit's id. The
 * logits go to *row, which grows. */
static attn_status step(attn_session *session, text *ids, size_t *done, size_t block, bool cached,
                        float **row, size_t *size, attn_error *err)
{
    attn_tensor logits;
    for (size_t end; *done < ids->count; *done = end) {
        end = ids->count - *done < block ? ids->count : *done + block;
        attn_status status = run_ids(session, ids, *done, end - *done, &logits, err);
        if (status) return status;
    }
    if (!cached) *done = 0;
    const float *x = logits.data;
    size_t best = 0, count = logits.dim[0];
    for (size_t i = 1; i < count; i++)
        if (x[i] > x[best]) best = i;
    *row = realloc(*row, (*size + count) * sizeof **row);
    if (!*row) abort();
    memcpy(*row + *size, x, count * sizeof **row);
    *size += count;
    ids->id[ids->count++] = (int32_t)best;
    return ATTN_OK;
}

/* All steps; block 0: without a cache. */
static attn_status decode(const attn_model *model, text *ids, size_t steps, size_t block,
                          unsigned threads, float **rows, size_t *size, attn_error *err)
{
    attn_session_options options = {.threads = threads, .context = block ? ids->count + steps : 0};
    attn_session *session;
    attn_status status = attn_session_open(&session, model, &options, err);
    size_t done = 0;
    for (size_t i = 0; !status && i < steps; i++)
        status = step(session, ids, &done, block ? block : MAX_IDS, block > 0, rows, size, err);
    attn_session_close(session);
    return status;
}

static int compare_ways(const attn_model *model, const text *prompt, size_t steps)
{
    static const size_t blocks[] = {0, MAX_IDS, 3, 1};
    static text ids[sizeof blocks / sizeof *blocks];
    float *rows[sizeof blocks / sizeof *blocks] = {0};
    attn_error err;
    int failed = 0;
    for (size_t way = 0; way < sizeof blocks / sizeof *blocks && !failed; way++) {
        size_t size = 0;
        ids[way] = *prompt;
        if (decode(model, &ids[way], steps, blocks[way], 1 + way % 2, &rows[way], &size, &err)) {
            fprintf(stderr, "decode: %s\n", err.text);
            failed = 1;
        } else if (memcmp(rows[0], rows[way], size * sizeof(float)) != 0) {
            fprintf(stderr, "decode: other logits in blocks of %zu than without a cache\n",
                    blocks[way]);
            failed = 1;
        }
    }
    for (size_t i = prompt->count; !failed && i < ids[0].count; i++) printf("%d ", ids[0].id[i]);
    for (size_t way = 0; way < sizeof blocks / sizeof *blocks; way++) free(rows[way]);
    return failed;
}

int main(int argc, char **argv)
{
    static text prompt;
    attn_model *model;
    attn_error err;
    if (argc < 4 || atoi(argv[2]) < 1 || argc + atoi(argv[2]) > MAX_IDS) {
        fprintf(stderr, "usage: decode MODEL STEPS ID...\n");
        return 2;
    }
    for (int i = 3; i < argc; i++) prompt.id[prompt.count++] = atoi(argv[i]);
    if (attn_model_open(&model, argv[1], NULL, &err)) {
        fprintf(stderr, "decode: %s\n", err.text);
        return 1;
    }
    int failed = compare_ways(model, &prompt, (size_t)atoi(argv[2]));
    attn_model_close(model);
    return failed;
}
