/* Values of the description's JSON, and what names mean. */
#include "runtime/builder.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MAX_LIST = 1024 }; /* entries of a list that an attribute gives */

attn_status attn_builder_fail(attn_builder *b, const char *place, const char *format, ...)
{
    char text[440];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return attn_fail(b->err, ATTN_BAD_MODEL, "%s: %s", place, text);
}

/* ---- values of the JSON ------------------------------------------------------------------- */

/* What lies deeper than in one list or object has a kind and no items, but for a list in an object
 * (LongRoPE's factors): no layer takes it. */
attn_status attn_builder_attr(attn_builder *b, const cJSON *json, int level, attn_attr *out,
                              attn_error *err)
{
    *out = (attn_attr){.kind = ATTN_ATTR_NULL};
    if (cJSON_IsNumber(json)) {
        *out = (attn_attr){.kind = ATTN_ATTR_NUMBER, .number = json->valuedouble};
    } else if (cJSON_IsBool(json)) {
        *out = (attn_attr){.kind = ATTN_ATTR_BOOL, .number = cJSON_IsTrue(json)};
    } else if (cJSON_IsString(json)) {
        *out = (attn_attr){.kind = ATTN_ATTR_TEXT, .text = json->valuestring};
    } else if (cJSON_IsObject(json) || cJSON_IsArray(json)) {
        out->kind = cJSON_IsObject(json) ? ATTN_ATTR_OBJECT : ATTN_ATTR_LIST;
        if (level > (cJSON_IsArray(json) ? 1 : 0)) return ATTN_OK;
        size_t count = (size_t)cJSON_GetArraySize(json), i = 0;
        if (count > MAX_LIST)
            return attn_fail(err, ATTN_BAD_MODEL, "%s of %zu entries, at most %d are read",
                             cJSON_IsObject(json) ? "an object" : "a list", count, MAX_LIST);
        attn_attr *items = attn_arena_get(b->arena, count, sizeof *items, err);
        if (!items) return ATTN_NO_MEMORY;
        for (const cJSON *item = json->child; item; item = item->next, i++) {
            ATTN_TRY(attn_builder_attr(b, item, level + 1, &items[i], err));
            items[i].key = item->string;
        }
        out->count = count;
        out->items = items;
    }
    return ATTN_OK;
}

attn_status attn_builder_evaluate(void *user, const char *text, attn_attr *result, attn_error *err)
{
    attn_builder *b = user;
    attn_expr_value value;
    ATTN_TRY(attn_evaluate(&b->scope, text, &value, err));
    *result = (attn_attr){.number = value.number};
    switch (value.kind) {
    case ATTN_EXPR_NUMBER:
        result->kind = ATTN_ATTR_NUMBER;
        return ATTN_OK;
    case ATTN_EXPR_BOOL:
        result->kind = ATTN_ATTR_BOOL;
        return ATTN_OK;
    case ATTN_EXPR_TEXT:
        result->kind = ATTN_ATTR_TEXT;
        result->text = attn_arena_text(b->arena, value.text, value.length, err);
        return result->text ? ATTN_OK : ATTN_NO_MEMORY;
    case ATTN_EXPR_JSON:
        return attn_builder_attr(b, value.json, 0, result, err);
    default:
        result->kind = ATTN_ATTR_NULL;
        return ATTN_OK;
    }
}

attn_status attn_builder_integer(attn_builder *b, const char *place, const char *key,
                                 const cJSON *json, double min, double max, double *out)
{
    attn_json_text shown;
    if (cJSON_IsString(json)) {
        attn_error inner;
        attn_attr value;
        if (attn_builder_evaluate(b, json->valuestring, &value, &inner))
            return attn_builder_fail(b, place, "\"%s\": %s", key, inner.text);
        *out = value.number;
        if (value.kind == ATTN_ATTR_NUMBER && *out >= min && *out <= max && *out == floor(*out))
            return ATTN_OK;
        static const char *const kinds[] = {"null", "", "a flag", "a text", "a list", "an object"};
        char number[40];
        snprintf(number, sizeof number, "%.10g", value.number);
        return attn_builder_fail(
            b, place, "\"%s\": %s is %s, expected an integer in [%.10g, %.10g]", key,
            attn_json_show(&shown, json),
            value.kind == ATTN_ATTR_NUMBER ? number : kinds[value.kind], min, max);
    }
    if (attn_json_integer(json, min, max, out)) return ATTN_OK;
    return attn_builder_fail(b, place, "\"%s\" is %s, expected an integer in [%.10g, %.10g]", key,
                             attn_json_show(&shown, json), min, max);
}

