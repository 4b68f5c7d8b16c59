/* The scores of a block of query rows. */
#include "layers/score/score.h"

#include <math.h>

static bool packs_keys(const attn_score_params *p)
{
    return p->kind != ATTN_SCORE_ADDITIVE && p->kind != ATTN_SCORE_GAUSSIAN;
}

attn_panel_type attn_score_type(const attn_score_params *p, attn_panel_type wanted)
{
    bool plain = p->kind == ATTN_SCORE_SCALED_DOT || p->kind == ATTN_SCORE_DOT;
    return plain ? wanted : ATTN_PANEL_F32;
}

/* Of the packed keys; behind them lie the norms of cosine. */
static size_t packed_bytes(const attn_score_run *s)
{
    size_t bytes = 0;
    attn_packed_bytes(s->kernels, s->type, s->size.k_dim, s->size.k_len, &bytes);
    return bytes;
}

bool attn_score_key_bytes(const attn_kernels *kernels, const attn_score_params *p,
                          attn_panel_type type, const attn_score_size *size, size_t *bytes)
{
    *bytes = 0;
    if (!packs_keys(p)) return true;
    size_t packed, norms = p->kind == ATTN_SCORE_COSINE ? size->k_len * sizeof(float) : 0;
    return attn_packed_bytes(kernels, attn_score_type(p, type), size->k_dim, size->k_len,
                             &packed) &&
           attn_add(packed, norms, bytes) && attn_round_bytes(*bytes, bytes);
}

bool attn_score_worker_bytes(const attn_kernels *kernels, const attn_score_params *p,
                             attn_panel_type type, const attn_score_size *size, size_t rows,
                             size_t *bytes)
{
    size_t each = kernels->row_bytes(attn_score_type(p, type), size->q_dim);
    *bytes = 0;
    if (p->kind == ATTN_SCORE_ADDITIVE)
        return attn_mul(size->q_dim, sizeof(float), bytes) && attn_round_bytes(*bytes, bytes);
    if (p->kind != ATTN_SCORE_BILINEAR) return attn_mul(rows, each, bytes);
    return attn_mul(rows, size->k_dim, bytes) && attn_mul(*bytes, sizeof(float), bytes) &&
           attn_round_bytes(*bytes, bytes);
}

void attn_score_begin(attn_score_run *s, const attn_run_context *c, const attn_score_params *p,
                      attn_panel_type wanted)
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
                          .type = attn_score_type(p, wanted),
                          .q = q,
                          .k = k,
                          .padding = p->padding >= 0 ? &c->in[p->padding] : NULL,
                          .mask = p->mask >= 0 ? &c->in[p->mask] : NULL,
                          .bias = p->bias >= 0 ? &c->in[p->bias] : NULL,
                          .key_items = k->stride ? c->batch : 1};
    attn_score_key_bytes(c->kernels, p, wanted, &s->size, &s->key_bytes);
    s->scale = p->scale;
    if (p->kind == ATTN_SCORE_SCALED_DOT && !p->has_scale)
        s->scale = 1.0f / sqrtf((float)s->size.q_dim);
    if (p->kind == ATTN_SCORE_GAUSSIAN) s->scale = -p->scale / (2 * p->sigma * p->sigma);
}

static float inverse_norm(const attn_score_run *s, const float *x, size_t n)
{
    float norm = sqrtf(s->kernels->dot(x, x, n));
    return 1.0f / (norm < s->p->eps ? s->p->eps : norm);
}

