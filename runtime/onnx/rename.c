/* Short names of values: after the tensor that makes them, or the layer; "x" for what is carried
 * through a group. Inputs and results keep their names. */
#include "runtime/base/names.h"
#include "runtime/onnx/readable.h"

#include <stdio.h>
#include <string.h>

typedef struct renamer {
    attn_arena *arena;
    attn_error *err;
    attn_names to;   /* old name -> new name */
    attn_names used; /* new names */
    attn_names carried;
    bool failed;
} renamer;

static void set(renamer *r, attn_names *names, const char *key, const char *value)
{
    const char *copy = attn_arena_text(r->arena, key, strlen(key), r->err);
    if (!copy || !attn_names_set(names, copy, (void *)(uintptr_t)value, r->err)) r->failed = true;
}

/* "query" of "encoder.{i}.attention.query": the last part that is a word. */
static void word_of(const char *name, char *word, size_t room)
{
    size_t end = strlen(name);
    const char *suffixes[] = {".weight", ".bias", NULL};
    for (int i = 0; suffixes[i]; i++) {
        size_t n = strlen(suffixes[i]);
        if (end > n && strcmp(name + end - n, suffixes[i]) == 0) end -= n;
    }
    *word = 0;
    while (end > 0) {
        size_t begin = end;
        while (begin > 0 && name[begin - 1] != '.' && name[begin - 1] != '/') begin--;
        bool plain = end - begin >= 2 && end - begin < room;
        for (size_t i = begin; i < end && plain; i++) {
            char c = name[i];
            plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
                    (i > begin && c >= '0' && c <= '9');
        }
        if (plain) {
            memcpy(word, name + begin, end - begin);
            word[end - begin] = 0;
            return;
        }
        end = begin ? begin - 1 : 0;
    }
}

static const char *fresh_name(renamer *r, const char *base)
{
    char text[100];
    snprintf(text, sizeof text, "%.80s", base);
    for (int n = 2; attn_names_get(&r->used, text); n++)
        snprintf(text, sizeof text, "%.80s_%d", base, n);
    const char *copy = attn_arena_text(r->arena, text, strlen(text), r->err);
    if (!copy) {
        r->failed = true;
        return "";
    }
    set(r, &r->used, copy, copy);
    return copy;
}

static void name_value(renamer *r, const cJSON *layer, const char *old)
{
    char base[80];
    const cJSON *weight = attn_json_get(layer, "weight"), *kind = attn_json_get(layer, "layer");
    if (attn_names_get(&r->to, old)) return;
    base[0] = 0;
    if (attn_names_get(&r->carried, old))
        strcpy(base, "x");
    else if (cJSON_IsString(weight))
        word_of(weight->valuestring, base, sizeof base);
    if (!base[0] && cJSON_IsString(kind)) snprintf(base, sizeof base, "%.70s", kind->valuestring);
    set(r, &r->to, old, fresh_name(r, base[0] ? base : "value"));
}

static void visit_out(renamer *r, const cJSON *layer)
{
    const cJSON *out = attn_json_get(layer, "out");
    if (cJSON_IsString(out)) name_value(r, layer, out->valuestring);
    if (cJSON_IsArray(out))
        for (const cJSON *c = out->child; c; c = c->next)
            if (cJSON_IsString(c)) name_value(r, layer, c->valuestring);
}

static void name_all(renamer *r, const cJSON *graph)
{
    for (const cJSON *c = graph->child; c && !r->failed; c = c->next) {
        const cJSON *inner = attn_json_get(c, "graph");
        if (cJSON_IsArray(inner))
            name_all(r, inner);
        else
            visit_out(r, c);
    }
}

static void apply_text(renamer *r, cJSON *item)
{
    const char *to = attn_names_get(&r->to, item->valuestring);
    if (to && !cJSON_SetValuestring(item, to)) r->failed = true;
}

