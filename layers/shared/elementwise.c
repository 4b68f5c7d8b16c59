/* The layers y = a op b, elementwise with NumPy's broadcasting: shapes are aligned at their last
 * dimension, and a dimension of 1 is repeated. Formulas: kernels.h, layers/array/binary.h.
 *   add, sub, mul, div, max, min, pow, mod: f32, or i32 of both
 *   bit_and, bit_or, bit_xor, shift_left, shift_right, and, or, xor: i32
 *   equal, less, less_equal, greater, greater_equal: f32 or i32 of both; y is i32, 0 or 1
 *   prelu: f32
 *   a: "in", first
 *   b: "in", second; or "value"; or an f32 weight, whose leading dimensions of 1 that a lacks are
 *      dropped
 *
 * With "slice_rows" the weight is a table [max, dim...] of which rows offset .. offset + seq are
 * taken, where a is [..., seq, dim...]: learned positions; with "past" they stand after the rows
 * that the cache has. y may be a if the shapes are equal. */
#include "layers/shared/elementwise.h"
#include "layers/array/binary.h"
#include "layers/shared/broadcast.h"
#include "layers/shared/linear.h"
#include "layers/support.h"

#include <float.h>
#include <math.h>

enum {
    F32 = 1, /* types that an operation takes */
    I32 = 2,
    LARGEST = 1 << 24, /* integers that a "value" can hold */
    MOST_STEPS = 6,
};

/* y op value, or unary(y). */
typedef struct binary_step {
    bool is_unary, whole; /* whole: the value is an integer */
    attn_binary op;
    attn_unary unary;
    float value;
    int32_t integer;
} binary_step;

typedef struct binary_params {
    int op; /* of attn_binary or attn_array_binary */
    unsigned types;
    attn_unary unary;             /* fused: a goes through it first */
    binary_step step[MOST_STEPS]; /* fused: y goes through them then */
    size_t steps;
    attn_param weight;
    bool has_value, slice_rows, past;
    float value;
    int32_t integer; /* the value, for i32 */
    size_t offset;
} binary_params;

static attn_status parse_binary(attn_reader *r, void *params, int op, unsigned types)
{
    binary_params *p = params;
    size_t inputs;
    p->op = op;
    p->types = types;
    ATTN_TRY(attn_need_inputs(r, 1, 2, &inputs));
    ATTN_TRY(attn_need_outputs(r, 1, 1, NULL));
    ATTN_TRY(attn_read_weight(r, "weight", "", -1, &p->weight));
    ATTN_TRY(attn_need_elements(r, &p->weight));
    p->value = NAN;
    ATTN_TRY(attn_read_float(r, "value", -(double)FLT_MAX, (double)FLT_MAX, &p->value));
    p->has_value = !isnan(p->value);
    if (p->has_value && fabsf(p->value) <= LARGEST && p->value == floorf(p->value))
        p->integer = (int32_t)p->value;
    else if (p->has_value)
        p->types &= ~(unsigned)I32;
    if (p->types == 0)
        return attn_reader_fail(r, "key \"value\" is %g, expected an integer", (double)p->value);
    if ((inputs == 2) + (p->weight.source != NULL) + p->has_value != 1)
        return attn_reader_fail(r,
                                "expected one second operand (a second \"in\", \"weight\" or "
                                "\"value\"), found %d",
                                (inputs == 2) + (p->weight.source != NULL) + p->has_value);
    if (!p->weight.source) return ATTN_OK;
    ATTN_TRY(attn_read_bool(r, "slice_rows", &p->slice_rows));
    if (!p->slice_rows) return ATTN_OK;
    ATTN_TRY(attn_read_size(r, "offset", 0, (size_t)1 << 40, &p->offset));
    return attn_read_cache(r, "past", &p->past);
}

void attn_binary_activate(void *params, attn_unary unary)
{
    binary_params *p = params;
    p->unary = unary;
}

static void binary_run(const attn_run_context *c, const void *params);

bool attn_binary_leads(const attn_layer *layer, const void *params)
{
    return layer->run == binary_run && ((const binary_params *)params)->op < ATTN_BINARY_COUNT;
}

