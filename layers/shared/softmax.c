/* softmax: y = exp(x / temperature) / sum of these, along one axis. x, y: any shape of rank at
 * least 1; y may be x. A row of nothing but -infinity gives zeros. */
#include "layers/support.h"

typedef struct softmax_params {
    long axis;
    float temperature;
} softmax_params;

static attn_status softmax_parse(attn_reader *r, void *params)
{
    softmax_params *p = params;
    p->axis = -1;
    p->temperature = 1;
    ATTN_TRY(attn_need_inputs(r, 1, 1, NULL));
    ATTN_TRY(attn_need_outputs(r, 1, 1, NULL));
    ATTN_TRY(attn_read_int(r, "axis", -ATTN_MAX_RANK, ATTN_MAX_RANK - 1, &p->axis));
    return attn_read_float(r, "temperature", 1e-6, 1e6, &p->temperature);
}

static attn_status softmax_infer(attn_infer *c, const void *params)
{
    const softmax_params *p = params;
    int axis;
    ATTN_TRY(attn_want_filled(c, 0, ATTN_F32, 1, ATTN_MAX_RANK));
    ATTN_TRY(attn_want_axis(c, 0, p->axis, &axis));
    c->out[0] = c->in[0];
    c->flops = 16 * (double)attn_span(&c->in[0], 0, c->in[0].rank);
    return attn_add_scratch(c, c->in[0].dim[axis], sizeof(float), &c->worker_scratch);
}

/* Rows: one for every index of the other axes. */
static void softmax_task(const attn_run_context *c, const void *params, size_t item, size_t first,
                         size_t end, size_t worker)
{
    const softmax_params *p = params;
    const attn_shape *s = &c->in[0].shape;
    int axis = (int)(p->axis < 0 ? p->axis + s->rank : p->axis);
    size_t n = s->dim[axis], step = attn_span(s, axis + 1, s->rank);
    float *row = attn_worker_scratch(c, worker), scale = 1 / p->temperature;
    for (size_t i = first; i < end; i++) {
        size_t start = i / step * n * step + i % step;
        const float *x = attn_item(&c->in[0], item) + start;
        float *y = attn_item(&c->out[0], item) + start;
        if (step == 1) {
            c->kernels->softmax(y, x, n, scale);
            continue;
        }
        for (size_t j = 0; j < n; j++) row[j] = x[j * step];
        c->kernels->softmax(row, row, n, scale);
        for (size_t j = 0; j < n; j++) y[j * step] = row[j];
    }
}

static void softmax_run(const attn_run_context *c, const void *params)
{
    const softmax_params *p = params;
    const attn_shape *s = &c->in[0].shape;
    size_t n = s->dim[p->axis < 0 ? p->axis + s->rank : p->axis];
    attn_each_rows(c, params, c->in[0].count / n, attn_grain(16 * n), softmax_task);
}

const attn_layer attn_layer_softmax = {
    "softmax",     ATTN_STEP_SHARED, ATTN_IN_PLACE, sizeof(softmax_params),
    softmax_parse, softmax_infer,    softmax_run};
