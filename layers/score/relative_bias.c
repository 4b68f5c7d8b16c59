/* relative_bias: a position bias for every head, from a table of buckets of distances.
 *   weight: [rows, heads], y: [heads, q_len, k_len] = weight[bucket of the distance, head]
 * It depends on the lengths alone, and so is the same for every item. */
#include "layers/score/relative.h"

#include <string.h>

typedef struct bias_params {
    attn_relative relative;
    attn_param weight;
    long length[2]; /* queries, keys */
} bias_params;

static attn_status bias_parse(attn_reader *r, void *params)
{
    bias_params *p = params;
    int count = 0;
    ATTN_TRY(attn_need_inputs(r, 0, 0, NULL));
    ATTN_TRY(attn_need_outputs(r, 1, 1, NULL));
    ATTN_TRY(attn_relative_parse(r, &p->relative));
    ATTN_TRY(attn_read_ints(r, "lengths", 1, 1L << 20, true, 2, p->length, &count));
    if (count != 2) return attn_reader_fail(r, "\"lengths\" must be [q_len, k_len]");
    ATTN_TRY(attn_need_weight(r, "weight", ".weight", 2, &p->weight));
    ATTN_TRY(attn_need_elements(r, &p->weight));
    size_t rows = attn_relative_rows(&p->relative);
    if (p->weight.dim[0] < rows)
        return attn_reader_fail(r, "\"%s\" has %zu rows, the buckets are %zu",
                                p->weight.source->name, p->weight.dim[0], rows);
    return ATTN_OK;
}

static attn_status bias_infer(attn_infer *c, const void *params)
{
    const bias_params *p = params;
    size_t q_len = (size_t)attn_resolve_dim(c, p->length[0]), count;
    size_t k_len = (size_t)attn_resolve_dim(c, p->length[1]);
    ATTN_TRY(attn_relative_lengths(c, q_len, k_len));
    c->out[0] = (attn_shape){ATTN_F32, 3, {p->weight.dim[1], q_len, k_len}};
    ATTN_TRY(attn_want_count(c, &c->out[0], &count));
    return attn_add_scratch(c, (q_len + k_len) * p->weight.dim[1], sizeof(float), &c->scratch);
}

/* A head's row of biases by distance; each query's is a part of it. */
static float *get_line(const attn_run_context *c, size_t head)
{
    const attn_shape *y = &c->out[0].shape;
    size_t each = y->dim[1] + y->dim[2];
    return (float *)(void *)((char *)c->scratch + (each * sizeof(int32_t) + 63) / 64 * 64) +
           head * each;
}

static void bias_task(const attn_run_context *c, const void *params, size_t item, size_t first,
                      size_t end, size_t worker)
{
    (void)params, (void)worker;
    size_t q_len = c->out[0].shape.dim[1], k_len = c->out[0].shape.dim[2];
    for (size_t row = first; row < end; row++)
        memcpy(attn_item(&c->out[0], item) + row * k_len,
               get_line(c, row / q_len) + (q_len - 1 - row % q_len), k_len * sizeof(float));
}

static void bias_run(const attn_run_context *c, const void *params)
{
    const bias_params *p = params;
    size_t heads = p->weight.dim[1], q_len = c->out[0].shape.dim[1], k_len = c->out[0].shape.dim[2];
    int32_t *bucket = c->scratch;
    attn_relative_buckets(&p->relative, q_len, k_len, bucket);
    for (size_t head = 0; head < heads; head++) {
        float *line = get_line(c, head);
        for (size_t m = 0; m < q_len + k_len - 1; m++)
            line[m] = p->weight.data[(size_t)bucket[m] * heads + head];
    }
    attn_each_rows(c, params, heads * q_len, attn_grain(k_len), bias_task);
}

const attn_layer attn_layer_relative_bias = {
    "relative_bias", ATTN_STEP_SCORE, 0, sizeof(bias_params), bias_parse, bias_infer, bias_run};
