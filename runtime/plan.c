#include "runtime/planner.h"

#include <stdio.h>
#include <string.h>

/* One item of a value, and all of them, stay below this: sums of sizes cannot overflow then. */
#define MAX_VALUE_BYTES ((size_t)1 << 44)

static void *get(attn_planner *p, size_t count, size_t size)
{
    return attn_arena_get(&p->plan->arena, count, size, p->err);
}

/* ---- inputs ------------------------------------------------------------------------------- */

static attn_status finish_value(attn_planner *p, attn_plan_value *v, const char *place)
{
    attn_shape_text text;
    size_t items = v->batched ? p->plan->batch : 1;
    /* The batch is one dimension more to who looks at a result. */
    if (v->shape.rank >= ATTN_MAX_RANK)
        return attn_fail(p->err, ATTN_BAD_MODEL, "%s: a value of rank %d, at most %d is possible",
                         place, v->shape.rank, ATTN_MAX_RANK - 1);
    if (!attn_product(v->shape.dim, v->shape.rank, &v->count) ||
        !attn_mul(v->count, items, &v->bytes) || v->bytes > MAX_VALUE_BYTES / 4)
        return attn_fail(p->err, ATTN_LIMIT,
                         "%s: a value of shape %s, times a batch of %zu, is too large", place,
                         attn_format_shape(&text, v->shape.dim, v->shape.rank), items);
    v->bytes *= 4;
    v->used = true;
    return ATTN_OK;
}

static attn_status want_elements(const attn_planner *p, const attn_plan_value *v, const char *place)
{
    attn_shape_text text;
    if (v->count) return ATTN_OK;
    return attn_fail(p->err, ATTN_BAD_MODEL, "%s: a value of shape %s has no elements", place,
                     attn_format_shape(&text, v->shape.dim, v->shape.rank));
}

static size_t new_block(attn_planner *p, size_t bytes, size_t first, size_t last)
{
    p->block[p->blocks] = (attn_block){.size = bytes, .first = first, .last = last};
    return p->blocks++;
}

/* The value of a port before the first step, with the symbols bound. */
static attn_status place_port(attn_planner *p, const attn_port *port, bool batched)
{
    attn_plan_value *v = &p->plan->value[port->value];
    v->shape = (attn_shape){.dtype = port->dtype, .rank = port->rank};
    for (int i = 0; i < port->rank; i++) {
        v->shape.dim[i] = (size_t)port->dim[i];
        if (port->dim[i] > ATTN_SYMBOL_BASE) continue;
        size_t symbol = (size_t)(ATTN_SYMBOL_BASE - port->dim[i]);
        v->shape.dim[i] = p->plan->symbol[symbol];
        if (p->plan->symbol[symbol] == 0)
            return attn_fail(p->err, ATTN_BAD_MODEL,
                             "state \"%s\": no input has the dimension \"%s\"", port->name,
                             p->graph->symbol[symbol].name);
    }
    v->batched = batched;
    char place[200];
    snprintf(place, sizeof place, "\"%.100s\"", port->name);
    ATTN_TRY(finish_value(p, v, place));
    ATTN_TRY(want_elements(p, v, place));
    if (port->known && !batched) ATTN_TRY(attn_plan_take_known(p, port, v));
    if (!v->known) v->block = new_block(p, v->bytes, 0, p->last[port->value]);
    return ATTN_OK;
}

static attn_status bind_input(attn_planner *p, const attn_port *port, const attn_plan_input *input)
{
    attn_plan *plan = p->plan;
    attn_shape_text text;
    if (input->absent) return ATTN_OK;
    attn_format_shape(&text, input->dim, input->rank);
    if (input->rank != port->rank)
        return attn_fail(p->err, ATTN_BAD_INPUT, "input \"%s\": shape %s, expected rank %d",
                         port->name, text.text, port->rank);
    for (int i = 0; i < port->rank; i++) {
        size_t have = input->dim[i], want = (size_t)port->dim[i];
        if (port->dim[i] <= ATTN_SYMBOL_BASE) {
            size_t s = (size_t)(ATTN_SYMBOL_BASE - port->dim[i]);
            const attn_symbol *symbol = &p->graph->symbol[s];
            if (have > symbol->max)
                return attn_fail(p->err, ATTN_BAD_INPUT,
                                 "input \"%s\": shape %s, but \"%s\" is at most %zu", port->name,
                                 text.text, symbol->name, symbol->max);
            if (!p->plan->symbol[s]) p->plan->symbol[s] = have;
            want = p->plan->symbol[s];
        }
        if (have != want)
            return attn_fail(p->err, ATTN_BAD_INPUT,
                             "input \"%s\": shape %s, expected %zu at dimension %d", port->name,
                             text.text, want, i);
    }
    if (input->batch && plan->batch && input->batch != plan->batch)
        return attn_fail(p->err, ATTN_BAD_INPUT,
                         "input \"%s\" has a batch of %zu, another input one of %zu", port->name,
                         input->batch, plan->batch);
    if (input->batch) plan->batch = input->batch;
    return ATTN_OK;
}

