/* AVX-512 intrinsics that SIMDe 0.7.4 lacks, for builds with ATTN_EMULATE. Included by
 * vec_avx512.h. */
#ifndef ATTN_KERNELS_EMULATE_AVX512_H
#define ATTN_KERNELS_EMULATE_AVX512_H

#include <string.h>

static inline __m512 emulate_shuffle_f32x4(__m512 a, __m512 b, int from)
{
    float in[2][16], out[16];
    memcpy(in[0], &a, 64);
    memcpy(in[1], &b, 64);
    for (int i = 0; i < 4; i++) memcpy(out + 4 * i, in[i / 2] + (from >> 2 * i & 3) * 4, 16);
    memcpy(&a, out, 64);
    return a;
}
#define _mm512_shuffle_f32x4(a, b, from) emulate_shuffle_f32x4(a, b, from)

static inline __m512 emulate_shuffle_ps(__m512 a, __m512 b, int from)
{
    float in[2][16], out[16];
    memcpy(in[0], &a, 64);
    memcpy(in[1], &b, 64);
    for (int i = 0; i < 16; i++) out[i] = in[i % 4 / 2][i / 4 * 4 + (from >> 2 * (i % 4) & 3)];
    memcpy(&a, out, 64);
    return a;
}
#undef _mm512_shuffle_ps
#define _mm512_shuffle_ps(a, b, from) emulate_shuffle_ps(a, b, from)

static inline float emulate_cvtss_f32(__m512 a)
{
    float first;
    memcpy(&first, &a, sizeof first);
    return first;
}
#undef _mm512_cvtss_f32
#define _mm512_cvtss_f32 emulate_cvtss_f32

/* Elementwise from 16 elements of one type to 16 of another. */
#define EMULATE_CONVERT(name, from_vector, from, to_vector, to)                                    \
    static inline to_vector name(from_vector a)                                                    \
    {                                                                                              \
        from in[16];                                                                               \
        to out[16];                                                                                \
        to_vector b;                                                                               \
        memcpy(in, &a, sizeof in);                                                                 \
        for (int i = 0; i < 16; i++) out[i] = (to)in[i];                                           \
        memcpy(&b, out, sizeof out);                                                               \
        return b;                                                                                  \
    }
EMULATE_CONVERT(emulate_cvtepi32_ps, __m512i, int32_t, __m512, float)
EMULATE_CONVERT(emulate_cvtepi32_epi16, __m512i, int32_t, __m256i, int16_t)
EMULATE_CONVERT(emulate_cvtepi32_epi8, __m512i, int32_t, __m128i, int8_t)
EMULATE_CONVERT(emulate_cvtepu16_epi32, __m256i, uint16_t, __m512i, int32_t)
EMULATE_CONVERT(emulate_cvtepu8_epi32, __m128i, uint8_t, __m512i, int32_t)
#undef _mm512_cvtepi32_ps
#define _mm512_cvtepi32_ps emulate_cvtepi32_ps
#undef _mm512_cvtepi32_epi16
#define _mm512_cvtepi32_epi16 emulate_cvtepi32_epi16
#undef _mm512_cvtepi32_epi8
#define _mm512_cvtepi32_epi8 emulate_cvtepi32_epi8
#undef _mm512_cvtepu16_epi32
#define _mm512_cvtepu16_epi32 emulate_cvtepu16_epi32
#undef _mm512_cvtepu8_epi32
#define _mm512_cvtepu8_epi32 emulate_cvtepu8_epi32

static inline __m512 emulate_cvtph_ps(__m256i a)
{
    __m128i half[2];
    __m256 full[2];
    __m512 b;
    memcpy(half, &a, sizeof a);
    full[0] = simde_mm256_cvtph_ps(half[0]);
    full[1] = simde_mm256_cvtph_ps(half[1]);
    memcpy(&b, full, sizeof b);
    return b;
}
#undef _mm512_cvtph_ps
#define _mm512_cvtph_ps emulate_cvtph_ps

static inline uint32_t emulate_flush(uint32_t u)
{
    return u & 0x7f800000 ? u : u & 0x80000000;
}
static inline float emulate_flushed(uint32_t u)
{
    float a;
    u = emulate_flush(u);
    memcpy(&a, &u, sizeof a);
    return a;
}

static inline __m512 emulate_dpbf16_ps(__m512 sum, __m512i a, __m512i b)
{
    uint32_t s[16], x[16], y[16];
    memcpy(s, &sum, sizeof s);
    memcpy(x, &a, sizeof x);
    memcpy(y, &b, sizeof y);
    for (int i = 0; i < 32; i++) { /* the odd one of a pair first */
        uint32_t shift = i % 2 ? 16 : 0, c = x[i / 2] << shift, w = y[i / 2] << shift;
        float t = fmaf(emulate_flushed(c & 0xffff0000), emulate_flushed(w & 0xffff0000),
                       emulate_flushed(s[i / 2]));
        memcpy(&s[i / 2], &t, sizeof t);
        s[i / 2] = emulate_flush(s[i / 2]);
    }
    memcpy(&sum, s, sizeof s);
    return sum;
}
#undef __m512bh
#define __m512bh __m512i
#undef _mm512_dpbf16_ps
#define _mm512_dpbf16_ps emulate_dpbf16_ps

static inline __m256i emulate_cvtneps_pbh(__m512 a)
{
    uint32_t in[16];
    uint16_t out[16];
    __m256i b;
    memcpy(in, &a, sizeof in);
    for (int i = 0; i < 16; i++) {
        uint32_t u = emulate_flush(in[i]);
        bool nan = (u & 0x7fffffff) > 0x7f800000;
        out[i] = (uint16_t)(nan ? u >> 16 | 0x40 : (u + 0x7fff + (u >> 16 & 1)) >> 16);
    }
    memcpy(&b, out, sizeof b);
    return b;
}
#undef _mm512_cvtneps_pbh
#define _mm512_cvtneps_pbh emulate_cvtneps_pbh

#undef _mm512_madd_epi16
#define _mm512_madd_epi16 simde_mm512_madd_epi16

#endif
