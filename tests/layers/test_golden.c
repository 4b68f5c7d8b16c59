/* Every case of tests/golden/{layers,attention,relative,indexing,elementwise}.json, run as a model,
 * against the reference's results; every case of *_errors.json refused with its message. The files
 * are made by tests/golden/make_*.py from PyTorch and NumPy in float64. */
#define _XOPEN_SOURCE 700

#include "tests/layers/case_folder.h"

#include "runtime/session.h"

#include <math.h>

enum { MAX_CASE_INPUTS = 16 };

static attn_tensor tensor_of(const attn_weight *w, void **copy)
{
    attn_tensor t = {.dtype = w->dtype, .rank = w->rank};
    memcpy(t.dim, w->dim, sizeof t.dim);
    *copy = malloc(w->bytes + 1);
    memcpy(*copy, w->data, w->bytes);
    t.data = *copy;
    return t;
}

/* Shape and elements are the reference's; prints what does not fit. */
static bool output_matches(const char *name, const attn_tensor *have, const attn_weight *want,
                           double tolerance)
{
    size_t count, expected;
    attn_shape_text a, b;
    attn_product(have->dim, have->rank, &count);
    attn_product(want->dim, want->rank, &expected);
    if (have->rank != want->rank ||
        memcmp(have->dim, want->dim, sizeof(size_t) * (size_t)have->rank)) {
        print_error("%s: shape %s, expected %s\n", name,
                    attn_format_shape(&a, have->dim, have->rank),
                    attn_format_shape(&b, want->dim, want->rank));
        return false;
    }
    float *reference = malloc(expected * sizeof *reference);
    int32_t *whole = malloc(expected * sizeof *whole);
    bool integers = have->dtype == ATTN_I32 && want->dtype == ATTN_I32;
    attn_weight_to_f32(want, 0, expected, reference);
    if (integers) attn_weight_to_i32(want, 0, expected, whole);
    size_t bad = 0;
    for (size_t i = 0; i < count; i++) {
        double x =
            have->dtype == ATTN_I32 ? ((int32_t *)have->data)[i] : (double)((float *)have->data)[i];
        double y = integers ? whole[i] : (double)reference[i];
        bool same = x == y || (isnan(x) && isnan(y)) || fabs(x - y) <= tolerance * fmax(1, fabs(y));
        if (!same && bad++ == 0)
            print_error("%s: element %zu is %.9g, expected %.9g\n", name, i, x, y);
    }
    free(reference);
    free(whole);
    return bad == 0;
}

/* Runs one case with these options and compares the outputs. */
static bool run_case(const cJSON *item, const attn_weights *golden,
                     const attn_session_options *options)
{
    const char *name = attn_json_get(item, "name")->valuestring;
    double tolerance = attn_json_get(item, "tolerance")->valuedouble;
    attn_error err = {0};
    attn_model *model = NULL;
    attn_session *session = NULL;
    void *data[MAX_CASE_INPUTS] = {0};
    size_t inputs = 0;
    bool good = true;
    case_folder f;
    char key[256];
    case_folder_make(&f, attn_json_get(item, "description"), golden);
    good = !attn_model_open(&model, f.path, NULL, &err) &&
           !attn_session_open(&session, model, options, &err);
    for (const cJSON *in = attn_json_get(item, "inputs")->child; in && good; in = in->next) {
        snprintf(key, sizeof key, "%s/in/%s", name, in->valuestring);
        const attn_weight *w = attn_weights_find(golden, key);
        assert_non_null(w);
        attn_tensor t = tensor_of(w, &data[inputs++]);
        good = !attn_set_input(session, in->valuestring, &t, &err);
    }
    good = good && !attn_prepare(session, &err) && !attn_run(session, &err);
    if (!good) print_error("%s: %s\n", name, err.text);
    for (const cJSON *out = attn_json_get(item, "outputs")->child; out && good; out = out->next) {
        attn_tensor have;
        snprintf(key, sizeof key, "%s/out/%s", name, out->valuestring);
        const attn_weight *want = attn_weights_find(golden, key);
        assert_non_null(want);
        good = !attn_output(session, out->valuestring, &have, &err) &&
               output_matches(key, &have, want, tolerance);
    }
    attn_session_close(session);
    attn_model_close(model);
    for (size_t i = 0; i < inputs; i++) free(data[i]);
    case_folder_remove(&f);
    return good;
}

static void check_file(const char *family)
{
    char path[128], weights[128];
    cJSON *cases;
    attn_weights golden;
    attn_memory memory;
    attn_error err = {0};
    snprintf(path, sizeof path, "tests/golden/%s.json", family);
    snprintf(weights, sizeof weights, "tests/golden/%s.safetensors", family);
    attn_memory_init(&memory, NULL, 0);
    if (attn_json_read(path, &cases, &err) || attn_weights_open(&golden, weights, &memory, &err))
        fail_msg("%s", err.text);
    size_t count = 0, bad = 0;
    static const attn_session_options options[] = {
        {.threads = 1},
        {.threads = 3, .keep_attention = true},
        {.threads = 2, .no_fusion = true},
    };
    for (const cJSON *item = cases->child; item; item = item->next, count++)
        for (size_t o = 0; o < 3; o++)
            if (!run_case(item, &golden, &options[o])) {
                bad++;
                break;
            }
    print_message("%s: %zu cases, %zu wrong\n", family, count, bad);
    assert_int_equal(bad, 0);
    assert_true(count > 20);
    attn_weights_close(&golden);
    cJSON_Delete(cases);
}

