/* .npy files: NumPy's are read and written byte for byte, malformed ones refused. The golden files
 * come from tests/golden/make_npy.py. */
#define _POSIX_C_SOURCE 200809L

#include "runtime/base/file.h"
#include "runtime/inputs/npy.h"
#include "tests/runtime/failing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define GOLDEN "tests/golden/npy/"

typedef struct good_file {
    const char *name;
    attn_dtype dtype;
    int rank;
    size_t dim[ATTN_MAX_RANK];
    int first;      /* value of the first element; the next ones count up */
    bool same_back; /* written, it is the same file */
} good_file;

static const good_file good_files[] = {
    {"f4.npy", ATTN_F32, 2, {2, 3}, -1, true},
    {"f8.npy", ATTN_F32, 2, {2, 3}, -1, false},
    {"f2.npy", ATTN_F16, 2, {2, 3}, -1, true},
    {"i8.npy", ATTN_I64, 2, {2, 3}, -1, true},
    {"i4.npy", ATTN_I32, 2, {2, 3}, -1, true},
    {"u1.npy", ATTN_U8, 2, {2, 3}, 0, true},
    {"b1.npy", ATTN_BOOL, 2, {2, 3}, 0, true},
    {"scalar.npy", ATTN_F32, 0, {0}, -1, true},
    {"vector.npy", ATTN_F32, 1, {5}, -1, true},
    {"empty.npy", ATTN_I32, 3, {3, 0, 2}, -1, true},
    {"rank8.npy", ATTN_U8, 8, {1, 2, 1, 1, 1, 1, 3, 1}, 0, true},
    {"version2.npy", ATTN_F32, 2, {2, 3}, -1, false},
    {"version3.npy", ATTN_F32, 2, {2, 3}, -1, false},
};

static double element(const attn_tensor *t, size_t i)
{
    static const uint16_t halves[] = {0xbc00, 0, 0x3c00, 0x4000, 0x4200, 0x4400}; /* -1, 0 ... 4 */
    switch (t->dtype) {
    case ATTN_F32:
        return ((const float *)t->data)[i];
    case ATTN_I64:
        return (double)((const int64_t *)t->data)[i];
    case ATTN_I32:
        return ((const int32_t *)t->data)[i];
    case ATTN_F16:
        assert_int_equal(((const uint16_t *)t->data)[i], halves[i]);
        return (double)i - 1;
    default:
        return ((const uint8_t *)t->data)[i];
    }
}

static void check_same_files(const char *a, const char *b)
{
    attn_file x, y;
    assert_int_equal(attn_file_map(&x, a, NULL), ATTN_OK);
    assert_int_equal(attn_file_map(&y, b, NULL), ATTN_OK);
    assert_int_equal(x.size, y.size);
    assert_memory_equal(x.data, y.data, x.size);
    attn_file_unmap(&x);
    attn_file_unmap(&y);
}

static void check_good(const good_file *good)
{
    char path[128], copy[] = "/tmp/attn_npy_XXXXXX";
    attn_memory memory;
    attn_tensor t;
    size_t bytes, count;
    attn_error err;
    attn_memory_init(&memory, NULL, 0);
    snprintf(path, sizeof path, GOLDEN "%s", good->name);
    if (attn_npy_read(&t, path, &memory, &bytes, &err)) fail_msg("%s", err.text);
    assert_int_equal(t.dtype, good->dtype);
    assert_int_equal(t.rank, good->rank);
    assert_memory_equal(t.dim, good->dim, sizeof t.dim);
    assert_true(attn_product(t.dim, t.rank, &count));
    assert_int_equal(bytes, count * attn_dtype_size(t.dtype));
    assert_int_equal(memory.used, bytes);
    for (size_t i = 0; i < count; i++) {
        double value = t.dtype == ATTN_BOOL ? (double)(i % 2) : good->first + (double)i;
        assert_true(element(&t, i) == value);
    }
    int fd = mkstemp(copy);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(attn_npy_write(copy, &t, &err), ATTN_OK);
    if (good->same_back) check_same_files(path, copy);
    unlink(copy);
    attn_release(&memory, t.data, bytes);
    assert_int_equal(memory.used, 0);
}

static void test_good_files(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof good_files / sizeof *good_files; i++) check_good(&good_files[i]);
}

/* ---- malformed --------------------------------------------------------------------------- */

typedef struct bad_header {
    const char *header;
    size_t data;
    const char *part;
    attn_status status;
} bad_header;

#define HEAD(descr, order, shape)                                                                  \
    "{'descr': " descr ", 'fortran_order': " order ", 'shape': " shape ", }"

