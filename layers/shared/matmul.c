/* matmul: y = scale * a b, matrix by matrix.
 *   a: [..., m, k], b: [..., k, n] ([..., n, k] with "transpose_b"), y: [..., m, n]
 * Leading dimensions broadcast as NumPy's do. Each task packs a block of b's columns. */
#include "layers/support.h"

#include <float.h>

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

static attn_status matmul_infer(attn_infer *c, const void *params)
{
    const matmul_params *p = params;
    const attn_shape *a = &c->in[0], *b = &c->in[1];
    attn_shape *y = &c->out[0];
    attn_shape_text text[2];
    size_t count, floats;
    ATTN_TRY(attn_want_filled(c, 0, ATTN_F32, 2, ATTN_MAX_RANK));
    ATTN_TRY(attn_want_filled(c, 1, ATTN_F32, 2, ATTN_MAX_RANK));
    attn_format_shape(&text[0], a->dim, a->rank);
    attn_format_shape(&text[1], b->dim, b->rank);
    size_t k = attn_last(a), n = b->dim[b->rank - (p->transpose_b ? 2 : 1)];
    if (b->dim[b->rank - (p->transpose_b ? 1 : 2)] != k)
        return attn_infer_fail(c, "inputs %s and %s%s do not multiply", text[0].text, text[1].text,
                               p->transpose_b ? " (transposed)" : "");
    *y = (attn_shape){.dtype = ATTN_F32, .rank = a->rank > b->rank ? a->rank : b->rank};
    for (int i = 0; i < y->rank - 2; i++) {
        int ia = i - (y->rank - a->rank), ib = i - (y->rank - b->rank);
        size_t da = ia < 0 ? 1 : a->dim[ia], db = ib < 0 ? 1 : b->dim[ib];
        if (da != db && da != 1 && db != 1)
            return attn_infer_fail(c, "leading dimensions of %s and %s do not broadcast: %zu, %zu",
                                   text[0].text, text[1].text, da, db);
        y->dim[i] = da > db ? da : db;
    }
    y->dim[y->rank - 2] = a->dim[a->rank - 2];
    y->dim[y->rank - 1] = n;
    ATTN_TRY(attn_want_count(c, y, &count));
    c->flops = (double)count * (double)k;
    size_t jobs = attn_span(y, 0, y->rank - 2);
    if (!attn_mul(jobs, c->batch, &jobs) ||
        !attn_mul(attn_block_panels(c->kernels, k, n, jobs, c->workers) * c->kernels->panel, k,
                  &floats))
        return attn_infer_fail(c, "inputs %s and %s are too large", text[0].text, text[1].text);
    return attn_add_scratch(c, floats, sizeof(float), &c->worker_scratch);
}

typedef struct matmul_job {
    const attn_run_context *c;
    const matmul_params *p;
    size_t m, n, k, matrices; /* of one item of y */
    size_t block, blocks;     /* columns of a task; tasks of a matrix */
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
    const attn_value *a = &j->c->in[0], *b = &j->c->in[1], *y = &j->c->out[0];
    size_t first = task % j->blocks * j->block, rest = task / j->blocks;
    size_t matrix = rest % j->matrices, item = rest / j->matrices;
    size_t count = j->n - first < j->block ? j->n - first : j->block;
    float *packed = attn_worker_scratch(j->c, worker);
    const float *from = attn_item(b, item) + operand_offset(&b->shape, &y->shape, matrix);
    if (j->p->transpose_b)
        j->c->kernels->pack(ATTN_PANEL_F32, packed, from + first * j->k, j->k, count, 1, j->k);
    else
        j->c->kernels->pack(ATTN_PANEL_F32, packed, from + first, j->k, count, j->n, 1);
    attn_gemm g = {.m = j->m,
                   .n = count,
                   .k = j->k,
                   .x = attn_item(a, item) + operand_offset(&a->shape, &y->shape, matrix),
                   .ldx = j->k,
                   .w = packed,
                   .y = attn_item(y, item) + matrix * j->m * j->n + first,
                   .ldy = j->n,
                   .scale = j->p->scale};
    j->c->kernels->gemm(&g);
}

static void matmul_run(const attn_run_context *c, const void *params)
{
    const attn_shape *y = &c->out[0].shape;
    matmul_job j = {.c = c, .p = params, .m = y->dim[y->rank - 2], .n = attn_last(y)};
    j.k = attn_last(&c->in[0].shape);
    j.matrices = attn_span(y, 0, y->rank - 2);
    j.block = attn_block_panels(c->kernels, j.k, j.n, j.matrices * c->batch, c->workers) *
              c->kernels->panel;
    j.blocks = (j.n + j.block - 1) / j.block;
    c->parallel(c->pool, c->batch * j.matrices * j.blocks, matmul_task, &j);
}

const attn_layer attn_layer_matmul = {
    "matmul", ATTN_STEP_SHARED, 0, sizeof(matmul_params), matmul_parse, matmul_infer, matmul_run};
