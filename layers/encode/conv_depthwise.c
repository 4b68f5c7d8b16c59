/* Convolution where a group is one channel: the sum of its taps, directly, strip by strip of the
 * rows of y, from a copy of the rows that they need. */
#include "layers/encode/conv.h"

enum { STRIP_FLOATS = 8192, LEAST_ROWS = 4 };

/* Rows of y in a strip. */
static size_t cut_strips(const attn_conv_size *s)
{
    attn_conv_copy t = attn_conv_cut_copy(s, 1, s->x.out);
    size_t most = STRIP_FLOATS / t.pitch;
    size_t rows = most > t.rows ? (most - t.rows) / s->y.stride + 1 : 1;
    if (rows < LEAST_ROWS) rows = LEAST_ROWS;
    return rows < s->y.out ? rows : s->y.out;
}

attn_status attn_conv_depthwise_scratch(attn_infer *c, const attn_conv_size *s)
{
    size_t floats;
    ATTN_TRY(attn_conv_fit_copy(c, s, s->y.out, s->x.out, &floats)); /* so no strip overflows */
    ATTN_TRY(attn_conv_fit_copy(c, s, cut_strips(s), s->x.out, &floats));
    ATTN_TRY(attn_add_scratch(c, s->k, sizeof(size_t), &c->scratch));
    return attn_add_scratch(c, floats, sizeof(float), &c->worker_scratch);
}

typedef struct depthwise_job {
    const attn_run_context *c;
    const attn_conv_params *p;
    const attn_conv_size *s;
    attn_conv_copy t;
    size_t rows, strips; /* rows of y in a strip; strips of a channel */
    size_t total, size;  /* strips of all channels; those of a task */
    size_t *offset;      /* of the taps in the copied rows */
} depthwise_job;

static void depthwise_strip(const depthwise_job *j, size_t index, float *copy)
{
    const attn_conv_size *s = j->s;
    const attn_kernels *kernels = j->c->kernels;
    size_t first = index % j->strips * j->rows, channel = index / j->strips;
    size_t image = channel / j->p->groups, group = channel % j->p->groups;
    size_t item = image / s->images, each = s->out / j->p->groups;
    size_t rows = s->y.out - first < j->rows ? s->y.out - first : j->rows;
    channel = image % s->images * j->p->groups + group;
    const float *x = attn_item(&j->c->in[0], item) + channel * s->plane;
    const attn_value *in = &j->c->in[0];
    attn_conv_copy_rows(kernels, s, &j->t, copy, x, attn_item(in, item) + in->count, first, rows,
                        0);
    const float *weight = attn_conv_weight(j->c, j->p, item),
                *bias = attn_conv_bias(j->c, j->p, item);
    for (size_t i = 0; i < each; i++) {
        size_t o = group * each + i;
        float *y =
            attn_item(&j->c->out[0], item) + (channel * each + i) * s->pixels + first * s->x.out;
        attn_taps taps = {.rows = rows,
                          .columns = s->x.out,
                          .taps = s->k,
                          .x = copy,
                          .step = s->y.stride * j->t.pitch,
                          .offset = j->offset,
                          .w = weight + o * s->k,
                          .bias = bias ? bias + o : NULL,
                          .y = y,
                          .run = s->y.stride == s->y.dilation ? s->x.kernel : 0};
        kernels->taps(&taps);
        if (j->p->unary != ATTN_IDENTITY) kernels->unary(j->p->unary, y, y, rows * s->x.out);
    }
}

static void depthwise_task(void *arg, size_t task, size_t worker)
{
    const depthwise_job *j = arg;
    size_t end = (task + 1) * j->size < j->total ? (task + 1) * j->size : j->total;
    for (size_t i = task * j->size; i < end; i++)
        depthwise_strip(j, i, attn_worker_scratch(j->c, worker));
}

void attn_conv_depthwise(const attn_run_context *c, const attn_conv_params *p,
                         const attn_conv_size *s)
{
    depthwise_job j = {.c = c, .p = p, .s = s, .rows = cut_strips(s), .offset = c->scratch};
    j.t = attn_conv_cut_copy(s, j.rows, s->x.out);
    j.strips = (s->y.out + j.rows - 1) / j.rows;
    attn_conv_offsets(s, &j.t, j.offset);
    j.total = c->batch * s->images * p->groups * j.strips;
    size_t cost = j.rows * s->x.out * s->k * (s->out / p->groups);
    size_t tasks = attn_split(j.total, attn_grain(cost / 4), c->workers, &j.size);
    c->parallel(c->pool, tasks, depthwise_task, &j);
}
