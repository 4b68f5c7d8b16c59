/* The batch of an exported model, the first dimension of every input, goes: attn has a batch of its
 * own, and a description says the shapes of one item.
 *
 * First every node is asked, with nothing changed, whether each item of the batch goes its own way
 * through it (lift_batch_rules.c); one that does not, or is not known, and the graph stays as it
 * is. Then all are rewritten, and a probe of the new graph has to give every value the dimensions
 * it had, less the batch. */
#include "runtime/onnx/lift_batch.h"

#include <string.h>

static const attn_ir_amount one = {.known = true, .base = 1, .symbol = {-1, -1}};

bool attn_batch_same(const attn_ir_amount *a, const attn_ir_amount *b)
{
    return a->known && b->known && a->base == b->base && a->factor == b->factor &&
           (!a->factor || (a->symbol[0] == b->symbol[0] && a->symbol[1] == b->symbol[1]));
}

bool attn_batch_in(const attn_batch *b, const attn_ir_amount *a)
{
    return a->factor && (a->symbol[0] == b->symbol || a->symbol[1] == b->symbol);
}

/* What is left of a size that the batch is a factor of. */
static attn_ir_amount divided(const attn_batch *b, attn_ir_amount a)
{
    int other = a.symbol[0] == b->symbol ? a.symbol[1] : a.symbol[0];
    if (other >= 0)
        return (attn_ir_amount){.known = true, .factor = a.factor, .symbol = {other, -1}};
    return (attn_ir_amount){.known = true, .base = a.factor, .symbol = {-1, -1}};
}

int attn_batch_item_dims(const attn_batch *b, const attn_ir_value *value, attn_ir_amount *dim)
{
    int first = value->batch == ATTN_BATCH_FIRST;
    for (int i = first; i < value->rank; i++) dim[i - first] = value->dim[i];
    if (value->batch == ATTN_BATCH_OUTER) dim[0] = divided(b, value->dim[0]);
    return value->rank - first;
}

/* ---- values --------------------------------------------------------------------------------- */

/* A size that is derived from several symbols may hide the batch. */
static bool may_hide(const attn_ir_amount *a)
{
    return !a->known || (a->factor && (a->symbol[0] >= ATTN_IR_MAX_SYMBOLS ||
                                       a->symbol[1] >= ATTN_IR_MAX_SYMBOLS));
}

/* By its dimensions: where the batch is, if anywhere. False: it cannot be told, or elsewhere. */
static bool classify(const attn_batch *b, attn_ir_value *value)
{
    value->batch = ATTN_BATCH_NONE;
    if (!value->shaped) return false;
    for (int i = 0; i < value->rank; i++) {
        const attn_ir_amount *d = &value->dim[i];
        if (!d->known || (i && attn_batch_in(b, d))) return false;
    }
    if (value->rank == 0 || !attn_batch_in(b, &value->dim[0])) return true;
    attn_ir_amount rest = divided(b, value->dim[0]);
    if (value->dim[0].base || attn_batch_in(b, &rest)) return false;
    value->batch = attn_batch_same(&rest, &one) ? ATTN_BATCH_FIRST : ATTN_BATCH_OUTER;
    return true;
}

/* Integers that are known, one of which depends on the batch. */
static bool counts_batch(const attn_batch *b, const attn_ir_value *value)
{
    for (size_t i = 0; i < value->elements; i++)
        if (may_hide(&value->element[i]) || attn_batch_in(b, &value->element[i])) return true;
    return false;
}

static bool is_shape(const attn_ir_node *node, size_t slot)
{
    return attn_ir_is(node, "Resize")
               ? slot == 3
               : slot == 1 && (attn_ir_is(node, "Reshape") || attn_ir_is(node, "Expand") ||
                               attn_ir_is(node, "Tile"));
}

