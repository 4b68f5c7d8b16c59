/* libFuzzer target: any bytes as a description, over a small config and small weights; its graph,
 * a plan for small inputs, fused and as it stands, and a run of what the plan allows. Build with
 * -fsanitize=fuzzer,address,undefined; corpus: tests/fuzz/corpus/description. */
#include "runtime/session.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LIMIT = 16 << 20 };
#define MAX_WORK 2e7 /* multiply-adds of a run */

static const char config_text[] =
    "{\"hidden_size\": 8, \"num_hidden_layers\": 2, \"num_attention_heads\": 2, \"patch_size\": 2,"
    "\"image_size\": 4, \"num_channels\": 3, \"layer_norm_eps\": 1e-6, \"hidden_act\": \"gelu\","
    "\"qkv_bias\": true, \"sizes\": [1, 2, 3], \"id2label\": {\"0\": \"a\", \"1\": \"b\"}}";

/* Tensors of the shapes that small descriptions want, all over the same few numbers. */
static const struct {
    const char *name;
    attn_dtype dtype;
    int rank;
    size_t dim[4];
} shapes[] = {
    {"a.bias", ATTN_F32, 1, {1}},
    {"a.weight", ATTN_F32, 2, {1, 8}},
    {"b.bias", ATTN_F32, 1, {8}},
    {"b.weight", ATTN_F32, 2, {8, 8}},
    {"c.bias", ATTN_F32, 1, {2}},
    {"c.weight", ATTN_F32, 2, {2, 8}},
    {"f.bias", ATTN_F16, 1, {24}},
    {"f.weight", ATTN_F16, 2, {24, 8}},
    {"i", ATTN_I64, 1, {8}},
    {"k.bias", ATTN_F32, 1, {8}},
    {"k.weight", ATTN_F32, 4, {8, 3, 2, 2}},
    {"n.bias", ATTN_BF16, 1, {8}},
    {"n.running_mean", ATTN_F32, 1, {8}},
    {"n.running_var", ATTN_F32, 1, {8}},
    {"n.weight", ATTN_BF16, 1, {8}},
    {"o.weight", ATTN_F32, 3, {8, 2, 3}},
    {"p", ATTN_F32, 3, {1, 5, 8}},
    {"t", ATTN_F32, 3, {1, 1, 8}},
    {"u", ATTN_F32, 2, {3, 2}},
    {"z", ATTN_F32, 1, {0}},
};
enum { TENSORS = sizeof shapes / sizeof *shapes };

static attn_weights make_weights(attn_weight *list)
{
    static float numbers[512];
    for (size_t i = 0; i < 512; i++) numbers[i] = (float)((int)(i * 37 % 64) - 32) / 32;
    for (size_t i = 0; i < TENSORS; i++) {
        size_t count;
        list[i] = (attn_weight){.name = shapes[i].name,
                                .dtype = shapes[i].dtype,
                                .rank = shapes[i].rank,
                                .data = numbers,
                                .file = "weights"};
        memcpy(list[i].dim, shapes[i].dim, sizeof shapes[i].dim);
        attn_product(list[i].dim, list[i].rank, &count);
        list[i].bytes = count * attn_dtype_size(list[i].dtype);
        if (list[i].bytes > sizeof numbers) abort();
    }
    return (attn_weights){.count = TENSORS, .list = list};
}

static void check_error(const attn_error *err)
{
    if (!err->status || !err->text[0] || strchr(err->text, '\n')) abort();
}

/* Symbols are 3, then 2, then 4; inputs have a batch of 2 if `batched`, and are not set if `plain`
 * and they have a default. */
