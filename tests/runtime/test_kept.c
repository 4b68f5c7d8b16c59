/* Kept panels: used only if they are exactly what would be packed now. */
#define _XOPEN_SOURCE 700
#include "tests/check.h"

#include "runtime/session.h"
#include "runtime/weights/kept.h"

#include "tests/runtime/failing.h"
#include "tests/runtime/folder.h"
#include "tests/runtime/tensors.h"

static const char description[] =
    "{'format':'attn/1','name':'m','inputs':{'x':{'shape':[5,70]}},'graph':["
    "{'layer':'linear','in':'x','out':'x','weight':'a'},"
    "{'layer':'layer_norm','in':'x','out':'x','weight':'norm','bias':false,'eps':1e-5},"
    "{'layer':'linear','in':'x','out':'y','weight':'b','transposed':true,'bias':false}],"
    "'outputs':{'y':{}}}";
enum { OUT = 5 * 33, HEAD = 4096 };
static folder here;

static void write_model(uint32_t seed)
{
    tensors t = {.seed = seed};
    tensors_random(&t, "a.weight", 2, (const size_t[]){70, 70});
    tensors_random(&t, "a.bias", 1, (const size_t[]){70});
    tensors_random(&t, "norm.weight", 1, (const size_t[]){70});
    tensors_random(&t, "b.weight", 2, (const size_t[]){70, 33});
    tensors_write(&t, folder_file(&here, "model.safetensors"));
}

static attn_model *open_model(attn_precision precision)
{
    attn_model *model;
    attn_error err;
    attn_model_options options = {.precision = precision};
    if (attn_model_open(&model, here.path, &options, &err)) fail_msg("%s", err.text);
    return model;
}

static void run_model(const attn_model *model, float *y)
{
    static float x[5 * 70];
    attn_tensor input = {ATTN_F32, 2, {5, 70}, x}, out;
    attn_session *session = NULL;
    attn_error err;
    for (int i = 0; i < 5 * 70; i++) x[i] = (float)(i * 13 % 29 - 14) / 8;
    if (attn_session_open(&session, model, &(attn_session_options){.threads = 1}, &err) ||
        attn_set_input(session, NULL, &input, &err) || attn_prepare(session, &err) ||
        attn_run(session, &err) || attn_output(session, NULL, &out, &err))
        fail_msg("%s", err.text);
    memcpy(y, out.data, OUT * sizeof *y);
    attn_session_close(session);
}

/* Keeps the panels of the model as it is; their path, in a buffer of the caller. */
static void keep(attn_precision precision, char path[512])
{
    attn_model *model = open_model(precision);
    attn_error err;
    const char *name = attn_kept_path(model, &err);
    assert_non_null(name);
    assert_null(model->kept_name);
    strcpy(path, name);
    if (attn_kept_write(model, path, &err)) fail_msg("%s", err.text);
    attn_model_close(model);
}

/* The model's result, whether the kept panels were used, and why not. */
static const char *run_kept(attn_precision precision, float *y, bool *used)
{
    static char notice[600];
    attn_model *model = open_model(precision);
    *used = model->kept_name != NULL;
    assert_int_equal(*used, model->packed == NULL);
    snprintf(notice, sizeof notice, "%s", attn_model_notice(model) ? attn_model_notice(model) : "");
    run_model(model, y);
    attn_model_close(model);
    return notice;
}

static void test_same_bits(void **state)
{
    (void)state;
    const char *given = getenv("ATTN_CPU");
    char *before = given ? strdup(given) : NULL;
    write_model(1);
    for (int level = 0; level < ATTN_CPU_LEVELS; level++) {
        const attn_kernels *kernels = attn_kernels_level((attn_cpu_level)level);
        if (!kernels) continue;
        setenv("ATTN_CPU", kernels->name, 1);
        for (int precision = ATTN_AS_FILE; precision <= ATTN_IN_INT4; precision++) {
            float packed[OUT], kept[OUT];
            char path[512];
            bool used;
            attn_model *model = open_model((attn_precision)precision);
            run_model(model, packed);
            attn_model_close(model);
            keep((attn_precision)precision, path);
            assert_non_null(strstr(path, kernels->name));
            assert_string_equal(run_kept((attn_precision)precision, kept, &used), "");
            assert_true(used);
            assert_memory_equal(kept, packed, sizeof packed);
            unlink(path);
        }
    }
    if (before)
        setenv("ATTN_CPU", before, 1);
    else
        unsetenv("ATTN_CPU");
    free(before);
}

/* ---- what must not be trusted -------------------------------------------------------------- */

static float right[OUT];

static void expect_unused(const char *says)
{
    float y[OUT];
    bool used;
    const char *notice = run_kept(ATTN_IN_INT8, y, &used);
    if (used) fail_msg("used, in spite of: %s", says);
    if (!strstr(notice, says) || !strstr(notice, ".panels: not used, "))
        fail_msg("\"%s\" does not say \"%s\"", notice, says);
    assert_memory_equal(y, right, sizeof right);
}

static void test_stale(void **state)
{
    (void)state;
    char path[512];
    bool used;
    write_model(1);
    keep(ATTN_IN_INT8, path);
    /* Other weights of the same size; then the same ones, written later. */
    write_model(2);
    attn_model *model = open_model(ATTN_IN_INT8);
    run_model(model, right);
    attn_model_close(model);
    expect_unused("the weight file has changed since");
    keep(ATTN_IN_INT8, path);
    assert_string_equal(run_kept(ATTN_IN_INT8, right, &used), "");
    assert_true(used);
    /* A description that uses other weights. */
    folder_json(&here, "attn.json",
                "{'format':'attn/1','name':'m','inputs':{'x':{'shape':[5,70]}},"
                "'graph':[{'layer':'linear','in':'x','out':'y','weight':'b',"
                "'transposed':true,'bias':false}],'outputs':{'y':{}}}");
    model = open_model(ATTN_IN_INT8);
    run_model(model, right);
    assert_null(model->kept_name);
    attn_model_close(model);
    expect_unused("the description wants other weights");
    folder_json(&here, "attn.json", description);
    unlink(path);
}

