/* select: w [heads, q_len, k_len], v [k_len, kv_heads * v_dim] -> y [q_len, heads * v_dim]. */
#include "layers/select/select.h"

#include <string.h>

static const char *const kinds[] = {"weighted", "top_k", "hard", "threshold", NULL};

attn_status attn_select_parse(attn_reader *r, const char *kind_key, attn_select_params *p)
{
    p->kind = ATTN_SELECT_WEIGHTED;
    p->renormalize = true;
    ATTN_TRY(attn_read_word(r, kind_key, kinds, &p->kind));
    if (p->kind == ATTN_SELECT_TOP_K) ATTN_TRY(attn_need_size(r, "k", 1, ATTN_COUNT_MAX, &p->k));
    if (p->kind == ATTN_SELECT_THRESHOLD)
        ATTN_TRY(attn_need_float(r, "threshold", -1e30, 1e30, &p->threshold));
    if (p->kind == ATTN_SELECT_TOP_K || p->kind == ATTN_SELECT_THRESHOLD)
        ATTN_TRY(attn_read_bool(r, "renormalize", &p->renormalize));
    return ATTN_OK;
}

attn_status attn_select_check(attn_infer *c, const attn_select_params *p, const attn_shape *w,
                              size_t v, attn_select_size *size)
{
    attn_shape_text text;
    ATTN_TRY(attn_want(c, v, ATTN_F32, 2, 2));
    const attn_shape *s = &c->in[v];
    size_t heads = w->dim[0], kv_heads = p->kv_heads ? p->kv_heads : heads;
    if (heads == 0 || w->dim[1] == 0 || w->dim[2] == 0)
        return attn_infer_fail(c, "the weights have shape %s, with nothing in it",
                               attn_format_shape(&text, w->dim, 3));
    if (heads % kv_heads != 0)
        return attn_infer_fail(c, "\"kv_heads\": %zu does not divide the %zu heads of the weights",
                               kv_heads, heads);
    if (s->dim[0] != w->dim[2])
        return attn_infer_fail(c, "v has shape %s, the weights are for %zu keys",
                               attn_format_shape(&text, s->dim, 2), w->dim[2]);
    if (s->dim[1] == 0 || s->dim[1] % kv_heads != 0)
        return attn_infer_fail(c, "v has shape %s, which does not split into %zu value heads",
                               attn_format_shape(&text, s->dim, 2), kv_heads);
    *size = (attn_select_size){.heads = heads,
                               .kv_heads = kv_heads,
                               .q_len = w->dim[1],
                               .k_len = w->dim[2],
                               .v_dim = s->dim[1] / kv_heads};
    c->out[0] = (attn_shape){ATTN_F32, 2, {size->q_len, 0}};
    if (!attn_mul(heads, size->v_dim, &c->out[0].dim[1]))
        return attn_infer_fail(c, "%zu heads of %zu columns are too large", heads, size->v_dim);
    return ATTN_OK;
}

static attn_status parse(attn_reader *r, void *params)
{
    attn_select_params *p = params;
    size_t number;
    ATTN_TRY(attn_need_inputs(r, 2, 2, &number));
    ATTN_TRY(attn_need_outputs(r, 1, 1, &number));
    ATTN_TRY(attn_read_size(r, "kv_heads", 1, ATTN_COUNT_MAX, &p->kv_heads));
    return attn_select_parse(r, "kind", p);
}

/* A worker's scratch: [ a row to become sparse: k_len | attn_select_worker_bytes ]. */
static attn_status infer(attn_infer *c, const void *params)
{
    const attn_select_params *p = params;
    attn_select_size z;
    ATTN_TRY(attn_want(c, 0, ATTN_F32, 3, 3));
    ATTN_TRY(attn_select_check(c, p, &c->in[0], 1, &z));
    attn_panel_type type = attn_select_type(p, c->products);
    attn_row_blocks blocks =
        attn_cut_row_blocks(c->batch, z.heads, z.q_len, z.k_len, c->workers, false);
    size_t value, values, worker = 0;
    bool fits = attn_select_value_bytes(c->kernels, p, type, &z, &value) &&
                attn_mul(value, z.kv_heads, &values) && attn_mul(values, c->batch, &values) &&
                attn_select_worker_bytes(c->kernels, p, type, &z, blocks.rows, &worker);
    if (!fits)
        return attn_infer_fail(c, "%zu values of %zu columns are too large", z.k_len, z.v_dim);
    ATTN_TRY(attn_add_scratch(c, values, 1, &c->scratch));
    if (p->kind != ATTN_SELECT_WEIGHTED)
        ATTN_TRY(attn_add_scratch(c, z.k_len, sizeof(float), &c->worker_scratch));
    ATTN_TRY(attn_add_scratch(c, worker, 1, &c->worker_scratch));
    c->flops = (double)z.heads * (double)z.q_len * (double)z.k_len * (double)z.v_dim;
    return ATTN_OK;
}

typedef struct select_job {
    const attn_run_context *c;
    attn_select_run select;
    attn_row_blocks blocks;
} select_job;

/* Where a value head of an item is prepared. */
static char *get_values(const select_job *job, size_t item, size_t head)
{
    return (char *)job->c->scratch +
           (item * job->select.size.kv_heads + head) * job->select.value_bytes;
}

static void prepare_task(void *arg, size_t task, size_t worker)
{
    const select_job *job = arg;
    size_t item = task / job->select.size.kv_heads, head = task % job->select.size.kv_heads;
    (void)worker;
    attn_select_prepare(&job->select, item, head, get_values(job, item, head));
}

static void block_task(void *arg, size_t task, size_t worker)
{
    const select_job *job = arg;
    const attn_select_run *s = &job->select;
    size_t k_len = s->size.k_len;
    attn_row_block block = attn_get_row_block(&job->blocks, task);
    const float *w =
        attn_item(&job->c->in[0], block.item) + (block.head * s->size.q_len + block.row) * k_len;
    const char *values = get_values(job, s->value_items > 1 ? block.item : 0,
                                    block.head / (s->size.heads / s->size.kv_heads));
    float *scratch = attn_worker_scratch(job->c, worker), *own = scratch + (k_len + 15) / 16 * 16;
    if (s->p->kind == ATTN_SELECT_WEIGHTED) {
        attn_select_block(s, &block, values, w, scratch);
        return;
    }
    attn_row_block one = block;
    one.rows = 1;
    for (size_t i = 0; i < block.rows; i++, one.row++) {
        memcpy(scratch, w + i * k_len, k_len * sizeof *scratch);
        attn_select_sparsify(s->kernels, s->p, scratch, 1, k_len, own);
        attn_select_block(s, &one, values, scratch, own);
    }
}

static void run(const attn_run_context *c, const void *params)
{
    const size_t *w = c->in[0].shape.dim;
    select_job job = {.c = c};
    attn_select_begin(&job.select, c, params, c->products, w[0], w[1], &c->in[1]);
    job.blocks = attn_cut_row_blocks(c->batch, w[0], w[1], w[2], c->workers, false);
    if (job.select.value_bytes)
        c->parallel(c->pool, job.select.value_items * job.select.size.kv_heads, prepare_task, &job);
    c->parallel(c->pool, job.blocks.tasks, block_task, &job);
}

const attn_layer attn_layer_select = {
    .name = "select",
    .step = ATTN_STEP_SELECT,
    .params_size = sizeof(attn_select_params),
    .parse = parse,
    .infer = infer,
    .run = run,
};
