/* Fusion, once the weights are in place (a fused layer copies where they lie). What is fused gives
 * the same bits as the layers that it stands for, and what lies between them is never stored:
 *
 *   score, normalize, select              -> attention
 *   linear, linear, linear of one input   -> one linear; an activation may follow each, and other
 *                                            layers may stand between, which then come after it
 *   linear, activation, add of a residual -> one linear; each of the two may be missing
 *   activation, mul                       -> one pass
 *   add, sub, mul, div, max, min, and what follows of those with a number, and of activations
 *                                         -> one pass
 *
 * if they follow each other and nothing else reads what is between. Shapes are not known here: the
 * plan falls back to the layers as described if a sum turns out to broadcast. */
#include "runtime/graph.h"

#include "layers/attention.h"
#include "layers/shared/elementwise.h"
#include "layers/shared/linear.h"

#include <string.h>

enum { LOOK_AHEAD = 16 }; /* nodes, for further linears of an input */

typedef struct fuser {
    const attn_graph *graph;
    const attn_node *end; /* of its nodes */
    attn_arena *arena;
    attn_error *err;
    uint32_t *readers; /* [values]: how often each is read */
    bool *taken;       /* [nodes]: part of a fused node before it */
} fuser;

static bool is_taken(const fuser *f, const attn_node *n)
{
    return f->taken[n - f->graph->node];
}

static attn_status count_readers(fuser *f)
{
    const attn_graph *g = f->graph;
    f->readers = attn_arena_get(f->arena, g->values, sizeof *f->readers, f->err);
    if (!f->readers) return ATTN_NO_MEMORY;
    for (size_t n = 0; n < g->nodes; n++)
        for (size_t i = 0; i < g->node[n].inputs; i++) f->readers[g->node[n].in[i]]++;
    for (size_t i = 0; i < g->outputs; i++) f->readers[g->output[i].value]++;
    for (size_t i = 0; i < g->states; i++) f->readers[g->state[i].next]++;
    return ATTN_OK;
}

static bool is_layer(const attn_node *node, const char *name)
{
    return strcmp(node->layer->name, name) == 0;
}

/* ---- attention ---------------------------------------------------------------------------- */

static bool is_trio(const fuser *f, const attn_node *n)
{
    return is_layer(&n[0], "score") && is_layer(&n[1], "normalize") && is_layer(&n[2], "select") &&
           n[1].in[0] == n[0].out[0] && n[2].in[0] == n[1].out[0] && n[2].outputs == 1 &&
           f->readers[n[0].out[0]] == 1 && f->readers[n[1].out[0]] == 1;
}

/* attention reads q, k, v, then what else the score reads. */
static attn_status fuse_trio(const fuser *f, const attn_node *n, attn_node *fused)
{
    const attn_layer *layer = attn_layer_find("attention");
    size_t inputs = n[0].inputs + 1, *in;
    void *params = attn_arena_get(f->arena, 1, layer->params_size, f->err);
    const char *place = attn_arena_printf(f->arena, f->err, "%s + normalize + select", n[0].place);
    in = attn_arena_get(f->arena, inputs, sizeof *in, f->err);
    if (!params || !in || !place) return ATTN_NO_MEMORY;
    if (inputs > ATTN_MAX_OPERANDS ||
        !attn_attention_fuse(n[0].params, n[1].params, n[2].params, params))
        return ATTN_OK;
    *fused = n[2];
    fused->layer = layer;
    fused->params = params;
    fused->inputs = inputs;
    fused->in = in;
    fused->place = place;
    fused->made_of = "score + normalize + select";
    fused->in[0] = n[0].in[0];
    fused->in[1] = n[0].in[1];
    fused->in[2] = n[2].in[1];
    memcpy(fused->in + 3, n[0].in + 2, (n[0].inputs - 2) * sizeof *fused->in);
    f->taken[n + 1 - f->graph->node] = f->taken[n + 2 - f->graph->node] = true;
    return ATTN_OK;
}

/* ---- linear ------------------------------------------------------------------------------- */

static attn_status add_name(const fuser *f, attn_node *fused, const char *name)
{
    fused->made_of = attn_arena_printf(f->arena, f->err, "%s + %s",
                                       fused->made_of ? fused->made_of : fused->layer->name, name);
    fused->place = attn_arena_printf(f->arena, f->err, "%s + %s", fused->place, name);
    return fused->made_of && fused->place ? ATTN_OK : ATTN_NO_MEMORY;
}

