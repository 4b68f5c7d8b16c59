/* MatMul, Softmax, MatMul as one attention.
 *
 *     scores  = MatMul(A, B)       A: [lead..., heads, q_len, dim], B: [lead..., heads, dim, k_len]
 *     scores  = scores * scale + biases, or Where(mask, scores, -infinity)
 *     weights = Softmax(scores)
 *     O       = MatMul(weights, V) V: [lead..., heads, k_len, v_dim]
 *
 * How heads were split and joined is not matched node by node: A, B, V and what is made of O are
 * compared, element by element, with what the layer reads and writes, q [lead..., q_len, heads *
 * dim] and so on (see lift_view.c). Where no such value is found, the heads are leading dimensions
 * of an attention of one head. */
#include "runtime/onnx/lift.h"

#include <math.h>
#include <string.h>

enum { MOST_STEPS = 16, MOST_BIASES = 2, Q = 0, K = 1, V = 2 };

/* The values behind an operand, nearest first, and the numbers that were multiplied on the way. */
typedef struct chain {
    size_t length;
    attn_ir_value *value[MOST_STEPS + 1];
    double scale[MOST_STEPS + 1];
    attn_ir_node *node[MOST_STEPS]; /* made value[i] of value[i + 1]; NULL: elementwise */
    size_t slot[MOST_STEPS];
} chain;

typedef struct operand {
    attn_ir_value *source; /* [lead..., rows, columns] */
    size_t offset, width;  /* the columns of source that it is: heads * dim */
    size_t heads, dim;
    double scale;
} operand;

typedef struct found {
    attn_ir *ir;
    attn_ir_node *first, *softmax, *second; /* MatMul, Softmax, MatMul */
    double scale;
    size_t biases;
    attn_ir_value *bias[MOST_BIASES], *mask;
    bool hides; /* mask is true where a key is hidden */
    size_t q_len, k_len, dim, v_dim;
    operand in[3];
    attn_ir_value *out; /* [lead..., q_len, heads * v_dim] */
} found;

static bool is_float_cast(const attn_ir_node *node)
{
    return attn_ir_is(node, "Cast") && attn_onnx_is_float(node->in[0]->type) &&
           attn_onnx_is_float((attn_onnx_type)attn_ir_int(node, "to", 0));
}

/* Other dimensions, but the rows stay what they are. */
static bool is_flat(const attn_ir_node *node)
{
    static const char *const ops[] = {"Reshape", "Squeeze", "Unsqueeze", NULL};
    const attn_ir_value *x = attn_ir_in(node, 0), *y = node ? node->out[0] : NULL;
    for (int i = 0; node && ops[i]; i++)
        if (attn_ir_is(node, ops[i]) && x->shaped && y->shaped && x->rank >= 2 && y->rank >= 2)
            return attn_lift_same_amount(&x->dim[x->rank - 1], &y->dim[y->rank - 1]) &&
                   attn_lift_same_amount(&x->dim[x->rank - 2], &y->dim[y->rank - 2]);
    return false;
}

/* Multiplied or divided by a number: the other operand. */
static attn_ir_value *scaled(const attn_ir_node *node, double *factor)
{
    double number;
    attn_ir_value *other = attn_lift_with_any(node, "Mul", &number);
    if (other) {
        *factor *= number;
    } else if ((other = attn_lift_with_any(node, "Div", &number)) && number != 0) {
        *factor /= number;
    } else {
        return NULL;
    }
    const attn_ir_value *y = node->out[0];
    if (!other->shaped || !y || !y->shaped || other->rank != y->rank) return NULL;
    for (int i = 0; i < y->rank; i++)
        if (!attn_lift_same_amount(&other->dim[i], &y->dim[i])) return NULL;
    return other;
}

