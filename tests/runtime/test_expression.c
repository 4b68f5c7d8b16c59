/* The grammar of runtime/expression.h: a table of texts with their values or messages. */
#include "tests/check.h"

#include "runtime/expression.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char config_text[] =
    "{\"size\": 16, \"half\": 0.5, \"name\": \"base\", \"flag\": true, \"off\": false, \"none\": "
    "null,"
    "\"list\": [1, 2, 3], \"same\": [1, 2, 3], \"other\": [1, 2], \"words\": [\"a\", \"b\"],"
    "\"nested\": [[1], [2]], \"objects\": [{\"a\": 1}], \"empty\": [], \"text\": \"\","
    "\"in_it\": 4, \"e5\": 6, \"vision\": {\"size\": 32, \"deep\": {\"er\": 7}}, \"\": 9}";
static const char defaults_text[] = "{\"size\": 1, \"extra\": 5, \"vision\": {\"more\": 8}}";

static bool has(void *user, const char *name, size_t length)
{
    (void)user;
    return length == 3 && memcmp(name, "w.b", 3) == 0;
}

typedef struct fixture {
    cJSON *config, *defaults;
    attn_scope scope;
} fixture;

static int setup(void **state)
{
    static fixture f;
    attn_error err;
    f = (fixture){0};
    assert_int_equal(
        attn_json_parse("config.json", config_text, sizeof config_text - 1, &f.config, &err), 0);
    assert_int_equal(
        attn_json_parse("defaults", defaults_text, sizeof defaults_text - 1, &f.defaults, &err), 0);
    f.scope = (attn_scope){.config_name = "config.json",
                           .config = f.config,
                           .defaults = f.defaults,
                           .named = 2,
                           .name = {{"i", {.kind = ATTN_EXPR_NUMBER, .number = 3}},
                                    {"i", {.kind = ATTN_EXPR_NUMBER, .number = 5}}},
                           .has = has};
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    cJSON_Delete(f->config);
    cJSON_Delete(f->defaults);
    return 0;
}

