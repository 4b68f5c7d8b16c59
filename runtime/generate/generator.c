#include "runtime/generate/generator.h"

#include <string.h>

enum { DEFAULT_TOKENS = 256, DEFAULT_BLOCK = 256, MAX_BEAMS = 256 };

/* ---- the model's side ---------------------------------------------------------------------- */

static attn_status find_ports(attn_generator *g, attn_error *err)
{
    const attn_graph *graph = &g->model->graph;
    for (size_t i = 0; i < graph->inputs; i++)
        if (graph->input[i].kind == ATTN_KIND_TOKENS && graph->input[i].rank == 1 && !g->tokens)
            g->tokens = &graph->input[i];
    for (size_t i = 0; i < graph->outputs; i++)
        if ((strcmp(graph->output[i].name, "logits") == 0 || graph->outputs == 1) &&
            graph->output[i].kind != ATTN_KIND_CLASSES)
            g->logits = &graph->output[i];
    if (!g->tokens)
        return attn_fail(err, ATTN_BAD_ARGUMENT,
                         "model \"%s\" generates no text: it has no input of kind \"tokens\"",
                         g->model->name);
    if (!g->logits)
        return attn_fail(
            err, ATTN_BAD_ARGUMENT,
            "model \"%s\" generates no text: it has no output \"logits\" over a vocabulary",
            g->model->name);
    return ATTN_OK;
}

/* Tokens that the model allows: its cache's, and those of the input. */
static size_t model_context(const attn_generator *g)
{
    const attn_graph *graph = &g->model->graph;
    size_t most = graph->cache.name ? graph->cache.max : SIZE_MAX;
    long dim = g->tokens->dim[0];
    size_t rows = dim <= ATTN_SYMBOL_BASE ? graph->symbol[ATTN_SYMBOL_BASE - dim].max : (size_t)dim;
    return rows < most ? rows : most;
}

attn_status attn_generator_run(attn_generator *g, int32_t *ids, size_t batch, size_t n,
                               attn_error *err)
{
    attn_tensor t = {.dtype = ATTN_I32, .data = ids};
    if (batch) t.dim[t.rank++] = batch;
    t.dim[t.rank++] = n;
    ATTN_TRY(attn_set_input(g->session, g->tokens->name, &t, err));
    ATTN_TRY(attn_prepare(g->session, err));
    return attn_run(g->session, err);
}

attn_status attn_generator_logits(const attn_generator *g, const float **row, size_t *stride,
                                  attn_error *err)
{
    attn_tensor t;
    ATTN_TRY(attn_output(g->session, g->logits->name, &t, err));
    bool batched = g->session->plan->value[g->logits->value].batched;
    size_t rows = t.rank - batched == 2 ? t.dim[t.rank - 2] : 1;
    *stride = rows * g->vocabulary;
    *row = (const float *)t.data + (rows - 1) * g->vocabulary;
    return ATTN_OK;
}

/* Where the context is full, the window begins in its middle; what is left is run again. */
static void move_window(attn_generator *g)
{
    if (g->length - g->first <= g->context) return;
    g->first = g->length - (g->context - g->context / 2);
    g->fed = g->first;
    attn_reset(g->session);
}

/* Where the text becomes one that the model rotates otherwise, it is run again. */
static void turn(attn_generator *g)
{
    attn_session *s = g->session;
    size_t length = g->length - g->first;
    if (s->turn && s->cache.past && s->past_turn != (length > s->turn)) {
        g->fed = g->first;
        attn_reset(s);
    }
    s->text = length;
}

attn_status attn_generator_feed(attn_generator *g, attn_error *err)
{
    size_t batch = g->o.beams > 1;
    move_window(g);
    turn(g);
    if (!g->cached) {
        g->fed = g->length;
        return attn_generator_run(g, g->text + g->first, batch, g->length - g->first, err);
    }
    while (g->fed < g->length) {
        size_t n = g->length - g->fed;
        if (n > g->o.block) n = g->o.block;
        ATTN_TRY(attn_generator_run(g, g->text + g->fed, batch, n, err));
        g->fed += n;
    }
    return ATTN_OK;
}

/* ---- before the start ---------------------------------------------------------------------- */

