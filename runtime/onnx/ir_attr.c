/* Attributes of nodes, and elements of constants. */
#include "runtime/onnx/ir.h"
#include "runtime/weights/weights.h"

#include <math.h>
#include <string.h>

const attn_onnx_attr *attn_ir_attr(const attn_ir_node *node, const char *name)
{
    for (size_t i = 0; i < node->attrs; i++)
        if (strcmp(node->attr[i].name, name) == 0) return &node->attr[i];
    return NULL;
}

static const attn_onnx_attr *find(const attn_ir_node *node, const char *name,
                                  attn_onnx_attr_kind kind)
{
    const attn_onnx_attr *a = attn_ir_attr(node, name);
    return a && a->kind == kind ? a : NULL;
}

int64_t attn_ir_int(const attn_ir_node *node, const char *name, int64_t otherwise)
{
    const attn_onnx_attr *a = find(node, name, ATTN_ONNX_ATTR_INT);
    return a ? a->integer : otherwise;
}

float attn_ir_float(const attn_ir_node *node, const char *name, float otherwise)
{
    const attn_onnx_attr *a = find(node, name, ATTN_ONNX_ATTR_FLOAT);
    return a ? a->number : otherwise;
}

const char *attn_ir_text(const attn_ir_node *node, const char *name, const char *otherwise)
{
    const attn_onnx_attr *a = find(node, name, ATTN_ONNX_ATTR_STRING);
    return a ? a->text.text : otherwise;
}

const int64_t *attn_ir_ints(const attn_ir_node *node, const char *name, size_t *count)
{
    const attn_onnx_attr *a = find(node, name, ATTN_ONNX_ATTR_INTS);
    *count = a ? a->count : 0;
    return a ? a->integers : NULL;
}

const float *attn_ir_floats(const attn_ir_node *node, const char *name, size_t *count)
{
    const attn_onnx_attr *a = find(node, name, ATTN_ONNX_ATTR_FLOATS);
    *count = a ? a->count : 0;
    return a ? a->numbers : NULL;
}

const attn_onnx_tensor *attn_ir_tensor(const attn_ir_node *node, const char *name)
{
    const attn_onnx_attr *a = find(node, name, ATTN_ONNX_ATTR_TENSOR);
    return a ? a->tensor : NULL;
}

/* ---- setting ------------------------------------------------------------------------------- */

/* The attribute of that name, made if there is none; NULL: no memory. The file's own list stays as
 * it is. */
static attn_onnx_attr *make(attn_ir *ir, attn_ir_node *node, const char *name)
{
    size_t at = 0;
    if (!node || ir->failed) return NULL;
    while (at < node->attrs && strcmp(node->attr[at].name, name) != 0) at++;
    if (node->attrs + 1 > node->attr_room) {
        size_t room = 2 * node->attrs + 4;
        attn_onnx_attr *larger = attn_arena_get(ir->arena, room, sizeof *larger, ir->err);
        if (!larger) {
            ir->failed = true;
            return NULL;
        }
        if (node->attrs) memcpy(larger, node->attr, node->attrs * sizeof *larger);
        node->attr = larger;
        node->attr_room = room;
    }
    node->attrs += at == node->attrs;
    node->attr[at] = (attn_onnx_attr){.name = name, .text = {.text = ""}};
    return &node->attr[at];
}

void attn_ir_set_int(attn_ir *ir, attn_ir_node *node, const char *name, int64_t value)
{
    attn_onnx_attr *a = make(ir, node, name);
    if (!a) return;
    a->kind = ATTN_ONNX_ATTR_INT;
    a->integer = value;
}

void attn_ir_set_float(attn_ir *ir, attn_ir_node *node, const char *name, float value)
{
    attn_onnx_attr *a = make(ir, node, name);
    if (!a) return;
    a->kind = ATTN_ONNX_ATTR_FLOAT;
    a->number = value;
}

void attn_ir_set_text(attn_ir *ir, attn_ir_node *node, const char *name, const char *value)
{
    attn_onnx_attr *a = make(ir, node, name);
    size_t length = strlen(value);
    char *copy = a ? attn_arena_text(ir->arena, value, length, ir->err) : NULL;
    if (!copy) {
        ir->failed = true;
        return;
    }
    a->kind = ATTN_ONNX_ATTR_STRING;
    a->text = (attn_onnx_text){copy, length};
}