attn_status attn_builder_when(attn_builder *b, const char *place, const cJSON *object, bool *out)
{
    const cJSON *when = attn_json_get(object, "when");
    attn_attr value = {.kind = ATTN_ATTR_BOOL, .number = !when || cJSON_IsTrue(when)};
    attn_json_text shown;
    if (cJSON_IsString(when)) {
        attn_error inner;
        if (attn_builder_evaluate(b, when->valuestring, &value, &inner))
            return attn_builder_fail(b, place, "\"when\": %s", inner.text);
    }
    if (value.kind != ATTN_ATTR_BOOL || (when && !cJSON_IsBool(when) && !cJSON_IsString(when)))
        return attn_builder_fail(b, place, "\"when\" is %s, expected true, false or a condition",
                                 attn_json_show(&shown, when));
    *out = value.number != 0;
    return ATTN_OK;
}

attn_status attn_builder_name(attn_builder *b, const char *text, const char **out, attn_error *err)
{
    char name[ATTN_MAX_NAME];
    size_t used = 0;
    for (const char *at = text; *at;) {
        if (used + 32 >= sizeof name)
            return attn_fail(err, ATTN_BAD_MODEL, "the name \"%.60s...\" is too long", text);
        if (*at != '{') {
            name[used++] = *at++;
            continue;
        }
        const char *end = strchr(at, '}');
        char expression[128];
        attn_attr value;
        if (!end || (size_t)(end - at) > sizeof expression)
            return attn_fail(err, ATTN_BAD_MODEL, "the name \"%.100s\" has a { without its }",
                             text);
        memcpy(expression, at + 1, (size_t)(end - at) - 1);
        expression[end - at - 1] = 0;
        ATTN_TRY(attn_builder_evaluate(b, expression, &value, err));
        if (value.kind != ATTN_ATTR_NUMBER || value.number != floor(value.number) ||
            fabs(value.number) > 1e15)
            return attn_fail(err, ATTN_BAD_MODEL, "the name \"%.100s\": {%s} is no integer", text,
                             expression);
        used += (size_t)snprintf(name + used, 24, "%.0f", value.number + 0.0);
        at = end + 1;
    }
    *out = attn_arena_text(b->arena, name, used, err);
    return *out ? ATTN_OK : ATTN_NO_MEMORY;
}

attn_status attn_builder_keys(attn_builder *b, const char *place, const cJSON *object,
                              const char *const *words)
{
    for (const cJSON *item = object->child; item; item = item->next) {
        size_t i = 0;
        while (words[i] && strcmp(words[i], item->string) != 0) i++;
        if (words[i]) continue;
        char list[200] = "";
        for (i = 0; words[i]; i++) {
            size_t used = strlen(list);
            snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", words[i]);
        }
        return attn_builder_fail(b, place, "unknown key \"%.80s\"; known here: %s", item->string,
                                 list);
    }
    return ATTN_OK;
}

/* ---- names and values -------------------------------------------------------------------- */

/* Makes room for one entry more in an array of the arena. */
attn_status attn_builder_grow(attn_builder *b, void **array, size_t count, size_t *room,
                              size_t size)
{
    if (count < *room) return ATTN_OK;
    size_t larger = *room ? *room * 2 : 64;
    void *fresh = attn_arena_get(b->arena, larger, size, b->err);
    if (!fresh) return ATTN_NO_MEMORY;
    if (count) memcpy(fresh, *array, count * size);
    *array = fresh;
    *room = larger;
    return ATTN_OK;
}

/* FNV-1a. */
static size_t bucket_of(const char *name)
{
    uint32_t hash = 2166136261u;
    for (; *name; name++) hash = (hash ^ (unsigned char)*name) * 16777619u;
    return hash % ATTN_NAME_BUCKETS;
}

/* What the name is bound to, or NULL. */
static struct attn_binding *find_name(const attn_builder *b, const char *name)
{
    struct attn_binding *at = b->bucket[bucket_of(name)];
    while (at && strcmp(at->name, name) != 0) at = at->next;
    return at;
}

bool attn_builder_lookup(const attn_builder *b, const char *name, size_t *value)
{
    const struct attn_binding *found = find_name(b, name);
    if (found) *value = found->value;
    return found != NULL;
}

attn_status attn_builder_define(attn_builder *b, const char *name, size_t *value)
{
    attn_graph *g = b->graph;
    void *array = (void *)g->value_name;
    if (g->values == ATTN_MAX_VALUES)
        return attn_builder_fail(b, b->source->file, "the graph has more than %d values",
                                 ATTN_MAX_VALUES);
    ATTN_TRY(attn_builder_grow(b, &array, g->values, &b->value_room, sizeof *g->value_name));
    g->value_name = array;
    g->value_name[g->values] = name;
    *value = g->values++;
    struct attn_binding *binding = find_name(b, name);
    if (!binding) {
        struct attn_binding **bucket = &b->bucket[bucket_of(name)];
        binding = attn_arena_get(b->arena, 1, sizeof *binding, b->err);
        if (!binding) return ATTN_NO_MEMORY;
        *binding = (struct attn_binding){.name = name, .next = *bucket};
        *bucket = binding;
    }
    binding->value = *value;
    return ATTN_OK;
}