static void walk_back(attn_ir_value *value, chain *c)
{
    *c = (chain){.value[0] = value, .scale[0] = 1};
    while (c->length < MOST_STEPS) {
        size_t i = c->length;
        attn_ir_node *made = c->value[i]->producer;
        double factor = c->scale[i];
        attn_ir_value *next;
        c->node[i] = NULL;
        if (!made) return;
        if (attn_view_is(made)) {
            c->node[i] = made;
            next = made->in[0];
        } else if (is_float_cast(made)) {
            next = made->in[0];
        } else if (!(next = scaled(made, &factor))) {
            return;
        }
        if (!next) return;
        c->slot[i] = c->value[i]->slot;
        c->value[i + 1] = next;
        c->scale[i + 1] = factor;
        c->length++;
    }
}

/* The places of value[0]'s elements in value[at]. */
static bool view_of(attn_ir *ir, const chain *c, size_t at, attn_view *view)
{
    size_t dim[ATTN_MAX_RANK], count;
    if (!attn_view_dims(ir, c->value[at], dim, &count) || !attn_view_begin(ir, count, view))
        return false;
    for (size_t i = at; i-- > 0;) {
        attn_view next;
        if (!c->node[i]) continue;
        bool done = attn_view_follow(ir, c->node[i], c->slot[i], view, &next);
        attn_view_free(ir, view);
        if (!done) return false;
        *view = next;
    }
    return true;
}

/* Is the view [lead * heads, rows, dim] (transposed: [..., dim, rows]) of a source [lead, rows,
 * columns]? Fills what the operand is. */
static bool fits(const attn_view *view, bool transposed, size_t rows, size_t dim, size_t lead,
                 size_t columns, operand *out)
{
    size_t planes = view->count / (rows * dim), heads = planes / lead, group = 1;
    if (lead == 0 || planes % lead || heads == 0) return false;
    while (group < heads && view->from[group * rows * dim] == view->from[0]) group++;
    if (heads % group) return false;
    size_t kv_heads = heads / group, offset = view->from[0];
    if (offset + kv_heads * dim > columns) return false;
    size_t i = 0;
    for (size_t plane = 0; plane < planes; plane++) {
        size_t item = plane / heads, head = plane % heads / group;
        for (size_t a = 0; a < (transposed ? dim : rows); a++)
            for (size_t b = 0; b < (transposed ? rows : dim); b++, i++) {
                size_t row = transposed ? b : a, column = transposed ? a : b;
                if (view->from[i] != (item * rows + row) * columns + offset + head * dim + column)
                    return false;
            }
    }
    out->offset = offset;
    out->heads = kv_heads;
    out->dim = dim;
    out->width = kv_heads * dim;
    return true;
}

/* The value whose columns are the heads of `value`: of several that with the most heads. */
static bool find_source(const found *f, attn_ir_value *value, bool transposed, size_t rows,
                        size_t dim, operand *out)
{
    chain c;
    walk_back(value, &c);
    *out = (operand){0};
    for (size_t i = 1; i <= c.length; i++) {
        operand o;
        size_t size[ATTN_MAX_RANK], count;
        attn_ir_value *source = c.value[i];
        if (!attn_view_dims(f->ir, source, size, &count) || source->rank < 2) continue;
        size_t columns = size[source->rank - 1];
        if (size[source->rank - 2] != rows || columns < dim || columns % dim) continue;
        attn_view view;
        if (!view_of(f->ir, &c, i, &view)) continue;
        bool matches = fits(&view, transposed, rows, dim, count / rows / columns, columns, &o);
        attn_view_free(f->ir, &view);
        if (!matches || o.heads < out->heads) continue;
        *out = o;
        out->source = source;
        out->scale = c.scale[i];
    }
    return out->source != NULL;
}

/* ---- what is between ------------------------------------------------------------------------ */

