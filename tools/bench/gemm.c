/* The matrix product by shape and panel type, beside oneDNN (packed weights) and OpenBLAS.
 *
 *     bench_gemm [--type TYPE]... [--shape M,N,K]... [--threads 1,2]
 *                [--rounds N] [--cold | --hot]
 * TYPE: f32, bf16, bf16_dot, f16, i8, i4; q4_0, q8_0 and the other blocks, q4_0_dot ... (K: a
 * multiple of 32).
 *
 * All run in turn, in every round; the figures are medians over the rounds (least-most). Up to 16
 * rows of x (or with --cold; --hot: never) each call takes other weights, all of them larger than
 * the caches; the share is of the measured bandwidth then, otherwise of what multiply-adds in
 * registers reach, each measured in the same rounds. A ratio is the peer's time by ours. I8 meets
 * u8 x s8 -> f32, BF16_DOT bf16; x is quantised before. Columns are split over the threads. Rows of
 * x that would share the lines of the cache are moved apart first, in our time, as "linear" does.
 * ATTN_CPU chooses the instruction set.
 *
 * Threads are pinned, ours and oneDNN's: after a pause the system may wake two on one core. */
#define _GNU_SOURCE /* mmap's MAP_ANONYMOUS, madvise; dlsym's RTLD_DEFAULT; sched_setaffinity */

#include "tools/bench/gemm_peers.h"
#include "tools/cli.h"
#include "tools/machine.h"

#include <dirent.h>
#include <math.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { MAX_ROUNDS = 101, MAX_SHAPES = 128, MAX_THREADS = 8 };
enum { ATTN, DNNL, OPENBLAS, PEERS };

static const char *const type_names[ATTN_PANEL_TYPES] = {
    [ATTN_PANEL_F32] = "f32",
    [ATTN_PANEL_BF16] = "bf16",
    [ATTN_PANEL_BF16_DOT] = "bf16_dot",
    [ATTN_PANEL_F16] = "f16",
    [ATTN_PANEL_I8] = "i8",
    [ATTN_PANEL_I4] = "i4",
    [ATTN_PANEL_Q4_0] = "q4_0",
    "q4_1",
    "q4_k",
    "q8_0",
    "q5_1",
    "q5_k",
    "q6_k",
    [ATTN_PANEL_DOTS] = "q4_0_dot",
    "q4_1_dot",
    "q4_k_dot",
    "q8_0_dot",
    "q5_1_dot",
    "q5_k_dot",
    "q6_k_dot",
};

typedef struct options {
    const attn_kernels *kernels;
    bool type[ATTN_PANEL_TYPES];
    peer_shape shape[MAX_SHAPES];
    size_t shapes, rounds;
    unsigned threads[MAX_THREADS];
    size_t thread_counts;
    bool cold, hot;
} options;

/* ---- memory ------------------------------------------------------------------------------ */

/* Huge pages for all: what is measured is not the translation of addresses. Everything is given
 * back at once. */
static struct {
    char *data;
    size_t bytes, used;
} arena;