static attn_status check_options(attn_generator *g, attn_error *err)
{
    attn_generator_options *o = &g->o;
    bool samples = o->sampling.temperature != 0 || o->sampling.frequency_penalty != 0 ||
                   o->sampling.presence_penalty != 0;
    ATTN_TRY(attn_sampling_check(&o->sampling, err));
    if (o->beams > MAX_BEAMS)
        return attn_fail(err, ATTN_BAD_ARGUMENT, "%zu beams, at most %d are possible", o->beams,
                         MAX_BEAMS);
    if (o->beams > 1 && (samples || o->window))
        return attn_fail(err, ATTN_BAD_ARGUMENT, "a beam search takes no %s",
                         o->window ? "window" : "temperature, frequency or presence penalty");
    if (o->stops > ATTN_MAX_STOPS)
        return attn_fail(err, ATTN_BAD_ARGUMENT, "%zu ids that end the text, at most %d", o->stops,
                         ATTN_MAX_STOPS);
    if (o->stop) {
        memcpy(g->stop, o->stop, o->stops * sizeof *o->stop);
    } else {
        attn_special_ids ids;
        ATTN_TRY(attn_model_special_ids(g->model, &ids, err));
        memcpy(g->stop, ids.stop, sizeof ids.stop);
        o->stops = ids.stops;
    }
    o->stop = g->stop;
    if (o->block == 0) o->block = DEFAULT_BLOCK;
    return ATTN_OK;
}

/* The context that is needed, or an error before anything is run. */
static attn_status choose_context(attn_generator *g, attn_error *err)
{
    attn_generator_options *o = &g->o;
    size_t model = model_context(g), most = model, need;
    if (o->context && o->context < most) most = o->context;
    if (o->max_tokens == 0) {
        size_t left = g->prompt < most ? most - g->prompt : 1;
        o->max_tokens = !o->window && left < DEFAULT_TOKENS ? left : DEFAULT_TOKENS;
    }
    if (!attn_add(g->prompt, o->max_tokens, &need)) need = SIZE_MAX;
    if (o->window) {
        if (most < 2)
            return attn_fail(err, ATTN_BAD_ARGUMENT, "a window over a context of %zu", most);
        if (need > most) need = most;
    }
    if (need > most)
        return attn_fail(err, ATTN_LIMIT,
                         "a prompt of %zu tokens and %zu to come do not fit into the context of "
                         "%zu%s%s%s",
                         g->prompt, o->max_tokens, most,
                         most == model ? " that model \"" : " that was asked for",
                         most == model ? g->model->name : "", most == model ? "\" allows" : "");
    g->context = need;
    return ATTN_OK;
}

static attn_status check_prompt(const attn_generator *g, const int32_t *ids, attn_error *err)
{
    const attn_port *port = g->tokens;
    if (g->prompt == 0)
        return attn_fail(err, ATTN_BAD_INPUT,
                         "the prompt is empty: there is nothing to go on from");
    for (size_t i = 0; i < g->prompt && port->ranged; i++)
        if (ids[i] < port->low || ids[i] > port->high)
            return attn_fail(err, ATTN_BAD_INPUT,
                             "token %zu of the prompt is %ld, model \"%s\" takes %ld to %ld", i,
                             (long)ids[i], g->model->name, port->low, port->high);
    return ATTN_OK;
}

/* An array of the generator's own. */
static attn_status get(attn_generator *g, size_t count, size_t size, const char *what, void **out,
                       attn_error *err)
{
    size_t bytes;
    if (!attn_mul(count, size, &bytes))
        return attn_fail(err, ATTN_LIMIT, "%s: %zu entries are too many", what, count);
    return attn_alloc(&g->memory, bytes, what, out, err);
}

static attn_status open_session(attn_generator *g, attn_error *err)
{
    attn_session_options options = {.threads = g->o.threads, .context = g->cached ? g->context : 0};
    if (g->o.max_memory)
        options.max_memory =
            g->o.max_memory > g->memory.used ? g->o.max_memory - g->memory.used : 1;
    return attn_session_open(&g->session, g->model, &options, err);
}

