/* The likeness of a tokenizer.json, which loaders of older formats make. Each function adds an item
 * to an object, or with key NULL to a list; what cannot be added, for want of memory or because
 * there is nothing to add it to, sets *failed, to be looked at in the end. */
#ifndef ATTN_TOKENIZER_LIKENESS_H
#define ATTN_TOKENIZER_LIKENESS_H

#include "runtime/json.h"

/* Takes the item, which may be NULL. The item where it now is, or NULL. */
cJSON *attn_put(bool *failed, cJSON *object, const char *key, cJSON *item);
/* text NULL: null. */
void attn_put_text(bool *failed, cJSON *object, const char *key, const char *text);
void attn_put_flag(bool *failed, cJSON *object, const char *key, bool flag);
void attn_put_number(bool *failed, cJSON *object, const char *key, double number);
/* A fixed part as JSON with ' for ": at most 500 bytes. */
void attn_put_json(bool *failed, cJSON *object, const char *key, const char *json);
/* {"type": "Sequence", LIST: []}: the list. */
cJSON *attn_put_sequence(bool *failed, cJSON *object, const char *key, const char *list);

/* An entry of "added_tokens". */
void attn_put_added(bool *failed, cJSON *list, double id, const char *text, bool special,
                    bool lstrip);

/* The roles of tokens, in the order in which transformers adds those that no vocabulary has. */
enum {
    ATTN_BOS,
    ATTN_EOS,
    ATTN_UNK,
    ATTN_SEP,
    ATTN_PAD,
    ATTN_CLS,
    ATTN_MASK,
    ATTN_SPECIAL_ROLES,
};
extern const char *const attn_role_key[ATTN_SPECIAL_ROLES]; /* "bos_token" ... */

/* "post_processor": a template. single, pair: for each token the first letter of its role and its
 * type; A and B are the texts: "c0A0s0". role, id: of each role that is named. */
void attn_put_template(bool *failed, cJSON *root, const char *single, const char *pair,
                       const char *const *role, const int32_t *id);

/* A token in tokenizer_config.json: a text, or an object with its "content". NULL: neither. */
const char *attn_config_token(const cJSON *item);
bool attn_config_flag(const cJSON *config, const char *key, bool fallback);

#endif
