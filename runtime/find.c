/* From a path to a description, a config and the names of the files beside them. */
#include "runtime/base/embedded.h"
#include "runtime/model.h"
#include "runtime/onnx/import.h"
#include "runtime/weights/gguf_bind.h"

#include <stdio.h>
#include <string.h>

static const char *join(attn_model *m, const char *name, attn_error *err)
{
    size_t length = strlen(m->folder);
    const char *slash = length && m->folder[length - 1] != '/' ? "/" : "";
    return attn_arena_printf(&m->arena, err, "%s%s%s", m->folder, slash, name);
}

/* *out: the path of the folder's file `name`, or NULL if there is none. */
static attn_status find_file(attn_model *m, const char *name, const char **out, attn_error *err)
{
    const char *path = join(m, name, err);
    if (!path) return ATTN_NO_MEMORY;
    *out = attn_file_exists(path) ? path : NULL;
    return ATTN_OK;
}

static bool value_matches(const cJSON *want, const cJSON *have)
{
    if (cJSON_IsArray(have)) {
        for (const cJSON *item = have->child; item; item = item->next)
            if (cJSON_Compare(want, item, true)) return true;
        return false;
    }
    return have && cJSON_Compare(want, have, true);
}

/* One "match" entry: the config has the value (of a list: one of the values), or a list that has
 * it. */
static bool entry_matches(const cJSON *want, const cJSON *have)
{
    if (!cJSON_IsArray(want)) return value_matches(want, have);
    for (const cJSON *item = want->child; item; item = item->next)
        if (value_matches(item, have)) return true;
    return false;
}

static bool matches(const cJSON *root, const cJSON *config)
{
    const cJSON *match = attn_json_get(root, "match");
    if (!cJSON_IsObject(match) || !match->child) return false;
    for (const cJSON *want = match->child; want; want = want->next)
        if (!entry_matches(want, attn_json_get(config, want->string))) return false;
    return true;
}

/* architecture: of a GGUF file, or NULL. */
static attn_status find_builtin(attn_model *m, attn_found *found, const char *architecture,
                                attn_error *err)
{
    char known[400] = "";
    found->memory = &m->memory;
    ATTN_TRY(attn_embedded_open(&attn_builtins, found->memory, &found->builtins, err));
    for (const attn_embedded_file *b = attn_builtins.file; b->name; b++) {
        const char *text = found->builtins + b->offset;
        ATTN_TRY(attn_json_parse(b->name, text, b->length, &found->root, err));
        if (architecture ? attn_gguf_matches(found->root, architecture)
                         : matches(found->root, found->config)) {
            found->text = text;
            found->length = b->length;
            m->builtin = true;
            m->description_name = attn_arena_printf(&m->arena, err, "%s (built in)", b->name);
            return m->description_name ? ATTN_OK : ATTN_NO_MEMORY;
        }
        bool listed = !architecture || attn_json_get(found->root, "gguf");
        cJSON_Delete(found->root);
        found->root = NULL;
        if (!listed) continue;
        size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s", used ? ", " : "", b->name);
    }
    if (architecture)
        return attn_fail(err, ATTN_BAD_MODEL,
                         "%s: metadata \"general.architecture\" is \"%s\", which no built-in "
                         "description matches (there are: %s), and the folder has no attn.json",
                         m->weights_name, architecture, known);
    attn_json_text shown;
    return attn_fail(err, ATTN_BAD_MODEL,
                     "%s: \"model_type\" is %s, which no built-in description matches (there are: "
                     "%s), and the folder has no attn.json",
                     m->config_name,
                     attn_json_show(&shown, attn_json_get(found->config, "model_type")), known);
}

