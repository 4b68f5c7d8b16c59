/* reshape: the same elements in C order, with other dimensions. x: any shape; y may be x. */
#include "layers/support.h"

#include <string.h>

typedef struct reshape_params {
    long shape[ATTN_MAX_RANK];
    int rank;
} reshape_params;

static attn_status reshape_parse(attn_reader *r, void *params)
{
    reshape_params *p = params;
    int inferred = 0;
    ATTN_TRY(attn_need_inputs(r, 1, 1, NULL));
    ATTN_TRY(attn_need_outputs(r, 1, 1, NULL));
    if (!attn_has_key(r, "shape")) return attn_reader_fail(r, "the key \"shape\" is missing");
    ATTN_TRY(attn_read_ints(r, "shape", -1, 1L << 40, true, ATTN_MAX_RANK - 1, p->shape, &p->rank));
    for (int i = 0; i < p->rank; i++) inferred += p->shape[i] == -1;
    if (inferred > 1) return attn_reader_fail(r, "\"shape\" has -1 more than once");
    return ATTN_OK;
}

static attn_status reshape_infer(attn_infer *c, const void *params)
{
    const reshape_params *p = params;
    const attn_shape *x = &c->in[0];
    attn_shape *y = &c->out[0];
    attn_shape_text text[2];
    size_t have, known = 1;
    int open = -1;
    ATTN_TRY(attn_want_any(c, 0, 0, ATTN_MAX_RANK));
    ATTN_TRY(attn_want_count(c, x, &have));
    *y = (attn_shape){.dtype = x->dtype, .rank = p->rank};
    for (int i = 0; i < p->rank; i++) {
        long dim = attn_resolve_dim(c, p->shape[i]);
        if (dim == 0 && p->shape[i] != 0)
            return attn_infer_fail(c, "\"shape\" has at %d a symbol that no input binds", i);
        if (dim == 0 && i >= x->rank)
            return attn_infer_fail(c, "\"shape\" keeps dimension %d, which input %s has not", i,
                                   attn_format_shape(&text[0], x->dim, x->rank));
        if (dim < 0) open = i;
        y->dim[i] = dim < 0 ? 1 : dim ? (size_t)dim : x->dim[i];
    }
    ATTN_TRY(attn_want_count(c, y, &known));
    if (open >= 0 && have % known == 0) y->dim[open] = have / known;
    if (open >= 0 ? have % known != 0 : have != known)
        return attn_infer_fail(c, "input %s has %zu elements, \"shape\" %s%s %zu",
                               attn_format_shape(&text[0], x->dim, x->rank), have,
                               attn_format_shape(&text[1], y->dim, y->rank),
                               open >= 0 ? " wants a multiple of" : " has", known);
    return ATTN_OK;
}

static void reshape_task(const attn_run_context *c, const void *params, size_t item, size_t first,
                         size_t end, size_t worker)
{
    (void)params;
    (void)worker;
    memcpy(attn_item(&c->out[0], item) + first, attn_item(&c->in[0], item) + first,
           (end - first) * 4);
}

static void reshape_run(const attn_run_context *c, const void *params)
{
    if (c->out[0].data == c->in[0].data) return;
    attn_each_rows(c, params, c->out[0].count, 65536, reshape_task);
}

const attn_layer attn_layer_reshape = {
    "reshape",     ATTN_STEP_SHARED, ATTN_IN_PLACE, sizeof(reshape_params),
    reshape_parse, reshape_infer,    reshape_run};
