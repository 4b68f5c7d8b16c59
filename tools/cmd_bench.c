/* attn bench: how long one run takes, and what share of this machine's peak that is. */
#include "tools/bench_report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* As if b->past rows had been run: numbers of a common size stand for what is kept of them. */
static attn_status fill_cache(bench *b, attn_error *err)
{
    attn_cache *cache = &b->session->cache;
    if (!b->past) return ATTN_OK;
    if (!cache->data)
        return attn_fail(err, ATTN_BAD_ARGUMENT, "--past: model \"%s\" keeps no rows",
                         attn_model_name(b->model));
    memset(cache->data, 0x3c, cache->bytes); /* 0.0115 in f32, and in bf16 */
    cache->past = b->past;
    return attn_prepare(b->session, err);
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
    ATTN_TRY(attn_prepare(b->session, err));
    return fill_cache(b, err);
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

/* ---- measuring --------------------------------------------------------------------------- */

static void sample_peaks(bench *b)
{
    for (int unit = 0; unit < MACHINE_UNITS; unit++)
        b->sample[unit][b->samples % BENCH_PEAKS] =
            machine_peak(b->session->pool, b->model->kernels->name, (machine_unit)unit);
    b->samples++;
}

/* Every run at the same position. */
static attn_status run_once(bench *b, attn_error *err)
{
    if (b->context) ATTN_TRY(attn_rewind(b->session, b->past, err));
    return attn_run(b->session, err);
}

/* The peaks are taken between the runs, since the clock drifts. */
static attn_status measure(bench *b, attn_error *err)
{
    ATTN_TRY(run_once(b, err)); /* warm: touches memory, wakes the pool */
    b->resident = machine_peak_resident();
    if (b->profile) {
        b->session->observer = observe;
        b->session->observer_user = b;
    }
    double due = 0;
    machine_watch watch = machine_watch_begin();
    for (size_t i = 0; i < b->runs; i++) {
        double start = cli_seconds();
        if (start >= due) {
            sample_peaks(b);
            due = cli_seconds() + 0.05;
            start = cli_seconds();
        }
        b->at = 0;
        ATTN_TRY(run_once(b, err));
        b->seconds[i] = cli_seconds() - start;
        cli_progress(&b->c, i + 1, b->runs);
    }
    b->others = machine_watch_end(&watch);
    sample_peaks(b);
    size_t samples = b->samples < BENCH_PEAKS ? b->samples : BENCH_PEAKS;
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
    b->seconds = calloc(b->runs, sizeof *b->seconds);
    b->step_seconds = calloc(steps + 1, sizeof *b->step_seconds);
    attn_status failed = ATTN_OK;
    if (!b->seconds || !b->step_seconds)
        failed = attn_fail(err, ATTN_NO_MEMORY, "out of memory for %zu runs", b->runs);
    if (!failed) failed = measure(b, err);
    int status = failed ? cli_error(err) : bench_report(b);
    free(b->seconds);
    free(b->step_seconds);
    return status;
}

int cmd_bench(int argc, char **argv)
{
    bench b = {.c = {.command = "bench",
                     .usage = "MODEL [--input NAME=SIZExSIZE ...] [--runs N] [--profile] "
                              "[--context N [--past P]]"},
               .runs = 50};
    attn_tensor tensor[ATTN_MAX_PORTS] = {{0}};
    size_t bytes[ATTN_MAX_PORTS] = {0};
    const cli_option options[] = {{"--input", CLI_LIST, &b.shapes, 0, 0},
                                  {"--runs", CLI_NUMBER, &b.runs, 1, 1000000},
                                  {"--profile", CLI_FLAG, &b.profile, 0, 0},
                                  {"--context", CLI_NUMBER, &b.context, 1, (size_t)1 << 31},
                                  {"--past", CLI_NUMBER, &b.past, 0, (size_t)1 << 31},
                                  {0}};
    int status;
    attn_error err;
    if (!cli_options(&b.c, argc, argv, options, &status)) return status;
    if (b.c.count != 1) return cli_usage(&b.c, "one model is needed, found %zu", b.c.count);
    if (b.past >= b.context && b.past)
        return cli_usage(&b.c, "--past %zu needs a --context of more rows", b.past);
    const attn_session_options session = {.context = b.context};
    if (cli_open(&b.c, b.c.argument[0], &session, &b.model, &b.session, &err))
        return cli_error(&err);
    status = bench_model(&b, tensor, bytes, &err);
    for (size_t i = 0; i < ATTN_MAX_PORTS; i++)
        attn_release(cli_memory(), tensor[i].data, bytes[i]);
    attn_session_close(b.session);
    attn_model_close(b.model);
    return status;
}
