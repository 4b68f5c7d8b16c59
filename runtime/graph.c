/* The graph: groups unrolled, layer after layer. */
#include "runtime/builder.h"

#include <stdio.h>
#include <string.h>

enum {
    MAX_NESTING = ATTN_MAX_REPEATS, /* groups around a node */
    MAX_REPEAT = 1024,
    MAX_CHOICES = 32,    /* values of a "require" */
    MAX_ITEMS = 1 << 17, /* entries of "graph" that are looked at, repetitions counted */
};

static attn_status add_list(attn_builder *b, const cJSON *list, const char *place, int nesting);

/* Bounds the work: what "when" leaves out and empty groups count too. */
static attn_status count_item(attn_builder *b, const char *place)
{
    if (++b->items <= MAX_ITEMS) return ATTN_OK;
    return attn_builder_fail(b, place, "the graph has more than %d entries, repetitions counted",
                             MAX_ITEMS);
}

static attn_status add_group(attn_builder *b, const cJSON *json, const char *place, int nesting)
{
    static const char *const keys[] = {"repeat", "index", "prefix", "when", "graph", "note", NULL};
    const cJSON *repeat = attn_json_get(json, "repeat"), *index = attn_json_get(json, "index");
    const cJSON *prefix = attn_json_get(json, "prefix");
    const char *outer = b->prefix;
    attn_json_text shown;
    double count = 1;
    ATTN_TRY(attn_builder_keys(b, place, json, keys));
    if (nesting >= MAX_NESTING)
        return attn_builder_fail(b, place, "groups nested deeper than %d", MAX_NESTING);
    if (repeat) ATTN_TRY(attn_builder_integer(b, place, "repeat", repeat, 0, MAX_REPEAT, &count));
    if (index && !cJSON_IsString(index))
        return attn_builder_fail(b, place, "\"index\" is %s, expected a name",
                                 attn_json_show(&shown, index));
    if (index && !repeat) return attn_builder_fail(b, place, "\"index\" without \"repeat\"");
    if (prefix && !cJSON_IsString(prefix))
        return attn_builder_fail(b, place, "\"prefix\" is %s, expected a text",
                                 attn_json_show(&shown, prefix));
    for (double i = 0; i < count; i++) {
        const char *name = "";
        ATTN_TRY(count_item(b, place));
        if (index) {
            b->scope.name[b->scope.named].name = index->valuestring;
            b->scope.name[b->scope.named++].value =
                (attn_expr_value){.kind = ATTN_EXPR_NUMBER, .number = i};
        }
        attn_error inner;
        if (prefix && attn_builder_name(b, prefix->valuestring, &name, &inner))
            return attn_builder_fail(b, place, "\"prefix\": %s", inner.text);
        b->prefix = attn_arena_printf(b->arena, b->err, "%s%s", outer, name);
        if (!b->prefix) return ATTN_NO_MEMORY;
        if (strlen(b->prefix) >= ATTN_MAX_NAME)
            return attn_builder_fail(b, place, "the prefix is longer than %d characters",
                                     ATTN_MAX_NAME);
        ATTN_TRY(add_list(b, attn_json_get(json, "graph"), place, nesting + 1));
        b->prefix = outer;
        b->scope.named -= index != NULL;
    }
    return ATTN_OK;
}

static attn_status add_list(attn_builder *b, const cJSON *list, const char *place, int nesting)
{
    attn_json_text shown;
    if (!cJSON_IsArray(list))
        return attn_builder_fail(b, place, "\"graph\" is %s, expected a list of layers",
                                 attn_json_show(&shown, list));
    size_t i = 0;
    for (const cJSON *item = list->child; item; item = item->next, i++) {
        char here[400];
        ATTN_TRY(count_item(b, place));
        snprintf(here, sizeof here, nesting ? "%s.graph[%zu]" : "%s: graph[%zu]", place, i);
        if (!cJSON_IsObject(item))
            return attn_builder_fail(b, here, "expected an object, found %s",
                                     attn_json_show(&shown, item));
        bool wanted;
        ATTN_TRY(attn_builder_when(b, here, item, &wanted));
        if (!wanted) continue;
        if (attn_json_get(item, "graph"))
            ATTN_TRY(add_group(b, item, here, nesting));
        else
            ATTN_TRY(attn_builder_add_node(b, item, here));
    }
    return ATTN_OK;
}

const attn_port *attn_graph_only_input(const attn_graph *graph)
{
    const attn_port *only = NULL;
    if (graph->inputs == 1) return graph->input;
    for (size_t i = 0; i < graph->inputs; i++) {
        if (graph->input[i].optional) continue;
        if (only) return NULL;
        only = &graph->input[i];
    }
    return only;
}

