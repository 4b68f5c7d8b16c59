/* vec.h for NEON on aarch64: 4 floats. Included by it. */
#ifndef ATTN_KERNELS_VEC_NEON_H
#define ATTN_KERNELS_VEC_NEON_H

#include <arm_neon.h>

#define VEC_WIDTH 4
typedef float32x4_t V;
typedef uint32x4_t M;

VEC_INLINE V v_bits(uint32_t u)
{
    return vreinterpretq_f32_u32(vdupq_n_u32(u));
}
VEC_INLINE V v_set(float a)
{
    return vdupq_n_f32(a);
}
VEC_INLINE V v_load(const float *p)
{
    return vld1q_f32(p);
}
VEC_INLINE void v_store(float *p, V a)
{
    vst1q_f32(p, a);
}
VEC_INLINE M v_lanes(size_t n)
{
    static const uint32_t index[4] = {0, 1, 2, 3};
    return vcltq_u32(vld1q_u32(index), vdupq_n_u32(n < 4 ? (uint32_t)n : 4));
}
VEC_INLINE V v_load_part(const float *p, size_t n)
{
    if (n >= 4) return vld1q_f32(p);
    V a = vld1q_lane_f32(p, vdupq_n_f32(0), 0);
    if (n > 1) a = vld1q_lane_f32(p + 1, a, 1);
    if (n > 2) a = vld1q_lane_f32(p + 2, a, 2);
    return a;
}
VEC_INLINE void v_store_part(float *p, size_t n, V a)
{
    if (n >= 4) {
        vst1q_f32(p, a);
        return;
    }
    vst1q_lane_f32(p, a, 0);
    if (n > 1) vst1q_lane_f32(p + 1, a, 1);
    if (n > 2) vst1q_lane_f32(p + 2, a, 2);
}
VEC_INLINE V v_add(V a, V b)
{
    return vaddq_f32(a, b);
}
VEC_INLINE V v_sub(V a, V b)
{
    return vsubq_f32(a, b);
}
VEC_INLINE V v_mul(V a, V b)
{
    return vmulq_f32(a, b);
}
VEC_INLINE V v_div(V a, V b)
{
    return vdivq_f32(a, b);
}
VEC_INLINE V v_fma(V a, V b, V c)
{
    return vfmaq_f32(c, a, b);
}
VEC_INLINE V v_sqrt(V a)
{
    return vsqrtq_f32(a);
}
VEC_INLINE M v_gt(V a, V b)
{
    return vcgtq_f32(a, b);
}
VEC_INLINE M v_is_nan(V a)
{
    return vmvnq_u32(vceqq_f32(a, a));
}
VEC_INLINE V v_select(M m, V a, V b)
{
    return vbslq_f32(m, a, b);
}
VEC_INLINE V v_greater(V a, V b)
{
    return v_select(v_gt(a, b), a, b);
}
VEC_INLINE V v_lesser(V a, V b)
{
    return v_select(v_gt(b, a), a, b);
}
VEC_INLINE V v_and(V a, V b)
{
    return vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(a), vreinterpretq_u32_f32(b)));
}
VEC_INLINE V v_or(V a, V b)
{
    return vreinterpretq_f32_u32(vorrq_u32(vreinterpretq_u32_f32(a), vreinterpretq_u32_f32(b)));
}
VEC_INLINE V v_xor(V a, V b)
{
    return vreinterpretq_f32_u32(veorq_u32(vreinterpretq_u32_f32(a), vreinterpretq_u32_f32(b)));
}
VEC_INLINE V v_exponent(V t)
{
    uint32x4_t n = vshlq_n_u32(vreinterpretq_u32_f32(t), 23);
    return vreinterpretq_f32_u32(vaddq_u32(n, vdupq_n_u32(0x3f800000u)));
}

VEC_INLINE V v_max_bits(V a, V b)
{
    return vreinterpretq_f32_u32(vmaxq_u32(vreinterpretq_u32_f32(a), vreinterpretq_u32_f32(b)));
}
VEC_INLINE V v_swap(V a, int h)
{
    return h == 2 ? vextq_f32(a, a, 2) : vrev64q_f32(a);
}
VEC_INLINE V v_even(V a, V b)
{
    return vuzp1q_f32(a, b);
}
VEC_INLINE V v_odd(V a, V b)
{
    return vuzp2q_f32(a, b);
}

VEC_INLINE void v_transpose(V a[VEC_WIDTH])
{
    float32x4x2_t b = vtrnq_f32(a[0], a[1]), c = vtrnq_f32(a[2], a[3]);
    a[0] = vcombine_f32(vget_low_f32(b.val[0]), vget_low_f32(c.val[0]));
    a[1] = vcombine_f32(vget_low_f32(b.val[1]), vget_low_f32(c.val[1]));
    a[2] = vcombine_f32(vget_high_f32(b.val[0]), vget_high_f32(c.val[0]));
    a[3] = vcombine_f32(vget_high_f32(b.val[1]), vget_high_f32(c.val[1]));
}

#endif
