/* What changes nothing goes: additions of 0, expansions to the same shape, casts between floats,
 * choices that are made; and sizes that the probes have found become numbers and symbols. */
#include "runtime/onnx/lift.h"

#include <math.h>
#include <string.h>

static bool same_shape(const attn_ir_value *a, const attn_ir_value *b)
{
    if (!a || !b || !a->shaped || !b->shaped || a->rank != b->rank) return false;
    for (int i = 0; i < a->rank; i++)
        if (!attn_lift_same_amount(&a->dim[i], &b->dim[i])) return false;
    return true;
}

static bool keeps_order(const attn_ir_node *node)
{
    size_t count = 0;
    const int64_t *perm = attn_ir_ints(node, "perm", &count);
    for (size_t i = 0; i < count; i++)
        if (perm[i] != (int64_t)i) return false;
    return perm != NULL;
}

static bool is_softmax(const attn_ir_value *value)
{
    return attn_ir_made_by(value, "Softmax") != NULL;
}

/* node is op(x, number), but for a weight, whose elements are equal by chance: x. */
static attn_ir_value *with_number(const attn_ir_node *node, const char *op, double number)
{
    double have;
    attn_ir_value *x = attn_lift_with_any(node, op, &have);
    const attn_ir_value *other = attn_lift_other(node, x);
    return x && have == number && other && (!other->constant || other->constant->count == 1) ? x
                                                                                             : NULL;
}

/* The value that the node's output is, or NULL. */
static attn_ir_value *same_as(const attn_ir_node *node)
{
    double number;
    attn_ir_value *x;
    if ((x = with_number(node, "Add", 0)) || (x = with_number(node, "Sub", 0)) ||
        (x = with_number(node, "Mul", 1)) || (x = with_number(node, "Div", 1)))
        return x;
    x = attn_ir_in(node, 0);
    if (attn_ir_is(node, "And") && node->inputs == 2) {
        if (attn_lift_uniform(node->in[1], &number) && number != 0) return node->in[0];
        if (attn_lift_uniform(node->in[0], &number) && number != 0) return node->in[1];
    }
    if (attn_ir_is(node, "Where")) {
        if (attn_lift_uniform(x, &number)) return node->in[number != 0 ? 1 : 2];
        /* A row without any key has weights of 0 here, and no NaN that would have to go. */
        attn_ir_node *nan = attn_ir_made_by(x, "IsNaN");
        if (nan && nan->in[0] == node->in[2] && is_softmax(node->in[2]) &&
            attn_lift_uniform(node->in[1], &number) && number == 0)
            return node->in[2];
    }
    if (attn_ir_is(node, "Transpose") && keeps_order(node)) return x;
    if (attn_ir_is(node, "Reshape") || attn_ir_is(node, "Expand") || attn_ir_is(node, "Flatten") ||
        attn_ir_is(node, "Squeeze") || attn_ir_is(node, "Unsqueeze"))
        return x;
    if (attn_ir_is(node, "Dropout") && !attn_ir_in(node, 2) && node->outputs == 1) return x;
    if (attn_ir_is(node, "Cast") && x && attn_onnx_is_float(x->type) &&
        attn_ir_int(node, "to", 0) == ATTN_ONNX_FLOAT && x->type != ATTN_ONNX_DOUBLE)
        return x;
    return NULL;
}

static void drop(attn_ir *ir, attn_ir_node *node)
{
    attn_ir_value *y = attn_ir_out(node, 0), *x;
    if (*node->domain || node->outputs != 1 || !y || !(y->uses || y->results)) return;
    x = same_as(node);
    if (!x || !same_shape(x, y)) return;
    /* A result keeps a value of its own name: an input or a constant is none. */
    if (y->results && (x->is_input || x->constant)) return;
    attn_ir_replace(ir, y, x);
}

/* ---- sizes ---------------------------------------------------------------------------------- */

/* Where the operator takes sizes: the input, or 0. */
static size_t sizes_of(const attn_ir_node *node, size_t *last)
{
    static const struct {
        const char *op;
        size_t first, last;
    } places[] = {{"Reshape", 1, 1},   {"Expand", 1, 1},     {"Tile", 1, 1},     {"Slice", 1, 4},
                  {"Unsqueeze", 1, 1}, {"Squeeze", 1, 1},    {"Split", 1, 1},    {"Pad", 1, 1},
                  {"Resize", 3, 3},    {"ReduceMean", 1, 1}, {"ReduceSum", 1, 1}};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (attn_ir_is(node, places[i].op)) {
            *last = places[i].last;
            return places[i].first;
        }
    return 0;
}

/* Numbers and symbols alone. */
static bool is_plain(const attn_ir_value *value)
{
    for (size_t i = 0; i < value->elements; i++)
        if (!value->element[i].known ||
            (value->element[i].factor && !attn_ir_is_symbol(&value->element[i])))
            return false;
    return value->elements > 0;
}

