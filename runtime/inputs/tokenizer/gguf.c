#include "runtime/inputs/tokenizer/gguf.h"

#include <stdio.h>
#include <string.h>

#define KEY "tokenizer.ggml."

/* "tokenizer.ggml.token_type". */
enum { NORMAL = 1, UNKNOWN, CONTROL, USER_DEFINED };

typedef struct maker {
    const attn_gguf *gguf;
    attn_memory *memory;
    const attn_gguf_value *tokens, *types;
    cJSON *root;
    attn_error *err;
} maker;

static attn_status no_memory(const maker *m)
{
    return attn_fail(m->err, ATTN_NO_MEMORY, "%s: out of memory", m->gguf->file);
}

/* Adds the item, which belongs to the object from now on; false: out of memory. */
static bool put(cJSON *object, const char *key, cJSON *item)
{
    if (cJSON_AddItemToObject(object, key, item)) return true;
    cJSON_Delete(item);
    return false;
}

static bool append(cJSON *list, cJSON *item)
{
    if (cJSON_AddItemToArray(list, item)) return true;
    cJSON_Delete(item);
    return false;
}

/* ---- metadata ------------------------------------------------------------------------------- */

/* A text or a number (text NULL), if the key is there and holds one: false otherwise. */
static bool get(const maker *m, const char *key, bool text, attn_gguf_item *item)
{
    const attn_gguf_value *v = attn_gguf_find(m->gguf, key);
    const unsigned char *at = v ? v->data : NULL;
    return v && v->type != ATTN_GGUF_ARRAY && attn_gguf_next(v, &at, item) &&
           (item->text != NULL) == text;
}

static bool get_flag(const maker *m, const char *key, bool otherwise)
{
    attn_gguf_item item;
    return get(m, key, false, &item) ? item.number != 0 : otherwise;
}

/* An array of as many elements as there are tokens (count 0: of any number). */
static attn_status need_array(const maker *m, const char *key, bool text, uint64_t count,
                              const attn_gguf_value **out)
{
    const attn_gguf_value *v = attn_gguf_find(m->gguf, key);
    *out = v;
    if (!v)
        return attn_fail(m->err, ATTN_BAD_FILE, "%s: metadata \"%s\" is missing", m->gguf->file,
                         key);
    if (v->type != ATTN_GGUF_ARRAY || v->element == ATTN_GGUF_ARRAY ||
        (v->element == ATTN_GGUF_TEXT) != text)
        return attn_fail(m->err, ATTN_BAD_FILE, "%s: metadata \"%s\" is no array of %s",
                         m->gguf->file, key, text ? "texts" : "numbers");
    if (count && v->count != count)
        return attn_fail(m->err, ATTN_BAD_FILE,
                         "%s: metadata \"%s\" has %llu elements, but there are %llu tokens",
                         m->gguf->file, key, (unsigned long long)v->count,
                         (unsigned long long)count);
    return ATTN_OK;
}

/* The id of a role, or -1: what the key says; else the token of that text. */
static attn_status find_id(const maker *m, const char *key, const char *text, long *id)
{
    attn_gguf_item item;
    *id = -1;
    if (get(m, key, false, &item)) {
        if (!(item.number >= 0 && item.number < (double)m->tokens->count) ||
            item.number != (double)(long)item.number)
            return attn_fail(m->err, ATTN_BAD_FILE,
                             "%s: metadata \"%s\" is %.10g, expected an id below %llu",
                             m->gguf->file, key, item.number, (unsigned long long)m->tokens->count);
        *id = (long)item.number;
        return ATTN_OK;
    }
    const unsigned char *at = m->tokens->data;
    for (long i = 0; text && i < (long)m->tokens->count && *id < 0; i++) {
        attn_gguf_next(m->tokens, &at, &item);
        if (item.length == strlen(text) && memcmp(item.text, text, item.length) == 0) *id = i;
    }
    return ATTN_OK;
}