/* Of the scores [lead..., heads, q_len, k_len]: does it broadcast as the layer does? */
static bool mask_fits(const attn_ir_value *mask, const attn_ir_value *scores)
{
    if (!mask || !mask->shaped || !scores->shaped || mask->rank > scores->rank || mask->rank < 1)
        return false;
    int shift = scores->rank - mask->rank;
    bool ones = true, equal = true;
    for (int i = 0; i < mask->rank; i++) {
        const attn_ir_amount *have = &mask->dim[i], *want = &scores->dim[i + shift];
        bool same = attn_lift_same_amount(have, want), one = attn_lift_is_one(have);
        if (i == mask->rank - 1 && !same) return false;
        if (i >= mask->rank - 3 && !same && !one) return false;
        if (i < mask->rank - 3) {
            ones = ones && one;
            equal = equal && same;
        }
    }
    return ones || (equal && shift == 0);
}

static bool hides_by(const attn_ir_value *value)
{
    double number;
    return attn_lift_uniform(value, &number) && number <= -1e30;
}

/* Is there a product behind the value, and only what scores go through between? */
static bool is_behind(const attn_ir_value *value, int depth)
{
    attn_ir_node *made = value->producer;
    double factor = 1;
    if (!made || depth == MOST_STEPS || value->uses != 1) return false;
    if (attn_ir_is(made, "MatMul")) return true;
    if (attn_ir_is(made, "Add"))
        return is_behind(made->in[0], depth + 1) || is_behind(made->in[1], depth + 1);
    if (attn_ir_is(made, "Where"))
        return is_behind(made->in[1], depth + 1) || is_behind(made->in[2], depth + 1);
    if (is_float_cast(made) || is_flat(made)) return is_behind(made->in[0], depth + 1);
    const attn_ir_value *x = scaled(made, &factor);
    return x && is_behind(x, depth + 1);
}

/* From the softmax back to the first product. */
static bool read_scores(found *f)
{
    attn_ir_value *at = f->softmax->in[0];
    for (int step = 0; step < MOST_STEPS; step++) {
        attn_ir_node *made = at->producer;
        double factor = 1;
        attn_ir_value *next;
        if (!made || attn_ir_only_reader(at) == NULL) return false;
        if (attn_ir_is(made, "MatMul")) {
            f->first = made;
            return true;
        }
        if ((next = scaled(made, &factor))) {
            f->scale *= factor;
        } else if (is_float_cast(made) || is_flat(made)) {
            next = made->in[0];
        } else if (attn_ir_is(made, "Add")) {
            if (f->scale != 1) return false; /* what comes later scales it, too */
            size_t side = is_behind(made->in[0], 0) ? 0 : 1;
            next = made->in[side];
            if (!next->producer || !attn_ir_only_reader(next) ||
                !mask_fits(made->in[1 - side], next))
                return false;
            if (f->biases == MOST_BIASES) return false;
            f->bias[f->biases++] = attn_lift_other(made, next);
        } else if (attn_ir_is(made, "Where") && !f->mask && !f->biases) {
            if (f->scale != 1) return false;
            f->hides = hides_by(made->in[1]);
            if (!f->hides && !hides_by(made->in[2])) return false;
            next = made->in[f->hides ? 2 : 1];
            f->mask = made->in[0];
            if (!mask_fits(f->mask, next)) return false;
        } else {
            return false;
        }
        at = next;
    }
    return false;
}

static bool is_over_last(const attn_ir_node *softmax)
{
    const attn_ir_value *y = softmax->out[0];
    if (!y || !y->shaped) return false;
    int64_t axis = attn_ir_int(softmax, "axis", softmax->version >= 13 ? -1 : 1);
    return axis == -1 || axis == y->rank - 1;
}

/* ---- what is made of it --------------------------------------------------------------------- */

/* Is the view of O [lead * heads, rows, dim] the joined heads, [lead, rows, heads * dim]? */
static bool is_joined(const attn_view *view, size_t lead, size_t heads, size_t rows, size_t dim)
{
    size_t i = 0;
    if (view->count != lead * heads * rows * dim) return false;
    for (size_t item = 0; item < lead; item++)
        for (size_t row = 0; row < rows; row++)
            for (size_t head = 0; head < heads; head++)
                for (size_t d = 0; d < dim; d++, i++)
                    if (view->from[i] != ((item * heads + head) * rows + row) * dim + d)
                        return false;
    return true;
}

