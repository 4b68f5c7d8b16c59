/* One layer of the description: its operands, attributes and weights. */
#include "runtime/builder.h"

#include <stdio.h>
#include <string.h>

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

/* The tensor `full`, or the one that has an older name in its place. */
static const attn_weight *find_named(const attn_builder *b, const char *full)
{
    const attn_weight *w = attn_weights_find(b->source->weights, full);
    size_t length = strlen(full);
    for (size_t i = 0; i < b->graph->renamed && !w; i++) {
        const char *end = b->graph->rename[2 * i], *instead = b->graph->rename[2 * i + 1];
        char other[ATTN_MAX_NAME * 3];
        size_t n = strlen(end);
        if (n > length || strcmp(full + length - n, end) != 0) continue;
        snprintf(other, sizeof other, "%.*s%s", (int)(length - n), full, instead);
        w = attn_weights_find(b->source->weights, other);
    }
    return w;
}

/* The name as the weight file has it: the first prefix with which there is one. */
static const attn_weight *find_prefixed(attn_builder *b, const char *group, const char *name,
                                        size_t length, const char *suffix)
{
    char full[ATTN_MAX_NAME * 2];
    size_t prefixes = b->graph->prefixes;
    for (size_t i = 0; i < (prefixes ? prefixes : 1); i++) {
        const char *prefix = prefixes ? b->graph->prefix[i] : "";
        int n = snprintf(full, sizeof full, "%s%s%.*s%s", prefix, group, (int)length, name, suffix);
        if (n < 0 || (size_t)n >= sizeof full) continue;
        const attn_weight *w = find_named(b, full);
        if (w) return w;
    }
    return NULL;
}

bool attn_builder_has(void *user, const char *name, size_t length)
{
    attn_builder *b = user;
    return length < ATTN_MAX_NAME && find_prefixed(b, b->prefix, name, length, "") != NULL;
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

static attn_status find_cache(void *user, const char *name, attn_error *err)
{
    const char *known = ((attn_builder *)user)->graph->cache.name;
    if (known && strcmp(known, name) == 0) return ATTN_OK;
    return attn_fail(err, ATTN_BAD_MODEL, "\"state\" has no cache \"%.80s\"", name);
}

static void *keep(void *user, size_t count, size_t size)
{
    attn_builder *b = user;
    return attn_arena_get(b->arena, count, size, b->err);
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
    for (size_t i = 2; full && i < 10 && attn_names_get(&b->node_names, full); i++)
        full = attn_arena_printf(b->arena, b->err, "%s%s#%zu", b->prefix, base,
                                 i < 9 ? i : b->graph->nodes + 9);
    if (!full) return ATTN_NO_MEMORY;
    if (attn_names_get(&b->node_names, full))
        return attn_builder_fail(b, b->node->place, "the name \"%.100s\" is taken", full);
    *out = full;
    return attn_names_set(&b->node_names, full, b->node, b->err) ? ATTN_OK : ATTN_NO_MEMORY;
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
        if (attn_builder_attr(b, item, 0, a, &inner))
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

attn_status attn_builder_add_node(attn_builder *b, const cJSON *json, const char *place)
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
    ATTN_TRY(attn_builder_grow(b, &array, g->nodes, &b->node_room, sizeof *g->node));
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
                          .evaluate = attn_builder_evaluate,
                          .operand = add_operand,
                          .weight = need_weight,
                          .symbol = find_symbol,
                          .cache = find_cache,
                          .keep = keep};
    ATTN_TRY(take_attributes(b, json, &reader));
    ATTN_TRY(layer->parse(&reader, node->params));
    ATTN_TRY(finish_node(b, &reader, outs, out_count));
    g->nodes++;
    return ATTN_OK;
}
