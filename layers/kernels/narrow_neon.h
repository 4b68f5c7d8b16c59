/* narrow.h for NEON on aarch64. Included by it. */
#ifndef ATTN_KERNELS_NARROW_NEON_H
#define ATTN_KERNELS_NARROW_NEON_H

#define I8_GROUP 2
#define I8_OFFSET 0
typedef int32x4_t VI;
typedef int16x8_t VW;

VEC_INLINE V v_load_bf16(const uint16_t *p)
{
    return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p), 16));
}
VEC_INLINE void v_load_pairs(const uint16_t *p, V *even, V *odd)
{
    uint32x4_t a = vreinterpretq_u32_u16(vld1q_u16(p));
    *even = vreinterpretq_f32_u32(vshlq_n_u32(a, 16));
    *odd = vreinterpretq_f32_u32(vandq_u32(a, vdupq_n_u32(0xffff0000u)));
}
/* a + 0x7fff + (a >> 16 & 1), of the bits: carries into the high half what rounds up. */
VEC_INLINE V v_round_bits(V a)
{
    uint32x4_t u = vreinterpretq_u32_f32(a), even = vandq_u32(vshrq_n_u32(u, 16), vdupq_n_u32(1));
    return vreinterpretq_f32_u32(vaddq_u32(u, vaddq_u32(even, vdupq_n_u32(0x7fff))));
}
VEC_INLINE V v_pair(V even, V odd)
{
    uint32x4_t low = vshrq_n_u32(vreinterpretq_u32_f32(even), 16);
    return vreinterpretq_f32_u32(vorrq_u32(low, vreinterpretq_u32_f32(odd)));
}
VEC_INLINE V v_load_f16(const uint16_t *p)
{
    return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)));
}
VEC_INLINE void v_load_i4(const uint8_t *p, V *low, V *high)
{
    uint32_t four;
    memcpy(&four, p, sizeof four);
    uint8x8_t bytes = vreinterpret_u8_u32(vdup_n_u32(four));
    int16x4_t a = vreinterpret_s16_u16(vget_low_u16(vmovl_u8(vand_u8(bytes, vdup_n_u8(15)))));
    int16x4_t b = vreinterpret_s16_u16(vget_low_u16(vmovl_u8(vshr_n_u8(bytes, 4))));
    *low = vcvtq_f32_s32(vmovl_s16(vsub_s16(a, vdup_n_s16(8))));
    *high = vcvtq_f32_s32(vmovl_s16(vsub_s16(b, vdup_n_s16(8))));
}

VEC_INLINE V v_numbers(int zero)
{
    return v_set((float)zero);
}
VEC_INLINE V v_nibble(VI a, int i, V numbers)
{
    uint32x4_t n = vshlq_u32(vreinterpretq_u32_s32(a), vdupq_n_s32(-4 * i));
    return v_sub(vcvtq_f32_u32(vandq_u32(n, vdupq_n_u32(15))), numbers);
}
VEC_INLINE V v_byte(VI a, int i)
{
    uint32x4_t n = vshlq_u32(vreinterpretq_u32_s32(a), vdupq_n_s32(-8 * i));
    return v_sub(vcvtq_f32_u32(vandq_u32(n, vdupq_n_u32(255))), v_set(128));
}

VEC_INLINE VW vw_even(const void *p)
{
    uint16x8_t a = vreinterpretq_u16_u8(vld1q_u8(p));
    return vreinterpretq_s16_u16(vandq_u16(a, vdupq_n_u16(255)));
}
VEC_INLINE VW vw_odd(const void *p)
{
    return vreinterpretq_s16_u16(vshrq_n_u16(vreinterpretq_u16_u8(vld1q_u8(p)), 8));
}
VEC_INLINE VW vw_load(const int8_t *p)
{
    return vmovl_s8(vld1_s8(p));
}
VEC_INLINE VW vw_set(const void *p)
{
    int32_t group;
    memcpy(&group, p, sizeof group);
    return vreinterpretq_s16_s32(vdupq_n_s32(group));
}
VEC_INLINE VI vi_dot(VI a, VW x, VW w)
{
    int32x4_t low = vmull_s16(vget_low_s16(x), vget_low_s16(w));
    return vaddq_s32(a, vpaddq_s32(low, vmull_high_s16(x, w)));
}
VEC_INLINE void v_store_q(void *p, V t)
{
    int32x4_t q = vsubq_s32(vreinterpretq_s32_f32(t), vreinterpretq_s32_f32(v_set(VEC_ROUND)));
    int16x4_t narrow = vmovn_s32(q);
    memcpy(p, &narrow, sizeof narrow);
}
VEC_INLINE VI vi_zero(void)
{
    return vdupq_n_s32(0);
}
VEC_INLINE VI vi_set(int32_t a)
{
    return vdupq_n_s32(a);
}
VEC_INLINE VI vi_load(const int32_t *p)
{
    return vld1q_s32(p);
}
VEC_INLINE void vi_store(int32_t *p, VI a)
{
    vst1q_s32(p, a);
}
/* The low half of each byte, or the high one if shift is 4. */
VEC_INLINE VI vi_halves(VI a, const int shift)
{
    uint32x4_t u = vshlq_u32(vreinterpretq_u32_s32(a), vdupq_n_s32(-shift));
    return vreinterpretq_s32_u32(vandq_u32(u, vdupq_n_u32(0x0f0f0f0f)));
}
VEC_INLINE VI vi_sub(VI a, VI b)
{
    return vsubq_s32(a, b);
}
VEC_INLINE V v_from_int(VI a)
{
    return vcvtq_f32_s32(a);
}

#endif