static void apply(renamer *r, cJSON *graph)
{
    for (cJSON *c = graph->child; c; c = c->next) {
        cJSON *inner = cJSON_GetObjectItemCaseSensitive(c, "graph");
        if (cJSON_IsArray(inner)) {
            apply(r, inner);
            continue;
        }
        for (cJSON *item = c->child; item; item = item->next) {
            if (!attn_readable_reads(c, item) && strcmp(item->string, "out") != 0) continue;
            if (cJSON_IsString(item)) apply_text(r, item);
            if (cJSON_IsArray(item))
                for (cJSON *e = item->child; e; e = e->next)
                    if (cJSON_IsString(e)) apply_text(r, e);
        }
    }
}

/* A value that is made in a group and in front of it, too, is carried. */
static void find_carried(renamer *r, const cJSON *graph, bool inside, attn_names *made)
{
    for (const cJSON *c = graph->child; c; c = c->next) {
        const cJSON *inner = attn_json_get(c, "graph"), *out = attn_json_get(c, "out");
        if (cJSON_IsArray(inner)) {
            find_carried(r, inner, true, made);
            continue;
        }
        const cJSON *first = cJSON_IsArray(out) ? out->child : out;
        for (const cJSON *o = first; o; o = cJSON_IsArray(out) ? o->next : NULL) {
            if (!cJSON_IsString(o)) continue;
            if (inside && attn_names_get(made, o->valuestring))
                set(r, &r->carried, o->valuestring, "x");
            set(r, made, o->valuestring, "x");
        }
    }
}

/* A result's value gets the result's name, unless it has another reason for its own. */
static void name_results(renamer *r, const cJSON *outputs)
{
    for (const cJSON *c = outputs->child; c && !r->failed; c = c->next) {
        const cJSON *value = attn_json_get(c, "value");
        if (!cJSON_IsString(value) || attn_names_get(&r->to, value->valuestring) ||
            attn_names_get(&r->to, c->string) || attn_names_get(&r->carried, value->valuestring))
            continue;
        set(r, &r->to, value->valuestring, c->string);
    }
}

/* The "value" of results as it is called now. */
static void apply_results(renamer *r, cJSON *outputs)
{
    for (cJSON *c = outputs->child; c && !r->failed; c = c->next) {
        cJSON *value = cJSON_GetObjectItemCaseSensitive(c, "value");
        if (!cJSON_IsString(value)) continue;
        const char *to = attn_names_get(&r->to, value->valuestring);
        if (to && strcmp(to, c->string) == 0)
            cJSON_DeleteItemFromObjectCaseSensitive(c, "value");
        else if (to)
            apply_text(r, value);
    }
}

attn_status attn_readable_names(cJSON *root, attn_arena *arena, attn_error *err)
{
    renamer r = {.arena = arena,
                 .err = err,
                 .to = {.arena = arena},
                 .used = {.arena = arena},
                 .carried = {.arena = arena}};
    attn_names made = {.arena = arena};
    cJSON *graph = cJSON_GetObjectItemCaseSensitive(root, "graph");
    cJSON *outputs = cJSON_GetObjectItemCaseSensitive(root, "outputs");
    const cJSON *ports[] = {attn_json_get(root, "inputs"), outputs, attn_json_get(root, "symbols")};
    if (!cJSON_IsArray(graph)) return ATTN_OK;
    for (size_t i = 0; i < 3; i++)
        for (const cJSON *c = ports[i] ? ports[i]->child : NULL; c; c = c->next) {
            const cJSON *value = attn_json_get(c, "value");
            if (i == 0) set(&r, &made, c->string, "x");
            set(&r, &r.used, c->string, c->string);
            if (i < 2 && !value) set(&r, &r.to, c->string, c->string);
        }
    find_carried(&r, graph, false, &made);
    if (outputs) name_results(&r, outputs);
    name_all(&r, graph);
    if (!r.failed) apply(&r, graph);
    if (!r.failed && outputs) apply_results(&r, outputs);
    if (!r.failed) return ATTN_OK;
    return attn_fail(err, ATTN_NO_MEMORY, "out of memory for the description");
}
