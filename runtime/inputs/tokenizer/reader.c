#include "runtime/inputs/tokenizer/reader.h"

#include <stdio.h>
#include <string.h>

attn_status attn_place_fail(const attn_place *p, attn_error *err, const char *format, ...)
{
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return attn_fail(err, ATTN_BAD_FILE, "%s: %s%s%s", p->file, p->name, *p->name ? ": " : "",
                     text);
}

attn_place attn_place_at(const attn_place *p, const char *key, const cJSON *object, int index)
{
    attn_place at = {.file = p->file, .object = object};
    char number[24] = "";
    if (index >= 0) snprintf(number, sizeof number, "[%d]", index);
    int length = snprintf(at.name, sizeof at.name, "%s%s%s%s", p->name, *p->name && *key ? "." : "",
                          key, number);
    if (length >= (int)sizeof at.name) memcpy(at.name + sizeof at.name - 4, "...", 4);
    return at;
}

static bool is_there(const cJSON *item)
{
    return item && !cJSON_IsNull(item);
}

static attn_status misfit(const attn_place *p, const char *key, const char *what, attn_error *err)
{
    attn_json_text shown;
    return attn_place_fail(p, err, "\"%s\": %s is needed, found %s", key, what,
                           attn_json_show(&shown, attn_json_get(p->object, key)));
}

attn_status attn_place_flag(const attn_place *p, const char *key, bool needed, bool *out,
                            attn_error *err)
{
    const cJSON *item = attn_json_get(p->object, key);
    if (cJSON_IsBool(item))
        *out = cJSON_IsTrue(item);
    else if (needed || is_there(item))
        return misfit(p, key, "a flag", err);
    return ATTN_OK;
}

attn_status attn_place_text(const attn_place *p, const char *key, bool needed, const char **out,
                            attn_error *err)
{
    const cJSON *item = attn_json_get(p->object, key);
    if (cJSON_IsString(item))
        *out = item->valuestring;
    else if (needed || is_there(item))
        return misfit(p, key, "a text", err);
    return ATTN_OK;
}

attn_status attn_place_size(const attn_place *p, const char *key, bool needed, double min,
                            double max, size_t *out, attn_error *err)
{
    const cJSON *item = attn_json_get(p->object, key);
    double value;
    char what[80];
    if (attn_json_integer(item, min, max, &value)) {
        *out = (size_t)value;
    } else if (needed || is_there(item)) {
        snprintf(what, sizeof what, "a whole number from %.0f to %.0f", min, max);
        return misfit(p, key, what, err);
    }
    return ATTN_OK;
}

attn_status attn_place_char(const attn_place *p, const char *key, uint32_t *out, attn_error *err)
{
    const char *text = NULL;
    ATTN_TRY(attn_place_text(p, key, true, &text, err));
    if (!*text || text[attn_utf8_read(text, out)]) return misfit(p, key, "one character", err);
    return ATTN_OK;
}

attn_status attn_place_choice(const attn_place *p, const char *key, bool needed,
                              const char *const *names, int *out, attn_error *err)
{
    const char *text = NULL;
    char what[160] = "one of";
    ATTN_TRY(attn_place_text(p, key, needed, &text, err));
    if (!text) return ATTN_OK;
    for (int i = 0; names[i]; i++) {
        size_t used = strlen(what);
        if (strcmp(names[i], text) == 0) {
            *out = i;
            return ATTN_OK;
        }
        snprintf(what + used, sizeof what - used, "%s %s", i ? "," : "", names[i]);
    }
    return misfit(p, key, what, err);
}

attn_status attn_place_pair(const attn_place *p, const char *key, const char **token, int32_t *id,
                            attn_error *err)
{
    const cJSON *item = attn_json_get(p->object, key), *first = item ? item->child : NULL;
    double value;
    if (!cJSON_IsArray(item) || !cJSON_IsString(first) || !first->next || first->next->next ||
        !attn_json_integer(first->next, 0, INT32_MAX, &value))
        return misfit(p, key, "a list of a token and its id", err);
    *token = first->valuestring;
    *id = (int32_t)value;
    return ATTN_OK;
}

attn_status attn_place_pattern(const attn_place *p, const char *key, attn_pattern **list,
                               const attn_pattern **out, attn_arena *arena, attn_error *err)
{
    const cJSON *item = attn_json_get(p->object, key), *child = item ? item->child : NULL;
    if (!cJSON_IsObject(item) || !cJSON_IsString(child) || child->next ||
        (strcmp(child->string, "String") != 0 && strcmp(child->string, "Regex") != 0))
        return misfit(p, key, "an object of one \"String\" or \"Regex\"", err);
    attn_pattern *pattern = attn_arena_get(arena, 1, sizeof *pattern, err);
    if (!pattern) return ATTN_NO_MEMORY;
    attn_place at = attn_place_at(p, key, item, -1);
    attn_status status = attn_pattern_init(pattern, child->valuestring, child->string[0] == 'S',
                                           p->file, at.name, arena, err);
    pattern->next = *list;
    *list = pattern;
    *out = pattern;
    return status;
}

attn_status attn_place_component(const attn_place *p, const char *key, const char **type,
                                 const cJSON **list, attn_error *err)
{
    *type = NULL;
    *list = NULL;
    if (!cJSON_IsObject(p->object))
        return attn_place_fail(p, err, "an object is needed, found %s", attn_json_kind(p->object));
    ATTN_TRY(attn_place_text(p, "type", true, type, err));
    if (strcmp(*type, "Sequence") != 0) return ATTN_OK;
    *list = attn_json_get(p->object, key);
    if (cJSON_IsArray(*list)) return ATTN_OK;
    return attn_place_fail(p, err, "\"%s\": a list is needed, found %s", key,
                           attn_json_kind(*list));
}
