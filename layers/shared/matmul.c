/* matmul: y = scale * a b, matrix by matrix.
 *   a: [..., m, k], b: [..., k, n] ([..., n, k] with "transpose_b"), y: [..., m, n]
 * Leading dimensions broadcast as NumPy's do, and operands of rank 1 are a row (a) or a column (b),
 * whose dimension y lacks. f32, or i32, which wraps around. Each task packs a block of b's columns,
 * or, for few rows, takes them where they lie. */
#include "layers/support.h"

#include <float.h>

enum { FEW_ROWS = 4 };

typedef struct matmul_params {
    bool transpose_b;
    float scale;
} matmul_params;

static attn_status matmul_parse(attn_reader *r, void *params)
{
    matmul_params *p = params;
    p->scale = 1;
    ATTN_TRY(attn_need_inputs(r, 2, 2, NULL));
    ATTN_TRY(attn_need_outputs(r, 1, 1, NULL));
    ATTN_TRY(attn_read_bool(r, "transpose_b", &p->transpose_b));
    return attn_read_float(r, "scale", -(double)FLT_MAX, (double)FLT_MAX, &p->scale);
}

typedef struct matmul_shapes {
    attn_shape a, b, y; /* of at least rank 2 */
    bool row, column;   /* a, b is of rank 1 */
    size_t m, n, k, matrices;
} matmul_shapes;

/* All but y's leading dimensions. */
static void view(const matmul_params *p, const attn_shape *a, const attn_shape *b, matmul_shapes *s)
{
    *s = (matmul_shapes){.a = *a, .b = *b, .row = a->rank == 1, .column = b->rank == 1};
    if (s->row) s->a = (attn_shape){.dtype = a->dtype, .rank = 2, .dim = {1, a->dim[0]}};
    if (s->column) {
        s->b = (attn_shape){.dtype = b->dtype, .rank = 2, .dim = {b->dim[0], 1}};
        if (p->transpose_b) s->b.dim[0] = 1;
        if (p->transpose_b) s->b.dim[1] = b->dim[0];
    }
    s->m = s->a.dim[s->a.rank - 2];
    s->k = attn_last(&s->a);
    s->n = s->b.dim[s->b.rank - (p->transpose_b ? 2 : 1)];
    s->y = (attn_shape){.dtype = a->dtype, .rank = s->a.rank > s->b.rank ? s->a.rank : s->b.rank};
    s->y.dim[s->y.rank - 2] = s->m;
    s->y.dim[s->y.rank - 1] = s->n;
    for (int i = 0; i < s->y.rank - 2; i++) {
        int ia = i - (s->y.rank - s->a.rank), ib = i - (s->y.rank - s->b.rank);
        size_t da = ia < 0 ? 1 : s->a.dim[ia], db = ib < 0 ? 1 : s->b.dim[ib];
        s->y.dim[i] = da > db ? da : db;
    }
}

/* One matrix b for all of a: then all rows of a are one matrix. */
static void join_rows(matmul_shapes *s)
{
    s->matrices = attn_span(&s->y, 0, s->y.rank - 2);
    if (attn_span(&s->b, 0, s->b.rank - 2) != 1) return;
    s->m *= s->matrices;
    s->matrices = 1;
}

static attn_status matmul_infer(attn_infer *c, const void *params)
{
    const matmul_params *p = params;
    const attn_shape *a = &c->in[0], *b = &c->in[1];
    attn_shape_text text[2];
    size_t count, floats;
    matmul_shapes s;
    ATTN_TRY(attn_want_any(c, 0, 1, ATTN_MAX_RANK));
    ATTN_TRY(attn_want_filled(c, 1, a->dtype, 1, ATTN_MAX_RANK));
    attn_format_shape(&text[0], a->dim, a->rank);
    attn_format_shape(&text[1], b->dim, b->rank);
    view(p, a, b, &s);
    if (s.b.dim[s.b.rank - (p->transpose_b ? 1 : 2)] != s.k)
        return attn_infer_fail(c, "inputs %s and %s%s do not multiply", text[0].text, text[1].text,
                               p->transpose_b ? " (transposed)" : "");
    if (a->dtype == ATTN_I32 && p->scale != 1)
        return attn_infer_fail(c, "\"scale\" is of f32 alone");
    for (int i = 0; i < s.y.rank - 2; i++) {
        int ia = i - (s.y.rank - s.a.rank), ib = i - (s.y.rank - s.b.rank);
        size_t da = ia < 0 ? 1 : s.a.dim[ia], db = ib < 0 ? 1 : s.b.dim[ib];
        if (da != db && da != 1 && db != 1)
            return attn_infer_fail(c, "leading dimensions of %s and %s do not broadcast: %zu, %zu",
                                   text[0].text, text[1].text, da, db);
    }
    ATTN_TRY(attn_want_count(c, &s.y, &count));
    c->out[0] = s.y;
    attn_shape *y = &c->out[0];
    if (s.row) {
        y->dim[y->rank - 2] = y->dim[y->rank - 1];
        y->rank--;
    }
    if (s.column) y->rank--;
    c->flops = (double)count * (double)s.k;
    join_rows(&s);
    if (a->dtype == ATTN_I32 || (s.m <= FEW_ROWS && !p->transpose_b)) return ATTN_OK;
    size_t jobs = s.matrices;
    if (!attn_mul(jobs, c->batch, &jobs) ||
        !attn_mul(attn_block_panels(c->kernels, s.k, s.n, jobs, c->workers) * c->kernels->panel,
                  s.k, &floats))
        return attn_infer_fail(c, "inputs %s and %s are too large", text[0].text, text[1].text);
    return attn_add_scratch(c, floats, sizeof(float), &c->worker_scratch);
}

