/* Panels of every type, of every level, against their definition in kernels.h and
 * panels.inc, computed here: bit for bit. */
#include "tests/kernels/kernels_test.h"

#define MAX_N 150
#define MAX_K 600
#define SMALL 20000 /* floats of one operand */
#define LARGE (MAX_K * MAX_N + 4096)

static guarded small[6], large[6], *mem = small;
static float *x, *w, *widened, *want, *residual;

static int setup(void **state)
{
    for (size_t i = 0; i < COUNT(small); i++) {
        small[i] = guarded_new(SMALL);
        large[i] = guarded_new(LARGE);
    }
    float **all[] = {&x, &w, &widened, &want, &residual};
    for (size_t i = 0; i < COUNT(all); i++)
        assert_non_null(*all[i] = malloc(LARGE * sizeof(float)));
    return print_levels(state);
}

static int teardown(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(small); i++) {
        guarded_free(&small[i]);
        guarded_free(&large[i]);
    }
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
    if (type == ATTN_PANEL_F32) return a;
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
            if (g->row_bias) a += g->row_bias[i];
            want[i * g->n + j] = a;
        }
    }
    scalar()->unary(g->unary, want, want, g->m * g->n);
    for (size_t i = 0; i < g->m * g->n && g->residual; i++) want[i] += g->residual[i];
}

/* ---- the tests --------------------------------------------------------------------------- */

static const char *const types[ATTN_PANEL_PACKED] = {"f32", "bf16", "bf16_dot", "f16", "i8", "i4"};

/* In mem[1], whose guards are checked. */
static char *quantised_rows(const attn_kernels *kernels, attn_panel_type type, size_t m, size_t k,
                            int place)
{
    size_t bytes = kernels->row_bytes(type, k), floats = m * bytes / sizeof(float);
    assert_true(bytes > 0 && bytes % 64 == 0);
    char *rows = (char *)guarded_place(&mem[1], floats, place);
    for (size_t i = 0; i < m; i++) {
        float *row = guarded_copy(&mem[2], x + i * k, k, place);
        kernels->quantize(type, rows + i * bytes, row, k);
    }
    guarded_check("quantize", kernels, &mem[1], (float *)(void *)rows, floats);
    return rows;
}

/* Rows of `columns` floats with canaries between them. */
static float *place_rows(guarded *memory, const float *from, size_t rows, size_t columns,
                         size_t stride, int place)
{
    float *p = guarded_place(memory, rows ? (rows - 1) * stride + columns : 0, place);
    for (size_t r = 0; r < rows && columns; r++)
        memcpy(p + r * stride, from + r * columns, columns * sizeof(float));
    return p;
}

enum { COLUMN_BIAS = 1, ROW_BIAS = 2, RESIDUAL = 4, IN_PLACE = 8, OPTIONS = 16 };

/* The operands of g on one level, and the product. */
static void run_product(const attn_kernels *kernels, attn_gemm g, unsigned options, int place)
{
    size_t bytes = 0, ldy = g.n + draw() % 3, k = g.k, room;
    assert_true(attn_packed_bytes(kernels, g.type, k, g.n, &bytes));
    room = (bytes + 3) / 4;
    char *packed = (char *)guarded_place(&mem[0], room, place);
    kernels->pack(g.type, packed, w, k, g.n, g.n, 1);
    guarded_check("pack", kernels, &mem[0], (float *)(void *)packed, room);
    g.w = packed;
    if (k && kernels->row_bytes(g.type, k)) {
        g.rows = quantised_rows(kernels, g.type, g.m, k, place);
        g.x = NULL;
    } else {
        g.ldx = k + draw() % 3;
        g.x = place_rows(&mem[1], x, g.m, k, g.ldx, place);
    }
    if (g.column_bias) g.column_bias = guarded_copy(&mem[2], residual, g.n, place);
    if (g.row_bias) g.row_bias = guarded_copy(&mem[5], residual, g.m, place);
    g.ldy = ldy;
    if (options & IN_PLACE && g.residual) {
        g.residual = g.y = place_rows(&mem[3], residual, g.m, g.n, ldy, place);
        g.ldr = ldy;
    } else {
        g.y = guarded_place(&mem[3], (g.m - 1) * ldy + g.n, place);
        g.ldr = g.n + draw() % 3;
        if (g.residual) g.residual = place_rows(&mem[4], residual, g.m, g.n, g.ldr, place);
    }
    kernels->gemm(&g);
    for (size_t i = 0; i < g.m * g.n; i++) {
        float got = g.y[i / g.n * ldy + i % g.n];
        if (!same(got, want[i]))
            fail_msg("%s, %s, [%zu, %zu] x [%zu, %zu], unary %d, options %u: y[%zu, %zu] is %a, "
                     "not %a",
                     kernels->name, types[g.type], g.m, k, k, g.n, (int)g.unary, options, i / g.n,
                     i % g.n, (double)got, (double)want[i]);
    }
    guarded_check_rows(types[g.type], kernels, &mem[3], g.y, g.m, g.n, ldy);
}

