/* What transformers do with tokens, where the batch is gone:
 *
 *   patches    a convolution whose stride is its kernel, its channels made rows [tokens, dim];
 *              where it only moves pixels into rows, the product that follows is folded into it
 *   rows       constants in front of x, or behind it: class token, registers
 *   token      one row of x
 *   positions  x + the first rows of a table
 *   types      x + one row of a table */
#include "runtime/onnx/lift.h"

#include <string.h>

static bool plain_size(const attn_ir_amount *a, size_t *out)
{
    *out = a->known && !a->factor && a->base > 0 ? (size_t)a->base : 0;
    return *out > 0;
}

/* ---- patches -------------------------------------------------------------------------------- */

/* Every number of the attribute is this, or it is not there and that is `otherwise`. */
static bool all_are(const attn_ir_node *node, const char *name, int64_t number, int64_t otherwise)
{
    size_t count;
    const int64_t *values = attn_ir_ints(node, name, &count);
    for (size_t i = 0; values && i < count; i++)
        if (values[i] != number) return false;
    return values ? count > 0 : number == otherwise;
}

static bool cuts_patches(const attn_ir_node *conv)
{
    const attn_ir_value *x = attn_ir_in(conv, 0), *w = attn_ir_in(conv, 1),
                        *bias = attn_ir_in(conv, 2);
    const char *auto_pad = attn_ir_text(conv, "auto_pad", "NOTSET");
    size_t count;
    const int64_t *strides = attn_ir_ints(conv, "strides", &count);
    if (!x || !x->shaped || x->rank != 3 || !w || !w->constant || w->constant->rank != 4 ||
        !attn_onnx_is_float(w->constant->type) || (bias && !bias->constant) || !strides ||
        count != 2 ||
        (*auto_pad && strcmp(auto_pad, "NOTSET") != 0 && strcmp(auto_pad, "VALID") != 0))
        return false;
    return strides[0] == (int64_t)w->constant->dim[2] &&
           strides[1] == (int64_t)w->constant->dim[3] && attn_ir_int(conv, "group", 1) == 1 &&
           all_are(conv, "pads", 0, 0) && all_are(conv, "dilations", 1, 1) &&
           !attn_ir_text(conv, "activation", NULL);
}

/* Is it [tokens, dim], of [dim, tokens]? */
static bool is_turned(const attn_view *view, size_t tokens, size_t dim)
{
    if (view->count != tokens * dim) return false;
    for (size_t t = 0; t < tokens; t++)
        for (size_t d = 0; d < dim; d++)
            if (view->from[t * dim + d] != d * tokens + t) return false;
    return true;
}

/* Each row of the weight [dim, pixels of a patch] is one 1 and else 0, as what cuts patches of an
 * image with nothing computed is exported (Keras, extract_patches): pixel[d], the one that it is.
 */
static bool picks_pixels(const attn_onnx_tensor *weight, size_t *pixel)
{
    size_t dim = weight->dim[0], pixels = weight->count / dim;
    for (size_t d = 0; d < dim; d++) {
        size_t ones = 0;
        for (size_t p = 0; p < pixels; p++) {
            double w = attn_tensor_float(weight, d * pixels + p);
            if (w != 0 && w != 1) return false;
            if (w == 1) pixel[d] = p;
            ones += w == 1;
        }
        if (ones != 1) return false;
    }
    return true;
}

/* Linear(patches that are only cut): its weights, moved to the pixels that they are for. */
static void fold_linear(attn_ir *ir, attn_ir_node *patches)
{
    const attn_ir_value *weight = patches->in[1];
    attn_ir_node *next = attn_ir_only_reader(patches->out[0]);
    bool linear = next && strcmp(next->op, "Linear") == 0 && strcmp(next->domain, "attn") == 0;
    if (!linear || attn_ir_in(patches, 2) || next->in[0] != patches->out[0] ||
        !weight->constant->count)
        return;
    const attn_onnx_tensor *cut = weight->constant, *w = next->in[1]->constant;
    bool transposed = attn_ir_int(next, "transposed", 0);
    size_t dim = cut->dim[0], pixels = cut->count / dim, out = w->dim[transposed ? 1 : 0];
    if (pixels != dim || w->dim[transposed ? 0 : 1] != dim || w->scale) return;
    size_t shape[4] = {out, cut->dim[1], cut->dim[2], cut->dim[3]};
    size_t *pixel = attn_arena_get(ir->arena, dim, sizeof *pixel, ir->err);
    float *moved = pixel ? attn_arena_get(ir->arena, out * pixels, sizeof *moved, ir->err) : NULL;
    if (!moved) {
        ir->failed = true;
        return;
    }
    if (!picks_pixels(cut, pixel)) return;
    for (size_t n = 0; n < out; n++)
        for (size_t d = 0; d < dim; d++)
            moved[n * pixels + pixel[d]] +=
                (float)attn_tensor_float(w, transposed ? d * out + n : n * dim + d);
    attn_ir_value *in[3] = {patches->in[0],
                            attn_ir_new_floats(ir, next->in[1]->name, moved, 4, shape),
                            attn_ir_in(next, 2)};
    if (!in[1]) return;
    attn_ir_node *fresh = attn_lift_make(ir, next->out[0], "PatchEmbed", in[2] ? 3 : 2, in);
    if (!fresh) return;
    fresh->name = next->name;
    fresh->scope = next->scope;
}

