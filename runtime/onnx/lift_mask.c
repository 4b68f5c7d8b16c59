/* Biases of attention that are masks: Where(condition, 0, a very negative number) hides the keys
 * for which the condition is false, and where it depends on the keys alone it is their padding.
 * What the condition is made of by reshapes, expansions and what is always true is passed over. */
#include "runtime/onnx/lift.h"

#include <string.h>

enum { BIAS = 3, MASK = 5, PADDING = 6, MOST_STEPS = 32 };

/* Of the scores, [lead..., heads, q_len, k_len]. */
typedef struct scores {
    int rank;
    attn_ir_amount dim[ATTN_MAX_RANK + 1];
} scores;

static bool read_scores(const attn_ir_value *q, const attn_ir_value *k, size_t heads, scores *s)
{
    if (!q->shaped || !k->shaped || q->rank < 2 || k->rank != q->rank) return false;
    s->rank = q->rank + 1;
    memcpy(s->dim, q->dim, (size_t)(q->rank - 2) * sizeof *s->dim);
    s->dim[s->rank - 3] = (attn_ir_amount){.known = true, .base = (long)heads, .symbol = {-1, -1}};
    s->dim[s->rank - 2] = q->dim[q->rank - 2];
    s->dim[s->rank - 1] = k->dim[k->rank - 2];
    return true;
}

/* Does the layer take it as a mask? */
static bool fits(const attn_ir_value *v, const scores *s)
{
    if (!v->shaped || v->rank < 2 || v->rank > s->rank) return false;
    int shift = s->rank - v->rank;
    bool ones = true, equal = shift == 0;
    for (int i = 0; i < v->rank; i++) {
        bool same = attn_lift_same_amount(&v->dim[i], &s->dim[i + shift]),
             one = attn_lift_is_one(&v->dim[i]);
        if (i == v->rank - 1 && !same) return false;
        if (i >= v->rank - 3 && !same && !one) return false;
        if (i >= v->rank - 3) continue;
        ones = ones && one;
        equal = equal && same;
    }
    return ones || equal;
}

bool attn_lift_mask_fits(const attn_ir_value *value, const attn_ir_value *q, const attn_ir_value *k,
                         size_t heads)
{
    scores s;
    return !value || (read_scores(q, k, heads, &s) && fits(value, &s));
}

/* Depends on the lead and the key alone: [lead..., 1, 1, k_len]. */
static bool is_of_keys(const attn_ir_value *v, const scores *s)
{
    if (!v->shaped || v->rank != s->rank || s->rank < 4) return false;
    for (int i = 0; i < v->rank; i++) {
        bool between = i == v->rank - 3 || i == v->rank - 2;
        if (between ? !attn_lift_is_one(&v->dim[i])
                    : !attn_lift_same_amount(&v->dim[i], &s->dim[i]))
            return false;
    }
    return true;
}

/* The condition of which value is made: nearer to the data, and true in the same places. *turned:
 * true where that is false. */
static attn_ir_value *before(const attn_ir_value *value, bool *turned)
{
    attn_ir_node *node = value->producer;
    double number;
    if (!node) return NULL;
    if (attn_ir_is(node, "Expand")) return node->in[0];
    if (attn_view_is_flat(node)) return node->in[0];
    if (attn_ir_is(node, "Cast") && !attn_onnx_is_float(node->in[0]->type) &&
        !attn_onnx_is_float((attn_onnx_type)attn_ir_int(node, "to", 0)))
        return node->in[0];
    if (attn_ir_is(node, "Not")) {
        *turned = !*turned;
        return node->in[0];
    }
    if (attn_ir_is(node, "And"))
        for (size_t i = 0; i < 2; i++)
            if (attn_lift_uniform(node->in[i], &number) && number != 0) return node->in[1 - i];
    return NULL;
}

/* The bias is 0 where the condition is true (*keeps) or false, and hides everywhere else. */
static attn_ir_value *condition_of(const attn_ir_value *bias, bool *keeps)
{
    double yes, no;
    attn_ir_node *node = bias ? bias->producer : NULL;
    while (node && (attn_ir_is(node, "Expand") || attn_view_is_flat(node))) {
        if (!node->in[0]->producer) return NULL;
        node = node->in[0]->producer;
    }
    if (!attn_ir_is(node, "Where") || !attn_lift_uniform(node->in[1], &yes) ||
        !attn_lift_uniform(node->in[2], &no))
        return NULL;
    *keeps = yes == 0;
    return (yes == 0 && no <= -1e4) || (no == 0 && yes <= -1e4) ? node->in[0] : NULL;
}

