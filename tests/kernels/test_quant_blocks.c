/* Panels of blocks, of every level, against their definition in kernels.h: bit for bit. */
#include "tests/kernels/kernels_test.h"

#define MAX_N 150
#define MAX_K 1100
#define ROOM (MAX_K * MAX_N + 8192) /* floats of one operand */

static guarded mem[6];
static float *x, *w, *want, *residual, *scale, *minimum;
static int8_t *q;

static int setup(void **state)
{
    for (size_t i = 0; i < COUNT(mem); i++) mem[i] = guarded_new(ROOM);
    float **all[] = {&x, &w, &want, &residual, &scale, &minimum};
    for (size_t i = 0; i < COUNT(all); i++) assert_non_null(*all[i] = malloc(ROOM * sizeof(float)));
    assert_non_null(q = malloc(ROOM));
    return print_levels(state);
}

static int teardown(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(mem); i++) guarded_free(&mem[i]);
    float *all[] = {x, w, want, residual, scale, minimum};
    for (size_t i = 0; i < COUNT(all); i++) free(all[i]);
    free(q);
    return 0;
}

/* ---- the definition ---------------------------------------------------------------------- */

/* What a type may hold. */
static const struct form {
    const char *name;
    int least, most; /* integers */
    bool minimum;
    int factor; /* scales are f16 times integers up to it */
} forms[] = {
    {"Q4_0", -8, 7, false, 1},     {"Q4_1", 0, 15, true, 1}, {"Q4_K", 0, 15, true, 63},
    {"Q8_0", -128, 127, false, 1}, {"Q5_1", 0, 31, true, 1}, {"Q5_K", 0, 31, true, 63},
    {"Q6_K", -32, 31, false, 128},
};
enum { FORMS = ATTN_PANEL_DOTS - ATTN_PANEL_PACKED };

/* A binary16, made here of its parts. */
static float draw_half(int kind)
{
    static const float special[] = {0.0f, -0.0f, 0x1p-24f, -0x1.8p-23f, 0x1.ffcp15f, INFINITY, NAN};
    if (kind == SPECIAL && draw() % 8 == 0) return special[draw() % COUNT(special)];
    float a = ldexpf((float)(1024 + draw() % 1024), -20 - (int)(draw() % 4));
    return draw() % 2 ? a : -a;
}

static void draw_blocks(const struct form *f, size_t group, size_t k, size_t n, int kind)
{
    size_t groups = k / group;
    for (size_t i = 0; i < k * n; i++)
        q[i] = (int8_t)(f->least + (int)(draw() % (uint32_t)(f->most - f->least + 1)));
    for (size_t i = 0; i < groups * n; i++) {
        float times = (float)(1 + draw() % (uint32_t)f->factor);
        scale[i] = draw_half(kind) * times;
        minimum[i] = f->minimum ? draw_half(kind) * times : 0;
    }
    for (size_t i = 0; i < k * n; i++) { /* w: [k, n] */
        size_t j = i / k, at = j * groups + i % k / group;
        float a = (float)q[i] * scale[at];
        w[i % k * n + j] = f->minimum ? a + minimum[at] : a;
    }
}

/* A group of a quantised row: its scale, and the integers. */
static float quantise(const float *row, size_t count, int *to)
{
    float max = 0;
    bool number = true;
    for (size_t i = 0; i < count; i++) {
        number = number && isfinite(row[i]);
        if (fabsf(row[i]) > max) max = fabsf(row[i]);
    }
    for (size_t i = 0; i < count; i++)
        to[i] =
            number && max >= 0x1p-100f ? (int)nearbyint((double)row[i] * (double)(127 / max)) : 0;
    return !number ? NAN : max < 0x1p-100f ? 0 : max / 127;
}

