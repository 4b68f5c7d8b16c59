/* Precisions: what `attn pack` writes runs with the very bits that --dtype gives in memory; files
 * of f16 and bf16 run with those of f32; hostile quantised files are refused by one clear error. */
#define _XOPEN_SOURCE 700
#include "tests/check.h"

#include "runtime/session.h"
#include "runtime/weights/pack.h"

#include "tests/runtime/failing.h"
#include "tests/runtime/folder.h"
#include "tests/runtime/tensors.h"

#include <math.h>

/* Every kind of matrix: a patch, transposed, rows of a fused one, used twice, tied to a plain use,
 * one row, inputs that fill no group; bilinear needs f32. */
static const char description[] =
    "{'format':'attn/1','name':'all','inputs':{'pixels':{'shape':[3,10,15]}},'graph':["
    "{'layer':'patch_embed','in':'pixels','out':'x','weight':'patch'},"
    "{'layer':'linear','in':'x','out':'a','weight':'wide','transposed':true},"
    "{'layer':'linear','in':'a','out':'q','weight':'fused','rows':[0,37],'bias':false},"
    "{'layer':'linear','in':'a','out':'k','weight':'fused','rows':[37,37],'bias':false},"
    "{'layer':'score','in':['q','k'],'out':'s','kind':'bilinear','weight':'form'},"
    "{'layer':'normalize','in':'s','out':'w'},{'layer':'select','in':['w','a'],'out':'y'},"
    "{'layer':'linear','in':'y','out':'y','weight':'tied','bias':false},"
    "{'layer':'linear','in':'y','out':'y','weight':'tied','bias':false},"
    "{'layer':'parameter','out':'t','weight':'tied.weight'},"
    "{'layer':'linear','in':'t','out':'t','weight':'one'}],"
    "'outputs':{'y':{},'t':{}}}";

static folder here, packed;
static const attn_precision precisions[] = {ATTN_IN_F32, ATTN_IN_BF16, ATTN_IN_F16, ATTN_IN_INT8,
                                            ATTN_IN_INT4};
enum { PRECISIONS = sizeof precisions / sizeof *precisions, OUT = 6 * 70 + 70 };

static void write_model(const char *dtype)
{
    tensors t = {.dtype = dtype};
    tensors_random(&t, "patch.weight", 4, (const size_t[]){40, 3, 5, 5});
    tensors_random(&t, "patch.bias", 1, (const size_t[]){40});
    tensors_random(&t, "wide.weight", 2, (const size_t[]){40, 70});
    tensors_random(&t, "wide.bias", 1, (const size_t[]){70});
    tensors_random(&t, "fused.weight", 2, (const size_t[]){74, 70});
    tensors_random(&t, "form", 2, (const size_t[]){37, 37});
    tensors_random(&t, "tied.weight", 2, (const size_t[]){70, 70});
    tensors_random(&t, "one.weight", 2, (const size_t[]){1, 70});
    tensors_random(&t, "one.bias", 1, (const size_t[]){1});
    tensors_random(&t, "unused", 3, (const size_t[]){3, 1, 5});
    tensors_write(&t, folder_file(&here, "model.safetensors"));
}

/* Both outputs of a run. */
static void run_model(const char *path, attn_precision precision, float *y)
{
    static float pixels[3 * 10 * 15];
    attn_tensor input = {ATTN_F32, 3, {3, 10, 15}, pixels}, out;
    attn_model_options options = {.precision = precision};
    attn_model *model;
    attn_session *session = NULL;
    attn_error err;
    for (size_t i = 0; i < sizeof pixels / sizeof *pixels; i++) pixels[i] = sinf((float)i);
    if (attn_model_open(&model, path, &options, &err) ||
        attn_session_open(&session, model, &(attn_session_options){.threads = 2}, &err) ||
        attn_set_input(session, NULL, &input, &err) || attn_prepare(session, &err) ||
        attn_run(session, &err))
        fail_msg("%s", err.text);
    memset(y, 0, OUT * sizeof *y);
    assert_int_equal(attn_output(session, "y", &out, &err), 0);
    assert_int_equal(out.dim[0] * out.dim[1], 6 * 70);
    memcpy(y, out.data, 6 * 70 * sizeof *y);
    assert_int_equal(attn_output(session, "t", &out, &err), 0);
    memcpy(y + 6 * 70, out.data, 70 * sizeof *y);
    attn_session_close(session);
    attn_model_close(model);
}