static attn_status place_ports(attn_planner *p, const attn_plan_input *input)
{
    const attn_graph *g = p->graph;
    bool any = false;
    p->plan->batch = 0;
    for (size_t i = 0; i < g->inputs; i++) ATTN_TRY(bind_input(p, &g->input[i], &input[i]));
    any = p->plan->batch != 0;
    if (!any) p->plan->batch = 1;
    for (size_t i = 0; i < g->inputs; i++) {
        if (g->input[i].known && input[i].batch)
            return attn_fail(p->err, ATTN_BAD_INPUT,
                             "input \"%s\" must be known before a run, so it has no batch",
                             g->input[i].name);
        ATTN_TRY(place_port(p, &g->input[i], input[i].batch != 0));
    }
    for (size_t i = 0; i < g->states; i++) ATTN_TRY(place_port(p, &g->state[i], any));
    return ATTN_OK;
}

/* ---- steps -------------------------------------------------------------------------------- */

/* When each value is read for the last time; what leaves the graph is read after all steps. */
static void find_last(attn_planner *p)
{
    const attn_graph *g = p->graph;
    for (size_t s = 0; s < p->plan->steps; s++) {
        for (size_t i = 0; i < p->node[s].inputs; i++) p->last[p->node[s].in[i]] = s;
        for (size_t i = 0; i < p->node[s].outputs; i++) p->last[p->node[s].out[i]] = s;
    }
    for (size_t i = 0; i < g->outputs; i++) p->last[g->output[i].value] = p->plan->steps;
    for (size_t i = 0; i < g->states; i++) p->last[g->state[i].next] = p->plan->steps;
}

static attn_status infer_step(attn_planner *p, attn_plan_step *step, attn_infer *c)
{
    attn_shape in[ATTN_MAX_OPERANDS], out[ATTN_MAX_OPERANDS + 1] = {0};
    const void *known[ATTN_MAX_OPERANDS];
    const attn_node *node = step->node;
    bool batched = false;
    for (size_t i = 0; i < node->inputs; i++) {
        const attn_plan_value *v = &p->plan->value[node->in[i]];
        if (v->used && !(node->layer->flags & ATTN_TAKES_EMPTY))
            ATTN_TRY(want_elements(p, v, node->place));
        in[i] = v->shape;
        known[i] = v->known;
        batched |= v->batched;
    }
    if (node->layer->flags & ATTN_BY_SHAPE) batched = false; /* the same for every item */
    step->batch = batched ? p->plan->batch : 1;
    *c = (attn_infer){.inputs = node->inputs,
                      .in = in,
                      .outputs = step->outputs,
                      .out = out,
                      .batch = step->batch,
                      .workers = p->options->workers,
                      .kernels = p->options->kernels,
                      .products = p->options->products,
                      .symbols = p->plan->symbol,
                      .known = known,
                      .context = p->plan->context,
                      .appended = p->plan->appended,
                      .past = p->plan->past,
                      .place = node->place,
                      .err = p->err};
    ATTN_TRY(node->layer->infer(c, node->params));
    step->flops = c->flops * (double)step->batch;
    for (size_t i = 0; i < step->outputs; i++) {
        attn_plan_value *v = &p->plan->value[step->out_value[i]];
        v->shape = out[i];
        v->batched = batched;
        ATTN_TRY(finish_value(p, v, node->place));
    }
    c->in = NULL;
    c->out = NULL;
    c->known = NULL;
    return ATTN_OK;
}

