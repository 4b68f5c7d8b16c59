/* The safetensors format: https://github.com/huggingface/safetensors#format
 *
 *   [ header length: u64 little-endian | header: JSON | buffer of all tensors ]
 *   header: { "__metadata__": { text: text }, "name": { "dtype": "F32", "shape": [2, 3],
 *             "data_offsets": [begin, end] }, ... }     offsets count from the buffer's start
 */
#include "runtime/json.h"
#include "runtime/weights/weights.h"

#include <stdlib.h>
#include <string.h>

/* What the format itself allows for the header. */
#define MAX_HEADER ((uint64_t)100000000)

static const struct {
    const char *name;
    size_t bits;
    int dtype; /* attn_dtype, or -1: known to the format, not to attn */
} formats[] = {
    {"F32", 32, ATTN_F32}, {"F16", 16, ATTN_F16},  {"BF16", 16, ATTN_BF16}, {"I64", 64, ATTN_I64},
    {"I32", 32, ATTN_I32}, {"U8", 8, ATTN_U8},     {"BOOL", 8, ATTN_BOOL},  {"F64", 64, -1},
    {"I16", 16, -1},       {"I8", 8, -1},          {"U16", 16, -1},         {"U32", 32, -1},
    {"U64", 64, -1},       {"C64", 64, -1},        {"F8_E5M2", 8, -1},      {"F8_E4M3", 8, -1},
    {"F8_E8M0", 8, -1},    {"F8_E5M2FNUZ", 8, -1}, {"F8_E4M3FNUZ", 8, -1},  {"F6_E2M3", 6, -1},
    {"F6_E3M2", 6, -1},    {"F4", 4, -1},
};

/* The part of the file that holds the tensors. */
typedef struct buffer {
    const char *file;
    const unsigned char *data;
    size_t size;
} buffer;

static attn_status read_shape(const buffer *b, const cJSON *item, attn_weight *weight,
                              attn_error *err)
{
    attn_json_text shown;
    const cJSON *shape = attn_json_get(item, "shape");
    if (!cJSON_IsArray(shape))
        return attn_fail(err, ATTN_BAD_FILE, "%s: tensor \"%.200s\": shape is %s, not a list",
                         b->file, weight->name, attn_json_kind(shape));
    for (const cJSON *dim = shape->child; dim; dim = dim->next) {
        double value;
        if (!attn_json_integer(dim, 0, 9007199254740992.0, &value))
            return attn_fail(err, ATTN_BAD_FILE,
                             "%s: tensor \"%.200s\": shape holds %s, not a size", b->file,
                             weight->name, attn_json_show(&shown, dim));
        if (weight->rank == ATTN_MAX_RANK)
            return attn_fail(err, ATTN_LIMIT, "%s: tensor \"%.200s\": has more than %d dimensions",
                             b->file, weight->name, ATTN_MAX_RANK);
        weight->dim[weight->rank++] = (size_t)value;
    }
    return ATTN_OK;
}

static attn_status read_offsets(const buffer *b, const cJSON *item, attn_weight *weight,
                                attn_error *err)
{
    attn_json_text shown;
    const cJSON *offsets = attn_json_get(item, "data_offsets");
    double at[2];
    int count = 0;
    if (!cJSON_IsArray(offsets))
        return attn_fail(err, ATTN_BAD_FILE,
                         "%s: tensor \"%.200s\": data_offsets is %s, not a list", b->file,
                         weight->name, attn_json_kind(offsets));
    for (const cJSON *offset = offsets->child; offset; offset = offset->next, count++)
        if (count < 2 && !attn_json_integer(offset, 0, 9007199254740992.0, &at[count]))
            return attn_fail(err, ATTN_BAD_FILE,
                             "%s: tensor \"%.200s\": data_offsets holds %s, not an offset", b->file,
                             weight->name, attn_json_show(&shown, offset));
    if (count != 2)
        return attn_fail(err, ATTN_BAD_FILE,
                         "%s: tensor \"%.200s\": data_offsets holds %d numbers, not 2", b->file,
                         weight->name, count);
    size_t begin = (size_t)at[0], end = (size_t)at[1];
    if (begin > end)
        return attn_fail(err, ATTN_BAD_FILE,
                         "%s: tensor \"%.200s\": begins at %zu, after its end %zu", b->file,
                         weight->name, begin, end);
    if (end > b->size)
        return attn_fail(err, ATTN_BAD_FILE,
                         "%s: tensor \"%.200s\": ends at byte %zu of a buffer of %zu", b->file,
                         weight->name, end, b->size);
    weight->data = b->data + begin;
    weight->bytes = end - begin;
    return ATTN_OK;
}

