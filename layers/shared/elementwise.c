/* add, sub, mul, div, max, min: y = a op b with NumPy's broadcasting: shapes are aligned at their
 * last dimension, and a dimension of 1 is repeated.
 *   a: "in", first
 *   b: "in", second; or a weight (leading dimensions of 1 that a lacks are dropped); or "value"
 * With "slice_rows" the weight is a table [max, dim...] of which rows offset .. offset + seq are
 * taken, where a is [..., seq, dim...]: learned positions; with "past" they stand after the rows
 * that the cache has. y may be a if the shapes are equal. */
#include "layers/shared/elementwise.h"
#include "layers/support.h"

#include <float.h>
#include <math.h>

typedef struct binary_params {
    attn_binary op;
    attn_unary unary; /* fused: a goes through it first */
    attn_param weight;
    bool has_value, slice_rows, past;
    float value;
    size_t offset;
} binary_params;

static attn_status parse_binary(attn_reader *r, void *params, attn_binary op)
{
    binary_params *p = params;
    size_t inputs;
    p->op = op;
    ATTN_TRY(attn_need_inputs(r, 1, 2, &inputs));
    ATTN_TRY(attn_need_outputs(r, 1, 1, NULL));
    ATTN_TRY(attn_read_weight(r, "weight", "", -1, &p->weight));
    ATTN_TRY(attn_need_elements(r, &p->weight));
    p->value = NAN;
    ATTN_TRY(attn_read_float(r, "value", -(double)FLT_MAX, (double)FLT_MAX, &p->value));
    p->has_value = !isnan(p->value);
    if ((inputs == 2) + (p->weight.source != NULL) + p->has_value != 1)
        return attn_reader_fail(r,
                                "expected one second operand (a second \"in\", \"weight\" or "
                                "\"value\"), found %d",
                                (inputs == 2) + (p->weight.source != NULL) + p->has_value);
    if (!p->weight.source) return ATTN_OK;
    ATTN_TRY(attn_read_bool(r, "slice_rows", &p->slice_rows));
    if (!p->slice_rows) return ATTN_OK;
    ATTN_TRY(attn_read_size(r, "offset", 0, (size_t)1 << 40, &p->offset));
    return attn_read_cache(r, "past", &p->past);
}

void attn_binary_activate(void *params, attn_unary unary)
{
    binary_params *p = params;
    p->unary = unary;
}

/* The shape of b as the broadcasting sees it. */
static attn_status second_shape(attn_infer *c, const binary_params *p, attn_shape *b)
{
    attn_shape_text text[2];
    const attn_shape *a = &c->in[0];
    *b = (attn_shape){.dtype = ATTN_F32};
    if (c->inputs == 2) {
        ATTN_TRY(attn_want_filled(c, 1, ATTN_F32, 0, ATTN_MAX_RANK));
        *b = c->in[1];
    }
    if (!p->weight.source) return ATTN_OK;
    int skip = 0;
    while (p->weight.rank - skip > a->rank && p->weight.dim[skip] == 1) skip++;
    b->rank = p->weight.rank - skip;
    for (int i = 0; i < b->rank; i++) b->dim[i] = p->weight.dim[i + skip];
    if (!p->slice_rows) return ATTN_OK;
    while (b->rank > 2 && b->dim[0] == 1) { /* [1, max, dim] for x [..., seq, dim] */
        b->rank--;
        for (int i = 0; i < b->rank; i++) b->dim[i] = b->dim[i + 1];
    }
    size_t rows = b->rank && b->rank <= a->rank ? a->dim[a->rank - b->rank] : 0;
    if (!rows || p->offset > b->dim[0] || rows > b->dim[0] - p->offset)
        return attn_infer_fail(c, "input %s needs %zu rows from row %zu on, but \"%s\" is %s",
                               attn_format_shape(&text[0], a->dim, a->rank), rows, p->offset,
                               p->weight.source->name,
                               attn_format_shape(&text[1], p->weight.dim, p->weight.rank));
    if (p->past) ATTN_TRY(attn_want_appended(c, rows));
    if (p->past && c->context > b->dim[0] - p->offset)
        return attn_infer_fail(
            c, "a context of %zu needs so many rows from row %zu on, but \"%s\" is %s", c->context,
            p->offset, p->weight.source->name,
            attn_format_shape(&text[1], p->weight.dim, p->weight.rank));
    b->dim[0] = rows;
    return ATTN_OK;
}

