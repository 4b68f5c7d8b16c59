#include "layers/array/binary.h"

#include <math.h>

/* By libm in double, rounded to f32: the last bit of a double is lost on the way. */
static float power(float a, float b)
{
    return b == 2 ? a * a : (float)pow((double)a, (double)b);
}

static float modulo(float a, float b)
{
    float rest = fmodf(a, b);
    return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

void attn_binary_f32(attn_array_binary op, float *y, const float *a, size_t step_a, const float *b,
                     size_t step_b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        float u = a[i * step_a], v = b[i * step_b];
        switch (op) {
        case ATTN_ARRAY_POW:
            y[i] = power(u, v);
            break;
        case ATTN_ARRAY_MOD:
            y[i] = modulo(u, v);
            break;
        case ATTN_ARRAY_FMOD:
            y[i] = fmodf(u, v);
            break;
        default:
            y[i] = u < 0 ? u * v : u;
        }
    }
}

/* a op b for any type of number. */
#define COMPARE(op, u, v)                                                                          \
    ((op) == ATTN_ARRAY_EQUAL        ? (u) == (v)                                                  \
     : (op) == ATTN_ARRAY_LESS       ? (u) < (v)                                                   \
     : (op) == ATTN_ARRAY_LESS_EQUAL ? (u) <= (v)                                                  \
     : (op) == ATTN_ARRAY_GREATER    ? (u) > (v)                                                   \
                                     : (u) >= (v))

#define EACH(op)                                                                                   \
    case op:                                                                                       \
        for (size_t i = 0; i < n; i++) y[i] = COMPARE(op, a[i * step_a], b[i * step_b]);           \
        break;

void attn_compare_f32(attn_array_binary op, int32_t *y, const float *a, size_t step_a,
                      const float *b, size_t step_b, size_t n)
{
    switch (op) {
        EACH(ATTN_ARRAY_EQUAL)
        EACH(ATTN_ARRAY_LESS)
        EACH(ATTN_ARRAY_LESS_EQUAL)
        EACH(ATTN_ARRAY_GREATER)
    default:
        for (size_t i = 0; i < n; i++) y[i] = a[i * step_a] >= b[i * step_b];
    }
}

/* By squaring. A negative power is the integer part of the quotient. */
static int32_t power_i32(int32_t a, int32_t b)
{
    uint32_t y = 1, square = (uint32_t)a;
    if (b < 0) return a == 1 ? 1 : a == -1 ? 1 - 2 * (b & 1) : 0;
    for (uint32_t rest = (uint32_t)b; rest; rest >>= 1) {
        if (rest & 1) y *= square;
        square *= square;
    }
    return (int32_t)y;
}

static int32_t one_i32(int op, int32_t a, int32_t b)
{
    uint32_t u = (uint32_t)a, v = (uint32_t)b;
    int64_t rest = b ? (int64_t)a % b : 0;
    switch (op) {
    case ATTN_BIN_ADD:
        return (int32_t)(u + v);
    case ATTN_BIN_SUB:
        return (int32_t)(u - v);
    case ATTN_BIN_MUL:
        return (int32_t)(u * v);
    case ATTN_BIN_DIV:
        return b ? (int32_t)((int64_t)a / b) : 0;
    case ATTN_BIN_MAX:
        return a > b ? a : b;
    case ATTN_BIN_MIN:
        return a < b ? a : b;
    case ATTN_ARRAY_POW:
        return power_i32(a, b);
    case ATTN_ARRAY_MOD:
        return (int32_t)(rest && (rest < 0) != (b < 0) ? rest + b : rest);
    case ATTN_ARRAY_FMOD:
        return (int32_t)rest;
    case ATTN_ARRAY_BIT_AND:
        return a & b;
    case ATTN_ARRAY_BIT_OR:
        return a | b;
    case ATTN_ARRAY_BIT_XOR:
        return a ^ b;
    case ATTN_ARRAY_SHIFT_LEFT:
        return v < 32 ? (int32_t)(u << v) : 0;
    case ATTN_ARRAY_SHIFT_RIGHT:
        return v < 32 ? (int32_t)(u >> v) : 0;
    case ATTN_ARRAY_AND:
        return a && b;
    case ATTN_ARRAY_OR:
        return a || b;
    case ATTN_ARRAY_XOR:
        return !a != !b;
    default:
        return COMPARE(op, a, b);
    }
}

void attn_binary_i32(int op, int32_t *y, const int32_t *a, size_t step_a, const int32_t *b,
                     size_t step_b, size_t n)
{
    for (size_t i = 0; i < n; i++) y[i] = one_i32(op, a[i * step_a], b[i * step_b]);
}
