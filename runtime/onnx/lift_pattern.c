/* What the lifting passes look for patterns with. */
#include "runtime/onnx/lift.h"

#include <math.h>
#include <string.h>

bool attn_lift_uniform(const attn_ir_value *value, double *number)
{
    if (!value) return false;
    if (value->constant && attn_ir_number(value, number)) return true;
    if (!value->uniform) return false;
    *number = value->number;
    return true;
}

static bool commutes(const char *op)
{
    return strcmp(op, "Add") == 0 || strcmp(op, "Mul") == 0;
}

attn_ir_value *attn_lift_with_any(const attn_ir_node *node, const char *op, double *number)
{
    if (!attn_ir_is(node, op) || node->inputs != 2) return NULL;
    if (attn_lift_uniform(node->in[1], number)) return node->in[0];
    return commutes(op) && attn_lift_uniform(node->in[0], number) ? node->in[1] : NULL;
}

attn_ir_value *attn_lift_with_number(const attn_ir_node *node, const char *op, double number)
{
    double have;
    attn_ir_value *other = attn_lift_with_any(node, op, &have);
    return other && fabs(have - number) <= 1e-6 * fabs(number) ? other : NULL;
}

attn_ir_value *attn_lift_other(const attn_ir_node *node, const attn_ir_value *value)
{
    if (!node || node->inputs != 2 || node->in[0] == node->in[1]) return NULL;
    return node->in[0] == value ? node->in[1] : node->in[1] == value ? node->in[0] : NULL;
}

attn_ir_node *attn_lift_make(attn_ir *ir, attn_ir_value *value, const char *op, size_t inputs,
                             attn_ir_value *const *in)
{
    attn_ir_value *none = NULL;
    attn_ir_node *fresh = attn_ir_insert(ir, value->producer, op, "attn", inputs, in, 1, &none);
    if (fresh) attn_ir_give(ir, value, fresh, 0);
    return fresh;
}

size_t attn_lift_columns(const attn_ir_value *value)
{
    if (!value || !value->shaped || value->rank < 1) return 0;
    const attn_ir_amount *last = &value->dim[value->rank - 1];
    return last->known && !last->factor && last->base > 0 ? (size_t)last->base : 0;
}

bool attn_lift_same_amount(const attn_ir_amount *a, const attn_ir_amount *b)
{
    return a->known && b->known && a->base == b->base && a->factor == b->factor &&
           (!a->factor || (a->symbol[0] == b->symbol[0] && a->symbol[1] == b->symbol[1]));
}

bool attn_lift_is_one(const attn_ir_amount *a)
{
    return a->known && !a->factor && a->base == 1;
}
