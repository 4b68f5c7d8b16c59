/* gemm and pack of every level against the definition in kernels.h, computed here: bit for bit. */
#include "tests/kernels/kernels_test.h"

#define MAX_ROWS 27
#define MAX_COLUMNS 300
#define SMALL 8192 /* floats of one operand */
#define LARGE 600000

static guarded small[6], large[6], *mem = small;
static float *plain[7];

static int setup(void **state)
{
    for (size_t i = 0; i < COUNT(small); i++) {
        small[i] = guarded_new(SMALL);
        large[i] = guarded_new(i == 5 ? SMALL : LARGE);
    }
    for (size_t i = 0; i < COUNT(plain); i++) {
        plain[i] = malloc(LARGE * sizeof(float));
        assert_non_null(plain[i]);
    }
    return print_levels(state);
}

static int teardown(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(small); i++) {
        guarded_free(&small[i]);
        guarded_free(&large[i]);
    }
    for (size_t i = 0; i < COUNT(plain); i++) free(plain[i]);
    return 0;
}

/* g with w: [k, n], not packed; y: [m, n] with row stride n. */
static void reference(const attn_gemm *g, const float *w, float *y)
{
    for (size_t i = 0; i < g->m; i++) {
        for (size_t j = 0; j < g->n; j++) {
            float a = 0;
            for (size_t k = 0; k < g->k; k++) a = fmaf(g->x[i * g->ldx + k], w[k * g->n + j], a);
            a *= g->scale;
            if (g->column_bias) a += g->column_bias[j];
            if (g->row_bias) a += g->row_bias[i];
            y[i * g->n + j] = a;
        }
    }
    scalar()->unary(g->unary, y, y, g->m * g->n);
    for (size_t i = 0; i < g->m && g->residual; i++)
        for (size_t j = 0; j < g->n; j++) y[i * g->n + j] += g->residual[i * g->ldr + j];
}

static size_t extent(size_t rows, size_t columns, size_t stride)
{
    return rows ? (rows - 1) * stride + columns : 0;
}

/* Rows of `columns` floats with canaries between them, at the end or the front of mem[i]. */
static float *place_rows(int i, const float *x, size_t rows, size_t columns, size_t stride,
                         int place)
{
    float *p = guarded_place(&mem[i], extent(rows, columns, stride), place);
    for (size_t r = 0; r < rows && columns; r++)
        memcpy(p + r * stride, x + r * columns, columns * sizeof(float));
    return p;
}

/* MATRIX: w as it is, with gaps between its rows. */
enum { COLUMN_BIAS = 1, ROW_BIAS = 2, RESIDUAL = 4, IN_PLACE = 8, MATRIX = 16, OPTIONS = 32 };
enum { PIECES = OPTIONS }; /* instead: w in pieces, with its rows and columns from back to front */

/* w: [k, n] in pieces, with gaps between them, at the end or the front of mem[1]. */
static void place_pieces(attn_gemm *g, const attn_kernels *kernels, const float *w, int place)
{
    static size_t offset[LARGE], piece[MAX_COLUMNS];
    size_t width = kernels->piece, pieces = (g->n + width - 1) / width, step = pieces * width + 3;
    float *to = guarded_place(&mem[1], g->k ? g->k * step - 3 : 0, place);
    for (size_t i = 0; i < pieces; i++) piece[i] = (pieces - 1 - i) * width;
    for (size_t t = 0; t < g->k; t++) {
        offset[t] = (g->k - 1 - t) * step;
        for (size_t j = 0; j < pieces * width; j++)
            to[offset[t] + piece[j / width] + j % width] = j < g->n ? w[t * g->n + j] : 1;
    }
    g->w = to;
    g->offset = offset;
    g->piece = piece;
}

