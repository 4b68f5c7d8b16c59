/* Key and value caches: a text in one run without a cache, in blocks, and token by token gives the
 * same bits, for every instruction set, precision, number of threads and batch; and what a session
 * offers around them. */
#define _XOPEN_SOURCE 700

#include "tests/models/small_llm.h"

#include <unistd.h>

enum { LENGTH = 61, ITEMS = 3 };

static int32_t ids[ITEMS * LENGTH], keep[ITEMS * LENGTH];

static const llm_shape shapes[] = {
    {20, 6, 2, 10, NULL},                /* groups of 3 */
    {24, 3, 3, 9, ",'window':7"},        /* odd heads; most keys are never looked at */
    {16, 4, 1, 33, ",'padding':'keep'"}, /* one key head, several panels */
    {16, 2, 2, 8, ",'normalize':'sigmoid','window':20,'padding':'keep'"},
    {12, 3, 1, 8, ",'alibi':true,'softcap':1.5"},
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static const char *const levels[] = {"scalar", "neon",       "avx2",
                                     "avx512", "avx512vnni", "avx512bf16"};

static void draw_text(void)
{
    uint32_t seed = 3;
    for (size_t i = 0; i < ITEMS * LENGTH; i++) {
        seed = seed * 1664525u + 1013904223u;
        ids[i] = (int32_t)((seed >> 16) % LLM_VOCAB);
        keep[i] = (seed >> 9) % 5 != 0;
    }
}

static bool masked(size_t shape)
{
    return shapes[shape].more && strstr(shapes[shape].more, "padding");
}

/* One run, nothing kept. */
static void whole_text(const attn_model *model, size_t shape, float *logits)
{
    attn_error err;
    attn_session *session = open_session(model, (attn_session_options){.threads = 1});
    for (size_t item = 0; item < ITEMS; item++)
        if (llm_run(session, ids + item * LENGTH, masked(shape) ? keep + item * LENGTH : NULL, 1,
                    LENGTH, 0, LENGTH, logits + item * LENGTH * LLM_VOCAB, &err))
            fail_msg("%s", err.text);
    assert_int_equal(attn_past(session), 0);
    attn_session_close(session);
}

/* The first `batch` items in blocks of blocks[0], blocks[1] ... tokens, the last size repeated. */
static void in_blocks(attn_session *session, size_t shape, size_t batch, const size_t *blocks,
                      float *logits)
{
    attn_error err;
    attn_reset(session);
    for (size_t at = 0, n; at < LENGTH; at += n) {
        n = *blocks < LENGTH - at ? *blocks : LENGTH - at;
        if (llm_run(session, ids, masked(shape) ? keep : NULL, batch, LENGTH, at, n, logits, &err))
            fail_msg("%s", err.text);
        assert_int_equal(attn_past(session), at + n);
        if (blocks[1]) blocks++;
    }
}

static void expect_same(const float *a, const float *b, size_t items, const char *what)
{
    for (size_t i = 0; i < items * LENGTH * LLM_VOCAB; i++)
        if (memcmp(&a[i], &b[i], sizeof *a))
            fail_msg("%s: item %zu, row %zu, logit %zu is %.9g, not %.9g", what,
                     i / (LENGTH * LLM_VOCAB), i / LLM_VOCAB % LENGTH, i % LLM_VOCAB, (double)b[i],
                     (double)a[i]);
}

static void every_split(const attn_model *model, size_t shape, const float *expected,
                        const char *what)
{
    static const size_t splits[][6] = {{1, 0},          {LENGTH, 0},    {2, 0},
                                       {17, 1, 0},      {16, 16, 1, 0}, {5, 3, 1, 1, 9, 0},
                                       {33, 2, 1, 4, 0}};
    static float logits[ITEMS * LENGTH * LLM_VOCAB];
    bool brief = getenv("ATTN_TEST_BRIEF") != NULL;
    for (unsigned way = 0; way < 8; way++) {
        attn_session_options options = {.threads = 1 + way % 4,
                                        .context = way % 2 ? LLM_CONTEXT : LENGTH,
                                        .no_fusion = way == 5,
                                        .keep_attention = way == 6};
        attn_session *session = open_session(model, options);
        size_t batch = way % 3 == 0 ? 1 : ITEMS;
        for (size_t i = way % 2; i < sizeof splits / sizeof *splits; i += brief ? 5 : 2) {
            char text[120];
            snprintf(text, sizeof text, "%s, split %zu, way %u", what, i, way);
            memset(logits, 0xff, sizeof logits);
            in_blocks(session, shape, batch, splits[i], logits);
            expect_same(expected, logits, batch, text);
        }
        attn_session_close(session);
    }
}

static void same_bits(void **state)
{
    (void)state;
    static const attn_precision precisions[] = {ATTN_IN_F32, ATTN_IN_BF16, ATTN_IN_INT8};
    static float expected[3][ITEMS * LENGTH * LLM_VOCAB];
    for (size_t shape = 0; shape < SHAPES; shape++) {
        folder f;
        llm_make(&f, &shapes[shape]);
        for (size_t level = 0; level < sizeof levels / sizeof *levels; level++) {
            if (!attn_kernels_level((attn_cpu_level)level)) continue;
            setenv("ATTN_CPU", levels[level], 1);
            for (size_t p = 0; p < 3; p++) {
                char what[80];
                attn_model *model = open_model_in(f.path, precisions[p]);
                snprintf(what, sizeof what, "shape %zu, %s, precision %zu", shape, levels[level],
                         p);
                if (level == 0) whole_text(model, shape, expected[p]);
                every_split(model, shape, expected[p], what);
                attn_model_close(model);
            }
        }
        unsetenv("ATTN_CPU");
        folder_remove(&f);
    }
    assert_int_equal(counted_live, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(same_bits)};
    draw_text();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