/* An in-place layer writes over one of its inputs if nobody reads that any more: that input, or
 * NULL. */
static const attn_plan_value *shared_input(const attn_planner *p, const attn_plan_step *step,
                                           size_t s)
{
    const attn_node *node = step->node;
    const attn_plan_value *value = p->plan->value, *out = &value[step->out_value[0]];
    bool last = node->layer->flags & ATTN_IN_PLACE_LAST;
    if (node->inputs <= (last ? 1 : 0) ||
        !(node->layer->flags & (ATTN_IN_PLACE | ATTN_IN_PLACE_LAST)))
        return NULL;
    const attn_plan_value *in = &value[node->in[last ? node->inputs - 1 : 0]];
    if (in->known) return NULL;
    for (size_t i = 0; last && i + 1 < node->inputs; i++)
        if (!value[node->in[i]].known && value[node->in[i]].block == in->block) return NULL;
    bool fits = in->bytes == out->bytes && in->batched == out->batched;
    return fits && p->block[in->block].last == s ? in : NULL;
}

/* What the node keeps, behind what the nodes before it keep. */
static attn_status place_cache(attn_planner *p, attn_plan_step *step, const attn_infer *c)
{
    attn_plan *plan = p->plan;
    if (c->cache_parts && step->batch != plan->batch)
        return attn_fail(p->err, ATTN_BAD_INPUT,
                         "%s: what it keeps is the same for every item of a batch of %zu",
                         step->node->place, plan->batch);
    plan->by_past |= c->by_past;
    step->cache = plan->cache_bytes;
    for (size_t i = 0; i < c->cache_parts; i++) {
        const attn_cache_part *part = &c->cache[i];
        size_t bytes;
        plan->cache[plan->caches++] = (attn_plan_cache){*part, plan->cache_bytes};
        if (!attn_mul(part->lanes, part->lane_bytes, &bytes) ||
            !attn_add(plan->cache_bytes, bytes, &plan->cache_bytes) ||
            plan->cache_bytes > MAX_VALUE_BYTES)
            return attn_fail(p->err, ATTN_LIMIT, "%s: a cache of %zu rows is too large",
                             step->node->place, plan->context);
    }
    return ATTN_OK;
}

attn_status attn_plan_place_step(attn_planner *p, size_t s)
{
    attn_plan_step *step = &p->plan->step[s];
    attn_infer c;
    ATTN_TRY(infer_step(p, step, &c));
    ATTN_TRY(attn_plan_evaluate(p, step, &c));
    if (step->known) return ATTN_OK;
    for (size_t i = 0; i < step->outputs; i++)
        ATTN_TRY(want_elements(p, &p->plan->value[step->out_value[i]], step->node->place));
    ATTN_TRY(place_cache(p, step, &c));
    for (size_t i = 0; i < step->outputs; i++) {
        attn_plan_value *v = &p->plan->value[step->out_value[i]];
        size_t last = p->last[step->out_value[i]];
        const attn_plan_value *in = i == 0 ? shared_input(p, step, s) : NULL;
        if (in) {
            v->block = in->block;
            p->block[v->block].last = last;
        } else {
            v->block = new_block(p, v->bytes, s, last);
        }
    }
    size_t worker = c.worker_scratch, all;
    if (!attn_mul(worker, p->options->workers, &all) || c.scratch > MAX_VALUE_BYTES ||
        all > MAX_VALUE_BYTES)
        return attn_fail(p->err, ATTN_LIMIT, "%s: scratch of %zu and %zu bytes is too large",
                         step->node->place, c.scratch, worker);
    step->worker_scratch_size = worker;
    step->scratch = new_block(p, c.scratch, s, s);
    step->worker_scratch = new_block(p, all, s, s);
    return ATTN_OK;
}

static attn_status begin_cache(attn_planner *p)
{
    attn_plan *plan = p->plan;
    if (!p->graph->cache.name) return ATTN_OK;
    plan->appended = p->plan->symbol[p->graph->cache.symbol];
    plan->context = p->options->context;
    plan->past = p->options->past;
    if (!plan->context) return ATTN_OK;
    if (plan->past > plan->context || plan->appended > plan->context - plan->past)
        return attn_fail(p->err, ATTN_LIMIT, "%zu rows after %zu do not fit into a context of %zu",
                         plan->appended, plan->past, plan->context);
    plan->cache = get(p, plan->steps * ATTN_CACHE_PARTS, sizeof *plan->cache);
    return plan->cache ? ATTN_OK : ATTN_NO_MEMORY;
}

