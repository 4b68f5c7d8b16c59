#include "runtime/inputs/tokenizer/vocab_merges.h"

#include "runtime/base/file.h"
#include "runtime/inputs/tokenizer/likeness.h"

#include <string.h>

typedef enum family { GPT2, CODEGEN, ROBERTA, QWEN2 } family;

/* Defaults of transformers 5.23. */
static const struct known {
    const char *name, *model_type;
    family family;
} knowns[] = {
    {"GPT2Tokenizer", "gpt2", GPT2},
    {"PreTrainedTokenizer", "gpt_neo", GPT2},
    {"CodeGenTokenizer", "codegen", CODEGEN},
    {"RobertaTokenizer", "roberta", ROBERTA},
    {"BartTokenizer", "bart", ROBERTA},
    {"LEDTokenizer", "led", ROBERTA},
    {"LongformerTokenizer", "longformer", ROBERTA},
    {"Qwen2Tokenizer", "qwen2", QWEN2},
};

static const char *const roles[][ATTN_SPECIAL_ROLES] = {
    [GPT2] = {"<|endoftext|>", "<|endoftext|>", "<|endoftext|>"},
    [CODEGEN] = {"<|endoftext|>", "<|endoftext|>", "<|endoftext|>"},
    [ROBERTA] = {"<s>", "</s>", "<unk>", "</s>", "<pad>", "<s>", "<mask>"},
    [QWEN2] = {NULL, "<|endoftext|>", "<|endoftext|>", NULL, "<|endoftext|>"},
};

static const char qwen2_pattern[] = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|"
                                    "\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|"
                                    "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

typedef struct builder {
    const char *vocab_path, *merges_path;
    const cJSON *config;
    family family;
    const char *role[ATTN_SPECIAL_ROLES]; /* NULL: none */
    int32_t id[ATTN_SPECIAL_ROLES];
    attn_error *err;
    bool failed;
} builder;

static attn_status find_family(builder *b, const char *model_type)
{
    const cJSON *class = attn_json_get(b->config, "tokenizer_class");
    const char *name = cJSON_IsString(class) ? class->valuestring : NULL;
    size_t length = name ? strlen(name) : 0;
    if (length > 4 && strcmp(name + length - 4, "Fast") == 0) length -= 4;
    for (size_t i = 0; i < sizeof knowns / sizeof *knowns; i++) {
        const struct known *k = &knowns[i];
        if (name ? strlen(k->name) != length || memcmp(k->name, name, length) != 0
                 : !model_type || strcmp(k->model_type, model_type) != 0)
            continue;
        b->family = k->family;
        return ATTN_OK;
    }
    if (!name) return ATTN_OK;
    return attn_fail(b->err, ATTN_BAD_FILE,
                     "%s: how a %.80s uses this file is not known; save it as tokenizer.json",
                     b->vocab_path, name);
}

/* ---- the model ---------------------------------------------------------------------------- */

/* A line without its end, terminated: it is part of a copy. */
static attn_status put_merge(builder *b, cJSON *list, size_t line, char *text, size_t length)
{
    if (length && text[length - 1] == '\r') length--;
    text[length] = 0;
    if (length == 0 || strncmp(text, "#version", 8) == 0) return ATTN_OK;
    char *space = memchr(text, ' ', length);
    if (strlen(text) != length || !space || space == text || !space[1] || strchr(space + 1, ' '))
        return attn_fail(b->err, ATTN_BAD_FILE, "%s: line %zu: \"%.80s\" is not \"a b\"",
                         b->merges_path, line, text);
    attn_put_text(&b->failed, list, NULL, text);
    return b->failed ? attn_fail(b->err, ATTN_NO_MEMORY, "%s: out of memory", b->merges_path)
                     : ATTN_OK;
}

static attn_status put_lines(builder *b, cJSON *list, char *text, size_t length)
{
    size_t line = 1;
    for (char *at = text, *end = text + length, *next; at < end; at = next + 1, line++) {
        next = memchr(at, '\n', (size_t)(end - at));
        if (!next) next = end;
        ATTN_TRY(put_merge(b, list, line, at, (size_t)(next - at)));
    }
    return ATTN_OK;
}

static attn_status put_merges(builder *b, cJSON *model)
{
    attn_file file;
    cJSON *list = attn_put(&b->failed, model, "merges", cJSON_CreateArray());
    ATTN_TRY(attn_file_map(&file, b->merges_path, b->err));
    char *copy = file.size <= ATTN_JSON_MAX_BYTES ? cJSON_malloc(file.size + 1) : NULL;
    attn_status status = ATTN_OK;
    if (copy) {
        memcpy(copy, file.data, file.size);
        status = put_lines(b, list, copy, file.size);
    } else {
        status = attn_fail(b->err, ATTN_LIMIT, "%s: %zu bytes of merges are too many",
                           b->merges_path, file.size);
    }
    cJSON_free(copy);
    attn_file_unmap(&file);
    return status;
}

static attn_status put_model(builder *b, cJSON *root)
{
    cJSON *vocab, *model = attn_put(&b->failed, root, "model", cJSON_CreateObject());
    ATTN_TRY(attn_json_read(b->vocab_path, &vocab, b->err));
    double next = 0, id;
    for (const cJSON *item = vocab->child; item; item = item->next) next++;
    for (int i = 0; i < ATTN_SPECIAL_ROLES; i++) {
        const cJSON *item = attn_json_get(b->config, attn_role_key[i]);
        b->role[i] = item ? attn_config_token(item) : roles[b->family][i];
        if (!b->role[i]) continue;
        bool known = attn_json_integer(attn_json_get(vocab, b->role[i]), 0, INT32_MAX, &id);
        for (int j = 0; j < i && !known; j++) /* added for another role */
            if (b->role[j] && strcmp(b->role[j], b->role[i]) == 0) {
                id = b->id[j];
                known = true;
            }
        b->id[i] = (int32_t)(known ? id : next++);
    }
    attn_put_text(&b->failed, model, "type", "BPE");
    attn_put(&b->failed, model, "vocab", vocab);
    return put_merges(b, model);
}

