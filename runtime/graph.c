#include "runtime/builder.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    MAX_NAME = 512,
    MAX_NESTING = ATTN_MAX_REPEATS, /* groups around a node */
    MAX_REPEAT = 1024,
    MAX_ITEMS = 1 << 17, /* entries of "graph" that are looked at, repetitions counted */
    MAX_LIST = 1024,     /* entries of a list that an attribute gives */
};

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

/* A list within a list has a kind and no items: no layer takes one. */
static attn_status to_attr(attn_builder *b, const cJSON *json, int level, attn_attr *out,
                           attn_error *err)
{
    *out = (attn_attr){.kind = ATTN_ATTR_NULL};
    if (cJSON_IsNumber(json)) {
        *out = (attn_attr){.kind = ATTN_ATTR_NUMBER, .number = json->valuedouble};
    } else if (cJSON_IsBool(json)) {
        *out = (attn_attr){.kind = ATTN_ATTR_BOOL, .number = cJSON_IsTrue(json)};
    } else if (cJSON_IsString(json)) {
        *out = (attn_attr){.kind = ATTN_ATTR_TEXT, .text = json->valuestring};
    } else if (cJSON_IsObject(json)) {
        out->kind = ATTN_ATTR_OBJECT;
    } else if (cJSON_IsArray(json) && level > 0) {
        out->kind = ATTN_ATTR_LIST;
    } else if (cJSON_IsArray(json)) {
        size_t count = (size_t)cJSON_GetArraySize(json), i = 0;
        if (count > MAX_LIST)
            return attn_fail(err, ATTN_BAD_MODEL, "a list of %zu entries, at most %d are read",
                             count, MAX_LIST);
        attn_attr *items = attn_arena_get(b->arena, count, sizeof *items, err);
        if (!items) return ATTN_NO_MEMORY;
        for (const cJSON *item = json->child; item; item = item->next)
            ATTN_TRY(to_attr(b, item, level + 1, &items[i++], err));
        *out = (attn_attr){.kind = ATTN_ATTR_LIST, .count = count, .items = items};
    }
    return ATTN_OK;
}

static attn_status evaluate(void *user, const char *text, attn_attr *result, attn_error *err)
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
        return to_attr(b, value.json, 0, result, err);
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
        if (evaluate(b, json->valuestring, &value, &inner))
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
        if (evaluate(b, when->valuestring, &value, &inner))
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
    char name[MAX_NAME];
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
        ATTN_TRY(evaluate(b, expression, &value, err));
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
static attn_status grow(attn_builder *b, void **array, size_t count, size_t *room, size_t size)
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
    ATTN_TRY(grow(b, &array, g->values, &b->value_room, sizeof *g->value_name));
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

/* ---- what a node asks for ----------------------------------------------------------------- */

static attn_status add_operand(void *user, const char *text, int *index, attn_error *err)
{
    attn_builder *b = user;
    const char *name;
    ATTN_TRY(attn_builder_name(b, text, &name, err));
    if (b->node_inputs == ATTN_MAX_OPERANDS)
        return attn_fail(err, ATTN_BAD_MODEL, "more than %d operands", ATTN_MAX_OPERANDS);
    if (!attn_builder_lookup(b, name, &b->node_in[b->node_inputs]))
        return attn_fail(err, ATTN_BAD_MODEL, "no value is named \"%.100s\" here", name);
    *index = (int)b->node_inputs++;
    return ATTN_OK;
}

/* The name as the weight file has it: the first prefix with which there is one. */
static const attn_weight *find_prefixed(attn_builder *b, const char *group, const char *name,
                                        size_t length, const char *suffix)
{
    char full[MAX_NAME * 2];
    size_t prefixes = b->graph->prefixes;
    for (size_t i = 0; i < (prefixes ? prefixes : 1); i++) {
        const char *prefix = prefixes ? b->graph->prefix[i] : "";
        int n = snprintf(full, sizeof full, "%s%s%.*s%s", prefix, group, (int)length, name, suffix);
        if (n < 0 || (size_t)n >= sizeof full) continue;
        const attn_weight *w = attn_weights_find(b->source->weights, full);
        if (w) return w;
    }
    return NULL;
}

