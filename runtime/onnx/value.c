/* ValueInfoProto: a name, and the type and shape that the file says it has. */
#include "runtime/onnx/reader.h"

#include <inttypes.h>
#include <string.h>

static attn_status read_dim(attn_onnx_reader *r, attn_wire_span message, void *to)
{
    static const attn_wire_rule rules[] = {{1, ATTN_WIRE_VARINT, ATTN_WIRE_ONCE, "dim_value"},
                                           {2, ATTN_WIRE_BYTES, ATTN_WIRE_ONCE, "dim_param"}};
    attn_wire_field f[2];
    struct attn_onnx_dim *dim = to;
    ATTN_TRY(attn_wire_scan(&r->wire, message, rules, 2, f));
    /* Some writers have -1 for what is not known. */
    int64_t size = (int64_t)f[0].value;
    dim->known = f[0].count && size >= 0;
    if (dim->known && f[1].count)
        return attn_wire_fail(&r->wire, ATTN_BAD_FILE, "both dim_value and dim_param");
    if (dim->known && (uint64_t)size > SIZE_MAX / 2)
        return attn_wire_fail(&r->wire, ATTN_LIMIT, "dim_value %" PRId64 " is more than can exist",
                              size);
    if (dim->known) dim->size = (size_t)size;
    return attn_onnx_read_text(r, f[1].bytes, "dim_param", &dim->name);
}

static attn_status read_shape(attn_onnx_reader *r, attn_wire_span message, void *to)
{
    static const attn_wire_rule rule = {1, ATTN_WIRE_BYTES, ATTN_WIRE_MANY, "dim"};
    attn_wire_field f;
    attn_onnx_value *value = to;
    struct attn_onnx_dim *dim = NULL;
    ATTN_TRY(attn_wire_scan(&r->wire, message, &rule, 1, &f));
    if (f.count > ATTN_MAX_RANK)
        return attn_wire_fail(&r->wire, ATTN_LIMIT, "%zu dimensions, at most %d are read", f.count,
                              ATTN_MAX_RANK);
    ATTN_TRY(attn_onnx_read_all(r, &f, &rule, read_dim, sizeof *dim, &dim, NULL));
    if (dim) memcpy(value->dim, dim, f.count * sizeof *dim);
    value->rank = (int)f.count;
    value->shaped = true;
    return ATTN_OK;
}

static attn_status read_tensor_type(attn_onnx_reader *r, attn_wire_span message, void *to)
{
    static const attn_wire_rule rules[] = {{1, ATTN_WIRE_VARINT, ATTN_WIRE_ONCE, "elem_type"},
                                           {2, ATTN_WIRE_BYTES, ATTN_WIRE_ONCE, "shape"}};
    attn_wire_field f[2];
    attn_onnx_value *value = to;
    ATTN_TRY(attn_wire_scan(&r->wire, message, rules, 2, f));
    if (f[0].value > ATTN_ONNX_FLOAT4E2M1)
        return attn_wire_fail(&r->wire, ATTN_BAD_FILE, "elem_type %" PRIu64 " is unknown",
                              f[0].value);
    value->is_tensor = true;
    value->type = (attn_onnx_type)f[0].value;
    return f[1].count ? attn_onnx_read_one(r, &f[1], &rules[1], read_shape, value) : ATTN_OK;
}

static attn_status read_type(attn_onnx_reader *r, attn_wire_span message, void *to)
{
    static const attn_wire_rule rules[] = {{1, ATTN_WIRE_BYTES, ATTN_WIRE_ONCE, "tensor_type"},
                                           {4, ATTN_WIRE_BYTES, ATTN_WIRE_ONCE, "sequence_type"},
                                           {5, ATTN_WIRE_BYTES, ATTN_WIRE_ONCE, "map_type"},
                                           {9, ATTN_WIRE_BYTES, ATTN_WIRE_ONCE, "optional_type"}};
    attn_wire_field f[4];
    ATTN_TRY(attn_wire_scan(&r->wire, message, rules, 4, f));
    if (f[0].count + f[1].count + f[2].count + f[3].count > 1)
        return attn_wire_fail(&r->wire, ATTN_BAD_FILE, "more than one kind of type");
    return f[0].count ? attn_onnx_read_one(r, &f[0], &rules[0], read_tensor_type, to) : ATTN_OK;
}

attn_status attn_onnx_read_value(attn_onnx_reader *r, attn_wire_span message, void *to)
{
    static const attn_wire_rule rules[] = {{1, ATTN_WIRE_BYTES, ATTN_WIRE_ONCE, "name"},
                                           {2, ATTN_WIRE_BYTES, ATTN_WIRE_ONCE, "type"}};
    attn_wire_field f[2];
    attn_onnx_value *value = to;
    for (int i = 0; i < ATTN_MAX_RANK; i++) value->dim[i].name = "";
    ATTN_TRY(attn_wire_scan(&r->wire, message, rules, 2, f));
    ATTN_TRY(attn_onnx_read_name(r, f[0].bytes, "name", &value->name));
    return f[1].count ? attn_onnx_read_one(r, &f[1], &rules[1], read_type, value) : ATTN_OK;
}