/* Numbers and symbols of lift_trivial.c: computed by nothing. */
static bool is_sizes(const attn_ir_value *value)
{
    return value && !value->constant && !value->producer && !value->is_input && value->elements;
}

static bool is_free(const attn_batch *b, const attn_ir_value *value)
{
    for (int i = 0; i < value->rank; i++)
        if (may_hide(&value->dim[i]) || attn_batch_in(b, &value->dim[i])) return false;
    return !counts_batch(b, value);
}

static bool may_node(attn_batch *b, attn_ir_node *node)
{
    bool any = false, data = false, given = false;
    if (node->bodies) return false;
    for (size_t i = 0; i < node->inputs; i++) {
        attn_ir_value *value = node->in[i];
        if (!value) continue;
        any |= value->batch != ATTN_BATCH_NONE;
        data |= value->of_data;
        if (!value->constant && !is_shape(node, i) && counts_batch(b, value)) return false;
    }
    for (size_t i = 0; i < node->outputs; i++) {
        attn_ir_value *value = node->out[i];
        if (!value) continue;
        if (!classify(b, value)) return false;
        value->of_data = data;
        given |= value->batch != ATTN_BATCH_NONE;
        if (!any && !value->batch && !is_free(b, value)) return false;
    }
    if (!any && !given) return true;
    attn_batch_rule rule = attn_batch_find_rule(node);
    return rule && rule(b, node);
}

/* ---- may it be done ------------------------------------------------------------------------- */

/* The first dimension of every input is the same symbol, and no other is. */
static bool find_batch(attn_batch *b)
{
    const attn_ir_body *main = b->ir->main;
    b->symbol = -1;
    for (size_t i = 0; i < main->inputs; i++) {
        const attn_ir_value *value = main->input[i];
        if (!value->shaped || value->rank < 2 || !attn_ir_is_symbol(&value->dim[0])) return false;
        if (b->symbol >= 0 && value->dim[0].symbol[0] != b->symbol) return false;
        b->symbol = value->dim[0].symbol[0];
        for (int d = 1; d < value->rank; d++)
            if (!value->dim[d].known || attn_batch_in(b, &value->dim[d])) return false;
    }
    return b->symbol >= 0;
}

static void forget(attn_ir_value *value)
{
    if (value) value->batch = value->of_data = 0;
}

static bool may_all(attn_batch *b)
{
    const attn_ir_body *main = b->ir->main;
    for (const attn_ir_node *n = main->first; n; n = n->next) {
        for (size_t i = 0; i < n->inputs; i++) forget(n->in[i]);
        for (size_t i = 0; i < n->outputs; i++) forget(n->out[i]);
    }
    for (size_t i = 0; i < main->inputs; i++) {
        main->input[i]->batch = ATTN_BATCH_FIRST;
        main->input[i]->of_data = true;
    }
    for (attn_ir_node *n = main->first; n; n = n->next)
        if (!may_node(b, n)) return false;
    for (size_t i = 0; i < main->results; i++) {
        const attn_ir_value *value = main->result[i];
        bool item = value->batch == ATTN_BATCH_FIRST && value->of_data;
        if (!item && (value->batch || value->of_data || value->is_input)) return false;
    }
    return true;
}

/* ---- doing it ------------------------------------------------------------------------------- */

typedef struct expected {
    attn_ir_value *value;
    int rank;
    attn_ir_amount dim[ATTN_MAX_RANK];
    struct expected *next;
} expected;

/* The symbol is no more; those after it move up. */
static void renumber(const attn_batch *b, attn_ir_amount *a)
{
    for (int i = 0; i < 2; i++)
        if (a->symbol[i] > b->symbol && a->symbol[i] < ATTN_IR_MAX_SYMBOLS) a->symbol[i]--;
}

