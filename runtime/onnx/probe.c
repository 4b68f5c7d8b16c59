/* Probing: the graph as it stands is lowered and planned at a few sizes of its symbols. What every
 * plan says of a value is what is known of it. */
#include "runtime/onnx/probe.h"

#include "runtime/base/names.h"
#include "runtime/onnx/import.h"
#include "runtime/onnx/lift.h"
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
    size_t work;      /* nodes of plans that were made in vain */
} probe;

/* ---- sizes --------------------------------------------------------------------------------- */

/* Sizes to try, one set after the other until the plans fit: of texts (below the longest of most),
 * of pictures, of pictures for models with many halvings, small ones, of sound. Symbol s of probe p
 * takes first + step * ... of them. */
static const struct {
    long first, step, change, last;
} ladders[] = {{37, 6, 13, 29}, {224, 32, 64, 160}, {256, 64, 128, 320},
               {2, 3, 1, 7},    {8, 8, 16, 40},     {2, 4096, 512, 1024}};

enum { MOST_WORK = 1 << 18 }; /* nodes: then no more is tried */

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
            if (sum_of(ir, set->size[p], ir->symbol[s].said, &sum)) set->size[p][s] = sum;
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
        b->work += (done + 1) * b->graph.nodes;
        if (!set->symbols || b->work > MOST_WORK) break;
    }
    return false;
}

/* ---- symbols that are one -------------------------------------------------------------------- */

/* Dimensions of the inputs, and the symbols, as they were. */
typedef struct named_dims {
    size_t symbols;
    attn_ir_symbol symbol[ATTN_IR_MAX_SYMBOLS];
    attn_ir_amount (*dim)[ATTN_MAX_RANK]; /* [inputs] */
} named_dims;

static bool keep_dims(probe *b, named_dims *kept)
{
    const attn_ir_body *main = b->ir->main;
    kept->symbols = b->ir->symbols;
    memcpy(kept->symbol, b->ir->symbol, sizeof kept->symbol);
    kept->dim = attn_arena_get(&b->arena, main->inputs, sizeof *kept->dim, &b->err);
    for (size_t i = 0; kept->dim && i < main->inputs; i++)
        memcpy(kept->dim[i], main->input[i]->dim, sizeof kept->dim[i]);
    return kept->dim != NULL;
}

static void restore_dims(const probe *b, const named_dims *kept)
{
    b->ir->symbols = kept->symbols;
    memcpy(b->ir->symbol, kept->symbol, sizeof kept->symbol);
    for (size_t i = 0; i < b->ir->main->inputs; i++)
        memcpy(b->ir->main->input[i]->dim, kept->dim[i], sizeof kept->dim[i]);
}

/* The symbol `other` is `first` from now on. */
static void merge(const probe *b, int first, int other)
{
    attn_ir *ir = b->ir;
    for (size_t i = 0; i < ir->main->inputs; i++) {
        attn_ir_value *value = ir->main->input[i];
        for (int d = 0; d < value->rank; d++) {
            int *s = &value->dim[d].symbol[0];
            if (*s == other) *s = first;
            if (*s > other) --*s;
        }
    }
    ir->symbols--;
    memmove(&ir->symbol[other], &ir->symbol[other + 1],
            (ir->symbols - (size_t)other) * sizeof *ir->symbol);
}

/* Inputs that have symbols at dimension d, of which the file does not say that they are one. */
static bool merge_at(const probe *b, int d)
{
    const attn_ir_body *main = b->ir->main;
    bool done = false;
    int first = -1;
    for (size_t i = 0; i < main->inputs; i++) {
        const attn_ir_value *value = main->input[i];
        if (value->rank <= d || value->dim[d].symbol[0] < 0) continue;
        int s = value->dim[d].symbol[0];
        if (first < 0) first = s;
        if (s == first) continue;
        merge(b, first < s ? first : s, first < s ? s : first);
        first = first < s ? first : s;
        done = true;
    }
    return done;
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

/* *planned: the plans are there. */
static attn_status try_plans(probe *b, attn_probe_set *set, bool *planned)
{
    attn_lowered lowered;
    ATTN_TRY(attn_lower_graph(b->ir, &b->arena, &lowered, b->ir->err));
    b->weights.list = lowered.weight;
    b->weights.count = lowered.weights;
    b->graph = (attn_graph){0};
    b->index = (attn_names){.arena = &b->arena};
    *planned = attn_weights_sort(&b->weights, &b->err) == ATTN_OK &&
               attn_weights_pair(lowered.weight, lowered.weights, &b->arena, &b->err) == ATTN_OK &&
               build_graph(b, lowered.root) == ATTN_OK;
    if (*planned) bind_small(b);
    *planned = *planned && plan_all(b, set);
    cJSON_Delete(lowered.root);
    return ATTN_OK;
}

/* A mask [batch, keys] of which all keys are read by the indices of another batch, mask[b, k]: they
 * have to be one. */
static bool reads_batch(const attn_ir_node *node)
{
    const attn_ir_value *x = attn_ir_in(node, 0), *at = attn_ir_in(node, 1);
    const attn_ir_value *y = attn_ir_out(node, 0);
    return attn_ir_is(node, "GatherND") && x && at && y && at->grid && x->shaped && y->shaped &&
           x->rank >= 2 && y->rank >= 2 && !attn_ir_int(node, "batch_dims", 0) &&
           attn_ir_is_symbol(&x->dim[0]) && attn_ir_is_symbol(&y->dim[0]) &&
           x->dim[0].symbol[0] != y->dim[0].symbol[0] &&
           attn_lift_same_amount(&x->dim[x->rank - 1], &y->dim[y->rank - 1]);
}

static bool merge_read_batch(const probe *b)
{
    for (const attn_ir_node *n = b->ir->main->first; n; n = n->next) {
        if (!reads_batch(n)) continue;
        int x = n->in[0]->dim[0].symbol[0], y = n->out[0]->dim[0].symbol[0];
        merge(b, x < y ? x : y, x < y ? y : x);
        return true;
    }
    return false;
}

/* Exporters give the batch of each input a name of its own where they are not told that it is one:
 * if the plans fit only with equal ones, they are one. Then the same of the dimension after it. */
static attn_status run(probe *b)
{
    bool planned;
    named_dims kept;
    attn_probe_set *set = attn_arena_get(&b->arena, 1, sizeof *set, b->ir->err);
    if (!set || !keep_dims(b, &kept)) return ATTN_NO_MEMORY;
    ATTN_TRY(try_plans(b, set, &planned));
    for (int d = 0; d < 2 && !planned && b->work <= MOST_WORK; d++)
        if (merge_at(b, d)) ATTN_TRY(try_plans(b, set, &planned));
    if (!planned) restore_dims(b, &kept);
    annotate_body(b, planned ? set : NULL, b->ir->main);
    if (planned) free_plans(b, set);
    if (planned && merge_read_batch(b)) return run(b);
    return attn_ir_status(b->ir);
}

attn_status attn_ir_probe(attn_ir *ir)
{
    probe b = {.ir = ir};
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