/* Packs K^T [k_dim, k_len] of one key head; cosine: followed by 1 / |k| of every key. */
void attn_score_prepare(const attn_score_run *s, size_t item, size_t head, void *keys)
{
    const attn_score_size *z = &s->size;
    size_t ld = z->kv_heads * z->k_dim;
    const float *k = attn_item(s->k, item) + head * z->k_dim;
    if (!s->key_bytes) return;
    s->kernels->pack(s->type, keys, k, z->k_dim, z->k_len, 1, ld);
    if (s->p->kind != ATTN_SCORE_COSINE) return;
    float *norms = (float *)(void *)((char *)keys + packed_bytes(s));
    for (size_t j = 0; j < z->k_len; j++) norms[j] = inverse_norm(s, k + j * ld, z->k_dim);
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
                       size_t ldq, const void *keys, float *scores, void *scratch)
{
    const attn_score_size *z = &s->size;
    const attn_kernels *kernels = s->kernels;
    size_t row_bytes = kernels->row_bytes(s->type, z->q_dim);
    attn_gemm g = {.m = block->rows,
                   .n = block->keys,
                   .k = z->k_dim,
                   .x = q,
                   .ldx = ldq,
                   .rows = scratch,
                   .type = s->type,
                   .w = (const char *)keys +
                        block->first / kernels->panel * kernels->panel_bytes(s->type, z->k_dim),
                   .y = scores,
                   .ldy = block->ld,
                   .scale = s->scale};
    if (s->p->kind == ATTN_SCORE_BILINEAR) {
        project(s, block, q, ldq, scratch);
        g.x = scratch;
        g.ldx = z->k_dim;
    }
    for (size_t i = 0; row_bytes && i < block->rows; i++)
        kernels->quantize(s->type, (char *)scratch + i * row_bytes, q + i * ldq, z->q_dim);
    kernels->gemm(&g);
    if (s->p->kind != ATTN_SCORE_COSINE) return;
    const float *norms = (const float *)(const void *)((const char *)keys + packed_bytes(s));
    for (size_t i = 0; i < block->rows; i++) {
        float *row = scores + i * block->ld;
        float inverse = inverse_norm(s, q + i * ldq, z->q_dim);
        kernels->binary(ATTN_BIN_MUL, row, row, 1, norms + block->first, 1, block->keys);
        kernels->binary(ATTN_BIN_MUL, row, row, 1, &inverse, 0, block->keys);
    }
}

/* Scores that are no product: one reduction for every query and key. */
static void by_pair(const attn_score_run *s, const attn_row_block *block, const float *q,
                    size_t ldq, float *scores, float *scratch)
{
    const attn_score_size *z = &s->size;
    const attn_param *v = &s->p->weight, *b = &s->p->score_bias;
    size_t dim = z->q_dim, ldk = z->kv_heads * dim, n = block->keys;
    const float *k = attn_item(s->k, block->item) + block->head / (z->heads / z->kv_heads) * dim +
                     block->first * ldk;
    for (size_t i = 0; i < block->rows; i++) {
        const float *x = q + i * ldq;
        float *row = scores + i * block->ld;
        if (s->p->kind == ATTN_SCORE_GAUSSIAN) {
            for (size_t j = 0; j < n; j++)
                row[j] = s->kernels->squared_distance(x, k + j * ldk, dim);
        } else {
            if (b->source) {
                const float *bias = b->data + (b->rank == 2 ? block->head * dim : 0);
                s->kernels->binary(ATTN_BIN_ADD, scratch, x, 1, bias, 1, dim);
                x = scratch;
            }
            const float *weight = v->data + (v->rank == 2 ? block->head * dim : 0);
            for (size_t j = 0; j < n; j++)
                row[j] = s->kernels->additive(weight, x, k + j * ldk, dim);
        }
        s->kernels->binary(ATTN_BIN_MUL, row, row, 1, &s->scale, 0, n);
    }
}

void attn_score_block(const attn_score_run *s, const attn_row_block *block, const void *keys,
                      float *scores, void *scratch)
{
    const attn_score_size *z = &s->size;
    size_t ldq = z->heads * z->q_dim;
    const float *q = attn_item(s->q, block->item) + block->row * ldq + block->head * z->q_dim;
    if (packs_keys(s->p))
        by_product(s, block, q, ldq, keys, scores, scratch);
    else
        by_pair(s, block, q, ldq, scores, scratch);
    attn_score_mask(s, block, scores);
}