/* The shape of a reshape as it is written best: numbers; -1 where one size depends on symbols. */
static bool write_shape(attn_ir *ir, attn_ir_node *node)
{
    const attn_ir_value *y = attn_ir_out(node, 0);
    int64_t target[ATTN_MAX_RANK];
    size_t open = 0, count = y && y->shaped ? (size_t)y->rank : 0;
    if (count == 0) return false;
    for (size_t i = 0; i < count; i++) {
        bool number = y->dim[i].known && !y->dim[i].factor;
        target[i] = number ? y->dim[i].base : -1;
        open += !number;
    }
    if (open > 1) return false;
    attn_ir_value *shape = attn_ir_new_ints(ir, "shape", target, 1, &count);
    if (attn_ir_is(node, "Reshape")) {
        attn_ir_set_in(ir, node, 1, shape);
        attn_ir_set_int(ir, node, "allowzero", 0);
        return true;
    }
    attn_ir_value *in[2] = {node->in[0], shape}, *none = NULL;
    attn_ir_node *fresh = attn_ir_insert(ir, node, "Reshape", "", 2, in, 1, &none);
    attn_ir_give(ir, node->out[0], fresh, 0);
    return true;
}

/* The only number of the list in[slot], or of the attribute (opset 9); `otherwise` if neither is
 * there; INT64_MIN: it is none. */
static int64_t one_number(const attn_ir_node *node, size_t slot, const char *name,
                          int64_t otherwise)
{
    const attn_ir_value *value = attn_ir_in(node, slot);
    const attn_onnx_tensor *t = value ? value->constant : NULL;
    size_t count;
    const int64_t *list = attn_ir_ints(node, name, &count);
    if (!value) return !list ? otherwise : count == 1 ? list[0] : INT64_MIN;
    return t && t->count == 1 && t->rank < 2 ? attn_tensor_int(t, 0) : INT64_MIN;
}

/* Gather or Slice of one element of a list: which, of `rank`; below 0: of several, or none. */
static int64_t taken_index(const attn_ir_node *node, int64_t rank)
{
    bool slice = attn_ir_is(node, "Slice");
    if (!slice && !attn_ir_is(node, "Gather")) return -1;
    int64_t first = one_number(node, 1, "starts", INT64_MIN);
    if (first < -rank || first >= rank) return -1;
    if (first < 0) first += rank;
    if (!slice) return first;
    int64_t end = one_number(node, 2, "ends", INT64_MIN);
    if (one_number(node, 3, "axes", 0) || one_number(node, 4, "steps", 1) != 1 || end < -rank)
        return -1;
    if (end < 0) end += rank;
    return (end < rank ? end : rank) == first + 1 ? first : -1;
}

/* One element of Shape(x), which may be cast, is the size of that axis alone: it depends on no
 * other, the batch say. */
static bool size_of_axis(attn_ir *ir, attn_ir_node *node)
{
    attn_ir_value *from = attn_ir_in(node, 0);
    const attn_ir_node *cast = attn_ir_made_by(from, "Cast");
    if (cast && !attn_onnx_is_integer(from->type)) return false;
    attn_ir_node *shape = attn_ir_made_by(cast ? cast->in[0] : from, "Shape");
    if (!shape || shape->attrs || !shape->in[0]->shaped) return false;
    int64_t axis = taken_index(node, shape->in[0]->rank);
    if (axis < 0) return false;
    const char *steps[3] = {"Shape"};
    size_t count = 1;
    if (cast) steps[count++] = "Cast";
    if (attn_ir_is(node, "Gather") && node->in[1]->constant->rank == 0) steps[count++] = "Squeeze";
    attn_ir_value *x = shape->in[0];
    for (size_t i = 0; i < count; i++) {
        attn_onnx_type type = i == 0 ? ATTN_ONNX_INT64 : from->type;
        attn_ir_value *y = i + 1 < count ? attn_ir_new_value(ir, "size", type) : NULL;
        attn_ir_node *fresh = attn_ir_insert(ir, node, steps[i], "", 1, &x, 1, &y);
        if (!fresh) return true;
        if (i == 0) {
            attn_ir_set_int(ir, fresh, "start", axis);
            attn_ir_set_int(ir, fresh, "end", axis + 1);
        } else if (attn_ir_is(fresh, "Cast")) {
            attn_ir_set_int(ir, fresh, "to", from->type);
        }
        if (i + 1 == count) attn_ir_give(ir, node->out[0], fresh, 0);
        x = y;
    }
    return true;
}

static void settle(attn_ir *ir, attn_ir_node *node)
{
    if (size_of_axis(ir, node)) return;
    size_t last = 0, first = sizes_of(node, &last);
    bool flat = attn_ir_is(node, "Reshape") || attn_ir_is(node, "Squeeze") ||
                attn_ir_is(node, "Unsqueeze") || attn_ir_is(node, "Flatten");
    /* All elements, gathered in their order. */
    if (attn_ir_is(node, "Gather") || attn_ir_is(node, "GatherND")) flat = attn_view_is_flat(node);
    if (flat && node->in[0] && node->out[0] && write_shape(ir, node)) return;
    if (first == 0) return;
    for (size_t i = first; i <= last && i < node->inputs; i++) {
        attn_ir_value *value = node->in[i];
        if (!value || value->constant || !value->producer || !is_plain(value)) continue;
        attn_ir_value *sizes = attn_ir_new_value(ir, value->name, ATTN_ONNX_INT64);
        if (!sizes) return;
        sizes->element = value->element;
        sizes->elements = value->elements;
        attn_ir_set_in(ir, node, i, sizes);
    }
}

void attn_lift_trivial(attn_ir *ir)
{
    for (attn_ir_node *n = ir->main->first; n; n = n->next) drop(ir, n);
    attn_ir_sweep(ir);
}

void attn_lift_sizes(attn_ir *ir)
{
    for (attn_ir_node *n = ir->main->first; n; n = n->next) settle(ir, n);
    attn_ir_sweep(ir);
}
