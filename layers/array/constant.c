/* Values that no data is needed for.
 *   constant: numbers that the description gives, in C order
 *   fill:     one number everywhere
 *   range:    start, limit, delta (one element each, of one type) -> start, start + delta ...
 * before limit identity: y = x; y may be x shape:    the sizes of x's dimensions [start, end), i32
 *   size:     how many elements x has, i32 of rank 0 */
#include "layers/support.h"

#include <float.h>
#include <limits.h>
#include <math.h>
#include <string.h>

enum { MOST_NUMBERS = 1024 };

static const char *const dtypes[] = {"f32", "i32", NULL};

/* A number as the 4 bytes of an element; false if there is none for it. */
static bool element_of(double x, attn_dtype dtype, void *element)
{
    float f = (float)x;
    if (dtype == ATTN_F32) {
        memcpy(element, &f, sizeof f);
        return isfinite(f) || !isfinite(x);
    }
    if (!(x >= INT32_MIN && x <= INT32_MAX) || x != floor(x)) return false;
    int32_t i = (int32_t)x;
    memcpy(element, &i, sizeof i);
    return true;
}

/* "value" and "dtype" as elements; *elements lives as long as the model. */
static attn_status read_elements(attn_reader *r, size_t most, attn_dtype *dtype, void **elements,
                                 size_t *count, bool *is_list)
{
    int word = 0;
    double *numbers;
    ATTN_TRY(attn_read_word(r, "dtype", dtypes, &word));
    *dtype = word ? ATTN_I32 : ATTN_F32;
    ATTN_TRY(attn_read_numbers(r, "value", most, &numbers, count, is_list));
    *elements = numbers;
    for (size_t i = 0; i < *count; i++) /* an element is no longer than its number */
        if (!element_of(numbers[i], *dtype, (char *)*elements + i * 4))
            return attn_reader_fail(r, "\"value\" has %.10g, which %s cannot hold", numbers[i],
                                    dtypes[word]);
    return ATTN_OK;
}

/* ---- constant ------------------------------------------------------------------------------ */

typedef struct constant_params {
    attn_shape shape;
    void *elements;
} constant_params;

static attn_status constant_parse(attn_reader *r, void *params)
{
    constant_params *p = params;
    attn_shape *s = &p->shape;
    long dims[ATTN_MAX_RANK - 1];
    size_t count, needed;
    bool is_list;
    attn_shape_text text;
    ATTN_TRY(attn_need_inputs(r, 0, 0, NULL));
    ATTN_TRY(attn_need_outputs(r, 1, 1, NULL));
    if (!attn_has_key(r, "value")) return attn_reader_fail(r, "the key \"value\" is missing");
    ATTN_TRY(read_elements(r, MOST_NUMBERS, &s->dtype, &p->elements, &count, &is_list));
    s->rank = is_list;
    s->dim[0] = count;
    if (!attn_has_key(r, "shape")) return ATTN_OK;
    ATTN_TRY(attn_read_ints(r, "shape", 1, MOST_NUMBERS, true, ATTN_MAX_RANK - 1, dims, &s->rank));
    for (int i = 0; i < s->rank; i++) {
        if (dims[i] < 1)
            return attn_reader_fail(r, "\"shape\" of numbers that are given is no symbol");
        s->dim[i] = (size_t)dims[i];
    }
    if (attn_product(s->dim, s->rank, &needed) && needed == count) return ATTN_OK;
    return attn_reader_fail(r, "\"value\" has %zu numbers, which do not fill \"shape\" %s", count,
                            attn_format_shape(&text, s->dim, s->rank));
}

static attn_status constant_infer(attn_infer *c, const void *params)
{
    c->out[0] = ((const constant_params *)params)->shape;
    return ATTN_OK;
}

static void constant_run(const attn_run_context *c, const void *params)
{
    const constant_params *p = params;
    for (size_t item = 0; item < c->batch; item++)
        memcpy(attn_item(&c->out[0], item), p->elements, c->out[0].count * sizeof(float));
}

static const void *constant_elements(const void *params)
{
    return ((const constant_params *)params)->elements;
}

const attn_layer attn_layer_constant = {
    .name = "constant",
    .step = ATTN_STEP_SHARED,
    .params_size = sizeof(constant_params),
    .parse = constant_parse,
    .infer = constant_infer,
    .run = constant_run,
    .constant = constant_elements,
};

/* ---- fill ---------------------------------------------------------------------------------- */

