/* TensorProto: data in the file's own bytes, in lists of numbers, or in a file beside it. */
#include "runtime/onnx/reader.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_EXTERNALS = 1024 };

enum {
    DIMS,
    DATA_TYPE,
    SEGMENT,
    FLOAT_DATA,
    INT32_DATA,
    STRING_DATA,
    INT64_DATA,
    NAME,
    RAW_DATA,
    DOUBLE_DATA,
    UINT64_DATA,
    EXTERNAL_DATA,
    LOCATION,
    RULES
};

static const attn_wire_rule rules[RULES] = {
    [DIMS] = {1, ATTN_WIRE_VARINT, ATTN_WIRE_LIST, "dims"},
    [DATA_TYPE] = {2, ATTN_WIRE_VARINT, ATTN_WIRE_ONCE, "data_type"},
    [SEGMENT] = {3, ATTN_WIRE_BYTES, ATTN_WIRE_ONCE, "segment"},
    [FLOAT_DATA] = {4, ATTN_WIRE_FIXED32, ATTN_WIRE_LIST, "float_data"},
    [INT32_DATA] = {5, ATTN_WIRE_VARINT, ATTN_WIRE_LIST, "int32_data"},
    [STRING_DATA] = {6, ATTN_WIRE_BYTES, ATTN_WIRE_MANY, "string_data"},
    [INT64_DATA] = {7, ATTN_WIRE_VARINT, ATTN_WIRE_LIST, "int64_data"},
    [NAME] = {8, ATTN_WIRE_BYTES, ATTN_WIRE_ONCE, "name"},
    [RAW_DATA] = {9, ATTN_WIRE_BYTES, ATTN_WIRE_ONCE, "raw_data"},
    [DOUBLE_DATA] = {10, ATTN_WIRE_FIXED64, ATTN_WIRE_LIST, "double_data"},
    [UINT64_DATA] = {11, ATTN_WIRE_VARINT, ATTN_WIRE_LIST, "uint64_data"},
    [EXTERNAL_DATA] = {13, ATTN_WIRE_BYTES, ATTN_WIRE_FILLED, "external_data"},
    [LOCATION] = {14, ATTN_WIRE_VARINT, ATTN_WIRE_ONCE, "data_location"},
};

/* Where the format keeps elements that are not in raw_data, and what they may be there. */
static const struct {
    const char *name;
    unsigned char bits, list;
    int64_t low, high; /* of a number in int32_data */
} types[] = {
    [ATTN_ONNX_UNDEFINED] = {"undefined"},
    [ATTN_ONNX_FLOAT] = {"float", 32, FLOAT_DATA},
    [ATTN_ONNX_UINT8] = {"uint8", 8, INT32_DATA, 0, UINT8_MAX},
    [ATTN_ONNX_INT8] = {"int8", 8, INT32_DATA, INT8_MIN, INT8_MAX},
    [ATTN_ONNX_UINT16] = {"uint16", 16, INT32_DATA, 0, UINT16_MAX},
    [ATTN_ONNX_INT16] = {"int16", 16, INT32_DATA, INT16_MIN, INT16_MAX},
    [ATTN_ONNX_INT32] = {"int32", 32, INT32_DATA, INT32_MIN, INT32_MAX},
    [ATTN_ONNX_INT64] = {"int64", 64, INT64_DATA},
    [ATTN_ONNX_STRING] = {"string", 0, STRING_DATA},
    [ATTN_ONNX_BOOL] = {"bool", 8, INT32_DATA, 0, 1},
    [ATTN_ONNX_FLOAT16] = {"float16", 16, INT32_DATA, 0, UINT16_MAX},
    [ATTN_ONNX_DOUBLE] = {"double", 64, DOUBLE_DATA},
    [ATTN_ONNX_UINT32] = {"uint32", 32, UINT64_DATA},
    [ATTN_ONNX_UINT64] = {"uint64", 64, UINT64_DATA},
    [ATTN_ONNX_COMPLEX64] = {"complex64", 64, FLOAT_DATA},
    [ATTN_ONNX_COMPLEX128] = {"complex128", 128, DOUBLE_DATA},
    [ATTN_ONNX_BFLOAT16] = {"bfloat16", 16, INT32_DATA, 0, UINT16_MAX},
    [ATTN_ONNX_FLOAT8E4M3FN] = {"float8e4m3fn", 8, INT32_DATA, 0, UINT8_MAX},
    [ATTN_ONNX_FLOAT8E4M3FNUZ] = {"float8e4m3fnuz", 8, INT32_DATA, 0, UINT8_MAX},
    [ATTN_ONNX_FLOAT8E5M2] = {"float8e5m2", 8, INT32_DATA, 0, UINT8_MAX},
    [ATTN_ONNX_FLOAT8E5M2FNUZ] = {"float8e5m2fnuz", 8, INT32_DATA, 0, UINT8_MAX},
    /* A number of the list holds two of these. */
    [ATTN_ONNX_UINT4] = {"uint4", 4, INT32_DATA, 0, UINT8_MAX},
    [ATTN_ONNX_INT4] = {"int4", 4, INT32_DATA, INT8_MIN, UINT8_MAX},
    [ATTN_ONNX_FLOAT4E2M1] = {"float4e2m1", 4, INT32_DATA, 0, UINT8_MAX},
};

