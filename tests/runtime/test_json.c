/* JSON: what attn_json_parse refuses beyond cJSON, and its small helpers. */
#define _POSIX_C_SOURCE 200809L

#include "runtime/json.h"
#include "tests/runtime/failing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* From an exact-size copy, not terminated: ASan sees a read beyond it. */
static attn_status parse(const char *text, size_t length, cJSON **out, attn_error *err)
{
    char *copy = malloc(length ? length : 1);
    assert_non_null(copy);
    if (length) memcpy(copy, text, length);
    attn_status status = attn_json_parse("file.json", copy, length, out, err);
    free(copy);
    return status;
}

static cJSON *parse_good(const char *text)
{
    cJSON *out;
    attn_error err;
    if (parse(text, strlen(text), &out, &err)) fail_msg("%s: %s", text, err.text);
    return out;
}

static void expect_bad(const char *text, size_t length, attn_status status, const char *part)
{
    cJSON *out = (cJSON *)&status;
    attn_error err = {0};
    if (parse(text, length, &out, &err) != status || err.status != status)
        fail_msg("\"%s\": %s", text, err.text);
    assert_null(out);
    if (!strstr(err.text, part) || !strstr(err.text, "file.json"))
        fail_msg("\"%s\" does not name \"%s\"", err.text, part);
    assert_null(strchr(err.text, '\n'));
}

static void test_good(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{}",
        " [] \r\n\t",
        "1",
        "-1.5e-3",
        "true",
        "null",
        "\"\"",
        "\xef\xbb\xbf{}",
        "{\"a\":{\"a\":1},\"b\":[{\"a\":1},{\"a\":2}]}",
        "\"\\u00e9\\ud83d\\ude00\\n\\\\u0000\\\"\"",
        "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\x7f\"",
        "{\"A\":1,\"a\":2}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) cJSON_Delete(parse_good(texts[i]));
    cJSON *text = parse_good(texts[9]);
    assert_string_equal(text->valuestring, "\xc3\xa9\xf0\x9f\x98\x80\n\\u0000\"");
    cJSON_Delete(text);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *part;
    } bad[] = {
        {"", "not valid JSON"},
        {" ", "not valid JSON"},
        {"{\"a\":1,", "not valid JSON"},
        {"{\"a\":1", "not valid JSON"},
        {"{\"a\"", "not valid JSON"},
        {"{\"a", "not valid JSON"},
        {"[1,", "not valid JSON"},
        {"[1", "not valid JSON"},
        {"[", "not valid JSON"},
        {"-", "not valid JSON"},
        {"nul", "not valid JSON"},
        {"NaN", "not valid JSON"},
        {"Infinity", "not valid JSON"},
        {"{a:1}", "not valid JSON near \":1}\""},
        {"{\"a\":1,}", "not valid JSON"},
        {"[1 2]", "not valid JSON"},
        {"{\n\"a\": 1,\n\"b\": x\n}", "line 3"},
        {"{} {}", "text after the JSON value: \"{}\""},
        {"1\n\n2", "line 3: text after"},
        {"{}/* */", "text after"},
        {"\"\\x41\"", "not valid JSON"},
        {"\"\\ud800\"", "not valid JSON"},
        {"\"\\udc00\"", "not valid JSON"},
        {"\"\\u0000\"", "a zero character"},
        {"\"a\n\\u00zz\"", "control character"},
        {"\"\\u00zz\"", "four hexadecimal digits"},
        {"\"\\u00", "ends within an escape"},
        {"\"\\", "ends within an escape"},
        {"\"a\tb\"", "line 1: a control character"},
        {"{\n\v}", "line 2: a control character"},
        {"\"\x80\"", "byte 0x80 is not UTF-8"},
        {"\"\xc0\x80\"", "byte 0xc0 is not UTF-8"},
        {"\"\xc3", "byte 0xc3 is not UTF-8"},
        {"\"\xc3\"", "byte 0xc3 is not UTF-8"},
        {"\"\xe0\x80\x80\"", "byte 0xe0 is not UTF-8"},
        {"\"\xed\xa0\x80\"", "byte 0xed is not UTF-8"},
        {"\"\xf0\x80\x80\x80\"", "byte 0xf0 is not UTF-8"},
        {"\"\xf4\x90\x80\x80\"", "byte 0xf4 is not UTF-8"},
        {"\"\xf5\x80\x80\x80\"", "byte 0xf5 is not UTF-8"},
        {"\"\xe2\x82\"", "byte 0xe2 is not UTF-8"},
        {"{\"a\":1,\"b\":2,\"a\":3}", "key \"a\" stands twice"},
        {"[{\"x\":{\"k\":1,\"\\u006b\":2}}]", "key \"k\" stands twice"},
        {"1e999", "too large"},
        {"{\"a\":[-1e999]}", "too large"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        expect_bad(bad[i].text, strlen(bad[i].text), ATTN_BAD_FILE, bad[i].part);
    expect_bad("\"a\0b\"", 5, ATTN_BAD_FILE, "byte 0x00");
    expect_bad("{}\0", 3, ATTN_BAD_FILE, "byte 0x00");
}

static void test_depth(void **state)
{
    (void)state;
    char text[3 * ATTN_JSON_MAX_DEPTH + 8];
    for (int depth = ATTN_JSON_MAX_DEPTH; depth <= ATTN_JSON_MAX_DEPTH + 1; depth++) {
        memset(text, '[', (size_t)depth);
        memset(text + depth, ']', (size_t)depth);
        text[2 * depth] = 0;
        if (depth > ATTN_JSON_MAX_DEPTH)
            expect_bad(text, strlen(text), ATTN_BAD_FILE, "deeper than 64");
        else
            cJSON_Delete(parse_good(text));
    }
    /* Brackets in a text nest nothing. */
    memset(text, '[', sizeof text);
    text[0] = text[100] = '"';
    text[101] = 0;
    cJSON_Delete(parse_good(text));
}

static void test_size(void **state)
{
    (void)state;
    char *text = malloc(ATTN_JSON_MAX_BYTES + 1);
    assert_non_null(text);
    memset(text, ' ', ATTN_JSON_MAX_BYTES + 1);
    text[0] = '1';
    cJSON *out;
    attn_error err;
    assert_int_equal(attn_json_parse("f", text, ATTN_JSON_MAX_BYTES, &out, &err), ATTN_OK);
    cJSON_Delete(out);
    assert_int_equal(attn_json_parse("f", text, ATTN_JSON_MAX_BYTES + 1, &out, &err), ATTN_LIMIT);
    assert_non_null(strstr(err.text, "16777217 bytes"));
    assert_null(out);
    free(text);
}

static void test_read(void **state)
{
    (void)state;
    char path[] = "/tmp/attn_json_XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "{\"a\":\n[}", 8), 8);
    close(fd);
    cJSON *out;
    attn_error err;
    assert_int_equal(attn_json_read(path, &out, &err), ATTN_BAD_FILE);
    assert_non_null(strstr(err.text, path));
    assert_non_null(strstr(err.text, "line 2"));
    unlink(path);
    assert_int_equal(attn_json_read(path, &out, &err), ATTN_IO);
    assert_null(out);
}

