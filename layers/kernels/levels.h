/* The tables, one per instruction set. Those of another architecture do not exist. */
#ifndef ATTN_KERNELS_LEVELS_H
#define ATTN_KERNELS_LEVELS_H

#include "layers/kernels/kernels.h"

extern const attn_kernels attn_kernels_scalar;
#if defined(__x86_64__)
extern const attn_kernels attn_kernels_avx2;
extern const attn_kernels attn_kernels_avx512;
extern const attn_kernels attn_kernels_avx512vnni;
extern const attn_kernels attn_kernels_avx512bf16;
#elif defined(__aarch64__)
extern const attn_kernels attn_kernels_neon;
#endif

#endif
