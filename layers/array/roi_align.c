/* roi_align: means or maxima of a grid of samples in each cell of boxes (He et al. 2017, sec. 3).
 *   x: [N, C, H, W], boxes: [R, 4] (x1, y1, x2, y2), images: i32 [R] -> y: [R, C, height, width]
 * A sample is linear between the four elements around it, 0 more than one element outside x. Its
 * grid in a cell has `sampling` rows and columns, or, of 0, as many as the cell has elements, at
 * most 256. "half_pixel": boxes are moved by half an element; otherwise they are at least 1 wide.
 */
#include "layers/support.h"

#include <math.h>

enum { MOST_SAMPLES = 256 };

typedef struct roi_params {
    int kind; /* 0: mean, 1: max */
    bool half_pixel;
    size_t height, width, sampling;
    float scale;
} roi_params;

static attn_status roi_parse(attn_reader *r, void *params)
{
    static const char *const kinds[] = {"mean", "max", NULL};
    roi_params *p = params;
    *p = (roi_params){.half_pixel = true, .height = 1, .width = 1, .scale = 1};
    ATTN_TRY(attn_need_inputs(r, 3, 3, NULL));
    ATTN_TRY(attn_need_outputs(r, 1, 1, NULL));
    ATTN_TRY(attn_read_word(r, "kind", kinds, &p->kind));
    ATTN_TRY(attn_read_bool(r, "half_pixel", &p->half_pixel));
    ATTN_TRY(attn_read_size(r, "height", 1, 1 << 20, &p->height));
    ATTN_TRY(attn_read_size(r, "width", 1, 1 << 20, &p->width));
    ATTN_TRY(attn_read_size(r, "sampling", 0, MOST_SAMPLES, &p->sampling));
    return attn_read_float(r, "scale", 0, 1e6, &p->scale);
}

static attn_status roi_infer(attn_infer *c, const void *params)
{
    const roi_params *p = params;
    size_t count, boxes;
    ATTN_TRY(attn_want_filled(c, 0, ATTN_F32, 4, 4));
    ATTN_TRY(attn_want_filled(c, 1, ATTN_F32, 2, 2));
    ATTN_TRY(attn_want_filled(c, 2, ATTN_I32, 1, 1));
    boxes = c->in[1].dim[0];
    if (c->in[1].dim[1] != 4 || c->in[2].dim[0] != boxes)
        return attn_infer_fail(c, "%zu boxes of %zu numbers, and %zu images", boxes,
                               c->in[1].dim[1], c->in[2].dim[0]);
    c->out[0] = (attn_shape){
        .dtype = ATTN_F32, .rank = 4, .dim = {boxes, c->in[0].dim[1], p->height, p->width}};
    return attn_want_count(c, &c->out[0], &count);
}

/* A place along one axis: the elements around it, and the weight of the second. False: outside. */
static bool around(float at, size_t n, size_t index[2], float *w)
{
    if (!(at >= -1 && at <= (float)n)) return false;
    if (at < 0) at = 0;
    index[0] = (size_t)at;
    if (index[0] >= n - 1) {
        index[0] = index[1] = n - 1;
        *w = 0;
        return true;
    }
    index[1] = index[0] + 1;
    *w = at - (float)index[0];
    return true;
}

/* A box along one axis, as cells. */
typedef struct span {
    float start, cell;
    size_t samples;
} span;

static span cut(const roi_params *p, float low, float high, size_t cells)
{
    float offset = p->half_pixel ? 0.5f : 0, start = low * p->scale - offset;
    float length = high * p->scale - offset - start;
    if (!p->half_pixel && !(length >= 1)) length = 1;
    float samples = p->sampling ? (float)p->sampling : ceilf(length / (float)cells);
    if (!(samples >= 1)) samples = 1;
    if (samples > MOST_SAMPLES) samples = MOST_SAMPLES;
    return (span){start, length / (float)cells, (size_t)samples};
}

static float sample(const roi_params *p, const float *x, const size_t size[2], const span *v,
                    const span *h, size_t row, size_t column)
{
    float sum = 0;
    bool none = true;
    for (size_t i = 0; i < v->samples * h->samples; i++) {
        float dy = ((float)(i / h->samples) + 0.5f) * v->cell / (float)v->samples;
        float dx = ((float)(i % h->samples) + 0.5f) * h->cell / (float)h->samples;
        size_t a[2], b[2];
        float wy, wx, part[4] = {0, 0, 0, 0};
        if (around(v->start + (float)row * v->cell + dy, size[0], a, &wy) &&
            around(h->start + (float)column * h->cell + dx, size[1], b, &wx)) {
            part[0] = (1 - wy) * (1 - wx) * x[a[0] * size[1] + b[0]];
            part[1] = (1 - wy) * wx * x[a[0] * size[1] + b[1]];
            part[2] = wy * (1 - wx) * x[a[1] * size[1] + b[0]];
            part[3] = wy * wx * x[a[1] * size[1] + b[1]];
        }
        for (int k = 0; k < 4 && p->kind == 1; k++, none = false)
            if (none || part[k] > sum) sum = part[k];
        if (p->kind == 0) sum += part[0] + part[1] + part[2] + part[3];
    }
    return p->kind == 0 ? sum / (float)(v->samples * h->samples) : sum;
}

/* Planes [first, end) of y. */
static void roi_task(const attn_run_context *c, const void *params, size_t item, size_t first,
                     size_t end, size_t worker)
{
    const roi_params *p = params;
    const size_t *dim = c->in[0].shape.dim, size[2] = {dim[2], dim[3]};
    size_t cells = p->height * p->width;
    (void)worker;
    for (size_t i = first; i < end; i++) {
        const float *box = attn_item(&c->in[1], item) + i / dim[1] * 4;
        int32_t given = attn_item_i32(&c->in[2], item)[i / dim[1]];
        size_t image = given < 0 ? 0 : (size_t)given < dim[0] ? (size_t)given : dim[0] - 1;
        const float *x =
            attn_item(&c->in[0], item) + (image * dim[1] + i % dim[1]) * dim[2] * dim[3];
        span v = cut(p, box[1], box[3], p->height), h = cut(p, box[0], box[2], p->width);
        for (size_t k = 0; k < cells; k++)
            attn_item(&c->out[0], item)[i * cells + k] =
                sample(p, x, size, &v, &h, k / p->width, k % p->width);
    }
}

static void roi_run(const attn_run_context *c, const void *params)
{
    size_t planes = c->out[0].shape.dim[0] * c->out[0].shape.dim[1];
    attn_each_rows(c, params, planes, 1, roi_task);
}

const attn_layer attn_layer_roi_align = {"roi_align", ATTN_STEP_SHARED, 0,      sizeof(roi_params),
                                         roi_parse,   roi_infer,        roi_run};
