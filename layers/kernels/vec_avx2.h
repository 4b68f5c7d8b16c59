/* vec.h for AVX2 and FMA: 8 floats. Included by it. */
#ifndef ATTN_KERNELS_VEC_AVX2_H
#define ATTN_KERNELS_VEC_AVX2_H

#include <immintrin.h>

#define VEC_WIDTH 8
typedef __m256 V;
typedef __m256 M;

VEC_INLINE V v_bits(uint32_t u)
{
    return _mm256_castsi256_ps(_mm256_set1_epi32((int32_t)u));
}
VEC_INLINE V v_set(float a)
{
    return _mm256_set1_ps(a);
}
VEC_INLINE V v_load(const float *p)
{
    return _mm256_loadu_ps(p);
}
VEC_INLINE void v_store(float *p, V a)
{
    _mm256_storeu_ps(p, a);
}
VEC_INLINE M v_lanes(size_t n)
{
    static const int32_t lanes[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
    const int32_t *from = lanes + (n < 8 ? 8 - n : 0);
    return _mm256_castsi256_ps(_mm256_loadu_si256((const __m256i *)(const void *)from));
}
VEC_INLINE V v_load_part(const float *p, size_t n)
{
    return _mm256_maskload_ps(p, _mm256_castps_si256(v_lanes(n)));
}
VEC_INLINE void v_store_part(float *p, size_t n, V a)
{
    _mm256_maskstore_ps(p, _mm256_castps_si256(v_lanes(n)), a);
}
VEC_INLINE V v_add(V a, V b)
{
    return _mm256_add_ps(a, b);
}
VEC_INLINE V v_sub(V a, V b)
{
    return _mm256_sub_ps(a, b);
}
VEC_INLINE V v_mul(V a, V b)
{
    return _mm256_mul_ps(a, b);
}
VEC_INLINE V v_div(V a, V b)
{
    return _mm256_div_ps(a, b);
}
VEC_INLINE V v_fma(V a, V b, V c)
{
    return _mm256_fmadd_ps(a, b, c);
}
VEC_INLINE V v_sqrt(V a)
{
    return _mm256_sqrt_ps(a);
}
VEC_INLINE V v_greater(V a, V b)
{
    return _mm256_max_ps(a, b);
}
VEC_INLINE V v_lesser(V a, V b)
{
    return _mm256_min_ps(a, b);
}
VEC_INLINE M v_gt(V a, V b)
{
    return _mm256_cmp_ps(a, b, _CMP_GT_OQ);
}
VEC_INLINE M v_is_nan(V a)
{
    return _mm256_cmp_ps(a, a, _CMP_UNORD_Q);
}
VEC_INLINE V v_select(M m, V a, V b)
{
    return _mm256_blendv_ps(b, a, m);
}
VEC_INLINE V v_and(V a, V b)
{
    return _mm256_and_ps(a, b);
}
VEC_INLINE V v_or(V a, V b)
{
    return _mm256_or_ps(a, b);
}
VEC_INLINE V v_xor(V a, V b)
{
    return _mm256_xor_ps(a, b);
}
VEC_INLINE V v_exponent(V t)
{
    __m256i n = _mm256_slli_epi32(_mm256_castps_si256(t), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(n, _mm256_set1_epi32(0x3f800000)));
}

VEC_INLINE V v_max_bits(V a, V b)
{
    return _mm256_castsi256_ps(_mm256_max_epi32(_mm256_castps_si256(a), _mm256_castps_si256(b)));
}
VEC_INLINE V v_swap(V a, int h)
{
    return h == 4   ? _mm256_permute2f128_ps(a, a, 1)
           : h == 2 ? _mm256_permute_ps(a, 0x4e)
                    : _mm256_permute_ps(a, 0xb1);
}
/* Halves a0 b0 a1 b1 to a0 a1 b0 b1. */
VEC_INLINE V v_order_halves(V a)
{
    return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(a), 0xd8));
}
VEC_INLINE V v_even(V a, V b)
{
    return v_order_halves(_mm256_shuffle_ps(a, b, 0x88));
}
VEC_INLINE V v_odd(V a, V b)
{
    return v_order_halves(_mm256_shuffle_ps(a, b, 0xdd));
}

VEC_INLINE void v_transpose(V a[VEC_WIDTH])
{
    V b[8];
    VEC_UNROLL for (int i = 0; i < 8; i += 2) /* pairs of rows */
    {
        b[i] = _mm256_unpacklo_ps(a[i], a[i + 1]);
        b[i + 1] = _mm256_unpackhi_ps(a[i], a[i + 1]);
    }
    VEC_UNROLL for (int i = 0; i < 8; i += 4) /* fours */
    {
        a[i] = _mm256_shuffle_ps(b[i], b[i + 2], 0x44);
        a[i + 1] = _mm256_shuffle_ps(b[i], b[i + 2], 0xee);
        a[i + 2] = _mm256_shuffle_ps(b[i + 1], b[i + 3], 0x44);
        a[i + 3] = _mm256_shuffle_ps(b[i + 1], b[i + 3], 0xee);
    }
    VEC_UNROLL for (int i = 0; i < 4; i++)
    {
        V low = _mm256_permute2f128_ps(a[i], a[i + 4], 0x20);
        a[i + 4] = _mm256_permute2f128_ps(a[i], a[i + 4], 0x31);
        a[i] = low;
    }
}

#endif
