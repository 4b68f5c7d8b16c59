/* where: y = a where the condition is not 0, else b. clip: y = min(max(x, least), most).
 *   where: condition i32, a and b of one type; all broadcast, as NumPy's
 *   clip:  x f32 or i32, y as x; a bound is a number of the description, a value of one element, or
 *          absent. NaN stays. y may be x. */
#include "layers/shared/broadcast.h"
#include "layers/support.h"

#include <float.h>
#include <math.h>

/* ---- where --------------------------------------------------------------------------------- */

static attn_status where_parse(attn_reader *r, void *params)
{
    (void)params;
    ATTN_TRY(attn_need_inputs(r, 3, 3, NULL));
    return attn_need_outputs(r, 1, 1, NULL);
}

static attn_status where_infer(attn_infer *c, const void *params)
{
    (void)params;
    ATTN_TRY(attn_want_filled(c, 0, ATTN_I32, 0, ATTN_MAX_RANK));
    ATTN_TRY(attn_want_any(c, 1, 0, ATTN_MAX_RANK));
    ATTN_TRY(attn_want_filled(c, 2, c->in[1].dtype, 0, ATTN_MAX_RANK));
    ATTN_TRY(attn_want_broadcast(c, 0, 3, &c->out[0]));
    c->out[0].dtype = c->in[1].dtype;
    return ATTN_OK;
}

/* Elements as bits, of either type. */
static void where_row(const attn_broadcast *job, void *y, const void *const *x, const size_t *step,
                      size_t n)
{
    (void)job;
    const uint32_t *condition = x[0], *a = x[1], *b = x[2];
    uint32_t *to = y;
    for (size_t i = 0; i < n; i++) to[i] = condition[i * step[0]] ? a[i * step[1]] : b[i * step[2]];
}

static void where_run(const attn_run_context *c, const void *params)
{
    attn_broadcast job = {.c = c, .params = params, .row = where_row, .operands = 3};
    for (int i = 0; i < 3; i++) attn_broadcast_input(&job, i, (size_t)i);
    attn_run_broadcast(&job);
}

const attn_layer attn_layer_where = {"where",     ATTN_STEP_SHARED, ATTN_IN_PLACE_LAST, 1,
                                     where_parse, where_infer,      where_run};

/* ---- clip ---------------------------------------------------------------------------------- */

enum { LEAST, MOST, PIECE = 2048 }; /* PIECE: elements that stay near between two steps */

typedef struct clip_params {
    float bound[2]; /* infinite if absent */
    int from[2];    /* the input that is the bound, or -1 */
} clip_params;

static attn_status clip_parse(attn_reader *r, void *params)
{
    static const char *const keys[2] = {"min", "max"}, *const froms[2] = {"min_from", "max_from"};
    clip_params *p = params;
    ATTN_TRY(attn_need_inputs(r, 1, 1, NULL));
    ATTN_TRY(attn_need_outputs(r, 1, 1, NULL));
    for (int i = LEAST; i <= MOST; i++) {
        p->bound[i] = i == LEAST ? -INFINITY : INFINITY;
        ATTN_TRY(attn_read_float(r, keys[i], -(double)FLT_MAX, (double)FLT_MAX, &p->bound[i]));
        ATTN_TRY(attn_read_operand(r, froms[i], &p->from[i]));
        if (p->from[i] >= 0 && isfinite(p->bound[i]))
            return attn_reader_fail(r, "both \"%s\" and \"%s\" are given", keys[i], froms[i]);
    }
    return ATTN_OK;
}

static attn_status clip_infer(attn_infer *c, const void *params)
{
    const clip_params *p = params;
    attn_shape_text shape;
    ATTN_TRY(attn_want_any(c, 0, 0, ATTN_MAX_RANK));
    for (int i = LEAST; i <= MOST; i++) {
        if (p->from[i] < 0) continue;
        const attn_shape *s = &c->in[p->from[i]];
        ATTN_TRY(attn_want_filled(c, (size_t)p->from[i], c->in[0].dtype, 0, ATTN_MAX_RANK));
        if (attn_span(s, 0, s->rank) != 1)
            return attn_infer_fail(c, "a bound is %s, expected one number",
                                   attn_format_shape(&shape, s->dim, s->rank));
    }
    c->out[0] = c->in[0];
    return ATTN_OK;
}

/* A bound of i32 from a number, beyond i32 the nearest. */
static int32_t whole(float bound, int i)
{
    bound = i == LEAST ? ceilf(bound) : floorf(bound);
    return bound >= 0x1p31f ? INT32_MAX : bound < -0x1p31f ? INT32_MIN : (int32_t)bound;
}

static void clip_task(const attn_run_context *c, const void *params, size_t item, size_t first,
                      size_t end, size_t worker)
{
    (void)worker;
    const clip_params *p = params;
    const float *x = attn_item(&c->in[0], item), *bound[2];
    const int32_t *integers = attn_item_i32(&c->in[0], item);
    float *y = attn_item(&c->out[0], item);
    int32_t ends[2];
    for (int i = LEAST; i <= MOST; i++) {
        bound[i] = p->from[i] < 0 ? &p->bound[i] : attn_item(&c->in[p->from[i]], item);
        ends[i] = p->from[i] < 0 ? whole(p->bound[i], i) : *attn_item_i32(&c->in[p->from[i]], item);
    }
    if (c->in[0].shape.dtype == ATTN_F32) {
        for (size_t i = first; i < end; i += PIECE) {
            size_t n = end - i < PIECE ? end - i : PIECE;
            c->kernels->binary(ATTN_BIN_MAX, y + i, x + i, 1, bound[LEAST], 0, n);
            c->kernels->binary(ATTN_BIN_MIN, y + i, y + i, 1, bound[MOST], 0, n);
        }
        return;
    }
    for (size_t i = first; i < end; i++) {
        int32_t at_least = integers[i] > ends[LEAST] ? integers[i] : ends[LEAST];
        attn_item_i32(&c->out[0], item)[i] = at_least < ends[MOST] ? at_least : ends[MOST];
    }
}

static void clip_run(const attn_run_context *c, const void *params)
{
    attn_each_rows(c, params, c->out[0].count, 4096, clip_task);
}

const attn_layer attn_layer_clip = {
    "clip", ATTN_STEP_SHARED, ATTN_IN_PLACE, sizeof(clip_params), clip_parse, clip_infer, clip_run};