static attn_status make_steps(attn_planner *p)
{
    attn_plan *plan = p->plan;
    for (size_t s = 0; s < plan->steps; s++) {
        attn_plan_step *step = &plan->step[s];
        const attn_node *node = step->node = &p->node[s];
        bool shows = p->options->keep_attention && (node->layer->flags & ATTN_SHOWS_WEIGHTS);
        step->outputs = node->outputs + (shows && node->outputs == 1);
        step->in = get(p, node->inputs, sizeof *step->in);
        step->out = get(p, step->outputs, sizeof *step->out);
        step->out_value = get(p, step->outputs, sizeof *step->out_value);
        if (!step->in || !step->out || !step->out_value) return ATTN_NO_MEMORY;
        memcpy(step->out_value, node->out, node->outputs * sizeof *node->out);
        /* Spelled as three layers, the weights are what `normalize` makes. */
        bool makes = p->options->keep_attention && node->layer->step == ATTN_STEP_NORMALIZE;
        if (!shows && !makes) continue;
        size_t value = makes ? node->out[0] : node->outputs == 1 ? plan->values++ : node->out[1];
        if (shows) step->out_value[1] = value;
        p->last[value] = plan->steps;
        plan->kept_map[plan->kept++] = (struct attn_plan_kept){node, value};
    }
    return ATTN_OK;
}

/* Offsets for the blocks, and the operands of the steps but for their data. */
static attn_status place_blocks(attn_planner *p)
{
    attn_plan *plan = p->plan;
    size_t *order = get(p, 2 * p->blocks, sizeof *order);
    if (!order) return ATTN_NO_MEMORY;
    if (!attn_plan_blocks(p->block, p->blocks, order, &plan->arena_bytes))
        return attn_fail(p->err, ATTN_LIMIT, "the plan needs more bytes than can exist");
    for (size_t i = 0; i < plan->values; i++)
        if (plan->value[i].used && !plan->value[i].known)
            plan->value[i].offset = p->block[plan->value[i].block].offset;
    size_t kept = 0;
    for (size_t s = 0; s < plan->steps; s++)
        if (!plan->step[s].known && !plan->step[s].dead) plan->step[kept++] = plan->step[s];
    plan->steps = kept;
    kept = 0;
    for (size_t i = 0; i < plan->kept; i++)
        if (plan->value[plan->kept_map[i].value].used) plan->kept_map[kept++] = plan->kept_map[i];
    plan->kept = kept;
    for (size_t s = 0; s < plan->steps; s++) {
        attn_plan_step *step = &plan->step[s];
        step->scratch = p->block[step->scratch].offset;
        step->worker_scratch = p->block[step->worker_scratch].offset;
        for (size_t i = 0; i < step->node->inputs + step->outputs; i++) {
            bool is_in = i < step->node->inputs;
            size_t id = is_in ? step->node->in[i] : step->out_value[i - step->node->inputs];
            attn_value *to = is_in ? &step->in[i] : &step->out[i - step->node->inputs];
            const attn_plan_value *v = &plan->value[id];
            *to = (attn_value){v->shape, v->count, v->batched ? v->count : 0, NULL};
        }
    }
    return ATTN_OK;
}

static attn_status check_states(attn_planner *p)
{
    const attn_graph *g = p->graph;
    for (size_t i = 0; i < g->states; i++) {
        const attn_plan_value *from = &p->plan->value[g->state[i].next];
        const attn_plan_value *to = &p->plan->value[g->state[i].value];
        attn_shape_text a, b;
        if (from->bytes != to->bytes || from->shape.rank != to->shape.rank ||
            from->shape.dtype != to->shape.dtype ||
            memcmp(from->shape.dim, to->shape.dim, (size_t)to->shape.rank * sizeof(size_t)) != 0)
            return attn_fail(p->err, ATTN_BAD_MODEL,
                             "state \"%s\" is %s %s%s, its \"next\" is %s %s%s", g->state[i].name,
                             attn_dtype_name(to->shape.dtype),
                             attn_format_shape(&a, to->shape.dim, to->shape.rank),
                             to->batched ? " per item" : "", attn_dtype_name(from->shape.dtype),
                             attn_format_shape(&b, from->shape.dim, from->shape.rank),
                             from->batched ? " per item" : "");
        p->plan->state_bytes += to->bytes;
    }
    return ATTN_OK;
}

