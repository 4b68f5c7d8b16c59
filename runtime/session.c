#include "runtime/session.h"

#include <string.h>

enum { MAX_PLANS = 8, MAX_THREADS = 256 };

size_t attn_model_turn(const attn_model *model)
{
    const attn_graph *g = &model->graph;
    size_t turn = 0;
    for (size_t i = 0; i < g->nodes && !turn; i++)
        if (g->node[i].layer->turn) turn = g->node[i].layer->turn(g->node[i].params);
    return turn;
}

attn_status attn_session_open(attn_session **out, const attn_model *model,
                              const attn_session_options *options, attn_error *err)
{
    attn_session_options defaults = {0};
    if (!options) options = &defaults;
    *out = NULL;
    unsigned threads = options->threads ? options->threads : attn_cpu_count();
    if (threads > MAX_THREADS)
        return attn_fail(err, ATTN_BAD_ARGUMENT, "%u threads, at most %d are possible", threads,
                         MAX_THREADS);
    const attn_cache_port *cache = &model->graph.cache;
    if (cache->name && options->context > cache->max)
        return attn_fail(err, ATTN_LIMIT, "a context of %zu rows, model \"%s\" allows %zu",
                         options->context, model->name, cache->max);
    attn_memory memory;
    void *fresh;
    attn_memory_init(&memory, &model->memory.allocator, options->max_memory);
    memory.budget = model->memory.budget;
    memory.holder = ATTN_HELD_BY_SESSION;
    ATTN_TRY(attn_alloc(&memory, sizeof(attn_session), "a session", &fresh, err));
    attn_session *s = fresh;
    *s = (attn_session){
        .model = model, .memory = memory, .options = *options, .turn = attn_model_turn(model)};
    attn_status status = attn_pool_open(&s->pool, threads, &s->memory, err);
    if (status) {
        attn_session_close(s);
        return status;
    }
    *out = s;
    return ATTN_OK;
}

/* All but the `keep` most recently used. */
static void drop_plans(attn_session *s, size_t keep)
{
    attn_plan **at = &s->plans;
    while (*at && keep-- > 0) at = &(*at)->next;
    for (attn_plan *plan = *at, *next; plan; plan = next) {
        next = plan->next;
        attn_plan_free(plan, &s->memory);
    }
    *at = NULL;
}

void attn_session_close(attn_session *s)
{
    if (!s) return;
    attn_pool_close(s->pool, &s->memory);
    drop_plans(s, 0);
    for (size_t i = 0; i < ATTN_MAX_PORTS; i++)
        attn_release(&s->memory, s->input[i].own, s->input[i].own_bytes);
    attn_release(&s->memory, s->arena, s->arena_bytes);
    attn_release(&s->memory, s->state, s->state_bytes);
    attn_cache_free(&s->cache, &s->memory);
    attn_memory memory = s->memory;
    attn_release(&memory, s, sizeof *s);
}

size_t attn_session_memory(const attn_session *s)
{
    return s->memory.used;
}

void attn_reset(attn_session *s)
{
    if (s->state) memset(s->state, 0, s->state_bytes);
    s->cache.past = s->text = 0;
}

/* ---- inputs ------------------------------------------------------------------------------- */

static attn_status find_input(const attn_session *s, const char *name, size_t *index,
                              attn_error *err)
{
    const attn_graph *g = &s->model->graph;
    const attn_port *only = attn_graph_only_input(g);
    for (size_t i = 0; i < g->inputs; i++)
        if (name ? strcmp(g->input[i].name, name) == 0 : &g->input[i] == only) {
            *index = i;
            return ATTN_OK;
        }
    if (!name)
        return attn_fail(err, ATTN_BAD_ARGUMENT, "model \"%s\" has %zu inputs: name one",
                         s->model->name, g->inputs);
    return attn_fail(err, ATTN_BAD_ARGUMENT,
                     "model \"%s\" has no input \"%.80s\"; its first is \"%s\"", s->model->name,
                     name, g->input[0].name);
}

