/* mmap, madvise */
#define _GNU_SOURCE

#include "tools/machine.h"

#include "layers/kernels/kernels.h"
#include "tools/cli.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

const char *machine_unit_name(machine_unit unit)
{
    static const char *const names[MACHINE_UNITS] = {"f32", "bf16", "int8"};
    return names[unit];
}

/* ---- arithmetic -------------------------------------------------------------------------- */

/* A loop in registers. Each of its accumulators is a chain of its own, and there are enough of them
 * to hide the latency in every pipe. one: 1.0f, which the compiler must not know. */
typedef float (*peak_loop)(size_t rounds, float one);

typedef struct peak_kind {
    peak_loop run;
    double operations; /* of a round */
} peak_kind;

enum { CHAINS = 16, NARROW_CHAINS = 12, SCALAR_CHAINS = 8, NEON_CHAINS = 24 };

#if defined(__clang__)
#define ALL_CHAINS _Pragma("unroll")
#else
#define ALL_CHAINS _Pragma("GCC unroll 32")
#endif

/* The compiler must take the value for used. */
#define USED(value) __asm__ volatile("" : : "m"(value))

/* sum[i] = STEP, over and over. The chains start at different values (START), lest the compiler
 * makes them one; ADD takes them together, so that it drops none. */
#define PEAK_LOOP(NAME, TYPE, COUNT, START, FACTOR, SET, STEP, ADD)                                \
    static float NAME(size_t rounds, float one)                                                    \
    {                                                                                              \
        TYPE sum[COUNT];                                                                           \
        FACTOR a = SET, b = SET;                                                                   \
        float first;                                                                               \
        ALL_CHAINS                                                                                 \
        for (int i = 0; i < (COUNT); i++) sum[i] = START;                                          \
        for (; rounds; rounds--) {                                                                 \
            ALL_CHAINS                                                                             \
            for (int i = 0; i < (COUNT); i++) sum[i] = STEP;                                       \
        }                                                                                          \
        ALL_CHAINS                                                                                 \
        for (int i = 1; i < (COUNT); i++) sum[0] = ADD;                                            \
        memcpy(&first, &sum[0], sizeof first);                                                     \
        return first;                                                                              \
    }

PEAK_LOOP(f32_scalar, float, SCALAR_CHAINS, (float)i, float, one, fmaf(a, b, sum[i]),
          sum[0] + sum[i])

#if defined(__x86_64__)
#define TARGET(names) __attribute__((target(names)))
TARGET("avx2,fma")
PEAK_LOOP(f32_avx2, __m256, NARROW_CHAINS, _mm256_set1_ps((float)i), __m256, _mm256_set1_ps(one),
          _mm256_fmadd_ps(a, b, sum[i]), _mm256_add_ps(sum[0], sum[i]))
#if !defined(ATTN_EMULATE)
TARGET("avx512f")
PEAK_LOOP(f32_avx512, __m512, CHAINS, _mm512_set1_ps((float)i), __m512, _mm512_set1_ps(one),
          _mm512_fmadd_ps(a, b, sum[i]), _mm512_add_ps(sum[0], sum[i]))
TARGET("avx512f,avx512bw,avx512vl,avx512bf16")
PEAK_LOOP(bf16_avx512, __m512, CHAINS, _mm512_set1_ps((float)i), __m512bh,
          _mm512_cvtne2ps_pbh(_mm512_set1_ps(one), _mm512_set1_ps(one)),
          _mm512_dpbf16_ps(sum[i], a, b), _mm512_add_ps(sum[0], sum[i]))
TARGET("avx512f,avx512vnni")
PEAK_LOOP(int8_avx512, __m512i, CHAINS, _mm512_set1_epi32(i), __m512i, _mm512_set1_epi8((char)one),
          _mm512_dpbusd_epi32(sum[i], a, b), _mm512_add_epi32(sum[0], sum[i]))
#endif
#elif defined(__aarch64__)
PEAK_LOOP(f32_neon, float32x4_t, NEON_CHAINS, vdupq_n_f32((float)i), float32x4_t, vdupq_n_f32(one),
          vfmaq_f32(sum[i], a, b), vaddq_f32(sum[0], sum[i]))