static void run_model(attn_model *model, bool batched, bool plain)
{
    static int64_t numbers[1 << 16];
    attn_session_options options = {
        .threads = 1, .max_memory = LIMIT, .keep_attention = plain, .no_fusion = plain};
    attn_session *session;
    attn_error err = {0};
    const attn_graph *g = &model->graph;
    if (batched && g->cache.name) options.context = g->cache.max < 9 ? g->cache.max : 9;
    if (attn_session_open(&session, model, &options, &err)) abort();
    for (size_t i = 0; i < g->inputs; i++) {
        attn_tensor t = {.dtype = g->input[i].dtype, .data = numbers};
        size_t count;
        if (g->input[i].optional && plain) continue;
        if (batched) t.dim[t.rank++] = 2;
        for (int d = 0; d < g->input[i].rank; d++) {
            long dim = g->input[i].dim[d];
            t.dim[t.rank++] = dim > ATTN_SYMBOL_BASE
                                  ? (size_t)dim
                                  : (size_t[]){3, 2, 4}[(ATTN_SYMBOL_BASE - dim) % 3];
        }
        if (!attn_product(t.dim, t.rank, &count) || count > 1 << 16) goto done;
        if (attn_set_input(session, g->input[i].name, &t, &err)) abort();
    }
    if (attn_prepare(session, &err)) {
        check_error(&err);
        goto done;
    }
    double work = 0;
    for (size_t s = 0; s < session->plan->steps; s++) work += session->plan->step[s].flops;
    if (!(work < MAX_WORK) || session->plan->arena_bytes > 1 << 20) goto done;
    for (int again = 0; again < 2; again++)
        if (attn_run(session, &err)) check_error(&err);
    if (options.context && !err.status) {
        const size_t parent[] = {1, 0, 1};
        if (attn_reorder(session, parent, 2 + plain, &err)) check_error(&err);
        if (attn_rewind(session, attn_past(session) / 2, &err)) abort();
        err.status = ATTN_OK;
        if (attn_prepare(session, &err) || attn_run(session, &err)) check_error(&err);
    }
    for (size_t i = 0; i < g->outputs && !err.status; i++) {
        attn_tensor t;
        attn_class top[3];
        size_t count;
        if (attn_output(session, g->output[i].name, &t, &err)) abort();
        if (attn_top(session, g->output[i].name, 0, 3, top, &count, &err)) err.status = ATTN_OK;
        attn_character character[2];
        float confidence;
        if (attn_read(session, g->output[i].name, 0, 2, character, &count, &confidence, &err))
            err.status = ATTN_OK;
        for (size_t c = 0; c < count && c < 2 && attn_port_is_text(&g->output[i]); c++)
            if (!character[c].text[0]) abort();
    }
done:
    attn_session_close(session);
}

static attn_status build(attn_model *m, const cJSON *root, const cJSON *config, attn_error *err)
{
    attn_graph_source source = {.file = "input",
                                .root = root,
                                .config_name = "config",
                                .config = config,
                                .weights_name = "weights",
                                .weights = &m->weights};
    ATTN_TRY(attn_graph_build(&m->graph, &source, &m->arena, err));
    ATTN_TRY(attn_params_measure(&m->params, &m->graph, m->kernels, &m->arena, err));
    ATTN_TRY(attn_alloc(&m->memory, m->params.bytes, "the packed weights", &m->packed, err));
    ATTN_TRY(attn_params_fill(&m->params, m->kernels, m->packed, &m->memory, err));
    return attn_graph_fuse(&m->graph, &m->arena, err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    attn_model model = {.name = "fuzz"};
    attn_weight list[TENSORS];
    attn_error err = {0};
    const char *problem;
    cJSON *root, *config;
    if (attn_json_parse("input", (const char *)data, size, &root, &err)) {
        check_error(&err);
        return 0;
    }
    if (attn_json_parse("config", config_text, sizeof config_text - 1, &config, &err)) abort();
    attn_memory_init(&model.memory, NULL, LIMIT);
    attn_arena_init(&model.arena, &model.memory);
    model.weights = make_weights(list);
    model.kernels = attn_kernels_select(&problem);
    attn_status status = build(&model, root, config, &err);
    cJSON_Delete(root);
    cJSON_Delete(config);
    if (status) {
        check_error(&err);
    } else {
        run_model(&model, false, false);
        run_model(&model, true, false);
        run_model(&model, true, true);
    }
    attn_release(&model.memory, model.packed, model.params.bytes);
    attn_arena_free(&model.arena);
    if (model.memory.used) abort();
    return 0;
}
