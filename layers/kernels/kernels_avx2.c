/* The kernels for AVX2 and FMA: 12 of 16 registers are accumulators. */
#include "layers/kernels/levels.h"

#if defined(__x86_64__)
#define VEC_AVX2
#define LEVEL avx2
#define TILE_ROWS 6
#define TILE_VECTORS 2
#include "layers/kernels/narrow.h"
#include "layers/kernels/shared.h"

#include "layers/kernels/math.inc"
#include "layers/kernels/row.inc"

#include "layers/kernels/row_functions.inc"

#include "layers/kernels/taps.inc"

#include "layers/kernels/tile.inc"

#include "layers/kernels/finish.inc"

#include "layers/kernels/panels.inc"

#include "layers/kernels/rows.inc"

#include "layers/kernels/int8.inc"

#include "layers/kernels/blocks_dot.inc"

#include "layers/kernels/gemv.inc"

#include "layers/kernels/gemm.inc"

#include "layers/kernels/table.inc"

#endif
