/* What the kernel tests share: the levels, hostile values, and memory with guards.
 *
 * A guarded array lies in pages of its own between two that may not be touched: flush with the
 * end, or at an offset of 0 to 3 floats from the front. The rest of its pages holds a canary. */
#ifndef ATTN_TESTS_KERNELS_TEST_H
#define ATTN_TESTS_KERNELS_TEST_H

#define _DEFAULT_SOURCE /* mmap's MAP_ANONYMOUS, setenv */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "layers/kernels/kernels.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

/* ---- levels ------------------------------------------------------------------------------ */

static const char *const level_names[ATTN_CPU_LEVELS] = {"scalar", "neon",       "avx2",
                                                         "avx512", "avx512vnni", "avx512bf16"};

static inline int print_levels(void **state)
{
    (void)state;
    for (int i = 0; i < ATTN_CPU_LEVELS; i++)
        printf(attn_kernels_level((attn_cpu_level)i)
                   ? "level %s: tested\n"
                   : "SKIP level %s: not of this build, or not of this processor\n",
               level_names[i]);
    return 0;
}

static inline const attn_kernels *scalar(void)
{
    return attn_kernels_level(ATTN_CPU_SCALAR);
}

#define FOR_LEVELS(kernels)                                                                        \
    for (int level_ = 0; level_ < ATTN_CPU_LEVELS; level_++)                                       \
        for (const attn_kernels *kernels = attn_kernels_level((attn_cpu_level)level_); kernels;    \
             kernels = NULL)

/* ---- values ------------------------------------------------------------------------------ */

static inline uint32_t bits_of(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof(u));
    return u;
}

static inline float of_bits(uint32_t u)
{
    float x;
    memcpy(&x, &u, sizeof(x));
    return x;
}

static inline bool same(float a, float b)
{
    return bits_of(a) == bits_of(b) || (a != a && b != b);
}

static inline uint32_t draw(void)
{
    static uint64_t seed = 88172645463325252u; /* xorshift64, Marsaglia 2003 */
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed >> 32);
}

enum { ORDINARY, ANY_BITS, SPECIAL, VALUE_KINDS };

static inline float draw_value(int kind)
{
    static const float special[] = {
        0.0f,     -0.0f,  1.0f,    -1.0f,  INFINITY, -INFINITY, NAN,    3.4e38f,
        -3.4e38f, 1e-45f, -1e-45f, 1e-39f, -1e-39f,  1.2e-38f,  88.7f,  -103.9f,
        0.5f,     100.0f, -100.0f, 1e-20f, 1e20f,    -2.5f,     -87.3f, 3.9f,
    };
    float even = (float)(draw() >> 8) / 8388608.0f - 1;
    if (kind == ANY_BITS) return of_bits(draw());
    if (kind == SPECIAL && draw() % 4 == 0) return special[draw() % COUNT(special)];
    return even * (draw() % 4 == 0 ? 10.0f : 1.5f);
}

static inline void draw_values(float *x, size_t n, int kind)
{
    for (size_t i = 0; i < n; i++) x[i] = draw_value(kind);
}

static inline void check_same(const char *what, const attn_kernels *kernels, const float *got,
                              const float *want, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!same(got[i], want[i]))
            fail_msg("%s, %s, n %zu: element %zu is %a, not %a", what, kernels->name, n, i,
                     (double)got[i], (double)want[i]);
    }
}

/* Lengths around every multiple of a vector or a panel, and some beyond. */
static inline size_t length(size_t i)
{
    static const size_t more[] = {79, 80, 81, 95, 96, 97, 127, 128, 129, 255, 500};
    return i <= 66 ? i : more[i - 67];
}
#define LENGTHS 78
#define MAX_LENGTH 500

/* ---- guarded memory ---------------------------------------------------------------------- */

#define CANARY 0x7fc0dea1u /* a NaN: it also spoils what is computed from it */

enum { FLUSH = 4, PLACES }; /* 0 to 3: that many floats behind the front guard */

typedef struct guarded {
    char *map;
    size_t bytes; /* of the map */
    float *first;
    size_t room; /* floats between the guards */
} guarded;

static inline guarded guarded_new(size_t floats)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t inner = ((floats + 4) * sizeof(float) + page - 1) / page * page;
    guarded g = {.bytes = inner + 2 * page, .room = inner / sizeof(float)};
    g.map = mmap(NULL, g.bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(g.map != MAP_FAILED);
    assert_int_equal(mprotect(g.map + page, inner, PROT_READ | PROT_WRITE), 0);
    g.first = (float *)(void *)(g.map + page);
    return g;
}

static inline void guarded_free(guarded *g)
{
    munmap(g->map, g->bytes);
}

/* An array of n floats; all of the memory is canaries. */
static inline float *guarded_place(guarded *g, size_t n, int place)
{
    assert_true(n + 4 <= g->room);
    for (size_t i = 0; i < g->room; i++) g->first[i] = of_bits(CANARY);
    return place == FLUSH ? g->first + g->room - n : g->first + place;
}

static inline float *guarded_copy(guarded *g, const float *x, size_t n, int place)
{
    float *p = guarded_place(g, n, place);
    if (n) memcpy(p, x, n * sizeof(float));
    return p;
}

/* Nothing but rows of `columns` floats, each `stride` behind the other, has been written. */
static inline void guarded_check_rows(const char *what, const attn_kernels *kernels,
                                      const guarded *g, const float *p, size_t rows, size_t columns,
                                      size_t stride)
{
    size_t at = (size_t)(p - g->first);
    for (size_t i = 0; i < g->room; i++) {
        bool inside = i >= at && rows && (i - at) / stride < rows && (i - at) % stride < columns;
        if (!inside && bits_of(g->first[i]) != CANARY)
            fail_msg("%s, %s: wrote outside, %td floats from the output", what, kernels->name,
                     (ptrdiff_t)i - (ptrdiff_t)at);
    }
}

static inline void guarded_check(const char *what, const attn_kernels *kernels, const guarded *g,
                                 const float *p, size_t n)
{
    guarded_check_rows(what, kernels, g, p, n > 0, n, n + 1);
}

#endif
