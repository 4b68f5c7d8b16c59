/* Sampling against transformers' logits processors: tests/golden/sampler.txt. */
#include "runtime/generate/sampler.h"

#include "tests/check.h"
#include "tests/runtime/failing.h"
#include "tests/runtime/hashed.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MOST = 4096 };

static float logits[MOST];
static attn_memory memory;
static attn_error err;

static void open_sampler(attn_sampler *s, const attn_sampling *how, size_t vocabulary)
{
    const char *problem;
    const attn_kernels *kernels = attn_kernels_select(&problem);
    attn_memory_init(&memory, NULL, 0);
    assert_non_null(kernels);
    assert_int_equal(attn_sampler_open(s, how, vocabulary, kernels, &memory, &err), ATTN_OK);
}

static void close_sampler(attn_sampler *s)
{
    attn_sampler_close(s);
    attn_sampler_close(s);
    assert_int_equal(memory.used, 0);
}

/* The rest of a line of numbers behind its word. */
static char *read_line(FILE *f, const char *word, char *line, size_t size)
{
    assert_non_null(fgets(line, (int)size, f));
    assert_memory_equal(line, word, strlen(word));
    return line + strlen(word);
}

static double probability_of(const attn_sampler *s, int32_t id, double total)
{
    for (size_t i = 0; i < s->candidates; i++)
        if (s->id[i] == id) return (double)s->weight[i] / total;
    return -1;
}

static void check_case(FILE *f, const char *first)
{
    char line[1024], *at, *end;
    size_t vocabulary, count, ids, sum = 0;
    unsigned seed;
    attn_sampling how = {0};
    attn_sampler s;
    assert_int_equal(sscanf(first, "case %zu %u %f %f %zu %f %f", &vocabulary, &seed,
                            &how.repetition_penalty, &how.temperature, &how.top_k, &how.top_p,
                            &how.min_p),
                     7);
    open_sampler(&s, &how, vocabulary);
    for (at = read_line(f, "history", line, sizeof line); *at == ' '; at = end)
        attn_sampler_note(&s, (int32_t)strtol(at, &end, 10), false);
    hashed_logits(logits, seed, vocabulary, 1);
    for (size_t i = 0; i < vocabulary && seed % 5 == 0; i++) logits[i] = rintf(logits[i] * 2) / 2;
    assert_int_equal(attn_sampler_weigh(&s, logits, &err), ATTN_OK);
    double total = 0;
    for (size_t i = 0; i < s.candidates; i++) {
        total += (double)s.weight[i];
        sum += (size_t)s.id[i];
    }
    at = read_line(f, "kept", line, sizeof line);
    count = strtoul(at, &at, 10);
    ids = strtoul(at, &at, 10);
    if (s.candidates != count || sum != ids)
        fail_msg("%skeeps %zu of sum %zu, not %zu of %zu", first, s.candidates, sum, count, ids);
    while (*at == ' ') {
        int32_t id = (int32_t)strtol(at, &at, 10);
        double want = strtod(at + 1, &at), got = probability_of(&s, id, total);
        if (fabs(got - want) > 1e-5 * want + 1e-9)
            fail_msg("%stoken %d: %.9g, not %.9g", first, (int)id, got, want);
    }
    close_sampler(&s);
}

static void test_equal_to_transformers(void **state)
{
    (void)state;
    char line[256];
    int cases = 0;
    FILE *f = fopen("tests/golden/sampler.txt", "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        if (*line == '#') continue;
        check_case(f, line);
        cases++;
    }
    fclose(f);
    assert_true(cases >= 70);
}

/* Frequency and presence count what was generated, the repetition penalty also the prompt. */
static void test_penalties(void **state)
{
    (void)state;
    const float x[4] = {2, -2, 1, 0};
    attn_sampling how = {.repetition_penalty = 2,
                         .frequency_penalty = 0.25f,
                         .presence_penalty = 0.5f,
                         .temperature = 1};
    attn_sampler s;
    open_sampler(&s, &how, 4);
    attn_sampler_note(&s, 0, false);
    attn_sampler_note(&s, 1, true);
    for (int i = 0; i < 3; i++) attn_sampler_note(&s, 2, true);
    assert_int_equal(attn_sampler_weigh(&s, x, &err), ATTN_OK);
    /* 2 / 2 = 1; -2 * 2 - 0.25 - 0.5 = -4.75; 1 / 2 - 3 * 0.25 - 0.5 = -0.75; 0 */
    const double want[4] = {0, -5.75, -1.75, -1};
    assert_int_equal(s.candidates, 4);
    for (int i = 0; i < 4; i++)
        assert_true(fabs((double)s.weight[i] - exp(want[i])) < 1e-6 * exp(want[i]));
    close_sampler(&s);
    int32_t id;
    how.temperature = 0;
    open_sampler(&s, &how, 4);
    for (int i = 0; i < 9; i++) attn_sampler_note(&s, 0, true);
    assert_int_equal(attn_sampler_choose(&s, x, &id, &err), ATTN_OK);
    assert_int_equal(id, 2);
    close_sampler(&s);
}

static void test_greedy(void **state)
{
    (void)state;
    attn_sampler s;
    int32_t id;
    open_sampler(&s, &(attn_sampling){.top_p = 0.5f, .top_k = 7}, 1000);
    for (size_t i = 0; i < 1000; i++) logits[i] = (float)(i % 10);
    assert_int_equal(attn_sampler_choose(&s, logits, &id, &err), ATTN_OK);
    assert_int_equal(id, 9); /* of equals the first */
    logits[500] = 10;
    assert_int_equal(attn_sampler_choose(&s, logits, &id, &err), ATTN_OK);
    assert_int_equal(id, 500);
    close_sampler(&s);
}

