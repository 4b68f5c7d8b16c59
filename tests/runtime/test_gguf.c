/* GGUF files: what the gguf package wrote and dequantised (tests/golden/make_gguf.py) is read with
 * the same bits; what is malformed is refused with one line that says where. */
#define _POSIX_C_SOURCE 200809L

#include "runtime/json.h"
#include "runtime/weights/gguf.h"
#include "tests/runtime/failing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define GOLDEN "tests/golden/gguf/blocks.gguf"

static void open_golden(attn_weights *w, attn_memory *memory)
{
    attn_error err;
    attn_memory_init(memory, NULL, 0);
    if (attn_weights_open(w, GOLDEN, memory, &err)) fail_msg("%s", err.text);
    assert_non_null(w->gguf);
}

static void close_golden(attn_weights *w, attn_memory *memory)
{
    attn_weights_close(w);
    assert_int_equal(memory->used, 0);
}

/* ---- good files ---------------------------------------------------------------------------- */

static void test_every_type(void **state)
{
    (void)state;
    attn_memory memory;
    attn_weights w;
    attn_error err;
    open_golden(&w, &memory);
    int compared = 0;
    for (size_t i = 0; i < w.count; i++) {
        char name[64];
        const attn_weight *weight = &w.list[i];
        snprintf(name, sizeof name, "%s.f32", weight->name);
        const attn_weight *expected = attn_weights_find(&w, name);
        if (!expected) continue;
        size_t count;
        float values[2048], part[2048];
        assert_true(attn_product(weight->dim, weight->rank, &count) && count <= 2048);
        assert_int_equal(expected->bytes, count * 4);
        assert_string_equal(attn_weight_check(weight, &err) ? err.text : "", "");
        attn_weight_to_f32(weight, 0, count, values);
        if (memcmp(values, expected->data, count * 4) != 0) fail_msg("%s differs", weight->name);
        /* Any range gives the same. */
        for (size_t from = 0; from < count; from += 7)
            for (size_t n = 1; n <= count - from; n = n * 3 + 1) {
                attn_weight_to_f32(weight, from, n, part);
                assert_memory_equal(part, values + from, n * 4);
            }
        if (weight->blocks) assert_string_equal(attn_weight_type(weight), weight->name);
        attn_weight_forget(weight, 3, count - 3);
        compared++;
    }
    assert_int_equal(compared, ATTN_BLOCK_KINDS + 2);
    close_golden(&w, &memory);
}

static void test_shapes_and_integers(void **state)
{
    (void)state;
    attn_memory memory;
    attn_weights w;
    attn_error err;
    float values[6];
    open_golden(&w, &memory);
    const attn_weight *f32 = attn_weights_find(&w, "F32");
    assert_int_equal(f32->rank, 3);
    assert_int_equal(f32->dim[0], 2);
    assert_int_equal(f32->dim[2], 4);
    attn_weight_to_f32(attn_weights_find(&w, "I32"), 0, 6, values);
    assert_true(values[0] == -3 && values[5] == 2);
    attn_weight_to_f32(attn_weights_find(&w, "I64"), 0, 6, values);
    assert_true(values[0] == -3 && values[5] == 2);
    const attn_weight *other = attn_weights_find(&w, "IQ4_NL");
    assert_string_equal(attn_weight_type(other), "IQ4_NL");
    assert_int_equal(attn_weight_check(other, &err), ATTN_BAD_MODEL);
    assert_non_null(strstr(err.text, GOLDEN ": tensor \"IQ4_NL\": IQ4_NL is not supported (F32, "));
    close_golden(&w, &memory);
}