/* ---- around the model --------------------------------------------------------------------- */

static cJSON *put_byte_level(builder *b, cJSON *object, const char *key, bool prefix, bool regex)
{
    cJSON *item = attn_put(&b->failed, object, key, cJSON_CreateObject());
    attn_put_text(&b->failed, item, "type", "ByteLevel");
    attn_put_flag(&b->failed, item, "add_prefix_space", prefix);
    attn_put_flag(&b->failed, item, "trim_offsets", true);
    attn_put_flag(&b->failed, item, "use_regex", regex);
    return item;
}

static void put_pre_tokenizer(builder *b, cJSON *root)
{
    bool prefix = attn_config_flag(b->config, "add_prefix_space", false);
    if (b->family != QWEN2) {
        put_byte_level(b, root, "pre_tokenizer", prefix, true);
        return;
    }
    attn_put_json(&b->failed, root, "normalizer", "{'type':'NFC'}");
    cJSON *list = attn_put_sequence(&b->failed, root, "pre_tokenizer", "pretokenizers");
    cJSON *split = attn_put(&b->failed, list, NULL, cJSON_CreateObject());
    attn_put_text(&b->failed, split, "type", "Split");
    attn_put_text(&b->failed, attn_put(&b->failed, split, "pattern", cJSON_CreateObject()), "Regex",
                  qwen2_pattern);
    attn_put_text(&b->failed, split, "behavior", "Isolated");
    attn_put_flag(&b->failed, split, "invert", false);
    put_byte_level(b, list, NULL, prefix, false);
}

static void put_pair(builder *b, cJSON *object, const char *key, int role)
{
    cJSON *pair = attn_put(&b->failed, object, key, cJSON_CreateArray());
    attn_put_text(&b->failed, pair, NULL, b->role[role]);
    attn_put_number(&b->failed, pair, NULL, b->id[role]);
}

static void put_post_processor(builder *b, cJSON *root)
{
    bool bos = b->role[ATTN_BOS] && attn_config_flag(b->config, "add_bos_token", false);
    bool eos = b->role[ATTN_EOS] && attn_config_flag(b->config, "add_eos_token", false);
    if (b->family == ROBERTA) {
        cJSON *item = attn_put(&b->failed, root, "post_processor", cJSON_CreateObject());
        attn_put_text(&b->failed, item, "type", "RobertaProcessing");
        put_pair(b, item, "sep", ATTN_SEP);
        put_pair(b, item, "cls", ATTN_CLS);
        attn_put_flag(&b->failed, item, "trim_offsets",
                      attn_config_flag(b->config, "trim_offsets", true));
        attn_put_flag(&b->failed, item, "add_prefix_space",
                      attn_config_flag(b->config, "add_prefix_space", false));
    } else if (bos || eos) {
        attn_put_template(&b->failed, root,
                          bos && eos ? "b0A0e0"
                          : bos      ? "b0A0"
                                     : "A0e0",
                          bos && eos ? "b0A0e0b1B1e1"
                          : bos      ? "b0A0b1B1"
                                     : "A0e0B1e1",
                          b->role, b->id);
    } else if (b->family == CODEGEN) {
        attn_put_json(&b->failed, root, "post_processor",
                      "{'type':'ByteLevel','add_prefix_space':true,'trim_offsets':false,"
                      "'use_regex':true}");
    }
}

static void put_added_tokens(builder *b, cJSON *root)
{
    cJSON *list = attn_put(&b->failed, root, "added_tokens", cJSON_CreateArray());
    cJSON *map = attn_put(&b->failed, root, "special_tokens_map", cJSON_CreateObject());
    for (int i = 0; i < ATTN_SPECIAL_ROLES; i++) {
        if (!b->role[i]) continue;
        attn_put_text(&b->failed, map, attn_role_key[i], b->role[i]);
        attn_put_added(
            &b->failed, list, b->id[i], b->role[i], true,
            cJSON_IsTrue(attn_json_get(attn_json_get(b->config, attn_role_key[i]), "lstrip")));
    }
}

static attn_status put_all(builder *b, cJSON *root)
{
    ATTN_TRY(put_model(b, root));
    if (b->family == ROBERTA && (!b->role[ATTN_SEP] || !b->role[ATTN_CLS]))
        return attn_fail(b->err, ATTN_BAD_FILE,
                         "%s: a RobertaTokenizer needs a sep_token and a "
                         "cls_token",
                         b->vocab_path);
    put_pre_tokenizer(b, root);
    put_post_processor(b, root);
    put_byte_level(b, root, "decoder", true, true);
    put_added_tokens(b, root);
    return b->failed ? attn_fail(b->err, ATTN_NO_MEMORY, "%s: out of memory", b->vocab_path)
                     : ATTN_OK;
}

attn_status attn_vocab_merges_json(const char *vocab_path, const char *merges_path,
                                   const cJSON *config, const char *model_type, cJSON **out,
                                   attn_error *err)
{
    builder b = {
        .vocab_path = vocab_path, .merges_path = merges_path, .config = config, .err = err};
    *out = NULL;
    ATTN_TRY(find_family(&b, model_type));
    cJSON *root = cJSON_CreateObject();
    attn_status status =
        root ? put_all(&b, root) : attn_fail(err, ATTN_NO_MEMORY, "%s: out of memory", vocab_path);
    if (status)
        cJSON_Delete(root);
    else
        *out = root;
    return status;
}