/* Plans a run of n tokens, so that its memory is taken. */
static attn_status plan_run(attn_generator *g, int32_t *ids, size_t batch, size_t n,
                            attn_error *err)
{
    attn_tensor t = {.dtype = ATTN_I32, .data = ids};
    if (batch) t.dim[t.rank++] = batch;
    t.dim[t.rank++] = n;
    ATTN_TRY(attn_set_input(g->session, g->tokens->name, &t, err));
    return attn_prepare(g->session, err);
}

/* Does the text that comes become one that the model rotates otherwise? */
static bool turns(const attn_generator *g)
{
    size_t limit = attn_model_turn(g->model);
    return limit && g->prompt <= limit && g->context > limit;
}

/* Takes the memory of every kind of run that will come. */
static attn_status plan_runs(attn_generator *g, attn_error *err)
{
    size_t beams = g->o.beams, batch = beams > 1;
    size_t longest = g->context - 1 > 0 ? g->context - 1 : 1;
    if (g->o.window) longest = g->context;
    if (g->cached) {
        if (longest > g->o.block) longest = g->o.block;
        if (!g->o.window && !turns(g) && longest > g->prompt) longest = g->prompt;
    }
    if (beams > 1) {
        ATTN_TRY(plan_run(g, g->rows, beams, g->cached ? 1 : longest, err));
        if (g->cached) ATTN_TRY(plan_run(g, g->text, 1, longest, err));
    } else {
        ATTN_TRY(plan_run(g, g->text, batch, longest, err));
        if (g->cached) ATTN_TRY(plan_run(g, g->text, batch, 1, err));
    }
    const attn_shape *shape = &g->session->plan->value[g->logits->value].shape;
    if (shape->dtype != ATTN_F32 || shape->rank < 1 || shape->rank > 2)
        return attn_fail(err, ATTN_BAD_ARGUMENT,
                         "model \"%s\" generates no text: output \"%s\" holds no logits",
                         g->model->name, g->logits->name);
    g->vocabulary = shape->dim[shape->rank - 1];
    return ATTN_OK;
}

static attn_status open_beams(attn_generator *g, attn_error *err)
{
    attn_beams_options o = {.beams = g->o.beams,
                            .vocabulary = g->vocabulary,
                            .max_tokens = g->o.max_tokens,
                            .length_penalty = g->o.length_penalty,
                            .early_stopping = g->o.early_stopping,
                            .repetition_penalty = g->o.sampling.repetition_penalty,
                            .stops = g->o.stops,
                            .stop = g->o.stop};
    for (size_t i = 0; i < g->prompt; i++)
        if ((size_t)g->text[i] >= g->vocabulary)
            return attn_fail(err, ATTN_BAD_INPUT,
                             "token %zu of the prompt is %ld, but there are logits for %zu", i,
                             (long)g->text[i], g->vocabulary);
    return attn_beams_open(&g->beams, &o, g->text, g->prompt, g->model->kernels, &g->memory, err);
}

static attn_status open_parts(attn_generator *g, const int32_t *prompt, attn_error *err)
{
    void *fresh;
    size_t beams = g->o.beams;
    ATTN_TRY(find_ports(g, err));
    g->cached = g->model->graph.cache.name && !g->o.no_cache;
    ATTN_TRY(check_options(g, err));
    ATTN_TRY(choose_context(g, err));
    ATTN_TRY(check_prompt(g, prompt, err));
    if (beams > 1 && turns(g)) g->cached = false; /* no beam is run again from its beginning */
    if (!attn_add(g->prompt, g->o.max_tokens, &g->room)) g->room = SIZE_MAX;
    ATTN_TRY(get(g, g->room, sizeof *g->text, "the text", &fresh, err));
    g->text = fresh;
    memcpy(g->text, prompt, g->prompt * sizeof *prompt);
    g->length = g->shown = g->prompt;
    if (beams > 1) {
        ATTN_TRY(get(g, beams, sizeof *g->parent, "the beams", &fresh, err));
        g->parent = fresh;
        if (!attn_mul(beams, g->cached ? 1 : g->room, &g->row_room)) g->row_room = SIZE_MAX;
        size_t rows = g->row_room;
        g->row_room = 0; /* until it is there */
        ATTN_TRY(get(g, rows, sizeof *g->rows, "the beams", &fresh, err));
        g->rows = fresh;
        g->row_room = rows;
    }
    ATTN_TRY(open_session(g, err));
    ATTN_TRY(plan_runs(g, err));
    if (beams > 1) return open_beams(g, err);
    return attn_sampler_open(&g->sampler, &g->o.sampling, g->vocabulary, g->model->kernels,
                             &g->memory, err);
}

