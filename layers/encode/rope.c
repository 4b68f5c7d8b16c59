/* Rotary positions, Su et al. 2021 (arXiv:2104.09864), sec. 3.2.2, as two layers, so that the
 * angles of a run are computed once for all heads and layers of the model.
 *   rope_angles: -> a [rows, dims]
 *     a[t, i] = f cos((t + offset) * frequency(i)), a[t, dims / 2 + i] the sine, i < dims / 2
 *     t counts from 0, or with "past" from the rows that the cache has
 *     frequencies and the factor f: rope_scaling.h; by the functions of exact.h; with "factors",
 *     a weight [dims / 2], frequency i is divided by factor i
 *   rope: x [..., seq, heads * head_dim], a [seq, dims] -> y as x; y may be x
 *     rotates pairs of each head's first dims columns: (u, v) -> (u cos - v sin, v cos + u sin)
 *     "halves": columns i and dims / 2 + i (GPT-NeoX, Hugging Face)
 *     "interleaved": columns 2i and 2i + 1 (the paper) */
#include "layers/encode/rope_scaling.h"
#include "layers/exact.h"
#include "layers/support.h"

#include <string.h>

#define MAX_POSITIONS ((size_t)1 << 30)

typedef struct angles_params {
    attn_rope rope;
    attn_param factors;
    long rows;
    size_t offset;
    bool past;
} angles_params;

static attn_status angles_parse(attn_reader *r, void *params)
{
    angles_params *p = params;
    int count;
    ATTN_TRY(attn_need_inputs(r, 0, 0, NULL));
    ATTN_TRY(attn_need_outputs(r, 1, 1, NULL));
    ATTN_TRY(attn_read_ints(r, "rows", 1, (long)MAX_POSITIONS, true, 1, &p->rows, &count));
    if (count != 1) return attn_reader_fail(r, "the key \"rows\" is missing");
    ATTN_TRY(attn_read_size(r, "offset", 0, MAX_POSITIONS, &p->offset));
    ATTN_TRY(attn_read_cache(r, "past", &p->past));
    ATTN_TRY(attn_read_weight(r, "factors", "", 1, &p->factors));
    ATTN_TRY(attn_rope_parse(r, &p->rope));
    return attn_need_length(r, &p->factors, p->rope.dims / 2);
}

static attn_status angles_infer(attn_infer *c, const void *params)
{
    const angles_params *p = params;
    long rows = attn_resolve_dim(c, p->rows);
    if (rows < 1 || (size_t)rows > MAX_POSITIONS)
        return attn_infer_fail(c, "\"rows\" is %ld, expected 1 to %zu", rows, MAX_POSITIONS);
    if (p->past) ATTN_TRY(attn_want_appended(c, (size_t)rows));
    if (p->past && c->context > MAX_POSITIONS)
        return attn_infer_fail(c, "%zu positions are more than %zu", c->context, MAX_POSITIONS);
    c->out[0] = (attn_shape){ATTN_F32, 2, {(size_t)rows, p->rope.dims}};
    c->flops = 32 * (double)rows * (double)p->rope.dims;
    return attn_add_scratch(c, p->rope.dims / 2, sizeof(double), &c->scratch);
}

static void angles_task(const attn_run_context *c, const void *params, size_t item, size_t first,
                        size_t end, size_t worker)
{
    (void)worker;
    const angles_params *p = params;
    const double *frequency = c->scratch;
    size_t dims = p->rope.dims, half = dims / 2;
    for (size_t row = first; row < end; row++) {
        float *y = attn_item(&c->out[0], item) + row * dims;
        double t = (double)(row + p->offset + (p->past ? c->past : 0)), sine, cosine;
        for (size_t i = 0; i < half; i++) {
            attn_sine_cosine(t * frequency[i], &sine, &cosine);
            y[i] = (float)(cosine * p->rope.attention_factor);
            y[half + i] = (float)(sine * p->rope.attention_factor);
        }
    }
}

static void angles_run(const attn_run_context *c, const void *params)
{
    const angles_params *p = params;
    double *frequency = c->scratch;
    size_t rows = c->out[0].shape.dim[0] + p->offset + (p->past ? c->past : 0);
    attn_rope_frequencies(&p->rope, p->past && c->text > rows ? c->text : rows, frequency);
    for (size_t i = 0; p->factors.data && i < p->rope.dims / 2; i++)
        frequency[i] /= (double)p->factors.data[i];
    attn_each_rows(c, params, c->out[0].shape.dim[0], attn_grain(p->rope.dims * 32), angles_task);
}