bool attn_binary_is_step(const attn_layer *layer, const void *params)
{
    return attn_is_activation(layer) ||
           (attn_binary_leads(layer, params) && ((const binary_params *)params)->has_value);
}

bool attn_binary_add_step(void *params, const attn_layer *layer, const void *step)
{
    binary_params *p = params;
    const binary_params *next = step;
    if (p->steps == MOST_STEPS) return false;
    binary_step *to = &p->step[p->steps++];
    if (attn_is_activation(layer))
        *to = (binary_step){.is_unary = true, .unary = attn_activation_unary(step)};
    else
        *to = (binary_step){.op = (attn_binary)next->op,
                            .whole = next->types & I32,
                            .value = next->value,
                            .integer = next->integer};
    return true;
}

/* The shape of b as the broadcasting sees it. */
static attn_status second_shape(attn_infer *c, const binary_params *p, attn_shape *b)
{
    attn_shape_text text[2];
    const attn_shape *a = &c->in[0];
    *b = (attn_shape){.dtype = a->dtype};
    if (c->inputs == 2) {
        const attn_shape *second = &c->in[1];
        if (a->dtype != second->dtype)
            return attn_infer_fail(
                c, "input 0 is %s %s, but input 1 is %s %s", attn_dtype_name(a->dtype),
                attn_format_shape(&text[0], a->dim, a->rank), attn_dtype_name(second->dtype),
                attn_format_shape(&text[1], second->dim, second->rank));
        ATTN_TRY(attn_want_filled(c, 1, a->dtype, 0, ATTN_MAX_RANK));
        *b = c->in[1];
    }
    if (!p->weight.source) return ATTN_OK;
    int skip = 0;
    while (p->weight.rank - skip > a->rank && p->weight.dim[skip] == 1) skip++;
    b->rank = p->weight.rank - skip;
    for (int i = 0; i < b->rank; i++) b->dim[i] = p->weight.dim[i + skip];
    if (!p->slice_rows) return ATTN_OK;
    while (b->rank > 2 && b->dim[0] == 1) { /* [1, max, dim] for x [..., seq, dim] */
        b->rank--;
        for (int i = 0; i < b->rank; i++) b->dim[i] = b->dim[i + 1];
    }
    size_t rows = b->rank && b->rank <= a->rank ? a->dim[a->rank - b->rank] : 0;
    if (!rows || p->offset > b->dim[0] || rows > b->dim[0] - p->offset)
        return attn_infer_fail(c, "input %s needs %zu rows from row %zu on, but \"%s\" is %s",
                               attn_format_shape(&text[0], a->dim, a->rank), rows, p->offset,
                               p->weight.source->name,
                               attn_format_shape(&text[1], p->weight.dim, p->weight.rank));
    if (p->past) ATTN_TRY(attn_want_appended(c, rows));
    if (p->past && c->context > b->dim[0] - p->offset)
        return attn_infer_fail(
            c, "a context of %zu needs so many rows from row %zu on, but \"%s\" is %s", c->context,
            p->offset, p->weight.source->name,
            attn_format_shape(&text[1], p->weight.dim, p->weight.rank));
    b->dim[0] = rows;
    return ATTN_OK;
}

static attn_status want_type(attn_infer *c, const binary_params *p)
{
    bool integer = c->in[0].dtype == ATTN_I32;
    if (integer && !(p->types & I32) && p->has_value && isfinite(p->value))
        return attn_infer_fail(c, "\"value\" is %g, but input 0 is i32", (double)p->value);
    if (integer && p->weight.source)
        return attn_infer_fail(c, "input 0 is i32, but \"%s\" is f32", p->weight.source->name);
    for (size_t i = 0; i < p->steps && integer; i++)
        if (p->step[i].is_unary || !p->step[i].whole)
            return attn_infer_fail(c, "input 0 is i32, but a layer takes f32 alone");
    if (p->unary != ATTN_IDENTITY) integer = false;
    attn_dtype type = integer && p->types & I32 ? ATTN_I32 : p->types & F32 ? ATTN_F32 : ATTN_I32;
    return attn_want_filled(c, 0, type, 0, ATTN_MAX_RANK);
}

