/* Whole models, as Hugging Face writes them, against PyTorch (tests/golden/make_models.py); and the
 * same bits however they are run. */
#define _POSIX_C_SOURCE 200809L

#include "tests/models/models_test.h"

#include "layers/kernels/kernels.h"
#include "runtime/model.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

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

static void test_logits(void **state)
{
    (void)state;
    for (size_t f = 0; f < FOLDERS; f++) {
        subject s = open_subject(folders[f]);
        float logits[BATCH * CLASSES];
        run_all(s.model, s.golden, (attn_session_options){0}, logits);
        assert_close(logits, s.golden->logits, BATCH * CLASSES, 1e-5);
        close_subject(&s);
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

/* ---- the same bits ------------------------------------------------------------------------- */

static void test_batches(void **state)
{
    (void)state;
    for (size_t f = 0; f < FOLDERS; f++) {
        subject s = open_subject(folders[f]);
        float alone[BATCH * CLASSES], together[BATCH * CLASSES];
        attn_error err;
        attn_session *session = open_session(s.model, (attn_session_options){0});
        for (size_t i = 0; i < BATCH; i++)
            if (run_pixels(session, s.golden->pixels + i * ITEM, 0, alone + i * CLASSES, &err))
                fail_msg("%s", err.text);
        for (size_t batch = 1; batch <= BATCH; batch++) {
            if (run_pixels(session, s.golden->pixels, batch, together, &err))
                fail_msg("%s", err.text);
            assert_memory_equal(together, alone, batch * CLASSES * sizeof(float));
        }
        attn_session_close(session);
        close_subject(&s);
    }
}

static void test_threads(void **state)
{
    (void)state;
    for (size_t f = 0; f < FOLDERS; f++) {
        subject s = open_subject(folders[f]);
        float one[BATCH * CLASSES], more[BATCH * CLASSES];
        run_all(s.model, s.golden, (attn_session_options){.threads = 1}, one);
        for (unsigned threads = 2; threads <= 4; threads++) {
            run_all(s.model, s.golden, (attn_session_options){.threads = threads}, more);
            assert_memory_equal(more, one, sizeof one);
        }
        close_subject(&s);
    }
}

static void test_levels(void **state)
{
    (void)state;
    const char *given = getenv("ATTN_CPU");
    char *before = given ? strdup(given) : NULL;
    for (size_t f = 0; f < FOLDERS; f++) {
        float scalar[BATCH * CLASSES], logits[BATCH * CLASSES];
        for (int level = 0; level < ATTN_CPU_LEVELS; level++) {
            const attn_kernels *kernels = attn_kernels_level((attn_cpu_level)level);
            if (!kernels) continue;
            setenv("ATTN_CPU", kernels->name, 1);
            subject s = open_subject(folders[f]);
            assert_string_equal(s.model->kernels->name, kernels->name);
            run_all(s.model, s.golden, (attn_session_options){0},
                    level == ATTN_CPU_SCALAR ? scalar : logits);
            if (level != ATTN_CPU_SCALAR) assert_memory_equal(logits, scalar, sizeof scalar);
            close_subject(&s);
        }
    }
    if (before)
        setenv("ATTN_CPU", before, 1);
    else
        unsetenv("ATTN_CPU");
    free(before);
}

/* A folder with the weights of `folder`, and its built-in description with attention spelled as its
 * three steps. */
static void write_stepwise(const char *folder, const char *description, const char *to)
{
    static const char attention[] = "{ \"layer\": \"attention\", \"in\": [\"q\", \"k\", \"v\"], "
                                    "\"out\": \"h\", \"heads\": \"num_attention_heads\",\n"
                                    "        \"score\": \"scaled_dot\", \"normalize\": "
                                    "\"softmax\", \"select\": \"weighted\" }";
    static const char steps[] =
        "{\"layer\": \"score\", \"in\": [\"q\", \"k\"], \"out\": \"s\", \"heads\": "
        "\"num_attention_heads\", \"kind\": \"scaled_dot\"},"
        "{\"layer\": \"normalize\", \"in\": \"s\", \"out\": \"w\", \"kind\": \"softmax\"},"
        "{\"layer\": \"select\", \"in\": [\"w\", \"v\"], \"out\": \"h\", \"kind\": \"weighted\"}";
    static const char *const files[] = {"config.json", "model.safetensors"};
    const attn_builtin *b = attn_builtins;
    while (strcmp(b->name, description) != 0) b++;
    const char *at = strstr(b->text, attention);
    assert_non_null(at);
    char path[400], target[600], here[300];
    snprintf(path, sizeof path, "%s/attn.json", to);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file, "%.*s%s%s", (int)(at - b->text), b->text, steps, at + strlen(attention));
    assert_int_equal(fclose(file), 0);
    assert_non_null(getcwd(here, sizeof here));
    for (size_t i = 0; i < 2; i++) {
        snprintf(target, sizeof target, "%s/%s/%s", here, folder, files[i]);
        snprintf(path, sizeof path, "%s/%s", to, files[i]);
        assert_int_equal(symlink(target, path), 0);
    }
}

static void remove_folder(const char *folder)
{
    static const char *const files[] = {"attn.json", "config.json", "model.safetensors"};
    char path[400];
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, files[i]);
        unlink(path);
    }
    rmdir(folder);
}

static void test_stepwise(void **state)
{
    (void)state;
    static const char *const descriptions[FOLDERS] = {"vit.json", "deit.json"};
    for (size_t f = 0; f < FOLDERS; f++) {
        char folder[] = "/tmp/attn-test-XXXXXX";
        assert_non_null(mkdtemp(folder));
        write_stepwise(folders[f], descriptions[f], folder);
        subject s = open_subject(folders[f]);
        attn_model *steps = open_model(folder);
        float expected[BATCH * CLASSES], logits[BATCH * CLASSES];
        run_all(s.model, s.golden, (attn_session_options){0}, expected);
        const attn_session_options ways[] = {
            {0}, {.no_fusion = true}, {.keep_attention = true}, {.threads = 3, .no_fusion = true}};
        for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
            run_all(steps, s.golden, ways[w], logits);
            assert_memory_equal(logits, expected, sizeof logits);
            run_all(s.model, s.golden, ways[w], logits);
            assert_memory_equal(logits, expected, sizeof logits);
        }
        attn_model_close(steps);
        close_subject(&s);
        remove_folder(folder);
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
        cmocka_unit_test(test_logits),       cmocka_unit_test(test_photo),
        cmocka_unit_test(test_batches),      cmocka_unit_test(test_threads),
        cmocka_unit_test(test_levels),       cmocka_unit_test(test_stepwise),
        cmocka_unit_test(test_shared_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
