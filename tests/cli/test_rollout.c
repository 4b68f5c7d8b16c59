/* Attention rollout against the NumPy reference of tests/golden/make_rollout.py. */
#include "tools/rollout.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_LAYERS = 8 };

static double *read_numbers(FILE *file, size_t count)
{
    double *numbers = malloc(count * sizeof *numbers);
    assert_non_null(numbers);
    for (size_t i = 0; i < count; i++) assert_int_equal(fscanf(file, "%lf", &numbers[i]), 1);
    return numbers;
}

static void check_case(FILE *file, size_t layers, size_t heads, size_t tokens)
{
    size_t size = heads * tokens * tokens;
    double *numbers = read_numbers(file, layers * size);
    double *from = read_numbers(file, tokens), *expected = read_numbers(file, tokens);
    float *weights = malloc(layers * size * sizeof *weights);
    double *out = malloc(tokens * sizeof *out);
    assert_non_null(weights);
    assert_non_null(out);
    attention_map maps[MOST_LAYERS];
    for (size_t i = 0; i < layers * size; i++) weights[i] = (float)numbers[i];
    for (size_t i = 0; i < layers; i++)
        maps[i] = (attention_map){"block", heads, tokens, tokens, weights + i * size};

    attn_memory memory;
    attn_error err;
    attn_memory_init(&memory, NULL, 0);
    assert_int_equal(rollout(&memory, maps, layers, tokens, from, out, &err), ATTN_OK);
    assert_int_equal(memory.used, 0);
    for (size_t i = 0; i < tokens; i++) assert_true(fabs(out[i] - expected[i]) < 1e-13);
    free(numbers), free(from), free(expected), free(weights), free(out);
}

static void test_golden(void **state)
{
    (void)state;
    FILE *file = fopen("tests/golden/rollout.txt", "r");
    assert_non_null(file);
    size_t layers, heads, tokens, cases = 0;
    while (fscanf(file, "%zu %zu %zu", &layers, &heads, &tokens) == 3) {
        assert_true(layers <= MOST_LAYERS);
        check_case(file, layers, heads, tokens);
        cases++;
    }
    fclose(file);
    assert_int_equal(cases, 5);
}

static void test_errors(void **state)
{
    (void)state;
    attn_memory memory;
    attn_error err;
    attn_memory_init(&memory, NULL, 0);
    float good[4] = {0.5f, 0.5f, 0.5f, 0.5f}, negative[4] = {1.5f, -0.5f, 0.5f, 0.5f};
    float broken[4] = {0.5f, NAN, 0.5f, 0.5f};
    double from[2] = {1, 0}, out[2];
    attention_map map = {"block.3", 1, 2, 2, good};
    assert_int_equal(rollout(&memory, &map, 0, 2, from, out, &err), ATTN_BAD_INPUT);
    assert_int_equal(rollout(&memory, &map, 1, 3, from, out, &err), ATTN_BAD_INPUT);
    assert_non_null(strstr(err.text, "block.3"));
    map.weights = negative;
    assert_int_equal(rollout(&memory, &map, 1, 2, from, out, &err), ATTN_BAD_INPUT);
    assert_non_null(strstr(err.text, "-0.5"));
    map.weights = broken;
    assert_int_equal(rollout(&memory, &map, 1, 2, from, out, &err), ATTN_BAD_INPUT);
    assert_non_null(strstr(err.text, "[0, 0, 1] is nan"));
    map.weights = good;
    attn_memory_init(&memory, NULL, 8);
    assert_int_equal(rollout(&memory, &map, 1, 2, from, out, &err), ATTN_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
