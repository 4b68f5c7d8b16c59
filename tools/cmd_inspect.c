/* attn describe, inspect, check: what a model is, without running it. */
#include "tools/inspect.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* ---- describe ----------------------------------------------------------------------------- */

static int describe(const attn_model *names, const attn_found *found)
{
    if (found->text) {
        fwrite(found->text, 1, found->length, stdout);
    } else if (names->imported) {
        fputs(names->imported, stdout);
    } else {
        attn_file file;
        attn_error err;
        if (attn_file_map(&file, names->description_name, &err)) return cli_error(&err);
        fwrite(file.data, 1, file.size, stdout);
        attn_file_unmap(&file);
    }
    if (fflush(stdout) == 0) return EXIT_DONE;
    fprintf(stderr, "attn: standard output: %s\n", strerror(errno));
    return EXIT_BAD;
}

int cmd_describe(int argc, char **argv)
{
    cli c = {.command = "describe", .usage = "MODEL"};
    const cli_option options[] = {{0}};
    int status;
    attn_error err;
    attn_found found;
    if (!cli_options(&c, argc, argv, options, &status)) return status;
    if (c.count != 1) return cli_usage(&c, "one model is needed, found %zu", c.count);
    /* Only the search: a description is also wanted when the weights do not fit it. */
    attn_model names = {.wants_text = true};
    attn_memory_init(&names.memory, NULL, 0);
    names.memory.budget = cli_budget();
    attn_arena_init(&names.arena, &names.memory);
    status = attn_find_description(&names, c.argument[0], &found, &err) ? cli_error(&err)
                                                                        : describe(&names, &found);
    attn_found_free(&found);
    attn_weights_close(&names.weights);
    attn_arena_free(&names.arena);
    return status;
}

/* ---- inspect and check -------------------------------------------------------------------- */

typedef struct totals {
    size_t parameters, used_parameters, unused, bytes;
} totals;

static totals count_weights(const attn_model *m)
{
    totals t = {0};
    for (size_t i = 0; i < m->weights.count; i++) {
        const attn_weight *w = &m->weights.list[i];
        size_t count = 0;
        attn_product(w->dim, w->rank, &count);
        t.bytes += w->bytes;
        if (inspect_is_part(m, w)) continue;
        t.parameters += count;
        if (inspect_is_used(m, w))
            t.used_parameters += count;
        else
            t.unused++;
    }
    return t;
}

static const char *port_shape(const attn_model *m, const attn_port *port, char *text, size_t size)
{
    size_t used = (size_t)snprintf(text, size, "[");
    for (int i = 0; i < port->rank && used < size; i++)
        used +=
            port->dim[i] <= ATTN_SYMBOL_BASE
                ? (size_t)snprintf(text + used, size - used, "%s%s", i ? ", " : "",
                                   m->graph.symbol[ATTN_SYMBOL_BASE - port->dim[i]].name)
                : (size_t)snprintf(text + used, size - used, "%s%ld", i ? ", " : "", port->dim[i]);
    if (used < size) snprintf(text + used, size - used, "]");
    return text;
}

/* The plan for a batch of one, if no dimension is left open. */
static attn_plan *plan_once(attn_model *m, attn_error *err)
{
    attn_plan_input input[ATTN_MAX_PORTS];
    attn_plan *plan = NULL;
    memset(input, 0, sizeof input);
    for (size_t i = 0; i < m->graph.inputs; i++) {
        const attn_port *port = &m->graph.input[i];
        input[i].rank = port->rank;
        for (int d = 0; d < port->rank; d++) {
            if (port->dim[d] <= ATTN_SYMBOL_BASE) return NULL;
            input[i].dim[d] = (size_t)port->dim[d];
        }
    }
    attn_plan_options options = {
        .workers = 1, .kernels = m->kernels, .products = attn_model_products(m)};
    attn_plan_build(&plan, &m->graph, input, &options, cli_memory(), err);
    return plan;
}

static double plan_flops(const attn_plan *plan)
{
    double flops = 0;
    for (size_t s = 0; s < plan->steps; s++) flops += plan->step[s].flops;
    return flops;
}

