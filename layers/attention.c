/* attention: steps 2, 3 and 4 in one; see attention.h. */
#include "layers/attention.h"

static attn_status parse(attn_reader *r, void *params)
{
    attn_attention_params *p = params;
    size_t number;
    ATTN_TRY(attn_need_inputs(r, 3, 3, &number));
    ATTN_TRY(attn_need_outputs(r, 1, 2, &number));
    ATTN_TRY(attn_score_parse(r, "score", &p->score));
    ATTN_TRY(attn_normalize_parse(r, "normalize", &p->normalize));
    ATTN_TRY(attn_select_parse(r, "select", &p->select));
    p->select.kv_heads = p->score.kv_heads;
    return ATTN_OK;
}

bool attn_attention_fuse(const void *score_params, const void *normalize_params,
                         const void *select_params, void *attention_params)
{
    attn_attention_params *p = attention_params;
    p->score = *(const attn_score_params *)score_params;
    p->normalize = *(const attn_normalize_params *)normalize_params;
    p->select = *(const attn_select_params *)select_params;
    if (p->score.padding >= 0) p->score.padding++;
    if (p->score.mask >= 0) p->score.mask++;
    if (p->score.bias >= 0) p->score.bias++;
    return p->select.kv_heads == 0 || p->score.heads % p->select.kv_heads == 0;
}

/* Where things lie in the scratch, in floats:
 *   shared: [ keys: batch * kv_heads | values: batch * kv_heads ]
 *   worker: [ block of scores: rows * k_len (without a second output) | the steps' own ] */
typedef struct layout {
    attn_row_blocks blocks;
    size_t keys, values, scores, own;
} layout;

static bool lay_out(layout *l, const attn_kernels *kernels, const attn_attention_params *p,
                    const attn_score_size *z, const attn_select_size *y, size_t batch,
                    size_t workers, bool keeps_weights)
{
    l->blocks = attn_cut_row_blocks(batch, z->heads, z->q_len, z->k_len, workers);
    l->scores = 0;
    if (!attn_score_key_floats(kernels, &p->score, z, &l->keys) ||
        !attn_mul(l->keys, z->kv_heads, &l->keys) || !attn_mul(l->keys, batch, &l->keys) ||
        !attn_select_value_floats(kernels, &p->select, y, &l->values) ||
        !attn_mul(l->values, y->kv_heads, &l->values) || !attn_mul(l->values, batch, &l->values))
        return false;
    if (!keeps_weights && (!attn_mul(l->blocks.rows, z->k_len, &l->scores) ||
                           !attn_round_floats(l->scores, &l->scores)))
        return false;
    size_t normalize = attn_normalize_worker_floats(&p->normalize, z->k_len);
    size_t select = attn_select_worker_floats(&p->select, z->k_len);
    if (!attn_score_worker_floats(&p->score, z, l->blocks.rows, &l->own)) return false;
    if (l->own < normalize) l->own = normalize;
    if (l->own < select) l->own = select;
    return true;
}

static attn_status infer(attn_infer *c, const void *params)
{
    const attn_attention_params *p = params;
    attn_score_size z;
    attn_select_size y;
    layout l;
    ATTN_TRY(attn_score_check(c, &p->score, &z));
    attn_shape weights = {ATTN_F32, 3, {z.heads, z.q_len, z.k_len}};
    ATTN_TRY(attn_select_check(c, &p->select, &weights, 2, &y));
    if (c->outputs > 1) c->out[1] = weights;
    if (!lay_out(&l, c->kernels, p, &z, &y, c->batch, c->workers, c->outputs > 1))
        return attn_infer_fail(c, "%zu queries and %zu keys of %zu columns are too large", z.q_len,
                               z.k_len, z.k_dim);
    ATTN_TRY(attn_add_scratch(c, l.keys, sizeof(float), &c->scratch));
    ATTN_TRY(attn_add_scratch(c, l.values, sizeof(float), &c->scratch));
    ATTN_TRY(attn_add_scratch(c, l.scores, sizeof(float), &c->worker_scratch));
    ATTN_TRY(attn_add_scratch(c, l.own, sizeof(float), &c->worker_scratch));
    c->flops =
        (double)z.heads * (double)z.q_len * (double)z.k_len * ((double)z.k_dim + (double)y.v_dim);
    return ATTN_OK;
}

typedef struct attention_job {
    const attn_run_context *c;
    const attn_attention_params *p;
    attn_score_run score;
    attn_select_run select;
    layout l;
    size_t key_tasks;
} attention_job;

static void prepare_task(void *arg, size_t task, size_t worker)
{
    const attention_job *job = arg;
    (void)worker;
    if (task < job->key_tasks)
        attn_score_prepare(&job->score, task);
    else
        attn_select_prepare(&job->select, task - job->key_tasks);
}

static void block_task(void *arg, size_t task, size_t worker)
{
    const attention_job *job = arg;
    const attn_run_context *c = job->c;
    const attn_score_size *z = &job->score.size;
    attn_row_block block = attn_get_row_block(&job->l.blocks, task);
    float *scratch = attn_worker_scratch(c, worker), *own = scratch + job->l.scores;
    float *w = c->outputs > 1 ? attn_item(&c->out[1], block.item) +
                                    (block.head * z->q_len + block.row) * z->k_len
                              : scratch;
    attn_score_block(&job->score, &block, w, own);
    attn_normalize_rows(c->kernels, &job->p->normalize, w, w, block.rows, z->k_len, own);
    attn_select_sparsify(c->kernels, &job->p->select, w, block.rows, z->k_len, own);
    attn_select_block(&job->select, &block, w);
}

static void run(const attn_run_context *c, const void *params)
{
    attention_job job = {.c = c, .p = params};
    const attn_value *q = &c->in[0], *v = &c->in[2];
    attn_score_begin(&job.score, c, &job.p->score, c->scratch);
    attn_select_begin(&job.select, c, &job.p->select, job.p->score.heads, q->shape.dim[0], v, NULL);
    lay_out(&job.l, c->kernels, job.p, &job.score.size, &job.select.size, c->batch, c->workers,
            c->outputs > 1);
    job.select.values = (float *)c->scratch + job.l.keys;
    job.key_tasks = attn_score_prepare_tasks(&job.score);
    size_t prepare = job.key_tasks + attn_select_prepare_tasks(&job.select);
    if (prepare) c->parallel(c->pool, prepare, prepare_task, &job);
    c->parallel(c->pool, job.l.blocks.tasks, block_task, &job);
}

const attn_layer attn_layer_attention = {
    .name = "attention",
    .step = ATTN_STEP_ATTENTION,
    .flags = ATTN_SHOWS_WEIGHTS,
    .params_size = sizeof(attn_attention_params),
    .parse = parse,
    .infer = infer,
    .run = run,
};
