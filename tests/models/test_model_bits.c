/* The same bits, whole models: every instruction set that this processor has, times 1 to 4 threads,
 * times batches of 1, 3 and 8, times fused and layer by layer, in f32 and in int8; some of these
 * with attention spelled as three layers, and in bf16, f16 and int4. What they give is compared
 * byte by byte, and by its hash with tests/golden/models/bits.txt: that file is the same for all
 * machines, so it also holds x86 and ARM together.
 *
 * The hashes were made by `test_model_bits --print` (the scalar level, one item after the other)
 * when test_models, which compares the same outputs with PyTorch's, passed. A change of the
 * arithmetic that is meant to change bits needs new ones, made in the same way: `ninja
 * update_bits`.
 *
 * ATTN_TEST_BRIEF=1 leaves out most combinations, for emulators and sanitizers. Of the bundled
 * model there are fewer than of the tiny ones: it takes a hundred times as long. */
#define _XOPEN_SOURCE 700

#include "tests/bits.h"
#include "tests/models/examples.h"

#include "layers/kernels/kernels.h"

#include <unistd.h>

#define HASHES GOLDEN "bits.txt"

static const char *const names[ATTN_CPU_LEVELS] = {"scalar", "neon",       "avx2",
                                                   "avx512", "avx512vnni", "avx512bf16"};

static const struct {
    const char *name;
    attn_precision precision;
    bool brief; /* some of the ways will do */
} precisions[] = {
    {"f32", ATTN_AS_FILE, false}, {"int8", ATTN_IN_INT8, false}, {"bf16", ATTN_IN_BF16, true},
    {"f16", ATTN_IN_F16, true},   {"int4", ATTN_IN_INT4, true},
};

enum { PRECISIONS = sizeof precisions / sizeof *precisions };

static size_t compared;

/* The first way in which a model is run; all others must give its bits. */
static float *run_plainly(const example *e, attn_precision precision, const example_data *d,
                          size_t *bytes)
{
    setenv("ATTN_CPU", "scalar", 1);
    attn_model *model = open_model_in(e->folder, precision);
    attn_session *session = open_session(model, (attn_session_options){.threads = 1});
    *bytes = BATCH * example_floats(model, d) * sizeof(float);
    float *out = malloc(*bytes);
    assert_non_null(out);
    run_examples(session, d, 0, out);
    attn_session_close(session);
    attn_model_close(model);
    return out;
}

/* ---- attention as three layers ------------------------------------------------------------- */

static const char *text_of(const cJSON *node, const char *key, const char *fallback)
{
    const cJSON *item = attn_json_get(node, key);
    return item ? item->valuestring : fallback;
}

static cJSON *new_layer(const char *layer, const char *kind, cJSON *in, const char *out)
{
    cJSON *node = cJSON_CreateObject();
    cJSON_AddStringToObject(node, "layer", layer);
    cJSON_AddStringToObject(node, "kind", kind);
    cJSON_AddItemToObject(node, "in", in);
    cJSON_AddStringToObject(node, "out", out);
    return node;
}

static cJSON *two(const cJSON *a, const cJSON *b)
{
    cJSON *list = cJSON_CreateArray();
    cJSON_AddItemToArray(list, cJSON_Duplicate(a, true));
    cJSON_AddItemToArray(list, cJSON_Duplicate(b, true));
    return list;
}

/* A group of score, normalize and select that does what the attention layer does. */
static cJSON *three_layers(const cJSON *attention)
{
    static const char *const known[] = {"layer",     "in",     "out",  "score",
                                        "normalize", "select", "note", NULL};
    const cJSON *in = attn_json_get(attention, "in");
    cJSON *group = cJSON_CreateObject(), *graph = cJSON_AddArrayToObject(group, "graph");
    cJSON *score =
        new_layer("score", text_of(attention, "score", "scaled_dot"),
                  two(cJSON_GetArrayItem(in, 0), cJSON_GetArrayItem(in, 1)), "the_scores");
    cJSON *scores = cJSON_CreateString("the_scores"), *weights = cJSON_CreateString("the_weights");
    for (const cJSON *item = attention->child; item; item = item->next) {
        size_t i = 0;
        while (known[i] && strcmp(known[i], item->string) != 0) i++;
        if (!known[i]) cJSON_AddItemToObject(score, item->string, cJSON_Duplicate(item, true));
    }
    cJSON_AddItemToArray(graph, score);
    cJSON_AddItemToArray(graph, new_layer("normalize", text_of(attention, "normalize", "softmax"),
                                          scores, "the_weights"));
    cJSON_AddItemToArray(graph, new_layer("select", text_of(attention, "select", "weighted"),
                                          two(weights, cJSON_GetArrayItem(in, 2)),
                                          attn_json_get(attention, "out")->valuestring));
    cJSON_Delete(weights);
    return group;
}

/* Spells every attention of the list so; returns how many there were. */
static size_t spell_out(cJSON *list)
{
    size_t count = 0;
    for (int i = 0; i < cJSON_GetArraySize(list); i++) {
        cJSON *item = cJSON_GetArrayItem(list, i);
        const cJSON *layer = attn_json_get(item, "layer");
        cJSON *graph = cJSON_GetObjectItemCaseSensitive(item, "graph");
        if (graph) count += spell_out(graph);
        if (!layer || strcmp(layer->valuestring, "attention") != 0) continue;
        cJSON_ReplaceItemInArray(list, i, three_layers(item));
        count++;
    }
    return count;
}

