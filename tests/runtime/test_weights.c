/* Weight files: what the safetensors library wrote is read, what it would refuse is refused. The
 * golden files and hashes come from tests/golden/make_weights.py. */
#define _POSIX_C_SOURCE 200809L

#include "runtime/weights/weights.h"
#include "tests/runtime/failing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define GOLDEN "tests/golden/weights/"

static void open_weights(attn_weights *w, const char *path, attn_memory *memory)
{
    attn_error err;
    attn_memory_init(memory, NULL, 0);
    if (attn_weights_open(w, path, memory, &err)) fail_msg("%s", err.text);
}

static void close_weights(attn_weights *w, attn_memory *memory)
{
    attn_weights_close(w);
    assert_int_equal(memory->used, 0);
    attn_weights_close(w);
}

/* ---- good files -------------------------------------------------------------------------- */

static size_t elements(const attn_weight *weight)
{
    size_t count;
    assert_true(attn_product(weight->dim, weight->rank, &count));
    return count;
}

static bool same_f32(float a, float b)
{
    return (isnan(a) && isnan(b)) || memcmp(&a, &b, sizeof a) == 0;
}

static void test_every_dtype(void **state)
{
    (void)state;
    attn_memory memory, memory2;
    attn_weights w, expected;
    open_weights(&w, GOLDEN "all.safetensors", &memory);
    open_weights(&expected, GOLDEN "expected.safetensors", &memory2);
    assert_int_equal(w.count, 14);
    assert_int_equal(expected.count, 14);
    int unsupported = 0;
    for (size_t i = 0; i < w.count; i++) {
        const attn_weight *a = &w.list[i], *b = attn_weights_find(&expected, a->name);
        assert_non_null(b);
        assert_int_equal(a->rank, b->rank);
        assert_memory_equal(a->dim, b->dim, sizeof a->dim);
        assert_string_equal(a->file, GOLDEN "all.safetensors");
        attn_error err;
        if (attn_weight_check(a, &err)) {
            unsupported++;
            assert_int_equal(err.status, ATTN_BAD_MODEL);
            assert_non_null(strstr(err.text, a->name));
            continue;
        }
        size_t count = elements(a);
        float x[64], y[64];
        assert_true(count <= 64);
        attn_weight_to_f32(a, 0, count, x);
        attn_weight_to_f32(b, 0, count, y);
        for (size_t j = 0; j < count; j++) {
            assert_true(same_f32(x[j], y[j]));
            attn_weight_to_f32(a, j, 1, &x[j]);
            assert_true(same_f32(x[j], y[j]));
        }
    }
    assert_int_equal(unsupported, 4);
    const attn_weight *f64 = attn_weights_find(&w, "f64");
    assert_string_equal(f64->unsupported, "F64");
    assert_int_equal(attn_weights_find(&w, "scalar")->rank, 0);
    assert_int_equal(attn_weights_find(&w, "empty")->bytes, 0);
    assert_int_equal(attn_weights_find(&w, "layer.0.Größe")->rank, 8);
    assert_int_equal(attn_weights_find(&w, "bf16")->dtype, ATTN_BF16);
    assert_null(attn_weights_find(&w, "F32"));
    assert_null(attn_weights_find(&w, ""));
    close_weights(&w, &memory);
    close_weights(&expected, &memory2);
}

static uint64_t hash_halves(attn_dtype dtype)
{
    static uint16_t bits[65536];
    static float values[65536];
    for (unsigned i = 0; i < 65536; i++) bits[i] = (uint16_t)i;
    attn_weight weight = {.dtype = dtype, .rank = 1, .dim = {65536}, .data = bits};
    attn_weight_to_f32(&weight, 0, 65536, values);
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (unsigned i = 0; i < 65536; i++) {
        uint32_t word;
        memcpy(&word, &values[i], 4);
        if (isnan(values[i])) word = (word & 0x80000000) | 0x7fc00000;
        for (int k = 0; k < 4; k++) h = (h ^ ((word >> (8 * k)) & 0xff)) * UINT64_C(0x100000001b3);
    }
    return h;
}