#endif

static peak_kind find_loop(const char *kernels, machine_unit unit)
{
    peak_kind none = {NULL, 0};
#if defined(__x86_64__)
    bool wide = strncmp(kernels, "avx512", 6) == 0;
#if !defined(ATTN_EMULATE)
    if (wide && unit == MACHINE_F32) return (peak_kind){f32_avx512, CHAINS * 16 * 2};
    if (wide && unit == MACHINE_BF16 && attn_kernels_level(ATTN_CPU_AVX512BF16))
        return (peak_kind){bf16_avx512, CHAINS * 32 * 2};
    if (wide && unit == MACHINE_INT8 && attn_kernels_level(ATTN_CPU_AVX512VNNI))
        return (peak_kind){int8_avx512, CHAINS * 64 * 2};
#endif
    if ((wide || strcmp(kernels, "avx2") == 0) && unit == MACHINE_F32)
        return (peak_kind){f32_avx2, NARROW_CHAINS * 8 * 2};
#elif defined(__aarch64__)
    if (strcmp(kernels, "neon") == 0 && unit == MACHINE_F32)
        return (peak_kind){f32_neon, NEON_CHAINS * 4 * 2};
#endif
    if (strcmp(kernels, "scalar") == 0 && unit == MACHINE_F32)
        return (peak_kind){f32_scalar, SCALAR_CHAINS * 2};
    return none;
}

typedef struct peak_job {
    peak_kind kind;
    size_t rounds; /* of a task */
    volatile float one;
} peak_job;

static void peak_task(void *arg, size_t task, size_t worker)
{
    peak_job *job = arg;
    (void)task;
    (void)worker;
    float result = job->kind.run(job->rounds, job->one);
    USED(result);
}

double machine_peak(attn_pool *pool, const char *kernels, machine_unit unit)
{
    /* Short tasks, so that all workers end at about the same time. A system may start workers on
     * one core and deal them out only after a while: then it is not the machine that is measured.
     */
    enum { TASKS = 64, TRIES = 12 };
    const double task_seconds = 25e-6, apart = 0.92;
    peak_job job = {.kind = find_loop(kernels, unit), .rounds = 256, .one = 1};
    if (!job.kind.run) return 0;
    double seconds = 0, best = 0;
    while (seconds < task_seconds) { /* also wakes the wide units */
        job.rounds *= 2;
        double start = cli_seconds();
        peak_task(&job, 0, 0);
        seconds = cli_seconds() - start;
    }
    job.rounds = (size_t)((double)job.rounds * task_seconds / seconds) + 1;
    size_t workers = attn_pool_workers(pool), cores = attn_cpu_count(), tasks = workers * TASKS;
    double task_rate = (double)job.rounds * job.kind.operations;
    double expected =
        apart * (double)(workers < cores ? workers : cores) * task_rate / task_seconds;
    attn_pool_run(pool, workers * 2, peak_task, &job); /* wakes the workers */
    for (int i = 0; i < TRIES && best < expected; i++) {
        double start = cli_seconds();
        attn_pool_run(pool, tasks, peak_task, &job);
        double rate = (double)tasks * task_rate / (cli_seconds() - start);
        if (rate > best) best = rate;
    }
    return best;
}

/* ---- memory ------------------------------------------------------------------------------ */

typedef uint64_t wide_word
    __attribute__((vector_size(64))); /* wide registers where there are some */

struct machine_memory {
    size_t bytes;
    wide_word *data;
};

enum { BLOCK = 64 * 1024 }; /* a task reads so many bytes in order */

machine_memory *machine_memory_open(size_t bytes)
{
    machine_memory *memory = malloc(sizeof *memory);
    bytes = (bytes + BLOCK - 1) / BLOCK * BLOCK;
    void *data = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (!memory || data == MAP_FAILED) {
        if (data != MAP_FAILED) munmap(data, bytes);
        free(memory);
        return NULL;
    }
#if defined(MADV_HUGEPAGE)
    madvise(data, bytes, MADV_HUGEPAGE);
#endif
    memset(data, 1, bytes);
    *memory = (machine_memory){bytes, data};
    return memory;
}

