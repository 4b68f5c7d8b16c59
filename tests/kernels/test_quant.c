/* Panels of BF16, F16, I8 and I4 of every level against their definition in kernels.h and
 * panels.inc, computed here: bit for bit. */
#include "tests/kernels/kernels_test.h"

#define MAX_M 20
#define MAX_N 150
#define MAX_K 600
#define SIZE (MAX_K * MAX_N)

static guarded mem[6];
static float *x, *w, *widened, *want, *residual;

static int setup(void **state)
{
    for (size_t i = 0; i < COUNT(mem); i++) mem[i] = guarded_new(SIZE + 4096);
    float **all[] = {&x, &w, &widened, &want, &residual};
    for (size_t i = 0; i < COUNT(all); i++) assert_non_null(*all[i] = malloc(SIZE * sizeof(float)));
    return print_levels(state);
}

static int teardown(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(mem); i++) guarded_free(&mem[i]);
    float *all[] = {x, w, widened, want, residual};
    for (size_t i = 0; i < COUNT(all); i++) free(all[i]);
    return 0;
}

/* ---- the definition ---------------------------------------------------------------------- */

/* a with `bits` bits of mantissa and no exponent below `least`, rounded to nearest even. */
static double round_to(double a, int bits, int least)
{
    int exponent;
    if (a == 0 || !isfinite(a)) return a;
    frexp(a, &exponent);
    int shift = exponent - bits < least ? least : exponent - bits;
    return ldexp(nearbyint(ldexp(a, -shift)), shift);
}

static float rounded(attn_panel_type type, float a)
{
    if (isnan(a)) return NAN;
    if (type == ATTN_PANEL_BF16_DOT && fabsf(a) < 0x1p-56f) return 0;
    if (type != ATTN_PANEL_F16) return (float)round_to((double)a, 8, -133);
    double b = round_to((double)a, 11, -24);
    return (float)(fabs(b) >= 65536 ? copysign(INFINITY, b) : b);
}

/* The least number of `bits` bits that is not below max / most. */
static float scale_of(float max, int most, int bits)
{
    if (!isfinite(max)) return NAN;
    if (max < 0x1p-100f) return 0;
    int exponent;
    double quotient = (double)(max / (float)most);
    frexp(quotient, &exponent);
    float scale = (float)ldexp(ceil(ldexp(quotient, bits - exponent)), exponent - bits);
    return scale * (float)most < 0x1p127f ? scale : NAN;
}

static float max_of(const float *p, size_t n, size_t stride)
{
    float max = 0;
    for (size_t i = 0; i < n; i++) {
        if (isnan(p[i * stride])) return NAN;
        if (fabsf(p[i * stride]) > max) max = fabsf(p[i * stride]);
    }
    return max;
}

/* The integers of n values, and what they stand for in `out`. */
static float quantise(float *out, const float *p, size_t n, size_t stride, int most, int bits)
{
    float scale = scale_of(max_of(p, n, stride), most, bits), inverse = 1 / scale;
    for (size_t i = 0; i < n; i++)
        out[i * stride] =
            scale > 0 ? (float)(int)nearbyint((double)p[i * stride] * (double)inverse) * scale
                      : scale;
    return scale;
}

/* w: [k, n] as a panel of this type holds it; scale: [n], of I8. */
static void define(attn_panel_type type, size_t k, size_t n, float *scale)
{
    for (size_t j = 0; j < n; j++) {
        if (type == ATTN_PANEL_I8) {
            scale[j] = quantise(widened + j, w + j, k, n, 127, 16);
        } else if (type == ATTN_PANEL_I4) {
            for (size_t i = 0; i < k; i += ATTN_I4_GROUP)
                quantise(widened + i * n + j, w + i * n + j,
                         k - i < ATTN_I4_GROUP ? k - i : ATTN_I4_GROUP, n, 7, 8);
        } else {
            for (size_t i = 0; i < k; i++) widened[i * n + j] = rounded(type, w[i * n + j]);
        }
    }
}

/* The integer that stands behind a widened value. */
static int32_t integer(float value, float scale)
{
    return scale > 0 ? (int32_t)nearbyintf(value / scale) : 0;
}