const char *attn_onnx_type_name(attn_onnx_type type)
{
    return (size_t)type < sizeof types / sizeof *types ? types[type].name : "unknown";
}

size_t attn_onnx_type_bits(attn_onnx_type type)
{
    return (size_t)type < sizeof types / sizeof *types ? types[type].bits : 0;
}

/* ---- data in the file ----------------------------------------------------------------------- */

/* The list's numbers as little-endian elements. */
static attn_status convert_list(attn_onnx_reader *r, const attn_wire_field *field, int which,
                                attn_onnx_tensor *t)
{
    const attn_wire_rule *rule = &rules[which];
    unsigned char *to = attn_arena_get(r->arena, t->bytes, 1, r->wire.err);
    if (!to) return ATTN_NO_MEMORY;
    t->data = to;
    t->mapping = NULL;
    size_t size = field->count ? t->bytes / field->count : 0;
    attn_wire_list list = attn_wire_begin(field, rule);
    for (size_t i = 0; i < field->count; i++) {
        uint64_t value = attn_wire_number(&list);
        if (which == INT32_DATA &&
            ((int64_t)value < types[t->type].low || (int64_t)value > types[t->type].high))
            return attn_wire_fail(
                &r->wire, ATTN_BAD_FILE,
                "int32_data[%zu] is %" PRId64 ", expected %" PRId64 " to %" PRId64 " of %s", i,
                (int64_t)value, types[t->type].low, types[t->type].high, types[t->type].name);
        if (t->type == ATTN_ONNX_UINT32 && value > UINT32_MAX)
            return attn_wire_fail(&r->wire, ATTN_BAD_FILE,
                                  "uint64_data[%zu] is %" PRIu64 ", expected 0 to %u of uint32", i,
                                  value, UINT32_MAX);
        for (size_t j = 0; j < size; j++) *to++ = (unsigned char)(value >> 8 * j);
    }
    return ATTN_OK;
}

/* Numbers that the list has to have. */
static size_t list_length(const attn_onnx_tensor *t)
{
    if (t->type == ATTN_ONNX_COMPLEX64 || t->type == ATTN_ONNX_COMPLEX128) return 2 * t->count;
    return types[t->type].bits == 4 ? t->bytes : t->count;
}

static attn_status take_list(attn_onnx_reader *r, const attn_wire_field *field, int which,
                             attn_onnx_tensor *t)
{
    attn_shape_text shape;
    if (field->count != list_length(t))
        return attn_wire_fail(&r->wire, ATTN_BAD_FILE, "%zu entries in %s, %s %s needs %zu",
                              field->count, rules[which].name, types[t->type].name,
                              attn_format_shape(&shape, t->dim, t->rank), list_length(t));
    if (which == STRING_DATA)
        return attn_onnx_read_all(r, field, &rules[which], attn_onnx_read_string, sizeof *t->text,
                                  &t->text, NULL);
    /* Packed in one piece, floats lie there as they do in raw_data. */
    if ((which == FLOAT_DATA || which == DOUBLE_DATA) && field->pieces == 1 && field->bytes.at) {
        t->data = field->bytes.at;
        return ATTN_OK;
    }
    return convert_list(r, field, which, t);
}

static attn_status take_raw(attn_onnx_reader *r, attn_wire_span raw, attn_onnx_tensor *t)
{
    attn_shape_text shape;
    size_t bytes = (size_t)(raw.end - raw.at);
    if (t->type == ATTN_ONNX_STRING)
        return attn_wire_fail(&r->wire, ATTN_BAD_FILE, "strings in raw_data");
    if (bytes != t->bytes)
        return attn_wire_fail(&r->wire, ATTN_BAD_FILE, "%zu bytes in raw_data, %s %s needs %zu",
                              bytes, types[t->type].name,
                              attn_format_shape(&shape, t->dim, t->rank), t->bytes);
    t->data = raw.at;
    return ATTN_OK;
}

/* ---- data in another file ------------------------------------------------------------------- */

