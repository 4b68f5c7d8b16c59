/* Copies of bodies. Whole numbers of one element are computed on the way: conditions are made of
 * them. */
#include "runtime/onnx/unroll.h"

#include <string.h>

enum { MOST_JOINED = 32 }; /* operands of one Concat */

/* ---- whole numbers -------------------------------------------------------------------------- */

bool attn_unroll_known(const attn_ir_value *value, int64_t *out)
{
    const attn_onnx_tensor *t = !value ? NULL : value->constant ? value->constant : value->fixed;
    if (!t || t->count != 1 || !attn_onnx_is_integer(t->type)) return false;
    *out = attn_tensor_int(t, 0);
    return true;
}

attn_ir_value *attn_unroll_number(attn_ir *ir, const char *name, int64_t number, int rank,
                                  attn_onnx_type type)
{
    static const size_t ones[ATTN_MAX_RANK] = {1, 1, 1, 1, 1, 1, 1, 1};
    attn_ir_value *value = attn_ir_new_ints(ir, name, &number, rank, ones);
    if (value) value->type = type;
    return value;
}

enum {
    ADD,
    SUB,
    MUL,
    DIV,
    LESS,
    LESS_EQUAL,
    GREATER,
    GREATER_EQUAL,
    EQUAL,
    AND,
    OR,
    MIN,
    MAX,
    OPS
};

static const char *const ops[OPS] = {
    [ADD] = "Add",         [SUB] = "Sub",
    [MUL] = "Mul",         [DIV] = "Div",
    [LESS] = "Less",       [LESS_EQUAL] = "LessOrEqual",
    [GREATER] = "Greater", [GREATER_EQUAL] = "GreaterOrEqual",
    [EQUAL] = "Equal",     [AND] = "And",
    [OR] = "Or",           [MIN] = "Min",
    [MAX] = "Max",
};

/* Overflow wraps. */
static bool compute(const char *op, int64_t a, int64_t b, int64_t *out)
{
    int i = 0;
    uint64_t x = (uint64_t)a, y = (uint64_t)b;
    while (i < OPS && strcmp(ops[i], op) != 0) i++;
    if (i == OPS || (i == DIV && (b == 0 || b == -1))) return false;
    *out = i == ADD                ? (int64_t)(x + y)
           : i == SUB              ? (int64_t)(x - y)
           : i == MUL              ? (int64_t)(x * y)
           : i == DIV              ? a / b
           : i == LESS             ? a < b
           : i == LESS_EQUAL       ? a <= b
           : i == GREATER          ? a > b
           : i == GREATER_EQUAL    ? a >= b
           : i == EQUAL            ? a == b
           : i == AND              ? a && b
           : i == OR               ? a || b
           : (i == MIN) == (a < b) ? a
                                   : b;
    return true;
}

/* Of one operand; `type` is what the result has. */
static bool compute_one(const attn_ir_node *n, attn_onnx_type type, int64_t a, int64_t *out)
{
    bool cast = attn_ir_is(n, "Cast");
    if (cast && type != ATTN_ONNX_INT64 && type != ATTN_ONNX_INT32 && type != ATTN_ONNX_BOOL)
        return false;
    *out = cast && type == ATTN_ONNX_BOOL ? a != 0 : attn_ir_is(n, "Not") ? !a : a;
    return cast || attn_ir_is(n, "Not");
}

static int rank_of(const attn_ir_value *value)
{
    return value->constant ? value->constant->rank : value->fixed->rank;
}

/* The node's only output, if it is a number that is known; in: its operands. */
static attn_ir_value *fold(attn_ir *ir, const attn_ir_node *n, attn_ir_value *const *in)
{
    int64_t a, b, number;
    if (*n->domain || n->outputs != 1 || !n->out[0] || n->inputs < 1 || n->inputs > 2) return NULL;
    attn_onnx_type type = n->out[0]->type;
    if (!attn_onnx_is_integer(type) || !attn_unroll_known(in[0], &a)) return NULL;
    int rank = rank_of(in[0]);
    if (n->inputs == 1) {
        if (!compute_one(n, type, a, &number)) return NULL;
    } else {
        if (!attn_unroll_known(in[1], &b) || !compute(n->op, a, b, &number)) return NULL;
        if (rank_of(in[1]) > rank) rank = rank_of(in[1]);
    }
    if (type == ATTN_ONNX_INT32) number = (int32_t)number;
    return attn_unroll_number(ir, n->out[0]->name, number, rank, type);
}

/* ---- copies --------------------------------------------------------------------------------- */

attn_ir_value *attn_unroll_copied(attn_ir_value *value)
{
    return value && value->copy ? value->copy : value;
}

static attn_ir_value *copy_value(attn_ir *ir, attn_ir_value *value)
{
    attn_ir_value *fresh = value ? attn_ir_new_value(ir, value->name, value->type) : NULL;
    if (!fresh) return NULL;
    fresh->declared = value->declared;
    fresh->is_input = value->is_input;
    value->copy = fresh;
    return fresh;
}

static attn_ir_body *copy_body(attn_ir *ir, const attn_ir_body *from)
{
    attn_ir_body *to = attn_arena_get(ir->arena, 1, sizeof *to, ir->err);
    attn_ir_value **list =
        attn_arena_get(ir->arena, from->inputs + from->results, sizeof *list, ir->err);
    if (!to || !list) {
        ir->failed = true;
        return NULL;
    }
    *to = (attn_ir_body){.inputs = from->inputs,
                         .results = from->results,
                         .input = list,
                         .result = list + from->inputs,
                         .result_name = from->result_name};
    for (size_t i = 0; i < from->inputs; i++) to->input[i] = copy_value(ir, from->input[i]);
    attn_unroll_copy(ir, from, to, NULL);
    for (size_t i = 0; i < from->results && !ir->failed; i++) {
        to->result[i] = attn_unroll_copied(from->result[i]);
        if (to->result[i]) to->result[i]->results++;
    }
    return to;
}