static attn_status pack_model(const char *from, attn_precision precision, attn_pack_report *report,
                              attn_error *err)
{
    attn_model *model;
    attn_model_options options = {.precision = precision};
    ATTN_TRY(attn_model_describe(&model, from, &options, err));
    rmdir(packed.path);
    attn_status status = attn_pack_folder(model, packed.path, report, err);
    attn_model_close(model);
    return status;
}

static void empty_packed(void)
{
    folder_remove(&packed);
}

static double distance(const float *a, const float *b)
{
    double sum = 0, size = 0;
    for (size_t i = 0; i < OUT; i++) {
        sum += (double)(a[i] - b[i]) * (double)(a[i] - b[i]);
        size += (double)b[i] * (double)b[i];
    }
    return sqrt(sum / size);
}

static void test_same_bits_as_in_memory(void **state)
{
    (void)state;
    static float exact[OUT], in_memory[OUT], from_file[OUT];
    static const double errors[] = {0, 0.02, 0.002, 0.05, 0.5};
    const char *given = getenv("ATTN_CPU");
    char *before = given ? strdup(given) : NULL;
    attn_error err;
    attn_pack_report report;
    write_model("F32");
    run_model(here.path, ATTN_AS_FILE, exact);
    for (int i = 0; i < PRECISIONS; i++) {
        if (pack_model(here.path, precisions[i], &report, &err)) fail_msg("%s", err.text);
        assert_int_equal(report.tensors, 10);
        assert_int_equal(report.packed, 4);
        for (int level = 0; level < ATTN_CPU_LEVELS; level++) {
            const attn_kernels *kernels = attn_kernels_level((attn_cpu_level)level);
            if (!kernels) continue;
            setenv("ATTN_CPU", kernels->name, 1);
            run_model(here.path, precisions[i], in_memory);
            run_model(packed.path, ATTN_AS_FILE, from_file);
            assert_memory_equal(from_file, in_memory, sizeof in_memory);
            run_model(packed.path, precisions[i], from_file);
            assert_memory_equal(from_file, in_memory, sizeof in_memory);
        }
        double error = distance(in_memory, exact);
        print_message("%s: error %g\n", attn_precision_name(precisions[i]), error);
        assert_true(error <= errors[i] && (error > 0 || precisions[i] == ATTN_IN_F32));
        empty_packed();
        if (before)
            setenv("ATTN_CPU", before, 1);
        else
            unsetenv("ATTN_CPU");
    }
    free(before);
}

/* A file of halves gives the bits of f32 arithmetic on its exact values. */
static void test_halves_keep_the_promise(void **state)
{
    (void)state;
    static const char *const dtypes[] = {"BF16", "F16"};
    static float as_file[OUT], in_f32[OUT];
    for (int i = 0; i < 2; i++) {
        write_model(dtypes[i]);
        run_model(here.path, ATTN_AS_FILE, as_file);
        run_model(here.path, ATTN_IN_F32, in_f32);
        assert_memory_equal(as_file, in_f32, sizeof in_f32);
        attn_model *model;
        attn_error err;
        assert_int_equal(attn_model_open(&model, here.path, NULL, &err), 0);
        for (size_t p = 0; p < model->params.count; p++)
            if (model->params.param[p]->any_type)
                assert_int_equal(model->params.param[p]->type,
                                 i ? ATTN_PANEL_F16 : ATTN_PANEL_BF16);
        attn_model_close(model);
    }
}

