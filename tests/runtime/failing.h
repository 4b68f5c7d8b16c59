/* Allocators that count what is live and fail at the n-th request: attn's own and cJSON's. */
#ifndef ATTN_TESTS_FAILING_H
#define ATTN_TESTS_FAILING_H

#include "runtime/base/memory.h"

#include <cjson/cJSON.h>
#include <stdlib.h>

typedef struct failing {
    long requests, live;
    long fail_at; /* 0: never */
    bool go_on;   /* only that one fails, not those after it */
} failing;

static failing failing_state;

static inline bool failing_now(void)
{
    long n = ++failing_state.requests, at = failing_state.fail_at;
    return at && (failing_state.go_on ? n == at : n >= at);
}

static inline void *failing_alloc(void *user, size_t size)
{
    (void)user;
    if (failing_now()) return NULL;
    failing_state.live++;
    return aligned_alloc(64, (size + 63) / 64 * 64);
}

static inline void failing_release(void *user, void *memory)
{
    (void)user;
    failing_state.live -= memory != NULL;
    free(memory);
}

static inline void *failing_malloc(size_t size)
{
    if (failing_now()) return NULL;
    failing_state.live++;
    return malloc(size ? size : 1);
}

static inline void failing_free(void *memory)
{
    failing_release(NULL, memory);
}

/* Starts a try; `memory` uses the failing allocator, so does cJSON until failing_end. */
static inline void failing_begin(attn_memory *memory, long fail_at, bool go_on)
{
    cJSON_Hooks hooks = {failing_malloc, failing_free};
    failing_state = (failing){.fail_at = fail_at, .go_on = go_on};
    attn_memory_init(memory, &(attn_allocator){failing_alloc, failing_release, NULL}, 0);
    cJSON_InitHooks(&hooks);
}

static inline void failing_end(void)
{
    cJSON_InitHooks(NULL);
}

#endif
