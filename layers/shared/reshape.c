/* reshape: the same elements in C order, with other dimensions. x: any shape; y may be x. */
#include "layers/support.h"

typedef struct reshape_params {
    attn_ints shape;
    bool allow_zero;
} reshape_params;

static attn_status reshape_parse(attn_reader *r, void *params)
{
    reshape_params *p = params;
    int inferred = 0;
    ATTN_TRY(attn_need_inputs(r, 1, 1, NULL));
    ATTN_TRY(attn_need_outputs(r, 1, 1, NULL));
    ATTN_TRY(attn_read_known_ints(r, "shape", -1, 1L << 40, &p->shape));
    if (!p->shape.given) return attn_reader_fail(r, "the key \"shape\" is missing");
    for (int i = 0; i < p->shape.count; i++) inferred += p->shape.value[i] == -1;
    if (inferred > 1) return attn_reader_fail(r, "\"shape\" has -1 more than once");
    return attn_read_bool(r, "allow_zero", &p->allow_zero);
}

/* Dimension i as "shape" gives it: -1 is left to the caller, 0 keeps x's. */
static attn_status set_dim(attn_infer *c, const reshape_params *p, int i, long dim, size_t *out)
{
    const attn_shape *x = &c->in[0];
    attn_shape_text text;
    if (dim == 0 && p->shape.operand < 0 && p->shape.value[i] != 0)
        return attn_infer_fail(c, "\"shape\" has at %d a symbol that no input binds", i);
    if (dim == 0 && p->allow_zero)
        return attn_infer_fail(c, "\"shape\" has 0 at %d: a value has at least one element", i);
    if (dim == 0 && i >= x->rank)
        return attn_infer_fail(c, "\"shape\" keeps dimension %d, which input %s has not", i,
                               attn_format_shape(&text, x->dim, x->rank));
    *out = dim < 0 ? 1 : dim ? (size_t)dim : x->dim[i];
    return ATTN_OK;
}

static attn_status reshape_infer(attn_infer *c, const void *params)
{
    const reshape_params *p = params;
    const attn_shape *x = &c->in[0];
    attn_shape *y = &c->out[0];
    attn_shape_text text[2];
    long shape[ATTN_MAX_INTS];
    size_t have, known = 1;
    int open = -1;
    ATTN_TRY(attn_want_any(c, 0, 0, ATTN_MAX_RANK));
    ATTN_TRY(attn_want_count(c, x, &have));
    *y = (attn_shape){.dtype = x->dtype};
    ATTN_TRY(attn_infer_ints(c, &p->shape, ATTN_MAX_RANK - 1, shape, &y->rank));
    for (int i = 0; i < y->rank; i++) {
        if (shape[i] < 0 && open >= 0) return attn_infer_fail(c, "\"shape\" has -1 more than once");
        if (shape[i] < 0) open = i;
        ATTN_TRY(set_dim(c, p, i, shape[i], &y->dim[i]));
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

static void reshape_run(const attn_run_context *c, const void *params)
{
    (void)params;
    attn_run_copy(c);
}

const attn_layer attn_layer_reshape = {
    "reshape",     ATTN_STEP_SHARED, ATTN_IN_PLACE, sizeof(reshape_params),
    reshape_parse, reshape_infer,    reshape_run};