static expected *expect(const attn_batch *b)
{
    expected *list = NULL;
    for (const attn_ir_node *n = b->ir->main->first; n; n = n->next)
        for (size_t i = 0; i < n->outputs; i++) {
            if (!n->out[i]) continue;
            expected *e = attn_arena_get(b->ir->arena, 1, sizeof *e, b->ir->err);
            if (!e) {
                b->ir->failed = true;
                return NULL;
            }
            e->value = n->out[i];
            e->rank = attn_batch_item_dims(b, e->value, e->dim);
            for (int d = 0; d < e->rank; d++) renumber(b, &e->dim[d]);
            e->next = list;
            list = e;
        }
    return list;
}

static bool is_expected(const expected *e)
{
    const attn_ir_value *v = e->value;
    if (!v->uses && !v->results) return true; /* it is gone */
    if (!v->shaped || v->rank != e->rank) return false;
    for (int d = 0; d < e->rank; d++)
        if (!attn_batch_same(&v->dim[d], &e->dim[d])) return false;
    return true;
}

static void renumber_sizes(attn_batch *b, attn_ir_node *node, size_t slot)
{
    attn_ir *ir = b->ir;
    const attn_ir_value *old = node->in[slot];
    if (!is_sizes(old)) return;
    attn_ir_amount *element = attn_arena_get(ir->arena, old->elements, sizeof *element, ir->err);
    attn_ir_value *fresh = attn_ir_new_value(ir, old->name, old->type);
    if (!element || !fresh) {
        ir->failed = true;
        return;
    }
    memcpy(element, old->element, old->elements * sizeof *element);
    for (size_t i = 0; i < old->elements; i++) renumber(b, &element[i]);
    fresh->element = element;
    fresh->elements = old->elements;
    attn_ir_set_in(ir, node, slot, fresh);
}

static void drop_symbol(attn_batch *b)
{
    attn_ir *ir = b->ir;
    for (attn_ir_node *n = ir->main->first; n; n = n->next)
        for (size_t i = 0; i < n->inputs; i++) renumber_sizes(b, n, i);
    for (size_t i = 0; i < ir->main->inputs; i++) {
        attn_ir_value *value = ir->main->input[i];
        value->rank--;
        memmove(&value->dim[0], &value->dim[1], (size_t)value->rank * sizeof *value->dim);
        for (int d = 0; d < value->rank; d++) renumber(b, &value->dim[d]);
    }
    ir->symbols--;
    memmove(&ir->symbol[b->symbol], &ir->symbol[b->symbol + 1],
            (ir->symbols - (size_t)b->symbol) * sizeof *ir->symbol);
}

static void write_all(attn_batch *b)
{
    b->write = true;
    for (attn_ir_node *n = b->ir->main->first; n; n = n->next) {
        attn_batch_rule rule = attn_batch_find_rule(n);
        bool has = false;
        for (size_t i = 0; i < n->inputs; i++) has |= n->in[i] && n->in[i]->batch;
        for (size_t i = 0; i < n->outputs; i++) has |= n->out[i] && n->out[i]->batch;
        if (has && rule) rule(b, n);
    }
    drop_symbol(b);
    for (attn_ir_node *n = b->ir->main->first; n; n = n->next)
        if (attn_ir_is(n, "Identity") && n->out[0] && !n->out[0]->results)
            attn_ir_replace(b->ir, n->out[0], n->in[0]);
    attn_ir_sweep(b->ir);
}

attn_status attn_lift_batch(attn_ir *ir, bool *undo)
{
    attn_batch b = {.ir = ir};
    *undo = false;
    if (!find_batch(&b)) return ATTN_OK;
    ATTN_TRY(attn_ir_probe(ir));
    if (!find_batch(&b) || !may_all(&b)) return ATTN_OK;
    const expected *list = expect(&b);
    if (!list) return attn_ir_status(ir);
    write_all(&b);
    ATTN_TRY(attn_ir_probe(ir));
    for (; list && !*undo; list = list->next) *undo = !is_expected(list);
    if (!*undo) attn_lift_tokens(ir);
    return attn_ir_status(ir);
}
