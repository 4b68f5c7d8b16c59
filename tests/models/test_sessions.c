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

static void test_state(void **state)
{
    (void)state;
    char folder[] = "/tmp/attn-test-XXXXXX", path[100];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/attn.json", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(running_sum, file);
    assert_int_equal(fclose(file), 0);
    attn_model *model = open_model(folder);
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
    unlink(path);
    rmdir(folder);
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
