/* Which level runs, and how ATTN_CPU forces one. */
#include "tests/kernels/kernels_test.h"

static void test_levels(void **state)
{
    (void)state;
    assert_non_null(attn_kernels_level(ATTN_CPU_SCALAR));
    assert_null(attn_kernels_level(ATTN_CPU_LEVELS));
    for (int i = 0; i < ATTN_CPU_LEVELS; i++) {
        const attn_kernels *kernels = attn_kernels_level((attn_cpu_level)i);
        if (!kernels) continue;
        assert_string_equal(kernels->name, level_names[i]);
        assert_true(kernels->panel > 0);
        /* A table without a gap: every member after the first two is a function. */
        const char *bytes = (const char *)&kernels->panel_bytes, *end = (const char *)(kernels + 1);
        for (; bytes < end; bytes += sizeof(void *)) {
            void *function;
            memcpy(&function, bytes, sizeof(function));
            assert_non_null(function);
        }
    }
}

static void test_forced(void **state)
{
    (void)state;
    for (int i = 0; i < ATTN_CPU_LEVELS; i++) {
        const char *problem = NULL;
        assert_int_equal(setenv("ATTN_CPU", level_names[i], 1), 0);
        const attn_kernels *kernels = attn_kernels_select(&problem);
        assert_ptr_equal(kernels, attn_kernels_level((attn_cpu_level)i));
        assert_true((kernels == NULL) == (problem != NULL));
        if (problem) assert_non_null(strstr(problem, level_names[i]));
    }
}

static void test_unknown(void **state)
{
    (void)state;
    static const char *const names[] = {"sse9", "AVX2", "avx", "avx22", " "};
    for (size_t i = 0; i < COUNT(names); i++) {
        const char *problem = NULL;
        assert_int_equal(setenv("ATTN_CPU", names[i], 1), 0);
        assert_null(attn_kernels_select(&problem));
        assert_non_null(problem);
    }
}

static void test_best(void **state)
{
    (void)state;
    const char *problem = NULL;
    assert_int_equal(unsetenv("ATTN_CPU"), 0);
    const attn_kernels *best = attn_kernels_select(&problem);
    assert_non_null(best);
    assert_null(problem);
    if (attn_kernels_level(ATTN_CPU_AVX2) || attn_kernels_level(ATTN_CPU_NEON))
        assert_ptr_not_equal(best, scalar());
    assert_int_equal(setenv("ATTN_CPU", "", 1), 0);
    assert_ptr_equal(attn_kernels_select(&problem), best);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_forced),
        cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_best),
    };
    return cmocka_run_group_tests(tests, print_levels, NULL);
}