/* The activation that follows n[0], if nothing else reads what is between; or NULL. */
static const attn_node *following_activation(const fuser *f, const attn_node *n)
{
    const attn_node *next = n + 1;
    bool fits = next < f->end && !is_taken(f, next) && attn_is_activation(next->layer) &&
                n->outputs == 1 && next->in[0] == n->out[0] && f->readers[n->out[0]] == 1;
    return fits ? next : NULL;
}

/* The linear n as a part of *fused, with the activation that follows it. Nothing is changed if it
 * does not fit. */
static attn_status join_part(const fuser *f, const attn_node *n, attn_node *fused, bool *joined)
{
    const attn_node *activation = following_activation(f, n);
    attn_linear_params *part = n->params;
    if (activation) {
        part = attn_arena_get(f->arena, 1, sizeof *part, f->err);
        if (!part) return ATTN_NO_MEMORY;
        memcpy(part, n->params, sizeof *part);
        if (!attn_linear_activate(part, attn_activation_unary(activation->params)))
            activation = NULL;
    }
    *joined = attn_linear_join(fused->params, part);
    if (!*joined) return ATTN_OK;
    const attn_node *last = activation ? activation : n;
    ATTN_TRY(add_name(f, fused, "linear"));
    if (activation) ATTN_TRY(add_name(f, fused, activation->layer->name));
    size_t *out = attn_arena_get(f->arena, fused->outputs + n->outputs + 1, sizeof *out, f->err);
    if (!out) return ATTN_NO_MEMORY;
    memcpy(out, fused->out, fused->outputs * sizeof *out);
    memcpy(out + fused->outputs, last->out, n->outputs * sizeof *out);
    fused->out = out;
    fused->outputs += n->outputs;
    f->taken[n - f->graph->node] = true;
    if (activation) f->taken[activation - f->graph->node] = true;
    return ATTN_OK;
}

/* The linears of the same input that come soon after n: they need nothing of what stands between
 * (positions that turn the queries, say), so they are computed here. */
static attn_status join_linears(const fuser *f, const attn_node *n, attn_node *fused)
{
    for (const attn_node *next = n + 1; next < f->end && next - n <= LOOK_AHEAD; next++) {
        bool joined = true;
        if (is_taken(f, next) || !is_layer(next, "linear") || next->in[0] != n->in[0]) continue;
        ATTN_TRY(join_part(f, next, fused, &joined));
        if (!joined) break;
    }
    return ATTN_OK;
}

static attn_status take_activation(const fuser *f, const attn_node *n, attn_node *fused)
{
    const attn_node *next = following_activation(f, n);
    if (!next || !attn_linear_activate(fused->params, attn_activation_unary(next->params)))
        return ATTN_OK;
    fused->out = next->out;
    f->taken[next - f->graph->node] = true;
    return add_name(f, fused, next->layer->name);
}

/* The addition of a residual that follows what *fused stands for. */
static attn_status take_residual(const fuser *f, const attn_node *next, attn_node *fused)
{
    if (next >= f->end || is_taken(f, next) || !is_layer(next, "add") || next->inputs != 2 ||
        next->weights != 0 || f->readers[fused->out[0]] != 1 ||
        (next->in[0] == fused->out[0]) == (next->in[1] == fused->out[0]) ||
        !attn_linear_add_residual(fused->params))
        return ATTN_OK;
    size_t *in = attn_arena_get(f->arena, 2, sizeof *in, f->err);
    if (!in) return ATTN_NO_MEMORY;
    in[0] = fused->in[0];
    in[1] = next->in[next->in[0] == fused->out[0]];
    fused->in = in;
    fused->inputs = 2;
    fused->out = next->out;
    f->taken[next - f->graph->node] = true;
    return add_name(f, fused, next->layer->name);
}

static attn_status fuse_linear(const fuser *f, const attn_node *n, attn_node *fused)
{
    fused->params = attn_arena_get(f->arena, 1, n->layer->params_size, f->err);
    if (!fused->params) return ATTN_NO_MEMORY;
    memcpy(fused->params, n->params, n->layer->params_size);
    if (n->outputs == 1) ATTN_TRY(take_activation(f, n, fused));
    ATTN_TRY(join_linears(f, n, fused));
    if (fused->outputs > 1) return ATTN_OK;
    const attn_node *next = n + 1;
    while (next < f->end && is_taken(f, next)) next++;
    return take_residual(f, next, fused);
}

/* ---- elementwise -------------------------------------------------------------------------- */