static void test_metadata(void **state)
{
    static const struct {
        const char *key, *json;
    } cases[] = {
        {"general.architecture", "\"tiny\""},
        {"test.u8", "200"},
        {"test.i8", "-100"},
        {"test.u16", "60000"},
        {"test.i16", "-30000"},
        {"test.u32", "4000000000"},
        {"test.i32", "-2000000000"},
        {"test.f32", "0.10000000149011612"},
        {"test.u64", "4503599627370496"},
        {"test.i64", "-4503599627370496"},
        {"test.f64", "0.1"},
        {"test.flag", "true"},
        {"test.text", "\"Gr\xc3\xbc\xc3\x9f"
                      "e\""},
        {"test.texts", "[\"\",\"a\",\"Gr\xc3\xbc\xc3\x9f"
                       "e\"]"},
        {"test.numbers", "[1,2,3]"},
    };
    (void)state;
    attn_memory memory;
    attn_weights w;
    attn_error err;
    cJSON *json;
    open_golden(&w, &memory);
    assert_int_equal(w.gguf->version, 3);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const attn_gguf_value *v = attn_gguf_find(w.gguf, cases[i].key);
        cJSON *expected = cJSON_Parse(cases[i].json);
        assert_non_null(v);
        if (attn_gguf_json(w.gguf, v, 3, &json, &err)) fail_msg("%s", err.text);
        if (!cJSON_Compare(json, expected, true)) fail_msg("%s", cases[i].key);
        cJSON_Delete(json);
        cJSON_Delete(expected);
    }
    assert_null(attn_gguf_find(w.gguf, "test.none"));
    assert_int_equal(attn_gguf_json(w.gguf, attn_gguf_find(w.gguf, "test.nested"), 9, &json, &err),
                     ATTN_BAD_FILE);
    assert_string_equal(err.text, GOLDEN ": metadata \"test.nested\" is an array of arrays");
    assert_int_equal(attn_gguf_json(w.gguf, attn_gguf_find(w.gguf, "test.numbers"), 2, &json, &err),
                     ATTN_BAD_FILE);
    assert_string_equal(err.text, GOLDEN ": metadata \"test.numbers\" is an array of 3, expected "
                                         "at most 2");
    close_golden(&w, &memory);
}

/* ---- malformed files ------------------------------------------------------------------------- */

/* A small good file, and where its parts begin. */
typedef struct image {
    unsigned char data[2048];
    size_t size;
    struct {
        const char *name;
        size_t at;
    } mark[64];
    size_t marks;
} image;

static void mark(image *f, const char *name)
{
    f->mark[f->marks].name = name;
    f->mark[f->marks++].at = f->size;
}

static size_t find_mark(const image *f, const char *name)
{
    for (size_t i = 0; i < f->marks; i++)
        if (strcmp(f->mark[i].name, name) == 0) return f->mark[i].at;
    fail_msg("no mark %s", name);
    return 0;
}

static void put(unsigned char *at, size_t bytes, uint64_t value)
{
    for (size_t i = 0; i < bytes; i++) at[i] = (unsigned char)(value >> 8 * i);
}

static void add(image *f, size_t bytes, uint64_t value)
{
    put(f->data + f->size, bytes, value);
    f->size += bytes;
}

static void add_text(image *f, const char *text)
{
    add(f, 8, strlen(text));
    memcpy(f->data + f->size, text, strlen(text));
    f->size += strlen(text);
}

static void add_tensor(image *f, const char *name, size_t columns, size_t rows, uint32_t type,
                       size_t offset)
{
    add_text(f, name);
    add(f, 4, rows ? 2 : 1);
    add(f, 8, columns);
    if (rows) add(f, 8, rows);
    add(f, 4, type);
    add(f, 8, offset);
}

