/* The kernels for NEON on aarch64: 20 of 32 registers are accumulators, since
 * the compiler keeps 5 of x and 4 of the panel beside them. */
#include "layers/kernels/levels.h"

#if defined(__aarch64__)
#define VEC_NEON
#define LEVEL neon
#define TILE_ROWS 5
#define TILE_VECTORS 4
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