static bool has_weight(void *user, const char *name, size_t length)
{
    attn_builder *b = user;
    return length < MAX_NAME && find_prefixed(b, b->prefix, name, length, "") != NULL;
}

static attn_status need_weight(void *user, const char *text, const char *suffix,
                               const attn_weight **found, attn_error *err)
{
    attn_builder *b = user;
    const char *name;
    ATTN_TRY(attn_builder_name(b, text, &name, err));
    *found = find_prefixed(b, b->prefix, name, strlen(name), suffix);
    if (!*found)
        return attn_fail(err, ATTN_BAD_MODEL, "%s has no tensor \"%s%s%s%s\"%s",
                         b->source->weights_name, b->graph->prefixes ? b->graph->prefix[0] : "",
                         b->prefix, name, suffix,
                         b->graph->prefixes > 1 ? " (nor with the other prefixes)" : "");
    return attn_weight_check(*found, err);
}

static int find_symbol(void *user, const char *name)
{
    return attn_graph_symbol(((attn_builder *)user)->graph, name);
}

int attn_graph_symbol(const attn_graph *graph, const char *name)
{
    for (size_t i = 0; i < graph->symbols; i++)
        if (strcmp(graph->symbol[i].name, name) == 0) return (int)i;
    return -1;
}

/* ---- nodes -------------------------------------------------------------------------------- */

/* "in" and "out": a name or a list of names. *names has room for ATTN_MAX_OPERANDS. */
static attn_status read_names(attn_builder *b, const char *place, const cJSON *node,
                              const char *key, const char **names, size_t *count)
{
    const cJSON *list = attn_json_get(node, key);
    *count = 0;
    if (!list) return ATTN_OK;
    for (const cJSON *item = cJSON_IsArray(list) ? list->child : list; item;
         item = cJSON_IsArray(list) ? item->next : NULL) {
        attn_json_text shown;
        attn_error inner;
        if (!cJSON_IsString(item) || !*item->valuestring)
            return attn_builder_fail(b, place, "\"%s\" has %s, expected names of values", key,
                                     attn_json_show(&shown, item));
        if (*count == ATTN_MAX_OPERANDS)
            return attn_builder_fail(b, place, "\"%s\" has more than %d names", key,
                                     ATTN_MAX_OPERANDS);
        if (attn_builder_name(b, item->valuestring, &names[(*count)++], &inner))
            return attn_builder_fail(b, place, "\"%s\": %s", key, inner.text);
    }
    return ATTN_OK;
}

static bool name_taken(const attn_graph *g, const char *name)
{
    for (size_t i = 0; i < g->nodes; i++)
        if (strcmp(g->node[i].name, name) == 0) return true;
    return false;
}

/* "name", or the weight's name, or the layer's; the groups' prefix in front; made unique. */
static attn_status name_node(attn_builder *b, const cJSON *json, const char **out)
{
    const cJSON *name = attn_json_get(json, "name"), *weight = attn_json_get(json, "weight");
    const cJSON *chosen = cJSON_IsString(name) ? name : cJSON_IsString(weight) ? weight : NULL;
    const char *base = b->node->layer->name;
    attn_json_text shown;
    attn_error inner;
    if (name && !cJSON_IsString(name))
        return attn_builder_fail(b, b->node->place, "\"name\" is %s, expected a text",
                                 attn_json_show(&shown, name));
    if (chosen && attn_builder_name(b, chosen->valuestring, &base, &inner))
        return attn_builder_fail(b, b->node->place, "\"%s\": %s", chosen->string, inner.text);
    const char *full = attn_arena_printf(b->arena, b->err, "%s%s", b->prefix, base);
    /* A few tries with small numbers, then the node's own: linear for hostile names too. */
    for (size_t i = 2; full && i < 10 && name_taken(b->graph, full); i++)
        full = attn_arena_printf(b->arena, b->err, "%s%s#%zu", b->prefix, base,
                                 i < 9 ? i : b->graph->nodes + 9);
    if (!full) return ATTN_NO_MEMORY;
    if (name_taken(b->graph, full))
        return attn_builder_fail(b, b->node->place, "the name \"%.100s\" is taken", full);
    *out = full;
    return ATTN_OK;
}