static void *take(size_t bytes)
{
    if (!arena.data) {
        arena.bytes = (size_t)3 << 30;
        arena.data = mmap(NULL, arena.bytes, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (arena.data == MAP_FAILED) abort();
        madvise(arena.data, arena.bytes, MADV_HUGEPAGE);
    }
    void *p = arena.data + arena.used;
    arena.used += (bytes + 4095) / 4096 * 4096 + 4096 + 256; /* no two on the same lines of a set */
    if (arena.used > arena.bytes) {
        fprintf(stderr, "bench_gemm: out of memory\n");
        exit(EXIT_BAD);
    }
    return p;
}

/* ---- attn -------------------------------------------------------------------------------- */

typedef struct attn_peer {
    const attn_kernels *kernels;
    attn_pool *pool;
    attn_gemm g;
    const char *w; /* [copies][bytes] */
    size_t bytes, copies, next;
    size_t tasks, panels; /* of a task */
    const float *x;       /* rows that g.x has further apart; NULL: none */
    float *apart;
} attn_peer;

/* Any integers that every type has. */
static void pack_blocks(const attn_kernels *k, attn_panel_type type, void *packed, const float *w,
                        const peer_shape *s)
{
    int8_t *q = take(s->n * s->k);
    float *scale = take(s->n * s->k / 4);
    for (size_t i = 0; i < s->n * s->k; i++) q[i] = (int8_t)((int)w[i] & 7);
    for (size_t i = 0; i < s->n * s->k / 16; i++) scale[i] = 0.5f;
    k->pack_blocks(type, packed, q, scale, scale, s->k, s->n);
}

static void attn_peer_open(attn_peer *p, const options *o, attn_pool *pool, attn_panel_type type,
                           const peer_shape *s, const float *x, const float *w, float *y)
{
    const attn_kernels *k = o->kernels;
    size_t row = k->row_bytes(type, s->k), workers = attn_pool_workers(pool);
    *p = (attn_peer){.kernels = k, .pool = pool, .copies = s->copies};
    p->g = (attn_gemm){.m = s->m, .n = s->n, .k = s->k, .type = type, .scale = 1};
    p->g.x = x;
    p->g.ldx = s->k;
    if (!row && attn_spread_rows(s->m, s->k) != s->k) {
        p->x = x;
        p->g.ldx = attn_spread_rows(s->m, s->k);
        p->g.x = p->apart = take(s->m * p->g.ldx * sizeof(float));
    }
    p->g.y = y;
    p->g.ldy = s->n;
    if (row) {
        char *rows = take(row * s->m);
        for (size_t i = 0; i < s->m; i++) k->quantize(type, rows + i * row, x + i * s->k, s->k);
        p->g.rows = rows;
    }
    if (!attn_packed_bytes(k, type, s->k, s->n, &p->bytes)) abort();
    char *packed = take(p->bytes * s->copies);
    if (attn_is_blocks(type))
        pack_blocks(k, type, packed, w, s);
    else
        k->pack(type, packed, w, s->k, s->n, s->n, 1);
    for (size_t i = 1; i < s->copies; i++) memcpy(packed + i * p->bytes, packed, p->bytes);
    p->w = packed;
    size_t panels = (s->n + k->panel - 1) / k->panel;
    p->panels = panels % workers == 0 ? panels / workers : panels / (8 * workers) + 1;
    p->tasks = (panels + p->panels - 1) / p->panels;
}

static void attn_peer_task(void *arg, size_t task, size_t worker)
{
    const attn_peer *p = arg;
    attn_gemm g = p->g;
    size_t first = task * p->panels, column = first * p->kernels->panel;
    (void)worker;
    g.w = p->w + p->next % p->copies * p->bytes + first * p->kernels->panel_bytes(g.type, g.k);
    g.y += column;
    g.n =
        g.n - column < p->panels * p->kernels->panel ? g.n - column : p->panels * p->kernels->panel;
    p->kernels->gemm(&g);
}

static void move_apart(void *arg, size_t task, size_t worker)
{
    const attn_peer *p = arg;
    size_t tasks = attn_pool_workers(p->pool);
    (void)worker;
    for (size_t i = task * p->g.m / tasks; i < (task + 1) * p->g.m / tasks; i++)
        memcpy(p->apart + i * p->g.ldx, p->x + i * p->g.k, p->g.k * sizeof(float));
}

static void attn_peer_run(attn_peer *p)
{
    if (p->x) attn_pool_run(p->pool, attn_pool_workers(p->pool), move_apart, p);
    attn_pool_run(p->pool, p->tasks, attn_peer_task, p);
    p->next++;
}

static cpu_set_t cores; /* that the process may use */

/* thread: 0 for the calling one. */
static void pin_thread(pid_t thread, size_t core)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    for (size_t cpu = 0, i = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &cores) && i++ == core % (size_t)CPU_COUNT(&cores)) CPU_SET(cpu, &one);
    sched_setaffinity(thread, sizeof one, &one);
}

typedef struct pin_job {
    size_t workers;
    atomic_size_t started;
} pin_job;

/* Called by each when it has been counted. */
static void pin_worker(pin_job *job, size_t worker)
{
    while (atomic_load(&job->started) < job->workers) sched_yield(); /* nobody takes two tasks */
    pin_thread(0, worker);
}

