/* attention: steps 2, 3 and 4 in one; see attention.h. */
#include "layers/attention_run.h"
#include "layers/support.h"

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
    ATTN_TRY(attn_read_cache(r, "cache", &p->cached));
    bool product = p->score.kind == ATTN_SCORE_SCALED_DOT || p->score.kind == ATTN_SCORE_DOT ||
                   p->score.kind == ATTN_SCORE_BILINEAR;
    if (p->cached && (!product || p->select.kind != ATTN_SELECT_WEIGHTED))
        return attn_reader_fail(r, "\"cache\" is for scaled_dot, dot and bilinear scores, and for "
                                   "the weighted selection");
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

static bool lay_out(attn_attention_layout *l, const attn_kernels *kernels,
                    const attn_attention_params *p, const attn_score_size *z,
                    const attn_select_size *y, attn_panel_type products, size_t batch,
                    size_t workers, bool keeps_weights)
{
    size_t tasks = batch * z->kv_heads, group = z->heads / z->kv_heads, score, select, normalize;
    bool both = z->kv_heads == y->kv_heads;
    l->by_heads = both && (workers == 1 || tasks % workers == 0 || tasks >= 4 * workers);
    bool narrow = p->score.causal || p->score.window;
    l->blocks = l->by_heads
                    ? attn_cut_row_blocks(1, group, z->q_len, z->k_len, 1, narrow)
                    : attn_cut_row_blocks(batch, z->heads, z->q_len, z->k_len, workers, narrow);
    l->scores = 0;
    if (!attn_score_key_bytes(kernels, &p->score, products, z, &l->keys) ||
        !attn_select_value_bytes(kernels, &p->select, attn_select_type(&p->select, products), y,
                                 &l->values) ||
        !attn_score_worker_bytes(kernels, &p->score, products, z, l->blocks.rows, &score) ||
        !attn_select_worker_bytes(kernels, &p->select, attn_select_type(&p->select, products), y,
                                  l->blocks.rows, &select) ||
        !attn_mul(attn_normalize_worker_floats(&p->normalize, z->k_len), sizeof(float),
                  &normalize) ||
        !attn_round_bytes(normalize, &normalize))
        return false;
    /* Rows may lie further apart than they are long: attn_spread_rows. */
    if (!keeps_weights && (!attn_mul(l->blocks.rows, z->k_len + ATTN_SPREAD_FLOATS, &l->scores) ||
                           !attn_mul(l->scores, sizeof(float), &l->scores) ||
                           !attn_round_bytes(l->scores, &l->scores)))
        return false;
    l->own = score > select ? score : select;
    if (l->own < normalize) l->own = normalize;
    return true;
}

/* The keys and values of a run that is prepared in scratch of its own. */
static attn_status prepared_scratch(attn_infer *c, const attn_attention_layout *l,
                                    const attn_score_size *z, const attn_select_size *y)
{
    size_t keys, values;
    if (l->by_heads) {
        ATTN_TRY(attn_add_scratch(c, 1, l->keys, &c->worker_scratch));
        return attn_add_scratch(c, 1, l->values, &c->worker_scratch);
    }
    if (!attn_mul(l->keys, z->kv_heads, &keys) || !attn_mul(l->values, y->kv_heads, &values))
        return attn_infer_fail(c, "%zu keys of %zu columns are too large", z->k_len, z->k_dim);
    ATTN_TRY(attn_add_scratch(c, c->batch, keys, &c->scratch));
    return attn_add_scratch(c, c->batch, values, &c->scratch);
}

/* With a cache, sizes are those of a full one; only the weights that are shown have the size of
 * this very run. */
static attn_status check_cache(attn_infer *c, const attn_attention_params *p, attn_score_size *z,
                               attn_select_size *y, attn_shape *weights)
{
    ATTN_TRY(attn_want_appended(c, z->k_len));
    if (p->score.mask >= 0 || p->score.bias >= 0)
        return attn_infer_fail(c, "\"%s\" is not possible with a cache",
                               p->score.mask >= 0 ? "mask" : "bias");
    weights->dim[2] = z->k_len + c->past;
    c->by_past = c->outputs > 1;
    z->k_len = y->k_len = c->context;
    return attn_attention_keep(c, p, z, y);
}