static void check_product(attn_panel_type type, size_t m, size_t n, size_t k, attn_unary unary,
                          unsigned options, int kind)
{
    float scale[MAX_N];
    draw_values(x, m * k, kind);
    draw_values(w, k * n, kind);
    draw_values(residual, m * n, kind);
    define(type, k, n, scale);
    attn_gemm g = {.m = m, .n = n, .k = k, .type = type, .scale = 1, .unary = unary};
    if (options & ROW_BIAS) g.scale = 0.75f;
    g.column_bias = options & COLUMN_BIAS ? residual : NULL;
    g.row_bias = options & ROW_BIAS ? residual : NULL;
    g.residual = options & RESIDUAL ? residual : NULL;
    reference(&g, scale);
    int place = (int)(draw() % 2 ? FLUSH : draw() % PLACES);
    FOR_LEVELS(kernels) run_product(kernels, g, options, place);
}

static void check_shape(attn_panel_type type, size_t m, size_t n, size_t k)
{
    static const attn_unary unaries[] = {ATTN_IDENTITY, ATTN_IDENTITY, ATTN_GELU, ATTN_RELU};
    check_product(type, m, n, k, unaries[draw() % COUNT(unaries)], draw() % OPTIONS,
                  draw() % 4 ? ORDINARY : (int)(draw() % VALUE_KINDS));
}

/* Every number of rows of a tile and of two, every tail of a panel and of the panels that one row
 * takes at a time, every k around a group, and around the blocks. */
static void test_products(void **state)
{
    (void)state;
    static const size_t ns[] = {1,  2,  7,  8,  9,  15, 16, 17,  31,  32,  33,
                                47, 48, 63, 64, 65, 95, 97, 127, 128, 130, 149};
    static const size_t ks[] = {1, 2, 3, 4, 5, 31, 32, 33, 64, 65};
    static const size_t long_ks[] = {127, 255, 256, 257, 300, 511, 512, 513, 600};
    for (int t = 0; t < ATTN_PANEL_PACKED; t++) {
        attn_panel_type type = (attn_panel_type)t;
        for (size_t m = 1; m <= 29; m++)
            for (size_t i = 0; i < 6; i++)
                check_shape(type, m, ns[draw() % COUNT(ns)], ks[draw() % COUNT(ks)]);
        for (size_t i = 0; i < COUNT(ns); i++)
            for (size_t m = 1; m < 17; m += m < 3 ? 1 : 6)
                check_shape(type, m, ns[i], ks[draw() % COUNT(ks)]);
        for (size_t k = 0; k <= 70; k++)
            for (size_t m = 1; m < 17; m += 5) check_shape(type, m, ns[draw() % COUNT(ns)], k);
        mem = large;
        for (size_t i = 0; i < COUNT(long_ks); i++)
            for (size_t m = 1; m < 32; m += 15) check_shape(type, m, 1 + draw() % 140, long_ks[i]);
        mem = small;
    }
}

/* Every end of a product. */
static void test_options(void **state)
{
    (void)state;
    for (int t = 0; t < ATTN_PANEL_PACKED; t++)
        for (unsigned options = 0; options < OPTIONS; options++)
            for (int op = 0; op < ATTN_UNARY_COUNT; op++)
                check_product((attn_panel_type)t, 1 + draw() % 15, 1 + draw() % 70, 1 + draw() % 40,
                              (attn_unary)op, options, (int)(draw() % VALUE_KINDS));
}

/* A row gives the same alone and among others, wherever it stands. */
static void test_rows_alone(void **state)
{
    (void)state;
    enum { M = 33, N = 150, K = 131 };
    float *y = want, *alone = residual;
    draw_values(x, M * K, ORDINARY);
    draw_values(w, K * N, ORDINARY);
    FOR_LEVELS(kernels)
    {
        for (int t = 0; t < ATTN_PANEL_PACKED; t++) {
            attn_panel_type type = (attn_panel_type)t;
            size_t bytes = 0, row = kernels->row_bytes(type, K);
            assert_true(attn_packed_bytes(kernels, type, K, N, &bytes));
            char *packed = aligned_alloc(64, (bytes + 63) / 64 * 64), *rows = NULL;
            kernels->pack(type, packed, w, K, N, N, 1);
            if (row) assert_non_null(rows = aligned_alloc(64, M * row));
            for (size_t i = 0; i < M && row; i++)
                kernels->quantize(type, rows + i * row, x + i * K, K);
            attn_gemm g = {.m = M, .n = N, .k = K, .x = x, .ldx = K, .rows = rows, .type = type};
            g.w = packed;
            g.y = y;
            g.ldy = N;
            g.scale = 1;
            kernels->gemm(&g);
            for (size_t m = 1; m < M; m += 2) {
                for (size_t first = 0; first + m <= M; first += m) {
                    g.m = m;
                    g.x = x + first * K;
                    g.rows = row ? rows + first * row : NULL;
                    g.y = alone;
                    kernels->gemm(&g);
                    check_same(types[type], kernels, alone, y + first * N, m * N);
                }
            }
            free(packed);
            free(rows);
        }
    }
}

/* What was packed, widened and packed again is the same, to the bit. */
static void test_again(void **state)
{
    (void)state;
    enum { K = 70, N = 40 };
    static const int kinds[] = {ORDINARY, ANY_BITS};
    float scale[N];
    for (int type = ATTN_PANEL_BF16; type < ATTN_PANEL_PACKED; type++) {
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
        for (int type = 0; type < ATTN_PANEL_PACKED; type++) {
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
        cmocka_unit_test(test_products),   cmocka_unit_test(test_options),
        cmocka_unit_test(test_rows_alone), cmocka_unit_test(test_again),
        cmocka_unit_test(test_sizes),      cmocka_unit_test(test_extremes),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
