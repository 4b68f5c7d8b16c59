/* The attributes of the score step, and the check of its shapes. */
#include "layers/score/score.h"

#include <math.h>

static const char *const kinds[] = {"scaled_dot", "dot",      "cosine", "bilinear",
                                    "additive",   "gaussian", NULL};

static attn_status parse_weights(attn_reader *r, attn_score_params *p)
{
    if (p->kind != ATTN_SCORE_BILINEAR && p->kind != ATTN_SCORE_ADDITIVE) return ATTN_OK;
    ATTN_TRY(attn_need_weight(r, "weight", "", -1, &p->weight));
    attn_param *w = &p->weight;
    int rank = p->kind == ATTN_SCORE_BILINEAR ? 2 : 1;
    if (w->rank != rank && w->rank != rank + 1)
        return attn_reader_fail(r,
                                "\"weight\": %s has rank %d, %s needs %d, or %d with one per head",
                                w->source->name, w->rank, kinds[p->kind], rank, rank + 1);
    if (p->kind == ATTN_SCORE_BILINEAR) {
        /* One matrix of all heads below each other; attn_score_block takes a head's rows of each
         * panel. */
        w->form = ATTN_PANELS;
        w->n = w->dim[w->rank - 1];
        w->k_is_row = true;
        if (!attn_product(w->dim, w->rank - 1, &w->k))
            return attn_reader_fail(r, "\"weight\": %s is too large", w->source->name);
        return ATTN_OK;
    }
    ATTN_TRY(attn_read_weight(r, "score_bias", "", -1, &p->score_bias));
    if (p->score_bias.source && p->score_bias.rank != 1 && p->score_bias.rank != 2)
        return attn_reader_fail(r,
                                "\"score_bias\": %s has rank %d, needs 1, or 2 with one per head",
                                p->score_bias.source->name, p->score_bias.rank);
    return ATTN_OK;
}

attn_status attn_score_parse(attn_reader *r, const char *kind_key, attn_score_params *p)
{
    p->kind = ATTN_SCORE_SCALED_DOT;
    p->heads = 1;
    ATTN_TRY(attn_read_word(r, kind_key, kinds, &p->kind));
    ATTN_TRY(attn_read_size(r, "heads", 1, ATTN_COUNT_MAX, &p->heads));
    p->kv_heads = p->heads;
    ATTN_TRY(attn_read_size(r, "kv_heads", 1, ATTN_COUNT_MAX, &p->kv_heads));
    if (p->heads % p->kv_heads != 0)
        return attn_reader_fail(r, "\"kv_heads\": %zu does not divide \"heads\": %zu", p->kv_heads,
                                p->heads);
    p->scale = NAN;
    ATTN_TRY(attn_read_float(r, "scale", -1e30, 1e30, &p->scale));
    p->has_scale = !isnan(p->scale);
    if (!p->has_scale) p->scale = 1;
    p->sigma = 1;
    if (p->kind == ATTN_SCORE_GAUSSIAN) ATTN_TRY(attn_read_float(r, "sigma", 1e-9, 1e9, &p->sigma));
    p->eps = 1e-8f;
    if (p->kind == ATTN_SCORE_COSINE) ATTN_TRY(attn_read_float(r, "eps", 1e-30, 1e30, &p->eps));
    ATTN_TRY(attn_read_float(r, "softcap", 1e-9, 1e30, &p->softcap));
    ATTN_TRY(attn_read_bool(r, "alibi", &p->alibi));
    ATTN_TRY(attn_read_bool(r, "causal", &p->causal));
    ATTN_TRY(attn_read_size(r, "window", 1, ATTN_COUNT_MAX, &p->window));
    ATTN_TRY(attn_read_operand(r, "padding", &p->padding));
    ATTN_TRY(attn_read_operand(r, "mask", &p->mask));
    ATTN_TRY(attn_read_operand(r, "bias", &p->bias));
    return parse_weights(r, p);
}

