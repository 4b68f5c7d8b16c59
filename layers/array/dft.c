/* dft: the discrete Fourier transform along one axis, every other index on its own:
 *   y[k] = sum over j < n of x[j] exp(-2 pi i j k / n), with "inverse" of +2 pi i, and divided by n
 *   x: [..., N, ..., c], c 1 for real or 2 for complex numbers; n is N, or "length": x is cut, or
 *      zeros follow
 *   y: [..., m, ..., 2]; m is n, or with "onesided" the first n / 2 + 1
 * By the definition, in double precision. det: the determinants of matrices, [..., n, n] -> [...],
 * by elimination with pivots, in double precision. */
#include "layers/exact.h"
#include "layers/support.h"

#include <math.h>

#define TWO_PI 6.28318530717958647693

typedef struct dft_params {
    long axis;
    attn_ints length;
    bool inverse, onesided;
} dft_params;

static attn_status dft_parse(attn_reader *r, void *params)
{
    dft_params *p = params;
    p->axis = -2;
    ATTN_TRY(attn_need_inputs(r, 1, 1, NULL));
    ATTN_TRY(attn_need_outputs(r, 1, 1, NULL));
    ATTN_TRY(attn_read_int(r, "axis", -ATTN_MAX_RANK, ATTN_MAX_RANK - 1, &p->axis));
    ATTN_TRY(attn_read_known_ints(r, "length", 1, 1 << 24, &p->length));
    ATTN_TRY(attn_read_bool(r, "inverse", &p->inverse));
    return attn_read_bool(r, "onesided", &p->onesided);
}

static attn_status dft_infer(attn_infer *c, const void *params)
{
    const dft_params *p = params;
    const attn_shape *x = &c->in[0];
    attn_shape *y = &c->out[0];
    attn_shape_text text;
    long length[ATTN_MAX_INTS];
    size_t elements;
    int axis, count;
    ATTN_TRY(attn_want_filled(c, 0, ATTN_F32, 2, ATTN_MAX_RANK));
    ATTN_TRY(attn_want_axis(c, 0, p->axis, &axis));
    ATTN_TRY(attn_infer_ints(c, &p->length, 1, length, &count));
    if (axis == x->rank - 1 || attn_last(x) > 2)
        return attn_infer_fail(c, "input %s has no numbers of 1 or 2 parts along axis %ld",
                               attn_format_shape(&text, x->dim, x->rank), p->axis);
    size_t n = count ? (size_t)length[0] : x->dim[axis];
    *y = *x;
    y->dim[axis] = p->onesided ? n / 2 + 1 : n;
    y->dim[x->rank - 1] = 2;
    ATTN_TRY(attn_want_count(c, y, &elements));
    c->flops = (double)elements * (double)n * 2;
    return attn_add_scratch(c, n, 2 * sizeof(double), &c->scratch);
}

typedef struct dft_sizes {
    size_t have, n, m, parts, inner; /* indices along the axis of x, used, of y; after the axis */
} dft_sizes;

static dft_sizes sizes_of(const attn_run_context *c, const dft_params *p)
{
    const attn_shape *x = &c->in[0].shape, *y = &c->out[0].shape;
    int axis = (int)(p->axis < 0 ? p->axis + x->rank : p->axis);
    long length[ATTN_MAX_INTS];
    size_t n = attn_run_ints(c, &p->length, length) ? (size_t)length[0] : x->dim[axis];
    return (dft_sizes){x->dim[axis] < n ? x->dim[axis] : n, n, y->dim[axis], attn_last(x),
                       attn_span(x, axis + 1, x->rank - 1)};
}