static attn_status broadcast(attn_infer *c, const binary_params *p, const attn_shape *a,
                             const attn_shape *b, attn_shape *out)
{
    attn_shape_text text[2];
    const attn_param *w = &p->weight;
    *out = (attn_shape){.dtype = ATTN_F32, .rank = a->rank > b->rank ? a->rank : b->rank};
    for (int i = 0; i < out->rank; i++) {
        int ia = i - (out->rank - a->rank), ib = i - (out->rank - b->rank);
        size_t da = ia < 0 ? 1 : a->dim[ia], db = ib < 0 ? 1 : b->dim[ib];
        if (da != db && da != 1 && db != 1 && w->source)
            return attn_infer_fail(c, "input %s and \"%s\" %s do not broadcast: %zu and %zu",
                                   attn_format_shape(&text[0], a->dim, a->rank), w->source->name,
                                   attn_format_shape(&text[1], w->dim, w->rank), da, db);
        if (da != db && da != 1 && db != 1)
            return attn_infer_fail(c, "inputs %s and %s do not broadcast: %zu and %zu",
                                   attn_format_shape(&text[0], a->dim, a->rank),
                                   attn_format_shape(&text[1], b->dim, b->rank), da, db);
        out->dim[i] = da > db ? da : db;
    }
    return ATTN_OK;
}

static attn_status binary_infer(attn_infer *c, const void *params)
{
    attn_shape b;
    size_t count;
    ATTN_TRY(attn_want_filled(c, 0, ATTN_F32, 0, ATTN_MAX_RANK));
    ATTN_TRY(second_shape(c, params, &b));
    ATTN_TRY(broadcast(c, params, &c->in[0], &b, &c->out[0]));
    return attn_want_count(c, &c->out[0], &count);
}

typedef struct binary_job {
    const attn_run_context *c;
    attn_binary op;
    attn_unary unary;
    int rank;
    size_t dim[ATTN_MAX_RANK + 1], step_a[ATTN_MAX_RANK + 1], step_b[ATTN_MAX_RANK + 1];
    const float *a, *b;
    float *y;
    size_t total, size;
} binary_job;

enum { PIECE = 2048 }; /* floats of y that stay near between its two steps */

/* y = unary(a) op b: y holds unary(a) in between. */
static void activated(const binary_job *j, float *y, const float *a, size_t step_a, const float *b,
                      size_t step_b, size_t n)
{
    const attn_kernels *kernels = j->c->kernels;
    float one;
    if (step_a == 0) {
        kernels->unary(j->unary, &one, a, 1);
        kernels->binary(j->op, y, &one, 0, b, step_b, n);
        return;
    }
    for (size_t i = 0; i < n; i += PIECE) {
        size_t count = n - i < PIECE ? n - i : PIECE;
        kernels->unary(j->unary, y + i, a + i, count);
        kernels->binary(j->op, y + i, y + i, 1, b + i * step_b, step_b, count);
    }
}

/* Elements [at, end) of y, as pieces of its rows. */
static void binary_task(void *arg, size_t task, size_t worker)
{
    (void)worker;
    const binary_job *j = arg;
    size_t at = task * j->size, end = j->total - at < j->size ? j->total : at + j->size;
    int last = j->rank - 1;
    while (at < end) {
        size_t column = at % j->dim[last], rest = at / j->dim[last];
        size_t count = j->dim[last] - column < end - at ? j->dim[last] - column : end - at;
        size_t a = column * j->step_a[last], b = column * j->step_b[last];
        for (int i = last - 1; i >= 0; i--) {
            size_t index = rest % j->dim[i];
            a += index * j->step_a[i];
            b += index * j->step_b[i];
            rest /= j->dim[i];
        }
        if (j->unary != ATTN_IDENTITY)
            activated(j, j->y + at, j->a + a, j->step_a[last], j->b + b, j->step_b[last], count);
        else
            j->c->kernels->binary(j->op, j->y + at, j->a + a, j->step_a[last], j->b + b,
                                  j->step_b[last], count);
        at += count;
    }
}