static const char *shown_layer(const attn_node *node)
{
    return node->made_of ? node->made_of : node->layer->name;
}

static void print_plan(const attn_plan *plan)
{
    attn_shape_text shape;
    printf("\n%-4s %-24s %-16s %10s  %s\n", "step", "layer", "shape", "Mmul-add", "name");
    for (size_t s = 0; s < plan->steps; s++) {
        const attn_plan_step *step = &plan->step[s];
        printf("%-4zu %-24s %-16s %10.3f  %s\n", s, shown_layer(step->node),
               attn_format_shape(&shape, step->out[0].shape.dim, step->out[0].shape.rank),
               step->flops / 1e6, step->node->name);
    }
    printf("\narena %zu bytes, %.3f million multiply-adds (one thread, batch of 1)\n",
           plan->arena_bytes, plan_flops(plan) / 1e6);
}

/* What a plan would run, where its shapes are open. */
static void print_nodes(const attn_model *m)
{
    printf("\n%-4s %-40s  %s\n", "step", "layer", "name");
    for (size_t i = 0; i < m->graph.fused_nodes; i++)
        printf("%-4zu %-40s  %s\n", i, shown_layer(&m->graph.fused[i]), m->graph.fused[i].name);
}

static void print_cache(const attn_cache_port *cache, const attn_graph *g)
{
    if (!cache->name) return;
    printf("cache        %s, rows of \"%s\"", cache->name, g->symbol[cache->symbol].name);
    if (cache->max != SIZE_MAX) printf(", at most %zu", cache->max);
    printf("\n");
}

static void print_model(const attn_model *m, const attn_plan *plan)
{
    totals t = count_weights(m);
    char text[160];
    printf("model        %s\ndescription  %s\n", m->name, m->description_name);
    if (m->weights_name)
        printf("weights      %s: %zu tensors, %zu parameters, %zu bytes\n", m->weights_name,
               m->weights.count, t.parameters, t.bytes);
    printf("memory       %zu bytes of the model's own, weights packed for %s\n", m->memory.used,
           m->kernels->name);
    if (m->kept_name) printf("panels       %s: %zu bytes, mapped\n", m->kept_name, m->params.bytes);
    for (size_t i = 0; i < m->graph.inputs; i++) {
        const attn_port *port = &m->graph.input[i];
        printf("input        %s %s %s", port->name, attn_dtype_name(port->dtype),
               port_shape(m, port, text, sizeof text));
        if (port->optional) printf(", default %g", port->fallback);
        printf("\n");
    }
    for (size_t i = 0; i < m->graph.outputs; i++)
        printf("output       %s%s\n", m->graph.output[i].name,
               m->graph.output[i].kind == ATTN_KIND_CLASSES ? " (classes)" : "");
    for (size_t i = 0; i < m->graph.states; i++)
        printf("state        %s %s\n", m->graph.state[i].name,
               port_shape(m, &m->graph.state[i], text, sizeof text));
    print_cache(&m->graph.cache, &m->graph);
    inspect_print_weights(m);
    if (plan)
        print_plan(plan);
    else
        print_nodes(m);
}

static void print_unused(const attn_model *m)
{
    attn_shape_text shape;
    for (size_t i = 0; i < m->weights.count; i++) {
        const attn_weight *w = &m->weights.list[i];
        if (!inspect_is_used(m, w))
            printf("unused       %s %s %s\n", w->name, attn_weight_type(w),
                   attn_format_shape(&shape, w->dim, w->rank));
    }
}

/* What is known of a step without a plan. */
static cJSON *node_json(const attn_node *node)
{
    cJSON *entry = cJSON_CreateObject();
    cJSON_AddStringToObject(entry, "node", node->name);
    cJSON_AddStringToObject(entry, "layer", node->layer->name);
    if (node->made_of) cJSON_AddStringToObject(entry, "made_of", node->made_of);
    return entry;
}

