/* Moves that bring what belongs together side by side. All leave the values as they are:
 *
 *   biases    Reshape(x) + c, where the reshape splits x's columns and c has their shape,
 *             becomes Reshape(x + c)
 *   rows      MatMul(Reshape(x), w), where the reshape joins the rows of x, becomes
 *             Reshape(MatMul(x, w))
 *   softmax   Transpose(Softmax(MatMul(k, q)) over the rows) becomes Softmax(MatMul(q', k'))
 *   reshapes  Reshape(Reshape(x)) becomes Reshape(x) */
#include "runtime/onnx/lift.h"

#include <string.h>

static bool plain_size(const attn_ir_amount *a, size_t *out)
{
    *out = a->known && !a->factor && a->base > 0 ? (size_t)a->base : 0;
    return *out > 0;
}

static void like(attn_ir_value *fresh, const attn_ir_value *old)
{
    if (!fresh) return;
    fresh->shaped = old->shaped;
    fresh->rank = old->rank;
    memcpy(fresh->dim, old->dim, sizeof fresh->dim);
}

/* The same elements of a constant, in one dimension. */
static attn_ir_value *flat_constant(attn_ir *ir, const attn_ir_value *value)
{
    attn_onnx_tensor *t = attn_arena_get(ir->arena, 1, sizeof *t, ir->err);
    if (!t) {
        ir->failed = true;
        return NULL;
    }
    *t = *value->constant;
    t->rank = 1;
    t->dim[0] = t->count;
    attn_ir_value *fresh = attn_ir_new_constant(ir, value->name, t);
    if (fresh) {
        fresh->type = value->type;
        fresh->shaped = true;
        fresh->rank = 1;
        fresh->dim[0] = (attn_ir_amount){.known = true, .base = (long)t->count, .symbol = {-1, -1}};
    }
    return fresh;
}

static void move_bias(attn_ir *ir, attn_ir_node *add)
{
    for (size_t side = 0; side < 2; side++) {
        attn_ir_node *reshape = attn_ir_made_by(add->in[side], "Reshape");
        attn_ir_value *c = add->in[1 - side], *x = reshape ? reshape->in[0] : NULL;
        size_t columns = attn_lift_columns(x), count = 1, size;
        if (!columns || !c->constant || c->constant->count != columns || c->constant->rank < 2 ||
            attn_ir_only_reader(add->in[side]) != add || !add->in[side]->shaped)
            continue;
        const attn_ir_value *split = add->in[side];
        int rank = split->rank, own = c->constant->rank;
        bool fits = own <= rank;
        for (int i = 0; fits && i < own; i++)
            fits = plain_size(&split->dim[rank - own + i], &size) && size == c->constant->dim[i] &&
                   attn_mul(count, size, &count);
        if (!fits || count != columns) continue;
        attn_ir_value *in[2] = {x, flat_constant(ir, c)};
        attn_ir_value *sum = attn_ir_new_value(ir, x->name, x->type);
        like(sum, x);
        if (!attn_ir_insert(ir, reshape, "Add", "", 2, in, 1, &sum)) return;
        sum->producer->name = add->name;
        sum->producer->place = add->place;
        sum->producer->scope = add->scope;
        attn_ir_set_in(ir, reshape, 0, sum);
        attn_ir_replace(ir, add->out[0], add->in[side]);
        return;
    }
}

/* node: MatMul or Gemm with a constant matrix. */
static void move_rows(attn_ir *ir, attn_ir_node *node)
{
    attn_ir_node *reshape = attn_ir_made_by(attn_ir_in(node, 0), "Reshape");
    attn_ir_value *x = reshape ? reshape->in[0] : NULL, *y = node->out[0];
    const attn_ir_value *w = attn_ir_in(node, 1);
    size_t columns = attn_lift_columns(x);
    bool gemm = attn_ir_is(node, "Gemm");
    if (!columns || columns != attn_lift_columns(node->in[0]) || !y || !y->shaped || !w ||
        !w->constant || w->constant->rank != 2 || x->rank < 2 ||
        (gemm && (attn_ir_int(node, "transA", 0) || attn_ir_float(node, "alpha", 1) != 1 ||
                  attn_ir_in(node, 2))))
        return;
    bool turned = gemm && attn_ir_int(node, "transB", 0);
    attn_ir_value *in[2] = {x, node->in[1]}, *product = attn_ir_new_value(ir, y->name, y->type);
    like(product, x);
    if (!product) return;
    product->dim[x->rank - 1] = y->dim[y->rank - 1];
    if (turned) {
        attn_ir_value *t = attn_ir_new_value(ir, w->name, w->type);
        attn_ir_insert(ir, node, "Transpose", "", 1, &in[1], 1, &t);
        in[1] = t;
    }
    if (!attn_ir_insert(ir, node, "MatMul", "", 2, in, 1, &product)) return;
    /* The rows are joined again; -1 stands for them. */
    const int64_t shape[2] = {-1, (int64_t)attn_lift_columns(y)};
    size_t two = 2;
    if (y->rank != 2 || shape[1] == 0) return;
    attn_ir_value *again[2] = {product, attn_ir_new_ints(ir, "shape", shape, 1, &two)},
                  *none = NULL;
    attn_ir_node *last = attn_ir_insert(ir, node, "Reshape", "", 2, again, 1, &none);
    attn_ir_give(ir, y, last, 0);
}