static const bad_header bad_headers[] = {
    {"", 0, "'{' expected", ATTN_BAD_FILE},
    {"{}", 0, "no key \"descr\"", ATTN_BAD_FILE},
    {"{'descr': '<f4', 'shape': (1,)}", 4, "no key \"fortran_order\"", ATTN_BAD_FILE},
    {"{'descr': '<f4', 'fortran_order': False}", 4, "no key \"shape\"", ATTN_BAD_FILE},
    {"{'descr': '<f4', 'descr': '<f4'}", 4, "repeated key \"descr\"", ATTN_BAD_FILE},
    {"{'extra': 1}", 4, "unknown key \"extra\"", ATTN_BAD_FILE},
    {"{descr: '<f4'}", 4, "a key expected, not \"descr", ATTN_BAD_FILE},
    {"{'descr' '<f4'}", 4, "':' expected", ATTN_BAD_FILE},
    {"{'descr': '<f4' 'shape': (1,)}", 4, "',' or '}' expected", ATTN_BAD_FILE},
    {"{'descr': '<f4", 4, "a simple dtype expected", ATTN_BAD_FILE},
    {"{'descr': '\\x41f4'}", 4, "a simple dtype expected", ATTN_BAD_FILE},
    {HEAD("'>f4'", "False", "(1,)"), 4, "\">f4\" is not supported", ATTN_BAD_FILE},
    {HEAD("'<c8'", "False", "(1,)"), 8, "\"<c8\" is not supported", ATTN_BAD_FILE},
    {HEAD("'|O'", "False", "(1,)"), 8, "\"|O\" is not supported", ATTN_BAD_FILE},
    {HEAD("[('a', '<f4')]", "False", "(1,)"), 4, "a simple dtype expected", ATTN_BAD_FILE},
    {HEAD("'<f4'", "True", "(1,)"), 4, "in Fortran order", ATTN_BAD_FILE},
    {HEAD("'<f4'", "0", "(1,)"), 4, "True or False", ATTN_BAD_FILE},
    {HEAD("'<f4'", "False", "1"), 4, "a shape expected", ATTN_BAD_FILE},
    {HEAD("'<f4'", "False", "(1)"), 4, "',' in a shape of one size", ATTN_BAD_FILE},
    {HEAD("'<f4'", "False", "(-1,)"), 4, "a size expected, not \"-1", ATTN_BAD_FILE},
    {HEAD("'<f4'", "False", "(1.5,)"), 4, "',' or ')' expected", ATTN_BAD_FILE},
    {HEAD("'<f4'", "False", "(,)"), 4, "a size expected", ATTN_BAD_FILE},
    {HEAD("'<f4'", "False", "(99999999999999999999,)"), 4, "size is too large", ATTN_BAD_FILE},
    {HEAD("'<f4'", "False", "(4294967296, 4294967296)"), 4, "is too large", ATTN_BAD_FILE},
    {HEAD("'<f4'", "False", "(4294967296, 1073741824)"), 4, "is too large", ATTN_BAD_FILE},
    {HEAD("'<f4'", "False", "(1,1,1,1,1,1,1,1,1)"), 4, "more than 8 dimensions", ATTN_LIMIT},
    {HEAD("'<f4'", "False", "(2,)"), 4, "[2] needs 8 bytes, the file holds 4", ATTN_BAD_FILE},
    {HEAD("'<f4'", "False", "(1,)"), 5, "needs 4 bytes, the file holds 5", ATTN_BAD_FILE},
    {HEAD("'<f4'", "False", "(1,)") " x", 4, "the end expected, not \"x\"", ATTN_BAD_FILE},
};

static attn_status parse(const void *data, size_t size, attn_error *err)
{
    attn_memory memory;
    attn_tensor t;
    size_t allocated;
    void *copy = malloc(size ? size : 1);
    assert_non_null(copy);
    if (size) memcpy(copy, data, size);
    attn_memory_init(&memory, NULL, 0);
    attn_status status = attn_npy_parse(&t, "bad.npy", copy, size, &memory, &allocated, err);
    if (status) {
        assert_null(t.data);
        assert_int_equal(allocated, 0);
    }
    attn_release(&memory, t.data, allocated);
    assert_int_equal(memory.used, 0);
    free(copy);
    return status;
}

static void expect(const attn_error *err, attn_status status, const char *part)
{
    if (!strstr(err->text, part)) fail_msg("\"%s\" does not name \"%s\"", err->text, part);
    assert_non_null(strstr(err->text, "bad.npy"));
    assert_null(strchr(err->text, '\n'));
    assert_int_equal(err->status, status);
}

static void test_malformed_headers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad_headers / sizeof *bad_headers; i++) {
        char bytes[256] = "\x93NUMPY\1";
        size_t length = strlen(bad_headers[i].header);
        bytes[8] = (char)length;
        memcpy(bytes + 10, bad_headers[i].header, length);
        attn_error err;
        if (!parse(bytes, 10 + length + bad_headers[i].data, &err))
            fail_msg("accepted: %s", bad_headers[i].header);
        expect(&err, bad_headers[i].status, bad_headers[i].part);
    }
}

