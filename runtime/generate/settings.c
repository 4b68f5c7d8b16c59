/* What the folder says of generation: generation_config.json, config.json; or the GGUF file. */
#include "runtime/json.h"
#include "runtime/model.h"
#include "runtime/weights/gguf.h"

#include <stdio.h>
#include <string.h>

typedef struct settings {
    char path[4096];
    cJSON *root; /* NULL: no such file */
} settings;

static attn_status read_settings(const attn_model *model, const char *name, settings *s,
                                 attn_error *err)
{
    s->root = NULL;
    int length = snprintf(s->path, sizeof s->path, "%s/%s", model->folder, name);
    if (length < 0 || (size_t)length >= sizeof s->path || !attn_file_exists(s->path))
        return ATTN_OK;
    return attn_json_read(s->path, &s->root, err);
}

/* The value, or NULL if it is not there or null. */
static const cJSON *given(const settings *s, const char *key)
{
    const cJSON *item = attn_json_get(s->root, key);
    return item && !cJSON_IsNull(item) ? item : NULL;
}

static attn_status wrong(const settings *s, const char *key, const cJSON *item, const char *want,
                         attn_error *err)
{
    attn_json_text shown;
    return attn_fail(err, ATTN_BAD_FILE, "%s: \"%s\" is %s, expected %s", s->path, key,
                     attn_json_show(&shown, item), want);
}

/* ---- special ids --------------------------------------------------------------------------- */

static attn_status read_id(const settings *s, const char *key, const cJSON *item, int32_t *id,
                           attn_error *err)
{
    double number;
    if (!attn_json_integer(item, 0, INT32_MAX, &number))
        return wrong(s, key, item, "a token id", err);
    *id = (int32_t)number;
    return ATTN_OK;
}

/* Of each key the first file that has it counts. */
static attn_status read_ids(const settings *s, attn_special_ids *ids, attn_error *err)
{
    const cJSON *bos = given(s, "bos_token_id"), *eos = given(s, "eos_token_id");
    if (bos && ids->bos < 0) ATTN_TRY(read_id(s, "bos_token_id", bos, &ids->bos, err));
    if (!eos || ids->stops > 0) return ATTN_OK;
    if (!cJSON_IsArray(eos)) {
        ids->stops = 1;
        return read_id(s, "eos_token_id", eos, &ids->stop[0], err);
    }
    for (const cJSON *item = eos->child; item; item = item->next) {
        if (ids->stops == ATTN_MAX_STOPS)
            return attn_fail(err, ATTN_BAD_FILE, "%s: \"eos_token_id\" has more than %d ids",
                             s->path, ATTN_MAX_STOPS);
        ATTN_TRY(read_id(s, "eos_token_id", item, &ids->stop[ids->stops++], err));
    }
    return ATTN_OK;
}

/* The token id under a key of a GGUF file's metadata, or -1. */
static int32_t gguf_id(const attn_gguf *gguf, const char *key)
{
    const attn_gguf_value *value = attn_gguf_find(gguf, key);
    attn_gguf_item item;
    if (!value || value->type == ATTN_GGUF_ARRAY || value->type == ATTN_GGUF_TEXT) return -1;
    const unsigned char *at = value->data;
    if (!attn_gguf_next(value, &at, &item)) return -1;
    bool fits = item.number >= 0 && item.number <= INT32_MAX;
    return fits && item.number == (double)(int32_t)item.number ? (int32_t)item.number : -1;
}

/* A text, a turn and a message may have ends of their own. */
static void read_gguf_ids(const attn_gguf *gguf, attn_special_ids *ids)
{
    static const char *const ends[] = {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id",
                                       "tokenizer.ggml.eom_token_id"};
    ids->bos = gguf_id(gguf, "tokenizer.ggml.bos_token_id");
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        int32_t id = gguf_id(gguf, ends[i]);
        if (id >= 0) ids->stop[ids->stops++] = id;
    }
}

attn_status attn_model_special_ids(const attn_model *model, attn_special_ids *ids, attn_error *err)
{
    static const char *const files[] = {"generation_config.json", "config.json"};
    *ids = (attn_special_ids){.bos = -1};
    if (model->weights.gguf) {
        read_gguf_ids(model->weights.gguf, ids);
        return ATTN_OK;
    }
    for (size_t i = 0; i < 2; i++) {
        settings s;
        ATTN_TRY(read_settings(model, files[i], &s, err));
        attn_status status = read_ids(&s, ids, err);
        cJSON_Delete(s.root);
        ATTN_TRY(status);
    }
    return ATTN_OK;
}

/* ---- generation_config.json ---------------------------------------------------------------- */

static attn_status read_number(const settings *s, const char *key, float *value, attn_error *err)
{
    const cJSON *item = given(s, key);
    if (!item) return ATTN_OK;
    if (!cJSON_IsNumber(item)) return wrong(s, key, item, "a number", err);
    *value = (float)item->valuedouble;
    return ATTN_OK;
}

static attn_status read_count(const settings *s, const char *key, size_t *value, attn_error *err)
{
    double number;
    const cJSON *item = given(s, key);
    if (!item) return ATTN_OK;
    if (!attn_json_integer(item, 0, INT32_MAX, &number))
        return wrong(s, key, item, "a number of at least 0", err);
    *value = (size_t)number;
    return ATTN_OK;
}

static attn_status read_early(const settings *s, attn_early_stopping *early, attn_error *err)
{
    const cJSON *item = given(s, "early_stopping");
    if (!item) return ATTN_OK;
    if (cJSON_IsBool(item))
        *early = cJSON_IsTrue(item) ? ATTN_STOP_WHEN_FULL : ATTN_STOP_LIKELY;
    else if (cJSON_IsString(item) && strcmp(item->valuestring, "never") == 0)
        *early = ATTN_STOP_NEVER_EARLY;
    else
        return wrong(s, "early_stopping", item, "true, false or \"never\"", err);
    return ATTN_OK;
}

static attn_status read_options(const settings *s, attn_generator_options *o, attn_error *err)
{
    attn_sampling *how = &o->sampling;
    const cJSON *sample = given(s, "do_sample");
    ATTN_TRY(read_number(s, "repetition_penalty", &how->repetition_penalty, err));
    ATTN_TRY(read_count(s, "max_new_tokens", &o->max_tokens, err));
    ATTN_TRY(read_count(s, "num_beams", &o->beams, err));
    if (o->beams > 1) {
        o->length_penalty = 1;
        ATTN_TRY(read_number(s, "length_penalty", &o->length_penalty, err));
        ATTN_TRY(read_early(s, &o->early_stopping, err));
    }
    if (sample && !cJSON_IsBool(sample)) return wrong(s, "do_sample", sample, "true or false", err);
    if (!sample || !cJSON_IsTrue(sample)) return ATTN_OK;
    how->temperature = 1;
    how->top_k = 50;
    ATTN_TRY(read_number(s, "temperature", &how->temperature, err));
    ATTN_TRY(read_count(s, "top_k", &how->top_k, err));
    ATTN_TRY(read_number(s, "top_p", &how->top_p, err));
    return read_number(s, "min_p", &how->min_p, err);
}

attn_status attn_generation_config(const attn_model *model, attn_generator_options *options,
                                   attn_error *err)
{
    settings s;
    ATTN_TRY(read_settings(model, "generation_config.json", &s, err));
    attn_status status = s.root ? read_options(&s, options, err) : ATTN_OK;
    cJSON_Delete(s.root);
    return status;
}
