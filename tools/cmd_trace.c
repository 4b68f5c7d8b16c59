/* attn trace: one run, step by step; and the first step that differs from a reference. */
#include "tools/compare.h"
#include "tools/text_input.h"
#include "tools/texts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct trace {
    cli c;
    const char *at, *compare, *tolerance_text, *text, *pair;
    text_input words; /* of --text */
    double tolerance;
    attn_model *model;
    attn_session *session;
    attn_weights dump;
    cJSON *steps;
    bool found;       /* the node of --at */
    size_t compared;  /* steps that the dump has */
    size_t differing; /* ... and that differ */
    double seconds;
    char first[400];    /* the first of them, in words */
    attn_status failed; /* in the observer */
    attn_error *err;
} trace;

static const char *const step_names[] = {
    [ATTN_STEP_ENCODE] = "1 encode",       [ATTN_STEP_SCORE] = "2 score",
    [ATTN_STEP_NORMALIZE] = "3 normalize", [ATTN_STEP_SELECT] = "4 select",
    [ATTN_STEP_HEAD] = "5 head",           [ATTN_STEP_SHARED] = "-",
    [ATTN_STEP_ATTENTION] = "2-4 attend",
};

static double element(const attn_value *v, size_t i)
{
    return v->shape.dtype == ATTN_I32 ? ((const int32_t *)v->data)[i]
                                      : (double)((const float *)v->data)[i];
}

static attn_tensor tensor_of(const attn_plan_step *step, const attn_value *v)
{
    attn_tensor t = {.dtype = v->shape.dtype, .data = v->data};
    if (v->stride && step->batch > 1) t.dim[t.rank++] = step->batch;
    for (int i = 0; i < v->shape.rank && t.rank < ATTN_MAX_RANK; i++)
        t.dim[t.rank++] = v->shape.dim[i];
    return t;
}

/* ---- what a step made --------------------------------------------------------------------- */

static void print_values(const attn_value *v)
{
    enum { FEW = 12 };
    if (v->count <= FEW) {
        printf("  =");
        for (size_t i = 0; i < v->count; i++) printf(" %.6g", element(v, i));
        return;
    }
    double low = INFINITY, high = -INFINITY, sum = 0;
    for (size_t i = 0; i < v->count; i++) {
        double x = element(v, i);
        low = fmin(low, x);
        high = fmax(high, x);
        sum += x;
    }
    printf("  %.4g .. %.4g, mean %.4g", low, high, sum / (double)v->count);
}

/* "key 3", or the token there. */
static void print_token(const trace *t, const char *what, size_t index, size_t count)
{
    size_t length;
    const char *piece = NULL;
    if (t->text && t->words.encoding.count == count)
        piece = attn_tokenizer_token(t->words.tokenizer, t->words.encoding.ids[index], &length);
    if (!piece) {
        printf("%s %zu", what, index);
        return;
    }
    putchar('"');
    texts_print_line(piece, length); /* nothing of a file may steer the terminal */
    putchar('"');
}

/* weights: [heads, queries, keys] or [keys]. Whom one query looks at, over the heads: the first, or
 * the last of a text. */
static void print_attention(const trace *t, const attn_value *v)
{
    size_t keys = v->shape.dim[v->shape.rank - 1];
    size_t queries = v->shape.rank > 1 ? v->shape.dim[v->shape.rank - 2] : 1;
    size_t heads = v->count / (keys * queries), query = t->text ? queries - 1 : 0;
    double best[3] = {-1, -1, -1};
    size_t who[3] = {0};
    for (size_t key = 0; key < keys; key++) {
        double mean = 0;
        for (size_t h = 0; h < heads; h++) mean += element(v, (h * queries + query) * keys + key);
        mean /= (double)heads;
        for (size_t rank = 0; rank < 3; rank++) {
            if (!(mean > best[rank])) continue;
            for (size_t j = 2; j > rank; j--) {
                best[j] = best[j - 1];
                who[j] = who[j - 1];
            }
            best[rank] = mean;
            who[rank] = key;
            break;
        }
    }
    printf("%33s", "");
    print_token(t, "query", query, queries);
    printf(" attends to");
    for (size_t rank = 0; rank < 3 && rank < keys; rank++) {
        printf(rank ? ", " : " ");
        print_token(t, "key", who[rank], keys);
        printf(" (%.3g)", best[rank]);
    }
    if (heads > 1) printf(", mean of %zu heads", heads);
    printf("\n");
}

