/* A description as text that people read: one layer in a line. */
#include "runtime/onnx/import.h"

#include <string.h>

typedef struct writer {
    char *text;
    size_t used, room;
    attn_arena *arena;
    attn_error *err;
    bool failed;
} writer;

static void write_text(writer *w, const char *text)
{
    size_t length = strlen(text);
    if (w->failed) return;
    if (w->used + length + 1 > w->room) {
        size_t room = 2 * (w->used + length) + 4096;
        char *larger = attn_arena_get(w->arena, room, 1, w->err);
        if (!larger) {
            w->failed = true;
            return;
        }
        if (w->used) memcpy(larger, w->text, w->used);
        w->text = larger;
        w->room = room;
    }
    memcpy(w->text + w->used, text, length + 1);
    w->used += length;
}

static void write_scalar(writer *w, const cJSON *item)
{
    char *text = cJSON_PrintUnformatted(item);
    if (!text) w->failed = true;
    write_text(w, text ? text : "");
    cJSON_free(text);
}

static void write_key(writer *w, const char *key)
{
    cJSON name = {.type = cJSON_String, .valuestring = (char *)(uintptr_t)key};
    write_scalar(w, &name);
    write_text(w, ": ");
}

/* In one line, with a space after each comma. */
static void write_inline(writer *w, const cJSON *item, int depth)
{
    bool object = cJSON_IsObject(item);
    if (!object && !cJSON_IsArray(item)) {
        write_scalar(w, item);
        return;
    }
    if (depth > ATTN_JSON_MAX_DEPTH) w->failed = true;
    if (w->failed) return;
    bool spaced = object && item->child;
    write_text(w, object ? spaced ? "{ " : "{" : "[");
    for (const cJSON *c = item->child; c; c = c->next) {
        if (object) write_key(w, c->string);
        write_inline(w, c, depth + 1);
        if (c->next) write_text(w, ", ");
    }
    write_text(w, object ? spaced ? " }" : "}" : "]");
}

static void indent(writer *w, int depth)
{
    for (int i = 0; i < depth; i++) write_text(w, "  ");
}

static void write_graph(writer *w, const cJSON *list, int depth);

/* A layer; or a group, whose layers stand in lines of their own. */
static void write_entry(writer *w, const cJSON *item, int depth)
{
    const cJSON *graph = attn_json_get(item, "graph");
    if (!cJSON_IsArray(graph) || depth > ATTN_JSON_MAX_DEPTH) {
        write_inline(w, item, depth);
        return;
    }
    write_text(w, "{ ");
    for (const cJSON *c = item->child; c; c = c->next) {
        if (c == graph) continue;
        write_key(w, c->string);
        write_inline(w, c, depth + 1);
        write_text(w, ", ");
    }
    write_key(w, "graph");
    write_graph(w, graph, depth);
    write_text(w, " }");
}

static void write_graph(writer *w, const cJSON *list, int depth)
{
    write_text(w, "[\n");
    for (const cJSON *c = list->child; c && !w->failed; c = c->next) {
        indent(w, depth + 1);
        write_entry(w, c, depth + 1);
        write_text(w, c->next ? ",\n" : "\n");
    }
    indent(w, depth);
    write_text(w, "]");
}

/* inputs, outputs: one in a line. */
static void write_ports(writer *w, const cJSON *object)
{
    write_text(w, "{\n");
    for (const cJSON *c = object->child; c; c = c->next) {
        indent(w, 2);
        write_key(w, c->string);
        write_inline(w, c, 2);
        write_text(w, c->next ? ",\n" : "\n");
    }
    write_text(w, "  }");
}

const char *attn_description_text(const cJSON *root, attn_arena *arena, attn_error *err)
{
    writer w = {.arena = arena, .err = err};
    write_text(&w, "{\n");
    for (const cJSON *c = root->child; c; c = c->next) {
        bool ports = strcmp(c->string, "inputs") == 0 || strcmp(c->string, "outputs") == 0;
        indent(&w, 1);
        write_key(&w, c->string);
        if (strcmp(c->string, "graph") == 0 && cJSON_IsArray(c))
            write_graph(&w, c, 1);
        else if (ports && cJSON_IsObject(c))
            write_ports(&w, c);
        else
            write_inline(&w, c, 1);
        write_text(&w, c->next ? ",\n" : "\n");
    }
    write_text(&w, "}\n");
    if (!w.failed) return w.text;
    attn_fail(err, ATTN_NO_MEMORY, "out of memory for the description's text");
    return NULL;
}
