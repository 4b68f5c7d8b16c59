/* trilu and eye_like: matrices by their diagonals, f32 or i32. Diagonal k is where j - i = k.
 *   trilu:    x [..., n, m] with 0 below diagonal k ("upper"), or above it; y may be x
 *   eye_like: y [n, m], as x, is 1 on diagonal k, 0 elsewhere */
#include "layers/array/indexing.h"

typedef struct trilu_params {
    attn_ints k;
    bool upper;
    int dtype; /* eye_like: 0 f32, 1 i32, 2 as x */
} trilu_params;

static attn_status trilu_parse(attn_reader *r, void *params)
{
    trilu_params *p = params;
    p->upper = true;
    ATTN_TRY(attn_need_inputs(r, 1, 1, NULL));
    ATTN_TRY(attn_need_outputs(r, 1, 1, NULL));
    ATTN_TRY(attn_read_bool(r, "upper", &p->upper));
    return attn_read_known_ints(r, "k", INT32_MIN, INT32_MAX, &p->k);
}

static attn_status eye_like_parse(attn_reader *r, void *params)
{
    static const char *const dtypes[] = {"f32", "i32", NULL};
    trilu_params *p = params;
    p->dtype = 2;
    ATTN_TRY(attn_need_inputs(r, 1, 1, NULL));
    ATTN_TRY(attn_need_outputs(r, 1, 1, NULL));
    ATTN_TRY(attn_read_word(r, "dtype", dtypes, &p->dtype));
    return attn_read_known_ints(r, "k", INT32_MIN, INT32_MAX, &p->k);
}

static attn_status trilu_infer(attn_infer *c, const void *params)
{
    const trilu_params *p = params;
    long k[ATTN_MAX_INTS];
    int count;
    ATTN_TRY(attn_want_any(c, 0, 2, ATTN_MAX_RANK));
    ATTN_TRY(attn_infer_ints(c, &p->k, 1, k, &count));
    c->out[0] = c->in[0];
    return ATTN_OK;
}

static attn_status eye_like_infer(attn_infer *c, const void *params)
{
    const trilu_params *p = params;
    ATTN_TRY(attn_want(c, 0, c->in[0].dtype, 2, 2));
    ATTN_TRY(trilu_infer(c, params));
    if (p->dtype < 2) c->out[0].dtype = p->dtype ? ATTN_I32 : ATTN_F32;
    return ATTN_OK;
}

/* The column of diagonal k in row i. */
static long diagonal(const attn_run_context *c, const trilu_params *p, size_t i)
{
    long k[ATTN_MAX_INTS] = {0};
    attn_run_ints(c, &p->k, k);
    return (long)i + k[0];
}

static void trilu_task(const attn_run_context *c, const void *params, size_t item, size_t first,
                       size_t end, size_t worker)
{
    const trilu_params *p = params;
    const attn_shape *x = &c->in[0].shape;
    (void)worker;
    size_t m = attn_last(x), n = x->dim[x->rank - 2];
    for (size_t row = first; row < end; row++) {
        const float *from = attn_item(&c->in[0], item) + row * m;
        float *to = attn_item(&c->out[0], item) + row * m;
        long j = diagonal(c, p, row % n + !p->upper);
        size_t at = j < 0 ? 0 : (size_t)j < m ? (size_t)j : m;
        if (p->upper) {
            memset(to, 0, at * 4);
            if (to != from) memcpy(to + at, from + at, (m - at) * 4);
        } else {
            memset(to + at, 0, (m - at) * 4);
            if (to != from) memcpy(to, from, at * 4);
        }
    }
}

static void trilu_run(const attn_run_context *c, const void *params)
{
    size_t m = attn_last(&c->in[0].shape);
    attn_each_rows(c, params, c->out[0].count / m, attn_grain(m), trilu_task);
}

static void eye_like_run(const attn_run_context *c, const void *params)
{
    const attn_shape *y = &c->out[0].shape;
    size_t m = attn_last(y);
    const int32_t whole = 1;
    const float one = 1;
    for (size_t item = 0; item < c->batch; item++) {
        float *to = attn_item(&c->out[0], item);
        memset(to, 0, c->out[0].count * 4);
        for (size_t i = 0; i < y->dim[0]; i++) {
            long j = diagonal(c, params, i);
            if (j < 0 || j >= (long)m) continue;
            memcpy(to + i * m + j, y->dtype == ATTN_I32 ? (const void *)&whole : &one, 4);
        }
    }
}

const attn_layer attn_layer_trilu = {
    "trilu",     ATTN_STEP_SHARED, ATTN_IN_PLACE, sizeof(trilu_params),
    trilu_parse, trilu_infer,      trilu_run};
const attn_layer attn_layer_eye_like = {"eye_like",           ATTN_STEP_SHARED, ATTN_BY_SHAPE,
                                        sizeof(trilu_params), eye_like_parse,   eye_like_infer,
                                        eye_like_run};