typedef struct fill_params {
    attn_ints shape;
    attn_dtype dtype;
    uint32_t element;
} fill_params;

static attn_status fill_parse(attn_reader *r, void *params)
{
    fill_params *p = params;
    size_t count;
    bool is_list;
    void *element;
    ATTN_TRY(attn_need_inputs(r, 0, 0, NULL));
    ATTN_TRY(attn_need_outputs(r, 1, 1, NULL));
    ATTN_TRY(attn_read_known_ints(r, "shape", 1, INT32_MAX, &p->shape));
    if (!p->shape.given) return attn_reader_fail(r, "the key \"shape\" is missing");
    ATTN_TRY(read_elements(r, 1, &p->dtype, &element, &count, &is_list));
    if (count) memcpy(&p->element, element, sizeof p->element);
    return ATTN_OK;
}

static attn_status fill_infer(attn_infer *c, const void *params)
{
    const fill_params *p = params;
    attn_shape *y = &c->out[0];
    long dims[ATTN_MAX_INTS];
    size_t count;
    *y = (attn_shape){.dtype = p->dtype};
    ATTN_TRY(attn_infer_ints(c, &p->shape, ATTN_MAX_RANK - 1, dims, &y->rank));
    for (int i = 0; i < y->rank; i++) y->dim[i] = (size_t)dims[i];
    return attn_want_count(c, y, &count);
}

static void fill_task(const attn_run_context *c, const void *params, size_t item, size_t first,
                      size_t end, size_t worker)
{
    (void)worker;
    const fill_params *p = params;
    uint32_t *y = (uint32_t *)c->out[0].data + item * c->out[0].stride;
    for (size_t i = first; i < end; i++) y[i] = p->element;
}

static void fill_run(const attn_run_context *c, const void *params)
{
    attn_each_rows(c, params, c->out[0].count, 65536, fill_task);
}

const attn_layer attn_layer_fill = {
    "fill", ATTN_STEP_SHARED, ATTN_BY_SHAPE, sizeof(fill_params), fill_parse, fill_infer, fill_run};

/* ---- range --------------------------------------------------------------------------------- */

enum { START, LIMIT, DELTA };

static attn_status range_parse(attn_reader *r, void *params)
{
    (void)params;
    ATTN_TRY(attn_need_inputs(r, 3, 3, NULL));
    return attn_need_outputs(r, 1, 1, NULL);
}

static double number_of(attn_dtype dtype, const void *data)
{
    return dtype == ATTN_I32 ? *(const int32_t *)data : (double)*(const float *)data;
}

static attn_status range_infer(attn_infer *c, const void *params)
{
    (void)params;
    attn_dtype dtype = c->in[0].dtype;
    attn_shape_text shape;
    double number[3];
    ATTN_TRY(attn_want_any(c, 0, 0, ATTN_MAX_RANK));
    for (size_t i = START; i <= DELTA; i++) {
        const attn_shape *s = &c->in[i];
        const void *data;
        ATTN_TRY(attn_want_filled(c, i, dtype, 0, ATTN_MAX_RANK));
        if (attn_span(s, 0, s->rank) != 1)
            return attn_infer_fail(c, "input %zu is %s, expected one number", i,
                                   attn_format_shape(&shape, s->dim, s->rank));
        ATTN_TRY(attn_want_known(c, i, "the range", &data));
        number[i] = number_of(dtype, data);
    }
    double count = ceil((number[LIMIT] - number[START]) / number[DELTA]);
    if (!(count >= 1 && count <= INT32_MAX))
        return attn_infer_fail(c, "%g to %g in steps of %g is no range of 1 to %d numbers",
                               number[START], number[LIMIT], number[DELTA], INT32_MAX);
    c->out[0] = (attn_shape){.dtype = dtype, .rank = 1, .dim = {(size_t)count}};
    return ATTN_OK;
}

static void range_run(const attn_run_context *c, const void *params)
{
    (void)params;
    const attn_value *y = &c->out[0];
    attn_dtype dtype = y->shape.dtype;
    double start = number_of(dtype, c->in[START].data), delta = number_of(dtype, c->in[DELTA].data);
    for (size_t i = 0; i < y->count * c->batch; i++) {
        double x = start + (double)(i % y->count) * delta;
        if (dtype == ATTN_I32)
            ((int32_t *)y->data)[i] = (int32_t)x;
        else
            ((float *)y->data)[i] = (float)x;
    }
}