/* The token of an id as JSON text; NULL: out of memory. Tokens have been checked. */
static cJSON *token_json(const maker *m, long id)
{
    const unsigned char *at = m->tokens->data;
    attn_gguf_item item = {0};
    for (long i = 0; i <= id; i++) attn_gguf_next(m->tokens, &at, &item);
    char *copy = cJSON_malloc(item.length + 1);
    if (!copy) return NULL;
    memcpy(copy, item.text, item.length);
    copy[item.length] = 0;
    cJSON *json = cJSON_CreateString(copy);
    cJSON_free(copy);
    return json;
}

/* ---- the vocabulary ------------------------------------------------------------------------- */

static attn_status add_special(const maker *m, cJSON *list, const char *text, size_t id,
                               bool special)
{
    static const char *const flags[] = {"single_word", "lstrip", "rstrip", "normalized"};
    cJSON *entry = cJSON_CreateObject();
    bool added = cJSON_AddNumberToObject(entry, "id", (double)id) &&
                 cJSON_AddStringToObject(entry, "content", text) &&
                 cJSON_AddBoolToObject(entry, "special", special);
    for (int i = 0; i < 4; i++) added = added && cJSON_AddBoolToObject(entry, flags[i], false);
    if (added) return append(list, entry) ? ATTN_OK : no_memory(m);
    cJSON_Delete(entry);
    return no_memory(m);
}

/* How WordPiece spells what the file has: a word's beginning has a mark there, its continuation
 * has "##" here. */
static void respell_word(char *text, size_t length)
{
    static const char mark[] = "\xe2\x96\x81";
    if (length >= 3 && memcmp(text, mark, 3) == 0) {
        memmove(text, text + 3, length - 2);
    } else {
        memmove(text + 2, text, length + 1);
        memcpy(text, "##", 2);
    }
}

/* How the file spells tokens: as they are; runs of spaces apart; words apart. */
typedef enum spelling { PLAIN, MARKED, WORDS } spelling;

static attn_status add_token(const maker *m, const attn_gguf_item *item, size_t id, int type,
                             spelling kind, cJSON *vocabulary, cJSON *added)
{
    const char *bad = attn_json_bad_utf8(item->text, item->length);
    attn_status status = ATTN_OK;
    if (bad)
        return attn_fail(m->err, ATTN_BAD_FILE,
                         "%s: metadata \"%s\": token %zu: byte %zu, 0x%02x, is no UTF-8",
                         m->gguf->file, m->tokens->key, id, (size_t)(bad - item->text),
                         (unsigned)(unsigned char)*bad);
    char *text = cJSON_malloc(3 * item->length + 3);
    if (!text) return no_memory(m);
    if (kind == MARKED) {
        attn_gguf_spell(item, text);
    } else {
        memcpy(text, item->text, item->length);
        text[item->length] = 0;
    }
    if (kind == WORDS && type != CONTROL) respell_word(text, item->length);
    if (type >= UNKNOWN && type <= USER_DEFINED && *text)
        status = add_special(m, added, text, id, type != USER_DEFINED);
    if (!status && !cJSON_AddNumberToObject(vocabulary, text, (double)id)) status = no_memory(m);
    cJSON_free(text);
    return status;
}

/* "model.vocab" and "added_tokens". */
static attn_status add_tokens(const maker *m, spelling kind)
{
    const unsigned char *at = m->tokens->data, *type = m->types ? m->types->data : NULL;
    cJSON *model = cJSON_GetObjectItemCaseSensitive(m->root, "model");
    cJSON *vocabulary = cJSON_AddObjectToObject(model, "vocab");
    cJSON *added = cJSON_AddArrayToObject(m->root, "added_tokens");
    if (!vocabulary || !added) return no_memory(m);
    for (size_t i = 0; i < m->tokens->count; i++) {
        attn_gguf_item item, role = {.number = NORMAL};
        attn_gguf_next(m->tokens, &at, &item);
        if (type) attn_gguf_next(m->types, &type, &role);
        int number = role.number >= 0 && role.number < 100 ? (int)role.number : 0;
        ATTN_TRY(add_token(m, &item, i, number, kind, vocabulary, added));
    }
    return ATTN_OK;
}

