/* The same bits everywhere: every case of
 * tests/golden/{layers,attention,relative,indexing,elementwise}.json gives the same bytes in every
 * instruction set of this machine, on 1 to 4 threads, and item by item as in a batch; with f32,
 * bf16, f16, int8 and int4 matrices. One hash over all cases of a file is that of every other
 * machine, too.
 *
 * `test_bits --print` gives a hash for each case, made at the scalar level, and those of all cases,
 * the lines of tests/golden/layers_bits.txt. They were made when test_golden, which compares the
 * same cases with PyTorch, passed. A change of the arithmetic that is meant to change bits needs
 * new ones, made in the same way: `ninja update_bits`.
 *
 * ATTN_TEST_BRIEF=1, for emulators and sanitizers: the scalar level once, the others on 1 and 3
 * threads. */
#define _XOPEN_SOURCE 700

#include "tests/bits.h"
#include "tests/layers/case_folder.h"

#include "runtime/session.h"

enum { MAX_PORTS = 64, ALL_ITEMS = -1 };

#define HASHES "tests/golden/layers_bits.txt"

static const struct {
    const char *name;
    attn_precision precision;
} precisions[] = {{"f32", ATTN_AS_FILE},
                  {"bf16", ATTN_IN_BF16},
                  {"f16", ATTN_IN_F16},
                  {"int8", ATTN_IN_INT8},
                  {"int4", ATTN_IN_INT4}};

enum { PRECISIONS = sizeof precisions / sizeof *precisions };

static const char *const families[] = {"layers",   "attention", "relative",
                                       "indexing", "windows",   "elementwise"};

enum { FAMILIES = sizeof families / sizeof *families };

static uint64_t all[PRECISIONS]; /* hashes of all cases of a family */
static bool only_print;

static attn_weights golden;
static size_t compared;

/* What a run gave: the outputs' bytes, one after the other. */
typedef struct result {
    size_t outputs, bytes[MAX_PORTS];
    char *data[MAX_PORTS];
} result;

static void free_result(result *r)
{
    for (size_t i = 0; i < r->outputs; i++) free(r->data[i]);
}

/* Input `name` of the case; if item is not ALL_ITEMS and the input is batched, that item of it. */
static attn_tensor input_of(const attn_model *model, const char *test, const char *name, long item,
                            size_t *batch, void **copy)
{
    char key[256];
    snprintf(key, sizeof key, "%s/in/%s", test, name);
    const attn_weight *w = attn_weights_find(&golden, key);
    assert_non_null(w);
    attn_tensor t = {.dtype = w->dtype, .rank = w->rank};
    memcpy(t.dim, w->dim, sizeof t.dim);
    *copy = malloc(w->bytes + 1);
    memcpy(*copy, w->data, w->bytes);
    t.data = *copy;
    for (size_t i = 0; i < model->graph.inputs; i++) {
        const attn_port *port = &model->graph.input[i];
        if (strcmp(port->name, name) != 0 || port->rank == t.rank) continue;
        *batch = t.dim[0];
        if (item == ALL_ITEMS) continue;
        t.data = (char *)t.data + (size_t)item * (w->bytes / t.dim[0]);
        t.rank--;
        memmove(t.dim, t.dim + 1, (size_t)t.rank * sizeof *t.dim);
    }
    return t;
}

static size_t run(const char *folder, const cJSON *item, attn_precision precision, const char *cpu,
                  unsigned threads, long one, result *out)
{
    const attn_model_options model_options = {.precision = precision};
    const char *name = attn_json_get(item, "name")->valuestring;
    const attn_session_options options = {.threads = threads};
    attn_error err = {0};
    attn_model *model = NULL;
    attn_session *session = NULL;
    void *copies[MAX_PORTS] = {0};
    size_t count = 0, batch = 0;
    setenv("ATTN_CPU", cpu, 1);
    bool good = !attn_model_open(&model, folder, &model_options, &err) &&
                !attn_session_open(&session, model, &options, &err);
    for (const cJSON *in = attn_json_get(item, "inputs")->child; in && good; in = in->next) {
        attn_tensor t = input_of(model, name, in->valuestring, one, &batch, &copies[count++]);
        good = !attn_set_input(session, in->valuestring, &t, &err);
    }
    good = good && !attn_prepare(session, &err) && !attn_run(session, &err);
    *out = (result){0};
    for (const cJSON *o = attn_json_get(item, "outputs")->child; o && good; o = o->next) {
        attn_tensor t;
        size_t elements;
        good = !attn_output(session, o->valuestring, &t, &err);
        if (!good) break;
        attn_product(t.dim, t.rank, &elements);
        out->bytes[out->outputs] = elements * 4;
        out->data[out->outputs] = malloc(elements * 4 + 1);
        memcpy(out->data[out->outputs++], t.data, elements * 4);
    }
    if (!good) fail_msg("%s: %s", name, err.text);
    attn_session_close(session);
    attn_model_close(model);
    for (size_t i = 0; i < count; i++) free(copies[i]);
    return batch;
}

