/* The kernels for AVX-512 with VNNI: those of AVX-512, but for the integer products. */
#include "layers/kernels/levels.h"

#if defined(__x86_64__)
#define VEC_AVX512
#define VEC_VNNI
#define LEVEL avx512vnni
#define SHARED_BY avx512
#define LEVEL_BASE attn_kernels_avx512
#define OWN_GEMM(type)                                                                             \
    ((type) == ATTN_PANEL_I8 ? i8_gemm : (type) >= ATTN_PANEL_DOTS ? blocks_gemm : NULL)
#define OWN_PACK(type) ((type) == ATTN_PANEL_I8)
#define OWN_ROWS(type) ((type) == ATTN_PANEL_I8 || (type) >= ATTN_PANEL_DOTS)
#define TILE_ROWS 14
#define TILE_VECTORS 2
#include "layers/kernels/narrow.h"
#include "layers/kernels/shared.h"

#include "layers/kernels/math.inc"
#include "layers/kernels/row.inc"

#include "layers/kernels/tile.inc"

#include "layers/kernels/panels.inc"

#include "layers/kernels/rows.inc"

#include "layers/kernels/int8.inc"

#include "layers/kernels/blocks_dot.inc"

#include "layers/kernels/over.inc"

#include "layers/kernels/table.inc"

#endif
