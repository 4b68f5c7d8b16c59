/* Leading dimensions of attention: [lead..., length, columns] is an attention for each of them. */
#include "layers/attention_run.h"
#include "layers/support.h"

#include <string.h>

enum { QKV = 3 };

static void cut(const attn_shape *s, int leads, attn_shape *out)
{
    *out = (attn_shape){.dtype = s->dtype, .rank = s->rank - leads};
    memcpy(out->dim, s->dim + leads, (size_t)out->rank * sizeof *out->dim);
}

/* How many dimensions of operand i stand before its own, and whether they count the leads; false:
 * they are neither the leads nor 1. */
static bool leads_of(const attn_shape *s, size_t i, int padding, const attn_shape *q, int *leads,
                     bool *counts)
{
    int most = i < QKV ? 2 : (int)i == padding ? 1 : 3, all = q->rank - 2;
    bool equal, ones = true;
    *leads = s->rank > most ? s->rank - most : 0;
    equal = *leads == all;
    for (int d = 0; d < *leads; d++) {
        equal = equal && s->dim[d] == q->dim[d];
        ones = ones && s->dim[d] == 1;
    }
    *counts = equal && *leads > 0;
    return i < QKV ? equal : equal || ones;
}

attn_status attn_lead_infer(attn_infer *c, const void *params, int padding, attn_item_infer infer)
{
    attn_shape in[ATTN_MAX_OPERANDS];
    attn_shape_text text[2];
    const attn_shape *q = &c->in[0];
    int leads = q->rank - 2;
    size_t items;
    for (size_t i = 0; i < c->inputs; i++) {
        int own;
        bool counts;
        if (!leads_of(&c->in[i], i, padding, q, &own, &counts))
            return attn_infer_fail(c,
                                   "input %zu is %s, which does not fit the leading dimensions "
                                   "of input 0, %s",
                                   i, attn_format_shape(&text[0], c->in[i].dim, c->in[i].rank),
                                   attn_format_shape(&text[1], q->dim, q->rank));
        cut(&c->in[i], own, &in[i]);
    }
    if (!attn_product(q->dim, leads, &items) || items == 0)
        return attn_infer_fail(c, "input 0 is %s: too many leading dimensions, or none",
                               attn_format_shape(&text[0], q->dim, q->rank));
    attn_infer inner = *c;
    inner.in = in;
    inner.batch = items;
    ATTN_TRY(infer(&inner, params));
    c->scratch = inner.scratch;
    c->worker_scratch = inner.worker_scratch;
    c->flops = inner.flops * (double)items;
    for (size_t i = 0; i < c->outputs; i++) {
        attn_shape *y = &c->out[i];
        if (y->rank + leads > ATTN_MAX_RANK)
            return attn_infer_fail(c, "output %zu would have %d dimensions", i, y->rank + leads);
        memmove(y->dim + leads, y->dim, (size_t)y->rank * sizeof *y->dim);
        memcpy(y->dim, q->dim, (size_t)leads * sizeof *y->dim);
        y->rank += leads;
    }
    return ATTN_OK;
}

void attn_lead_run(const attn_run_context *c, const void *params, int padding, attn_items_run run)
{
    attn_value in[ATTN_MAX_OPERANDS], out[2];
    const attn_shape *q = &c->in[0].shape;
    int leads = q->rank - 2;
    size_t inputs = QKV, items = attn_span(q, 0, leads);
    const attn_attention_params *p = params;
    const int more[] = {padding, p->score.mask, p->score.bias};
    for (size_t i = 0; i < 3; i++)
        if (more[i] >= (int)inputs) inputs = (size_t)more[i] + 1;
    /* Item by item, since each operand may have a batch of its own or not. */
    for (size_t item = 0; item < c->batch; item++) {
        for (size_t i = 0; i < inputs; i++) {
            const attn_value *v = &c->in[i];
            int own;
            bool counts;
            leads_of(&v->shape, i, padding, q, &own, &counts);
            cut(&v->shape, own, &in[i].shape);
            in[i].count = counts ? v->count / items : v->count;
            in[i].stride = counts ? in[i].count : 0;
            in[i].data = attn_item(v, item);
        }
        for (size_t i = 0; i < c->outputs; i++) {
            const attn_value *v = &c->out[i];
            cut(&v->shape, leads, &out[i].shape);
            out[i].count = out[i].stride = v->count / items;
            out[i].data = attn_item(v, item);
        }
        attn_run_context inner = *c;
        inner.in = in;
        inner.out = out;
        inner.batch = items;
        run(&inner, params);
    }
}
