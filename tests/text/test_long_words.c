/* Words of megabytes, which nothing cuts: of one letter, of random letters, of space marks, and
 * words in between; for BPE and Unigram. What must hold is that the text is covered without a gap,
 * and that it ends: a step that is quadratic would run for days. */
#include "tests/text/algorithm_test.h"

#include <stdio.h>

#define MARK "\xe2\x96\x81"

enum { MEGABYTE = 1 << 20 };

/* The models: the letters, pairs and runs of them, as the trained ones have. */
static void make_model(char *json, bool bpe)
{
    size_t used = 0;
    const char *const token[] = {"aa", "aaaa",    "aaaaaaaa",          "ab",     "abc",
                                 "bc", MARK MARK, MARK MARK MARK MARK, MARK "a", MARK "ab"};
    const char *const merge[] = {"a a",     "aa aa",   "aaaa aaaa",   "a b",
                                 "ab c",    "b c",     MARK " " MARK, MARK MARK " " MARK MARK,
                                 MARK " a", MARK " ab"};
    used += (size_t)sprintf(json, bpe ? "{'vocab':{'<unk>':0,'" MARK "':1"
                                      : "{'unk_id':0,'vocab':[['<unk>',0],['" MARK "',-3]");
    for (int i = 0; i < 26; i++)
        used += (size_t)sprintf(json + used, bpe ? ",'%c':%d" : ",['%c',-%d]", 'a' + i, i + 2);
    for (int i = 0; i < 10; i++)
        used += (size_t)sprintf(json + used, bpe ? ",'%s':%d" : ",['%s',-1.%d]", token[i], 28 + i);
    used += (size_t)sprintf(json + used, bpe ? "},'merges':[" : "]}");
    for (int i = 0; bpe && i < 10; i++)
        used += (size_t)sprintf(json + used, "%s'%s'", i ? "," : "", merge[i]);
    if (bpe) sprintf(json + used, "]}");
}

/* 0: one letter; 1: random letters; 2: marks; 3: words of random letters; 4: unknown characters. */
static size_t fill(char *text, size_t length, int kind)
{
    uint32_t seed = 1;
    size_t at = 0;
    while (at + 4 <= length) {
        seed = seed * 1664525 + 1013904223;
        bool mark = kind == 2 || (kind == 3 && seed >> 29 == 0);
        if (mark || kind == 4) {
            memcpy(text + at, mark ? MARK : "\xe4\xb8\xad", 3);
            at += 3;
        } else {
            text[at++] = kind == 0 ? 'a' : (char)('a' + (seed >> 24) % 26);
        }
    }
    return at;
}

static void test_long_words(const attn_algorithm *algorithm, bool bpe)
{
    char json[2048];
    algorithm_test t;
    attn_error err;
    size_t room = 10 * (size_t)MEGABYTE;
    char *text = malloc(room);
    assert_non_null(text);
    make_model(json, bpe);
    if (algorithm_open(&t, algorithm, json, &err)) fail_msg("%s", err.text);
    for (int kind = 0; kind < 5; kind++) {
        size_t length = fill(text, room, kind), at = 0;
        if (algorithm_encode(&t, text, length, &err)) fail_msg("%s", err.text);
        for (size_t i = 0; i < t.pieces.count; i++) {
            if (bpe && kind == 4) break; /* no unknown token is named: they are left out */
            assert_int_equal(t.pieces.piece[i].first, at);
            at = t.pieces.piece[i].end;
        }
        assert_int_equal(at, bpe && kind == 4 ? 0 : length);
        if (kind == 0) assert_in_range(t.pieces.count, length / 8, length / 8 + 3);
    }
    algorithm_close(&t);
    free(text);
}

static void test_bpe(void **state)
{
    (void)state;
    test_long_words(&attn_algorithm_bpe, true);
}

static void test_unigram(void **state)
{
    (void)state;
    test_long_words(&attn_algorithm_unigram, false);
}

/* A word that is remembered gives what it gave when it was new. */
static void test_remembered_words(void **state)
{
    (void)state;
    char json[2048];
    algorithm_test t;
    attn_error err;
    make_model(json, true);
    if (algorithm_open(&t, &attn_algorithm_bpe, json, &err)) fail_msg("%s", err.text);
    static char text[40 * 700];
    size_t length = fill(text, sizeof text, 3), count = 0;
    attn_piece *first = NULL;
    for (int round = 0; round < 12; round++) {
        if (algorithm_encode(&t, text, length, &err)) fail_msg("%s", err.text);
        if (!first) {
            count = t.pieces.count;
            first = malloc(count * sizeof *first);
            assert_non_null(first);
            memcpy(first, t.pieces.piece, count * sizeof *first);
        }
        assert_int_equal(t.pieces.count, count);
        assert_memory_equal(t.pieces.piece, first, count * sizeof *first);
    }
    free(first);
    algorithm_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bpe),
        cmocka_unit_test(test_unigram),
        cmocka_unit_test(test_remembered_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