static float product_i8(const float *row, size_t k, size_t n, size_t j, float scale)
{
    float max = max_of(row, k, 1);
    float row_scale = !isfinite(max) ? NAN : max < 0x1p-100f ? 0 : max / 127;
    int64_t sum = 0;
    for (size_t i = 0; i < k && row_scale > 0; i++)
        sum += (int64_t)nearbyint((double)row[i] * (double)(127 / max)) *
               integer(widened[i * n + j], scale);
    return (float)sum * row_scale * scale;
}

/* The order of BF16_DOT. */
static float product_bf16(const float *row, size_t k, size_t n, size_t j)
{
    float sum = 0;
    for (size_t i = 0; i < k + k % 2; i++) {
        size_t at = i ^ 1;
        if (at < k) sum = fmaf(rounded(ATTN_PANEL_BF16_DOT, row[at]), widened[at * n + j], sum);
    }
    return sum;
}

static void reference(const attn_gemm *g, const float *scale)
{
    for (size_t i = 0; i < g->m; i++) {
        for (size_t j = 0; j < g->n; j++) {
            float a = 0;
            if (g->type == ATTN_PANEL_I8)
                a = product_i8(x + i * g->k, g->k, g->n, j, scale[j]);
            else if (g->type == ATTN_PANEL_BF16_DOT)
                a = product_bf16(x + i * g->k, g->k, g->n, j);
            else
                for (size_t k = 0; k < g->k; k++)
                    a = fmaf(x[i * g->k + k], widened[k * g->n + j], a);
            a *= g->scale;
            if (g->column_bias) a += g->column_bias[j];
            want[i * g->n + j] = a;
        }
    }
    scalar()->unary(g->unary, want, want, g->m * g->n);
    for (size_t i = 0; i < g->m * g->n && g->residual; i++) want[i] += g->residual[i];
}

/* ---- the tests --------------------------------------------------------------------------- */

static const char *const types[ATTN_PANEL_TYPES] = {"f32", "bf16", "bf16_dot", "f16", "i8", "i4"};

static char *quantised_rows(const attn_kernels *kernels, attn_panel_type type, size_t m, size_t k,
                            int place)
{
    size_t bytes = kernels->row_bytes(type, k);
    assert_true(bytes > 0 && bytes % 64 == 0);
    char *rows = (char *)guarded_place(&mem[1], m * bytes / sizeof(float), place);
    for (size_t i = 0; i < m; i++) {
        float *row = guarded_copy(&mem[2], x + i * k, k, place);
        kernels->quantize(type, rows + i * bytes, row, k);
    }
    return rows;
}

static void check_product(attn_panel_type type, size_t m, size_t n, size_t k, unsigned round,
                          int kind)
{
    static const attn_unary unaries[] = {ATTN_IDENTITY, ATTN_GELU, ATTN_RELU};
    float scale[MAX_N];
    draw_values(x, m * k, kind);
    draw_values(w, k * n, kind);
    draw_values(residual, m * n, kind);
    define(type, k, n, scale);
    attn_gemm g = {.m = m, .n = n, .k = k, .x = x, .ldx = k, .type = type, .ldr = n};
    g.scale = round % 2 ? 0.75f : 1;
    g.unary = unaries[round % COUNT(unaries)];
    if (round % 4 > 1) g.column_bias = residual;
    if (round % 5 > 2) g.residual = residual;
    reference(&g, scale);
    FOR_LEVELS(kernels)
    {
        size_t bytes = 0;
        int place = (int)(round % PLACES);
        assert_true(attn_packed_bytes(kernels, type, k, n, &bytes));
        attn_gemm h = g;
        char *packed = (char *)guarded_place(&mem[0], (bytes + 3) / 4, place);
        kernels->pack(type, packed, w, k, n, n, 1);
        guarded_check("pack", kernels, &mem[0], (float *)(void *)packed, (bytes + 3) / 4);
        h.w = packed;
        if (kernels->row_bytes(type, k))
            h.rows = quantised_rows(kernels, type, m, k, place);
        else
            h.x = guarded_copy(&mem[1], x, m * k, place);
        h.y = guarded_place(&mem[3], m * n, place);
        h.ldy = n;
        kernels->gemm(&h);
        check_same(types[type], kernels, h.y, want, m * n);
        guarded_check(types[type], kernels, &mem[3], h.y, m * n);
    }
}

