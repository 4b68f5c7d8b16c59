/* Key and value caches: a text in one run without a cache, in blocks, and token by token gives the
 * same bits, for every instruction set, precision, number of threads and batch; and what a session
 * offers around them. */
#define _XOPEN_SOURCE 700

#include "tests/models/small_llm.h"
#include "tests/runtime/failing.h"

#include <unistd.h>

enum { LENGTH = 61, ITEMS = 3 };

static int32_t ids[ITEMS * LENGTH], keep[ITEMS * LENGTH];

static const llm_shape shapes[] = {
    {20, 6, 2, 10, NULL},                /* groups of 3 */
    {24, 3, 3, 9, ",'window':7"},        /* odd heads; most keys are never looked at */
    {16, 4, 1, 33, ",'padding':'keep'"}, /* one key head, several panels */
    {16, 2, 2, 8, ",'normalize':'sigmoid','window':20,'padding':'keep'"},
    {12, 3, 1, 8, ",'alibi':true,'softcap':1.5"},
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static const char *const levels[] = {"scalar", "neon",       "avx2",
                                     "avx512", "avx512vnni", "avx512bf16"};

static void draw_text(void)
{
    uint32_t seed = 3;
    for (size_t i = 0; i < ITEMS * LENGTH; i++) {
        seed = seed * 1664525u + 1013904223u;
        ids[i] = (int32_t)((seed >> 16) % LLM_VOCAB);
        keep[i] = (seed >> 9) % 5 != 0;
    }
}

static bool masked(size_t shape)
{
    return shapes[shape].more && strstr(shapes[shape].more, "padding");
}

/* One run, nothing kept. */
static void whole_text(const attn_model *model, size_t shape, float *logits)
{
    attn_error err;
    attn_session *session = open_session(model, (attn_session_options){.threads = 1});
    for (size_t item = 0; item < ITEMS; item++)
        if (llm_run(session, ids + item * LENGTH, masked(shape) ? keep + item * LENGTH : NULL, 1,
                    LENGTH, 0, LENGTH, logits + item * LENGTH * LLM_VOCAB, &err))
            fail_msg("%s", err.text);
    assert_int_equal(attn_past(session), 0);
    attn_session_close(session);
}

/* The first `batch` items in blocks of blocks[0], blocks[1] ... tokens, the last size repeated. */
static void in_blocks(attn_session *session, size_t shape, size_t batch, const size_t *blocks,
                      float *logits)
{
    attn_error err;
    attn_reset(session);
    for (size_t at = 0, n; at < LENGTH; at += n) {
        n = *blocks < LENGTH - at ? *blocks : LENGTH - at;
        if (llm_run(session, ids, masked(shape) ? keep : NULL, batch, LENGTH, at, n, logits, &err))
            fail_msg("%s", err.text);
        assert_int_equal(attn_past(session), at + n);
        if (blocks[1]) blocks++;
    }
}

static void expect_same(const float *a, const float *b, size_t items, const char *what)
{
    for (size_t i = 0; i < items * LENGTH * LLM_VOCAB; i++)
        if (memcmp(&a[i], &b[i], sizeof *a))
            fail_msg("%s: item %zu, row %zu, logit %zu is %.9g, not %.9g", what,
                     i / (LENGTH * LLM_VOCAB), i / LLM_VOCAB % LENGTH, i % LLM_VOCAB, (double)b[i],
                     (double)a[i]);
}

static void every_split(const attn_model *model, size_t shape, const float *expected,
                        const char *what)
{
    static const size_t splits[][6] = {{1, 0},          {LENGTH, 0},    {2, 0},
                                       {17, 1, 0},      {16, 16, 1, 0}, {5, 3, 1, 1, 9, 0},
                                       {33, 2, 1, 4, 0}};
    static float logits[ITEMS * LENGTH * LLM_VOCAB];
    bool brief = getenv("ATTN_TEST_BRIEF") != NULL;
    for (unsigned way = 0; way < 8; way++) {
        attn_session_options options = {.threads = 1 + way % 4,
                                        .context = way % 2 ? LLM_CONTEXT : LENGTH,
                                        .no_fusion = way == 5,
                                        .keep_attention = way == 6};
        attn_session *session = open_session(model, options);
        size_t batch = way % 3 == 0 ? 1 : ITEMS;
        for (size_t i = way % 2; i < sizeof splits / sizeof *splits; i += brief ? 5 : 2) {
            char text[120];
            snprintf(text, sizeof text, "%s, split %zu, way %u", what, i, way);
            memset(logits, 0xff, sizeof logits);
            in_blocks(session, shape, batch, splits[i], logits);
            expect_same(expected, logits, batch, text);
        }
        attn_session_close(session);
    }
}

static void same_bits(void **state)
{
    (void)state;
    static const attn_precision precisions[] = {ATTN_IN_F32, ATTN_IN_BF16, ATTN_IN_INT8};
    static float expected[3][ITEMS * LENGTH * LLM_VOCAB];
    for (size_t shape = 0; shape < SHAPES; shape++) {
        folder f;
        llm_make(&f, &shapes[shape]);
        for (size_t level = 0; level < sizeof levels / sizeof *levels; level++) {
            if (!attn_kernels_level((attn_cpu_level)level)) continue;
            setenv("ATTN_CPU", levels[level], 1);
            for (size_t p = 0; p < 3; p++) {
                char what[80];
                attn_model *model = open_model_in(f.path, precisions[p]);
                snprintf(what, sizeof what, "shape %zu, %s, precision %zu", shape, levels[level],
                         p);
                if (level == 0) whole_text(model, shape, expected[p]);
                every_split(model, shape, expected[p], what);
                attn_model_close(model);
            }
        }
        unsetenv("ATTN_CPU");
        folder_remove(&f);
    }
    assert_int_equal(counted_live, 0);
}

/* ---- rewind, reorder ------------------------------------------------------------------------ */

static void expect_status(attn_status status, attn_status expected, const attn_error *err,
                          const char *text)
{
    if (status != expected || !strstr(err->text, text))
        fail_msg("%s \"%s\", expected %s with \"%s\"", attn_status_name(status), err->text,
                 attn_status_name(expected), text);
}

static void rewinding(void **state)
{
    (void)state;
    static float expected[ITEMS * LENGTH * LLM_VOCAB], logits[ITEMS * LENGTH * LLM_VOCAB];
    const size_t back[] = {31, 30, 17, 16, 1, 0};
    attn_error err;
    folder f;
    llm_make(&f, &shapes[2]);
    for (int p = 0; p < 2; p++) {
        attn_model *model = open_model_in(f.path, p ? ATTN_IN_BF16 : ATTN_IN_F32);
        whole_text(model, 2, expected);
        attn_session *session =
            open_session(model, (attn_session_options){.threads = 2, .context = LENGTH});
        assert_int_equal(attn_rewind(session, 0, &err), ATTN_OK);
        for (size_t i = 0; i < sizeof back / sizeof *back; i++) {
            /* Other tokens first, so that what is forgotten differs. */
            attn_reset(session);
            size_t from = back[i], other = LENGTH - 3;
            if (from && llm_run(session, ids, keep, ITEMS, LENGTH, 0, from, logits, &err))
                fail_msg("%s", err.text);
            if (llm_run(session, ids, NULL, ITEMS, LENGTH, 1, other - from, logits, &err) ||
                attn_rewind(session, from, &err))
                fail_msg("%s", err.text);
            expect_status(attn_rewind(session, from + 1, &err), ATTN_BAD_ARGUMENT, &err,
                          "rows cannot stay");
            assert_int_equal(attn_past(session), from);
            if (from && llm_run(session, ids, keep, ITEMS, LENGTH, from, 1, logits, &err))
                fail_msg("%s", err.text);
            for (size_t at = from + (from != 0), n; at < LENGTH; at += n) {
                n = LENGTH - at < 9 ? LENGTH - at : 9;
                if (llm_run(session, ids, keep, ITEMS, LENGTH, at, n, logits, &err))
                    fail_msg("%s", err.text);
            }
            for (size_t item = 0; item < ITEMS; item++)
                assert_memory_equal(logits + (item * LENGTH + from) * LLM_VOCAB,
                                    expected + (item * LENGTH + from) * LLM_VOCAB,
                                    (LENGTH - from) * LLM_VOCAB * sizeof *logits);
        }
        attn_session_close(session);
        attn_model_close(model);
    }
    folder_remove(&f);
    assert_int_equal(counted_live, 0);
}

enum { BEAMS = 5, STEPS = 40 };

/* Beams that change places at random, and their number too; each must say what its own text, run
 * alone and whole, says. */
static void reordering(void **state)
{
    (void)state;
    static int32_t beam[BEAMS][LENGTH], old[BEAMS][LENGTH];
    static float logits[BEAMS * LENGTH * LLM_VOCAB], alone[LENGTH * LLM_VOCAB];
    uint32_t seed = 11;
    size_t beams = 1, length = 5;
    attn_error err;
    folder f;
    llm_make(&f, &shapes[0]);
    attn_model *model = open_model_in(f.path, ATTN_IN_BF16);
    attn_session *plain = open_session(model, (attn_session_options){.threads = 1});
    attn_session *session =
        open_session(model, (attn_session_options){.threads = 2, .context = LENGTH});
    size_t parent[BEAMS] = {0};
    expect_status(attn_reorder(session, parent, 1, &err), ATTN_BAD_ARGUMENT, &err, "before a run");
    memcpy(beam[0], ids, sizeof beam[0]);
    if (llm_run(session, beam[0], NULL, 1, LENGTH, 0, length, logits, &err))
        fail_msg("%s", err.text);
    for (int step = 0; step < STEPS; step++, length++) {
        size_t count = step == 0 ? 3 : 1 + (seed >> 12) % BEAMS;
        for (size_t i = 0; i < count; i++) {
            seed = seed * 1664525u + 1013904223u;
            parent[i] = step % 3 == 0 ? (i + 1) % beams : (seed >> 16) % beams;
        }
        if (attn_reorder(session, parent, count, &err)) fail_msg("%s", err.text);
        memcpy(old, beam, sizeof beam);
        for (size_t i = 0; i < count; i++) {
            memcpy(beam[i], old[parent[i]], sizeof beam[i]);
            beam[i][length] = (int32_t)((seed >> 10) + 7 * i) % LLM_VOCAB;
        }
        beams = count;
        if (llm_run(session, beam[0], NULL, beams, LENGTH, length, 1, logits, &err))
            fail_msg("%s", err.text);
        for (size_t i = 0; i < beams; i++) {
            if (llm_run(plain, beam[i], NULL, 1, LENGTH, 0, length + 1, alone, &err))
                fail_msg("%s", err.text);
            if (memcmp(alone + length * LLM_VOCAB, logits + (i * LENGTH + length) * LLM_VOCAB,
                       LLM_VOCAB * sizeof *alone))
                fail_msg("step %d, beam %zu of %zu", step, i, beams);
        }
    }
    parent[0] = beams;
    expect_status(attn_reorder(session, parent, 1, &err), ATTN_BAD_ARGUMENT, &err, "is to be item");
    expect_status(attn_reorder(session, parent, 0, &err), ATTN_BAD_ARGUMENT, &err, "no items");
    attn_session_close(plain);
    attn_session_close(session);
    attn_model_close(model);
    folder_remove(&f);
    assert_int_equal(counted_live, 0);
}

/* ---- bounds --------------------------------------------------------------------------------- */

static void context_ends(void **state)
{
    (void)state;
    static float logits[ITEMS * LENGTH * LLM_VOCAB];
    attn_error err;
    attn_session *session;
    folder f;
    llm_make(&f, &shapes[0]);
    attn_model *model = open_model(f.path);
    const attn_session_options more = {.threads = 1, .context = LLM_CONTEXT + 1};
    expect_status(attn_session_open(&session, model, &more, &err), ATTN_LIMIT, &err,
                  "a context of 97 rows, model \"small llm\" allows 96");
    session = open_session(model, (attn_session_options){.threads = 1, .context = 20});
    expect_status(llm_run(session, ids, NULL, 1, LENGTH, 0, 21, logits, &err), ATTN_LIMIT, &err,
                  "21 rows after 0 do not fit into a context of 20");
    assert_int_equal(llm_run(session, ids, NULL, 1, LENGTH, 0, 8, logits, &err), ATTN_OK);
    assert_int_equal(attn_run(session, &err), ATTN_OK); /* the same tokens again: 8 rows more */
    expect_status(attn_run(session, &err), ATTN_LIMIT, &err,
                  "8 rows after 16 do not fit into a context of 20");
    assert_int_equal(attn_past(session), 16);
    expect_status(llm_run(session, ids, NULL, 1, LENGTH, 0, 5, logits, &err), ATTN_LIMIT, &err,
                  "5 rows after 16");
    assert_int_equal(llm_run(session, ids, NULL, 1, LENGTH, 0, 4, logits, &err), ATTN_OK);
    expect_status(llm_run(session, ids, NULL, 2, LENGTH, 0, 1, logits, &err), ATTN_LIMIT, &err,
                  "1 rows after 20");
    assert_int_equal(attn_rewind(session, 3, &err), ATTN_OK);
    expect_status(llm_run(session, ids, NULL, 2, 30, 0, 1, logits, &err), ATTN_BAD_ARGUMENT, &err,
                  "a batch of 2 after 3 rows of a batch of 1");
    /* An id outside its range runs nothing and appends nothing. */
    int32_t bad[2] = {1, LLM_VOCAB};
    expect_status(llm_run(session, bad, NULL, 1, 2, 0, 2, logits, &err), ATTN_BAD_INPUT, &err,
                  "element 1");
    assert_int_equal(attn_past(session), 3);
    attn_reset(session);
    assert_int_equal(llm_run(session, ids, NULL, 2, 30, 0, 1, logits, &err), ATTN_OK);
    attn_session_close(session);
    attn_model_close(model);
    folder_remove(&f);
    assert_int_equal(counted_live, 0);
}

/* Of two contexts, the caches' part of attn_session_memory differs by their rows; all of it is
 * there before the first run, and runs take no more. */
static void memory_is_known(void **state)
{
    (void)state;
    static float logits[ITEMS * LENGTH * LLM_VOCAB];
    attn_error err;
    folder f;
    size_t bytes[2];
    llm_make(&f, &shapes[0]);
    attn_model *model = open_model(f.path);
    for (size_t i = 0; i < 2; i++) {
        attn_session *session = open_session(
            model, (attn_session_options){.threads = 1, .context = i ? LLM_CONTEXT : 32});
        assert_int_equal(llm_run(session, ids, NULL, 1, LENGTH, 0, 6, logits, &err), ATTN_OK);
        bytes[i] = attn_session_memory(session);
        long calls = counted_calls;
        for (int run = 0; run < 3; run++) assert_int_equal(attn_run(session, &err), ATTN_OK);
        assert_int_equal(counted_calls, calls);
        assert_int_equal(attn_session_memory(session), bytes[i]);
        attn_session_close(session);
    }
    /* Keys and values of 2 layers, 2 heads of 10 columns. */
    assert_true(bytes[1] - bytes[0] >= 2 * 2 * 2 * 10 * (LLM_CONTEXT - 32) * sizeof(float));
    attn_session *session;
    const attn_session_options tight = {
        .threads = 1, .context = LLM_CONTEXT, .max_memory = bytes[0]};
    assert_int_equal(attn_session_open(&session, model, &tight, &err), ATTN_OK);
    attn_status status = llm_run(session, ids, NULL, 1, LENGTH, 0, 6, logits, &err);
    expect_status(status, ATTN_LIMIT, &err, "the caches");
    assert_true(attn_session_memory(session) <= bytes[0]);
    attn_session_close(session);
    attn_model_close(model);
    folder_remove(&f);
    assert_int_equal(counted_live, 0);
}

/* The n-th allocation fails, for every n: each failure is clean, and the session goes on. */
static void allocations_fail(void **state)
{
    (void)state;
    static float logits[BEAMS * LENGTH * LLM_VOCAB];
    const attn_allocator allocator = {failing_alloc, failing_release, NULL};
    const size_t parent[BEAMS] = {0};
    attn_memory unused;
    attn_error err;
    folder f;
    long n = 1, refused = 0;
    llm_make(&f, &shapes[0]);
    for (attn_status status = ATTN_NO_MEMORY; status; n++) {
        attn_model *model;
        attn_session *session = NULL;
        const attn_model_options options = {.allocator = &allocator};
        failing_begin(&unused, 0, true);
        if (attn_model_open(&model, f.path, &options, &err)) fail_msg("%s", err.text);
        failing_state.fail_at = failing_state.requests + n;
        status = attn_session_open(&session, model,
                                   &(attn_session_options){.threads = 1, .context = 40}, &err);
        if (!status) status = llm_run(session, ids, NULL, 1, LENGTH, 0, 9, logits, &err);
        if (!status) status = attn_reorder(session, parent, BEAMS, &err);
        if (!status) status = llm_run(session, ids, NULL, BEAMS, 30, 9, 1, logits, &err);
        if (status) {
            assert_int_equal(status, ATTN_NO_MEMORY);
            refused++;
            size_t past = session ? attn_past(session) : 0, batch = 1;
            if (past) assert_int_equal(attn_reorder(session, parent, batch, &err), ATTN_OK);
            if (session)
                assert_int_equal(llm_run(session, ids, NULL, batch, LENGTH, past, 1, logits, &err),
                                 ATTN_OK);
        }
        attn_session_close(session);
        attn_model_close(model);
        failing_end();
        assert_int_equal(failing_state.live, 0);
        assert_true(n < 1000);
    }
    assert_true(refused > 5);
    folder_remove(&f);
}

static void errors_are_told(void **state)
{
    (void)state;
    static const struct {
        const char *state, *node, *error;
    } cases[] = {
        {"'past':{'kind':'cache','rows':'len'}", "", "state.past: \"rows\" is \"len\""},
        {"'past':{'kind':'cache'}", "", "\"rows\" is nothing"},
        {"'past':{'kind':'cache','rows':'seq','max':0}", "", "\"max\" is 0"},
        {"'past':{'kind':'cache','rows':'seq','next':'x'}", "", "unknown key \"next\""},
        {"'a':{'kind':'cache','rows':'seq'},'b':{'kind':'cache','rows':'seq'}", "",
         "state.b: there is a cache already, \"a\""},
        {"'past':{'kind':'cache','rows':'seq'}", "'cache':'pats'", "no cache \"pats\""},
        {"'past':{'kind':'cache','rows':'seq'}", "'cache':7", "expected the name of a cache"},
        {"'past':{'kind':'cache','rows':'seq'}", "'cache':'past','score':'cosine'",
         "\"cache\" is for scaled_dot"},
        {"'past':{'kind':'cache','rows':'seq'}", "'cache':'past','select':'hard'",
         "\"cache\" is for scaled_dot"},
    };
    folder f;
    folder_make(&f);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[1024];
        attn_error err;
        attn_model *model;
        snprintf(text, sizeof text,
                 "{'format':'attn/1','symbols':{'seq':{}},'inputs':{'x':{'shape':['seq',4]}},"
                 "'state':{%s},'graph':[{'layer':'attention','in':['x','x','x'],'out':'y'%s%s}],"
                 "'outputs':{'y':{}}}",
                 cases[i].state, *cases[i].node ? "," : "", cases[i].node);
        folder_json(&f, "attn.json", text);
        expect_status(attn_model_open(&model, f.path, NULL, &err), ATTN_BAD_MODEL, &err,
                      cases[i].error);
    }
    folder_remove(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_bits),       cmocka_unit_test(rewinding),
        cmocka_unit_test(reordering),      cmocka_unit_test(context_ends),
        cmocka_unit_test(memory_is_known), cmocka_unit_test(allocations_fail),
        cmocka_unit_test(errors_are_told),
    };
    draw_text();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
