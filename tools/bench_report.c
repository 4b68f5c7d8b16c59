#include "tools/bench_report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LAYER(name) +1
enum {
    LAYERS = 0
#include "layers/registry.def"
};
#undef LAYER

/* ---- operations -------------------------------------------------------------------------- */

/* What counts for the share of the peak: products only. The estimates that other layers give, for
 * norms and the like, are of operations that are no multiply-adds. */
static bool is_product(const attn_layer *layer)
{
    static const char *const products[] = {"linear", "matmul",         "conv",   "conv2d",
                                           "conv1d", "conv_transpose", "einsum", "patch_embed",
                                           "score",  "attention",      "select", NULL};
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

static double share_of_peak(const bench *b, machine_unit unit, double operations_per_second)
{
    double peak = b->peak[unit];
    return peak > 0 ? operations_per_second / peak : 0;
}

/* What the matrices are multiplied in, as far as there is a peak for it. */
static machine_unit unit_of(const bench *b)
{
    attn_precision precision = b->model->precision;
    return precision == ATTN_IN_BF16   ? MACHINE_BF16
           : precision == ATTN_IN_INT8 ? MACHINE_INT8
                                       : MACHINE_F32;
}

static int by_time(const void *a, const void *b)
{
    double x = ((const row *)a)->seconds, y = ((const row *)b)->seconds;
    return (x < y) - (x > y);
}

/* The layers by name, the longest first; returns how many there are. */
static size_t sum_layers(const bench *b, row rows[LAYERS], double *total)
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
        printf("%8.1f %5.1f%%", rate(r) * 1e-9, 100 * share_of_peak(b, MACHINE_F32, rate(r)));
    else
        printf("%8s %6s", "-", "-");
    printf("  %-16s ", r->layer->name);
}

static void print_profile(const bench *b)
{
    row rows[LAYERS];
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
    cJSON_AddNumberToObject(entry, "share_of_peak", share_of_peak(b, MACHINE_F32, rate(r)));
    cJSON_AddItemToArray(list, entry);
}

static void add_profile(cJSON *root, const bench *b)
{
    row rows[LAYERS];
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

static int report_json(const bench *b)
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
    cJSON_AddStringToObject(root, "unit", machine_unit_name(unit_of(b)));
    cJSON_AddNumberToObject(root, "share_of_peak",
                            share_of_peak(b, unit_of(b), operations / median));
    cJSON *peak = cJSON_AddObjectToObject(root, "peak_gflops");
    for (int unit = 0; unit < MACHINE_UNITS; unit++)
        if (b->peak[unit] > 0)
            cJSON_AddNumberToObject(peak, machine_unit_name((machine_unit)unit),
                                    b->peak[unit] * 1e-9);
    cJSON_AddNumberToObject(root, "others_cores", b->others);
    cJSON_AddNumberToObject(root, "arena_bytes", (double)b->session->plan->arena_bytes);
    cJSON_AddNumberToObject(root, "session_bytes", (double)attn_session_memory(b->session));
    cJSON_AddNumberToObject(root, "model_bytes", (double)b->model->memory.used);
    cJSON_AddNumberToObject(root, "resident_bytes", (double)b->resident);
    if (b->profile) add_profile(root, b);
    return cli_print_json(root, EXIT_DONE);
}

int bench_report(const bench *b)
{
    double operations = plan_operations(b), median = b->seconds[b->runs / 2];
    if (b->c.json) return report_json(b);
    printf("%s on %s, %zu thread(s), %zu runs\n", b->model->name, b->model->kernels->name,
           attn_pool_workers(b->session->pool), b->runs);
    printf("median %.3f ms, p95 %.3f, min %.3f, max %.3f\n", median * 1e3,
           b->seconds[(b->runs - 1) * 95 / 100] * 1e3, b->seconds[0] * 1e3,
           b->seconds[b->runs - 1] * 1e3);
    printf("%.4g GFLOP in products: %.1f GFLOP/s\n", operations * 1e-9, operations / median * 1e-9);
    for (int unit = 0; unit < MACHINE_UNITS; unit++)
        if (b->peak[unit] > 0 && (unit == MACHINE_F32 || unit == (int)unit_of(b)))
            printf("%.1f %% of the %s peak, %.1f GFLOP/s\n",
                   100 * share_of_peak(b, (machine_unit)unit, operations / median),
                   machine_unit_name((machine_unit)unit), b->peak[unit] * 1e-9);
    printf("memory: model %.1f MB, session %.1f MB, resident at most %.1f MB\n",
           1e-6 * (double)b->model->memory.used, 1e-6 * (double)attn_session_memory(b->session),
           1e-6 * (double)b->resident);
    if (b->others > 0.1) printf("note: other processes used %.1f cores meanwhile\n", b->others);
    if (b->profile) print_profile(b);
    return EXIT_DONE;
}
