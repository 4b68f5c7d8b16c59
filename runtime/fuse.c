/* Fusion, once the weights are in place (a fused layer copies where they lie): score, normalize,
 * select in a row become one attention, if nothing else reads the scores or the weights between.
 * Both give the same bits; the fused one never stores the scores. */
#include "runtime/graph.h"

#include "layers/attention.h"

#include <string.h>

static size_t count_readers(const attn_graph *g, size_t value)
{
    size_t readers = 0;
    for (size_t n = 0; n < g->nodes; n++)
        for (size_t i = 0; i < g->node[n].inputs; i++) readers += g->node[n].in[i] == value;
    for (size_t i = 0; i < g->outputs; i++) readers += g->output[i].value == value;
    for (size_t i = 0; i < g->states; i++) readers += g->state[i].next == value;
    return readers;
}

static bool is_layer(const attn_node *node, const char *name)
{
    return strcmp(node->layer->name, name) == 0;
}

static bool is_trio(const attn_graph *g, const attn_node *n)
{
    return is_layer(&n[0], "score") && is_layer(&n[1], "normalize") && is_layer(&n[2], "select") &&
           n[1].in[0] == n[0].out[0] && n[2].in[0] == n[1].out[0] && n[2].outputs == 1 &&
           count_readers(g, n[0].out[0]) == 1 && count_readers(g, n[1].out[0]) == 1;
}

/* attention reads q, k, v, then what else the score reads. */
static attn_status fuse_trio(attn_arena *arena, const attn_node *n, attn_node *fused, bool *done,
                             attn_error *err)
{
    const attn_layer *layer = attn_layer_find("attention");
    *done = false;
    *fused = n[2];
    fused->layer = layer;
    fused->params = attn_arena_get(arena, 1, layer->params_size, err);
    fused->inputs = n[0].inputs + 1;
    fused->in = attn_arena_get(arena, fused->inputs, sizeof *fused->in, err);
    fused->place = attn_arena_printf(arena, err, "%s + normalize + select", n[0].place);
    if (!fused->params || !fused->in || !fused->place) return ATTN_NO_MEMORY;
    if (fused->inputs > ATTN_MAX_OPERANDS) return ATTN_OK;
    fused->in[0] = n[0].in[0];
    fused->in[1] = n[0].in[1];
    fused->in[2] = n[2].in[1];
    memcpy(fused->in + 3, n[0].in + 2, (n[0].inputs - 2) * sizeof *fused->in);
    *done = attn_attention_fuse(n[0].params, n[1].params, n[2].params, fused->params);
    return ATTN_OK;
}

attn_status attn_graph_fuse(attn_graph *g, attn_arena *arena, attn_error *err)
{
    g->fused = attn_arena_get(arena, g->nodes, sizeof *g->fused, err);
    if (!g->fused) return ATTN_NO_MEMORY;
    for (size_t n = 0; n < g->nodes;) {
        attn_node *to = &g->fused[g->fused_nodes++];
        bool done = false;
        if (n + 2 < g->nodes && is_trio(g, &g->node[n]))
            ATTN_TRY(fuse_trio(arena, &g->node[n], to, &done, err));
        if (!done) *to = g->node[n];
        n += done ? 3 : 1;
    }
    return ATTN_OK;
}
