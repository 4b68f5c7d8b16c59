/* The kernels in plain C: what every other level must equal, bit for bit. */
#include "layers/kernels/levels.h"

#define VEC_SCALAR
#define LEVEL scalar
#define TILE_ROWS 4
#define TILE_VECTORS 16
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
