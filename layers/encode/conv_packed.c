/* Convolution as a matrix product of packed pixels: each task copies the rows of x that its block
 * of pixels takes, and packs the block's panels from the copy; x itself, if a pixel is one column
 * of it. */
#include "layers/encode/conv.h"

#include <string.h>

enum { MOST_PANEL = 64 };

/* How the pixels of a plane of y are dealt out to tasks. */
typedef struct conv_cut {
    size_t block, blocks; /* pixels of a task; tasks of a plane */
    size_t packed;        /* floats of a task's panels, and of what may be written behind them */
    size_t most_rows;     /* of y, that a block touches */
    bool part;            /* of the only row there is: its own pixels alone are copied */
    attn_conv_copy copy;
} conv_cut;

static conv_cut cut_blocks(const attn_kernels *kernels, const attn_conv_size *s, size_t jobs,
                           size_t workers)
{
    size_t plane = s->y.out * s->x.out;
    conv_cut cut = {.block = attn_block_panels(kernels, s->k, plane, jobs, workers)};
    cut.block *= kernels->panel;
    cut.blocks = (plane + cut.block - 1) / cut.block;
    cut.packed = cut.block * s->k + ATTN_TAPS_BEHIND;
    cut.most_rows = (cut.block + s->x.out - 2) / s->x.out + 1;
    if (cut.most_rows > s->y.out) cut.most_rows = s->y.out;
    cut.part = s->y.out == 1 && cut.block < s->x.out;
    cut.copy = attn_conv_cut_copy(s, cut.most_rows, cut.part ? cut.block : s->x.out);
    return cut;
}

attn_status attn_conv_packed_scratch(attn_infer *c, const attn_conv_size *s, size_t parts)
{
    size_t floats;
    if (!attn_mul((s->y.out * s->x.out + MOST_PANEL), s->k, &floats) || floats > SIZE_MAX / 16)
        return attn_infer_fail(c, "a kernel of %zu elements is too large", s->k);
    conv_cut cut = cut_blocks(c->kernels, s, parts, c->workers);
    floats = 0;
    if (!attn_conv_is_pointwise(s)) {
        ATTN_TRY(attn_conv_fit_copy(c, s, cut.most_rows, cut.part ? cut.block : s->x.out, &floats));
        ATTN_TRY(attn_add_scratch(c, s->k, sizeof(size_t), &c->scratch));
    }
    if (!attn_add(floats, cut.packed, &floats))
        return attn_infer_fail(c, "a kernel of %zu elements is too large", s->k);
    return attn_add_scratch(c, floats, sizeof(float), &c->worker_scratch);
}

typedef struct conv_job {
    const attn_run_context *c;
    const attn_conv_params *p;
    const attn_conv_size *s;
    conv_cut cut;
    size_t *offset; /* of the taps in a task's copy */
} conv_job;

enum { MOVE = 16 }; /* floats that are copied at a time */

/* One panel: pixels first .. first + count (at most panel) of a plane of y, packed as gemm takes
 * them; row, column: of y, the first that the copy has. Pixels that are neighbours in y come in
 * moves of MOVE; behind those that are wanted there may be others: the next move overwrites them.
 */
static void pack_panel(const conv_job *j, const float *copy, size_t row, size_t column,
                       size_t first, size_t count, float *to)
{
    size_t at[MOST_PANEL], from[MOST_PANEL], moves = 0, width = j->s->x.out;
    size_t step = j->s->y.stride * j->cut.copy.pitch, panel = j->c->kernels->panel;
    for (size_t i = 0; i < count; moves++) {
        size_t x = (first + i) % width, left = width - x;
        at[moves] = i;
        from[moves] = ((first + i) / width - row) * step + x - column;
        if (left > MOVE) left = MOVE;
        i += left < count - i ? left : count - i;
    }
    for (size_t k = 0; k < j->s->k; k++, to += panel) {
        const float *tap = copy + j->offset[k];
        for (size_t i = 0; i < moves; i++) memcpy(to + at[i], tap + from[i], MOVE * sizeof(float));
        for (size_t i = count; i < panel; i++) to[i] = 0;
    }
}

/* Pixels first .. first + count of plane z of y, as panels. */
static void pack_block(const conv_job *j, const float *x, size_t z, size_t first, size_t count,
                       float *copy, float *packed)
{
    const attn_conv_size *s = j->s;
    size_t panel = j->c->kernels->panel, row = first / s->x.out;
    size_t column = j->cut.part ? first : 0;
    attn_conv_copy_planes(j->c->kernels, s, &j->cut.copy, copy, x, z, row,
                          (first + count - 1) / s->x.out + 1 - row, column);
    for (size_t i = 0; i < count; i += panel)
        pack_panel(j, copy, row, column, first + i, count - i < panel ? count - i : panel,
                   packed + i * s->k);
}

static void packed_task(void *arg, size_t task, size_t worker)
{
    const conv_job *j = arg;
    const attn_conv_size *s = j->s;
    const attn_kernels *kernels = j->c->kernels;
    size_t plane = s->y.out * s->x.out, first = task % j->cut.blocks * j->cut.block;
    size_t count = plane - first < j->cut.block ? plane - first : j->cut.block;
    float *packed = attn_worker_scratch(j->c, worker);
    attn_conv_part part = attn_conv_find(j->c, j->p, s, task / j->cut.blocks);
    if (attn_conv_is_pointwise(s))
        kernels->pack(ATTN_PANEL_F32, packed, part.x + part.z * plane + first, s->k, count,
                      s->plane, 1);
    else
        pack_block(j, part.x, part.z, first, count, packed + j->cut.packed, packed);
    for (size_t row = 0, m = s->out / j->p->groups; row < m;) {
        attn_gemm g = attn_conv_rows(j->p, s, &part, row);
        g.n = count;
        g.w = packed;
        g.y += first;
        kernels->gemm(&g);
        row += g.m;
    }
}

void attn_conv_run_packed(const attn_run_context *c, const attn_conv_params *p,
                          const attn_conv_size *s, size_t parts)
{
    conv_job j = {.c = c, .p = p, .s = s, .offset = c->scratch};
    j.cut = cut_blocks(c->kernels, s, parts, c->workers);
    if (!attn_conv_is_pointwise(s)) attn_conv_offsets(s, &j.cut.copy, j.offset);
    c->parallel(c->pool, parts * j.cut.blocks, packed_task, &j);
}
