/* Vectors of floats, for the one source of the kernels: the file that includes this one defines
 * VEC_SCALAR, VEC_AVX2, VEC_AVX512 or VEC_NEON, and gets a type V of VEC_WIDTH floats, a mask M
 * (one truth value per float), and the same functions with the same results for each:
 *
 *   v_set(a)               a in every element           v_zero()
 *   v_load(p), v_store(p, a)                            no alignment beyond that of float
 *   v_load_part(p, n)      the first n floats, then +0; 0 < n, more than VEC_WIDTH means all;
 *   v_store_part(p, n, a)  neither touches what lies behind the n floats
 *   v_lanes(n)             true for the first n elements, as above
 *   v_add v_sub v_mul v_div v_sqrt v_fma(a, b, c) = a * b + c, rounded once
 *   v_greater(a, b)        a > b ? a : b; with a NaN it is b, and v_lesser likewise with <
 *   v_gt(a, b)             a > b, false for NaN          v_is_nan(a)
 *   v_select(m, a, b)      m ? a : b
 *   v_and v_or v_xor       of the bits                   v_bits(u) the bits u in every element
 *   v_exponent(t)          2^n for t = VEC_ROUND + n with integer -126 <= n <= 127, from the bits
 *                          of t; anything for other t
 *   v_scale(a, n)          a 2^n, rounded once, for 1/2 < a < 2 and integer |n| <= 160; NaN for NaN
 *   v_max_bits(a, b)       for numbers and NaN without a sign: the larger; NaN if either is
 *   v_swap(a, h)           element i is a's element i ^ h; h is a constant power of 2 < VEC_WIDTH
 *   v_even(a, b), v_odd(a, b)  elements 0, 2, 4 ... or 1, 3, 5 ... of a and then b
 *   v_transpose(a)         of the matrix of VEC_WIDTH vectors
 *
 * Every function rounds to nearest even, as IEEE 754 says, and neither traps nor flushes denormals.
 */
#ifndef ATTN_KERNELS_VEC_H
#define ATTN_KERNELS_VEC_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define VEC_INLINE static inline __attribute__((always_inline, unused))
/* VEC_BODY is for what is inlined wherever its arguments are constants, to have its vectors in
 * registers; plain C calls fmaf all the time, and needs no copies. */
#ifdef VEC_SCALAR
#define VEC_BODY static __attribute__((noinline, unused))
#else
#define VEC_BODY VEC_INLINE
#endif

/* VEC_UNROLL stands before a loop of constant length over an array of vectors, to keep it in
 * registers. */
#if defined(VEC_SCALAR) || defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define VEC_UNROLL /* gcc's sanitizers leave loops that it then warns of */
#elif defined(__clang__)
#define VEC_UNROLL _Pragma("unroll")
#else
#define VEC_UNROLL _Pragma("GCC unroll 32")
#endif

/* Adding and subtracting it rounds |x| < 2^22 to an integer, which stands in the low bits. */
#define VEC_ROUND 0x1.8p23f

#if defined(VEC_SCALAR)
#include "layers/kernels/vec_scalar.h"
#elif defined(VEC_AVX2)
#include "layers/kernels/vec_avx2.h"
#elif defined(VEC_AVX512)
#include "layers/kernels/vec_avx512.h"
#elif defined(VEC_NEON)
#include "layers/kernels/vec_neon.h"
#endif

VEC_INLINE V v_zero(void)
{
    return v_set(0);
}
VEC_INLINE V v_abs(V a)
{
    return v_and(a, v_bits(0x7fffffffu));
}
VEC_INLINE V v_neg(V a)
{
    return v_xor(a, v_bits(0x80000000u));
}
/* |a| with the sign of b. */
VEC_INLINE V v_sign_of(V a, V b)
{
    return v_or(v_abs(a), v_and(b, v_bits(0x80000000u)));
}
/* The larger and the smaller; NaN if either is. */
VEC_INLINE V v_max(V a, V b)
{
    return v_select(v_is_nan(a), a, v_greater(a, b));
}
VEC_INLINE V v_min(V a, V b)
{
    return v_select(v_is_nan(a), a, v_lesser(a, b));
}
#ifndef VEC_HAS_SCALE
/* 2^n as 2^n1 * 2^n2: n reaches beyond the exponents, at both ends. Only the last product rounds.
 */
VEC_INLINE V v_scale(V a, V n)
{
    V t1 = v_fma(n, v_set(0.5f), v_set(VEC_ROUND));
    V t2 = v_add(v_sub(n, v_sub(t1, v_set(VEC_ROUND))), v_set(VEC_ROUND));
    return v_mul(v_mul(a, v_exponent(t1)), v_exponent(t2));
}
#endif

#endif