/* ---- post-processor ------------------------------------------------------------------------- */

typedef struct ends {
    long first, last; /* ids before and after each text, or -1 */
} ends;

static bool add_piece(const maker *m, cJSON *list, long id, const char *sequence, int type)
{
    cJSON *entry = cJSON_CreateObject();
    cJSON *inner = cJSON_AddObjectToObject(entry, sequence ? "Sequence" : "SpecialToken");
    cJSON *name = sequence ? cJSON_CreateString(sequence) : token_json(m, id);
    if (put(inner, "id", name) && cJSON_AddNumberToObject(inner, "type_id", type))
        return append(list, entry);
    cJSON_Delete(entry);
    return false;
}

static bool add_text(const maker *m, cJSON *list, const ends *e, const char *sequence, int type,
                     bool first)
{
    return (!first || e->first < 0 || add_piece(m, list, e->first, NULL, type)) &&
           add_piece(m, list, 0, sequence, type) &&
           (e->last < 0 || add_piece(m, list, e->last, NULL, type));
}

static bool add_special_token(const maker *m, cJSON *object, long id)
{
    cJSON *name = token_json(m, id), *entry = NULL, *tokens = NULL;
    bool added = name && !cJSON_GetObjectItemCaseSensitive(object, name->valuestring);
    if (name && !added) { /* bos and eos are the same */
        cJSON_Delete(name);
        return true;
    }
    const int ids[] = {(int)id};
    entry = added ? cJSON_AddObjectToObject(object, name->valuestring) : NULL;
    tokens = cJSON_AddArrayToObject(entry, "tokens");
    added = tokens && cJSON_AddStringToObject(entry, "id", name->valuestring) &&
            put(entry, "ids", cJSON_CreateIntArray(ids, 1)) &&
            append(tokens, cJSON_CreateString(name->valuestring));
    cJSON_Delete(name);
    return added;
}

/* again: the second text of a pair begins with `first`, too. */
static attn_status add_template(const maker *m, const ends *e, bool again)
{
    cJSON *post = cJSON_AddObjectToObject(m->root, "post_processor");
    bool added = cJSON_AddStringToObject(post, "type", "TemplateProcessing") != NULL;
    cJSON *single = cJSON_AddArrayToObject(post, "single");
    cJSON *pair = cJSON_AddArrayToObject(post, "pair");
    cJSON *special = cJSON_AddObjectToObject(post, "special_tokens");
    added = added && single && pair && special && add_text(m, single, e, "A", 0, true) &&
            add_text(m, pair, e, "A", 0, true) && add_text(m, pair, e, "B", 1, again) &&
            (e->first < 0 || add_special_token(m, special, e->first)) &&
            (e->last < 0 || add_special_token(m, special, e->last));
    return added ? ATTN_OK : no_memory(m);
}

/* "add_bos_token" and "add_eos_token". */
static attn_status add_ends(const maker *m, bool begins)
{
    ends e = {-1, -1};
    if (get_flag(m, KEY "add_bos_token", begins))
        ATTN_TRY(find_id(m, KEY "bos_token_id", NULL, &e.first));
    if (get_flag(m, KEY "add_eos_token", false))
        ATTN_TRY(find_id(m, KEY "eos_token_id", NULL, &e.last));
    return add_template(m, &e, true);
}

/* ---- the three models -------------------------------------------------------------------------
 */

/* The parts that are the same for all files of a kind, as text. */
static attn_status begin(maker *m, const char *text)
{
    return attn_json_parse(m->gguf->file, text, strlen(text), &m->root, m->err);
}