static attn_status infer_item(attn_infer *c, const void *params)
{
    const attn_attention_params *p = params;
    bool cached = p->cached && c->context;
    attn_score_size z;
    attn_select_size y;
    attn_attention_layout l;
    ATTN_TRY(attn_score_check(c, &p->score, &z));
    attn_shape weights = {ATTN_F32, 3, {z.heads, z.q_len, z.k_len}};
    ATTN_TRY(attn_select_check(c, &p->select, &weights, 2, &y));
    if (cached) ATTN_TRY(check_cache(c, p, &z, &y, &weights));
    if (c->outputs > 1) c->out[1] = weights;
    attn_score_size pairs = z;
    pairs.k_len = weights.dim[2];
    c->flops =
        (double)z.heads * attn_score_pairs(&p->score, &pairs) * ((double)z.k_dim + (double)y.v_dim);
    if (cached && attn_is_step(p, &z, &y)) return attn_step_scratch(c, p, &z);
    if (!lay_out(&l, c->kernels, p, &z, &y, c->products, c->batch, c->workers, c->outputs > 1))
        return attn_infer_fail(c, "%zu queries and %zu keys of %zu columns are too large", z.q_len,
                               z.k_len, z.k_dim);
    if (!cached) ATTN_TRY(prepared_scratch(c, &l, &z, &y));
    ATTN_TRY(attn_add_scratch(c, 1, l.scores, &c->worker_scratch));
    return attn_add_scratch(c, 1, l.own, &c->worker_scratch);
}

/* scratch: [ scores | the steps' own ] */
static void run_block(const attn_attention_job *job, attn_row_block block, const char *keys,
                      const char *values, char *scratch)
{
    const attn_run_context *c = job->c;
    const attn_score_size *z = &job->score.size;
    float *w = (float *)(void *)scratch;
    void *own = scratch + job->l.scores;
    if (c->outputs > 1)
        w = attn_item(&c->out[1], block.item) + (block.head * z->q_len + block.row) * z->k_len;
    if (attn_may_narrow(job)) attn_score_narrow(&job->score, &block);
    block.ld = c->outputs > 1 ? z->k_len : attn_spread_rows(block.rows, block.keys);
    attn_score_block(&job->score, &block, keys, w, own);
    size_t rows = block.ld == block.keys ? block.rows : 1; /* at a time */
    for (size_t i = 0; i < block.rows; i += rows) {
        float *at = w + i * block.ld;
        attn_normalize_rows(c->kernels, &job->p->normalize, at, at, rows, block.keys, own);
        attn_select_sparsify(c->kernels, &job->p->select, at, rows, block.keys, own);
    }
    attn_select_block(&job->select, &block, values, w, own);
}

/* Where a prepared head lies: in the cache, or in the shared scratch: [ keys | values ]. */
static char *shared_keys(const attn_attention_job *job, size_t item, size_t head)
{
    if (job->cached) return attn_cached_keys(job, item, head);
    if (job->score.key_items == 1) item = 0;
    return (char *)job->c->scratch + (item * job->score.size.kv_heads + head) * job->l.keys;
}

static char *shared_values(const attn_attention_job *job, size_t item, size_t head)
{
    if (job->cached) return attn_cached_values(job, item, head);
    size_t keys = job->c->batch * job->score.size.kv_heads * job->l.keys;
    if (job->select.value_items == 1) item = 0;
    return (char *)job->c->scratch + keys +
           (item * job->select.size.kv_heads + head) * job->l.values;
}

static void prepare_keys(const attn_attention_job *job, size_t item, size_t head, char *keys)
{
    if (job->cached)
        attn_append_keys(job, item, head);
    else
        attn_score_prepare(&job->score, item, head, keys);
}

