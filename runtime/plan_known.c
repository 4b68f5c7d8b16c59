/* What a plan can know: the elements of values that depend on constants, shapes and known inputs
 * alone; and, from them, which side of a choice is needed. */
#include "runtime/planner.h"

#include <string.h>

enum {
    MOST_ELEMENTS = 1 << 22, /* of a value that is computed here */
    ALIGNMENT = 64,
};
/* Operations of all that a plan computes: a second, or a hostile file's most. */
#define MOST_WORK 1e9

static void *get(attn_planner *p, size_t count, size_t size)
{
    return attn_arena_get(&p->plan->arena, count, size, p->err);
}

/* ---- inputs --------------------------------------------------------------------------------- */

attn_status attn_plan_take_known(attn_planner *p, const attn_port *port, attn_plan_value *v)
{
    attn_plan_input *input = &p->plan->input[port - p->graph->input];
    if (!input->absent && !input->tensor) return ATTN_OK;
    void *elements = get(p, v->count, 4);
    if (!elements) return ATTN_NO_MEMORY;
    if (!input->absent) {
        size_t bytes = v->count * attn_dtype_size(input->tensor->dtype);
        attn_tensor *own = get(p, 1, sizeof *own);
        void *copy = get(p, bytes, 1);
        if (!own || !copy) return ATTN_NO_MEMORY;
        memcpy(copy, input->tensor->data, bytes);
        *own = *input->tensor;
        own->data = copy;
        input->tensor = own;
    }
    ATTN_TRY(attn_port_copy(port, input->tensor, v->count, elements, p->err));
    v->known = elements;
    return ATTN_OK;
}

/* ---- steps ---------------------------------------------------------------------------------- */

static void run_here(void *pool, size_t tasks, attn_task task, void *arg)
{
    (void)pool;
    for (size_t i = 0; i < tasks; i++) task(arg, i, 0);
}

static bool has_weights(const attn_node *node)
{
    for (size_t i = 0; i < node->weights; i++)
        if (node->weight[i]->source) return true;
    return false;
}

/* Can the step be run now, and is it worth it? */
static bool can_evaluate(attn_planner *p, const attn_plan_step *step, const attn_infer *c)
{
    const attn_node *node = step->node;
    unsigned flags = node->layer->flags;
    if ((node->inputs == 0 && !(flags & ATTN_BY_SHAPE)) || (flags & ATTN_NEVER_KNOWN) ||
        c->cache_parts || c->by_past || step->outputs != node->outputs)
        return false;
    double work = c->flops;
    for (size_t i = 0; i < step->outputs; i++) {
        size_t count = p->plan->value[step->out_value[i]].count;
        if (count > MOST_ELEMENTS) return false;
        work += (double)count;
    }
    if (flags & ATTN_BY_SHAPE) return true;
    for (size_t i = 0; i < node->inputs; i++) {
        if (!p->plan->value[node->in[i]].known) return false;
        work += (double)p->plan->value[node->in[i]].count;
    }
    if (p->work + work > MOST_WORK) return false;
    p->work += work;
    return true;
}

static attn_status run_step(attn_planner *p, attn_plan_step *step, const attn_infer *c,
                            char *scratch)
{
    attn_value in[ATTN_MAX_OPERANDS], out[ATTN_MAX_OPERANDS];
    for (size_t i = 0; i < step->node->inputs; i++) {
        const attn_plan_value *v = &p->plan->value[step->node->in[i]];
        in[i] = (attn_value){v->shape, v->count, 0, attn_plan_data(v, NULL)};
    }
    for (size_t i = 0; i < step->outputs; i++) {
        const attn_plan_value *v = &p->plan->value[step->out_value[i]];
        out[i] = (attn_value){v->shape, v->count, 0, get(p, v->count, 4)};
        if (!out[i].data) return ATTN_NO_MEMORY;
    }
    attn_run_context run = {.in = in,
                            .out = out,
                            .outputs = step->outputs,
                            .batch = 1,
                            .kernels = c->kernels,
                            .products = c->products,
                            .symbols = c->symbols,
                            .workers = c->workers,
                            .scratch = scratch,
                            .worker_scratch = scratch + c->scratch,
                            .worker_scratch_size = c->worker_scratch,
                            .parallel = run_here};
    step->node->layer->run(&run, step->node->params);
    for (size_t i = 0; i < step->outputs; i++)
        p->plan->value[step->out_value[i]].known = out[i].data;
    step->known = true;
    return ATTN_OK;
}

attn_status attn_plan_evaluate(attn_planner *p, attn_plan_step *step, const attn_infer *c)
{
    const attn_node *node = step->node;
    if (node->layer->constant) {
        attn_plan_value *v = &p->plan->value[step->out_value[0]];
        v->known = node->layer->constant(node->params);
        step->known = v->known != NULL;
        if (!v->known && p->options->unfilled) *p->options->unfilled = true;
        return ATTN_OK;
    }
    if (!can_evaluate(p, step, c)) return ATTN_OK;
    if (p->options->unfilled && has_weights(node)) {
        *p->options->unfilled = true;
        return ATTN_OK;
    }
    size_t bytes;
    void *scratch;
    attn_memory *memory = p->plan->arena.memory;
    if (!attn_add(c->scratch, c->worker_scratch, &bytes))
        return attn_fail(p->err, ATTN_LIMIT, "%s: scratch of %zu and %zu bytes is too large",
                         node->place, c->scratch, c->worker_scratch);
    ATTN_TRY(attn_alloc(memory, bytes, "scratch of a layer", &scratch, p->err));
    attn_status status = run_step(p, step, c, scratch);
    attn_release(memory, scratch, bytes);
    return status;
}