int attn_graph_symbol(const attn_graph *graph, const char *name)
{
    for (size_t i = 0; i < graph->symbols; i++)
        if (strcmp(graph->symbol[i].name, name) == 0) return (int)i;
    return -1;
}

/* ---- the whole ----------------------------------------------------------------------------- */

/* "renamed": {"LayerNorm.weight": "LayerNorm.gamma"}: ends of names, and what older files have. */
static attn_status read_renamed(attn_builder *b, const cJSON *object)
{
    const char *file = b->source->file;
    attn_json_text shown;
    if (!object) return ATTN_OK;
    if (!cJSON_IsObject(object) || cJSON_GetArraySize(object) > ATTN_MAX_PORTS)
        return attn_builder_fail(
            b, file, "\"weights\": \"renamed\" is %s, expected an object of at most %d names",
            attn_json_show(&shown, object), ATTN_MAX_PORTS);
    b->graph->rename =
        attn_arena_get(b->arena, 2 * (size_t)cJSON_GetArraySize(object), sizeof(char *), b->err);
    if (!b->graph->rename) return ATTN_NO_MEMORY;
    for (const cJSON *item = object->child; item; item = item->next) {
        if (!cJSON_IsString(item) || strlen(item->valuestring) >= ATTN_MAX_NAME)
            return attn_builder_fail(b, file, "\"weights\": \"renamed\" has %s, expected texts",
                                     attn_json_show(&shown, item));
        const char **pair = &b->graph->rename[2 * b->graph->renamed++];
        pair[0] = attn_arena_text(b->arena, item->string, strlen(item->string), b->err);
        pair[1] = attn_arena_text(b->arena, item->valuestring, strlen(item->valuestring), b->err);
        if (!pair[0] || !pair[1]) return ATTN_NO_MEMORY;
    }
    return ATTN_OK;
}

static attn_status read_prefixes(attn_builder *b)
{
    static const char *const keys[] = {"prefix", "renamed", "file", "note", NULL};
    const cJSON *weights = attn_json_get(b->source->root, "weights");
    const char *file = b->source->file;
    attn_json_text shown;
    if (!weights) return ATTN_OK;
    if (!cJSON_IsObject(weights))
        return attn_builder_fail(b, file, "\"weights\" is %s, expected an object",
                                 attn_json_show(&shown, weights));
    ATTN_TRY(attn_builder_keys(b, file, weights, keys));
    ATTN_TRY(read_renamed(b, attn_json_get(weights, "renamed")));
    const cJSON *list = attn_json_get(weights, "prefix");
    if (!list) return ATTN_OK;
    int count = cJSON_IsArray(list) ? cJSON_GetArraySize(list) : 1;
    if (count > ATTN_MAX_PORTS)
        return attn_builder_fail(b, file, "\"weights\": more than %d prefixes", ATTN_MAX_PORTS);
    b->graph->prefix = attn_arena_get(b->arena, (size_t)count, sizeof(char *), b->err);
    if (!b->graph->prefix) return ATTN_NO_MEMORY;
    for (const cJSON *item = cJSON_IsArray(list) ? list->child : list; item;
         item = cJSON_IsArray(list) ? item->next : NULL) {
        if (!cJSON_IsString(item) || strlen(item->valuestring) >= ATTN_MAX_NAME)
            return attn_builder_fail(b, file, "\"weights\": \"prefix\" has %s, expected texts",
                                     attn_json_show(&shown, item));
        const char *copy =
            attn_arena_text(b->arena, item->valuestring, strlen(item->valuestring), b->err);
        if (!copy) return ATTN_NO_MEMORY;
        b->graph->prefix[b->graph->prefixes++] = copy;
    }
    return ATTN_OK;
}

static bool in_list(const cJSON *list, const cJSON *value)
{
    for (const cJSON *item = list->child; item; item = item->next)
        if (cJSON_Compare(item, value, true)) return true;
    return false;
}

static attn_status fail_requirement(attn_builder *b, const char *place, const cJSON *known,
                                    const cJSON *have)
{
    attn_json_text shown;
    char list[200] = "";
    for (const cJSON *item = known->child; item; item = item->next) {
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", used ? ", " : "",
                 attn_json_show(&shown, item));
    }
    return attn_builder_fail(b, place, "%s has %s, this description knows %s",
                             b->scope.config_name ? b->scope.config_name : "the config",
                             attn_json_show(&shown, have), *list ? list : "none");
}

/* "require": {"key": [values]}: what the config says there, or each entry of its list, is one of
 * the values; null and nothing always are. Values are numbers, flags and texts. */
