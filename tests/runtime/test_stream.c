/* Text as ids come: all pieces together are the decoded text; stop strings wherever they lie. */
#define _POSIX_C_SOURCE 200809L

#include "runtime/attn_text.h"
#include "runtime/json.h"
#include "runtime/text/stops.h"

#include "tests/check.h"
#include "tests/runtime/folder.h"
#include "tests/runtime/hashed.h"

enum { MOST = 4096 };

static attn_error err;

/* ---- tokenizers ---------------------------------------------------------------------------- */

static void utf8(unsigned point, char *out)
{
    size_t n = 0;
    if (point < 0x80) {
        out[n++] = (char)point;
    } else {
        out[n++] = (char)(0xc0 | point >> 6);
        out[n++] = (char)(0x80 | (point & 0x3f));
    }
    out[n] = 0;
}

/* The character that stands for a byte in GPT-2's vocabulary. */
static void byte_level(unsigned byte, char *out)
{
    unsigned moved = 0;
    for (unsigned b = 0; b <= byte; b++) {
        bool printed = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
        if (b == byte) utf8(printed ? b : 256 + moved, out);
        moved += !printed;
    }
}

static cJSON *parse(const char *text)
{
    char copy[1024];
    snprintf(copy, sizeof copy, "%s", text);
    for (char *c = copy; *c; c++)
        if (*c == '\'') *c = '"';
    cJSON *root = cJSON_Parse(copy);
    assert_non_null(root);
    return root;
}

/* tokenizer.json with a token for each byte, and `more`; the last one is special. */
static attn_tokenizer *make_tokenizer(bool fallback, const char *decoder, const char *const *more)
{
    folder f;
    attn_tokenizer *t;
    char name[16];
    cJSON *root = parse("{'model':{'type':'BPE','vocab':{},'merges':[]}}");
    cJSON *model = cJSON_GetObjectItem(root, "model");
    cJSON *vocab = cJSON_GetObjectItem(model, "vocab");
    int id = 0;
    cJSON_AddBoolToObject(model, "byte_fallback", fallback);
    for (; id < 256; id++) {
        if (fallback)
            snprintf(name, sizeof name, "<0x%02X>", (unsigned)id);
        else
            byte_level((unsigned)id, name);
        cJSON_AddNumberToObject(vocab, name, id);
    }
    for (; *more; more++) cJSON_AddNumberToObject(vocab, *more, id++);
    cJSON *added = cJSON_AddArrayToObject(root, "added_tokens");
    cJSON *special = parse("{'content':'<s>','special':true,'single_word':false,'lstrip':false,"
                           "'rstrip':false,'normalized':false}");
    cJSON_AddNumberToObject(special, "id", id);
    cJSON_AddItemToArray(added, special);
    cJSON_AddItemToObject(root, "decoder", parse(decoder));
    char *text = cJSON_Print(root);
    folder_make(&f);
    folder_text(&f, "tokenizer.json", text);
    if (attn_tokenizer_open(&t, f.path, NULL, &err)) fail_msg("%s", err.text);
    assert_int_equal(attn_tokenizer_size(t), id + 1);
    cJSON_free(text);
    cJSON_Delete(root);
    folder_remove(&f);
    return t;
}

static attn_tokenizer *tokenizers[2];

static int open_tokenizers(void **state)
{
    (void)state;
    static const char *const level[] = {"\xc4\xa0the", "ing", NULL};
    static const char *const pieces[] = {"\xe2\x96\x81", "\xe2\x96\x81the", "ing",
                                         "\xe4\xb8\x96", "\xef\xbf\xbd",    NULL};
    tokenizers[0] = make_tokenizer(false, "{'type':'ByteLevel'}", level);
    tokenizers[1] = make_tokenizer(
        true,
        "{'type':'Sequence','decoders':[{'type':'Replace','pattern':{'String':'\xe2\x96\x81'},"
        "'content':' '},{'type':'ByteFallback'},{'type':'Fuse'},{'type':'Strip','content':' ',"
        "'start':1,'stop':0}]}",
        pieces);
    return 0;
}

static int close_tokenizers(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) attn_tokenizer_close(tokenizers[i]);
    return 0;
}

/* ---- streams ------------------------------------------------------------------------------- */

/* Bytes of few kinds, so that characters come about: of é, 世, an emoji, ASCII; and all others. */
static int32_t pick_id(uint32_t random, size_t size)
{
    static const unsigned char bytes[] = {0xc3, 0xa9, 0xe4, 0xb8, 0x96, 0xf0, 0x9f,
                                          0x98, 0x80, 'a',  ' ',  'b',  0x80, 0xff};
    if (random % 4 < 2) return bytes[random / 4 % sizeof bytes];
    if (random % 4 == 2) return (int32_t)(256 + random / 4 % (size - 256));
    return (int32_t)(random / 4 % size);
}

static size_t stream_all(attn_tokenizer *t, const attn_text_stream_options *o, const int32_t *ids,
                         size_t count, char *out, bool *stopped)
{
    attn_text_stream *s;
    const char *text;
    size_t used = 0, length;
    assert_int_equal(attn_text_stream_open(&s, t, o, &err), ATTN_OK);
    for (size_t i = 0; i <= count; i++) {
        attn_status status = i < count
                                 ? attn_text_stream_push(s, ids[i], &text, &length, stopped, &err)
                                 : attn_text_stream_end(s, &text, &length, stopped, &err);
        assert_int_equal(status, ATTN_OK);
        memcpy(out + used, text, length);
        used += length;
    }
    attn_text_stream_close(s);
    out[used] = 0;
    return used;
}

