/* Status and error texts, checked sizes, memory with its limit, the arena, mapped files. */
#define _POSIX_C_SOURCE 200809L

#include "runtime/base/file.h"
#include "tests/runtime/failing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- status ------------------------------------------------------------------------------ */

static void test_status_names(void **state)
{
    (void)state;
    assert_string_equal(attn_status_name(ATTN_OK), "ATTN_OK");
    assert_string_equal(attn_status_name(ATTN_LIMIT), "ATTN_LIMIT");
    assert_string_equal(attn_status_text(ATTN_BAD_FILE), "a file is malformed");
    assert_string_equal(attn_status_name((attn_status)99), "?");
    assert_string_equal(attn_status_text((attn_status)-1), "?");
    assert_string_equal(attn_version(), ATTN_VERSION);
}

static void test_dtypes(void **state)
{
    (void)state;
    static const struct {
        attn_dtype dtype;
        const char *name;
        size_t size;
    } all[] = {{ATTN_F32, "f32", 4},  {ATTN_F16, "f16", 2}, {ATTN_BF16, "bf16", 2},
               {ATTN_I64, "i64", 8},  {ATTN_I32, "i32", 4}, {ATTN_U8, "u8", 1},
               {ATTN_BOOL, "bool", 1}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        assert_string_equal(attn_dtype_name(all[i].dtype), all[i].name);
        assert_int_equal(attn_dtype_size(all[i].dtype), all[i].size);
    }
    assert_string_equal(attn_dtype_name((attn_dtype)99), "?");
    assert_int_equal(attn_dtype_size((attn_dtype)99), 0);
}

static void test_error_text(void **state)
{
    (void)state;
    attn_error err;
    assert_int_equal(attn_fail(NULL, ATTN_IO, "%d", 1), ATTN_IO);
    assert_int_equal(attn_fail(&err, ATTN_IO, "%s: %d", "a\nb\x1b[0m\x7f", 7), ATTN_IO);
    assert_int_equal(err.status, ATTN_IO);
    assert_string_equal(err.text, "a?b?[0m?: 7");
    char long_text[2000];
    memset(long_text, 'x', sizeof long_text);
    long_text[sizeof long_text - 1] = 0;
    attn_fail(&err, ATTN_LIMIT, "%s", long_text);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
}

/* ---- sizes ------------------------------------------------------------------------------- */

static void test_checked_sizes(void **state)
{
    (void)state;
    size_t out;
    assert_true(attn_mul(SIZE_MAX, 1, &out) && out == SIZE_MAX);
    assert_true(attn_mul(0, SIZE_MAX, &out) && out == 0);
    assert_false(attn_mul(SIZE_MAX / 2 + 1, 2, &out));
    assert_true(attn_add(SIZE_MAX - 1, 1, &out) && out == SIZE_MAX);
    assert_false(attn_add(SIZE_MAX, 1, &out));
    size_t dim[ATTN_MAX_RANK] = {2, 3, 4};
    assert_true(attn_product(dim, 0, &out) && out == 1);
    assert_true(attn_product(dim, 3, &out) && out == 24);
    assert_true(attn_product(dim, 4, &out) && out == 0);
    dim[2] = SIZE_MAX / 2;
    assert_false(attn_product(dim, 3, &out));
}

static void test_shape_text(void **state)
{
    (void)state;
    attn_shape_text buffer;
    size_t dim[ATTN_MAX_RANK] = {3, 224, 0};
    assert_string_equal(attn_format_shape(&buffer, dim, 3), "[3, 224, 0]");
    assert_string_equal(attn_format_shape(&buffer, dim, 0), "[]");
    assert_string_equal(attn_format_shape(&buffer, dim, 1), "[3]");
    for (int i = 0; i < ATTN_MAX_RANK; i++) dim[i] = SIZE_MAX;
    const char *text = attn_format_shape(&buffer, dim, ATTN_MAX_RANK);
    assert_true(strlen(text) < sizeof buffer.text);
    assert_int_equal(text[strlen(text) - 1], ']');
}

/* ---- memory ------------------------------------------------------------------------------ */