/* ---- choices -------------------------------------------------------------------------------- */

enum { OPEN = 0, FIRST = 1, SECOND = 2 }; /* of a choice: the input that it takes */

typedef struct chooser {
    attn_planner *p;
    size_t *maker; /* [values]: the step that makes it; `steps` of ports */
    bool *needed, *placed;
    unsigned char *choice;
    size_t *stack;
} chooser;

static bool chooses(const attn_planner *p, size_t s)
{
    return p->node[s].layer->flags & ATTN_CHOOSES;
}

/* Does step s, as far as it is decided, read its input i? */
static bool reads(const chooser *c, size_t s, size_t i)
{
    return !chooses(c->p, s) || i == 0 || i == c->choice[s];
}

static void need(chooser *c, size_t step)
{
    size_t depth = 0, steps = c->p->plan->steps;
    if (c->needed[step]) return;
    c->needed[step] = true;
    c->stack[depth++] = step;
    while (depth > 0) {
        size_t s = c->stack[--depth];
        for (size_t i = 0; i < c->p->node[s].inputs; i++) {
            size_t maker = c->maker[c->p->node[s].in[i]];
            if (!reads(c, s, i) || maker == steps || c->needed[maker]) continue;
            c->needed[maker] = true;
            c->stack[depth++] = maker;
        }
    }
}

/* A result is needed, and so is what nobody reads, as without choices. */
static void need_roots(chooser *c, const bool *read)
{
    const attn_graph *g = c->p->graph;
    size_t steps = c->p->plan->steps;
    for (size_t s = 0; s < steps; s++) {
        bool any = false;
        for (size_t i = 0; i < c->p->node[s].outputs; i++) any |= read[c->p->node[s].out[i]];
        if (!any) need(c, s);
    }
    for (size_t i = 0; i < g->outputs; i++)
        if (c->maker[g->output[i].value] < steps) need(c, c->maker[g->output[i].value]);
    for (size_t i = 0; i < g->states; i++)
        if (c->maker[g->state[i].next] < steps) need(c, c->maker[g->state[i].next]);
}

static attn_status decide(chooser *c, size_t s, bool *decided)
{
    const attn_node *node = &c->p->node[s];
    const attn_plan_value *flag = &c->p->plan->value[node->in[0]];
    if (c->choice[s] != OPEN || !flag->used) return ATTN_OK;
    if (!flag->known || flag->count != 1 || flag->shape.dtype != ATTN_I32)
        return attn_fail(c->p->err, ATTN_BAD_MODEL,
                         "%s: the condition must be one integer that is known before a run",
                         node->place);
    c->choice[s] = *(const int32_t *)flag->known ? FIRST : SECOND;
    *decided = true;
    size_t maker = c->maker[node->in[c->choice[s]]];
    if (maker < c->p->plan->steps) need(c, maker);
    return ATTN_OK;
}

static bool is_ready(const chooser *c, size_t s)
{
    const attn_node *node = &c->p->node[s];
    if (chooses(c->p, s) && c->choice[s] == OPEN) return false;
    for (size_t i = 0; i < node->inputs; i++)
        if (reads(c, s, i) && !c->p->plan->value[node->in[i]].used) return false;
    return true;
}

/* Round by round: what is needed and ready is placed, and decides choices, which need more. */
static attn_status place_chosen(chooser *c)
{
    size_t steps = c->p->plan->steps;
    bool decided = true;
    while (decided) {
        decided = false;
        for (size_t s = 0; s < steps; s++) {
            if (!c->needed[s] || c->placed[s]) continue;
            if (chooses(c->p, s)) ATTN_TRY(decide(c, s, &decided));
            if (!is_ready(c, s)) continue;
            ATTN_TRY(attn_plan_place_step(c->p, s));
            c->placed[s] = true;
        }
    }
    for (size_t s = 0; s < steps; s++) c->p->plan->step[s].dead = !c->placed[s];
    return ATTN_OK;
}

attn_status attn_plan_steps(attn_planner *p)
{
    size_t steps = p->plan->steps, values = p->graph->values, choices = 0;
    for (size_t s = 0; s < steps; s++) choices += chooses(p, s);
    if (choices == 0) {
        for (size_t s = 0; s < steps; s++) ATTN_TRY(attn_plan_place_step(p, s));
        return ATTN_OK;
    }
    bool *read = get(p, values, sizeof *read);
    chooser c = {.p = p,
                 .maker = get(p, values, sizeof *c.maker),
                 .needed = get(p, steps, sizeof *c.needed),
                 .placed = get(p, steps, sizeof *c.placed),
                 .choice = get(p, steps, sizeof *c.choice),
                 .stack = get(p, steps, sizeof *c.stack)};
    if (!read || !c.maker || !c.needed || !c.placed || !c.choice || !c.stack) return ATTN_NO_MEMORY;
    for (size_t v = 0; v < values; v++) c.maker[v] = steps;
    for (size_t s = 0; s < steps; s++) {
        for (size_t i = 0; i < p->node[s].outputs; i++) c.maker[p->node[s].out[i]] = s;
        for (size_t i = 0; i < p->node[s].inputs; i++) read[p->node[s].in[i]] = true;
    }
    need_roots(&c, read);
    return place_chosen(&c);
}