static void make_image(image *f)
{
    memset(f, 0, sizeof *f);
    memcpy(f->data, "GGUF", 4);
    f->size = 4;
    mark(f, "version");
    add(f, 4, 3);
    mark(f, "tensors");
    add(f, 8, 3);
    mark(f, "entries");
    add(f, 8, 6);
    mark(f, "key");
    add_text(f, "general.architecture");
    mark(f, "type");
    add(f, 4, ATTN_GGUF_TEXT);
    mark(f, "text");
    add_text(f, "tiny");
    mark(f, "key 2");
    add_text(f, "general.alignment");
    mark(f, "type 2");
    add(f, 4, ATTN_GGUF_U32);
    mark(f, "alignment");
    add(f, 4, 32);
    mark(f, "key 3");
    add_text(f, "flag");
    add(f, 4, ATTN_GGUF_BOOL);
    mark(f, "flag");
    add(f, 1, 1);
    mark(f, "key 4");
    add_text(f, "list");
    mark(f, "type 4");
    add(f, 4, ATTN_GGUF_ARRAY);
    mark(f, "element");
    add(f, 4, ATTN_GGUF_TEXT);
    mark(f, "count");
    add(f, 8, 2);
    mark(f, "text 1");
    add_text(f, "a");
    mark(f, "text 2");
    add_text(f, "bc");
    mark(f, "key 5");
    add_text(f, "nest");
    add(f, 4, ATTN_GGUF_ARRAY);
    mark(f, "nested element");
    add(f, 4, ATTN_GGUF_ARRAY);
    mark(f, "nested count");
    add(f, 8, 1);
    mark(f, "inner element");
    add(f, 4, ATTN_GGUF_U8);
    mark(f, "inner count");
    add(f, 8, 3);
    mark(f, "inner");
    add(f, 3, 0x030201);
    mark(f, "key 6");
    add_text(f, "numbers");
    add(f, 4, ATTN_GGUF_ARRAY);
    mark(f, "numbers element");
    add(f, 4, ATTN_GGUF_F32);
    mark(f, "numbers count");
    add(f, 8, 2);
    add(f, 8, 0);
    mark(f, "a");
    add_tensor(f, "a", 32, 2, 8, 0);
    mark(f, "b");
    add_tensor(f, "b", 3, 0, 0, 96);
    mark(f, "c");
    add_tensor(f, "c", 256, 1, 12, 128);
    mark(f, "end of list");
    f->size += (32 - f->size % 32) % 32;
    mark(f, "data");
    f->size += 128 + 144;
}

/* Bytes to change: at a mark plus an offset, so many of them. */
typedef struct mutation {
    const char *mark;
    int offset;
    size_t bytes;
    uint64_t value;
    const char *message; /* a part of the line */
} mutation;

enum { RANK = 9, SIZE = 13, TYPE = 29, OFFSET = 33 };
#define HUGE UINT64_MAX