static void test_pieces_are_the_whole(void **state)
{
    (void)state;
    static char got[16 * MOST];
    static int32_t ids[MOST];
    for (uint32_t seed = 0; seed < 2000; seed++) {
        attn_tokenizer *t = tokenizers[seed % 2];
        attn_text_stream_options o = {.skip_special = seed % 3 == 0};
        size_t count = 1 + hashed_mix(seed) % (seed % 50 == 0 ? 600 : 40), length;
        bool stopped;
        char *want;
        for (size_t i = 0; i < count; i++)
            ids[i] = pick_id(hashed_mix(seed * 7919 + (uint32_t)i), attn_tokenizer_size(t));
        assert_int_equal(attn_tokenizer_decode(t, ids, count, o.skip_special, &want, &length, &err),
                         ATTN_OK);
        size_t used = stream_all(t, &o, ids, count, got, &stopped);
        assert_false(stopped);
        if (used != length || memcmp(got, want, length) != 0)
            fail_msg("seed %u: \"%s\", not \"%s\"", seed, got, want);
        attn_text_free(t, want);
    }
}

/* Long runs of one token: nothing is lost, and it takes no quadratic time. */
static void test_runs(void **state)
{
    (void)state;
    enum { LONG = 50000 };
    int32_t *ids = malloc(LONG * sizeof *ids);
    char *got = malloc(LONG * 4 + 1);
    const int32_t of[] = {0xc3, 'a', 0xff, 256, 0};
    for (int i = 0; i < 2; i++)
        for (size_t k = 0; k < sizeof of / sizeof *of; k++) {
            attn_tokenizer *t = tokenizers[i];
            attn_text_stream_options o = {.skip_special = true};
            int32_t id = of[k] ? of[k] : (int32_t)attn_tokenizer_size(t) - 1;
            size_t length, count = k == 4 ? LONG / 20 : LONG;
            bool stopped;
            char *want;
            for (size_t n = 0; n < count; n++) ids[n] = id;
            assert_int_equal(attn_tokenizer_decode(t, ids, count, true, &want, &length, &err),
                             ATTN_OK);
            assert_int_equal(stream_all(t, &o, ids, count, got, &stopped), length);
            assert_memory_equal(got, want, length);
            attn_text_free(t, want);
        }
    free(ids);
    free(got);
}

/* A piece comes as soon as it can. */
static void test_at_once(void **state)
{
    (void)state;
    attn_text_stream *s;
    const char *text;
    size_t length;
    bool stopped;
    static const struct {
        int32_t id;
        const char *text;
    } steps[] = {{'a', "a"},
                 {0xe4, ""},
                 {0xb8, ""},
                 {0x96, "\xe4\xb8\x96"},
                 {256, " the"},
                 {257, "ing"},
                 {0xc3, ""},
                 {'b', "\xef\xbf\xbd"
                       "b"}};
    assert_int_equal(attn_text_stream_open(&s, tokenizers[0], NULL, &err), ATTN_OK);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        assert_int_equal(attn_text_stream_push(s, steps[i].id, &text, &length, &stopped, &err),
                         ATTN_OK);
        assert_int_equal(length, strlen(steps[i].text));
        assert_memory_equal(text, steps[i].text, length);
    }
    attn_text_stream_close(s);
    attn_text_stream_close(NULL);
}

/* ---- stop strings -------------------------------------------------------------------------- */

/* Where a text ends: before the stop string whose end comes first, of several the longest. */
static size_t end_of(const char *text, size_t length, const char *const *stop, size_t stops)
{
    for (size_t end = 1; end <= length; end++) {
        size_t longest = 0;
        for (size_t k = 0; k < stops; k++) {
            size_t n = strlen(stop[k]);
            if (n <= end && n > longest && memcmp(text + end - n, stop[k], n) == 0) longest = n;
        }
        if (longest) return end - longest;
    }
    return length;
}

static void test_stop_strings(void **state)
{
    (void)state;
    static char got[16 * MOST];
    static int32_t ids[MOST];
    static const char *const stop[] = {"aab", "ab a", "\xe4\xb8\x96", "bb", "aaaa"};
    size_t stops = 0;
    for (uint32_t seed = 0; seed < 2000; seed++) {
        attn_tokenizer *t = tokenizers[seed % 2];
        attn_text_stream_options o = {.stop = stop, .stops = 1 + seed % 5};
        size_t count = 1 + hashed_mix(seed) % 40, length;
        bool stopped;
        char *want;
        for (size_t i = 0; i < count; i++) {
            uint32_t random = hashed_mix(seed * 7919 + (uint32_t)i);
            ids[i] =
                random % 8 ? "ab a"[random / 8 % 4] : pick_id(random / 8, attn_tokenizer_size(t));
        }
        assert_int_equal(attn_tokenizer_decode(t, ids, count, false, &want, &length, &err),
                         ATTN_OK);
        size_t used = stream_all(t, &o, ids, count, got, &stopped);
        size_t end = end_of(want, length, stop, o.stops);
        if (used != end || memcmp(got, want, end) != 0)
            fail_msg("seed %u: \"%s\", not %zu bytes of \"%s\"", seed, got, end, want);
        assert_int_equal(stopped, end < length);
        stops += stopped;
        attn_text_free(t, want);
    }
    assert_true(stops > 500 && stops < 1950);
    const char *const empty[] = {"a", ""};
    attn_text_stream *s;
    assert_int_equal(attn_text_stream_open(&s, tokenizers[0],
                                           &(attn_text_stream_options){.stop = empty, .stops = 2},
                                           &err),
                     ATTN_BAD_ARGUMENT);
    assert_null(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces_are_the_whole),
        cmocka_unit_test(test_runs),
        cmocka_unit_test(test_at_once),
        cmocka_unit_test(test_stop_strings),
    };
    return cmocka_run_group_tests(tests, open_tokenizers, close_tokenizers);
}