/* Packing what is packed: the integers stay; from them, any other precision. */
static void test_packed_again(void **state)
{
    (void)state;
    static float once[OUT], twice[OUT];
    attn_error err;
    attn_pack_report report;
    folder first;
    write_model("F32");
    for (int i = 3; i < PRECISIONS; i++) {
        if (pack_model(here.path, precisions[i], &report, &err)) fail_msg("%s", err.text);
        run_model(packed.path, ATTN_AS_FILE, once);
        first = packed;
        folder_make(&packed);
        if (pack_model(first.path, precisions[i], &report, &err)) fail_msg("%s", err.text);
        assert_int_equal(report.tensors, 10);
        run_model(packed.path, ATTN_AS_FILE, twice);
        assert_memory_equal(once, twice, sizeof once);
        empty_packed();
        if (pack_model(first.path, ATTN_IN_F32, &report, &err)) fail_msg("%s", err.text);
        run_model(packed.path, precisions[i], twice);
        assert_memory_equal(once, twice, sizeof once);
        empty_packed();
        folder_remove(&first);
    }
}

static void expect_pack_error(attn_precision precision, attn_status status, const char *part)
{
    attn_error err = {0};
    attn_pack_report report;
    assert_int_equal(pack_model(here.path, precision, &report, &err), status);
    if (!strstr(err.text, part)) fail_msg("\"%s\" does not say \"%s\"", err.text, part);
    assert_int_not_equal(access(packed.path, F_OK), 0); /* nothing is left */
}

static void test_values_that_do_not_fit(void **state)
{
    (void)state;
    static const float values[] = {NAN, INFINITY, 3e38f};
    write_model("F32");
    attn_weights w;
    attn_memory memory;
    attn_error err;
    attn_memory_init(&memory, NULL, 0);
    assert_int_equal(attn_weights_open(&w, folder_file(&here, "model.safetensors"), &memory, &err),
                     0);
    const attn_weight *fused = attn_weights_find(&w, "fused.weight");
    size_t size = w.file[0].size;
    size_t at = (size_t)((const char *)fused->data - (const char *)w.file[0].data);
    char *copy = malloc(size);
    assert_non_null(copy);
    memcpy(copy, w.file[0].data, size);
    attn_weights_close(&w);
    for (int i = 0; i < 3; i++) {
        memcpy(copy + at + (70 * 5 + 3) * 4, &values[i], 4);
        folder_bytes(&here, "model.safetensors", copy, size);
        for (int p = 3; p < PRECISIONS; p++)
            expect_pack_error(precisions[p], ATTN_BAD_MODEL,
                              "\"fused.weight\": output 5 holds NaN, infinity");
    }
    expect_pack_error(ATTN_IN_F16, ATTN_BAD_MODEL, "\"fused.weight\": 3e+38 is too large for f16");
    free(copy);
}

static void test_targets(void **state)
{
    (void)state;
    attn_error err;
    attn_pack_report report;
    attn_model *model;
    attn_model_options options = {.precision = ATTN_IN_INT8};
    write_model("F32");
    assert_int_equal(attn_model_describe(&model, here.path, &options, &err), 0);
    assert_int_equal(attn_pack_folder(model, here.path, &report, &err), ATTN_IO);
    assert_non_null(strstr(err.text, "is there already, and not empty"));
    assert_int_equal(attn_pack_folder(model, "/dev/null", &report, &err), ATTN_IO);
    assert_non_null(strstr(err.text, "/dev/null: Not a directory"));
    assert_int_equal(attn_pack_folder(model, "no/such/place", &report, &err), ATTN_IO);
    assert_non_null(strstr(err.text, "No such file or directory"));
    attn_model_close(model);
}

/* ---- hostile files ------------------------------------------------------------------------- */

typedef struct part {
    const char *dtype;
    int rank;
    size_t dim[3];
    float scale; /* F32, BF16: every element, but for the last */
    float last;
} part;

