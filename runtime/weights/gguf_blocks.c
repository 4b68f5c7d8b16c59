/* Blocks of quantised elements as f32: the formulas of gguf.h, and where the bits lie. */
#include "runtime/weights/gguf.h"

#include <string.h>

static float half(const unsigned char *at)
{
    uint32_t bits = attn_half_bits((uint32_t)at[0] | (uint32_t)at[1] << 8);
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

/* Blocks as integers with a scale and a minimum for each group; minimum is written to only where
 * the kind has them. */

/* ---- 32 elements: the low halves of all bytes, then the high ones -----------------------------
 */

static void halves(const unsigned char *bytes, int less, int8_t *q)
{
    for (int j = 0; j < 16; j++) {
        q[j] = (int8_t)((bytes[j] & 15) - less);
        q[j + 16] = (int8_t)((bytes[j] >> 4) - less);
    }
}

/* The fifth bits. */
static void add_fifth(const unsigned char *h, int8_t *q)
{
    for (int j = 0; j < 32; j++) q[j] = (int8_t)(q[j] + ((h[j / 8] >> j % 8 & 1) << 4));
}

static void split_q4_0(const unsigned char *block, int8_t *q, float *scale, float *minimum)
{
    (void)minimum;
    *scale = half(block);
    halves(block + 2, 8, q);
}

static void split_q4_1(const unsigned char *block, int8_t *q, float *scale, float *minimum)
{
    *scale = half(block);
    *minimum = half(block + 2);
    halves(block + 4, 0, q);
}

static void split_q5_0(const unsigned char *block, int8_t *q, float *scale, float *minimum)
{
    (void)minimum;
    *scale = half(block);
    halves(block + 6, 16, q);
    add_fifth(block + 2, q);
}

static void split_q5_1(const unsigned char *block, int8_t *q, float *scale, float *minimum)
{
    *scale = half(block);
    *minimum = half(block + 2);
    halves(block + 8, 0, q);
    add_fifth(block + 4, q);
}

static void split_q8_0(const unsigned char *block, int8_t *q, float *scale, float *minimum)
{
    (void)minimum;
    *scale = half(block);
    memcpy(q, block + 2, 32);
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
static void split_groups(const unsigned char *block, const unsigned char *h,
                         const unsigned char *from, int8_t *q, float *scale, float *minimum)
{
    float d = half(block), m = half(block + 2);
    for (int g = 0; g < 8; g++) {
        int times, less;
        scale_and_minimum(block + 4, g, &times, &less);
        scale[g] = d * (float)times;
        minimum[g] = -(m * (float)less);
        for (int j = 0; j < 32; j++) {
            int value = from[g / 2 * 32 + j] >> g % 2 * 4 & 15;
            if (h) value |= (h[j] >> g & 1) << 4;
            q[g * 32 + j] = (int8_t)value;
        }
    }
}

static void split_q4_k(const unsigned char *block, int8_t *q, float *scale, float *minimum)
{
    split_groups(block, NULL, block + 16, q, scale, minimum);
}

static void split_q5_k(const unsigned char *block, int8_t *q, float *scale, float *minimum)
{
    split_groups(block, block + 16, block + 48, q, scale, minimum);
}

static void split_q6_k(const unsigned char *block, int8_t *q, float *scale, float *minimum)
{
    const unsigned char *l = block, *h = block + 128;
    const signed char *s = (const signed char *)block + 192;
    float d = half(block + 208);
    (void)minimum;
    for (int g = 0; g < 16; g++) scale[g] = d * (float)s[g];
    for (int e = 0; e < 256; e++) {
        int low = l[e / 128 * 64 + e % 64] >> e % 128 / 64 * 4 & 15;
        q[e] = (int8_t)((low | two_bits(h, e) << 4) - 32);
    }
}

/* ---- any range ------------------------------------------------------------------------------ */

const attn_blocks attn_block_types[ATTN_BLOCK_KINDS] = {
    {ATTN_BLOCK_Q4_0, "Q4_0", 32, 18, ATTN_PANEL_Q4_0, split_q4_0, NULL},
    {ATTN_BLOCK_Q4_1, "Q4_1", 32, 20, ATTN_PANEL_Q4_1, split_q4_1, NULL},
    {ATTN_BLOCK_Q5_0, "Q5_0", 32, 22, ATTN_PANEL_Q8_0, split_q5_0, NULL},
    {ATTN_BLOCK_Q5_1, "Q5_1", 32, 24, ATTN_PANEL_Q5_1, split_q5_1, NULL},
    {ATTN_BLOCK_Q8_0, "Q8_0", 32, 34, ATTN_PANEL_Q8_0, split_q8_0, NULL},
    {ATTN_BLOCK_Q2_K, "Q2_K", 256, 84, ATTN_PANEL_F32, NULL, widen_q2_k},
    {ATTN_BLOCK_Q3_K, "Q3_K", 256, 110, ATTN_PANEL_F32, NULL, widen_q3_k},
    {ATTN_BLOCK_Q4_K, "Q4_K", 256, 144, ATTN_PANEL_Q4_K, split_q4_k, NULL},
    {ATTN_BLOCK_Q5_K, "Q5_K", 256, 176, ATTN_PANEL_Q5_K, split_q5_k, NULL},
    {ATTN_BLOCK_Q6_K, "Q6_K", 256, 210, ATTN_PANEL_Q6_K, split_q6_k, NULL},
};

static bool has_minimum(attn_panel_type panel)
{
    return panel != ATTN_PANEL_Q4_0 && panel != ATTN_PANEL_Q8_0 && panel != ATTN_PANEL_Q6_K;
}

static void widen(const attn_blocks *b, const unsigned char *block, float *to)
{
    int8_t q[ATTN_BLOCK_MAX];
    float scale[ATTN_BLOCK_MAX / 16], minimum[ATTN_BLOCK_MAX / 16];
    if (b->widen) {
        b->widen(block, to);
        return;
    }
    size_t group = attn_block_group(b->panel);
    b->split(block, q, scale, minimum);
    for (size_t i = 0; i < b->elements; i++) to[i] = scale[i / group] * (float)q[i];
    for (size_t i = 0; has_minimum(b->panel) && i < b->elements; i++) to[i] += minimum[i / group];
}

void attn_blocks_split(const attn_weight *weight, size_t first, size_t count, int8_t *q,
                       float *scale, float *minimum)
{
    const attn_blocks *b = weight->blocks;
    const unsigned char *block = (const unsigned char *)weight->data;
    size_t groups = b->elements / attn_block_group(b->panel);
    block += first / b->elements * b->bytes;
    for (; count; count -= b->elements, block += b->bytes) {
        b->split(block, q, scale, minimum);
        q += b->elements;
        scale += groups;
        minimum += groups;
    }
}

void attn_blocks_to_f32(const attn_weight *weight, size_t first, size_t count, float *to)
{
    const attn_blocks *b = weight->blocks;
    float values[ATTN_BLOCK_MAX];
    while (count) {
        size_t at = first % b->elements, part = b->elements - at < count ? b->elements - at : count;
        const unsigned char *block =
            (const unsigned char *)weight->data + first / b->elements * b->bytes;
        if (part == b->elements) {
            widen(b, block, to);
        } else {
            widen(b, block, values);
            memcpy(to, values + at, part * sizeof *to);
        }
        first += part;
        to += part;
        count -= part;
    }
}
