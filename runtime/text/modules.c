/* modules.json and the files that it names, as sentence-transformers writes them. */
#include "runtime/text/modules.h"

#include "layers/support.h"

#include <string.h>

static const char *join(attn_arena *arena, const char *folder, const char *path, const char *name,
                        attn_error *err)
{
    size_t length = strlen(folder);
    const char *slash = length && folder[length - 1] != '/' ? "/" : "";
    if (!*path) return attn_arena_printf(arena, err, "%s%s%s", folder, slash, name);
    return attn_arena_printf(arena, err, "%s%s%s%s%s", folder, slash, path, *name ? "/" : "", name);
}

/* "path" of a module: a folder inside this one. */
static bool is_inside(const char *path)
{
    return path[0] != '/' && !strstr(path, "..") && !strchr(path, '\\') && strlen(path) < 200;
}

/* *out: the object of a file, or NULL if there is none. */
static attn_status read_object(const char *path, cJSON **out, attn_error *err)
{
    attn_json_text shown;
    *out = NULL;
    if (!attn_file_exists(path)) return ATTN_OK;
    ATTN_TRY(attn_json_read(path, out, err));
    if (cJSON_IsObject(*out)) return ATTN_OK;
    attn_fail(err, ATTN_BAD_MODEL, "%s: expected an object, found %s", path,
              attn_json_show(&shown, *out));
    cJSON_Delete(*out);
    *out = NULL;
    return ATTN_BAD_MODEL;
}

/* ---- pooling ------------------------------------------------------------------------------- */

static const struct {
    const char *name, *flag; /* as newer and older folders have it */
    attn_pooling pooling;
} poolings[] = {
    {"cls", "pooling_mode_cls_token", ATTN_POOL_CLS},
    {"max", "pooling_mode_max_tokens", ATTN_POOL_MAX},
    {"mean", "pooling_mode_mean_tokens", ATTN_POOL_MEAN},
    {"mean_sqrt_len_tokens", "pooling_mode_mean_sqrt_len_tokens", ATTN_POOL_MEAN_SQRT},
    {"weightedmean", "pooling_mode_weightedmean_tokens", ATTN_POOL_WEIGHTED_MEAN},
    {"lasttoken", "pooling_mode_lasttoken", ATTN_POOL_LAST},
};

enum { POOLINGS = sizeof poolings / sizeof *poolings };

static attn_status add_pooling(attn_module *m, const char *file, const cJSON *name, attn_error *err)
{
    attn_json_text shown;
    for (size_t i = 0; i < POOLINGS; i++)
        if (cJSON_IsString(name) && strcmp(name->valuestring, poolings[i].name) == 0 &&
            m->poolings < ATTN_MAX_POOLINGS) {
            m->pooling[m->poolings++] = poolings[i].pooling;
            return ATTN_OK;
        }
    return attn_fail(err, ATTN_BAD_MODEL,
                     "%s: \"pooling_mode\" has %s, expected at most %d of cls, max, mean, "
                     "mean_sqrt_len_tokens, weightedmean, lasttoken",
                     file, attn_json_show(&shown, name), ATTN_MAX_POOLINGS);
}

static attn_status parse_pooling(attn_module *m, const char *file, const cJSON *config,
                                 attn_error *err)
{
    const cJSON *mode = attn_json_get(config, "pooling_mode");
    m->kind = ATTN_MODULE_POOLING;
    m->include_prompt = !cJSON_IsFalse(attn_json_get(config, "include_prompt"));
    for (const cJSON *item = cJSON_IsArray(mode) ? mode->child : mode; item;
         item = cJSON_IsArray(mode) ? item->next : NULL)
        ATTN_TRY(add_pooling(m, file, item, err));
    for (size_t i = 0; i < POOLINGS && !mode; i++)
        if (cJSON_IsTrue(attn_json_get(config, poolings[i].flag)))
            m->pooling[m->poolings++] = poolings[i].pooling;
    if (m->poolings == 0)
        return attn_fail(err, ATTN_BAD_MODEL, "%s: no pooling is asked for", file);
    return ATTN_OK;
}

/* ---- dense --------------------------------------------------------------------------------- */

