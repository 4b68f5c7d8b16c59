/* linear: y = activation(x W^T + bias).
 *   x: [..., in], W: [out, in] ([in, out] if transposed), bias: [out], y: [..., out]
 * With several outputs the columns are dealt out to them in order: evenly, or by "split". Each
 * element of y is one sum over k = 0, 1, 2 ..., whatever the batch, so the rows of all items go
 * through one product. */
#include "layers/support.h"

#include <string.h>

enum { MAX_SPLIT = 16, BLOCK_ROWS = 32 };

typedef struct linear_params {
    attn_param weight, bias;
    attn_unary unary;
    size_t in, out;
    size_t outputs;
    size_t end[MAX_SPLIT]; /* columns of output i: end[i - 1] (0) .. end[i] */
} linear_params;

static attn_status read_split(attn_reader *r, linear_params *p)
{
    long split[MAX_SPLIT];
    int count;
    size_t sum = 0;
    ATTN_TRY(attn_read_ints(r, "split", 1, 1L << 40, false, MAX_SPLIT, split, &count));
    if (count && (size_t)count != p->outputs)
        return attn_reader_fail(r, "\"split\" has %d entries for %zu outputs", count, p->outputs);
    if (!count && p->out % p->outputs != 0)
        return attn_reader_fail(r, "%zu columns do not split evenly into %zu outputs", p->out,
                                p->outputs);
    for (size_t i = 0; i < p->outputs; i++) {
        sum += count ? (size_t)split[i] : p->out / p->outputs;
        p->end[i] = sum;
    }
    if (sum != p->out)
        return attn_reader_fail(r, "\"split\" adds up to %zu, but there are %zu columns", sum,
                                p->out);
    return ATTN_OK;
}

static attn_status linear_parse(attn_reader *r, void *params)
{
    linear_params *p = params;
    ATTN_TRY(attn_need_inputs(r, 1, 1, NULL));
    ATTN_TRY(attn_need_outputs(r, 1, MAX_SPLIT, &p->outputs));
    ATTN_TRY(attn_need_matrix(r, "weight", &p->in, &p->out, &p->weight));
    ATTN_TRY(attn_read_bias(r, "weight", &p->bias));
    ATTN_TRY(attn_need_length(r, &p->bias, p->out));
    ATTN_TRY(attn_read_activation(r, "activation", &p->unary));
    return read_split(r, p);
}

static attn_status linear_infer(attn_infer *c, const void *params)
{
    const linear_params *p = params;
    const attn_shape *x = &c->in[0];
    attn_shape_text shape;
    size_t count;
    ATTN_TRY(attn_want_filled(c, 0, ATTN_F32, 1, ATTN_MAX_RANK));
    if (attn_last(x) != p->in)
        return attn_infer_fail(c, "input %s has %zu columns, but \"%s\" takes %zu",
                               attn_format_shape(&shape, x->dim, x->rank), attn_last(x),
                               p->weight.source->name, p->in);
    for (size_t i = 0; i < p->outputs; i++) {
        c->out[i] = *x;
        c->out[i].dim[x->rank - 1] = p->end[i] - (i ? p->end[i - 1] : 0);
        ATTN_TRY(attn_want_count(c, &c->out[i], &count));
    }
    c->flops = (double)attn_span(x, 0, x->rank) * (double)p->out;
    size_t bytes = c->kernels->row_bytes(p->weight.type, p->in);
    if (bytes) {
        if (!attn_mul(c->batch, attn_span(x, 0, x->rank - 1), &count)) count = SIZE_MAX;
        ATTN_TRY(attn_add_scratch(c, count, bytes, &c->scratch));
    }
    if (p->outputs == 1) return ATTN_OK;
    return attn_add_scratch(c, BLOCK_ROWS * c->kernels->panel, sizeof(float), &c->worker_scratch);
}

typedef struct linear_job {
    const attn_run_context *c;
    const linear_params *p;
    size_t items, rows;                      /* one "item" where the rows of all go through once */
    size_t row_tasks, row_size;              /* a task is a range of rows ... */
    size_t panel_tasks, panel_size, columns; /* ... by a range of panels */
    size_t row_bytes; /* of a row in the scratch, as the panels take it; 0: they take floats */
} linear_job;

/* Columns [from, to) of the matrix for rows [first, first + m), where from starts a panel. */
static void product(const linear_job *j, size_t item, size_t first, size_t m, size_t from,
                    size_t to, float *y, size_t ldy)
{
    const linear_params *p = j->p;
    attn_gemm g = {.m = m,
                   .n = to - from,
                   .k = p->in,
                   .x = attn_item(&j->c->in[0], item) + first * p->in,
                   .ldx = p->in,
                   .rows = (char *)j->c->scratch + (item * j->rows + first) * j->row_bytes,
                   .type = p->weight.type,
                   .w = attn_panel(j->c->kernels, &p->weight, from),
                   .y = y,
                   .ldy = ldy,
                   .scale = 1,
                   .column_bias = p->bias.source ? p->bias.data + from : NULL,
                   .unary = p->unary};
    j->c->kernels->gemm(&g);
}

