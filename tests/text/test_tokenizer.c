/* Every part of tokenizer.json against the values of the `tokenizers` library:
 * tests/golden/tokenizer holds the files' parts and what the library makes of a few texts
 * (make_tokenizers.py). */
#include "runtime/inputs/tokenizer/tokenizer.h"
#include "tests/check.h"
#include "tests/runtime/failing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static cJSON *read_golden(const char *path)
{
    cJSON *root;
    attn_error err = {0};
    if (attn_json_read(path, &root, &err)) fail_msg("%s", err.text);
    return root;
}

/* An absent list: `usual` everywhere. */
static void expect_list(const char *name, const cJSON *c, const char *key, const int32_t *got,
                        size_t count, int32_t usual)
{
    const cJSON *list = attn_json_get(c, key);
    for (size_t i = 0; i < count && !list; i++)
        if (got[i] != usual)
            fail_msg("%s: \"%s\": %s[%zu]: %ld instead of %ld", name,
                     attn_json_get(c, "text")->valuestring, key, i, (long)got[i], (long)usual);
    if (!list) return;
    if ((size_t)cJSON_GetArraySize(list) != count)
        fail_msg("%s: \"%s\": %s: %zu instead of %d", name, attn_json_get(c, "text")->valuestring,
                 key, count, cJSON_GetArraySize(list));
    size_t i = 0;
    for (const cJSON *item = list->child; item; item = item->next, i++)
        if (got[i] != (int32_t)item->valuedouble)
            fail_msg("%s: \"%s\": %s[%zu]: %ld instead of %.0f", name,
                     attn_json_get(c, "text")->valuestring, key, i, (long)got[i],
                     item->valuedouble);
}

static void expect_offsets(const char *name, const cJSON *c, const attn_encoding *e)
{
    size_t i = 0;
    for (const cJSON *item = attn_json_get(c, "offsets")->child; item; item = item->next, i++)
        if ((double)e->offset[i][0] != item->child->valuedouble ||
            (double)e->offset[i][1] != item->child->next->valuedouble)
            fail_msg("%s: \"%s\": offset %zu: %zu..%zu instead of %.0f..%.0f", name,
                     attn_json_get(c, "text")->valuestring, i, e->offset[i][0], e->offset[i][1],
                     item->child->valuedouble, item->child->next->valuedouble);
}

static void expect_text(const attn_tokenizer *t, const char *name, const cJSON *c, const char *key,
                        bool skip)
{
    const cJSON *want = attn_json_get(c, key), *list = attn_json_get(c, "ids");
    if (!want) want = attn_json_get(c, "decoded");
    if (!list) list = attn_json_get(c, "decode");
    int32_t ids[256];
    size_t count = 0, length;
    char *text;
    attn_error err = {0};
    for (const cJSON *item = list->child; item && count < 256; item = item->next)
        ids[count++] = (int32_t)item->valuedouble;
    if (attn_tokenizer_decode(t, ids, count, skip, &text, &length, &err))
        fail_msg("%s: %s", name, err.text);
    if (strcmp(text, want->valuestring) != 0 || length != strlen(text))
        fail_msg("%s: %s: \"%s\" instead of \"%s\"", name, key, text, want->valuestring);
    attn_text_free(t, text);
}

static void run_case(const attn_tokenizer *t, const char *name, const cJSON *c)
{
    if (attn_json_get(c, "decode")) {
        expect_text(t, name, c, "decoded", true);
        return;
    }
    const char *text = attn_json_get(c, "text")->valuestring;
    const cJSON *pair = attn_json_get(c, "pair");
    const char *second = cJSON_IsString(pair) ? pair->valuestring : NULL;
    const attn_encode_options options = {.no_special =
                                             cJSON_IsFalse(attn_json_get(c, "add_special"))};
    attn_encoding e;
    attn_error err = {0};
    attn_status status = attn_tokenizer_encode(t, text, strlen(text), second,
                                               second ? strlen(second) : 0, &options, &e, &err);
    if (attn_json_get(c, "refused")) {
        if (!status || !strstr(err.text, "truncation")) fail_msg("%s: \"%s\"", name, text);
        return;
    }
    if (status) fail_msg("%s: \"%s\": %s", name, text, err.text);
    expect_list(name, c, "ids", e.ids, e.count, -1);
    expect_list(name, c, "type_ids", e.type_ids, e.count, 0);
    expect_list(name, c, "attention", e.attention, e.count, 1);
    expect_list(name, c, "special", e.special, e.count, 0);
    expect_list(name, c, "sequence", e.sequence, e.count, 0);
    expect_list(name, c, "word", e.word, e.count, -1);
    expect_offsets(name, c, &e);
    attn_encoding_free(t, &e);
    expect_text(t, name, c, "decoded", true);
    expect_text(t, name, c, "decoded_special", false);
}

/* The files share one vocabulary, which stands beside them. */
static void complete(cJSON *file, const cJSON *vocab)
{
    cJSON *model = cJSON_GetObjectItemCaseSensitive(file, "model");
    if (!cJSON_IsNull(attn_json_get(model, "vocab"))) return;
    cJSON_ReplaceItemInObjectCaseSensitive(model, "vocab", cJSON_Duplicate(vocab, true));
}

static void test_golden(void **state)
{
    (void)state;
    cJSON *parts = read_golden("tests/golden/tokenizer/parts.json");
    cJSON *expected = read_golden("tests/golden/tokenizer/expected.json");
    int files = 0, cases = 0;
    for (cJSON *file = cJSON_GetObjectItemCaseSensitive(parts, "files")->child; file;
         file = file->next, files++) {
        attn_tokenizer *t;
        attn_error err = {0};
        complete(file, attn_json_get(parts, "vocab"));
        if (attn_tokenizer_build(&t, file->string, file, NULL, &err)) fail_msg("%s", err.text);
        for (const cJSON *c = attn_json_get(expected, file->string)->child; c; c = c->next, cases++)
            run_case(t, file->string, c);
        attn_tokenizer_close(t);
    }
    assert_true(files > 60 && cases > 1000);
    cJSON_Delete(parts);
    cJSON_Delete(expected);
}

