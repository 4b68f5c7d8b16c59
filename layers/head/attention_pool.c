/* attention_pool: sequence pooling (Hassani et al. 2021, sec. 3.3, eq. 1-3).
 *   x: [seq, dim], weight: [1, dim], bias: [1]
 *   w = softmax over t of (x[t] . weight + bias): [seq], the second output if there is one
 *   y = sum over t of w[t] x[t]: [dim], each channel summed over t = 0, 1, 2 ... */
#include "layers/support.h"

#include <string.h>

typedef struct attention_pool_params {
    attn_param weight, bias;
    size_t dim;
} attention_pool_params;

static attn_status attention_pool_parse(attn_reader *r, void *params)
{
    attention_pool_params *p = params;
    attn_shape_text shape;
    ATTN_TRY(attn_need_inputs(r, 1, 1, NULL));
    ATTN_TRY(attn_need_outputs(r, 1, 2, NULL));
    ATTN_TRY(attn_need_weight(r, "weight", ".weight", 2, &p->weight));
    ATTN_TRY(attn_read_bias(r, "weight", &p->bias));
    ATTN_TRY(attn_need_length(r, &p->bias, 1));
    if (p->weight.dim[0] != 1 || p->weight.dim[1] == 0)
        return attn_reader_fail(r, "tensor \"%s\" has shape %s, expected [1, dim]",
                                p->weight.source->name,
                                attn_format_shape(&shape, p->weight.dim, p->weight.rank));
    p->dim = p->weight.dim[1];
    return ATTN_OK;
}

static attn_status attention_pool_infer(attn_infer *c, const void *params)
{
    const attention_pool_params *p = params;
    const attn_shape *x = &c->in[0];
    attn_shape_text shape;
    ATTN_TRY(attn_want_filled(c, 0, ATTN_F32, 2, 2));
    if (x->dim[1] != p->dim)
        return attn_infer_fail(c, "input %s has %zu columns, but \"%s\" takes %zu",
                               attn_format_shape(&shape, x->dim, x->rank), x->dim[1],
                               p->weight.source->name, p->dim);
    c->out[0] = (attn_shape){.dtype = ATTN_F32, .rank = 1, .dim = {p->dim}};
    if (c->outputs > 1) c->out[1] = (attn_shape){.dtype = ATTN_F32, .rank = 1, .dim = {x->dim[0]}};
    c->flops = 2 * (double)x->dim[0] * (double)x->dim[1];
    return attn_add_scratch(c, x->dim[0], sizeof(float), &c->worker_scratch);
}

static void attention_pool_task(const attn_run_context *c, const void *params, size_t item,
                                size_t first, size_t end, size_t worker)
{
    (void)first;
    (void)end;
    const attention_pool_params *p = params;
    size_t seq = c->in[0].shape.dim[0], dim = p->dim;
    const float *x = attn_item(&c->in[0], item);
    float *y = attn_item(&c->out[0], item);
    float *w = c->outputs > 1 ? attn_item(&c->out[1], item) : attn_worker_scratch(c, worker);
    for (size_t t = 0; t < seq; t++) {
        w[t] = c->kernels->dot(x + t * dim, p->weight.data, dim);
        if (p->bias.source) w[t] += p->bias.data[0];
    }
    c->kernels->softmax(w, w, seq, 1);
    memset(y, 0, dim * sizeof(float));
    for (size_t t = 0; t < seq; t++) c->kernels->fma(y, x + t * dim, 1, w + t, 0, y, 1, dim);
}

static void attention_pool_run(const attn_run_context *c, const void *params)
{
    attn_each_rows(c, params, 1, 1, attention_pool_task);
}

const attn_layer attn_layer_attention_pool = {
    "attention_pool",     ATTN_STEP_HEAD,       ATTN_SHOWS_WEIGHTS, sizeof(attention_pool_params),
    attention_pool_parse, attention_pool_infer, attention_pool_run};