static attn_status binary_infer(attn_infer *c, const void *params)
{
    const binary_params *p = params;
    const attn_shape *a = &c->in[0];
    const attn_param *w = &p->weight;
    attn_shape_text text[2];
    attn_shape b;
    size_t count, da, db;
    ATTN_TRY(want_type(c, p));
    ATTN_TRY(second_shape(c, p, &b));
    if (!w->source && !p->has_value) {
        ATTN_TRY(attn_want_broadcast(c, 0, 2, &c->out[0]));
    } else if (!attn_broadcast_shapes(a, &b, &c->out[0], &da, &db)) {
        return attn_infer_fail(c, "input %s and \"%s\" %s do not broadcast: %zu and %zu",
                               attn_format_shape(&text[0], a->dim, a->rank), w->source->name,
                               attn_format_shape(&text[1], w->dim, w->rank), da, db);
    }
    if (p->op >= ATTN_ARRAY_COMPARE) c->out[0].dtype = ATTN_I32;
    return attn_want_count(c, &c->out[0], &count);
}

enum { PIECE = 2048 }; /* floats of y that stay near between its two steps */

/* y = unary(a) op b: y holds unary(a) in between. */
static void activated(const attn_kernels *kernels, const binary_params *p, float *y, const float *a,
                      size_t step_a, const float *b, size_t step_b, size_t n)
{
    attn_binary op = (attn_binary)p->op;
    float one;
    if (step_a == 0) {
        kernels->unary(p->unary, &one, a, 1);
        kernels->binary(op, y, &one, 0, b, step_b, n);
        return;
    }
    for (size_t i = 0; i < n; i += PIECE) {
        size_t count = n - i < PIECE ? n - i : PIECE;
        kernels->unary(p->unary, y + i, a + i, count);
        kernels->binary(op, y + i, y + i, 1, b + i * step_b, step_b, count);
    }
}

static void one_row(const attn_broadcast *job, void *y, const void *const *x, const size_t *step,
                    size_t n)
{
    const binary_params *p = job->params;
    const attn_kernels *kernels = job->c->kernels;
    const float *b = x[1];
    if (job->shape[0].dtype == ATTN_I32)
        attn_binary_i32(p->op, y, x[0], step[0], x[1], step[1], n);
    else if (p->op >= ATTN_ARRAY_COMPARE)
        attn_compare_f32((attn_array_binary)p->op, y, x[0], step[0], b, step[1], n);
    else if (p->op == ATTN_ARRAY_POW && step[0] && !step[1] && (*b == 2 || *b == 0.5f))
        kernels->unary(*b == 2 ? ATTN_SQUARE : ATTN_SQRT, y, x[0], n);
    else if (p->op >= ATTN_BINARY_COUNT)
        attn_binary_f32((attn_array_binary)p->op, y, x[0], step[0], b, step[1], n);
    else if (p->unary != ATTN_IDENTITY)
        activated(kernels, p, y, x[0], step[0], b, step[1], n);
    else
        kernels->binary((attn_binary)p->op, y, x[0], step[0], b, step[1], n);
}

static void take_step(const attn_broadcast *job, const binary_step *s, void *y, size_t n)
{
    if (job->shape[0].dtype == ATTN_I32)
        attn_binary_i32((int)s->op, y, y, 1, &s->integer, 0, n);
    else if (s->is_unary)
        job->c->kernels->unary(s->unary, y, y, n);
    else
        job->c->kernels->binary(s->op, y, y, 1, &s->value, 0, n);
}

static void binary_row(const attn_broadcast *job, void *y, const void *const *x, const size_t *step,
                       size_t n)
{
    const binary_params *p = job->params;
    size_t piece = p->steps ? PIECE : n;
    for (size_t i = 0; i < n; i += piece) {
        size_t count = n - i < piece ? n - i : piece;
        const void *part[2] = {(const char *)x[0] + i * step[0] * 4,
                               (const char *)x[1] + i * step[1] * 4};
        one_row(job, (char *)y + i * 4, part, step, count);
        for (size_t s = 0; s < p->steps; s++) take_step(job, &p->step[s], (char *)y + i * 4, count);
    }
}