attn_status attn_set_input(attn_session *s, const char *name, const attn_tensor *value,
                           attn_error *err)
{
    size_t index = 0, count = SIZE_MAX; /* stays so if the product overflows */
    ATTN_TRY(find_input(s, name, &index, err));
    const attn_port *port = &s->model->graph.input[index];
    attn_shape_text text;
    if (!value) {
        s->input[index].set = false;
        s->plan = NULL;
        return ATTN_OK;
    }
    if (value->rank < 0 || value->rank > ATTN_MAX_RANK)
        return attn_fail(err, ATTN_BAD_INPUT, "input \"%s\": rank %d", port->name, value->rank);
    attn_format_shape(&text, value->dim, value->rank);
    if (!attn_dtype_size(value->dtype))
        return attn_fail(err, ATTN_BAD_INPUT, "input \"%s\": unknown dtype %d", port->name,
                         (int)value->dtype);
    bool integer =
        value->dtype != ATTN_F32 && value->dtype != ATTN_F16 && value->dtype != ATTN_BF16;
    if (port->dtype == ATTN_I32 && !integer)
        return attn_fail(err, ATTN_BAD_INPUT, "input \"%s\" is %s, expected integers", port->name,
                         attn_dtype_name(value->dtype));
    if (value->rank != port->rank && value->rank != port->rank + 1)
        return attn_fail(err, ATTN_BAD_INPUT,
                         "input \"%s\": shape %s, expected rank %d, or %d with a batch", port->name,
                         text.text, port->rank, port->rank + 1);
    if (!value->data)
        return attn_fail(err, ATTN_BAD_ARGUMENT, "input \"%s\" has no data", port->name);
    if (!attn_product(value->dim, value->rank, &count) || count == 0 || count > SIZE_MAX / 8)
        return attn_fail(err, ATTN_BAD_INPUT, "input \"%s\": shape %s has %s", port->name,
                         text.text, count ? "too many elements" : "no elements");
    s->input[index].value = *value;
    s->input[index].set = true;
    s->plan = NULL;
    return ATTN_OK;
}

/* ---- prepare ------------------------------------------------------------------------------ */

static attn_status describe_inputs(const attn_session *s, attn_plan_input *input, attn_error *err)
{
    const attn_graph *g = &s->model->graph;
    for (size_t i = 0; i < g->inputs; i++) {
        const attn_tensor *t = &s->input[i].value;
        if (!s->input[i].set && !g->input[i].optional)
            return attn_fail(err, ATTN_BAD_ARGUMENT, "input \"%s\" is not set", g->input[i].name);
        input[i].absent = !s->input[i].set;
        if (input[i].absent) continue;
        int batch = t->rank > g->input[i].rank;
        input[i] = (attn_plan_input){.rank = t->rank - batch, .batch = batch ? t->dim[0] : 0};
        if (g->input[i].known) input[i].tensor = t;
        memcpy(input[i].dim, t->dim + batch, (size_t)input[i].rank * sizeof *t->dim);
    }
    return ATTN_OK;
}

/* Is what the plan was made for what is given now? */
static bool same_elements(const attn_plan_input *made, const attn_tensor *t)
{
    if (!made->tensor || !t) return made->tensor == t;
    size_t count = 1;
    for (int i = 0; i < t->rank; i++) count *= t->dim[i];
    return made->tensor->dtype == t->dtype &&
           memcmp(made->tensor->data, t->data, count * attn_dtype_size(t->dtype)) == 0;
}

/* a: of a plan. */
static bool same_inputs(const attn_plan_input *a, const attn_plan_input *b, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (a[i].absent != b[i].absent || a[i].rank != b[i].rank || a[i].batch != b[i].batch ||
            memcmp(a[i].dim, b[i].dim, (size_t)a[i].rank * sizeof *a[i].dim) != 0 ||
            !same_elements(&a[i], b[i].tensor))
            return false;
    return true;
}