static cJSON *add_step(cJSON *list, const char *type)
{
    cJSON *step = cJSON_CreateObject();
    if (cJSON_AddStringToObject(step, "type", type)) return append(list, step) ? step : NULL;
    cJSON_Delete(step);
    return NULL;
}

static bool add_split(cJSON *list, const char *pattern)
{
    cJSON *step = add_step(list, "Split"), *inner = cJSON_AddObjectToObject(step, "pattern");
    return cJSON_AddStringToObject(inner, "Regex", pattern) &&
           cJSON_AddStringToObject(step, "behavior", "Isolated") &&
           cJSON_AddBoolToObject(step, "invert", false);
}

static attn_status add_cut(const maker *m, const attn_gguf_cut *cut)
{
    cJSON *pre = cJSON_AddObjectToObject(m->root, "pre_tokenizer");
    bool added = cJSON_AddStringToObject(pre, "type", "Sequence") != NULL;
    cJSON *list = cJSON_AddArrayToObject(pre, "pretokenizers"), *step;
    if (cut->digits)
        added = added && (step = add_step(list, "Digits")) &&
                cJSON_AddBoolToObject(step, "individual_digits", true);
    for (size_t i = 0; i < 4 && cut->pattern[i]; i++)
        added = added && add_split(list, cut->pattern[i]);
    added = added && (step = add_step(list, "ByteLevel")) &&
            cJSON_AddBoolToObject(step, "add_prefix_space",
                                  get_flag(m, KEY "add_space_prefix", false)) &&
            cJSON_AddBoolToObject(step, "trim_offsets", true) &&
            cJSON_AddBoolToObject(step, "use_regex", cut->byte_level);
    if (!added) return no_memory(m);
    step = cJSON_GetObjectItemCaseSensitive(m->root, "model");
    if (!cJSON_AddBoolToObject(step, "ignore_merges", cut->whole_words)) return no_memory(m);
    if (!cut->nfc) return ATTN_OK;
    step = cJSON_AddObjectToObject(m->root, "normalizer");
    return cJSON_AddStringToObject(step, "type", "NFC") ? ATTN_OK : no_memory(m);
}

static attn_status add_merges(const maker *m)
{
    const attn_gguf_value *v;
    cJSON *list, *model = cJSON_GetObjectItemCaseSensitive(m->root, "model");
    ATTN_TRY(need_array(m, KEY "merges", true, 0, &v));
    ATTN_TRY(attn_gguf_json(m->gguf, v, SIZE_MAX, &list, m->err));
    return put(model, "merges", list) ? ATTN_OK : no_memory(m);
}

static attn_status make_byte_level(maker *m)
{
    attn_gguf_item pre = {.text = "default", .length = 7};
    get(m, KEY "pre", true, &pre);
    const attn_gguf_cut *cut = attn_gguf_find_cut(pre.text, pre.length);
    if (!cut)
        return attn_fail(m->err, ATTN_BAD_MODEL,
                         "%s: metadata \"" KEY
                         "pre\" is \"%.*s\": how such a model cuts text is not "
                         "known here (gpt-2, smollm, llama-bpe, qwen2, tekken, gpt-4o ... are); "
                         "a folder with its tokenizer.json says it",
                         m->gguf->file, pre.length < 60 ? (int)pre.length : 60, pre.text);
    ATTN_TRY(begin(m, "{\"version\": \"1.0\", \"decoder\": {\"type\": \"ByteLevel\", "
                      "\"add_prefix_space\": true, \"trim_offsets\": true, \"use_regex\": true}, "
                      "\"model\": {\"type\": \"BPE\", \"fuse_unk\": false, "
                      "\"byte_fallback\": false}}"));
    ATTN_TRY(add_cut(m, cut));
    ATTN_TRY(add_tokens(m, PLAIN));
    ATTN_TRY(add_merges(m));
    return add_ends(m, cut->begins);
}

