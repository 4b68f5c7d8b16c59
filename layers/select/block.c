/* The values of a block of query rows. */
#include "layers/select/select.h"

#include <string.h>

attn_panel_type attn_select_type(const attn_select_params *p, attn_panel_type wanted)
{
    return p->kind == ATTN_SELECT_WEIGHTED ? wanted : ATTN_PANEL_F32;
}

bool attn_select_value_bytes(const attn_kernels *kernels, const attn_select_params *p,
                             attn_panel_type type, const attn_select_size *size, size_t *bytes)
{
    *bytes = 0;
    if (p->kind != ATTN_SELECT_WEIGHTED) return true;
    return attn_packed_bytes(kernels, type, size->k_len, size->v_dim, bytes) &&
           attn_round_bytes(*bytes, bytes);
}

bool attn_select_worker_bytes(const attn_kernels *kernels, const attn_select_params *p,
                              attn_panel_type type, const attn_select_size *size, size_t rows,
                              size_t *bytes)
{
    if (p->kind == ATTN_SELECT_WEIGHTED)
        return attn_mul(rows, kernels->row_bytes(type, size->k_len), bytes);
    size_t kept = p->k < size->k_len ? p->k : size->k_len;
    *bytes = 0;
    if (p->kind != ATTN_SELECT_TOP_K) return true;
    return attn_mul(kept, sizeof(float), bytes) && attn_round_bytes(*bytes, bytes);
}

size_t attn_value_stride(const attn_kernels *kernels, attn_panel_type type, size_t rows)
{
    size_t bytes = kernels->panel_bytes(type, rows);
    return attn_round_bytes(bytes, &bytes) ? bytes : 0;
}

void attn_select_begin(attn_select_run *s, const attn_run_context *c, const attn_select_params *p,
                       attn_panel_type wanted, size_t heads, size_t q_len, const attn_value *v)
{
    size_t kv_heads = p->kv_heads ? p->kv_heads : heads;
    *s = (attn_select_run){.p = p,
                           .size = {.heads = heads,
                                    .kv_heads = kv_heads,
                                    .q_len = q_len,
                                    .k_len = v->shape.dim[0],
                                    .v_dim = v->shape.dim[1] / kv_heads},
                           .kernels = c->kernels,
                           .type = attn_select_type(p, wanted),
                           .v = v,
                           .y = &c->out[0],
                           .value_items = v->stride ? c->batch : 1};
    if (p->kind == ATTN_SELECT_WEIGHTED)
        s->panel_stride = c->kernels->panel_bytes(s->type, s->size.k_len);
    attn_select_value_bytes(c->kernels, p, s->type, &s->size, &s->value_bytes);
}

void attn_select_prepare(const attn_select_run *s, size_t item, size_t head, void *values)
{
    const attn_select_size *z = &s->size;
    const float *v = attn_item(s->v, item) + head * z->v_dim;
    if (s->value_bytes)
        s->kernels->pack(s->type, values, v, z->k_len, z->v_dim, z->kv_heads * z->v_dim, 1);
}

/* Sparse weights: only the values that are kept are read. */
static void mix_kept(const attn_select_run *s, const attn_row_block *block, const float *w,
                     float *y)
{
    const attn_select_size *z = &s->size;
    size_t head = block->head / (z->heads / z->kv_heads), ldv = z->kv_heads * z->v_dim;
    const float *v = attn_item(s->v, block->item) + head * z->v_dim + block->first * ldv;
    for (size_t i = 0; i < block->rows; i++, w += block->ld, y += z->heads * z->v_dim) {
        memset(y, 0, z->v_dim * sizeof *y);
        for (size_t j = 0; j < block->keys; j++)
            if (w[j] != 0) s->kernels->fma(y, w + j, 0, v + j * ldv, 1, y, 1, z->v_dim);
    }
}

void attn_select_block(const attn_select_run *s, const attn_row_block *block, const void *values,
                       const float *w, void *scratch)
{
    const attn_select_size *z = &s->size;
    const attn_kernels *kernels = s->kernels;
    size_t ldy = z->heads * z->v_dim;
    float *y = attn_item(s->y, block->item) + block->row * ldy + block->head * z->v_dim;
    if (s->p->kind != ATTN_SELECT_WEIGHTED) {
        mix_kept(s, block, w, y);
        return;
    }
    size_t row_bytes = kernels->row_bytes(s->type, block->keys);
    for (size_t i = 0; row_bytes && i < block->rows; i++)
        kernels->quantize(s->type, (char *)scratch + i * row_bytes, w + i * block->ld, block->keys);
    /* The block's keys are some of the rows of every panel, or all. */
    bool whole = kernels->panel_bytes(s->type, block->keys) == s->panel_stride;
    size_t panel = whole ? z->v_dim : kernels->panel;
    size_t skipped = block->first ? kernels->panel_bytes(s->type, block->first) : 0;
    for (size_t j = 0; j < z->v_dim; j += panel) {
        attn_gemm g = {.m = block->rows,
                       .n = z->v_dim - j < panel ? z->v_dim - j : panel,
                       .k = block->keys,
                       .x = w,
                       .ldx = block->ld,
                       .rows = scratch,
                       .type = s->type,
                       .w = (const char *)values + j / kernels->panel * s->panel_stride + skipped,
                       .y = y + j,
                       .ldy = ldy,
                       .scale = 1};
        kernels->gemm(&g);
    }
}