/* weight: zeroed, with its name. */
static attn_status read_tensor(const buffer *b, const cJSON *item, attn_weight *weight,
                               attn_error *err)
{
    enum { FORMATS = sizeof formats / sizeof *formats };
    attn_json_text shown;
    attn_shape_text shape;
    if (!cJSON_IsObject(item))
        return attn_fail(err, ATTN_BAD_FILE, "%s: tensor \"%.200s\": is %s, not an object", b->file,
                         weight->name, attn_json_kind(item));
    const cJSON *dtype = attn_json_get(item, "dtype");
    size_t i = FORMATS;
    if (cJSON_IsString(dtype))
        for (i = 0; i < FORMATS && strcmp(formats[i].name, dtype->valuestring) != 0;) i++;
    if (i == FORMATS)
        return attn_fail(err, ATTN_BAD_FILE, "%s: tensor \"%.200s\": unknown dtype %s", b->file,
                         weight->name, attn_json_show(&shown, dtype));
    if (formats[i].dtype < 0) {
        weight->dtype = ATTN_U8;
        weight->unsupported = formats[i].name;
    } else {
        weight->dtype = (attn_dtype)formats[i].dtype;
    }
    ATTN_TRY(read_shape(b, item, weight, err));
    ATTN_TRY(read_offsets(b, item, weight, err));
    size_t bits;
    if (!attn_product(weight->dim, weight->rank, &bits) || !attn_mul(bits, formats[i].bits, &bits))
        return attn_fail(err, ATTN_BAD_FILE, "%s: tensor \"%.200s\": shape %s is too large",
                         b->file, weight->name,
                         attn_format_shape(&shape, weight->dim, weight->rank));
    if (bits % 8 != 0 || bits / 8 != weight->bytes)
        return attn_fail(err, ATTN_BAD_FILE,
                         "%s: tensor \"%.200s\": %s of shape %s needs %zu bytes, its offsets give "
                         "%zu",
                         b->file, weight->name, formats[i].name,
                         attn_format_shape(&shape, weight->dim, weight->rank), (bits + 7) / 8,
                         weight->bytes);
    return ATTN_OK;
}

static attn_status read_metadata(const char *file, const cJSON *metadata, attn_precision *packed,
                                 attn_error *err)
{
    attn_json_text shown;
    if (!cJSON_IsObject(metadata))
        return attn_fail(err, ATTN_BAD_FILE, "%s: __metadata__ is %s, not an object", file,
                         attn_json_kind(metadata));
    for (const cJSON *item = metadata->child; item; item = item->next)
        if (!cJSON_IsString(item))
            return attn_fail(err, ATTN_BAD_FILE, "%s: __metadata__: \"%.200s\" is %s, not a text",
                             file, item->string, attn_json_kind(item));
    const cJSON *dtype = attn_json_get(metadata, "attn.dtype");
    if (!dtype) return ATTN_OK;
    attn_precision precision = attn_precision_named(dtype->valuestring);
    if (precision == ATTN_AS_FILE)
        return attn_fail(err, ATTN_BAD_FILE,
                         "%s: __metadata__: \"attn.dtype\" is %s, expected f32, bf16, f16, int8 or "
                         "int4",
                         file, attn_json_show(&shown, dtype));
    if (packed) *packed = precision;
    return ATTN_OK;
}

static int compare_places(const void *a, const void *b)
{
    const attn_weight *x = a, *y = b;
    const unsigned char *p = x->data, *q = y->data;
    if (p != q) return p < q ? -1 : 1;
    return (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const attn_weight *)a)->name, ((const attn_weight *)b)->name);
}

