/* vec.h for AVX-512 F, BW, DQ and VL: 16 floats; with ATTN_EMULATE the same source over SIMDe.
 * Included by it. */
#ifndef ATTN_KERNELS_VEC_AVX512_H
#define ATTN_KERNELS_VEC_AVX512_H

#ifdef ATTN_EMULATE
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>
#include <simde/x86/f16c.h>
#include <simde/x86/fma.h>

#include "layers/kernels/emulate_avx512.h"
#else
#include <immintrin.h>
#endif

#define VEC_WIDTH 16
typedef __m512 V;
typedef __mmask16 M;

VEC_INLINE V v_bits(uint32_t u)
{
    return _mm512_castsi512_ps(_mm512_set1_epi32((int32_t)u));
}
VEC_INLINE V v_set(float a)
{
    return _mm512_set1_ps(a);
}
VEC_INLINE V v_load(const float *p)
{
    return _mm512_loadu_ps(p);
}
VEC_INLINE void v_store(float *p, V a)
{
    _mm512_storeu_ps(p, a);
}
VEC_INLINE M v_lanes(size_t n)
{
    return (M)(n < 16 ? (1u << n) - 1 : 0xffffu);
}
#ifdef ATTN_EMULATE /* SIMDe 0.7.4 has no masked load and store of unaligned floats */
VEC_INLINE V v_load_part(const float *p, size_t n)
{
    float all[16] = {0};
    memcpy(all, p, (n < 16 ? n : 16) * sizeof(float));
    return v_load(all);
}
VEC_INLINE void v_store_part(float *p, size_t n, V a)
{
    float all[16];
    v_store(all, a);
    memcpy(p, all, (n < 16 ? n : 16) * sizeof(float));
}
#else
VEC_INLINE V v_load_part(const float *p, size_t n)
{
    return _mm512_maskz_loadu_ps(v_lanes(n), p);
}
VEC_INLINE void v_store_part(float *p, size_t n, V a)
{
    _mm512_mask_storeu_ps(p, v_lanes(n), a);
}
#endif
VEC_INLINE V v_add(V a, V b)
{
    return _mm512_add_ps(a, b);
}
VEC_INLINE V v_sub(V a, V b)
{
    return _mm512_sub_ps(a, b);
}
VEC_INLINE V v_mul(V a, V b)
{
    return _mm512_mul_ps(a, b);
}
VEC_INLINE V v_div(V a, V b)
{
    return _mm512_div_ps(a, b);
}
VEC_INLINE V v_fma(V a, V b, V c)
{
    return _mm512_fmadd_ps(a, b, c);
}
VEC_INLINE V v_sqrt(V a)
{
    return _mm512_sqrt_ps(a);
}
VEC_INLINE M v_gt(V a, V b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ);
}
VEC_INLINE M v_is_nan(V a)
{
    return _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q);
}
VEC_INLINE V v_select(M m, V a, V b)
{
    return _mm512_mask_blend_ps(m, b, a);
}
#ifdef ATTN_EMULATE /* SIMDe's maximum differs from the processor's where an operand is NaN */
VEC_INLINE V v_greater(V a, V b)
{
    return v_select(v_gt(a, b), a, b);
}
VEC_INLINE V v_lesser(V a, V b)
{
    return v_select(v_gt(b, a), a, b);
}
#else
VEC_INLINE V v_greater(V a, V b)
{
    return _mm512_max_ps(a, b);
}
VEC_INLINE V v_lesser(V a, V b)
{
    return _mm512_min_ps(a, b);
}
#endif
VEC_INLINE V v_and(V a, V b)
{
    return _mm512_castsi512_ps(_mm512_and_si512(_mm512_castps_si512(a), _mm512_castps_si512(b)));
}
VEC_INLINE V v_or(V a, V b)
{
    return _mm512_castsi512_ps(_mm512_or_si512(_mm512_castps_si512(a), _mm512_castps_si512(b)));
}
VEC_INLINE V v_xor(V a, V b)
{
    return _mm512_castsi512_ps(_mm512_xor_si512(_mm512_castps_si512(a), _mm512_castps_si512(b)));
}
VEC_INLINE V v_exponent(V t)
{
    __m512i n = _mm512_slli_epi32(_mm512_castps_si512(t), 23);
    return _mm512_castsi512_ps(_mm512_add_epi32(n, _mm512_set1_epi32(0x3f800000)));
}

#ifndef ATTN_EMULATE
#define VEC_HAS_SCALE
VEC_INLINE V v_scale(V a, V n)
{
    return _mm512_scalef_ps(a, n);
}
#endif
VEC_INLINE V v_max_bits(V a, V b)
{
    return _mm512_castsi512_ps(_mm512_max_epi32(_mm512_castps_si512(a), _mm512_castps_si512(b)));
}
VEC_INLINE V v_swap(V a, int h)
{
    return h == 8   ? _mm512_shuffle_f32x4(a, a, 0x4e)
           : h == 4 ? _mm512_shuffle_f32x4(a, a, 0xb1)
           : h == 2 ? _mm512_shuffle_ps(a, a, 0x4e)
                    : _mm512_shuffle_ps(a, a, 0xb1);
}
VEC_INLINE V v_even(V a, V b)
{
    const __m512i from =
        _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
    return _mm512_permutex2var_ps(a, from, b);
}
VEC_INLINE V v_odd(V a, V b)
{
    const __m512i from =
        _mm512_set_epi32(31, 29, 27, 25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1);
    return _mm512_permutex2var_ps(a, from, b);
}

VEC_INLINE void v_transpose(V a[VEC_WIDTH])
{
    V b[16];
    VEC_UNROLL for (int i = 0; i < 16; i += 2) /* pairs of rows */
    {
        b[i] = _mm512_unpacklo_ps(a[i], a[i + 1]);
        b[i + 1] = _mm512_unpackhi_ps(a[i], a[i + 1]);
    }
    VEC_UNROLL for (int i = 0; i < 16; i += 4) /* fours: a[i + c] has columns c, c + 4 ... */
    {
        a[i] = _mm512_shuffle_ps(b[i], b[i + 2], 0x44);
        a[i + 1] = _mm512_shuffle_ps(b[i], b[i + 2], 0xee);
        a[i + 2] = _mm512_shuffle_ps(b[i + 1], b[i + 3], 0x44);
        a[i + 3] = _mm512_shuffle_ps(b[i + 1], b[i + 3], 0xee);
    }
    VEC_UNROLL for (int i = 0; i < 4; i++) /* the quarters of a row are a matrix again */
    {
        b[i] = _mm512_shuffle_f32x4(a[i], a[i + 4], 0x88);
        b[i + 4] = _mm512_shuffle_f32x4(a[i], a[i + 4], 0xdd);
        b[i + 8] = _mm512_shuffle_f32x4(a[i + 8], a[i + 12], 0x88);
        b[i + 12] = _mm512_shuffle_f32x4(a[i + 8], a[i + 12], 0xdd);
    }
    VEC_UNROLL for (int i = 0; i < 4; i++)
    {
        a[i] = _mm512_shuffle_f32x4(b[i], b[i + 8], 0x88);
        a[i + 4] = _mm512_shuffle_f32x4(b[i + 4], b[i + 12], 0x88);
        a[i + 8] = _mm512_shuffle_f32x4(b[i], b[i + 8], 0xdd);
        a[i + 12] = _mm512_shuffle_f32x4(b[i + 4], b[i + 12], 0xdd);
    }
}

#endif