/* Appends a dimension after those there are, or joins it to the last one where both operands
 * go on without a break. Inner dimensions come later. */
static void add_dim(binary_job *j, size_t dim, size_t step_a, size_t step_b)
{
    if (dim == 1) return;
    int last = j->rank - 1;
    if (j->rank && j->step_a[last] == step_a * dim && j->step_b[last] == step_b * dim) {
        j->dim[last] *= dim;
        j->step_a[last] = step_a;
        j->step_b[last] = step_b;
        return;
    }
    j->dim[j->rank] = dim;
    j->step_a[j->rank] = step_a;
    j->step_b[j->rank++] = step_b;
}

/* Elements from one index of dimension i of out to the next in an operand; 0 where repeated. */
static size_t operand_step(const attn_shape *s, const attn_shape *out, int i)
{
    int at = i - (out->rank - s->rank);
    if (at < 0 || s->dim[at] == 1) return 0;
    return attn_span(s, at + 1, s->rank);
}

static void binary_run(const attn_run_context *c, const void *params)
{
    const binary_params *p = params;
    const attn_value *a = &c->in[0], *y = &c->out[0];
    attn_shape b = {.dtype = ATTN_F32};
    binary_job j = {
        .c = c, .op = p->op, .unary = p->unary, .a = a->data, .b = &p->value, .y = y->data};
    size_t stride_b = 0;
    if (p->weight.source) {
        /* Sliced rows are the leading ones of the table: its steps serve, with a's rows. */
        int skip = p->weight.rank > y->shape.rank ? p->weight.rank - y->shape.rank : 0;
        while (p->slice_rows && p->weight.rank - skip > 2 && p->weight.dim[skip] == 1) skip++;
        b.rank = p->weight.rank - skip;
        for (int i = 0; i < b.rank; i++) b.dim[i] = p->weight.dim[i + skip];
        size_t first = p->offset + (p->past ? c->past : 0);
        j.b = p->weight.data + (p->slice_rows ? first * attn_span(&b, 1, b.rank) : 0);
    } else if (!p->has_value) {
        b = c->in[1].shape;
        j.b = c->in[1].data;
        stride_b = c->in[1].stride;
    }
    add_dim(&j, c->batch, a->stride, stride_b);
    for (int i = 0; i < y->shape.rank; i++)
        add_dim(&j, y->shape.dim[i], operand_step(&a->shape, &y->shape, i),
                operand_step(&b, &y->shape, i));
    if (j.rank == 0) j.dim[j.rank++] = 1;
    j.total = y->count * c->batch;
    size_t tasks = attn_split(j.total, 16384, c->workers, &j.size);
    c->parallel(c->pool, tasks, binary_task, &j);
}

#define BINARY(word, op)                                                                           \
    static attn_status parse_##word(attn_reader *r, void *params)                                  \
    {                                                                                              \
        return parse_binary(r, params, op);                                                        \
    }                                                                                              \
    const attn_layer attn_layer_##word = {                                                         \
        #word,        ATTN_STEP_SHARED, ATTN_IN_PLACE, sizeof(binary_params),                      \
        parse_##word, binary_infer,     binary_run};

BINARY(add, ATTN_BIN_ADD)
BINARY(sub, ATTN_BIN_SUB)
BINARY(mul, ATTN_BIN_MUL)
BINARY(div, ATTN_BIN_DIV)
BINARY(max, ATTN_BIN_MAX)
BINARY(min, ATTN_BIN_MIN)