typedef struct entry {
    const char *key, *value;
} entry;

static attn_status read_entry(attn_onnx_reader *r, attn_wire_span message, void *to)
{
    static const attn_wire_rule pair[] = {{1, ATTN_WIRE_BYTES, ATTN_WIRE_ONCE, "key"},
                                          {2, ATTN_WIRE_BYTES, ATTN_WIRE_ONCE, "value"}};
    attn_wire_field f[2];
    entry *e = to;
    ATTN_TRY(attn_wire_scan(&r->wire, message, pair, 2, f));
    ATTN_TRY(attn_onnx_read_text(r, f[0].bytes, "key", &e->key));
    return attn_onnx_read_text(r, f[1].bytes, "value", &e->value);
}

static attn_status read_decimal(attn_onnx_reader *r, const entry *e, size_t *out)
{
    size_t value = 0;
    const char *c = e->value;
    for (; *c >= '0' && *c <= '9'; c++)
        if (!attn_mul(value, 10, &value) || !attn_add(value, (size_t)(*c - '0'), &value)) break;
    if (*c || c == e->value)
        return attn_wire_fail(&r->wire, ATTN_BAD_FILE,
                              "external_data: %s \"%.60s\", expected a number", e->key, e->value);
    *out = value;
    return ATTN_OK;
}

