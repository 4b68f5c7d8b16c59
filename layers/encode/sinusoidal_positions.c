/* sinusoidal_positions: adds the fixed positions of Vaswani et al. 2017, sec. 3.5, to x.
 *   x, y: [..., seq, dim]; y may be x
 *   t counts from 0, or with "past" from the rows that the cache has
 *   angle(t, i) = (t + offset) * base^(-i / n), i = 0 .. dim / 2 - 1
 *     n = dim / 2, or dim / 2 - 1 with "endpoint": true (the last frequency is then 1 / base)
 *   "interleaved": y[t, 2i] += sin, y[t, 2i + 1] += cos (the paper)
 *   "halves":      y[t, i] += sin, y[t, dim / 2 + i] += cos (tensor2tensor; Marian, Whisper)
 * Sine, cosine, exponential and logarithm are computed here in double arithmetic of +, -, *, /
 * alone, to about 1e-15, so that the sum has the same bits with every C library. */
#include "layers/support.h"

typedef struct positions_params {
    int layout;
    bool endpoint, past;
    size_t offset;
    double base_log; /* of the base */
} positions_params;

enum { INTERLEAVED, HALVES };

/* ln x of x >= 1: x = m 2^e; ln m = 2 atanh((m - 1) / (m + 1)) by its series. */
static double natural_log(double x)
{
    const double ln2 = 0.69314718055994530942;
    int e = 0;
    for (; x > 1.4142135623730951; e++) x /= 2;
    double s = (x - 1) / (x + 1), square = s * s, sum = 0;
    for (int i = 41; i >= 1; i -= 2) sum = sum * square + 1.0 / i;
    return 2 * s * sum + e * ln2;
}

/* e^-x of 0 <= x < 100. */
static double exp_of_minus(double x)
{
    /* e^-x = 2^-n e^-r with r = x - n ln 2 in [0, ln 2), ln 2 in two parts. */
    const double ln2_high = 0.693147180369123816490, ln2_low = 1.90821492927058770002e-10;
    int n = (int)(x / 0.69314718055994530942);
    double r = (x - n * ln2_high) - n * ln2_low, sum = 1;
    for (int i = 20; i >= 1; i--) sum = 1 - r / i * sum;
    for (; n > 0; n--) sum /= 2;
    return sum;
}

/* Sine and cosine of 0 <= x < 2^40: reduced by pi / 2 in three parts, then Taylor series. */
static void sine_cosine(double x, double *sine, double *cosine)
{
    const double high = 1.57079632673412561417e+00, middle = 6.07710050630396597660e-11,
                 low = 2.02226624879595063154e-21;
    double turns = (double)(long long)(x * 0.63661977236758134308 + 0.5);
    double r = ((x - turns * high) - turns * middle) - turns * low, square = r * r;
    double s = 1, c = 1;
    for (int i = 18; i >= 2; i -= 2) {
        s = 1 - square / (i * (i + 1)) * s;
        c = 1 - square / (i * (i - 1)) * c;
    }
    s *= r;
    switch ((unsigned long long)turns % 4) {
    case 0:
        *sine = s, *cosine = c;
        break;
    case 1:
        *sine = c, *cosine = -s;
        break;
    case 2:
        *sine = -s, *cosine = -c;
        break;
    default:
        *sine = -c, *cosine = s;
        break;
    }
}

static attn_status positions_parse(attn_reader *r, void *params)
{
    static const char *const layouts[] = {"interleaved", "halves", NULL};
    positions_params *p = params;
    float base = 10000;
    ATTN_TRY(attn_need_inputs(r, 1, 1, NULL));
    ATTN_TRY(attn_need_outputs(r, 1, 1, NULL));
    ATTN_TRY(attn_read_word(r, "layout", layouts, &p->layout));
    ATTN_TRY(attn_read_bool(r, "endpoint", &p->endpoint));
    ATTN_TRY(attn_read_size(r, "offset", 0, 1u << 30, &p->offset));
    ATTN_TRY(attn_read_cache(r, "past", &p->past));
    ATTN_TRY(attn_read_float(r, "base", 1, 1e12, &base));
    p->base_log = natural_log((double)base);
    return ATTN_OK;
}

static attn_status positions_infer(attn_infer *c, const void *params)
{
    const positions_params *p = params;
    const attn_shape *x = &c->in[0];
    attn_shape_text shape;
    ATTN_TRY(attn_want_filled(c, 0, ATTN_F32, 2, ATTN_MAX_RANK));
    size_t dim = x->dim[x->rank - 1], seq = x->dim[x->rank - 2];
    if (dim % 2 != 0 || (p->endpoint && dim < 4))
        return attn_infer_fail(c, "input %s has %zu columns, expected an even number%s",
                               attn_format_shape(&shape, x->dim, x->rank), dim,
                               p->endpoint ? " of at least 4" : "");
    if (p->past) ATTN_TRY(attn_want_appended(c, seq));
    if (p->past && c->context) seq = c->context;
    if (seq > (size_t)1 << 30)
        return attn_infer_fail(c, "%zu positions are more than %zu", seq, (size_t)1 << 30);
    c->out[0] = *x;
    c->flops = 32 * (double)attn_span(x, 0, x->rank);
    return attn_add_scratch(c, dim / 2, sizeof(double), &c->scratch);
}

static void positions_task(const attn_run_context *c, const void *params, size_t item, size_t first,
                           size_t end, size_t worker)
{
    (void)worker;
    const positions_params *p = params;
    const attn_shape *s = &c->in[0].shape;
    size_t seq = s->dim[s->rank - 2], dim = s->dim[s->rank - 1], half = dim / 2;
    const double *frequency = c->scratch;
    size_t step = p->layout == HALVES ? 1 : 2, other = p->layout == HALVES ? half : 1;
    for (size_t row = first; row < end; row++) {
        const float *x = attn_item(&c->in[0], item) + row * dim;
        float *y = attn_item(&c->out[0], item) + row * dim;
        double t = (double)(row % seq + p->offset + (p->past ? c->past : 0));
        for (size_t i = 0; i < half; i++) {
            double sine, cosine;
            sine_cosine(t * frequency[i], &sine, &cosine);
            y[i * step] = x[i * step] + (float)sine;
            y[i * step + other] = x[i * step + other] + (float)cosine;
        }
    }
}

static void positions_run(const attn_run_context *c, const void *params)
{
    const positions_params *p = params;
    const attn_shape *s = &c->in[0].shape;
    size_t half = attn_last(s) / 2;
    double *frequency = c->scratch;
    for (size_t i = 0; i < half; i++)
        frequency[i] = exp_of_minus(p->base_log * (double)i / (double)(half - p->endpoint));
    attn_each_rows(c, params, attn_rows(&c->in[0]), attn_grain(half * 32), positions_task);
}

const attn_layer attn_layer_sinusoidal_positions = {
    "sinusoidal_positions", ATTN_STEP_ENCODE, ATTN_IN_PLACE, sizeof(positions_params),
    positions_parse,        positions_infer,  positions_run};