static float dot(const struct form *f, const float *row, size_t group, size_t k, size_t j)
{
    size_t groups = k / group;
    float sum = 0;
    for (size_t first = 0; first < k; first += ATTN_ROW_GROUP) {
        int c[ATTN_ROW_GROUP];
        size_t count = k - first < ATTN_ROW_GROUP ? k - first : ATTN_ROW_GROUP;
        float row_scale = quantise(row + first, count, c);
        for (size_t i = first; i < first + count; i += group) {
            int products = 0, ones = 0;
            for (size_t e = i; e < first + count && e < i + group; e++) {
                products += c[e - first] * q[j * k + e];
                ones += c[e - first];
            }
            sum = fmaf((float)products * scale[j * groups + i / group], row_scale, sum);
            if (f->minimum)
                sum = fmaf(minimum[j * groups + i / group], (float)ones * row_scale, sum);
        }
    }
    return sum;
}

static void reference(const attn_gemm *g, const struct form *f)
{
    for (size_t i = 0; i < g->m; i++) {
        const float *row = x + i * g->k;
        for (size_t j = 0; j < g->n; j++) {
            float a = 0;
            if (g->type >= ATTN_PANEL_DOTS)
                a = dot(f, row, attn_block_group(g->type), g->k, j);
            else
                for (size_t k = 0; k < g->k; k++) a = fmaf(row[k], w[k * g->n + j], a);
            if (g->column_bias) a += g->column_bias[j];
            want[i * g->n + j] = a;
        }
    }
    scalar()->unary(g->unary, want, want, g->m * g->n);
    for (size_t i = 0; i < g->m * g->n && g->residual; i++) want[i] += g->residual[i];
}

/* ---- the tests --------------------------------------------------------------------------- */

static void *pack(const attn_kernels *kernels, attn_panel_type type, size_t k, size_t n, int place)
{
    size_t bytes = 0;
    assert_true(attn_packed_bytes(kernels, type, k, n, &bytes) && bytes % 64 == 0);
    void *packed = guarded_place(&mem[0], bytes / 4, place);
    kernels->pack_blocks(type, packed, q, scale, minimum, k, n);
    guarded_check("pack_blocks", kernels, &mem[0], packed, bytes / 4);
    return packed;
}

static void run_product(const attn_kernels *kernels, attn_gemm g, const char *name, int place)
{
    size_t ldy = g.n + draw() % 3, row = kernels->row_bytes(g.type, g.k);
    g.w = pack(kernels, g.type, g.k, g.n, place);
    assert_true((row > 0) == (g.type >= ATTN_PANEL_DOTS));
    if (row) {
        assert_true(row % 64 == 0);
        char *rows = (char *)guarded_place(&mem[1], g.m * row / 4, place);
        for (size_t i = 0; i < g.m; i++)
            kernels->quantize(g.type, rows + i * row,
                              guarded_copy(&mem[2], x + i * g.k, g.k, place), g.k);
        guarded_check("quantize", kernels, &mem[1], (float *)(void *)rows, g.m * row / 4);
        g.rows = rows;
    } else {
        g.ldx = g.k + draw() % 3;
        float *copy = guarded_place(&mem[1], (g.m - 1) * g.ldx + g.k, place);
        for (size_t i = 0; i < g.m; i++) memcpy(copy + i * g.ldx, x + i * g.k, g.k * sizeof(float));
        g.x = copy;
    }
    if (g.column_bias) g.column_bias = guarded_copy(&mem[2], residual, g.n, place);
    if (g.residual) g.residual = guarded_copy(&mem[4], residual, g.m * g.n, place);
    g.y = guarded_place(&mem[3], (g.m - 1) * ldy + g.n, place);
    g.ldy = ldy;
    kernels->gemm(&g);
    for (size_t i = 0; i < g.m * g.n; i++) {
        float got = g.y[i / g.n * ldy + i % g.n];
        if (!same(got, want[i]))
            fail_msg("%s, %s%s, [%zu, %zu] x [%zu, %zu]: y[%zu, %zu] is %a, not %a", kernels->name,
                     name, row ? " dot" : "", g.m, g.k, g.k, g.n, i / g.n, i % g.n, (double)got,
                     (double)want[i]);
    }
    guarded_check_rows(name, kernels, &mem[3], g.y, g.m, g.n, ldy);
}