#define GOOD 1, 1
static const struct {
    part data, scale, shape;
    int64_t size[3];  /* the shape's elements */
    const char *says; /* NULL: it is good */
} quantised[] = {
    {{"I8", 2, {4, 6}, 0, 0}, {"F32", 2, {4, 1}, GOOD}, {0}, {0}, NULL},
    {{"I8", 2, {4, 6}, 0, 0}, {"F32", 2, {1, 6}, GOOD}, {0}, {0}, NULL},
    {{"I8", 2, {4, 6}, 0, 0}, {"F32", 2, {4, 1}, 0, 0}, {0}, {0}, NULL},
    {{"I8", 2, {4, 6}, 0, 0}, {0}, {0}, {0}, "dtype I8 needs scales"},
    {{"I8", 2, {4, 6}, 0, 0}, {"BF16", 2, {4, 1}, GOOD}, {0}, {0}, "its scales are not F32"},
    {{"I8", 2, {4, 6}, 0, 0}, {"F64", 2, {4, 1}, GOOD}, {0}, {0}, "its scales are not F32"},
    {{"I8", 2, {4, 6}, 0, 0}, {"F32", 1, {4}, GOOD}, {0}, {0}, "scales of shape [4] do not fit I8"},
    {{"I8", 2, {4, 6}, 0, 0}, {"F32", 2, {6, 1}, GOOD}, {0}, {0}, "scales of shape [6, 1] do not"},
    {{"I8", 2, {4, 6}, 0, 0}, {"F32", 2, {4, 6}, GOOD}, {0}, {0}, "scales of shape [4, 6] do not"},
    {{"I8", 2, {4, 6}, 0, 0}, {"F32", 2, {0, 1}, GOOD}, {0}, {0}, "scales of shape [0, 1] do not"},
    {{"I8", 1, {6}, 0, 0}, {"F32", 1, {6}, GOOD}, {0}, {0}, "at least 2 dimensions"},
    {{"I8", 2, {4, 6}, 0, 0}, {"F32", 2, {4, 1}, 1, NAN}, {0}, {0}, "scale 3 is nan"},
    {{"I8", 2, {4, 6}, 0, 0}, {"F32", 2, {4, 1}, 1, -1}, {0}, {0}, "scale 3 is -1, expected"},
    {{"I8", 2, {4, 6}, 0, 0}, {"F32", 2, {1, 6}, 1, INFINITY}, {0}, {0}, "scale 5 is inf"},
    {{"I8", 2, {4, 6}, 0, 0}, {"F32", 2, {4, 1}, 1, 3e38f}, {0}, {0}, "scale 3 is 3e+38"},
    {{"U8", 2, {4, 3}, 0, 0}, {"BF16", 2, {4, 1}, GOOD}, {"I64", 1, {2}, 0, 0}, {4, 6}, NULL},
    {{"U8", 2, {2, 6}, 0, 0}, {"BF16", 2, {1, 6}, GOOD}, {"I64", 1, {2}, 0, 0}, {4, 6}, NULL},
    {{"U8", 2, {4, 3}, 0, 0}, {"F32", 2, {4, 1}, GOOD}, {"I64", 1, {2}, 0, 0}, {4, 6}, "not BF16"},
    {{"U8", 2, {4, 3}, 0, 0},
     {"BF16", 2, {4, 1}, GOOD},
     {"I32", 1, {2}, 0, 0},
     {4, 6},
     "its shape is not a row of I64"},
    {{"U8", 2, {4, 3}, 0, 0},
     {"BF16", 2, {4, 1}, GOOD},
     {"I64", 2, {2, 1}, 0, 0},
     {4, 6},
     "its shape is not a row of I64"},
    {{"U8", 2, {4, 3}, 0, 0},
     {"BF16", 2, {4, 1}, GOOD},
     {"I64", 1, {1}, 0, 0},
     {4},
     "its shape has not 2 to 8 dimensions"},
    {{"U8", 2, {4, 3}, 0, 0},
     {"BF16", 2, {4, 1}, GOOD},
     {"I64", 1, {2}, 0, 0},
     {4, -6},
     "negative or too large"},
    {{"U8", 2, {4, 3}, 0, 0},
     {"BF16", 2, {4, 1}, GOOD},
     {"I64", 1, {2}, 0, 0},
     {4, INT64_MAX},
     "negative or too large"},
    {{"U8", 2, {4, 3}, 0, 0},
     {"BF16", 2, {4, 1}, GOOD},
     {"I64", 1, {2}, 0, 0},
     {(int64_t)1 << 53, (int64_t)1 << 53},
     "its shape is too large"},
    {{"U8", 2, {4, 3}, 0, 0},
     {"BF16", 2, {4, 1}, GOOD},
     {"I64", 1, {2}, 0, 0},
     {4, 8},
     "do not fit 4-bit integers of shape [4, 3]"},
    {{"U8", 2, {4, 3}, 0, 0},
     {"BF16", 2, {4, 2}, GOOD},
     {"I64", 1, {2}, 0, 0},
     {4, 6},
     "scales of shape [4, 2] do not fit"},
    {{"U8", 1, {12}, 0, 0},
     {"BF16", 2, {4, 1}, GOOD},
     {"I64", 1, {2}, 0, 0},
     {4, 6},
     "do not fit 4-bit integers of shape [12]"},
    {{"U8", 2, {4, 3}, 0, 0},
     {"BF16", 2, {4, 1}, 1, NAN},
     {"I64", 1, {2}, 0, 0},
     {4, 6},
     "scale 3 is nan"},
};