static attn_status check_requirement(attn_builder *b, const cJSON *known)
{
    char place[300];
    attn_json_text shown;
    snprintf(place, sizeof place, "%s: require.%.80s", b->source->file, known->string);
    bool plain = cJSON_IsArray(known) && cJSON_GetArraySize(known) <= MAX_CHOICES;
    for (const cJSON *v = plain ? known->child : NULL; v; v = v->next)
        plain = plain && (cJSON_IsNumber(v) || cJSON_IsBool(v) || cJSON_IsString(v));
    if (!plain)
        return attn_builder_fail(b, place,
                                 "expected a list of at most %d numbers, flags and texts, found %s",
                                 MAX_CHOICES, attn_json_show(&shown, known));
    const cJSON *have = attn_scope_config(&b->scope, known->string, strlen(known->string));
    bool list = cJSON_IsArray(have);
    b->work += (size_t)(list ? cJSON_GetArraySize(have) : 1) * MAX_CHOICES;
    if (b->work > ATTN_MAX_WORK)
        return attn_builder_fail(b, place, "the config has too many entries to look at");
    for (const cJSON *v = list ? have->child : have; v; v = list ? v->next : NULL)
        if (!cJSON_IsNull(v) && !in_list(known, v)) return fail_requirement(b, place, known, v);
    return ATTN_OK;
}

static attn_status check_requirements(attn_builder *b)
{
    const cJSON *object = attn_json_get(b->source->root, "require");
    attn_json_text shown;
    if (object && !cJSON_IsObject(object))
        return attn_builder_fail(b, b->source->file, "\"require\" is %s, expected an object",
                                 attn_json_show(&shown, object));
    for (const cJSON *item = object ? object->child : NULL; item; item = item->next)
        ATTN_TRY(check_requirement(b, item));
    return ATTN_OK;
}

/* "let": {"span": "position_buckets or ..."}: expressions by name, each over the config and those
 * before it. */
static attn_status read_lets(attn_builder *b)
{
    const char *file = b->source->file;
    const cJSON *object = attn_json_get(b->source->root, "let");
    attn_json_text shown;
    attn_error inner;
    if (!object) return ATTN_OK;
    if (!cJSON_IsObject(object) || cJSON_GetArraySize(object) > ATTN_MAX_LETS)
        return attn_builder_fail(b, file, "\"let\" is %s, expected an object of at most %d values",
                                 attn_json_show(&shown, object), ATTN_MAX_LETS);
    for (const cJSON *item = object->child; item; item = item->next) {
        attn_expr_value value;
        if (!cJSON_IsString(item))
            return attn_builder_fail(b, file, "let.%.80s is %s, expected an expression",
                                     item->string, attn_json_show(&shown, item));
        if (attn_evaluate(&b->scope, item->valuestring, &value, &inner))
            return attn_builder_fail(b, file, "let.%.80s: %s", item->string, inner.text);
        b->scope.name[b->scope.named].name = item->string;
        b->scope.name[b->scope.named++].value = value;
    }
    return ATTN_OK;
}

static attn_status check_top(attn_builder *b)
{
    static const char *const keys[] = {"format", "name",    "note",    "match",   "config",
                                       "let",    "require", "symbols", "weights", "gguf",
                                       "inputs", "state",   "graph",   "outputs", NULL};
    const cJSON *root = b->source->root;
    const char *file = b->source->file;
    attn_json_text shown;
    if (!cJSON_IsObject(root))
        return attn_builder_fail(b, file, "expected an object, found %s",
                                 attn_json_show(&shown, root));
    ATTN_TRY(attn_builder_keys(b, file, root, keys));
    const cJSON *format = attn_json_get(root, "format");
    if (!cJSON_IsString(format) || strcmp(format->valuestring, "attn/1") != 0)
        return attn_builder_fail(b, file, "\"format\" is %s, expected \"attn/1\"",
                                 attn_json_show(&shown, format));
    const cJSON *config = attn_json_get(root, "config");
    if (config && !cJSON_IsObject(config))
        return attn_builder_fail(b, file, "\"config\" is %s, expected an object",
                                 attn_json_show(&shown, config));
    b->scope.defaults = config;
    return check_requirements(b);
}

attn_status attn_graph_build(attn_graph *graph, const attn_graph_source *source, attn_arena *arena,
                             attn_error *err)
{
    attn_builder b = {.source = source,
                      .graph = graph,
                      .arena = arena,
                      .err = err,
                      .prefix = "",
                      .node_names = {.arena = arena}};
    b.scope = (attn_scope){.config_name = source->config_name,
                           .config = source->config,
                           .has = attn_builder_has,
                           .work = &b.work,
                           .user = &b};
    ATTN_TRY(check_top(&b));
    ATTN_TRY(read_prefixes(&b));
    ATTN_TRY(read_lets(&b));
    ATTN_TRY(attn_builder_symbols(&b));
    ATTN_TRY(attn_builder_inputs(&b));
    ATTN_TRY(attn_builder_states(&b));
    ATTN_TRY(add_list(&b, attn_json_get(source->root, "graph"), source->file, 0));
    return attn_builder_outputs(&b);
}
