/* A product with a constant matrix, and the constant that is added to each of its rows. */
#include "runtime/onnx/lift.h"

#include <string.h>

typedef struct product {
    attn_ir_value *x, *weight, *bias;
    bool transposed; /* the weight lies [in, out] */
} product;

static bool is_matrix(const attn_ir_value *value)
{
    return value && value->constant && value->constant->rank == 2 &&
           (attn_onnx_is_float(value->constant->type) || value->constant->scale) &&
           value->constant->count > 0;
}

/* A constant, or a transposed one. */
static attn_ir_value *matrix_of(attn_ir_value *value, bool *transposed)
{
    if (is_matrix(value)) return value;
    attn_ir_node *node = attn_ir_made_by(value, "Transpose");
    size_t count = 0;
    const int64_t *perm = node ? attn_ir_ints(node, "perm", &count) : NULL;
    if (!node || !is_matrix(node->in[0]) || (perm && (count != 2 || perm[0] != 1))) return NULL;
    *transposed = !*transposed;
    return node->in[0];
}

static bool read_product(attn_ir_node *node, product *p)
{
    *p = (product){.x = attn_ir_in(node, 0)};
    if (!p->x || !attn_onnx_is_float(p->x->type)) return false;
    p->transposed = true;
    if (attn_ir_is(node, "MatMul")) {
        p->weight = matrix_of(node->in[1], &p->transposed);
        return p->weight && p->x->shaped && p->x->rank >= 1;
    }
    if (!attn_ir_is(node, "Gemm") || attn_ir_int(node, "transA", 0) ||
        attn_ir_float(node, "alpha", 1) != 1)
        return false;
    p->transposed = !attn_ir_int(node, "transB", 0);
    p->weight = matrix_of(attn_ir_in(node, 1), &p->transposed);
    p->bias = attn_ir_in(node, 2);
    if (p->bias && attn_ir_float(node, "beta", 1) != 1) return false;
    return p->weight != NULL;
}

static size_t columns_of(const product *p)
{
    return p->weight->constant->dim[p->transposed ? 1 : 0];
}

static bool is_bias(const product *p, const attn_ir_value *value)
{
    return value && value->constant && value->constant->rank == 1 &&
           value->constant->count == columns_of(p) && attn_onnx_is_float(value->constant->type);
}

/* Rows of a table by ids that a run gives. */
static void lift_embedding(attn_ir *ir, attn_ir_node *node)
{
    attn_ir_value *table = attn_ir_in(node, 0), *ids = attn_ir_in(node, 1);
    if (!is_matrix(table) || !ids || ids->constant || ids->elements || ids->counts ||
        ids->uniform || attn_ir_int(node, "axis", 0) != 0)
        return;
    attn_ir_value *in[2] = {ids, table};
    attn_ir_node *fresh = attn_lift_make(ir, node->out[0], "Embedding", 2, in);
    if (fresh) fresh->name = node->name;
}

static void lift_body(attn_ir *ir, const attn_ir_body *body)
{
    for (attn_ir_node *n = body->first; n; n = n->next) {
        product p;
        for (size_t i = 0; i < n->bodies; i++) lift_body(ir, n->body[i]);
        if (attn_ir_is(n, "Gather")) lift_embedding(ir, n);
        if (n->outputs != 1 || !read_product(n, &p)) continue;
        attn_ir_value *y = n->out[0];
        if (p.bias && !is_bias(&p, p.bias)) continue;
        attn_ir_node *add = p.bias ? NULL : attn_ir_only_reader(y);
        if (attn_ir_is(add, "Add") && is_bias(&p, attn_lift_other(add, y))) {
            p.bias = attn_lift_other(add, y);
            y = add->out[0];
        }
        attn_ir_value *in[3] = {p.x, p.weight, p.bias};
        const char *name = n->name, *scope = n->scope, *place = n->place;
        attn_ir_node *fresh = attn_lift_make(ir, y, "Linear", p.bias ? 3 : 2, in);
        if (!fresh) return;
        fresh->name = name;
        fresh->scope = scope;
        fresh->place = place;
        attn_ir_set_int(ir, fresh, "transposed", p.transposed);
    }
}

void attn_lift_linear(attn_ir *ir)
{
    lift_body(ir, ir->main);
    attn_ir_sweep(ir);
}