/* The folder of a path: what stands before its last slash. */
static attn_status set_folder(attn_model *m, const char *path, bool is_folder, attn_error *err)
{
    const char *slash = strrchr(path, '/');
    size_t length = is_folder ? strlen(path) : slash ? (size_t)(slash - path) + 1 : 0;
    while (length > 1 && path[length - 1] == '/') length--;
    m->folder = length ? attn_arena_text(&m->arena, path, length, err)
                       : attn_arena_text(&m->arena, ".", 1, err);
    return m->folder ? ATTN_OK : ATTN_NO_MEMORY;
}

/* The only .gguf file of the folder, if it has any. */
static attn_status find_gguf(attn_model *m, attn_error *err)
{
    char name[256];
    size_t count = attn_files_ending(m->folder, ".gguf", name, sizeof name);
    if (count > 1)
        return attn_fail(err, ATTN_BAD_MODEL,
                         "%s: holds %zu .gguf files (\"%s\" and others): name one of them",
                         m->folder, count, name);
    return count ? find_file(m, name, &m->weights_name, err) : ATTN_OK;
}

static attn_status find_weights(attn_model *m, attn_error *err)
{
    ATTN_TRY(find_file(m, "model.safetensors", &m->weights_name, err));
    if (!m->weights_name)
        ATTN_TRY(find_file(m, "model.safetensors.index.json", &m->weights_name, err));
    return m->weights_name ? ATTN_OK : find_gguf(m, err);
}

/* "weights": {"file": ...} of a description. */
static attn_status read_weights_name(attn_model *m, const cJSON *root, attn_error *err)
{
    const cJSON *file = attn_json_get(attn_json_get(root, "weights"), "file");
    attn_json_text shown;
    if (!file) return ATTN_OK;
    if (!cJSON_IsString(file) || strchr(file->valuestring, '/') ||
        strcmp(file->valuestring, "..") == 0)
        return attn_fail(err, ATTN_BAD_MODEL,
                         "%s: \"weights\": \"file\" is %s, expected a file name of this folder",
                         m->description_name, attn_json_show(&shown, file));
    m->weights_name = join(m, file->valuestring, err);
    return m->weights_name ? ATTN_OK : ATTN_NO_MEMORY;
}

/* The metadata stands for config.json, as far as the description says how. */
static attn_status open_gguf(attn_model *m, attn_found *found, attn_error *err)
{
    const char *architecture;
    cJSON *config;
    ATTN_TRY(attn_weights_open(&m->weights, m->weights_name, &m->memory, err));
    if (!found->root) {
        ATTN_TRY(attn_gguf_architecture(m->weights.gguf, &architecture, &m->weights.arena, err));
        ATTN_TRY(find_builtin(m, found, architecture, err));
    }
    ATTN_TRY(attn_gguf_bind(&m->weights, m->description_name, found->root, &config, err));
    if (!config) return ATTN_OK;
    cJSON_Delete(found->config);
    found->config = config;
    m->config_name = m->weights_name;
    return ATTN_OK;
}

static attn_status read_config(attn_model *m, attn_found *found, attn_error *err)
{
    if (!m->config_name) return ATTN_OK;
    ATTN_TRY(attn_json_read(m->config_name, &found->config, err));
    if (cJSON_IsObject(found->config)) return ATTN_OK;
    return attn_fail(err, ATTN_BAD_MODEL, "%s: expected an object, found %s", m->config_name,
                     attn_json_kind(found->config));
}

/* The built-in description that the config matches, to learn from; NULL: none. */
static attn_status find_like(attn_model *m, const cJSON *config, cJSON **out, attn_error *err)
{
    char *text;
    attn_status status = ATTN_OK;
    *out = NULL;
    ATTN_TRY(attn_embedded_open(&attn_builtins, &m->memory, &text, err));
    for (const attn_embedded_file *b = attn_builtins.file; b->name && !status; b++) {
        status = attn_json_parse(b->name, text + b->offset, b->length, out, err);
        if (!status && matches(*out, config)) break;
        cJSON_Delete(*out);
        *out = NULL;
    }
    attn_release(&m->memory, text, attn_builtins.bytes + 1);
    return status;
}

/* The size that every photo gets, if the folder's preprocessing says one. What is wrong there is
 * said when it is read for an input. */
