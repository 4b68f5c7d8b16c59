/* sched_getaffinity. */
#define _GNU_SOURCE

#include "runtime/threads.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

/* A region passes through one word:
 *
 *     state:  [ region number : 47 | open : 1 | active workers : 16 ]
 *
 * The caller sets task, arg and tasks and opens the region; a worker that sees it open joins by
 * adding itself to `active`; the caller closes it when no task is left to take, and returns when
 * nobody is active. A worker that wakes too late finds it closed and has touched nothing, so the
 * caller never waits for one that the system does not run.
 *
 * The tasks are dealt out in equal shares of neighbours, one to each worker, so that from region to
 * region a worker meets the rows that are in its cache; who is done helps the others. */
enum { ACTIVE_MASK = 0xffff, OPEN = 0x10000, REGION = 0x20000, MAX_WORKERS = 256 };

enum {
    PAUSES = 100,             /* first wait: the hot hand-over */
    SPIN_NANOSECONDS = 100000 /* then yield the core until this has passed, then sleep */
};

typedef struct worker {
    attn_pool *pool;
    size_t index;
    pthread_t thread;
} worker;

/* The tasks of a worker's share that nobody has taken yet. */
typedef struct share {
    _Alignas(64) atomic_size_t next;
    size_t end;
} share;

struct attn_pool {
    _Alignas(64) atomic_uint_fast64_t state;
    atomic_bool stop;
    atomic_bool caller_sleeps;
    atomic_size_t sleepers;
    _Alignas(64) attn_task task; /* of the open region */
    void *arg;
    share *share; /* [workers] */
    size_t bytes, workers, started;
    int pauses; /* 0 if there are more workers than cores */
    pthread_mutex_t lock;
    pthread_cond_t work, done;
    worker worker[]; /* [workers], the caller's own first */
};

static void cpu_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Waits, but not for long, until ready(pool, seen). False: it is time to sleep. */
static bool spin(attn_pool *pool, bool (*ready)(attn_pool *, uint64_t), uint64_t seen)
{
    for (int i = 0; i < pool->pauses; i++) {
        if (ready(pool, seen)) return true;
        cpu_pause();
    }
    int64_t start = now();
    do {
        if (ready(pool, seen)) return true;
        sched_yield();
    } while (now() - start < SPIN_NANOSECONDS);
    return ready(pool, seen);
}

/* ---- workers ----------------------------------------------------------------------------- */

/* A region other than the one numbered `seen` is open, or the pool ends. */
static bool has_work(attn_pool *pool, uint64_t seen)
{
    uint64_t state = atomic_load(&pool->state);
    return ((state & OPEN) && state / REGION != seen) || atomic_load(&pool->stop);
}

static bool is_done(attn_pool *pool, uint64_t unused)
{
    (void)unused;
    return (atomic_load(&pool->state) & ACTIVE_MASK) == 0;
}

static void take_tasks(attn_pool *pool, size_t index)
{
    for (size_t n = 0; n < pool->workers; n++) {
        share *from = &pool->share[(index + n) % pool->workers];
        for (;;) {
            size_t i = atomic_fetch_add_explicit(&from->next, 1, memory_order_relaxed);
            if (i >= from->end) break;
            pool->task(pool->arg, i, index);
        }
    }
}

/* Joins the open region, if there is one yet, and works in it. */
static void join_region(attn_pool *pool, size_t index, uint64_t *seen)
{
    uint64_t state = atomic_load(&pool->state);
    do {
        if (!(state & OPEN) || state / REGION == *seen) return;
    } while (!atomic_compare_exchange_weak(&pool->state, &state, state + 1));
    *seen = state / REGION;
    take_tasks(pool, index);
    state = atomic_fetch_sub(&pool->state, 1) - 1;
    if (!(state & (OPEN | ACTIVE_MASK)) && atomic_load(&pool->caller_sleeps)) {
        pthread_mutex_lock(&pool->lock);
        pthread_cond_signal(&pool->done);
        pthread_mutex_unlock(&pool->lock);
    }
}

static void *worker_main(void *arg)
{
    worker *self = arg;
    attn_pool *pool = self->pool;
    uint64_t seen = 0;
    while (!atomic_load(&pool->stop)) {
        join_region(pool, self->index, &seen);
        if (spin(pool, has_work, seen)) continue;
        pthread_mutex_lock(&pool->lock);
        /* Either the caller sees this sleeper, or this sleeper sees the caller's region. */
        atomic_fetch_add(&pool->sleepers, 1);
        while (!has_work(pool, seen)) pthread_cond_wait(&pool->work, &pool->lock);
        atomic_fetch_sub(&pool->sleepers, 1);
        pthread_mutex_unlock(&pool->lock);
    }
    return NULL;
}

