/* Probing: the graph as it stands is lowered and planned at a few sizes of its symbols. What every
 * plan says of a value is what is known of it. */
#include "runtime/onnx/probe.h"

#include "runtime/base/names.h"
#include "runtime/onnx/import.h"
#include "runtime/weights/params.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct probe {
    attn_ir *ir;
    attn_arena arena; /* gone at the end */
    attn_graph graph;
    attn_weights weights;
    const attn_kernels *kernels;
    attn_names index; /* names of values -> 1 + their number */
    attn_error err;   /* what a probe says is for nobody */
} probe;

/* ---- sizes --------------------------------------------------------------------------------- */

/* Sizes to try, one set after the other until the plans fit: of texts (below the longest of most),
 * of pictures, of pictures for models with many halvings, small ones. Symbol s of probe p takes
 * first + step * ... of them. */
static const struct {
    long first, step, change, last;
} ladders[] = {
    {37, 6, 13, 29}, {224, 32, 64, 160}, {256, 64, 128, 320}, {2, 3, 1, 7}, {8, 8, 16, 40}};

enum { LADDERS = sizeof ladders / sizeof *ladders };

/* "past + length", "past + 1" of the exporter: what it is made of, if all parts are known. */
static bool sum_of(const attn_ir *ir, const long *size, const char *said, long *out)
{
    char text[128];
    *out = 0;
    if (!strchr(said, '+') || strlen(said) >= sizeof text) return false;
    strcpy(text, said);
    for (char *part = text, *next; part; part = next) {
        next = strchr(part, '+');
        if (next) *next++ = 0;
        while (*part == ' ') part++;
        size_t length = strlen(part);
        while (length && part[length - 1] == ' ') part[--length] = 0;
        char *end;
        long number = strtol(part, &end, 10);
        if (*part && !*end) {
            *out += number;
            continue;
        }
        size_t s = 0;
        while (s < ir->symbols && strcmp(ir->symbol[s].said, part) != 0) s++;
        if (s == ir->symbols) return false;
        *out += size[s];
    }
    return true;
}

static void choose_sizes(const attn_ir *ir, attn_probe_set *set, int ladder)
{
    long first = ladders[ladder].first, step = ladders[ladder].step;
    set->symbols = ir->symbols;
    set->probes = ir->symbols ? ir->symbols + 2 : 1;
    for (size_t p = 0; p < set->probes; p++) {
        for (size_t s = 0; s < set->symbols; s++) {
            long *size = &set->size[p][s];
            *size = first + step * (long)s;
            if (p == 1 + s) *size += ladders[ladder].change;
            if (p == 1 + set->symbols) *size += ladders[ladder].last + step * (long)s;
        }
        for (size_t s = 0; s < set->symbols; s++) {
            long sum;
            if (sum_of(ir, set->size[p], ir->symbol[s].said, &sum) && p != 1 + s)
                set->size[p][s] = sum;
        }
    }
}

/* ---- plans --------------------------------------------------------------------------------- */

static attn_status build_graph(probe *b, const cJSON *root)
{
    attn_graph_source source = {
        .file = b->ir->file, .root = root, .weights_name = b->ir->file, .weights = &b->weights};
    const char *problem;
    b->kernels = attn_kernels_select(&problem);
    if (!b->kernels) return ATTN_BAD_ARGUMENT;
    ATTN_TRY(attn_graph_build(&b->graph, &source, &b->arena, &b->err));
    attn_params_choose(&b->graph, ATTN_AS_FILE, b->kernels);
    for (size_t i = 0; i < b->graph.values; i++)
        if (!attn_names_set(&b->index, b->graph.value_name[i], (void *)(uintptr_t)(i + 1), &b->err))
            return ATTN_NO_MEMORY;
    return ATTN_OK;
}

/* Values of the file that shapes can depend on, where they lie; large ones are not wanted here. */
static void bind_small(const probe *b)
{
    for (size_t n = 0; n < b->graph.nodes; n++)
        for (size_t i = 0; i < b->graph.node[n].weights; i++) {
            attn_param *p = b->graph.node[n].weight[i];
            const attn_weight *w = p->source;
            if (!w || p->form != ATTN_PLAIN || (uintptr_t)w->data % 4 != 0) continue;
            if (w->dtype != ATTN_F32 && w->dtype != ATTN_I32) continue;
            if (w->bytes / 4 <= ATTN_PROBE_FIXED) p->data = (const float *)w->data + p->first;
        }
}

