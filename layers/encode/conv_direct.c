/* Convolution as a matrix product without packing: row k of the pixels' matrix is the copied rows,
 * seen from tap k on, so the product reads it there, in pieces of neighbours. A row of y whose
 * length is no multiple of a piece ends within one; the piece goes on through the padding and into
 * the next row, and what it finds in between is computed and left out. */
#include "layers/encode/conv.h"

/* A task's copy and pixels at most, unless a row of y takes more, and the most that a row may. */
enum { COPY_FLOATS = 1 << 16, TASK_PIXELS = 512, ROW_FLOATS = 1 << 18 };
/* Packing costs about as much as so many output channels. */
enum { PACKING = 9 };
enum { TASKS_PER_WORKER = 4 };

/* Pixels of a task that are neighbours in its pieces and in y. */
typedef struct conv_span {
    size_t from, to, count;
} conv_span;

/* Adds what a piece holds of y; at: where it begins in the copy; column: among all pieces. */
static size_t add_spans(const attn_conv_size *s, size_t step, size_t rows, size_t at, size_t width,
                        size_t column, conv_span *span, size_t spans)
{
    for (size_t i = 0; i < width;) {
        size_t y = (at + i) / step, x = (at + i) % step;
        if (y >= rows) break;
        if (x >= s->x.out) {
            i += step - x;
            continue;
        }
        size_t left = s->x.out - x, count = left < width - i ? left : width - i;
        conv_span next = {column + i, y * s->x.out + x, count};
        conv_span *last = spans ? &span[spans - 1] : NULL;
        if (last && last->from + last->count == next.from && last->to + last->count == next.to)
            last->count += count;
        else
            span[spans++] = next;
        i += count;
    }
    return spans;
}

/* The pieces of `rows` rows of y: where each begins in the copy, and the spans that they make, at
 * most as many as pieces and rows together. piece, and span with spans, may be NULL. */
static size_t lay_pieces(const attn_conv_size *s, const attn_conv_copy *t, size_t width,
                         size_t rows, size_t *piece, conv_span *span, size_t *spans)
{
    size_t step = s->y.stride * t->pitch, pieces = 0, count = 0;
    for (size_t y = 0, x = 0; y < rows; pieces++) {
        size_t at = y * step + x, end = at + width;
        if (piece) piece[pieces] = at;
        if (span) count = add_spans(s, step, rows, at, width, pieces * width, span, count);
        y = end / step;
        x = end % step;
        if (x >= s->x.out) {
            y++;
            x = 0;
        }
    }
    if (span) *spans = count;
    return pieces;
}

bool attn_conv_cut_direct(const attn_kernels *kernels, const attn_conv_size *s, size_t m,
                          size_t parts, size_t workers, attn_conv_direct *d)
{
    size_t width = kernels->piece, planes = s->group_in * s->z.kernel, most = 1, best = SIZE_MAX;
    size_t limit =
        s->y.out > 1 ? ROW_FLOATS : COPY_FLOATS; /* the only row can be packed in parts */
    if (planes * attn_conv_cut_copy(s, 1, s->x.out).plane > limit) return false;
    while (most < s->y.out && (most + 1) * s->x.out <= TASK_PIXELS &&
           planes * attn_conv_cut_copy(s, most + 1, s->x.out).plane <= COPY_FLOATS)
        most++;
    if (workers > 1) {
        size_t want = TASKS_PER_WORKER * workers, tasks = want / parts + (want % parts != 0);
        if (s->y.out < tasks) return false;
        if (most > s->y.out / tasks) most = s->y.out / tasks;
    }
    for (size_t rows = most; rows > most / 2; rows--) {
        attn_conv_direct now = {.rows = rows, .blocks = (s->y.out + rows - 1) / rows};
        now.copy = attn_conv_cut_copy(s, rows, s->x.out);
        size_t tail = s->y.out - (now.blocks - 1) * rows;
        now.pieces = lay_pieces(s, &now.copy, width, rows, NULL, NULL, NULL);
        size_t columns = (now.blocks - 1) * now.pieces * width;
        columns += lay_pieces(s, &now.copy, width, tail, NULL, NULL, NULL) * width;
        if (columns >= best) continue;
        best = columns;
        *d = now;
    }
    d->whole = s->x.out % width == 0;
    size_t pixels = s->y.out * s->x.out, waste = best - pixels;
    return waste * m <= pixels * PACKING;
}