static bool swaps_last(const attn_ir_node *node, int rank)
{
    size_t count = 0;
    const int64_t *perm = attn_ir_ints(node, "perm", &count);
    if (!perm || count != (size_t)rank || rank < 2) return false;
    for (int i = 0; i < rank - 2; i++)
        if (perm[i] != i) return false;
    return perm[rank - 2] == rank - 1 && perm[rank - 1] == rank - 2;
}

static attn_ir_value *swapped(attn_ir *ir, attn_ir_node *before, attn_ir_value *value)
{
    int64_t perm[ATTN_MAX_RANK];
    attn_ir_value *y = attn_ir_new_value(ir, value->name, value->type);
    attn_ir_node *node = attn_ir_insert(ir, before, "Transpose", "", 1, &value, 1, &y);
    if (!node) return NULL;
    for (int i = 0; i < value->rank; i++) perm[i] = i;
    perm[value->rank - 2] = value->rank - 1;
    perm[value->rank - 1] = value->rank - 2;
    attn_ir_set_ints(ir, node, "perm", perm, (size_t)value->rank);
    like(y, value);
    y->dim[value->rank - 2] = value->dim[value->rank - 1];
    y->dim[value->rank - 1] = value->dim[value->rank - 2];
    return y;
}

static void turn_softmax(attn_ir *ir, attn_ir_node *softmax)
{
    attn_ir_value *y = softmax->out[0];
    int64_t axis = attn_ir_int(softmax, "axis", softmax->version >= 13 ? -1 : 1);
    attn_ir_node *turn = attn_ir_only_reader(y);
    attn_ir_node *product = attn_ir_made_by(softmax->in[0], "MatMul");
    if (!y->shaped || y->rank < 2 || !attn_ir_is(turn, "Transpose") || !product ||
        !swaps_last(turn, y->rank) || (axis != -2 && axis != y->rank - 2) ||
        softmax->version < 13 || attn_ir_only_reader(softmax->in[0]) != softmax ||
        !product->in[0]->shaped || product->in[0]->rank < 2 || !product->in[1]->shaped ||
        product->in[1]->rank < 2)
        return;
    attn_ir_value *in[2] = {swapped(ir, product, product->in[1]),
                            swapped(ir, product, product->in[0])};
    attn_ir_value *scores = attn_ir_new_value(ir, softmax->in[0]->name, y->type), *none = NULL;
    like(scores, turn->out[0]);
    if (!attn_ir_insert(ir, product, "MatMul", "", 2, in, 1, &scores)) return;
    attn_ir_node *fresh = attn_ir_insert(ir, softmax, "Softmax", "", 1, &scores, 1, &none);
    attn_ir_set_int(ir, fresh, "axis", -1);
    attn_ir_give(ir, turn->out[0], fresh, 0);
}

static void join_reshapes(attn_ir *ir, attn_ir_node *node)
{
    attn_ir_node *before = attn_ir_made_by(attn_ir_in(node, 0), "Reshape");
    size_t count = 0;
    const attn_ir_value *shape = attn_ir_in(node, 1);
    if (!before || !shape || !shape->constant) return;
    /* A 0 keeps a size of what is left out. */
    for (count = 0; count < shape->constant->count; count++)
        if (attn_tensor_int(shape->constant, count) == 0) return;
    attn_ir_set_in(ir, node, 0, before->in[0]);
}

void attn_lift_moves(attn_ir *ir)
{
    for (attn_ir_node *n = ir->main->first; n; n = n->next) {
        if (n->outputs != 1 || !n->out[0]) continue;
        if (attn_ir_is(n, "Add") && n->inputs == 2) move_bias(ir, n);
        if (attn_ir_is(n, "MatMul") || attn_ir_is(n, "Gemm")) move_rows(ir, n);
        if (attn_ir_is(n, "Softmax")) turn_softmax(ir, n);
    }
    attn_ir_sweep(ir);
    for (attn_ir_node *n = ir->main->first; n; n = n->next)
        if (attn_ir_is(n, "Reshape")) join_reshapes(ir, n);
    attn_ir_sweep(ir);
}
