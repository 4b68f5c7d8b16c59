/* vocab.txt: a token a line, as BERT's first folders have it. */
#include "runtime/base/file.h"
#include "runtime/inputs/tokenizer/tokenizer.h"

#include <stdlib.h>
#include <string.h>

static attn_status no_memory(const char *path, attn_error *err)
{
    return attn_fail(err, ATTN_NO_MEMORY, "%s: out of memory", path);
}

/* {"token": line number}: of a token that stands twice, the later line counts. */
static attn_status read_lines(const char *path, const char *data, size_t size, cJSON *vocab,
                              attn_error *err)
{
    int line = 0;
    for (size_t at = 0, end; at < size; at = end + 1, line++) {
        end = at;
        size_t bytes = 1, bad;
        while (end < size && data[end] != '\n' && data[end] && bytes) {
            bytes = attn_utf8_valid(data + end, size - end, &bad);
            end += bytes;
        }
        if (!bytes || (end < size && !data[end]))
            return attn_fail(err, ATTN_BAD_FILE, "%s: line %d: byte 0x%02x is not UTF-8 text", path,
                             line + 1, (unsigned char)data[end]);
        if (line >= ATTN_VOCABULARY_MAX)
            return attn_fail(err, ATTN_LIMIT, "%s: more than %d lines", path, ATTN_VOCABULARY_MAX);
        size_t length = end - at;
        if (length && data[end - 1] == '\r') length--;
        cJSON *id = cJSON_CreateNumber(line);
        char *token = malloc(length + 1);
        if (token) {
            memcpy(token, data + at, length);
            token[length] = 0;
        }
        bool good = id && token && cJSON_AddItemToObject(vocab, token, id);
        free(token);
        if (!good) {
            cJSON_Delete(id);
            return no_memory(path, err);
        }
    }
    return ATTN_OK;
}

static const char *token_of(const cJSON *config, const char *key, const char *otherwise)
{
    const cJSON *token = attn_json_get(config, key);
    if (cJSON_IsObject(token)) token = attn_json_get(token, "content");
    return cJSON_IsString(token) ? token->valuestring : otherwise;
}

static const cJSON *id_of(const cJSON *vocab, const char *token)
{
    const cJSON *found = NULL;
    for (const cJSON *item = vocab->child; item; item = item->next)
        if (strcmp(item->string, token) == 0) found = item;
    return found;
}

static bool flag_of(const cJSON *config, const char *key, bool otherwise)
{
    const cJSON *flag = attn_json_get(config, key);
    return cJSON_IsBool(flag) ? cJSON_IsTrue(flag) : otherwise;
}

static bool add_steps(cJSON *json, const cJSON *config)
{
    const cJSON *accents = attn_json_get(config, "strip_accents");
    cJSON *normalizer = cJSON_AddObjectToObject(json, "normalizer");
    cJSON *cut = cJSON_AddObjectToObject(json, "pre_tokenizer");
    cJSON *decoder = cJSON_AddObjectToObject(json, "decoder");
    if (!normalizer || !cut || !decoder) return false;
    if (cJSON_IsBool(accents) &&
        !cJSON_AddBoolToObject(normalizer, "strip_accents", cJSON_IsTrue(accents)))
        return false;
    return cJSON_AddStringToObject(normalizer, "type", "BertNormalizer") &&
           cJSON_AddBoolToObject(normalizer, "clean_text", true) &&
           cJSON_AddBoolToObject(normalizer, "handle_chinese_chars",
                                 flag_of(config, "tokenize_chinese_chars", true)) &&
           cJSON_AddBoolToObject(normalizer, "lowercase", flag_of(config, "do_lower_case", true)) &&
           cJSON_AddStringToObject(cut, "type", "BertPreTokenizer") &&
           cJSON_AddStringToObject(decoder, "type", "WordPiece") &&
           cJSON_AddStringToObject(decoder, "prefix", "##") &&
           cJSON_AddBoolToObject(decoder, "cleanup", true);
}

