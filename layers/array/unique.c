/* unique: the different slices of x along "axis", or without it the different elements.
 *   x: f32 or i32, known before a run; outputs, the last three i32 and optional:
 *   y; of each of its slices, where the first is in x; of each slice of x, its place in y; how
 * often each is there In ascending order if "sorted" (element by element in C order), else as they
 * first appear. All NaNs are one, and the largest. */
#include "layers/array/indexing.h"

enum { MOST_COMPARISONS = 1 << 26 };

typedef struct unique_params {
    bool has_axis, sorted;
    long axis;
    size_t outputs;
} unique_params;

static attn_status unique_parse(attn_reader *r, void *params)
{
    unique_params *p = params;
    p->sorted = true;
    ATTN_TRY(attn_need_inputs(r, 1, 1, NULL));
    ATTN_TRY(attn_need_outputs(r, 1, 4, &p->outputs));
    ATTN_TRY(attn_read_bool(r, "sorted", &p->sorted));
    p->has_axis = attn_has_key(r, "axis");
    return attn_read_int(r, "axis", -ATTN_MAX_RANK, ATTN_MAX_RANK - 1, &p->axis);
}

/* n slices, each of outer times inner elements. */
typedef struct slices {
    const void *x;
    bool integers;
    size_t n, outer, inner;
} slices;

static slices slices_of(const unique_params *p, const attn_shape *x, const void *data)
{
    slices s = {data, x->dtype == ATTN_I32, attn_span(x, 0, x->rank), 1, 1};
    if (!p->has_axis) return s;
    int axis = attn_axis(p->axis, x->rank);
    s.n = x->dim[axis];
    s.outer = attn_span(x, 0, axis);
    s.inner = attn_span(x, axis + 1, x->rank);
    return s;
}

static int compare_elements(const slices *s, size_t a, size_t b)
{
    if (s->integers) {
        const int32_t *x = s->x;
        return (x[a] > x[b]) - (x[a] < x[b]);
    }
    const float *x = s->x;
    if (x[a] != x[a] || x[b] != x[b]) return (x[a] != x[a]) - (x[b] != x[b]);
    return (x[a] > x[b]) - (x[a] < x[b]);
}

static int compare(const slices *s, size_t a, size_t b)
{
    for (size_t o = 0; o < s->outer; o++)
        for (size_t i = 0; i < s->inner; i++) {
            int order =
                compare_elements(s, (o * s->n + a) * s->inner + i, (o * s->n + b) * s->inner + i);
            if (order) return order;
        }
    return 0;
}

static attn_status unique_infer(attn_infer *c, const void *params)
{
    const unique_params *p = params;
    const attn_shape *x = &c->in[0];
    const void *data;
    size_t all, work, count = 0;
    int axis = 0;
    ATTN_TRY(attn_want_any(c, 0, p->has_axis ? 1 : 0, ATTN_MAX_RANK));
    ATTN_TRY(attn_want_count(c, x, &all));
    ATTN_TRY(attn_want_known(c, 0, "what is unique", &data));
    if (p->has_axis) ATTN_TRY(attn_want_axis(c, 0, p->axis, &axis));
    slices s = slices_of(p, x, data);
    if (!attn_mul(all, s.n, &work) || work > MOST_COMPARISONS)
        return attn_infer_fail(c, "%zu slices of %zu elements are too many to compare", s.n,
                               all / s.n);
    for (size_t i = 0, j; i < s.n; i++) {
        for (j = 0; j < i && compare(&s, i, j) != 0; j++) continue;
        count += j == i;
    }
    c->out[0] = p->has_axis ? *x : (attn_shape){.dtype = x->dtype, .rank = 1};
    c->out[0].dim[axis] = count;
    for (size_t i = 1; i < p->outputs; i++)
        c->out[i] = (attn_shape){ATTN_I32, 1, {i == 2 ? s.n : count}};
    return attn_add_scratch(c, count, sizeof(int32_t), &c->scratch);
}

static void unique_run(const attn_run_context *c, const void *params)
{
    const unique_params *p = params;
    const attn_value *y = &c->out[0];
    int32_t *first = c->scratch, *out[4] = {NULL};
    slices s = slices_of(p, &c->in[0].shape, c->in[0].data);
    size_t count = y->count / (s.outer * s.inner), have = 0;
    for (size_t i = 1; i < p->outputs; i++) out[i] = c->out[i].data;
    for (size_t i = 0, j; i < s.n && have < count; i++) {
        for (j = 0; j < have && compare(&s, i, (size_t)first[j]) != 0; j++) continue;
        if (j < have) continue;
        for (j = have++; p->sorted && j && compare(&s, i, (size_t)first[j - 1]) < 0; j--)
            first[j] = first[j - 1];
        first[j] = (int32_t)i;
    }
    for (size_t o = 0; o < s.outer; o++)
        for (size_t j = 0; j < have; j++)
            memcpy((float *)y->data + (o * count + j) * s.inner,
                   (const float *)s.x + (o * s.n + (size_t)first[j]) * s.inner, s.inner * 4);
    if (out[1]) memcpy(out[1], first, count * 4);
    if (out[3]) memset(out[3], 0, count * 4);
    for (size_t i = 0; out[2] && i < s.n; i++) {
        size_t j = 0;
        while (j + 1 < have && compare(&s, i, (size_t)first[j]) != 0) j++;
        out[2][i] = (int32_t)j;
        if (out[3]) out[3][j]++;
    }
}

const attn_layer attn_layer_unique = {
    "unique", ATTN_STEP_SHARED, 0, sizeof(unique_params), unique_parse, unique_infer, unique_run};
