/* A folder's tokenizer: which of its files is read, and what the small files beside it add. */
#include "runtime/base/file.h"
#include "runtime/inputs/tokenizer/gguf.h"
#include "runtime/inputs/tokenizer/sentencepiece.h"
#include "runtime/inputs/tokenizer/tokenizer.h"
#include "runtime/inputs/tokenizer/vocab_merges.h"
#include "runtime/onnx/import.h"
#include "runtime/onnx/onnx.h"

#include <stdlib.h>
#include <string.h>

/* "FOLDER/NAME" in the arena, or NULL with err filled. */
static char *path_of(const char *folder, const char *name, attn_arena *arena, attn_error *err)
{
    return attn_arena_printf(arena, err, "%s/%s", folder, name);
}

static bool ends_with(const char *path, const char *name)
{
    size_t length = strlen(path), end = strlen(name);
    return length >= end && strcmp(path + length - end, name) == 0;
}

/* The files beside a tokenizer's own; objects or NULL. */
typedef struct beside {
    cJSON *config, *map, *model; /* tokenizer_config.json, special_tokens_map.json, config.json */
} beside;

/* transformers writes 1e30 where there is no limit. */
static attn_status check_max_tokens(const char *path, const cJSON *config, attn_error *err)
{
    const cJSON *number = attn_json_get(config, "model_max_length");
    if (!number || cJSON_IsNull(number)) return ATTN_OK;
    if (!cJSON_IsNumber(number))
        return attn_fail(err, ATTN_BAD_FILE, "%s: \"model_max_length\" is %s, expected a number",
                         path, attn_json_kind(number));
    if (!(number->valuedouble >= 1))
        return attn_fail(err, ATTN_BAD_FILE, "%s: \"model_max_length\" is %g, expected 1 or more",
                         path, number->valuedouble);
    return ATTN_OK;
}

static attn_status read_beside(const char *folder, beside *b, attn_arena *arena, attn_error *err)
{
    static const char *const names[] = {"tokenizer_config.json", "special_tokens_map.json",
                                        "config.json"};
    cJSON **const out[] = {&b->config, &b->map, &b->model};
    for (int i = 0; i < 3; i++) {
        const char *path = path_of(folder, names[i], arena, err);
        if (!path) return ATTN_NO_MEMORY;
        if (!attn_file_exists(path)) continue;
        ATTN_TRY(attn_json_read(path, out[i], err));
        if (!cJSON_IsObject(*out[i]))
            return attn_fail(err, ATTN_BAD_FILE, "%s: an object is needed, found %s", path,
                             attn_json_kind(*out[i]));
        if (i == 0) ATTN_TRY(check_max_tokens(path, *out[i], err));
    }
    return ATTN_OK;
}

/* ---- added_tokens_decoder ---------------------------------------------------------------------
 */

static bool stands_in(const cJSON *list, const char *content)
{
    for (const cJSON *item = list->child; item; item = item->next) {
        const cJSON *text = attn_json_get(item, "content");
        if (cJSON_IsString(text) && strcmp(text->valuestring, content) == 0) return true;
    }
    return false;
}

static bool add_token(cJSON *list, int id, const char *content, const cJSON *flags)
{
    static const char *const keys[] = {"single_word", "lstrip", "rstrip", "normalized", "special"};
    cJSON *token = cJSON_CreateObject();
    if (!token || !cJSON_AddItemToArray(list, token)) return false;
    bool good = cJSON_AddNumberToObject(token, "id", id) &&
                cJSON_AddStringToObject(token, "content", content);
    for (int i = 0; i < 5; i++) {
        const cJSON *flag = attn_json_get(flags, keys[i]);
        /* What a role names without flags is special, and looked for as it is. */
        bool on = flag && !cJSON_IsNull(flag) ? cJSON_IsTrue(flag) : !flags && i == 4;
        good = good && cJSON_AddBoolToObject(token, keys[i], on);
    }
    return good;
}

/* Tokens that tokenizer_config.json adds to those of the file. More than a few thousand of them are
 * not a tokenizer's. */