static attn_status take_attributes(attn_builder *b, const cJSON *json, attn_reader *reader)
{
    static const char *const own[] = {"layer", "in", "out", "when", "name", "note", NULL};
    size_t count = 0;
    for (const cJSON *item = json->child; item; item = item->next) count++;
    reader->attrs = attn_arena_get(b->arena, count, sizeof *reader->attrs, b->err);
    if (!reader->attrs) return ATTN_NO_MEMORY;
    for (const cJSON *item = json->child; item; item = item->next) {
        size_t i = 0;
        while (own[i] && strcmp(own[i], item->string) != 0) i++;
        if (own[i]) continue;
        attn_attr *a = &reader->attrs[reader->attr_count++];
        attn_error inner;
        if (to_attr(b, item, 0, a, &inner))
            return attn_builder_fail(b, b->node->place, "key \"%.100s\": %s", item->string,
                                     inner.text);
        a->key = item->string;
    }
    return ATTN_OK;
}

static attn_status finish_node(attn_builder *b, attn_reader *reader, const char **outs,
                               size_t out_count)
{
    attn_node *node = b->node;
    for (size_t i = 0; i < reader->attr_count; i++)
        if (!reader->attrs[i].used)
            return attn_builder_fail(b, node->place, "this layer has no key \"%.100s\"",
                                     reader->attrs[i].key);
    node->inputs = b->node_inputs;
    node->outputs = out_count;
    node->weights = reader->param_count;
    node->in = attn_arena_get(b->arena, node->inputs, sizeof *node->in, b->err);
    node->out = attn_arena_get(b->arena, out_count + 1, sizeof *node->out, b->err);
    node->weight = attn_arena_get(b->arena, node->weights, sizeof(attn_param *), b->err);
    if (!node->in || !node->out || !node->weight) return ATTN_NO_MEMORY;
    memcpy(node->in, b->node_in, node->inputs * sizeof *node->in);
    memcpy(node->weight, reader->params, node->weights * sizeof *node->weight);
    for (size_t i = 0; i < out_count; i++) {
        for (size_t j = 0; j < i; j++)
            if (strcmp(outs[i], outs[j]) == 0)
                return attn_builder_fail(b, node->place, "\"out\" names \"%.100s\" twice", outs[i]);
        ATTN_TRY(attn_builder_define(b, outs[i], &node->out[i]));
    }
    return ATTN_OK;
}

static attn_status add_node(attn_builder *b, const cJSON *json, const char *place)
{
    attn_graph *g = b->graph;
    const cJSON *kind = attn_json_get(json, "layer");
    attn_json_text shown;
    if (!cJSON_IsString(kind))
        return attn_builder_fail(b, place, "\"layer\" is %s, expected the name of a layer",
                                 attn_json_show(&shown, kind));
    const attn_layer *layer = attn_layer_find(kind->valuestring);
    if (!layer)
        return attn_builder_fail(b, place, "there is no layer \"%.100s\"", kind->valuestring);
    if (g->nodes == ATTN_MAX_NODES)
        return attn_builder_fail(b, place, "more than %d layers", ATTN_MAX_NODES);
    void *array = g->node;
    ATTN_TRY(grow(b, &array, g->nodes, &b->node_room, sizeof *g->node));
    g->node = array;
    attn_node *node = b->node = &g->node[g->nodes];
    *node = (attn_node){.layer = layer};
    node->place = attn_arena_printf(b->arena, b->err, "%s (%s)", place, layer->name);
    node->params = attn_arena_get(b->arena, 1, layer->params_size, b->err);
    if (!node->place || !node->params) return ATTN_NO_MEMORY;
    ATTN_TRY(name_node(b, json, &node->name));

    const char *ins[ATTN_MAX_OPERANDS], *outs[ATTN_MAX_OPERANDS];
    size_t in_count, out_count;
    ATTN_TRY(read_names(b, node->place, json, "in", ins, &in_count));
    ATTN_TRY(read_names(b, node->place, json, "out", outs, &out_count));
    b->node_inputs = 0;
    for (size_t i = 0; i < in_count; i++) {
        attn_error inner;
        int index;
        if (add_operand(b, ins[i], &index, &inner))
            return attn_builder_fail(b, node->place, "\"in\": %s", inner.text);
    }
    attn_reader reader = {.place = node->place,
                          .err = b->err,
                          .inputs = in_count,
                          .outputs = out_count,
                          .user = b,
                          .evaluate = evaluate,
                          .operand = add_operand,
                          .weight = need_weight,
                          .symbol = find_symbol};
    ATTN_TRY(take_attributes(b, json, &reader));
    ATTN_TRY(layer->parse(&reader, node->params));
    ATTN_TRY(finish_node(b, &reader, outs, out_count));
    g->nodes++;
    return ATTN_OK;
}

