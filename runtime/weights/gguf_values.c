/* The values of GGUF metadata, as numbers, texts and JSON. */
#include "runtime/json.h"
#include "runtime/weights/gguf.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    size_t size; /* bytes; 0: not the same for all */
} values[ATTN_GGUF_TYPES] = {
    [ATTN_GGUF_U8] = {"u8", 1},          [ATTN_GGUF_I8] = {"i8", 1},
    [ATTN_GGUF_U16] = {"u16", 2},        [ATTN_GGUF_I16] = {"i16", 2},
    [ATTN_GGUF_U32] = {"u32", 4},        [ATTN_GGUF_I32] = {"i32", 4},
    [ATTN_GGUF_F32] = {"f32", 4},        [ATTN_GGUF_BOOL] = {"a flag", 1},
    [ATTN_GGUF_TEXT] = {"a text", 0},    [ATTN_GGUF_U64] = {"u64", 8},
    [ATTN_GGUF_I64] = {"i64", 8},        [ATTN_GGUF_F64] = {"f64", 8},
    [ATTN_GGUF_ARRAY] = {"an array", 0},
};

size_t attn_gguf_size(attn_gguf_type type)
{
    return values[type].size;
}

const char *attn_gguf_type_name(attn_gguf_type type)
{
    return values[type].name;
}

static uint64_t read_number(const unsigned char *at, size_t size)
{
    uint64_t value = 0;
    for (size_t i = size; i-- > 0;) value = value << 8 | at[i];
    return value;
}

static int compare_keys(const void *a, const void *b)
{
    return strcmp(((const attn_gguf_value *)a)->key, ((const attn_gguf_value *)b)->key);
}

const attn_gguf_value *attn_gguf_find(const attn_gguf *gguf, const char *key)
{
    attn_gguf_value wanted = {.key = key};
    return gguf->count
               ? bsearch(&wanted, gguf->value, gguf->count, sizeof *gguf->value, compare_keys)
               : NULL;
}

static double to_number(attn_gguf_type type, uint64_t bits)
{
    uint32_t low = (uint32_t)bits;
    float single;
    double number;
    switch (type) {
    case ATTN_GGUF_I8:
        return (int8_t)bits;
    case ATTN_GGUF_I16:
        return (int16_t)bits;
    case ATTN_GGUF_I32:
        return (int32_t)low;
    case ATTN_GGUF_I64:
        return (double)(int64_t)bits;
    case ATTN_GGUF_F32:
        memcpy(&single, &low, 4);
        return (double)single;
    case ATTN_GGUF_F64:
        memcpy(&number, &bits, 8);
        return number;
    default:
        return (double)bits;
    }
}

bool attn_gguf_next(const attn_gguf_value *value, const unsigned char **at, attn_gguf_item *item)
{
    size_t size = attn_gguf_size(value->element);
    *item = (attn_gguf_item){0};
    if (value->element == ATTN_GGUF_ARRAY) return false;
    if (value->element == ATTN_GGUF_TEXT) {
        item->length = (size_t)read_number(*at, 8);
        item->text = (const char *)*at + 8;
        *at += 8 + item->length;
        return true;
    }
    item->number = to_number(value->element, read_number(*at, size));
    *at += size;
    return true;
}

static attn_status item_json(const attn_gguf *gguf, const attn_gguf_value *v,
                             const attn_gguf_item *item, cJSON **out, attn_error *err)
{
    if (!item->text && !isfinite(item->number))
        return attn_fail(err, ATTN_BAD_FILE, "%s: metadata \"%.200s\" holds %g, expected a number",
                         gguf->file, v->key, item->number);
    if (item->text) {
        const char *bad = attn_json_bad_utf8(item->text, item->length);
        if (bad)
            return attn_fail(err, ATTN_BAD_FILE,
                             "%s: metadata \"%.200s\": byte %zu of a text, 0x%02x, is no UTF-8",
                             gguf->file, v->key, (size_t)(bad - item->text),
                             (unsigned)(unsigned char)*bad);
        char *copy = cJSON_malloc(item->length + 1);
        if (copy) {
            memcpy(copy, item->text, item->length);
            copy[item->length] = 0;
            *out = cJSON_CreateString(copy);
        }
        cJSON_free(copy);
    } else if (v->element == ATTN_GGUF_BOOL) {
        *out = cJSON_CreateBool(item->number != 0);
    } else {
        *out = cJSON_CreateNumber(item->number);
    }
    return *out ? ATTN_OK : attn_fail(err, ATTN_NO_MEMORY, "%s: out of memory", gguf->file);
}

attn_status attn_gguf_json(const attn_gguf *gguf, const attn_gguf_value *v, size_t most,
                           cJSON **out, attn_error *err)
{
    const unsigned char *at = v->data;
    attn_gguf_item item;
    *out = NULL;
    if (v->element == ATTN_GGUF_ARRAY)
        return attn_fail(err, ATTN_BAD_FILE, "%s: metadata \"%.200s\" is an array of arrays",
                         gguf->file, v->key);
    if (v->type != ATTN_GGUF_ARRAY) {
        attn_gguf_next(v, &at, &item);
        return item_json(gguf, v, &item, out, err);
    }
    if (v->count > most)
        return attn_fail(err, ATTN_BAD_FILE,
                         "%s: metadata \"%.200s\" is an array of %llu, expected at most %zu",
                         gguf->file, v->key, (unsigned long long)v->count, most);
    cJSON *list = cJSON_CreateArray();
    attn_status status =
        list ? ATTN_OK : attn_fail(err, ATTN_NO_MEMORY, "%s: out of memory", gguf->file);
    for (uint64_t i = 0; i < v->count && !status; i++) {
        cJSON *entry = NULL;
        attn_gguf_next(v, &at, &item);
        status = item_json(gguf, v, &item, &entry, err);
        if (!status) cJSON_AddItemToArray(list, entry);
    }
    if (status) cJSON_Delete(list);
    *out = status ? NULL : list;
    return status;
}
