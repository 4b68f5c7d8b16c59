/* Along one axis, every other index on its own:
 *   argmax, argmin: x [..., n, ...] -> i32 [..., ...], or [..., 1, ...]: where the largest or
 *                   smallest element is; of equal ones the first, or the last. NaN is behind all.
 *   cumsum:         y = the sums of x up to each index, one accumulator in order; y may be x
 * x: f32 or i32. */
#include "layers/support.h"

typedef struct scan_params {
    long axis;
    attn_ints at; /* cumsum's axis */
    bool least, keep, last;
    bool exclusive, reverse;
} scan_params;

/* Elements from one index of the axis to the next; *n: the indices. */
static size_t along(const attn_shape *s, long axis, size_t *n)
{
    int i = (int)(axis < 0 ? axis + s->rank : axis);
    *n = s->dim[i];
    return attn_span(s, i + 1, s->rank);
}

/* ---- argmax, argmin ------------------------------------------------------------------------ */

static attn_status arg_parse(attn_reader *r, void *params, bool least)
{
    scan_params *p = params;
    p->axis = -1;
    p->least = least;
    ATTN_TRY(attn_need_inputs(r, 1, 1, NULL));
    ATTN_TRY(attn_need_outputs(r, 1, 1, NULL));
    ATTN_TRY(attn_read_int(r, "axis", -ATTN_MAX_RANK, ATTN_MAX_RANK - 1, &p->axis));
    ATTN_TRY(attn_read_bool(r, "keep", &p->keep));
    return attn_read_bool(r, "last", &p->last);
}

static attn_status argmax_parse(attn_reader *r, void *params)
{
    return arg_parse(r, params, false);
}

static attn_status argmin_parse(attn_reader *r, void *params)
{
    return arg_parse(r, params, true);
}

static attn_status arg_infer(attn_infer *c, const void *params)
{
    const scan_params *p = params;
    const attn_shape *x = &c->in[0];
    attn_shape *y = &c->out[0];
    int axis;
    ATTN_TRY(attn_want_any(c, 0, 1, ATTN_MAX_RANK));
    ATTN_TRY(attn_want_axis(c, 0, p->axis, &axis));
    if (x->dim[axis] > INT32_MAX)
        return attn_infer_fail(c, "a row of %zu is longer than an i32 counts", x->dim[axis]);
    *y = (attn_shape){.dtype = ATTN_I32};
    for (int i = 0; i < x->rank; i++)
        if (i != axis || p->keep) y->dim[y->rank++] = i == axis ? 1 : x->dim[i];
    c->flops = (double)attn_span(x, 0, x->rank);
    return ATTN_OK;
}

/* x comes before y, where both are numbers of the same type. */
static bool wins(bool least, bool equal, double x, double y)
{
    if (x != x || y != y) return x == x || (equal && y != y);
    return x == y ? equal : (x < y) == least;
}

static size_t best_of(const scan_params *p, bool integer, const void *data, size_t n, size_t step)
{
    const float *x = data;
    const int32_t *xi = data;
    double top = integer ? (double)xi[0] : (double)x[0];
    size_t best = 0;
    for (size_t i = 1; i < n; i++) {
        double next = integer ? (double)xi[i * step] : (double)x[i * step];
        if (!wins(p->least, p->last, next, top)) continue;
        best = i;
        top = next;
    }
    return best;
}

/* The same by the kernels' maximum; n if that is NaN. */
static size_t top_of(const attn_kernels *k, const float *x, size_t n, bool last)
{
    float top = k->max(x, n);
    size_t best = n;
    for (size_t i = 0; i < n; i++) {
        if (x[i] != top) continue;
        best = i;
        if (!last) break;
    }
    return best;
}

