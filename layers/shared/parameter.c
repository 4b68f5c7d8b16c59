/* parameter: a weight as a value, the same for every item. y: the weight's shape; f32, or i32 of a
 * tensor of integers. */
#include "layers/support.h"

#include <string.h>

typedef struct parameter_params {
    attn_param weight;
    int dtype; /* 1: i32 */
} parameter_params;

static attn_status parameter_parse(attn_reader *r, void *params)
{
    static const char *const dtypes[] = {"f32", "i32", NULL};
    parameter_params *p = params;
    ATTN_TRY(attn_need_inputs(r, 0, 0, NULL));
    ATTN_TRY(attn_need_outputs(r, 1, 1, NULL));
    ATTN_TRY(attn_need_weight(r, "weight", "", -1, &p->weight));
    ATTN_TRY(attn_read_word(r, "dtype", dtypes, &p->dtype));
    if (p->dtype) {
        const attn_weight *w = p->weight.source;
        attn_dtype dtype = w->dtype;
        if (w->integers || w->blocks || dtype == ATTN_F32 || dtype == ATTN_F16 ||
            dtype == ATTN_BF16)
            return attn_reader_fail(r, "tensor \"%s\" is none of integers", w->name);
        p->weight.form = ATTN_INTEGERS;
    }
    return attn_need_elements(r, &p->weight);
}

static attn_status parameter_infer(attn_infer *c, const void *params)
{
    const parameter_params *p = params;
    c->out[0] = (attn_shape){p->dtype ? ATTN_I32 : ATTN_F32, p->weight.rank, {0}};
    memcpy(c->out[0].dim, p->weight.dim, sizeof c->out[0].dim);
    return ATTN_OK;
}

static void parameter_run(const attn_run_context *c, const void *params)
{
    const parameter_params *p = params;
    for (size_t item = 0; item < c->batch; item++)
        memcpy(attn_item(&c->out[0], item), p->weight.data, c->out[0].count * sizeof(float));
}

static const void *parameter_constant(const void *params)
{
    return ((const parameter_params *)params)->weight.data;
}

const attn_layer attn_layer_parameter = {
    "parameter",   ATTN_STEP_SHARED,  0, sizeof(parameter_params), parameter_parse, parameter_infer,
    parameter_run, parameter_constant};