static void test_all_halves(void **state)
{
    (void)state;
    uint64_t f16, bf16;
    FILE *file = fopen(GOLDEN "halves.txt", "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "f16 %" SCNx64 " bf16 %" SCNx64, &f16, &bf16), 2);
    fclose(file);
    assert_true(hash_halves(ATTN_F16) == f16);
    assert_true(hash_halves(ATTN_BF16) == bf16);
}

static void test_shards(void **state)
{
    (void)state;
    attn_memory memory;
    attn_weights w;
    open_weights(&w, GOLDEN "model.safetensors.index.json", &memory);
    assert_int_equal(w.count, 4);
    assert_int_equal(w.files, 2);
    for (size_t i = 0; i < 4; i++) assert_int_equal(w.list[i].name[0], 'a' + (int)i);
    float b[6];
    attn_weight_to_f32(attn_weights_find(&w, "b"), 0, 6, b);
    for (int i = 0; i < 6; i++) assert_true(b[i] == (float)i);
    assert_string_equal(attn_weights_find(&w, "c")->file,
                        GOLDEN "model-00002-of-00002.safetensors");
    close_weights(&w, &memory);
}

static void test_many_tensors(void **state)
{
    (void)state;
    enum { COUNT = 100000 };
    size_t room = (size_t)COUNT * 80 + 16, used = 8;
    char *text = malloc(room);
    assert_non_null(text);
    for (int i = 0; i < COUNT; i++)
        used +=
            (size_t)snprintf(text + used, room - used,
                             "%s\"t%d\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[%d,%d]}",
                             i ? "," : "{", i, COUNT - 1 - i, COUNT - i);
    text[used++] = '}';
    for (int i = 0; i < 8; i++) text[i] = (char)(((used - 8) >> (8 * i)) & 0xff);
    text = realloc(text, used + COUNT);
    assert_non_null(text);
    memset(text + used, 7, COUNT);
    attn_memory memory;
    attn_memory_init(&memory, NULL, 0);
    attn_arena arena;
    attn_arena_init(&arena, &memory);
    attn_weight *list;
    size_t count;
    attn_error err;
    if (attn_safetensors_parse("many", text, used + COUNT, &arena, &list, &count, NULL, &err))
        fail_msg("%s", err.text);
    assert_int_equal(count, COUNT);
    for (size_t i = 1; i < count; i++) assert_true(strcmp(list[i - 1].name, list[i].name) < 0);
    attn_arena_free(&arena);
    free(text);
}

/* ---- malformed headers ------------------------------------------------------------------- */

#define T(dtype, shape, offsets)                                                                   \
    "{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}"
#define DEEP10 "[[[[[[[[[["

typedef struct bad_header {
    const char *text;
    size_t buffer; /* bytes after the header */
    const char *part[2];
    attn_status status; /* ATTN_OK: ATTN_BAD_FILE is meant */
} bad_header;

static const bad_header bad_headers[] = {
    {"", 0, {"header is empty"}, 0},
    {"[]", 0, {"the header is a list, not an object"}, 0},
    {"7", 0, {"the header is a number"}, 0},
    {"{", 0, {"not valid JSON", "line 1"}, 0},
    {"{\"a\":1,", 0, {"not valid JSON"}, 0},
    {"{}x", 0, {"text after the JSON value", "x"}, 0},
    {"{\n\n\"a\":}", 0, {"line 3", "not valid JSON"}, 0},
    {"{\"a\":\"\xff\"}", 0, {"0xff is not UTF-8"}, 0},
    {"{\"a\":\"\xed\xa0\x80\"}", 0, {"0xed is not UTF-8"}, 0},
    {"{\"a\":" DEEP10 DEEP10 DEEP10 DEEP10 DEEP10 DEEP10 DEEP10, 0, {"deeper than 64"}, 0},
    {"{\"a\\u0000b\":1}", 0, {"zero character"}, 0},
    {"{\"a\":1}", 0, {"\"a\"", "is a number, not an object"}, 0},
    {"{\"a\":{}}", 0, {"\"a\"", "unknown dtype nothing"}, 0},
    {"{\"a\":" T("\"F31\"", "[1]", "[0,4]") "}", 4, {"\"a\"", "unknown dtype \"F31\""}, 0},
    {"{\"a\":" T("3", "[1]", "[0,4]") "}", 4, {"\"a\"", "unknown dtype 3"}, 0},
    {"{\"a\":" T("\"f32\"", "[1]", "[0,4]") "}", 4, {"\"a\"", "unknown dtype \"f32\""}, 0},
    {"{\"a\":" T("\"F32\"", "1", "[0,4]") "}", 4, {"\"a\"", "shape is a number"}, 0},
    {"{\"a\":" T("\"F32\"", "[-1]", "[0,4]") "}", 4, {"\"a\"", "shape holds -1"}, 0},
    {"{\"a\":" T("\"F32\"", "[1.5]", "[0,4]") "}", 4, {"\"a\"", "shape holds 1.5"}, 0},
    {"{\"a\":" T("\"F32\"", "[1e17]", "[0,4]") "}", 4, {"\"a\"", "shape holds 1e+17"}, 0},
    {"{\"a\":" T("\"F32\"", "[1e999]", "[0,4]") "}", 4, {"too large"}, 0},
    {"{\"a\":" T("\"F32\"", "[\"1\"]", "[0,4]") "}", 4, {"\"a\"", "shape holds \"1\""}, 0},
    {"{\"a\":" T("\"F32\"", "[1,1,1,1,1,1,1,1,1]", "[0,4]") "}",
     4,
     {"\"a\"", "more than 8 dimensions"},
     ATTN_LIMIT},
    {"{\"a\":" T("\"F32\"", "[4294967296,4294967296]", "[0,4]") "}",
     4,
     {"\"a\"", "[4294967296, 4294967296] is too large"},
     0},
    {"{\"a\":" T("\"F32\"", "[4294967296,1073741824]", "[0,0]") "}",
     0,
     {"\"a\"", "[4294967296, 1073741824] is too large"},
     0},
    {"{\"a\":" T("\"F32\"", "[1]", "4") "}", 4, {"\"a\"", "data_offsets is a number"}, 0},
    {"{\"a\":" T("\"F32\"", "[1]", "[0]") "}", 4, {"\"a\"", "holds 1 numbers, not 2"}, 0},
    {"{\"a\":" T("\"F32\"", "[1]", "[0,4,8]") "}", 4, {"\"a\"", "holds 3 numbers, not 2"}, 0},
    {"{\"a\":" T("\"F32\"", "[1]", "[0,-4]") "}", 4, {"\"a\"", "data_offsets holds -4"}, 0},
    {"{\"a\":" T("\"F32\"", "[1]", "[0.5,4]") "}", 4, {"\"a\"", "data_offsets holds 0.5"}, 0},
    {"{\"a\":" T("\"F32\"", "[1]", "[null,4]") "}", 4, {"\"a\"", "data_offsets holds null"}, 0},
    {"{\"a\":" T("\"F32\"", "[1]", "[4,0]") "}", 4, {"\"a\"", "begins at 4, after its end 0"}, 0},
    {"{\"a\":" T("\"F32\"", "[2]", "[0,8]") "}",
     4,
     {"\"a\"", "ends at byte 8 of a buffer of 4"},
     0},
    {"{\"a\":" T("\"F32\"", "[0]", "[900719925474099,900719925474099]") "}",
     4,
     {"\"a\"", "ends at byte 900719925474099 of a buffer of 4"},
     0},
    {"{\"a\":" T("\"F32\"", "[1]", "[0,4]") "}", 5, {"end at byte 4 of a buffer of 5"}, 0},
    {"{\"a\":" T("\"F32\"", "[1]", "[4,8]") "}", 8, {"\"a\"", "begins at byte 4"}, 0},
    {"{}", 1, {"end at byte 0 of a buffer of 1"}, 0},
    {"{\"a\":" T("\"F32\"", "[2]", "[0,4]") "}",
     4,
     {"\"a\"", "[2] needs 8 bytes, its offsets give 4"},
     0},
    {"{\"a\":" T("\"F16\"", "[]", "[0,4]") "}", 4, {"\"a\"", "F16 of shape [] needs 2 bytes"}, 0},
    {"{\"a\":" T("\"F4\"", "[3]", "[0,2]") "}", 2, {"\"a\"", "F4 of shape [3] needs 2 bytes"}, 0},
    {"{\"a\":" T("\"F32\"", "[1]", "[0,4]") ",\"b\":" T("\"F32\"", "[1]", "[0,4]") "}",
     4,
     {"begins at byte 0, but the tensors before it end at 4"},
     0},
    {"{\"a\":" T("\"F32\"", "[2]", "[0,8]") ",\"b\":" T("\"F32\"", "[1]", "[4,8]") "}",
     8,
     {"\"b\"", "begins at byte 4, but the tensors before it end at 8"},
     0},
    {"{\"a\":" T("\"F32\"", "[1]", "[0,4]") ",\"b\":" T("\"F32\"", "[1]", "[8,12]") "}",
     12,
     {"\"b\"", "begins at byte 8, but the tensors before it end at 4"},
     0},
    {"{\"a\":" T("\"U8\"", "[1]", "[0,1]") ",\"a\":" T("\"U8\"", "[1]", "[1,2]") "}",
     2,
     {"key \"a\" stands twice"},
     0},
    {"{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}",
     0,
     {"key \"dtype\" stands twice"},
     0},
    {"{\"__metadata__\":[]}", 0, {"__metadata__ is a list"}, 0},
    {"{\"__metadata__\":{\"n\":1}}", 0, {"__metadata__: \"n\" is a number, not a text"}, 0},
    {"{\"a\\nb\":1}", 0, {"\"a?b\""}, 0},
};

/* An exact-size heap copy: a read beyond it is seen by ASan. length: of the header, as written. */
static attn_status parse(const char *text, uint64_t length, size_t buffer, attn_error *err)
{
    size_t size = 8 + strlen(text) + buffer;
    unsigned char *bytes = calloc(1, size);
    assert_non_null(bytes);
    for (int i = 0; i < 8; i++) bytes[i] = (unsigned char)(length >> (8 * i));
    memcpy(bytes + 8, text, strlen(text));
    attn_memory memory;
    attn_arena arena;
    attn_weight *list;
    size_t count;
    attn_memory_init(&memory, NULL, 0);
    attn_arena_init(&arena, &memory);
    attn_status status =
        attn_safetensors_parse("bad.st", bytes, size, &arena, &list, &count, NULL, err);
    attn_arena_free(&arena);
    assert_int_equal(memory.used, 0);
    free(bytes);
    return status;
}

static void expect_error(const attn_error *err, attn_status status, const char *file,
                         const char *const part[2])
{
    const char *parts[] = {file, part[0], part[1]};
    for (int i = 0; i < 3; i++)
        if (parts[i] && !strstr(err->text, parts[i]))
            fail_msg("\"%s\" does not name \"%s\"", err->text, parts[i]);
    assert_null(strchr(err->text, '\n'));
    if (err->status != status) fail_msg("%s: %s", attn_status_name(err->status), err->text);
}

static void test_malformed_headers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad_headers / sizeof *bad_headers; i++) {
        const bad_header *bad = &bad_headers[i];
        attn_error err = {0};
        attn_status status = parse(bad->text, strlen(bad->text), bad->buffer, &err);
        if (!status) fail_msg("accepted: %s", bad->text);
        assert_int_equal(status, err.status);
        expect_error(&err, bad->status ? bad->status : ATTN_BAD_FILE, "bad.st", bad->part);
    }
}