static void add(tensors *t, const char *name, const part *p, const int64_t *sizes)
{
    size_t count = 1, element;
    unsigned char data[512] = {0};
    if (!p->dtype) return;
    for (int i = 0; i < p->rank; i++) count *= p->dim[i];
    element = tensors_size(p->dtype);
    for (size_t i = 0; i < count; i++) {
        float value = i + 1 == count ? p->last : p->scale;
        uint32_t bits;
        memcpy(&bits, &value, 4);
        if (strcmp(p->dtype, "F32") == 0)
            memcpy(data + 4 * i, &bits, 4);
        else if (strcmp(p->dtype, "BF16") == 0)
            memcpy(data + 2 * i, (const char *)&bits + 2, 2);
        else if (strcmp(p->dtype, "I64") == 0)
            memcpy(data + 8 * i, &sizes[i], 8);
        else
            data[i] = (unsigned char)(i * 37);
    }
    tensors_add(t, name, p->dtype, p->rank, p->dim, data, count * element);
}

static void test_hostile(void **state)
{
    (void)state;
    folder_json(&here, "attn.json",
                "{'format':'attn/1','name':'x','inputs':{'x':{'shape':[1,6]}},'graph':["
                "{'layer':'linear','in':'x','out':'y','weight':'m','bias':false}],"
                "'outputs':{'y':{}}}");
    for (size_t i = 0; i < sizeof quantised / sizeof *quantised; i++) {
        attn_model *model;
        attn_error err = {0};
        tensors t = {0};
        add(&t, "m.weight", &quantised[i].data, NULL);
        add(&t, "m.weight_scale", &quantised[i].scale, NULL);
        add(&t, "m.weight_shape", &quantised[i].shape, quantised[i].size);
        tensors_write(&t, folder_file(&here, "model.safetensors"));
        attn_status status = attn_model_open(&model, here.path, NULL, &err);
        if (!quantised[i].says) {
            if (status) fail_msg("%zu: %s", i, err.text);
            attn_model_close(model);
            continue;
        }
        if (status != ATTN_BAD_MODEL) fail_msg("%zu: status %d, %s", i, (int)status, err.text);
        if (!strstr(err.text, quantised[i].says) || !strstr(err.text, "m.weight"))
            fail_msg("%zu: \"%s\" does not say \"%s\"", i, err.text, quantised[i].says);
    }
    folder_json(&here, "attn.json", description);
}

