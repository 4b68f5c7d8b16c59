/* layer_norm and rms_norm: each row of the last dimension, or of those from `axis` on, on its own.
 *   x, y: [..., dim], weight, bias: as many elements as a row; y may be x
 *   layer_norm: (x - mean) / sqrt(var + eps) * weight + bias   Ba et al. 2016, eq. 4
 *   rms_norm:   x / sqrt(mean(x^2) + eps) * (weight + offset)  Zhang & Sennrich 2019, eq. 4;
 *               offset 1: as Gemma keeps its weights
 * Further outputs of layer_norm: mean and 1 / sqrt(var + eps) of each row, [..., 1]. */
#include "layers/support.h"

#include <math.h>

typedef struct row_norm_params {
    attn_param weight, bias;
    float eps, offset;
    long axis;
    size_t outputs;
} row_norm_params;

static attn_status read_ports(attn_reader *r, row_norm_params *p, size_t outputs)
{
    p->axis = -1;
    ATTN_TRY(attn_need_inputs(r, 1, 1, NULL));
    ATTN_TRY(attn_need_outputs(r, 1, outputs, &p->outputs));
    ATTN_TRY(attn_read_int(r, "axis", -ATTN_MAX_RANK, ATTN_MAX_RANK - 1, &p->axis));
    return attn_need_float(r, "eps", 0, 1, &p->eps);
}

static attn_status layer_norm_parse(attn_reader *r, void *params)
{
    row_norm_params *p = params;
    bool affine = true;
    size_t count = 0;
    ATTN_TRY(read_ports(r, p, 3));
    ATTN_TRY(attn_read_bool(r, "affine", &affine));
    if (!affine) return ATTN_OK;
    ATTN_TRY(attn_need_weight(r, "weight", ".weight", p->axis == -1 ? 1 : -1, &p->weight));
    attn_product(p->weight.dim, p->weight.rank, &count);
    ATTN_TRY(attn_read_bias(r, "weight", &p->bias));
    return attn_need_length(r, &p->bias, count);
}

static attn_status rms_norm_parse(attn_reader *r, void *params)
{
    row_norm_params *p = params;
    bool affine = true;
    ATTN_TRY(read_ports(r, p, 1));
    ATTN_TRY(attn_read_bool(r, "affine", &affine));
    if (!affine) return ATTN_OK;
    ATTN_TRY(attn_read_float(r, "offset", 0, 1, &p->offset));
    return attn_need_weight(r, "weight", ".weight", p->axis == -1 ? 1 : -1, &p->weight);
}

/* Elements of a row. */
static size_t row_length(const row_norm_params *p, const attn_shape *x)
{
    return attn_span(x, (int)(p->axis < 0 ? p->axis + x->rank : p->axis), x->rank);
}

static attn_status row_norm_infer(attn_infer *c, const void *params)
{
    const row_norm_params *p = params;
    attn_shape_text shape;
    size_t count, weights = 0;
    int axis;
    ATTN_TRY(attn_want_filled(c, 0, ATTN_F32, 1, ATTN_MAX_RANK));
    const attn_shape *x = &c->in[0];
    ATTN_TRY(attn_want_count(c, x, &count));
    ATTN_TRY(attn_want_axis(c, 0, p->axis, &axis));
    attn_product(p->weight.dim, p->weight.rank, &weights);
    if (p->weight.source && row_length(p, x) != weights)
        return attn_infer_fail(c, "input %s has %zu columns, but \"%s\" has [%zu]",
                               attn_format_shape(&shape, x->dim, x->rank), row_length(p, x),
                               p->weight.source->name, weights);
    c->out[0] = *x;
    for (size_t i = 1; i < p->outputs; i++) {
        c->out[i] = *x;
        for (int k = axis; k < x->rank; k++) c->out[i].dim[k] = 1;
    }
    c->flops = 4 * (double)count;
    if (p->offset == 0) return ATTN_OK;
    return attn_add_scratch(c, weights, sizeof(float), &c->scratch);
}

/* The further outputs of row i. */
static void describe_row(const attn_run_context *c, const row_norm_params *p, size_t item, size_t i,
                         const float *x, size_t n)
{
    double mean = (double)c->kernels->sum(x, n) / (double)n, squares = 0;
    for (size_t k = 0; k < n; k++) squares += ((double)x[k] - mean) * ((double)x[k] - mean);
    attn_item(&c->out[1], item)[i] = (float)mean;
    if (p->outputs == 3)
        attn_item(&c->out[2], item)[i] = (float)(1 / sqrt(squares / (double)n + (double)p->eps));
}

static void layer_norm_task(const attn_run_context *c, const void *params, size_t item,
                            size_t first, size_t end, size_t worker)
{
    (void)worker;
    const row_norm_params *p = params;
    size_t n = row_length(p, &c->in[0].shape);
    const float *x = attn_item(&c->in[0], item);
    float *y = attn_item(&c->out[0], item);
    for (size_t i = first; i < end; i++) {
        if (p->outputs > 1) describe_row(c, p, item, i, x + i * n, n);
        c->kernels->layer_norm(y + i * n, x + i * n, p->weight.source ? p->weight.data : NULL,
                               p->bias.source ? p->bias.data : NULL, n, p->eps);
    }
}

static void rms_norm_task(const attn_run_context *c, const void *params, size_t item, size_t first,
                          size_t end, size_t worker)
{
    (void)worker;
    const row_norm_params *p = params;
    size_t n = row_length(p, &c->in[0].shape);
    const float *x = attn_item(&c->in[0], item);
    const float *weight = !p->weight.source ? NULL : p->offset != 0 ? c->scratch : p->weight.data;
    float *y = attn_item(&c->out[0], item);
    for (size_t i = first; i < end; i++)
        c->kernels->rms_norm(y + i * n, x + i * n, weight, n, p->eps);
}

static void layer_norm_run(const attn_run_context *c, const void *params)
{
    size_t n = row_length(params, &c->in[0].shape);
    attn_each_rows(c, params, c->in[0].count / n, attn_grain(4 * n), layer_norm_task);
}

static void rms_norm_run(const attn_run_context *c, const void *params)
{
    const row_norm_params *p = params;
    size_t n = row_length(p, &c->in[0].shape);
    if (p->offset != 0)
        c->kernels->binary(ATTN_BIN_ADD, c->scratch, p->weight.data, 1, &p->offset, 0, n);
    attn_each_rows(c, params, c->in[0].count / n, attn_grain(4 * n), rms_norm_task);
}

const attn_layer attn_layer_layer_norm = {
    "layer_norm",     ATTN_STEP_SHARED, ATTN_IN_PLACE, sizeof(row_norm_params),
    layer_norm_parse, row_norm_infer,   layer_norm_run};
const attn_layer attn_layer_rms_norm = {
    "rms_norm",     ATTN_STEP_SHARED, ATTN_IN_PLACE, sizeof(row_norm_params),
    rms_norm_parse, row_norm_infer,   rms_norm_run};
