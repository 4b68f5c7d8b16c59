/* The life of a session on whole models: what it allocates, its bounds, its state. */
#define _POSIX_C_SOURCE 200809L

#include "tests/models/models_test.h"

#include <stdio.h>
#include <unistd.h>

#define VIT GOLDEN "vit_tiny"

static void test_run_allocates_nothing(void **state)
{
    (void)state;
    golden *g = read_golden(VIT "/expected.safetensors");
    attn_model *model = open_model(VIT);
    const attn_session_options ways[] = {
        {.threads = 1}, {.threads = 3}, {.threads = 2, .keep_attention = true, .no_fusion = true}};
    for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
        attn_error err;
        attn_session *session = open_session(model, ways[w]);
        for (size_t batch = 1; batch <= BATCH; batch += 7) {
            const attn_tensor in = {ATTN_F32, 4, {batch, 3, 32, 32}, g->pixels};
            if (attn_set_input(session, NULL, &in, &err) || attn_prepare(session, &err))
                fail_msg("%s", err.text);
            size_t memory = attn_session_memory(session);
            long calls = counted_calls;
            for (int run = 0; run < 3; run++)
                if (attn_run(session, &err)) fail_msg("%s", err.text);
            assert_int_equal(counted_calls, calls);
            assert_int_equal(attn_session_memory(session), memory);
        }
        attn_session_close(session);
    }
    attn_model_close(model);
    free(g);
    assert_int_equal(counted_live, 0);
}

/* A plan is remembered: the same shapes again allocate nothing either. */
static void test_prepare_again(void **state)
{
    (void)state;
    golden *g = read_golden(VIT "/expected.safetensors");
    attn_model *model = open_model(VIT);
    attn_session *session = open_session(model, (attn_session_options){.threads = 1});
    attn_error err;
    float logits[BATCH * CLASSES];
    for (size_t batch = BATCH; batch > 0; batch--)
        if (run_pixels(session, g->pixels, batch, logits, &err)) fail_msg("%s", err.text);
    long calls = counted_calls;
    for (size_t batch = BATCH; batch > 0; batch--)
        if (run_pixels(session, g->pixels, batch, logits, &err)) fail_msg("%s", err.text);
    assert_int_equal(counted_calls, calls);
    attn_session_close(session);
    attn_model_close(model);
    free(g);
    assert_int_equal(counted_live, 0);
}

/* ---- bounds --------------------------------------------------------------------------------- */

/* Two numbers at least: what would be needed, and the limit. */
static void assert_limit(const attn_error *err, size_t limit)
{
    char number[30];
    snprintf(number, sizeof number, "%zu", limit);
    assert_int_equal(err->status, ATTN_LIMIT);
    if (!strstr(err->text, number)) fail_msg("no \"%s\" in: %s", number, err->text);
}

/* The bytes that one run of the golden batch needs. */
static size_t needed_memory(const attn_model *model, golden *g)
{
    attn_error err;
    float logits[BATCH * CLASSES];
    attn_session *session = open_session(model, (attn_session_options){.threads = 2});
    if (run_pixels(session, g->pixels, BATCH, logits, &err)) fail_msg("%s", err.text);
    size_t bytes = attn_session_memory(session);
    attn_session_close(session);
    return bytes;
}

static void test_session_limit(void **state)
{
    (void)state;
    golden *g = read_golden(VIT "/expected.safetensors");
    attn_model *model = open_model(VIT);
    long live = counted_live;
    float logits[BATCH * CLASSES];
    size_t needed = needed_memory(model, g), refused = 0;
    for (size_t limit = needed + 100; limit > 64; limit -= limit / 8) {
        attn_error err;
        attn_session *session;
        const attn_session_options options = {.threads = 2, .max_memory = limit};
        attn_status status = attn_session_open(&session, model, &options, &err);
        if (!status) status = run_pixels(session, g->pixels, BATCH, logits, &err);
        if (limit >= needed) assert_int_equal(status, ATTN_OK);
        if (limit < needed) {
            assert_int_equal(status, ATTN_LIMIT);
            assert_limit(&err, limit);
            refused++;
        }
        if (status && session) {
            /* It is still usable within its bound. */
            assert_true(attn_session_memory(session) <= limit);
            attn_error smaller;
            status = run_pixels(session, g->pixels, 0, logits, &smaller);
            if (status) assert_limit(&smaller, limit);
        }
        attn_session_close(session);
        assert_int_equal(counted_live, live);
    }
    assert_true(refused > 20);
    attn_model_close(model);
    free(g);
    assert_int_equal(counted_live, 0);
}

