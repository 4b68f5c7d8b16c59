/* Constants that the file spells as integers with scales: (q - zero) * scale.
 *
 * A matrix whose distances from the zero point are int8, with scales that a weight file can have,
 * stays integers: a constant whose tensor has scales. Others become floats. */
#include "runtime/onnx/lift.h"

#include <string.h>

enum {
    GROUP = 32, /* elements of a matrix that share a scale, where not all of an output do */
    LEAST = 64, /* elements of a matrix that stays integers */
    GROWTH = 8
};

/* scale, zero (or NULL): one number; one for each index along the axis; or one for each `block` of
 * indices. */
typedef struct quantized {
    const attn_onnx_tensor *w, *scale, *zero;
    int axis;
    size_t dim, inner, block; /* dim: of the axis; inner: elements behind it; block: 0 of none */
} quantized;

static size_t blocks_of(const quantized *q)
{
    return q->dim / q->block + (q->dim % q->block != 0);
}

/* Where element i of w finds its scale or zero. */
static size_t place(const quantized *q, const attn_onnx_tensor *t, size_t i)
{
    size_t at = i / q->inner % q->dim;
    if (t->count == 1) return 0;
    if (!q->block) return at;
    return (i / q->inner / q->dim * blocks_of(q) + at / q->block) * q->inner + i % q->inner;
}

static int64_t distance(const quantized *q, size_t i)
{
    int64_t zero = q->zero ? attn_tensor_int(q->zero, place(q, q->zero, i)) : 0;
    return attn_tensor_int(q->w, i) - zero;
}

static bool fits(const quantized *q, const attn_onnx_tensor *t)
{
    size_t count = q->w->count;
    if (t->count == 1) return true;
    if (!q->block) return t->rank == 1 && t->count == q->dim;
    return t->count == count / q->dim * blocks_of(q);
}

/* So many elements more: a file can ask for one tensor again and again. */
static bool take(attn_ir *ir, size_t count)
{
    size_t bytes = ir->model->mapping.size;
    for (size_t i = 0; i < ir->model->externals; i++)
        if (!attn_add(bytes, ir->model->external[i].size, &bytes)) return false;
    if (!attn_add(ir->dequantized, count, &count) || count / GROWTH > bytes) return false;
    ir->dequantized = count;
    return true;
}

/* ---- as integers --------------------------------------------------------------------------- */

/* The value's outputs are its rows, for the first product that reads it. */
static bool outputs_are_rows(const attn_ir_value *y)
{
    for (size_t i = 0; i < y->uses; i++) {
        const attn_ir_node *n = y->use[i].node;
        if (attn_ir_is(n, "MatMul") || (attn_ir_is(n, "Gemm") && !attn_ir_int(n, "transB", 0)))
            return y->use[i].slot != 1;
    }
    return true;
}

/* The scales as a matrix in the form of a weight file; NULL: they have none. */
static const attn_onnx_tensor *scales_of(attn_ir *ir, const quantized *q, bool rows)
{
    size_t dim[2] = {q->w->dim[0], q->w->dim[1]};
    bool grouped = q->block && q->scale->count > 1;
    int along = grouped ? q->axis : q->scale->count == 1 ? rows : 1 - q->axis;
    if (grouped && q->block % GROUP != 0) return NULL;
    dim[along] = grouped ? dim[along] / GROUP + (dim[along] % GROUP != 0) : 1;
    float *scale = attn_arena_get(ir->arena, dim[0] * dim[1], sizeof *scale, ir->err);
    if (!scale) {
        ir->failed = true;
        return NULL;
    }
    for (size_t r = 0; r < dim[0]; r++)
        for (size_t c = 0; c < dim[1]; c++) {
            size_t at[2] = {r, c};
            if (grouped) at[along] *= GROUP;
            size_t i = place(q, q->scale, at[0] * q->w->dim[1] + at[1]);
            float s = (float)attn_tensor_float(q->scale, i);
            if (!(s >= 0 && s < 0x1p120f)) return NULL;
            scale[r * dim[1] + c] = s;
        }
    attn_ir_value *made = attn_ir_new_floats(ir, "scale", scale, 2, dim);
    return made ? made->constant : NULL;
}