/* Every integer, by its formula. */
static void test_values(void **state)
{
    (void)state;
    tensors t = {0};
    unsigned char q[256 * 2], q4[2 * 20];
    float scale[2] = {0.5f, 3}, value[512], sixteenth = 0.0625f;
    uint16_t halves[4];
    for (int i = 0; i < 512; i++) q[i] = (unsigned char)i;
    for (int i = 0; i < 40; i++) q4[i] = (unsigned char)(i * 7);
    for (int i = 0; i < 4; i++) {
        float s = (float)(i + 1) * sixteenth;
        memcpy(&halves[i], (const char *)&s + 2, 2);
    }
    tensors_add(&t, "a", "I8", 2, (const size_t[]){2, 256}, q, 512);
    tensors_add(&t, "a_scale", "F32", 2, (const size_t[]){2, 1}, scale, 8);
    tensors_add(&t, "b", "U8", 2, (const size_t[]){2, 20}, q4, 40);
    tensors_add(&t, "b_scale", "BF16", 2, (const size_t[]){2, 2}, halves, 8);
    tensors_add(&t, "b_shape", "I64", 1, (const size_t[]){3}, (const int64_t[]){2, 3, 13}, 24);
    tensors_write(&t, folder_file(&here, "model.safetensors"));
    attn_weights w;
    attn_memory memory;
    attn_error err;
    attn_memory_init(&memory, NULL, 0);
    assert_int_equal(attn_weights_open(&w, folder_file(&here, "model.safetensors"), &memory, &err),
                     0);
    const attn_weight *a = attn_weights_find(&w, "a"), *b = attn_weights_find(&w, "b");
    attn_weight_to_f32(a, 0, 512, value);
    for (int i = 0; i < 512; i++) assert_true(value[i] == (float)(signed char)i * scale[i / 256]);
    attn_weight_to_f32(a, 300, 5, value);
    for (int i = 0; i < 5; i++) assert_true(value[i] == (float)(44 + i) * 3);
    assert_int_equal(b->rank, 3);
    for (size_t first = 0; first < 78; first += 11) {
        size_t count = 78 - first < 11 ? 78 - first : 11;
        attn_weight_to_f32(b, first, count, value);
        for (size_t i = 0; i < count; i++) {
            size_t row = (first + i) / 39, column = (first + i) % 39;
            int byte = q4[row * 20 + column / 2], n = column % 2 ? byte >> 4 : byte & 15;
            float s = (float)(row * 2 + column / 32 + 1) * sixteenth;
            assert_true(value[i] == (float)(n - 8) * s);
        }
    }
    attn_weights_close(&w);
}

static void test_metadata(void **state)
{
    (void)state;
    tensors t = {.metadata = "{\"attn.dtype\":\"int7\"}"};
    attn_weights w;
    attn_memory memory;
    attn_error err;
    attn_memory_init(&memory, NULL, 0);
    tensors_random(&t, "a", 1, (const size_t[]){3});
    tensors_write(&t, folder_file(&here, "model.safetensors"));
    assert_int_equal(attn_weights_open(&w, folder_file(&here, "model.safetensors"), &memory, &err),
                     ATTN_BAD_FILE);
    assert_non_null(strstr(err.text, "\"attn.dtype\" is \"int7\", expected f32, bf16"));
}

/* ---- large weights ------------------------------------------------------------------------- */

