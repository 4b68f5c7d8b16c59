/* Reductions: y = the sum, maximum ... of x over some of its axes; one element if over all.
 *   x: any shape; y: x's shape, where the axes are 1, or gone
 * f32: the elements of y each take x in C order; a last axis that is reduced is added up by the
 * kernels, in their order. i32: exact, wrapping around at the end. A NaN gives NaN. */
#include "layers/support.h"

#include <math.h>
#include <stdlib.h>

typedef enum reduction {
    SUM,
    MEAN,
    MAX,
    MIN,
    PROD,
    L1,
    L2,
    LOG_SUM,
    LOG_SUM_EXP,
    SUM_SQUARE,
} reduction;

typedef struct reduce_params {
    reduction op;
    attn_ints axes;
    bool keep, noop;
} reduce_params;

static attn_status parse_reduce(attn_reader *r, void *params, reduction op)
{
    reduce_params *p = params;
    p->op = op;
    p->keep = true;
    ATTN_TRY(attn_need_inputs(r, 1, 1, NULL));
    ATTN_TRY(attn_need_outputs(r, 1, 1, NULL));
    ATTN_TRY(attn_read_known_ints(r, "axes", -ATTN_MAX_RANK, ATTN_MAX_RANK - 1, &p->axes));
    ATTN_TRY(attn_read_bool(r, "keep", &p->keep));
    return attn_read_bool(r, "noop", &p->noop);
}

/* The axes as bits; without any: all, or none if noop. */
static unsigned reduced_axes(const reduce_params *p, int rank, const long *axes, int count)
{
    unsigned mask = 0;
    if (count == 0) return p->noop ? 0 : (1u << rank) - 1;
    for (int i = 0; i < count; i++) mask |= 1u << (axes[i] < 0 ? axes[i] + rank : axes[i]);
    return mask;
}

static attn_status reduce_infer(attn_infer *c, const void *params)
{
    const reduce_params *p = params;
    const attn_shape *x = &c->in[0];
    attn_shape *y = &c->out[0];
    long axes[ATTN_MAX_INTS];
    int count, axis;
    bool integers = p->op <= L1 || p->op == SUM_SQUARE;
    if (integers)
        ATTN_TRY(attn_want_any(c, 0, 0, ATTN_MAX_RANK));
    else
        ATTN_TRY(attn_want_filled(c, 0, ATTN_F32, 0, ATTN_MAX_RANK));
    ATTN_TRY(attn_infer_ints(c, &p->axes, ATTN_MAX_RANK, axes, &count));
    for (int i = 0; i < count; i++) ATTN_TRY(attn_want_axis(c, 0, axes[i], &axis));
    unsigned mask = reduced_axes(p, x->rank, axes, count);
    *y = (attn_shape){.dtype = x->dtype};
    for (int i = 0; i < x->rank; i++) {
        bool reduced = mask >> i & 1;
        if (!reduced || p->keep) y->dim[y->rank++] = reduced ? 1 : x->dim[i];
    }
    c->flops = (double)attn_span(x, 0, x->rank) * (p->op == LOG_SUM_EXP ? 16 : 1);
    return ATTN_OK;
}

/* x as blocks of axes that are all kept or all reduced. The last block is apart: `inner` elements
 * of y next to each other, or rows of `row` elements that are reduced. */
typedef struct reduce_job {
    const reduce_params *p;
    const attn_kernels *kernels;
    const attn_shape *x;
    int kept, reduced;
    size_t kept_dim[ATTN_MAX_RANK], kept_step[ATTN_MAX_RANK];
    size_t reduced_dim[ATTN_MAX_RANK], reduced_step[ATTN_MAX_RANK];
    size_t inner, row, rounds, count; /* rounds: products of reduced_dim; count: with row */
} reduce_job;

