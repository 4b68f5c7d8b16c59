/* vec.h for plain C: a vector of one float. Included by it. */
#ifndef ATTN_KERNELS_VEC_SCALAR_H
#define ATTN_KERNELS_VEC_SCALAR_H

#define VEC_WIDTH 1
typedef float V;
typedef bool M;

VEC_INLINE uint32_t v_to_bits(V a)
{
    uint32_t u;
    memcpy(&u, &a, sizeof(u));
    return u;
}
VEC_INLINE V v_bits(uint32_t u)
{
    V a;
    memcpy(&a, &u, sizeof(a));
    return a;
}
VEC_INLINE V v_set(float a)
{
    return a;
}
VEC_INLINE V v_load(const float *p)
{
    return *p;
}
VEC_INLINE void v_store(float *p, V a)
{
    *p = a;
}
VEC_INLINE M v_lanes(size_t n)
{
    return n > 0;
}
VEC_INLINE V v_load_part(const float *p, size_t n)
{
    (void)n;
    return *p;
}
VEC_INLINE void v_store_part(float *p, size_t n, V a)
{
    (void)n;
    *p = a;
}
VEC_INLINE V v_add(V a, V b)
{
    return a + b;
}
VEC_INLINE V v_sub(V a, V b)
{
    return a - b;
}
VEC_INLINE V v_mul(V a, V b)
{
    return a * b;
}
VEC_INLINE V v_div(V a, V b)
{
    return a / b;
}
VEC_INLINE V v_fma(V a, V b, V c)
{
    return fmaf(a, b, c);
}
VEC_INLINE V v_sqrt(V a)
{
    return sqrtf(a);
}
VEC_INLINE V v_greater(V a, V b)
{
    return a > b ? a : b;
}
VEC_INLINE V v_lesser(V a, V b)
{
    return a < b ? a : b;
}
VEC_INLINE M v_gt(V a, V b)
{
    return a > b;
}
VEC_INLINE M v_is_nan(V a)
{
    return a != a;
}
VEC_INLINE V v_select(M m, V a, V b)
{
    return m ? a : b;
}
VEC_INLINE V v_and(V a, V b)
{
    return v_bits(v_to_bits(a) & v_to_bits(b));
}
VEC_INLINE V v_or(V a, V b)
{
    return v_bits(v_to_bits(a) | v_to_bits(b));
}
VEC_INLINE V v_xor(V a, V b)
{
    return v_bits(v_to_bits(a) ^ v_to_bits(b));
}
VEC_INLINE V v_exponent(V t)
{
    return v_bits((v_to_bits(t) << 23) + 0x3f800000u);
}

VEC_INLINE V v_max_bits(V a, V b)
{
    return v_to_bits(a) > v_to_bits(b) ? a : b;
}
VEC_INLINE V v_swap(V a, int h)
{
    (void)h;
    return a;
}
VEC_INLINE V v_even(V a, V b)
{
    (void)b;
    return a;
}
VEC_INLINE V v_odd(V a, V b)
{
    (void)a;
    return b;
}

VEC_INLINE void v_transpose(V a[VEC_WIDTH])
{
    (void)a;
}

#endif