/* [CLS] text [SEP], [CLS] text [SEP] pair [SEP], if the vocabulary has them. */
static bool add_post_processor(cJSON *json, const cJSON *vocab, const char *cls, const char *sep)
{
    const char *const keys[] = {"cls", "sep"}, *const tokens[] = {cls, sep};
    const cJSON *const ids[] = {id_of(vocab, cls), id_of(vocab, sep)};
    if (!ids[0] || !ids[1]) return true;
    cJSON *post = cJSON_AddObjectToObject(json, "post_processor");
    if (!post || !cJSON_AddStringToObject(post, "type", "BertProcessing")) return false;
    for (int i = 0; i < 2; i++) {
        cJSON *pair = cJSON_AddArrayToObject(post, keys[i]);
        cJSON *token = cJSON_CreateString(tokens[i]), *id = cJSON_CreateNumber(ids[i]->valuedouble);
        bool good = pair && token && id;
        if (good) {
            cJSON_AddItemToArray(pair, token);
            cJSON_AddItemToArray(pair, id);
        } else {
            cJSON_Delete(token);
            cJSON_Delete(id);
            return false;
        }
    }
    return true;
}

static bool add_special(cJSON *json, const char *const *tokens, size_t count)
{
    static const char *const keys[] = {"unk_token", "sep_token", "pad_token", "cls_token",
                                       "mask_token"};
    cJSON *map = cJSON_AddObjectToObject(json, "special_tokens_map");
    cJSON *list = cJSON_AddArrayToObject(json, "added_tokens");
    if (!map || !list) return false;
    for (size_t i = 0; i < count; i++) {
        cJSON *token = cJSON_CreateObject();
        if (!token || !cJSON_AddItemToArray(list, token)) return false;
        if (!cJSON_AddStringToObject(map, keys[i], tokens[i]) ||
            !cJSON_AddNumberToObject(token, "id", 0) ||
            !cJSON_AddStringToObject(token, "content", tokens[i]) ||
            !cJSON_AddBoolToObject(token, "single_word", false) ||
            !cJSON_AddBoolToObject(token, "lstrip", false) ||
            !cJSON_AddBoolToObject(token, "rstrip", false) ||
            !cJSON_AddBoolToObject(token, "normalized", false) ||
            !cJSON_AddBoolToObject(token, "special", true))
            return false;
    }
    return true;
}

attn_status attn_vocab_txt_json(const char *path, const cJSON *config, cJSON **out, attn_error *err)
{
    const char *const tokens[] = {
        token_of(config, "unk_token", "[UNK]"), token_of(config, "sep_token", "[SEP]"),
        token_of(config, "pad_token", "[PAD]"), token_of(config, "cls_token", "[CLS]"),
        token_of(config, "mask_token", "[MASK]")};
    attn_file file;
    *out = NULL;
    ATTN_TRY(attn_file_map(&file, path, err));
    cJSON *json = cJSON_CreateObject(), *model = cJSON_AddObjectToObject(json, "model");
    cJSON *vocab = cJSON_AddObjectToObject(model, "vocab");
    attn_status status = ATTN_OK;
    if (!vocab || !cJSON_AddStringToObject(model, "type", "WordPiece") ||
        !cJSON_AddStringToObject(model, "unk_token", tokens[0]) ||
        !cJSON_AddStringToObject(model, "continuing_subword_prefix", "##") ||
        !cJSON_AddNumberToObject(model, "max_input_chars_per_word", 100))
        status = no_memory(path, err);
    else
        status = read_lines(path, file.data, file.size, vocab, err);
    attn_file_unmap(&file);
    if (!status &&
        (!add_steps(json, config) || !add_post_processor(json, vocab, tokens[3], tokens[1]) ||
         !add_special(json, tokens, sizeof tokens / sizeof *tokens)))
        status = no_memory(path, err);
    if (status)
        cJSON_Delete(json);
    else
        *out = json;
    return status;
}
