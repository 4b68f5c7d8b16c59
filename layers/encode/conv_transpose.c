/* conv_transpose: what a convolution of this stride, padding and dilation would spread back: each x
 * adds W[c, o, k] x[c, i] to y[o, stride i + dilation k - padding], then bias[o]. One to three
 * axes. x: [..., C, spatial], W: [C, O / groups, kernel...], bias: [O], y: [..., O, spatial'] The
 * outputs whose taps are the same (every stride-th along each axis) are one matrix product: the
 * weight's rows [O, K] of these taps meet the columns of x [K, outputs]; the sum runs over c, then
 * the taps in order. */
#include "layers/support.h"

#include <string.h>

enum { AXES = 3, MOST = 1 << 20, MOST_PHASES = 1 << 16 };

typedef struct transpose_params {
    attn_param weight, bias;
    int weight_operand, bias_operand;
    size_t groups;
    int axes; /* 0: as the weight says */
    bool same, lower;
    long stride[AXES], dilation[AXES], pad[2 * AXES], more[AXES], size[AXES];
    int strides, dilations, pads, mores, sizes;
} transpose_params;

static attn_status transpose_parse(attn_reader *r, void *params)
{
    transpose_params *p = params;
    p->groups = 1;
    ATTN_TRY(attn_need_inputs(r, 1, 1, NULL));
    ATTN_TRY(attn_need_outputs(r, 1, 1, NULL));
    ATTN_TRY(attn_read_operand(r, "weight_from", &p->weight_operand));
    if (p->weight_operand < 0) {
        ATTN_TRY(attn_need_weight(r, "weight", ".weight", -1, &p->weight));
        ATTN_TRY(attn_need_elements(r, &p->weight));
        if (p->weight.rank < 3 || p->weight.rank > 2 + AXES)
            return attn_reader_fail(r, "\"%s\" has rank %d, expected 3 to %d",
                                    p->weight.source->name, p->weight.rank, 2 + AXES);
    }
    ATTN_TRY(attn_read_operand(r, "bias_from", &p->bias_operand));
    if (p->bias_operand < 0) ATTN_TRY(attn_read_bias(r, "weight", &p->bias));
    ATTN_TRY(attn_read_size(r, "groups", 1, (size_t)1 << 32, &p->groups));
    ATTN_TRY(attn_read_ints(r, "stride", 1, MOST, false, AXES, p->stride, &p->strides));
    ATTN_TRY(attn_read_ints(r, "dilation", 1, MOST, false, AXES, p->dilation, &p->dilations));
    ATTN_TRY(attn_read_ints(r, "padding", 0, MOST, false, 2 * AXES, p->pad, &p->pads));
    ATTN_TRY(attn_read_ints(r, "output_padding", 0, MOST, false, AXES, p->more, &p->mores));
    ATTN_TRY(attn_read_ints(r, "output_shape", 1, 1L << 30, false, AXES, p->size, &p->sizes));
    ATTN_TRY(attn_read_bool(r, "same_padding", &p->same));
    return attn_read_bool(r, "same_lower", &p->lower);
}

/* ---- geometry ------------------------------------------------------------------------------ */

typedef struct axis {
    size_t kernel, stride, dilation, before, in, out;
    size_t phases; /* outputs f, f + stride, f + 2 stride ... for f below it */
} axis;

typedef struct geometry {
    const size_t *weight; /* its dimensions */
    int axes;
    axis a[AXES];
    size_t channels, out, k, plane, pixels, images, phases; /* channels, out: of a group */
} geometry;

static long entry(const long *list, int count, int i, long otherwise)
{
    return count == 0 ? otherwise : list[count == 1 ? 0 : i];
}

/* False: the output would have no elements, or too many. */
static bool fit_axis(const transpose_params *p, int axes, int i, size_t kernel, size_t in, axis *a)
{
    long stride = entry(p->stride, p->strides, i, 1), more = entry(p->more, p->mores, i, 0);
    long dilation = entry(p->dilation, p->dilations, i, 1);
    long before = entry(p->pad, p->pads, i, 0);
    long after = entry(p->pad, p->pads, p->pads == 2 * axes ? i + axes : i, 0);
    if (kernel > MOST || in > (size_t)1 << 40) return false;
    long full = stride * ((long)in - 1) + dilation * ((long)kernel - 1) + 1 + more;
    long size = entry(p->size, p->sizes, i, p->same ? (long)in * stride : 0);
    if (size) { /* the padding is what is too much */
        long total = full > size ? full - size : 0;
        before = p->same && !p->lower ? total / 2 : total - total / 2;
        if (!p->same && !p->sizes) before = 0;
    } else {
        size = full - before - after;
    }
    if (size < 1 || size > 1L << 40) return false;
    *a = (axis){kernel, (size_t)stride, (size_t)dilation, (size_t)before, in, (size_t)size, 0};
    a->phases = a->out < a->stride ? a->out : a->stride;
    return true;
}

