/* What the image tests share: hashes, the pseudo-random image, a counting allocator. The rules
 * are those of tests/golden/make_images.py. */
#ifndef TESTS_GOLDEN_IMAGES_H
#define TESTS_GOLDEN_IMAGES_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <setjmp.h>

#include <cmocka.h>

static inline uint64_t fnv1a(const void *data, size_t size)
{
    const uint8_t *bytes = data;
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < size; i++) hash = (hash ^ bytes[i]) * 0x100000001b3u;
    return hash;
}

static inline void fill_lcg(uint8_t *out, size_t size, uint32_t x)
{
    for (size_t i = 0; i < size; i++) {
        x = x * 1664525u + 1013904223u;
        out[i] = (uint8_t)(x >> 24);
    }
}

/* An allocator whose allocation number `fail_at` (from 0) fails; `live` counts what is held. */
typedef struct failing {
    long next, fail_at, live;
} failing;

static inline void *failing_alloc(void *user, size_t size)
{
    failing *f = user;
    if (f->next++ == f->fail_at) return NULL;
    f->live++;
    return aligned_alloc(64, (size + 63) / 64 * 64);
}

static inline void failing_release(void *user, void *p)
{
    failing *f = user;
    if (p) f->live--;
    free(p);
}

#endif
