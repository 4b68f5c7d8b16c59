/* linear: y = activation(x W^T + bias).
 *   x: [..., in], W: [out, in] ([in, out] if transposed), bias: [out], y: [..., out]
 * With several outputs the columns are dealt out to them in order: evenly, or by "split". Each
 * element of y is one sum over k = 0, 1, 2 ..., whatever the batch, so the rows of all items go
 * through one product.
 *
 * Fused by the planner: an activation layer and the addition of a residual that follow, and other
 * linears of the same x, whose panels are then dealt out to the threads together with these. */
#include "layers/shared/linear.h"

#include "layers/grid.h"
#include "layers/support.h"

#include <string.h>

enum { MAX_SPLIT = ATTN_LINEAR_OUTPUTS, BLOCK_ROWS = 32 };

typedef attn_linear_params linear_params;

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

/* ---- fused by the planner ----------------------------------------------------------------- */

bool attn_linear_join(attn_linear_params *p, const attn_linear_params *other)
{
    if (p->joined == ATTN_LINEAR_JOINED - 1 || p->in != other->in ||
        p->weight.type != other->weight.type || p->residual || other->residual || other->joined)
        return false;
    p->join[p->joined++] = other;
    return true;
}

bool attn_linear_activate(attn_linear_params *p, attn_unary unary)
{
    if (p->unary != ATTN_IDENTITY || p->residual || p->joined || p->outputs > 1) return false;
    p->unary = unary;
    return true;
}

bool attn_linear_add_residual(attn_linear_params *p)
{
    if (p->residual || p->joined || p->outputs > 1) return false;
    p->residual = true;
    return true;
}

/* Part 0 is p itself, the others are those joined to it. */
static const linear_params *get_part(const linear_params *p, size_t part)
{
    return part ? p->join[part - 1] : p;
}

/* ---- infer -------------------------------------------------------------------------------- */

static attn_status infer_part(attn_infer *c, const linear_params *p, attn_shape *out)
{
    const attn_shape *x = &c->in[0];
    attn_shape_text shape;
    size_t count;
    if (attn_last(x) != p->in)
        return attn_infer_fail(c, "input %s has %zu columns, but \"%s\" takes %zu",
                               attn_format_shape(&shape, x->dim, x->rank), attn_last(x),
                               p->weight.source->name, p->in);
    for (size_t i = 0; i < p->outputs; i++) {
        out[i] = *x;
        out[i].dim[x->rank - 1] = p->end[i] - (i ? p->end[i - 1] : 0);
        ATTN_TRY(attn_want_count(c, &out[i], &count));
    }
    c->flops += (double)attn_span(x, 0, x->rank) * (double)p->out;
    return ATTN_OK;
}

/* Bytes of a row of the scratch; 0: the rows are taken where they lie. */
static size_t scratch_row(const attn_kernels *kernels, const linear_params *p, size_t rows)
{
    size_t bytes = kernels->row_bytes(p->weight.type, p->in);
    size_t step = attn_spread_rows(rows, p->in);
    return bytes ? bytes : step != p->in ? step * sizeof(float) : 0;
}

static attn_status linear_infer(attn_infer *c, const void *params)
{
    const linear_params *p = params;
    attn_shape *out = c->out;
    bool shared = false;
    ATTN_TRY(attn_want_filled(c, 0, ATTN_F32, 1, ATTN_MAX_RANK));
    for (size_t i = 0; i <= p->joined; i++) {
        const linear_params *part = get_part(p, i);
        ATTN_TRY(infer_part(c, part, out));
        out += part->outputs;
        shared |= part->outputs > 1;
    }
    if (p->residual) {
        ATTN_TRY(attn_want_filled(c, 1, ATTN_F32, c->out[0].rank, c->out[0].rank));
        for (int i = 0; i < c->out[0].rank; i++)
            if (c->in[1].dim[i] != c->out[0].dim[i])
                return attn_infer_fail(c, "what is added has %zu at dimension %d, not %zu",
                                       c->in[1].dim[i], i, c->out[0].dim[i]);
    }
    size_t bytes, rows;
    if (!attn_mul(c->batch, attn_span(&c->in[0], 0, c->in[0].rank - 1), &rows)) rows = SIZE_MAX;
    bytes = scratch_row(c->kernels, p, rows);
    if (bytes) ATTN_TRY(attn_add_scratch(c, rows, bytes, &c->scratch));
    if (!shared) return ATTN_OK;
    return attn_add_scratch(c, BLOCK_ROWS * c->kernels->panel, sizeof(float), &c->worker_scratch);
}

