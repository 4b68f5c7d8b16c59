#include "layers/shared/broadcast.h"
#include "layers/support.h"

bool attn_broadcast_shapes(const attn_shape *a, const attn_shape *b, attn_shape *out, size_t *da,
                           size_t *db)
{
    attn_shape y = {.dtype = a->dtype, .rank = a->rank > b->rank ? a->rank : b->rank};
    for (int i = 0; i < y.rank; i++) {
        int ia = i - (y.rank - a->rank), ib = i - (y.rank - b->rank);
        *da = ia < 0 ? 1 : a->dim[ia];
        *db = ib < 0 ? 1 : b->dim[ib];
        if (*da != *db && *da != 1 && *db != 1) return false;
        y.dim[i] = *da > *db ? *da : *db;
    }
    *out = y;
    return true;
}

attn_status attn_want_broadcast(attn_infer *c, size_t first, size_t count, attn_shape *out)
{
    attn_shape_text text[2];
    attn_shape y = c->in[first];
    size_t da, db, elements;
    for (size_t i = first + 1; i < first + count; i++)
        if (!attn_broadcast_shapes(&y, &c->in[i], &y, &da, &db))
            return attn_infer_fail(c, "inputs %s and %s do not broadcast: %zu and %zu",
                                   attn_format_shape(&text[0], y.dim, y.rank),
                                   attn_format_shape(&text[1], c->in[i].dim, c->in[i].rank), da,
                                   db);
    *out = y;
    return attn_want_count(c, out, &elements);
}

void attn_broadcast_input(attn_broadcast *b, int i, size_t from)
{
    const attn_value *v = &b->c->in[from];
    b->shape[i] = v->shape;
    b->x[i] = v->data;
    b->stride[i] = v->stride;
}

/* Elements [at, end) of y, as pieces of its rows. */
static void broadcast_task(void *arg, size_t task, size_t worker)
{
    (void)worker;
    const attn_broadcast *b = arg;
    size_t at = task * b->size, end = b->total - at < b->size ? b->total : at + b->size;
    int last = b->rank - 1;
    const void *x[ATTN_BROADCAST_OPERANDS];
    size_t step[ATTN_BROADCAST_OPERANDS], offset[ATTN_BROADCAST_OPERANDS];
    for (int o = 0; o < b->operands; o++) step[o] = b->steps[o][last];
    while (at < end) {
        size_t column = at % b->dim[last], rest = at / b->dim[last];
        size_t count = b->dim[last] - column < end - at ? b->dim[last] - column : end - at;
        for (int o = 0; o < b->operands; o++) offset[o] = column * step[o];
        for (int i = last - 1; i >= 0; i--) {
            size_t index = rest % b->dim[i];
            for (int o = 0; o < b->operands; o++) offset[o] += index * b->steps[o][i];
            rest /= b->dim[i];
        }
        for (int o = 0; o < b->operands; o++) x[o] = b->x[o] + offset[o] * 4;
        b->row(b, (char *)b->c->out[0].data + at * 4, x, step, count);
        at += count;
    }
}

/* Appends a dimension after those there are, or joins it to the last one where all operands go on
 * without a break. Inner dimensions come later. */
static void add_dim(attn_broadcast *b, size_t dim, const size_t *step)
{
    if (dim == 1) return;
    bool joins = b->rank > 0;
    for (int o = 0; o < b->operands; o++)
        joins = joins && b->steps[o][b->rank - 1] == step[o] * dim;
    if (!joins) b->dim[b->rank++] = 1;
    b->dim[b->rank - 1] *= dim;
    for (int o = 0; o < b->operands; o++) b->steps[o][b->rank - 1] = step[o];
}

/* Elements from one index of dimension i of y to the next in an operand; 0 where repeated. */
static size_t operand_step(const attn_shape *s, const attn_shape *y, int i)
{
    int at = i - (y->rank - s->rank);
    if (at < 0 || s->dim[at] == 1) return 0;
    return attn_span(s, at + 1, s->rank);
}

void attn_run_broadcast(attn_broadcast *b)
{
    const attn_run_context *c = b->c;
    const attn_shape *y = &c->out[0].shape;
    b->rank = 0;
    add_dim(b, c->batch, b->stride);
    for (int i = 0; i < y->rank; i++) {
        size_t step[ATTN_BROADCAST_OPERANDS];
        for (int o = 0; o < b->operands; o++) step[o] = operand_step(&b->shape[o], y, i);
        add_dim(b, y->dim[i], step);
    }
    if (b->rank == 0) b->dim[b->rank++] = 1; /* of steps 0 */
    b->total = c->out[0].count * c->batch;
    size_t tasks = attn_split(b->total, 16384, c->workers, &b->size);
    c->parallel(c->pool, tasks, broadcast_task, b);
}
