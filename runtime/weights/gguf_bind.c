#include "runtime/weights/gguf_bind.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_VALUES = 1024, MAX_KEY = 256, MAX_NAME = 400 };

typedef struct binder {
    attn_weights *weights;
    const attn_gguf *gguf;
    const char *file;         /* the description's */
    const char *architecture; /* what {arch} stands for */
    attn_error *err;
} binder;

static attn_status fail(const binder *b, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static attn_status fail(const binder *b, const char *format, ...)
{
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return attn_fail(b->err, ATTN_BAD_MODEL, "%s: gguf.%s", b->file, text);
}

static attn_status no_memory(const binder *b)
{
    return attn_fail(b->err, ATTN_NO_MEMORY, "%s: out of memory", b->gguf->file);
}

/* ---- architecture --------------------------------------------------------------------------- */

attn_status attn_gguf_architecture(const attn_gguf *gguf, const char **out, attn_arena *arena,
                                   attn_error *err)
{
    const attn_gguf_value *v = attn_gguf_find(gguf, "general.architecture");
    const attn_gguf_value *parts = attn_gguf_find(gguf, "split.count");
    attn_gguf_item item;
    const unsigned char *at = parts ? parts->data : NULL;
    if (parts && parts->type != ATTN_GGUF_ARRAY && attn_gguf_next(parts, &at, &item) &&
        item.number > 1)
        return attn_fail(
            err, ATTN_BAD_FILE,
            "%s: metadata \"split.count\" is %g: one part of a model; only whole files "
            "are read",
            gguf->file, item.number);
    if (!v || v->type != ATTN_GGUF_TEXT)
        return attn_fail(err, ATTN_BAD_FILE,
                         "%s: metadata \"general.architecture\" is %s, expected a text", gguf->file,
                         v ? attn_gguf_type_name(v->type) : "missing");
    at = v->data;
    attn_gguf_next(v, &at, &item);
    if (item.length > 64 || attn_json_bad_utf8(item.text, item.length))
        return attn_fail(err, ATTN_BAD_FILE,
                         "%s: metadata \"general.architecture\" is no text of at most 64 bytes",
                         gguf->file);
    *out = attn_arena_text(arena, item.text, item.length, err);
    return *out ? ATTN_OK : ATTN_NO_MEMORY;
}

bool attn_gguf_matches(const cJSON *root, const char *architecture)
{
    const cJSON *list = attn_json_get(attn_json_get(root, "gguf"), "architecture");
    if (cJSON_IsString(list)) return strcmp(list->valuestring, architecture) == 0;
    if (!cJSON_IsArray(list)) return false;
    for (const cJSON *item = list->child; item; item = item->next)
        if (cJSON_IsString(item) && strcmp(item->valuestring, architecture) == 0) return true;
    return false;
}

/* ---- config --------------------------------------------------------------------------------- */

/* The entry of a metadata key, in which {arch} stands for the architecture; NULL: the file has
 * none. */
static attn_status find_entry(const binder *b, const char *name, const char *key,
                              const attn_gguf_value **out)
{
    static const char mark[] = "{arch}";
    char full[MAX_KEY];
    const char *at = strstr(key, mark);
    int before = at ? (int)(at - key) : 0;
    int length = at ? snprintf(full, sizeof full, "%.*s%s%s", before, key, b->architecture,
                               at + sizeof mark - 1)
                    : snprintf(full, sizeof full, "%s", key);
    if (length >= (int)sizeof full)
        return fail(b, "config.%.80s: the metadata key \"%.80s...\" is too long", name, key);
    *out = attn_gguf_find(b->gguf, full);
    return ATTN_OK;
}

static attn_status text_of(const binder *b, const char *name, const cJSON *object, const char *key,
                           const char **out)
{
    const cJSON *item = attn_json_get(object, key);
    attn_json_text shown;
    *out = NULL;
    if (!cJSON_IsString(item))
        return fail(b, "config.%.80s: \"%s\" is %s, expected a metadata key", name, key,
                    attn_json_show(&shown, item));
    *out = item->valuestring;
    return ATTN_OK;
}

static attn_status read_source(const binder *b, const char *name, const cJSON *source, cJSON **out);

/* {"key": ..., "words": {"1": "mean"}}: the value's word, for texts and integers; "otherwise": of
 * values that have none. */
static attn_status read_words(const binder *b, const char *name, const cJSON *object, cJSON **out)
{
    const cJSON *words = attn_json_get(object, "words"), *word = NULL;
    const cJSON *otherwise = attn_json_get(object, "otherwise");
    const char *key;
    const attn_gguf_value *v;
    const unsigned char *at;
    attn_gguf_item item;
    char text[64] = "";
    ATTN_TRY(text_of(b, name, object, "key", &key));
    ATTN_TRY(find_entry(b, name, key, &v));
    if (!v) return ATTN_OK;
    at = v->data;
    if (v->type != ATTN_GGUF_ARRAY && attn_gguf_next(v, &at, &item)) {
        if (!item.text)
            snprintf(text, sizeof text, "%.17g", item.number);
        else if (item.length < sizeof text)
            memcpy(text, item.text, item.length);
        word = attn_json_get(words, text);
    }
    if (!word && otherwise && !attn_json_get(otherwise, "otherwise"))
        return read_source(b, name, otherwise, out);
    if (!word)
        return attn_fail(b->err, ATTN_BAD_MODEL,
                         "%s: metadata \"%.100s\" is \"%.60s\", for which %s has no word",
                         b->gguf->file, v->key, text, b->file);
    *out = cJSON_Duplicate(word, true);
    return *out ? ATTN_OK : no_memory(b);
}

/* One source of a value; *out stays NULL if the file has none. */
static attn_status read_source(const binder *b, const char *name, const cJSON *source, cJSON **out)
{
    const attn_gguf_value *v;
    const char *key;
    attn_json_text shown;
    if (cJSON_IsString(source)) {
        ATTN_TRY(find_entry(b, name, source->valuestring, &v));
        return v ? attn_gguf_json(b->gguf, v, MAX_VALUES, out, b->err) : ATTN_OK;
    }
    if (attn_json_get(source, "length")) {
        ATTN_TRY(text_of(b, name, source, "length", &key));
        ATTN_TRY(find_entry(b, name, key, &v));
        if (!v) return ATTN_OK;
        *out = cJSON_CreateNumber((double)v->count);
    } else if (attn_json_get(source, "words")) {
        return read_words(b, name, source, out);
    } else if (cJSON_IsObject(source)) {
        const cJSON *value = attn_json_get(source, "value");
        if (!value)
            return fail(b, "config.%.80s: %s has none of \"value\", \"length\", \"words\"", name,
                        attn_json_show(&shown, source));
        *out = cJSON_Duplicate(value, true);
    } else {
        *out = cJSON_Duplicate(source, true);
    }
    return *out ? ATTN_OK : no_memory(b);
}

/* Puts the value under a name whose dots descend into objects. It is the config's from now on. */
static attn_status put(const binder *b, cJSON *config, const char *name, cJSON *value)
{
    char part[MAX_KEY];
    for (const char *dot; (dot = strchr(name, '.')); name = dot + 1) {
        snprintf(part, sizeof part, "%.*s", (int)(dot - name), name);
        cJSON *inner = cJSON_GetObjectItemCaseSensitive(config, part);
        if (!inner) inner = cJSON_AddObjectToObject(config, part);
        if (!cJSON_IsObject(inner)) {
            cJSON_Delete(value);
            return inner ? fail(b, "config: \"%.80s\" is a value and an object", part)
                         : no_memory(b);
        }
        config = inner;
    }
    if (cJSON_AddItemToObject(config, name, value)) return ATTN_OK;
    cJSON_Delete(value);
    return no_memory(b);
}

static attn_status read_value(const binder *b, const cJSON *item, cJSON *config)
{
    bool list = cJSON_IsArray(item);
    cJSON *value = NULL;
    const cJSON *source = list ? item->child : item;
    while (source && !value) {
        ATTN_TRY(read_source(b, item->string, source, &value));
        source = list ? source->next : NULL;
    }
    if (value && cJSON_IsNull(value)) {
        cJSON_Delete(value);
        return ATTN_OK;
    }
    if (value) return put(b, config, item->string, value);
    const cJSON *first = list ? item->child : item;
    attn_json_text shown;
    return attn_fail(b->err, ATTN_BAD_MODEL,
                     "%s: metadata %s is missing; %s needs it for the config value \"%.80s\"",
                     b->gguf->file, attn_json_show(&shown, first), b->file, item->string);
}

static attn_status make_config(const binder *b, const cJSON *section, cJSON **config)
{
    const cJSON *list = attn_json_get(section, "config");
    attn_json_text shown;
    *config = cJSON_CreateObject();
    if (!*config) return no_memory(b);
    if (!cJSON_IsObject(list))
        return fail(b, "config is %s, expected an object", attn_json_show(&shown, list));
    for (const cJSON *item = list->child; item; item = item->next)
        ATTN_TRY(read_value(b, item, *config));
    return ATTN_OK;
}

/* ---- names ---------------------------------------------------------------------------------- */

typedef struct pair {
    const char *theirs, *ours;
} pair;

static int compare_pairs(const void *a, const void *b)
{
    return strcmp(((const pair *)a)->theirs, ((const pair *)b)->theirs);
}

/* name[0..length) with its first part that is a number, parts being what dots separate, written as
 * {i}; *digits: that number, in `name`, or NULL. */
static void make_pattern(const char *name, size_t length, char *out, const char **digits,
                         int *count)
{
    size_t at = 0;
    *digits = NULL;
    *count = 0;
    while (at < length) {
        size_t end = at, figures = strspn(name + at, "0123456789");
        while (end < length && name[end] != '.') end++;
        if (figures && figures == end - at) break;
        at = end + 1;
    }
    if (at >= length) {
        memcpy(out, name, length);
        out[length] = 0;
        return;
    }
    *digits = name + at;
    *count = (int)strspn(name + at, "0123456789");
    sprintf(out, "%.*s{i}%.*s", (int)at, name, (int)length - (int)at - *count, name + at + *count);
}

/* The name for which the section has a pair: of the whole, or of all before its last dot. */
static attn_status rename_tensor(const binder *b, attn_weight *w, const pair *list, size_t count)
{
    char pattern[MAX_NAME];
    size_t whole = strlen(w->name); /* at most 255 */
    const char *dot = strrchr(w->name, '.'), *digits;
    size_t length[] = {whole, dot ? (size_t)(dot - w->name) : whole};
    for (int i = 0; i < 2; i++) {
        int figures;
        pair key = {.theirs = pattern};
        make_pattern(w->name, length[i], pattern, &digits, &figures);
        const pair *found = count ? bsearch(&key, list, count, sizeof *list, compare_pairs) : NULL;
        if (!found) continue;
        const char *mark = strstr(found->ours, "{i}");
        const char *tail = w->name + length[i];
        if (mark)
            w->name = attn_arena_printf(&b->weights->arena, b->err, "%.*s%.*s%s%s",
                                        (int)(mark - found->ours), found->ours, figures, digits,
                                        mark + 3, tail);
        else
            w->name = attn_arena_printf(&b->weights->arena, b->err, "%s%s", found->ours, tail);
        return w->name ? ATTN_OK : ATTN_NO_MEMORY;
    }
    return ATTN_OK;
}

static attn_status rename_all(const binder *b, const cJSON *section)
{
    const cJSON *tensors = attn_json_get(section, "tensors");
    attn_json_text shown;
    size_t count = 0;
    if (!cJSON_IsObject(tensors))
        return fail(b, "tensors is %s, expected an object", attn_json_show(&shown, tensors));
    for (const cJSON *item = tensors->child; item; item = item->next) count++;
    pair *list = attn_arena_get(&b->weights->arena, count, sizeof *list, b->err);
    if (!list) return ATTN_NO_MEMORY;
    count = 0;
    for (const cJSON *item = tensors->child; item; item = item->next) {
        if (!cJSON_IsString(item) ||
            !strstr(item->string, "{i}") != !strstr(item->valuestring, "{i}"))
            return fail(b,
                        "tensors.%.100s: is %s, expected a name in the file, with {i} if this has "
                        "it",
                        item->string, attn_json_show(&shown, item));
        list[count++] = (pair){item->valuestring, item->string};
    }
    if (count) qsort(list, count, sizeof *list, compare_pairs);
    for (size_t i = 0; i < b->weights->count; i++)
        ATTN_TRY(rename_tensor(b, &b->weights->list[i], list, count));
    return attn_weights_sort(b->weights, b->err);
}

/* ---- the whole ------------------------------------------------------------------------------ */

attn_status attn_gguf_bind(attn_weights *w, const char *file, const cJSON *root, cJSON **config,
                           attn_error *err)
{
    static const char *const keys[] = {"architecture", "config", "tensors", "note"};
    binder b = {.weights = w, .gguf = w->gguf, .file = file, .err = err};
    const cJSON *section = attn_json_get(root, "gguf");
    attn_json_text shown;
    *config = NULL;
    if (!section) return ATTN_OK;
    ATTN_TRY(attn_gguf_architecture(w->gguf, &b.architecture, &w->arena, err));
    if (!cJSON_IsObject(section))
        return attn_fail(err, ATTN_BAD_MODEL, "%s: \"gguf\" is %s, expected an object", file,
                         attn_json_show(&shown, section));
    for (const cJSON *item = section->child; item; item = item->next) {
        size_t i = 0;
        while (i < 4 && strcmp(keys[i], item->string) != 0) i++;
        if (i == 4)
            return fail(&b,
                        "%.80s is no key of this section; known here: architecture, config, "
                        "tensors, note",
                        item->string);
    }
    if (!attn_gguf_matches(root, b.architecture))
        return attn_fail(
            err, ATTN_BAD_MODEL,
            "%s: metadata \"general.architecture\" is \"%s\", the description %s is for "
            "%s",
            w->gguf->file, b.architecture, file,
            attn_json_show(&shown, attn_json_get(section, "architecture")));
    attn_status status = make_config(&b, section, config);
    if (!status) status = rename_all(&b, section);
    if (!status) return ATTN_OK;
    cJSON_Delete(*config);
    *config = NULL;
    return status;
}