/* The tensor with scales, or NULL. */
static const attn_onnx_tensor *integers_of(attn_ir *ir, const quantized *q, bool rows)
{
    bool moved = q->w->type != ATTN_ONNX_INT8;
    if (q->w->rank != 2 || q->w->count < LEAST) return NULL;
    for (size_t i = 0; i < q->w->count; i++) {
        int64_t d = distance(q, i);
        if (d < -128 || d > 127) return NULL;
        moved = moved || d != attn_tensor_int(q->w, i);
    }
    const attn_onnx_tensor *scale = scales_of(ir, q, rows);
    attn_onnx_tensor *t = attn_arena_get(ir->arena, 1, sizeof *t, ir->err);
    int8_t *to = scale && moved ? attn_arena_get(ir->arena, q->w->count, 1, ir->err) : NULL;
    if (!t || (scale && moved && !to)) ir->failed = true;
    if (!scale || ir->failed) return NULL;
    *t = *q->w;
    t->type = ATTN_ONNX_INT8;
    t->scale = scale;
    if (!moved) return t;
    for (size_t i = 0; i < t->count; i++) to[i] = (int8_t)distance(q, i);
    t->data = to;
    t->bytes = t->count;
    t->mapping = NULL;
    return t;
}

/* ---- as floats ----------------------------------------------------------------------------- */

/* half: as bfloat16, which takes distances of 8 bits as they are. */
static attn_ir_value *floats_of(attn_ir *ir, const quantized *q, const char *name, bool half)
{
    size_t size = half ? 2 : 4;
    unsigned char *to = attn_arena_get(ir->arena, q->w->count, size, ir->err);
    attn_onnx_tensor *t = attn_arena_get(ir->arena, 1, sizeof *t, ir->err);
    if (!to || !t) {
        ir->failed = true;
        return NULL;
    }
    for (size_t i = 0; i < q->w->count; i++) {
        float value =
            (float)distance(q, i) * (float)attn_tensor_float(q->scale, place(q, q->scale, i));
        uint32_t bits;
        memcpy(&bits, &value, 4);
        uint16_t high = (uint16_t)(bits >> 16);
        memcpy(to + size * i, half ? (const void *)&high : &bits, size);
    }
    *t = *q->w;
    t->type = half ? ATTN_ONNX_BFLOAT16 : ATTN_ONNX_FLOAT;
    t->data = to;
    t->bytes = t->count * size;
    t->mapping = NULL;
    return attn_ir_new_constant(ir, name, t);
}

static attn_ir_value *constant_of(attn_ir *ir, const quantized *q, const char *name, bool rows,
                                  bool half)
{
    const attn_onnx_tensor *t = integers_of(ir, q, rows);
    attn_ir_value *value = t            ? attn_ir_new_constant(ir, name, t)
                           : ir->failed ? NULL
                                        : floats_of(ir, q, name, half);
    if (value) value->type = ATTN_ONNX_FLOAT;
    return value;
}

/* The name of what nothing else reads. */
static void take_name(attn_ir_value *value, attn_ir_value *from)
{
    const char *name = value->name;
    if (from->uses > 1) return;
    value->name = from->name;
    from->name = name;
}

/* ---- DequantizeLinear ---------------------------------------------------------------------- */

static bool read_node(const attn_ir_node *node, quantized *q)
{
    attn_ir_value *in[3] = {attn_ir_in(node, 0), attn_ir_in(node, 1), attn_ir_in(node, 2)};
    if (strcmp(node->op, "DequantizeLinear") != 0 || !in[0] || !in[0]->constant || !in[1] ||
        !in[1]->constant || (in[2] && !in[2]->constant))
        return false;
    *q = (quantized){.w = in[0]->constant,
                     .scale = in[1]->constant,
                     .zero = in[2] ? in[2]->constant : NULL,
                     .dim = 1,
                     .inner = 1};
    int64_t axis = attn_ir_int(node, "axis", 1), block = attn_ir_int(node, "block_size", 0);
    int rank = q->w->rank;
    if (!attn_onnx_is_integer(q->w->type) || !attn_onnx_is_float(q->scale->type) || !q->w->count ||
        (q->zero && !attn_onnx_is_integer(q->zero->type)) || block < 0)
        return false;
    if (q->scale->count > 1 || (q->zero && q->zero->count > 1)) {
        if (axis < -rank || axis >= rank) return false;
        q->axis = (int)(axis < 0 ? axis + rank : axis);
        q->dim = q->w->dim[q->axis];
        q->block = (size_t)block;
        for (int d = q->axis + 1; d < rank; d++) q->inner *= q->w->dim[d];
    }
    return fits(q, q->scale) && (!q->zero || fits(q, q->zero));
}

/* ---- MatMulInteger ------------------------------------------------------------------------- */

static bool is_one_number(const attn_ir_value *value)
{
    if (!value || (value->constant && value->constant->count == 1)) return true;
    return value->producer && attn_ir_is(value->producer, "DynamicQuantizeLinear");
}

