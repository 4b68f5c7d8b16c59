/* Inputs, states and symbolic dimensions of a description. */
#include "runtime/builder.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_DIM 4294967296.0

attn_status attn_builder_object(attn_builder *b, const char *key, int most, const cJSON **out)
{
    attn_json_text shown;
    *out = attn_json_get(b->source->root, key);
    if (!*out) return ATTN_OK;
    if (!cJSON_IsObject(*out))
        return attn_builder_fail(b, b->source->file, "\"%s\" is %s, expected an object", key,
                                 attn_json_show(&shown, *out));
    if (cJSON_GetArraySize(*out) > most)
        return attn_builder_fail(b, b->source->file, "\"%s\" has more than %d entries", key, most);
    return ATTN_OK;
}

attn_status attn_builder_copy(attn_builder *b, const char *text, const char **out)
{
    *out = attn_arena_text(b->arena, text, strlen(text), b->err);
    return *out ? ATTN_OK : ATTN_NO_MEMORY;
}

attn_status attn_builder_symbols(attn_builder *b)
{
    static const char *const keys[] = {"max", "note", NULL};
    const cJSON *object;
    ATTN_TRY(attn_builder_object(b, "symbols", ATTN_MAX_SYMBOLS, &object));
    for (const cJSON *item = object ? object->child : NULL; item; item = item->next) {
        char place[300];
        attn_json_text shown;
        double max = MAX_DIM;
        snprintf(place, sizeof place, "%s: symbols.%.80s", b->source->file, item->string);
        if (!cJSON_IsObject(item))
            return attn_builder_fail(b, place,
                                     "expected an object such as {\"max\": 512}, found %s",
                                     attn_json_show(&shown, item));
        ATTN_TRY(attn_builder_keys(b, place, item, keys));
        const cJSON *limit = attn_json_get(item, "max");
        if (limit) ATTN_TRY(attn_builder_integer(b, place, "max", limit, 1, MAX_DIM, &max));
        attn_symbol *symbol = &b->graph->symbol[b->graph->symbols++];
        symbol->max = (size_t)max;
        ATTN_TRY(attn_builder_copy(b, item->string, &symbol->name));
    }
    return ATTN_OK;
}

static attn_status read_shape(attn_builder *b, const char *place, const cJSON *json,
                              attn_port *port)
{
    attn_json_text shown;
    if (!cJSON_IsArray(json) || cJSON_GetArraySize(json) >= ATTN_MAX_RANK)
        return attn_builder_fail(b, place, "\"shape\" is %s, expected a list of at most %d sizes",
                                 attn_json_show(&shown, json), ATTN_MAX_RANK - 1);
    for (const cJSON *item = json->child; item; item = item->next) {
        int symbol = cJSON_IsString(item) ? attn_graph_symbol(b->graph, item->valuestring) : -1;
        double size = 0;
        if (symbol < 0) ATTN_TRY(attn_builder_integer(b, place, "shape", item, 1, MAX_DIM, &size));
        port->dim[port->rank++] = symbol < 0 ? (long)size : ATTN_SYMBOL(symbol);
    }
    return ATTN_OK;
}

attn_status attn_builder_choice(attn_builder *b, const char *place, const cJSON *object,
                                const char *key, const char *const *words, int fallback, int *out)
{
    const cJSON *item = attn_json_get(object, key);
    attn_json_text shown;
    char list[160] = "";
    *out = fallback;
    if (!item) return ATTN_OK;
    for (int i = 0; words[i]; i++) {
        if (cJSON_IsString(item) && strcmp(words[i], item->valuestring) == 0) {
            *out = i;
            return ATTN_OK;
        }
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", words[i]);
    }
    return attn_builder_fail(b, place, "\"%s\" is %s, expected one of: %s", key,
                             attn_json_show(&shown, item), list);
}

