/* The functions of math.inc against the C library in double, over floats of every exponent, and
 * at the values where they change their kind. The bounds are those that math.inc states. */
#include "tests/kernels/kernels_test.h"

#define STRIDE 1009 /* a prime: every 1009th float, by its bits */
#define BLOCK 4096

static double sigmoid(double x)
{
    return x < 0 ? exp(x) / (1 + exp(x)) : 1 / (1 + exp(-x));
}
static double gelu(double x)
{
    return x / 2 * erfc(-x / sqrt(2));
}
static double gelu_tanh(double x)
{
    return x * sigmoid(2 * sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x));
}
static double quick_gelu(double x)
{
    return x * sigmoid(1.702 * x);
}
static double silu(double x)
{
    return x * sigmoid(x);
}
static double relu(double x)
{
    return x > 0 ? x : x != x ? x : 0;
}
static double negative(double x)
{
    return -x;
}
static double square(double x)
{
    return x * x;
}
static double relu6(double x)
{
    return x > 6 ? 6 : relu(x);
}
static double hard_swish(double x)
{
    double part = x / 6 + 0.5;
    return x * (part < 0 ? 0 : part > 1 ? 1 : part);
}
static double identity(double x)
{
    return x;
}

/* |got - f(x)| <= ulp units in the last place + absolute */
static const struct {
    attn_unary op;
    const char *name;
    double (*f)(double);
    double ulp, absolute;
} functions[] = {
    {ATTN_IDENTITY, "identity", identity, 0, 0},
    {ATTN_RELU, "relu", relu, 0, 0},
    {ATTN_GELU, "gelu", gelu, 1, 5e-7},
    {ATTN_GELU_TANH, "gelu_tanh", gelu_tanh, 1, 5e-7},
    {ATTN_QUICK_GELU, "quick_gelu", quick_gelu, 2, 5e-7},
    {ATTN_SILU, "silu", silu, 2, 5e-7},
    {ATTN_TANH, "tanh", tanh, 2.6, 0},
    {ATTN_SIGMOID, "sigmoid", sigmoid, 2.5, 0},
    {ATTN_EXP, "exp", exp, 1.1, 0},
    {ATTN_ERF, "erf", erf, 1.2, 0},
    {ATTN_SQRT, "sqrt", sqrt, 0.5, 0},
    {ATTN_NEG, "neg", negative, 0, 0},
    {ATTN_ABS, "abs", fabs, 0, 0},
    {ATTN_SQUARE, "square", square, 0.5, 0},
    {ATTN_RELU6, "relu6", relu6, 0, 0},
    {ATTN_HARD_SWISH, "hard_swish", hard_swish, 2, 5e-7},
};

/* One unit in the last place of a float near x. */
static double unit(double x)
{
    int e;
    frexp(x, &e);
    return ldexp(1, (e < -125 ? -125 : e) - 24);
}

/* The error of `got` in units of the last place, less the absolute error that is allowed. */
static double error_of(size_t f, float x, float got)
{
    double want = functions[f].f(x);
    if (want != want || got != got) return want != want && got != got ? 0 : INFINITY;
    /* Infinite just where the exact result rounds to infinity. */
    if (isinf((float)want) || isinf(got)) return got == (float)want ? 0 : INFINITY;
    double error = fabs(got - want) - functions[f].absolute;
    return error > 0 ? error / unit(want) : 0;
}

static void test_errors(void **state)
{
    (void)state;
    static float x[BLOCK], y[BLOCK], other[BLOCK];
    for (size_t f = 0; f < COUNT(functions); f++) {
        double worst = 0;
        float at = 0;
        for (uint64_t first = 0; first < (uint64_t)1 << 32; first += (uint64_t)BLOCK * STRIDE) {
            for (uint64_t i = 0; i < BLOCK; i++) x[i] = of_bits((uint32_t)(first + i * STRIDE));
            scalar()->unary(functions[f].op, y, x, BLOCK);
            FOR_LEVELS(kernels)
            {
                kernels->unary(functions[f].op, other, x, BLOCK);
                check_same(functions[f].name, kernels, other, y, BLOCK);
            }
            for (size_t i = 0; i < BLOCK; i++) {
                /* x f(x) at -infinity is -infinity * 0 */
                if (isinf(x[i]) && y[i] != y[i]) continue;
                double error = error_of(f, x[i], y[i]);
                if (error > worst) worst = error, at = x[i];
            }
        }
        printf("%s: %.3f ulp beyond %g, at %a\n", functions[f].name, worst, functions[f].absolute,
               (double)at);
        if (!(worst <= functions[f].ulp))
            fail_msg("%s: %g ulp at %a", functions[f].name, worst, (double)at);
    }
}

