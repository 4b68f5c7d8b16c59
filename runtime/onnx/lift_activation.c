/* Activations from their parts; formulas in models/FORMAT.md.
 *
 *   Gelu       x (1 + erf(x / sqrt 2)) / 2         GeluTanh  x (1 + tanh(...)) / 2
 *   QuickGelu  x sigmoid(1.702 x)                  Silu      x sigmoid(x)
 *   HardSwish  x hard_sigmoid(x), x clip(x + 3, 0, 6) / 6 */
#include "runtime/onnx/lift.h"

#include <math.h>
#include <string.h>

static attn_ir_node *maker(const attn_ir_value *value)
{
    return value ? value->producer : NULL;
}

/* x / number, or x * (1 / number). */
static attn_ir_value *divided(const attn_ir_value *value, double number)
{
    attn_ir_value *x = attn_lift_with_number(maker(value), "Div", number);
    return x ? x : attn_lift_with_number(maker(value), "Mul", 1 / number);
}

/* 1 + f(argument), f an operator: the argument. */
static attn_ir_value *one_and(const attn_ir_value *value, const char *f)
{
    attn_ir_node *inner = attn_ir_made_by(attn_lift_with_number(maker(value), "Add", 1), f);
    return inner ? inner->in[0] : NULL;
}

/* x^3 */
static attn_ir_value *cube_of(const attn_ir_value *value)
{
    attn_ir_node *node = maker(value);
    attn_ir_value *x = attn_lift_with_number(node, "Pow", 3);
    if (x || !attn_ir_is(node, "Mul")) return x;
    for (int side = 0; side < 2; side++) {
        attn_ir_node *square = attn_ir_made_by(node->in[side], "Mul");
        x = node->in[1 - side];
        if (square && square->in[0] == x && square->in[1] == x) return x;
        if (attn_lift_with_number(maker(node->in[side]), "Pow", 2) == x) return x;
    }
    return NULL;
}

/* sqrt(2 / pi) (x + 0.044715 x^3): x. */
static attn_ir_value *tanh_argument(const attn_ir_value *value)
{
    attn_ir_value *sum = attn_lift_with_number(maker(value), "Mul", 0.7978845608028654);
    attn_ir_node *add = attn_ir_made_by(sum, "Add");
    for (int side = 0; add && side < 2; side++) {
        attn_ir_value *cube = attn_lift_with_number(maker(add->in[side]), "Mul", 0.044715);
        attn_ir_value *x = add->in[1 - side];
        if (cube && cube_of(cube) == x) return x;
    }
    /* x * 0.7978 * (1 + 0.044715 x^2) */
    return NULL;
}

/* The x of (1 + erf(x / sqrt 2)) or (1 + tanh(...)). */
static attn_ir_value *gate_of(const attn_ir_value *value, const char **op)
{
    attn_ir_value *x = divided(one_and(value, "Erf"), sqrt(2));
    *op = "Gelu";
    if (x) return x;
    *op = "GeluTanh";
    return tanh_argument(one_and(value, "Tanh"));
}

/* factors of a product, two or three: x, the gate, 1/2 in any order. */
static attn_ir_value *gelu(const attn_ir_node *node, const char **op)
{
    attn_ir_value *half = attn_lift_with_number(node, "Mul", 0.5);
    if (!half) half = attn_lift_with_number(node, "Div", 2);
    attn_ir_node *product = half ? attn_ir_made_by(half, "Mul") : NULL;
    for (int side = 0; product && side < 2; side++) {
        attn_ir_value *x = gate_of(product->in[side], op);
        if (x && x == product->in[1 - side]) return x;
    }
    if (!attn_ir_is(node, "Mul")) return NULL;
    for (int side = 0; side < 2; side++) {
        attn_ir_value *gate = node->in[side], *other = node->in[1 - side];
        attn_ir_value *x = gate_of(gate, op); /* (x / 2) * gate */
        if (x && (attn_lift_with_number(maker(other), "Mul", 0.5) == x ||
                  attn_lift_with_number(maker(other), "Div", 2) == x))
            return x;
        attn_ir_value *inner = attn_lift_with_number(maker(gate), "Mul", 0.5); /* x * (gate / 2) */
        x = inner ? gate_of(inner, op) : NULL;
        if (x && x == other) return x;
    }
    return NULL;
}

/* clip(x + 3, 0, 6): x. The bounds are inputs, or attributes (the first opsets). */
static attn_ir_value *shifted_clip(const attn_ir_value *value)
{
    attn_ir_node *clip = attn_ir_made_by(value, "Clip");
    if (!clip) return NULL;
    double low = (double)attn_ir_float(clip, "min", -1),
           high = (double)attn_ir_float(clip, "max", -1);
    if (attn_ir_in(clip, 1) && !attn_lift_uniform(attn_ir_in(clip, 1), &low)) return NULL;
    if (attn_ir_in(clip, 2) && !attn_lift_uniform(attn_ir_in(clip, 2), &high)) return NULL;
    return low == 0 && high == 6 ? attn_lift_with_number(maker(clip->in[0]), "Add", 3) : NULL;
}

/* hard_sigmoid(x) with its usual numbers, or clip(x + 3, 0, 6) / 6. */
static attn_ir_value *hard_gate(const attn_ir_value *value)
{
    attn_ir_node *node = attn_ir_made_by(value, "HardSigmoid");
    if (node)
        return fabsf(attn_ir_float(node, "alpha", 0.2f) - 1.0f / 6) < 1e-6f &&
                       attn_ir_float(node, "beta", 0.5f) == 0.5f
                   ? node->in[0]
                   : NULL;
    return shifted_clip(divided(value, 6));
}

static attn_ir_value *gated(const attn_ir_node *node, const char **op)
{
    if (!attn_ir_is(node, "Mul")) return NULL;
    for (int side = 0; side < 2; side++) {
        attn_ir_value *x = node->in[1 - side];
        attn_ir_node *sigmoid = attn_ir_made_by(node->in[side], "Sigmoid");
        *op = "Silu";
        if (sigmoid && sigmoid->in[0] == x) return x;
        *op = "QuickGelu";
        if (sigmoid && attn_lift_with_number(maker(sigmoid->in[0]), "Mul", 1.702) == x) return x;
        *op = "HardSwish";
        if (x && hard_gate(node->in[side]) == x) return x;
    }
    return NULL;
}

/* x clip(x + 3, 0, 6), then / 6 */
static attn_ir_value *late_hard_swish(const attn_ir_node *node)
{
    attn_ir_value *product = attn_lift_with_number(node, "Div", 6);
    if (!product) product = attn_lift_with_number(node, "Mul", 1.0 / 6);
    attn_ir_node *mul = product ? attn_ir_made_by(product, "Mul") : NULL;
    for (int side = 0; mul && side < 2; side++) {
        attn_ir_value *x = shifted_clip(mul->in[side]);
        if (x && x == mul->in[1 - side]) return x;
    }
    return NULL;
}

void attn_lift_activations(attn_ir *ir)
{
    for (attn_ir_node *n = ir->main->first; n; n = n->next) {
        const char *op = NULL;
        if (*n->domain || n->outputs != 1) continue;
        attn_ir_value *x = gelu(n, &op);
        if (!x) x = gated(n, &op);
        if (!x && (x = late_hard_swish(n))) op = "HardSwish";
        if (x && attn_onnx_is_float(x->type)) attn_lift_make(ir, n->out[0], op, 1, &x);
    }
    attn_ir_sweep(ir);
}