static bool same_leads(const attn_ir_value *a, const attn_ir_value *b)
{
    if (!a->shaped || !b->shaped || a->rank != b->rank) return false;
    for (int i = 0; i < a->rank - 2; i++)
        if (!attn_lift_same_amount(&a->dim[i], &b->dim[i])) return false;
    return true;
}

/* The value after O that has the joined heads. */
static bool find_out(found *f)
{
    attn_ir_value *at = f->second->out[0];
    size_t dim[ATTN_MAX_RANK], count;
    attn_view view;
    if (!attn_view_dims(f->ir, at, dim, &count) || !attn_view_begin(f->ir, count, &view))
        return false;
    const operand *q = &f->in[Q];
    size_t lead = count / (q->heads * f->q_len * f->v_dim);
    bool done = false;
    for (int step = 0; step < MOST_STEPS && !done; step++) {
        if (same_leads(at, q->source) && attn_view_dims(f->ir, at, dim, &count) &&
            dim[at->rank - 1] == q->heads * f->v_dim && dim[at->rank - 2] == f->q_len &&
            is_joined(&view, lead, q->heads, f->q_len, f->v_dim)) {
            f->out = at;
            done = true;
            break;
        }
        attn_ir_node *next = attn_ir_only_reader(at);
        attn_view after;
        if (!next || !attn_view_is(next) || next->in[0] != at || next->outputs != 1 ||
            !attn_view_follow(f->ir, next, 0, &view, &after))
            break;
        attn_view_free(f->ir, &view);
        view = after;
        at = next->out[0];
    }
    attn_view_free(f->ir, &view);
    return done;
}

/* The columns of the source that the operand is. */
static attn_ir_value *take_columns(found *f, const operand *o)
{
    size_t columns = attn_lift_columns(o->source), one = 1;
    if (o->offset == 0 && columns == o->width) return o->source;
    const int64_t start = (int64_t)o->offset, end = (int64_t)(o->offset + o->width), axis = -1;
    attn_ir_value *in[4] = {o->source, attn_ir_new_ints(f->ir, "start", &start, 1, &one),
                            attn_ir_new_ints(f->ir, "end", &end, 1, &one),
                            attn_ir_new_ints(f->ir, "axis", &axis, 1, &one)};
    attn_ir_value *y = attn_ir_new_value(f->ir, o->source->name, o->source->type);
    attn_ir_insert(f->ir, f->second, "Slice", "", 4, in, 1, &y);
    return y;
}

static attn_ir_value *swapped(found *f, attn_ir_value *value)
{
    int64_t perm[ATTN_MAX_RANK];
    attn_ir_value *y = attn_ir_new_value(f->ir, value->name, value->type);
    attn_ir_node *node = attn_ir_insert(f->ir, f->second, "Transpose", "", 1, &value, 1, &y);
    for (int i = 0; i < value->rank; i++) perm[i] = i;
    perm[value->rank - 2] = value->rank - 1;
    perm[value->rank - 1] = value->rank - 2;
    attn_ir_set_ints(f->ir, node, "perm", perm, (size_t)value->rank);
    return y;
}

static void replace(found *f, attn_ir_value *const *qkv, size_t heads, size_t kv_heads)
{
    attn_ir_value *in[7] = {qkv[Q], qkv[K], qkv[V], f->bias[0], f->bias[1], f->mask, NULL};
    if (f->mask && f->hides) {
        attn_ir_value *keeps = attn_ir_new_value(f->ir, f->mask->name, ATTN_ONNX_BOOL);
        attn_ir_insert(f->ir, f->second, "Not", "", 1, &f->mask, 1, &keeps);
        in[5] = keeps;
    }
    attn_ir_value *none = NULL;
    attn_ir_node *fresh = attn_ir_insert(f->ir, f->second, "Attention", "attn", 7, in, 1, &none);
    if (!fresh) return;
    fresh->name = f->softmax->name;
    fresh->scope = f->softmax->scope;
    fresh->place = f->softmax->place;
    attn_ir_give(f->ir, f->out, fresh, 0);
    attn_ir_set_int(f->ir, fresh, "heads", (int64_t)heads);
    attn_ir_set_int(f->ir, fresh, "kv_heads", (int64_t)kv_heads);
    attn_ir_set_float(f->ir, fresh, "scale", (float)f->scale);
    attn_ir_set_int(f->ir, fresh, "dim", (int64_t)f->dim);
}