static attn_status make_sentencepiece(maker *m)
{
#define MARK "\xe2\x96\x81"
    const attn_gguf_value *scores = NULL;
    attn_gguf_item item;
    bool prefix = get_flag(m, KEY "add_space_prefix", true);
    char text[800];
    long unknown;
    snprintf(text, sizeof text,
             "{\"version\": \"1.0\", \"pre_tokenizer\": {\"type\": \"Metaspace\", \"replacement\": "
             "\"" MARK "\", \"prepend_scheme\": \"%s\", \"split\": false}, \"decoder\": {\"type\": "
             "\"Sequence\", \"decoders\": [{\"type\": \"Replace\", \"pattern\": {\"String\": "
             "\"" MARK "\"}, \"content\": \" \"}, {\"type\": \"ByteFallback\"}, {\"type\": "
             "\"Fuse\"}%s]}, \"model\": {\"type\": \"BPE\", \"fuse_unk\": true, "
             "\"byte_fallback\": true, \"ignore_merges\": false}}",
             prefix ? "first" : "never",
             prefix ? ", {\"type\": \"Strip\", \"content\": \" \", \"start\": 1, \"stop\": 0}"
                    : "");
    ATTN_TRY(begin(m, text));
    ATTN_TRY(add_tokens(m, MARKED));
    cJSON *list, *model = cJSON_GetObjectItemCaseSensitive(m->root, "model");
    if (attn_gguf_find(m->gguf, KEY "merges")) {
        ATTN_TRY(add_merges(m));
    } else {
        /* Of Gemma's vocabulary the order is that of its merges, and the scores are not. */
        bool ordered = get(m, "general.architecture", true, &item) && item.length >= 5 &&
                       memcmp(item.text, "gemma", 5) == 0;
        if (!ordered) ATTN_TRY(need_array(m, KEY "scores", false, m->tokens->count, &scores));
        ATTN_TRY(attn_gguf_imply_merges(m->gguf, m->tokens, scores, m->memory, &list, m->err));
        if (!put(model, "merges", list)) return no_memory(m);
    }
    ATTN_TRY(find_id(m, KEY "unknown_token_id", "<unk>", &unknown));
    if (unknown >= 0 && !put(model, "unk_token", token_json(m, unknown))) return no_memory(m);
    return add_ends(m, true);
}

static attn_status make_wordpiece(maker *m)
{
    ends e;
    long unknown;
    bool lower = get_flag(m, KEY "normalizer.lowercase", true);
    char text[600];
    snprintf(text, sizeof text,
             "{\"version\": \"1.0\", \"normalizer\": {\"type\": \"BertNormalizer\", "
             "\"clean_text\": true, \"handle_chinese_chars\": true, \"strip_accents\": %s, "
             "\"lowercase\": %s}, \"pre_tokenizer\": {\"type\": \"BertPreTokenizer\"}, "
             "\"decoder\": {\"type\": \"WordPiece\", \"prefix\": \"##\", \"cleanup\": true}, "
             "\"model\": {\"type\": \"WordPiece\", \"continuing_subword_prefix\": \"##\", "
             "\"max_input_chars_per_word\": 100}}",
             get_flag(m, KEY "normalizer.strip_accents", lower) ? "true" : "false",
             lower ? "true" : "false");
    ATTN_TRY(begin(m, text));
    ATTN_TRY(add_tokens(m, WORDS));
    ATTN_TRY(find_id(m, KEY "cls_token_id", NULL, &e.first));
    if (e.first < 0) ATTN_TRY(find_id(m, KEY "bos_token_id", "[CLS]", &e.first));
    ATTN_TRY(find_id(m, KEY "seperator_token_id", "[SEP]", &e.last));
    ATTN_TRY(find_id(m, KEY "unknown_token_id", "[UNK]", &unknown));
    if (e.first < 0 || e.last < 0 || unknown < 0)
        return attn_fail(m->err, ATTN_BAD_FILE, "%s: metadata: no token is %s", m->gguf->file,
                         e.first < 0  ? "[CLS]"
                         : e.last < 0 ? "[SEP]"
                                      : "[UNK]");
    cJSON *model = cJSON_GetObjectItemCaseSensitive(m->root, "model");
    if (!put(model, "unk_token", token_json(m, unknown))) return no_memory(m);
    return add_template(m, &e, false);
}

