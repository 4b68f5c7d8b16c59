/* Quantised tensors in a weight file: "NAME" of integers, "NAME_scale", and for 4 bits
 * "NAME_shape".
 *
 *   8 bits  NAME I8 of the tensor's own shape; NAME_scale F32 of the same rank: as many as the
 *           outputs have (the first dimension, or the last of a matrix that lies as [in, out]),
 *           otherwise 1; or of a matrix [out, ceil(in / 32)] or [ceil(in / 32), out]
 *   4 bits  NAME_shape I64: the tensor's shape, seen as [out, in] or [in, out]; NAME U8: two of the
 *           inputs in a byte, the first in the low half, as q + 8: [out, ceil(in / 2)] or
 *           [ceil(in / 2), out]; NAME_scale BF16: [out, ceil(in / 32)] or [ceil(in / 32), out] */
#include "runtime/weights/gguf.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    attn_precision precision;
} precisions[] = {{"f32", ATTN_IN_F32},   {"bf16", ATTN_IN_BF16}, {"f16", ATTN_IN_F16},
                  {"int8", ATTN_IN_INT8}, {"int4", ATTN_IN_INT4}, {"", ATTN_AS_FILE}};

attn_precision attn_precision_named(const char *name)
{
    size_t i = 0;
    while (*precisions[i].name && strcmp(precisions[i].name, name) != 0) i++;
    return precisions[i].precision;
}

const char *attn_precision_name(attn_precision precision)
{
    size_t i = 0;
    while (*precisions[i].name && precisions[i].precision != precision) i++;
    return precisions[i].name;
}

const char *attn_weight_type(const attn_weight *weight)
{
    if (weight->integers) return weight->integers->bits == 8 ? "int8" : "int4";
    if (weight->blocks) return weight->blocks->name;
    return weight->unsupported ? weight->unsupported : attn_dtype_name(weight->dtype);
}

/* ---- pairs ------------------------------------------------------------------------------- */

static float read_scale(const attn_integers *q, size_t i)
{
    uint32_t bits = 0;
    uint16_t half;
    float scale;
    if (q->bits == 8) {
        memcpy(&bits, q->scale + 4 * i, 4);
    } else {
        memcpy(&half, q->scale + 2 * i, 2);
        bits = (uint32_t)half << 16;
    }
    memcpy(&scale, &bits, 4);
    return scale;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const attn_weight *)a)->name, ((const attn_weight *)b)->name);
}

static attn_weight *find_part(attn_weight *list, size_t count, const char *name, const char *suffix)
{
    char full[600];
    size_t length = strlen(name), more = strlen(suffix);
    if (length + more >= sizeof full) return NULL;
    memcpy(full, name, length);
    memcpy(full + length, suffix, more + 1);
    attn_weight key = {.name = full};
    return bsearch(&key, list, count, sizeof *list, compare_names);
}

static bool has_shape(const attn_weight *w, size_t rows, size_t columns)
{
    return w->rank == 2 && w->dim[0] == rows && w->dim[1] == columns;
}

static size_t parts(size_t count, size_t each)
{
    return count / each + (count % each != 0);
}

/* The product of all dimensions but the first; false if the whole overflows. */
static bool set_matrix(attn_integers *q, const size_t *dim, int rank)
{
    size_t all;
    if (rank < 2 || !attn_product(dim, rank, &all) || !attn_product(dim + 1, rank - 1, &q->columns))
        return false;
    q->rows = dim[0];
    return true;
}

/* NULL, or what is wrong; *scales: how many there are. */
static const char *check_int8(const attn_weight *w, const attn_weight *scale, attn_integers *q,
                              size_t *scales)
{
    bool rows = scale->rank == w->rank, columns = scale->rank == 2 && w->rank == 2;
    if (scale->unsupported || scale->dtype != ATTN_F32) return "its scales are not F32";
    if (!set_matrix(q, w->dim, w->rank)) return "int8 needs at least 2 dimensions";
    for (int i = 0; i < scale->rank && i < w->rank; i++) {
        rows = rows && scale->dim[i] == (i ? 1 : w->dim[0]);
        columns = columns && scale->dim[i] == (i ? w->dim[1] : 1);
    }
    q->transposed = !rows;
    *scales = rows ? q->rows : q->columns;
    if (rows || columns) return "";
    rows = w->rank == 2 && has_shape(scale, q->rows, parts(q->columns, ATTN_I4_GROUP));
    columns = w->rank == 2 && has_shape(scale, parts(q->rows, ATTN_I4_GROUP), q->columns);
    if (!rows && !columns) return NULL;
    q->grouped = true;
    q->transposed = !rows;
    *scales = scale->dim[0] * scale->dim[1];
    return "";
}

static const char *check_int4(attn_weight *w, const attn_weight *scale, const attn_weight *shape,
                              attn_integers *q, size_t *scales)
{
    size_t dim[ATTN_MAX_RANK];
    if (scale->unsupported || scale->dtype != ATTN_BF16) return "its scales are not BF16";
    if (shape->unsupported || shape->dtype != ATTN_I64 || shape->rank != 1)
        return "its shape is not a row of I64";
    if (shape->dim[0] < 2 || shape->dim[0] > ATTN_MAX_RANK)
        return "its shape has not 2 to 8 dimensions";
    int rank = (int)shape->dim[0];
    for (int i = 0; i < rank; i++) {
        int64_t size;
        memcpy(&size, (const char *)shape->data + 8 * i, 8);
        if (size < 0 || size > (int64_t)1 << 53)
            return "its shape has a negative or too large size";
        dim[i] = (size_t)size;
    }
    if (!set_matrix(q, dim, rank)) return "its shape is too large";
    bool rows = has_shape(w, q->rows, parts(q->columns, 2)) &&
                has_shape(scale, q->rows, parts(q->columns, ATTN_I4_GROUP));
    bool columns = rank == 2 && has_shape(w, parts(q->rows, 2), q->columns) &&
                   has_shape(scale, parts(q->rows, ATTN_I4_GROUP), q->columns);
    if (!rows && !columns) return NULL;
    q->transposed = !rows;
    *scales = scale->dim[0] * scale->dim[1];
    w->rank = rank;
    memcpy(w->dim, dim, sizeof dim);
    return "";
}

