/* libFuzzer target: any bytes as an .onnx file, imported as it stands and lifted; the text of its
 * description, read again; a plan for small inputs, and a run of what the plan allows, whose
 * results are the same both ways. Build with -fsanitize=fuzzer,address,undefined; corpus:
 * tests/fuzz/corpus/onnx_import. */
#define _GNU_SOURCE

#include "runtime/onnx/import.h"
#include "runtime/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LIMIT = 32 << 20 };
#define MAX_WORK 2e7 /* multiply-adds of a run */

static void check_error(const attn_error *err)
{
    if (!err->status || !err->text[0] || strchr(err->text, '\n')) abort();
}

static const char *write_file(const uint8_t *data, size_t size)
{
    static char path[64];
    snprintf(path, sizeof path, "/tmp/attn_fuzz_%ld.onnx", (long)getpid());
    FILE *file = fopen(path, "wb");
    if (!file || (size && fwrite(data, 1, size, file) != size) || fclose(file) != 0) abort();
    return path;
}

/* False: it is not run. */
static bool set_inputs(attn_session *s)
{
    static int64_t numbers[1 << 15];
    const attn_graph *g = &s->model->graph;
    attn_error err;
    for (size_t i = 0; i < g->inputs; i++) {
        attn_tensor t = {.dtype = g->input[i].dtype, .data = numbers};
        size_t count;
        for (int d = 0; d < g->input[i].rank; d++) {
            long dim = g->input[i].dim[d];
            t.dim[t.rank++] = dim > ATTN_SYMBOL_BASE
                                  ? (size_t)dim
                                  : (size_t[]){3, 2, 4}[(ATTN_SYMBOL_BASE - dim) % 3];
        }
        if (!attn_product(t.dim, t.rank, &count) || count > 1 << 15) return false;
        if (attn_set_input(s, g->input[i].name, &t, &err)) abort();
    }
    return true;
}

static void run_model(const attn_model *model)
{
    attn_session_options options = {.threads = 1, .max_memory = LIMIT};
    attn_session *s;
    attn_error err = {0};
    if (attn_session_open(&s, model, &options, &err)) abort();
    if (!set_inputs(s)) goto done;
    if (attn_prepare(s, &err)) {
        check_error(&err);
        goto done;
    }
    double work = 0;
    for (size_t i = 0; i < s->plan->steps; i++) work += s->plan->step[i].flops;
    if (!(work < MAX_WORK) || s->plan->arena_bytes > 1 << 20) goto done;
    if (attn_run(s, &err)) {
        check_error(&err);
        goto done;
    }
    for (size_t i = 0; i < model->graph.outputs; i++) {
        attn_tensor t;
        size_t count, sum = 0;
        if (attn_output(s, model->graph.output[i].name, &t, &err)) abort();
        if (!attn_product(t.dim, t.rank, &count)) abort();
        for (size_t k = 0; k < 4 * count; k++) sum += ((const unsigned char *)t.data)[k];
        if (sum == SIZE_MAX) abort();
    }
done:
    attn_session_close(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *path = write_file(data, size);
    for (int plain = 0; plain < 2; plain++) {
        attn_model_options options = {.max_memory = LIMIT, .plain_import = plain};
        attn_model *model;
        attn_error err = {0};
        if (attn_model_describe(&model, path, &options, &err)) {
            check_error(&err);
        } else {
            cJSON *again;
            if (!model->imported ||
                attn_json_parse("text", model->imported, strlen(model->imported), &again, &err))
                abort();
            cJSON_Delete(again);
            attn_model_close(model);
        }
        if (attn_model_open(&model, path, &options, &err)) {
            check_error(&err);
            continue;
        }
        run_model(model);
        attn_model_close(model);
    }
    unlink(path);
    return 0;
}