/* ---- tokenizer_config.json ------------------------------------------------------------------- */

static attn_status make_config(const maker *m, cJSON *config)
{
    static const struct {
        const char *key, *name;
    } roles[] = {
        {KEY "bos_token_id", "bos_token"},       {KEY "eos_token_id", "eos_token"},
        {KEY "unknown_token_id", "unk_token"},   {KEY "padding_token_id", "pad_token"},
        {KEY "seperator_token_id", "sep_token"}, {KEY "cls_token_id", "cls_token"},
        {KEY "mask_token_id", "mask_token"},
    };
    const attn_gguf_value *template = attn_gguf_find(m->gguf, "tokenizer.chat_template");
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
        long id;
        ATTN_TRY(find_id(m, roles[i].key, NULL, &id));
        if (id >= 0 && !put(config, roles[i].name, token_json(m, id))) return no_memory(m);
    }
    if (!template || template->type != ATTN_GGUF_TEXT) return ATTN_OK;
    cJSON *text;
    ATTN_TRY(attn_gguf_json(m->gguf, template, 0, &text, m->err));
    return put(config, "chat_template", text) ? ATTN_OK : no_memory(m);
}

/* ---- the whole ------------------------------------------------------------------------------ */

static attn_status make(maker *m, cJSON *config)
{
    static const struct {
        const char *name;
        attn_status (*make)(maker *m);
    } models[] = {
        {"gpt2", make_byte_level}, {"llama", make_sentencepiece}, {"bert", make_wordpiece}};
    attn_gguf_item item, text;
    if (!get(m, KEY "model", true, &item))
        return attn_fail(m->err, ATTN_BAD_MODEL,
                         "%s: has no tokenizer: metadata \"" KEY "model\" is no text",
                         m->gguf->file);
    ATTN_TRY(need_array(m, KEY "tokens", true, 0, &m->tokens));
    if (attn_gguf_find(m->gguf, KEY "token_type"))
        ATTN_TRY(need_array(m, KEY "token_type", false, m->tokens->count, &m->types));
    if (get(m, "tokenizer.huggingface.json", true, &text)) {
        ATTN_TRY(attn_json_parse(m->gguf->file, text.text, text.length, &m->root, m->err));
        return make_config(m, config);
    }
    for (size_t i = 0; i < 3; i++) {
        if (strlen(models[i].name) != item.length ||
            memcmp(models[i].name, item.text, item.length) != 0)
            continue;
        ATTN_TRY(models[i].make(m));
        return make_config(m, config);
    }
    return attn_fail(m->err, ATTN_BAD_MODEL,
                     "%s: metadata \"" KEY "model\" is \"%.*s\", expected gpt2, llama or bert",
                     m->gguf->file, item.length < 60 ? (int)item.length : 60, item.text);
}

attn_status attn_gguf_tokenizer(const attn_gguf *gguf, attn_memory *memory, cJSON **tokenizer,
                                cJSON **config, attn_error *err)
{
    attn_error cause;
    maker m = {.gguf = gguf, .memory = memory, .err = &cause};
    cause.status = ATTN_OK;
    *tokenizer = NULL;
    *config = cJSON_CreateObject();
    attn_status status = *config ? make(&m, *config) : no_memory(&m);
    if (!status) {
        *tokenizer = m.root;
        return ATTN_OK;
    }
    cJSON_Delete(m.root);
    cJSON_Delete(*config);
    *config = NULL;
    if (err) *err = cause;
    return cause.status;
}
