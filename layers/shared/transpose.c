/* transpose: y's dimension i is x's dimension axes[i]. Without "axes" the last two swap,
 * or with "reverse" all of them. */
#include "layers/array/indexing.h"

typedef struct transpose_params {
    long axes[ATTN_MAX_RANK];
    int count; /* 0: swap the last two, or all */
    bool reverse;
} transpose_params;

static attn_status transpose_parse(attn_reader *r, void *params)
{
    transpose_params *p = params;
    unsigned seen = 0;
    ATTN_TRY(attn_need_inputs(r, 1, 1, NULL));
    ATTN_TRY(attn_need_outputs(r, 1, 1, NULL));
    ATTN_TRY(
        attn_read_ints(r, "axes", 0, ATTN_MAX_RANK - 1, false, ATTN_MAX_RANK, p->axes, &p->count));
    for (int i = 0; i < p->count; i++) {
        if (p->axes[i] >= p->count || seen & (1u << p->axes[i]))
            return attn_reader_fail(r, "\"axes\" has %ld, but must hold each of 0 to %d once",
                                    p->axes[i], p->count - 1);
        seen |= 1u << p->axes[i];
    }
    ATTN_TRY(attn_read_bool(r, "reverse", &p->reverse));
    if (p->reverse && p->count)
        return attn_reader_fail(r, "\"axes\" and \"reverse\" say two things");
    return ATTN_OK;
}

/* x's dimension that becomes y's dimension i. */
static int source_axis(const transpose_params *p, int rank, int i)
{
    if (p->count) return (int)p->axes[i];
    if (p->reverse) return rank - 1 - i;
    return i < rank - 2 ? i : rank - 1 - (i - (rank - 2));
}

static attn_status transpose_infer(attn_infer *c, const void *params)
{
    const transpose_params *p = params;
    const attn_shape *x = &c->in[0];
    attn_shape_text shape;
    ATTN_TRY(attn_want_any(c, 0, p->reverse ? 0 : p->count ? 1 : 2, ATTN_MAX_RANK));
    if (p->count && p->count != x->rank)
        return attn_infer_fail(c, "\"axes\" has %d entries, but input %s has rank %d", p->count,
                               attn_format_shape(&shape, x->dim, x->rank), x->rank);
    c->out[0] = *x;
    for (int i = 0; i < x->rank; i++) c->out[0].dim[i] = x->dim[source_axis(p, x->rank, i)];
    return ATTN_OK;
}

static void transpose_run(const attn_run_context *c, const void *params)
{
    const transpose_params *p = params;
    const attn_shape *x = &c->in[0].shape;
    attn_gather g;
    attn_start_gather(c, &g);
    for (int i = 0; i < x->rank; i++) {
        int axis = source_axis(p, x->rank, i);
        g.dim[i + 1] = x->dim[axis];
        g.step[i + 1] = attn_span(x, axis + 1, x->rank);
    }
    attn_run_gather(c, &g);
}

const attn_layer attn_layer_transpose = {
    "transpose",     ATTN_STEP_SHARED, 0, sizeof(transpose_params), transpose_parse,
    transpose_infer, transpose_run};