static attn_status add_tokens(cJSON *json, const cJSON *config, const char *file, attn_error *err)
{
    enum { MOST = 4096 };
    const cJSON *decoder = attn_json_get(config, "added_tokens_decoder");
    cJSON *list = cJSON_GetObjectItemCaseSensitive(json, "added_tokens");
    int count = 0;
    if (!cJSON_IsObject(decoder)) return ATTN_OK;
    if (!cJSON_IsArray(list)) {
        cJSON_DeleteItemFromObjectCaseSensitive(json, "added_tokens");
        list = cJSON_AddArrayToObject(json, "added_tokens");
        if (!list) return attn_fail(err, ATTN_NO_MEMORY, "%s: out of memory", file);
    }
    /* Those of the file are read before: ids count on from them. */
    bool known = list->child != NULL;
    for (const cJSON *item = decoder->child; item; item = item->next) {
        const cJSON *content = attn_json_get(item, "content");
        if (!cJSON_IsString(content))
            return attn_fail(err, ATTN_BAD_FILE,
                             "%s: added_tokens_decoder: \"%.40s\": \"content\" is no text", file,
                             item->string);
        if (known && stands_in(list, content->valuestring)) continue;
        if (++count > MOST)
            return attn_fail(err, ATTN_LIMIT, "%s: added_tokens_decoder: more than %d tokens", file,
                             MOST);
        long id = strtol(item->string, NULL, 10);
        if (id < 0 || id >= ATTN_VOCABULARY_MAX) id = 0;
        if (!add_token(list, (int)id, content->valuestring, item))
            return attn_fail(err, ATTN_NO_MEMORY, "%s: out of memory", file);
    }
    return ATTN_OK;
}

/* The tokens of the roles, where no file lists added tokens. */
static attn_status add_roles(cJSON *json, const cJSON *object, const char *file, attn_error *err)
{
    cJSON *list = cJSON_GetObjectItemCaseSensitive(json, "added_tokens");
    char key[16];
    for (int i = 0; cJSON_IsArray(list) && i < ATTN_ROLE_COUNT; i++) {
        size_t length = strlen(attn_role_names[i]);
        memcpy(key, attn_role_names[i], length);
        memcpy(key + length, "_token", 7);
        const cJSON *token = attn_json_get(object, key);
        if (cJSON_IsObject(token)) token = attn_json_get(token, "content");
        if (!cJSON_IsString(token) || stands_in(list, token->valuestring)) continue;
        if (!add_token(list, 0, token->valuestring, NULL))
            return attn_fail(err, ATTN_NO_MEMORY, "%s: out of memory", file);
    }
    return ATTN_OK;
}

/* ---- opening ----------------------------------------------------------------------------------
 */

typedef attn_status reader(const char *path, const beside *b, attn_arena *arena, cJSON **out,
                           attn_error *err);

static attn_status read_json(const char *path, const beside *b, attn_arena *arena, cJSON **out,
                             attn_error *err)
{
    (void)b;
    (void)arena;
    return attn_json_read_to(path, ATTN_JSON_MAX_VOCABULARY, out, err);
}

static attn_status read_sentencepiece(const char *path, const beside *b, attn_arena *arena,
                                      cJSON **out, attn_error *err)
{
    attn_file file;
    ATTN_TRY(attn_file_map(&file, path, err));
    attn_status status =
        attn_sentencepiece_json(path, file.data, file.size, b->config, arena->memory, out, err);
    attn_file_unmap(&file);
    return status;
}

static attn_status read_vocab_json(const char *path, const beside *b, attn_arena *arena,
                                   cJSON **out, attn_error *err)
{
    const cJSON *type = attn_json_get(b->model, "model_type");
    size_t folder = strlen(path) - strlen("vocab.json");
    const char *merges = attn_arena_printf(arena, err, "%.*smerges.txt", (int)folder, path);
    if (!merges) return ATTN_NO_MEMORY;
    return attn_vocab_merges_json(path, merges, b->config,
                                  cJSON_IsString(type) ? type->valuestring : NULL, out, err);
}

static attn_status read_vocab_txt(const char *path, const beside *b, attn_arena *arena, cJSON **out,
                                  attn_error *err)
{
    (void)arena;
    return attn_vocab_txt_json(path, b->config, out, err);
}

