/* From a path to a description, a config and the names of the files beside them. */
#include "runtime/model.h"

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

/* One "match" entry: the config has the value, or a list that has it. */
static bool entry_matches(const cJSON *want, const cJSON *have)
{
    if (cJSON_IsArray(have)) {
        for (const cJSON *item = have->child; item; item = item->next)
            if (cJSON_Compare(want, item, true)) return true;
        return false;
    }
    return have && cJSON_Compare(want, have, true);
}

static bool matches(const cJSON *root, const cJSON *config)
{
    const cJSON *match = attn_json_get(root, "match");
    if (!cJSON_IsObject(match) || !match->child) return false;
    for (const cJSON *want = match->child; want; want = want->next)
        if (!entry_matches(want, attn_json_get(config, want->string))) return false;
    return true;
}

static attn_status find_builtin(attn_model *m, attn_found *found, attn_error *err)
{
    char known[200] = "";
    for (const attn_builtin *b = attn_builtins; b->name; b++) {
        ATTN_TRY(attn_json_parse(b->name, b->text, b->length, &found->root, err));
        if (matches(found->root, found->config)) {
            found->builtin = b;
            m->builtin = true;
            m->description_name = attn_arena_printf(&m->arena, err, "%s (built in)", b->name);
            return m->description_name ? ATTN_OK : ATTN_NO_MEMORY;
        }
        cJSON_Delete(found->root);
        found->root = NULL;
        size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s", used ? ", " : "", b->name);
    }
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

static attn_status find_weights(attn_model *m, const cJSON *root, attn_error *err)
{
    const cJSON *file = attn_json_get(attn_json_get(root, "weights"), "file");
    attn_json_text shown;
    if (file) {
        if (!cJSON_IsString(file) || strchr(file->valuestring, '/') ||
            strcmp(file->valuestring, "..") == 0)
            return attn_fail(err, ATTN_BAD_MODEL,
                             "%s: \"weights\": \"file\" is %s, expected a file name of this folder",
                             m->description_name, attn_json_show(&shown, file));
        m->weights_name = join(m, file->valuestring, err);
        return m->weights_name ? ATTN_OK : ATTN_NO_MEMORY;
    }
    ATTN_TRY(find_file(m, "model.safetensors", &m->weights_name, err));
    if (m->weights_name) return ATTN_OK;
    return find_file(m, "model.safetensors.index.json", &m->weights_name, err);
}

attn_status attn_find_description(attn_model *m, const char *path, attn_found *found,
                                  attn_error *err)
{
    bool is_folder = attn_is_folder(path);
    *found = (attn_found){0};
    ATTN_TRY(set_folder(m, path, is_folder, err));
    ATTN_TRY(find_file(m, "config.json", &m->config_name, err));
    ATTN_TRY(find_file(m, "preprocessor_config.json", &m->preprocess_name, err));
    if (is_folder)
        ATTN_TRY(find_file(m, "attn.json", &m->description_name, err));
    else
        m->description_name = attn_arena_text(&m->arena, path, strlen(path), err);
    if (!is_folder && !m->description_name) return ATTN_NO_MEMORY;
    if (m->config_name) {
        ATTN_TRY(attn_json_read(m->config_name, &found->config, err));
        if (!cJSON_IsObject(found->config))
            return attn_fail(err, ATTN_BAD_MODEL, "%s: expected an object, found %s",
                             m->config_name, attn_json_kind(found->config));
    }
    if (m->description_name)
        ATTN_TRY(attn_json_read(m->description_name, &found->root, err));
    else if (m->config_name)
        ATTN_TRY(find_builtin(m, found, err));
    else
        return attn_fail(err, ATTN_IO, "%s: neither attn.json nor config.json is here", m->folder);
    return find_weights(m, found->root, err);
}

void attn_found_free(attn_found *found)
{
    cJSON_Delete(found->root);
    cJSON_Delete(found->config);
    *found = (attn_found){0};
}