static size_t angles_turn(const void *params)
{
    const angles_params *p = params;
    return p->past && p->rope.type == ATTN_ROPE_LONG ? (size_t)p->rope.length : 0;
}

const attn_layer attn_layer_rope_angles = {
    .name = "rope_angles",
    .step = ATTN_STEP_ENCODE,
    .params_size = sizeof(angles_params),
    .parse = angles_parse,
    .infer = angles_infer,
    .run = angles_run,
    .turn = angles_turn,
};

/* ---- rope -------------------------------------------------------------------------------- */

enum { HALVES, INTERLEAVED };

typedef struct rope_params {
    size_t heads;
    int layout;
} rope_params;

static attn_status rope_parse(attn_reader *r, void *params)
{
    static const char *const layouts[] = {"halves", "interleaved", NULL};
    rope_params *p = params;
    p->heads = 1;
    ATTN_TRY(attn_need_inputs(r, 2, 2, NULL));
    ATTN_TRY(attn_need_outputs(r, 1, 1, NULL));
    ATTN_TRY(attn_read_size(r, "heads", 1, 65536, &p->heads));
    return attn_read_word(r, "layout", layouts, &p->layout);
}

static attn_status rope_infer(attn_infer *c, const void *params)
{
    const rope_params *p = params;
    const attn_shape *x = &c->in[0], *a = &c->in[1];
    attn_shape_text text[2];
    ATTN_TRY(attn_want_filled(c, 0, ATTN_F32, 2, ATTN_MAX_RANK));
    ATTN_TRY(attn_want_filled(c, 1, ATTN_F32, 2, 2));
    if (attn_last(x) % p->heads != 0)
        return attn_infer_fail(c, "input %s does not split into %zu heads",
                               attn_format_shape(&text[0], x->dim, x->rank), p->heads);
    if (a->dim[0] != x->dim[x->rank - 2] || a->dim[1] % 2 != 0 ||
        a->dim[1] > attn_last(x) / p->heads)
        return attn_infer_fail(
            c, "angles %s do not fit input %s: expected %zu rows of at most %zu columns",
            attn_format_shape(&text[0], a->dim, a->rank),
            attn_format_shape(&text[1], x->dim, x->rank), x->dim[x->rank - 2],
            attn_last(x) / p->heads);
    c->out[0] = *x;
    c->flops = 2 * (double)attn_span(x, 0, x->rank);
    return ATTN_OK;
}

/* u, v: [half], step elements apart; y as x. */
static void rotate(float *y, const float *x, const float *cosine, const float *sine, size_t half,
                   size_t step, size_t other)
{
    for (size_t i = 0; i < half; i++) {
        float u = x[i * step], v = x[i * step + other];
        y[i * step] = u * cosine[i] - v * sine[i];
        y[i * step + other] = v * cosine[i] + u * sine[i];
    }
}

static void rope_task(const attn_run_context *c, const void *params, size_t item, size_t first,
                      size_t end, size_t worker)
{
    (void)worker;
    const rope_params *p = params;
    const attn_shape *s = &c->in[0].shape;
    size_t seq = s->dim[s->rank - 2], width = attn_last(s), head_dim = width / p->heads;
    size_t dims = c->in[1].shape.dim[1], half = dims / 2;
    for (size_t row = first; row < end; row++) {
        const float *x = attn_item(&c->in[0], item) + row * width;
        float *y = attn_item(&c->out[0], item) + row * width;
        const float *cosine = attn_item(&c->in[1], item) + row % seq * dims, *sine = cosine + half;
        for (size_t h = 0; h < p->heads; h++, x += head_dim, y += head_dim) {
            if (p->layout == HALVES)
                rotate(y, x, cosine, sine, half, 1, half);
            else
                rotate(y, x, cosine, sine, half, 2, 1);
            if (y != x && dims < head_dim)
                memcpy(y + dims, x + dims, (head_dim - dims) * sizeof(float));
        }
    }
}

static void rope_run(const attn_run_context *c, const void *params)
{
    attn_each_rows(c, params, attn_rows(&c->in[0]), attn_grain(attn_last(&c->in[0].shape)),
                   rope_task);
}

const attn_layer attn_layer_rope = {
    .name = "rope",
    .step = ATTN_STEP_ENCODE,
    .flags = ATTN_IN_PLACE,
    .params_size = sizeof(rope_params),
    .parse = rope_parse,
    .infer = rope_infer,
    .run = rope_run,
};