static void test_get(void **state)
{
    (void)state;
    cJSON *object = parse_good("{\"Key\":1,\"key\":2}");
    assert_true(attn_json_get(object, "key")->valuedouble == 2);
    assert_true(attn_json_get(object, "Key")->valuedouble == 1);
    assert_null(attn_json_get(object, "KEY"));
    assert_null(attn_json_get(object->child, "key"));
    assert_null(attn_json_get(NULL, "key"));
    cJSON_Delete(object);
}

static void test_integer(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is_integer;
    } numbers[] = {
        {"0", true},
        {"-5", true},
        {"1e3", true},
        {"2.0", true},
        {"1.5", false},
        {"1e17", false},
        {"\"3\"", false},
        {"true", false},
        {"null", false},
        {"9007199254740992", true},
        {"9007199254740994", false},
        {"1e300", false},
        {"-9007199254740994", false},
    };
    double value;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        cJSON *item = parse_good(numbers[i].text);
        assert_int_equal(attn_json_integer(item, -1e18, 1e18, &value), numbers[i].is_integer);
        if (numbers[i].is_integer) assert_true(value == item->valuedouble);
        cJSON_Delete(item);
    }
    cJSON *ten = parse_good("10");
    assert_true(attn_json_integer(ten, 10, 10, &value));
    assert_false(attn_json_integer(ten, 11, 20, &value));
    assert_false(attn_json_integer(ten, 0, 9, &value));
    assert_false(attn_json_integer(NULL, 0, 9, &value));
    cJSON_Delete(ten);
}

static void test_show(void **state)
{
    (void)state;
    static const struct {
        const char *text, *kind, *shown;
    } values[] = {
        {"1.5", "a number", "1.5"},       {"-3", "a number", "-3"},
        {"\"x\"", "a text", "\"x\""},     {"true", "a flag", "true"},
        {"false", "a flag", "false"},     {"[1]", "a list", "a list"},
        {"{}", "an object", "an object"}, {"null", "null", "null"},
    };
    attn_json_text buffer;
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        cJSON *item = parse_good(values[i].text);
        assert_string_equal(attn_json_kind(item), values[i].kind);
        assert_string_equal(attn_json_show(&buffer, item), values[i].shown);
        cJSON_Delete(item);
    }
    assert_string_equal(attn_json_kind(NULL), "nothing");
    assert_string_equal(attn_json_show(&buffer, NULL), "nothing");
    char text[300];
    memset(text, 'x', sizeof text);
    text[0] = text[298] = '"';
    text[299] = 0;
    cJSON *item = parse_good(text);
    assert_int_equal(strlen(attn_json_show(&buffer, item)), 82);
    cJSON_Delete(item);
}

static void test_locale(void **state)
{
    (void)state;
    if (!setlocale(LC_NUMERIC, "de_DE.UTF-8")) {
        print_message("SKIP: no locale with a decimal comma is installed\n");
        skip();
    }
    cJSON *item = parse_good("1.5");
    setlocale(LC_NUMERIC, "C");
    assert_true(item->valuedouble == 1.5);
    cJSON_Delete(item);
}

static void test_failing_allocations(void **state)
{
    (void)state;
    const char *text = "{\"a\":[1,{\"b\":\"text\",\"c\":null}],\"d\":{\"e\":{\"f\":1,\"g\":2}}}";
    for (int go_on = 0; go_on < 2; go_on++) {
        attn_status status = ATTN_IO;
        for (long n = 1; status; n++) {
            attn_memory unused;
            attn_error err = {0};
            cJSON *out;
            failing_begin(&unused, n, go_on);
            status = attn_json_parse("f", text, strlen(text), &out, &err);
            assert_true(status ? out == NULL && err.text[0] : failing_state.requests < n);
            cJSON_Delete(out);
            failing_end();
            assert_int_equal(failing_state.live, 0);
            assert_true(n < 1000);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),    cmocka_unit_test(test_refused),
        cmocka_unit_test(test_depth),   cmocka_unit_test(test_size),
        cmocka_unit_test(test_read),    cmocka_unit_test(test_get),
        cmocka_unit_test(test_integer), cmocka_unit_test(test_show),
        cmocka_unit_test(test_locale),  cmocka_unit_test(test_failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