attn_status attn_generator_open(attn_generator **out, const attn_model *model,
                                const int32_t *prompt, size_t count,
                                const attn_generator_options *options, attn_error *err)
{
    const attn_generator_options greedy = {.length_penalty = 1};
    attn_memory memory;
    void *fresh;
    *out = NULL;
    if (!options) options = &greedy;
    attn_memory_init(&memory, &model->memory.allocator, options->max_memory);
    memory.budget = model->memory.budget;
    memory.holder = ATTN_HELD_BY_GENERATION;
    ATTN_TRY(attn_alloc(&memory, sizeof(attn_generator), "a generator", &fresh, err));
    attn_generator *g = fresh;
    *g = (attn_generator){.model = model, .memory = memory, .o = *options, .prompt = count};
    attn_status status = open_parts(g, prompt, err);
    if (!status && options->max_memory && attn_generator_memory(g) > options->max_memory)
        status = attn_fail(err, ATTN_LIMIT, "generating takes %zu bytes, the limit is %zu",
                           attn_generator_memory(g), options->max_memory);
    if (status) {
        attn_generator_close(g);
        return status;
    }
    for (size_t i = 0; i < count && g->sampler.vocabulary; i++)
        if ((size_t)g->text[i] < g->vocabulary) attn_sampler_note(&g->sampler, g->text[i], false);
    *out = g;
    return ATTN_OK;
}

void attn_generator_close(attn_generator *g)
{
    if (!g) return;
    attn_session_close(g->session);
    attn_sampler_close(&g->sampler);
    attn_beams_close(&g->beams);
    if (g->text) attn_release(&g->memory, g->text, g->room * sizeof *g->text);
    if (g->parent) attn_release(&g->memory, g->parent, g->o.beams * sizeof *g->parent);
    if (g->rows) attn_release(&g->memory, g->rows, g->row_room * sizeof *g->rows);
    attn_memory memory = g->memory;
    attn_release(&memory, g, sizeof *g);
}

size_t attn_generator_memory(const attn_generator *g)
{
    return g->memory.used + (g->session ? attn_session_memory(g->session) : 0);
}

/* ---- the loop ------------------------------------------------------------------------------ */

attn_status attn_generator_start(attn_generator *g, attn_error *err)
{
    if (g->started) return ATTN_OK;
    ATTN_TRY(attn_generator_feed(g, err));
    g->started = true;
    return ATTN_OK;
}

static bool stops(const attn_generator *g, int32_t id)
{
    for (size_t i = 0; i < g->o.stops; i++)
        if (g->o.stop[i] == id) return true;
    return false;
}

static attn_status choose_next(attn_generator *g, attn_error *err)
{
    const float *row;
    size_t stride;
    int32_t id;
    if (g->fed < g->length) ATTN_TRY(attn_generator_feed(g, err));
    ATTN_TRY(attn_generator_logits(g, &row, &stride, err));
    ATTN_TRY(attn_sampler_choose(&g->sampler, row, &id, err));
    attn_sampler_note(&g->sampler, id, true);
    g->text[g->length++] = id;
    return ATTN_OK;
}

attn_status attn_generator_next(attn_generator *g, int32_t *id, attn_finish *finish,
                                attn_error *err)
{
    *id = -1;
    *finish = g->finish;
    if (g->finish) return ATTN_OK;
    ATTN_TRY(attn_generator_start(g, err));
    if (g->o.beams > 1) {
        if (g->length == g->prompt) ATTN_TRY(attn_generator_search(g, err));
        if (g->shown == g->length) g->finish = *finish = ATTN_FINISH_LENGTH;
        if (g->finish) return ATTN_OK;
    } else {
        ATTN_TRY(choose_next(g, err));
    }
    *id = g->text[g->shown++];
    if (stops(g, *id))
        g->finish = ATTN_FINISH_STOP;
    else if (g->shown - g->prompt == g->o.max_tokens || (g->o.beams > 1 && g->shown == g->length))
        g->finish = ATTN_FINISH_LENGTH;
    *finish = g->finish;
    return ATTN_OK;
}