static void check_gemm(size_t m, size_t n, size_t k, attn_unary unary, unsigned options, int kind)
{
    float *x = plain[0], *w = plain[1], *columns = plain[2], *rows = plain[3];
    float *residual = plain[4], *want = plain[5], *packed = plain[6];
    draw_values(x, m * k, kind);
    draw_values(w, k * n, kind);
    draw_values(columns, n, kind);
    draw_values(rows, m, kind);
    draw_values(residual, m * n, kind);
    attn_gemm g = {.m = m, .n = n, .k = k, .x = x, .ldx = k, .ldr = n, .unary = unary};
    g.scale = options & ROW_BIAS ? 0.125f : 1;
    g.column_bias = options & COLUMN_BIAS ? columns : NULL;
    g.row_bias = options & ROW_BIAS ? rows : NULL;
    g.residual = options & RESIDUAL ? residual : NULL;
    reference(&g, w, want);

    size_t ldx = k + draw() % 3, ldy = n + draw() % 3, ldr = n + draw() % 3;
    size_t ldw = n + draw() % 3;
    int place = (int)(draw() % 2 ? FLUSH : draw() % PLACES);
    FOR_LEVELS(kernels)
    {
        size_t floats;
        assert_true(attn_packed_floats(kernels, k, n, &floats) && floats <= LARGE);
        kernels->pack(ATTN_PANEL_F32, packed, w, k, n, n, 1);
        attn_gemm h = g;
        h.ldx = ldx;
        h.ldy = ldy;
        h.ldr = ldr;
        h.x = place_rows(0, x, m, k, ldx, place);
        if (options & PIECES) {
            place_pieces(&h, kernels, w, place);
        } else if (options & MATRIX && ldw) {
            h.w = place_rows(1, w, k, n, ldw, place);
            h.ldw = ldw;
        } else {
            h.w = place_rows(1, packed, floats > 0, floats, floats, place);
        }
        if (g.column_bias) h.column_bias = place_rows(2, columns, n > 0, n, n, place);
        if (g.row_bias) h.row_bias = place_rows(3, rows, m > 0, m, m, place);
        if (g.residual) h.residual = place_rows(4, residual, m, n, ldr, place);
        h.y = guarded_place(&mem[5], extent(m, n, ldy), place);
        if (g.residual && options & IN_PLACE) {
            h.y = place_rows(5, residual, m, n, ldy, place);
            h.residual = h.y;
            h.ldr = ldy;
        }
        kernels->gemm(&h);
        for (size_t i = 0; i < m; i++) {
            for (size_t j = 0; j < n; j++) {
                if (!same(h.y[i * ldy + j], want[i * n + j]))
                    fail_msg("%s, [%zu, %zu] x [%zu, %zu], unary %d, options %u: y[%zu, %zu] is "
                             "%a, not %a",
                             kernels->name, m, k, k, n, (int)unary, options, i, j,
                             (double)h.y[i * ldy + j], (double)want[i * n + j]);
            }
        }
        guarded_check_rows("gemm", kernels, &mem[5], h.y, n ? m : 0, n, ldy);
    }
}

/* Every number of rows in a tile and beyond, every tail of a panel. */
static void test_shapes(void **state)
{
    (void)state;
    static const size_t ns[] = {1,  2,  3,  4,  5,  7,  8,  9,  11, 12, 15, 16, 17,  23,  24,
                                25, 31, 32, 33, 40, 47, 48, 49, 63, 64, 65, 96, 127, 128, 130};
    static const size_t ks[] = {0, 1, 2, 3, 8, 17, 40};
    for (size_t m = 1; m <= MAX_ROWS; m++)
        for (size_t n = 0; n < COUNT(ns); n++)
            for (size_t k = 0; k < COUNT(ks); k++)
                check_gemm(m, ns[n], ks[k], ATTN_IDENTITY, draw() % OPTIONS, ORDINARY);
}

static void test_pieces(void **state)
{
    (void)state;
    for (size_t m = 1; m <= MAX_ROWS; m++)
        for (size_t n = 1; n < 100; n += 1 + draw() % 5)
            check_gemm(m, n, draw() % 50, (attn_unary)(draw() % ATTN_UNARY_COUNT),
                       PIECES | draw() % OPTIONS, (int)(draw() % VALUE_KINDS));
    mem = large;
    check_gemm(30, 40, 1100, ATTN_IDENTITY, PIECES | COLUMN_BIAS, ORDINARY);
    check_gemm(250, 20, 600, ATTN_RELU, PIECES | ROW_BIAS, ORDINARY);
    mem = small;
}

static void test_options(void **state)
{
    (void)state;
    for (unsigned options = 0; options < OPTIONS; options++)
        for (int op = 0; op < ATTN_UNARY_COUNT; op++)
            for (int kind = 0; kind < VALUE_KINDS; kind++)
                check_gemm(1 + draw() % 14, 1 + draw() % 70, draw() % 20, (attn_unary)op, options,
                           kind);
}

