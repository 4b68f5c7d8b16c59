/* Reductions, softmax and the norms of every level: the bits of scalar, which keeps to the order
 * that kernels.h states and to the results in double. */
#include "tests/kernels/kernels_test.h"

/* ---- reductions -------------------------------------------------------------------------- */

enum { SUM, MAX, DOT, SQUARED_DISTANCE, ADDITIVE, REDUCTIONS };
static const char *const reduction_names[] = {"sum", "max", "dot", "squared_distance", "additive"};

static float reduce(const attn_kernels *kernels, int op, float *const x[3], size_t n)
{
    switch (op) {
    case SUM:
        return kernels->sum(x[0], n);
    case MAX:
        return kernels->max(x[0], n);
    case DOT:
        return kernels->dot(x[0], x[1], n);
    case SQUARED_DISTANCE:
        return kernels->squared_distance(x[0], x[1], n);
    default:
        return kernels->additive(x[2], x[0], x[1], n);
    }
}

/* One element into its partial result. */
static float step(int op, float partial, float a, float b, float v)
{
    float t = a + b;
    switch (op) {
    case SUM:
        return partial + a;
    case MAX:
        return partial != partial ? partial : partial > a ? partial : a;
    case DOT:
        return fmaf(a, b, partial);
    case SQUARED_DISTANCE:
        return fmaf(a - b, a - b, partial);
    default:
        scalar()->unary(ATTN_TANH, &t, &t, 1);
        return fmaf(v, t, partial);
    }
}

/* The order of kernels.h, word for word. */
static float reduce_reference(int op, float *const x[3], size_t n)
{
    float p[16];
    for (int i = 0; i < 16; i++) p[i] = op == MAX ? -INFINITY : 0;
    for (size_t i = 0; i < n; i++) p[i % 16] = step(op, p[i % 16], x[0][i], x[1][i], x[2][i]);
    if (op == MAX) {
        for (int h = 8; h > 0; h /= 2)
            for (int i = 0; i < h; i++) p[i] = step(MAX, p[i], p[i + h], 0, 0);
        return p[0];
    }
    return (((p[0] + p[8]) + (p[4] + p[12])) + ((p[2] + p[10]) + (p[6] + p[14]))) +
           (((p[1] + p[9]) + (p[5] + p[13])) + ((p[3] + p[11]) + (p[7] + p[15])));
}

static void test_reductions(void **state)
{
    (void)state;
    guarded mem[3] = {guarded_new(MAX_LENGTH), guarded_new(MAX_LENGTH), guarded_new(MAX_LENGTH)};
    float v[3][MAX_LENGTH], *x[3] = {v[0], v[1], v[2]};
    for (size_t l = 0; l < LENGTHS * VALUE_KINDS * 2; l++) {
        size_t n = length(l % LENGTHS);
        /* the last round: a single special value, which has to find its way to the result */
        int kind = (int)(l / LENGTHS) % (VALUE_KINDS + 1);
        for (int i = 0; i < 3; i++) draw_values(v[i], n, kind % VALUE_KINDS);
        if (kind == VALUE_KINDS && n) v[0][draw() % n] = draw() % 2 ? NAN : INFINITY;
        for (int op = 0; op < REDUCTIONS; op++) {
            float want = reduce_reference(op, x, n);
            FOR_LEVELS(kernels)
            {
                for (int place = 0; place < PLACES; place++) {
                    float *p[3];
                    for (int i = 0; i < 3; i++)
                        p[i] = guarded_copy(&mem[i], v[i], n, (place + i) % PLACES);
                    float got = reduce(kernels, op, p, n);
                    check_same(reduction_names[op], kernels, &got, &want, 1);
                }
            }
        }
    }
    for (int i = 0; i < 3; i++) guarded_free(&mem[i]);
}

/* |error| <= 2^-24 (n / 16 + 6) sum of magnitudes: each product passes n / 16 roundings in its
 * partial result, 4 where these are combined, and that of the difference or of tanh. */
