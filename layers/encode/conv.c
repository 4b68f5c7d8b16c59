/* conv, conv2d and conv1d: y[o, p] = activation(sum over c, i of W[o, c, i] x[c, stride p +
 * dilation i - padding] + bias[o]), cross-correlation as in every framework, zeros outside x.
 *   conv2d: x [..., C, H, W], W: [O, C / groups, kh, kw], bias: [O], y [..., O, H', W']
 *   conv1d: x [..., C, T],    W: [O, C / groups, k],      bias: [O], y [..., O, T']
 *   conv:   one to three axes after the channels, as many as W has
 * As one matrix product per group (Chellapilla et al. 2006): the weight's rows [O, K] in place
 * meet the pixels' columns [K, H' W'], of which each task packs a block into its scratch, from a
 * copy of the rows that it needs. The order of the sum is k = (c, kz, ky, kx). A group of one
 * channel is summed directly, in that order. */
#include "layers/encode/conv.h"

#include <string.h>

typedef attn_conv_params conv_params;
typedef attn_conv_size conv_size;

static attn_status read_weights(attn_reader *r, conv_params *p, int axes)
{
    ATTN_TRY(attn_read_operand(r, "weight_from", &p->weight_operand));
    if (p->weight_operand < 0)
        ATTN_TRY(attn_need_weight(r, "weight", ".weight", axes ? axes + 2 : -1, &p->weight));
    ATTN_TRY(attn_need_elements(r, &p->weight));
    ATTN_TRY(attn_read_operand(r, "bias_from", &p->bias_operand));
    if (p->bias_operand < 0) ATTN_TRY(attn_read_bias(r, "weight", &p->bias));
    return ATTN_OK;
}

/* Rows that a product would read from one set of the cache are laid out further apart. */
static void spread_weight(conv_params *p)
{
    attn_param *w = &p->weight;
    size_t rows = w->dim[0], k = 1;
    for (int i = 1; i < w->rank; i++) k *= w->dim[i];
    if (w->dim[1] == 1 || attn_spread_rows(rows / p->groups, k) == k) return;
    w->form = ATTN_SPREAD;
    w->k = k;
    w->n = rows;
}

static attn_status parse_conv(attn_reader *r, conv_params *p, int axes)
{
    const attn_param *w = &p->weight;
    ATTN_TRY(attn_need_inputs(r, 1, 1, NULL));
    ATTN_TRY(attn_need_outputs(r, 1, 1, NULL));
    ATTN_TRY(read_weights(r, p, axes));
    p->groups = 1;
    ATTN_TRY(attn_read_size(r, "groups", 1, (size_t)1 << 32, &p->groups));
    if (w->source) {
        if (w->rank < 3 || w->rank > 2 + ATTN_WINDOW_AXES)
            return attn_reader_fail(r, "\"%s\" has rank %d, expected 3 to %d", w->source->name,
                                    w->rank, 2 + ATTN_WINDOW_AXES);
        ATTN_TRY(attn_need_length(r, &p->bias, w->dim[0]));
        if (w->dim[0] % p->groups != 0)
            return attn_reader_fail(r,
                                    "%zu output channels of \"%s\" do not divide into %zu groups",
                                    w->dim[0], w->source->name, p->groups);
        axes = w->rank - 2;
        spread_weight(p);
    }
    p->axes = axes;
    ATTN_TRY(attn_read_windows(r, &p->windows, axes, false));
    return attn_read_activation(r, "activation", &p->unary);
}

static attn_status conv_parse(attn_reader *r, void *params)
{
    return parse_conv(r, params, 0);
}
static attn_status conv2d_parse(attn_reader *r, void *params)
{
    return parse_conv(r, params, 2);
}
static attn_status conv1d_parse(attn_reader *r, void *params)
{
    return parse_conv(r, params, 1);
}

/* ---- geometry ----------------------------------------------------------------------------- */

/* All that follows from the weight's dimensions and x. */
static void measure(const attn_shape *x, const size_t *weight, int axes, const attn_window *w,
                    conv_size *s)
{
    *s = (conv_size){.out = weight[0], .group_in = weight[1], .z = w[0], .y = w[1], .x = w[2]};
    s->k = weight[1];
    s->plane = s->pixels = 1;
    for (int i = 0; i < axes; i++) s->k *= weight[2 + i];
    for (int i = 0; i < ATTN_WINDOW_AXES; i++) {
        s->plane *= w[i].in;
        s->pixels *= w[i].out;
    }
    s->images = attn_span(x, 0, x->rank - axes - 1);
}