static void find_photo(const attn_model *m, size_t size[2])
{
    cJSON *root = NULL;
    attn_preprocess p;
    if (m->preprocess_name && !attn_json_read(m->preprocess_name, &root, NULL) &&
        !attn_preprocess_parse(&p, m->preprocess_name, root, NULL))
        attn_preprocess_size(&p, size);
    cJSON_Delete(root);
}

/* The whole model is in the file, but for what its inputs and outputs mean. */
static attn_status open_onnx(attn_model *m, attn_found *found, attn_error *err)
{
    attn_onnx_options options = {.plain = m->plain_import};
    const char *tokenizer;
    cJSON *like = NULL;
    ATTN_TRY(find_file(m, "tokenizer.json", &tokenizer, err));
    ATTN_TRY(read_config(m, found, err));
    m->weights_name = m->description_name;
    find_photo(m, options.photo);
    ATTN_TRY(
        attn_onnx_import(&m->weights, m->weights_name, &options, &m->memory, &found->root, err));
    if (found->config) ATTN_TRY(find_like(m, found->config, &like, err));
    attn_status status = ATTN_OK;
    if (found->config || tokenizer || m->preprocess_name)
        status = attn_onnx_beside(found->root, found->config, like, m->preprocess_name, err);
    cJSON_Delete(like);
    ATTN_TRY(status);
    if (!m->wants_text) return ATTN_OK;
    return attn_imported_text(found->root, m->plain_import, &m->arena, &m->imported, err);
}

/* The names that the path tells. */
static attn_status find_files(attn_model *m, const char *path, attn_error *err)
{
    bool is_folder = attn_is_folder(path), is_gguf = !is_folder && attn_is_gguf(path);
    const char *copy = NULL;
    if (!is_folder && attn_is_onnx(path))
        ATTN_TRY(attn_onnx_folder(path, &m->arena, &m->folder, err));
    else
        ATTN_TRY(set_folder(m, path, is_folder, err));
    ATTN_TRY(find_file(m, "preprocessor_config.json", &m->preprocess_name, err));
    if (is_folder)
        ATTN_TRY(find_file(m, "attn.json", &m->description_name, err));
    else if (!(copy = attn_arena_text(&m->arena, path, strlen(path), err)))
        return ATTN_NO_MEMORY;
    if (is_gguf) {
        m->weights_name = copy;
        return ATTN_OK;
    }
    if (copy) m->description_name = copy;
    return find_file(m, "config.json", &m->config_name, err);
}

attn_status attn_find_description(attn_model *m, const char *path, attn_found *found,
                                  attn_error *err)
{
    *found = (attn_found){0};
    ATTN_TRY(find_files(m, path, err));
    if (m->description_name && attn_is_onnx(m->description_name)) return open_onnx(m, found, err);
    if (m->description_name) {
        ATTN_TRY(attn_json_read(m->description_name, &found->root, err));
        ATTN_TRY(read_weights_name(m, found->root, err));
    }
    if (!m->weights_name) ATTN_TRY(find_weights(m, err));
    bool is_gguf = m->weights_name && attn_is_gguf(m->weights_name);
    if (is_gguf && !m->description_name) m->config_name = NULL;
    ATTN_TRY(read_config(m, found, err));
    if (is_gguf) return open_gguf(m, found, err);
    if (found->root) return ATTN_OK;
    if (m->config_name) {
        ATTN_TRY(find_builtin(m, found, NULL, err));
        return read_weights_name(m, found->root, err);
    }
    return attn_fail(err, ATTN_IO,
                     "%s: neither attn.json nor config.json is here, nor a .gguf file", m->folder);
}

void attn_found_free(attn_found *found)
{
    cJSON_Delete(found->root);
    cJSON_Delete(found->config);
    if (found->builtins) attn_release(found->memory, found->builtins, attn_builtins.bytes + 1);
    *found = (attn_found){0};
}
