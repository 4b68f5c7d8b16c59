/* The scores of a block of query rows. */
#include "layers/score/score.h"

#include <math.h>

static bool packs_keys(const attn_score_params *p)
{
    return p->kind != ATTN_SCORE_ADDITIVE && p->kind != ATTN_SCORE_GAUSSIAN;
}

bool attn_score_key_floats(const attn_kernels *kernels, const attn_score_params *p,
                           const attn_score_size *size, size_t *floats)
{
    *floats = 0;
    if (!packs_keys(p)) return true;
    size_t packed, norms = p->kind == ATTN_SCORE_COSINE ? size->k_len : 0;
    return attn_packed_floats(kernels, size->k_dim, size->k_len, &packed) &&
           attn_add(packed, norms, floats) && attn_round_floats(*floats, floats);
}

bool attn_score_worker_floats(const attn_score_params *p, const attn_score_size *size, size_t rows,
                              size_t *floats)
{
    *floats = 0;
    if (p->kind == ATTN_SCORE_ADDITIVE) return attn_round_floats(size->q_dim, floats);
    if (p->kind != ATTN_SCORE_BILINEAR) return true;
    return attn_mul(rows, size->k_dim, floats) && attn_round_floats(*floats, floats);
}

void attn_score_begin(attn_score_run *s, const attn_run_context *c, const attn_score_params *p,
                      float *keys)
{
    const attn_value *q = &c->in[0], *k = &c->in[1];
    *s = (attn_score_run){.p = p,
                          .size = {.heads = p->heads,
                                   .kv_heads = p->kv_heads,
                                   .q_len = q->shape.dim[0],
                                   .k_len = k->shape.dim[0],
                                   .q_dim = q->shape.dim[1] / p->heads,
                                   .k_dim = k->shape.dim[1] / p->kv_heads},
                          .kernels = c->kernels,
                          .q = q,
                          .k = k,
                          .padding = p->padding >= 0 ? &c->in[p->padding] : NULL,
                          .mask = p->mask >= 0 ? &c->in[p->mask] : NULL,
                          .bias = p->bias >= 0 ? &c->in[p->bias] : NULL,
                          .key_items = k->stride ? c->batch : 1,
                          .keys = keys};
    attn_score_key_floats(c->kernels, p, &s->size, &s->key_floats);
    s->scale = p->scale;
    if (p->kind == ATTN_SCORE_SCALED_DOT && !p->has_scale)
        s->scale = 1.0f / sqrtf((float)s->size.q_dim);
    if (p->kind == ATTN_SCORE_GAUSSIAN) s->scale = -p->scale / (2 * p->sigma * p->sigma);
}

size_t attn_score_prepare_tasks(const attn_score_run *s)
{
    return s->key_floats ? s->key_items * s->size.kv_heads : 0;
}

static float inverse_norm(const attn_score_run *s, const float *x, size_t n)
{
    float norm = sqrtf(s->kernels->dot(x, x, n));
    return 1.0f / (norm < s->p->eps ? s->p->eps : norm);
}

/* Packs K^T [k_dim, k_len] of one key head; cosine: followed by 1 / |k| of every key. */
void attn_score_prepare(const attn_score_run *s, size_t task)
{
    const attn_score_size *z = &s->size;
    size_t ld = z->kv_heads * z->k_dim;
    const float *k = attn_item(s->k, task / z->kv_heads) + task % z->kv_heads * z->k_dim;
    float *packed = s->keys + task * s->key_floats;
    s->kernels->pack(ATTN_PANEL_F32, packed, k, z->k_dim, z->k_len, 1, ld);
    if (s->p->kind != ATTN_SCORE_COSINE) return;
    size_t floats = 0;
    attn_packed_floats(s->kernels, z->k_dim, z->k_len, &floats);
    for (size_t j = 0; j < z->k_len; j++)
        packed[floats + j] = inverse_norm(s, k + j * ld, z->k_dim);
}

/* y = x W of this head; x: [rows, q_dim] with row stride ldx, y: [rows, k_dim].
 * The packed W holds the rows of all heads below each other in every panel. */