/* ---- run ---------------------------------------------------------------------------------- */

typedef struct linear_job {
    const attn_run_context *c;
    const linear_params *p;
    size_t items, rows; /* one "item" where the rows of all go through once */
    attn_grid grid;     /* of one item; its panels are those of all parts, one after the other */
    size_t row_bytes;   /* of scratch_row */
    bool floats;        /* the rows of the scratch are copies */
    size_t convert_tasks, convert_rows;
} linear_job;

/* What a task computes of one part: `m` rows from `first` on. */
typedef struct linear_tile {
    const linear_job *j;
    const linear_params *p;
    const attn_value *out; /* of the part */
    size_t item, first, m, worker;
} linear_tile;

/* Columns [from, to) of the matrix, where from starts a panel, into column `at` of y. */
static void product(const linear_tile *t, size_t first, size_t m, size_t from, size_t to, float *y,
                    size_t ldy)
{
    const linear_params *p = t->p;
    const attn_run_context *c = t->j->c;
    const char *rows = (char *)c->scratch + (t->item * t->j->rows + first) * t->j->row_bytes;
    attn_gemm g = {.m = m,
                   .n = to - from,
                   .k = p->in,
                   .x = attn_item(&c->in[0], t->item) + first * p->in,
                   .ldx = p->in,
                   .rows = rows,
                   .type = p->weight.type,
                   .w = attn_panel(c->kernels, &p->weight, from),
                   .y = y,
                   .ldy = ldy,
                   .scale = 1,
                   .column_bias = p->bias.source ? p->bias.data + from : NULL,
                   .unary = p->unary};
    if (t->j->row_bytes && t->j->floats) {
        g.x = (const void *)rows;
        g.ldx = t->j->row_bytes / sizeof(float);
    }
    if (p->residual) {
        g.residual = attn_item(&c->in[1], t->item) + first * p->out + from;
        g.ldr = p->out;
    }
    c->kernels->gemm(&g);
}

/* The columns of one panel, which several outputs share: through the scratch. */
static void shared_panel(const linear_tile *t, size_t from, size_t to)
{
    const linear_params *p = t->p;
    float *block = attn_worker_scratch(t->j->c, t->worker);
    size_t width = to - from;
    for (size_t row = 0; row < t->m; row += BLOCK_ROWS) {
        size_t count = t->m - row < BLOCK_ROWS ? t->m - row : BLOCK_ROWS;
        product(t, t->first + row, count, from, to, block, width);
        for (size_t o = 0; o < p->outputs; o++) {
            size_t start = o ? p->end[o - 1] : 0, dim = p->end[o] - start;
            size_t a = start > from ? start : from, b = p->end[o] < to ? p->end[o] : to;
            float *y = attn_item(&t->out[o], t->item) + (t->first + row) * dim;
            for (size_t i = 0; a < b && i < count; i++)
                memcpy(y + i * dim + (a - start), block + i * width + (a - from),
                       (b - a) * sizeof(float));
        }
    }
}

/* Columns [from, to) of the part. */
static void part_columns(const linear_tile *t, size_t from, size_t to)
{
    const linear_params *p = t->p;
    size_t panel = t->j->c->kernels->panel;
    for (size_t o = 0; from < to; o++) {
        size_t start = o ? p->end[o - 1] : 0, dim = p->end[o] - start;
        if (p->end[o] <= from) continue;
        /* Whole panels of this output, then the one that it shares with the next. */
        size_t end = p->end[o] < to ? p->end[o] - p->end[o] % panel : to;
        if (end > from)
            product(t, t->first, t->m, from, end,
                    attn_item(&t->out[o], t->item) + t->first * dim + (from - start), dim);
        from = end;
        if (from < to && p->end[o] > from) {
            end = to - from < panel ? to : from + panel;
            shared_panel(t, from, end);
            from = end;
        }
    }
}