/* Packed by all CPUs in many tasks: each panel is what one call of pack makes of it. */
static void test_large(void **state)
{
    (void)state;
    static const char *const dtypes[] = {"F32", "F16"};
    enum { K = 700, N = 1100 };
    folder_json(&here, "attn.json",
                "{'format':'attn/1','name':'x','inputs':{'x':{'shape':[700,700]}},'graph':["
                "{'layer':'linear','in':'x','out':'y','weight':'m','bias':false},"
                "{'layer':'linear','in':'y','out':'y','weight':'t','bias':false,'transposed':true},"
                "{'layer':'add','in':'y','out':'y','weight':'plain'}],'outputs':{'y':{}}}");
    for (int d = 0; d < 2; d++) {
        tensors t = {.dtype = dtypes[d]};
        tensors_random(&t, "plain", 2, (const size_t[]){K, K});
        tensors_random(&t, "m.weight", 2, (const size_t[]){N, K});
        tensors_random(&t, "t.weight", 2, (const size_t[]){N, K});
        tensors_write(&t, folder_file(&here, "model.safetensors"));
        for (int i = 0; i < PRECISIONS; i++) {
            attn_model *model;
            attn_error err;
            attn_model_options options = {.precision = precisions[i]};
            if (attn_model_open(&model, here.path, &options, &err)) fail_msg("%s", err.text);
            for (size_t u = 0; u < model->params.uses; u++) {
                const attn_param *p = *model->params.use[u].param;
                size_t bytes = 0, count = attn_param_elements(p);
                float *exact = malloc(count * sizeof(float));
                assert_non_null(exact);
                attn_weight_to_f32(p->source, 0, count, exact);
                if (p->form == ATTN_PLAIN) {
                    assert_memory_equal(p->data, exact, count * sizeof(float));
                } else {
                    assert_true(attn_packed_bytes(model->kernels, p->type, p->k, p->n, &bytes));
                    char *panels = aligned_alloc(64, (bytes + 63) / 64 * 64);
                    assert_non_null(panels);
                    memset(panels, 0, bytes);
                    model->kernels->pack(p->type, panels, exact, p->k, p->n, p->k_is_row ? p->n : 1,
                                         p->k_is_row ? 1 : p->k);
                    assert_memory_equal(p->panels, panels, bytes);
                    free(panels);
                }
                free(exact);
            }
            attn_model_close(model);
        }
    }
    folder_json(&here, "attn.json", description);
}

/* ---- memory -------------------------------------------------------------------------------- */

static void test_failing_allocations(void **state)
{
    (void)state;
    static const attn_allocator allocator = {failing_alloc, failing_release, NULL};
    attn_status status = ATTN_NO_MEMORY;
    write_model("F32");
    for (int i = 3; i < PRECISIONS; i++)
        for (long n = 1; status || n == 1; n++) {
            attn_memory unused;
            attn_error err = {0};
            attn_model *model;
            attn_pack_report report;
            attn_model_options options = {.precision = precisions[i], .allocator = &allocator};
            failing_begin(&unused, n, true);
            status = attn_model_describe(&model, here.path, &options, &err);
            rmdir(packed.path);
            if (!status) status = attn_pack_folder(model, packed.path, &report, &err);
            attn_model_close(model);
            failing_end();
            assert_int_equal(failing_state.live, 0);
            bool json = status == ATTN_BAD_FILE && strstr(err.text, "not valid JSON");
            if (status && status != ATTN_NO_MEMORY && !json) fail_msg("n = %ld: %s", n, err.text);
            if (!status && failing_state.requests >= n)
                fail_msg("n = %ld: success in spite of it", n);
            if (status) assert_int_not_equal(access(packed.path, F_OK), 0);
            empty_packed();
            if (!status) break;
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_bits_as_in_memory),
        cmocka_unit_test(test_halves_keep_the_promise),
        cmocka_unit_test(test_packed_again),
        cmocka_unit_test(test_values_that_do_not_fit),
        cmocka_unit_test(test_targets),
        cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_metadata),
        cmocka_unit_test(test_large),
        cmocka_unit_test(test_failing_allocations),
    };
    folder_make(&here);
    folder_make(&packed);
    folder_json(&here, "attn.json", description);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    folder_remove(&here);
    folder_remove(&packed);
    return failed;
}
