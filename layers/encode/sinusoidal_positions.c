/* sinusoidal_positions: adds the fixed positions of Vaswani et al. 2017, sec. 3.5, to x.
 *   x, y: [..., seq, dim]; y may be x
 *   t counts from 0, or with "past" from the rows that the cache has
 *   angle(t, i) = (t + offset) * base^(-i / n), i = 0 .. dim / 2 - 1
 *     n = dim / 2, or dim / 2 - 1 with "endpoint": true (the last frequency is then 1 / base)
 *   "interleaved": y[t, 2i] += sin, y[t, 2i + 1] += cos (the paper)
 *   "halves":      y[t, i] += sin, y[t, dim / 2 + i] += cos (tensor2tensor; Marian, Whisper)
 * By the functions of exact.h, so that the sum has the same bits with every C library. */
#include "layers/exact.h"
#include "layers/support.h"

typedef struct positions_params {
    int layout;
    bool endpoint, past;
    size_t offset;
    double base_log; /* of the base */
} positions_params;

enum { INTERLEAVED, HALVES };

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
    p->base_log = attn_log((double)base);
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
            attn_sine_cosine(t * frequency[i], &sine, &cosine);
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
        frequency[i] = attn_exp_of_minus(p->base_log * (double)i / (double)(half - p->endpoint));
    attn_each_rows(c, params, attn_rows(&c->in[0]), attn_grain(half * 32), positions_task);
}

const attn_layer attn_layer_sinusoidal_positions = {
    "sinusoidal_positions", ATTN_STEP_ENCODE, ATTN_IN_PLACE, sizeof(positions_params),
    positions_parse,        positions_infer,  positions_run};