static void lift_patches(attn_ir *ir, attn_ir_node *conv)
{
    enum { MOST_STEPS = 8 };
    attn_ir_value *at = conv->out[0], *found = NULL;
    size_t size[ATTN_MAX_RANK], count;
    attn_view view;
    if (!cuts_patches(conv) || !attn_view_dims(ir, at, size, &count) ||
        !attn_view_begin(ir, count, &view))
        return;
    size_t dim = size[0], tokens = count / dim;
    for (int step = 0; step < MOST_STEPS && !found; step++) {
        attn_ir_node *next = attn_ir_only_reader(at);
        attn_view after;
        if (!next || !attn_view_is(next) || next->in[0] != at || next->outputs != 1 ||
            !attn_view_follow(ir, next, 0, &view, &after))
            break;
        attn_view_free(ir, &view);
        view = after;
        at = next->out[0];
        if (at->rank == 2 && attn_lift_columns(at) == dim && is_turned(&view, tokens, dim))
            found = at;
    }
    attn_view_free(ir, &view);
    if (!found) return;
    attn_ir_value *in[3] = {conv->in[0], conv->in[1], attn_ir_in(conv, 2)}, *none = NULL;
    attn_ir_node *fresh = attn_ir_insert(ir, conv, "PatchEmbed", "attn", 3, in, 1, &none);
    if (!fresh) return;
    fresh->name = conv->name;
    fresh->scope = conv->scope;
    attn_ir_give(ir, found, fresh, 0);
    fold_linear(ir, fresh);
}

/* ---- rows ----------------------------------------------------------------------------------- */

static bool is_rows(const attn_ir_value *value, size_t columns)
{
    const attn_onnx_tensor *t = value->constant;
    return t && attn_onnx_is_float(t->type) && t->count && t->rank == 2 && t->dim[1] == columns;
}

/* One value and constants around it. */
static void lift_rows(attn_ir *ir, attn_ir_node *concat)
{
    attn_ir_value *y = concat->out[0], *x = NULL;
    size_t columns = attn_lift_columns(y), at = 0, parts = concat->inputs;
    if (!columns || y->rank != 2 || attn_ir_int(concat, "axis", 0) % 2 || parts < 2) return;
    for (size_t i = 0; i < parts; i++) {
        attn_ir_value *value = concat->in[i];
        if (!value || (x && !is_rows(value, columns))) return;
        if (is_rows(value, columns)) continue;
        if (value->constant || !attn_onnx_is_float(value->type)) return;
        x = value;
        at = i;
    }
    if (!x) return;
    for (size_t step = 0; step + 1 < parts; step++) { /* in front, the nearest first; then behind */
        bool front = step < at;
        attn_ir_value *in[2] = {x, concat->in[front ? at - 1 - step : step + 1]}, *none = NULL;
        bool last = step + 2 == parts;
        if (!last) none = attn_ir_new_value(ir, y->name, y->type);
        attn_ir_node *fresh =
            attn_ir_insert(ir, concat, front ? "Prepend" : "Append", "attn", 2, in, 1, &none);
        if (!fresh) return;
        if (last) attn_ir_give(ir, y, fresh, 0);
        x = none;
    }
}

/* ---- one token ------------------------------------------------------------------------------ */

