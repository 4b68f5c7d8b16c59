/* expand and tile: x again and again, f32 or i32.
 *   expand: y has the dimensions of x and of "shape", broadcast as in NumPy
 *   tile:   dimension i of y is "repeats[i]" times that of x */
#include "layers/array/indexing.h"

typedef struct expand_params {
    attn_ints sizes;
} expand_params;

static attn_status parse(attn_reader *r, const char *key, expand_params *p)
{
    ATTN_TRY(attn_need_inputs(r, 1, 1, NULL));
    ATTN_TRY(attn_need_outputs(r, 1, 1, NULL));
    ATTN_TRY(attn_read_known_ints(r, key, 1, 1L << 40, &p->sizes));
    return p->sizes.given ? ATTN_OK : attn_reader_fail(r, "the key \"%s\" is missing", key);
}

static attn_status expand_parse(attn_reader *r, void *params)
{
    return parse(r, "shape", params);
}

static attn_status tile_parse(attn_reader *r, void *params)
{
    return parse(r, "repeats", params);
}

static attn_status expand_infer(attn_infer *c, const void *params)
{
    const expand_params *p = params;
    const attn_shape *x = &c->in[0];
    attn_shape *y = &c->out[0];
    attn_shape_text text;
    long shape[ATTN_MAX_INTS];
    int given;
    size_t count;
    ATTN_TRY(attn_want_any(c, 0, 0, ATTN_MAX_RANK - 1));
    ATTN_TRY(attn_infer_ints(c, &p->sizes, ATTN_MAX_RANK - 1, shape, &given));
    *y = (attn_shape){.dtype = x->dtype, .rank = given > x->rank ? given : x->rank};
    for (int i = 1; i <= y->rank; i++) { /* from the end */
        size_t a = i <= x->rank ? x->dim[x->rank - i] : 1;
        size_t b = i <= given ? (size_t)shape[given - i] : 1;
        if (a != b && a != 1 && b != 1)
            return attn_infer_fail(c, "input %s and \"shape\" do not broadcast: %zu and %zu",
                                   attn_format_shape(&text, x->dim, x->rank), a, b);
        y->dim[y->rank - i] = a == 1 ? b : a;
    }
    return attn_want_count(c, y, &count);
}

static attn_status tile_infer(attn_infer *c, const void *params)
{
    const expand_params *p = params;
    const attn_shape *x = &c->in[0];
    attn_shape_text text;
    long repeats[ATTN_MAX_INTS];
    int given;
    size_t count;
    ATTN_TRY(attn_want_any(c, 0, 0, ATTN_MAX_RANK - 1));
    ATTN_TRY(attn_infer_ints(c, &p->sizes, ATTN_MAX_RANK - 1, repeats, &given));
    attn_format_shape(&text, x->dim, x->rank);
    if (given != x->rank)
        return attn_infer_fail(c, "\"repeats\" has %d numbers for input %s", given, text.text);
    c->out[0] = *x;
    for (int i = 0; i < given; i++)
        if (!attn_mul(x->dim[i], (size_t)repeats[i], &c->out[0].dim[i]))
            return attn_infer_fail(c, "%ld times input %s is too large", repeats[i], text.text);
    return attn_want_count(c, &c->out[0], &count);
}

static void expand_run(const attn_run_context *c, const void *params)
{
    (void)params;
    const attn_shape *x = &c->in[0].shape, *y = &c->out[0].shape;
    attn_gather g = {.rank = y->rank + 1, .y = c->out[0].data, .x = c->in[0].data};
    int added = y->rank - x->rank;
    g.dim[0] = c->batch;
    g.step[0] = c->in[0].stride;
    for (int i = 0; i < y->rank; i++) {
        g.dim[i + 1] = y->dim[i];
        if (i >= added && x->dim[i - added] != 1)
            g.step[i + 1] = attn_span(x, i - added + 1, x->rank);
    }
    attn_run_gather(c, &g);
}

static void tile_run(const attn_run_context *c, const void *params)
{
    (void)params;
    const attn_shape *x = &c->in[0].shape, *y = &c->out[0].shape;
    attn_gather g = {.rank = 1, .y = c->out[0].data, .x = c->in[0].data};
    g.dim[0] = c->batch;
    g.step[0] = c->in[0].stride;
    for (int i = 0; i < x->rank; i++) {
        g.dim[g.rank++] = y->dim[i] / x->dim[i]; /* with a step of 0 */
        g.dim[g.rank] = x->dim[i];
        g.step[g.rank++] = attn_span(x, i + 1, x->rank);
    }
    attn_run_gather(c, &g);
}

const attn_layer attn_layer_expand = {
    "expand", ATTN_STEP_SHARED, 0, sizeof(expand_params), expand_parse, expand_infer, expand_run};
const attn_layer attn_layer_tile = {"tile",     ATTN_STEP_SHARED, 0,       sizeof(expand_params),
                                    tile_parse, tile_infer,       tile_run};
