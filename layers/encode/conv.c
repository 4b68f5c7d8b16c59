/* conv2d and conv1d: y[o, p] = activation(sum over c, i of W[o, c, i] x[c, stride p + dilation i -
 * padding] + bias[o]), cross-correlation as in every framework, zeros outside x.
 *   conv2d: x [C, H, W], W: [O, C / groups, kh, kw], bias: [O], y [O, H', W']
 *   conv1d: x [C, T],    W: [O, C / groups, k],      bias: [O], y [O, T']
 * As one matrix product per group (Chellapilla et al. 2006): the weight's rows [O, K] in place
 * meet the pixels' columns [K, H' W'], of which each task packs a block into its scratch. The
 * order of the sum is k = (c, ky, kx). A group of one channel is summed directly, in that order. */
#include "layers/encode/window.h"
#include "layers/support.h"

#include <string.h>

typedef struct conv_params {
    attn_param weight, bias;
    attn_unary unary;
    size_t out, groups, group_in; /* output channels; groups; input channels of a group */
    size_t k;                     /* group_in * kh * kw */
    attn_window window[2];        /* y, x; conv1d: a kernel of 1 in y */
} conv_params;

static attn_status parse_conv(attn_reader *r, conv_params *p, int axes)
{
    attn_window *window = p->window + (2 - axes);
    const attn_param *w = &p->weight;
    ATTN_TRY(attn_need_inputs(r, 1, 1, NULL));
    ATTN_TRY(attn_need_outputs(r, 1, 1, NULL));
    ATTN_TRY(attn_need_weight(r, "weight", ".weight", axes + 2, &p->weight));
    ATTN_TRY(attn_need_elements(r, w));
    ATTN_TRY(attn_read_bias(r, "weight", &p->bias));
    ATTN_TRY(attn_need_length(r, &p->bias, w->dim[0]));
    p->groups = 1;
    ATTN_TRY(attn_read_size(r, "groups", 1, (size_t)1 << 32, &p->groups));
    p->out = w->dim[0];
    p->group_in = w->dim[1];
    if (p->out % p->groups != 0)
        return attn_reader_fail(r, "%zu output channels of \"%s\" do not divide into %zu groups",
                                p->out, w->source->name, p->groups);
    p->window[0] = p->window[1] = (attn_window){.kernel = 1, .stride = 1, .dilation = 1};
    p->k = p->group_in;
    for (int i = 0; i < axes; i++) {
        window[i].kernel = w->dim[2 + i];
        p->k *= w->dim[2 + i];
    }
    ATTN_TRY(attn_read_window(r, window, axes, false));
    return attn_read_activation(r, "activation", &p->unary);
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

typedef struct conv_size {
    size_t height, width;         /* of x; conv1d: height 1 */
    size_t top, left;             /* padding */
    size_t out_height, out_width; /* of y */
} conv_size;

static bool is_depthwise(const conv_params *p)
{
    return p->group_in == 1 && p->groups > 1;
}

static attn_status conv_infer(attn_infer *c, const void *params, int axes)
{
    const conv_params *p = params;
    const attn_shape *x = &c->in[0];
    attn_shape_text shape;
    size_t before, out[2] = {1, 1}, count, floats;
    ATTN_TRY(attn_want_filled(c, 0, ATTN_F32, axes + 1, axes + 1));
    if (x->dim[0] % p->groups != 0 || x->dim[0] / p->groups != p->group_in)
        return attn_infer_fail(c,
                               "input %s has %zu channels, but \"%s\" takes %zu for each of %zu "
                               "groups",
                               attn_format_shape(&shape, x->dim, x->rank), x->dim[0],
                               p->weight.source->name, p->group_in, p->groups);
    c->out[0] = (attn_shape){.dtype = ATTN_F32, .rank = axes + 1, .dim = {p->out}};
    for (int i = 0; i < axes; i++) {
        ATTN_TRY(attn_window_fit(c, &p->window[2 - axes + i], x->dim[1 + i], &before, &out[i]));
        c->out[0].dim[1 + i] = out[i];
    }
    ATTN_TRY(attn_want_count(c, &c->out[0], &count));
    c->flops = (double)count * (double)p->k;
    if (is_depthwise(p))
        return attn_add_scratch(c, out[axes - 1], sizeof(float), &c->worker_scratch);
    size_t panels =
        attn_block_panels(c->kernels, p->k, out[0] * out[1], c->batch * p->groups, c->workers);
    if (!attn_mul(panels * c->kernels->panel, p->k, &floats))
        return attn_infer_fail(c, "a kernel of %zu elements is too large", p->k);
    return attn_add_scratch(c, floats, sizeof(float), &c->worker_scratch);
}

static attn_status conv2d_infer(attn_infer *c, const void *params)
{
    return conv_infer(c, params, 2);
}

static attn_status conv1d_infer(attn_infer *c, const void *params)
{
    return conv_infer(c, params, 1);
}

static conv_size measure(const conv_params *p, const attn_shape *x)
{
    conv_size s = {.height = x->rank == 3 ? x->dim[1] : 1, .width = x->dim[x->rank - 1]};
    attn_window_place(&p->window[0], s.height, &s.top, &s.out_height);
    attn_window_place(&p->window[1], s.width, &s.left, &s.out_width);
    return s;
}

/* ---- as a matrix product ------------------------------------------------------------------- */

typedef struct conv_job {
    const attn_run_context *c;
    const conv_params *p;
    conv_size s;
    size_t pixels, block, blocks; /* of y; those of a task; tasks of one group */
} conv_job;

/* to[i] = row[(x + i) * stride + offset - left], 0 outside [0, width) or if row is NULL. */
static void copy_pixels(float *to, const float *row, size_t n, size_t x, size_t stride,
                        size_t offset, size_t left, size_t width)
{
    size_t i = 0;
    size_t at = x * stride + offset; /* counted from the start of the padding */
    if (!row) {
        memset(to, 0, n * sizeof(float));
        return;
    }
    for (; i < n && at < left; i++, at += stride) to[i] = 0;
    at -= i < n ? left : 0;
    if (i < n && stride == 1 && at < width) {
        size_t take = width - at < n - i ? width - at : n - i;
        memcpy(to + i, row + at, take * sizeof(float));
        i += take;
        at += take;
    }
    for (; i < n && at < width; i++, at += stride) to[i] = row[at];
    for (; i < n; i++) to[i] = 0;
}

/* One panel: pixels first .. first + count (at most panel) of y, packed as gemm takes them. */
static void pack_panel(const conv_job *j, const float *x, size_t first, size_t count, float *to)
{
    const conv_params *p = j->p;
    const conv_size *s = &j->s;
    const attn_window *wy = &p->window[0], *wx = &p->window[1];
    size_t panel = j->c->kernels->panel;
    for (size_t channel = 0; channel < p->group_in; channel++, x += s->height * s->width)
        for (size_t ky = 0; ky < wy->kernel; ky++)
            for (size_t kx = 0; kx < wx->kernel; kx++, to += panel) {
                size_t py = first / s->out_width, px = first % s->out_width;
                for (size_t i = 0; i < count; py++, px = 0) {
                    size_t n = s->out_width - px < count - i ? s->out_width - px : count - i;
                    size_t y = py * wy->stride + ky * wy->dilation;
                    bool inside = y >= s->top && y - s->top < s->height;
                    copy_pixels(to + i, inside ? x + (y - s->top) * s->width : NULL, n, px,
                                wx->stride, kx * wx->dilation, s->left, s->width);
                    i += n;
                }
                for (size_t i = count; i < panel; i++) to[i] = 0;
            }
}

static void conv_task(void *arg, size_t task, size_t worker)
{
    const conv_job *j = arg;
    const conv_params *p = j->p;
    const attn_kernels *kernels = j->c->kernels;
    size_t first = task % j->blocks * j->block, rest = task / j->blocks;
    size_t group = rest % p->groups, item = rest / p->groups;
    size_t count = j->pixels - first < j->block ? j->pixels - first : j->block;
    size_t m = p->out / p->groups;
    float *packed = attn_worker_scratch(j->c, worker);
    const float *x = attn_item(&j->c->in[0], item) + group * p->group_in * j->s.height * j->s.width;
    for (size_t i = 0; i < count; i += kernels->panel)
        pack_panel(j, x, first + i, count - i < kernels->panel ? count - i : kernels->panel,
                   packed + i * p->k);
    attn_gemm g = {.m = m,
                   .n = count,
                   .k = p->k,
                   .x = p->weight.data + group * m * p->k,
                   .ldx = p->k,
                   .w = packed,
                   .y = attn_item(&j->c->out[0], item) + group * m * j->pixels + first,
                   .ldy = j->pixels,
                   .scale = 1,
                   .row_bias = p->bias.source ? p->bias.data + group * m : NULL,
                   .unary = p->unary};
    kernels->gemm(&g);
}

/* ---- one channel per group ----------------------------------------------------------------- */

/* y[x] += w * row[x * stride + offset - left] where that lies within [0, width). */
static void add_tap(const conv_job *j, float *y, const float *row, const float *w, size_t offset,
                    float *scratch)
{
    const conv_size *s = &j->s;
    size_t stride = j->p->window[1].stride;
    size_t low = offset < s->left ? (s->left - offset + stride - 1) / stride : 0;
    size_t end = s->left + s->width > offset ? (s->left + s->width - offset - 1) / stride + 1 : 0;
    if (end > s->out_width) end = s->out_width;
    if (low >= end) return;
    const float *x = row + (low * stride + offset - s->left);
    if (stride > 1) {
        for (size_t i = 0; i < end - low; i++) scratch[i] = x[i * stride];
        x = scratch;
    }
    j->c->kernels->fma(y + low, x, 1, w, 0, y + low, 1, end - low);
}

/* Rows [first, end) of y's O * H' rows. */
static void depthwise_task(const attn_run_context *c, const void *params, size_t item, size_t first,
                           size_t end, size_t worker)
{
    const conv_params *p = params;
    const attn_window *wy = &p->window[0], *wx = &p->window[1];
    conv_job j = {.c = c, .p = p, .s = measure(p, &c->in[0].shape)};
    for (size_t i = first; i < end; i++) {
        size_t o = i / j.s.out_height, py = i % j.s.out_height;
        const float *x =
            attn_item(&c->in[0], item) + o / (p->out / p->groups) * j.s.height * j.s.width;
        float *y = attn_item(&c->out[0], item) + i * j.s.out_width;
        memset(y, 0, j.s.out_width * sizeof(float));
        for (size_t ky = 0; ky < wy->kernel; ky++) {
            size_t row = py * wy->stride + ky * wy->dilation;
            if (row < j.s.top || row - j.s.top >= j.s.height) continue;
            for (size_t kx = 0; kx < wx->kernel; kx++)
                add_tap(&j, y, x + (row - j.s.top) * j.s.width,
                        p->weight.data + o * p->k + ky * wx->kernel + kx, kx * wx->dilation,
                        attn_worker_scratch(c, worker));
        }
        if (p->bias.source)
            c->kernels->binary(ATTN_BIN_ADD, y, y, 1, p->bias.data + o, 0, j.s.out_width);
        if (p->unary != ATTN_IDENTITY) c->kernels->unary(p->unary, y, y, j.s.out_width);
    }
}

/* ---- run ---------------------------------------------------------------------------------- */

static void conv_run(const attn_run_context *c, const void *params)
{
    const conv_params *p = params;
    conv_job j = {.c = c, .p = p, .s = measure(p, &c->in[0].shape)};
    if (is_depthwise(p)) {
        attn_each_rows(c, p, p->out * j.s.out_height, attn_grain(j.s.out_width * p->k),
                       depthwise_task);
        return;
    }
    j.pixels = j.s.out_height * j.s.out_width;
    j.block = attn_block_panels(c->kernels, p->k, j.pixels, c->batch * p->groups, c->workers) *
              c->kernels->panel;
    j.blocks = (j.pixels + j.block - 1) / j.block;
    c->parallel(c->pool, c->batch * p->groups * j.blocks, conv_task, &j);
}

const attn_layer attn_layer_conv2d = {"conv2d",     ATTN_STEP_ENCODE, 0,       sizeof(conv_params),
                                      conv2d_parse, conv2d_infer,     conv_run};
const attn_layer attn_layer_conv1d = {"conv1d",     ATTN_STEP_ENCODE, 0,       sizeof(conv_params),
                                      conv1d_parse, conv1d_infer,     conv_run};