static void test_damaged(void **state)
{
    (void)state;
    char path[512];
    bool used;
    attn_file file;
    attn_error err;
    write_model(1);
    keep(ATTN_IN_INT8, path);
    run_kept(ATTN_IN_INT8, right, &used);
    assert_true(used);
    assert_int_equal(attn_file_map(&file, path, &err), 0);
    size_t size = file.size;
    char *copy = malloc(size + 64);
    assert_non_null(copy);
    memcpy(copy, file.data, size);
    memset(copy + size, 0, 64);
    attn_file_unmap(&file);
    const char *name = strrchr(path, '/') + 1;

    static const size_t cuts[] = {0, 1, 100, HEAD - 1, HEAD, HEAD + 1};
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        folder_bytes(&here, name, copy, cuts[i]);
        expect_unused("it is cut off");
    }
    folder_bytes(&here, name, copy, size - 1);
    expect_unused("it is cut off");
    folder_bytes(&here, name, copy, size + 64);
    expect_unused("it is cut off");
    /* Any bit: in the header's fields, and here and there in the panels. */
    for (size_t at = 0; at < size; at += at < 104 ? 1 : at < HEAD ? HEAD - at : size / 50 + 1) {
        if (at >= 96 && at < HEAD) continue; /* padding */
        copy[at] ^= 0x10;
        folder_bytes(&here, name, copy, size);
        expect_unused(at < 8    ? "it is no file of kept panels"
                      : at < 12 ? "it is of another version of attn"
                      : at < 16 ? "it is no file of kept panels"
                      : at < 32 ? "it is of another version of attn"
                      : at < 96 ? "its header is damaged"
                                : "its panels are damaged");
        copy[at] ^= 0x10;
    }
    folder_bytes(&here, name, copy, size);
    assert_string_equal(run_kept(ATTN_IN_INT8, right, &used), "");
    assert_true(used);
    free(copy);
    unlink(path);
}

/* Another CPU's file under this one's name. */
static void test_foreign(void **state)
{
    (void)state;
    const char *given = getenv("ATTN_CPU");
    char *before = given ? strdup(given) : NULL;
    char path[512], foreign[512];
    bool used;
    write_model(1);
    setenv("ATTN_CPU", "scalar", 1);
    keep(ATTN_IN_INT8, foreign);
    if (before)
        setenv("ATTN_CPU", before, 1);
    else
        unsetenv("ATTN_CPU");
    free(before);
    attn_model *model = open_model(ATTN_IN_INT8);
    attn_error err;
    strcpy(path, attn_kept_path(model, &err));
    run_model(model, right);
    attn_model_close(model);
    if (strcmp(path, foreign) == 0) {
        unlink(path);
        skip(); /* this CPU is the scalar one */
    }
    assert_int_equal(rename(foreign, path), 0);
    expect_unused("it is for other kernels");
    /* Another precision's. */
    keep(ATTN_IN_INT4, foreign);
    assert_int_equal(rename(foreign, path), 0);
    expect_unused("the description wants other weights");
    unlink(path);
    /* What is no file is not there. */
    assert_int_equal(mkdir(path, 0700), 0);
    run_kept(ATTN_IN_INT8, right, &used);
    assert_false(used);
    rmdir(path);
}

static void test_not_writable(void **state)
{
    (void)state;
    attn_error err;
    write_model(1);
    attn_model *model = open_model(ATTN_AS_FILE);
    assert_int_equal(attn_kept_write(model, "no/such/x.panels", &err), ATTN_IO);
    assert_non_null(strstr(err.text, "no/such/x.panels"));
    assert_non_null(strstr(err.text, "No such file or directory"));
    attn_model_close(model);
}

static void test_failing_allocations(void **state)
{
    (void)state;
    static const attn_allocator allocator = {failing_alloc, failing_release, NULL};
    char path[512];
    write_model(1);
    keep(ATTN_IN_INT8, path);
    for (int damaged = 0; damaged < 2; damaged++) {
        if (damaged) folder_text(&here, strrchr(path, '/') + 1, "no panels");
        attn_status status = ATTN_NO_MEMORY;
        for (long n = 1; status; n++) {
            attn_memory unused;
            attn_error err = {0};
            attn_model *model;
            attn_model_options options = {.precision = ATTN_IN_INT8, .allocator = &allocator};
            failing_begin(&unused, n, true);
            status = attn_model_open(&model, here.path, &options, &err);
            if (!status) {
                assert_true(failing_state.requests < n);
                assert_int_equal(model->kept_name != NULL, !damaged);
                assert_int_equal(model->notice != NULL, damaged);
            }
            attn_model_close(model);
            failing_end();
            assert_int_equal(failing_state.live, 0);
            bool json = status == ATTN_BAD_FILE && strstr(err.text, "not valid JSON");
            if (status && status != ATTN_NO_MEMORY && !json) fail_msg("n = %ld: %s", n, err.text);
        }
    }
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_bits),    cmocka_unit_test(test_stale),
        cmocka_unit_test(test_damaged),      cmocka_unit_test(test_foreign),
        cmocka_unit_test(test_not_writable), cmocka_unit_test(test_failing_allocations),
    };
    folder_make(&here);
    folder_json(&here, "attn.json", description);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    folder_remove(&here);
    return failed;
}