/* a - zero as floats, made once. */
static attn_ir_value *distances(attn_ir *ir, attn_ir_node *node, attn_ir_value *a,
                                attn_ir_value *zero)
{
    const float number = 1;
    for (size_t i = 0; i < a->uses; i++) {
        const attn_ir_node *n = a->use[i].node;
        if (attn_ir_is(n, "DequantizeLinear") && a->use[i].slot == 0 && attn_ir_in(n, 2) == zero &&
            attn_ir_is_number(n->in[1], 1))
            return n->out[0];
    }
    attn_ir_value *in[3] = {a, attn_ir_new_floats(ir, "one", &number, 0, NULL), zero};
    attn_ir_value *y = attn_ir_new_value(ir, a->name, ATTN_ONNX_FLOAT);
    return attn_ir_insert(ir, node, "DequantizeLinear", "", 3, in, 1, &y) ? y : NULL;
}

/* The product of a with a constant matrix of integers is one of floats: its sums are integers, and
 * exact below 2^24. */
static void lift_integers(attn_ir *ir, attn_ir_node *node)
{
    attn_ir_value *a = attn_ir_in(node, 0), *b = attn_ir_in(node, 1), *zero = attn_ir_in(node, 3);
    const float number = 1;
    attn_ir_value *one = attn_ir_new_floats(ir, "one", &number, 0, NULL), *y = node->out[0];
    if (!a || !b || !b->constant || b->constant->rank != 2 || !b->constant->count || !one || !y ||
        (zero && !zero->constant) || !is_one_number(attn_ir_in(node, 2)))
        return;
    quantized q = {.w = b->constant,
                   .scale = one->constant,
                   .zero = zero ? zero->constant : NULL,
                   .axis = 1,
                   .dim = b->constant->dim[1],
                   .inner = 1};
    if ((q.zero && !fits(&q, q.zero)) || !take(ir, q.w->count)) return;
    attn_ir_value *w = constant_of(ir, &q, b->name, false, true);
    if (w) take_name(w, b);
    attn_ir_value *in[2] = {distances(ir, node, a, attn_ir_in(node, 2)), w};
    attn_ir_value *sums = attn_ir_new_value(ir, y->name, ATTN_ONNX_FLOAT), *none = NULL;
    attn_ir_node *product =
        w && in[0] ? attn_ir_insert(ir, node, "MatMul", "", 2, in, 1, &sums) : NULL;
    attn_ir_node *cast = product ? attn_ir_insert(ir, node, "Cast", "", 1, &sums, 1, &none) : NULL;
    if (!cast) return;
    product->name = node->name;
    attn_ir_set_int(ir, cast, "to", ATTN_ONNX_INT32);
    attn_ir_give(ir, y, cast, 0);
    for (size_t i = 0; i < y->uses; i++) { /* to floats and back is nothing */
        const attn_ir_node *n = y->use[i].node;
        if (attn_ir_is(n, "Cast") && attn_ir_int(n, "to", 0) == ATTN_ONNX_FLOAT &&
            !n->out[0]->results)
            attn_ir_replace(ir, n->out[0], sums);
    }
}

static void lift_body(attn_ir *ir, const attn_ir_body *body)
{
    quantized q;
    for (attn_ir_node *n = body->first; n && !ir->failed; n = n->next) {
        for (size_t i = 0; i < n->bodies; i++) lift_body(ir, n->body[i]);
        if (attn_ir_is(n, "MatMulInteger")) lift_integers(ir, n);
        if (!read_node(n, &q) || n->out[0]->results || !take(ir, q.w->count)) continue;
        attn_ir_value *value =
            constant_of(ir, &q, n->in[0]->name, outputs_are_rows(n->out[0]), false);
        if (!value) return;
        attn_ir_replace(ir, n->out[0], value);
        take_name(value, n->in[0]);
    }
}

void attn_lift_dequantized(attn_ir *ir)
{
    lift_body(ir, ir->main);
    attn_ir_sweep(ir);
}

/* ---- MatMulNBits --------------------------------------------------------------------------- */

