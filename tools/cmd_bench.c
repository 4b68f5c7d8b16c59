/* attn bench: how long one run takes, and what share of this machine's peak that is. */
#include "tools/cli.h"
#include "tools/machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PEAKS = 64 };

typedef struct bench {
    cli c;
    size_t runs;
    bool profile;
    cli_list shapes; /* NAME=4x16 for inputs with open dimensions */
    attn_model *model;
    attn_session *session;
    double *step_seconds; /* [steps], sums */
    size_t at;
    double *seconds;                     /* [runs], sorted after measuring */
    double peak[MACHINE_UNITS];          /* operations per second, medians of the samples */
    double sample[MACHINE_UNITS][PEAKS]; /* taken between the runs */
    size_t samples;
    size_t resident; /* VmHWM after the runs, before the peaks */
} bench;

/* Numbers without a pattern, the same in each run of the program. */
static void fill_random(attn_tensor *t, size_t count, const attn_port *port)
{
    uint32_t seed = 1;
    for (size_t i = 0; i < count; i++) {
        seed = seed * 1664525u + 1013904223u;
        if (t->dtype == ATTN_F32)
            ((float *)t->data)[i] = (float)(seed >> 8) / 8388608.0f - 1;
        else
            ((int32_t *)t->data)[i] =
                port->ranged
                    ? (int32_t)(port->low + (long)(seed >> 8) % (port->high - port->low + 1))
                    : (int32_t)(seed >> 31);
    }
}

/* What --input says of it, or NULL. */
static const char *given_shape(const bench *b, const attn_port *port)
{
    const char *given = NULL;
    size_t length = strlen(port->name);
    for (size_t i = 0; i < b->shapes.count; i++)
        if (strncmp(b->shapes.item[i], port->name, length) == 0 && b->shapes.item[i][length] == '=')
            given = b->shapes.item[i] + length + 1;
    return given;
}

/* The sizes of an input: the description's, or those of --input NAME=4x16. */
static attn_status input_shape(const bench *b, const attn_port *port, attn_tensor *t,
                               attn_error *err)
{
    const char *given = given_shape(b, port);
    t->rank = port->rank;
    for (int d = 0; d < port->rank && !given; d++) {
        if (port->dim[d] <= ATTN_SYMBOL_BASE)
            return attn_fail(
                err, ATTN_BAD_ARGUMENT,
                "input \"%s\" has the open dimension \"%s\": give --input %s=SIZExSIZE", port->name,
                b->model->graph.symbol[ATTN_SYMBOL_BASE - port->dim[d]].name, port->name);
        t->dim[d] = (size_t)port->dim[d];
    }
    for (t->rank = given ? 0 : t->rank; given;) {
        char *end;
        unsigned long size = *given >= '0' && *given <= '9' ? strtoul(given, &end, 10) : 0;
        if (size == 0 || size > 1ul << 31 || t->rank == ATTN_MAX_RANK || (*end && *end != 'x'))
            return attn_fail(err, ATTN_BAD_ARGUMENT, "--input %s: \"%s\" is no shape such as 4x16",
                             port->name, given);
        t->dim[t->rank++] = size;
        given = *end ? end + 1 : NULL;
    }
    return ATTN_OK;
}

static attn_status set_random(bench *b, attn_tensor *tensor, size_t *bytes, attn_error *err)
{
    const attn_graph *g = &b->model->graph;
    for (size_t i = 0; i < g->inputs; i++) {
        size_t count;
        attn_tensor *t = &tensor[i];
        if (g->input[i].optional && !given_shape(b, &g->input[i])) continue;
        t->dtype = g->input[i].dtype;
        ATTN_TRY(input_shape(b, &g->input[i], t, err));
        if (!attn_product(t->dim, t->rank, &count) || !attn_mul(count, 4, &bytes[i]))
            return attn_fail(err, ATTN_LIMIT, "input \"%s\" is too large", g->input[i].name);
        attn_status status = attn_alloc(cli_memory(), bytes[i], "an input", &t->data, err);
        if (status) {
            bytes[i] = 0;
            return status;
        }
        fill_random(t, count, &g->input[i]);
        ATTN_TRY(attn_set_input(b->session, g->input[i].name, t, err));
    }
    return attn_prepare(b->session, err);
}

