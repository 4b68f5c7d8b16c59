/* quantize_linear, dequantize_linear, dynamic_quantize_linear, as ONNX has them.
 *   quantize_linear:   y = round(x / scale) + zero, cut to the type's range; halves to even; y i32
 *   dequantize_linear: y = (x - zero) * scale; x i32 or f32
 *   dynamic_quantize_linear: x -> y u8, scale = (max - min) / 255 of x and 0, zero = -min / scale
 *   in [x, scale] or [x, scale, zero]; scale and zero: one number; or one for each index along
 *   `axis`; or, with block_size, of x's rank: one for each block along `axis` */
#include "layers/support.h"

#include <math.h>

static const char *const types[] = {"u8", "i8", "u16", "i16", "u4", "i4", "i32", NULL};
static const float lowest[] = {0, -128, 0, -32768, 0, -8, -2147483648.0f};
static const float highest[] = {255, 127, 65535, 32767, 15, 7, 2147483520.0f};

typedef struct quantize_params {
    bool back; /* dequantize */
    size_t inputs, block;
    long axis;
    int type;
} quantize_params;

static attn_status parse(attn_reader *r, quantize_params *p, bool back)
{
    p->back = back;
    p->axis = 1;
    ATTN_TRY(attn_need_inputs(r, 2, 3, &p->inputs));
    ATTN_TRY(attn_need_outputs(r, 1, 1, NULL));
    ATTN_TRY(attn_read_int(r, "axis", -ATTN_MAX_RANK, ATTN_MAX_RANK - 1, &p->axis));
    ATTN_TRY(attn_read_size(r, "block_size", 0, (size_t)1 << 40, &p->block));
    return back ? ATTN_OK : attn_read_word(r, "type", types, &p->type);
}

static attn_status quantize_linear_parse(attn_reader *r, void *params)
{
    return parse(r, params, false);
}
static attn_status dequantize_linear_parse(attn_reader *r, void *params)
{
    return parse(r, params, true);
}

static attn_status quantize_infer(attn_infer *c, const void *params)
{
    const quantize_params *p = params;
    const attn_shape *x = &c->in[0];
    attn_shape_text text[2];
    int axis = 0;
    if (p->back)
        ATTN_TRY(attn_want_any(c, 0, 0, ATTN_MAX_RANK));
    else
        ATTN_TRY(attn_want_filled(c, 0, ATTN_F32, 0, ATTN_MAX_RANK));
    for (size_t i = 1; i < p->inputs; i++) {
        const attn_shape *s = &c->in[i];
        ATTN_TRY(attn_want_filled(c, i, i == 1 ? ATTN_F32 : ATTN_I32, 0, ATTN_MAX_RANK));
        if (attn_span(s, 0, s->rank) == 1) continue;
        ATTN_TRY(attn_want_axis(c, 0, p->axis, &axis));
        bool good = p->block ? s->rank == x->rank : s->rank == 1 && s->dim[0] == x->dim[axis];
        for (int k = 0; good && p->block && k < x->rank; k++)
            good = s->dim[k] == (k == axis ? (x->dim[k] - 1) / p->block + 1 : x->dim[k]);
        if (!good)
            return attn_infer_fail(c, "input %zu is %s, which does not fit axis %d of %s", i,
                                   attn_format_shape(&text[0], s->dim, s->rank), axis,
                                   attn_format_shape(&text[1], x->dim, x->rank));
    }
    c->out[0] = *x;
    c->out[0].dtype = p->back ? ATTN_F32 : ATTN_I32;
    return ATTN_OK;
}

/* Where row `row` of x [outer * dim, inner] finds its scale or zero: the first of `step` apart. */
static size_t place(const quantize_params *p, const attn_shape *x, const attn_value *v, size_t row,
                    size_t inner, size_t *step)
{
    *step = 0;
    if (v->count == 1) return 0;
    int axis = (int)(p->axis < 0 ? p->axis + x->rank : p->axis);
    size_t dim = x->dim[axis];
    if (!p->block) return row % dim;
    *step = 1;
    return (row / dim * v->shape.dim[axis] + row % dim / p->block) * inner;
}

/* rintf, without a call where what is rounded is small. */
static float nearest(float x)
{
    const float shift = 0x1.8p23f;
    return fabsf(x) < 0x1p22f ? (x + shift) - shift : rintf(x);
}

static float one(const quantize_params *p, float x, float scale, float zero)
{
    if (p->back) return (x - zero) * scale;
    x = nearest(x / scale) + zero;
    if (!(x > lowest[p->type])) x = lowest[p->type];
    return x < highest[p->type] ? x : highest[p->type];
}

