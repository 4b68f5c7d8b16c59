/* What the model tests share: an allocator that counts, golden files, and running a model. */
#ifndef TESTS_MODELS_TEST_H
#define TESTS_MODELS_TEST_H

#include "runtime/attn.h"
#include "runtime/weights/weights.h"
#include "tests/check.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define GOLDEN "tests/golden/models/"

enum { BATCH = 8, CLASSES = 10, ITEM = 3 * 32 * 32 }; /* of the golden models */

/* Sessions of several threads share it. */
static atomic_long counted_calls, counted_live;

static inline void *counted_alloc(void *user, size_t size)
{
    (void)user;
    atomic_fetch_add(&counted_calls, 1);
    atomic_fetch_add(&counted_live, 1);
    return aligned_alloc(64, (size + 63) / 64 * 64);
}

static inline void counted_release(void *user, void *memory)
{
    (void)user;
    if (!memory) return;
    atomic_fetch_add(&counted_calls, 1);
    atomic_fetch_sub(&counted_live, 1);
    free(memory);
}

static const attn_allocator counted = {counted_alloc, counted_release, NULL};

/* A golden folder: the expected file, as floats of our own. */
typedef struct golden {
    float pixels[BATCH * ITEM], logits[BATCH * CLASSES];
    float photo_pixels[ITEM], photo_logits[CLASSES];
} golden;

static inline void read_tensor(const attn_weights *w, const char *name, float *to, size_t count)
{
    const attn_weight *weight = attn_weights_find(w, name);
    assert_non_null(weight);
    assert_int_equal(weight->bytes, count * sizeof(float));
    attn_weight_to_f32(weight, 0, count, to);
}

static inline golden *read_golden(const char *file)
{
    attn_memory memory;
    attn_weights w;
    attn_error err;
    golden *g = malloc(sizeof *g);
    assert_non_null(g);
    attn_memory_init(&memory, NULL, 0);
    if (attn_weights_open(&w, file, &memory, &err)) fail_msg("%s", err.text);
    read_tensor(&w, "pixels", g->pixels, BATCH * ITEM);
    read_tensor(&w, "logits", g->logits, BATCH * CLASSES);
    read_tensor(&w, "photo_pixels", g->photo_pixels, ITEM);
    read_tensor(&w, "photo_logits", g->photo_logits, CLASSES);
    attn_weights_close(&w);
    return g;
}

static inline attn_model *open_model_in(const char *path, attn_precision precision)
{
    attn_error err;
    attn_model *model;
    const attn_model_options options = {.allocator = &counted, .precision = precision};
    if (attn_model_open(&model, path, &options, &err)) fail_msg("%s", err.text);
    return model;
}

static inline attn_model *open_model(const char *path)
{
    return open_model_in(path, ATTN_AS_FILE);
}

static inline attn_session *open_session(const attn_model *model, attn_session_options options)
{
    attn_error err;
    attn_session *session;
    if (attn_session_open(&session, model, &options, &err)) fail_msg("%s", err.text);
    return session;
}

/* pixels: [batch, 3, 32, 32], or [3, 32, 32] if batch is 0. logits: [batch, CLASSES] or
 * [CLASSES]. No assertions: threads use it. */
static inline attn_status run_pixels(attn_session *session, float *pixels, size_t batch,
                                     float *logits, attn_error *err)
{
    attn_tensor in = {.dtype = ATTN_F32, .data = pixels}, out;
    if (batch) in.dim[in.rank++] = batch;
    in.dim[in.rank++] = 3;
    in.dim[in.rank++] = 32;
    in.dim[in.rank++] = 32;
    ATTN_TRY(attn_set_input(session, "pixels", &in, err));
    ATTN_TRY(attn_prepare(session, err));
    ATTN_TRY(attn_run(session, err));
    ATTN_TRY(attn_output(session, "logits", &out, err));
    memcpy(logits, out.data, (batch ? batch : 1) * CLASSES * sizeof(float));
    return ATTN_OK;
}

/* All of the golden pixels, as one batch, by a new session. */
static inline void run_all(const attn_model *model, golden *g, attn_session_options options,
                           float *logits)
{
    attn_error err;
    attn_session *session = open_session(model, options);
    if (run_pixels(session, g->pixels, BATCH, logits, &err)) fail_msg("%s", err.text);
    attn_session_close(session);
}

#endif
