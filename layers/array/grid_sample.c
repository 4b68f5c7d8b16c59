/* grid_sample: what stands at the places of a grid (Jaderberg et al. 2015, sec. 3.3).
 *   x: [N, C, spatial], grid: [N, spatial'..., axes], y: [N, C, spatial'], two or three axes
 * A place holds one number for each axis, the last axis first: -1 and 1 are the centres of the
 * first and last elements ("align_corners"), or their outer edges. `mode` as in resize: nearest
 * (halves to even), linear, cubic (a = -0.75). Beyond x: `padding` zeros, border (the nearest
 * element) or reflection. The sum of an output runs over the taps in the order of x. */
#include "layers/support.h"

#include <math.h>

enum { NEAREST, LINEAR, CUBIC };
enum { ZEROS, BORDER, REFLECTION };
enum { AXES = 3, MOST_TAPS = 4 };

typedef struct sample_params {
    int mode, padding;
    bool corners;
} sample_params;

static attn_status sample_parse(attn_reader *r, void *params)
{
    static const char *const modes[] = {"nearest", "linear", "cubic", NULL};
    static const char *const paddings[] = {"zeros", "border", "reflection", NULL};
    sample_params *p = params;
    p->mode = LINEAR;
    ATTN_TRY(attn_need_inputs(r, 2, 2, NULL));
    ATTN_TRY(attn_need_outputs(r, 1, 1, NULL));
    ATTN_TRY(attn_read_word(r, "mode", modes, &p->mode));
    ATTN_TRY(attn_read_word(r, "padding", paddings, &p->padding));
    return attn_read_bool(r, "align_corners", &p->corners);
}

static attn_status sample_infer(attn_infer *c, const void *params)
{
    const attn_shape *x = &c->in[0], *grid = &c->in[1];
    attn_shape_text text[2];
    size_t count;
    (void)params;
    ATTN_TRY(attn_want_filled(c, 0, ATTN_F32, 4, 2 + AXES));
    ATTN_TRY(attn_want_filled(c, 1, ATTN_F32, x->rank, x->rank));
    int axes = x->rank - 2;
    if (grid->dim[axes + 1] != (size_t)axes || grid->dim[0] != x->dim[0])
        return attn_infer_fail(c, "a grid %s does not fit the input %s",
                               attn_format_shape(&text[0], grid->dim, grid->rank),
                               attn_format_shape(&text[1], x->dim, x->rank));
    c->out[0] = *x;
    for (int i = 0; i < axes; i++) c->out[0].dim[2 + i] = grid->dim[1 + i];
    ATTN_TRY(attn_want_count(c, &c->out[0], &count));
    c->flops = (double)count * 4;
    return ATTN_OK;
}

/* x, reflected at low and high until it lies between them. */
static float reflect(float x, float low, float high)
{
    float span = high - low;
    if (!(span > 0)) return low;
    float away = fabsf(x - low), turns = floorf(away / span), rest = away - turns * span;
    return fmodf(turns, 2) == 0 ? low + rest : high - rest;
}

static float cubic(float x)
{
    const float a = -0.75f;
    x = fabsf(x);
    if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
    return ((x - 5) * x + 8) * x * a - 4 * a;
}

/* The taps along one axis of n elements: their indices, n for one that counts as zero. */
static int choose(const sample_params *p, float place, size_t n, size_t *index, float *w)
{
    float last = (float)(n - 1), low = p->corners ? 0 : -0.5f;
    float high = p->corners ? last : last + 0.5f;
    float at = p->corners ? (place + 1) / 2 * last : ((place + 1) * (float)n - 1) / 2;
    if (!(at > -1e9f)) at = -1e9f;
    if (at > 1e9f) at = 1e9f;
    if (p->mode != CUBIC && p->padding == BORDER) at = at < 0 ? 0 : at > last ? last : at;
    if (p->mode != CUBIC && p->padding == REFLECTION) at = reflect(at, low, high);
    int taps = p->mode == NEAREST ? 1 : p->mode == LINEAR ? 2 : 4;
    float first = p->mode == NEAREST ? rintf(at) : floorf(at) - (p->mode == CUBIC ? 1 : 0);
    for (int i = 0; i < taps; i++) {
        float k = first + (float)i;
        w[i] = p->mode == NEAREST ? 1 : p->mode == LINEAR ? 1 - fabsf(k - at) : cubic(k - at);
        if (p->padding == REFLECTION && p->mode == CUBIC) k = rintf(reflect(k, low, high));
        if (p->padding != ZEROS) k = k < 0 ? 0 : k > last ? last : k;
        index[i] = k < 0 || k > last ? n : (size_t)k;
    }
    return taps;
}

/* Places [first, end) of all grids of an item. */
static void sample_task(const attn_run_context *c, const void *params, size_t item, size_t first,
                        size_t end, size_t worker)
{
    const attn_shape *x = &c->in[0].shape;
    int axes = x->rank - 2, taps[AXES] = {1, 1, 1};
    size_t channels = x->dim[1], plane = attn_span(x, 2, x->rank);
    size_t points = attn_span(&c->out[0].shape, 2, x->rank);
    size_t index[AXES][MOST_TAPS] = {{0}};
    float w[AXES][MOST_TAPS] = {{1}, {1}, {1}};
    (void)worker;
    for (size_t i = first; i < end; i++) {
        const float *place = attn_item(&c->in[1], item) + i * (size_t)axes;
        size_t n = i / points, offset[64], count = 0;
        float weight[64];
        for (int k = 0; k < axes; k++) /* the last axes of the three that there may be */
            taps[AXES - axes + k] = choose(params, place[axes - 1 - k], x->dim[2 + k],
                                           index[AXES - axes + k], w[AXES - axes + k]);
        size_t height = x->dim[x->rank - 2], width = x->dim[x->rank - 1];
        size_t depth = axes == 3 ? x->dim[2] : 1;
        for (int k = 0; k < taps[0] * taps[1] * taps[2]; k++) {
            int kx = k % taps[2], ky = k / taps[2] % taps[1], kz = k / taps[2] / taps[1];
            if (index[0][kz] >= depth || index[1][ky] >= height || index[2][kx] >= width) continue;
            weight[count] = w[0][kz] * w[1][ky] * w[2][kx];
            offset[count++] = (index[0][kz] * height + index[1][ky]) * width + index[2][kx];
        }
        for (size_t channel = 0; channel < channels; channel++) {
            const float *from = attn_item(&c->in[0], item) + (n * channels + channel) * plane;
            float sum = 0;
            for (size_t k = 0; k < count; k++) sum += weight[k] * from[offset[k]];
            attn_item(&c->out[0], item)[(n * channels + channel) * points + i % points] = sum;
        }
    }
}

static void sample_run(const attn_run_context *c, const void *params)
{
    const attn_shape *y = &c->out[0].shape;
    size_t points = y->dim[0] * attn_span(y, 2, y->rank);
    attn_each_rows(c, params, points, attn_grain(64 + 16 * y->dim[1]), sample_task);
}

const attn_layer attn_layer_grid_sample = {
    "grid_sample", ATTN_STEP_SHARED, 0,         sizeof(sample_params),
    sample_parse,  sample_infer,     sample_run};
