/* Whole models, as Hugging Face writes them, against PyTorch (tests/golden/make_models.py); and one
 * model shared by threads. That all ways to run them give the same bits: test_model_bits.c. */
#define _POSIX_C_SOURCE 200809L

#include "tests/models/examples.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>

static const char *const folders[] = {GOLDEN "vit_tiny", GOLDEN "deit_tiny"};

enum { FOLDERS = sizeof folders / sizeof *folders };

/* What each test begins with: a model, and its golden file. */
typedef struct subject {
    attn_model *model;
    golden *golden;
} subject;

static subject open_subject(const char *folder)
{
    char file[200];
    snprintf(file, sizeof file, "%s/expected.safetensors", folder);
    return (subject){open_model(folder), read_golden(file)};
}

static void close_subject(subject *s)
{
    attn_model_close(s->model);
    free(s->golden);
    assert_int_equal(counted_live, 0);
}

static void assert_close(const float *ours, const float *reference, size_t count, double tolerance)
{
    for (size_t i = 0; i < count; i++) {
        double difference = fabs((double)ours[i] - (double)reference[i]);
        if (!(difference <= tolerance))
            fail_msg("element %zu is %.9g, PyTorch's %.9g", i, (double)ours[i],
                     (double)reference[i]);
    }
}

/* ---- PyTorch ------------------------------------------------------------------------------- */

/* How far an output is from PyTorch's. */
typedef struct error {
    double largest;         /* of the differences */
    double squares, wanted; /* sums of squares: of the differences, of PyTorch's values */
} error;

static void add_error(error *e, const float *ours, const float *reference, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        double difference = fabs((double)ours[i] - (double)reference[i]);
        if (!(difference <= e->largest)) e->largest = difference; /* a NaN, too */
        e->squares += difference * difference;
        e->wanted += (double)reference[i] * (double)reference[i];
    }
}

/* Calls check for every output of every example, in that precision. */
static void each_output(attn_precision precision, void (*check)(const char *what, error e))
{
    for (size_t e = 0; e < EXAMPLES; e++) {
        attn_model *model = open_model_in(examples[e].folder, precision);
        attn_session *session = open_session(model, (attn_session_options){0});
        example_data *d = read_example(&examples[e]);
        size_t floats = example_floats(model, d), at = 0;
        float *out = malloc(BATCH * floats * sizeof *out);
        assert_non_null(out);
        run_examples(session, d, BATCH, out);
        for (size_t i = 0; i < model->graph.outputs; i++) {
            const struct example_tensor *t = example_tensor(d, model->graph.output[i].name);
            size_t count = t->bytes / sizeof(float);
            error worst = {0};
            char what[200];
            for (size_t item = 0; item < BATCH; item++)
                add_error(&worst, out + item * floats + at, (float *)t->value.data + item * count,
                          count);
            snprintf(what, sizeof what, "%s of %s", t->name, examples[e].name);
            check(what, worst);
            at += count;
        }
        assert_int_equal(at, floats);
        free(out);
        free_example(d);
        attn_session_close(session);
        attn_model_close(model);
        assert_int_equal(counted_live, 0);
    }
}

static void check_f32(const char *what, error e)
{
    if (!(e.largest <= 1e-5)) fail_msg("%s: a difference of %g from PyTorch's", what, e.largest);
}

static void test_outputs(void **state)
{
    (void)state;
    each_output(ATTN_AS_FILE, check_f32);
}

/* In less precision the error is that of the rounding: some times 2^-11, 2^-8, 1 / 127 and 1 / 7,
 * with the weights' random values and a few layers. */
static double narrow_bound;

static void check_narrow(const char *what, error e)
{
    double relative = sqrt(e.squares / e.wanted);
    if (!(relative <= narrow_bound && relative >= narrow_bound / 30))
        fail_msg("%s: an error of %g, expected up to %g", what, relative, narrow_bound);
}

