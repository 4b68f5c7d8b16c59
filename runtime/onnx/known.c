/* Which inputs of a description a plan must know the elements of: those from which shapes are
 * computed, through other layers. */
#include "runtime/base/names.h"
#include "runtime/onnx/import.h"

#include <string.h>

/* Operands that a plan must know: "<key>_from" of every key but these ... */
static const char *const plain_keys[] = {"weight_from", "bias_from",  "min_from",
                                         "max_from",    "value_from", NULL};
/* ... and these of "in"; which < 0: all of them. */
static const struct {
    const char *layer;
    int which;
} known_operands[] = {{"choose", 0}, {"compress", 1}, {"non_zero", 0}, {"one_hot", 1},
                      {"range", -1}, {"unique", 0},   {NULL, 0}};

typedef struct walk {
    attn_names makers; /* value -> the layer, or input, that makes it */
    attn_names seen;
    const char **pending;
    size_t count, room;
    attn_error *err;
} walk;

static bool visit(walk *w, const char *name)
{
    if (attn_names_get(&w->seen, name)) return true;
    if (!attn_names_set(&w->seen, name, w, w->err)) return false;
    if (w->count == w->room) {
        size_t room = w->room ? 2 * w->room : 64;
        const char **larger = attn_arena_get(w->seen.arena, room, sizeof *larger, w->err);
        if (!larger) return false;
        if (w->count) memcpy(larger, w->pending, w->count * sizeof *larger);
        w->pending = larger;
        w->room = room;
    }
    w->pending[w->count++] = name;
    return true;
}

static const char *name_at(const cJSON *list, int i)
{
    const cJSON *item = cJSON_IsArray(list) ? cJSON_GetArrayItem(list, i) : i == 0 ? list : NULL;
    return cJSON_IsString(item) ? item->valuestring : NULL;
}

static bool ends_with_from(const char *key)
{
    size_t length = strlen(key);
    return length > 5 && strcmp(key + length - 5, "_from") == 0;
}

static bool is_plain(const char *key)
{
    for (int i = 0; plain_keys[i]; i++)
        if (strcmp(plain_keys[i], key) == 0) return true;
    return false;
}

/* all: every operand, otherwise those that must be known. */
static bool visit_operands(walk *w, const cJSON *layer, bool all)
{
    const cJSON *in = attn_json_get(layer, "in"), *name = attn_json_get(layer, "layer");
    const char *text;
    for (const cJSON *item = layer->child; item; item = item->next)
        if (cJSON_IsString(item) && ends_with_from(item->string) &&
            (all || !is_plain(item->string)) && !visit(w, item->valuestring))
            return false;
    for (int k = 0; cJSON_IsString(name) && known_operands[k].layer && !all; k++) {
        if (strcmp(known_operands[k].layer, name->valuestring) != 0) continue;
        all = known_operands[k].which < 0;
        text = name_at(in, known_operands[k].which);
        if (!all && text && !visit(w, text)) return false;
    }
    for (int i = 0; all && (text = name_at(in, i)); i++)
        if (!visit(w, text)) return false;
    return true;
}

static bool is_shape(const cJSON *layer)
{
    const cJSON *name = attn_json_get(layer, "layer");
    return cJSON_IsString(name) &&
           (strcmp(name->valuestring, "shape") == 0 || strcmp(name->valuestring, "size") == 0);
}

static bool list_makers(walk *w, const cJSON *root)
{
    for (const cJSON *p = attn_json_get(root, "inputs")->child; p; p = p->next)
        if (!attn_names_set(&w->makers, p->string, (void *)p, w->err)) return false;
    for (const cJSON *layer = attn_json_get(root, "graph")->child; layer; layer = layer->next) {
        const cJSON *out = attn_json_get(layer, "out");
        const char *name;
        for (int i = 0; (name = name_at(out, i)); i++)
            if (!attn_names_set(&w->makers, name, (void *)layer, w->err)) return false;
    }
    return true;
}

static bool mark(walk *w, cJSON *root)
{
    const cJSON *inputs = attn_json_get(root, "inputs");
    if (!list_makers(w, root)) return false;
    for (const cJSON *layer = attn_json_get(root, "graph")->child; layer; layer = layer->next)
        if (!visit_operands(w, layer, false)) return false;
    while (w->count) {
        const char *name = w->pending[--w->count];
        const cJSON *maker = attn_names_get(&w->makers, name);
        if (!maker || is_shape(maker)) continue;
        if (attn_json_get(maker, "layer")) {
            if (!visit_operands(w, maker, true)) return false;
            continue;
        }
        cJSON *input = cJSON_GetObjectItemCaseSensitive(inputs, name);
        if (input && !cJSON_AddTrueToObject(input, "known")) return false;
    }
    return true;
}

attn_status attn_mark_known(cJSON *root, const char *file, attn_memory *memory, attn_error *err)
{
    attn_arena arena;
    attn_arena_init(&arena, memory);
    walk w = {.makers = {.arena = &arena}, .seen = {.arena = &arena}, .err = err};
    bool done = mark(&w, root);
    attn_arena_free(&arena);
    if (done) return ATTN_OK;
    /* The arena has said more. */
    return err && err->status ? err->status
                              : attn_fail(err, ATTN_NO_MEMORY, "%s: out of memory", file);
}