static size_t panel_count(const linear_params *p, size_t panel)
{
    return (p->out + panel - 1) / panel;
}

static void linear_task(void *arg, size_t task, size_t worker)
{
    const linear_job *j = arg;
    const attn_grid *g = &j->grid;
    size_t panel = j->c->kernels->panel;
    size_t columns = task % g->panel_parts, rest = task / g->panel_parts;
    size_t rows = rest % g->row_parts;
    linear_tile t = {.j = j, .out = j->c->out, .item = rest / g->row_parts, .worker = worker};
    t.first = attn_part(g->rows, g->row_parts, rows);
    t.m = attn_part(g->rows, g->row_parts, rows + 1) - t.first;
    size_t from = attn_part(g->panels, g->panel_parts, columns);
    size_t to = attn_part(g->panels, g->panel_parts, columns + 1);
    for (size_t i = 0, start = 0; i <= j->p->joined; i++) { /* panels of the parts before */
        t.p = get_part(j->p, i);
        size_t count = panel_count(t.p, panel), a = from > start ? from - start : 0;
        size_t b = to > start ? to - start : 0;
        if (b > count) b = count;
        if (a < b) part_columns(&t, a * panel, b * panel < t.p->out ? b * panel : t.p->out);
        t.out += t.p->outputs;
        start += count;
    }
}

/* The rows of x as the panels take them: each on its own, once for all columns. */
static void convert_task(void *arg, size_t task, size_t worker)
{
    const linear_job *j = arg;
    size_t item = task / j->convert_tasks, row = task % j->convert_tasks * j->convert_rows;
    size_t end = row + j->convert_rows < j->rows ? row + j->convert_rows : j->rows;
    (void)worker;
    for (; row < end; row++) {
        void *to = (char *)j->c->scratch + (item * j->rows + row) * j->row_bytes;
        const float *x = attn_item(&j->c->in[0], item) + row * j->p->in;
        if (j->floats)
            memcpy(to, x, j->p->in * sizeof *x);
        else
            j->c->kernels->quantize(j->p->weight.type, to, x, j->p->in);
    }
}

static void linear_run(const attn_run_context *c, const void *params)
{
    const linear_params *p = params;
    linear_job j = {.c = c, .p = p, .items = c->batch, .rows = attn_rows(&c->in[0])};
    bool flat = c->batch == 1 || c->in[0].stride == c->in[0].count;
    if (p->residual) flat = flat && (c->batch == 1 || c->in[1].stride == c->in[1].count);
    size_t panels = 0, outputs = 0;
    for (size_t i = 0; i <= p->joined; i++) {
        panels += panel_count(get_part(p, i), c->kernels->panel);
        outputs += get_part(p, i)->outputs;
    }
    for (size_t o = 0; o < outputs; o++)
        flat = flat && (c->batch == 1 || c->out[o].stride == c->out[o].count);
    if (flat) {
        j.rows *= j.items;
        j.items = 1;
    }
    j.row_bytes = scratch_row(c->kernels, p, c->batch * attn_rows(&c->in[0]));
    j.floats = !c->kernels->row_bytes(p->weight.type, p->in);
    if (j.row_bytes) {
        j.convert_tasks = attn_split(j.rows, attn_grain(p->in), c->workers, &j.convert_rows);
        c->parallel(c->pool, j.items * j.convert_tasks, convert_task, &j);
    }
    j.grid = attn_cut_grid(j.rows, panels, c->kernels->panel, p->in, c->workers);
    c->parallel(c->pool, j.items * j.grid.row_parts * j.grid.panel_parts, linear_task, &j);
}

const attn_layer attn_layer_linear = {
    .name = "linear",
    .step = ATTN_STEP_SHARED,
    .flags = ATTN_IN_PLACE_LAST,
    .params_size = sizeof(linear_params),
    .parse = linear_parse,
    .infer = linear_infer,
    .run = linear_run,
};