static void test_reduction_errors(void **state)
{
    (void)state;
    static float v[3][4096];
    float *x[3] = {v[0], v[1], v[2]};
    for (size_t n = 1; n <= 4096; n = n * 3 / 2 + 1) {
        for (int i = 0; i < 3; i++) draw_values(v[i], n, ORDINARY);
        for (int op = 0; op < REDUCTIONS; op++) {
            double want = 0, size = 0;
            for (size_t i = 0; i < n && op != MAX; i++) {
                double a = v[0][i], b = v[1][i], t = a - b;
                t = op == SUM        ? a
                    : op == DOT      ? a * b
                    : op == ADDITIVE ? v[2][i] * tanh(a + b)
                                     : t * t;
                want += t;
                size += op == ADDITIVE ? fabs((double)v[2][i]) : fabs(t);
            }
            if (op == MAX) continue; /* exact: compared above */
            double error = fabs(reduce(scalar(), op, x, n) - want);
            if (!(error <= ldexp(size, -24) * ((double)n / 16 + 6)))
                fail_msg("%s, n %zu: error %g of %g", reduction_names[op], n, error, size);
        }
    }
}

/* ---- rows -------------------------------------------------------------------------------- */

enum { SOFTMAX, LAYER_NORM, RMS_NORM, ROWS };
static const char *const row_names[] = {"softmax", "layer_norm", "rms_norm"};

/* y may be x. scale: of softmax, or eps. */
static void run_row(const attn_kernels *kernels, int op, float *y, const float *x, const float *w,
                    const float *b, size_t n, float scale)
{
    if (op == SOFTMAX) kernels->softmax(y, x, n, scale);
    if (op == LAYER_NORM) kernels->layer_norm(y, x, w, b, n, scale);
    if (op == RMS_NORM) kernels->rms_norm(y, x, w, n, scale);
}

static void test_rows(void **state)
{
    (void)state;
    static const float scales[] = {1, 0.125f, 1e-5f};
    guarded in = guarded_new(MAX_LENGTH), out = guarded_new(MAX_LENGTH);
    guarded weights = guarded_new(MAX_LENGTH), biases = guarded_new(MAX_LENGTH);
    float x[MAX_LENGTH], w[MAX_LENGTH], b[MAX_LENGTH], want[MAX_LENGTH];
    for (size_t l = 0; l < LENGTHS * VALUE_KINDS * 4; l++) {
        size_t n = length(l % LENGTHS);
        int given = (int)(l / LENGTHS / VALUE_KINDS); /* which of weight and bias */
        float scale = scales[l % COUNT(scales)];
        draw_values(x, n, (int)(l / LENGTHS) % VALUE_KINDS);
        draw_values(w, n, (int)(l / LENGTHS) % VALUE_KINDS);
        draw_values(b, n, ORDINARY);
        for (int op = 0; op < ROWS; op++) {
            run_row(scalar(), op, want, x, given & 1 ? w : NULL, given & 2 ? b : NULL, n, scale);
            FOR_LEVELS(kernels)
            {
                for (int place = 0; place < PLACES; place++) {
                    float *from = guarded_copy(&in, x, n, (place + 1) % PLACES);
                    float *pw = guarded_copy(&weights, w, n, (place + 2) % PLACES);
                    float *pb = guarded_copy(&biases, b, n, (place + 3) % PLACES);
                    float *y = guarded_place(&out, n, place);
                    if (!(given & 1)) pw = NULL;
                    if (!(given & 2)) pb = NULL;
                    run_row(kernels, op, y, from, pw, pb, n, scale);
                    check_same(row_names[op], kernels, y, want, n);
                    guarded_check(row_names[op], kernels, &out, y, n);
                    run_row(kernels, op, from, from, pw, pb, n, scale);
                    check_same(row_names[op], kernels, from, want, n);
                    guarded_check(row_names[op], kernels, &in, from, n);
                }
            }
        }
    }
    guarded_free(&in);
    guarded_free(&out);
    guarded_free(&weights);
    guarded_free(&biases);
}