static attn_status plan_one(probe *b, attn_probe_set *set, size_t at)
{
    attn_plan_input input[ATTN_MAX_PORTS];
    bool unfilled = false;
    memset(input, 0, sizeof input);
    for (size_t i = 0; i < b->graph.inputs; i++) {
        const attn_port *port = &b->graph.input[i];
        input[i].rank = port->rank;
        for (int d = 0; d < port->rank; d++)
            input[i].dim[d] = port->dim[d] <= ATTN_SYMBOL_BASE
                                  ? (size_t)set->size[at][ATTN_SYMBOL_BASE - port->dim[d]]
                                  : (size_t)port->dim[d];
    }
    attn_plan_options options = {.workers = 1,
                                 .kernels = b->kernels,
                                 .products = ATTN_PANEL_F32,
                                 .no_fusion = true,
                                 .unfilled = &unfilled};
    return attn_plan_build(&set->plan[at], &b->graph, input, &options, b->arena.memory, &b->err);
}

static void free_plans(const probe *b, attn_probe_set *set)
{
    for (size_t p = 0; p < set->probes; p++) {
        attn_plan_free(set->plan[p], b->arena.memory);
        set->plan[p] = NULL;
    }
}

/* False: no set of sizes fits. */
static bool plan_all(probe *b, attn_probe_set *set)
{
    for (int ladder = 0; ladder < LADDERS; ladder++) {
        *set = (attn_probe_set){0};
        choose_sizes(b->ir, set, ladder);
        size_t done = 0;
        while (done < set->probes && plan_one(b, set, done) == ATTN_OK) done++;
        if (done == set->probes) return true;
        free_plans(b, set);
        if (!set->symbols) break;
    }
    return false;
}

/* ---- values -------------------------------------------------------------------------------- */

static void annotate(probe *b, attn_probe_set *set, attn_ir_value *value)
{
    if (!value) return;
    attn_probe_forget(value);
    if (value->constant) {
        attn_probe_constant(b->ir, value);
        return;
    }
    const char *name = set ? attn_lowered_name(b->ir, value) : NULL;
    void *found = name ? attn_names_get(&b->index, name) : NULL;
    if (found) attn_probe_value(b->ir, set, value, (size_t)((uintptr_t)found - 1));
}

static void annotate_body(probe *b, attn_probe_set *set, const attn_ir_body *body)
{
    for (const attn_ir_node *n = body->first; n; n = n->next) {
        for (size_t i = 0; i < n->bodies; i++) annotate_body(b, set, n->body[i]);
        for (size_t i = 0; i < n->inputs; i++)
            if (n->in[i] && n->in[i]->constant) annotate(b, set, n->in[i]);
        for (size_t i = 0; i < n->outputs; i++) annotate(b, set, n->out[i]);
    }
}

/* ---- the whole ----------------------------------------------------------------------------- */

static attn_status run(probe *b)
{
    attn_lowered lowered;
    attn_probe_set *set = attn_arena_get(&b->arena, 1, sizeof *set, b->ir->err);
    if (!set) return ATTN_NO_MEMORY;
    ATTN_TRY(attn_lower_graph(b->ir, &b->arena, &lowered, b->ir->err));
    b->weights.list = lowered.weight;
    b->weights.count = lowered.weights;
    bool planned = attn_weights_sort(&b->weights, &b->err) == ATTN_OK &&
                   build_graph(b, lowered.root) == ATTN_OK;
    if (planned) bind_small(b);
    planned = planned && plan_all(b, set);
    annotate_body(b, planned ? set : NULL, b->ir->main);
    if (planned) free_plans(b, set);
    cJSON_Delete(lowered.root);
    return attn_ir_status(b->ir);
}

attn_status attn_ir_probe(attn_ir *ir)
{
    probe b = {.ir = ir, .index = {.arena = &b.arena}};
    attn_arena_init(&b.arena, ir->arena->memory);
    attn_status status = run(&b);
    attn_arena_free(&b.arena);
    return status;
}

void attn_ir_fold(attn_ir *ir)
{
    for (attn_ir_node *n = ir->main->first; n; n = n->next)
        for (size_t i = 0; i < n->outputs; i++) {
            attn_ir_value *value = n->out[i];
            if (!value || !value->fixed || (!value->uses && !value->results)) continue;
            attn_ir_value *constant = attn_ir_new_constant(ir, value->name, value->fixed);
            if (!constant) return;
            constant->type = value->type;
            attn_probe_constant(ir, constant);
            attn_ir_replace(ir, value, constant);
        }
    attn_ir_sweep(ir);
}
