/* narrow.h for plain C. Included by it. */
#ifndef ATTN_KERNELS_NARROW_SCALAR_H
#define ATTN_KERNELS_NARROW_SCALAR_H

#define I8_GROUP 2
#define I8_OFFSET 0
typedef int32_t VI;
typedef struct VW {
    int16_t of[2];
} VW;

VEC_INLINE V v_load_bf16(const uint16_t *p)
{
    return v_bits((uint32_t)*p << 16);
}
VEC_INLINE void v_load_pairs(const uint16_t *p, V *even, V *odd)
{
    *even = v_bits((uint32_t)p[0] << 16);
    *odd = v_bits((uint32_t)p[1] << 16);
}
/* a + 0x7fff + (a >> 16 & 1), of the bits: carries into the high half what rounds up. */
VEC_INLINE V v_round_bits(V a)
{
    uint32_t u = v_to_bits(a);
    return v_bits(u + 0x7fff + (u >> 16 & 1));
}
VEC_INLINE V v_pair(V even, V odd)
{
    return v_bits(v_to_bits(even) >> 16 | v_to_bits(odd));
}
/* The exponent is moved by a multiplication, which gives the denormals theirs. */
VEC_INLINE V v_load_f16(const uint16_t *p)
{
    uint32_t sign = (uint32_t)(*p & 0x8000) << 16, rest = *p & 0x7fff;
    if (rest >= 0x7c00) return v_bits(sign | 0x7f800000 | (rest & 0x3ff) << 13);
    return v_bits(sign | v_to_bits(v_bits(rest << 13) * 0x1p112f));
}
VEC_INLINE void v_load_i4(const uint8_t *p, V *low, V *high)
{
    *low = (float)((*p & 15) - 8);
    *high = (float)((*p >> 4) - 8);
}

VEC_INLINE V v_numbers(int zero)
{
    return (float)zero;
}
VEC_INLINE V v_nibble(VI a, int i, V numbers)
{
    return (float)((uint32_t)a >> 4 * i & 15) - numbers;
}
VEC_INLINE V v_byte(VI a, int i)
{
    return (float)((int32_t)((uint32_t)a >> 8 * i & 255) - 128);
}

VEC_INLINE VW vw_even(const void *p)
{
    const uint8_t *u = p;
    return (VW){{u[0], u[2]}};
}
VEC_INLINE VW vw_odd(const void *p)
{
    const uint8_t *u = p;
    return (VW){{u[1], u[3]}};
}
VEC_INLINE VW vw_load(const int8_t *p)
{
    return (VW){{p[0], p[1]}};
}
VEC_INLINE VW vw_set(const void *p)
{
    VW w;
    memcpy(&w, p, sizeof w);
    return w;
}
VEC_INLINE VI vi_dot(VI a, VW x, VW w)
{
    return a + x.of[0] * w.of[0] + x.of[1] * w.of[1];
}
VEC_INLINE void v_store_q(void *p, V t)
{
    int16_t q = (int16_t)(v_to_bits(t) - v_to_bits(VEC_ROUND));
    memcpy(p, &q, sizeof q);
}
VEC_INLINE VI vi_zero(void)
{
    return 0;
}
VEC_INLINE VI vi_set(int32_t a)
{
    return a;
}
VEC_INLINE VI vi_load(const int32_t *p)
{
    return *p;
}
VEC_INLINE void vi_store(int32_t *p, VI a)
{
    *p = a;
}
/* The low half of each byte, or the high one if shift is 4. */
VEC_INLINE VI vi_halves(VI a, const int shift)
{
    return (int32_t)((uint32_t)a >> shift & 0x0f0f0f0fu);
}
VEC_INLINE VI vi_sub(VI a, VI b)
{
    return (int32_t)((uint32_t)a - (uint32_t)b);
}
VEC_INLINE V v_from_int(VI a)
{
    return (float)a;
}

#endif