void attn_ir_set_ints(attn_ir *ir, attn_ir_node *node, const char *name, const int64_t *values,
                      size_t count)
{
    attn_onnx_attr *a = make(ir, node, name);
    int64_t *copy = a ? attn_arena_get(ir->arena, count, sizeof *copy, ir->err) : NULL;
    if (!copy) {
        ir->failed = true;
        return;
    }
    if (count) memcpy(copy, values, count * sizeof *copy);
    a->kind = ATTN_ONNX_ATTR_INTS;
    a->count = count;
    a->integers = copy;
}

/* ---- elements ------------------------------------------------------------------------------ */

bool attn_onnx_is_float(attn_onnx_type type)
{
    return type == ATTN_ONNX_FLOAT || type == ATTN_ONNX_FLOAT16 || type == ATTN_ONNX_DOUBLE ||
           type == ATTN_ONNX_BFLOAT16;
}

bool attn_onnx_is_integer(attn_onnx_type type)
{
    return (type >= ATTN_ONNX_UINT8 && type <= ATTN_ONNX_INT64) || type == ATTN_ONNX_BOOL ||
           type == ATTN_ONNX_UINT32 || type == ATTN_ONNX_UINT64 || type == ATTN_ONNX_UINT4 ||
           type == ATTN_ONNX_INT4;
}

static uint64_t load(const attn_onnx_tensor *t, size_t i, size_t bytes)
{
    const unsigned char *from = (const unsigned char *)t->data + i * bytes;
    uint64_t bits = 0;
    for (size_t b = 0; b < bytes; b++) bits |= (uint64_t)from[b] << 8 * b;
    return bits;
}

static double float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static double load_float(const attn_onnx_tensor *t, size_t i)
{
    double value;
    uint64_t bits;
    switch (t->type) {
    case ATTN_ONNX_FLOAT:
        return float_of((uint32_t)load(t, i, 4));
    case ATTN_ONNX_FLOAT16:
        return float_of(attn_half_bits((uint32_t)load(t, i, 2)));
    case ATTN_ONNX_BFLOAT16:
        return float_of((uint32_t)load(t, i, 2) << 16);
    case ATTN_ONNX_DOUBLE:
        bits = load(t, i, 8);
        memcpy(&value, &bits, sizeof value);
        return value;
    default:
        return 0;
    }
}

static int64_t load_int(const attn_onnx_tensor *t, size_t i)
{
    uint64_t bits;
    unsigned nibble;
    switch (t->type) {
    case ATTN_ONNX_BOOL:
        return load(t, i, 1) != 0;
    case ATTN_ONNX_UINT8:
        return (int64_t)load(t, i, 1);
    case ATTN_ONNX_INT8:
        return (int8_t)load(t, i, 1);
    case ATTN_ONNX_UINT16:
        return (int64_t)load(t, i, 2);
    case ATTN_ONNX_INT16:
        return (int16_t)load(t, i, 2);
    case ATTN_ONNX_UINT32:
        return (int64_t)load(t, i, 4);
    case ATTN_ONNX_INT32:
        return (int32_t)load(t, i, 4);
    case ATTN_ONNX_INT64:
        return (int64_t)load(t, i, 8);
    case ATTN_ONNX_UINT64:
        bits = load(t, i, 8);
        return bits > INT64_MAX ? INT64_MAX : (int64_t)bits;
    case ATTN_ONNX_UINT4:
    case ATTN_ONNX_INT4:
        nibble = (unsigned)load(t, i / 2, 1) >> (i % 2 ? 4 : 0) & 15;
        return t->type == ATTN_ONNX_INT4 && nibble > 7 ? (int64_t)nibble - 16 : (int64_t)nibble;
    default:
        return 0;
    }
}

double attn_tensor_float(const attn_onnx_tensor *tensor, size_t i)
{
    return attn_onnx_is_float(tensor->type) ? load_float(tensor, i) : (double)load_int(tensor, i);
}

int64_t attn_tensor_int(const attn_onnx_tensor *tensor, size_t i)
{
    if (!attn_onnx_is_float(tensor->type)) return load_int(tensor, i);
    double value = load_float(tensor, i);
    if (value != value) return 0;
    if (value >= 9223372036854775808.0) return INT64_MAX;
    return value < -9223372036854775808.0 ? INT64_MIN : (int64_t)value;
}

bool attn_ir_number(const attn_ir_value *value, double *number)
{
    if (!value || !value->constant || value->constant->count != 1) return false;
    if (!attn_onnx_is_float(value->type) && !attn_onnx_is_integer(value->type)) return false;
    *number = attn_tensor_float(value->constant, 0);
    return true;
}

bool attn_ir_is_number(const attn_ir_value *value, double number)
{
    double have;
    return attn_ir_number(value, &have) && (float)have == (float)number;
}
