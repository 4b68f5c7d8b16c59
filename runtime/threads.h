/* A small thread pool: fork and join. Workers spin briefly for the next region, then sleep. */
#ifndef ATTN_THREADS_H
#define ATTN_THREADS_H

#include "layers/layer.h"
#include "runtime/base/memory.h"

typedef struct attn_pool attn_pool;

/* threads: workers in all, the caller of attn_pool_run included (1: no thread is started);
 * at most 256. Errors: ATTN_NO_MEMORY. */
attn_status attn_pool_open(attn_pool **out, unsigned threads, attn_memory *memory, attn_error *err);
void attn_pool_close(attn_pool *pool, attn_memory *memory);
size_t attn_pool_workers(const attn_pool *pool);

/* Calls task(arg, i, worker) once for every i < tasks, worker < attn_pool_workers(); returns when
 * all are done. Each worker takes the tasks of its own share (neighbours, about tasks / workers of
 * them), then what others have left: uneven tasks balance. `pool` is an attn_pool
 * (void so that it fits attn_run_context.parallel). Not reentrant: one region at a time. */
void attn_pool_run(void *pool, size_t tasks, attn_task task, void *arg);

/* Cores that this process may run on, at least 1. */
unsigned attn_cpu_count(void);

#endif
