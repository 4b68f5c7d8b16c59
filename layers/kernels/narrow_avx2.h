/* narrow.h for AVX2 and F16C. Included by it. Products in pairs of int16: vpmaddubsw, on bytes,
 * saturates. */
#ifndef ATTN_KERNELS_NARROW_AVX2_H
#define ATTN_KERNELS_NARROW_AVX2_H

#define I8_GROUP 2
#define I8_OFFSET 0
typedef __m256i VI;
typedef __m256i VW;

VEC_INLINE V v_load_bf16(const uint16_t *p)
{
    __m256i a = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(a, 16));
}
VEC_INLINE void v_load_pairs(const uint16_t *p, V *even, V *odd)
{
    __m256i a = _mm256_loadu_si256((const __m256i *)(const void *)p);
    *even = _mm256_castsi256_ps(_mm256_slli_epi32(a, 16));
    *odd = v_and(_mm256_castsi256_ps(a), v_bits(0xffff0000u));
}
/* a + 0x7fff + (a >> 16 & 1), of the bits: carries into the high half what rounds up. */
VEC_INLINE V v_round_bits(V a)
{
    __m256i u = _mm256_castps_si256(a);
    __m256i even = _mm256_and_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(1));
    u = _mm256_add_epi32(u, _mm256_add_epi32(even, _mm256_set1_epi32(0x7fff)));
    return _mm256_castsi256_ps(u);
}
VEC_INLINE V v_pair(V even, V odd)
{
    return v_or(_mm256_castsi256_ps(_mm256_srli_epi32(_mm256_castps_si256(even), 16)), odd);
}
VEC_INLINE V v_load_f16(const uint16_t *p)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p));
}
VEC_INLINE void v_load_i4(const uint8_t *p, V *low, V *high)
{
    __m256i a = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p));
    __m256i eight = _mm256_set1_epi32(8);
    *low = _mm256_cvtepi32_ps(_mm256_sub_epi32(_mm256_and_si256(a, _mm256_set1_epi32(15)), eight));
    *high = _mm256_cvtepi32_ps(_mm256_sub_epi32(_mm256_srli_epi32(a, 4), eight));
}

VEC_INLINE V v_numbers(int zero)
{
    return v_set((float)zero);
}
VEC_INLINE V v_nibble(VI a, int i, V numbers)
{
    __m256i n = _mm256_and_si256(_mm256_srli_epi32(a, 4 * i), _mm256_set1_epi32(15));
    return v_sub(_mm256_cvtepi32_ps(n), numbers);
}
VEC_INLINE V v_byte(VI a, int i)
{
    __m256i n = _mm256_and_si256(_mm256_srli_epi32(a, 8 * i), _mm256_set1_epi32(255));
    return v_sub(_mm256_cvtepi32_ps(n), v_set(128));
}

VEC_INLINE VW vw_even(const void *p)
{
    return _mm256_and_si256(_mm256_loadu_si256(p), _mm256_set1_epi32(0x00ff00ff));
}
VEC_INLINE VW vw_odd(const void *p)
{
    return _mm256_srli_epi16(_mm256_loadu_si256(p), 8);
}
VEC_INLINE VW vw_load(const int8_t *p)
{
    return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)p));
}
VEC_INLINE VW vw_set(const void *p)
{
    int32_t group;
    memcpy(&group, p, sizeof group);
    return _mm256_set1_epi32(group);
}
VEC_INLINE VI vi_dot(VI a, VW x, VW w)
{
    /* Written out, since compilers compute several products ahead and spill the accumulators. */
    __m256i product;
    __asm__("vpmaddwd %2, %3, %1\n\tvpaddd %1, %0, %0" : "+x"(a), "=&x"(product) : "x"(w), "x"(x));
    return a;
}
VEC_INLINE void v_store_q(void *p, V t)
{
    __m256i q =
        _mm256_sub_epi32(_mm256_castps_si256(t), _mm256_castps_si256(_mm256_set1_ps(VEC_ROUND)));
    _mm_storeu_si128(p, _mm_packs_epi32(_mm256_castsi256_si128(q), _mm256_extracti128_si256(q, 1)));
}
VEC_INLINE VI vi_zero(void)
{
    return _mm256_setzero_si256();
}
VEC_INLINE VI vi_set(int32_t a)
{
    return _mm256_set1_epi32(a);
}
VEC_INLINE VI vi_load(const int32_t *p)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}
VEC_INLINE void vi_store(int32_t *p, VI a)
{
    _mm256_storeu_si256((__m256i *)(void *)p, a);
}
/* The low half of each byte, or the high one if shift is 4. */
VEC_INLINE VI vi_halves(VI a, const int shift)
{
    return _mm256_and_si256(_mm256_srli_epi32(a, shift), _mm256_set1_epi32(0x0f0f0f0f));
}
VEC_INLINE VI vi_sub(VI a, VI b)
{
    return _mm256_sub_epi32(a, b);
}
VEC_INLINE V v_from_int(VI a)
{
    return _mm256_cvtepi32_ps(a);
}

#endif