static void pin_task(void *arg, size_t task, size_t worker)
{
    pin_job *job = arg;
    (void)task;
    atomic_fetch_add(&job->started, 1);
    pin_worker(job, worker);
}

#ifdef ATTN_HAS_DNNL
static void pin_openmp(void *arg)
{
    pin_job *job = arg;
    atomic_fetch_add(&job->started, 1);
    pin_worker(job, dnnl_peer_thread());
}
#endif

/* Our workers and OpenMP's. */
static void pin(attn_pool *pool)
{
    pin_job job = {.workers = attn_pool_workers(pool)};
    attn_pool_run(pool, job.workers, pin_task, &job);
#ifdef ATTN_HAS_DNNL
    pin_job other = {.workers = job.workers};
    dnnl_peer_threads((int)job.workers, pin_openmp, &other);
#endif
}

/* The threads that OpenBLAS has started while it was loaded. */
static void pin_started(void)
{
    DIR *tasks = opendir("/proc/self/task");
    size_t core = 0;
    for (struct dirent *e = tasks ? readdir(tasks) : NULL; e; e = readdir(tasks)) {
        pid_t thread = (pid_t)strtol(e->d_name, NULL, 10);
        if (thread > 0 && thread != getpid()) pin_thread(thread, ++core);
    }
    if (tasks) closedir(tasks);
}

/* ---- a shape ----------------------------------------------------------------------------- */

typedef struct contest {
    const options *o;
    attn_panel_type type;
    peer_shape shape;
    attn_pool *pool;
    const machine_memory *memory;
    float *x, *w, *y[PEERS]; /* w: [copies][k, n] */
    bool present[PEERS];
    attn_peer attn;
#ifdef ATTN_HAS_DNNL
    dnnl_peer dnnl;
#endif
    size_t next;
    double seconds[PEERS][MAX_ROUNDS]; /* of a call */
    double limit[MAX_ROUNDS];          /* operations or, if cold, bytes per second */
} contest;

static void run_peer(contest *c, int peer)
{
    if (peer == ATTN) attn_peer_run(&c->attn);
#ifdef ATTN_HAS_DNNL
    if (peer == DNNL) dnnl_peer_run(&c->dnnl);
#endif
#ifdef ATTN_HAS_OPENBLAS
    if (peer == OPENBLAS)
        openblas_run(&c->shape, c->x, c->w + c->next++ % c->shape.copies * c->shape.n * c->shape.k,
                     c->y[OPENBLAS]);
#endif
}

static bool is_cold(const contest *c)
{
    return !c->o->hot && (c->o->cold || c->shape.m <= 16);
}

/* Small integers are exact in every type but I4. */
static void draw(contest *c)
{
    unsigned seed = 1;
    size_t nx = c->shape.m * c->shape.k, nw = c->shape.n * c->shape.k;
    c->x = take(nx * sizeof(float));
    c->w = take(nw * sizeof(float) * c->shape.copies);
    for (size_t i = 0; i < nx + nw; i++) {
        seed = seed * 1664525 + 1013904223;
        float value = (float)(seed >> 24 & 127);
        if (i < nx)
            c->x[i] = i % c->shape.k == 0 ? 127 : value;
        else
            c->w[i - nx] = (i - nx) / c->shape.n == 0 ? 127 : value - 63;
    }
    for (size_t i = 1; i < c->shape.copies; i++) memcpy(c->w + i * nw, c->w, nw * sizeof(float));
}

static void open_peers(contest *c)
{
    attn_panel_type type = c->type;
    for (int p = 0; p < PEERS; p++) c->y[p] = take(c->shape.m * c->shape.n * sizeof(float));
    attn_peer_open(&c->attn, c->o, c->pool, type, &c->shape, c->x, c->w, c->y[ATTN]);
    c->present[ATTN] = true;
#ifdef ATTN_HAS_DNNL
    if (type == ATTN_PANEL_F32 || type == ATTN_PANEL_BF16_DOT || type == ATTN_PANEL_I8) {
        peer_unit unit = type == ATTN_PANEL_F32        ? PEER_F32
                         : type == ATTN_PANEL_BF16_DOT ? PEER_BF16
                                                       : PEER_INT8;
        c->present[DNNL] = dnnl_peer_open(&c->dnnl, unit, &c->shape, c->x, c->w, c->y[DNNL], take);
    }
#endif
#ifdef ATTN_HAS_OPENBLAS
    openblas_set_num_threads((int)attn_pool_workers(c->pool));
    c->present[OPENBLAS] = type == ATTN_PANEL_F32;
#endif
}