static void test_alignment(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 63, 64, 65, 1000, 1 << 20};
    attn_memory memory;
    attn_memory_init(&memory, NULL, 0);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        void *p;
        assert_int_equal(attn_alloc(&memory, sizes[i], "test", &p, NULL), ATTN_OK);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 64, 0);
        assert_int_equal(memory.used, sizes[i]);
        memset(p, 0xff, sizes[i]);
        attn_release(&memory, p, sizes[i]);
        assert_int_equal(memory.used, 0);
    }
    attn_release(&memory, NULL, 7);
    assert_int_equal(memory.used, 0);
}

static void test_limit(void **state)
{
    (void)state;
    attn_memory memory;
    attn_error err;
    void *a, *b;
    attn_memory_init(&memory, NULL, 100);
    assert_int_equal(attn_alloc(&memory, 60, "first", &a, &err), ATTN_OK);
    assert_int_equal(attn_alloc(&memory, 41, "second", &b, &err), ATTN_LIMIT);
    assert_null(b);
    assert_string_equal(err.text,
                        "second needs 41 bytes, in all 101: more than the memory limit of 100");
    assert_int_equal(attn_alloc(&memory, 40, "second", &b, &err), ATTN_OK);
    assert_int_equal(memory.used, 100);
    attn_release(&memory, a, 60);
    attn_release(&memory, b, 40);
    assert_int_equal(attn_alloc(&memory, SIZE_MAX, "huge", &a, &err), ATTN_LIMIT);
    memory.limit = 0;
    memory.used = 1;
    assert_int_equal(attn_alloc(&memory, SIZE_MAX, "huge", &a, &err), ATTN_NO_MEMORY);
    memory.used = 0;
    assert_int_equal(attn_alloc(&memory, SIZE_MAX, "huge", &a, &err), ATTN_NO_MEMORY);
    assert_non_null(strstr(err.text, "huge"));
}

/* Two holders and one limit: to the byte, in any order; what no memory is found for goes back. */
static void test_budget(void **state)
{
    (void)state;
    attn_budget budget = {.limit = 100};
    attn_memory model, session, poor;
    attn_error err;
    void *a, *b, *c;
    attn_memory_init(&model, NULL, 0);
    attn_memory_init(&session, NULL, 80);
    model.budget = session.budget = &budget;
    session.holder = ATTN_HELD_BY_SESSION;
    assert_int_equal(attn_alloc(&model, 101, "weights", &a, &err), ATTN_LIMIT);
    assert_string_equal(err.text, "weights needs 101 bytes: more than the memory limit of 100");
    assert_int_equal(attn_alloc(&model, 60, "weights", &a, &err), ATTN_OK);
    assert_int_equal(attn_alloc(&session, 81, "caches", &b, &err), ATTN_LIMIT);
    assert_string_equal(err.text,
                        "caches needs 81 bytes, in all 81: more than the memory limit of 80");
    assert_int_equal(attn_alloc(&session, 30, "caches", &b, &err), ATTN_OK);
    assert_int_equal(attn_alloc(&session, 11, "arena", &c, &err), ATTN_LIMIT);
    assert_null(c);
    assert_string_equal(err.text, "arena needs 11 bytes beside 60 of the model, 30 of the session: "
                                  "more than the memory limit of 100");
    assert_int_equal(session.used, 30);
    assert_int_equal(attn_alloc(&session, 10, "arena", &c, &err), ATTN_OK);
    assert_int_equal(budget.used, 100);
    assert_int_equal(budget.held[ATTN_HELD_BY_SESSION], 40);
    attn_release(&model, a, 60);
    assert_int_equal(budget.used, 40);
    assert_int_equal(budget.held[ATTN_HELD_BY_MODEL], 0);
    assert_int_equal(attn_alloc(&model, SIZE_MAX, "huge", &a, &err), ATTN_LIMIT);
    failing_begin(&poor, 1, false);
    poor.budget = &budget;
    poor.holder = ATTN_HELD_BY_TOKENIZER;
    assert_int_equal(attn_alloc(&poor, 5, "words", &a, &err), ATTN_NO_MEMORY);
    failing_end();
    assert_int_equal(budget.used, 40);
    assert_int_equal(budget.held[ATTN_HELD_BY_TOKENIZER], 0);
    attn_release(&session, b, 30);
    attn_release(&session, c, 10);
    assert_int_equal(budget.used, 0);
    budget.limit = 0;
    assert_int_equal(attn_alloc(&model, 5, "words", &a, &err), ATTN_OK);
    attn_release(&model, a, 5);
}

