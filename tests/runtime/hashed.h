/* The made-up logits of tests/golden/make_sampler.py. */
#ifndef ATTN_TESTS_HASHED_H
#define ATTN_TESTS_HASHED_H

#include <stddef.h>
#include <stdint.h>

static inline uint32_t hashed_mix(uint32_t x)
{
    x = (x ^ (x >> 16)) * 0x7feb352du;
    x = (x ^ (x >> 15)) * 0x846ca68bu;
    return x ^ (x >> 16);
}

/* [size] numbers in [-8, 8) * scale */
static inline void hashed_logits(float *out, uint32_t seed, size_t size, float scale)
{
    for (size_t i = 0; i < size; i++) {
        uint32_t x = hashed_mix(seed * 0x9e3779b1u + (uint32_t)i) >> 8;
        out[i] = (float)((int32_t)x - (1 << 23)) / (1 << 20) * scale;
    }
}

#endif