static void make_job(const attn_run_context *c, const reduce_params *p, reduce_job *job)
{
    const attn_shape *x = &c->in[0].shape;
    long axes[ATTN_MAX_INTS];
    int count = attn_run_ints(c, &p->axes, axes), blocks = 0;
    unsigned mask = reduced_axes(p, x->rank, axes, count);
    size_t dim[ATTN_MAX_RANK], step = 1;
    bool reduced[ATTN_MAX_RANK];
    *job = (reduce_job){
        .p = p, .kernels = c->kernels, .x = x, .inner = 1, .row = 1, .rounds = 1, .count = 1};
    for (int i = x->rank - 1; i >= 0; i--) { /* from the last axis on */
        if (x->dim[i] == 1) continue;
        bool is = mask >> i & 1;
        if (blocks == 0 || reduced[blocks - 1] != is) {
            reduced[blocks] = is;
            dim[blocks++] = 1;
        }
        dim[blocks - 1] *= x->dim[i];
    }
    for (int b = 0; b < blocks; step *= dim[b++]) {
        if (reduced[b]) job->count *= dim[b];
        if (b == 0) {
            *(reduced[b] ? &job->row : &job->inner) = dim[b];
        } else if (reduced[b]) {
            job->rounds *= dim[b];
            job->reduced_dim[job->reduced] = dim[b];
            job->reduced_step[job->reduced++] = step;
        } else {
            job->kept_dim[job->kept] = dim[b];
            job->kept_step[job->kept++] = step;
        }
    }
}

static size_t offset_of(size_t index, int blocks, const size_t *dim, const size_t *step)
{
    size_t offset = 0;
    for (int b = 0; b < blocks; b++) {
        offset += index % dim[b] * step[b];
        index /= dim[b];
    }
    return offset;
}

/* ---- f32 ----------------------------------------------------------------------------------- */

enum { PIECE = 256 }; /* elements that stay near from step to step */

typedef enum transform { PLAIN, ABSOLUTE, SQUARE, EXP } transform; /* of x, before it is added */

static transform transform_of(reduction op)
{
    return op == L1                       ? ABSOLUTE
           : op == L2 || op == SUM_SQUARE ? SQUARE
           : op == LOG_SUM_EXP            ? EXP
                                          : PLAIN;
}

static attn_binary combination(reduction op)
{
    return op == MAX    ? ATTN_BIN_MAX
           : op == MIN  ? ATTN_BIN_MIN
           : op == PROD ? ATTN_BIN_MUL
                        : ATTN_BIN_ADD;
}

/* x as it is added, n <= PIECE; in `part` if it is changed. shift: of EXP, of step 0 or 1. */
static const float *transformed(const attn_kernels *k, transform t, const float *x,
                                const float *shift, size_t step, float *part, size_t n)
{
    if (t == PLAIN) return x;
    if (t == EXP) {
        k->binary(ATTN_BIN_SUB, part, x, 1, shift, step, n);
        x = part;
    }
    k->unary(t == EXP ? ATTN_EXP : t == SQUARE ? ATTN_SQUARE : ATTN_ABS, part, x, n);
    return part;
}

static float reduce_row(const attn_kernels *k, attn_binary by, transform t, const float *x,
                        const float *shift, size_t n)
{
    float part[PIECE], y = by == ATTN_BIN_MIN ? INFINITY : by == ATTN_BIN_MUL ? 1 : 0;
    if (by == ATTN_BIN_MAX) return k->max(x, n);
    if (by == ATTN_BIN_ADD && t == SQUARE) return k->dot(x, x, n);
    if (by == ATTN_BIN_ADD && t == PLAIN) return k->sum(x, n);
    for (size_t i = 0; by != ATTN_BIN_ADD && i < n; i++) k->binary(by, &y, &y, 1, x + i, 1, 1);
    for (size_t i = 0; by == ATTN_BIN_ADD && i < n; i += PIECE) {
        size_t count = n - i < PIECE ? n - i : PIECE;
        y += k->sum(transformed(k, t, x + i, shift, 0, part, count), count);
    }
    return y;
}

/* y [n], of the elements of x from `x` on; n is 1 where the last block is reduced. */
static void combine(const reduce_job *job, attn_binary by, transform t, const float *x,
                    const float *shift, float *y, size_t n)
{
    const attn_kernels *k = job->kernels;
    float part[PIECE], one;
    float start = by == ATTN_BIN_MAX   ? -INFINITY
                  : by == ATTN_BIN_MIN ? INFINITY
                                       : by == ATTN_BIN_MUL;
    for (size_t i = 0; i < n; i++) y[i] = start;
    for (size_t r = 0; r < job->rounds; r++) {
        const float *from = x + offset_of(r, job->reduced, job->reduced_dim, job->reduced_step);
        if (job->row > 1) {
            one = reduce_row(k, by, t, from, shift, job->row);
            from = &one;
        } else {
            from = transformed(k, t, from, shift, 1, part, n);
        }
        k->binary(by, y, y, 1, from, 1, n);
    }
}