typedef struct matmul_job {
    const attn_run_context *c;
    const matmul_params *p;
    matmul_shapes s;
    bool in_place;        /* b is not packed */
    size_t block, blocks; /* columns of a task; tasks of a matrix */
} matmul_job;

/* Where y's matrix `index` takes its operand from: elements from the item's start. */
static size_t operand_offset(const attn_shape *s, const attn_shape *y, size_t index)
{
    size_t offset = 0;
    for (int i = y->rank - 3; i >= 0; i--) {
        int at = i - (y->rank - s->rank);
        if (at >= 0 && s->dim[at] != 1) offset += index % y->dim[i] * attn_span(s, at + 1, s->rank);
        index /= y->dim[i];
    }
    return offset;
}

static void matmul_task(void *arg, size_t task, size_t worker)
{
    const matmul_job *j = arg;
    const attn_value *a = &j->c->in[0], *b = &j->c->in[1], *out = &j->c->out[0];
    const matmul_shapes *s = &j->s;
    size_t first = task % j->blocks * j->block, rest = task / j->blocks;
    size_t matrix = rest % s->matrices, item = rest / s->matrices;
    size_t count = s->n - first < j->block ? s->n - first : j->block;
    float *packed = attn_worker_scratch(j->c, worker);
    const float *from = attn_item(b, item) + operand_offset(&s->b, &s->y, matrix);
    if (j->p->transpose_b)
        j->c->kernels->pack(ATTN_PANEL_F32, packed, from + first * s->k, s->k, count, 1, s->k);
    else if (!j->in_place)
        j->c->kernels->pack(ATTN_PANEL_F32, packed, from + first, s->k, count, s->n, 1);
    attn_gemm g = {.m = s->m,
                   .n = count,
                   .k = s->k,
                   .x = attn_item(a, item) + operand_offset(&s->a, &s->y, matrix),
                   .ldx = s->k,
                   .w = j->in_place ? from + first : packed,
                   .ldw = j->in_place ? s->n : 0,
                   .y = attn_item(out, item) + matrix * s->m * s->n + first,
                   .ldy = s->n,
                   .scale = j->p->scale};
    j->c->kernels->gemm(&g);
}

/* Rows [first, end) of y. */
static void integer_task(const attn_run_context *c, const void *params, size_t item, size_t first,
                         size_t end, size_t worker)
{
    const matmul_params *p = params;
    matmul_shapes s;
    (void)worker;
    view(p, &c->in[0].shape, &c->in[1].shape, &s);
    for (size_t i = first; i < end; i++) {
        size_t matrix = i / s.m, row = i % s.m;
        const int32_t *a = attn_item_i32(&c->in[0], item) + operand_offset(&s.a, &s.y, matrix);
        const int32_t *b = attn_item_i32(&c->in[1], item) + operand_offset(&s.b, &s.y, matrix);
        int32_t *y = attn_item_i32(&c->out[0], item) + i * s.n;
        for (size_t n = 0; n < s.n; n++) y[n] = 0;
        for (size_t k = 0; k < s.k; k++) {
            uint32_t factor = (uint32_t)a[row * s.k + k];
            const int32_t *from = p->transpose_b ? b + k : b + k * s.n;
            size_t step = p->transpose_b ? s.k : 1;
            for (size_t n = 0; n < s.n; n++)
                y[n] = (int32_t)((uint32_t)y[n] + factor * (uint32_t)from[n * step]);
        }
    }
}

static void matmul_run(const attn_run_context *c, const void *params)
{
    matmul_job j = {.c = c, .p = params};
    view(params, &c->in[0].shape, &c->in[1].shape, &j.s);
    if (c->out[0].shape.dtype == ATTN_I32) {
        attn_each_rows(c, params, c->out[0].count / j.s.n, attn_grain(j.s.n * j.s.k), integer_task);
        return;
    }
    join_rows(&j.s);
    j.in_place = j.s.m <= FEW_ROWS && !j.p->transpose_b;
    j.block = attn_block_panels(c->kernels, j.s.k, j.s.n, j.s.matrices * c->batch, c->workers) *
              c->kernels->panel;
    j.blocks = (j.s.n + j.block - 1) / j.block;
    c->parallel(c->pool, c->batch * j.s.matrices * j.blocks, matmul_task, &j);
}

const attn_layer attn_layer_matmul = {
    "matmul", ATTN_STEP_SHARED, 0, sizeof(matmul_params), matmul_parse, matmul_infer, matmul_run};
