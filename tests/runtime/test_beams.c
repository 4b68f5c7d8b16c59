/* Beam search against transformers: tests/golden/beams.txt. */
#include "runtime/generate/beams.h"

#include "tests/check.h"
#include "tests/runtime/failing.h"
#include "tests/runtime/hashed.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MOST = 64 };

static attn_memory memory;
static attn_error err;

typedef struct beam_case {
    unsigned seed;
    attn_beams_options o;
    int32_t stop[MOST], prompt[MOST], want[MOST];
    size_t prompts, wanted;
    double score;
} beam_case;

static const attn_kernels *kernels(void)
{
    const char *problem;
    return attn_kernels_select(&problem);
}

static size_t read_ids(FILE *f, const char *word, int32_t *ids, double *number)
{
    char line[512], *at = line + strlen(word);
    size_t count = 0;
    assert_non_null(fgets(line, sizeof line, f));
    assert_memory_equal(line, word, strlen(word));
    if (number) *number = strtod(at, &at);
    while (*at == ' ') ids[count++] = (int32_t)strtol(at, &at, 10);
    return count;
}

/* The logits are those of the last two tokens of each beam. */
static void fill_logits(const beam_case *c, int32_t (*text)[2 * MOST], size_t length, float *rows)
{
    for (size_t b = 0; b < c->o.beams; b++) {
        size_t n = c->o.vocabulary;
        uint32_t state = length > 1 ? (uint32_t)text[b][length - 2] * (uint32_t)n : 0;
        state += (uint32_t)text[b][length - 1];
        hashed_logits(rows + b * n, hashed_mix(c->seed + state), n, 0.25f);
    }
}

static attn_status search(const beam_case *c, attn_beams *b, int32_t *found, size_t *count,
                          float *score)
{
    static float rows[8 * MOST];
    static int32_t text[8][2 * MOST], next[8][2 * MOST];
    size_t length = c->prompts;
    for (size_t i = 0; i < c->o.beams; i++) memcpy(text[i], c->prompt, length * sizeof **text);
    for (bool done = false; !done; length++) {
        fill_logits(c, text, length, rows);
        ATTN_TRY(attn_beams_step(b, rows, c->o.vocabulary, &done, &err));
        for (size_t i = 0; i < c->o.beams; i++) {
            assert_true(b->parent[i] < c->o.beams);
            memcpy(next[i], text[b->parent[i]], length * sizeof **text);
            next[i][length] = b->token[i];
        }
        memcpy(text, next, sizeof text);
    }
    *count = attn_beams_best(b, found, score);
    return ATTN_OK;
}

static void check_case(beam_case *c, const char *name)
{
    int32_t found[MOST];
    size_t count;
    float score;
    attn_beams b;
    c->o.stop = c->stop;
    attn_memory_init(&memory, NULL, 0);
    assert_int_equal(attn_beams_open(&b, &c->o, c->prompt, c->prompts, kernels(), &memory, &err),
                     ATTN_OK);
    assert_int_equal(search(c, &b, found, &count, &score), ATTN_OK);
    attn_beams_close(&b);
    attn_beams_close(&b);
    assert_int_equal(memory.used, 0);
    if (count != c->wanted || memcmp(found, c->want, count * sizeof *found) != 0)
        fail_msg("%sfinds another sequence, of %zu tokens", name, count);
    if (fabs((double)score - c->score) > 1e-5 * fabs(c->score))
        fail_msg("%shas the score %.8g", name, (double)score);
}

static void test_equal_to_transformers(void **state)
{
    (void)state;
    char line[256];
    int cases = 0;
    FILE *f = fopen("tests/golden/beams.txt", "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        beam_case c = {0};
        int early;
        if (*line == '#') continue;
        assert_int_equal(sscanf(line, "case %u %zu %zu %zu %f %d %f", &c.seed, &c.o.vocabulary,
                                &c.o.beams, &c.o.max_tokens, &c.o.length_penalty, &early,
                                &c.o.repetition_penalty),
                         7);
        c.o.early_stopping = (attn_early_stopping)early;
        c.o.stops = read_ids(f, "stop", c.stop, NULL);
        c.prompts = read_ids(f, "prompt", c.prompt, NULL);
        c.wanted = read_ids(f, "found", c.want, &c.score);
        check_case(&c, line);
        cases++;
    }
    fclose(f);
    assert_true(cases >= 90);
}

static void test_refused(void **state)
{
    (void)state;
    attn_beams b;
    bool done;
    attn_beams_options o = {.beams = 2, .vocabulary = 3, .max_tokens = 4, .length_penalty = NAN};
    attn_memory_init(&memory, NULL, 0);
    assert_int_equal(attn_beams_open(&b, &o, NULL, 0, kernels(), &memory, &err), ATTN_BAD_ARGUMENT);
    o.length_penalty = 1;
    o.max_tokens = SIZE_MAX / 2;
    assert_int_equal(attn_beams_open(&b, &o, NULL, 0, kernels(), &memory, &err), ATTN_LIMIT);
    o.max_tokens = 4;
    memory.limit = 64;
    assert_int_equal(attn_beams_open(&b, &o, NULL, 0, kernels(), &memory, &err), ATTN_LIMIT);
    memory.limit = 0;
    assert_int_equal(attn_beams_open(&b, &o, NULL, 0, kernels(), &memory, &err), ATTN_OK);
    const float bad[6] = {1, 2, 3, 1, NAN, 3};
    assert_int_equal(attn_beams_step(&b, bad, 3, &done, &err), ATTN_BAD_INPUT);
    assert_non_null(strstr(err.text, "beam 1"));
    attn_beams_close(&b);
    assert_int_equal(memory.used, 0);
}

/* More beams than tokens: nothing is read or written outside, and a sequence is found. */
static void test_small_vocabulary(void **state)
{
    (void)state;
    for (size_t vocabulary = 1; vocabulary < 4; vocabulary++)
        for (size_t beams = 1; beams <= 8; beams++) {
            beam_case c = {.seed = 3,
                           .o = {.beams = beams,
                                 .vocabulary = vocabulary,
                                 .max_tokens = 6,
                                 .length_penalty = 1,
                                 .repetition_penalty = 1.1f},
                           .prompts = 1};
            int32_t found[MOST];
            size_t count;
            float score;
            attn_beams b;
            attn_memory_init(&memory, NULL, 0);
            assert_int_equal(attn_beams_open(&b, &c.o, c.prompt, 1, kernels(), &memory, &err),
                             ATTN_OK);
            assert_int_equal(search(&c, &b, found, &count, &score), ATTN_OK);
            assert_int_equal(count, 6);
            assert_true(isfinite(score));
            attn_beams_close(&b);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal_to_transformers),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_small_vocabulary),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