static void test_model_limit(void **state)
{
    (void)state;
    for (size_t limit = 200000; limit > 64; limit -= limit / 8) {
        attn_error err;
        attn_model *model;
        const attn_model_options options = {.allocator = &counted, .max_memory = limit};
        attn_status status = attn_model_open(&model, VIT, &options, &err);
        if (status) assert_limit(&err, limit);
        assert_true((status == ATTN_OK) == (model != NULL));
        attn_model_close(model);
        assert_int_equal(counted_live, 0);
    }
}

/* ---- state ---------------------------------------------------------------------------------- */

static const char running_sum[] =
    "{\"format\": \"attn/1\", \"name\": \"running_sum\","
    " \"inputs\": {\"x\": {\"shape\": [3]}},"
    " \"state\": {\"sum\": {\"shape\": [3], \"next\": \"total\"}},"
    " \"graph\": [{\"layer\": \"add\", \"in\": [\"x\", \"sum\"], \"out\": \"total\"},"
    "             {\"layer\": \"mul\", \"in\": \"total\", \"out\": \"twice\", \"value\": 2}],"
    " \"outputs\": {\"total\": {}, \"twice\": {}}}";

/* Runs on [count, 3] (count 0: [3]) and expects `expected` in "total", twice that in "twice". */
static void add_up(attn_session *session, float *x, size_t count, const float *expected)
{
    attn_error err;
    attn_tensor in = {.dtype = ATTN_F32, .data = x}, total, twice;
    if (count) in.dim[in.rank++] = count;
    in.dim[in.rank++] = 3;
    if (attn_set_input(session, "x", &in, &err) || attn_prepare(session, &err) ||
        attn_run(session, &err) || attn_output(session, "total", &total, &err) ||
        attn_output(session, "twice", &twice, &err))
        fail_msg("%s", err.text);
    for (size_t i = 0; i < (count ? count : 1) * 3; i++) {
        assert_true(((const float *)total.data)[i] == expected[i]);
        assert_true(((const float *)twice.data)[i] == 2 * expected[i]);
    }
}

/* A description on its own, in a file of its own; no file is left. */
static attn_model *open_description(const char *text)
{
    char folder[] = "/tmp/attn-test-XXXXXX", path[100];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/attn.json", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
    attn_model *model = open_model(folder);
    unlink(path);
    rmdir(folder);
    return model;
}

static void test_state(void **state)
{
    (void)state;
    attn_model *model = open_description(running_sum);
    attn_session *session = open_session(model, (attn_session_options){0});
    attn_session *other = open_session(model, (attn_session_options){.no_fusion = true});

    float a[] = {1, 2, 3}, b[] = {10, 20, 30}, two[] = {1, 1, 1, 5, 5, 5};
    add_up(session, a, 0, (const float[]){1, 2, 3});
    add_up(session, b, 0, (const float[]){11, 22, 33});
    add_up(other, b, 0, (const float[]){10, 20, 30}); /* each session has its own */
    add_up(session, a, 0, (const float[]){12, 24, 36});
    attn_reset(session);
    add_up(session, a, 0, (const float[]){1, 2, 3});
    /* A new batch begins anew; then each item has its own. */
    add_up(session, two, 2, (const float[]){1, 1, 1, 5, 5, 5});
    add_up(session, two, 2, (const float[]){2, 2, 2, 10, 10, 10});

    attn_session_close(session);
    attn_session_close(other);
    attn_model_close(model);
    assert_int_equal(counted_live, 0);
}

/* ---- inputs with a default ------------------------------------------------------------------ */