static void check(int form, size_t m, size_t n, size_t k, int kind)
{
    static const attn_unary unaries[] = {ATTN_IDENTITY, ATTN_IDENTITY, ATTN_SILU, ATTN_SQRT};
    attn_panel_type type = (attn_panel_type)(ATTN_PANEL_PACKED + form);
    draw_values(x, m * k, kind);
    draw_values(residual, m * n, kind);
    draw_blocks(&forms[form], attn_block_group(type), k, n, kind);
    attn_gemm g = {.m = m, .n = n, .k = k, .scale = 1, .unary = unaries[draw() % COUNT(unaries)]};
    g.column_bias = draw() % 2 ? residual : NULL;
    g.residual = draw() % 2 ? residual : NULL;
    g.ldr = n;
    int place = (int)(draw() % 2 ? FLUSH : draw() % PLACES);
    for (int dots = 0; dots < 2; dots++) {
        g.type = dots ? attn_dot_of_blocks(type) : type;
        reference(&g, &forms[form]);
        FOR_LEVELS(kernels) run_product(kernels, g, forms[form].name, place);
    }
}

/* Every number of rows of a tile and of two, every tail of a panel and of the panels that one row
 * takes at a time, k around its blocks, and rows around theirs. */
static void test_products(void **state)
{
    (void)state;
    static const size_t ns[] = {1, 15, 16, 17, 31, 32, 33, 47, 63, 64, 65, 97, 127, 128, 130, 149};
    static const size_t ks[] = {32, 64, 96, 128, 160};
    static const size_t long_ks[] = {224, 256, 288, 480, 512, 544, 1024, 1056};
    for (int form = 0; form < FORMS; form++) {
        for (size_t m = 1; m <= 29; m++)
            check(form, m, ns[draw() % COUNT(ns)], ks[draw() % COUNT(ks)],
                  m % 3 ? ORDINARY : (int)(draw() % VALUE_KINDS));
        for (size_t i = 0; i < COUNT(ns); i++)
            for (size_t m = 1; m < 9; m += 7)
                check(form, m, ns[i], ks[draw() % COUNT(ks)], ORDINARY);
        for (size_t i = 0; i < COUNT(ks); i++)
            for (size_t m = 1; m < 9; m += 7)
                check(form, m, ns[draw() % COUNT(ns)], ks[i], SPECIAL);
        for (size_t i = 0; i < COUNT(long_ks); i++)
            for (size_t m = 1; m < 32; m += 15)
                check(form, m, 1 + draw() % 50, long_ks[i], ORDINARY);
        check(form, 225, 33, 64, ORDINARY);
    }
}

/* A panel is as good alone as among others, and no byte of it is left as it was. */
static void test_panels(void **state)
{
    (void)state;
    enum { K = 96, N = 70 };
    static char first[1 << 16], again[1 << 16];
    for (int form = 0; form < FORMS; form++) {
        attn_panel_type type = (attn_panel_type)(ATTN_PANEL_PACKED + form);
        size_t groups = K / attn_block_group(type), bytes = 0;
        draw_blocks(&forms[form], attn_block_group(type), K, N, ORDINARY);
        FOR_LEVELS(kernels)
        {
            size_t each = kernels->panel_bytes(type, K), panel = kernels->panel;
            assert_int_equal(each, kernels->panel_bytes(attn_dot_of_blocks(type), K));
            assert_true(attn_packed_bytes(kernels, type, K, N, &bytes) && bytes <= sizeof first);
            memset(first, 0x55, bytes);
            memset(again, 0xaa, bytes);
            kernels->pack_blocks(type, first, q, scale, minimum, K, N);
            for (size_t j = 0; j < N; j += panel)
                kernels->pack_blocks(type, again + j / panel * each, q + j * K, scale + j * groups,
                                     minimum + j * groups, K, N - j < panel ? N - j : panel);
            assert_memory_equal(first, again, bytes);
            assert_int_equal(kernels->panel_bytes(type, SIZE_MAX / 32 * 32), 0);
            assert_int_equal(kernels->panel_bytes(type, 33), 0);
            assert_true(kernels->row_bytes(attn_dot_of_blocks(type), SIZE_MAX) == SIZE_MAX);
            kernels->pack_blocks(type, NULL, NULL, NULL, NULL, 0, N);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_products),
        cmocka_unit_test(test_panels),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