/* Floats from row to row of what is computed before it is left out. */
static size_t spread_columns(const attn_kernels *kernels, const attn_conv_direct *d)
{
    return attn_spread_rows(kernels->panel, d->pieces * kernels->piece);
}

attn_status attn_conv_direct_scratch(attn_infer *c, const attn_conv_size *s, size_t m,
                                     const attn_conv_direct *d)
{
    size_t copy, sums = 0;
    ATTN_TRY(attn_conv_fit_copy(c, s, d->rows, s->x.out, &copy));
    ATTN_TRY(attn_add_scratch(c, s->k, sizeof(size_t), &c->scratch));
    ATTN_TRY(attn_add_scratch(c, d->pieces, sizeof(size_t), &c->scratch));
    ATTN_TRY(attn_add_scratch(c, d->pieces + d->rows, sizeof(conv_span), &c->scratch));
    ATTN_TRY(attn_add_scratch(c, copy, sizeof(float), &c->worker_scratch));
    if (!attn_mul(spread_columns(c->kernels, d), attn_conv_cut_weight(m, s->k), &sums))
        sums = SIZE_MAX;
    if (d->whole) return ATTN_OK;
    return attn_add_scratch(c, sums, sizeof(float), &c->worker_scratch);
}

typedef struct direct_job {
    const attn_run_context *c;
    const attn_conv_params *p;
    const attn_conv_size *s;
    const attn_conv_direct *d;
    size_t *offset, *piece; /* of taps and pieces in a task's copy */
    conv_span *span;
    size_t spans;
    size_t sums; /* where those of the pieces begin in a worker's scratch, behind the copy */
    size_t step; /* from row to row of these */
} direct_job;

/* The pixels of y among those of the pieces. */
static void put_spans(const direct_job *j, const attn_gemm *g, float *y, size_t pixels)
{
    for (size_t row = 0; row < g->m; row++, y += j->s->pixels) {
        const float *from = g->y + row * g->ldy;
        for (size_t i = 0; i < j->spans && j->span[i].to < pixels; i++) {
            const conv_span *a = &j->span[i];
            size_t left = pixels - a->to;
            j->c->kernels->unary(ATTN_IDENTITY, y + a->to, from + a->from,
                                 a->count < left ? a->count : left);
        }
    }
}

static void direct_task(void *arg, size_t task, size_t worker)
{
    const direct_job *j = arg;
    const attn_conv_size *s = j->s;
    const attn_conv_direct *d = j->d;
    const attn_kernels *kernels = j->c->kernels;
    size_t first = task % d->blocks * d->rows;
    size_t rows = s->y.out - first < d->rows ? s->y.out - first : d->rows;
    size_t pieces = d->pieces;
    float *copy = attn_worker_scratch(j->c, worker), *sums = copy + j->sums;
    attn_conv_part part = attn_conv_find(j->c, j->p, s, task / d->blocks);
    attn_conv_copy_planes(kernels, s, &d->copy, copy, part.x, part.z, first, rows, 0);
    if (rows < d->rows) pieces = lay_pieces(s, &d->copy, kernels->piece, rows, NULL, NULL, NULL);
    part.y += first * s->x.out;
    for (size_t row = 0, m = s->out / j->p->groups; row < m;) {
        attn_gemm g = attn_conv_rows(j->p, s, &part, row);
        float *y = g.y;
        g.n = pieces * kernels->piece;
        g.w = copy;
        g.offset = j->offset;
        g.piece = j->piece;
        if (!d->whole) {
            g.y = sums;
            g.ldy = j->step;
        }
        kernels->gemm(&g);
        if (!d->whole) put_spans(j, &g, y, rows * s->x.out);
        row += g.m;
    }
}

void attn_conv_run_direct(const attn_run_context *c, const attn_conv_params *p,
                          const attn_conv_size *s, const attn_conv_direct *d, size_t parts)
{
    direct_job j = {.c = c, .p = p, .s = s, .d = d, .offset = c->scratch};
    size_t line = 64 / sizeof(size_t);
    j.piece = j.offset + (s->k + line - 1) / line * line;
    j.span = (conv_span *)(j.piece + (d->pieces + line - 1) / line * line);
    j.sums = (d->copy.plane * s->group_in * s->z.kernel + ATTN_TAPS_BEHIND + 15) / 16 * 16;
    j.step = spread_columns(c->kernels, d);
    attn_conv_offsets(s, &d->copy, j.offset);
    lay_pieces(s, &d->copy, c->kernels->piece, d->rows, j.piece, j.span, &j.spans);
    c->parallel(c->pool, parts * d->blocks, direct_task, &j);
}