/* Whether the pixels' columns are x as it is. */
static bool is_pointwise(const conv_size *s)
{
    const attn_window *w[] = {&s->z, &s->y, &s->x};
    for (int i = 0; i < ATTN_WINDOW_AXES; i++)
        if (w[i]->kernel > 1 || w[i]->stride > 1 || w[i]->before || w[i]->out != w[i]->in)
            return false;
    return true;
}

enum { MOST_PANEL = 64 };

/* How the pixels of a plane of y are dealt out to tasks. */
typedef struct conv_cut {
    size_t block, blocks; /* pixels of a task; tasks of a plane */
    size_t packed;        /* floats of a task's panels, and of what may be written behind them */
    size_t most_rows;     /* of y, that a block touches */
    attn_conv_copy copy;
} conv_cut;

static conv_cut cut_blocks(const attn_kernels *kernels, const conv_size *s, size_t jobs,
                           size_t workers)
{
    size_t plane = s->y.out * s->x.out;
    conv_cut cut = {.block = attn_block_panels(kernels, s->k, plane, jobs, workers)};
    cut.block *= kernels->panel;
    cut.blocks = (plane + cut.block - 1) / cut.block;
    cut.packed = cut.block * s->k + ATTN_TAPS_BEHIND;
    cut.most_rows = (cut.block + s->x.out - 2) / s->x.out + 1;
    if (cut.most_rows > s->y.out) cut.most_rows = s->y.out;
    cut.copy = attn_conv_cut_copy(s, cut.most_rows);
    return cut;
}

/* The operands' shapes, where the weight is computed. */
static attn_status want_operands(attn_infer *c, const conv_params *p, const size_t *weight)
{
    size_t bias = (size_t)p->bias_operand;
    if (!p->weight.source && weight[0] % p->groups != 0)
        return attn_infer_fail(c, "%zu output channels do not divide into %zu groups", weight[0],
                               p->groups);
    if (p->bias_operand >= 0) ATTN_TRY(attn_want_filled(c, bias, ATTN_F32, 1, 1));
    if (p->bias_operand >= 0 && c->in[bias].dim[0] != weight[0])
        return attn_infer_fail(c, "a bias of %zu for %zu output channels", c->in[bias].dim[0],
                               weight[0]);
    if (p->bias.source && p->bias.dim[0] != weight[0])
        return attn_infer_fail(c, "a bias of %zu for %zu output channels", p->bias.dim[0],
                               weight[0]);
    return ATTN_OK;
}

static attn_status conv_infer(attn_infer *c, const void *params)
{
    const conv_params *p = params;
    const attn_shape *x = &c->in[0];
    const size_t *weight = p->weight.dim;
    attn_window window[ATTN_WINDOW_AXES];
    attn_shape_text shape;
    size_t count, floats;
    conv_size s;
    int axes = p->axes;
    if (!p->weight.source) {
        size_t operand = (size_t)p->weight_operand;
        ATTN_TRY(attn_want_filled(c, operand, ATTN_F32, axes ? axes + 2 : 3,
                                  2 + (axes ? axes : ATTN_WINDOW_AXES)));
        weight = c->in[operand].dim;
        axes = c->in[operand].rank - 2;
    }
    ATTN_TRY(want_operands(c, p, weight));
    ATTN_TRY(attn_want_filled(c, 0, ATTN_F32, axes + 1, ATTN_MAX_RANK));
    int channel = x->rank - axes - 1;
    if (x->dim[channel] % p->groups != 0 || x->dim[channel] / p->groups != weight[1])
        return attn_infer_fail(c,
                               "input %s has %zu channels, but \"%s\" takes %zu for each of %zu "
                               "groups",
                               attn_format_shape(&shape, x->dim, x->rank), x->dim[channel],
                               p->weight.source ? p->weight.source->name : "weight_from", weight[1],
                               p->groups);
    ATTN_TRY(attn_fit_windows(c, &p->windows, axes, weight + 2, x->dim + channel + 1, window));
    c->out[0] = *x;
    c->out[0].dim[channel] = weight[0];
    for (int i = 0; i < axes; i++)
        c->out[0].dim[channel + 1 + i] = window[ATTN_WINDOW_AXES - axes + i].out;
    ATTN_TRY(attn_want_count(c, &c->out[0], &count));
    measure(x, weight, axes, window, &s);
    c->flops = (double)count * (double)s.k;
    if (attn_conv_is_depthwise(p, &s)) return attn_conv_depthwise_scratch(c, &s);
    size_t jobs;
    if (!attn_mul(s.images * s.z.out, p->groups, &jobs) || !attn_mul(jobs, c->batch, &jobs))
        jobs = SIZE_MAX;
    if (!attn_mul((s.y.out * s.x.out + MOST_PANEL), s.k, &floats) || floats > SIZE_MAX / 16)
        return attn_infer_fail(c, "a kernel of %zu elements is too large", s.k);
    conv_cut cut = cut_blocks(c->kernels, &s, jobs, c->workers);
    floats = 0;
    if (!is_pointwise(&s)) {
        ATTN_TRY(attn_conv_fit_copy(c, &s, cut.most_rows, &floats));
        ATTN_TRY(attn_add_scratch(c, s.k, sizeof(size_t), &c->scratch));
    }
    if (!attn_add(floats, cut.packed, &floats))
        return attn_infer_fail(c, "a kernel of %zu elements is too large", s.k);
    return attn_add_scratch(c, floats, sizeof(float), &c->worker_scratch);
}

