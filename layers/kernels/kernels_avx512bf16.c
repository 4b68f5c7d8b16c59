/* The kernels for AVX-512 with VNNI and BF16: those of VNNI, but for the products of bf16. */
#include "layers/kernels/levels.h"

#if defined(__x86_64__)
#define VEC_AVX512
#define VEC_VNNI
#define VEC_BF16
#define LEVEL avx512bf16
#define SHARED_BY avx512
#define LEVEL_BASE attn_kernels_avx512vnni
#define OWN_GEMM(type) ((type) == ATTN_PANEL_BF16_DOT ? bf16_gemm : NULL)
#define OWN_PACK(type) false
#define OWN_ROWS(type) ((type) == ATTN_PANEL_BF16_DOT)
#define TILE_ROWS 14
#define TILE_VECTORS 2
#include "layers/kernels/narrow.h"
#include "layers/kernels/shared.h"

#include "layers/kernels/math.inc"
#include "layers/kernels/row.inc"

#include "layers/kernels/tile.inc"

#include "layers/kernels/panels.inc"

#include "layers/kernels/rows.inc"

#include "layers/kernels/bf16.inc"

#include "layers/kernels/over.inc"

#include "layers/kernels/table.inc"

#endif
