/* layer_norm and rms_norm: each row of the last dimension on its own.
 *   x, y: [..., dim], weight, bias: [dim]; y may be x
 *   layer_norm: (x - mean) / sqrt(var + eps) * weight + bias   Ba et al. 2016, eq. 4
 *   rms_norm:   x / sqrt(mean(x^2) + eps) * (weight + offset)  Zhang & Sennrich 2019, eq. 4;
 *               offset 1: as Gemma keeps its weights */
#include "layers/support.h"

typedef struct row_norm_params {
    attn_param weight, bias;
    float eps, offset;
} row_norm_params;

static attn_status read_ports(attn_reader *r, row_norm_params *p)
{
    ATTN_TRY(attn_need_inputs(r, 1, 1, NULL));
    ATTN_TRY(attn_need_outputs(r, 1, 1, NULL));
    return attn_need_float(r, "eps", 0, 1, &p->eps);
}

static attn_status layer_norm_parse(attn_reader *r, void *params)
{
    row_norm_params *p = params;
    bool affine = true;
    ATTN_TRY(read_ports(r, p));
    ATTN_TRY(attn_read_bool(r, "affine", &affine));
    if (!affine) return ATTN_OK;
    ATTN_TRY(attn_need_weight(r, "weight", ".weight", 1, &p->weight));
    ATTN_TRY(attn_read_bias(r, "weight", &p->bias));
    return attn_need_length(r, &p->bias, p->weight.dim[0]);
}

static attn_status rms_norm_parse(attn_reader *r, void *params)
{
    row_norm_params *p = params;
    bool affine = true;
    ATTN_TRY(read_ports(r, p));
    ATTN_TRY(attn_read_bool(r, "affine", &affine));
    if (!affine) return ATTN_OK;
    ATTN_TRY(attn_read_float(r, "offset", 0, 1, &p->offset));
    return attn_need_weight(r, "weight", ".weight", 1, &p->weight);
}

static attn_status row_norm_infer(attn_infer *c, const void *params)
{
    const row_norm_params *p = params;
    attn_shape_text shape;
    ATTN_TRY(attn_want_filled(c, 0, ATTN_F32, 1, ATTN_MAX_RANK));
    const attn_shape *x = &c->in[0];
    if (p->weight.source && attn_last(x) != p->weight.dim[0])
        return attn_infer_fail(c, "input %s has %zu columns, but \"%s\" has [%zu]",
                               attn_format_shape(&shape, x->dim, x->rank), attn_last(x),
                               p->weight.source->name, p->weight.dim[0]);
    c->out[0] = *x;
    c->flops = 4 * (double)attn_span(x, 0, x->rank);
    if (p->offset == 0) return ATTN_OK;
    return attn_add_scratch(c, p->weight.dim[0], sizeof(float), &c->scratch);
}

static void layer_norm_task(const attn_run_context *c, const void *params, size_t item,
                            size_t first, size_t end, size_t worker)
{
    (void)worker;
    const row_norm_params *p = params;
    size_t n = attn_last(&c->in[0].shape);
    const float *x = attn_item(&c->in[0], item);
    float *y = attn_item(&c->out[0], item);
    for (size_t i = first; i < end; i++)
        c->kernels->layer_norm(y + i * n, x + i * n, p->weight.source ? p->weight.data : NULL,
                               p->bias.source ? p->bias.data : NULL, n, p->eps);
}

static void rms_norm_task(const attn_run_context *c, const void *params, size_t item, size_t first,
                          size_t end, size_t worker)
{
    (void)worker;
    const row_norm_params *p = params;
    size_t n = attn_last(&c->in[0].shape);
    const float *x = attn_item(&c->in[0], item);
    const float *weight = !p->weight.source ? NULL : p->offset != 0 ? c->scratch : p->weight.data;
    float *y = attn_item(&c->out[0], item);
    for (size_t i = first; i < end; i++)
        c->kernels->rms_norm(y + i * n, x + i * n, weight, n, p->eps);
}

static void layer_norm_run(const attn_run_context *c, const void *params)
{
    size_t n = attn_last(&c->in[0].shape);
    attn_each_rows(c, params, attn_rows(&c->in[0]), attn_grain(4 * n), layer_norm_task);
}

static void rms_norm_run(const attn_run_context *c, const void *params)
{
    const row_norm_params *p = params;
    size_t n = attn_last(&c->in[0].shape);
    if (p->offset != 0)
        c->kernels->binary(ATTN_BIN_ADD, c->scratch, p->weight.data, 1, &p->offset, 0, n);
    attn_each_rows(c, params, attn_rows(&c->in[0]), attn_grain(4 * n), rms_norm_task);
}

const attn_layer attn_layer_layer_norm = {
    "layer_norm",     ATTN_STEP_SHARED, ATTN_IN_PLACE, sizeof(row_norm_params),
    layer_norm_parse, row_norm_infer,   layer_norm_run};
const attn_layer attn_layer_rms_norm = {
    "rms_norm",     ATTN_STEP_SHARED, ATTN_IN_PLACE, sizeof(row_norm_params),
    rms_norm_parse, row_norm_infer,   rms_norm_run};
