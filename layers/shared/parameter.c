/* parameter: a weight as a value, the same for every item. y: the weight's shape. */
#include "layers/support.h"

#include <string.h>

typedef struct parameter_params {
    attn_param weight;
} parameter_params;

static attn_status parameter_parse(attn_reader *r, void *params)
{
    parameter_params *p = params;
    ATTN_TRY(attn_need_inputs(r, 0, 0, NULL));
    ATTN_TRY(attn_need_outputs(r, 1, 1, NULL));
    ATTN_TRY(attn_need_weight(r, "weight", "", -1, &p->weight));
    return attn_need_elements(r, &p->weight);
}

static attn_status parameter_infer(attn_infer *c, const void *params)
{
    const parameter_params *p = params;
    c->out[0] = (attn_shape){.dtype = ATTN_F32, .rank = p->weight.rank};
    memcpy(c->out[0].dim, p->weight.dim, sizeof c->out[0].dim);
    return ATTN_OK;
}

static void parameter_run(const attn_run_context *c, const void *params)
{
    const parameter_params *p = params;
    for (size_t item = 0; item < c->batch; item++)
        memcpy(attn_item(&c->out[0], item), p->weight.data, c->out[0].count * sizeof(float));
}

const attn_layer attn_layer_parameter = {
    "parameter",     ATTN_STEP_SHARED, 0, sizeof(parameter_params), parameter_parse,
    parameter_infer, parameter_run};