/* All must have computed the same thing. */
static bool agree(const contest *c, int peer)
{
    for (size_t i = 0; i < c->shape.m * c->shape.n; i++) {
        double a = (double)c->y[ATTN][i], b = (double)c->y[peer][i];
        if (!(fabs(a - b) <= 1e-4 * (fabs(b) + 127 * 63 * sqrt((double)c->shape.k)))) {
            fprintf(stderr, "bench_gemm: y[%zu, %zu] is %g, but %g of %s\n", i / c->shape.n,
                    i % c->shape.n, a, b, peer == DNNL ? "oneDNN" : "OpenBLAS");
            return false;
        }
    }
    return true;
}

/* Each peer runs for about this long in a round. */
static const double slice = 6e-3;

/* The threads of OpenMP and OpenBLAS wait in a loop for some milliseconds, on the cores that the
 * next one needs. */
static void settle(const contest *c)
{
    const struct timespec pause = {.tv_nsec = 40000000};
    if (attn_pool_workers(c->pool) > 1) nanosleep(&pause, NULL);
}

static void warm_up(contest *c, int peer)
{
    double start = cli_seconds();
    while (cli_seconds() - start < slice / 6) run_peer(c, peer);
}

static bool measure(contest *c)
{
    size_t calls[PEERS] = {0};
    machine_unit unit = c->type == ATTN_PANEL_I8 || c->type >= ATTN_PANEL_DOTS ? MACHINE_INT8
                        : c->type == ATTN_PANEL_BF16_DOT                       ? MACHINE_BF16
                                                                               : MACHINE_F32;
    for (int p = 0; p < PEERS; p++) {
        if (!c->present[p]) continue;
        run_peer(c, p);
        if (p != ATTN && !agree(c, p)) return false;
        double start = cli_seconds();
        run_peer(c, p);
        calls[p] = (size_t)(slice / (cli_seconds() - start)) + 1;
    }
    for (size_t r = 0; r < c->o->rounds; r++) {
        settle(c);
        c->limit[r] = is_cold(c) ? machine_read(c->pool, c->memory, 0)
                                 : machine_peak(c->pool, c->o->kernels->name, unit);
        for (int i = 0; i < PEERS; i++) {
            int p = (int)((r + (size_t)i) % PEERS);
            if (!c->present[p]) continue;
            settle(c);
            warm_up(c, p);
            double start = cli_seconds();
            for (size_t n = 0; n < calls[p]; n++) run_peer(c, p);
            c->seconds[p][r] = (cli_seconds() - start) / (double)calls[p];
        }
    }
    return true;
}

/* ---- the table --------------------------------------------------------------------------- */

typedef struct spread {
    double least, median, most;
} spread;