/* Inputs and outputs frame the layers: what was encoded, and what the model says. */
static void show_ports(const trace *t, const char *step, const char *what, const attn_port *port,
                       size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const attn_plan_value *p = &t->session->plan->value[port[i].value];
        const attn_value v = {
            .shape = p->shape, .count = p->count, .data = attn_plan_data(p, t->session->arena)};
        attn_shape_text shape;
        printf("%-11s %-20s %-14s %12s", step, what,
               attn_format_shape(&shape, p->shape.dim, p->shape.rank), "");
        print_values(&v);
        printf("   %s\n", port[i].name);
    }
}

static void show_step(trace *t, const attn_plan_step *step, double seconds)
{
    const attn_node *node = step->node;
    const attn_value *v = &step->out[0];
    attn_shape_text shape;
    attn_format_shape(&shape, v->shape.dim, v->shape.rank);
    if (t->steps) {
        cJSON *entry = cJSON_CreateObject();
        cJSON_AddStringToObject(entry, "node", node->name);
        cJSON_AddStringToObject(entry, "layer", node->layer->name);
        cJSON_AddStringToObject(entry, "step", step_names[node->layer->step]);
        cJSON_AddItemToObject(entry, "shape", cli_shape_json(v->shape.dim, v->shape.rank));
        cJSON_AddNumberToObject(entry, "microseconds", seconds * 1e6);
        cJSON_AddItemToArray(t->steps, entry);
        return;
    }
    printf("%-11s %-20s %-14s %9.1f us", step_names[node->layer->step], node->layer->name,
           shape.text, seconds * 1e6);
    print_values(v);
    printf("   %s\n", node->name);
    if (node->layer->step == ATTN_STEP_NORMALIZE) print_attention(t, v);
    if ((node->layer->flags & ATTN_SHOWS_WEIGHTS) && step->outputs > 1)
        print_attention(t, &step->out[1]);
}

/* ---- --compare ---------------------------------------------------------------------------- */

/* By the layer's name, with each prefix of the weights; what leaves the graph also by its own; and,
 * with nothing of that name, by the name of its value in the description. */
static const attn_weight *find_in_dump(const trace *t, const attn_plan_step *step)
{
    const attn_graph *g = &t->model->graph;
    const attn_weight *w = attn_weights_find(&t->dump, step->node->name);
    for (size_t i = 0; !w && i < g->prefixes; i++) {
        char full[1200];
        snprintf(full, sizeof full, "%s%s", g->prefix[i], step->node->name);
        w = attn_weights_find(&t->dump, full);
    }
    for (size_t i = 0; !w && i < g->outputs; i++)
        if (g->output[i].value == step->out_value[0])
            w = attn_weights_find(&t->dump, g->output[i].name);
    if (!w && step->out_value[0] < g->values)
        w = attn_weights_find(&t->dump, g->value_name[step->out_value[0]]);
    return w;
}

static attn_status compare_step(trace *t, const attn_plan_step *step)
{
    const attn_weight *w = find_in_dump(t, step);
    compare_result r;
    if (!w || w->unsupported) return ATTN_OK;
    ATTN_TRY(compare_values(&step->out[0], step->batch, w, t->tolerance, &r, t->err));
    t->compared++;
    t->differing += r.differs;
    if (!t->steps)
        printf("%-8s %-48s largest difference %.3g (values up to %.4g)\n",
               r.differs ? "DIFFERS" : "same", step->node->name, r.worst, r.largest);
    if (r.differs && t->differing == 1)
        snprintf(t->first, sizeof t->first,
                 "the first layer that differs is %s (%s): element %zu is %.9g, the reference %.9g",
                 step->node->name, step->node->layer->name, r.place, r.have, r.want);
    if (t->steps) {
        cJSON *entry = cJSON_CreateObject();
        cJSON_AddStringToObject(entry, "node", step->node->name);
        cJSON_AddNumberToObject(entry, "difference", isinf(r.worst) ? 1e300 : r.worst);
        cJSON_AddBoolToObject(entry, "differs", r.differs);
        cJSON_AddItemToArray(t->steps, entry);
    }
    return ATTN_OK;
}

static void observe(void *user, const attn_plan_step *step, double seconds)
{
    trace *t = user;
    bool table = !t->steps && !t->at && !t->compare;
    if (table && step == &t->session->plan->step[0])
        show_ports(t, step_names[ATTN_STEP_ENCODE], "(input)", t->model->graph.input,
                   t->model->graph.inputs);
    t->seconds += seconds;
    if (t->failed) return;
    if (t->compare) {
        t->failed = compare_step(t, step);
    } else if (!t->at) {
        show_step(t, step, seconds);
    } else if (strcmp(step->node->name, t->at) == 0) {
        attn_tensor value = tensor_of(step, &step->out[0]);
        t->found = true;
        cJSON *list = cli_tensor_json(&value);
        char *text = cJSON_PrintUnformatted(list);
        printf("%s\n", text ? text : "out of memory");
        cJSON_free(text);
        cJSON_Delete(list);
    }
}