static attn_status read_range(attn_builder *b, const char *place, const cJSON *json,
                              attn_port *port)
{
    double low, high;
    attn_json_text shown;
    if (!cJSON_IsArray(json) || cJSON_GetArraySize(json) != 2)
        return attn_builder_fail(b, place, "\"range\" is %s, expected [lowest, highest]",
                                 attn_json_show(&shown, json));
    ATTN_TRY(attn_builder_integer(b, place, "range", json->child, INT32_MIN, INT32_MAX, &low));
    ATTN_TRY(attn_builder_integer(b, place, "range", json->child->next, low, INT32_MAX, &high));
    port->ranged = true;
    port->low = (long)low;
    port->high = (long)high;
    return ATTN_OK;
}

/* "default": what fills the input where it is not set. */
static attn_status read_default(attn_builder *b, const char *place, const cJSON *json,
                                attn_port *port)
{
    attn_error inner;
    attn_attr value;
    attn_json_text shown;
    bool integer = port->dtype == ATTN_I32;
    double low = port->ranged ? (double)port->low : integer ? INT32_MIN : -(double)FLT_MAX;
    double high = port->ranged ? (double)port->high : integer ? INT32_MAX : (double)FLT_MAX;
    if (attn_builder_attr(b, json, 0, &value, &inner) ||
        (value.kind == ATTN_ATTR_TEXT && attn_builder_evaluate(b, value.text, &value, &inner)))
        return attn_builder_fail(b, place, "\"default\": %s", inner.text);
    if (value.kind != ATTN_ATTR_NUMBER || !(value.number >= low && value.number <= high) ||
        (integer && value.number != floor(value.number)))
        return attn_builder_fail(b, place, "\"default\" is %s, expected %s in [%.10g, %.10g]",
                                 attn_json_show(&shown, json), integer ? "an integer" : "a number",
                                 low, high);
    port->optional = true;
    port->fallback = value.number;
    return ATTN_OK;
}

/* An input or a state: the next of `ports`. */
static attn_status read_source(attn_builder *b, const char *what, const cJSON *item,
                               const char *const *keys, attn_port *port)
{
    static const char *const dtypes[] = {"f32", "i32", NULL};
    static const char *const kinds[] = {"array", "image", "tokens", NULL};
    char place[300];
    attn_json_text shown;
    int dtype, kind;
    snprintf(place, sizeof place, "%s: %s.%.80s", b->source->file, what, item->string);
    if (!cJSON_IsObject(item))
        return attn_builder_fail(b, place, "expected an object, found %s",
                                 attn_json_show(&shown, item));
    ATTN_TRY(attn_builder_keys(b, place, item, keys));
    ATTN_TRY(attn_builder_choice(b, place, item, "kind", kinds, 0, &kind));
    ATTN_TRY(attn_builder_choice(b, place, item, "dtype", dtypes, kind == 2, &dtype));
    port->kind = (attn_kind)kind;
    port->dtype = dtype ? ATTN_I32 : ATTN_F32;
    ATTN_TRY(attn_builder_copy(b, item->string, &port->name));
    ATTN_TRY(read_shape(b, place, attn_json_get(item, "shape"), port));
    const cJSON *range = attn_json_get(item, "range");
    if (range && port->dtype != ATTN_I32)
        return attn_builder_fail(b, place, "\"range\" is for inputs of dtype i32");
    if (range) ATTN_TRY(read_range(b, place, range, port));
    const cJSON *fallback = attn_json_get(item, "default");
    if (fallback) ATTN_TRY(read_default(b, place, fallback, port));
    const cJSON *known = attn_json_get(item, "known");
    if (known && !cJSON_IsBool(known))
        return attn_builder_fail(b, place, "\"known\" is %s, expected a flag",
                                 attn_json_show(&shown, known));
    port->known = cJSON_IsTrue(known);
    return attn_builder_image(b, place, item, port);
}

/* By an input that every run sets. */
static bool is_bound(const attn_graph *g, long symbol)
{
    for (size_t i = 0; i < g->inputs; i++)
        for (int d = 0; d < g->input[i].rank; d++)
            if (g->input[i].dim[d] == symbol && !g->input[i].optional) return true;
    return false;
}