/* ---- as a matrix product ------------------------------------------------------------------- */

typedef struct conv_job {
    const attn_run_context *c;
    const conv_params *p;
    conv_size s;
    conv_cut cut;
    size_t *offset; /* of the taps in a task's copy */
    size_t step;    /* from row to row of the weight */
} conv_job;

/* Rows of the panel, of `panel` floats, from the copy: pixel i of a row is the tap's number from[i]
 * there, and pixels that are neighbours in y come in one piece. Behind a piece there may be others
 * for a while: what comes next overwrites them. */
static void pack_pieces(const conv_job *j, const float *copy, const size_t *at, const size_t *from,
                        size_t pieces, size_t count, float *to, size_t panel)
{
    for (size_t k = 0; k < j->s.k; k++, to += panel) {
        const float *tap = copy + j->offset[k];
        for (size_t i = 0; i < pieces; i++)
            for (size_t n = 0; n < panel; n += 16)
                memcpy(to + at[i] + n, tap + from[i] + n, 16 * sizeof(float));
        for (size_t i = count; i < panel; i++) to[i] = 0;
    }
}

/* One panel: pixels first .. first + count (at most panel) of a plane of y, packed as gemm takes
 * them; row: of y, the first that the copy has. */
static void pack_panel(const conv_job *j, const float *copy, size_t row, size_t first, size_t count,
                       float *to)
{
    size_t at[MOST_PANEL], from[MOST_PANEL], pieces = 0, width = j->s.x.out;
    size_t step = j->s.y.stride * j->cut.copy.pitch, panel = j->c->kernels->panel;
    for (size_t i = 0; i < count; pieces++) {
        size_t x = (first + i) % width, left = width - x;
        at[pieces] = i;
        from[pieces] = ((first + i) / width - row) * step + x;
        i += left < count - i ? left : count - i;
    }
    if (panel == 16)
        pack_pieces(j, copy, at, from, pieces, count, to, 16);
    else
        pack_pieces(j, copy, at, from, pieces, count, to, panel);
}

/* Pixels first .. first + count of plane z of y, as panels. */
static void pack_block(const conv_job *j, const float *x, size_t z, size_t first, size_t count,
                       float *copy, float *packed)
{
    const conv_size *s = &j->s;
    const attn_conv_copy *t = &j->cut.copy;
    size_t panel = j->c->kernels->panel, row = first / s->x.out, plane = s->y.in * s->x.in;
    size_t rows = (first + count - 1) / s->x.out + 1 - row;
    for (size_t i = 0; i < s->group_in * s->z.kernel; i++) {
        size_t at = z * s->z.stride + i % s->z.kernel * s->z.dilation - s->z.before;
        const float *from = x + i / s->z.kernel * s->plane;
        attn_conv_copy_rows(s, t, copy + i * t->rows * t->pitch,
                            at < s->z.in ? from + at * plane : NULL, x + s->group_in * s->plane,
                            row, rows);
    }
    for (size_t i = 0; i < count; i += panel)
        pack_panel(j, copy, row, first + i, count - i < panel ? count - i : panel,
                   packed + i * s->k);
}