static void observe(void *user, const attn_plan_step *step, double seconds)
{
    bench *b = user;
    (void)step;
    b->step_seconds[b->at++] += seconds;
}

static int compare_double(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* ---- operations -------------------------------------------------------------------------- */

/* What counts for the share of the peak: products only. The estimates that other layers give, for
 * norms and the like, are of operations that are no multiply-adds. */
static bool is_product(const attn_layer *layer)
{
    static const char *const products[] = {"linear", "matmul",    "conv2d", "conv1d", "patch_embed",
                                           "score",  "attention", "select", NULL};
    for (size_t i = 0; products[i]; i++)
        if (strcmp(layer->name, products[i]) == 0) return true;
    return false;
}

static double step_operations(const attn_plan_step *step)
{
    return is_product(step->node->layer) ? 2 * step->flops : 0;
}

static double plan_operations(const bench *b)
{
    double operations = 0;
    for (size_t s = 0; s < b->session->plan->steps; s++)
        operations += step_operations(&b->session->plan->step[s]);
    return operations;
}

/* ---- the profile ------------------------------------------------------------------------- */

/* A step, or all steps of one layer. */
typedef struct row {
    const attn_layer *layer;
    double seconds, operations;
    size_t steps;
} row;

static row step_row(const bench *b, size_t s)
{
    const attn_plan_step *step = &b->session->plan->step[s];
    return (row){step->node->layer, b->step_seconds[s] / (double)b->runs, step_operations(step), 1};
}

static double rate(const row *r)
{
    return r->seconds > 0 ? r->operations / r->seconds : 0;
}

static double share_of_peak(const bench *b, double operations_per_second)
{
    double peak = b->peak[MACHINE_F32];
    return peak > 0 ? operations_per_second / peak : 0;
}

static int by_time(const void *a, const void *b)
{
    return compare_double(&((const row *)b)->seconds, &((const row *)a)->seconds);
}

/* The layers by name, the longest first. rows: [steps]; returns how many there are. */
static size_t sum_layers(const bench *b, row *rows, double *total)
{
    size_t count = 0;
    *total = 0;
    for (size_t s = 0; s < b->session->plan->steps; s++) {
        row one = step_row(b, s);
        size_t i = 0;
        while (i < count && rows[i].layer != one.layer) i++;
        if (i == count) rows[count++] = (row){.layer = one.layer};
        rows[i].seconds += one.seconds;
        rows[i].operations += one.operations;
        rows[i].steps++;
        *total += one.seconds;
    }
    qsort(rows, count, sizeof *rows, by_time);
    return count;
}

static void print_row(const bench *b, const row *r, double total)
{
    printf("%10.1f %5.1f%% ", r->seconds * 1e6, total > 0 ? 100 * r->seconds / total : 0);
    if (r->operations > 0)
        printf("%8.1f %5.1f%%", rate(r) * 1e-9, 100 * share_of_peak(b, rate(r)));
    else
        printf("%8s %6s", "-", "-");
    printf("  %-16s ", r->layer->name);
}

static void print_profile(const bench *b, row *rows)
{
    const attn_plan *plan = b->session->plan;
    attn_shape_text shape;
    double total;
    size_t count = sum_layers(b, rows, &total);
    const char *heading = "\n%10s %6s %8s %6s  %-16s %-14s %s\n";
    printf(heading, "us", "share", "GFLOP/s", "peak", "layer", "shape", "name");
    for (size_t s = 0; s < plan->steps; s++) {
        const attn_plan_step *step = &plan->step[s];
        row r = step_row(b, s);
        print_row(b, &r, total);
        printf("%-14s %s\n",
               attn_format_shape(&shape, step->out[0].shape.dim, step->out[0].shape.rank),
               step->node->name);
    }
    printf(heading, "us", "share", "GFLOP/s", "peak", "layer", "steps", "");
    for (size_t i = 0; i < count; i++) {
        print_row(b, &rows[i], total);
        printf("%zu\n", rows[i].steps);
    }
}

static void add_row(cJSON *list, const bench *b, const row *r, const attn_plan_step *step)
{
    cJSON *entry = cJSON_CreateObject();
    if (step) {
        cJSON_AddStringToObject(entry, "node", step->node->name);
        cJSON_AddItemToObject(entry, "shape",
                              cli_shape_json(step->out[0].shape.dim, step->out[0].shape.rank));
    } else {
        cJSON_AddNumberToObject(entry, "steps", (double)r->steps);
    }
    cJSON_AddStringToObject(entry, "layer", r->layer->name);
    cJSON_AddNumberToObject(entry, "us", r->seconds * 1e6);
    cJSON_AddNumberToObject(entry, "gflops", rate(r) * 1e-9);
    cJSON_AddNumberToObject(entry, "share_of_peak", share_of_peak(b, rate(r)));
    cJSON_AddItemToArray(list, entry);
}

static void add_profile(cJSON *root, const bench *b, row *rows)
{
    double total;
    cJSON *steps = cJSON_AddArrayToObject(root, "steps");
    for (size_t s = 0; s < b->session->plan->steps; s++) {
        row r = step_row(b, s);
        add_row(steps, b, &r, &b->session->plan->step[s]);
    }
    size_t count = sum_layers(b, rows, &total);
    cJSON *layers = cJSON_AddArrayToObject(root, "layers");
    for (size_t i = 0; i < count; i++) add_row(layers, b, &rows[i], NULL);
}

/* ---- the report -------------------------------------------------------------------------- */

static int report_json(const bench *b, row *rows)
{
    double operations = plan_operations(b), median = b->seconds[b->runs / 2];
    cJSON *root = cJSON_CreateObject();
    cJSON_AddStringToObject(root, "model", b->model->name);
    cJSON_AddStringToObject(root, "kernels", b->model->kernels->name);
    cJSON_AddNumberToObject(root, "threads", (double)attn_pool_workers(b->session->pool));
    cJSON_AddNumberToObject(root, "runs", (double)b->runs);
    cJSON_AddNumberToObject(root, "median_ms", median * 1e3);
    cJSON_AddNumberToObject(root, "p95_ms", b->seconds[(b->runs - 1) * 95 / 100] * 1e3);
    cJSON_AddNumberToObject(root, "min_ms", b->seconds[0] * 1e3);
    cJSON_AddNumberToObject(root, "max_ms", b->seconds[b->runs - 1] * 1e3);
    cJSON_AddNumberToObject(root, "gflop", operations * 1e-9);
    cJSON_AddNumberToObject(root, "gflops", operations / median * 1e-9);
    cJSON_AddNumberToObject(root, "share_of_peak", share_of_peak(b, operations / median));
    cJSON *peak = cJSON_AddObjectToObject(root, "peak_gflops");
    for (int unit = 0; unit < MACHINE_UNITS; unit++)
        if (b->peak[unit] > 0)
            cJSON_AddNumberToObject(peak, machine_unit_name((machine_unit)unit),
                                    b->peak[unit] * 1e-9);
    cJSON_AddNumberToObject(root, "arena_bytes", (double)b->session->plan->arena_bytes);
    cJSON_AddNumberToObject(root, "session_bytes", (double)attn_session_memory(b->session));
    cJSON_AddNumberToObject(root, "model_bytes", (double)b->model->memory.used);
    cJSON_AddNumberToObject(root, "resident_bytes", (double)b->resident);
    if (b->profile) add_profile(root, b, rows);
    return cli_print_json(root, EXIT_DONE);
}

static int report(const bench *b, row *rows)
{
    double operations = plan_operations(b), median = b->seconds[b->runs / 2];
    if (b->c.json) return report_json(b, rows);
    printf("%s on %s, %zu thread(s), %zu runs\n", b->model->name, b->model->kernels->name,
           attn_pool_workers(b->session->pool), b->runs);
    printf("median %.3f ms, p95 %.3f, min %.3f, max %.3f\n", median * 1e3,
           b->seconds[(b->runs - 1) * 95 / 100] * 1e3, b->seconds[0] * 1e3,
           b->seconds[b->runs - 1] * 1e3);
    printf("%.4g GFLOP in products: %.1f GFLOP/s, %.1f %% of the f32 peak of", operations * 1e-9,
           operations / median * 1e-9, 100 * share_of_peak(b, operations / median));
    for (int unit = 0; unit < MACHINE_UNITS; unit++)
        if (b->peak[unit] > 0)
            printf("%s %.1f%s", unit ? "," : "", b->peak[unit] * 1e-9,
                   unit == MACHINE_F32    ? ""
                   : unit == MACHINE_BF16 ? " (bf16)"
                                          : " (int8)");
    printf("\nmemory: model %.1f MB, session %.1f MB, resident at most %.1f MB\n",
           1e-6 * (double)b->model->memory.used, 1e-6 * (double)attn_session_memory(b->session),
           1e-6 * (double)b->resident);
    if (b->profile) print_profile(b, rows);
    return EXIT_DONE;
}

/* ---- measuring --------------------------------------------------------------------------- */

static void sample_peaks(bench *b)
{
    for (int unit = 0; unit < MACHINE_UNITS; unit++)
        b->sample[unit][b->samples % PEAKS] =
            machine_peak(b->session->pool, b->model->kernels->name, (machine_unit)unit);
    b->samples++;
}

/* The peaks are taken between the runs, since the clock drifts. */
static attn_status measure(bench *b, attn_error *err)
{
    ATTN_TRY(attn_run(b->session, err)); /* warm: touches memory, wakes the pool */
    b->resident = machine_peak_resident();
    if (b->profile) {
        b->session->observer = observe;
        b->session->observer_user = b;
    }
    double due = 0;
    for (size_t i = 0; i < b->runs; i++) {
        double start = cli_seconds();
        if (start >= due) {
            sample_peaks(b);
            due = cli_seconds() + 0.05;
            start = cli_seconds();
        }
        b->at = 0;
        ATTN_TRY(attn_run(b->session, err));
        b->seconds[i] = cli_seconds() - start;
        cli_progress(&b->c, i + 1, b->runs);
    }
    sample_peaks(b);
    size_t samples = b->samples < PEAKS ? b->samples : PEAKS;
    for (int unit = 0; unit < MACHINE_UNITS; unit++) {
        qsort(b->sample[unit], samples, sizeof(double), compare_double);
        b->peak[unit] = b->sample[unit][samples / 2];
    }
    qsort(b->seconds, b->runs, sizeof *b->seconds, compare_double);
    return ATTN_OK;
}

static int bench_model(bench *b, attn_tensor *tensor, size_t *bytes, attn_error *err)
{
    if (set_random(b, tensor, bytes, err)) return cli_error(err);
    size_t steps = b->session->plan->steps;
    row *rows = calloc(steps + 1, sizeof *rows);
    b->seconds = calloc(b->runs, sizeof *b->seconds);
    b->step_seconds = calloc(steps + 1, sizeof *b->step_seconds);
    attn_status failed = ATTN_OK;
    if (!rows || !b->seconds || !b->step_seconds)
        failed = attn_fail(err, ATTN_NO_MEMORY, "out of memory for %zu runs", b->runs);
    if (!failed) failed = measure(b, err);
    int status = failed ? cli_error(err) : report(b, rows);
    free(rows);
    free(b->seconds);
    free(b->step_seconds);
    return status;
}

int cmd_bench(int argc, char **argv)
{
    bench b = {.c = {.command = "bench",
                     .usage = "MODEL [--input NAME=SIZExSIZE ...] [--runs N] [--profile]"},
               .runs = 50};
    attn_tensor tensor[ATTN_MAX_PORTS] = {{0}};
    size_t bytes[ATTN_MAX_PORTS] = {0};
    const cli_option options[] = {{"--input", CLI_LIST, &b.shapes, 0, 0},
                                  {"--runs", CLI_NUMBER, &b.runs, 1, 1000000},
                                  {"--profile", CLI_FLAG, &b.profile, 0, 0},
                                  {0}};
    int status;
    attn_error err;
    if (!cli_options(&b.c, argc, argv, options, &status)) return status;
    if (b.c.count != 1) return cli_usage(&b.c, "one model is needed, found %zu", b.c.count);
    if (cli_open(&b.c, b.c.argument[0], NULL, &b.model, &b.session, &err)) return cli_error(&err);
    status = bench_model(&b, tensor, bytes, &err);
    for (size_t i = 0; i < ATTN_MAX_PORTS; i++)
        attn_release(cli_memory(), tensor[i].data, bytes[i]);
    attn_session_close(b.session);
    attn_model_close(b.model);
    return status;
}