/* More rows than are cached at once, one row by many panels, and nothing at all. */
static void test_extremes(void **state)
{
    (void)state;
    mem = large;
    check_gemm(30, 40, 6000, ATTN_IDENTITY, COLUMN_BIAS | RESIDUAL, ORDINARY);
    check_gemm(50, 17, 3000, ATTN_IDENTITY, 0, ORDINARY);
    check_gemm(3, 5, 17000, ATTN_IDENTITY, 0, ORDINARY);
    check_gemm(20, 5, 17000, ATTN_IDENTITY, ROW_BIAS, ORDINARY);
    static const size_t ks[] = {511, 512, 513, 1023, 1024, 1025}; /* around the blocks of k ... */
    static const size_t ms[] = {1, 14, 237, 238, 239, 240, 241, 253}; /* ... and of rows */
    for (size_t i = 0; i < COUNT(ks); i++)
        for (size_t j = 0; j < COUNT(ms); j++)
            check_gemm(ms[j], 1 + draw() % 20, ks[i], ATTN_IDENTITY,
                       COLUMN_BIAS | (j % 2 ? MATRIX : RESIDUAL), ORDINARY);
    for (size_t n = 1; n < MAX_COLUMNS; n += 3)
        check_gemm(1 + n % 4, n, 40, ATTN_IDENTITY, MATRIX, ORDINARY);
    for (size_t n = 60; n < MAX_COLUMNS; n += 7)
        check_gemm(1, n, 50, ATTN_GELU, COLUMN_BIAS | RESIDUAL | IN_PLACE, SPECIAL);
    mem = small;
    check_gemm(0, 5, 3, ATTN_IDENTITY, COLUMN_BIAS, ORDINARY);
    check_gemm(5, 0, 3, ATTN_IDENTITY, ROW_BIAS, ORDINARY);
    FOR_LEVELS(kernels) /* k = 0 needs neither x nor w */
    {
        float bias[3] = {1, 2, 3}, y[6] = {0};
        attn_gemm g = {.m = 2, .n = 3, .y = y, .ldy = 3, .scale = 1, .column_bias = bias};
        kernels->gemm(&g);
        for (int i = 0; i < 6; i++) assert_true(y[i] == bias[i % 3]);
    }
}

/* |error| <= k 2^-24 sum |x w|: one rounding per product. */
static void test_errors(void **state)
{
    (void)state;
    const size_t m = 5, n = 33, k = 700;
    float *x = plain[0], *w = plain[1], *packed = plain[2], *y = plain[3];
    draw_values(x, m * k, ORDINARY);
    draw_values(w, k * n, ORDINARY);
    scalar()->pack(ATTN_PANEL_F32, packed, w, k, n, n, 1);
    attn_gemm g = {
        .m = m, .n = n, .k = k, .x = x, .ldx = k, .w = packed, .y = y, .ldy = n, .scale = 1};
    scalar()->gemm(&g);
    for (size_t i = 0; i < m * n; i++) {
        double want = 0, size = 0;
        for (size_t j = 0; j < k; j++) {
            double product = (double)x[i / n * k + j] * (double)w[j * n + i % n];
            want += product;
            size += fabs(product);
        }
        assert_true(fabs(y[i] - want) <= ldexp(size, -24) * (double)k);
    }
}

static void test_pack(void **state)
{
    (void)state;
    static const size_t ns[] = {0, 1, 15, 16, 17, 31, 32, 33, 64, 70};
    FOR_LEVELS(kernels)
    {
        for (size_t round = 0; round < COUNT(ns) * 5 * 4; round++) {
            size_t n = ns[round % COUNT(ns)], k = round / COUNT(ns) % 5 * 9;
            size_t way = round / COUNT(ns) / 5; /* rows, columns, either with gaps */
            size_t stride_k = way == 0 ? n : way == 1 ? 1 : way == 2 ? n + 3 : 2;
            size_t stride_n = way == 0 ? 1 : way == 1 ? k : way == 2 ? 1 : 2 * k + 1;
            size_t size = k && n ? (k - 1) * stride_k + (n - 1) * stride_n + 1 : 0, floats;
            assert_true(attn_packed_floats(kernels, k, n, &floats));
            draw_values(plain[0], size, ANY_BITS);
            for (int place = 0; place < PLACES; place++) {
                float *w = guarded_copy(&mem[0], plain[0], size, (place + 1) % PLACES);
                float *packed = guarded_place(&mem[1], floats, place);
                kernels->pack(ATTN_PANEL_F32, packed, w, k, n, stride_k, stride_n);
                for (size_t f = 0; f < floats; f++) {
                    size_t panel = f / (k * kernels->panel), i = f / kernels->panel % k;
                    size_t j = panel * kernels->panel + f % kernels->panel;
                    float want = j < n ? w[i * stride_k + j * stride_n] : 0;
                    check_same("pack", kernels, packed + f, &want, 1);
                }
                guarded_check("pack", kernels, &mem[1], packed, floats);
            }
        }
        size_t floats;
        assert_false(attn_packed_floats(kernels, SIZE_MAX / 8, 100, &floats));
        assert_false(attn_packed_floats(kernels, 1, SIZE_MAX, &floats));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes),  cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_options), cmocka_unit_test(test_extremes),
        cmocka_unit_test(test_errors),  cmocka_unit_test(test_pack),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