const attn_layer attn_layer_range = {"range",     ATTN_STEP_SHARED, 0,        1,
                                     range_parse, range_infer,      range_run};

/* ---- identity ------------------------------------------------------------------------------ */

static attn_status one_parse(attn_reader *r, void *params)
{
    (void)params;
    ATTN_TRY(attn_need_inputs(r, 1, 1, NULL));
    return attn_need_outputs(r, 1, 1, NULL);
}

static attn_status identity_infer(attn_infer *c, const void *params)
{
    (void)params;
    ATTN_TRY(attn_want_any(c, 0, 0, ATTN_MAX_RANK));
    c->out[0] = c->in[0];
    return ATTN_OK;
}

static void identity_task(const attn_run_context *c, const void *params, size_t item, size_t first,
                          size_t end, size_t worker)
{
    (void)params;
    (void)worker;
    memcpy(attn_item(&c->out[0], item) + first, attn_item(&c->in[0], item) + first,
           (end - first) * sizeof(float));
}

static void identity_run(const attn_run_context *c, const void *params)
{
    if (c->out[0].data == c->in[0].data) return;
    attn_each_rows(c, params, c->out[0].count, 65536, identity_task);
}

const attn_layer attn_layer_identity = {"identity", ATTN_STEP_SHARED, ATTN_IN_PLACE, 1,
                                        one_parse,  identity_infer,   identity_run};

/* ---- shape, size --------------------------------------------------------------------------- */

typedef struct shape_params {
    long start, end;
} shape_params;

static attn_status shape_parse(attn_reader *r, void *params)
{
    shape_params *p = params;
    p->end = LONG_MAX;
    ATTN_TRY(attn_read_int(r, "start", INT32_MIN, INT32_MAX, &p->start));
    ATTN_TRY(attn_read_int(r, "end", INT32_MIN, INT32_MAX, &p->end));
    return one_parse(r, params);
}

/* A place among the dimensions; negative ones count from the end. */
static int place(long at, int rank)
{
    if (at < 0) at += rank;
    return at < 0 ? 0 : at > rank ? rank : (int)at;
}

static attn_status shape_infer(attn_infer *c, const void *params)
{
    const shape_params *p = params;
    const attn_shape *x = &c->in[0];
    attn_shape_text text;
    int first = place(p->start, x->rank), end = place(p->end, x->rank);
    ATTN_TRY(attn_want_any(c, 0, 0, ATTN_MAX_RANK));
    if (end <= first)
        return attn_infer_fail(c, "input %s has no dimensions from %d up to %d",
                               attn_format_shape(&text, x->dim, x->rank), first, end);
    for (int i = first; i < end; i++)
        if (x->dim[i] > INT32_MAX)
            return attn_infer_fail(c, "a dimension of %s is more than an i32 holds",
                                   attn_format_shape(&text, x->dim, x->rank));
    c->out[0] = (attn_shape){.dtype = ATTN_I32, .rank = 1, .dim = {(size_t)(end - first)}};
    return ATTN_OK;
}

static void shape_run(const attn_run_context *c, const void *params)
{
    const attn_shape *x = &c->in[0].shape;
    int first = place(((const shape_params *)params)->start, x->rank);
    for (size_t item = 0; item < c->batch; item++)
        for (size_t i = 0; i < c->out[0].count; i++)
            attn_item_i32(&c->out[0], item)[i] = (int32_t)x->dim[(size_t)first + i];
}

const attn_layer attn_layer_shape = {
    "shape",     ATTN_STEP_SHARED, ATTN_BY_SHAPE, sizeof(shape_params),
    shape_parse, shape_infer,      shape_run};

static attn_status size_infer(attn_infer *c, const void *params)
{
    (void)params;
    size_t count;
    ATTN_TRY(attn_want_any(c, 0, 0, ATTN_MAX_RANK));
    ATTN_TRY(attn_want_count(c, &c->in[0], &count));
    if (count > INT32_MAX)
        return attn_infer_fail(c, "%zu elements are more than an i32 holds", count);
    c->out[0] = (attn_shape){.dtype = ATTN_I32};
    return ATTN_OK;
}

static void size_run(const attn_run_context *c, const void *params)
{
    (void)params;
    for (size_t item = 0; item < c->batch; item++)
        *attn_item_i32(&c->out[0], item) = (int32_t)c->in[0].count;
}

const attn_layer attn_layer_size = {"size",    ATTN_STEP_SHARED, ATTN_BY_SHAPE, 1,
                                    one_parse, size_infer,       size_run};
