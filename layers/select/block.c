/* The values of a block of query rows. */
#include "layers/select/select.h"

#include <string.h>

bool attn_select_value_floats(const attn_kernels *kernels, const attn_select_params *p,
                              const attn_select_size *size, size_t *floats)
{
    *floats = 0;
    if (p->kind != ATTN_SELECT_WEIGHTED) return true;
    return attn_packed_floats(kernels, size->k_len, size->v_dim, floats) &&
           attn_round_floats(*floats, floats);
}

void attn_select_begin(attn_select_run *s, const attn_run_context *c, const attn_select_params *p,
                       size_t heads, size_t q_len, const attn_value *v, float *values)
{
    size_t kv_heads = p->kv_heads ? p->kv_heads : heads;
    *s = (attn_select_run){.p = p,
                           .size = {.heads = heads,
                                    .kv_heads = kv_heads,
                                    .q_len = q_len,
                                    .k_len = v->shape.dim[0],
                                    .v_dim = v->shape.dim[1] / kv_heads},
                           .kernels = c->kernels,
                           .v = v,
                           .y = &c->out[0],
                           .value_items = v->stride ? c->batch : 1,
                           .values = values};
    attn_select_value_floats(c->kernels, p, &s->size, &s->value_floats);
}

size_t attn_select_prepare_tasks(const attn_select_run *s)
{
    return s->value_floats ? s->value_items * s->size.kv_heads : 0;
}

void attn_select_prepare(const attn_select_run *s, size_t task)
{
    const attn_select_size *z = &s->size;
    const float *v = attn_item(s->v, task / z->kv_heads) + task % z->kv_heads * z->v_dim;
    s->kernels->pack(ATTN_PANEL_F32, s->values + task * s->value_floats, v, z->k_len, z->v_dim,
                     z->kv_heads * z->v_dim, 1);
}

/* Sparse weights: only the values that are kept are read. */
static void mix_kept(const attn_select_run *s, const attn_row_block *block, const float *w,
                     float *y)
{
    const attn_select_size *z = &s->size;
    size_t head = block->head / (z->heads / z->kv_heads), ldv = z->kv_heads * z->v_dim;
    const float *v = attn_item(s->v, block->item) + head * z->v_dim;
    for (size_t i = 0; i < block->rows; i++, w += z->k_len, y += z->heads * z->v_dim) {
        memset(y, 0, z->v_dim * sizeof *y);
        for (size_t j = 0; j < z->k_len; j++)
            if (w[j] != 0) s->kernels->fma(y, w + j, 0, v + j * ldv, 1, y, 1, z->v_dim);
    }
}

void attn_select_block(const attn_select_run *s, const attn_row_block *block, const float *w)
{
    const attn_select_size *z = &s->size;
    size_t ldy = z->heads * z->v_dim;
    float *y = attn_item(s->y, block->item) + block->row * ldy + block->head * z->v_dim;
    if (s->p->kind != ATTN_SELECT_WEIGHTED) {
        mix_kept(s, block, w, y);
        return;
    }
    size_t item = s->value_items > 1 ? block->item : 0;
    size_t head = item * z->kv_heads + block->head / (z->heads / z->kv_heads);
    attn_gemm g = {.m = block->rows,
                   .n = z->v_dim,
                   .k = z->k_len,
                   .x = w,
                   .ldx = z->k_len,
                   .w = s->values + head * s->value_floats,
                   .y = y,
                   .ldy = ldy,
                   .scale = 1};
    s->kernels->gemm(&g);
}