static cJSON *model_json(const attn_model *m, const attn_plan *plan)
{
    totals t = count_weights(m);
    cJSON *root = cJSON_CreateObject(), *unused = cJSON_CreateArray();
    cJSON_AddStringToObject(root, "model", m->name);
    cJSON_AddStringToObject(root, "description", m->description_name);
    cJSON_AddNumberToObject(root, "tensors", (double)m->weights.count);
    cJSON_AddNumberToObject(root, "parameters", (double)t.parameters);
    if (m->kept_name) cJSON_AddStringToObject(root, "panels", m->kept_name);
    cJSON_AddItemToObject(root, "weights", inspect_weights_json(m));
    cJSON_AddNumberToObject(root, "model_bytes", (double)m->memory.used);
    if (plan) {
        cJSON_AddNumberToObject(root, "arena_bytes", (double)plan->arena_bytes);
        cJSON_AddNumberToObject(root, "multiply_adds", plan_flops(plan));
    }
    cJSON *steps = cJSON_AddArrayToObject(root, "steps");
    for (size_t i = 0; !plan && i < m->graph.fused_nodes; i++)
        cJSON_AddItemToArray(steps, node_json(&m->graph.fused[i]));
    if (m->graph.cache.name) cJSON_AddStringToObject(root, "cache", m->graph.cache.name);
    if (plan) {
        for (size_t s = 0; s < plan->steps; s++) {
            const attn_plan_step *step = &plan->step[s];
            cJSON *entry = node_json(step->node);
            cJSON_AddItemToObject(entry, "shape",
                                  cli_shape_json(step->out[0].shape.dim, step->out[0].shape.rank));
            cJSON_AddNumberToObject(entry, "multiply_adds", step->flops);
            cJSON_AddItemToArray(steps, entry);
        }
    }
    for (size_t i = 0; i < m->weights.count; i++)
        if (!inspect_is_used(m, &m->weights.list[i]))
            cJSON_AddItemToArray(unused, cJSON_CreateString(m->weights.list[i].name));
    cJSON_AddItemToObject(root, "unused", unused);
    return root;
}

/* What every photo becomes, if it is one size for all, must be what the model takes. */
static attn_status check_photos(const attn_model *m, attn_error *err)
{
    attn_geometry wide, tall;
    attn_preprocess p;
    for (size_t i = 0; i < m->graph.inputs; i++) {
        const attn_port *port = &m->graph.input[i];
        if (port->kind != ATTN_KIND_IMAGE || !(port->preprocess || m->preprocess_name)) continue;
        ATTN_TRY(attn_image_preprocess(m, port, &p, err));
        ATTN_TRY(attn_preprocess_geometry(&p, 600, 800, &wide, err));
        ATTN_TRY(attn_preprocess_geometry(&p, 800, 600, &tall, err));
        if (wide.height == tall.height && wide.width == tall.width)
            ATTN_TRY(attn_check_photo_size(m, port, wide.height, wide.width, err));
    }
    return ATTN_OK;
}

static int look(int argc, char **argv, const char *command, bool whole)
{
    cli c = {.command = command, .usage = "MODEL"};
    const cli_option options[] = {{0}};
    int status;
    attn_error err = {0};
    attn_model *model;
    if (!cli_options(&c, argc, argv, options, &status)) return status;
    if (c.count != 1) return cli_usage(&c, "one model is needed, found %zu", c.count);
    if (cli_open_model(&c, c.argument[0], &model, &err)) return cli_error(&err);
    attn_plan *plan = plan_once(model, &err);
    if (err.status || (!whole && check_photos(model, &err))) {
        status = cli_error(&err);
    } else if (plan && attn_budget_take(cli_budget(), ATTN_HELD_BY_SESSION, plan->arena_bytes,
                                        "the arena of activations", &err)) {
        status = cli_error(&err);
    } else if (c.json) {
        status = cli_print_json(model_json(model, plan), EXIT_DONE);
    } else {
        if (whole) print_model(model, plan);
        print_unused(model);
        if (!whole) printf("%s: ok, %zu layers\n", c.argument[0], model->graph.nodes);
    }
    attn_plan_free(plan, cli_memory());
    attn_model_close(model);
    return status;
}

int cmd_inspect(int argc, char **argv)
{
    return look(argc, argv, "inspect", true);
}

int cmd_check(int argc, char **argv)
{
    return look(argc, argv, "check", false);
}