static attn_status check_labels(attn_planner *p)
{
    const attn_graph *g = p->graph;
    attn_shape_text text;
    for (size_t i = 0; i < g->outputs; i++) {
        const attn_plan_value *v = &p->plan->value[g->output[i].value];
        const attn_shape *shape = &v->shape;
        if (attn_port_is_text(&g->output[i])) {
            if (shape->rank < 2 || shape->dtype != ATTN_F32 ||
                shape->dim[shape->rank - 1] != g->output[i].label_count)
                return attn_fail(p->err, ATTN_BAD_MODEL,
                                 "output \"%s\" is %s %s, expected f32 [..., rows, %zu], as many "
                                 "columns as there are characters",
                                 g->output[i].name, attn_dtype_name(shape->dtype),
                                 attn_format_shape(&text, shape->dim, shape->rank),
                                 g->output[i].label_count);
            continue;
        }
        if (g->output[i].labels && v->shape.rank == 1 && g->output[i].label_count != v->count)
            return attn_fail(p->err, ATTN_BAD_MODEL, "output \"%s\" has %zu classes and %zu labels",
                             g->output[i].name, v->count, g->output[i].label_count);
    }
    return ATTN_OK;
}

static attn_status build(attn_planner *p, const attn_plan_input *input)
{
    const attn_graph *g = p->graph;
    attn_plan *plan = p->plan;
    bool fused = !p->options->no_fusion;
    p->node = fused ? g->fused : g->node;
    plan->steps = fused ? g->fused_nodes : g->nodes;
    plan->values = g->values;
    plan->inputs = g->inputs;
    plan->products = p->options->products;
    size_t most = g->values + plan->steps;
    plan->value = get(p, most, sizeof *plan->value);
    plan->step = get(p, plan->steps, sizeof *plan->step);
    plan->kept_map = get(p, plan->steps, sizeof *plan->kept_map);
    plan->input = get(p, g->inputs, sizeof *plan->input);
    plan->symbol = get(p, g->symbols, sizeof *plan->symbol);
    p->last = get(p, most, sizeof *p->last);
    p->block = get(p, most + 2 * plan->steps, sizeof *p->block);
    if (!plan->value || !plan->step || !plan->kept_map || !plan->input || !plan->symbol ||
        !p->last || !p->block)
        return ATTN_NO_MEMORY;
    memcpy(plan->input, input, g->inputs * sizeof *input);
    find_last(p);
    ATTN_TRY(make_steps(p));
    ATTN_TRY(place_ports(p, input));
    ATTN_TRY(begin_cache(p));
    ATTN_TRY(attn_plan_steps(p));
    ATTN_TRY(check_states(p));
    ATTN_TRY(check_labels(p));
    return place_blocks(p);
}

attn_status attn_plan_build(attn_plan **out, const attn_graph *graph, const attn_plan_input *input,
                            const attn_plan_options *options, attn_memory *memory, attn_error *err)
{
    void *fresh;
    *out = NULL;
    ATTN_TRY(attn_alloc(memory, sizeof(attn_plan), "a plan", &fresh, err));
    attn_plan *plan = fresh;
    *plan = (attn_plan){0};
    attn_arena_init(&plan->arena, memory);
    attn_planner p = {.graph = graph, .options = options, .plan = plan, .err = err};
    attn_status status = build(&p, input);
    if (status) {
        attn_plan_free(plan, memory);
        /* A sum that broadcasts is fused in vain; and what is wrong is best said of the nodes as
         * they are described. */
        attn_plan_options plain = *options;
        plain.no_fusion = true;
        if (status != ATTN_BAD_MODEL || options->no_fusion) return status;
        return attn_plan_build(out, graph, input, &plain, memory, err);
    }
    *out = plan;
    return ATTN_OK;
}

void attn_plan_free(attn_plan *plan, attn_memory *memory)
{
    if (!plan) return;
    attn_arena_free(&plan->arena);
    attn_release(memory, plan, sizeof *plan);
}
