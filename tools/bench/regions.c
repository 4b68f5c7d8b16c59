/* What a parallel region of the thread pool costs: the time of a region less that of its work,
 * which is the same for each worker.
 *
 *     bench_regions [--threads N] [--rounds N]      1 to N threads (all)
 *
 * Back to back, with one task of 5 us for each worker and with four of 1.25 us, as layers have
 * them; and after a pause of a millisecond, when the workers sleep, with the first. "joined": how
 * many of the regions more than one worker had a part in; "shared": in how many of them two ran on
 * one core, which the system decides. */
#define _GNU_SOURCE

#include "tools/bench/bench.h"

#include <sched.h>
#include <time.h>

enum { BATCH = 100, PAUSES = 200, MAX_WORKERS = 256 };

static const double work_seconds = 5e-6; /* of each worker in a region */

typedef struct region {
    size_t steps;          /* of a task: a chain of multiplications that nothing can shorten */
    int core[MAX_WORKERS]; /* of each worker in this region; -1: it took no task */
    bool notes;
} region;

static void work(void *arg, size_t task, size_t worker)
{
    region *r = arg;
    double x = 1 + 1e-9 * (double)task;
    for (size_t i = 0; i < r->steps; i++) {
        x *= 1.0000001;
        __asm__ volatile("" : : "m"(x));
    }
    if (r->notes) r->core[worker] = sched_getcpu();
}

/* Steps that take so long on one core. */
static size_t calibrate(double seconds)
{
    bench_samples each = {0};
    region r = {.steps = 1 << 14};
    for (int i = 0; i < 51; i++) {
        double start = cli_seconds();
        work(&r, 0, 0);
        bench_add(&each, cli_seconds() - start);
    }
    return (size_t)(seconds * (double)r.steps / bench_median(&each)) + 1;
}

/* Of `tasks` tasks, run by this thread alone: what a region's work takes. */
static double serial_seconds(region *r, size_t tasks)
{
    double start = cli_seconds();
    for (size_t i = 0; i < BATCH; i++)
        for (size_t t = 0; t < tasks; t++) work(r, t, 0);
    return (cli_seconds() - start) / BATCH;
}

/* Microseconds beyond the work; each: tasks of a worker. */
static double back_to_back(attn_pool *pool, size_t each, size_t rounds)
{
    bench_samples us = {0};
    region r = {.steps = calibrate(work_seconds / (double)each)};
    size_t tasks = each * attn_pool_workers(pool);
    for (size_t i = 0; i < rounds; i++) {
        double start = cli_seconds();
        for (int j = 0; j < BATCH; j++) attn_pool_run(pool, tasks, work, &r);
        double seconds = (cli_seconds() - start) / BATCH;
        bench_add(&us, (seconds - serial_seconds(&r, each)) * 1e6);
    }
    return bench_median(&us);
}

static double after_a_pause(attn_pool *pool)
{
    bench_samples us = {0};
    region r = {.steps = calibrate(work_seconds)};
    for (int i = 0; i < PAUSES; i++) {
        nanosleep(&(struct timespec){0, 1000000}, NULL);
        double start = cli_seconds();
        attn_pool_run(pool, attn_pool_workers(pool), work, &r);
        bench_add(&us, (cli_seconds() - start - work_seconds) * 1e6);
    }
    return bench_median(&us);
}

static void count_workers(attn_pool *pool, size_t rounds, double *joined, double *shared)
{
    region r = {.steps = calibrate(work_seconds), .notes = true};
    size_t workers = attn_pool_workers(pool);
    *joined = *shared = 0;
    for (size_t i = 0; i < rounds; i++) {
        size_t took = 0;
        bool twice = false;
        for (size_t w = 0; w < workers; w++) r.core[w] = -1;
        attn_pool_run(pool, workers, work, &r);
        for (size_t w = 0; w < workers; w++) {
            took += r.core[w] >= 0;
            for (size_t v = 0; v < w; v++) twice |= r.core[w] >= 0 && r.core[w] == r.core[v];
        }
        *joined += (took > 1) / (double)rounds;
        *shared += twice / (double)rounds;
    }
}

int main(int argc, char **argv)
{
    bench_options o;
    attn_error err;
    if (!bench_parse(&o, argc, argv, 201)) return EXIT_USAGE;
    machine_watch watch = machine_watch_begin();
    printf("us per region beyond its work, medians\n%8s %14s %14s %14s %8s %8s\n", "threads",
           "back to back", "4 tasks each", "after a pause", "joined", "shared");
    for (unsigned threads = 1; threads <= o.threads; threads++) {
        attn_pool *pool;
        double joined, shared;
        if (attn_pool_open(&pool, threads, cli_memory(), &err)) return cli_error(&err);
        back_to_back(pool, 1, 50);
        double one = back_to_back(pool, 1, o.rounds), four = back_to_back(pool, 4, o.rounds);
        double pause = after_a_pause(pool);
        count_workers(pool, o.rounds * 10, &joined, &shared);
        printf("%8u %14.3f %14.3f %14.2f %7.1f%% %7.1f%%\n", threads, one, four, pause,
               100 * joined, 100 * shared);
        attn_pool_close(pool, cli_memory());
    }
    machine_watch_note(&watch);
    return EXIT_DONE;
}
