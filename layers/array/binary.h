/* What the kernels have not of y[i] = a[i * step_a] op b[i * step_b]: the rarer operations, and
 * all of them on i32. Steps are 0 or 1; y may be an operand whose step is 1. */
#ifndef ATTN_ARRAY_BINARY_H
#define ATTN_ARRAY_BINARY_H

#include "layers/kernels/kernels.h"

/* Those of attn_binary, then these. */
typedef enum attn_array_binary {
    ATTN_ARRAY_POW = ATTN_BINARY_COUNT,
    ATTN_ARRAY_MOD,   /* the sign of b, as Python's % */
    ATTN_ARRAY_FMOD,  /* the sign of a, as C's */
    ATTN_ARRAY_PRELU, /* a < 0 ? a * b : a */
    ATTN_ARRAY_BIT_AND,
    ATTN_ARRAY_BIT_OR,
    ATTN_ARRAY_BIT_XOR,
    ATTN_ARRAY_SHIFT_LEFT, /* bits beyond the 32 are lost; zeros come in */
    ATTN_ARRAY_SHIFT_RIGHT,
    ATTN_ARRAY_AND, /* of truth: not 0 */
    ATTN_ARRAY_OR,
    ATTN_ARRAY_XOR,
    ATTN_ARRAY_COMPARE,
    ATTN_ARRAY_EQUAL = ATTN_ARRAY_COMPARE,
    ATTN_ARRAY_LESS,
    ATTN_ARRAY_LESS_EQUAL,
    ATTN_ARRAY_GREATER,
    ATTN_ARRAY_GREATER_EQUAL,
} attn_array_binary;

/* POW to PRELU. */
void attn_binary_f32(attn_array_binary op, float *y, const float *a, size_t step_a, const float *b,
                     size_t step_b, size_t n);
void attn_compare_f32(attn_array_binary op, int32_t *y, const float *a, size_t step_a,
                      const float *b, size_t step_b, size_t n);
/* All but PRELU: sums, differences and products wrap around; a quotient is rounded toward zero; one
 * by zero is 0, and so is a remainder. */
void attn_binary_i32(int op, int32_t *y, const int32_t *a, size_t step_a, const int32_t *b,
                     size_t step_b, size_t n);

#endif
