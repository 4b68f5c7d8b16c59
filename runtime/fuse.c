/* Fusion, once the weights are in place (a fused layer copies where they lie). What is fused gives
 * the same bits as the layers that it stands for, and what lies between them is never stored:
 *
 *   score, normalize, select              -> attention
 *   linear, linear, linear of one input   -> one linear
 *   linear, activation, add of a residual -> one linear; each of the two may be missing
 *
 * if they follow each other and nothing else reads what is between. Shapes are not known here: the
 * plan falls back to the layers as described if a sum turns out to broadcast. */
#include "runtime/graph.h"

#include "layers/attention.h"
#include "layers/shared/linear.h"

#include <string.h>

typedef struct fuser {
    const attn_graph *graph;
    attn_arena *arena;
    attn_error *err;
    uint32_t *readers; /* [values]: how often each is read */
} fuser;

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

/* attention reads q, k, v, then what else the score reads. *count: nodes that became *fused. */
static attn_status fuse_trio(const fuser *f, const attn_node *n, attn_node *fused, size_t *count)
{
    const attn_layer *layer = attn_layer_find("attention");
    *fused = n[2];
    fused->layer = layer;
    fused->params = attn_arena_get(f->arena, 1, layer->params_size, f->err);
    fused->inputs = n[0].inputs + 1;
    fused->in = attn_arena_get(f->arena, fused->inputs, sizeof *fused->in, f->err);
    fused->place = attn_arena_printf(f->arena, f->err, "%s + normalize + select", n[0].place);
    fused->made_of = "score + normalize + select";
    if (!fused->params || !fused->in || !fused->place) return ATTN_NO_MEMORY;
    if (fused->inputs > ATTN_MAX_OPERANDS) return ATTN_OK;
    fused->in[0] = n[0].in[0];
    fused->in[1] = n[0].in[1];
    fused->in[2] = n[2].in[1];
    memcpy(fused->in + 3, n[0].in + 2, (n[0].inputs - 2) * sizeof *fused->in);
    if (attn_attention_fuse(n[0].params, n[1].params, n[2].params, fused->params)) *count = 3;
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

/* The linears of the same input that follow n[0]. */
static attn_status join_linears(const fuser *f, const attn_node *n, const attn_node *end,
                                attn_node *fused, size_t *count)
{
    size_t outputs = fused->outputs;
    for (const attn_node *next = n + 1; next < end; next++) {
        if (!is_layer(next, "linear") || next->in[0] != n->in[0] ||
            !attn_linear_join(fused->params, next->params))
            break;
        outputs += next->outputs;
        ++*count;
        ATTN_TRY(add_name(f, fused, "linear"));
    }
    if (*count == 1) return ATTN_OK;
    fused->outputs = 0;
    fused->out = attn_arena_get(f->arena, outputs + 1, sizeof *fused->out, f->err);
    if (!fused->out) return ATTN_NO_MEMORY;
    for (size_t i = 0; i < *count; i++) {
        memcpy(fused->out + fused->outputs, n[i].out, n[i].outputs * sizeof *fused->out);
        fused->outputs += n[i].outputs;
    }
    return ATTN_OK;
}

/* The activation and the addition that follow n[0]. */
static attn_status extend_linear(const fuser *f, const attn_node *n, const attn_node *end,
                                 attn_node *fused, size_t *count)
{
    const attn_node *next = n + 1;
    if (fused->outputs != 1) return ATTN_OK;
    if (next < end && attn_is_activation(next->layer) && next->in[0] == fused->out[0] &&
        f->readers[fused->out[0]] == 1 &&
        attn_linear_activate(fused->params, attn_activation_unary(next->params))) {
        fused->out = next->out;
        ATTN_TRY(add_name(f, fused, next->layer->name));
        next++;
    }
    if (next < end && is_layer(next, "add") && next->inputs == 2 && next->weights == 0 &&
        f->readers[fused->out[0]] == 1 &&
        (next->in[0] == fused->out[0]) != (next->in[1] == fused->out[0]) &&
        attn_linear_add_residual(fused->params)) {
        size_t *in = attn_arena_get(f->arena, 2, sizeof *in, f->err);
        if (!in) return ATTN_NO_MEMORY;
        in[0] = fused->in[0];
        in[1] = next->in[next->in[0] == fused->out[0]];
        fused->in = in;
        fused->inputs = 2;
        fused->out = next->out;
        ATTN_TRY(add_name(f, fused, next->layer->name));
        next++;
    }
    *count = (size_t)(next - n);
    return ATTN_OK;
}

static attn_status fuse_linear(const fuser *f, const attn_node *n, const attn_node *end,
                               attn_node *fused, size_t *count)
{
    *fused = *n;
    fused->params = attn_arena_get(f->arena, 1, n->layer->params_size, f->err);
    if (!fused->params) return ATTN_NO_MEMORY;
    memcpy(fused->params, n->params, n->layer->params_size);
    *count = 1;
    ATTN_TRY(join_linears(f, n, end, fused, count));
    return *count > 1 ? ATTN_OK : extend_linear(f, n, end, fused, count);
}

/* ---- the graph ---------------------------------------------------------------------------- */

attn_status attn_graph_fuse(attn_graph *g, attn_arena *arena, attn_error *err)
{
    fuser f = {.graph = g, .arena = arena, .err = err};
    const attn_node *end = g->node + g->nodes;
    ATTN_TRY(count_readers(&f));
    g->fused = attn_arena_get(arena, g->nodes, sizeof *g->fused, err);
    if (!g->fused) return ATTN_NO_MEMORY;
    for (const attn_node *n = g->node; n < end;) {
        attn_node *to = &g->fused[g->fused_nodes++];
        size_t count = 0; /* nodes that *to stands for */
        if (end - n >= 3 && is_trio(&f, n))
            ATTN_TRY(fuse_trio(&f, n, to, &count));
        else if (is_layer(n, "linear"))
            ATTN_TRY(fuse_linear(&f, n, end, to, &count));
        if (count == 0) *to = *n;
        n += count ? count : 1;
    }
    return ATTN_OK;
}
