/* Narrow numbers, beside the floats of vec.h: what the panels of other types are read with. For
 * each level the same functions with the same results:
 *
 *   v_load_bf16(p), v_load_f16(p)   VEC_WIDTH of them, widened exactly
 *   v_load_i4(p, &low, &high)       VEC_WIDTH bytes: the low and the high nibbles, minus 8
 *
 * Integer products. An accumulator VI has VEC_WIDTH int32. Each of its elements takes I8_GROUP
 * products at a time, of I8_GROUP neighbours along k:
 *
 *   VW vw_load(p)      weights: VEC_WIDTH x I8_GROUP int8
 *   VW vw_set(p)       x: one group, the same for all elements: 4 bytes as v_store_q made them
 *   vi_dot(a, x, w)    a + the sum of the group's products
 *   v_store_q(p, t)    the integers n of t = VEC_ROUND + n, |n| <= 127, as x: 4 / I8_GROUP bytes
 * each I8_OFFSET          what v_store_q adds to each, to have it unsigned vi_zero() vi_load(p)
 * vi_sub(a, b)   v_from_int(a) rounded to nearest even */
#ifndef ATTN_KERNELS_NARROW_H
#define ATTN_KERNELS_NARROW_H

#include "layers/kernels/vec.h"

#if defined(VEC_SCALAR)
#include "layers/kernels/narrow_scalar.h"
#elif defined(VEC_AVX2)
#include "layers/kernels/narrow_avx2.h"
#elif defined(VEC_AVX512)
#include "layers/kernels/narrow_avx512.h"
#elif defined(VEC_NEON)
#include "layers/kernels/narrow_neon.h"
#endif

#endif