static void prepare_values(const attn_attention_job *job, size_t item, size_t head, char *values)
{
    if (job->cached)
        attn_append_values(job, item, head);
    else
        attn_select_prepare(&job->select, item, head, values);
}

static void head_task(void *arg, size_t task, size_t worker)
{
    const attn_attention_job *job = arg;
    const attn_score_size *z = &job->score.size;
    size_t item = task / z->kv_heads, head = task % z->kv_heads, group = z->heads / z->kv_heads;
    char *scratch = attn_worker_scratch(job->c, worker), *keys = scratch;
    char *values = keys + job->l.keys;
    if (job->cached) {
        keys = attn_cached_keys(job, item, head);
        values = attn_cached_values(job, item, head);
    } else {
        scratch = values + job->l.values;
    }
    prepare_keys(job, item, head, keys);
    prepare_values(job, item, head, values);
    for (size_t i = 0; i < job->l.blocks.tasks; i++) {
        attn_row_block block = attn_get_row_block(&job->l.blocks, i);
        block.item = item;
        block.head += head * group;
        run_block(job, block, keys, values, scratch);
    }
}

static void prepare_task(void *arg, size_t task, size_t worker)
{
    const attn_attention_job *job = arg;
    size_t heads = job->score.size.kv_heads, kv_heads = job->select.size.kv_heads;
    size_t key_tasks = job->score.key_items * heads;
    (void)worker;
    if (task < key_tasks) {
        size_t item = task / heads, head = task % heads;
        prepare_keys(job, item, head, shared_keys(job, item, head));
    } else {
        size_t item = (task - key_tasks) / kv_heads, head = (task - key_tasks) % kv_heads;
        prepare_values(job, item, head, shared_values(job, item, head));
    }
}

static void block_task(void *arg, size_t task, size_t worker)
{
    const attn_attention_job *job = arg;
    const attn_score_size *z = &job->score.size;
    attn_row_block block = attn_get_row_block(&job->l.blocks, task);
    size_t values = z->heads / job->select.size.kv_heads;
    run_block(job, block, shared_keys(job, block.item, block.head / (z->heads / z->kv_heads)),
              shared_values(job, block.item, block.head / values),
              attn_worker_scratch(job->c, worker));
}

static void run_items(const attn_run_context *c, const void *params)
{
    attn_attention_job job = {.c = c, .p = params};
    const attn_value *q = &c->in[0], *v = &c->in[2];
    attn_score_begin(&job.score, c, &job.p->score, c->products);
    attn_select_begin(&job.select, c, &job.p->select, c->products, job.p->score.heads,
                      q->shape.dim[0], v);
    attn_score_size z = job.score.size;
    attn_select_size y = job.select.size;
    if (job.p->cached && c->context) {
        attn_attention_resume(&job);
        z.k_len = y.k_len = c->context; /* as in infer */
        if (attn_is_step(job.p, &z, &y)) {
            attn_step_run(&job);
            return;
        }
    }
    lay_out(&job.l, c->kernels, job.p, &z, &y, c->products, c->batch, c->workers, c->outputs > 1);
    job.l.blocks.k_len = job.score.size.k_len;
    if (job.l.by_heads) {
        c->parallel(c->pool, c->batch * z.kv_heads, head_task, &job);
        return;
    }
    c->parallel(c->pool, job.score.key_items * z.kv_heads + job.select.value_items * y.kv_heads,
                prepare_task, &job);
    c->parallel(c->pool, job.l.blocks.tasks, block_task, &job);
}

static attn_status infer(attn_infer *c, const void *params)
{
    const attn_attention_params *p = params;
    if (c->in[0].rank <= 2) return infer_item(c, params);
    if (p->cached && c->context)
        return attn_infer_fail(c, "leading dimensions are not possible with a cache");
    return attn_lead_infer(c, params, p->score.padding, infer_item);
}

static void run(const attn_run_context *c, const void *params)
{
    const attn_attention_params *p = params;
    if (c->in[0].shape.rank <= 2)
        run_items(c, params);
    else
        attn_lead_run(c, params, p->score.padding, run_items);
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