/* The layer takes the biases as they are. */
static bool biases_fit(const found *f)
{
    const attn_ir_value *q = f->in[Q].source, *k = f->in[K].source;
    return attn_lift_mask_fits(f->bias[0], q, k, f->in[Q].heads) &&
           attn_lift_mask_fits(f->bias[1], q, k, f->in[Q].heads) &&
           attn_lift_mask_fits(f->mask, q, k, f->in[Q].heads);
}

static bool by_heads(found *f)
{
    attn_ir_value *k = f->first->in[1];
    if (!find_source(f, f->first->in[0], false, f->q_len, f->dim, &f->in[Q]) ||
        !find_source(f, k, true, f->k_len, f->dim, &f->in[K]) ||
        !find_source(f, f->second->in[1], false, f->k_len, f->v_dim, &f->in[V]) ||
        f->in[K].heads != f->in[V].heads || f->in[Q].heads % f->in[K].heads ||
        !same_leads(f->in[Q].source, f->in[K].source) ||
        !same_leads(f->in[Q].source, f->in[V].source) || f->in[V].scale != 1 || !biases_fit(f) ||
        !find_out(f))
        return false;
    f->scale *= f->in[Q].scale * f->in[K].scale;
    attn_ir_value *qkv[3];
    for (int i = 0; i < 3; i++) qkv[i] = take_columns(f, &f->in[i]);
    replace(f, qkv, f->in[Q].heads, f->in[K].heads);
    return true;
}

/* One head; those of the model are leading dimensions. */
static bool by_leads(found *f)
{
    attn_ir_value *q = f->first->in[0], *k = f->first->in[1], *v = f->second->in[1];
    if (f->bias[0] || f->mask || !same_leads(q, v) || !same_leads(q, k)) return false;
    f->out = f->second->out[0];
    attn_ir_value *qkv[3] = {q, swapped(f, k), v};
    replace(f, qkv, 1, 1);
    return true;
}

static bool lengths(found *f)
{
    size_t q[ATTN_MAX_RANK], v[ATTN_MAX_RANK], count;
    const attn_ir_value *a = f->first->in[0], *b = f->second->in[1];
    if (!attn_view_dims(f->ir, a, q, &count) || !attn_view_dims(f->ir, b, v, &count) ||
        a->rank < 2 || b->rank < 2)
        return false;
    f->q_len = q[a->rank - 2];
    f->dim = q[a->rank - 1];
    f->k_len = v[b->rank - 2];
    f->v_dim = v[b->rank - 1];
    return true;
}

void attn_lift_attention(attn_ir *ir)
{
    for (attn_ir_node *n = ir->main->first; n; n = n->next) {
        if (!attn_ir_is(n, "Softmax") || !is_over_last(n)) continue;
        found f = {.ir = ir, .softmax = n, .scale = 1};
        attn_ir_value *weights = n->out[0];
        attn_ir_node *next = attn_ir_only_reader(weights);
        while (next && (is_float_cast(next) || is_flat(next))) {
            weights = next->out[0];
            next = attn_ir_only_reader(weights);
        }
        if (!attn_ir_is(next, "MatMul") || next->in[0] != weights) continue;
        f.second = next;
        if (!read_scores(&f) || !lengths(&f)) continue;
        if (!by_heads(&f)) by_leads(&f);
    }
    attn_ir_sweep(ir);
}
