/* Norms of the last dimension, from their parts:
 *
 *   LayerNorm  c = x - mean(x), c / sqrt(mean(c^2) + eps) * weight + bias
 *   RMSNorm    x / sqrt(mean(x^2) + eps) * weight
 *
 * as exporters spell them: squares as Pow or Mul, the quotient as Div, or Mul with a Reciprocal. */
#include "runtime/onnx/lift.h"

#include <string.h>

static bool over_last(const attn_ir_node *mean)
{
    size_t count = 0;
    int64_t axis = 0;
    const int64_t *axes = attn_ir_ints(mean, "axes", &count);
    const attn_ir_value *x = attn_ir_in(mean, 0), *given = attn_ir_in(mean, 1);
    if (!x || !x->shaped || attn_ir_int(mean, "keepdims", 1) != 1) return false;
    if (axes && count == 1) {
        axis = axes[0];
    } else if (given && given->elements == 1 && given->element[0].factor == 0) {
        axis = given->element[0].base;
    } else {
        return false;
    }
    return axis == -1 || axis == x->rank - 1;
}

/* mean(x) over the last dimension: x. */
static attn_ir_value *mean_of(const attn_ir_value *value)
{
    attn_ir_node *mean = attn_ir_made_by(value, "ReduceMean");
    return mean && over_last(mean) ? mean->in[0] : NULL;
}

static attn_ir_value *square_of(const attn_ir_value *value)
{
    attn_ir_node *node = value ? value->producer : NULL;
    attn_ir_value *x = attn_lift_with_number(node, "Pow", 2);
    if (x) return x;
    return attn_ir_is(node, "Mul") && node->in[0] == node->in[1] ? node->in[0] : NULL;
}

/* sqrt(mean(x^2) + eps): x. */
static attn_ir_value *root_of(const attn_ir_value *value, double *eps)
{
    attn_ir_node *root = attn_ir_made_by(value, "Sqrt");
    attn_ir_value *variance =
        root && root->in[0] ? attn_lift_with_any(root->in[0]->producer, "Add", eps) : NULL;
    return square_of(mean_of(variance));
}

/* x / sqrt(mean(x^2) + eps), in one of its spellings: x. */
static attn_ir_value *normalized(const attn_ir_node *node, double *eps)
{
    if (attn_ir_is(node, "Div")) {
        attn_ir_value *x = root_of(node->in[1], eps);
        return x && x == node->in[0] ? x : NULL;
    }
    if (!attn_ir_is(node, "Mul")) return NULL;
    for (int side = 0; side < 2; side++) {
        attn_ir_node *inverse = node->in[side] ? node->in[side]->producer : NULL;
        attn_ir_value *x = NULL;
        if (attn_ir_is(inverse, "Reciprocal"))
            x = root_of(inverse->in[0], eps);
        else if (attn_ir_is(inverse, "Div") && attn_ir_is_number(inverse->in[0], 1))
            x = root_of(inverse->in[1], eps);
        if (x && x == node->in[1 - side]) return x;
    }
    return NULL;
}

/* value op c for a constant c of `columns` elements: c. */
static attn_ir_value *affine(const attn_ir_node *node, const char *op, const attn_ir_value *value,
                             size_t columns)
{
    if (!attn_ir_is(node, op)) return NULL;
    attn_ir_value *c = attn_lift_other(node, value);
    return c && c->constant && c->constant->count == columns && c->constant->rank == 1 ? c : NULL;
}

static void lift_one(attn_ir *ir, attn_ir_node *node)
{
    double eps = 0;
    attn_ir_value *x = normalized(node, &eps), *y = node->out[0];
    size_t columns = attn_lift_columns(x);
    if (!x || !columns || eps < 0 || eps > 1) return;
    /* c = x - mean(x)? */
    attn_ir_node *centred = attn_ir_made_by(x, "Sub");
    attn_ir_value *before = centred ? mean_of(centred->in[1]) : NULL;
    bool layer_norm = before && before == centred->in[0];
    attn_ir_node *next = attn_ir_only_reader(y);
    attn_ir_value *weight = affine(next, "Mul", y, columns), *bias = NULL;
    if (weight) {
        y = next->out[0];
        next = attn_ir_only_reader(y);
        if (layer_norm && (bias = affine(next, "Add", y, columns))) y = next->out[0];
    }
    /* Without a weight it is a layer_norm without anything. */
    attn_ir_value *in[3] = {layer_norm ? before : x, weight, bias};
    attn_ir_node *fresh =
        attn_lift_make(ir, y, layer_norm ? "LayerNorm" : "RMSNorm", bias ? 3 : 2, in);
    attn_ir_set_float(ir, fresh, "eps", (float)eps);
}

void attn_lift_norms(attn_ir *ir)
{
    for (attn_ir_node *n = ir->main->first; n; n = n->next) lift_one(ir, n);
    attn_ir_sweep(ir);
}