static attn_status check_masks(attn_infer *c, const attn_score_params *p, const attn_score_size *s)
{
    attn_shape_text text;
    if (p->padding >= 0) {
        const attn_shape *m = &c->in[p->padding];
        if (m->rank != 1 || m->dim[0] != s->k_len)
            return attn_infer_fail(c, "\"padding\" has shape %s, must be [k_len] = [%zu]",
                                   attn_format_shape(&text, m->dim, m->rank), s->k_len);
    }
    const struct {
        const char *key;
        int index;
    } added[] = {{"mask", p->mask}, {"bias", p->bias}};
    for (size_t i = 0; i < 2; i++) {
        if (added[i].index < 0) continue;
        const attn_shape *m = &c->in[added[i].index];
        int lead = m->rank - 2;
        bool fits = (lead == 0 || lead == 1) && m->dim[lead + 1] == s->k_len &&
                    (m->dim[lead] == s->q_len || m->dim[lead] == 1) &&
                    (!lead || m->dim[0] == s->heads || m->dim[0] == 1);
        if (!fits)
            return attn_infer_fail(
                c,
                "\"%s\" has shape %s, must be [q_len, k_len] = [%zu, %zu], or that per head (%zu)",
                added[i].key, attn_format_shape(&text, m->dim, m->rank), s->q_len, s->k_len,
                s->heads);
    }
    if (p->bias >= 0 && c->in[p->bias].dtype != ATTN_F32)
        return attn_infer_fail(c, "\"bias\" is %s, must be f32",
                               attn_dtype_name(c->in[p->bias].dtype));
    return ATTN_OK;
}

/* want: the shape of one head's weight, rank 1 or 2. */
static attn_status check_weight(attn_infer *c, const char *key, const attn_param *w,
                                const size_t *want, int rank, size_t heads)
{
    int lead = w->rank - rank;
    bool fits = !lead || w->dim[0] == heads;
    for (int i = 0; i < rank; i++) fits = fits && w->dim[lead + i] == want[i];
    if (fits) return ATTN_OK;
    attn_shape_text have, need;
    return attn_infer_fail(c, "\"%s\": %s has shape %s, must be %s, or that per head (%zu)", key,
                           w->source->name, attn_format_shape(&have, w->dim, w->rank),
                           attn_format_shape(&need, want, rank), heads);
}

static attn_status check_dims(attn_infer *c, const attn_score_params *p, const attn_score_size *s)
{
    const size_t dims[2] = {s->q_dim, s->k_dim};
    if (p->kind == ATTN_SCORE_BILINEAR)
        return check_weight(c, "weight", &p->weight, dims, 2, s->heads);
    if (s->q_dim != s->k_dim)
        return attn_infer_fail(c,
                               "a query head has %zu columns, a key head %zu; only bilinear scores "
                               "take different ones",
                               s->q_dim, s->k_dim);
    if (p->kind != ATTN_SCORE_ADDITIVE) return ATTN_OK;
    ATTN_TRY(check_weight(c, "weight", &p->weight, dims, 1, s->heads));
    return p->score_bias.source ? check_weight(c, "score_bias", &p->score_bias, dims, 1, s->heads)
                                : ATTN_OK;
}

attn_status attn_score_check(attn_infer *c, const attn_score_params *p, attn_score_size *size)
{
    attn_shape_text text;
    ATTN_TRY(attn_want(c, 0, ATTN_F32, 2, 2));
    ATTN_TRY(attn_want(c, 1, ATTN_F32, 2, 2));
    const attn_shape *q = &c->in[0], *k = &c->in[1];
    if (q->dim[0] == 0 || q->dim[1] == 0 || q->dim[1] % p->heads != 0)
        return attn_infer_fail(c, "q has shape %s, which does not split into %zu heads",
                               attn_format_shape(&text, q->dim, 2), p->heads);
    if (k->dim[0] == 0 || k->dim[1] == 0 || k->dim[1] % p->kv_heads != 0)
        return attn_infer_fail(c, "k has shape %s, which does not split into %zu key heads",
                               attn_format_shape(&text, k->dim, 2), p->kv_heads);
    *size = (attn_score_size){.heads = p->heads,
                              .kv_heads = p->kv_heads,
                              .q_len = q->dim[0],
                              .k_len = k->dim[0],
                              .q_dim = q->dim[1] / p->heads,
                              .k_dim = k->dim[1] / p->kv_heads};
    ATTN_TRY(check_dims(c, p, size));
    return check_masks(c, p, size);
}
