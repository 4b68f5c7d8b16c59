/* relative_scores: the scores of queries (or keys) with the vectors of distances, put where query
 * and key meet (Shaw et al. 2018; He et al. 2021, arXiv:2006.03654, eq. 4).
 *   x: [heads, length, rows]; y: [heads, q_len, k_len]
 *   of queries: y[h, i, j] = x[h, i, bucket of the distance];  of keys: x[h, j, ...] */
#include "layers/score/relative.h"

typedef struct scores_params {
    attn_relative relative;
    int of;      /* 0: queries, 1: keys */
    long length; /* of the other side; 0: the same */
} scores_params;

static attn_status scores_parse(attn_reader *r, void *params)
{
    static const char *const sides[] = {"queries", "keys", NULL};
    scores_params *p = params;
    int count = 0;
    ATTN_TRY(attn_need_inputs(r, 1, 1, NULL));
    ATTN_TRY(attn_need_outputs(r, 1, 1, NULL));
    ATTN_TRY(attn_read_word(r, "of", sides, &p->of));
    ATTN_TRY(attn_relative_parse(r, &p->relative));
    ATTN_TRY(attn_read_ints(r, "length", 1, 1L << 20, true, 1, &p->length, &count));
    if (count == 0) p->length = 0;
    return ATTN_OK;
}

static attn_status scores_infer(attn_infer *c, const void *params)
{
    const scores_params *p = params;
    const attn_shape *x = &c->in[0];
    size_t rows = attn_relative_rows(&p->relative), count;
    attn_shape_text text;
    ATTN_TRY(attn_want_filled(c, 0, ATTN_F32, 3, 3));
    if (x->dim[2] != rows)
        return attn_infer_fail(c, "input %s has %zu columns, the buckets are %zu",
                               attn_format_shape(&text, x->dim, 3), x->dim[2], rows);
    size_t own = x->dim[1], other = p->length ? (size_t)attn_resolve_dim(c, p->length) : own;
    size_t q_len = p->of ? other : own, k_len = p->of ? own : other;
    ATTN_TRY(attn_relative_lengths(c, q_len, k_len));
    c->out[0] = (attn_shape){ATTN_F32, 3, {x->dim[0], q_len, k_len}};
    return attn_want_count(c, &c->out[0], &count);
}

static void scores_task(const attn_run_context *c, const void *params, size_t item, size_t first,
                        size_t end, size_t worker)
{
    (void)worker;
    const scores_params *p = params;
    const attn_shape *s = &c->in[0].shape;
    size_t q_len = c->out[0].shape.dim[1], k_len = c->out[0].shape.dim[2];
    size_t step = p->of ? s->dim[2] : 0;
    for (size_t row = first; row < end; row++) {
        size_t head = row / q_len, i = row % q_len;
        const int32_t *bucket = (const int32_t *)c->scratch + (q_len - 1 - i);
        const float *x = attn_item(&c->in[0], item) + head * s->dim[1] * s->dim[2];
        float *y = attn_item(&c->out[0], item) + row * k_len;
        if (!p->of) x += i * s->dim[2];
        for (size_t j = 0; j < k_len; j++) y[j] = x[j * step + (size_t)bucket[j]];
    }
}

static void scores_run(const attn_run_context *c, const void *params)
{
    const scores_params *p = params;
    const attn_shape *y = &c->out[0].shape;
    attn_relative_buckets(&p->relative, y->dim[1], y->dim[2], c->scratch);
    attn_each_rows(c, params, y->dim[0] * y->dim[1], attn_grain(y->dim[2]), scores_task);
}

const attn_layer attn_layer_relative_scores = {
    "relative_scores", ATTN_STEP_SCORE, 0,         sizeof(scores_params),
    scores_parse,      scores_infer,    scores_run};