/* The same in double. */
static void row_reference(int op, double *y, const float *x, const float *w, const float *b,
                          size_t n, double scale)
{
    double top = -INFINITY, total = 0, mean = 0, square = 0;
    for (size_t i = 0; i < n; i++) {
        top = fmax(top, scale * x[i]);
        mean += x[i] / (double)n;
    }
    if (op == RMS_NORM) mean = 0;
    for (size_t i = 0; i < n; i++) {
        total += exp(scale * x[i] - top);
        square += (x[i] - mean) * (x[i] - mean) / (double)n;
    }
    for (size_t i = 0; i < n; i++) {
        if (op == SOFTMAX)
            y[i] = exp(scale * x[i] - top) / total;
        else
            y[i] = (x[i] - mean) / sqrt(square + scale) * w[i] + (op == LAYER_NORM ? b[i] : 0);
    }
}

/* Softmax within 3e-6 of each probability, relatively: exp's argument, of up to 20, is rounded
 * twice. The norms within 2e-6 of max(1, |y|). */
static void test_row_errors(void **state)
{
    (void)state;
    static float x[4096], w[4096], b[4096], y[4096];
    static double want[4096];
    double worst[ROWS] = {0};
    for (size_t n = 1; n <= 4096; n = n * 5 / 4 + 1) {
        draw_values(x, n, ORDINARY);
        draw_values(w, n, ORDINARY);
        draw_values(b, n, ORDINARY);
        for (int op = 0; op < ROWS; op++) {
            float scale = op == SOFTMAX ? 0.7f : 1e-5f;
            run_row(scalar(), op, y, x, w, b, n, scale);
            row_reference(op, want, x, w, b, n, (double)scale);
            for (size_t i = 0; i < n; i++) {
                double error = fabs(y[i] - want[i]);
                error /= op == SOFTMAX ? want[i] : fmax(1, fabs(want[i]));
                worst[op] = fmax(worst[op], error);
            }
        }
    }
    for (int op = 0; op < ROWS; op++) {
        printf("%s: error %.2g\n", row_names[op], worst[op]);
        assert_true(worst[op] <= (op == SOFTMAX ? 3e-6 : 2e-6));
    }
}

static void test_softmax_special(void **state)
{
    (void)state;
    FOR_LEVELS(kernels)
    {
        for (size_t n = 1; n < 50; n++) {
            float x[50], y[50];
            for (size_t i = 0; i < n; i++) x[i] = -INFINITY, y[i] = 7;
            kernels->softmax(y, x, n, 0.5f); /* nothing to look at */
            for (size_t i = 0; i < n; i++) assert_true(bits_of(y[i]) == 0);
            x[n / 2] = -3e38f; /* one thing to look at */
            kernels->softmax(y, x, n, 0.5f);
            for (size_t i = 0; i < n; i++) assert_true(y[i] == (i == n / 2));
            x[n / 2] = NAN;
            kernels->softmax(y, x, n, 1);
            for (size_t i = 0; i < n; i++) assert_true(y[i] != y[i]);
            x[n / 2] = INFINITY;
            kernels->softmax(y, x, n, 1);
            assert_true(y[n / 2] != y[n / 2]);
            for (size_t i = 0; i < n; i++) x[i] = 3e38f; /* equal, whatever their size */
            kernels->softmax(y, x, n, 1);
            for (size_t i = 0; i < n; i++) assert_true(y[i] == 1 / (float)n);
            kernels->softmax(y, x, n, 4); /* their products are beyond every float */
            for (size_t i = 0; i < n; i++) assert_true(y[i] == 1 / (float)n);
            x[n / 2] = -3e38f;
            kernels->softmax(y, x, n, 4);
            for (size_t i = 0; n > 1 && i < n; i++)
                assert_true(y[i] == (i == n / 2 ? 0 : 1 / (float)(n - 1)));
            kernels->softmax(y, x, n, -4);
            for (size_t i = 0; i < n; i++) assert_true(y[i] == (i == n / 2));
            for (size_t i = 0; i < n; i++) x[i] = INFINITY; /* -infinity, times -1 */
            kernels->softmax(y, x, n, -1);
            for (size_t i = 0; i < n; i++) assert_true(bits_of(y[i]) == 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reductions),
        cmocka_unit_test(test_reduction_errors),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_row_errors),
        cmocka_unit_test(test_softmax_special),
    };
    return cmocka_run_group_tests(tests, print_levels, NULL);
}
