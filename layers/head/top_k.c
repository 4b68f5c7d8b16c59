/* top_k: the largest elements of each row of the last dimension.
 *   x [..., n] -> values [..., k] f32, and indices [..., k] i32 if a second output is named
 * Largest first; equal ones by index; NaN after everything else. */
#include "layers/support.h"

typedef struct top_k_params {
    size_t k, outputs;
} top_k_params;

static attn_status top_k_parse(attn_reader *r, void *params)
{
    top_k_params *p = params;
    ATTN_TRY(attn_need_inputs(r, 1, 1, NULL));
    ATTN_TRY(attn_need_outputs(r, 1, 2, &p->outputs));
    return attn_need_size(r, "k", 1, INT32_MAX, &p->k);
}

static attn_status want_row(attn_infer *c)
{
    ATTN_TRY(attn_want_filled(c, 0, ATTN_F32, 1, ATTN_MAX_RANK));
    size_t n = attn_last(&c->in[0]);
    if (n > INT32_MAX) return attn_infer_fail(c, "a row of %zu is longer than an i32 counts", n);
    return ATTN_OK;
}

static attn_status top_k_infer(attn_infer *c, const void *params)
{
    const top_k_params *p = params;
    const attn_shape *x = &c->in[0];
    attn_shape_text shape;
    ATTN_TRY(want_row(c));
    if (p->k > attn_last(x))
        return attn_infer_fail(c, "\"k\" is %zu, but input %s has rows of %zu", p->k,
                               attn_format_shape(&shape, x->dim, x->rank), attn_last(x));
    for (size_t i = 0; i < p->outputs; i++) {
        c->out[i] = *x;
        c->out[i].dim[x->rank - 1] = p->k;
    }
    if (p->outputs == 2) c->out[1].dtype = ATTN_I32;
    c->flops = (double)attn_span(x, 0, x->rank);
    return attn_add_scratch(c, p->k, sizeof(int32_t), &c->worker_scratch);
}

/* a comes before b, where a stands later in the row. */
static bool before(float a, float b)
{
    return a > b || (b != b && a == a);
}

static void top_k_task(const attn_run_context *c, const void *params, size_t item, size_t first,
                       size_t end, size_t worker)
{
    const top_k_params *p = params;
    size_t n = attn_last(&c->in[0].shape);
    for (size_t row = first; row < end; row++) {
        const float *x = attn_item(&c->in[0], item) + row * n;
        float *values = attn_item(&c->out[0], item) + row * p->k;
        int32_t *indices = p->outputs == 2 ? attn_item_i32(&c->out[1], item) + row * p->k
                                           : attn_worker_scratch(c, worker);
        size_t have = 0;
        for (size_t i = 0; i < n; i++) {
            if (have == p->k && !before(x[i], values[have - 1])) continue;
            size_t at = have < p->k ? have++ : have - 1;
            for (; at > 0 && before(x[i], values[at - 1]); at--) {
                values[at] = values[at - 1];
                indices[at] = indices[at - 1];
            }
            values[at] = x[i];
            indices[at] = (int32_t)i;
        }
    }
}

static void top_k_run(const attn_run_context *c, const void *params)
{
    size_t n = attn_last(&c->in[0].shape);
    attn_each_rows(c, params, attn_rows(&c->in[0]), attn_grain(n), top_k_task);
}

const attn_layer attn_layer_top_k = {"top_k",     ATTN_STEP_HEAD, 0,        sizeof(top_k_params),
                                     top_k_parse, top_k_infer,    top_k_run};