static void test_header_length(void **state)
{
    (void)state;
    attn_error err;
    assert_int_equal(parse("{}", UINT64_MAX, 0, &err), ATTN_BAD_FILE);
    assert_non_null(strstr(err.text, "18446744073709551615 is over the format's limit"));
    assert_int_equal(parse("{}", 3, 0, &err), ATTN_BAD_FILE);
    assert_non_null(strstr(err.text, "header of 3 bytes goes beyond the end of the file at 10"));
    assert_int_equal(parse("{}", 100000000, 0, &err), ATTN_BAD_FILE);
    assert_non_null(strstr(err.text, "goes beyond"));
    assert_int_equal(parse("{}", 17000000, 17000000, &err), ATTN_LIMIT);
    assert_non_null(strstr(err.text, "17000000 bytes"));
    assert_non_null(strstr(err.text, "16777216"));
    assert_int_equal(parse("{}   ", 5, 0, &err), ATTN_OK);
    attn_memory memory;
    attn_arena arena;
    attn_memory_init(&memory, NULL, 0);
    attn_arena_init(&arena, &memory);
    attn_weight *list;
    size_t count;
    for (size_t size = 0; size < 8; size++) {
        assert_int_equal(
            attn_safetensors_parse("s", "\0\0\0\0\0\0\0", size, &arena, &list, &count, NULL, &err),
            ATTN_BAD_FILE);
        assert_non_null(strstr(err.text, "too short"));
    }
    /* Every cut of a good file is refused. */
    attn_file file;
    assert_int_equal(attn_file_map(&file, GOLDEN "all.safetensors", &err), ATTN_OK);
    for (size_t size = 0; size < file.size; size++) {
        char *cut = malloc(size ? size : 1);
        assert_non_null(cut);
        memcpy(cut, file.data, size);
        assert_int_not_equal(
            attn_safetensors_parse("cut", cut, size, &arena, &list, &count, NULL, &err), ATTN_OK);
        free(cut);
    }
    attn_file_unmap(&file);
    attn_arena_free(&arena);
}