/* Rows of the weight that stay in the second-level cache while a block's panels pass by. */
static size_t cut_rows(size_t m, size_t k)
{
    enum { ROWS = 84, BYTES = 192 * 1024 }; /* of every level's tiles a multiple */
    size_t most = BYTES / sizeof(float) / k / ROWS * ROWS;
    if (most == 0) most = ROWS;
    return m < most ? m : most;
}

static void conv_task(void *arg, size_t task, size_t worker)
{
    const conv_job *j = arg;
    const conv_params *p = j->p;
    const conv_size *s = &j->s;
    const attn_kernels *kernels = j->c->kernels;
    size_t plane = s->y.out * s->x.out, first = task % j->cut.blocks * j->cut.block;
    size_t rest = task / j->cut.blocks, z = rest % s->z.out;
    size_t group = rest / s->z.out % p->groups, image = rest / s->z.out / p->groups;
    size_t item = image / s->images, each = s->group_in * s->plane;
    size_t count = plane - first < j->cut.block ? plane - first : j->cut.block;
    size_t m = s->out / p->groups, rows = cut_rows(m, s->k);
    float *packed = attn_worker_scratch(j->c, worker);
    const float *bias = attn_conv_bias(j->c, p, item);
    const float *weight = attn_conv_weight(j->c, p, item) + group * m * j->step;
    image = image % s->images * p->groups + group;
    const float *x = attn_item(&j->c->in[0], item) + image * each;
    float *y = attn_item(&j->c->out[0], item) + image * m * s->pixels + z * plane + first;
    if (is_pointwise(s))
        kernels->pack(ATTN_PANEL_F32, packed, x + z * plane + first, s->k, count, s->plane, 1);
    else
        pack_block(j, x, z, first, count, packed + j->cut.packed, packed);
    for (size_t row = 0; row < m; row += rows) {
        attn_gemm g = {.m = m - row < rows ? m - row : rows,
                       .n = count,
                       .k = s->k,
                       .x = weight + row * j->step,
                       .ldx = j->step,
                       .w = packed,
                       .y = y + row * s->pixels,
                       .ldy = s->pixels,
                       .scale = 1,
                       .row_bias = bias ? bias + group * m + row : NULL,
                       .unary = p->unary};
        kernels->gemm(&g);
    }
}

/* ---- run ---------------------------------------------------------------------------------- */

static void conv_run(const attn_run_context *c, const void *params)
{
    const conv_params *p = params;
    const attn_shape *x = &c->in[0].shape;
    const size_t *weight = p->weight.source ? p->weight.dim : c->in[p->weight_operand].shape.dim;
    int axes = p->weight.source ? p->axes : c->in[p->weight_operand].shape.rank - 2;
    attn_window window[ATTN_WINDOW_AXES];
    conv_job j = {.c = c, .p = p, .offset = c->scratch};
    attn_place_windows(&p->windows, axes, weight + 2, x->dim + x->rank - axes, window);
    measure(x, weight, axes, window, &j.s);
    if (attn_conv_is_depthwise(p, &j.s)) {
        attn_conv_depthwise(c, p, &j.s);
        return;
    }
    size_t jobs = c->batch * j.s.images * p->groups * j.s.z.out;
    j.cut = cut_blocks(c->kernels, &j.s, jobs, c->workers);
    if (!is_pointwise(&j.s)) attn_conv_offsets(&j.s, &j.cut.copy, j.offset);
    j.step = p->weight.form == ATTN_SPREAD ? attn_spread_rows(j.s.out, j.s.k) : j.s.k;
    c->parallel(c->pool, jobs * j.cut.blocks, conv_task, &j);
}

#define CONV(name)                                                                                 \
    const attn_layer attn_layer_##name = {                                                         \
        #name, ATTN_STEP_ENCODE, 0, sizeof(conv_params), name##_parse, conv_infer, conv_run};

CONV(conv)
CONV(conv1d)
CONV(conv2d)