/* "torch.nn.modules.activation.Tanh" */
static attn_status parse_activation(attn_module *m, const char *file, const cJSON *config,
                                    attn_error *err)
{
    static const struct {
        const char *name;
        attn_unary unary;
        bool identity;
    } known[] = {{"Tanh", ATTN_TANH, false}, {"Identity", ATTN_TANH, true},
                 {"ReLU", ATTN_RELU, false}, {"GELU", ATTN_GELU, false},
                 {"SiLU", ATTN_SILU, false}, {"Sigmoid", ATTN_SIGMOID, false}};
    const cJSON *item = attn_json_get(config, "activation_function");
    const char *name = cJSON_IsString(item) ? item->valuestring : "";
    const char *dot = strrchr(name, '.');
    if (dot) name = dot + 1;
    if (!item) name = "Tanh"; /* the class's default */
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i].name, name) == 0) {
            m->activation = known[i].unary;
            m->identity = known[i].identity;
            return ATTN_OK;
        }
    attn_json_text shown;
    return attn_fail(err, ATTN_BAD_MODEL,
                     "%s: \"activation_function\" is %s, expected Tanh, Identity, ReLU, GELU, SiLU "
                     "or Sigmoid of torch.nn",
                     file, attn_json_show(&shown, item));
}

/* A tensor of this shape (out 0: of rank 1) as floats in the arena. */
static attn_status read_tensor(const attn_module *m, const char *file, const char *name, size_t out,
                               size_t in, attn_arena *arena, const float **data, attn_error *err)
{
    const attn_weight *w = attn_weights_find(&m->file, name);
    attn_shape_text shape;
    if (!w) return attn_fail(err, ATTN_BAD_MODEL, "%s has no tensor \"%s\"", file, name);
    ATTN_TRY(attn_weight_check(w, err));
    bool fits =
        out ? w->rank == 2 && w->dim[0] == out && w->dim[1] == in : w->rank == 1 && w->dim[0] == in;
    if (!fits)
        return attn_fail(err, ATTN_BAD_MODEL,
                         "%s: tensor \"%s\" has shape %s, the config says %zu to %zu", file, name,
                         attn_format_shape(&shape, w->dim, w->rank), m->in, m->out);
    size_t count = (out ? out : 1) * in;
    float *copy = attn_arena_get(arena, count, sizeof *copy, err);
    if (!copy) return ATTN_NO_MEMORY;
    attn_weight_to_f32(w, 0, count, copy);
    *data = copy;
    return ATTN_OK;
}

static attn_status parse_dense(attn_module *m, const char *folder, const char *path,
                               const char *file, const cJSON *config, attn_memory *memory,
                               attn_arena *arena, attn_error *err)
{
    double in, out;
    m->kind = ATTN_MODULE_DENSE;
    if (!attn_json_integer(attn_json_get(config, "in_features"), 1, 1 << 20, &in) ||
        !attn_json_integer(attn_json_get(config, "out_features"), 1, 1 << 20, &out))
        return attn_fail(err, ATTN_BAD_MODEL,
                         "%s: \"in_features\" and \"out_features\" must be numbers from 1", file);
    m->in = (size_t)in;
    m->out = (size_t)out;
    ATTN_TRY(parse_activation(m, file, config, err));
    if (cJSON_IsTrue(attn_json_get(config, "use_residual")))
        return attn_fail(err, ATTN_BAD_MODEL, "%s: \"use_residual\" is not known here", file);
    const char *weights = join(arena, folder, path, "model.safetensors", err);
    if (!weights) return ATTN_NO_MEMORY;
    ATTN_TRY(attn_weights_open(&m->file, weights, memory, err));
    ATTN_TRY(read_tensor(m, weights, "linear.weight", m->out, m->in, arena, &m->weight, err));
    if (cJSON_IsFalse(attn_json_get(config, "bias"))) return ATTN_OK;
    return read_tensor(m, weights, "linear.bias", 0, m->out, arena, &m->bias, err);
}

/* ---- the list ------------------------------------------------------------------------------ */

static attn_status read_module(attn_modules *m, const char *folder, const char *file,
                               const char *type, const char *path, attn_memory *memory,
                               attn_arena *arena, attn_error *err)
{
    if (strcmp(type, "Transformer") == 0) {
        m->folder = join(arena, folder, path, "", err);
        return m->folder ? ATTN_OK : ATTN_NO_MEMORY;
    }
    if (m->count == ATTN_MAX_MODULES)
        return attn_fail(err, ATTN_LIMIT, "%s: more than %d modules", file, ATTN_MAX_MODULES);
    attn_module *module = &m->module[m->count++];
    module->kind = ATTN_MODULE_NORMALIZE;
    if (strcmp(type, "Normalize") == 0) return ATTN_OK;
    const char *name = join(arena, folder, path, "config.json", err);
    cJSON *config;
    if (!name) return ATTN_NO_MEMORY;
    ATTN_TRY(read_object(name, &config, err));
    attn_status status;
    if (!config)
        status = attn_fail(err, ATTN_IO, "%s is not there", name);
    else if (strcmp(type, "Pooling") == 0)
        status = parse_pooling(module, name, config, err);
    else if (strcmp(type, "Dense") == 0)
        status = parse_dense(module, folder, path, name, config, memory, arena, err);
    else
        status = attn_fail(err, ATTN_BAD_MODEL,
                           "%s: a module of type \"%.60s\" is not known, only Transformer, "
                           "Pooling, Dense, Normalize",
                           file, type);
    cJSON_Delete(config);
    return status;
}