static const char defaults[] =
    "{\"format\": \"attn/1\", \"name\": \"defaults\", \"config\": {\"half\": 0.5},"
    " \"symbols\": {\"n\": {}},"
    " \"inputs\": {\"id\": {\"shape\": [\"n\"], \"dtype\": \"i32\", \"default\": -7},"
    "              \"x\": {\"shape\": [\"n\", 2]},"
    "              \"scale\": {\"shape\": [\"n\", 1], \"default\": \"-half\"}},"
    " \"graph\": [{\"layer\": \"mul\", \"in\": [\"x\", \"scale\"], \"out\": \"y\"}],"
    " \"outputs\": {\"y\": {}, \"id\": {}}}";

static void set(attn_session *session, const char *name, attn_dtype dtype, void *data, int rank,
                const size_t *dim)
{
    attn_error err;
    attn_tensor t = {.dtype = dtype, .rank = rank, .data = data};
    memcpy(t.dim, dim, (size_t)rank * sizeof *dim);
    if (attn_set_input(session, name, &t, &err)) fail_msg("%s", err.text);
}

/* Runs, and expects y [count] (in all items) and id[0]. */
static void expect(attn_session *session, const float *y, size_t count, int32_t id)
{
    attn_error err;
    attn_tensor out, ids;
    size_t have;
    if (attn_prepare(session, &err) || attn_run(session, &err) ||
        attn_output(session, "y", &out, &err) || attn_output(session, "id", &ids, &err))
        fail_msg("%s", err.text);
    assert_true(attn_product(out.dim, out.rank, &have));
    assert_int_equal(have, count);
    assert_memory_equal(out.data, y, count * sizeof *y);
    assert_int_equal(ids.dim[0], count / 2 > 2 ? 2 : count / 2);
    assert_int_equal(((const int32_t *)ids.data)[ids.dim[0] - 1], id);
}

static void test_defaults(void **state)
{
    (void)state;
    attn_model *model = open_description(defaults);
    attn_session *session = open_session(model, (attn_session_options){0});
    attn_error err;
    float x[] = {1, 2, 3, 4, 5, 6, 7, 8}, scale[] = {10, 100, 1000, -1};
    int32_t id[] = {3, 4};
    assert_int_equal(attn_prepare(session, &err), ATTN_BAD_ARGUMENT);
    assert_string_equal(err.text, "input \"x\" is not set");

    set(session, NULL, ATTN_F32, x, 2, (size_t[]){1, 2}); /* the only one that has none */
    expect(session, (const float[]){-0.5F, -1}, 2, -7);
    /* The same for every item of a batch; of another length. */
    set(session, "x", ATTN_F32, x, 3, (size_t[]){2, 2, 2});
    expect(session, (const float[]){-0.5F, -1, -1.5F, -2, -2.5F, -3, -3.5F, -4}, 8, -7);
    /* Set, for all items and for each; and taken back. */
    set(session, "scale", ATTN_F32, scale, 2, (size_t[]){2, 1});
    set(session, "id", ATTN_I32, id, 1, (size_t[]){2});
    expect(session, (const float[]){10, 20, 300, 400, 50, 60, 700, 800}, 8, 4);
    set(session, "scale", ATTN_F32, scale, 3, (size_t[]){2, 2, 1});
    expect(session, (const float[]){10, 20, 300, 400, 5000, 6000, -7, -8}, 8, 4);
    assert_int_equal(attn_set_input(session, "scale", NULL, &err), ATTN_OK);
    assert_int_equal(attn_run(session, &err), ATTN_BAD_ARGUMENT); /* attn_prepare is due */
    expect(session, (const float[]){-0.5F, -1, -1.5F, -2, -2.5F, -3, -3.5F, -4}, 8, 4);
    /* What is set must have the size that the others have. */
    set(session, "id", ATTN_I32, id, 1, (size_t[]){1});
    assert_int_equal(attn_prepare(session, &err), ATTN_BAD_INPUT);
    assert_int_equal(attn_set_input(session, "id", NULL, &err), ATTN_OK);
    assert_int_equal(attn_set_input(session, "x", NULL, &err), ATTN_OK);
    assert_int_equal(attn_prepare(session, &err), ATTN_BAD_ARGUMENT);
    attn_session_close(session);
    attn_model_close(model);
    assert_int_equal(counted_live, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_run_allocates_nothing),
        cmocka_unit_test(test_prepare_again),
        cmocka_unit_test(test_session_limit),
        cmocka_unit_test(test_model_limit),
        cmocka_unit_test(test_state),
        cmocka_unit_test(test_defaults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
