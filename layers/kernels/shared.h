/* What a level over another one (LEVEL_BASE) takes from it as it is. The level that is named
 * SHARED_BY has them; its functions are called attn_<level>_<name>. */
#ifndef ATTN_KERNELS_SHARED_H
#define ATTN_KERNELS_SHARED_H

#include "layers/kernels/kernels.h"

#ifndef SHARED_BY
#define SHARED_BY LEVEL
#endif
#define SHARED_NAME(level, name) attn_##level##_##name
#define SHARED_OF(level, name) SHARED_NAME(level, name)
#define SHARED(name) SHARED_OF(SHARED_BY, name)

void SHARED(unary)(attn_unary op, float *y, const float *x, size_t n);
void SHARED(binary)(attn_binary op, float *y, const float *a, size_t step_a, const float *b,
                    size_t step_b, size_t n);
void SHARED(fma)(float *y, const float *a, size_t step_a, const float *b, size_t step_b,
                 const float *c, size_t step_c, size_t n);
void SHARED(taps)(const attn_taps *g);
void SHARED(split)(float *even, float *odd, const float *x, size_t n);
float SHARED(sum)(const float *x, size_t n);
float SHARED(max)(const float *x, size_t n);
float SHARED(dot)(const float *a, const float *b, size_t n);
float SHARED(squared_distance)(const float *a, const float *b, size_t n);
float SHARED(additive)(const float *v, const float *a, const float *b, size_t n);
void SHARED(softmax)(float *y, const float *x, size_t n, float scale);
void SHARED(layer_norm)(float *y, const float *x, const float *weight, const float *bias, size_t n,
                        float eps);
void SHARED(rms_norm)(float *y, const float *x, const float *weight, size_t n, float eps);

/* y = unary(scale * tile + biases) + residual, for `rows` rows of `columns` <= PANEL columns;
 * tile: [rows, PANEL], is written to. */
void SHARED(finish)(const attn_gemm *g, float *tile, size_t row, size_t rows, size_t column,
                    size_t columns);
/* One panel of f32: of the k rows from w on, `columns` <= PANEL columns. */
void SHARED(pack_f32)(float *panel, const float *w, size_t k, size_t columns, size_t stride_k,
                      size_t stride_n);

void SHARED(pack_blocks)(attn_panel_type type, void *packed, const int8_t *q, const float *scale,
                         const float *minimum, size_t k, size_t n);

#endif
