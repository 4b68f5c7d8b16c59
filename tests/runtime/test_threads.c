#define _POSIX_C_SOURCE 200809L

/* The thread pool: every task exactly once, whatever the numbers of tasks, workers and pools. */
#include "runtime/threads.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#if defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#endif

enum { MAX_TASKS = 1000 };

typedef struct region {
    size_t workers;
    unsigned count[MAX_TASKS]; /* plain: a task that ran twice at once is a race for TSan */
    atomic_size_t bad_worker;
    size_t work; /* the task i does (i % 7) * work steps */
} region;

static void count_task(void *arg, size_t task, size_t worker)
{
    region *r = arg;
    volatile size_t sink = 0;
    for (size_t i = 0; i < task % 7 * r->work; i++) sink = sink + i;
    r->count[task]++;
    if (worker >= r->workers) atomic_fetch_add(&r->bad_worker, 1);
}

static attn_pool *open_pool(unsigned threads, attn_memory *memory)
{
    attn_pool *pool;
    attn_error err;
    attn_memory_init(memory, NULL, 0);
    assert_int_equal(attn_pool_open(&pool, threads, memory, &err), ATTN_OK);
    return pool;
}

static void close_pool(attn_pool *pool, attn_memory *memory)
{
    attn_pool_close(pool, memory);
    assert_int_equal(memory->used, 0);
}

static void check_region(attn_pool *pool, size_t tasks, size_t work)
{
    static _Thread_local region r;
    memset(&r, 0, sizeof r);
    r.workers = attn_pool_workers(pool);
    r.work = work;
    attn_pool_run(pool, tasks, count_task, &r);
    for (size_t i = 0; i < MAX_TASKS; i++)
        if (r.count[i] != (i < tasks))
            fail_msg("task %zu of %zu ran %u times", i, tasks, r.count[i]);
    assert_int_equal(r.bad_worker, 0);
}

static void test_every_task_once(void **state)
{
    (void)state;
    static const unsigned threads[] = {1, 2, 3, 4, 8, 17};
    static const size_t tasks[] = {0, 1, 2, 3, 7, 16, 100, MAX_TASKS};
    for (size_t i = 0; i < sizeof threads / sizeof *threads; i++) {
        attn_memory memory;
        attn_pool *pool = open_pool(threads[i], &memory);
        assert_int_equal(attn_pool_workers(pool), threads[i]);
        for (int repeat = 0; repeat < 20; repeat++)
            for (size_t j = 0; j < sizeof tasks / sizeof *tasks; j++)
                check_region(pool, tasks[j], repeat % 3 * 200);
        close_pool(pool, &memory);
    }
}

typedef struct sums {
    const unsigned *in;
    uint64_t out[8];
} sums;

static void sum_task(void *arg, size_t task, size_t worker)
{
    (void)worker;
    sums *s = arg;
    s->out[task] = s->in[task] + 1;
}

/* Each region reads what the one before wrote, by whichever worker. */
static void test_many_regions(void **state)
{
    (void)state;
    attn_memory memory;
    attn_pool *pool = open_pool(3, &memory);
    unsigned in[8] = {0};
    for (unsigned round = 1; round <= 20000; round++) {
        sums s = {.in = in};
        size_t tasks = 2 + round % 7;
        attn_pool_run(pool, tasks, sum_task, &s);
        for (size_t i = 0; i < tasks; i++) {
            assert_int_equal(s.out[i], in[i] + 1);
            in[i] = (unsigned)s.out[i];
        }
    }
    close_pool(pool, &memory);
}

static void sleep_ms(long ms)
{
    struct timespec t = {.tv_nsec = ms * 1000000};
    nanosleep(&t, NULL);
}

/* Regions far enough apart that the workers sleep, and tasks long enough that the caller does. */
static void sleep_task(void *arg, size_t task, size_t worker)
{
    (void)worker;
    sleep_ms(task ? 3 : 0);
    atomic_fetch_add((atomic_int *)arg, 1);
}

