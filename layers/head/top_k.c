/* top_k: the largest elements of each row, or the smallest.
 *   x [..., n, ...], f32 or i32 -> values [..., k, ...] along "axis", and i32 indices if a second
 *   output is named
 * Largest (smallest) first; equal ones by index; NaN after everything else. */
#include "layers/array/indexing.h"

typedef struct top_k_params {
    size_t k, outputs;
    attn_ints known; /* instead of k */
    long axis;
    bool smallest;
} top_k_params;

static attn_status top_k_parse(attn_reader *r, void *params)
{
    top_k_params *p = params;
    bool largest = true, sorted;
    p->axis = -1;
    ATTN_TRY(attn_need_inputs(r, 1, 1, NULL));
    ATTN_TRY(attn_need_outputs(r, 1, 2, &p->outputs));
    ATTN_TRY(attn_read_int(r, "axis", -ATTN_MAX_RANK, ATTN_MAX_RANK - 1, &p->axis));
    ATTN_TRY(attn_read_bool(r, "largest", &largest));
    ATTN_TRY(attn_read_bool(r, "sorted", &sorted)); /* they always are */
    p->smallest = !largest;
    if (attn_has_key(r, "k_from")) return attn_read_known_ints(r, "k", 1, INT32_MAX, &p->known);
    return attn_need_size(r, "k", 1, INT32_MAX, &p->k);
}

static attn_status top_k_infer(attn_infer *c, const void *params)
{
    const top_k_params *p = params;
    const attn_shape *x = &c->in[0];
    attn_shape_text shape;
    long given[ATTN_MAX_INTS];
    size_t k = p->k;
    int axis, count;
    ATTN_TRY(attn_want_any(c, 0, 1, ATTN_MAX_RANK));
    ATTN_TRY(attn_want_axis(c, 0, p->axis, &axis));
    if (k == 0) {
        ATTN_TRY(attn_infer_ints(c, &p->known, 1, given, &count));
        if (count != 1) return attn_infer_fail(c, "\"k\" has no number");
        k = (size_t)given[0];
    }
    if (x->dim[axis] > INT32_MAX)
        return attn_infer_fail(c, "a row of %zu is longer than an i32 counts", x->dim[axis]);
    if (k > x->dim[axis])
        return attn_infer_fail(c, "\"k\" is %zu, but input %s has rows of %zu", k,
                               attn_format_shape(&shape, x->dim, x->rank), x->dim[axis]);
    for (size_t i = 0; i < p->outputs; i++) {
        c->out[i] = *x;
        c->out[i].dim[axis] = k;
    }
    if (p->outputs == 2) c->out[1].dtype = ATTN_I32;
    c->flops = (double)attn_span(x, 0, x->rank);
    return attn_add_scratch(c, k, sizeof(int32_t), &c->worker_scratch);
}

/* Elements of one row, `step` apart. */
typedef struct series {
    const float *x;
    size_t step;
    bool integers, smallest;
} series;

/* Element a stands before element b in what top_k gives: a strict total order. */
static bool precedes(const series *r, int32_t a, int32_t b)
{
    const float *x = r->x + (size_t)a * r->step, *y = r->x + (size_t)b * r->step;
    int order;
    if (r->integers) {
        int32_t u, v;
        memcpy(&u, x, 4);
        memcpy(&v, y, 4);
        order = (u > v) - (u < v);
    } else if (*x != *x || *y != *y) {
        order = (*y != *y) - (*x != *x);
        if (order) return order > 0;
    } else {
        order = (*x > *y) - (*x < *y);
    }
    if (order) return (order > 0) != r->smallest;
    return a < b;
}

/* heap: indices of k elements, each parent after its children in the order above, but for the one
 * at `at`, which goes down to where it belongs. */
static void sink(const series *r, int32_t *heap, size_t k, size_t at)
{
    int32_t moving = heap[at];
    for (size_t child; (child = 2 * at + 1) < k; at = child) {
        if (child + 1 < k && precedes(r, heap[child], heap[child + 1])) child++;
        if (!precedes(r, moving, heap[child])) break;
        heap[at] = heap[child];
    }
    heap[at] = moving;
}

/* Quick to see for most: a float that is no better than another one, which is not NaN. */
static inline bool is_worse(const series *r, size_t a, int32_t b)
{
    if (r->integers) return false;
    float x = r->x[a * r->step], y = r->x[(size_t)b * r->step];
    return y == y && !(r->smallest ? x < y : x > y);
}

static void find_top(const series *r, size_t n, size_t k, int32_t *heap)
{
    for (size_t i = 0; i < k; i++) heap[i] = (int32_t)i;
    for (size_t i = k / 2; i-- > 0;) sink(r, heap, k, i);
    for (size_t i = k; i < n; i++) {
        if (is_worse(r, i, heap[0]) || !precedes(r, (int32_t)i, heap[0])) continue;
        heap[0] = (int32_t)i;
        sink(r, heap, k, 0);
    }
    while (k-- > 1) {
        int32_t found = heap[0];
        heap[0] = heap[k];
        heap[k] = found;
        sink(r, heap, k, 0);
    }
}

static void top_k_task(const attn_run_context *c, const void *params, size_t item, size_t first,
                       size_t end, size_t worker)
{
    const top_k_params *p = params;
    const attn_shape *x = &c->in[0].shape;
    int axis = attn_axis(p->axis, x->rank);
    size_t n = x->dim[axis], k = c->out[0].shape.dim[axis], step = attn_span(x, axis + 1, x->rank);
    int32_t *found = attn_worker_scratch(c, worker);
    for (size_t i = first; i < end; i++) {
        size_t outer = i / step, inner = i % step, to = outer * k * step + inner;
        series r = {attn_item(&c->in[0], item) + outer * n * step + inner, step,
                    x->dtype == ATTN_I32, p->smallest};
        find_top(&r, n, k, found);
        for (size_t j = 0; j < k; j++) {
            memcpy(attn_item(&c->out[0], item) + to + j * step, r.x + (size_t)found[j] * step, 4);
            if (p->outputs == 2) attn_item_i32(&c->out[1], item)[to + j * step] = found[j];
        }
    }
}

static void top_k_run(const attn_run_context *c, const void *params)
{
    const top_k_params *p = params;
    const attn_shape *x = &c->in[0].shape;
    size_t n = x->dim[attn_axis(p->axis, x->rank)];
    attn_each_rows(c, params, c->in[0].count / n, attn_grain(n), top_k_task);
}

const attn_layer attn_layer_top_k = {"top_k",     ATTN_STEP_HEAD, 0,        sizeof(top_k_params),
                                     top_k_parse, top_k_infer,    top_k_run};
