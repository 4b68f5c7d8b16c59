/* cast: the same numbers as of another type; y has x's shape, and is f32 for f32, f16 and bf16,
 * i32 for all others. Floats become integers toward zero, held at the ends of i32, NaN 0; integers
 * of fewer bits wrap around; bool is 1 where x is not 0. f16, bf16: rounded to the nearest that
 * such a type holds, halves to even. */
#include "layers/support.h"

#include <math.h>
#include <string.h>

typedef enum target {
    TO_F32,
    TO_F16,
    TO_BF16,
    TO_I32,
    TO_U32,
    TO_I16,
    TO_U16,
    TO_I8,
    TO_U8,
    TO_BOOL
} target;

typedef struct cast_params {
    int to;
} cast_params;

static attn_status cast_parse(attn_reader *r, void *params)
{
    static const char *const words[] = {"f32", "f16", "bf16", "i32",  "u32", "i16",
                                        "u16", "i8",  "u8",   "bool", NULL};
    cast_params *p = params;
    ATTN_TRY(attn_need_inputs(r, 1, 1, NULL));
    ATTN_TRY(attn_need_outputs(r, 1, 1, NULL));
    return attn_need_word(r, "to", words, &p->to);
}

static attn_status cast_infer(attn_infer *c, const void *params)
{
    const cast_params *p = params;
    ATTN_TRY(attn_want_any(c, 0, 0, ATTN_MAX_RANK));
    c->out[0] = c->in[0];
    c->out[0].dtype = p->to >= TO_I32 ? ATTN_I32 : ATTN_F32;
    return ATTN_OK;
}

static int32_t to_integer(float x)
{
    if (x >= 0x1p31f) return INT32_MAX;
    return x >= -0x1p31f ? (int32_t)x : x < 0 ? INT32_MIN : 0;
}

static int32_t narrow(int to, int32_t x)
{
    switch (to) {
    case TO_I16:
        return (int16_t)(uint16_t)x;
    case TO_U16:
        return (uint16_t)x;
    case TO_I8:
        return (int8_t)(uint8_t)x;
    case TO_U8:
        return (uint8_t)x;
    case TO_BOOL:
        return x != 0;
    default:
        return x;
    }
}

/* Cuts `bits` of the mantissa off, which carries into the exponent where that is right. */
static float round_bits(float x, int bits)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    u += (1u << (bits - 1)) - 1 + (u >> bits & 1);
    u &= ~((1u << bits) - 1);
    memcpy(&x, &u, sizeof x);
    return x;
}

static float round_float(int to, float x)
{
    if (to == TO_F32 || !isfinite(x)) return x;
    if (to == TO_BF16) return round_bits(x, 16);
    if (fabsf(x) < 0x1p-14f) return copysignf((fabsf(x) + 0.5f) - 0.5f, x); /* steps of 2^-24 */
    float y = round_bits(x, 13);
    return fabsf(y) >= 65536 ? copysignf(INFINITY, x) : y;
}

static void cast_task(const attn_run_context *c, const void *params, size_t item, size_t first,
                      size_t end, size_t worker)
{
    (void)worker;
    int to = ((const cast_params *)params)->to;
    const float *x = attn_item(&c->in[0], item);
    const int32_t *xi = attn_item_i32(&c->in[0], item);
    float *y = attn_item(&c->out[0], item);
    int32_t *yi = attn_item_i32(&c->out[0], item);
    if (c->in[0].shape.dtype == ATTN_I32) {
        if (to < TO_I32)
            for (size_t i = first; i < end; i++) y[i] = (float)xi[i];
        else
            for (size_t i = first; i < end; i++) yi[i] = narrow(to, xi[i]);
        for (size_t i = first; i < end && to > TO_F32 && to < TO_I32; i++)
            y[i] = round_float(to, y[i]);
    } else if (to < TO_I32) {
        for (size_t i = first; i < end; i++) y[i] = round_float(to, x[i]);
    } else if (to == TO_BOOL) {
        for (size_t i = first; i < end; i++) yi[i] = x[i] != 0;
    } else {
        for (size_t i = first; i < end; i++) yi[i] = narrow(to, to_integer(x[i]));
    }
}

static void cast_run(const attn_run_context *c, const void *params)
{
    attn_each_rows(c, params, c->out[0].count, 4096, cast_task);
}

const attn_layer attn_layer_cast = {"cast",     ATTN_STEP_SHARED, 0,       sizeof(cast_params),
                                    cast_parse, cast_infer,       cast_run};
