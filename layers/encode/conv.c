/* conv, conv2d and conv1d: y[o, p] = activation(sum over c, i of W[o, c, i] x[c, stride p +
 * dilation i - padding] + bias[o]), cross-correlation as in every framework, zeros outside x.
 *   conv2d: x [..., C, H, W], W: [O, C / groups, kh, kw], bias: [O], y [..., O, H', W']
 *   conv1d: x [..., C, T],    W: [O, C / groups, k],      bias: [O], y [..., O, T']
 *   conv:   one to three axes after the channels, as many as W has
 * As one matrix product per group (Chellapilla et al. 2006): the weight's rows [O, K] in place
 * meet the pixels' columns [K, H' W'], which are read where they lie in a copy of x's rows
 * (conv_direct.c) or packed, block by block (conv_packed.c). The order of the sum is k = (c, kz,
 * ky, kx). A group of one channel is summed by itself, in that order (conv_depthwise.c). */
#include "layers/encode/conv.h"

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

bool attn_conv_is_pointwise(const conv_size *s)
{
    const attn_window *w[] = {&s->z, &s->y, &s->x};
    for (int i = 0; i < ATTN_WINDOW_AXES; i++)
        if (w[i]->kernel > 1 || w[i]->stride > 1 || w[i]->before || w[i]->out != w[i]->in)
            return false;
    return true;
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
    attn_conv_direct direct;
    if (!attn_conv_is_pointwise(&s)) { /* what holds for all of y holds for parts of it */
        ATTN_TRY(attn_conv_fit_copy(c, &s, s.y.out, s.x.out, &floats));
        if (attn_conv_cut_direct(c->kernels, &s, s.out / p->groups, jobs, c->workers, &direct))
            return attn_conv_direct_scratch(c, &s, s.out / p->groups, &direct);
    }
    return attn_conv_packed_scratch(c, &s, jobs);
}

/* ---- as a matrix product ------------------------------------------------------------------- */

size_t attn_conv_cut_weight(size_t m, size_t k)
{
    enum { ROWS = 84, BYTES = 192 * 1024 }; /* of every level's tiles a multiple */
    size_t most = BYTES / sizeof(float) / k / ROWS * ROWS;
    if (most == 0) most = ROWS;
    return m < most ? m : most;
}

/* Floats from row to row of the weight. */
static size_t weight_step(const conv_params *p, const conv_size *s)
{
    return p->weight.form == ATTN_SPREAD ? attn_spread_rows(s->out, s->k) : s->k;
}

attn_conv_part attn_conv_find(const attn_run_context *c, const attn_conv_params *p,
                              const attn_conv_size *s, size_t index)
{
    size_t z = index % s->z.out, group = index / s->z.out % p->groups;
    size_t image = index / s->z.out / p->groups, item = image / s->images, m = s->out / p->groups;
    size_t step = weight_step(p, s);
    const float *bias = attn_conv_bias(c, p, item);
    image = image % s->images * p->groups + group;
    return (attn_conv_part){.z = z,
                            .x = attn_item(&c->in[0], item) + image * s->group_in * s->plane,
                            .weight = attn_conv_weight(c, p, item) + group * m * step,
                            .bias = bias ? bias + group * m : NULL,
                            .y = attn_item(&c->out[0], item) + image * m * s->pixels +
                                 z * s->y.out * s->x.out};
}

attn_gemm attn_conv_rows(const attn_conv_params *p, const attn_conv_size *s,
                         const attn_conv_part *part, size_t row)
{
    size_t m = s->out / p->groups, most = attn_conv_cut_weight(m, s->k);
    size_t step = weight_step(p, s);
    return (attn_gemm){.m = m - row < most ? m - row : most,
                       .k = s->k,
                       .x = part->weight + row * step,
                       .ldx = step,
                       .y = part->y + row * s->pixels,
                       .ldy = s->pixels,
                       .scale = 1,
                       .row_bias = part->bias ? part->bias + row : NULL,
                       .unary = p->unary};
}

/* ---- run ---------------------------------------------------------------------------------- */

static void conv_run(const attn_run_context *c, const void *params)
{
    const conv_params *p = params;
    const attn_shape *x = &c->in[0].shape;
    const size_t *weight = p->weight.source ? p->weight.dim : c->in[p->weight_operand].shape.dim;
    int axes = p->weight.source ? p->axes : c->in[p->weight_operand].shape.rank - 2;
    attn_window window[ATTN_WINDOW_AXES];
    conv_size s;
    attn_place_windows(&p->windows, axes, weight + 2, x->dim + x->rank - axes, window);
    measure(x, weight, axes, window, &s);
    if (attn_conv_is_depthwise(p, &s)) {
        attn_conv_depthwise(c, p, &s);
        return;
    }
    size_t parts = c->batch * s.images * p->groups * s.z.out, m = s.out / p->groups;
    attn_conv_direct direct;
    if (!attn_conv_is_pointwise(&s) &&
        attn_conv_cut_direct(c->kernels, &s, m, parts, c->workers, &direct))
        attn_conv_run_direct(c, p, &s, &direct, parts);
    else
        attn_conv_run_packed(c, p, &s, parts);
}

#define CONV(name)                                                                                 \
    const attn_layer attn_layer_##name = {                                                         \
        #name, ATTN_STEP_ENCODE, 0, sizeof(conv_params), name##_parse, conv_infer, conv_run};

CONV(conv)
CONV(conv1d)
CONV(conv2d)
