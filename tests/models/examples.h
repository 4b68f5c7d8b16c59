/* The golden models with all of their inputs and outputs: tests/golden/make_models.py. */
#ifndef TESTS_MODELS_EXAMPLES_H
#define TESTS_MODELS_EXAMPLES_H

#include "runtime/session.h"
#include "tests/models/models_test.h"

#include <stdio.h>

enum { MAX_TENSORS = 8 };

typedef struct example {
    const char *name, *folder;
    bool large;
} example;

static const example examples[] = {
    {"vit_tiny", GOLDEN "vit_tiny", false},      {"deit_tiny", GOLDEN "deit_tiny", false},
    {"bert_tiny", GOLDEN "bert_tiny", false},    {"whisper_tiny", GOLDEN "whisper_tiny", false},
    {"cifar10_cct", "models/cifar10_cct", true},
};

enum { EXAMPLES = sizeof examples / sizeof *examples };

/* expected.safetensors in memory, aligned; each tensor with BATCH items in front, but for those of
 * the photo. */
typedef struct example_data {
    size_t count;
    struct example_tensor {
        char name[64];
        attn_tensor value;
        size_t bytes; /* of one item */
    } tensor[MAX_TENSORS];
} example_data;

static inline example_data *read_example(const example *e)
{
    attn_memory memory;
    attn_weights w;
    attn_error err;
    char file[200];
    example_data *d = calloc(1, sizeof *d);
    assert_non_null(d);
    snprintf(file, sizeof file, GOLDEN "%s/expected.safetensors", e->name);
    attn_memory_init(&memory, NULL, 0);
    if (attn_weights_open(&w, file, &memory, &err)) fail_msg("%s", err.text);
    assert_true(w.count <= MAX_TENSORS);
    for (size_t i = 0; i < w.count; i++) {
        const attn_weight *from = &w.list[i];
        struct example_tensor *to = &d->tensor[d->count++];
        snprintf(to->name, sizeof to->name, "%s", from->name);
        to->bytes = from->bytes / BATCH;
        to->value =
            (attn_tensor){.dtype = from->dtype, .rank = from->rank, .data = malloc(from->bytes)};
        assert_non_null(to->value.data);
        memcpy(to->value.dim, from->dim, sizeof from->dim);
        memcpy(to->value.data, from->data, from->bytes);
    }
    attn_weights_close(&w);
    return d;
}

static inline void free_example(example_data *d)
{
    for (size_t i = 0; i < d->count; i++) free(d->tensor[i].value.data);
    free(d);
}

static inline const struct example_tensor *example_tensor(const example_data *d, const char *name)
{
    for (size_t i = 0; i < d->count; i++)
        if (strcmp(d->tensor[i].name, name) == 0) return &d->tensor[i];
    fail_msg("expected.safetensors has no \"%s\"", name);
    return NULL;
}

/* Floats of all outputs of one item. */
static inline size_t example_floats(const attn_model *model, const example_data *d)
{
    size_t count = 0;
    for (size_t i = 0; i < model->graph.outputs; i++)
        count += example_tensor(d, model->graph.output[i].name)->bytes / sizeof(float);
    return count;
}

/* Runs items first ... first + batch (batch 0: item `first`, without a batch). out: for each item
 * its outputs, in the description's order, one after the other; [items, example_floats]. */
static inline void run_example(attn_session *session, const example_data *d, size_t first,
                               size_t batch, float *out)
{
    const attn_graph *g = &session->model->graph;
    size_t items = batch ? batch : 1, floats = example_floats(session->model, d), at = 0;
    attn_error err;
    for (size_t i = 0; i < g->inputs; i++) {
        const struct example_tensor *from = example_tensor(d, g->input[i].name);
        attn_tensor t = from->value;
        t.data = (char *)t.data + first * from->bytes;
        t.dim[0] = batch;
        if (!batch) memmove(t.dim, t.dim + 1, (size_t)--t.rank * sizeof *t.dim);
        if (attn_set_input(session, from->name, &t, &err)) fail_msg("%s", err.text);
    }
    if (attn_prepare(session, &err) || attn_run(session, &err)) fail_msg("%s", err.text);
    for (size_t i = 0; i < g->outputs; i++) {
        attn_tensor t;
        size_t bytes = example_tensor(d, g->output[i].name)->bytes, count;
        if (attn_output(session, g->output[i].name, &t, &err)) fail_msg("%s", err.text);
        assert_true(attn_product(t.dim, t.rank, &count));
        assert_int_equal(count * sizeof(float), bytes * items);
        for (size_t item = 0; item < items; item++)
            memcpy(out + item * floats + at, (char *)t.data + item * bytes, bytes);
        at += bytes / sizeof(float);
    }
}

/* All items, `batch` at a time (0: one by one, without a batch). out: [BATCH, example_floats]. */
static inline void run_examples(attn_session *session, const example_data *d, size_t batch,
                                float *out)
{
    size_t floats = example_floats(session->model, d);
    for (size_t first = 0; first < BATCH; first += batch ? batch : 1) {
        size_t left = BATCH - first;
        run_example(session, d, first, batch < left ? batch : left, out + first * floats);
    }
}

#endif
