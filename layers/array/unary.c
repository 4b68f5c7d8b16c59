/* Functions of one element, y = f(x), x and y of any shape; y may be x where their types are equal.
 * Those that are a kernel by themselves are in shared/activation.c. Here: what is composed of
 * kernels; the rest by libm in double, rounded to f32: what C libraries differ by is far below half
 * a unit of f32. */
#include "layers/support.h"

#include <float.h>
#include <math.h>

/* How it is computed: attn_unary, or one of these. */
enum {
    BY_FUNCTION = ATTN_UNARY_COUNT,
    RECIPROCAL,
    LEAKY_RELU,
    HARD_SIGMOID,
    TESTS, /* f32 -> i32 */
    IS_NAN = TESTS,
    IS_INF,
    INTEGERS, /* i32 -> i32 */
    NOT = INTEGERS,
    BIT_NOT,
};

typedef double (*function)(double x, const float *p);

typedef struct unary_params {
    int kind;
    function f;
    float p[2]; /* of f and the kernels */
    bool positive, negative;
} unary_params;

/* ---- the functions ------------------------------------------------------------------------- */

#define PLAIN(name, formula)                                                                       \
    static double f_##name(double x, const float *p)                                               \
    {                                                                                              \
        (void)p;                                                                                   \
        return formula;                                                                            \
    }
#define WITH(name, formula)                                                                        \
    static double f_##name(double x, const float *parameters)                                      \
    {                                                                                              \
        const double alpha = (double)parameters[0], beta = (double)parameters[1];                  \
        (void)beta;                                                                                \
        return formula;                                                                            \
    }

static double softplus(double x)
{
    return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x));
}

PLAIN(ceil, ceil(x))
PLAIN(floor, floor(x))
PLAIN(round, nearbyint(x)) /* halves to even */
PLAIN(sign, x > 0 ? 1 : x < 0 ? -1 : x)
PLAIN(log, log(x))
PLAIN(sin, sin(x))
PLAIN(cos, cos(x))
PLAIN(tan, tan(x))
PLAIN(asin, asin(x))
PLAIN(acos, acos(x))
PLAIN(atan, atan(x))
PLAIN(sinh, sinh(x))
PLAIN(cosh, cosh(x))
PLAIN(asinh, asinh(x))
PLAIN(acosh, acosh(x))
PLAIN(atanh, atanh(x))
PLAIN(softplus, softplus(x))
PLAIN(softsign, x / (1 + fabs(x)))
PLAIN(mish, x *tanh(softplus(x)))
WITH(elu, x < 0 ? alpha * expm1(x) : x)
WITH(celu, x < 0 ? alpha * expm1(x / alpha) : x)
WITH(selu, beta *(x < 0 ? alpha * expm1(x) : x))
WITH(thresholded_relu, x > alpha || x != x ? x : 0)
WITH(shrink, x<-alpha ? x + beta : x> alpha ? x - beta : x != x ? x : 0)

static int32_t one_i32(int kind, int32_t x)
{
    switch (kind) {
    case NOT:
        return !x;
    case BIT_NOT:
        return ~x;
    case ATTN_ABS:
        return x < 0 ? (int32_t)(0 - (uint32_t)x) : x;
    case ATTN_NEG:
        return (int32_t)(0 - (uint32_t)x);
    default: /* sign */
        return (x > 0) - (x < 0);
    }
}

/* ---- parse and infer ----------------------------------------------------------------------- */

static attn_status parse_plain(attn_reader *r, void *params, int kind, function f)
{
    unary_params *p = params;
    p->kind = kind;
    p->f = f;
    ATTN_TRY(attn_need_inputs(r, 1, 1, NULL));
    return attn_need_outputs(r, 1, 1, NULL);
}

/* A parameter of a function: the key, its default, and the least that makes sense. */
typedef struct parameter {
    const char *key;
    float otherwise;
    double min;
} parameter;

static attn_status parse_with(attn_reader *r, void *params, int kind, function f,
                              const parameter *parameters, int count)
{
    unary_params *p = params;
    for (int i = 0; i < count; i++) {
        p->p[i] = parameters[i].otherwise;
        ATTN_TRY(
            attn_read_float(r, parameters[i].key, parameters[i].min, (double)FLT_MAX, &p->p[i]));
    }
    return parse_plain(r, params, kind, f);
}

/* Has the function a meaning for i32? */
static bool takes_i32(const unary_params *p)
{
    return p->kind >= INTEGERS || p->kind == ATTN_ABS || p->kind == ATTN_NEG || p->f == f_sign;
}

static attn_status unary_infer(attn_infer *c, const void *params)
{
    const unary_params *p = params;
    bool integer = p->kind >= INTEGERS || (c->in[0].dtype == ATTN_I32 && takes_i32(p));
    ATTN_TRY(attn_want_filled(c, 0, integer ? ATTN_I32 : ATTN_F32, 0, ATTN_MAX_RANK));
    c->out[0] = c->in[0];
    if (p->kind >= TESTS) c->out[0].dtype = ATTN_I32;
    return ATTN_OK;
}

/* ---- run ----------------------------------------------------------------------------------- */

static void test_row(const unary_params *p, int32_t *y, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = p->kind == IS_NAN
                   ? x[i] != x[i]
                   : (p->positive && x[i] == INFINITY) || (p->negative && x[i] == -INFINITY);
}