static void test_narrow(void **state)
{
    (void)state;
    static const struct {
        attn_precision precision;
        double bound;
    } ways[] = {
        {ATTN_IN_F16, 1e-3}, {ATTN_IN_BF16, 8e-3}, {ATTN_IN_INT8, 0.04}, {ATTN_IN_INT4, 0.4}};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        narrow_bound = ways[i].bound;
        each_output(ways[i].precision, check_narrow);
    }
}

static void test_photo(void **state)
{
    (void)state;
    for (size_t f = 0; f < FOLDERS; f++) {
        subject s = open_subject(folders[f]);
        attn_session *session = open_session(s.model, (attn_session_options){0});
        attn_error err;
        attn_tensor out;
        attn_class top[CLASSES + 1];
        size_t count, best = 0;
        float logits[CLASSES];
        if (attn_set_image(session, NULL, GOLDEN "photo.png", &err) ||
            attn_prepare(session, &err) || attn_run(session, &err) ||
            attn_output(session, "logits", &out, &err) ||
            attn_top(session, "logits", 0, CLASSES + 1, top, &count, &err))
            fail_msg("%s", err.text);
        memcpy(logits, out.data, sizeof logits);
        assert_close(logits, s.golden->photo_logits, CLASSES, 1e-5);
        for (size_t i = 1; i < CLASSES; i++)
            if (s.golden->photo_logits[i] > s.golden->photo_logits[best]) best = i;
        char label[40];
        snprintf(label, sizeof label, "class %zu", best);
        assert_int_equal(count, CLASSES);
        assert_int_equal(top[0].index, best);
        assert_string_equal(top[0].label, label);

        /* The preprocessing gives the very bits of the reference. */
        float again[CLASSES];
        if (run_pixels(session, s.golden->photo_pixels, 0, again, &err)) fail_msg("%s", err.text);
        assert_memory_equal(again, logits, sizeof logits);
        attn_session_close(session);
        close_subject(&s);
    }
}

/* ---- one model, several threads ------------------------------------------------------------- */

typedef struct caller {
    const subject *subject;
    unsigned threads;
    float logits[BATCH * CLASSES];
    attn_status status;
    attn_error err;
} caller;

static void *call(void *user)
{
    caller *c = user;
    attn_session *session;
    const attn_session_options options = {.threads = c->threads};
    c->status = attn_session_open(&session, c->subject->model, &options, &c->err);
    for (int round = 0; round < 5 && !c->status; round++)
        for (size_t batch = BATCH; batch > 0 && !c->status; batch /= 2)
            c->status = run_pixels(session, c->subject->golden->pixels, batch, c->logits, &c->err);
    if (!c->status)
        c->status = run_pixels(session, c->subject->golden->pixels, BATCH, c->logits, &c->err);
    attn_session_close(session);
    return NULL;
}

static void test_shared_model(void **state)
{
    (void)state;
    enum { CALLERS = 4 };
    for (size_t f = 0; f < FOLDERS; f++) {
        subject s = open_subject(folders[f]);
        float expected[BATCH * CLASSES];
        caller c[CALLERS];
        pthread_t thread[CALLERS];
        run_all(s.model, s.golden, (attn_session_options){0}, expected);
        for (unsigned i = 0; i < CALLERS; i++) {
            c[i] = (caller){.subject = &s, .threads = 1 + i % 2};
            assert_int_equal(pthread_create(&thread[i], NULL, call, &c[i]), 0);
        }
        for (size_t i = 0; i < CALLERS; i++) pthread_join(thread[i], NULL);
        for (size_t i = 0; i < CALLERS; i++) {
            if (c[i].status) fail_msg("%s", c[i].err.text);
            assert_memory_equal(c[i].logits, expected, sizeof expected);
        }
        close_subject(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_outputs),
        cmocka_unit_test(test_narrow),
        cmocka_unit_test(test_photo),
        cmocka_unit_test(test_shared_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