/* The neighbours of the values where the reduction, the branch or the kind of result changes. */
static void test_edges(void **state)
{
    (void)state;
    static const float edges[] = {
        0,          1e-45f,        1.1754944e-38f, 0.17328680f, 0.34657359f, 0.9f,       1,
        1.2727922f, 3.95f,         5.5861435f,     9.0109f,     10,          17.328680f, 20,
        87.336545f, 88.3763f,      88.722839f,     90,          103.27893f,  103.97208f, 105,
        1e10f,      3.4028235e38f, INFINITY};
    for (size_t f = 0; f < COUNT(functions); f++) {
        for (size_t i = 0; i < COUNT(edges) * 2 * 65; i++) {
            float edge = edges[i / 130], x, y;
            uint32_t u = bits_of(edge) + (uint32_t)(i % 65) - 32;
            if (u > 0x7f800000u) continue;
            x = i % 130 < 65 ? of_bits(u) : -of_bits(u);
            scalar()->unary(functions[f].op, &y, &x, 1);
            if (isinf(x) && y != y) continue;
            double error = error_of(f, x, y);
            if (error > functions[f].ulp)
                fail_msg("%s(%a) = %a: %g ulp", functions[f].name, (double)x, (double)y, error);
        }
    }
}

static void test_special(void **state)
{
    (void)state;
    static const struct {
        attn_unary op;
        float x, y;
    } cases[] = {
        {ATTN_EXP, 0, 1},
        {ATTN_EXP, -0.0f, 1},
        {ATTN_EXP, INFINITY, INFINITY},
        {ATTN_EXP, -INFINITY, 0},
        {ATTN_EXP, 88.722839f, INFINITY}, /* a neighbour of the largest that stays finite */
        {ATTN_EXP, -103.97f, 1e-45f},
        {ATTN_EXP, -103.98f, 0},
        {ATTN_TANH, INFINITY, 1},
        {ATTN_TANH, -INFINITY, -1},
        {ATTN_TANH, -0.0f, -0.0f},
        {ATTN_TANH, 1e-45f, 1e-45f},
        {ATTN_TANH, -3.4e38f, -1},
        {ATTN_ERF, INFINITY, 1},
        {ATTN_ERF, -INFINITY, -1},
        {ATTN_ERF, -0.0f, -0.0f},
        {ATTN_ERF, -1e-45f, -1e-45f},
        {ATTN_ERF, 3.4e38f, 1},
        {ATTN_SIGMOID, INFINITY, 1},
        {ATTN_SIGMOID, -INFINITY, 0},
        {ATTN_SIGMOID, 0, 0.5f},
        {ATTN_GELU, 3.4e38f, 3.4e38f},
        {ATTN_GELU, -3.4e38f, -0.0f},
        {ATTN_GELU, 0, 0},
        {ATTN_GELU, -0.0f, -0.0f},
        {ATTN_GELU, -INFINITY, NAN},
        {ATTN_GELU, INFINITY, INFINITY},
        {ATTN_GELU_TANH, 3.4e38f, 3.4e38f},
        {ATTN_GELU_TANH, -3.4e38f, -0.0f},
        {ATTN_GELU_TANH, 0, 0},
        {ATTN_SILU, INFINITY, INFINITY},
        {ATTN_SILU, -INFINITY, NAN},
        {ATTN_RELU, -0.0f, 0},
        {ATTN_RELU, -INFINITY, 0},
        {ATTN_SQRT, -1, NAN},
        {ATTN_SQRT, -0.0f, -0.0f},
        {ATTN_NEG, 0, -0.0f},
        {ATTN_ABS, -0.0f, 0},
    };
    FOR_LEVELS(kernels)
    {
        for (size_t i = 0; i < COUNT(cases); i++) {
            float y;
            kernels->unary(cases[i].op, &y, &cases[i].x, 1);
            if (!same(y, cases[i].y))
                fail_msg("%s, op %d: f(%a) = %a, not %a", kernels->name, (int)cases[i].op,
                         (double)cases[i].x, (double)y, (double)cases[i].y);
        }
        for (int op = 0; op < ATTN_UNARY_COUNT; op++) {
            float x = NAN, y = 0;
            kernels->unary((attn_unary)op, &y, &x, 1);
            assert_true(y != y);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_edges),
        cmocka_unit_test(test_special),
    };
    return cmocka_run_group_tests(tests, print_levels, NULL);
}