static void reduce_piece(const reduce_job *job, const float *x, float *y, size_t n)
{
    reduction op = job->p->op;
    float shift[PIECE], count = (float)job->count;
    if (op == LOG_SUM_EXP) {
        combine(job, ATTN_BIN_MAX, PLAIN, x, NULL, shift, n);
        for (size_t i = 0; i < n; i++)
            if (isinf(shift[i])) shift[i] = 0;
    }
    combine(job, combination(op), transform_of(op), x, shift, y, n);
    if (op == MEAN) job->kernels->binary(ATTN_BIN_DIV, y, y, 1, &count, 0, n);
    if (op == L2) job->kernels->unary(ATTN_SQRT, y, y, n);
    for (size_t i = 0; i < n && (op == LOG_SUM || op == LOG_SUM_EXP); i++)
        y[i] = (float)(log((double)y[i]) + (op == LOG_SUM_EXP ? (double)shift[i] : 0));
}

/* ---- i32 ----------------------------------------------------------------------------------- */

static int64_t combine_i32(reduction op, int64_t y, int64_t x)
{
    switch (op) {
    case MAX:
        return x > y ? x : y;
    case MIN:
        return x < y ? x : y;
    case PROD: /* what wraps around in 64 bits does so in 32 */
        return (int64_t)((uint64_t)y * (uint64_t)x);
    case SUM_SQUARE:
        return (int64_t)((uint64_t)y + (uint64_t)(x * x));
    default:
        return y + (op == L1 && x < 0 ? -x : x);
    }
}

static void reduce_i32(const reduce_job *job, const int32_t *x, int32_t *y, size_t n)
{
    reduction op = job->p->op;
    for (size_t i = 0; i < n; i++) {
        int64_t sum = op == MAX ? INT32_MIN : op == MIN ? INT32_MAX : op == PROD;
        for (size_t r = 0; r < job->rounds; r++) {
            const int32_t *from =
                x + i + offset_of(r, job->reduced, job->reduced_dim, job->reduced_step);
            for (size_t j = 0; j < job->row; j++) sum = combine_i32(op, sum, from[j]);
        }
        if (op == MEAN) sum /= (int64_t)job->count;
        y[i] = (int32_t)(uint32_t)(uint64_t)sum;
    }
}

/* ---- run ----------------------------------------------------------------------------------- */

static void reduce_task(const attn_run_context *c, const void *params, size_t item, size_t first,
                        size_t end, size_t worker)
{
    (void)worker;
    reduce_job job;
    make_job(c, params, &job);
    for (size_t at = first; at < end;) {
        size_t column = at % job.inner, n = job.inner - column;
        size_t offset = column + offset_of(at / job.inner, job.kept, job.kept_dim, job.kept_step);
        if (n > end - at) n = end - at;
        if (n > PIECE) n = PIECE;
        if (c->in[0].shape.dtype == ATTN_I32)
            reduce_i32(&job, attn_item_i32(&c->in[0], item) + offset,
                       attn_item_i32(&c->out[0], item) + at, n);
        else
            reduce_piece(&job, attn_item(&c->in[0], item) + offset,
                         attn_item(&c->out[0], item) + at, n);
        at += n;
    }
}

static void reduce_run(const attn_run_context *c, const void *params)
{
    size_t each = c->in[0].count / c->out[0].count;
    attn_each_rows(c, params, c->out[0].count, attn_grain(each), reduce_task);
}

#define REDUCE(word, op)                                                                           \
    static attn_status parse_##word(attn_reader *r, void *params)                                  \
    {                                                                                              \
        return parse_reduce(r, params, op);                                                        \
    }                                                                                              \
    const attn_layer attn_layer_reduce_##word = {                                                  \
        "reduce_" #word, ATTN_STEP_SHARED, 0,         sizeof(reduce_params),                       \
        parse_##word,    reduce_infer,     reduce_run};

REDUCE(sum, SUM)
REDUCE(mean, MEAN)
REDUCE(max, MAX)
REDUCE(min, MIN)
REDUCE(prod, PROD)
REDUCE(l1, L1)
REDUCE(l2, L2)
REDUCE(log_sum, LOG_SUM)
REDUCE(log_sum_exp, LOG_SUM_EXP)
REDUCE(sum_square, SUM_SQUARE)
