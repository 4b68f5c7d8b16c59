/* narrow.h for AVX-512, with or without VNNI (VEC_VNNI) and BF16 (VEC_BF16). Included by it. */
#ifndef ATTN_KERNELS_NARROW_AVX512_H
#define ATTN_KERNELS_NARROW_AVX512_H

typedef __m512i VI;
typedef __m512i VW;

VEC_INLINE V v_load_bf16(const uint16_t *p)
{
    __m512i a = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(a, 16));
}
VEC_INLINE void v_load_pairs(const uint16_t *p, V *even, V *odd)
{
    __m512i a = _mm512_loadu_si512((const void *)p);
    *even = _mm512_castsi512_ps(_mm512_slli_epi32(a, 16));
    *odd = v_and(_mm512_castsi512_ps(a), v_bits(0xffff0000u));
}
/* a + 0x7fff + (a >> 16 & 1), of the bits: carries into the high half what rounds up. */
VEC_INLINE V v_round_bits(V a)
{
    __m512i u = _mm512_castps_si512(a);
    __m512i even = _mm512_and_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1));
    u = _mm512_add_epi32(u, _mm512_add_epi32(even, _mm512_set1_epi32(0x7fff)));
    return _mm512_castsi512_ps(u);
}
VEC_INLINE V v_pair(V even, V odd)
{
    return v_or(_mm512_castsi512_ps(_mm512_srli_epi32(_mm512_castps_si512(even), 16)), odd);
}
VEC_INLINE V v_load_f16(const uint16_t *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
}
VEC_INLINE void v_load_i4(const uint8_t *p, V *low, V *high)
{
    __m512i a = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p));
    V number = _mm512_setr_ps(-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7);
    *low = _mm512_permutexvar_ps(a, number); /* by the low 4 bits */
    *high = _mm512_permutexvar_ps(_mm512_srli_epi32(a, 4), number);
}
VEC_INLINE V v_numbers(int zero)
{
    V number = _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    return v_sub(number, v_set((float)zero));
}
VEC_INLINE V v_nibble(VI a, int i, V numbers)
{
    return _mm512_permutexvar_ps(_mm512_srli_epi32(a, 4 * i), numbers); /* by the low 4 bits */
}
/* The byte becomes one of a float from 2^15 on, which ends with units of 2^-8. */
VEC_INLINE V v_byte(VI a, int i)
{
#ifdef ATTN_EMULATE
    __m512i n = _mm512_and_si512(_mm512_srli_epi32(a, 8 * i), _mm512_set1_epi32(255));
    return v_sub(_mm512_cvtepi32_ps(n), v_set(128));
#else
    __m512i from =
        _mm512_add_epi8(_mm512_set4_epi32(12 << 8, 8 << 8, 4 << 8, 0), _mm512_set1_epi32(i << 8));
    __m512i to = _mm512_castps_si512(v_set(0x1p15f));
    to = _mm512_mask_shuffle_epi8(to, 0x2222222222222222u, a, from);
    return v_sub(_mm512_castsi512_ps(to), v_set(0x1p15f + 128));
#endif
}
VEC_INLINE VW vw_set(const void *p)
{
    int32_t group;
    memcpy(&group, p, sizeof group);
    return _mm512_set1_epi32(group);
}
VEC_INLINE __m512i v_to_q(V t)
{
    return _mm512_sub_epi32(_mm512_castps_si512(t), _mm512_castps_si512(_mm512_set1_ps(VEC_ROUND)));
}

/* The products are written out below, since gcc spills accumulators that an intrinsic adds to. */
#ifdef VEC_VNNI
#define I8_GROUP 4
#define I8_OFFSET 128
VEC_INLINE VW vw_load(const void *p)
{
    return _mm512_loadu_si512(p);
}
VEC_INLINE VI vi_dot(VI a, VW x, VW w)
{
#ifdef ATTN_EMULATE
    return _mm512_dpbusd_epi32(a, x, w);
#else
    __asm__("vpdpbusd %2, %1, %0" : "+v"(a) : "v"(x), "v"(w)); /* see above */
    return a;
#endif
}
VEC_INLINE void v_store_q(void *p, V t)
{
    __m512i q = _mm512_add_epi32(v_to_q(t), _mm512_set1_epi32(I8_OFFSET));
    _mm_storeu_si128(p, _mm512_cvtepi32_epi8(q));
}
#else
#define I8_GROUP 2
#define I8_OFFSET 0
VEC_INLINE VW vw_even(const void *p)
{
    return _mm512_and_si512(_mm512_loadu_si512(p), _mm512_set1_epi32(0x00ff00ff));
}
VEC_INLINE VW vw_odd(const void *p)
{
    return _mm512_srli_epi16(_mm512_loadu_si512(p), 8);
}
VEC_INLINE VW vw_load(const int8_t *p)
{
    return _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)(const void *)p));
}
VEC_INLINE VI vi_dot(VI a, VW x, VW w)
{
#ifdef ATTN_EMULATE
    return _mm512_add_epi32(a, _mm512_madd_epi16(x, w));
#else
    __m512i product; /* see above */
    __asm__("vpmaddwd %2, %3, %1\n\tvpaddd %1, %0, %0" : "+v"(a), "=&v"(product) : "v"(w), "v"(x));
    return a;
#endif
}
VEC_INLINE void v_store_q(void *p, V t)
{
    _mm256_storeu_si256(p, _mm512_cvtepi32_epi16(v_to_q(t)));
}
#endif

#ifdef VEC_BF16
typedef __m512i VB;
VEC_INLINE VB vb_load(const void *p)
{
    return _mm512_loadu_si512(p);
}
VEC_INLINE VB vb_set(const void *p)
{
    return vw_set(p);
}
VEC_INLINE V vb_dot(V a, VB x, VB w)
{
#ifdef ATTN_EMULATE
    return _mm512_dpbf16_ps(a, (__m512bh)x, (__m512bh)w);
#else
    __asm__("vdpbf16ps %2, %1, %0" : "+v"(a) : "v"(x), "v"(w)); /* see above */
    return a;
#endif
}
VEC_INLINE void v_store_bf16(void *p, V a)
{
    _mm256_storeu_si256(p, (__m256i)_mm512_cvtneps_pbh(a));
}
#endif

VEC_INLINE VI vi_zero(void)
{
    return _mm512_setzero_si512();
}
VEC_INLINE VI vi_set(int32_t a)
{
    return _mm512_set1_epi32(a);
}
VEC_INLINE VI vi_load(const int32_t *p)
{
    return _mm512_loadu_si512((const void *)p);
}
VEC_INLINE void vi_store(int32_t *p, VI a)
{
    _mm512_storeu_si512((void *)p, a);
}
/* The low half of each byte, or the high one if shift is 4. */
VEC_INLINE VI vi_halves(VI a, const int shift)
{
    return _mm512_and_si512(_mm512_srli_epi32(a, (unsigned)shift), _mm512_set1_epi32(0x0f0f0f0f));
}
VEC_INLINE VI vi_sub(VI a, VI b)
{
    return _mm512_sub_epi32(a, b);
}
VEC_INLINE V v_from_int(VI a)
{
    return _mm512_cvtepi32_ps(a);
}

#endif