/* have is want, or item `one` of it where an output of want is batched. */
static bool same(const result *want, const result *have, size_t batch, long one)
{
    for (size_t i = 0; i < want->outputs; i++) {
        bool part = one != ALL_ITEMS && want->bytes[i] == have->bytes[i] * batch && batch > 1;
        if (!part && want->bytes[i] != have->bytes[i]) return false;
        size_t skip = part ? (size_t)one * have->bytes[i] : 0;
        if (!bits_same(want->data[i] + skip, have->data[i], have->bytes[i])) return false;
        compared++;
    }
    return want->outputs == have->outputs;
}

static const char *const names[ATTN_CPU_LEVELS] = {"scalar", "neon",       "avx2",
                                                   "avx512", "avx512vnni", "avx512bf16"};

static bool check_precision(const char *folder, const cJSON *item, size_t which)
{
    const char *name = attn_json_get(item, "name")->valuestring;
    attn_precision precision = precisions[which].precision;
    result want, have;
    bool good = true, brief = getenv("ATTN_TEST_BRIEF") != NULL;
    uint64_t hash = BITS_START;
    size_t batch = run(folder, item, precision, "scalar", 1, ALL_ITEMS, &want);
    for (size_t i = 0; i < want.outputs; i++) hash = bits_hash(hash, want.data[i], want.bytes[i]);
    all[which] = bits_hash(all[which], &hash, sizeof hash);
    if (only_print) bits_print(name, precisions[which].name, hash);
    for (int level = 0; level < ATTN_CPU_LEVELS; level++) {
        if (!attn_kernels_level((attn_cpu_level)level) || only_print) continue;
        if (brief && level == ATTN_CPU_SCALAR) continue;
        for (unsigned threads = 1; threads <= 4; threads += brief ? 2 : 1) {
            long last = threads == 1 ? (long)batch : 0;
            for (long one = ALL_ITEMS; one < last; one++) {
                run(folder, item, precision, names[level], threads, one, &have);
                if (!same(&want, &have, batch, one)) {
                    print_error("%s: precision %d, %s, %u threads, item %ld: other bits\n", name,
                                (int)precision, names[level], threads, one);
                    good = false;
                }
                free_result(&have);
            }
        }
    }
    free_result(&want);
    return good;
}

static bool check_case(const cJSON *item)
{
    const cJSON *description = attn_json_get(item, "description");
    case_folder folder;
    bool good = true;
    case_folder_make(&folder, description, &golden);
    /* The other precisions only where a matrix has one. */
    char *text = cJSON_PrintUnformatted(description);
    bool matrices =
        strstr(text, "\"linear\"") || strstr(text, "\"patch_embed\"") || strstr(text, "\"score\"");
    cJSON_free(text);
    for (size_t i = 0; i < (matrices ? PRECISIONS : 1); i++)
        good = check_precision(folder.path, item, i) && good;
    case_folder_remove(&folder);
    return good;
}

static size_t check_cases(const char *family)
{
    char path[64], weights[64];
    cJSON *cases;
    attn_memory memory;
    attn_error err = {0};
    size_t bad = 0;
    snprintf(path, sizeof path, "tests/golden/%s.json", family);
    snprintf(weights, sizeof weights, "tests/golden/%s.safetensors", family);
    attn_memory_init(&memory, NULL, 0);
    if (attn_json_read(path, &cases, &err) || attn_weights_open(&golden, weights, &memory, &err))
        fail_msg("%s", err.text);
    for (size_t i = 0; i < PRECISIONS; i++) all[i] = BITS_START;
    for (const cJSON *item = cases->child; item; item = item->next) bad += !check_case(item);
    attn_weights_close(&golden);
    cJSON_Delete(cases);
    return bad;
}

static void bits_are_the_same(void **state)
{
    const char *family = *state;
    compared = 0;
    size_t bad = check_cases(family);
    print_message("%zu outputs compared, %zu cases with other bits\n", compared, bad);
    assert_int_equal(bad, 0);
    for (size_t i = 0; i < PRECISIONS; i++) bits_check(HASHES, family, precisions[i].name, all[i]);
}

int main(int argc, char **argv)
{
    only_print = argc == 2 && strcmp(argv[1], "--print") == 0;
    struct CMUnitTest tests[FAMILIES];
    for (size_t f = 0; f < FAMILIES; f++) {
        tests[f] = (struct CMUnitTest){.name = families[f],
                                       .test_func = bits_are_the_same,
                                       .initial_state = (void *)families[f]};
        if (!only_print) continue;
        check_cases(families[f]);
        for (size_t i = 0; i < PRECISIONS; i++) bits_print(families[f], precisions[i].name, all[i]);
    }
    if (only_print) return 0;
    for (int level = 0; level < ATTN_CPU_LEVELS; level++)
        if (!attn_kernels_level((attn_cpu_level)level))
            print_message("SKIP level %s: not of this build, or not of this processor\n",
                          names[level]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
