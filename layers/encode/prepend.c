/* prepend and append: rows of a weight before or after those of x (class token, registers).
 *   x: [seq, dim], weight: [dim], [n, dim] or [1, n, dim], y: [n + seq, dim] */
#include "layers/support.h"

#include <string.h>

typedef struct prepend_params {
    attn_param weight;
    size_t rows, dim;
    bool after;
} prepend_params;

static attn_status parse_rows(attn_reader *r, prepend_params *p)
{
    attn_shape_text shape;
    ATTN_TRY(attn_need_inputs(r, 1, 1, NULL));
    ATTN_TRY(attn_need_outputs(r, 1, 1, NULL));
    ATTN_TRY(attn_need_weight(r, "weight", "", -1, &p->weight));
    ATTN_TRY(attn_need_elements(r, &p->weight));
    const attn_param *w = &p->weight;
    bool leading_one = w->rank == 3 && w->dim[0] == 1;
    if (!leading_one && w->rank != 1 && w->rank != 2)
        return attn_reader_fail(
            r, "tensor \"%s\" has shape %s, expected [dim], [n, dim] or [1, n, dim]",
            w->source->name, attn_format_shape(&shape, w->dim, w->rank));
    p->dim = w->dim[w->rank - 1];
    p->rows = w->rank == 1 ? 1 : w->dim[w->rank - 2];
    return ATTN_OK;
}

static attn_status prepend_parse(attn_reader *r, void *params)
{
    return parse_rows(r, params);
}

static attn_status append_parse(attn_reader *r, void *params)
{
    prepend_params *p = params;
    p->after = true;
    return parse_rows(r, p);
}

static attn_status prepend_infer(attn_infer *c, const void *params)
{
    const prepend_params *p = params;
    const attn_shape *x = &c->in[0];
    attn_shape_text shape;
    size_t count;
    ATTN_TRY(attn_want_filled(c, 0, ATTN_F32, 2, 2));
    if (x->dim[1] != p->dim)
        return attn_infer_fail(c, "input %s has %zu columns, but \"%s\" has %zu",
                               attn_format_shape(&shape, x->dim, x->rank), x->dim[1],
                               p->weight.source->name, p->dim);
    c->out[0] = *x;
    if (!attn_add(x->dim[0], p->rows, &c->out[0].dim[0]))
        return attn_infer_fail(c, "%zu and %zu rows are too many", x->dim[0], p->rows);
    return attn_want_count(c, &c->out[0], &count);
}

static void prepend_run(const attn_run_context *c, const void *params)
{
    const prepend_params *p = params;
    size_t own = p->rows * p->dim, count = c->in[0].count;
    for (size_t item = 0; item < c->batch; item++) {
        float *y = attn_item(&c->out[0], item);
        memcpy(y + (p->after ? count : 0), p->weight.data, own * sizeof(float));
        memcpy(y + (p->after ? 0 : own), attn_item(&c->in[0], item), count * sizeof(float));
    }
}

const attn_layer attn_layer_prepend = {
    "prepend",     ATTN_STEP_ENCODE, 0,          sizeof(prepend_params),
    prepend_parse, prepend_infer,    prepend_run};
const attn_layer attn_layer_append = {
    "append",     ATTN_STEP_ENCODE, 0,          sizeof(prepend_params),
    append_parse, prepend_infer,    prepend_run};