static int compare_double(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Of work / seconds[r]. */
static spread rates(double work, const double *seconds, size_t rounds)
{
    double rate[MAX_ROUNDS];
    for (size_t r = 0; r < rounds; r++) rate[r] = work / seconds[r];
    qsort(rate, rounds, sizeof *rate, compare_double);
    return (spread){rate[0], rate[rounds / 2], rate[rounds - 1]};
}

static double median_ratio(const double *a, const double *b, size_t rounds)
{
    double ratio[MAX_ROUNDS];
    for (size_t r = 0; r < rounds; r++) ratio[r] = a[r] / b[r];
    qsort(ratio, rounds, sizeof *ratio, compare_double);
    return ratio[rounds / 2];
}

typedef struct summary {
    size_t shapes[PEERS];
    double log_sum[PEERS], least[PEERS]; /* of the share (ATTN) or the ratio */
} summary;

static void add(summary *s, int peer, double value)
{
    s->log_sum[peer] += log(value);
    if (!s->shapes[peer]++ || value < s->least[peer]) s->least[peer] = value;
}

static void print_shape(const contest *c, summary *total)
{
    const peer_shape *s = &c->shape;
    bool cold = is_cold(c);
    size_t rounds = c->o->rounds;
    double work = 2e-9 * (double)s->m * (double)s->n * (double)s->k;
    double bytes = (double)c->attn.bytes;
    double reached[MAX_ROUNDS], share;
    for (size_t r = 0; r < rounds; r++)
        reached[r] = (cold ? bytes : 1e9 * work) / c->seconds[ATTN][r];
    share = median_ratio(reached, c->limit, rounds);
    add(&total[cold], ATTN, share);
    printf("%-8s %5zu %5zu %5zu %2zu ", type_names[c->type], s->m, s->n, s->k,
           attn_pool_workers(c->pool));
    bool in_bytes = s->m == 1;
    spread mine = rates(in_bytes ? 1e-9 * bytes : work, c->seconds[ATTN], rounds);
    printf("| %6.1f (%6.1f-%6.1f) %-7s %5.1f %% %s", mine.median, mine.least, mine.most,
           in_bytes ? "GB/s" : "GFLOP/s", 100 * share, cold ? "of memory" : "of peak  ");
    for (int p = DNNL; p < PEERS; p++) {
        if (!c->present[p]) continue;
        spread theirs = rates(work, c->seconds[p], rounds);
        double ratio = median_ratio(c->seconds[p], c->seconds[ATTN], rounds);
        add(&total[cold], p, ratio);
        printf(" | %6.1f (%6.1f-%6.1f) GFLOP/s %5.3f", theirs.median, theirs.least, theirs.most,
               ratio);
    }
    printf("\n");
    fflush(stdout);
}

static void print_summary(const summary *total, attn_panel_type type, size_t workers)
{
    static const char *const kinds[] = {"of the peak", "of the bandwidth"};
    for (int cold = 0; cold < 2; cold++) {
        const summary *s = &total[cold];
        if (!s->shapes[ATTN]) continue;
        printf("%s, %zu thread(s), %zu shapes: mean (least) %.3f (%.3f) %s", type_names[type],
               workers, s->shapes[ATTN], exp(s->log_sum[ATTN] / (double)s->shapes[ATTN]),
               s->least[ATTN], kinds[cold]);
        for (int p = DNNL; p < PEERS; p++)
            if (s->shapes[p])
                printf(", %.3f (%.3f) of %s", exp(s->log_sum[p] / (double)s->shapes[p]),
                       s->least[p], p == DNNL ? "oneDNN's speed" : "OpenBLAS's");
        printf("\n");
    }
}

static bool run_shape(const options *o, attn_panel_type type, size_t shape, attn_pool *pool,
                      const machine_memory *memory, summary *total)
{
    static contest c;
    c = (contest){.o = o, .type = type, .shape = o->shape[shape], .pool = pool, .memory = memory};
    size_t panel = o->kernels->panel_bytes(type, c.shape.k) / o->kernels->panel;
    c.shape.copies = is_cold(&c) ? ((size_t)160 << 20) / (panel * c.shape.n) + 1 : 1;
    arena.used = 0;
    draw(&c);
    open_peers(&c);
    bool good = measure(&c);
    if (good) print_shape(&c, total);
#ifdef ATTN_HAS_DNNL
    if (type == ATTN_PANEL_F32 || type == ATTN_PANEL_BF16_DOT || type == ATTN_PANEL_I8)
        dnnl_peer_close(&c.dnnl);
#endif
    return good;
}

/* ---- options ----------------------------------------------------------------------------- */

static const struct {
    size_t n, k;
} weights[] = {
    {192, 192}, {576, 192},  {768, 192},  {192, 768},  /* ViT-Tiny */
    {384, 384}, {1152, 384}, {1536, 384}, {384, 1536}, /* MiniLM, ViT-Small, Whisper-tiny */
    {768, 768}, {2304, 768}, {3072, 768}, {768, 3072}, /* ViT-Base */
};
static const size_t row_counts[] = {1, 16, 128, 197, 512, 1500};

static bool parse(int argc, char **argv, options *o)
{
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        bool cold = strcmp(argv[i], "--cold") == 0, hot = strcmp(argv[i], "--hot") == 0;
        o->cold = o->cold || cold;
        o->hot = o->hot || hot;
        if (cold || hot) continue;
        i++;
        if (strcmp(argv[i - 1], "--type") == 0) {
            int type = 0;
            while (type < ATTN_PANEL_TYPES && strcmp(value, type_names[type]) != 0) type++;
            if (type == ATTN_PANEL_TYPES) return false;
            o->type[type] = true;
        } else if (strcmp(argv[i - 1], "--shape") == 0 && o->shapes < MAX_SHAPES) {
            peer_shape *s = &o->shape[o->shapes++];
            if (sscanf(value, "%zu,%zu,%zu", &s->m, &s->n, &s->k) != 3 || !s->m || !s->n || !s->k)
                return false;
        } else if (strcmp(argv[i - 1], "--threads") == 0) {
            char *rest = argv[i];
            for (o->thread_counts = 0; o->thread_counts < MAX_THREADS && *rest;
                 rest += *rest == ',')
                if (!(o->threads[o->thread_counts++] = (unsigned)strtoul(rest, &rest, 10)))
                    return false;
        } else if (strcmp(argv[i - 1], "--rounds") == 0) {
            o->rounds = strtoul(value, NULL, 10);
            if (o->rounds < 1 || o->rounds > MAX_ROUNDS) return false;
        } else {
            return false;
        }
    }
    return true;
}