static bool measure(const transpose_params *p, const attn_shape *x, const size_t *weight, int axes,
                    geometry *g)
{
    *g = (geometry){.weight = weight, .axes = axes, .channels = weight[0] / p->groups};
    g->out = weight[1];
    g->plane = g->pixels = g->phases = 1;
    for (int i = 0; i < AXES; i++) {
        g->a[i] = (axis){1, 1, 1, 0, 1, 1, 1};
        int own = i - (AXES - axes);
        if (own >= 0 &&
            !fit_axis(p, axes, own, weight[2 + own], x->dim[x->rank - axes + own], &g->a[i]))
            return false;
        g->plane *= g->a[i].in;
        if (!attn_mul(g->pixels, g->a[i].out, &g->pixels)) return false;
        g->phases *= g->a[i].phases;
        if (g->phases > MOST_PHASES) return false;
    }
    g->k = g->a[0].kernel * g->a[1].kernel * g->a[2].kernel;
    g->images = attn_span(x, 0, x->rank - axes - 1);
    return true;
}

static const size_t *weight_dims(const transpose_params *p, const attn_shape *operand, int *axes)
{
    *axes = (p->weight.source ? p->weight.rank : operand->rank) - 2;
    return p->weight.source ? p->weight.dim : operand->dim;
}

static size_t block_of(const attn_kernels *kernels, const geometry *g, size_t jobs, size_t workers)
{
    size_t most = 1; /* outputs of a phase */
    for (int i = 0; i < AXES; i++) most *= (g->a[i].out - 1) / g->a[i].stride + 1;
    return attn_block_panels(kernels, g->channels * g->k, most, jobs, workers) * kernels->panel;
}

static attn_status transpose_infer(attn_infer *c, const void *params)
{
    const transpose_params *p = params;
    const attn_shape *x = &c->in[0];
    attn_shape_text shape;
    geometry g;
    int axes;
    size_t count, floats, tile, biases;
    if (p->weight_operand >= 0)
        ATTN_TRY(attn_want_filled(c, (size_t)p->weight_operand, ATTN_F32, 3, 2 + AXES));
    const size_t *weight =
        weight_dims(p, p->weight_operand < 0 ? NULL : &c->in[p->weight_operand], &axes);
    ATTN_TRY(attn_want_filled(c, 0, ATTN_F32, axes + 1, ATTN_MAX_RANK));
    int channel = x->rank - axes - 1;
    if (x->dim[channel] != weight[0] || weight[0] % p->groups != 0)
        return attn_infer_fail(c, "input %s has %zu channels in %zu groups, the weight takes %zu",
                               attn_format_shape(&shape, x->dim, x->rank), x->dim[channel],
                               p->groups, weight[0]);
    const int counts[] = {p->strides, p->dilations, p->pads == 2 * axes ? 0 : p->pads, p->mores,
                          p->sizes};
    for (int i = 0; i < 5; i++)
        if (counts[i] > 1 && counts[i] != axes)
            return attn_infer_fail(c, "an attribute has %d numbers for %d axes", counts[i], axes);
    if (p->bias_operand >= 0)
        ATTN_TRY(attn_want_filled(c, (size_t)p->bias_operand, ATTN_F32, 1, 1));
    biases = p->bias_operand >= 0 ? c->in[p->bias_operand].dim[0] : p->bias.dim[0];
    if (!measure(p, x, weight, axes, &g))
        return attn_infer_fail(c, "the windows over %s leave nothing, or are too large",
                               attn_format_shape(&shape, x->dim, x->rank));
    c->out[0] = *x;
    if (!attn_mul(g.out, p->groups, &c->out[0].dim[channel]))
        return attn_infer_fail(c, "%zu groups are too many", p->groups);
    if ((p->bias.source || p->bias_operand >= 0) && biases != g.out * p->groups)
        return attn_infer_fail(c, "a bias of %zu for %zu output channels", biases,
                               g.out * p->groups);
    for (int i = 0; i < axes; i++) c->out[0].dim[channel + 1 + i] = g.a[AXES - axes + i].out;
    ATTN_TRY(attn_want_count(c, &c->out[0], &count));
    c->flops = (double)attn_span(x, 0, x->rank) * (double)g.out * (double)g.k;
    size_t block = block_of(c->kernels, &g, 1, 1), k = g.channels * g.k;
    if (!attn_mul(block, k, &floats) || !attn_mul(block, g.out, &tile) ||
        !attn_add(floats, tile, &floats))
        return attn_infer_fail(c, "a kernel of %zu elements is too large", k);
    size_t weights = weight[0] * g.out * g.k;
    ATTN_TRY(attn_add_scratch(c, g.phases, sizeof(size_t), &c->scratch));
    ATTN_TRY(attn_add_scratch(c, floats, sizeof(float), &c->worker_scratch));
    ATTN_TRY(attn_add_scratch(c, g.k, sizeof(size_t), &c->worker_scratch));
    if (p->weight_operand >= 0 && !attn_mul(weights, c->batch, &weights))
        return attn_infer_fail(c, "a kernel of %zu elements is too large", k);
    return attn_add_scratch(c, weights, sizeof(float), &c->scratch);
}