static void lift_token(attn_ir *ir, attn_ir_node *gather)
{
    attn_ir_value *x = gather->in[0], *at = attn_ir_in(gather, 1);
    int64_t axis = attn_ir_int(gather, "axis", 0);
    if (!x || !x->shaped || x->rank < 2 || x->constant || !at || !at->constant ||
        at->constant->rank || !attn_onnx_is_float(x->type) || (axis != -2 && axis != x->rank - 2))
        return;
    attn_ir_node *fresh = attn_lift_make(ir, gather->out[0], "Token", 1, &x);
    attn_ir_set_int(ir, fresh, "index", attn_tensor_int(at->constant, 0));
}

/* ---- positions ------------------------------------------------------------------------------ */

/* The node that gathers the value's rows from a constant table [max, dim]. */
static const attn_ir_node *gathers(const attn_ir_value *rows)
{
    const attn_ir_node *made = rows ? rows->producer : NULL;
    while (made && (attn_ir_is(made, "Squeeze") || attn_ir_is(made, "Reshape")))
        made = attn_view_is_flat(made) ? made->in[0]->producer : NULL;
    if (!attn_ir_is(made, "Gather") || attn_ir_int(made, "axis", 0)) return NULL;
    const attn_ir_value *table = made->in[0];
    return made->in[1] && table && table->constant && table->constant->rank == 2 &&
                   attn_onnx_is_float(table->constant->type)
               ? made
               : NULL;
}

/* Row `at` of the table, [dim]; NULL: there is none. */
static attn_ir_value *row_of(attn_ir *ir, const attn_ir_value *table, double at)
{
    const attn_onnx_tensor *all = table->constant;
    if (!(at >= 0 && at < (double)all->dim[0]) || all->bytes % all->dim[0]) return NULL;
    attn_onnx_tensor *t = attn_arena_get(ir->arena, 1, sizeof *t, ir->err);
    if (!t) {
        ir->failed = true;
        return NULL;
    }
    *t = *all;
    t->bytes = all->bytes / all->dim[0];
    t->data = (const char *)all->data + (size_t)at * t->bytes;
    t->rank = 1;
    t->dim[0] = t->count = all->dim[1];
    const char *end = strrchr(table->name, '.');
    size_t length =
        end && strcmp(end, ".weight") == 0 ? (size_t)(end - table->name) : strlen(table->name);
    const char *name = attn_arena_text(ir->arena, table->name, length, ir->err);
    if (!name) ir->failed = true;
    attn_ir_value *row = name ? attn_ir_new_constant(ir, name, t) : NULL;
    if (row) row->type = table->type;
    return row;
}

static void lift_positions(attn_ir *ir, attn_ir_node *add)
{
    for (size_t side = 0; side < 2; side++) {
        attn_ir_value *x = add->in[side], *rows = add->in[1 - side];
        const attn_ir_node *gather = gathers(rows);
        attn_ir_value *table = gather ? gather->in[0] : NULL;
        size_t columns;
        double at;
        if (!gather || !x || !x->shaped || x->rank < 2 || x->constant || !rows->shaped ||
            rows->rank != 2 || !plain_size(&rows->dim[1], &columns) ||
            columns != table->constant->dim[1] ||
            !attn_lift_same_amount(&x->dim[x->rank - 1], &rows->dim[1]) ||
            !attn_lift_same_amount(&x->dim[x->rank - 2], &rows->dim[0]))
            continue;
        if (attn_lift_uniform(gather->in[1], &at)) {
            attn_ir_value *row = row_of(ir, table, at);
            if (row) attn_ir_set_in(ir, add, 1 - side, row);
            return;
        }
        if (!gather->in[1]->counts) continue;
        attn_ir_value *in[2] = {x, table};
        attn_ir_node *fresh = attn_lift_make(ir, add->out[0], "Positions", 2, in);
        if (fresh) fresh->name = add->name;
        return;
    }
}

void attn_lift_tokens(attn_ir *ir)
{
    for (attn_ir_node *n = ir->main->first; n; n = n->next) {
        if (n->outputs != 1 || !n->out[0] || !n->out[0]->shaped) continue;
        if (attn_ir_is(n, "Conv")) lift_patches(ir, n);
        if (attn_ir_is(n, "Concat")) lift_rows(ir, n);
        if (attn_ir_is(n, "Gather")) lift_token(ir, n);
        if (attn_ir_is(n, "Add") && n->inputs == 2) lift_positions(ir, n);
    }
    attn_ir_sweep(ir);
}
