#include "runtime/base/hash.h"

#include <string.h>

#define ODD UINT64_C(0x9e3779b97f4a7c15)

static uint64_t turn(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

static void mix(uint64_t lane[8], const unsigned char *data)
{
    uint64_t word[8];
    memcpy(word, data, sizeof word);
    for (int i = 0; i < 8; i++) lane[i] = (turn(lane[i], 29) ^ word[i]) * ODD;
}

uint64_t attn_hash(uint64_t seed, const void *data, size_t size)
{
    const unsigned char *from = data;
    unsigned char last[64] = {0};
    uint64_t lane[8], result = seed ^ size * ODD;
    for (unsigned i = 0; i < 8; i++) lane[i] = seed + (i + 1) * ODD;
    for (; size >= 64; size -= 64, from += 64) mix(lane, from);
    if (size) {
        memcpy(last, from, size);
        mix(lane, last);
    }
    for (int i = 0; i < 8; i++) result = (turn(result, 31) ^ lane[i]) * ODD;
    return result ^ result >> 32;
}