static const mutation mutations[] = {
    {"version", -4, 1, 'X', "does not begin with \"GGUF\": not a GGUF file"},
    {"version", 0, 4, 0, "the header: version 0, only 2 and 3 are read"},
    {"version", 0, 4, 1, "the header: version 1, only 2 and 3 are read"},
    {"version", 0, 4, 4, "the header: version 4, only 2 and 3 are read"},
    {"version", 0, 4, 0x03000000, "version 0x03000000: a big-endian file; only little-endian"},
    {"tensors", 0, 8, HUGE, "tensors: 18446744073709551615 tensors need more than the"},
    {"tensors", 0, 8, 100, "tensors: 100 tensors need more than the"},
    {"tensors", 0, 8, 4, "tensor 4 of 4: the name is empty"},
    {"tensors", 0, 8, 2, ""}, /* fewer are no error: the data begins earlier */
    {"entries", 0, 8, HUGE, "the header: 18446744073709551615 metadata entries need more than"},
    {"entries", 0, 8, 1000, "the header: 1000 metadata entries need more than"},
    {"entries", 0, 8, 7, "tensor 1 of 3: the name of 562949953421312 bytes at byte 270"},
    {"entries", 0, 8, 5, "tensor \"numbers\": has 9 dimensions, at most 4 are read"},
    {"key", 0, 8, 0, "metadata 1 of 6: the key is empty"},
    {"key", 0, 8, HUGE, "metadata 1 of 6: the key of 18446744073709551615 bytes at byte 32 goes"},
    {"key", 0, 8, 5000, "metadata 1 of 6: the key of 5000 bytes at byte 32 goes beyond the end"},
    {"key", 9, 1, 0, "metadata 1 of 6: byte 1 of the key, 0x00, is no UTF-8 text"},
    {"key", 9, 1, 0xff, "metadata 1 of 6: byte 1 of the key, 0xff, is no UTF-8 text"},
    {"type", 0, 4, 13, "metadata 1 of 6 (general.architecture): type 13, expected one below 13"},
    {"type", 0, 4, HUGE, "(general.architecture): type 4294967295, expected one below 13"},
    {"type", 0, 4, ATTN_GGUF_ARRAY,
     "(general.architecture): 8750047072964575232 elements need more"},
    {"type", 0, 4, ATTN_GGUF_U8, "metadata 2 of 6: the key of"},
    {"text", 0, 8, HUGE, "(general.architecture): the text of 18446744073709551615 bytes at byte"},
    {"text", 0, 8, 4000, "(general.architecture): the text of 4000 bytes at byte 64 goes beyond"},
    {"key 2", 15, 1, 'X', ""}, /* another key: the default alignment is the same */
    {"type 2", 0, 4, ATTN_GGUF_I32, "metadata \"general.alignment\": is i32, expected u32"},
    {"type 2", 0, 4, ATTN_GGUF_F32, "metadata \"general.alignment\": is f32, expected u32"},
    {"alignment", 0, 4, 0, "metadata \"general.alignment\": is 0, expected a power of two up to"},
    {"alignment", 0, 4, 24, "metadata \"general.alignment\": is 24, expected a power of two up to"},
    {"alignment", 0, 4, HUGE, "metadata \"general.alignment\": is 4294967295, expected a power of"},
    {"alignment", 0, 4, 64, "tensor \"b\": its offset 96 is no multiple of the alignment 64"},
    {"alignment", 0, 4, 8,
     "tensor \"b\": begins at byte 96 of the data, but the tensors before "
     "it end at 72"},
    {"flag", 0, 1, 2, "metadata 3 of 6 (flag): a flag at byte"},
    {"key 3", 8, 4, 0x7473696c, "metadata: the key \"list\" stands there twice"},
    {"element", 0, 4, 99, "metadata 4 of 6 (list): type 99, expected one below 13"},
    {"element", 0, 4, ATTN_GGUF_ARRAY,
     "metadata 4 of 6 (list): 2615635083264 elements need more than"},
    {"count", 0, 8, HUGE, "metadata 4 of 6 (list): 18446744073709551615 texts need more than the"},
    {"count", 0, 8, 500, "metadata 4 of 6 (list): 500 texts need more than the"},
    {"count", 0, 8, 3, "metadata 5 of 6: the key of"},
    {"count", 0, 8, 0, "metadata 6 of 6: the key of 18847236096 bytes at byte 169"},
    {"text 1", 0, 8, HUGE, "metadata 4 of 6 (list): the text of 18446744073709551615 bytes"},
    {"text 2", 0, 8, 3000, "metadata 4 of 6 (list): the text of 3000 bytes at byte"},
    {"nested count", 0, 8, HUGE, "(nest): 18446744073709551615 arrays need more than"},
    {"nested count", 0, 8, 300, "(nest): 300 arrays need more than"},
    {"inner element", 0, 4, 77, "(nest): type 77, expected one below 13"},
    {"inner element", 0, 4, ATTN_GGUF_F64, "metadata 6 of 6: "},
    {"inner element", 0, 4, ATTN_GGUF_ARRAY, "(nest): type "},
    {"inner count", 0, 8, HUGE, "(nest): 18446744073709551615 elements need more than"},
    {"inner count", 0, 8, (uint64_t)1 << 61, "(nest): 2305843009213693952 elements need more"},
    {"numbers element", 0, 4, ATTN_GGUF_BOOL, "tensor 1 of 3: the name"},
    {"numbers count", 0, 8, HUGE, "(numbers): 18446744073709551615 elements need more than"},
    {"numbers count", 0, 8, (uint64_t)1 << 62, "(numbers): 4611686018427387904 elements need"},
    {"a", 0, 8, 0, "tensor 1 of 3: the name is empty"},
    {"a", 0, 8, 300, "tensor 1 of 3: the name has 300 bytes, at most 255 are read"},
    {"a", 0, 8, HUGE, "tensor 1 of 3: the name of 18446744073709551615 bytes at byte"},
    {"a", 8, 1, 0xc0, "tensor 1 of 3: byte 0 of the name, 0xc0, is no UTF-8 text"},
    {"a", 8, 1, 0, "tensor 1 of 3: byte 0 of the name, 0x00, is no UTF-8 text"},
    {"a", 8, 1, 'b', "two tensors have the name \"b\""},
    {"a", RANK, 4, 5, "tensor \"a\": has 5 dimensions, at most 4 are read"},
    {"a", RANK, 4, HUGE, "tensor \"a\": has 4294967295 dimensions, at most 4 are read"},
    {"a", SIZE, 8, 0, "tensor \"a\": a size is 0, expected a number in [1, 2^53]"},
    {"a", SIZE, 8, HUGE, "tensor \"a\": a size is 18446744073709551615, expected a number in"},
    {"a", SIZE, 8, 33, "tensor \"a\": its rows of 33 are no whole blocks of 32 (Q8_0)"},
    {"a", SIZE, 8, 64,
     "tensor \"b\": begins at byte 96 of the data, but the tensors before it end "
     "at 160"},
    {"a", SIZE, 8, (uint64_t)1 << 53,
     "tensor \"a\": its 19140298416324608 bytes at byte 0 of the "
     "data go beyond the end of the file, at 272"},
    {"a", TYPE, 4, 0,
     "tensor \"b\": begins at byte 96 of the data, but the tensors before it end "
     "at 256"},
    {"a", OFFSET, 8, 1, "tensor \"a\": its offset 1 is no multiple of the alignment 32"},
    {"a", OFFSET, 8, 96, "begins at byte 96 of the data, but the tensors before it end at 0"},
    {"a", OFFSET, 8, HUGE - 31, "tensor \"a\": its offset 18446744073709551584 is beyond the end"},
    {"b", OFFSET - 8, 8, 64,
     "tensor \"b\": begins at byte 64 of the data, but the tensors before "
     "it end at 96"},
    {"b", SIZE, 8, 12,
     "tensor \"c\": begins at byte 128 of the data, but the tensors before it "
     "end at 160"},
    {"b", SIZE, 8, (uint64_t)1 << 52,
     "tensor \"b\": its 18014398509481984 bytes at byte 96 of the"},
    {"c", SIZE, 8, 128, "tensor \"c\": its rows of 128 are no whole blocks of 256 (Q4_K)"},
    {"c", SIZE + 8, 8, 2,
     "tensor \"c\": its 288 bytes at byte 128 of the data go beyond the end "
     "of the file, at 272"},
    {"c", SIZE + 8, 8, (uint64_t)1 << 53,
     "tensor \"c\": its 1297036692682702848 bytes at byte 128"},
    {"c", OFFSET, 8, 160,
     "tensor \"c\": begins at byte 160 of the data, but the tensors before it "
     "end at 128"},
    {"c", OFFSET, 8, 32 * 1000, "tensor \"c\": its offset 32000 is beyond the end of the file at"},
};

