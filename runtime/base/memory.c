/* madvise. */
#define _DEFAULT_SOURCE

#include "runtime/base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { ALIGNMENT = 64, BLOCK_SIZE = 64 * 1024, HUGE_PAGE = 1 << 21 };

static void *default_alloc(void *user, size_t size)
{
    (void)user;
    size_t rounded;
    if (!attn_add(size, ALIGNMENT, &rounded)) return NULL;
    if (rounded < 2 * (size_t)HUGE_PAGE)
        return aligned_alloc(ALIGNMENT, rounded / ALIGNMENT * ALIGNMENT);
    /* Huge pages: a page fault for each 2 MB, not for each 4 KB, where the system allows it. */
    if (!attn_add(size, HUGE_PAGE - 1, &rounded)) return NULL;
    rounded = rounded / HUGE_PAGE * HUGE_PAGE;
    void *memory = aligned_alloc(HUGE_PAGE, rounded);
#if defined(MADV_HUGEPAGE)
    if (memory) madvise(memory, rounded, MADV_HUGEPAGE);
#endif
    return memory;
}

static void default_release(void *user, void *memory)
{
    (void)user;
    free(memory);
}

void attn_memory_init(attn_memory *memory, const attn_allocator *allocator, size_t limit)
{
    *memory = (attn_memory){.limit = limit};
    memory->allocator =
        allocator ? *allocator : (attn_allocator){default_alloc, default_release, NULL};
}

/* err->text: what is asked for, what each has, the limit. */
static attn_status refuse(const attn_budget *b, size_t size, const char *what, attn_error *err)
{
    static const char *const names[] = {
#define NAME(code, text) text,
        ATTN_HOLDER_LIST(NAME)
#undef NAME
    };
    char list[256] = "";
    size_t at = 0;
    for (int i = 0; i < ATTN_HOLDERS; i++) {
        size_t held = __atomic_load_n(&b->held[i], __ATOMIC_RELAXED);
        if (held)
            at += (size_t)snprintf(list + at, sizeof list - at, "%s %zu of %s",
                                   at ? "," : " beside", held, names[i]);
    }
    return attn_fail(err, ATTN_LIMIT, "%s needs %zu bytes%s: more than the memory limit of %zu",
                     what, size, list, b->limit);
}

attn_status attn_budget_take(attn_budget *b, attn_holder holder, size_t size, const char *what,
                             attn_error *err)
{
    if (!b || !b->limit) return ATTN_OK;
    size_t used = __atomic_load_n(&b->used, __ATOMIC_RELAXED);
    do
        if (used > b->limit || size > b->limit - used) return refuse(b, size, what, err);
    while (!__atomic_compare_exchange_n(&b->used, &used, used + size, true, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED));
    __atomic_fetch_add(&b->held[holder], size, __ATOMIC_RELAXED);
    return ATTN_OK;
}

void attn_budget_give(attn_budget *b, attn_holder holder, size_t size)
{
    if (!b || !b->limit) return;
    __atomic_fetch_sub(&b->held[holder], size, __ATOMIC_RELAXED);
    __atomic_fetch_sub(&b->used, size, __ATOMIC_RELAXED);
}

attn_status attn_alloc(attn_memory *memory, size_t size, const char *what, void **out,
                       attn_error *err)
{
    *out = NULL;
    size_t used;
    if (!attn_add(memory->used, size, &used))
        return attn_fail(err, ATTN_NO_MEMORY, "%s: %zu bytes are more than can exist", what, size);
    if (memory->limit && used > memory->limit)
        return attn_fail(err, ATTN_LIMIT,
                         "%s needs %zu bytes, in all %zu: more than the memory limit of %zu", what,
                         size, used, memory->limit);
    ATTN_TRY(attn_budget_take(memory->budget, memory->holder, size, what, err));
    void *p = memory->allocator.alloc(memory->allocator.user, size ? size : 1);
    if (!p) {
        attn_budget_give(memory->budget, memory->holder, size);
        return attn_fail(err, ATTN_NO_MEMORY, "out of memory: %s needs %zu bytes", what, size);
    }
    memory->used = used;
    *out = p;
    return ATTN_OK;
}

void attn_release(attn_memory *memory, void *p, size_t size)
{
    if (!p) return;
    memory->allocator.release(memory->allocator.user, p);
    memory->used -= size;
    attn_budget_give(memory->budget, memory->holder, size);
}

struct attn_arena_block {
    struct attn_arena_block *next;
    size_t used, size; /* bytes, this header included */
};

void attn_arena_init(attn_arena *arena, attn_memory *memory)
{
    *arena = (attn_arena){.memory = memory};
}

void attn_arena_free(attn_arena *arena)
{
    for (struct attn_arena_block *block = arena->blocks, *next; block; block = next) {
        next = block->next;
        attn_release(arena->memory, block, block->size);
    }
    arena->blocks = NULL;
}

void *attn_arena_get(attn_arena *arena, size_t count, size_t size, attn_error *err)
{
    enum { HEADER = (sizeof(struct attn_arena_block) + 15) / 16 * 16 };
    size_t bytes;
    if (!attn_mul(count, size, &bytes) || bytes > SIZE_MAX - BLOCK_SIZE) {
        attn_fail(err, ATTN_NO_MEMORY, "%zu x %zu bytes are more than can exist", count, size);
        return NULL;
    }
    bytes = (bytes + 15) / 16 * 16;
    struct attn_arena_block *block = arena->blocks;
    if (!block || block->size - block->used < bytes) {
        size_t need = HEADER + bytes > BLOCK_SIZE ? HEADER + bytes : BLOCK_SIZE;
        void *fresh;
        if (attn_alloc(arena->memory, need, "a block of names", &fresh, err)) return NULL;
        block = fresh;
        *block = (struct attn_arena_block){arena->blocks, HEADER, need};
        arena->blocks = block;
    }
    void *p = (char *)block + block->used;
    block->used += bytes;
    return memset(p, 0, bytes);
}

char *attn_arena_text(attn_arena *arena, const char *text, size_t length, attn_error *err)
{
    char *copy = attn_arena_get(arena, length + 1, 1, err);
    if (copy) memcpy(copy, text, length);
    return copy;
}

char *attn_arena_printf(attn_arena *arena, attn_error *err, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    char *text = length < 0 ? NULL : attn_arena_get(arena, (size_t)length + 1, 1, err);
    if (text) vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    va_end(args);
    return text;
}