/* ---- run ----------------------------------------------------------------------------------- */

typedef struct transpose_job {
    const attn_run_context *c;
    const transpose_params *p;
    geometry g;
    size_t block;
    size_t *before; /* [phases]: the taps of all phases before */
    float *weights; /* of one phase after the other */
} transpose_job;

/* Outputs of a phase: [n[0], n[1], n[2]], the first from place q[] of x (plus tap distances). */
typedef struct phase {
    size_t first[AXES], n[AXES], q[AXES];
    size_t taps;
} phase;

/* Whether tap k is one of the phase's, along an axis. */
static bool takes(const axis *a, size_t first, size_t k)
{
    return k * a->dilation % a->stride == (first + a->before) % a->stride;
}

static phase get_phase(const geometry *g, size_t index)
{
    phase f = {.taps = 1};
    size_t at[AXES];
    for (int i = AXES - 1; i >= 0; i--) {
        at[i] = index % g->a[i].phases;
        index /= g->a[i].phases;
    }
    for (int i = 0; i < AXES; i++) {
        const axis *a = &g->a[i];
        size_t count = 0;
        f.first[i] = at[i];
        f.n[i] = (a->out - at[i] - 1) / a->stride + 1;
        f.q[i] = (at[i] + a->before) / a->stride;
        for (size_t k = 0; k < a->kernel; k++) count += takes(a, at[i], k);
        f.taps *= count;
    }
    return f;
}

/* The taps of a phase, as indices into the kernel, in order. */
static void list_taps(const geometry *g, const phase *f, size_t *list)
{
    size_t count = 0, index = 0;
    for (size_t z = 0; z < g->a[0].kernel; z++)
        for (size_t y = 0; y < g->a[1].kernel; y++)
            for (size_t x = 0; x < g->a[2].kernel; x++, index++)
                if (takes(&g->a[0], f->first[0], z) && takes(&g->a[1], f->first[1], y) &&
                    takes(&g->a[2], f->first[2], x))
                    list[count++] = index;
}

/* The weight's rows of one phase and group: [out, channels, taps]. */
static float *phase_weights(const transpose_job *j, size_t item, size_t group, size_t index,
                            size_t taps)
{
    const geometry *g = &j->g;
    size_t all = g->channels * j->p->groups * g->out * g->k;
    size_t from = j->p->weight.source ? 0 : item * all;
    return j->weights + from + j->before[index] * g->channels * j->p->groups * g->out +
           group * g->out * g->channels * taps;
}

/* One phase of one item's weight. */
static void weight_task(void *arg, size_t task, size_t worker)
{
    const transpose_job *j = arg;
    const geometry *g = &j->g;
    size_t item = task / g->phases;
    phase f = get_phase(g, task % g->phases);
    char *scratch = attn_worker_scratch(j->c, worker);
    size_t *taps =
        (size_t *)(void *)(scratch + j->c->worker_scratch_size - (g->k * 8 + 63) / 64 * 64);
    const float *w =
        j->p->weight.source ? j->p->weight.data : attn_item(&j->c->in[j->p->weight_operand], item);
    list_taps(g, &f, taps);
    for (size_t group = 0; group < j->p->groups; group++) {
        float *to = phase_weights(j, item, group, task % g->phases, f.taps);
        for (size_t o = 0; o < g->out; o++)
            for (size_t c = 0; c < g->channels; c++)
                for (size_t t = 0; t < f.taps; t++)
                    *to++ = w[((group * g->channels + c) * g->out + o) * g->k + taps[t]];
    }
}