static void project(const attn_score_run *s, const attn_row_block *block, const float *x,
                    size_t ldx, float *y)
{
    const attn_score_size *z = &s->size;
    const attn_param *w = &s->p->weight;
    size_t panel = s->kernels->panel, head = w->rank == 3 ? block->head : 0;
    for (size_t first = 0; first < z->k_dim; first += panel) {
        size_t left = z->k_dim - first;
        attn_gemm g = {.m = block->rows,
                       .n = left < panel ? left : panel,
                       .k = z->q_dim,
                       .x = x,
                       .ldx = ldx,
                       .w = (const float *)w->panels + first * w->k + head * z->q_dim * panel,
                       .y = y + first,
                       .ldy = z->k_dim,
                       .scale = 1};
        s->kernels->gemm(&g);
    }
}

static void by_product(const attn_score_run *s, const attn_row_block *block, const float *q,
                       size_t ldq, const float *keys, float *scores, float *scratch)
{
    const attn_score_size *z = &s->size;
    const float *x = q;
    size_t ldx = ldq;
    if (s->p->kind == ATTN_SCORE_BILINEAR) {
        project(s, block, q, ldq, scratch);
        x = scratch;
        ldx = z->k_dim;
    }
    attn_gemm g = {.m = block->rows,
                   .n = z->k_len,
                   .k = z->k_dim,
                   .x = x,
                   .ldx = ldx,
                   .w = keys,
                   .y = scores,
                   .ldy = z->k_len,
                   .scale = s->scale};
    s->kernels->gemm(&g);
    if (s->p->kind != ATTN_SCORE_COSINE) return;
    size_t floats = 0;
    attn_packed_floats(s->kernels, z->k_dim, z->k_len, &floats);
    for (size_t i = 0; i < block->rows; i++) {
        float *row = scores + i * z->k_len;
        float inverse = inverse_norm(s, q + i * ldq, z->q_dim);
        s->kernels->binary(ATTN_BIN_MUL, row, row, 1, keys + floats, 1, z->k_len);
        s->kernels->binary(ATTN_BIN_MUL, row, row, 1, &inverse, 0, z->k_len);
    }
}

/* Scores that are no product: one reduction for every query and key. */
static void by_pair(const attn_score_run *s, const attn_row_block *block, const float *q,
                    size_t ldq, float *scores, float *scratch)
{
    const attn_score_size *z = &s->size;
    const attn_param *v = &s->p->weight, *b = &s->p->score_bias;
    size_t dim = z->q_dim, ldk = z->kv_heads * dim;
    const float *k = attn_item(s->k, block->item) + block->head / (z->heads / z->kv_heads) * dim;
    for (size_t i = 0; i < block->rows; i++) {
        const float *x = q + i * ldq;
        float *row = scores + i * z->k_len;
        if (s->p->kind == ATTN_SCORE_GAUSSIAN) {
            for (size_t j = 0; j < z->k_len; j++)
                row[j] = s->kernels->squared_distance(x, k + j * ldk, dim);
        } else {
            if (b->source) {
                const float *bias = b->data + (b->rank == 2 ? block->head * dim : 0);
                s->kernels->binary(ATTN_BIN_ADD, scratch, x, 1, bias, 1, dim);
                x = scratch;
            }
            const float *weight = v->data + (v->rank == 2 ? block->head * dim : 0);
            for (size_t j = 0; j < z->k_len; j++)
                row[j] = s->kernels->additive(weight, x, k + j * ldk, dim);
        }
        s->kernels->binary(ATTN_BIN_MUL, row, row, 1, &s->scale, 0, z->k_len);
    }
}

void attn_score_block(const attn_score_run *s, const attn_row_block *block, float *scores,
                      float *worker_scratch)
{
    const attn_score_size *z = &s->size;
    size_t ldq = z->heads * z->q_dim;
    const float *q = attn_item(s->q, block->item) + block->row * ldq + block->head * z->q_dim;
    if (packs_keys(s->p)) {
        size_t item = s->key_items > 1 ? block->item : 0;
        size_t head = item * z->kv_heads + block->head / (z->heads / z->kv_heads);
        by_product(s, block, q, ldq, s->keys + head * s->key_floats, scores, worker_scratch);
    } else {
        by_pair(s, block, q, ldq, scores, worker_scratch);
    }
    attn_score_mask(s, block, scores);
}