/* No byte belongs to two tensors or to none. Leaves list sorted by place. */
static attn_status check_cover(const buffer *b, attn_weight *list, size_t count, attn_error *err)
{
    if (count) qsort(list, count, sizeof *list, compare_places);
    size_t end = 0;
    for (size_t i = 0; i < count; i++) {
        size_t begin = (size_t)((const unsigned char *)list[i].data - b->data);
        if (begin != end)
            return attn_fail(err, ATTN_BAD_FILE,
                             "%s: tensor \"%.200s\": begins at byte %zu, but the tensors before it "
                             "end at %zu",
                             b->file, list[i].name, begin, end);
        end = begin + list[i].bytes;
    }
    if (end != b->size)
        return attn_fail(err, ATTN_BAD_FILE, "%s: the tensors end at byte %zu of a buffer of %zu",
                         b->file, end, b->size);
    return ATTN_OK;
}

static attn_status read_header(const buffer *b, const cJSON *header, attn_arena *arena,
                               attn_weight **out, size_t *out_count, attn_precision *packed,
                               attn_error *err)
{
    if (!cJSON_IsObject(header))
        return attn_fail(err, ATTN_BAD_FILE, "%s: the header is %s, not an object", b->file,
                         attn_json_kind(header));
    size_t count = 0;
    for (const cJSON *item = header->child; item; item = item->next)
        count += strcmp(item->string, "__metadata__") != 0;
    attn_weight *list = attn_arena_get(arena, count, sizeof *list, err);
    if (!list) return ATTN_NO_MEMORY;
    attn_weight *weight = list;
    for (const cJSON *item = header->child; item; item = item->next) {
        if (strcmp(item->string, "__metadata__") == 0) {
            ATTN_TRY(read_metadata(b->file, item, packed, err));
            continue;
        }
        weight->name = attn_arena_text(arena, item->string, strlen(item->string), err);
        if (!weight->name) return ATTN_NO_MEMORY;
        weight->file = b->file;
        ATTN_TRY(read_tensor(b, item, weight, err));
        weight++;
    }
    ATTN_TRY(check_cover(b, list, count, err));
    if (count) qsort(list, count, sizeof *list, compare_names);
    *out = list;
    *out_count = count;
    return ATTN_OK;
}

attn_status attn_safetensors_parse(const char *file, const void *data, size_t size,
                                   attn_arena *arena, attn_weight **list, size_t *count,
                                   attn_precision *packed, attn_error *err)
{
    const unsigned char *bytes = data;
    *list = NULL;
    *count = 0;
    if (size < 8)
        return attn_fail(err, ATTN_BAD_FILE, "%s: %zu bytes are too short for a safetensors file",
                         file, size);
    uint64_t length = 0;
    for (int i = 7; i >= 0; i--) length = length << 8 | bytes[i];
    if (length > MAX_HEADER)
        return attn_fail(err, ATTN_BAD_FILE,
                         "%s: the header length %llu is over the format's limit of %llu: not a "
                         "safetensors file",
                         file, (unsigned long long)length, (unsigned long long)MAX_HEADER);
    if (length > size - 8)
        return attn_fail(err, ATTN_BAD_FILE,
                         "%s: the header of %llu bytes goes beyond the end of the file at %zu",
                         file, (unsigned long long)length, size);
    if (length > ATTN_JSON_MAX_BYTES)
        return attn_fail(err, ATTN_LIMIT,
                         "%s: the header has %llu bytes; the format allows %llu, attn reads at "
                         "most %zu",
                         file, (unsigned long long)length, (unsigned long long)MAX_HEADER,
                         ATTN_JSON_MAX_BYTES);
    if (length == 0) return attn_fail(err, ATTN_BAD_FILE, "%s: the header is empty", file);
    cJSON *header;
    ATTN_TRY(attn_json_parse(file, (const char *)bytes + 8, (size_t)length, &header, err));
    buffer b = {file, bytes + 8 + length, size - 8 - (size_t)length};
    attn_error cause = {.status = ATTN_NO_MEMORY};
    attn_status status = read_header(&b, header, arena, list, count, packed, &cause);
    cJSON_Delete(header);
    if (status && err) *err = cause;
    return status ? cause.status : ATTN_OK;
}