static void copy_bodies(attn_ir *ir, const attn_ir_node *from, attn_ir_node *to)
{
    if (!from->bodies || ir->failed) return;
    to->body = attn_arena_get(ir->arena, from->bodies, sizeof(attn_ir_body *), ir->err);
    if (!to->body) ir->failed = true;
    for (size_t i = 0; i < from->bodies && !ir->failed; i++) {
        to->body[i] = copy_body(ir, from->body[i]);
        to->bodies += to->body[i] != NULL;
    }
}

/* One node, at the end of `to` or in front of `before`. */
static void copy_node(attn_ir *ir, attn_ir_node *n, attn_ir_body *to, attn_ir_node *before)
{
    attn_ir_value **in = attn_arena_get(ir->arena, n->inputs + n->outputs, sizeof *in, ir->err);
    if (!in) {
        ir->failed = true;
        return;
    }
    attn_ir_value **out = in + n->inputs;
    for (size_t i = 0; i < n->inputs; i++) in[i] = attn_unroll_copied(n->in[i]);
    attn_ir_value *number = fold(ir, n, in);
    if (number) {
        n->out[0]->copy = number;
        return;
    }
    for (size_t i = 0; i < n->outputs; i++) out[i] = copy_value(ir, n->out[i]);
    attn_ir_node *fresh =
        before ? attn_ir_insert(ir, before, n->op, n->domain, n->inputs, in, n->outputs, out)
               : attn_ir_append(ir, to, n->op, n->domain, n->inputs, in, n->outputs, out);
    if (!fresh) return;
    fresh->name = n->name;
    fresh->place = n->place;
    fresh->version = n->version;
    fresh->attr = n->attr;
    fresh->attrs = n->attrs;
    copy_bodies(ir, n, fresh);
}

void attn_unroll_copy(attn_ir *ir, const attn_ir_body *from, attn_ir_body *to, attn_ir_node *before)
{
    for (attn_ir_node *n = from->first; n && !ir->failed; n = n->next) copy_node(ir, n, to, before);
}

void attn_unroll_forget(const attn_ir_body *body)
{
    for (size_t i = 0; i < body->inputs; i++)
        if (body->input[i]) body->input[i]->copy = NULL;
    for (attn_ir_node *n = body->first; n; n = n->next) {
        for (size_t i = 0; i < n->bodies; i++) attn_unroll_forget(n->body[i]);
        for (size_t i = 0; i < n->outputs; i++)
            if (n->out[i]) n->out[i]->copy = NULL;
    }
}

size_t attn_unroll_count(const attn_ir_body *body)
{
    size_t count = 0;
    for (attn_ir_node *n = body->first; n; n = n->next, count++)
        for (size_t i = 0; i < n->bodies; i++) count += attn_unroll_count(n->body[i]);
    return count;
}

/* ---- new nodes ------------------------------------------------------------------------------ */

attn_ir_value *attn_unroll_list(attn_ir *ir, int64_t number)
{
    static const size_t one = 1;
    return attn_ir_new_ints(ir, "list", &number, 1, &one);
}

attn_ir_node *attn_unroll_insert(attn_ir *ir, attn_ir_node *before, const char *op,
                                 const char *name, size_t inputs, attn_ir_value *const *in,
                                 attn_ir_value **out)
{
    *out = attn_ir_new_value(ir, name, in[0] ? in[0]->type : ATTN_ONNX_UNDEFINED);
    attn_ir_node *node = attn_ir_insert(ir, before, op, "", inputs, in, 1, out);
    if (node) node->version = 13;
    return node;
}

static void add_dimension(attn_ir *ir, attn_ir_node *before, attn_ir_value **list, size_t count,
                          int64_t axis)
{
    attn_ir_value *axes = attn_unroll_list(ir, axis);
    for (size_t i = 0; i < count && !ir->failed; i++) {
        attn_ir_value *in[] = {list[i], axes};
        attn_unroll_insert(ir, before, "Unsqueeze", in[0] ? in[0]->name : "value", 2, in, &list[i]);
    }
}

attn_ir_value *attn_unroll_join(attn_ir *ir, attn_ir_node *before, attn_ir_value **list,
                                size_t count, int64_t axis, bool fresh, const char *name)
{
    if (fresh) add_dimension(ir, before, list, count, axis);
    while (count > 1) {
        size_t made = 0;
        for (size_t at = 0; at < count && !ir->failed; at += MOST_JOINED) {
            size_t some = count - at < MOST_JOINED ? count - at : MOST_JOINED;
            attn_ir_value *out = list[at];
            if (some > 1) {
                attn_ir_node *node =
                    attn_unroll_insert(ir, before, "Concat", name, some, list + at, &out);
                attn_ir_set_int(ir, node, "axis", axis);
            }
            list[made++] = out;
        }
        count = made;
        if (ir->failed) return NULL;
    }
    return list[0];
}

/* The size of a dimension, if it is the same always. */
bool attn_unroll_size(const attn_ir_value *value, int64_t axis, size_t *out)
{
    const attn_onnx_tensor *t = !value ? NULL : value->constant ? value->constant : value->fixed;
    int rank = t ? t->rank : value && value->shaped ? value->rank : 0;
    if (axis < 0) axis += rank;
    if (axis < 0 || axis >= rank) return false;
    if (t) {
        *out = t->dim[axis];
        return true;
    }
    const attn_ir_amount *dim = &value->dim[axis];
    *out = (size_t)dim->base;
    return dim->known && !dim->factor && dim->base > 0;
}
