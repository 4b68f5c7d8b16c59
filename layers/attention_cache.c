/* Keys and values that a session keeps from run to run, as the products take them. */
#include "layers/append.h"
#include "layers/attention_run.h"
#include "layers/support.h"

attn_status attn_attention_keep(attn_infer *c, const attn_attention_params *p,
                                const attn_score_size *z, const attn_select_size *y)
{
    const attn_kernels *kernels = c->kernels;
    attn_panel_type key = attn_score_type(&p->score, c->products);
    attn_panel_type value = attn_select_type(&p->select, c->products);
    size_t keys, lanes, panels = y->v_dim / kernels->panel + (y->v_dim % kernels->panel != 0);
    size_t stride = attn_value_stride(kernels, value, z->k_len);
    if (!attn_score_key_bytes(kernels, &p->score, c->products, z, &keys) || !stride ||
        !attn_mul(panels, y->kv_heads, &lanes))
        return attn_infer_fail(c, "a cache of %zu rows of %zu columns is too large", z->k_len,
                               z->k_dim);
    size_t pair = value == ATTN_PANEL_F32 ? 1 : 2;
    c->cache[0] =
        (attn_cache_part){z->kv_heads, keys, kernels->panel, kernels->panel_bytes(key, z->k_dim)};
    c->cache[1] = (attn_cache_part){lanes, stride, pair, kernels->panel * sizeof(float)};
    c->cache_parts = 2;
    if (p->score.padding < 0) return ATTN_OK;
    size_t flags = 0;
    ATTN_TRY(attn_add_scratch(c, z->k_len, sizeof(int32_t), &flags));
    c->cache[c->cache_parts++] = (attn_cache_part){1, flags, 1, sizeof(int32_t)};
    return ATTN_OK;
}

static size_t value_bytes(const attn_attention_job *job)
{
    size_t panel = job->c->kernels->panel;
    return (job->select.size.v_dim + panel - 1) / panel * job->select.panel_stride;
}

char *attn_cached_keys(const attn_attention_job *job, size_t item, size_t head)
{
    return job->c->cache + item * job->c->cache_stride + head * job->score.key_bytes;
}

char *attn_cached_values(const attn_attention_job *job, size_t item, size_t head)
{
    return attn_cached_keys(job, item, job->score.size.kv_heads) + head * value_bytes(job);
}

void attn_append_keys(const attn_attention_job *job, size_t item, size_t head)
{
    const attn_run_context *c = job->c;
    const attn_value *k = job->score.k;
    size_t dim = job->score.size.k_dim;
    attn_append_columns(c->kernels, job->score.type, attn_cached_keys(job, item, head), dim,
                        c->past, k->shape.dim[0], attn_item(k, item) + head * dim, k->shape.dim[1]);
}

void attn_append_values(const attn_attention_job *job, size_t item, size_t head)
{
    const attn_run_context *c = job->c;
    const attn_value *v = job->select.v;
    size_t dim = job->select.size.v_dim;
    attn_append_rows(c->kernels, job->select.type, attn_cached_values(job, item, head),
                     job->select.panel_stride, dim, c->past, v->shape.dim[0],
                     attn_item(v, item) + head * dim, v->shape.dim[1]);
}

/* The padding of all rows takes the place of this run's. */
static void append_padding(attn_attention_job *job)
{
    const attn_run_context *c = job->c;
    const attn_value *fresh = job->score.padding;
    char *flags = attn_cached_values(job, 0, job->select.size.kv_heads);
    for (size_t item = 0; item < c->batch; item++) {
        int32_t *to = (int32_t *)(void *)(flags + item * c->cache_stride) + c->past;
        for (size_t j = 0; j < fresh->count; j++) to[j] = attn_mask_keeps(fresh, item, j);
    }
    job->padding = (attn_value){.shape = {ATTN_I32, 1, {job->score.size.k_len}},
                                .count = job->score.size.k_len,
                                .stride = c->cache_stride / sizeof(int32_t),
                                .data = flags};
    job->score.padding = &job->padding;
}

void attn_attention_resume(attn_attention_job *job)
{
    const attn_run_context *c = job->c;
    attn_score_size room = job->score.size;
    job->cached = true;
    room.k_len = c->context;
    attn_score_key_bytes(c->kernels, &job->p->score, c->products, &room, &job->score.key_bytes);
    job->select.panel_stride = attn_value_stride(c->kernels, job->select.type, c->context);
    job->score.size.k_len += c->past;
    job->select.size.k_len += c->past;
    job->score.key_items = job->select.value_items = c->batch;
    if (job->score.padding) append_padding(job);
}