/* In the order in which they are looked for. */
static const struct {
    const char *name;
    reader *read;
} kinds[] = {
    {"tokenizer.json", read_json},        {"tokenizer.model", read_sentencepiece},
    {"spiece.model", read_sentencepiece}, {"sentencepiece.bpe.model", read_sentencepiece},
    {"spm.model", read_sentencepiece},    {"vocab.json", read_vocab_json},
    {"vocab.txt", read_vocab_txt},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

/* The most that the tree of a JSON file takes, its copy of the text included. */
static attn_status measure_tree(const char *path, size_t *bytes, attn_error *err)
{
    enum { NODE = sizeof(cJSON) + 64 }; /* with its name and its text as blocks of their own */
    attn_file file;
    ATTN_TRY(attn_file_map(&file, path, err));
    const char *text = file.data;
    size_t nodes = 1;
    for (size_t i = 0; i < file.size; i++)
        nodes += text[i] == ',' || text[i] == '[' || text[i] == '{';
    if (!attn_mul(nodes, NODE, bytes) || !attn_add(*bytes, file.size * 2, bytes)) *bytes = SIZE_MAX;
    attn_file_unmap(&file);
    return ATTN_OK;
}

static size_t read_max_tokens(const cJSON *config)
{
    enum { MOST = 1000000000 };
    const cJSON *number = attn_json_get(config, "model_max_length");
    bool real = cJSON_IsNumber(number) && number->valuedouble < MOST;
    return real ? (size_t)number->valuedouble : 0;
}

static attn_status open_file(attn_tokenizer **out, const char *path, reader *read, const beside *b,
                             attn_arena *arena, const attn_tokenizer_options *options,
                             attn_error *err)
{
    cJSON *json = NULL;
    size_t tree = 0;
    attn_budget *budget = arena->memory->budget;
    if (budget && (read == read_json || read == read_vocab_json))
        ATTN_TRY(measure_tree(path, &tree, err));
    ATTN_TRY(attn_budget_take(budget, ATTN_HELD_BY_TOKENIZER, tree, path, err));
    attn_status status = read(path, b, arena, &json, err);
    if (!status && cJSON_IsObject(json)) {
        status = add_tokens(json, b->config, path, err);
        if (!status && read != read_json) status = add_roles(json, b->config, path, err);
        if (!status && read != read_json) status = add_roles(json, b->map, path, err);
    }
    if (!status) status = attn_tokenizer_build(out, path, json, options, err);
    cJSON_Delete(json);
    attn_budget_give(budget, ATTN_HELD_BY_TOKENIZER, tree);
    if (status) return status;
    attn_tokenizer_read_roles(*out, b->map);
    attn_tokenizer_read_roles(*out, b->config);
    (*out)->max_tokens = read_max_tokens(b->config);
    return ATTN_OK;
}

/* The metadata say what the files beside a tokenizer say otherwise. */
static attn_status open_gguf(attn_tokenizer **out, const char *path, beside *b, attn_memory *memory,
                             const attn_tokenizer_options *options, attn_error *err)
{
    attn_weights weights;
    cJSON *json = NULL, *config = NULL;
    ATTN_TRY(attn_weights_open(&weights, path, memory, err));
    attn_status status = attn_gguf_tokenizer(weights.gguf, memory, &json, &config, err);
    attn_weights_close(&weights);
    cJSON_Delete(b->config);
    b->config = config;
    if (!status) status = attn_tokenizer_build(out, path, json, options, err);
    cJSON_Delete(json);
    if (!status) attn_tokenizer_read_roles(*out, b->config);
    return status;
}

static attn_status open_path(attn_tokenizer **out, const char *path, beside *b, attn_arena *arena,
                             const attn_tokenizer_options *options, attn_error *err)
{
    if (attn_is_folder(path)) {
        ATTN_TRY(read_beside(path, b, arena, err));
        for (size_t i = 0; i < KINDS; i++) {
            const char *file = path_of(path, kinds[i].name, arena, err);
            if (!file) return ATTN_NO_MEMORY;
            if (attn_file_exists(file))
                return open_file(out, file, kinds[i].read, b, arena, options, err);
        }
        char name[256];
        size_t count = attn_files_ending(path, ".gguf", name, sizeof name);
        const char *file = path_of(path, name, arena, err);
        if (!file) return ATTN_NO_MEMORY;
        if (count == 1) return open_gguf(out, file, b, arena->memory, options, err);
        return attn_fail(err, ATTN_IO,
                         "%s: no tokenizer here: neither tokenizer.json nor vocab.txt%s", path,
                         count ? ", but several .gguf files" : "");
    }
    if (attn_is_gguf(path)) return open_gguf(out, path, b, arena->memory, options, err);
    for (size_t i = 1; i < KINDS; i++)
        if (ends_with(path, kinds[i].name))
            return open_file(out, path, kinds[i].read, b, arena, options, err);
    return open_file(out, path, read_json, b, arena, options, err);
}

attn_status attn_tokenizer_open(attn_tokenizer **out, const char *path,
                                const attn_tokenizer_options *options, attn_error *err)
{
    attn_memory memory;
    attn_arena arena;
    beside b = {0};
    *out = NULL;
    attn_memory_init(&memory, options ? options->allocator : NULL, 0);
    memory.budget = options ? options->budget : NULL;
    memory.holder = ATTN_HELD_BY_TOKENIZER;
    attn_arena_init(&arena, &memory);
    attn_status status = ATTN_OK;
    if (attn_is_onnx(path)) status = attn_onnx_folder(path, &arena, &path, err);
    if (!status) status = open_path(out, path, &b, &arena, options, err);
    cJSON_Delete(b.config);
    cJSON_Delete(b.map);
    cJSON_Delete(b.model);
    attn_arena_free(&arena);
    return status;
}