attn_status attn_builder_inputs(attn_builder *b)
{
    static const char *const keys[] = {"kind", "shape",  "dtype",    "range", "default", "known",
                                       "when", "layout", "channels", "image", "note",    NULL};
    attn_graph *g = b->graph;
    const cJSON *object;
    ATTN_TRY(attn_builder_object(b, "inputs", ATTN_MAX_PORTS, &object));
    g->input = attn_arena_get(b->arena, ATTN_MAX_PORTS, sizeof *g->input, b->err);
    if (!g->input) return ATTN_NO_MEMORY;
    for (const cJSON *item = object ? object->child : NULL; item; item = item->next) {
        bool wanted;
        char place[300];
        snprintf(place, sizeof place, "%s: inputs.%.80s", b->source->file, item->string);
        ATTN_TRY(attn_builder_when(b, place, item, &wanted));
        if (!wanted) continue;
        attn_port *port = &g->input[g->inputs];
        ATTN_TRY(read_source(b, "inputs", item, keys, port));
        ATTN_TRY(attn_builder_define(b, port->name, &port->value));
        g->inputs++;
    }
    if (g->inputs == 0) return attn_builder_fail(b, b->source->file, "\"inputs\" names no input");
    for (size_t s = 0; s < g->symbols; s++)
        if (!is_bound(g, ATTN_SYMBOL(s)))
            return attn_builder_fail(
                b, b->source->file,
                "symbols.%.80s: no input has this dimension (without a \"default\")",
                g->symbol[s].name);
    return ATTN_OK;
}

/* A state of kind "cache". */
static attn_status read_cache(attn_builder *b, const cJSON *item)
{
    static const char *const keys[] = {"kind", "rows", "max", "note", NULL};
    attn_cache_port *cache = &b->graph->cache;
    const cJSON *rows = attn_json_get(item, "rows"), *most = attn_json_get(item, "max");
    char place[300];
    attn_json_text shown;
    double max = MAX_DIM;
    snprintf(place, sizeof place, "%s: state.%.80s", b->source->file, item->string);
    ATTN_TRY(attn_builder_keys(b, place, item, keys));
    if (cache->name)
        return attn_builder_fail(b, place, "there is a cache already, \"%.80s\"", cache->name);
    int symbol = cJSON_IsString(rows) ? attn_graph_symbol(b->graph, rows->valuestring) : -1;
    if (symbol < 0)
        return attn_builder_fail(b, place, "\"rows\" is %s, expected the name of a symbol",
                                 attn_json_show(&shown, rows));
    if (most) ATTN_TRY(attn_builder_integer(b, place, "max", most, 1, MAX_DIM, &max));
    cache->symbol = (size_t)symbol;
    cache->max = most ? (size_t)max : SIZE_MAX;
    return attn_builder_copy(b, item->string, &cache->name);
}

bool attn_builder_is_cache(const cJSON *item)
{
    const cJSON *kind = attn_json_get(item, "kind");
    return cJSON_IsString(kind) && strcmp(kind->valuestring, "cache") == 0;
}

attn_status attn_builder_states(attn_builder *b)
{
    static const char *const keys[] = {"shape", "dtype", "next", "note", NULL};
    attn_graph *g = b->graph;
    const cJSON *object;
    size_t known;
    ATTN_TRY(attn_builder_object(b, "state", ATTN_MAX_PORTS, &object));
    if (!object) return ATTN_OK;
    g->state = attn_arena_get(b->arena, ATTN_MAX_PORTS, sizeof *g->state, b->err);
    if (!g->state) return ATTN_NO_MEMORY;
    for (const cJSON *item = object->child; item; item = item->next) {
        attn_port *port = &g->state[g->states];
        if (attn_builder_is_cache(item)) {
            ATTN_TRY(read_cache(b, item));
            continue;
        }
        ATTN_TRY(read_source(b, "state", item, keys, port));
        if (attn_builder_lookup(b, port->name, &known))
            return attn_builder_fail(b, b->source->file, "\"%.80s\" is an input and a state",
                                     port->name);
        ATTN_TRY(attn_builder_define(b, port->name, &port->value));
        g->states++;
    }
    return ATTN_OK;
}
