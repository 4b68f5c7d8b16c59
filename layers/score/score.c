/* score: q [q_len, heads * q_dim], k [k_len, kv_heads * k_dim] -> s [heads, q_len, k_len]. */
#include "layers/score/score.h"

static attn_status parse(attn_reader *r, void *params)
{
    size_t number;
    ATTN_TRY(attn_need_inputs(r, 2, 2, &number));
    ATTN_TRY(attn_need_outputs(r, 1, 1, &number));
    return attn_score_parse(r, "kind", params);
}

static attn_status infer(attn_infer *c, const void *params)
{
    const attn_score_params *p = params;
    attn_score_size z;
    ATTN_TRY(attn_score_check(c, p, &z));
    c->out[0] = (attn_shape){ATTN_F32, 3, {z.heads, z.q_len, z.k_len}};
    attn_row_blocks blocks =
        attn_cut_row_blocks(c->batch, z.heads, z.q_len, z.k_len, c->workers, false);
    size_t key, keys, worker;
    if (!attn_score_key_bytes(c->kernels, p, c->products, &z, &key) ||
        !attn_mul(key, z.kv_heads, &keys) || !attn_mul(keys, c->batch, &keys) ||
        !attn_score_worker_bytes(c->kernels, p, c->products, &z, blocks.rows, &worker))
        return attn_infer_fail(c, "%zu keys of %zu columns are too large", z.k_len, z.k_dim);
    ATTN_TRY(attn_add_scratch(c, keys, 1, &c->scratch));
    ATTN_TRY(attn_add_scratch(c, worker, 1, &c->worker_scratch));
    c->flops = (double)z.heads * (double)z.q_len * (double)z.k_len * (double)z.k_dim;
    return ATTN_OK;
}

typedef struct score_job {
    const attn_run_context *c;
    attn_score_run score;
    attn_row_blocks blocks;
} score_job;

/* Where a key head of an item is prepared. */
static char *get_keys(const score_job *job, size_t item, size_t head)
{
    return (char *)job->c->scratch +
           (item * job->score.size.kv_heads + head) * job->score.key_bytes;
}

static void prepare_task(void *arg, size_t task, size_t worker)
{
    const score_job *job = arg;
    size_t item = task / job->score.size.kv_heads, head = task % job->score.size.kv_heads;
    (void)worker;
    attn_score_prepare(&job->score, item, head, get_keys(job, item, head));
}

static void block_task(void *arg, size_t task, size_t worker)
{
    const score_job *job = arg;
    const attn_score_size *z = &job->score.size;
    attn_row_block block = attn_get_row_block(&job->blocks, task);
    float *scores =
        attn_item(&job->c->out[0], block.item) + (block.head * z->q_len + block.row) * z->k_len;
    attn_score_block(&job->score, &block,
                     get_keys(job, job->score.key_items > 1 ? block.item : 0,
                              block.head / (z->heads / z->kv_heads)),
                     scores, attn_worker_scratch(job->c, worker));
}

static void run(const attn_run_context *c, const void *params)
{
    score_job job = {.c = c};
    attn_score_begin(&job.score, c, params, c->products);
    const attn_score_size *z = &job.score.size;
    job.blocks = attn_cut_row_blocks(c->batch, z->heads, z->q_len, z->k_len, c->workers, false);
    if (job.score.key_bytes)
        c->parallel(c->pool, job.score.key_items * z->kv_heads, prepare_task, &job);
    c->parallel(c->pool, job.blocks.tasks, block_task, &job);
}

const attn_layer attn_layer_score = {
    .name = "score",
    .step = ATTN_STEP_SCORE,
    .params_size = sizeof(attn_score_params),
    .parse = parse,
    .infer = infer,
    .run = run,
};