static attn_status parse(const image *f, size_t size, attn_error *err)
{
    attn_memory memory;
    attn_arena arena;
    attn_gguf gguf;
    attn_weight *list;
    size_t count;
    unsigned char *exact = malloc(size ? size : 1); /* a sanitizer sees a read beyond it */
    assert_non_null(exact);
    memcpy(exact, f->data, size);
    attn_memory_init(&memory, NULL, 0);
    attn_arena_init(&arena, &memory);
    err->text[0] = 0;
    attn_status status = attn_gguf_parse("x.gguf", exact, size, &arena, &gguf, &list, &count, err);
    attn_arena_free(&arena);
    assert_int_equal(memory.used, 0);
    free(exact);
    if (status) {
        assert_int_equal(status, err->status);
        assert_memory_equal(err->text, "x.gguf: ", 8);
        assert_null(strchr(err->text, '\n'));
    }
    return status;
}

static void test_malformed(void **state)
{
    (void)state;
    static image f;
    attn_error err;
    make_image(&f);
    if (parse(&f, f.size, &err)) fail_msg("%s", err.text);
    size_t refused = 0;
    for (size_t i = 0; i < sizeof mutations / sizeof *mutations; i++) {
        const mutation *m = &mutations[i];
        make_image(&f);
        put(f.data + find_mark(&f, m->mark) + m->offset, m->bytes, m->value);
        attn_status status = parse(&f, f.size, &err);
        if ((status == ATTN_OK) != (*m->message == 0) || !strstr(err.text, m->message))
            fail_msg("%s%+d = %llu: \"%s\", expected \"%s\"", m->mark, m->offset,
                     (unsigned long long)m->value, err.text, m->message);
        refused += status != ATTN_OK;
    }
    assert_true(refused >= 60);
}