void machine_memory_close(machine_memory *memory)
{
    if (!memory) return;
    munmap(memory->data, memory->bytes);
    free(memory);
}

/* Eight sums, so that no load waits for another. */
static inline __attribute__((always_inline)) uint64_t add_up(const void *block)
{
    enum { SUMS = 8 };
    const wide_word *p = block;
    wide_word sum[SUMS] = {{0}};
    for (size_t i = 0; i < BLOCK / sizeof *p; i += SUMS) {
        ALL_CHAINS
        for (size_t j = 0; j < SUMS; j++) sum[j] += p[i + j];
    }
    for (int j = 1; j < SUMS; j++) sum[0] += sum[j];
    return sum[0][0] + sum[0][7];
}

#if defined(__x86_64__)
TARGET("avx512f") static uint64_t read_avx512(const void *block)
{
    return add_up(block);
}
TARGET("avx2") static uint64_t read_avx2(const void *block)
{
    return add_up(block);
}
#endif

static uint64_t read_plain(const void *block)
{
    return add_up(block);
}

typedef struct read_job {
    const char *data;
    uint64_t (*read)(const void *block);
} read_job;

static read_job start_reading(const machine_memory *memory)
{
    read_job job = {(const char *)memory->data, read_plain};
#if defined(__x86_64__)
    if (attn_kernels_level(ATTN_CPU_AVX2)) job.read = read_avx2;
    if (attn_kernels_level(ATTN_CPU_AVX512)) job.read = read_avx512;
#endif
    return job;
}

static void read_task(void *arg, size_t task, size_t worker)
{
    const read_job *job = arg;
    (void)worker;
    uint64_t result = job->read(job->data + task * BLOCK);
    USED(result);
}

double machine_read(attn_pool *pool, const machine_memory *memory, size_t bytes)
{
    size_t tasks = (bytes && bytes < memory->bytes ? bytes : memory->bytes) / BLOCK;
    if (tasks == 0) tasks = 1;
    read_job job = start_reading(memory);
    double start = cli_seconds();
    attn_pool_run(pool, tasks, read_task, &job);
    return (double)tasks * BLOCK / (cli_seconds() - start);
}

size_t machine_peak_resident(void)
{
    char line[128];
    unsigned long kib = 0;
    FILE *file = fopen("/proc/self/status", "r");
    if (!file) return 0;
    while (fgets(line, sizeof line, file))
        if (sscanf(line, "VmHWM: %lu kB", &kib) == 1) break;
    fclose(file);
    return (size_t)kib * 1024;
}

/* ---- others ------------------------------------------------------------------------------ */

/* Of all cores since the start of the system; -1: unknown. */
static double busy_seconds(void)
{
    double user, nice, system, idle, waiting, irq = 0, softirq = 0, steal = 0;
    FILE *file = fopen("/proc/stat", "r");
    if (!file) return -1;
    int count = fscanf(file, "cpu %lf %lf %lf %lf %lf %lf %lf %lf", &user, &nice, &system, &idle,
                       &waiting, &irq, &softirq, &steal);
    fclose(file);
    if (count < 5) return -1;
    return (user + nice + system + irq + softirq + steal) / (double)sysconf(_SC_CLK_TCK);
}

machine_watch machine_watch_begin(void)
{
    struct timespec own;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &own);
    return (machine_watch){cli_seconds(), busy_seconds(),
                           (double)own.tv_sec + 1e-9 * (double)own.tv_nsec};
}

double machine_watch_end(const machine_watch *begin)
{
    const double ticks = 0.2; /* the system counts in hundredths */
    machine_watch end = machine_watch_begin();
    double wall = end.wall - begin->wall;
    if (begin->busy < 0 || end.busy < 0 || wall < ticks) return 0;
    double others = (end.busy - begin->busy) - (end.own - begin->own);
    return others > 0 ? others / wall : 0;
}

void machine_watch_note(const machine_watch *begin)
{
    double others = machine_watch_end(begin);
    if (others > 0.1) fprintf(stderr, "note: other processes used %.1f cores meanwhile\n", others);
}