/* ---- malformed indexes and files --------------------------------------------------------- */

static char folder[64];

static const char *in_folder(const char *name)
{
    static char path[160];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void write_file(const char *name, const void *data, size_t size)
{
    FILE *file = fopen(in_folder(name), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    fclose(file);
}

static void copy_golden(const char *name)
{
    char from[160];
    attn_file file;
    attn_error err;
    snprintf(from, sizeof from, GOLDEN "%s", name);
    assert_int_equal(attn_file_map(&file, from, &err), ATTN_OK);
    write_file(name, file.data, file.size);
    attn_file_unmap(&file);
}

#define S1 "model-00001-of-00002.safetensors"
#define S2 "model-00002-of-00002.safetensors"
#define MAP(entries) "{\"metadata\":{},\"weight_map\":{" entries "}}"

static const struct {
    const char *text;
    const char *part[2];
    attn_status status;
} bad_indexes[] = {
    {"", {"not valid JSON"}, ATTN_BAD_FILE},
    {"{}", {"weight_map is nothing, not an object"}, ATTN_BAD_FILE},
    {"[]", {"weight_map is nothing"}, ATTN_BAD_FILE},
    {"{\"weight_map\":[]}", {"weight_map is a list"}, ATTN_BAD_FILE},
    {MAP(""), {"weight_map is empty"}, ATTN_BAD_FILE},
    {MAP("\"a\":3"), {"\"a\"", "3 is not the name of a file"}, ATTN_BAD_FILE},
    {MAP("\"a\":\"\""), {"\"a\"", "\"\" is not the name"}, ATTN_BAD_FILE},
    {MAP("\"a\":\"..\""), {"\"a\"", "\"..\" is not the name"}, ATTN_BAD_FILE},
    {MAP("\"a\":\"../" S1 "\""), {"\"a\"", "\"../" S1 "\" is not"}, ATTN_BAD_FILE},
    {MAP("\"a\":\"sub/" S1 "\""), {"\"a\"", "\"sub/" S1 "\" is not"}, ATTN_BAD_FILE},
    {MAP("\"a\":\"/etc/passwd\""), {"\"a\"", "\"/etc/passwd\" is not"}, ATTN_BAD_FILE},
    {MAP("\"a\":\"c:\\\\x\""), {"\"a\"", "is not the name"}, ATTN_BAD_FILE},
    {MAP("\"a\":\"" S1 "\",\"a\":\"" S2 "\""), {"\"a\" stands twice"}, ATTN_BAD_FILE},
    {MAP("\"a\":\"none.safetensors\""), {"none.safetensors", "No such file"}, ATTN_IO},
    {MAP("\"a\":\"" S1 "\",\"b\":\"" S1 "\",\"d\":\"" S1 "\""),
     {"tensor \"a\" is not in \"" S1 "\""},
     ATTN_BAD_FILE},
    {MAP("\"b\":\"" S1 "\""), {"does not list tensor \"d\" of \"" S1 "\""}, ATTN_BAD_FILE},
    {MAP("\"a\":\"" S2 "\",\"c\":\"" S2 "\",\"b\":\"index.json\""), {"index.json"}, ATTN_BAD_FILE},
};

static void test_malformed_indexes(void **state)
{
    (void)state;
    copy_golden(S1);
    copy_golden(S2);
    for (size_t i = 0; i < sizeof bad_indexes / sizeof *bad_indexes; i++) {
        attn_memory memory;
        attn_weights w;
        attn_error err = {0};
        attn_memory_init(&memory, NULL, 0);
        write_file("index.json", bad_indexes[i].text, strlen(bad_indexes[i].text));
        attn_status status = attn_weights_open(&w, in_folder("index.json"), &memory, &err);
        if (!status) fail_msg("accepted: %s", bad_indexes[i].text);
        assert_int_equal(status, err.status);
        expect_error(&err, bad_indexes[i].status, folder, bad_indexes[i].part);
        assert_int_equal(memory.used, 0);
        assert_null(w.list);
    }
}

static void expect_io(const char *path, attn_status status, const char *part)
{
    attn_memory memory;
    attn_weights w;
    attn_error err = {0};
    attn_memory_init(&memory, NULL, 0);
    assert_int_equal(attn_weights_open(&w, path, &memory, &err), status);
    expect_error(&err, status, path, (const char *const[2]){part, NULL});
    assert_int_equal(memory.used, 0);
}

static void test_no_weight_file(void **state)
{
    (void)state;
    expect_io(in_folder("none"), ATTN_IO, "No such file");
    expect_io(folder, ATTN_IO, "not a regular file");
    write_file("empty.safetensors", "", 0);
    expect_io(in_folder("empty.safetensors"), ATTN_BAD_FILE, "0 bytes are too short");
    assert_int_equal(mkfifo(in_folder("fifo"), 0600), 0);
    expect_io(in_folder("fifo"), ATTN_IO, "not a regular file");
    attn_memory memory;
    attn_weights w;
    attn_error err;
    attn_memory_init(&memory, NULL, 1000);
    assert_int_equal(attn_weights_open(&w, GOLDEN "all.safetensors", &memory, &err), ATTN_LIMIT);
    assert_non_null(strstr(err.text, "limit of 1000"));
    assert_int_equal(attn_weights_open(&w, "none", &memory, NULL), ATTN_LIMIT);
}

/* ---- memory ------------------------------------------------------------------------------ */

static void fail_every_allocation(const char *path, bool go_on)
{
    for (long n = 1;; n++) {
        attn_memory memory;
        attn_weights w;
        attn_error err = {0};
        failing_begin(&memory, n, go_on);
        attn_status status = attn_weights_open(&w, path, &memory, &err);
        long requests = failing_state.requests;
        if (status) {
            assert_int_equal(status, err.status);
            assert_true(err.text[0] != 0);
        } else {
            assert_true(requests < n);
            attn_weights_close(&w);
        }
        failing_end();
        assert_int_equal(failing_state.live, 0);
        assert_int_equal(memory.used, 0);
        if (!status) break;
        assert_true(n < 10000);
    }
}

static void test_failing_allocations(void **state)
{
    (void)state;
    for (int go_on = 0; go_on < 2; go_on++) {
        fail_every_allocation(GOLDEN "all.safetensors", go_on);
        fail_every_allocation(GOLDEN "model.safetensors.index.json", go_on);
    }
}

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/attn_weights_XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    static const char *const names[] = {S1, S2, "index.json", "empty.safetensors", "fifo"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) unlink(in_folder(names[i]));
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_dtype),
        cmocka_unit_test(test_all_halves),
        cmocka_unit_test(test_shards),
        cmocka_unit_test(test_many_tensors),
        cmocka_unit_test(test_malformed_headers),
        cmocka_unit_test(test_header_length),
        cmocka_unit_test(test_malformed_indexes),
        cmocka_unit_test(test_no_weight_file),
        cmocka_unit_test(test_failing_allocations),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