/* The columns of one panel, which several outputs share: through the scratch. */
static void shared_panel(const linear_job *j, size_t item, size_t first, size_t m, size_t from,
                         size_t to, size_t worker)
{
    const linear_params *p = j->p;
    float *block = attn_worker_scratch(j->c, worker);
    size_t width = to - from;
    for (size_t row = 0; row < m; row += BLOCK_ROWS) {
        size_t count = m - row < BLOCK_ROWS ? m - row : BLOCK_ROWS;
        product(j, item, first + row, count, from, to, block, width);
        for (size_t o = 0; o < p->outputs; o++) {
            size_t start = o ? p->end[o - 1] : 0, dim = p->end[o] - start;
            size_t a = start > from ? start : from, b = p->end[o] < to ? p->end[o] : to;
            float *y = attn_item(&j->c->out[o], item) + (first + row) * dim;
            for (size_t i = 0; a < b && i < count; i++)
                memcpy(y + i * dim + (a - start), block + i * width + (a - from),
                       (b - a) * sizeof(float));
        }
    }
}

static void linear_task(void *arg, size_t task, size_t worker)
{
    const linear_job *j = arg;
    const linear_params *p = j->p;
    size_t panel = j->c->kernels->panel;
    size_t columns = task % j->panel_tasks, rest = task / j->panel_tasks;
    size_t item = rest / j->row_tasks, first = rest % j->row_tasks * j->row_size;
    size_t m = j->rows - first < j->row_size ? j->rows - first : j->row_size;
    size_t from = columns * j->panel_size * panel;
    size_t to = from + j->panel_size * panel < p->out ? from + j->panel_size * panel : p->out;
    for (size_t o = 0; from < to; o++) {
        size_t start = o ? p->end[o - 1] : 0, dim = p->end[o] - start;
        if (p->end[o] <= from) continue;
        /* Whole panels of this output, then the one that it shares with the next. */
        size_t end = p->end[o] < to ? p->end[o] - p->end[o] % panel : to;
        if (end > from)
            product(j, item, first, m, from, end,
                    attn_item(&j->c->out[o], item) + first * dim + (from - start), dim);
        from = end;
        if (from < to && p->end[o] > from) {
            end = to - from < panel ? to : from + panel;
            shared_panel(j, item, first, m, from, end, worker);
            from = end;
        }
    }
}

/* The rows of x as the panels take them: each on its own, once for all columns. */
static void convert_task(void *arg, size_t task, size_t worker)
{
    const linear_job *j = arg;
    const linear_params *p = j->p;
    size_t item = task / j->row_tasks, row = task % j->row_tasks * j->row_size;
    size_t end = row + j->row_size < j->rows ? row + j->row_size : j->rows;
    (void)worker;
    for (; row < end; row++)
        j->c->kernels->quantize(p->weight.type,
                                (char *)j->c->scratch + (item * j->rows + row) * j->row_bytes,
                                attn_item(&j->c->in[0], item) + row * p->in, p->in);
}

static void linear_run(const attn_run_context *c, const void *params)
{
    const linear_params *p = params;
    linear_job j = {.c = c, .p = p, .items = c->batch, .rows = attn_rows(&c->in[0])};
    bool flat = c->batch == 1 || c->in[0].stride == c->in[0].count;
    for (size_t o = 0; o < p->outputs; o++)
        flat = flat && (c->batch == 1 || c->out[o].stride == c->out[o].count);
    if (flat) {
        j.rows *= j.items;
        j.items = 1;
    }
    j.row_bytes = c->kernels->row_bytes(p->weight.type, p->in);
    if (j.row_bytes) {
        j.row_tasks = attn_split(j.rows, attn_grain(p->in), c->workers, &j.row_size);
        c->parallel(c->pool, j.items * j.row_tasks, convert_task, &j);
    }
    size_t panels = (p->out + c->kernels->panel - 1) / c->kernels->panel;
    j.row_tasks = attn_split(j.rows, BLOCK_ROWS, c->workers, &j.row_size);
    /* Few rows: split the columns too. */
    size_t want = j.row_tasks * j.items < c->workers ? c->workers : 1;
    j.panel_tasks = attn_split(panels, attn_grain(p->in * c->kernels->panel), want, &j.panel_size);
    c->parallel(c->pool, j.items * j.row_tasks * j.panel_tasks, linear_task, &j);
}

const attn_layer attn_layer_linear = {
    "linear", ATTN_STEP_SHARED, 0, sizeof(linear_params), linear_parse, linear_infer, linear_run};