static size_t inner_size(const quantize_params *p, const attn_run_context *c)
{
    const attn_shape *x = &c->in[0].shape;
    bool single = c->in[1].count == 1 && (p->inputs == 2 || c->in[2].count == 1);
    if (single || x->rank == 0) return attn_last(x);
    return attn_span(x, (int)(p->axis < 0 ? p->axis + x->rank : p->axis) + 1, x->rank);
}

static void quantize_task(const attn_run_context *c, const void *params, size_t item, size_t first,
                          size_t end, size_t worker)
{
    const quantize_params *p = params;
    const attn_shape *x = &c->in[0].shape;
    size_t inner = inner_size(p, c), step, zero_step = 0;
    bool whole = x->dtype == ATTN_I32;
    (void)worker;
    for (size_t row = first; row < end; row++) {
        const float *scale = attn_item(&c->in[1], item) + place(p, x, &c->in[1], row, inner, &step);
        const int32_t *zero = p->inputs < 3 ? NULL
                                            : attn_item_i32(&c->in[2], item) +
                                                  place(p, x, &c->in[2], row, inner, &zero_step);
        const float *from = attn_item(&c->in[0], item) + row * inner;
        const int32_t *integers = attn_item_i32(&c->in[0], item) + row * inner;
        float *to = attn_item(&c->out[0], item) + row * inner;
        int32_t *codes = attn_item_i32(&c->out[0], item) + row * inner;
        for (size_t i = 0; i < inner; i++) {
            if (p->back && !step && !zero_step) { /* the usual case, for the compiler to see */
                float s = *scale, z = zero ? (float)*zero : 0;
                for (; whole && i < inner; i++) to[i] = ((float)integers[i] - z) * s;
                for (; i < inner; i++) to[i] = (from[i] - z) * s;
                break;
            }
            float y = one(p, whole ? (float)integers[i] : from[i], scale[i * step],
                          zero ? (float)zero[i * zero_step] : 0);
            if (p->back)
                to[i] = y;
            else
                codes[i] = (int32_t)y;
        }
    }
}

static void quantize_run(const attn_run_context *c, const void *params)
{
    size_t inner = inner_size(params, c);
    attn_each_rows(c, params, c->in[0].count / inner, attn_grain(4 * inner), quantize_task);
}

/* ---- dynamic_quantize_linear --------------------------------------------------------------- */

static attn_status dynamic_parse(attn_reader *r, void *params)
{
    (void)params;
    ATTN_TRY(attn_need_inputs(r, 1, 1, NULL));
    return attn_need_outputs(r, 3, 3, NULL);
}

static attn_status dynamic_infer(attn_infer *c, const void *params)
{
    (void)params;
    ATTN_TRY(attn_want_filled(c, 0, ATTN_F32, 0, ATTN_MAX_RANK));
    c->out[0] = c->in[0];
    c->out[0].dtype = ATTN_I32;
    c->out[1] = (attn_shape){.dtype = ATTN_F32};
    c->out[2] = (attn_shape){.dtype = ATTN_I32};
    return ATTN_OK;
}

static void dynamic_run(const attn_run_context *c, const void *params)
{
    const quantize_params p = {.back = false};
    (void)params;
    for (size_t item = 0; item < c->batch; item++) {
        const float *x = attn_item(&c->in[0], item);
        float low = 0, high = 0;
        for (size_t i = 0; i < c->in[0].count; i++) {
            if (x[i] < low) low = x[i];
            if (x[i] > high) high = x[i];
        }
        float scale = high > low ? (high - low) / 255 : 1;
        float zero = one(&p, -low, scale, 0);
        *attn_item(&c->out[1], item) = scale;
        *attn_item_i32(&c->out[2], item) = (int32_t)zero;
        int32_t *y = attn_item_i32(&c->out[0], item);
        for (size_t i = 0; i < c->in[0].count; i++) y[i] = (int32_t)one(&p, x[i], scale, zero);
    }
}

#define QUANTIZE(name)                                                                             \
    const attn_layer attn_layer_##name = {                                                         \
        #name,        ATTN_STEP_SHARED, 0,           sizeof(quantize_params),                      \
        name##_parse, quantize_infer,   quantize_run};
QUANTIZE(quantize_linear)
QUANTIZE(dequantize_linear)
const attn_layer attn_layer_dynamic_quantize_linear = {
    "dynamic_quantize_linear", ATTN_STEP_SHARED, 0, 1, dynamic_parse, dynamic_infer, dynamic_run};
