/* Attention over longer and longer sequences: the time, beside what the peak allows for the
 * products alone, and the memory, which must grow with the length and not with its square.
 *
 *     bench_sequence [--threads N] [--rounds N]      1 thread and N (all)
 *
 * One attention layer, heads of 64 columns, 12 and 6 of them, full and causal. "over the peak":
 * time over the time that the multiply-adds take at the peak measured beside it. A causal layer's
 * products are the pairs that it may look at, about half. */
#define _GNU_SOURCE

#include "tools/bench/bench.h"

#include "runtime/session.h"

#include <unistd.h>

enum { HEAD = 64, MOST = 8192 };

typedef struct trial {
    size_t heads, sequence;
    bool causal;
    unsigned threads;
    double seconds, peak;
    size_t arena;
} trial;

/* A folder with the description of this layer. */
static bool write_model(char *folder, const trial *t)
{
    char path[128];
    const char *base = getenv("TMPDIR");
    snprintf(folder, 96, "%.64s/attn_bench_XXXXXX", base && strlen(base) < 64 ? base : "/tmp");
    if (!mkdtemp(folder)) return false;
    snprintf(path, sizeof path, "%s/attn.json", folder);
    FILE *file = fopen(path, "w");
    if (!file) return false;
    size_t width = t->heads * HEAD;
    fprintf(
        file,
        "{\"format\": \"attn/1\", \"name\": \"sequence\", \"symbols\": {\"n\": {\"max\": %d}},\n"
        "\"inputs\": {\"q\": {\"shape\": [\"n\", %zu]}, \"k\": {\"shape\": [\"n\", %zu]},\n"
        "\"v\": {\"shape\": [\"n\", %zu]}},\n"
        "\"graph\": [{\"layer\": \"attention\", \"in\": [\"q\", \"k\", \"v\"], \"out\": \"y\",\n"
        "\"heads\": %zu, \"score\": \"scaled_dot\", \"normalize\": \"softmax\",\n"
        "\"select\": \"weighted\", \"causal\": %s}], \"outputs\": {\"y\": {}}}\n",
        MOST, width, width, width, t->heads, t->causal ? "true" : "false");
    return fclose(file) == 0;
}

static void remove_model(const char *folder)
{
    char path[128];
    snprintf(path, sizeof path, "%s/attn.json", folder);
    unlink(path);
    rmdir(folder);
}

static attn_status run_trial(trial *t, attn_session *session, const float *data, size_t rounds,
                             attn_error *err)
{
    static const char *const names[] = {"q", "k", "v"};
    bench_samples seconds = {0}, peak = {0};
    for (size_t i = 0; i < 3; i++) {
        attn_tensor value = {.dtype = ATTN_F32, .rank = 2, .dim = {t->sequence, t->heads * HEAD}};
        value.data = (void *)(data + i * 1024);
        ATTN_TRY(attn_set_input(session, names[i], &value, err));
    }
    ATTN_TRY(attn_prepare(session, err));
    t->arena = session->plan->arena_bytes;
    /* Short ones several times in a row: at least 5 ms a sample. */
    double pairs = (double)t->sequence * (double)t->sequence * (double)t->heads;
    size_t repeats = (size_t)(1e8 / pairs) + 1;
    for (size_t i = 0; i <= rounds; i++) {
        bench_add(&peak, machine_peak(session->pool, session->model->kernels->name, MACHINE_F32));
        double start = cli_seconds();
        for (size_t j = 0; j < repeats; j++) ATTN_TRY(attn_run(session, err));
        if (i > 0) bench_add(&seconds, (cli_seconds() - start) / (double)repeats);
    }
    t->seconds = bench_median(&seconds);
    t->peak = bench_median(&peak);
    return ATTN_OK;
}

static void print_trial(const trial *t)
{
    double pairs = (double)t->sequence * (double)t->sequence;
    if (t->causal) pairs = (pairs + (double)t->sequence) / 2;
    double operations = pairs * (double)t->heads * HEAD * 4;
    printf("%6zu %7s %9zu %8u %11.3f %12.4f %10.1f%% %14.3f %12zu %10.1f\n", t->heads,
           t->causal ? "causal" : "full", t->sequence, t->threads, t->seconds * 1e3,
           t->seconds * 2e9 / operations, 100 * operations / t->seconds / t->peak,
           t->seconds * t->peak / operations, t->arena, (double)t->arena / (double)t->sequence);
}

static attn_status run_sequences(trial *t, const float *data, const bench_options *o,
                                 attn_error *err)
{
    static const size_t lengths[] = {128, 512, 2048, MOST};
    char folder[96];
    attn_model *model = NULL;
    attn_session *session = NULL;
    if (!write_model(folder, t)) return attn_fail(err, ATTN_IO, "%s cannot be written", folder);
    attn_status status = attn_model_open(&model, folder, NULL, err);
    attn_session_options options = {.threads = t->threads};
    if (!status) status = attn_session_open(&session, model, &options, err);
    for (size_t i = 0; !status && i < sizeof lengths / sizeof *lengths; i++) {
        t->sequence = lengths[i];
        status = run_trial(t, session, data, i > 2 ? (o->rounds + 3) / 4 : o->rounds, err);
        if (!status) print_trial(t);
    }
    attn_session_close(session);
    attn_model_close(model);
    remove_model(folder);
    return status;
}

int main(int argc, char **argv)
{
    bench_options o;
    attn_error err;
    if (!bench_parse(&o, argc, argv, 11)) return EXIT_USAGE;
    machine_watch watch = machine_watch_begin();
    size_t floats = (size_t)MOST * 12 * HEAD + 4096;
    float *data = malloc(floats * sizeof *data);
    if (!data) return EXIT_BAD;
    uint32_t seed = 1;
    for (size_t i = 0; i < floats; i++) {
        seed = seed * 1664525u + 1013904223u;
        data[i] = (float)(seed >> 8) / 8388608.0f - 1;
    }
    printf("%s\n%6s %7s %9s %8s %11s %12s %11s %14s %12s %10s\n", o.kernels->name, "heads", "mask",
           "sequence", "threads", "ms", "ns / mul-add", "of peak", "over the peak", "arena",
           "/ row");
    for (unsigned threads = 1; threads <= o.threads; threads += o.threads > 1 ? o.threads - 1 : 1)
        for (int kind = 0; kind < 3; kind++) {
            trial t = {.heads = kind == 1 ? 6 : 12, .causal = kind == 2, .threads = threads};
            if (run_sequences(&t, data, &o, &err)) return cli_error(&err);
        }
    free(data);
    machine_watch_note(&watch);
    return EXIT_DONE;
}