/* ---- groups ------------------------------------------------------------------------------- */

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
            b->scope.index[b->scope.indexes].name = index->valuestring;
            b->scope.index[b->scope.indexes++].value = i;
        }
        attn_error inner;
        if (prefix && attn_builder_name(b, prefix->valuestring, &name, &inner))
            return attn_builder_fail(b, place, "\"prefix\": %s", inner.text);
        b->prefix = attn_arena_printf(b->arena, b->err, "%s%s", outer, name);
        if (!b->prefix) return ATTN_NO_MEMORY;
        if (strlen(b->prefix) >= MAX_NAME)
            return attn_builder_fail(b, place, "the prefix is longer than %d characters", MAX_NAME);
        ATTN_TRY(add_list(b, attn_json_get(json, "graph"), place, nesting + 1));
        b->prefix = outer;
        b->scope.indexes -= index != NULL;
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
            ATTN_TRY(add_node(b, item, here));
    }
    return ATTN_OK;
}

/* ---- the whole ----------------------------------------------------------------------------- */

static attn_status read_prefixes(attn_builder *b)
{
    static const char *const keys[] = {"prefix", "file", "note", NULL};
    const cJSON *weights = attn_json_get(b->source->root, "weights");
    const char *file = b->source->file;
    attn_json_text shown;
    if (!weights) return ATTN_OK;
    if (!cJSON_IsObject(weights))
        return attn_builder_fail(b, file, "\"weights\" is %s, expected an object",
                                 attn_json_show(&shown, weights));
    ATTN_TRY(attn_builder_keys(b, file, weights, keys));
    const cJSON *list = attn_json_get(weights, "prefix");
    if (!list) return ATTN_OK;
    int count = cJSON_IsArray(list) ? cJSON_GetArraySize(list) : 1;
    if (count > ATTN_MAX_PORTS)
        return attn_builder_fail(b, file, "\"weights\": more than %d prefixes", ATTN_MAX_PORTS);
    b->graph->prefix = attn_arena_get(b->arena, (size_t)count, sizeof(char *), b->err);
    if (!b->graph->prefix) return ATTN_NO_MEMORY;
    for (const cJSON *item = cJSON_IsArray(list) ? list->child : list; item;
         item = cJSON_IsArray(list) ? item->next : NULL) {
        if (!cJSON_IsString(item) || strlen(item->valuestring) >= MAX_NAME)
            return attn_builder_fail(b, file, "\"weights\": \"prefix\" has %s, expected texts",
                                     attn_json_show(&shown, item));
        const char *copy =
            attn_arena_text(b->arena, item->valuestring, strlen(item->valuestring), b->err);
        if (!copy) return ATTN_NO_MEMORY;
        b->graph->prefix[b->graph->prefixes++] = copy;
    }
    return ATTN_OK;
}

static attn_status check_top(attn_builder *b)
{
    static const char *const keys[] = {"format",  "name",   "note",  "match", "config",  "symbols",
                                       "weights", "inputs", "state", "graph", "outputs", NULL};
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
    return ATTN_OK;
}

attn_status attn_graph_build(attn_graph *graph, const attn_graph_source *source, attn_arena *arena,
                             attn_error *err)
{
    attn_builder b = {.source = source, .graph = graph, .arena = arena, .err = err, .prefix = ""};
    b.scope = (attn_scope){.config_name = source->config_name,
                           .config = source->config,
                           .has = has_weight,
                           .work = &b.work,
                           .user = &b};
    ATTN_TRY(check_top(&b));
    ATTN_TRY(read_prefixes(&b));
    ATTN_TRY(attn_builder_symbols(&b));
    ATTN_TRY(attn_builder_inputs(&b));
    ATTN_TRY(attn_builder_states(&b));
    ATTN_TRY(add_list(&b, attn_json_get(source->root, "graph"), source->file, 0));
    return attn_builder_outputs(&b);
}