static void dft_task(const attn_run_context *c, const void *params, size_t item, size_t first,
                     size_t end, size_t worker)
{
    (void)worker;
    const dft_params *p = params;
    dft_sizes s = sizes_of(c, p);
    const double *turn = c->scratch;
    size_t rows = c->in[0].shape.dim[p->axis < 0 ? p->axis + c->in[0].shape.rank : p->axis];
    for (size_t i = first; i < end; i++) {
        size_t outer = i / (s.m * s.inner), k = i / s.inner % s.m, column = i % s.inner;
        const float *x = attn_item(&c->in[0], item) + (outer * rows * s.inner + column) * s.parts;
        double real = 0, imaginary = 0;
        for (size_t j = 0, at = 0; j < s.have; j++, at = (at + k) % s.n) {
            const float *number = x + j * s.inner * s.parts;
            double cosine = turn[2 * at], sine = p->inverse ? turn[2 * at + 1] : -turn[2 * at + 1];
            double u = (double)number[0], v = s.parts == 2 ? (double)number[1] : 0;
            real += u * cosine - v * sine;
            imaginary += u * sine + v * cosine;
        }
        float *y = attn_item(&c->out[0], item) + i * 2;
        y[0] = (float)(p->inverse ? real / (double)s.n : real);
        y[1] = (float)(p->inverse ? imaginary / (double)s.n : imaginary);
    }
}

static void dft_run(const attn_run_context *c, const void *params)
{
    dft_sizes s = sizes_of(c, params);
    double *turn = c->scratch;
    for (size_t i = 0; i < s.n; i++)
        attn_sine_cosine(TWO_PI * (double)i / (double)s.n, &turn[2 * i + 1], &turn[2 * i]);
    attn_each_rows(c, params, c->out[0].count / 2, attn_grain(4 * s.n), dft_task);
}

const attn_layer attn_layer_dft = {"dft",     ATTN_STEP_SHARED, 0,      sizeof(dft_params),
                                   dft_parse, dft_infer,        dft_run};

/* ---- det ----------------------------------------------------------------------------------- */

static attn_status det_parse(attn_reader *r, void *params)
{
    (void)params;
    ATTN_TRY(attn_need_inputs(r, 1, 1, NULL));
    return attn_need_outputs(r, 1, 1, NULL);
}

static attn_status det_infer(attn_infer *c, const void *params)
{
    (void)params;
    const attn_shape *x = &c->in[0];
    attn_shape_text text;
    ATTN_TRY(attn_want_filled(c, 0, ATTN_F32, 2, ATTN_MAX_RANK));
    size_t n = attn_last(x), elements;
    if (x->dim[x->rank - 2] != n)
        return attn_infer_fail(c, "input %s is none of square matrices",
                               attn_format_shape(&text, x->dim, x->rank));
    if (!attn_product(x->dim + x->rank - 2, 2, &elements))
        return attn_infer_fail(c, "a matrix of %zu rows is too large", n);
    c->out[0] = *x;
    c->out[0].rank -= 2;
    c->flops = (double)attn_span(x, 0, x->rank) * (double)n;
    return attn_add_scratch(c, elements, sizeof(double), &c->worker_scratch);
}

static double determinant(double *a, size_t n)
{
    double y = 1;
    for (size_t k = 0; k < n; k++) {
        size_t pivot = k;
        for (size_t i = k + 1; i < n; i++)
            if (fabs(a[i * n + k]) > fabs(a[pivot * n + k])) pivot = i;
        if (pivot != k) y = -y;
        for (size_t j = k; j < n; j++) {
            double other = a[pivot * n + j];
            a[pivot * n + j] = a[k * n + j];
            a[k * n + j] = other;
        }
        double top = a[k * n + k];
        y *= top;
        if (top == 0) return 0;
        for (size_t i = k + 1; i < n; i++) {
            double factor = a[i * n + k] / top;
            for (size_t j = k + 1; j < n; j++) a[i * n + j] -= factor * a[k * n + j];
        }
    }
    return y;
}

static void det_task(const attn_run_context *c, const void *params, size_t item, size_t first,
                     size_t end, size_t worker)
{
    (void)params;
    size_t n = attn_last(&c->in[0].shape);
    double *a = attn_worker_scratch(c, worker);
    for (size_t m = first; m < end; m++) {
        const float *x = attn_item(&c->in[0], item) + m * n * n;
        for (size_t i = 0; i < n * n; i++) a[i] = (double)x[i];
        attn_item(&c->out[0], item)[m] = (float)determinant(a, n);
    }
}

static void det_run(const attn_run_context *c, const void *params)
{
    size_t n = attn_last(&c->in[0].shape);
    attn_each_rows(c, params, c->out[0].count, attn_grain(n * n * n), det_task);
}

const attn_layer attn_layer_det = {"det", ATTN_STEP_SHARED, 0, 1, det_parse, det_infer, det_run};