static void arg_task(const attn_run_context *c, const void *params, size_t item, size_t first,
                     size_t end, size_t worker)
{
    (void)worker;
    const scan_params *p = params;
    size_t n, step = along(&c->in[0].shape, p->axis, &n);
    bool integer = c->in[0].shape.dtype == ATTN_I32;
    for (size_t row = first; row < end; row++) {
        const float *x = attn_item(&c->in[0], item) + row / step * n * step + row % step;
        size_t best = n;
        if (!integer && !p->least && step == 1) best = top_of(c->kernels, x, n, p->last);
        if (best == n) best = best_of(p, integer, x, n, step);
        attn_item_i32(&c->out[0], item)[row] = (int32_t)best;
    }
}

static void arg_run(const attn_run_context *c, const void *params)
{
    size_t n = c->in[0].count / c->out[0].count;
    attn_each_rows(c, params, c->out[0].count, attn_grain(n), arg_task);
}

const attn_layer attn_layer_argmax = {"argmax",     ATTN_STEP_HEAD, 0,      sizeof(scan_params),
                                      argmax_parse, arg_infer,      arg_run};
const attn_layer attn_layer_argmin = {"argmin",     ATTN_STEP_HEAD, 0,      sizeof(scan_params),
                                      argmin_parse, arg_infer,      arg_run};

/* ---- cumsum -------------------------------------------------------------------------------- */

static attn_status cumsum_parse(attn_reader *r, void *params)
{
    scan_params *p = params;
    ATTN_TRY(attn_need_inputs(r, 1, 1, NULL));
    ATTN_TRY(attn_need_outputs(r, 1, 1, NULL));
    ATTN_TRY(attn_read_known_ints(r, "axis", -ATTN_MAX_RANK, ATTN_MAX_RANK - 1, &p->at));
    if (!p->at.given) return attn_reader_fail(r, "the key \"axis\" is missing");
    ATTN_TRY(attn_read_bool(r, "exclusive", &p->exclusive));
    return attn_read_bool(r, "reverse", &p->reverse);
}

static attn_status cumsum_infer(attn_infer *c, const void *params)
{
    const scan_params *p = params;
    long axis[ATTN_MAX_INTS];
    int count, unused;
    ATTN_TRY(attn_want_any(c, 0, 1, ATTN_MAX_RANK));
    ATTN_TRY(attn_infer_ints(c, &p->at, 1, axis, &count));
    if (count != 1) return attn_infer_fail(c, "\"axis\" has no number");
    ATTN_TRY(attn_want_axis(c, 0, axis[0], &unused));
    c->out[0] = c->in[0];
    return ATTN_OK;
}

static void cumsum_task(const attn_run_context *c, const void *params, size_t item, size_t first,
                        size_t end, size_t worker)
{
    (void)worker;
    const scan_params *p = params;
    const attn_shape *s = &c->in[0].shape;
    long axis[ATTN_MAX_INTS];
    attn_run_ints(c, &p->at, axis);
    size_t n, step = along(s, axis[0], &n);
    for (size_t row = first; row < end; row++) {
        size_t start = row / step * n * step + row % step;
        float sum = 0;
        uint32_t whole = 0;
        for (size_t i = 0; i < n; i++) {
            size_t at = start + (p->reverse ? n - 1 - i : i) * step;
            if (s->dtype == ATTN_I32) {
                uint32_t x = (uint32_t)attn_item_i32(&c->in[0], item)[at];
                attn_item_i32(&c->out[0], item)[at] = (int32_t)(p->exclusive ? whole : whole + x);
                whole += x;
            } else {
                float x = attn_item(&c->in[0], item)[at];
                attn_item(&c->out[0], item)[at] = p->exclusive ? sum : sum + x;
                sum += x;
            }
        }
    }
}

static void cumsum_run(const attn_run_context *c, const void *params)
{
    const scan_params *p = params;
    long axis[ATTN_MAX_INTS];
    size_t n;
    attn_run_ints(c, &p->at, axis);
    along(&c->in[0].shape, axis[0], &n);
    attn_each_rows(c, params, c->in[0].count / n, attn_grain(n), cumsum_task);
}

const attn_layer attn_layer_cumsum = {
    "cumsum",     ATTN_STEP_SHARED, ATTN_IN_PLACE, sizeof(scan_params),
    cumsum_parse, cumsum_infer,     cumsum_run};
