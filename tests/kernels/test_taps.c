/* Sums of taps in every level: the fused multiply-adds in the order of the taps, word for word; no
 * float beyond those that kernels.h allows is read, and none but the outputs is written. */
#include "tests/kernels/kernels_test.h"

enum { MOST_ROWS = 9, MOST_COLUMNS = 140, MOST_TAPS = 49, FLOATS = 16384 };

typedef struct shape {
    size_t rows, columns, height, width, stride, dilation; /* taps: height * width */
} shape;

static void check_shape(const shape *s, guarded *in, guarded *out)
{
    float x[FLOATS], w[MOST_TAPS], bias, want[MOST_ROWS * MOST_COLUMNS];
    size_t offset[MOST_TAPS], taps = s->height * s->width, pitch = s->columns + s->width;
    size_t count = ((s->rows - 1) * s->stride + (s->height - 1) * s->dilation + 1) * pitch;
    assert_true(count + ATTN_TAPS_BEHIND <= FLOATS);
    draw_values(x, count + ATTN_TAPS_BEHIND, ORDINARY);
    draw_values(w, taps, ORDINARY);
    draw_values(&bias, 1, ORDINARY);
    for (size_t t = 0; t < taps; t++) offset[t] = t / s->width * s->dilation * pitch + t % s->width;
    for (int biased = 0; biased < 2; biased++) {
        for (size_t r = 0; r < s->rows; r++)
            for (size_t i = 0; i < s->columns; i++) {
                float sum = 0;
                for (size_t t = 0; t < taps; t++)
                    sum = fmaf(x[r * s->stride * pitch + offset[t] + i], w[t], sum);
                want[r * s->columns + i] = biased ? sum + bias : sum;
            }
        FOR_LEVELS(kernels)
        {
            attn_taps g = {.rows = s->rows,
                           .columns = s->columns,
                           .taps = taps,
                           .x = guarded_copy(in, x, count + ATTN_TAPS_BEHIND, FLUSH),
                           .step = s->stride * pitch,
                           .offset = offset,
                           .w = w,
                           .bias = biased ? &bias : NULL,
                           .y = guarded_copy(out, want, s->rows * s->columns, FLUSH),
                           .run = s->stride == s->dilation ? s->width : 0};
            memset(g.y, 0, s->rows * s->columns * sizeof(float));
            kernels->taps(&g);
            check_same("taps", kernels, g.y, want, s->rows * s->columns);
        }
    }
}

static void test_taps(void **state)
{
    (void)state;
    static const size_t columns[] = {1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 48, 64, 65, 130, 140};
    static const size_t windows[][4] = {{1, 1, 1, 1}, {1, 7, 1, 1}, {2, 2, 1, 1}, {3, 3, 1, 1},
                                        {3, 3, 2, 1}, {3, 2, 1, 2}, {5, 5, 1, 1}, {3, 3, 2, 2},
                                        {7, 7, 1, 1}, {4, 3, 1, 1}};
    guarded in = guarded_new(FLOATS), out = guarded_new(MOST_ROWS * MOST_COLUMNS);
    for (size_t rows = 1; rows <= MOST_ROWS; rows++)
        for (size_t c = 0; c < COUNT(columns); c++)
            for (size_t i = 0; i < COUNT(windows); i++) {
                const size_t *v = windows[i];
                check_shape(&(shape){rows, columns[c], v[0], v[1], v[2], v[3]}, &in, &out);
            }
    guarded_free(&in);
    guarded_free(&out);
}

static void test_split(void **state)
{
    (void)state;
    enum { MOST = 70 };
    float x[2 * MOST], even[MOST], odd[MOST];
    guarded in = guarded_new(2 * MOST), out[2] = {guarded_new(MOST), guarded_new(MOST)};
    draw_values(x, 2 * MOST, ORDINARY);
    for (size_t i = 0; i < MOST; i++) {
        even[i] = x[2 * i];
        odd[i] = x[2 * i + 1];
    }
    for (size_t n = 1; n <= MOST; n++) FOR_LEVELS(kernels)
        {
            float *y[2];
            for (int i = 0; i < 2; i++) y[i] = guarded_copy(&out[i], x, n, FLUSH);
            kernels->split(y[0], y[1], guarded_copy(&in, x, 2 * n, FLUSH), n);
            check_same("split, even", kernels, y[0], even, n);
            check_same("split, odd", kernels, y[1], odd, n);
            memset(y[0], 0, n * sizeof(float));
            kernels->split(y[0], NULL, guarded_copy(&in, x, 2 * n - 1, FLUSH), n);
            check_same("split, even alone", kernels, y[0], even, n);
        }
    guarded_free(&in);
    for (int i = 0; i < 2; i++) guarded_free(&out[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_taps), cmocka_unit_test(test_split)};
    return cmocka_run_group_tests(tests, print_levels, NULL);
}
