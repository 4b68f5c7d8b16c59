/* Blocks of quantised elements as f32: the formulas of gguf.h, and where the bits lie. */
#include "runtime/gguf.h"

#include <string.h>

static float half(const unsigned char *at)
{
    uint32_t bits = attn_half_bits((uint32_t)at[0] | (uint32_t)at[1] << 8);
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

/* ---- 32 elements: the low halves of all bytes, then the high ones -----------------------------
 */

static void widen_q4_0(const unsigned char *block, float *to)
{
    const unsigned char *q = block + 2;
    float d = half(block);
    for (int j = 0; j < 16; j++) {
        to[j] = d * (float)((q[j] & 15) - 8);
        to[j + 16] = d * (float)((q[j] >> 4) - 8);
    }
}

static void widen_q4_1(const unsigned char *block, float *to)
{
    const unsigned char *q = block + 4;
    float d = half(block), m = half(block + 2);
    for (int j = 0; j < 16; j++) {
        to[j] = d * (float)(q[j] & 15) + m;
        to[j + 16] = d * (float)(q[j] >> 4) + m;
    }
}

/* The fifth bit of element j, as 16 or 0. */
static int fifth(const unsigned char *h, int j)
{
    return (h[j / 8] >> j % 8 & 1) << 4;
}

static void widen_q5_0(const unsigned char *block, float *to)
{
    const unsigned char *h = block + 2, *q = block + 6;
    float d = half(block);
    for (int j = 0; j < 16; j++) {
        to[j] = d * (float)(((q[j] & 15) | fifth(h, j)) - 16);
        to[j + 16] = d * (float)((q[j] >> 4 | fifth(h, j + 16)) - 16);
    }
}

static void widen_q5_1(const unsigned char *block, float *to)
{
    const unsigned char *h = block + 4, *q = block + 8;
    float d = half(block), m = half(block + 2);
    for (int j = 0; j < 16; j++) {
        to[j] = d * (float)((q[j] & 15) | fifth(h, j)) + m;
        to[j + 16] = d * (float)(q[j] >> 4 | fifth(h, j + 16)) + m;
    }
}

static void widen_q8_0(const unsigned char *block, float *to)
{
    const signed char *q = (const signed char *)block + 2;
    float d = half(block);
    for (int j = 0; j < 32; j++) to[j] = (float)q[j] * d;
}

/* ---- 256 elements ------------------------------------------------------------------------- */

/* Two bits of element e: each 32 bytes hold 128 elements, first those of the lowest bits. */
static int two_bits(const unsigned char *q, int e)
{
    return q[e / 128 * 32 + e % 32] >> e % 128 / 32 * 2 & 3;
}

static void widen_q2_k(const unsigned char *block, float *to)
{
    const unsigned char *s = block, *q = block + 16;
    float d = half(block + 80), m = half(block + 82);
    for (int g = 0; g < 16; g++) {
        float scale = d * (float)(s[g] & 15), minimum = m * (float)(s[g] >> 4);
        for (int e = g * 16; e < g * 16 + 16; e++) to[e] = scale * (float)two_bits(q, e) - minimum;
    }
}

static void widen_q3_k(const unsigned char *block, float *to)
{
    const unsigned char *h = block, *q = block + 32, *s = block + 96;
    float d = half(block + 108);
    for (int g = 0; g < 16; g++) {
        /* Six bits: four in the halves of the first 8 bytes, two in the last 4 bytes. */
        int scale = (s[g % 8] >> g / 8 * 4 & 15) | (s[8 + g % 4] >> g / 4 * 2 & 3) << 4;
        float dl = d * (float)(scale - 32);
        for (int e = g * 16; e < g * 16 + 16; e++) {
            int high = h[e % 32] >> e / 32 & 1;
            to[e] = dl * (float)(two_bits(q, e) - (high ? 0 : 4));
        }
    }
}

/* Group g of 8, six bits each: the first four in the low bits of s[0..4) and s[4..8), the others
 * in the halves of s[8..12), with their upper two bits on top of the first eight bytes. */
static void scale_and_minimum(const unsigned char *s, int g, int *scale, int *minimum)
{
    if (g < 4) {
        *scale = s[g] & 63;
        *minimum = s[g + 4] & 63;
    } else {
        *scale = (s[g + 4] & 15) | s[g - 4] >> 6 << 4;
        *minimum = s[g + 4] >> 4 | s[g] >> 6 << 4;
    }
}

/* h: NULL, or the fifth bits: bit g of h[j] belongs to element j of group g. */
static void widen_groups(const unsigned char *block, const unsigned char *h, const unsigned char *q,
                         float *to)
{
    float d = half(block), m = half(block + 2);
    for (int g = 0; g < 8; g++) {
        int scale, minimum;
        scale_and_minimum(block + 4, g, &scale, &minimum);
        float ds = d * (float)scale, dm = m * (float)minimum;
        for (int j = 0; j < 32; j++) {
            int value = q[g / 2 * 32 + j] >> g % 2 * 4 & 15;
            if (h) value |= (h[j] >> g & 1) << 4;
            to[g * 32 + j] = ds * (float)value - dm;
        }
    }
}

static void widen_q4_k(const unsigned char *block, float *to)
{
    widen_groups(block, NULL, block + 16, to);
}

static void widen_q5_k(const unsigned char *block, float *to)
{
    widen_groups(block, block + 16, block + 48, to);
}

static void widen_q6_k(const unsigned char *block, float *to)
{
    const unsigned char *l = block, *h = block + 128;
    const signed char *s = (const signed char *)block + 192;
    float d = half(block + 208);
    for (int g = 0; g < 16; g++) {
        float ds = d * (float)s[g];
        for (int e = g * 16; e < g * 16 + 16; e++) {
            int low = l[e / 128 * 64 + e % 64] >> e % 128 / 64 * 4 & 15;
            to[e] = ds * (float)((low | two_bits(h, e) << 4) - 32);
        }
    }
}

/* ---- any range ------------------------------------------------------------------------------ */

const attn_blocks attn_block_types[ATTN_BLOCK_KINDS] = {
    {ATTN_BLOCK_Q4_0, "Q4_0", 32, 18, widen_q4_0},
    {ATTN_BLOCK_Q4_1, "Q4_1", 32, 20, widen_q4_1},
    {ATTN_BLOCK_Q5_0, "Q5_0", 32, 22, widen_q5_0},
    {ATTN_BLOCK_Q5_1, "Q5_1", 32, 24, widen_q5_1},
    {ATTN_BLOCK_Q8_0, "Q8_0", 32, 34, widen_q8_0},
    {ATTN_BLOCK_Q2_K, "Q2_K", 256, 84, widen_q2_k},
    {ATTN_BLOCK_Q3_K, "Q3_K", 256, 110, widen_q3_k},
    {ATTN_BLOCK_Q4_K, "Q4_K", 256, 144, widen_q4_k},
    {ATTN_BLOCK_Q5_K, "Q5_K", 256, 176, widen_q5_k},
    {ATTN_BLOCK_Q6_K, "Q6_K", 256, 210, widen_q6_k},
};

void attn_blocks_to_f32(const attn_weight *weight, size_t first, size_t count, float *to)
{
    const attn_blocks *b = weight->blocks;
    float values[ATTN_BLOCK_MAX];
    while (count) {
        size_t at = first % b->elements, part = b->elements - at < count ? b->elements - at : count;
        const unsigned char *block =
            (const unsigned char *)weight->data + first / b->elements * b->bytes;
        if (part == b->elements) {
            b->widen(block, to);
        } else {
            b->widen(block, values);
            memcpy(to, values + at, part * sizeof *to);
        }
        first += part;
        to += part;
        count -= part;
    }
}