static void layers_match_the_reference(void **state)
{
    (void)state;
    check_file("layers");
}

static void positions_match_the_reference(void **state)
{
    (void)state;
    check_file("relative");
}

static void indexing_matches_the_reference(void **state)
{
    (void)state;
    check_file("indexing");
}

static void windows_match_the_reference(void **state)
{
    (void)state;
    check_file("windows");
}

static void elements_match_the_reference(void **state)
{
    (void)state;
    check_file("elementwise");
}

static void attention_matches_the_reference(void **state)
{
    (void)state;
    check_file("attention");
}

/* ---- what must be refused ------------------------------------------------------------------ */

/* Opens the description and plans it for inputs of the case's shapes. */
static attn_status try_case(const cJSON *item, const attn_weights *golden, attn_error *err)
{
    attn_model *model = NULL;
    attn_session *session = NULL;
    const attn_session_options options = {.threads = 1};
    static float zeros[1 << 20];
    case_folder f;
    case_folder_make(&f, attn_json_get(item, "description"), golden);
    attn_status status = attn_model_open(&model, f.path, NULL, err);
    if (!status) status = attn_session_open(&session, model, &options, err);
    const cJSON *inputs = attn_json_get(item, "inputs");
    for (const cJSON *in = inputs ? inputs->child : NULL; in && !status; in = in->next) {
        attn_tensor t = {.dtype = ATTN_F32, .data = zeros};
        for (size_t i = 0; i < model->graph.inputs; i++)
            if (strcmp(model->graph.input[i].name, in->string) == 0)
                t.dtype = model->graph.input[i].dtype;
        for (const cJSON *d = in->child; d; d = d->next) t.dim[t.rank++] = (size_t)d->valuedouble;
        status = attn_set_input(session, in->string, &t, err);
    }
    if (!status) status = attn_prepare(session, err);
    attn_session_close(session);
    attn_model_close(model);
    case_folder_remove(&f);
    return status;
}

static void check_errors(const char *path, size_t least)
{
    cJSON *cases;
    attn_weights golden;
    attn_memory memory;
    attn_error err = {0};
    size_t count = 0, bad = 0;
    attn_memory_init(&memory, NULL, 0);
    if (attn_json_read(path, &cases, &err) ||
        attn_weights_open(&golden, "tests/golden/layers.safetensors", &memory, &err))
        fail_msg("%s", err.text);
    for (const cJSON *item = cases->child; item; item = item->next, count++) {
        err = (attn_error){0};
        bool good = try_case(item, &golden, &err) != ATTN_OK;
        for (const cJSON *part = attn_json_get(item, "error")->child; part && good;
             part = part->next)
            good = strstr(err.text, part->valuestring) != NULL;
        if (good) continue;
        bad++;
        char *want = cJSON_PrintUnformatted(attn_json_get(item, "error"));
        print_error("%s: \"%s\", expected %s\n", attn_json_get(item, "name")->valuestring, err.text,
                    want);
        cJSON_free(want);
    }
    print_message("%s: %zu cases, %zu not refused as they should be\n", path, count, bad);
    assert_int_equal(bad, 0);
    assert_true(count >= least);
    attn_weights_close(&golden);
    cJSON_Delete(cases);
}

static void wrong_layers_are_refused(void **state)
{
    (void)state;
    check_errors("tests/golden/layer_errors.json", 40);
}

static void wrong_attention_is_refused(void **state)
{
    (void)state;
    check_errors("tests/golden/attention_errors.json", 40);
}

static void wrong_positions_are_refused(void **state)
{
    (void)state;
    check_errors("tests/golden/relative_errors.json", 16);
}

static void wrong_indexing_is_refused(void **state)
{
    (void)state;
    check_errors("tests/golden/indexing_errors.json", 65);
}

static void wrong_windows_are_refused(void **state)
{
    (void)state;
    check_errors("tests/golden/windows_errors.json", 12);
}

static void wrong_elements_are_refused(void **state)
{
    (void)state;
    check_errors("tests/golden/elementwise_errors.json", 55);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layers_match_the_reference),
        cmocka_unit_test(attention_matches_the_reference),
        cmocka_unit_test(positions_match_the_reference),
        cmocka_unit_test(indexing_matches_the_reference),
        cmocka_unit_test(elements_match_the_reference),
        cmocka_unit_test(wrong_layers_are_refused),
        cmocka_unit_test(wrong_attention_is_refused),
        cmocka_unit_test(wrong_positions_are_refused),
        cmocka_unit_test(wrong_indexing_is_refused),
        cmocka_unit_test(windows_match_the_reference),
        cmocka_unit_test(wrong_windows_are_refused),
        cmocka_unit_test(wrong_elements_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