/* Takes the plan for these inputs, and this position if it matters, out of the list, or NULL. */
static attn_plan *take_plan(attn_session *s, const attn_plan_input *input)
{
    for (attn_plan **at = &s->plans; *at; at = &(*at)->next)
        if (same_inputs((*at)->input, input, s->model->graph.inputs) &&
            (!(*at)->by_past || (*at)->past == s->cache.past)) {
            attn_plan *plan = *at;
            *at = plan->next;
            return plan;
        }
    return NULL;
}

/* A buffer of at least `bytes`; what it held is lost if it grows. */
static attn_status reserve(attn_session *s, char **buffer, size_t *have, size_t bytes,
                           const char *what, attn_error *err)
{
    void *fresh;
    if (*buffer && *have >= bytes) return ATTN_OK;
    attn_release(&s->memory, *buffer, *have);
    *buffer = NULL;
    *have = 0;
    ATTN_TRY(attn_alloc(&s->memory, bytes, what, &fresh, err));
    *buffer = fresh;
    *have = bytes;
    return ATTN_OK;
}

/* The state is kept from run to run as long as its shapes stay; new shapes begin with zeros. */
static attn_status prepare_state(attn_session *s, const attn_plan *plan, attn_error *err)
{
    const attn_graph *g = &s->model->graph;
    if (g->states == 0) return ATTN_OK;
    bool same = s->state && s->state_bytes == plan->state_bytes && s->state_batch == plan->batch;
    for (size_t i = 0; i < g->states; i++) {
        const attn_shape *shape = &plan->value[g->state[i].value].shape;
        size_t bytes = (size_t)shape->rank * sizeof *shape->dim;
        same = same && memcmp(s->state_dim[i], shape->dim, bytes) == 0;
        memcpy(s->state_dim[i], shape->dim, bytes);
    }
    if (same) return ATTN_OK;
    s->state_batch = plan->batch;
    attn_release(&s->memory, s->state, s->state_bytes);
    s->state = NULL;
    s->state_bytes = 0;
    ATTN_TRY(reserve(s, &s->state, &s->state_bytes, plan->state_bytes, "the state", err));
    memset(s->state, 0, s->state_bytes);
    return ATTN_OK;
}

/* The plan for these inputs, first of the list, and the buffers that it needs. */
static attn_status make_ready(attn_session *s, const attn_plan_input *input, attn_error *err)
{
    attn_plan *plan = take_plan(s, input);
    if (!plan) {
        attn_plan_options options = {.workers = attn_pool_workers(s->pool),
                                     .kernels = s->model->kernels,
                                     .products = attn_model_products(s->model),
                                     .context = s->options.context,
                                     .past = s->cache.past,
                                     .keep_attention = s->options.keep_attention,
                                     .no_fusion = s->options.no_fusion};
        ATTN_TRY(attn_plan_build(&plan, &s->model->graph, input, &options, &s->memory, err));
    }
    plan->next = s->plans;
    s->plans = plan;
    drop_plans(s, MAX_PLANS);
    ATTN_TRY(
        reserve(s, &s->arena, &s->arena_bytes, plan->arena_bytes, "the arena of activations", err));
    ATTN_TRY(prepare_state(s, plan, err));
    ATTN_TRY(attn_cache_prepare(&s->cache, plan, &s->memory, err));
    s->plan = plan;
    return ATTN_OK;
}

attn_status attn_prepare(attn_session *s, attn_error *err)
{
    attn_plan_input input[ATTN_MAX_PORTS];
    attn_error inner;
    if (!err) err = &inner;
    memset(input, 0, sizeof input);
    s->plan = NULL;
    s->ran = false;
    ATTN_TRY(describe_inputs(s, input, err));
    if (make_ready(s, input, err) == ATTN_OK) return ATTN_OK;
    /* An arena only says NULL: err knows whether memory is out, or the limit reached. What is
     * remembered of other shapes must not stand in the way of these. */
    if (err->status != ATTN_LIMIT) return err->status;
    drop_plans(s, 0);
    return make_ready(s, input, err) ? err->status : ATTN_OK;
}

/* ---- results ------------------------------------------------------------------------------ */