/* The value furthest back of which `value` is only another shape: [lead..., k_len]. */
static attn_ir_value *keys_of(attn_ir_value *value, const scores *s)
{
    attn_ir_value *found = NULL;
    for (int step = 0; step < MOST_STEPS && value; step++) {
        bool matches = value->shaped && value->rank == s->rank - 2;
        for (int i = 0; matches && i < value->rank; i++)
            matches = attn_lift_same_amount(&value->dim[i],
                                            &s->dim[i == value->rank - 1 ? s->rank - 1 : i]);
        if (matches) found = value;
        attn_ir_node *node = value->producer;
        bool cast = attn_ir_is(node, "Cast") && !attn_onnx_is_float(node->in[0]->type);
        value = attn_view_is_flat(node) || cast ? node->in[0] : NULL;
    }
    return found;
}

static attn_ir_value *negated(attn_ir *ir, attn_ir_node *at, attn_ir_value *value)
{
    attn_ir_value *y = attn_ir_new_value(ir, value->name, ATTN_ONNX_BOOL);
    attn_ir_insert(ir, at, "Not", "", 1, &value, 1, &y);
    return y;
}

static void set_mask(attn_ir *ir, attn_ir_node *node, const scores *s, attn_ir_value *condition,
                     bool keeps)
{
    /* As near to the data as the layer takes it. */
    attn_ir_value *best = condition, *keys = NULL;
    bool best_keeps = keeps, turned = !keeps, keys_keep = keeps;
    for (int step = 0; step < MOST_STEPS && condition; step++) {
        if (fits(condition, s)) {
            best = condition;
            best_keeps = !turned;
        }
        if (is_of_keys(condition, s)) {
            attn_ir_value *flat = keys_of(condition, s);
            if (flat) keys = flat;
            if (flat) keys_keep = !turned;
        }
        condition = before(condition, &turned);
    }
    if (keys) {
        attn_ir_set_in(ir, node, MASK, NULL);
        attn_ir_set_in(ir, node, PADDING, keys_keep ? keys : negated(ir, node, keys));
        return;
    }
    attn_ir_set_in(ir, node, MASK, best_keeps ? best : negated(ir, node, best));
}

/* A bias that is the sum of another one and a mask, or that one masked: the mask's condition, and
 * the other. */
static attn_ir_value *part_of(const attn_ir_value *bias, const scores *s, bool *keeps,
                              attn_ir_value **rest)
{
    attn_ir_node *add = attn_ir_made_by(bias, "Add");
    for (size_t side = 0; add && side < 2; side++) {
        attn_ir_value *condition = condition_of(add->in[side], keeps);
        *rest = add->in[1 - side];
        if (condition && fits(*rest, s)) return condition;
    }
    attn_ir_node *where = attn_ir_made_by(bias, "Where");
    double number;
    for (size_t side = 1; where && side < 3; side++) { /* the other bias where the mask keeps */
        if (!attn_lift_uniform(where->in[side], &number) || number > -1e4) continue;
        *keeps = side == 2;
        *rest = where->in[3 - side];
        if (fits(*rest, s)) return where->in[0];
    }
    *rest = NULL;
    return NULL;
}

static void lift_one(attn_ir *ir, attn_ir_node *node)
{
    scores s;
    bool keeps;
    double number;
    size_t heads = (size_t)attn_ir_int(node, "heads", 1);
    if (node->inputs <= PADDING || !read_scores(node->in[0], node->in[1], heads, &s)) return;
    for (size_t slot = BIAS; slot < MASK; slot++) {
        attn_ir_value *bias = node->in[slot];
        if (attn_lift_uniform(bias, &number) && number == 0) attn_ir_set_in(ir, node, slot, NULL);
        if (!node->in[slot] || node->in[MASK] || node->in[PADDING]) continue;
        attn_ir_value *rest = NULL, *condition = condition_of(bias, &keeps);
        if (!condition) condition = part_of(bias, &s, &keeps, &rest);
        if (!condition) continue;
        bool always = attn_lift_uniform(condition, &number) && (number != 0) == keeps;
        if (!always && !fits(condition, &s)) continue;
        attn_ir_set_in(ir, node, slot, rest);
        if (!always) set_mask(ir, node, &s, condition, keeps);
    }
    attn_ir_value *mask = node->in[MASK];
    if (!mask || node->in[PADDING]) return;
    if (attn_lift_uniform(mask, &number) && number != 0)
        attn_ir_set_in(ir, node, MASK, NULL);
    else if (fits(mask, &s))
        set_mask(ir, node, &s, mask, true);
}

void attn_lift_masks(attn_ir *ir)
{
    for (attn_ir_node *n = ir->main->first; n; n = n->next)
        if (strcmp(n->op, "Attention") == 0 && strcmp(n->domain, "attn") == 0) lift_one(ir, n);
    attn_ir_sweep(ir);
}