/* ---- the arena --------------------------------------------------------------------------- */

static void test_arena(void **state)
{
    (void)state;
    attn_memory memory;
    attn_arena arena;
    attn_error err;
    attn_memory_init(&memory, NULL, 0);
    attn_arena_init(&arena, &memory);
    attn_arena_free(&arena);
    char *before = NULL;
    for (size_t size = 0; size < 200000; size = size * 2 + 1) {
        unsigned char *p = attn_arena_get(&arena, size, 3, &err);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 16, 0);
        for (size_t i = 0; i < size * 3; i++) assert_int_equal(p[i], 0);
        memset(p, 0xff, size * 3);
        if (before) assert_string_equal(before, "name");
        before = attn_arena_text(&arena, "name and more", 4, &err);
        assert_string_equal(before, "name");
    }
    assert_string_equal(attn_arena_printf(&arena, &err, "%s.%d", "layer", 3), "layer.3");
    assert_string_equal(attn_arena_text(&arena, "", 0, &err), "");
    assert_null(attn_arena_get(&arena, SIZE_MAX / 2, 3, &err));
    assert_int_equal(err.status, ATTN_NO_MEMORY);
    assert_null(attn_arena_get(&arena, SIZE_MAX - 8, 1, &err));
    assert_int_equal(err.status, ATTN_NO_MEMORY);
    attn_arena_free(&arena);
    assert_int_equal(memory.used, 0);
}

static void test_arena_without_memory(void **state)
{
    (void)state;
    for (long n = 1; n <= 4; n++) {
        attn_memory memory;
        attn_arena arena;
        attn_error err = {0};
        failing_begin(&memory, n, false);
        attn_arena_init(&arena, &memory);
        bool failed = false;
        for (int i = 0; i < 3 && !failed; i++) {
            failed = !attn_arena_printf(&arena, &err, "%0100000d", i);
            assert_int_equal(failed, n == i + 1);
        }
        if (failed) assert_int_equal(err.status, ATTN_NO_MEMORY);
        attn_arena_free(&arena);
        failing_end();
        assert_int_equal(failing_state.live, 0);
        assert_int_equal(memory.used, 0);
    }
    attn_memory memory;
    attn_arena arena;
    attn_error err;
    attn_memory_init(&memory, NULL, 1000);
    attn_arena_init(&arena, &memory);
    assert_null(attn_arena_text(&arena, "x", 1, &err));
    assert_int_equal(err.status, ATTN_LIMIT);
}

/* ---- files ------------------------------------------------------------------------------- */

static void test_files(void **state)
{
    (void)state;
    char path[] = "/tmp/attn_file_XXXXXX";
    attn_file file;
    attn_error err;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(attn_file_map(&file, path, &err), ATTN_OK);
    assert_int_equal(file.size, 0);
    assert_non_null(file.data);
    attn_file_unmap(&file);
    assert_int_equal(write(fd, "abc", 3), 3);
    close(fd);
    assert_true(attn_file_exists(path));
    assert_false(attn_is_folder(path));
    assert_int_equal(attn_file_map(&file, path, &err), ATTN_OK);
    assert_int_equal(file.size, 3);
    assert_memory_equal(file.data, "abc", 3);
    attn_file_unmap(&file);
    attn_file_unmap(&file);
    unlink(path);
    assert_int_equal(attn_file_map(&file, path, &err), ATTN_IO);
    assert_non_null(strstr(err.text, path));
    assert_false(attn_file_exists(path));
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(attn_file_map(&file, path, &err), ATTN_IO);
    assert_non_null(strstr(err.text, "not a regular file"));
    assert_false(attn_file_exists(path));
    unlink(path);
    assert_int_equal(attn_file_map(&file, "tests", &err), ATTN_IO);
    assert_true(attn_is_folder("tests"));
    attn_file zeroed = {0};
    attn_file_unmap(&zeroed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_status_names), cmocka_unit_test(test_dtypes),
        cmocka_unit_test(test_error_text),   cmocka_unit_test(test_checked_sizes),
        cmocka_unit_test(test_shape_text),   cmocka_unit_test(test_alignment),
        cmocka_unit_test(test_limit),        cmocka_unit_test(test_budget),
        cmocka_unit_test(test_arena),        cmocka_unit_test(test_arena_without_memory),
        cmocka_unit_test(test_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