static void set_defaults(options *o)
{
    bool any = false;
    for (int t = 0; t < ATTN_PANEL_TYPES; t++) any = any || o->type[t];
    for (int t = 0; t < ATTN_PANEL_TYPES; t++) o->type[t] = o->type[t] || !any;
    if (o->shapes) return;
    for (size_t m = 0; m < sizeof row_counts / sizeof *row_counts; m++)
        for (size_t w = 0; w < sizeof weights / sizeof *weights; w++)
            o->shape[o->shapes++] = (peer_shape){row_counts[m], weights[w].n, weights[w].k, 1};
}

int main(int argc, char **argv)
{
    static options o = {.rounds = 9, .threads = {1, 2}, .thread_counts = 2};
    const char *problem = NULL;
    attn_error err;
    if (!parse(argc, argv, &o)) {
        fprintf(stderr,
                "usage: %s [--type TYPE]... [--shape M,N,K]... [--threads 1,2] [--rounds N] "
                "[--cold | --hot]\n",
                argv[0]);
        return EXIT_USAGE;
    }
    sched_getaffinity(0, sizeof cores, &cores);
    pin_started();
    set_defaults(&o);
    o.kernels = attn_kernels_select(&problem);
    machine_memory *memory = machine_memory_open((size_t)192 << 20);
    if (!o.kernels || !memory) {
        fprintf(stderr, "%s\n", problem ? problem : "out of memory");
        return EXIT_BAD;
    }
    printf("%s\ntype         m     n     k threads: attn, share", o.kernels->name);
#ifdef ATTN_HAS_DNNL
    printf(" | oneDNN, its time by ours");
#endif
#ifdef ATTN_HAS_OPENBLAS
    printf(" | OpenBLAS, its time by ours");
#endif
    printf("\n");
    for (int type = 0; type < ATTN_PANEL_TYPES; type++) {
        for (size_t t = 0; o.type[type] && t < o.thread_counts; t++) {
            summary total[2] = {{{0}, {0}, {0}}};
            attn_pool *pool;
            sched_setaffinity(0, sizeof cores, &cores); /* which a pool counts, and inherits */
            if (attn_pool_open(&pool, o.threads[t], cli_memory(), &err)) return cli_error(&err);
            pin(pool);
            for (size_t s = 0; s < o.shapes; s++)
                if (!run_shape(&o, (attn_panel_type)type, s, pool, memory, total)) return EXIT_BAD;
            print_summary(total, (attn_panel_type)type, attn_pool_workers(pool));
            attn_pool_close(pool, cli_memory());
        }
    }
    machine_memory_close(memory);
    return EXIT_DONE;
}
