/* softmax:     y = exp(x / temperature) / sum of these; a row of nothing but -infinity gives zeros
 * log_softmax: y = x - max - log(sum of exp(x - max))
 * hardmax:     y = 1 at the largest element, the first of equal ones, 0 elsewhere
 * along one axis, or with "rest" over all dimensions from that one on. x, y: any shape of rank at
 * least 1; y may be x. */
#include "layers/support.h"

#include <math.h>

typedef enum softmax_kind { SOFT, LOG, HARD } softmax_kind;

typedef struct softmax_params {
    softmax_kind kind;
    long axis;
    bool rest;
    float temperature;
} softmax_params;

static attn_status parse_kind(attn_reader *r, void *params, softmax_kind kind)
{
    softmax_params *p = params;
    p->kind = kind;
    p->axis = -1;
    p->temperature = 1;
    ATTN_TRY(attn_need_inputs(r, 1, 1, NULL));
    ATTN_TRY(attn_need_outputs(r, 1, 1, NULL));
    ATTN_TRY(attn_read_bool(r, "rest", &p->rest));
    ATTN_TRY(attn_read_int(r, "axis", -ATTN_MAX_RANK, ATTN_MAX_RANK - 1, &p->axis));
    return kind == SOFT ? attn_read_float(r, "temperature", 1e-6, 1e6, &p->temperature) : ATTN_OK;
}

/* Elements of a row, and from one of them to the next. */
static size_t row_of(const softmax_params *p, const attn_shape *s, size_t *step)
{
    int axis = (int)(p->axis < 0 ? p->axis + s->rank : p->axis);
    *step = p->rest ? 1 : attn_span(s, axis + 1, s->rank);
    return attn_span(s, axis, p->rest ? s->rank : axis + 1);
}

static attn_status softmax_infer(attn_infer *c, const void *params)
{
    const softmax_params *p = params;
    int axis;
    size_t step;
    ATTN_TRY(attn_want_filled(c, 0, ATTN_F32, 1, ATTN_MAX_RANK));
    ATTN_TRY(attn_want_axis(c, 0, p->axis, &axis));
    c->out[0] = c->in[0];
    c->flops = 16 * (double)attn_span(&c->in[0], 0, c->in[0].rank);
    size_t n = row_of(p, &c->in[0], &step);
    ATTN_TRY(attn_add_scratch(c, n, sizeof(float), &c->worker_scratch));
    return p->kind == LOG ? attn_add_scratch(c, n, sizeof(float), &c->worker_scratch) : ATTN_OK;
}

/* y may be x. powers: [n], of LOG. */
static void one_row(const attn_kernels *k, const softmax_params *p, float *y, const float *x,
                    size_t n, float *powers)
{
    float top;
    size_t best = 0;
    switch (p->kind) {
    case SOFT:
        k->softmax(y, x, n, 1 / p->temperature);
        break;
    case LOG:
        top = k->max(x, n);
        k->binary(ATTN_BIN_SUB, y, x, 1, &top, 0, n);
        k->unary(ATTN_EXP, powers, y, n);
        top = (float)log((double)k->sum(powers, n));
        k->binary(ATTN_BIN_SUB, y, y, 1, &top, 0, n);
        break;
    case HARD:
        for (size_t i = 1; i < n; i++)
            if (x[i] > x[best]) best = i;
        for (size_t i = 0; i < n; i++) y[i] = i == best;
        break;
    }
}

/* Rows: one for every index of the other axes. */
static void softmax_task(const attn_run_context *c, const void *params, size_t item, size_t first,
                         size_t end, size_t worker)
{
    const softmax_params *p = params;
    size_t step, n = row_of(p, &c->in[0].shape, &step);
    float *row = attn_worker_scratch(c, worker), *powers = row + (n + 15) / 16 * 16;
    for (size_t i = first; i < end; i++) {
        size_t start = i / step * n * step + i % step;
        const float *x = attn_item(&c->in[0], item) + start;
        float *y = attn_item(&c->out[0], item) + start;
        if (step == 1) {
            one_row(c->kernels, p, y, x, n, powers);
            continue;
        }
        for (size_t j = 0; j < n; j++) row[j] = x[j * step];
        one_row(c->kernels, p, row, row, n, powers);
        for (size_t j = 0; j < n; j++) y[j * step] = row[j];
    }
}

static void softmax_run(const attn_run_context *c, const void *params)
{
    size_t step, n = row_of(params, &c->in[0].shape, &step);
    attn_each_rows(c, params, c->in[0].count / n, attn_grain(16 * n), softmax_task);
}

#define SOFTMAX(word, kind)                                                                        \
    static attn_status parse_##word(attn_reader *r, void *params)                                  \
    {                                                                                              \
        return parse_kind(r, params, kind);                                                        \
    }                                                                                              \
    const attn_layer attn_layer_##word = {                                                         \
        #word,        ATTN_STEP_SHARED, ATTN_IN_PLACE, sizeof(softmax_params),                     \
        parse_##word, softmax_infer,    softmax_run};

SOFTMAX(softmax, SOFT)
SOFTMAX(log_softmax, LOG)
SOFTMAX(hardmax, HARD)
