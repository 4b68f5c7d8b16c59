/* What this machine can reach: arithmetic in registers, reads from memory by the size of the set.
 *
 *     bench_machine [--threads N] [--rounds N]      a table: 1 thread and N (all), the medians
 *     bench_machine --serve [--threads N]           for peers.py: one line of JSON per line of
 * input
 *
 * ATTN_CPU chooses the instruction set, as it does for attn. */
#include "tools/bench/bench.h"

enum { MIB = 1 << 20 };

static double median_peak(attn_pool *pool, const bench_options *o, machine_unit unit)
{
    bench_samples rate = {0};
    for (size_t i = 0; i < o->rounds; i++)
        bench_add(&rate, machine_peak(pool, o->kernels->name, unit));
    return bench_median(&rate);
}

static double median_read(attn_pool *pool, const machine_memory *memory, size_t bytes,
                          const bench_options *o)
{
    bench_samples rate = {0};
    machine_read(pool, memory, bytes);
    for (size_t i = 0; i < o->rounds; i++) {
        /* A small set several times, so that the workers are awake. */
        size_t passes = bytes < 16 * MIB ? 16 * MIB / bytes : 1;
        double seconds = 0;
        for (size_t j = 0; j < passes; j++)
            seconds += (double)bytes / machine_read(pool, memory, bytes);
        bench_add(&rate, (double)(bytes * passes) / seconds);
    }
    return bench_median(&rate);
}

static void print_table(attn_pool *const *pool, size_t pools, const bench_options *o)
{
    static const size_t sizes[] = {MIB / 2, 4 * MIB, 12 * MIB, 48 * MIB, 512 * MIB};
    printf("%-24s", o->kernels->name);
    for (size_t i = 0; i < pools; i++) printf(" %8zu thread(s)", attn_pool_workers(pool[i]));
    for (int unit = 0; unit < MACHINE_UNITS; unit++) {
        printf("\n%-12s GFLOP/s    ", machine_unit_name((machine_unit)unit));
        for (size_t i = 0; i < pools; i++)
            printf(" %18.1f", 1e-9 * median_peak(pool[i], o, (machine_unit)unit));
    }
    machine_memory *memory = machine_memory_open(sizes[4]);
    for (size_t s = 0; memory && s < sizeof sizes / sizeof *sizes; s++) {
        printf("\nread %7.1f MiB GB/s   ", (double)sizes[s] / MIB);
        for (size_t i = 0; i < pools; i++)
            printf(" %18.1f", 1e-9 * median_read(pool[i], memory, sizes[s], o));
    }
    printf("\n");
    machine_memory_close(memory);
}

/* A line of JSON for each line of input. */
static void serve(attn_pool *pool, const bench_options *o)
{
    char line[256];
    while (fgets(line, sizeof line, stdin)) {
        printf("{\"kernels\": \"%s\"", o->kernels->name);
        for (int unit = 0; unit < MACHINE_UNITS; unit++)
            printf(", \"%s\": %.4g", machine_unit_name((machine_unit)unit),
                   machine_peak(pool, o->kernels->name, (machine_unit)unit));
        printf("}\n");
        fflush(stdout);
    }
}

int main(int argc, char **argv)
{
    bench_options o;
    attn_error err;
    bool serves = argc > 1 && strcmp(argv[1], "--serve") == 0;
    if (serves) {
        argv[1] = argv[0];
        argc--;
        argv++;
    }
    if (!bench_parse(&o, argc, argv, 21)) return EXIT_USAGE;
    machine_watch watch = machine_watch_begin();
    attn_pool *pool[2] = {NULL, NULL};
    attn_status failed = attn_pool_open(&pool[0], o.threads, cli_memory(), &err);
    if (!failed && !serves && o.threads > 1) {
        pool[1] = pool[0];
        failed = attn_pool_open(&pool[0], 1, cli_memory(), &err);
    }
    if (failed)
        cli_error(&err);
    else if (serves)
        serve(pool[0], &o);
    else
        print_table(pool, pool[1] ? 2 : 1, &o);
    for (int i = 0; i < 2; i++) attn_pool_close(pool[i], cli_memory());
    machine_watch_note(&watch);
    return failed ? EXIT_BAD : EXIT_DONE;
}