static void test_products(void **state)
{
    (void)state;
    static const size_t ms[] = {1, 2, 5, 6, 7, 13, 20}, ns[] = {1, 15, 16, 33, 64, 65, 130},
                        ks[] = {1, 2, 3, 31, 32, 33, 64, 65, 257, 600};
    unsigned round = 0;
    for (int type = ATTN_PANEL_BF16; type < ATTN_PANEL_TYPES; type++)
        for (size_t i = 0; i < COUNT(ms); i++)
            for (size_t j = 0; j < COUNT(ns); j++)
                for (size_t l = 0; l < COUNT(ks); l++, round++)
                    if (round % 3 == 0 || l == COUNT(ks) - 1)
                        check_product((attn_panel_type)type, ms[i], ns[j], ks[l], round,
                                      round % 7 == 0 ? ANY_BITS : ORDINARY);
}

/* What was packed, widened and packed again is the same, to the bit. */
static void test_again(void **state)
{
    (void)state;
    enum { K = 70, N = 40 };
    static const int kinds[] = {ORDINARY, ANY_BITS};
    float scale[N];
    for (int type = ATTN_PANEL_BF16; type < ATTN_PANEL_TYPES; type++) {
        for (unsigned round = 0; round < 40; round++) {
            draw_values(w, K * N, kinds[round % 2]);
            for (size_t i = 0; i < K * N && round % 2; i++)
                if (!(fabsf(w[i]) < 0x1p126f)) w[i] = 0;
            define((attn_panel_type)type, K, N, scale);
            FOR_LEVELS(kernels)
            {
                size_t bytes = 0;
                assert_true(attn_packed_bytes(kernels, (attn_panel_type)type, K, N, &bytes));
                char *first = calloc(1, bytes), *again = calloc(1, bytes);
                kernels->pack((attn_panel_type)type, first, w, K, N, N, 1);
                kernels->pack((attn_panel_type)type, again, widened, K, N, N, 1);
                assert_memory_equal(first, again, bytes);
                free(first);
                free(again);
            }
        }
    }
}

static void test_sizes(void **state)
{
    (void)state;
    FOR_LEVELS(kernels)
    {
        for (int type = 0; type < ATTN_PANEL_TYPES; type++) {
            assert_int_equal(kernels->panel_bytes((attn_panel_type)type, SIZE_MAX), 0);
            assert_true(kernels->panel_bytes((attn_panel_type)type, 1000) > 0);
        }
        /* Sums of more products could pass 2^31. */
        assert_true(kernels->panel_bytes(ATTN_PANEL_I8, 133000) > 0);
        assert_int_equal(kernels->panel_bytes(ATTN_PANEL_I8, 133001), 0);
        assert_true(kernels->row_bytes(ATTN_PANEL_I8, SIZE_MAX) == SIZE_MAX);
        assert_int_equal(kernels->row_bytes(ATTN_PANEL_F32, SIZE_MAX), 0);
    }
}

/* The largest sum that can be. */
static void test_extremes(void **state)
{
    (void)state;
    enum { K = 133000 };
    float *row = malloc(K * sizeof *row), y;
    for (size_t i = 0; i < K; i++) row[i] = i % 2 ? -1 : 1;
    FOR_LEVELS(kernels)
    {
        size_t bytes = 0;
        assert_true(attn_packed_bytes(kernels, ATTN_PANEL_I8, K, 1, &bytes));
        void *packed = aligned_alloc(64, bytes),
             *rows = aligned_alloc(64, kernels->row_bytes(ATTN_PANEL_I8, K));
        kernels->pack(ATTN_PANEL_I8, packed, row, K, 1, 1, K);
        kernels->quantize(ATTN_PANEL_I8, rows, row, K);
        attn_gemm g = {.m = 1,
                       .n = 1,
                       .k = K,
                       .type = ATTN_PANEL_I8,
                       .w = packed,
                       .rows = rows,
                       .y = &y,
                       .ldy = 1,
                       .scale = 1};
        kernels->gemm(&g);
        assert_true(fabsf(y - K) < K * 1e-4f);
        free(packed);
        free(rows);
    }
    free(row);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_products),
        cmocka_unit_test(test_again),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_extremes),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