static void test_malformed_prefix(void **state)
{
    (void)state;
    attn_error err;
    parse("", 0, &err);
    expect(&err, ATTN_BAD_FILE, "not a .npy file");
    parse("\x93NUMPX\1\0\0\0", 10, &err);
    expect(&err, ATTN_BAD_FILE, "not a .npy file");
    parse("\x93NUMPY\4\0\0\0", 10, &err);
    expect(&err, ATTN_BAD_FILE, "version 4.0");
    parse("\x93NUMPY\1\1\0\0", 10, &err);
    expect(&err, ATTN_BAD_FILE, "version 1.1");
    parse("\x93NUMPY\1\0\xff\xff", 10, &err);
    expect(&err, ATTN_BAD_FILE, "header of 65535 bytes goes beyond the end of the file at 10");
    parse("\x93NUMPY\2\0\xff\xff\xff\xff", 12, &err);
    expect(&err, ATTN_BAD_FILE, "header of 4294967295 bytes goes beyond");
    parse("\x93NUMPY\2\0\0\0", 10, &err);
    expect(&err, ATTN_BAD_FILE, "goes beyond");
    attn_file file;
    assert_int_equal(attn_file_map(&file, GOLDEN "version3.npy", NULL), ATTN_OK);
    for (size_t size = 0; size < file.size; size++)
        assert_int_not_equal(parse(file.data, size, &err), ATTN_OK);
    attn_file_unmap(&file);
}

static void test_refused_files(void **state)
{
    (void)state;
    static const struct {
        const char *path, *part;
        attn_status status;
    } files[] = {
        {GOLDEN "fortran.npy", "Fortran order", ATTN_BAD_FILE},
        {GOLDEN "big_endian.npy", ">f4", ATTN_BAD_FILE},
        {GOLDEN "rank9.npy", "more than 8 dimensions", ATTN_LIMIT},
        {GOLDEN "record.npy", "a simple dtype expected", ATTN_BAD_FILE},
        {GOLDEN "none.npy", "No such file", ATTN_IO},
        {"tests/golden", "not a regular file", ATTN_IO},
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        attn_memory memory;
        attn_tensor t;
        size_t bytes;
        attn_error err;
        attn_memory_init(&memory, NULL, 0);
        assert_int_equal(attn_npy_read(&t, files[i].path, &memory, &bytes, &err), files[i].status);
        if (!strstr(err.text, files[i].part) || !strstr(err.text, files[i].path))
            fail_msg("%s", err.text);
        assert_null(t.data);
    }
}

static void test_refused_writes(void **state)
{
    (void)state;
    static float data[4096];
    attn_tensor t = {.dtype = ATTN_BF16, .rank = 1, .dim = {1}, .data = data};
    attn_error err;
    assert_int_equal(attn_npy_write("none.npy", &t, &err), ATTN_BAD_ARGUMENT);
    assert_non_null(strstr(err.text, "no dtype bf16"));
    t.dtype = ATTN_F32;
    t.rank = 9;
    assert_int_equal(attn_npy_write("none.npy", &t, &err), ATTN_BAD_ARGUMENT);
    t.rank = 1;
    t.dim[0] = 4096;
    assert_false(attn_file_exists("none.npy"));
    assert_int_equal(attn_npy_write("none/none.npy", &t, &err), ATTN_IO);
    assert_non_null(strstr(err.text, "none/none.npy: No such file"));
    if (access("/dev/full", W_OK) == 0) {
        assert_int_equal(attn_npy_write("/dev/full", &t, &err), ATTN_IO);
        assert_non_null(strstr(err.text, "No space left"));
        assert_int_equal(access("/dev/full", F_OK), 0);
    }
}

static void test_no_memory(void **state)
{
    (void)state;
    attn_memory memory;
    attn_tensor t;
    size_t bytes;
    attn_error err;
    failing_begin(&memory, 1, false);
    attn_status status = attn_npy_read(&t, GOLDEN "f4.npy", &memory, &bytes, &err);
    failing_end();
    assert_int_equal(status, ATTN_NO_MEMORY);
    assert_null(t.data);
    assert_int_equal(failing_state.live, 0);
    attn_memory_init(&memory, NULL, 20);
    assert_int_equal(attn_npy_read(&t, GOLDEN "f4.npy", &memory, &bytes, &err), ATTN_LIMIT);
    assert_non_null(strstr(err.text, GOLDEN "f4.npy needs 24 bytes"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_files),       cmocka_unit_test(test_malformed_headers),
        cmocka_unit_test(test_malformed_prefix), cmocka_unit_test(test_refused_files),
        cmocka_unit_test(test_refused_writes),   cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
