/* unary, binary and fma of every level: the bits of scalar, all tails and offsets, in place. */
#include "tests/kernels/kernels_test.h"

static void test_unary(void **state)
{
    (void)state;
    guarded in = guarded_new(MAX_LENGTH), out = guarded_new(MAX_LENGTH);
    float x[MAX_LENGTH], want[MAX_LENGTH];
    for (int op = 0; op < ATTN_UNARY_COUNT; op++) {
        for (size_t l = 0; l < LENGTHS; l++) {
            size_t n = length(l);
            for (int kind = 0; kind < VALUE_KINDS; kind++) {
                draw_values(x, n, kind);
                scalar()->unary((attn_unary)op, want, x, n);
                FOR_LEVELS(kernels)
                {
                    for (int place = 0; place < PLACES; place++) {
                        float *from = guarded_copy(&in, x, n, (place + 1) % PLACES);
                        float *y = guarded_place(&out, n, place);
                        kernels->unary((attn_unary)op, y, from, n);
                        check_same("unary", kernels, y, want, n);
                        guarded_check("unary", kernels, &out, y, n);
                        kernels->unary((attn_unary)op, from, from, n);
                        check_same("unary in place", kernels, from, want, n);
                        guarded_check("unary in place", kernels, &in, from, n);
                    }
                }
            }
        }
    }
    guarded_free(&in);
    guarded_free(&out);
}

static float binary_reference(int op, float a, float b)
{
    switch (op) {
    case ATTN_BIN_ADD:
        return a + b;
    case ATTN_BIN_SUB:
        return a - b;
    case ATTN_BIN_MUL:
        return a * b;
    case ATTN_BIN_DIV:
        return a / b;
    case ATTN_BIN_MAX:
        return a != a ? a : a > b ? a : b;
    default:
        return a != a ? a : a < b ? a : b;
    }
}

static void test_binary(void **state)
{
    (void)state;
    guarded mem[3] = {guarded_new(MAX_LENGTH), guarded_new(MAX_LENGTH), guarded_new(MAX_LENGTH)};
    float a[MAX_LENGTH], b[MAX_LENGTH], want[MAX_LENGTH];
    for (int op = 0; op < ATTN_BINARY_COUNT * 4; op++) {
        size_t step_a = op / ATTN_BINARY_COUNT % 2, step_b = op / ATTN_BINARY_COUNT / 2;
        attn_binary f = (attn_binary)(op % ATTN_BINARY_COUNT);
        for (size_t l = 0; l < LENGTHS * VALUE_KINDS; l++) {
            size_t n = length(l % LENGTHS), na = step_a ? n : n > 0, nb = step_b ? n : n > 0;
            draw_values(a, na, (int)(l / LENGTHS));
            draw_values(b, nb, (int)(l / LENGTHS));
            for (size_t i = 0; i < n; i++)
                want[i] = binary_reference((int)f, a[i * step_a], b[i * step_b]);
            FOR_LEVELS(kernels)
            {
                for (int place = 0; place < PLACES; place++) {
                    float *pa = guarded_copy(&mem[0], a, na, (place + 1) % PLACES);
                    float *pb = guarded_copy(&mem[1], b, nb, (place + 2) % PLACES);
                    float *y = guarded_place(&mem[2], n, place);
                    kernels->binary(f, y, pa, step_a, pb, step_b, n);
                    check_same("binary", kernels, y, want, n);
                    guarded_check("binary", kernels, &mem[2], y, n);
                    int in_place = step_a && (place % 2 || !step_b) ? 0 : step_b ? 1 : -1;
                    if (in_place < 0) continue;
                    y = in_place ? pb : pa;
                    kernels->binary(f, y, pa, step_a, pb, step_b, n);
                    check_same("binary in place", kernels, y, want, n);
                    guarded_check("binary in place", kernels, &mem[in_place], y, n);
                }
            }
        }
    }
    for (int i = 0; i < 3; i++) guarded_free(&mem[i]);
}

static void test_fma(void **state)
{
    (void)state;
    guarded mem[4] = {guarded_new(MAX_LENGTH), guarded_new(MAX_LENGTH), guarded_new(MAX_LENGTH),
                      guarded_new(MAX_LENGTH)};
    float v[3][MAX_LENGTH], want[MAX_LENGTH];
    for (size_t steps = 0; steps < 8; steps++) {
        size_t step[3] = {steps & 1, steps >> 1 & 1, steps >> 2};
        for (size_t l = 0; l < LENGTHS * VALUE_KINDS; l++) {
            size_t n = length(l % LENGTHS), size[3];
            for (int i = 0; i < 3; i++) {
                size[i] = step[i] ? n : n > 0;
                draw_values(v[i], size[i], (int)(l / LENGTHS));
            }
            for (size_t i = 0; i < n; i++)
                want[i] = fmaf(v[0][i * step[0]], v[1][i * step[1]], v[2][i * step[2]]);
            FOR_LEVELS(kernels)
            {
                for (int place = 0; place < PLACES; place++) {
                    float *p[3], *y = guarded_place(&mem[3], n, place);
                    for (int i = 0; i < 3; i++)
                        p[i] = guarded_copy(&mem[i], v[i], size[i], (place + i) % PLACES);
                    kernels->fma(y, p[0], step[0], p[1], step[1], p[2], step[2], n);
                    check_same("fma", kernels, y, want, n);
                    guarded_check("fma", kernels, &mem[3], y, n);
                    int in_place = place % 3;
                    if (!step[in_place]) continue;
                    y = p[in_place];
                    kernels->fma(y, p[0], step[0], p[1], step[1], p[2], step[2], n);
                    check_same("fma in place", kernels, y, want, n);
                    guarded_check("fma in place", kernels, &mem[in_place], y, n);
                }
            }
        }
    }
    for (int i = 0; i < 4; i++) guarded_free(&mem[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unary),
        cmocka_unit_test(test_binary),
        cmocka_unit_test(test_fma),
    };
    return cmocka_run_group_tests(tests, print_levels, NULL);
}