/* Cut off anywhere, it is refused, up to the end of the last tensor. */
static void test_truncated(void **state)
{
    (void)state;
    static image f;
    attn_error err;
    make_image(&f);
    for (size_t size = 0; size < f.size; size++)
        if (!parse(&f, size, &err)) fail_msg("%zu bytes are taken", size);
}

/* No single byte makes it read what is not there. */
static void test_every_byte(void **state)
{
    (void)state;
    static image f;
    attn_error err;
    make_image(&f);
    for (size_t at = 0; at < find_mark(&f, "data"); at++)
        for (int bit = 0; bit < 8; bit++) {
            f.data[at] ^= (unsigned char)(1 << bit);
            parse(&f, f.size, &err);
            f.data[at] ^= (unsigned char)(1 << bit);
        }
}

static void test_deep_arrays(void **state)
{
    (void)state;
    static image f;
    attn_error err;
    for (int depth = 1; depth <= 5; depth++) {
        memset(&f, 0, sizeof f);
        memcpy(f.data, "GGUF", 4);
        f.size = 4;
        add(&f, 4, 2);
        add(&f, 8, 0);
        add(&f, 8, 1);
        add_text(&f, "deep");
        add(&f, 4, ATTN_GGUF_ARRAY);
        for (int i = 1; i < depth; i++) {
            add(&f, 4, ATTN_GGUF_ARRAY);
            add(&f, 8, 1);
        }
        add(&f, 4, ATTN_GGUF_U8);
        add(&f, 8, 0);
        f.size += 64;
        attn_status status = parse(&f, f.size, &err);
        assert_int_equal(status, depth <= 4 ? ATTN_OK : ATTN_BAD_FILE);
        if (status)
            assert_string_equal(err.text,
                                "x.gguf: metadata 1 of 1 (deep): arrays nested deeper than 4");
    }
}

static void test_no_memory(void **state)
{
    (void)state;
    for (long n = 1;; n++) {
        attn_memory memory;
        attn_weights w;
        attn_error err;
        failing_begin(&memory, n, false);
        attn_status status = attn_weights_open(&w, GOLDEN, &memory, &err);
        failing_end();
        if (!status) attn_weights_close(&w);
        assert_int_equal(failing_state.live, 0);
        if (!status) break;
        assert_int_equal(status, ATTN_NO_MEMORY);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_type),  cmocka_unit_test(test_shapes_and_integers),
        cmocka_unit_test(test_metadata),    cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_truncated),   cmocka_unit_test(test_every_byte),
        cmocka_unit_test(test_deep_arrays), cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
