/* Narrow numbers, beside the floats of vec.h: what the panels of other types are read with. For
 * each level the same functions with the same results:
 *
 *   v_load_bf16(p), v_load_f16(p)   VEC_WIDTH of them, widened exactly
 *   v_load_pairs(p, &even, &odd)    VEC_WIDTH pairs of bf16, widened exactly
 *   v_round_bf16(a)                 a rounded to bf16, in the high halves; the low ones are 0
 *   v_pair(even, odd)               pairs as v_load_pairs takes them, of two such vectors
 *   v_load_i4(p, &low, &high)       VEC_WIDTH bytes: the low and the high nibbles, minus 8
 *
 *   v_numbers(zero)                 for v_nibble; a constant of it
 *   v_nibble(a, i, numbers)         (float)(half byte i of each int32 - zero), the lowest is 0
 *   v_byte(a, i)                    (float)(byte i of each int32 - 128)
 *
 * Integer products. An accumulator VI has VEC_WIDTH int32. Each of its elements takes I8_GROUP
 * products at a time, of I8_GROUP neighbours along k:
 *
 *   VW vw_load(p)      weights: VEC_WIDTH x I8_GROUP int8
 *   VW vw_set(p)       x: one group, the same for all elements: 4 bytes as v_store_q made them
 *   vi_dot(a, x, w)    a + the sum of the group's products
 *   v_store_q(p, t)    the integers n of t = VEC_ROUND + n, |n| <= 127, as x: 4 / I8_GROUP bytes
 *   vw_even(p), vw_odd(p)   where I8_GROUP is 2: of 4 unsigned bytes the first and third, or others
 *   I8_OFFSET          what v_store_q adds to each, to have it unsigned
 *   vi_zero() vi_load(p) vi_store(p, a) vi_set(i) vi_sub(a, b)   v_from_int(a) rounded to nearest
 * even
 *
 *   VQ vq_load(p)      weights: VEC_WIDTH groups of 4 bytes
 *   vq_dot(a, x, w)    a + the products of a group of them with 4 signed integers: VQ_BYTES bytes,
 *                      int8, or int16 in the order 0, 2, 1, 3
 *
 * Products of pairs of bf16, with VEC_BF16:
 *
 *   VB vb_load(p)      weights: VEC_WIDTH pairs
 *   VB vb_set(p)       x: one pair, the same for all elements
 *   vb_dot(a, x, w)    a + the sum of the pair's products, fma of the odd one first, denormals as 0
 *   v_store_bf16(p, a) a rounded to nearest even, 2 bytes each; denormals may become 0 */
#ifndef ATTN_KERNELS_NARROW_H
#define ATTN_KERNELS_NARROW_H

#include "layers/kernels/vec.h"

#if defined(VEC_SCALAR)
#include "layers/kernels/narrow_scalar.h"
#elif defined(VEC_AVX2)
#include "layers/kernels/narrow_avx2.h"
#elif defined(VEC_AVX512)
#include "layers/kernels/narrow_avx512.h"
#elif defined(VEC_NEON)
#include "layers/kernels/narrow_neon.h"
#endif

#ifdef VEC_VNNI
#define VQ_BYTES 4
typedef VW VQ;
VEC_INLINE VQ vq_load(const void *p)
{
    return vw_load(p);
}
VEC_INLINE VI vq_dot(VI a, const char *x, VQ w)
{
    return vi_dot(a, w, vw_set(x)); /* the first one is unsigned */
}
#else
#define VQ_BYTES 8
typedef struct VQ {
    VW even, odd;
} VQ;
VEC_INLINE VQ vq_load(const void *p)
{
    return (VQ){vw_even(p), vw_odd(p)};
}
VEC_INLINE VI vq_dot(VI a, const char *x, VQ w)
{
    return vi_dot(vi_dot(a, vw_set(x), w.even), vw_set(x + 4), w.odd);
}
#endif

/* Values of BF16_DOT: a, but 0 where |a| < 2^-56. */
VEC_INLINE V v_not_tiny(V a)
{
    return v_select(v_gt(v_set(0x1p-56f), v_abs(a)), v_zero(), a);
}

VEC_INLINE V v_round_bf16(V a)
{
    V quiet = v_or(a, v_bits(0x400000)); /* the payload of a NaN may have been in the low half */
    return v_and(v_select(v_is_nan(a), quiet, v_round_bits(a)), v_bits(0xffff0000u));
}

#endif