static attn_status read_list(attn_modules *m, const char *folder, const char *file,
                             const cJSON *list, attn_memory *memory, attn_arena *arena,
                             attn_error *err)
{
    for (const cJSON *item = cJSON_IsArray(list) ? list->child : NULL; item; item = item->next) {
        const cJSON *type = attn_json_get(item, "type"), *path = attn_json_get(item, "path");
        if (!cJSON_IsString(type) || !cJSON_IsString(path) || !is_inside(path->valuestring))
            return attn_fail(err, ATTN_BAD_MODEL,
                             "%s: each module has a \"type\" and a \"path\" inside the folder",
                             file);
        const char *dot = strrchr(type->valuestring, '.');
        ATTN_TRY(read_module(m, folder, file, dot ? dot + 1 : type->valuestring, path->valuestring,
                             memory, arena, err));
    }
    if (m->count == 0 || m->module[0].kind != ATTN_MODULE_POOLING)
        return attn_fail(err, ATTN_BAD_MODEL, "%s: a Pooling must follow the Transformer", file);
    for (size_t i = 1; i < m->count; i++)
        if (m->module[i].kind == ATTN_MODULE_POOLING)
            return attn_fail(err, ATTN_BAD_MODEL, "%s: more than one Pooling", file);
    return ATTN_OK;
}

static attn_status read_settings(attn_modules *m, const char *folder, attn_arena *arena,
                                 attn_error *err)
{
    const char *file = join(arena, m->folder, "", "sentence_bert_config.json", err);
    const char *prompts = join(arena, folder, "", "config_sentence_transformers.json", err);
    cJSON *settings;
    double most;
    if (!file || !prompts) return ATTN_NO_MEMORY;
    ATTN_TRY(read_object(file, &settings, err));
    if (attn_json_integer(attn_json_get(settings, "max_seq_length"), 1, 1 << 30, &most))
        m->max_tokens = (size_t)most;
    m->lower = cJSON_IsTrue(attn_json_get(settings, "do_lower_case"));
    cJSON_Delete(settings);
    return read_object(prompts, &m->config, err);
}

attn_status attn_modules_read(attn_modules *m, const char *folder, attn_memory *memory,
                              attn_arena *arena, attn_error *err)
{
    const char *file = join(arena, folder, "", "modules.json", err);
    cJSON *list;
    *m = (attn_modules){.folder = folder};
    if (!file) return ATTN_NO_MEMORY;
    if (!attn_file_exists(file)) {
        m->by_default = true;
        m->count = 2;
        m->module[0] = (attn_module){.kind = ATTN_MODULE_POOLING,
                                     .poolings = 1,
                                     .pooling = {ATTN_POOL_MEAN},
                                     .include_prompt = true};
        m->module[1].kind = ATTN_MODULE_NORMALIZE;
        return read_settings(m, folder, arena, err);
    }
    ATTN_TRY(attn_json_read(file, &list, err));
    attn_status status = read_list(m, folder, file, list, memory, arena, err);
    cJSON_Delete(list);
    ATTN_TRY(status);
    return read_settings(m, folder, arena, err);
}

void attn_modules_close(attn_modules *m)
{
    for (size_t i = 0; i < m->count; i++) attn_weights_close(&m->module[i].file);
    cJSON_Delete(m->config);
    *m = (attn_modules){0};
}

attn_status attn_modules_prompt(const attn_modules *m, const char *name, const char **text,
                                attn_error *err)
{
    const cJSON *chosen = attn_json_get(m->config, "default_prompt_name");
    *text = "";
    if (name && !*name) return ATTN_OK;
    if (!name) name = cJSON_IsString(chosen) ? chosen->valuestring : NULL;
    if (!name) return ATTN_OK;
    const cJSON *prompt = attn_json_get(attn_json_get(m->config, "prompts"), name);
    if (!cJSON_IsString(prompt))
        return attn_fail(err, ATTN_BAD_ARGUMENT, "%s has no prompt \"%.80s\"", m->folder, name);
    *text = prompt->valuestring;
    return ATTN_OK;
}