/* Outputs first .. first + count of a phase as a panel's columns; row by row of the phase. */
static void pack_panel(const transpose_job *j, const phase *f, const size_t *taps, const float *x,
                       size_t first, size_t count, float *to)
{
    const axis *a = j->g.a;
    size_t panel = j->c->kernels->panel;
    for (size_t c = 0; c < j->g.channels; c++, x += j->g.plane)
        for (size_t t = 0; t < f->taps; t++, to += panel) {
            size_t kx = taps[t] % a[2].kernel, rest = taps[t] / a[2].kernel;
            size_t dx = kx * a[2].dilation / a[2].stride;
            size_t dy = rest % a[1].kernel * a[1].dilation / a[1].stride;
            size_t dz = rest / a[1].kernel * a[0].dilation / a[0].stride;
            for (size_t i = 0; i < panel; i++) to[i] = 0;
            for (size_t i = 0; i < count;) {
                size_t row = (first + i) / f->n[2], at = (first + i) % f->n[2];
                size_t n = f->n[2] - at < count - i ? f->n[2] - at : count - i;
                size_t z = row / f->n[1] + f->q[0] - dz, y = row % f->n[1] + f->q[1] - dy;
                size_t left = at + f->q[2]; /* the elements are left - dx ... of the row */
                size_t skip = left < dx ? dx - left : 0;
                if (z < a[0].in && y < a[1].in && skip < n && left + skip - dx < a[2].in) {
                    size_t start = left + skip - dx, most = a[2].in - start;
                    memcpy(to + i + skip, x + (z * a[1].in + y) * a[2].in + start,
                           (n - skip < most ? n - skip : most) * sizeof(float));
                }
                i += n;
            }
        }
}

/* A tile [out, count] to its places in y. */
static void spread(const geometry *g, const phase *f, const float *tile, size_t first, size_t count,
                   float *y)
{
    const axis *a = g->a;
    for (size_t o = 0; o < g->out; o++, y += g->pixels)
        for (size_t i = 0; i < count; i++) {
            size_t at = first + i, row = at / f->n[2];
            size_t z = f->first[0] + row / f->n[1] * a[0].stride;
            size_t v = f->first[1] + row % f->n[1] * a[1].stride;
            y[(z * a[1].out + v) * a[2].out + f->first[2] + at % f->n[2] * a[2].stride] =
                tile[o * count + i];
        }
}

/* One phase of one group of an image. */
static void transpose_task(void *arg, size_t task, size_t worker)
{
    const transpose_job *j = arg;
    const geometry *g = &j->g;
    const attn_kernels *kernels = j->c->kernels;
    phase f = get_phase(g, task % g->phases);
    size_t rest = task / g->phases, group = rest % j->p->groups, image = rest / j->p->groups;
    size_t item = image / g->images, outputs = f.n[0] * f.n[1] * f.n[2], k = g->channels * f.taps;
    float *packed = attn_worker_scratch(j->c, worker),
          *tile = packed + j->block * g->channels * g->k;
    size_t *taps =
        (size_t *)(void *)((char *)packed + j->c->worker_scratch_size - (g->k * 8 + 63) / 64 * 64);
    const float *bias = j->p->bias.source        ? j->p->bias.data
                        : j->p->bias_operand < 0 ? NULL
                                                 : attn_item(&j->c->in[j->p->bias_operand], item);
    image = image % g->images * j->p->groups + group;
    const float *x = attn_item(&j->c->in[0], item) + image * g->channels * g->plane;
    list_taps(g, &f, taps);
    for (size_t first = 0; first < outputs; first += j->block) {
        size_t count = outputs - first < j->block ? outputs - first : j->block;
        for (size_t i = 0; i < count; i += kernels->panel)
            pack_panel(j, &f, taps, x, first + i,
                       count - i < kernels->panel ? count - i : kernels->panel, packed + i * k);
        attn_gemm m = {.m = g->out,
                       .n = count,
                       .k = k,
                       .x = phase_weights(j, item, group, task % g->phases, f.taps),
                       .ldx = k,
                       .w = packed,
                       .y = tile,
                       .ldy = count,
                       .scale = 1,
                       .row_bias = bias ? bias + group * g->out : NULL};
        kernels->gemm(&m);
        spread(g, &f, tile, first, count,
               attn_item(&j->c->out[0], item) + image * g->out * g->pixels);
    }
}

static void transpose_run(const attn_run_context *c, const void *params)
{
    transpose_job j = {.c = c, .p = params, .before = c->scratch};
    int axes;
    const size_t *weight =
        weight_dims(j.p, j.p->weight_operand < 0 ? NULL : &c->in[j.p->weight_operand].shape, &axes);
    measure(j.p, &c->in[0].shape, weight, axes, &j.g);
    j.block = block_of(c->kernels, &j.g, 1, 1);
    j.weights = (float *)((char *)c->scratch + (j.g.phases * sizeof(size_t) + 63) / 64 * 64);
    for (size_t i = 0, taps = 0; i < j.g.phases; i++) {
        j.before[i] = taps;
        taps += get_phase(&j.g, i).taps;
    }
    c->parallel(c->pool, (j.p->weight.source ? 1 : c->batch) * j.g.phases, weight_task, &j);
    c->parallel(c->pool, c->batch * j.g.images * j.p->groups * j.g.phases, transpose_task, &j);
}

const attn_layer attn_layer_conv_transpose = {
    .name = "conv_transpose",
    .step = ATTN_STEP_ENCODE,
    .params_size = sizeof(transpose_params),
    .parse = transpose_parse,
    .infer = transpose_infer,
    .run = transpose_run,
};
