/* attn_run: inputs into the arena, step after step, states out. Allocates nothing. */
#define _POSIX_C_SOURCE 200809L

#include "runtime/session.h"

#include <string.h>
#include <time.h>

static double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static attn_status copy_inputs(attn_session *s, attn_error *err)
{
    const attn_graph *g = &s->model->graph;
    for (size_t i = 0; i < g->inputs; i++) {
        const attn_plan_value *v = &s->plan->value[g->input[i].value];
        const attn_tensor *t = s->input[i].set ? &s->input[i].value : NULL;
        if (v->known) continue;
        ATTN_TRY(attn_port_copy(&g->input[i], t, v->bytes / 4, s->arena + v->offset, err));
    }
    return ATTN_OK;
}

/* The states, one after the other, between the session's buffer and the arena. */
static void copy_states(attn_session *s, bool into_arena)
{
    const attn_graph *g = &s->model->graph;
    char *at = s->state;
    for (size_t i = 0; i < g->states; i++) {
        const attn_plan_value *v = &s->plan->value[g->state[i].value];
        const attn_plan_value *next = &s->plan->value[g->state[i].next];
        if (into_arena)
            memcpy(s->arena + v->offset, at, v->bytes);
        else
            memcpy(at, attn_plan_data(next, s->arena), v->bytes);
        at += v->bytes;
    }
}

/* Where the operands of all steps lie: once for as long as the arena stays, since between two runs
 * the weights of a language model push everything else out of the processor's caches. */
static void bind_steps(attn_session *s)
{
    attn_plan *plan = s->plan;
    if (plan->bound == s->arena) return;
    for (size_t n = 0; n < plan->steps; n++) {
        attn_plan_step *step = &plan->step[n];
        for (size_t i = 0; i < step->node->inputs; i++)
            step->in[i].data = attn_plan_data(&plan->value[step->node->in[i]], s->arena);
        for (size_t i = 0; i < step->outputs; i++)
            step->out[i].data = s->arena + plan->value[step->out_value[i]].offset;
    }
    plan->bound = s->arena;
}

static void run_step(attn_session *s, const attn_plan_step *step)
{
    const attn_node *node = step->node;
    attn_run_context c = {.in = step->in,
                          .out = step->out,
                          .outputs = step->outputs,
                          .batch = step->batch,
                          .kernels = s->model->kernels,
                          .products = s->plan->products,
                          .symbols = s->plan->symbol,
                          .past = s->cache.past,
                          .text = s->text,
                          .context = s->plan->context,
                          .cache = s->cache.data ? s->cache.data + step->cache : NULL,
                          .cache_stride = s->cache.item_bytes,
                          .workers = attn_pool_workers(s->pool),
                          .scratch = s->arena + step->scratch,
                          .worker_scratch = s->arena + step->worker_scratch,
                          .worker_scratch_size = step->worker_scratch_size,
                          .parallel = attn_pool_run,
                          .pool = s->pool};
    node->layer->run(&c, node->params);
}

attn_status attn_run(attn_session *s, attn_error *err)
{
    if (!s->plan)
        return attn_fail(err, ATTN_BAD_ARGUMENT,
                         "attn_prepare is due: an input has been set since");
    if (s->plan->by_past && s->plan->past != s->cache.past)
        return attn_fail(err, ATTN_BAD_ARGUMENT, "attn_prepare is due: the plan is for row %zu",
                         s->plan->past);
    ATTN_TRY(attn_cache_check(&s->cache, s->plan, err));
    size_t text = s->plan->context ? s->cache.past + s->plan->appended : 0;
    if (s->text < text) s->text = text;
    if (s->cache.past && s->turn && (s->text > s->turn) != s->past_turn)
        return attn_fail(err, ATTN_LIMIT,
                         "the text has now %zu rows, and model \"%s\" rotates the positions of "
                         "texts beyond %zu otherwise: attn_reset, and run it from its beginning",
                         s->text, s->model->name, s->turn);
    s->past_turn = s->turn && s->text > s->turn;
    s->ran = false;
    ATTN_TRY(copy_inputs(s, err));
    copy_states(s, true);
    bind_steps(s);
    for (size_t i = 0; i < s->plan->steps; i++) {
        attn_plan_step *step = &s->plan->step[i];
        double start = s->observer ? seconds_now() : 0;
        run_step(s, step);
        if (s->observer) s->observer(s->observer_user, step, seconds_now() - start);
    }
    copy_states(s, false);
    if (s->plan->context) s->cache.past += s->plan->appended;
    s->ran = true;
    return ATTN_OK;
}
