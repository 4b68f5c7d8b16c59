/* What the files beside an ONNX file tell of its inputs and outputs. It goes by the names that
 * exports of transformers bear; what bears others stays an array. */
#include "runtime/onnx/import.h"

#include <stdio.h>
#include <string.h>

static bool has_config(const char *path, size_t length)
{
    char name[1024];
    int size = snprintf(name, sizeof name, "%.*s/config.json", (int)length, path);
    return size < (int)sizeof name && attn_file_exists(name);
}

attn_status attn_onnx_folder(const char *path, attn_arena *arena, const char **folder,
                             attn_error *err)
{
    static const char sub[] = "onnx";
    const char *slash = strrchr(path, '/');
    size_t length = slash ? (size_t)(slash - path) : 0, name = sizeof sub - 1;
    if (slash == path) length = 1;
    bool inside = length >= name && strncmp(path + length - name, sub, name) == 0 &&
                  (length == name || path[length - name - 1] == '/');
    if (!length || (inside && length == name && !has_config(path, length) && has_config(".", 1))) {
        path = ".";
        length = 1;
    } else if (inside && length > name + 1 && !has_config(path, length) &&
               has_config(path, length - name - 1)) {
        length -= name + 1;
    }
    *folder = attn_arena_text(arena, path, length, err);
    return *folder ? ATTN_OK : ATTN_NO_MEMORY;
}

typedef struct beside {
    cJSON *inputs;
    const cJSON *config, *like;
    bool failed; /* out of memory */
} beside;

static void put(beside *b, cJSON *object, const char *key, cJSON *item)
{
    if (!item || !cJSON_AddItemToObject(object, key, item)) {
        cJSON_Delete(item);
        b->failed = true;
    }
}

static int input_rank(const cJSON *input)
{
    return cJSON_GetArraySize(attn_json_get(input, "shape"));
}

/* The input `name` if it is a row of integers, one for each token. */
static cJSON *find_row(const beside *b, const char *name)
{
    cJSON *input = cJSON_GetObjectItemCaseSensitive(b->inputs, name);
    const cJSON *dtype = attn_json_get(input, "dtype");
    bool is_row = cJSON_IsString(dtype) && strcmp(dtype->valuestring, "i32") == 0;
    return is_row && input_rank(input) == 1 ? input : NULL;
}

/* Ids below config[key], where that is a number. */
static void limit(beside *b, cJSON *input, const char *key)
{
    double count;
    if (!attn_json_integer(attn_json_get(b->config, key), 1, 2147483647, &count)) return;
    double range[] = {0, count - 1};
    put(b, input, "range", cJSON_CreateDoubleArray(range, 2));
}

/* Where the input may be left out: it is as long as the text. */
static void default_to(beside *b, const cJSON *ids, cJSON *input, double value)
{
    bool as_long = cJSON_Compare(attn_json_get(ids, "shape"), attn_json_get(input, "shape"), true);
    if (as_long && !attn_json_get(input, "known"))
        put(b, input, "default", cJSON_CreateNumber(value));
}

/* The symbol that is as long as the text is at most as long as that of `like` is. */
static void limit_length(beside *b, cJSON *root, const cJSON *ids)
{
    const cJSON *own = attn_json_get(ids, "shape")->child;
    const cJSON *theirs = attn_json_get(attn_json_get(b->like, "inputs"), "input_ids");
    const cJSON *dim = attn_json_get(theirs, "shape");
    if (!cJSON_IsString(own) || !cJSON_IsArray(dim) || !cJSON_IsString(dim->child)) return;
    cJSON *symbol = cJSON_GetObjectItemCaseSensitive(
        cJSON_GetObjectItemCaseSensitive(root, "symbols"), own->valuestring);
    const cJSON *max = attn_json_get(
        attn_json_get(attn_json_get(b->like, "symbols"), dim->child->valuestring), "max");
    const cJSON *defaults = attn_json_get(b->like, "config");
    if (!symbol || !max) return;
    put(b, symbol, "max", cJSON_Duplicate(max, true));
    if (defaults && cJSON_IsString(max)) put(b, root, "config", cJSON_Duplicate(defaults, true));
}

static void tell_text(beside *b, cJSON *root)
{
    cJSON *ids = find_row(b, "input_ids"), *mask = find_row(b, "attention_mask");
    cJSON *types = find_row(b, "token_type_ids");
    if (!ids) return;
    put(b, ids, "kind", cJSON_CreateString("tokens"));
    limit(b, ids, "vocab_size");
    limit_length(b, root, ids);
    if (mask) {
        double range[] = {0, 1};
        put(b, mask, "range", cJSON_CreateDoubleArray(range, 2));
        default_to(b, ids, mask, 1);
    }
    if (types) {
        limit(b, types, "type_vocab_size");
        default_to(b, ids, types, 0);
    }
}

static void tell_photos(beside *b)
{
    cJSON *pixels = cJSON_GetObjectItemCaseSensitive(b->inputs, "pixel_values");
    int rank = input_rank(pixels);
    if ((rank == 3 || rank == 4) && !attn_json_get(pixels, "dtype"))
        put(b, pixels, "kind", cJSON_CreateString("image"));
}

static bool contains(const cJSON *item, const char *part)
{
    return cJSON_IsString(item) && strstr(item->valuestring, part);
}

/* What "logits" are, the architecture says. */
static void tell_logits(beside *b, cJSON *logits)
{
    static const char *const writers[] = {"MaskedLM", "CausalLM", "LMHead", "PreTraining"};
    const cJSON *architectures = attn_json_get(b->config, "architectures");
    const cJSON *first = cJSON_IsArray(architectures) ? architectures->child : NULL;
    const cJSON *problem = attn_json_get(b->config, "problem_type");
    if (contains(first, "Classification")) {
        put(b, logits, "kind", cJSON_CreateString("classes"));
        put(b, logits, "labels", cJSON_CreateString("id2label"));
        bool each = contains(problem, "multi_label"), value = contains(problem, "regression");
        if (each || value)
            put(b, logits, "probability", cJSON_CreateString(each ? "sigmoid" : "none"));
    }
    for (size_t i = 0; i < sizeof writers / sizeof *writers; i++)
        if (contains(first, writers[i])) {
            put(b, logits, "kind", cJSON_CreateString("vocabulary"));
            return;
        }
}

static void tell_outputs(beside *b, cJSON *root)
{
    static const char *const vectors[] = {"pooler_output", "sentence_embedding", "text_embeds",
                                          "image_embeds"};
    cJSON *outputs = cJSON_GetObjectItemCaseSensitive(root, "outputs");
    cJSON *logits = cJSON_GetObjectItemCaseSensitive(outputs, "logits");
    if (logits) tell_logits(b, logits);
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        cJSON *output = cJSON_GetObjectItemCaseSensitive(outputs, vectors[i]);
        if (output) put(b, output, "kind", cJSON_CreateString("embedding"));
    }
}

attn_status attn_onnx_beside(cJSON *root, const cJSON *config, const cJSON *like, bool photos,
                             attn_error *err)
{
    beside b = {
        .inputs = cJSON_GetObjectItemCaseSensitive(root, "inputs"), .config = config, .like = like};
    tell_text(&b, root);
    if (photos) tell_photos(&b);
    tell_outputs(&b, root);
    return b.failed ? attn_fail(err, ATTN_NO_MEMORY, "out of memory") : ATTN_OK;
}
