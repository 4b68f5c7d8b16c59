/* Outputs of a description, and what its states become. */
#include "runtime/builder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "labels": a list of texts, or the config key of such a list or of an object {"0": "cat", ...}. */
static attn_status read_labels(attn_builder *b, const char *place, const cJSON *json,
                               attn_port *port)
{
    attn_json_text shown;
    const cJSON *list = json;
    if (cJSON_IsString(json)) {
        list = attn_scope_config(&b->scope, json->valuestring, strlen(json->valuestring));
        if (!list || cJSON_IsNull(list)) return ATTN_OK; /* a folder may have none */
    }
    int count = cJSON_GetArraySize(list);
    if ((!cJSON_IsArray(list) && !cJSON_IsObject(list)) || count > ATTN_MAX_LABELS)
        return attn_builder_fail(b, place, "\"labels\" is %s, expected a list of texts",
                                 attn_json_show(&shown, list));
    port->labels = attn_arena_get(b->arena, (size_t)count, sizeof *port->labels, b->err);
    if (!port->labels) return ATTN_NO_MEMORY;
    port->label_count = (size_t)count;
    size_t i = 0;
    for (const cJSON *item = list->child; item; item = item->next, i++) {
        char *end = NULL;
        size_t index = cJSON_IsObject(list) ? strtoul(item->string, &end, 10) : i;
        if ((end && (*end || end == item->string)) || index >= port->label_count)
            return attn_builder_fail(b, place, "\"labels\": \"%.80s\" is no index below %zu",
                                     item->string, port->label_count);
        if (!cJSON_IsString(item))
            return attn_builder_fail(b, place, "\"labels\": entry %zu is %s, expected a text",
                                     index, attn_json_show(&shown, item));
        ATTN_TRY(attn_builder_copy(b, item->valuestring, &port->labels[index]));
    }
    return ATTN_OK;
}

/* "probability": a word, or an expression that gives one. */
static attn_status read_measure(attn_builder *b, const char *place, const cJSON *output,
                                attn_port *port)
{
    static const char *const words[] = {"softmax", "sigmoid", "none", NULL};
    const cJSON *item = attn_json_get(output, "probability");
    attn_error inner;
    attn_attr value = {0};
    attn_json_text shown;
    if (!item) return ATTN_OK;
    if (port->kind != ATTN_KIND_CLASSES && !attn_port_is_text(port))
        return attn_builder_fail(b, place,
                                 "\"probability\" is for outputs of kind classes, slots and ctc");
    if (attn_builder_attr(b, item, 0, &value, &inner))
        return attn_builder_fail(b, place, "\"probability\": %s", inner.text);
    for (int round = 0; round < 2 && value.kind == ATTN_ATTR_TEXT; round++) {
        for (int i = 0; words[i]; i++)
            if (strcmp(words[i], value.text) == 0) {
                port->measure = (attn_probability)i;
                return ATTN_OK;
            }
        if (round == 0 && attn_builder_evaluate(b, value.text, &value, &inner))
            return attn_builder_fail(b, place, "\"probability\": %s", inner.text);
    }
    return attn_builder_fail(b, place,
                             "\"probability\" is %s, expected one of: softmax, sigmoid, none",
                             attn_json_show(&shown, item));
}

static attn_status read_output(attn_builder *b, const cJSON *item, const char *place)
{
    static const char *const keys[] = {"kind",   "value", "labels", "when", "probability", "keys",
                                       "filler", "blank", "space",  "note", NULL};
    static const char *const words[] = {"array", "classes", "embedding", "vocabulary",
                                        "slots", "ctc",     NULL};
    static const attn_kind kinds[] = {ATTN_KIND_ARRAY,      ATTN_KIND_CLASSES, ATTN_KIND_EMBEDDING,
                                      ATTN_KIND_VOCABULARY, ATTN_KIND_SLOTS,   ATTN_KIND_CTC};
    attn_port *port = &b->graph->output[b->graph->outputs];
    attn_json_text shown;
    int kind;
    if (!cJSON_IsObject(item))
        return attn_builder_fail(b, place, "expected an object, found %s",
                                 attn_json_show(&shown, item));
    ATTN_TRY(attn_builder_keys(b, place, item, keys));
    bool wanted;
    ATTN_TRY(attn_builder_when(b, place, item, &wanted));
    if (!wanted) return ATTN_OK;
    ATTN_TRY(attn_builder_choice(b, place, item, "kind", words, 0, &kind));
    port->kind = kinds[kind];
    ATTN_TRY(attn_builder_copy(b, item->string, &port->name));
    const cJSON *value = attn_json_get(item, "value"), *labels = attn_json_get(item, "labels");
    if (value && !cJSON_IsString(value))
        return attn_builder_fail(b, place, "\"value\" is %s, expected the name of a value",
                                 attn_json_show(&shown, value));
    const char *name = value ? value->valuestring : item->string;
    if (!attn_builder_lookup(b, name, &port->value))
        return attn_builder_fail(b, place, "no value is named \"%.80s\" at the end of the graph",
                                 name);
    if (labels && port->kind != ATTN_KIND_CLASSES)
        return attn_builder_fail(b, place, "\"labels\" is for outputs of kind classes");
    if (labels) ATTN_TRY(read_labels(b, place, labels, port));
    ATTN_TRY(attn_builder_text_keys(b, place, item, port));
    ATTN_TRY(read_measure(b, place, item, port));
    b->graph->outputs++;
    return ATTN_OK;
}

/* What each state becomes: the value that "next" names at the end of the graph. */
static attn_status read_next(attn_builder *b)
{
    const cJSON *object = attn_json_get(b->source->root, "state");
    size_t i = 0;
    for (const cJSON *item = object ? object->child : NULL; item; item = item->next) {
        if (attn_builder_is_cache(item)) continue;
        const cJSON *next = attn_json_get(item, "next");
        attn_json_text shown;
        if (!cJSON_IsString(next) ||
            !attn_builder_lookup(b, next->valuestring, &b->graph->state[i].next))
            return attn_builder_fail(b, b->source->file,
                                     "state.%.80s: \"next\" is %s, expected the name of a value",
                                     item->string, attn_json_show(&shown, next));
        i++;
    }
    return ATTN_OK;
}

attn_status attn_builder_outputs(attn_builder *b)
{
    attn_graph *g = b->graph;
    const cJSON *object;
    ATTN_TRY(attn_builder_object(b, "outputs", ATTN_MAX_PORTS, &object));
    g->output = attn_arena_get(b->arena, ATTN_MAX_PORTS, sizeof *g->output, b->err);
    if (!g->output) return ATTN_NO_MEMORY;
    for (const cJSON *item = object ? object->child : NULL; item; item = item->next) {
        char place[300];
        snprintf(place, sizeof place, "%s: outputs.%.80s", b->source->file, item->string);
        ATTN_TRY(read_output(b, item, place));
    }
    if (g->outputs == 0)
        return attn_builder_fail(b, b->source->file, "\"outputs\" names no output");
    return read_next(b);
}
