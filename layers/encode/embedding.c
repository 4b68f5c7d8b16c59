/* embedding: rows of a table by their number.
 *   ids: [...] i32, weight: [rows, dim], y: [..., dim] = weight[ids] * scale
 * An id outside the table takes its nearest row; inputs declare a range that attn_run checks. */
#include "layers/support.h"

#include <float.h>
#include <string.h>

typedef struct embedding_params {
    attn_param weight;
    float scale;
} embedding_params;

static attn_status embedding_parse(attn_reader *r, void *params)
{
    embedding_params *p = params;
    p->scale = 1;
    ATTN_TRY(attn_need_inputs(r, 1, 1, NULL));
    ATTN_TRY(attn_need_outputs(r, 1, 1, NULL));
    ATTN_TRY(attn_need_weight(r, "weight", ".weight", 2, &p->weight));
    ATTN_TRY(attn_need_elements(r, &p->weight));
    p->weight.form = ATTN_ROWS;
    return attn_read_float(r, "scale", -(double)FLT_MAX, (double)FLT_MAX, &p->scale);
}

static attn_status embedding_infer(attn_infer *c, const void *params)
{
    const embedding_params *p = params;
    const attn_shape *ids = &c->in[0];
    size_t count;
    ATTN_TRY(attn_want_filled(c, 0, ATTN_I32, 0, ATTN_MAX_RANK - 1));
    c->out[0] = *ids;
    c->out[0].dtype = ATTN_F32;
    c->out[0].dim[c->out[0].rank++] = p->weight.dim[1];
    return attn_want_count(c, &c->out[0], &count);
}

static void embedding_task(const attn_run_context *c, const void *params, size_t item, size_t first,
                           size_t end, size_t worker)
{
    (void)worker;
    const embedding_params *p = params;
    size_t rows = p->weight.dim[0], dim = p->weight.dim[1];
    const int32_t *ids = attn_item_i32(&c->in[0], item);
    float *y = attn_item(&c->out[0], item);
    for (size_t i = first; i < end; i++) {
        size_t row = ids[i] < 0 ? 0 : (size_t)ids[i];
        if (row >= rows) row = rows - 1;
        if (p->weight.data)
            memcpy(y + i * dim, p->weight.data + row * dim, dim * sizeof(float));
        else
            p->weight.widen(p->weight.source, row * dim, dim, y + i * dim);
        if (p->scale != 1)
            c->kernels->binary(ATTN_BIN_MUL, y + i * dim, y + i * dim, 1, &p->scale, 0, dim);
    }
}

static void embedding_run(const attn_run_context *c, const void *params)
{
    const embedding_params *p = params;
    attn_each_rows(c, params, c->in[0].count, attn_grain(p->weight.dim[1]), embedding_task);
}

const attn_layer attn_layer_embedding = {
    "embedding",     ATTN_STEP_ENCODE, 0, sizeof(embedding_params), embedding_parse,
    embedding_infer, embedding_run};