/* ---- the command -------------------------------------------------------------------------- */

static attn_status run_trace(trace *t, cli_input *inputs, attn_error *err)
{
    t->err = err;
    if (t->compare) ATTN_TRY(compare_open(&t->dump, t->compare, err));
    if (t->text)
        ATTN_TRY(text_input_set(t->session, t->c.argument[0], t->text, t->pair, &t->words, err));
    for (size_t i = 1; i < t->c.count; i++)
        ATTN_TRY(cli_set_input(t->session, t->c.argument[i], &inputs[i], err));
    ATTN_TRY(attn_prepare(t->session, err));
    if (!t->c.json && !t->at && !t->compare)
        printf("%s, on %s\n%-11s %-20s %-14s %12s\n", t->model->name, t->model->kernels->name,
               "step", "layer", "shape", "time");
    t->session->observer = observe;
    t->session->observer_user = t;
    ATTN_TRY(attn_run(t->session, err));
    if (t->failed) return t->failed;
    if (t->at && !t->found)
        return attn_fail(err, ATTN_BAD_ARGUMENT, "model \"%s\" has no layer named \"%s\"",
                         t->model->name, t->at);
    if (t->compare && t->compared == 0)
        return attn_fail(err, ATTN_BAD_INPUT,
                         "%s: no tensor has the name of a layer of model \"%s\"", t->compare,
                         t->model->name);
    return ATTN_OK;
}

static int finish(const trace *t)
{
    if (t->steps) {
        cJSON *root = cJSON_CreateObject();
        cJSON_AddStringToObject(root, "model", t->model->name);
        cJSON_AddItemToObject(root, "steps", t->steps);
        if (t->compare && t->differing) cJSON_AddStringToObject(root, "first", t->first);
        return cli_print_json(root, t->differing ? EXIT_BAD : EXIT_DONE);
    }
    if (t->compare) {
        printf("%zu layers compared, %zu differ by more than %.3g\n", t->compared, t->differing,
               t->tolerance);
        if (t->differing) printf("%s\n", t->first);
        return t->differing ? EXIT_BAD : EXIT_DONE;
    }
    if (t->at) return EXIT_DONE;
    show_ports(t, step_names[ATTN_STEP_HEAD], "(output)", t->model->graph.output,
               t->model->graph.outputs);
    printf("%zu layers, %.3f ms\n", t->session->plan->steps, t->seconds * 1e3);
    return EXIT_DONE;
}

int cmd_trace(int argc, char **argv)
{
    trace t = {.c = {.command = "trace",
                     .usage = "MODEL INPUT... | --text TEXT [--pair TEXT] [--at NODE] "
                              "[--compare DUMP.safetensors|.npz] [--tolerance T]"},
               .tolerance = 1e-4};
    static cli_input inputs[CLI_LIST_MAX];
    const cli_option options[] = {{"--at", CLI_TEXT, &t.at, 0, 0},
                                  {"--compare", CLI_TEXT, &t.compare, 0, 0},
                                  {"--tolerance", CLI_TEXT, &t.tolerance_text, 0, 0},
                                  {"--text", CLI_TEXT, &t.text, 0, 0},
                                  {"--pair", CLI_TEXT, &t.pair, 0, 0},
                                  {0}};
    int status;
    attn_error err;
    if (!cli_options(&t.c, argc, argv, options, &status)) return status;
    if (t.c.count < (t.text ? 1 : 2) || t.c.count > CLI_LIST_MAX)
        return cli_usage(&t.c, "a model and its inputs are needed");
    if (t.pair && !t.text) return cli_usage(&t.c, "--pair goes with --text");
    if (t.tolerance_text) {
        char *end;
        t.tolerance = strtod(t.tolerance_text, &end);
        if (*end || !(t.tolerance >= 0) || isinf(t.tolerance))
            return cli_usage(&t.c, "--tolerance takes a number, not \"%s\"", t.tolerance_text);
    }
    attn_session_options session = {.keep_attention = true, .no_fusion = true};
    if (cli_open(&t.c, t.c.argument[0], &session, &t.model, &t.session, &err))
        return cli_error(&err);
    if (t.c.json && !t.at) t.steps = cJSON_CreateArray();
    if (run_trace(&t, inputs, &err)) {
        status = cli_error(&err);
        cJSON_Delete(t.steps);
    } else {
        status = finish(&t);
    }
    text_input_free(&t.words);
    attn_weights_close(&t.dump);
    attn_session_close(t.session);
    attn_model_close(t.model);
    for (size_t i = 1; i < t.c.count; i++) cli_free_input(&inputs[i]);
    return status;
}