/* The file of that name, mapped once. */
static attn_status open_external(attn_onnx_reader *r, const char *location, const attn_file **out)
{
    attn_onnx_model *m = r->model;
    const char *name = location;
    while (strncmp(name, "./", 2) == 0) name += 2;
    if (!*name || strpbrk(name, "/\\") || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return attn_wire_fail(&r->wire, ATTN_BAD_FILE,
                              "external data in \"%.100s\", expected a file of the model's folder",
                              location);
    if (!r->folder)
        return attn_wire_fail(&r->wire, ATTN_BAD_FILE,
                              "external data in \"%.100s\", but the model is no file", location);
    for (size_t i = 0; i < m->externals; i++)
        if (strcmp(m->external_name[i], name) == 0) {
            *out = &m->external[i];
            return ATTN_OK;
        }
    if (m->externals == MAX_EXTERNALS)
        return attn_wire_fail(&r->wire, ATTN_LIMIT, "more than %d files of external data",
                              MAX_EXTERNALS);
    if (!m->external) {
        m->external = attn_arena_get(r->arena, MAX_EXTERNALS, sizeof *m->external, r->wire.err);
        m->external_name =
            attn_arena_get(r->arena, MAX_EXTERNALS, sizeof *m->external_name, r->wire.err);
        if (!m->external || !m->external_name) return ATTN_NO_MEMORY;
    }
    attn_error why;
    attn_status status = attn_file_map_in(&m->external[m->externals], r->folder, name, &why);
    if (status) return attn_wire_fail(&r->wire, status, "external data: %s", why.text);
    *out = &m->external[m->externals];
    m->external_name[m->externals++] = name;
    return ATTN_OK;
}

static attn_status take_external(attn_onnx_reader *r, const attn_wire_field *field,
                                 attn_onnx_tensor *t)
{
    attn_shape_text shape;
    entry *list;
    const char *location = NULL;
    const attn_file *file = NULL;
    size_t count, offset = 0, length = t->bytes;
    ATTN_TRY(attn_onnx_read_all(r, field, &rules[EXTERNAL_DATA], read_entry, sizeof *list, &list,
                                &count));
    for (size_t i = 0; i < count; i++) {
        if (strcmp(list[i].key, "location") == 0) location = list[i].value;
        if (strcmp(list[i].key, "offset") == 0) ATTN_TRY(read_decimal(r, &list[i], &offset));
        if (strcmp(list[i].key, "length") == 0) ATTN_TRY(read_decimal(r, &list[i], &length));
    }
    if (!location)
        return attn_wire_fail(&r->wire, ATTN_BAD_FILE, "external_data names no location");
    if (t->type == ATTN_ONNX_STRING)
        return attn_wire_fail(&r->wire, ATTN_BAD_FILE, "strings in external data");
    if (length != t->bytes)
        return attn_wire_fail(
            &r->wire, ATTN_BAD_FILE, "%zu bytes of external data, %s %s needs %zu", length,
            types[t->type].name, attn_format_shape(&shape, t->dim, t->rank), t->bytes);
    ATTN_TRY(open_external(r, location, &file));
    if (offset > file->size || t->bytes > file->size - offset)
        return attn_wire_fail(&r->wire, ATTN_BAD_FILE,
                              "%zu bytes of external data at byte %zu go beyond the end of "
                              "\"%.100s\", at %zu",
                              t->bytes, offset, location, file->size);
    t->data = (const unsigned char *)file->data + offset;
    t->mapping = file;
    return ATTN_OK;
}

/* ---- the whole ------------------------------------------------------------------------------ */

static attn_status read_shape(attn_onnx_reader *r, const attn_wire_field *dims, attn_onnx_tensor *t)
{
    attn_shape_text shape;
    size_t bits;
    if (dims->count > ATTN_MAX_RANK)
        return attn_wire_fail(&r->wire, ATTN_LIMIT, "%zu dimensions, at most %d are read",
                              dims->count, ATTN_MAX_RANK);
    attn_wire_list list = attn_wire_begin(dims, &rules[DIMS]);
    t->rank = (int)dims->count;
    for (int i = 0; i < t->rank; i++) {
        int64_t dim = (int64_t)attn_wire_number(&list);
        if (dim < 0 || (uint64_t)dim > SIZE_MAX)
            return attn_wire_fail(&r->wire, ATTN_BAD_FILE,
                                  "dims[%d] is %" PRId64 ", expected a size", i, dim);
        t->dim[i] = (size_t)dim;
    }
    if (!attn_product(t->dim, t->rank, &t->count) ||
        !attn_mul(t->count, types[t->type].bits, &bits) || !attn_add(bits, 7, &bits))
        return attn_wire_fail(&r->wire, ATTN_BAD_FILE, "%s %s is more than can exist",
                              types[t->type].name, attn_format_shape(&shape, t->dim, t->rank));
    t->bytes = bits / 8;
    return ATTN_OK;
}

/* Which field has the data: 0 if none does. */
static attn_status find_data(attn_onnx_reader *r, const attn_wire_field *f,
                             const attn_onnx_tensor *t, int *which)
{
    static const unsigned char all[] = {RAW_DATA,   FLOAT_DATA,  INT32_DATA, STRING_DATA,
                                        INT64_DATA, DOUBLE_DATA, UINT64_DATA};
    *which = 0;
    for (size_t i = 0; i < sizeof all; i++) {
        int field = all[i];
        /* Some writers leave empty lists behind. */
        if (!f[field].count && (field != RAW_DATA || !f[field].pieces)) continue;
        if (*which)
            return attn_wire_fail(&r->wire, ATTN_BAD_FILE, "both %s and %s", rules[*which].name,
                                  rules[field].name);
        if (field != RAW_DATA && field != types[t->type].list)
            return attn_wire_fail(&r->wire, ATTN_BAD_FILE, "%s with the type %s, expected %s",
                                  rules[field].name, types[t->type].name,
                                  rules[types[t->type].list].name);
        *which = field;
    }
    return ATTN_OK;
}

static attn_status take_data(attn_onnx_reader *r, const attn_wire_field *f, attn_onnx_tensor *t)
{
    int which;
    ATTN_TRY(find_data(r, f, t, &which));
    t->mapping = &r->model->mapping;
    if (f[LOCATION].value == 1) {
        if (which)
            return attn_wire_fail(&r->wire, ATTN_BAD_FILE, "both external data and %s",
                                  rules[which].name);
        return take_external(r, &f[EXTERNAL_DATA], t);
    }
    if (f[LOCATION].value)
        return attn_wire_fail(&r->wire, ATTN_BAD_FILE, "data_location %" PRIu64 ", expected 0 or 1",
                              f[LOCATION].value);
    if (which == RAW_DATA) return take_raw(r, f[which].bytes, t);
    if (!which) which = types[t->type].list;
    return take_list(r, &f[which], which, t);
}

attn_status attn_onnx_read_tensor(attn_onnx_reader *r, attn_wire_span message, void *to)
{
    attn_onnx_tensor *t = to;
    attn_wire_field f[RULES];
    ATTN_TRY(attn_wire_scan(&r->wire, message, rules, RULES, f));
    ATTN_TRY(attn_onnx_read_text(r, f[NAME].bytes, "name", &t->name));
    r->wire.place->label = t->name;
    uint64_t type = f[DATA_TYPE].value;
    if (type == 0 || type >= sizeof types / sizeof *types)
        return attn_wire_fail(&r->wire, ATTN_BAD_FILE, "data_type %" PRIu64 " is unknown", type);
    t->type = (attn_onnx_type)type;
    if (f[SEGMENT].count)
        return attn_wire_fail(&r->wire, ATTN_BAD_FILE, "tensors in segments are not read");
    ATTN_TRY(read_shape(r, &f[DIMS], t));
    ATTN_TRY(take_data(r, f, t));
    if (t->type == ATTN_ONNX_STRING) t->mapping = NULL;
    return ATTN_OK;
}
