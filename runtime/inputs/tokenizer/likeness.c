#include "runtime/inputs/tokenizer/likeness.h"

#include <string.h>

const char *const attn_role_key[ATTN_SPECIAL_ROLES] = {
    "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"};

cJSON *attn_put(bool *failed, cJSON *object, const char *key, cJSON *item)
{
    if (item && object &&
        (key ? cJSON_AddItemToObject(object, key, item) : cJSON_AddItemToArray(object, item)))
        return item;
    cJSON_Delete(item);
    *failed = true;
    return NULL;
}

void attn_put_text(bool *failed, cJSON *object, const char *key, const char *text)
{
    attn_put(failed, object, key, text ? cJSON_CreateString(text) : cJSON_CreateNull());
}

void attn_put_flag(bool *failed, cJSON *object, const char *key, bool flag)
{
    attn_put(failed, object, key, cJSON_CreateBool(flag));
}

void attn_put_number(bool *failed, cJSON *object, const char *key, double number)
{
    attn_put(failed, object, key, cJSON_CreateNumber(number));
}

void attn_put_json(bool *failed, cJSON *object, const char *key, const char *json)
{
    char copy[512];
    size_t length = 0;
    for (; json[length] && length < sizeof copy - 1; length++)
        copy[length] = json[length] == '\'' ? '"' : json[length];
    copy[length] = 0;
    attn_put(failed, object, key, cJSON_Parse(copy));
}

cJSON *attn_put_sequence(bool *failed, cJSON *object, const char *key, const char *list)
{
    cJSON *sequence = attn_put(failed, object, key, cJSON_CreateObject());
    attn_put_text(failed, sequence, "type", "Sequence");
    return attn_put(failed, sequence, list, cJSON_CreateArray());
}

void attn_put_added(bool *failed, cJSON *list, double id, const char *text, bool special,
                    bool lstrip)
{
    cJSON *token = attn_put(failed, list, NULL, cJSON_CreateObject());
    attn_put_number(failed, token, "id", id);
    attn_put_text(failed, token, "content", text);
    attn_put_flag(failed, token, "single_word", false);
    attn_put_flag(failed, token, "lstrip", lstrip);
    attn_put_flag(failed, token, "rstrip", false);
    attn_put_flag(failed, token, "normalized", false);
    attn_put_flag(failed, token, "special", special);
}

/* ---- the post-processor ------------------------------------------------------------------- */

static int role_of(char letter)
{
    int role = 0;
    while (role < ATTN_SPECIAL_ROLES && attn_role_key[role][0] != letter) role++;
    return role;
}

static void put_pieces(bool *failed, cJSON *object, const char *key, const char *pieces,
                       const char *const *role)
{
    cJSON *list = attn_put(failed, object, key, cJSON_CreateArray());
    for (const char *c = pieces; *c; c += 2) {
        bool text = *c == 'A' || *c == 'B';
        cJSON *entry = attn_put(failed, list, NULL, cJSON_CreateObject());
        cJSON *piece =
            attn_put(failed, entry, text ? "Sequence" : "SpecialToken", cJSON_CreateObject());
        attn_put_text(failed, piece, "id", text ? (*c == 'A' ? "A" : "B") : role[role_of(*c)]);
        attn_put_number(failed, piece, "type_id", c[1] - '0');
    }
}

void attn_put_template(bool *failed, cJSON *root, const char *single, const char *pair,
                       const char *const *role, const int32_t *id)
{
    cJSON *processor = attn_put(failed, root, "post_processor", cJSON_CreateObject());
    attn_put_text(failed, processor, "type", "TemplateProcessing");
    put_pieces(failed, processor, "single", single, role);
    put_pieces(failed, processor, "pair", pair, role);
    cJSON *tokens = attn_put(failed, processor, "special_tokens", cJSON_CreateObject());
    for (int i = 0; i < ATTN_SPECIAL_ROLES; i++) {
        bool used = role[i] && (strchr(single, attn_role_key[i][0]) != NULL ||
                                strchr(pair, attn_role_key[i][0]) != NULL);
        if (!used || attn_json_get(tokens, role[i])) continue;
        cJSON *token = attn_put(failed, tokens, role[i], cJSON_CreateObject());
        attn_put_text(failed, token, "id", role[i]);
        attn_put_number(failed, attn_put(failed, token, "ids", cJSON_CreateArray()), NULL, id[i]);
        attn_put_text(failed, attn_put(failed, token, "tokens", cJSON_CreateArray()), NULL,
                      role[i]);
    }
}

/* ---- tokenizer_config.json ---------------------------------------------------------------- */

const char *attn_config_token(const cJSON *item)
{
    if (cJSON_IsObject(item)) item = attn_json_get(item, "content");
    return cJSON_IsString(item) && *item->valuestring ? item->valuestring : NULL;
}

bool attn_config_flag(const cJSON *config, const char *key, bool fallback)
{
    const cJSON *item = attn_json_get(config, key);
    return cJSON_IsBool(item) ? cJSON_IsTrue(item) : fallback;
}