/* ---- the caller -------------------------------------------------------------------------- */

static void wake_workers(attn_pool *pool, size_t wanted)
{
    if (atomic_load(&pool->sleepers) == 0) return;
    pthread_mutex_lock(&pool->lock);
    if (wanted < atomic_load(&pool->sleepers))
        for (; wanted; wanted--) pthread_cond_signal(&pool->work);
    else
        pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->lock);
}

void attn_pool_run(void *opaque, size_t tasks, attn_task task, void *arg)
{
    attn_pool *pool = opaque;
    if (tasks <= 1 || pool->workers == 1) {
        for (size_t i = 0; i < tasks; i++) task(arg, i, 0);
        return;
    }
    pool->task = task;
    pool->arg = arg;
    for (size_t w = 0, at = 0; w < pool->workers; w++) {
        atomic_store_explicit(&pool->share[w].next, at, memory_order_relaxed);
        at += tasks / pool->workers + (w < tasks % pool->workers);
        pool->share[w].end = at;
    }
    /* Closed and nobody active: only the caller writes the word now. */
    atomic_fetch_add(&pool->state, REGION + OPEN);
    wake_workers(pool, tasks - 1);
    take_tasks(pool, 0);
    atomic_fetch_sub(&pool->state, OPEN);
    if (spin(pool, is_done, 0)) return;
    pthread_mutex_lock(&pool->lock);
    atomic_store(&pool->caller_sleeps, true);
    while (!is_done(pool, 0)) pthread_cond_wait(&pool->done, &pool->lock);
    atomic_store(&pool->caller_sleeps, false);
    pthread_mutex_unlock(&pool->lock);
}

/* ---- open, close ------------------------------------------------------------------------- */

/* Signals are the application's: its threads take them, not these. */
static bool start_workers(attn_pool *pool)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool started = true;
    for (pool->started = 1; pool->started < pool->workers && started;) {
        worker *w = &pool->worker[pool->started];
        *w = (worker){.pool = pool, .index = pool->started};
        started = pthread_create(&w->thread, NULL, worker_main, w) == 0;
        pool->started += started;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

attn_status attn_pool_open(attn_pool **out, unsigned threads, attn_memory *memory, attn_error *err)
{
    *out = NULL;
    size_t workers = threads == 0 ? 1 : threads > MAX_WORKERS ? MAX_WORKERS : threads;
    size_t shares = workers * sizeof(share);
    size_t bytes = shares + sizeof(attn_pool) + workers * sizeof(worker);
    void *p;
    ATTN_TRY(attn_alloc(memory, bytes, "the thread pool", &p, err));
    attn_pool *pool = (void *)((char *)p + shares); /* both are made of whole cache lines */
    *pool = (attn_pool){.bytes = bytes, .workers = workers, .share = p};
    for (size_t i = 0; i < workers; i++) pool->share[i] = (share){.end = 0};
    pool->pauses = workers > attn_cpu_count() ? 0 : PAUSES;
    bool locked = pthread_mutex_init(&pool->lock, NULL) == 0;
    bool works = locked && pthread_cond_init(&pool->work, NULL) == 0;
    bool made = works && pthread_cond_init(&pool->done, NULL) == 0;
    if (made && start_workers(pool)) {
        *out = pool;
        return ATTN_OK;
    }
    size_t started = made ? pool->started : 0;
    if (made) {
        attn_pool_close(pool, memory);
    } else {
        if (works) pthread_cond_destroy(&pool->work);
        if (locked) pthread_mutex_destroy(&pool->lock);
        attn_release(memory, p, bytes);
    }
    return attn_fail(err, ATTN_NO_MEMORY, "only %zu of %zu threads can be started", started,
                     workers);
}

void attn_pool_close(attn_pool *pool, attn_memory *memory)
{
    if (!pool) return;
    pthread_mutex_lock(&pool->lock);
    atomic_store(&pool->stop, true);
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->lock);
    for (size_t i = 1; i < pool->started; i++) pthread_join(pool->worker[i].thread, NULL);
    pthread_cond_destroy(&pool->done);
    pthread_cond_destroy(&pool->work);
    pthread_mutex_destroy(&pool->lock);
    attn_release(memory, pool->share, pool->bytes);
}

size_t attn_pool_workers(const attn_pool *pool)
{
    return pool->workers;
}

unsigned attn_cpu_count(void)
{
#if defined(__linux__)
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) {
        int count = CPU_COUNT(&set);
        if (count > 0) return (unsigned)count;
    }
#endif
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count > 0 ? (unsigned)count : 1;
}
