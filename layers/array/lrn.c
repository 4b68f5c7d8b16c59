/* lrn: y = x / (bias + alpha / size * sum of x^2 over `size` channels around its own)^beta
 * (Krizhevsky et al. 2012, sec. 3.3); x, y: [..., C, ...], channels at `axis`. Of an even size one
 * channel more lies behind. The power is the C library's, in double, rounded. */
#include "layers/support.h"

#include <math.h>
#include <string.h>

typedef struct lrn_params {
    size_t size;
    float alpha, beta, bias;
    long axis;
} lrn_params;

static attn_status lrn_parse(attn_reader *r, void *params)
{
    lrn_params *p = params;
    *p = (lrn_params){.alpha = 1e-4f, .beta = 0.75f, .bias = 1, .axis = 1};
    ATTN_TRY(attn_need_inputs(r, 1, 1, NULL));
    ATTN_TRY(attn_need_outputs(r, 1, 1, NULL));
    ATTN_TRY(attn_need_size(r, "size", 1, 1 << 20, &p->size));
    ATTN_TRY(attn_read_float(r, "alpha", -1e30, 1e30, &p->alpha));
    ATTN_TRY(attn_read_float(r, "beta", -1e30, 1e30, &p->beta));
    ATTN_TRY(attn_read_float(r, "bias", -1e30, 1e30, &p->bias));
    return attn_read_int(r, "axis", -ATTN_MAX_RANK, ATTN_MAX_RANK - 1, &p->axis);
}

static attn_status lrn_infer(attn_infer *c, const void *params)
{
    const lrn_params *p = params;
    int axis;
    ATTN_TRY(attn_want_filled(c, 0, ATTN_F32, 1, ATTN_MAX_RANK));
    ATTN_TRY(attn_want_axis(c, 0, p->axis, &axis));
    c->out[0] = c->in[0];
    return attn_add_scratch(c, attn_span(&c->in[0], axis + 1, c->in[0].rank), sizeof(float),
                            &c->worker_scratch);
}

static void lrn_task(const attn_run_context *c, const void *params, size_t item, size_t first,
                     size_t end, size_t worker)
{
    const lrn_params *p = params;
    const attn_shape *s = &c->in[0].shape;
    int axis = (int)(p->axis < 0 ? p->axis + s->rank : p->axis);
    size_t channels = s->dim[axis], inner = attn_span(s, axis + 1, s->rank);
    float *sum = attn_worker_scratch(c, worker);
    for (size_t row = first; row < end; row++) {
        const float *x = attn_item(&c->in[0], item) + row * inner, *window;
        float *y = attn_item(&c->out[0], item) + row * inner;
        size_t channel = row % channels, before = (p->size - 1) / 2, after = p->size - 1 - before;
        if (before > channel) before = channel;
        if (after > channels - 1 - channel) after = channels - 1 - channel;
        window = x - before * inner;
        memset(sum, 0, inner * sizeof(float));
        for (size_t k = 0; k < before + after + 1; k++)
            c->kernels->fma(sum, window + k * inner, 1, window + k * inner, 1, sum, 1, inner);
        for (size_t i = 0; i < inner; i++) {
            double base = (double)p->bias + (double)p->alpha / (double)p->size * (double)sum[i];
            y[i] = (float)((double)x[i] / pow(base, (double)p->beta));
        }
    }
}

static void lrn_run(const attn_run_context *c, const void *params)
{
    const lrn_params *p = params;
    const attn_shape *s = &c->in[0].shape;
    size_t inner = attn_span(s, (int)(p->axis < 0 ? p->axis + s->rank : p->axis) + 1, s->rank);
    attn_each_rows(c, p, c->in[0].count / inner, attn_grain(inner * 32), lrn_task);
}

const attn_layer attn_layer_lrn = {"lrn",     ATTN_STEP_SHARED, 0,      sizeof(lrn_params),
                                   lrn_parse, lrn_infer,        lrn_run};
