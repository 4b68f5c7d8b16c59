/* Sentences to vectors in C, with the bundled model: alone and in company the same bits; errors;
 * the n-th allocation fails, everything is freed. tests/models/test_text_embed.py has the values.
 */
#define _XOPEN_SOURCE 700
#include "tests/check.h"

#include "runtime/attn_text.h"

#include "tests/runtime/failing.h"

#include <stdio.h>
#include <string.h>

#define MODEL "models/sentiment"

enum { TEXTS = 60, ROOM = 400 };

static char made[TEXTS][ROOM];
static const char *text[TEXTS];
static size_t length[TEXTS];

/* Texts of 1 to 40 words, in no order of length. */
static int make_texts(void **state)
{
    static const char *const words[] = {"good", "bad", "film", "the", "a", "never", "food", "!"};
    (void)state;
    for (size_t i = 0; i < TEXTS; i++) {
        text[i] = made[i];
        for (size_t w = 0; w < 1 + i * 17 % 40; w++)
            length[i] += (size_t)snprintf(made[i] + length[i], ROOM - length[i], "%s ",
                                          words[(i + w * w) % 8]);
    }
    return 0;
}

static void alone_and_in_company(void **state)
{
    (void)state;
    attn_error err;
    attn_embedder *e;
    const float *vectors, *one;
    size_t size, alone;
    static float all[TEXTS][128];
    attn_session_options options = {.threads = 2};
    assert_int_equal(attn_embedder_open(&e, MODEL, NULL, &options, &err), ATTN_OK);
    assert_string_equal(attn_model_name(attn_embedder_model(e)), "bert");
    assert_int_equal(attn_embedder_run(e, text, length, TEXTS, NULL, &vectors, &size, &err), 0);
    assert_int_equal(size, 128);
    memcpy(all, vectors, sizeof all);
    for (size_t i = 0; i < TEXTS; i++) {
        assert_int_equal(attn_embedder_run(e, &text[i], &length[i], 1, NULL, &one, &alone, &err),
                         0);
        assert_memory_equal(one, all[i], sizeof all[i]);
    }
    assert_memory_not_equal(all[0], all[1], sizeof all[0]);
    attn_embedder_close(e);
}

static void refused(void **state)
{
    (void)state;
    attn_error err;
    attn_embedder *e;
    attn_model *model;
    attn_session *session;
    const float *vectors;
    size_t size;
    int32_t ids[3] = {2, 5, 3}, ones[3] = {1, 1, 1};
    attn_encoding encoding = {.count = 3, .ids = ids, .attention = ones, .type_ids = ids};
    assert_int_equal(attn_embedder_open(&e, "models/none", NULL, NULL, &err), ATTN_IO);
    assert_null(e);
    assert_int_equal(attn_embedder_open(&e, MODEL, NULL, NULL, &err), ATTN_OK);
    assert_int_equal(attn_embedder_run(e, text, length, 0, NULL, &vectors, &size, &err),
                     ATTN_BAD_ARGUMENT);
    assert_int_equal(attn_embedder_run(e, text, length, 1, "query", &vectors, &size, &err),
                     ATTN_BAD_ARGUMENT);
    assert_non_null(strstr(err.text, "no prompt \"query\""));
    attn_embedder_close(e);
    assert_int_equal(attn_model_open(&model, "models/worked_example", NULL, &err), ATTN_OK);
    assert_int_equal(attn_session_open(&session, model, NULL, &err), ATTN_OK);
    assert_int_equal(attn_set_encodings(session, &encoding, 1, 0, &err), ATTN_BAD_MODEL);
    assert_non_null(strstr(err.text, "no input of tokens"));
    assert_true(attn_text_limit(model) == SIZE_MAX);
    attn_session_close(session);
    attn_model_close(model);
    assert_int_equal(attn_model_open(&model, MODEL, NULL, &err), ATTN_OK);
    assert_int_equal(attn_text_limit(model), 128);
    attn_model_close(model);
}

/* The whole way, with an allocator that fails at request `at`; 0: never. */
static attn_status try_all(long at, attn_error *err)
{
    attn_memory memory;
    attn_embedder *e;
    const float *vectors;
    size_t size;
    failing_begin(&memory, at, false);
    attn_model_options options = {.allocator = &memory.allocator};
    attn_session_options session = {.threads = 1};
    attn_status status = attn_embedder_open(&e, MODEL, &options, &session, err);
    if (!status) status = attn_embedder_run(e, text, length, 5, NULL, &vectors, &size, err);
    attn_embedder_close(e);
    failing_end();
    return status;
}

static void allocations_fail(void **state)
{
    (void)state;
    attn_error err;
    long last, tried = 0;
    assert_int_equal(try_all(0, &err), ATTN_OK);
    assert_int_equal(failing_state.live, 0);
    last = failing_state.requests;
    /* All of the end, where texts are run; of the vocabulary's many, some. */
    const long step = last / 150 + 1, end = 250;
    for (long at = 1; at <= last; at += last - at > end + step ? step : 1, tried++) {
        attn_status status = try_all(at, &err);
        /* cJSON does not tell a lack of memory from a malformed text. */
        if ((status != ATTN_NO_MEMORY && status != ATTN_BAD_FILE) || failing_state.live != 0)
            fail_msg("request %ld of %ld: %s, %ld live", at, last, attn_status_name(status),
                     failing_state.live);
    }
    print_message("%ld of %ld requests failed\n", tried, last);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alone_and_in_company),
        cmocka_unit_test(refused),
        cmocka_unit_test(allocations_fail),
    };
    return cmocka_run_group_tests(tests, make_texts, NULL);
}