static void binary_run(const attn_run_context *c, const void *params)
{
    const binary_params *p = params;
    const attn_shape *y = &c->out[0].shape;
    attn_broadcast job = {.c = c, .params = params, .row = binary_row, .operands = 2};
    attn_broadcast_input(&job, 0, 0);
    if (p->weight.source) {
        /* Sliced rows are the leading ones of the table: its steps serve, with a's rows. */
        int skip = p->weight.rank > y->rank ? p->weight.rank - y->rank : 0;
        while (p->slice_rows && p->weight.rank - skip > 2 && p->weight.dim[skip] == 1) skip++;
        attn_shape *b = &job.shape[1];
        b->rank = p->weight.rank - skip;
        for (int i = 0; i < b->rank; i++) b->dim[i] = p->weight.dim[i + skip];
        size_t first = p->offset + (p->past ? c->past : 0);
        if (p->slice_rows) first *= attn_span(b, 1, b->rank);
        job.x[1] = (const char *)(p->weight.data + (p->slice_rows ? first : 0));
    } else if (p->has_value) {
        job.x[1] =
            job.shape[0].dtype == ATTN_I32 ? (const char *)&p->integer : (const char *)&p->value;
    } else {
        attn_broadcast_input(&job, 1, 1);
    }
    attn_run_broadcast(&job);
}

#define BINARY_LAYER(word, op, types, flags)                                                       \
    static attn_status parse_##word(attn_reader *r, void *params)                                  \
    {                                                                                              \
        return parse_binary(r, params, op, types);                                                 \
    }                                                                                              \
    const attn_layer attn_layer_##word = {                                                         \
        #word,        ATTN_STEP_SHARED, flags,     sizeof(binary_params),                          \
        parse_##word, binary_infer,     binary_run};
#define BINARY(word, op, types) BINARY_LAYER(word, op, types, ATTN_IN_PLACE)
#define COMPARISON(word, op) BINARY_LAYER(word, op, F32 | I32, 0)

BINARY(add, ATTN_BIN_ADD, F32 | I32)
BINARY(sub, ATTN_BIN_SUB, F32 | I32)
BINARY(mul, ATTN_BIN_MUL, F32 | I32)
BINARY(div, ATTN_BIN_DIV, F32 | I32)
BINARY(max, ATTN_BIN_MAX, F32 | I32)
BINARY(min, ATTN_BIN_MIN, F32 | I32)
BINARY(pow, ATTN_ARRAY_POW, F32 | I32)
BINARY(prelu, ATTN_ARRAY_PRELU, F32)
BINARY(bit_and, ATTN_ARRAY_BIT_AND, I32)
BINARY(bit_or, ATTN_ARRAY_BIT_OR, I32)
BINARY(bit_xor, ATTN_ARRAY_BIT_XOR, I32)
BINARY(shift_left, ATTN_ARRAY_SHIFT_LEFT, I32)
BINARY(shift_right, ATTN_ARRAY_SHIFT_RIGHT, I32)
BINARY(and, ATTN_ARRAY_AND, I32)
BINARY(or, ATTN_ARRAY_OR, I32)
BINARY(xor, ATTN_ARRAY_XOR, I32)
COMPARISON(equal, ATTN_ARRAY_EQUAL)
COMPARISON(less, ATTN_ARRAY_LESS)
COMPARISON(less_equal, ATTN_ARRAY_LESS_EQUAL)
COMPARISON(greater, ATTN_ARRAY_GREATER)
COMPARISON(greater_equal, ATTN_ARRAY_GREATER_EQUAL)

static attn_status parse_mod(attn_reader *r, void *params)
{
    bool fmod = false;
    ATTN_TRY(attn_read_bool(r, "fmod", &fmod));
    return parse_binary(r, params, fmod ? ATTN_ARRAY_FMOD : ATTN_ARRAY_MOD, F32 | I32);
}

const attn_layer attn_layer_mod = {
    "mod",     ATTN_STEP_SHARED, ATTN_IN_PLACE, sizeof(binary_params),
    parse_mod, binary_infer,     binary_run};
