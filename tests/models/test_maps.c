/* The attention maps that a session keeps: of attention layers, of a pooling, of three layers. */
#include "tests/check.h"

#include "runtime/attn.h"

#include <math.h>

static attn_model *model;
static attn_session *session;
static attn_error err;

static void open_session(const char *folder)
{
    const attn_session_options options = {.threads = 2, .keep_attention = true};
    if (attn_model_open(&model, folder, NULL, &err) ||
        attn_session_open(&session, model, &options, &err))
        fail_msg("%s", err.text);
}

static int close_session(void **state)
{
    (void)state;
    attn_session_close(session);
    attn_model_close(model);
    session = NULL;
    model = NULL;
    return 0;
}

static void run(void)
{
    if (attn_prepare(session, &err) || attn_run(session, &err)) fail_msg("%s", err.text);
}

/* Each row of a softmax sums to one; and it is no constant. */
static void check_rows(const attn_tensor *t)
{
    size_t keys = t->dim[t->rank - 1], rows = 1;
    const float *w = t->data;
    float low = 1, high = 0;
    for (int i = 0; i + 1 < t->rank; i++) rows *= t->dim[i];
    for (size_t r = 0; r < rows; r++) {
        double sum = 0;
        for (size_t k = 0; k < keys; k++) {
            float x = w[r * keys + k];
            sum += (double)x;
            low = x < low ? x : low;
            high = x > high ? x : high;
        }
        assert_true(fabs(sum - 1) < 1e-5);
    }
    assert_true(high > 2 * low);
}

static void test_pooling(void **state)
{
    attn_map map;
    (void)state;
    open_session("models/cifar10_cct");
    assert_int_equal(attn_map_count(session), 0);
    if (attn_set_image(session, NULL, "models/samples/cat.png", &err)) fail_msg("%s", err.text);
    run();
    assert_int_equal(attn_map_count(session), 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(attn_get_map(session, i, &map, &err), ATTN_OK);
        assert_int_equal(map.weights.rank, i < 2 ? 3 : 1);
        check_rows(&map.weights);
    }
    assert_string_equal(map.node, "pool.score");
    assert_int_equal(map.weights.dim[0], 64);
    assert_int_equal(attn_get_map(session, 3, &map, &err), ATTN_BAD_ARGUMENT);
}

/* A batch is the first dimension of every map; the maps bear the names of their layers. */
static void test_batch(void **state)
{
    enum { ITEMS = 2, MAPS = 3 };
    static const char *const nodes[MAPS] = {"blocks.0.attention", "blocks.1.attention",
                                            "pool.score"};
    static const size_t whole[] = {ITEMS, 4, 64, 64}, pooled[] = {ITEMS, 64};
    static float pixels[ITEMS * 3 * 32 * 32];
    const attn_tensor in = {ATTN_F32, 4, {ITEMS, 3, 32, 32}, pixels};
    (void)state;
    for (size_t i = 0; i < sizeof pixels / sizeof *pixels; i++)
        pixels[i] = (float)(i * 37 % 101) / 50 - 1;
    open_session("models/cifar10_cct");
    if (attn_set_input(session, NULL, &in, &err)) fail_msg("%s", err.text);
    run();
    assert_int_equal(attn_map_count(session), MAPS);
    for (size_t i = 0; i < MAPS; i++) {
        attn_map map;
        size_t rank = i < MAPS - 1 ? 4 : 2;
        assert_int_equal(attn_get_map(session, i, &map, &err), ATTN_OK);
        assert_string_equal(map.node, nodes[i]);
        assert_int_equal(map.weights.rank, rank);
        assert_memory_equal(map.weights.dim, rank == 4 ? whole : pooled, rank * sizeof *whole);
        check_rows(&map.weights);
    }
}

static void test_three_layers(void **state)
{
    float v[] = {1, 2, 3, 4, 5, 6}, q[] = {1, 2};
    const attn_tensor values = {.dtype = ATTN_F32, .rank = 2, .dim = {3, 2}, .data = v};
    const attn_tensor query = {.dtype = ATTN_F32, .rank = 2, .dim = {1, 2}, .data = q};
    attn_map map;
    (void)state;
    open_session("models/worked_example");
    if (attn_set_input(session, "V", &values, &err) || attn_set_input(session, "q", &query, &err))
        fail_msg("%s", err.text);
    run();
    assert_int_equal(attn_map_count(session), 1);
    assert_int_equal(attn_get_map(session, 0, &map, &err), ATTN_OK);
    assert_int_equal(map.weights.rank, 3);
    check_rows(&map.weights);
    /* softmax of 5, 11, 17 */
    const double sum = 1 + exp(-6) + exp(-12), want[] = {exp(-12) / sum, exp(-6) / sum, 1 / sum};
    for (size_t i = 0; i < 3; i++)
        assert_true(fabs((double)((float *)map.weights.data)[i] - want[i]) < 1e-7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_pooling, close_session),
        cmocka_unit_test_teardown(test_batch, close_session),
        cmocka_unit_test_teardown(test_three_layers, close_session),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
