/* Tokens to one vector.
 *   token:     x [..., seq, dim] -> y [..., dim], the row "index" (negative: from the end)
 *   mean_pool: x [seq, dim] -> y [dim], over the rows whose padding mask [seq] is not zero
 *   max_pool:  the same with the maximum; a NaN gives NaN
 * A channel of mean_pool is one sum over t = 0, 1, 2 ...; if the mask drops every row, the result
 * is 0. */
#include "layers/support.h"

#include <string.h>

typedef struct pool_params {
    long index;
    int padding;
} pool_params;

static attn_status token_parse(attn_reader *r, void *params)
{
    pool_params *p = params;
    ATTN_TRY(attn_need_inputs(r, 1, 1, NULL));
    ATTN_TRY(attn_need_outputs(r, 1, 1, NULL));
    return attn_read_int(r, "index", -(1L << 40), 1L << 40, &p->index);
}

static attn_status token_infer(attn_infer *c, const void *params)
{
    const pool_params *p = params;
    const attn_shape *x = &c->in[0];
    attn_shape_text shape;
    ATTN_TRY(attn_want_any(c, 0, 2, ATTN_MAX_RANK));
    long seq = (long)x->dim[x->rank - 2];
    if (p->index < -seq || p->index >= seq)
        return attn_infer_fail(c, "input %s has no token %ld",
                               attn_format_shape(&shape, x->dim, x->rank), p->index);
    c->out[0] = *x;
    c->out[0].rank--;
    c->out[0].dim[x->rank - 2] = x->dim[x->rank - 1];
    return ATTN_OK;
}

static void token_run(const attn_run_context *c, const void *params)
{
    const pool_params *p = params;
    const attn_shape *s = &c->in[0].shape;
    size_t seq = s->dim[s->rank - 2], dim = s->dim[s->rank - 1];
    size_t index = (size_t)(p->index < 0 ? p->index + (long)seq : p->index);
    for (size_t item = 0; item < c->batch; item++) {
        const float *x = attn_item(&c->in[0], item) + index * dim;
        float *y = attn_item(&c->out[0], item);
        for (size_t i = 0; i < c->out[0].count; i += dim, x += seq * dim) memcpy(y + i, x, dim * 4);
    }
}

static attn_status pool_parse(attn_reader *r, void *params)
{
    pool_params *p = params;
    ATTN_TRY(attn_need_inputs(r, 1, 1, NULL));
    ATTN_TRY(attn_need_outputs(r, 1, 1, NULL));
    return attn_read_operand(r, "padding", &p->padding);
}

static attn_status pool_infer(attn_infer *c, const void *params)
{
    const pool_params *p = params;
    ATTN_TRY(attn_want_filled(c, 0, ATTN_F32, 2, 2));
    ATTN_TRY(attn_want_mask(c, p->padding, c->in[0].dim[0]));
    c->out[0] = (attn_shape){.dtype = ATTN_F32, .rank = 1, .dim = {c->in[0].dim[1]}};
    c->flops = (double)c->in[0].dim[0] * (double)c->in[0].dim[1];
    return ATTN_OK;
}

/* Channels [first, end) of one item. */
static void pool_channels(const attn_run_context *c, const pool_params *p, attn_binary op,
                          size_t item, size_t first, size_t end)
{
    size_t seq = c->in[0].shape.dim[0], dim = c->in[0].shape.dim[1], n = end - first;
    const float *x = attn_item(&c->in[0], item) + first;
    float *y = attn_item(&c->out[0], item) + first, taken = 0;
    memset(y, 0, n * sizeof(float));
    for (size_t t = 0; t < seq; t++) {
        if (p->padding >= 0 && !attn_mask_keeps(&c->in[p->padding], item, t)) continue;
        if (taken == 0 && op == ATTN_BIN_MAX)
            memcpy(y, x + t * dim, n * sizeof(float));
        else
            c->kernels->binary(op, y, y, 1, x + t * dim, 1, n);
        taken += 1;
    }
    if (op == ATTN_BIN_ADD && taken > 0) c->kernels->binary(ATTN_BIN_DIV, y, y, 1, &taken, 0, n);
}

static void mean_task(const attn_run_context *c, const void *params, size_t item, size_t first,
                      size_t end, size_t worker)
{
    (void)worker;
    pool_channels(c, params, ATTN_BIN_ADD, item, first, end);
}

static void max_task(const attn_run_context *c, const void *params, size_t item, size_t first,
                     size_t end, size_t worker)
{
    (void)worker;
    pool_channels(c, params, ATTN_BIN_MAX, item, first, end);
}

static void mean_pool_run(const attn_run_context *c, const void *params)
{
    size_t seq = c->in[0].shape.dim[0], dim = c->in[0].shape.dim[1];
    attn_each_rows(c, params, dim, attn_grain(seq), mean_task);
}

static void max_pool_run(const attn_run_context *c, const void *params)
{
    size_t seq = c->in[0].shape.dim[0], dim = c->in[0].shape.dim[1];
    attn_each_rows(c, params, dim, attn_grain(seq), max_task);
}

const attn_layer attn_layer_token = {"token",     ATTN_STEP_HEAD, 0,        sizeof(pool_params),
                                     token_parse, token_infer,    token_run};
const attn_layer attn_layer_mean_pool = {
    "mean_pool", ATTN_STEP_HEAD, 0, sizeof(pool_params), pool_parse, pool_infer, mean_pool_run};
const attn_layer attn_layer_max_pool = {
    "max_pool", ATTN_STEP_HEAD, 0, sizeof(pool_params), pool_parse, pool_infer, max_pool_run};