/* The model of `folder` with attention as three layers; opened from a folder that is gone then. */
static attn_model *open_spelled(const char *folder, attn_precision precision)
{
    static const char *const files[] = {"config.json", "model.safetensors"};
    char to[] = "/tmp/attn-test-XXXXXX", path[400], target[600], here[300];
    attn_model finder = {.packed = NULL};
    attn_found found;
    attn_error err;
    attn_memory_init(&finder.memory, NULL, 0);
    attn_arena_init(&finder.arena, &finder.memory);
    if (attn_find_description(&finder, folder, &found, &err)) fail_msg("%s", err.text);
    assert_int_not_equal(spell_out(cJSON_GetObjectItemCaseSensitive(found.root, "graph")), 0);
    char *text = cJSON_Print(found.root);
    assert_non_null(text);
    assert_non_null(mkdtemp(to));
    assert_non_null(getcwd(here, sizeof here));
    for (size_t i = 0; i < 2; i++) {
        snprintf(target, sizeof target, "%s/%s/%s", here, folder, files[i]);
        snprintf(path, sizeof path, "%s/%s", to, files[i]);
        if (access(target, R_OK) == 0) assert_int_equal(symlink(target, path), 0);
    }
    snprintf(path, sizeof path, "%s/attn.json", to);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
    attn_model *model = open_model_in(to, precision);
    unlink(path);
    for (size_t i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", to, files[i]);
        unlink(path);
    }
    rmdir(to);
    cJSON_free(text);
    attn_found_free(&found);
    attn_arena_free(&finder.arena);
    return model;
}

/* ---- every way ------------------------------------------------------------------------------ */

typedef struct subject {
    const example_data *data;
    const float *wanted;
    size_t bytes;
} subject;

/* All items, `batch` at a time (0: without a batch), must be as wanted. */
static void compare(const subject *s, const attn_model *model, attn_session_options options,
                    size_t batch, const char *what)
{
    attn_session *session = open_session(model, options);
    float *out = malloc(s->bytes);
    assert_non_null(out);
    run_examples(session, s->data, batch, out);
    if (memcmp(out, s->wanted, s->bytes) != 0)
        fail_msg("%s, %s, %u thread(s), %zu at a time%s%s: other bits", what, model->kernels->name,
                 options.threads, batch, options.no_fusion ? ", not fused" : "",
                 options.keep_attention ? ", attention kept" : "");
    compared++;
    free(out);
    attn_session_close(session);
}

/* Threads times batches times fusion; if brief, some of them. */
static void compare_ways(const subject *s, attn_model *model, bool brief, const char *what)
{
    static const size_t batches[] = {8, 3, 1};
    for (unsigned threads = 1; threads <= 4; threads += brief ? 2 : 1)
        for (int plain = 0; plain < 2; plain++)
            for (size_t b = 0; b < (brief ? 1 : 3); b++)
                compare(s, model,
                        (attn_session_options){.threads = threads, .no_fusion = plain == 1},
                        batches[(b + threads / 2) % 3], what);
    compare(s, model, (attn_session_options){.threads = 2, .keep_attention = true}, 8, what);
    attn_model_close(model);
}

static void compare_levels(const example *e, attn_precision precision, bool brief, const subject *s,
                           const char *what)
{
    char spelled[160];
    snprintf(spelled, sizeof spelled, "%s, attention as three layers", what);
    for (int level = 0; level < ATTN_CPU_LEVELS; level++) {
        if (!attn_kernels_level((attn_cpu_level)level)) continue;
        setenv("ATTN_CPU", names[level], 1);
        attn_model *model = open_model_in(e->folder, precision);
        assert_string_equal(model->kernels->name, names[level]);
        if (e->large && (brief || level == ATTN_CPU_SCALAR)) {
            compare(s, model, (attn_session_options){.threads = 3, .no_fusion = true}, 8, what);
            attn_model_close(model);
            continue;
        }
        compare_ways(s, model, brief, what);
        compare_ways(s, open_spelled(e->folder, precision), true, spelled);
    }
}

static void same_bits(void **state)
{
    const example *e = *state;
    example_data *d = read_example(e);
    for (size_t p = 0; p < PRECISIONS; p++) {
        char what[80];
        bool hurry = getenv("ATTN_TEST_BRIEF"), brief = precisions[p].brief || hurry;
        if (hurry && e->large && precisions[p].brief) continue;
        subject s = {.data = d};
        snprintf(what, sizeof what, "%s in %s", e->name, precisions[p].name);
        float *wanted = run_plainly(e, precisions[p].precision, d, &s.bytes);
        s.wanted = wanted;
        compare_levels(e, precisions[p].precision, brief, &s, what);
        bits_check(HASHES, e->name, precisions[p].name, bits_hash(BITS_START, wanted, s.bytes));
        free(wanted);
    }
    free_example(d);
    assert_int_equal(counted_live, 0);
    print_message("%zu results compared\n", compared);
}

static int print_hashes(void)
{
    for (size_t i = 0; i < EXAMPLES; i++) {
        example_data *d = read_example(&examples[i]);
        for (size_t p = 0; p < PRECISIONS; p++) {
            size_t bytes;
            float *out = run_plainly(&examples[i], precisions[p].precision, d, &bytes);
            bits_print(examples[i].name, precisions[p].name, bits_hash(BITS_START, out, bytes));
            free(out);
        }
        free_example(d);
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--print") == 0) return print_hashes();
    for (int level = 0; level < ATTN_CPU_LEVELS; level++)
        if (!attn_kernels_level((attn_cpu_level)level))
            print_message("SKIP level %s: not of this build, or not of this processor\n",
                          names[level]);
    struct CMUnitTest tests[EXAMPLES];
    for (size_t i = 0; i < EXAMPLES; i++)
        tests[i] = (struct CMUnitTest){.name = examples[i].name,
                                       .test_func = same_bits,
                                       .initial_state = (void *)&examples[i]};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