static void test_sleep_and_wake(void **state)
{
    (void)state;
    attn_memory memory;
    attn_pool *pool = open_pool(4, &memory);
    atomic_int count = 0;
    for (int i = 0; i < 10; i++) {
        sleep_ms(5);
        attn_pool_run(pool, 3, sleep_task, &count);
        assert_int_equal(count, 3 * (i + 1));
    }
    close_pool(pool, &memory);
}

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void test_idle_costs_nothing(void **state)
{
    (void)state;
    attn_memory memory;
    attn_pool *pool = open_pool(4, &memory);
    check_region(pool, 100, 10);
    sleep_ms(50);
    double before = cpu_seconds();
    sleep_ms(300);
    assert_true(cpu_seconds() - before < 0.02);
    close_pool(pool, &memory);
}

static void test_open_and_close(void **state)
{
    (void)state;
    attn_memory memory;
    for (unsigned i = 0; i < 200; i++) {
        attn_pool *pool = open_pool(1 + i % 6, &memory);
        if (i % 3) check_region(pool, i % 40, 0);
        close_pool(pool, &memory);
    }
    attn_pool_close(NULL, &memory);
    attn_pool *pool = open_pool(100000, &memory);
    assert_int_equal(attn_pool_workers(pool), 256);
    check_region(pool, MAX_TASKS, 1);
    close_pool(pool, &memory);
}

static void *run_own_pool(void *unused)
{
    attn_memory memory;
    attn_pool *pool = open_pool(3, &memory);
    for (size_t i = 0; i < 300; i++) check_region(pool, i % 50, i % 5 * 20);
    close_pool(pool, &memory);
    return unused;
}

static void test_several_pools(void **state)
{
    (void)state;
    pthread_t thread[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, run_own_pool, NULL), 0);
    for (int i = 0; i < 4; i++) pthread_join(thread[i], NULL);
}

static void *refuse(void *user, size_t size)
{
    (void)user;
    (void)size;
    return NULL;
}

static void release(void *user, void *memory)
{
    (void)user;
    free(memory);
}

static void test_no_memory(void **state)
{
    (void)state;
    attn_memory memory;
    attn_error err;
    attn_pool *pool = (attn_pool *)&memory;
    attn_memory_init(&memory, &(attn_allocator){refuse, release, NULL}, 0);
    assert_int_equal(attn_pool_open(&pool, 4, &memory, &err), ATTN_NO_MEMORY);
    assert_null(pool);
    assert_int_equal(memory.used, 0);
}

/* Room for the stacks of a few threads, not of 200. */
static void test_threads_run_out(void **state)
{
    (void)state;
#ifdef SANITIZED
    print_message("SKIP: a sanitizer needs the address space that this test takes away\n");
    skip();
#else
    struct rlimit before, little;
    assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
    little = before;
    little.rlim_cur = (rlim_t)300 << 20;
    assert_int_equal(setrlimit(RLIMIT_AS, &little), 0);
    attn_memory memory;
    attn_error err = {0};
    attn_pool *pool;
    attn_memory_init(&memory, NULL, 0);
    attn_status status = attn_pool_open(&pool, 200, &memory, &err);
    assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
    assert_int_equal(status, ATTN_NO_MEMORY);
    assert_null(pool);
    assert_int_equal(memory.used, 0);
    assert_non_null(strstr(err.text, "of 200 threads"));
#endif
}

static void test_cpu_count(void **state)
{
    (void)state;
    assert_true(attn_cpu_count() >= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads_run_out),    cmocka_unit_test(test_every_task_once),
        cmocka_unit_test(test_many_regions),       cmocka_unit_test(test_sleep_and_wake),
        cmocka_unit_test(test_idle_costs_nothing), cmocka_unit_test(test_open_and_close),
        cmocka_unit_test(test_several_pools),      cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_cpu_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
