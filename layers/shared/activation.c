/* Activations: y = f(x), elementwise. x, y: any shape. One layer per function, and `activation`,
 * whose attribute "kind" names the function as a config.json does. Formulas: kernels.h. */
#include "layers/shared/linear.h"
#include "layers/support.h"

typedef struct activation_params {
    attn_unary unary;
} activation_params;

static attn_status parse_one(attn_reader *r, void *params, attn_unary unary)
{
    activation_params *p = params;
    p->unary = unary;
    ATTN_TRY(attn_need_inputs(r, 1, 1, NULL));
    return attn_need_outputs(r, 1, 1, NULL);
}

static attn_status parse_kind(attn_reader *r, void *params)
{
    activation_params *p = params;
    if (!attn_has_key(r, "kind")) return attn_reader_fail(r, "the key \"kind\" is missing");
    ATTN_TRY(parse_one(r, params, ATTN_IDENTITY));
    return attn_read_activation(r, "kind", &p->unary);
}

static void activation_run(const attn_run_context *c, const void *params);

bool attn_is_activation(const attn_layer *layer)
{
    return layer->run == activation_run;
}

attn_unary attn_activation_unary(const void *params)
{
    return ((const activation_params *)params)->unary;
}

static attn_status activation_infer(attn_infer *c, const void *params)
{
    (void)params;
    ATTN_TRY(attn_want_filled(c, 0, ATTN_F32, 0, ATTN_MAX_RANK));
    c->out[0] = c->in[0];
    return ATTN_OK;
}

static void activation_task(const attn_run_context *c, const void *params, size_t item,
                            size_t first, size_t end, size_t worker)
{
    (void)worker;
    const activation_params *p = params;
    c->kernels->unary(p->unary, attn_item(&c->out[0], item) + first,
                      attn_item(&c->in[0], item) + first, end - first);
}

static void activation_run(const attn_run_context *c, const void *params)
{
    attn_each_rows(c, params, c->out[0].count, 4096, activation_task);
}

#define ACTIVATION(word, unary)                                                                    \
    static attn_status parse_##word(attn_reader *r, void *params)                                  \
    {                                                                                              \
        return parse_one(r, params, unary);                                                        \
    }                                                                                              \
    const attn_layer attn_layer_##word = {                                                         \
        #word,        ATTN_STEP_SHARED, ATTN_IN_PLACE, sizeof(activation_params),                  \
        parse_##word, activation_infer, activation_run};

ACTIVATION(relu, ATTN_RELU)
ACTIVATION(gelu, ATTN_GELU)
ACTIVATION(gelu_tanh, ATTN_GELU_TANH)
ACTIVATION(quick_gelu, ATTN_QUICK_GELU)
ACTIVATION(silu, ATTN_SILU)
ACTIVATION(tanh, ATTN_TANH)
ACTIVATION(sigmoid, ATTN_SIGMOID)
ACTIVATION(relu6, ATTN_RELU6)
ACTIVATION(hard_swish, ATTN_HARD_SWISH)
ACTIVATION(exp, ATTN_EXP)
ACTIVATION(erf, ATTN_ERF)
ACTIVATION(sqrt, ATTN_SQRT)

const attn_layer attn_layer_activation = {
    "activation", ATTN_STEP_SHARED, ATTN_IN_PLACE, sizeof(activation_params),
    parse_kind,   activation_infer, activation_run};