/* q * scale must be a number. */
static bool is_scale(float scale)
{
    return scale >= 0 && scale < 0x1p120f;
}

static attn_status pair(attn_weight *w, attn_weight *scale, attn_weight *shape, attn_arena *arena,
                        attn_error *err)
{
    attn_shape_text text[2];
    attn_integers *q = attn_arena_get(arena, 1, sizeof *q, err);
    size_t scales = 0;
    if (!q) return ATTN_NO_MEMORY;
    *q = (attn_integers){.bits = shape ? 4 : 8, .scale = scale->data};
    scale->part_of = w->name;
    if (shape) shape->part_of = w->name;
    const char *problem =
        shape ? check_int4(w, scale, shape, q, &scales) : check_int8(w, scale, q, &scales);
    for (size_t i = 0; problem && !*problem && i < scales; i++)
        if (!is_scale(read_scale(q, i))) {
            problem = attn_arena_printf(arena, err, "scale %zu is %g, expected a number from 0 on",
                                        i, (double)read_scale(q, i));
            if (!problem) return ATTN_NO_MEMORY;
        }
    if (!problem)
        problem = attn_arena_printf(arena, err, "scales of shape %s do not fit %s of shape %s",
                                    attn_format_shape(&text[0], scale->dim, scale->rank),
                                    shape ? "4-bit integers" : "I8",
                                    attn_format_shape(&text[1], w->dim, w->rank));
    if (!problem) return ATTN_NO_MEMORY;
    if (*problem) {
        w->problem = problem;
        return ATTN_OK;
    }
    w->integers = q;
    w->unsupported = NULL;
    return ATTN_OK;
}

attn_status attn_weights_pair(attn_weight *list, size_t count, attn_arena *arena, attn_error *err)
{
    for (size_t i = 0; i < count; i++) {
        attn_weight *w = &list[i];
        bool bytes = w->unsupported && strcmp(w->unsupported, "I8") == 0;
        bool halves = !w->unsupported && w->dtype == ATTN_U8;
        if (!bytes && !halves) continue;
        attn_weight *scale = find_part(list, count, w->name, "_scale");
        attn_weight *shape = halves ? find_part(list, count, w->name, "_shape") : NULL;
        if (bytes && !scale)
            w->problem = "dtype I8 needs scales, and there is no tensor of its "
                         "name with \"_scale\" appended";
        if (scale && (bytes || shape)) ATTN_TRY(pair(w, scale, shape, arena, err));
    }
    return ATTN_OK;
}

/* ---- to floats --------------------------------------------------------------------------- */

static int nibble(const unsigned char *data, size_t byte, size_t half)
{
    return (half ? data[byte] >> 4 : data[byte] & 15) - 8;
}

/* 8 bits: of the element in this row and column. */
static float scale_of(const attn_integers *q, size_t row, size_t column)
{
    size_t in = q->grouped ? (q->transposed ? row : column) / ATTN_I4_GROUP : 0;
    size_t groups = q->grouped ? parts(q->columns, ATTN_I4_GROUP) : 1;
    return read_scale(q, q->transposed ? in * q->columns + column : row * groups + in);
}

/* `count` elements of one row, from column `at` on. */
static void row_to_f32(const attn_weight *weight, size_t row, size_t at, size_t count, float *to)
{
    const attn_integers *q = weight->integers;
    const unsigned char *data = weight->data;
    size_t n = q->columns, groups = parts(n, ATTN_I4_GROUP);
    if (q->bits == 8) {
        const signed char *from = (const signed char *)data + row * n + at;
        for (size_t i = 0; i < count; i++) to[i] = (float)from[i] * scale_of(q, row, at + i);
    } else if (q->transposed) {
        for (size_t i = 0; i < count; i++)
            to[i] = (float)nibble(data, row / 2 * n + at + i, row % 2) *
                    read_scale(q, row / ATTN_I4_GROUP * n + at + i);
    } else {
        for (size_t i = 0; i < count; i++)
            to[i] = (float)nibble(data, row * parts(n, 2) + (at + i) / 2, (at + i) % 2) *
                    read_scale(q, row * groups + (at + i) / ATTN_I4_GROUP);
    }
}

void attn_integers_to_f32(const attn_weight *weight, size_t first, size_t count, float *to)
{
    size_t columns = weight->integers->columns;
    while (count) {
        size_t at = first % columns, part = columns - at < count ? columns - at : count;
        row_to_f32(weight, first / columns, at, part, to);
        first += part;
        to += part;
        count -= part;
    }
}

void attn_integers_split(const attn_weight *weight, size_t first, size_t k, size_t columns,
                         size_t group, int8_t *q, float *scale)
{
    const attn_integers *t = weight->integers;
    const int8_t *from = (const int8_t *)weight->data + first;
    size_t row = first / t->columns, column = first % t->columns;
    for (size_t j = 0; j < columns; j++)
        for (size_t i = 0; i < k; i++) {
            *q++ = t->transposed ? from[i * t->columns + j] : from[j * k + i];
            if (i % group == 0)
                *scale++ = t->transposed ? scale_of(t, row + i, column + j)
                                         : scale_of(t, row + j, column + i);
        }
}
