/* AttributeProto: the one of its fields that its type says. */
#include "runtime/onnx/reader.h"

#include <inttypes.h>
#include <string.h>

enum { A_NAME, A_F, A_I, A_S, A_T, A_G, A_FLOATS, A_INTS, A_STRINGS, A_TYPE, A_REF, A_RULES };

static const attn_wire_rule attr_rules[A_RULES] = {
    [A_NAME] = {1, ATTN_WIRE_BYTES, ATTN_WIRE_ONCE, "name"},
    [A_F] = {2, ATTN_WIRE_FIXED32, ATTN_WIRE_ONCE, "f"},
    [A_I] = {3, ATTN_WIRE_VARINT, ATTN_WIRE_ONCE, "i"},
    [A_S] = {4, ATTN_WIRE_BYTES, ATTN_WIRE_ONCE, "s"},
    [A_T] = {5, ATTN_WIRE_BYTES, ATTN_WIRE_ONCE, "t"},
    [A_G] = {6, ATTN_WIRE_BYTES, ATTN_WIRE_ONCE, "g"},
    [A_FLOATS] = {7, ATTN_WIRE_FIXED32, ATTN_WIRE_LIST, "floats"},
    [A_INTS] = {8, ATTN_WIRE_VARINT, ATTN_WIRE_LIST, "ints"},
    [A_STRINGS] = {9, ATTN_WIRE_BYTES, ATTN_WIRE_MANY, "strings"},
    [A_TYPE] = {20, ATTN_WIRE_VARINT, ATTN_WIRE_ONCE, "type"},
    [A_REF] = {21, ATTN_WIRE_BYTES, ATTN_WIRE_ONCE, "ref_attr_name"},
};

static float float_of(uint64_t bits)
{
    uint32_t low = (uint32_t)bits;
    float value;
    memcpy(&value, &low, sizeof value);
    return value;
}

static attn_status read_attr_floats(attn_onnx_reader *r, const attn_wire_field *f,
                                    attn_onnx_attr *attr)
{
    float *to = attn_arena_get(r->arena, f->count, sizeof *to, r->wire.err);
    if (!to) return ATTN_NO_MEMORY;
    attn_wire_list list = attn_wire_begin(f, &attr_rules[A_FLOATS]);
    for (size_t i = 0; i < f->count; i++) to[i] = float_of(attn_wire_number(&list));
    attr->numbers = to;
    attr->count = f->count;
    return ATTN_OK;
}

static attn_status read_attr_ints(attn_onnx_reader *r, const attn_wire_field *f,
                                  attn_onnx_attr *attr)
{
    int64_t *to = attn_arena_get(r->arena, f->count, sizeof *to, r->wire.err);
    if (!to) return ATTN_NO_MEMORY;
    attn_wire_list list = attn_wire_begin(f, &attr_rules[A_INTS]);
    for (size_t i = 0; i < f->count; i++) to[i] = (int64_t)attn_wire_number(&list);
    attr->integers = to;
    attr->count = f->count;
    return ATTN_OK;
}

/* A tensor or a graph of the attribute, of `size` bytes. */
static attn_status read_attr_record(attn_onnx_reader *r, const attn_wire_field *f, int field,
                                    attn_onnx_read *read, size_t size, void *out)
{
    if (!f[field].count)
        return attn_wire_fail(&r->wire, ATTN_BAD_FILE, "has no %s", attr_rules[field].name);
    void *record = attn_arena_get(r->arena, 1, size, r->wire.err);
    if (!record) return ATTN_NO_MEMORY;
    memcpy(out, &record, sizeof record);
    return attn_onnx_read_one(r, &f[field], &attr_rules[field], read, record);
}

static attn_status read_attr_value(attn_onnx_reader *r, const attn_wire_field *f,
                                   attn_onnx_attr *attr)
{
    switch (attr->kind) {
    case ATTN_ONNX_ATTR_FLOAT:
        attr->number = float_of(f[A_F].value);
        return ATTN_OK;
    case ATTN_ONNX_ATTR_INT:
        attr->integer = (int64_t)f[A_I].value;
        return ATTN_OK;
    case ATTN_ONNX_ATTR_STRING:
        attr->text.length = (size_t)(f[A_S].bytes.end - f[A_S].bytes.at);
        return attn_onnx_read_text(r, f[A_S].bytes, "s", &attr->text.text);
    case ATTN_ONNX_ATTR_TENSOR:
        return read_attr_record(r, f, A_T, attn_onnx_read_tensor, sizeof *attr->tensor,
                                &attr->tensor);
    case ATTN_ONNX_ATTR_GRAPH:
        return read_attr_record(r, f, A_G, attn_onnx_read_graph, sizeof *attr->graph, &attr->graph);
    case ATTN_ONNX_ATTR_FLOATS:
        return read_attr_floats(r, &f[A_FLOATS], attr);
    case ATTN_ONNX_ATTR_INTS:
        return read_attr_ints(r, &f[A_INTS], attr);
    case ATTN_ONNX_ATTR_STRINGS:
        return attn_onnx_read_all(r, &f[A_STRINGS], &attr_rules[A_STRINGS], attn_onnx_read_string,
                                  sizeof *attr->texts, &attr->texts, &attr->count);
    default:
        return ATTN_OK;
    }
}

static attn_status read_attr(attn_onnx_reader *r, attn_wire_span message, void *to)
{
    enum { LAST_TYPE = 14 }; /* TYPE_PROTOS */
    attn_onnx_attr *attr = to;
    attn_wire_field f[A_RULES];
    attr->text.text = "";
    ATTN_TRY(attn_wire_scan(&r->wire, message, attr_rules, A_RULES, f));
    ATTN_TRY(attn_onnx_read_name(r, f[A_NAME].bytes, "name", &attr->name));
    uint64_t type = f[A_TYPE].value;
    if (type == 0 || type > LAST_TYPE)
        return attn_wire_fail(&r->wire, ATTN_BAD_FILE, "type %" PRIu64 ", expected 1 to %d", type,
                              LAST_TYPE);
    attr->kind = type < ATTN_ONNX_ATTR_OTHER ? (attn_onnx_attr_kind)type : ATTN_ONNX_ATTR_OTHER;
    if (f[A_REF].bytes.at == f[A_REF].bytes.end) return read_attr_value(r, f, attr);
    return attn_onnx_read_text(r, f[A_REF].bytes, "ref_attr_name", &attr->ref);
}

/* All attributes of a node, no name twice. */
attn_status attn_onnx_read_attrs(attn_onnx_reader *r, const attn_wire_field *f,
                                 const attn_wire_rule *rule, attn_onnx_attr **attr, size_t *count)
{
    if (f->count > ATTN_ONNX_MAX_ATTRS)
        return attn_wire_fail(&r->wire, ATTN_LIMIT, "%zu attributes, at most %d are read", f->count,
                              ATTN_ONNX_MAX_ATTRS);
    ATTN_TRY(attn_onnx_read_all(r, f, rule, read_attr, sizeof **attr, attr, count));
    for (size_t i = 1; i < *count; i++)
        for (size_t j = 0; j < i; j++)
            if (strcmp((*attr)[i].name, (*attr)[j].name) == 0)
                return attn_wire_fail(&r->wire, ATTN_BAD_FILE,
                                      "the attribute \"%.100s\" stands there twice",
                                      (*attr)[i].name);
    return ATTN_OK;
}