/* Each token as often as it is probable, the same ones each time. */
static void test_distribution(void **state)
{
    (void)state;
    enum { N = 6, DRAWS = 200000 };
    const attn_sampling ways[] = {{.temperature = 1, .seed = 1},
                                  {.temperature = 0.5f, .seed = 2},
                                  {.temperature = 1, .top_p = 0.9f, .seed = 3},
                                  {.temperature = 2, .top_k = 4, .min_p = 0.1f, .seed = 4}};
    const float x[N] = {0.5f, -1, 2, 1.5f, -INFINITY, 0};
    for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
        attn_sampler s;
        uint64_t hash = 0, hashes[2];
        for (int again = 0; again < 2; again++) {
            size_t drawn[N] = {0};
            open_sampler(&s, &ways[w], N);
            for (int i = 0; i < DRAWS; i++) {
                int32_t id;
                assert_int_equal(attn_sampler_choose(&s, x, &id, &err), ATTN_OK);
                drawn[id]++;
                hash = hash * 6364136223846793005u + (uint64_t)id;
            }
            hashes[again] = hash;
            hash = 0;
            double total = 0, chi = 0;
            for (size_t i = 0; i < s.candidates; i++) total += (double)s.weight[i];
            for (int32_t i = 0; i < N; i++) {
                double want = fmax(probability_of(&s, i, total), 0) * DRAWS;
                if (want == 0)
                    assert_int_equal(drawn[i], 0);
                else
                    chi += ((double)drawn[i] - want) * ((double)drawn[i] - want) / want;
            }
            assert_true(chi < 20.5); /* 5 degrees of freedom: 0.1 % are above */
            close_sampler(&s);
        }
        assert_true(hashes[0] == hashes[1]);
    }
}

static void test_random(void **state)
{
    (void)state;
    /* The reference's first numbers for seed 1234567. */
    attn_random r = {1234567};
    assert_true(attn_random_next(&r) == 6457827717110365317u);
    assert_true(attn_random_next(&r) == 3203168211198807973u);
    for (int i = 0; i < 1000; i++) {
        double x = attn_random_unit(&r);
        assert_true(x >= 0 && x < 1);
    }
}

static void test_refused(void **state)
{
    (void)state;
    const attn_sampling wrong[] = {{.temperature = -1},
                                   {.temperature = NAN},
                                   {.temperature = INFINITY},
                                   {.top_p = 1.5f},
                                   {.top_p = -0.1f},
                                   {.min_p = 2},
                                   {.min_p = NAN},
                                   {.repetition_penalty = -1},
                                   {.presence_penalty = NAN},
                                   {.frequency_penalty = INFINITY}};
    attn_sampler s;
    const char *problem;
    const attn_kernels *kernels = attn_kernels_select(&problem);
    attn_memory_init(&memory, NULL, 0);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(attn_sampler_open(&s, &wrong[i], 4, kernels, &memory, &err),
                         ATTN_BAD_ARGUMENT);
        attn_sampler_close(&s);
    }
    const attn_sampling plain = {.temperature = 1};
    assert_int_equal(attn_sampler_open(&s, &plain, 0, kernels, &memory, &err), ATTN_LIMIT);
    assert_int_equal(attn_sampler_open(&s, &plain, SIZE_MAX, kernels, &memory, &err), ATTN_LIMIT);
    memory.limit = 16;
    assert_int_equal(attn_sampler_open(&s, &plain, 4, kernels, &memory, &err), ATTN_LIMIT);
    attn_sampler_close(&s);
    const float bad[][3] = {{1, NAN, 2}, {INFINITY, 1, 2}, {-INFINITY, -INFINITY, -INFINITY}};
    const char *says[] = {"the logit of token 1 is", "the logit of token 0 is inf",
                          "all 3 logits are -infinity"};
    for (int greedy = 0; greedy < 2; greedy++)
        for (size_t i = 0; i < 3; i++) {
            int32_t id;
            attn_sampling how = {.temperature = greedy ? 0 : 1, .top_p = 0.9f};
            open_sampler(&s, &how, 3);
            assert_int_equal(attn_sampler_choose(&s, bad[i], &id, &err), ATTN_BAD_INPUT);
            assert_non_null(strstr(err.text, says[i]));
            close_sampler(&s);
        }
}

/* Whatever the cuts, one token is left, and no weight is outside [0, 1]. */
static void test_extremes(void **state)
{
    (void)state;
    const attn_sampling ways[] = {{.temperature = 1e-30f},
                                  {.temperature = 1e6f},
                                  {.temperature = 1, .top_p = 1e-30f},
                                  {.temperature = 1, .min_p = 1},
                                  {.temperature = 1, .top_k = SIZE_MAX},
                                  {.temperature = 1, .top_k = 2, .top_p = 0.999999f},
                                  {.temperature = 1, .repetition_penalty = 1e6f}};
    for (size_t w = 0; w < sizeof ways / sizeof *ways; w++)
        for (size_t size = 1; size < 70; size += 17) {
            attn_sampler s;
            int32_t id;
            open_sampler(&s, &ways[w], size);
            for (size_t i = 0; i < size; i++) {
                hashed_logits(logits, (uint32_t)(w * 100 + i), size, 1e3f);
                assert_int_equal(attn_sampler_choose(&s, logits, &id, &err), ATTN_OK);
                assert_true(id >= 0 && (size_t)id < size && s.candidates >= 1);
                for (size_t k = 0; k < s.candidates; k++)
                    assert_true(s.weight[k] >= 0 && s.weight[k] <= 1);
                attn_sampler_note(&s, id, true);
            }
            close_sampler(&s);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal_to_transformers),
        cmocka_unit_test(test_penalties),
        cmocka_unit_test(test_greedy),
        cmocka_unit_test(test_distribution),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_extremes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