/* [rows, count] of `bits` bits each, the first in the lowest; every row begins a byte. */
static attn_onnx_tensor *unpack(attn_ir *ir, const attn_onnx_tensor *from, size_t rows,
                                size_t count, size_t bits, size_t row_bytes)
{
    const unsigned char *data = from->data;
    attn_onnx_tensor *t = attn_arena_get(ir->arena, 1, sizeof *t, ir->err);
    unsigned char *to = t ? attn_arena_get(ir->arena, rows * count, 1, ir->err) : NULL;
    if (!to) {
        ir->failed = true;
        return NULL;
    }
    for (size_t i = 0; i < rows * count; i++) {
        size_t bit = i % count * bits;
        to[i] =
            (unsigned char)(data[i / count * row_bytes + bit / 8] >> bit % 8 & ((1u << bits) - 1));
    }
    *t = (attn_onnx_tensor){.name = "",
                            .type = ATTN_ONNX_UINT8,
                            .rank = 2,
                            .dim = {rows, count},
                            .count = rows * count,
                            .data = to,
                            .bytes = rows * count};
    return t;
}

/* x [..., K] times the transpose of the matrix [N, K], in blocks along K. */
attn_status attn_lift_bits(attn_ir *ir, attn_ir_node *node)
{
    const attn_ir_value *b = attn_ir_in(node, 1), *s = attn_ir_in(node, 2),
                        *z = attn_ir_in(node, 3);
    int64_t sizes[4] = {attn_ir_int(node, "N", 0), attn_ir_int(node, "K", 0),
                        attn_ir_int(node, "bits", 4), attn_ir_int(node, "block_size", 0)};
    attn_ir_value *bias = attn_ir_in(node, 5), *y = attn_ir_out(node, 0);
    if (!attn_ir_in(node, 0) || !y || !b || !b->constant || !s || !s->constant ||
        (z && !z->constant) || attn_ir_in(node, 4))
        return attn_ir_fail(ir, node, "its matrix must be a constant, without g_idx");
    for (int i = 0; i < 4; i++)
        if (sizes[i] < 1 || sizes[i] > (int64_t)1 << 31)
            return attn_ir_fail(ir, node, "N, K, bits, block_size are %lld, %lld, %lld, %lld",
                                (long long)sizes[0], (long long)sizes[1], (long long)sizes[2],
                                (long long)sizes[3]);
    size_t n = (size_t)sizes[0], k = (size_t)sizes[1], bits = (size_t)sizes[2];
    quantized q = {
        .scale = s->constant, .axis = 1, .dim = k, .inner = 1, .block = (size_t)sizes[3]};
    size_t blocks = blocks_of(&q), row = blocks * (q.block * bits / 8), all;
    size_t zero_row = blocks * bits / 8 + (blocks * bits % 8 != 0);
    if ((bits != 2 && bits != 4 && bits != 8) || q.block * bits % 8)
        return attn_ir_fail(ir, node, "%zu bits in blocks of %zu are not known here", bits,
                            q.block);
    bool floats = z && attn_onnx_is_float(z->constant->type);
    if (b->constant->type != ATTN_ONNX_UINT8 || !attn_mul(n, row, &all) ||
        b->constant->count != all || q.scale->count != n * blocks ||
        !attn_onnx_is_float(q.scale->type) ||
        (z &&
         (floats || z->constant->type != ATTN_ONNX_UINT8 || z->constant->count != n * zero_row)))
        return attn_ir_fail(ir, node,
                            "the matrix [%zu, %zu] does not have its elements, scales or "
                            "zero points (which are uint8 here)",
                            n, k);
    if (!take(ir, q.dim * n)) return attn_ir_fail(ir, node, "too much is unpacked");
    q.w = unpack(ir, b->constant, n, k, bits, row);
    int64_t middle = (int64_t)1 << (bits - 1);
    size_t one = 1;
    const attn_ir_value *usual = z ? NULL : attn_ir_new_ints(ir, "zero", &middle, 1, &one);
    q.zero = z       ? unpack(ir, z->constant, n, blocks, bits, zero_row)
             : usual ? usual->constant
                     : NULL;
    if (ir->failed) return attn_ir_status(ir);
    attn_ir_value *in[2] = {node->in[0], NULL}, *w = constant_of(ir, &q, b->name, true, false);
    if (!w) return attn_ir_status(ir);
    take_name(w, node->in[1]);
    in[1] = attn_ir_new_value(ir, w->name, w->type);
    attn_ir_insert(ir, node, "Transpose", "", 1, &w, 1, &in[1]);
    attn_ir_value *product = bias ? attn_ir_new_value(ir, y->name, y->type) : NULL;
    attn_ir_node *made = attn_ir_insert(ir, node, "MatMul", "", 2, in, 1, &product);
    if (made) made->name = node->name;
    if (bias && made) {
        attn_ir_value *sum[2] = {product, bias}, *none = NULL;
        made = attn_ir_insert(ir, node, "Add", "", 2, sum, 1, &none);
    }
    if (made) attn_ir_give(ir, y, made, 0);
    return attn_ir_status(ir);
}