static void describe_value(const attn_session *s, size_t id, attn_tensor *out)
{
    const attn_plan_value *v = &s->plan->value[id];
    *out = (attn_tensor){.dtype = v->shape.dtype, .data = attn_plan_data(v, s->arena)};
    if (v->batched) out->dim[out->rank++] = s->plan->batch;
    for (int i = 0; i < v->shape.rank && out->rank < ATTN_MAX_RANK; i++)
        out->dim[out->rank++] = v->shape.dim[i];
}

static attn_status find_output(const attn_session *s, const char *name, const attn_port **out,
                               attn_error *err)
{
    const attn_graph *g = &s->model->graph;
    if (!s->plan || !s->ran)
        return attn_fail(err, ATTN_BAD_ARGUMENT, "there is no result before attn_run");
    for (size_t i = 0; i < g->outputs; i++)
        if (name ? strcmp(g->output[i].name, name) == 0 : g->outputs == 1) {
            *out = &g->output[i];
            return ATTN_OK;
        }
    if (!name)
        return attn_fail(err, ATTN_BAD_ARGUMENT, "model \"%s\" has %zu outputs: name one",
                         s->model->name, g->outputs);
    return attn_fail(err, ATTN_BAD_ARGUMENT,
                     "model \"%s\" has no output \"%.80s\"; its first is \"%s\"", s->model->name,
                     name, g->output[0].name);
}

attn_status attn_output(const attn_session *s, const char *name, attn_tensor *out, attn_error *err)
{
    const attn_port *port;
    ATTN_TRY(find_output(s, name, &port, err));
    describe_value(s, port->value, out);
    return ATTN_OK;
}

size_t attn_map_count(const attn_session *s)
{
    return s->plan && s->ran ? s->plan->kept : 0;
}

attn_status attn_get_map(const attn_session *s, size_t index, attn_map *map, attn_error *err)
{
    if (index >= attn_map_count(s))
        return attn_fail(err, ATTN_BAD_ARGUMENT, "attention map %zu of %zu", index,
                         attn_map_count(s));
    map->node = s->plan->kept_map[index].node->name;
    describe_value(s, s->plan->kept_map[index].value, &map->weights);
    return ATTN_OK;
}

attn_status attn_top(const attn_session *s, const char *name, size_t item, size_t k,
                     attn_class *top, size_t *count, attn_error *err)
{
    const attn_port *port;
    *count = 0;
    ATTN_TRY(find_output(s, name, &port, err));
    const attn_plan_value *v = &s->plan->value[port->value];
    if (v->shape.rank != 1 || v->shape.dtype != ATTN_F32)
        return attn_fail(err, ATTN_BAD_ARGUMENT, "output \"%s\" is no row of logits", port->name);
    if (item >= (v->batched ? s->plan->batch : 1))
        return attn_fail(err, ATTN_BAD_ARGUMENT, "output \"%s\" has no item %zu", port->name, item);
    const float *logits =
        (const float *)attn_plan_data(v, s->arena) + (v->batched ? item * v->count : 0);
    const attn_kernels *kernels = s->model->kernels;
    bool alone = port->measure == ATTN_BY_SIGMOID || v->count == 1;
    float max = kernels->max(logits, v->count), sum = 0;
    for (size_t i = 0; i < v->count; i++) {
        float e = logits[i] - (alone || port->measure == ATTN_BY_NONE ? 0 : max);
        if (port->measure != ATTN_BY_NONE)
            kernels->unary(alone ? ATTN_SIGMOID : ATTN_EXP, &e, &e, 1);
        sum += e;
        /* Insertion: the list stays sorted, and an equal one of lower index stays in front. */
        size_t at = *count < k ? (*count)++ : k;
        if (at == k && (k == 0 || !(e > top[k - 1].probability))) continue;
        if (at == k) at--;
        for (; at > 0 && e > top[at - 1].probability; at--) top[at] = top[at - 1];
        top[at] = (attn_class){i, i < port->label_count ? port->labels[i] : NULL, e};
    }
    if (port->measure == ATTN_BY_SOFTMAX && !alone)
        for (size_t i = 0; i < *count; i++) top[i].probability /= sum;
    return ATTN_OK;
}
