/* l2_normalize: y = x / max(|x|, eps), each row of the last dimension. x, y: [..., dim]; y may be
 * x. */
#include "layers/support.h"

#include <math.h>

typedef struct l2_params {
    float eps;
} l2_params;

static attn_status l2_parse(attn_reader *r, void *params)
{
    l2_params *p = params;
    p->eps = 1e-12f;
    ATTN_TRY(attn_need_inputs(r, 1, 1, NULL));
    ATTN_TRY(attn_need_outputs(r, 1, 1, NULL));
    return attn_read_float(r, "eps", 1e-30, 1, &p->eps);
}

static attn_status l2_infer(attn_infer *c, const void *params)
{
    (void)params;
    ATTN_TRY(attn_want_filled(c, 0, ATTN_F32, 1, ATTN_MAX_RANK));
    c->out[0] = c->in[0];
    c->flops = 2 * (double)attn_span(&c->in[0], 0, c->in[0].rank);
    return ATTN_OK;
}

static void l2_task(const attn_run_context *c, const void *params, size_t item, size_t first,
                    size_t end, size_t worker)
{
    (void)worker;
    const l2_params *p = params;
    size_t n = attn_last(&c->in[0].shape);
    for (size_t i = first; i < end; i++) {
        const float *x = attn_item(&c->in[0], item) + i * n;
        float norm = sqrtf(c->kernels->dot(x, x, n));
        if (norm < p->eps) norm = p->eps;
        c->kernels->binary(ATTN_BIN_DIV, attn_item(&c->out[0], item) + i * n, x, 1, &norm, 0, n);
    }
}

static void l2_run(const attn_run_context *c, const void *params)
{
    size_t n = attn_last(&c->in[0].shape);
    attn_each_rows(c, params, attn_rows(&c->in[0]), attn_grain(2 * n), l2_task);
}

const attn_layer attn_layer_l2_normalize = {
    "l2_normalize", ATTN_STEP_HEAD, ATTN_IN_PLACE, sizeof(l2_params), l2_parse, l2_infer, l2_run};