/* ---- texts that are long, and patterns that are hostile ---------------------------------------
 */

static attn_tokenizer *open_part(const char *name)
{
    cJSON *parts = read_golden("tests/golden/tokenizer/parts.json");
    cJSON *file =
        cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(parts, "files"), name);
    attn_tokenizer *t;
    attn_error err = {0};
    complete(file, attn_json_get(parts, "vocab"));
    if (attn_tokenizer_build(&t, name, file, NULL, &err)) fail_msg("%s", err.text);
    cJSON_Delete(parts);
    return t;
}

/* 400 KB of one piece again and again; a quadratic step would take minutes. */
static void test_long(void **state)
{
    static const char *const files[] = {"bert",       "nfkd",        "nfc",           "metaspace",
                                        "added",      "replace",     "split_qwen",    "roberta",
                                        "whitespace", "split_empty", "strip_accents", "digits"};
    static const char *const pieces[] = {"a",       " ",      "👩‍👩‍👧",
                                         "e\u0301", "\u0301", "a ",
                                         "[MASK]",  "  <y>",  "don't ",
                                         "東",      "ﬁ",      "1",
                                         "\xff",    "-",      "\n"};
    enum { LENGTH = 400 << 10 };
    (void)state;
    char *text = malloc(LENGTH);
    assert_non_null(text);
    size_t share = getenv("ATTN_TEST_BRIEF") ? LENGTH / 16 : LENGTH;
    for (size_t f = 0; f < sizeof files / sizeof *files; f++) {
        attn_tokenizer *t = open_part(files[f]);
        for (size_t p = 0; p < sizeof pieces / sizeof *pieces; p++) {
            size_t length = 0, bytes = strlen(pieces[p]);
            for (; length + bytes <= share; length += bytes)
                memcpy(text + length, pieces[p], bytes);
            attn_encoding e;
            attn_error err = {0};
            if (attn_tokenizer_encode(t, text, length, NULL, 0, NULL, &e, &err))
                fail_msg("%s of \"%s\": %s", files[f], pieces[p], err.text);
            attn_encoding_free(t, &e);
        }
        attn_tokenizer_close(t);
    }
    free(text);
}

static void test_hostile_patterns(void **state)
{
    static const char *const patterns[] = {
        "(a+)+$b", "(a|aa)+$b", "(?:a*)*c", "(a|b|ab)*c", "(.*a){20}c", "a*b", "(?:a?){40}a{40}c"};
    (void)state;
    for (size_t p = 0; p < sizeof patterns / sizeof *patterns; p++) {
        char json[512];
        snprintf(
            json, sizeof json,
            "{\"model\":{\"type\":\"WordLevel\",\"unk_token\":\"a\",\"vocab\":{\"a\":0}},"
            "\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"%s\"},\"behavior\":"
            "\"Isolated\",\"invert\":false}}",
            patterns[p]);
        cJSON *root;
        attn_error err = {0};
        attn_tokenizer *t;
        assert_int_equal(attn_json_parse("x", json, strlen(json), &root, &err), ATTN_OK);
        if (attn_tokenizer_build(&t, "x", root, NULL, &err)) fail_msg("%s", err.text);
        cJSON_Delete(root);
        char text[8000];
        memset(text, 'a', sizeof text);
        attn_encoding e;
        /* An answer or an error, soon; which one depends on how PCRE2 was built. */
        if (attn_tokenizer_encode(t, text, sizeof text, NULL, 0, NULL, &e, &err))
            assert_non_null(strstr(err.text, "the pattern"));
        attn_encoding_free(t, &e);
        attn_tokenizer_close(t);
    }
}

/* ---- memory that runs out ---------------------------------------------------------------------
 */

static void test_memory(void **state)
{
    (void)state;
    cJSON *parts = read_golden("tests/golden/tokenizer/parts.json");
    cJSON *file =
        cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(parts, "files"), "added");
    complete(file, attn_json_get(parts, "vocab"));
    const char *text = "Yesterday I don't [MASK] \xff e\u0301  <y> <x>";
    const attn_allocator allocator = {failing_alloc, failing_release, NULL};
    bool done = false;
    for (size_t n = 0; n < 200 && !done; n++) {
        failing_state = (failing){.fail_at = (long)n + 1};
        const attn_tokenizer_options options = {.allocator = &allocator};
        attn_tokenizer *t;
        attn_encoding e = {0};
        attn_error err = {0};
        attn_status status = attn_tokenizer_build(&t, "x", file, &options, &err);
        if (!status) {
            char *decoded = NULL;
            size_t length;
            status =
                attn_tokenizer_encode(t, text, strlen(text), text, strlen(text), NULL, &e, &err);
            if (!status)
                status = attn_tokenizer_decode(t, e.ids, e.count, false, &decoded, &length, &err);
            done = !status;
            attn_text_free(t, decoded);
            attn_encoding_free(t, &e);
        }
        if (status) assert_int_equal(status, ATTN_NO_MEMORY);
        attn_tokenizer_close(t);
        assert_int_equal(failing_state.live, 0);
    }
    assert_true(done);
    cJSON_Delete(parts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_golden), cmocka_unit_test(test_long),
                                       cmocka_unit_test(test_hostile_patterns),
                                       cmocka_unit_test(test_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