static void values(void **state)
{
    const fixture *f = *state;
    static const struct {
        const char *text;
        attn_expr_kind kind;
        double number;
    } rows[] = {
        {"1", ATTN_EXPR_NUMBER, 1},
        {" 1.5e2\t", ATTN_EXPR_NUMBER, 150},
        {"1e-3", ATTN_EXPR_NUMBER, 0.001},
        {"2 + 3 * 4", ATTN_EXPR_NUMBER, 14},
        {"(2 + 3) * 4", ATTN_EXPR_NUMBER, 20},
        {"10 - 4 - 3", ATTN_EXPR_NUMBER, 3},
        {"24 / 4 / 2", ATTN_EXPR_NUMBER, 3},
        {"7 // 2", ATTN_EXPR_NUMBER, 3},
        {"-7 // 2", ATTN_EXPR_NUMBER, -4},
        {"-7 % 3", ATTN_EXPR_NUMBER, 2},
        {"7 % -3", ATTN_EXPR_NUMBER, -2},
        {"9007199254740991 % 3", ATTN_EXPR_NUMBER, 1},
        {"2 * -3", ATTN_EXPR_NUMBER, -6},
        {"--3", ATTN_EXPR_NUMBER, 3},
        {"1 - -1", ATTN_EXPR_NUMBER, 2},
        {"size", ATTN_EXPR_NUMBER, 16},
        {"extra", ATTN_EXPR_NUMBER, 5},
        {"in_it", ATTN_EXPR_NUMBER, 4},
        {"e5", ATTN_EXPR_NUMBER, 6},
        {"vision.size", ATTN_EXPR_NUMBER, 32},
        {"vision.deep.er", ATTN_EXPR_NUMBER, 7},
        {"vision.more", ATTN_EXPR_NUMBER, 8},
        {"i", ATTN_EXPR_NUMBER, 5},
        {"i * size", ATTN_EXPR_NUMBER, 80},
        {"size / 4 if size > 8 else 1", ATTN_EXPR_NUMBER, 4},
        {"1 if off else 2 if off else 3", ATTN_EXPR_NUMBER, 3},
        {"(1 if flag else 2) + 1", ATTN_EXPR_NUMBER, 2},
        {"1 if flag else 2 + 1", ATTN_EXPR_NUMBER, 1},
        {"1 if flag else missing", ATTN_EXPR_NUMBER, 1},
        {"missing if off else 2", ATTN_EXPR_NUMBER, 2},
        {"1 / 0 if off else 2", ATTN_EXPR_NUMBER, 2},
        {"list[9] if off else list[0]", ATTN_EXPR_NUMBER, 1},
        {"min(3, 1, 2)", ATTN_EXPR_NUMBER, 1},
        {"max(3, size, 2)", ATTN_EXPR_NUMBER, 16},
        {"min(4)", ATTN_EXPR_NUMBER, 4},
        {"floor(2.7) + ceil(2.1)", ATTN_EXPR_NUMBER, 5},
        {"floor(-0.5)", ATTN_EXPR_NUMBER, -1},
        {"sqrt(size)", ATTN_EXPR_NUMBER, 4},
        {"len(list)", ATTN_EXPR_NUMBER, 3},
        {"len(empty)", ATTN_EXPR_NUMBER, 0},
        {"len(name)", ATTN_EXPR_NUMBER, 4},
        {"len('abc')", ATTN_EXPR_NUMBER, 3},
        {"list[0]", ATTN_EXPR_NUMBER, 1},
        {"list[-1]", ATTN_EXPR_NUMBER, 3},
        {"list[len(list) - 1]", ATTN_EXPR_NUMBER, 3},
        {"list[list[0]]", ATTN_EXPR_NUMBER, 2},
        {"nested[1][0]", ATTN_EXPR_NUMBER, 2},
        {"flag + 1", ATTN_EXPR_NUMBER, 2},
        {"true", ATTN_EXPR_BOOL, 1},
        {"false", ATTN_EXPR_BOOL, 0},
        {"off", ATTN_EXPR_BOOL, 0},
        {"null", ATTN_EXPR_NULL, 0},
        {"none", ATTN_EXPR_NULL, 0},
        {"none == null", ATTN_EXPR_BOOL, 1},
        {"1 == 1.0", ATTN_EXPR_BOOL, 1},
        {"flag == 1", ATTN_EXPR_BOOL, 1},
        {"1 != 2", ATTN_EXPR_BOOL, 1},
        {"2 <= 2", ATTN_EXPR_BOOL, 1},
        {"2 < 2", ATTN_EXPR_BOOL, 0},
        {"3 >= 4", ATTN_EXPR_BOOL, 0},
        {"4 > 3", ATTN_EXPR_BOOL, 1},
        {"name == 'base'", ATTN_EXPR_BOOL, 1},
        {"name != 'base'", ATTN_EXPR_BOOL, 0},
        {"name == 'bas'", ATTN_EXPR_BOOL, 0},
        {"name == 1", ATTN_EXPR_BOOL, 0},
        {"'' == text", ATTN_EXPR_BOOL, 1},
        {"list == same", ATTN_EXPR_BOOL, 1},
        {"list == list", ATTN_EXPR_BOOL, 1},
        {"list == other", ATTN_EXPR_BOOL, 0},
        {"other == list", ATTN_EXPR_BOOL, 0},
        {"objects == objects", ATTN_EXPR_BOOL, 1},
        {"vision == list", ATTN_EXPR_BOOL, 0},
        {"2 in list", ATTN_EXPR_BOOL, 1},
        {"4 in list", ATTN_EXPR_BOOL, 0},
        {"1 in empty", ATTN_EXPR_BOOL, 0},
        {"'b' in words", ATTN_EXPR_BOOL, 1},
        {"'as' in name", ATTN_EXPR_BOOL, 1},
        {"'bases' in name", ATTN_EXPR_BOOL, 0},
        {"name in 'base'", ATTN_EXPR_BOOL, 1},
        {"'' in text", ATTN_EXPR_BOOL, 1},
        {"'a' in none", ATTN_EXPR_BOOL, 0},
        {"2 in null", ATTN_EXPR_BOOL, 0},
        {"not 2 in list", ATTN_EXPR_BOOL, 0},
        {"not not flag", ATTN_EXPR_BOOL, 1},
        {"not flag == off", ATTN_EXPR_BOOL, 1},
        {"flag and 2", ATTN_EXPR_BOOL, 1},
        {"off or off or 3", ATTN_EXPR_BOOL, 1},
        {"true or false and false", ATTN_EXPR_BOOL, 1},
        {"(true or false) and false", ATTN_EXPR_BOOL, 0},
        {"off and missing", ATTN_EXPR_BOOL, 0},
        {"flag or missing", ATTN_EXPR_BOOL, 1},
        {"off and 1 / 0 > 1", ATTN_EXPR_BOOL, 0},
        {"off and missing.size[3] + len(missing) > sqrt(-1)", ATTN_EXPR_BOOL, 0},
        {"off or text or empty or none", ATTN_EXPR_BOOL, 0},
        {"flag and list and name", ATTN_EXPR_BOOL, 1},
        {"has('w.b')", ATTN_EXPR_BOOL, 1},
        {"not has('w')", ATTN_EXPR_BOOL, 1},
        {"given('size')", ATTN_EXPR_BOOL, 1},
        {"given('none')", ATTN_EXPR_BOOL, 0},
        {"given('missing')", ATTN_EXPR_BOOL, 0},
        {"given('vision.size')", ATTN_EXPR_BOOL, 1},
        {"given('vision.size.x')", ATTN_EXPR_BOOL, 0},
        {"given('extra')", ATTN_EXPR_BOOL, 1},
        {"given('missing') and missing > 3", ATTN_EXPR_BOOL, 0},
        {"get('size', 1)", ATTN_EXPR_NUMBER, 16},
        {"get('size', missing)", ATTN_EXPR_NUMBER, 16},
        {"get('size', 1 / 0)", ATTN_EXPR_NUMBER, 16},
        {"get('missing', size / 2) + 1", ATTN_EXPR_NUMBER, 9},
        {"get('none', 4)", ATTN_EXPR_NUMBER, 4},
        {"get('off', true)", ATTN_EXPR_BOOL, 0},
        {"get('vision.deep.er', 1)", ATTN_EXPR_NUMBER, 7},
        {"get('missing.deep', get('none', get('extra', 1)))", ATTN_EXPR_NUMBER, 5},
        {"get('missing', list)[1]", ATTN_EXPR_NUMBER, 2},
        {"get(name, 3)", ATTN_EXPR_NUMBER, 3},
        {"get('missing', null)", ATTN_EXPR_NULL, 0},
        {"get('missing', missing) if off else 2", ATTN_EXPR_NUMBER, 2},
        {"name", ATTN_EXPR_TEXT, 0},
        {"'a' if flag else 'b'", ATTN_EXPR_TEXT, 0},
        {"list", ATTN_EXPR_JSON, 0},
        {"vision", ATTN_EXPR_JSON, 0},
        {"((((((((((1))))))))))", ATTN_EXPR_NUMBER, 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        attn_expr_value v;
        attn_error err = {0};
        if (attn_evaluate(&f->scope, rows[i].text, &v, &err))
            fail_msg("%s: %s", rows[i].text, err.text);
        if (v.kind != rows[i].kind) fail_msg("%s: kind %d", rows[i].text, (int)v.kind);
        if (v.kind <= ATTN_EXPR_BOOL && v.kind != ATTN_EXPR_NULL && v.number != rows[i].number)
            fail_msg("%s is %g, not %g", rows[i].text, v.number, rows[i].number);
    }
}

static void texts(void **state)
{
    const fixture *f = *state;
    attn_expr_value v;
    assert_int_equal(attn_evaluate(&f->scope, "'a b' if flag else 'c'", &v, NULL), 0);
    assert_int_equal(v.length, 3);
    assert_memory_equal(v.text, "a b", 3);
    assert_int_equal(attn_evaluate(&f->scope, "words[-1]", &v, NULL), 0);
    assert_int_equal(v.length, 1);
    assert_memory_equal(v.text, "b", 1);
}

static void refused(void **state)
{
    const fixture *f = *state;
    static const struct {
        const char *text, *message;
    } rows[] = {
        {"", "ends too early at character 1"},
        {"   ", "ends too early at character 4"},
        {"1 +", "ends too early at character 4"},
        {"1 2", "unexpected text at character 3"},
        {"(1", "a ) is missing at character 3"},
        {"1)", "unexpected text at character 2"},
        {"list[1", "a ] is missing"},
        {"list[3]", "no such entry of the list"},
        {"list[-4]", "no such entry of the list"},
        {"list[0.5]", "no such entry of the list"},
        {"list['a']", "a number is needed"},
        {"size[0]", "only a list has [ ]"},
        {"vision[0]", "only a list has [ ]"},
        {"name + 1", "a number is needed"},
        {"1 + name", "a number is needed"},
        {"-name", "a number is needed"},
        {"list * 2", "a number is needed"},
        {"name < 'z'", "a number is needed"},
        {"none + 1", "a number is needed"},
        {"1 / 0", "division by zero"},
        {"1 // (size - 16)", "division by zero"},
        {"1 % 0", "division by zero"},
        {"1e308 * 10", "the result is no finite number"},
        {"1e999", "the result is no finite number"},
        {"-1e308 - 1e308", "the result is no finite number"},
        {"sqrt(-1)", "the result is no finite number"},
        {"inf", "the config value \"inf\" is needed, and neither config.json nor"},
        {"nan", "the config value \"nan\" is needed"},
        {"missing", "\"missing\": the config value \"missing\" is needed"},
        {"vision.missing", "the config value \"vision.missing\""},
        {"flag and missing", "the config value \"missing\""},
        {"1 if missing else 2", "the config value \"missing\""},
        {"missing if flag else 2", "the config value \"missing\""},
        {"Size", "the config value \"Size\""},
        {"1 if flag", "an \"else\" is missing"},
        {"1 if off", "an \"else\" is missing"},
        {"if", "the config value \"if\""},
        {"1 in size", "\"in\" needs a list"},
        {"1 in name", "\"in\" needs a list"},
        {"foo(1)", "there is no function \"foo\""},
        {"off and foo(1)", "there is no function \"foo\""},
        {"min()", "a value is expected"},
        {"min(1 2)", "a ) is missing"},
        {"sqrt(1, 2)", "a ) is missing"},
        {"min('a', 1)", "a number is needed"},
        {"len(1)", "len needs a list or a text"},
        {"has(w)", "the config value \"w\""},
        {"has(size)", "a text in single quotes is needed"},
        {"given(1)", "a text in single quotes is needed"},
        {"get(1, 2)", "a text in single quotes is needed"},
        {"get('size')", "get needs a second value, for where there is none,"},
        {"get('missing', missing)", "the config value \"missing\""},
        {"get('size', 1, 2)", "a ) is missing"},
        {"get('size', )", "a value is expected"},
        {"'open", "this text does not end at character 1"},
        {"\"a\"", "a value is expected at character 1"},
        {"0x10", "unexpected text at character 2"},
        {"1e", "this is no number"},
        {"1.2.3", "this is no number"},
        {"1e5e5", "this is no number"},
        {".5", "a value is expected"},
        {"1 = 1", "unexpected text"},
        {"1 & 1", "unexpected text"},
        {"1; 2", "unexpected text"},
        {"1\n2", "unexpected text"},
        {"+1", "a value is expected"},
        {"1 < 2 < 3", "unexpected text"},
        {"not", "ends too early"},
        {"size.", "unexpected text"},
        {"$x", "a value is expected"},
        {"\xc3\xa9", "a value is expected"},
        {"((((((((((((1))))))))))))", "nested too deeply"},
        {"list[list[list[list[list[list[list[list[list[list[list[list[0]]]]]]]]]]]]",
         "nested too deeply"},
        {"111111111111111111111111111111111111111111111111111111111111111111", "too long"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        attn_expr_value v;
        attn_error err = {0};
        attn_status status = attn_evaluate(&f->scope, rows[i].text, &v, &err);
        if (status != ATTN_BAD_MODEL) fail_msg("%s: status %d", rows[i].text, (int)status);
        if (!strstr(err.text, rows[i].message) || !strstr(err.text, "expression \""))
            fail_msg("%s: \"%s\" does not say \"%s\"", rows[i].text, err.text, rows[i].message);
        assert_null(strchr(err.text, '\n'));
    }
}

static void long_texts(void **state)
{
    const fixture *f = *state;
    attn_expr_value v;
    attn_error err;
    char text[1024];
    memset(text, ' ', sizeof text);
    text[0] = '1';
    text[400] = 0;
    assert_int_equal(attn_evaluate(&f->scope, text, &v, &err), ATTN_OK);
    text[400] = ' ';
    text[401] = 0;
    assert_int_equal(attn_evaluate(&f->scope, text, &v, &err), ATTN_BAD_MODEL);
    assert_non_null(strstr(err.text, "longer than 400 characters"));
    memset(text, 'n', 399);
    text[399] = 0;
    assert_int_equal(attn_evaluate(&f->scope, text, &v, &err), ATTN_BAD_MODEL);
    assert_non_null(strstr(err.text, "name is too long"));
    memset(text, '-', 399);
    text[398] = '1';
    assert_int_equal(attn_evaluate(&f->scope, text, &v, &err), ATTN_OK);
    assert_true(v.number == 1);
}

/* Any text: no crash, and an error is one line. Printable pieces of the grammar at random. */
static void random_texts(void **state)
{
    const fixture *f = *state;
    static const char *const pieces[] = {"1",      "2.5",    "size", "list",   "name", "missing",
                                         "'t'",    "(",      ")",    "[",      "]",    ",",
                                         "+",      "-",      "*",    "/",      "//",   "%",
                                         "==",     "!=",     "<",    ">",      " in ", " and ",
                                         " or ",   " not ",  " if ", " else ", "min(", "len(",
                                         "has(",   "given(", "get(", "true",   "null", ".",
                                         "vision", "'"};
    unsigned seed = 1;
    size_t fine = 0;
    for (int round = 0; round < 20000; round++) {
        char text[300] = "";
        size_t used = 0;
        seed = seed * 1664525u + 1013904223u;
        for (unsigned n = seed >> 28; n < 24; n++) {
            seed = seed * 1664525u + 1013904223u;
            const char *piece = pieces[(seed >> 8) % (sizeof pieces / sizeof *pieces)];
            used += (size_t)snprintf(text + used, sizeof text - used, "%s", piece);
        }
        attn_expr_value v;
        attn_error err = {0};
        if (attn_evaluate(&f->scope, text + used / 2 * (seed & 1), &v, &err) == ATTN_OK) {
            fine++;
            assert_true(v.kind != ATTN_EXPR_NUMBER || isfinite(v.number));
        } else {
            assert_true(err.text[0] != 0);
        }
    }
    assert_true(fine < 20000);
}

/* The bound on the work of all expressions of a description. */
static void work(void **state)
{
    fixture *f = *state;
    size_t looked = 0;
    attn_expr_value v;
    attn_error err;
    attn_scope scope = f->scope;
    scope.work = &looked;
    assert_int_equal(attn_evaluate(&scope, "2 in list and extra > 1", &v, &err), ATTN_OK);
    assert_true(looked >= 6 && looked < 100);
    looked = ATTN_MAX_WORK + 1;
    assert_int_equal(attn_evaluate(&scope, "size", &v, &err), ATTN_BAD_MODEL);
    assert_non_null(strstr(err.text, "too many entries"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values),     cmocka_unit_test(texts),        cmocka_unit_test(refused),
        cmocka_unit_test(long_texts), cmocka_unit_test(random_texts), cmocka_unit_test(work),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