/* An activation, and the product that its result is a factor of: of a gate and what it lets
 * through. */
static attn_status fuse_gate(const fuser *f, const attn_node *n, attn_node *fused)
{
    const attn_node *next = n + 1;
    if (next >= f->end || is_taken(f, next) || !is_layer(next, "mul") || next->inputs != 2 ||
        f->readers[n->out[0]] != 1)
        return ATTN_OK;
    size_t gate = next->in[1] == n->out[0], *in;
    if (next->in[gate] != n->out[0] || next->in[!gate] == n->in[0]) return ATTN_OK;
    fused->params = attn_arena_get(f->arena, 1, next->layer->params_size, f->err);
    in = attn_arena_get(f->arena, 2, sizeof *in, f->err);
    if (!fused->params || !in) return ATTN_NO_MEMORY;
    memcpy(fused->params, next->params, next->layer->params_size);
    attn_binary_activate(fused->params, attn_activation_unary(n->params));
    in[0] = n->in[0];
    in[1] = next->in[!gate];
    fused->layer = next->layer;
    fused->in = in;
    fused->inputs = 2;
    fused->out = next->out;
    fused->made_of = n->layer->name;
    f->taken[next - f->graph->node] = true;
    return add_name(f, fused, next->layer->name);
}

/* The layer of one operand that follows n[0], if nothing else reads what is between; or NULL. */
static const attn_node *following_step(const fuser *f, const attn_node *n)
{
    const attn_node *next = n + 1;
    bool fits = next < f->end && !is_taken(f, next) && n->outputs == 1 && next->inputs == 1 &&
                next->in[0] == n->out[0] && f->readers[n->out[0]] == 1 &&
                attn_binary_is_step(next->layer, next->params);
    return fits ? next : NULL;
}

/* Elementwise layers that follow n, the first of which may be n itself or, where that is an
 * activation, the one with a number after it. */
static attn_status fuse_steps(const fuser *f, const attn_node *n, attn_node *fused)
{
    const attn_node *next = following_step(f, n), *lead = n;
    bool activation = attn_is_activation(n->layer);
    if (!next || (activation && attn_is_activation(next->layer))) return ATTN_OK;
    if (activation) lead = next;
    void *params = attn_arena_get(f->arena, 1, lead->layer->params_size, f->err);
    if (!params) return ATTN_NO_MEMORY;
    memcpy(params, lead->params, lead->layer->params_size);
    fused->params = params;
    fused->layer = lead->layer;
    fused->made_of = n->layer->name;
    if (activation) {
        attn_binary_activate(params, attn_activation_unary(n->params));
        ATTN_TRY(add_name(f, fused, lead->layer->name));
        f->taken[lead - f->graph->node] = true;
        fused->out = lead->out;
        next = following_step(f, lead);
    }
    for (; next && attn_binary_add_step(params, next->layer, next->params);
         next = following_step(f, next)) {
        ATTN_TRY(add_name(f, fused, next->layer->name));
        f->taken[next - f->graph->node] = true;
        fused->out = next->out;
    }
    return ATTN_OK;
}

/* ---- the graph ---------------------------------------------------------------------------- */

attn_status attn_graph_fuse(attn_graph *g, attn_arena *arena, attn_error *err)
{
    fuser f = {.graph = g, .arena = arena, .err = err, .end = g->node};
    if (g->nodes) f.end += g->nodes; /* without any, node is NULL */
    ATTN_TRY(count_readers(&f));
    g->fused = attn_arena_get(arena, g->nodes, sizeof *g->fused, err);
    f.taken = attn_arena_get(arena, g->nodes, sizeof *f.taken, err);
    if (!g->fused || !f.taken) return ATTN_NO_MEMORY;
    for (const attn_node *n = g->node; n < f.end; n++) {
        if (is_taken(&f, n)) continue;
        attn_node *to = &g->fused[g->fused_nodes++];
        *to = *n;
        if (f.end - n >= 3 && is_trio(&f, n))
            ATTN_TRY(fuse_trio(&f, n, to));
        else if (is_layer(n, "linear"))
            ATTN_TRY(fuse_linear(&f, n, to));
        else if (attn_is_activation(n->layer))
            ATTN_TRY(following_step(&f, n) ? fuse_steps(&f, n, to) : fuse_gate(&f, n, to));
        else if (attn_binary_leads(n->layer, n->params))
            ATTN_TRY(fuse_steps(&f, n, to));
    }
    return ATTN_OK;
}