static void float_row(const attn_kernels *k, const unary_params *p, float *y, const float *x,
                      size_t n)
{
    const float zero = 0, one = 1;
    switch (p->kind) {
    case BY_FUNCTION:
        for (size_t i = 0; i < n; i++) y[i] = (float)p->f((double)x[i], p->p);
        break;
    case RECIPROCAL:
        k->binary(ATTN_BIN_DIV, y, &one, 0, x, 1, n);
        break;
    case HARD_SIGMOID: /* max(0, min(1, alpha x + beta)) */
        k->fma(y, x, 1, &p->p[0], 0, &p->p[1], 0, n);
        k->binary(ATTN_BIN_MIN, y, y, 1, &one, 0, n);
        k->binary(ATTN_BIN_MAX, y, y, 1, &zero, 0, n);
        break;
    default:
        k->unary((attn_unary)p->kind, y, x, n);
    }
}

enum { PIECE = 1024 }; /* elements that stay near from step to step */

/* max(x, alpha x) if alpha <= 1, else min(x, alpha x) */
static void leaky_row(const attn_kernels *k, const unary_params *p, float *y, const float *x,
                      size_t n)
{
    float part[PIECE];
    k->binary(ATTN_BIN_MUL, part, x, 1, &p->p[0], 0, n);
    k->binary(p->p[0] <= 1 ? ATTN_BIN_MAX : ATTN_BIN_MIN, y, x, 1, part, 1, n);
}

static void unary_task(const attn_run_context *c, const void *params, size_t item, size_t first,
                       size_t end, size_t worker)
{
    (void)worker;
    const unary_params *p = params;
    const float *x = attn_item(&c->in[0], item);
    float *y = attn_item(&c->out[0], item);
    const int32_t *integers = attn_item_i32(&c->in[0], item);
    for (size_t i = first; i < end; i += PIECE) {
        size_t n = end - i < PIECE ? end - i : PIECE;
        if (c->in[0].shape.dtype == ATTN_I32)
            for (size_t j = i; j < i + n; j++)
                attn_item_i32(&c->out[0], item)[j] = one_i32(p->kind, integers[j]);
        else if (p->kind >= TESTS)
            test_row(p, attn_item_i32(&c->out[0], item) + i, x + i, n);
        else if (p->kind == LEAKY_RELU)
            leaky_row(c->kernels, p, y + i, x + i, n);
        else
            float_row(c->kernels, p, y + i, x + i, n);
    }
}

static void unary_run(const attn_run_context *c, const void *params)
{
    attn_each_rows(c, params, c->out[0].count, 4096, unary_task);
}

/* ---- the layers ---------------------------------------------------------------------------- */

#define UNARY_LAYER(word, flags)                                                                   \
    const attn_layer attn_layer_##word = {#word,        ATTN_STEP_SHARED,                          \
                                          flags,        sizeof(unary_params),                      \
                                          parse_##word, unary_infer,                               \
                                          unary_run};

#define UNARY(word, kind, f)                                                                       \
    static attn_status parse_##word(attn_reader *r, void *params)                                  \
    {                                                                                              \
        return parse_plain(r, params, kind, f);                                                    \
    }                                                                                              \
    UNARY_LAYER(word, ATTN_IN_PLACE)

#define KERNEL(word, kind) UNARY(word, kind, NULL)
#define FUNCTION(word) UNARY(word, BY_FUNCTION, f_##word)

#define PARAMETERS(word, kind, f, count, ...)                                                      \
    static attn_status parse_##word(attn_reader *r, void *params)                                  \
    {                                                                                              \
        static const parameter parameters[count] = {__VA_ARGS__};                                  \
        return parse_with(r, params, kind, f, parameters, count);                                  \
    }                                                                                              \
    UNARY_LAYER(word, ATTN_IN_PLACE)

#define ANY (-(double)FLT_MAX)

KERNEL(abs, ATTN_ABS)
KERNEL(neg, ATTN_NEG)
KERNEL(reciprocal, RECIPROCAL)
KERNEL(not, NOT)
KERNEL(bit_not, BIT_NOT)
FUNCTION(ceil)
FUNCTION(floor)
FUNCTION(round)
FUNCTION(sign)
FUNCTION(log)
FUNCTION(sin)
FUNCTION(cos)
FUNCTION(tan)
FUNCTION(asin)
FUNCTION(acos)
FUNCTION(atan)
FUNCTION(sinh)
FUNCTION(cosh)
FUNCTION(asinh)
FUNCTION(acosh)
FUNCTION(atanh)
FUNCTION(softplus)
FUNCTION(softsign)
FUNCTION(mish)
PARAMETERS(leaky_relu, LEAKY_RELU, NULL, 1, {"alpha", 0.01f, ANY})
PARAMETERS(hard_sigmoid, HARD_SIGMOID, NULL, 2, {"alpha", 0.2f, ANY}, {"beta", 0.5f, ANY})
PARAMETERS(elu, BY_FUNCTION, f_elu, 1, {"alpha", 1, ANY})
PARAMETERS(celu, BY_FUNCTION, f_celu, 1, {"alpha", 1, 1e-6})
PARAMETERS(selu, BY_FUNCTION, f_selu, 2, {"alpha", 1.6732632423543772f, ANY},
           {"gamma", 1.0507009873554805f, ANY})
PARAMETERS(thresholded_relu, BY_FUNCTION, f_thresholded_relu, 1, {"alpha", 1, ANY})
PARAMETERS(shrink, BY_FUNCTION, f_shrink, 2, {"lambda", 0.5f, ANY}, {"bias", 0, ANY})

static attn_status parse_is_nan(attn_reader *r, void *params)
{
    return parse_plain(r, params, IS_NAN, NULL);
}
UNARY_LAYER(is_nan, 0)

static attn_status parse_is_inf(attn_reader *r, void *params)
{
    unary_params *p = params;
    p->positive = p->negative = true;
    ATTN_TRY(attn_read_bool(r, "positive", &p->positive));
    ATTN_TRY(attn_read_bool(r, "negative", &p->negative));
    return parse_plain(r, params, IS_INF, NULL);
}
UNARY_LAYER(is_inf, 0)
