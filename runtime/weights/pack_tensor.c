/* One tensor of `attn pack`, block by block: read as f32, rounded or quantised, written. The scales
 * and integers are those that attn_kernels.pack finds, and finds again in what is read back. */
#define _POSIX_C_SOURCE 200809L

#include "runtime/weights/pack.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

enum { BLOCK_BYTES = 1 << 20 };

attn_status attn_write_at(const attn_output_file *out, size_t offset, const void *data, size_t size,
                          attn_error *err)
{
    const char *from = data;
    while (size) {
        ssize_t written = pwrite(out->fd, from, size, (off_t)offset);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0)
            return attn_fail(err, ATTN_IO, "%s: %s", out->path,
                             strerror(written < 0 ? errno : ENOSPC));
        from += written;
        offset += (size_t)written;
        size -= (size_t)written;
    }
    return ATTN_OK;
}

/* ---- numbers ----------------------------------------------------------------------------- */

static uint32_t float_bits(float a)
{
    uint32_t u;
    memcpy(&u, &a, sizeof u);
    return u;
}

static float bits_float(uint32_t u)
{
    float a;
    memcpy(&a, &u, sizeof a);
    return a;
}

static uint16_t to_bf16(float a)
{
    uint32_t u = float_bits(a);
    if ((u & 0x7fffffff) > 0x7f800000) return (uint16_t)(u >> 16 | 0x40);
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

static uint16_t to_f16(float a)
{
    uint32_t u = float_bits(a), sign = u >> 16 & 0x8000, rest = u & 0x7fffffff;
    if (rest > 0x7f800000) return (uint16_t)(sign | 0x7e00);
    if (rest >= 0x477ff000) return (uint16_t)(sign | 0x7c00);
    if (rest < 0x38800000)
        return (uint16_t)(sign | (float_bits(bits_float(rest) + 0.5f) - float_bits(0.5f)));
    rest += 0xfff + (rest >> 13 & 1);
    return (uint16_t)(sign | (rest - (112u << 23)) >> 13);
}

/* The scale of integers up to `most`, for values up to max: rounded up to the mantissa bits that
 * `dropped` leaves, so that q * scale is exact. NaN if there is none. */
static float make_scale(float max, float most, uint32_t dropped, float *inverse)
{
    *inverse = 0;
    if (!(max < INFINITY)) return NAN;
    if (max < 0x1p-100f) return 0;
    float scale = bits_float((float_bits(max / most) + dropped) & ~dropped);
    if (!(scale < 0x1p120f)) return NAN;
    *inverse = 1 / scale;
    return scale;
}

/* The nearest integer, ties to even. The product of two floats is exact in double. */
static int quantize(float w, float inverse)
{
    return (int)lrint((double)w * (double)inverse);
}

static void take_max(float *max, float w)
{
    float a = isnan(w) ? INFINITY : fabsf(w);
    if (a > *max) *max = a;
}

/* ---- blocks ------------------------------------------------------------------------------ */

typedef struct packer {
    const attn_pack_tensor *t;
    const attn_output_file *out;
    attn_error *err;
    size_t first, rows; /* of the block */
    float *block;       /* [rows, columns] */
    unsigned char *q;   /* what is written of it */
    float *scale;       /* int8: [rows], transposed [columns] */
    float *inverse;     /* transposed: [columns] */
    uint16_t *halves;   /* int4: the scales of a block */
} packer;

static attn_status unfit(const packer *p, size_t output)
{
    return attn_fail(p->err, ATTN_BAD_MODEL,
                     "%s: tensor \"%.200s\": output %zu holds NaN, infinity or a number too large "
                     "for integers",
                     p->t->source->file, p->t->source->name, output);
}

static attn_status write_halves(const packer *p)
{
    size_t count = p->rows * p->t->columns;
    uint16_t *half = (uint16_t *)(void *)p->q;
    for (size_t i = 0; i < count; i++) {
        half[i] = p->t->form == ATTN_PACK_BF16 ? to_bf16(p->block[i]) : to_f16(p->block[i]);
        uint16_t infinite = p->t->form == ATTN_PACK_BF16 ? 0x7f80 : 0x7c00;
        if ((half[i] & 0x7fff) == infinite && isfinite(p->block[i]))
            return attn_fail(p->err, ATTN_BAD_MODEL,
                             "%s: tensor \"%.200s\": %g is too large for %s", p->t->source->file,
                             p->t->source->name, (double)p->block[i],
                             p->t->form == ATTN_PACK_BF16 ? "bf16" : "f16");
    }
    return attn_write_at(p->out, p->t->data + p->first * p->t->columns * 2, half, count * 2,
                         p->err);
}

static attn_status write_int8(const packer *p)
{
    const attn_pack_tensor *t = p->t;
    for (size_t r = 0; r < p->rows; r++) {
        const float *row = p->block + r * t->columns;
        float max = 0, inverse = 0;
        for (size_t i = 0; i < t->columns && !t->transposed; i++) take_max(&max, row[i]);
        if (!t->transposed) p->scale[r] = make_scale(max, 127, 0xff, &inverse);
        if (!t->transposed && isnan(p->scale[r])) return unfit(p, p->first + r);
        for (size_t i = 0; i < t->columns; i++)
            p->q[r * t->columns + i] =
                (unsigned char)quantize(row[i], t->transposed ? p->inverse[i] : inverse);
    }
    if (!t->transposed)
        ATTN_TRY(attn_write_at(p->out, t->scale + p->first * sizeof(float), p->scale,
                               p->rows * sizeof(float), p->err));
    return attn_write_at(p->out, t->data + p->first * t->columns, p->q, p->rows * t->columns,
                         p->err);
}

/* The i-th of the integers that share a byte string: two in a byte. */
static void set_nibble(unsigned char *bytes, size_t byte, size_t half, int q)
{
    unsigned char n = (unsigned char)(q + 8);
    bytes[byte] = (unsigned char)(half ? (bytes[byte] & 15) | n << 4 : (bytes[byte] & 0xf0) | n);
}

/* `count` elements, `step` apart: their scale, and their integers by way of 1 / scale. */
static attn_status scale_group(const packer *p, const float *w, size_t count, size_t step,
                               size_t output, uint16_t *scale, float *inverse)
{
    float max = 0;
    for (size_t i = 0; i < count; i++) take_max(&max, w[i * step]);
    float s = make_scale(max, 7, 0xffff, inverse);
    if (isnan(s)) return unfit(p, output);
    *scale = (uint16_t)(float_bits(s) >> 16);
    return ATTN_OK;
}

static attn_status write_int4(const packer *p)
{
    const attn_pack_tensor *t = p->t;
    size_t n = t->columns, bytes = (n + 1) / 2, groups = (n + ATTN_I4_GROUP - 1) / ATTN_I4_GROUP;
    memset(p->q, 0x88, p->rows * bytes);
    for (size_t r = 0; r < p->rows; r++)
        for (size_t g = 0; g < groups; g++) {
            size_t first = g * ATTN_I4_GROUP;
            size_t count = n - first < ATTN_I4_GROUP ? n - first : ATTN_I4_GROUP;
            const float *w = p->block + r * n + first;
            float inverse;
            ATTN_TRY(
                scale_group(p, w, count, 1, p->first + r, &p->halves[r * groups + g], &inverse));
            for (size_t i = 0; i < count; i++)
                set_nibble(p->q + r * bytes, (first + i) / 2, i % 2, quantize(w[i], inverse));
        }
    ATTN_TRY(attn_write_at(p->out, t->scale + p->first * groups * 2, p->halves,
                           p->rows * groups * 2, p->err));
    return attn_write_at(p->out, t->data + p->first * bytes, p->q, p->rows * bytes, p->err);
}

/* The block is one group of rows. */
static attn_status write_int4_transposed(const packer *p)
{
    const attn_pack_tensor *t = p->t;
    size_t n = t->columns, pairs = (p->rows + 1) / 2;
    memset(p->q, 0x88, pairs * n);
    for (size_t c = 0; c < n; c++) {
        float inverse;
        ATTN_TRY(scale_group(p, p->block + c, p->rows, n, c, &p->halves[c], &inverse));
        for (size_t i = 0; i < p->rows; i++)
            set_nibble(p->q, i / 2 * n + c, i % 2, quantize(p->block[i * n + c], inverse));
    }
    ATTN_TRY(attn_write_at(p->out, t->scale + p->first / ATTN_I4_GROUP * n * 2, p->halves, n * 2,
                           p->err));
    return attn_write_at(p->out, t->data + p->first / 2 * n, p->q, pairs * n, p->err);
}

static attn_status write_block(const packer *p)
{
    const attn_pack_tensor *t = p->t;
    switch (t->form) {
    case ATTN_PACK_INT8:
        return write_int8(p);
    case ATTN_PACK_INT4:
        return t->transposed ? write_int4_transposed(p) : write_int4(p);
    case ATTN_PACK_BF16:
    case ATTN_PACK_F16:
        return write_halves(p);
    default:
        return attn_write_at(p->out, t->data + p->first * t->columns * sizeof(float), p->block,
                             p->rows * t->columns * sizeof(float), p->err);
    }
}

/* ---- tensors ----------------------------------------------------------------------------- */

static attn_status copy(const attn_pack_tensor *t, const attn_output_file *out, attn_error *err)
{
    const char *from = t->source->data;
    for (size_t at = 0; at < t->source->bytes; at += BLOCK_BYTES) {
        size_t size = t->source->bytes - at < BLOCK_BYTES ? t->source->bytes - at : BLOCK_BYTES;
        ATTN_TRY(attn_write_at(out, t->data + at, from + at, size, err));
        if (t->source->mapping) attn_file_forget(t->source->mapping, from + at, size);
    }
    return ATTN_OK;
}

static void read_block(packer *p)
{
    size_t n = p->t->columns;
    attn_weight_to_f32(p->t->source, p->first * n, p->rows * n, p->block);
}

/* The scales of the columns, from a first pass over all rows. */
static attn_status scale_columns(packer *p, size_t block_rows)
{
    const attn_pack_tensor *t = p->t;
    for (size_t c = 0; c < t->columns; c++) p->scale[c] = 0;
    for (p->first = 0; p->first < t->rows; p->first += p->rows) {
        p->rows = t->rows - p->first < block_rows ? t->rows - p->first : block_rows;
        read_block(p);
        for (size_t i = 0; i < p->rows * t->columns; i++)
            take_max(&p->scale[i % t->columns], p->block[i]);
    }
    for (size_t c = 0; c < t->columns; c++) {
        p->scale[c] = make_scale(p->scale[c], 127, 0xff, &p->inverse[c]);
        if (isnan(p->scale[c])) return unfit(p, c);
    }
    return attn_write_at(p->out, t->scale, p->scale, t->columns * sizeof(float), p->err);
}

static attn_status write_blocks(packer *p, size_t block_rows)
{
    const attn_pack_tensor *t = p->t;
    if (t->form == ATTN_PACK_INT8 && t->transposed) ATTN_TRY(scale_columns(p, block_rows));
    for (p->first = 0; p->first < t->rows; p->first += p->rows) {
        p->rows = t->rows - p->first < block_rows ? t->rows - p->first : block_rows;
        read_block(p);
        ATTN_TRY(write_block(p));
    }
    if (t->form != ATTN_PACK_INT4) return ATTN_OK;
    int64_t shape[ATTN_MAX_RANK];
    for (int i = 0; i < t->source->rank; i++) shape[i] = (int64_t)t->source->dim[i];
    return attn_write_at(p->out, t->shape, shape, (size_t)t->source->rank * sizeof *shape, p->err);
}

attn_status attn_pack_write(const attn_pack_tensor *t, const attn_output_file *out,
                            attn_memory *memory, attn_error *err)
{
    packer p = {.t = t, .out = out, .err = err};
    if (t->form == ATTN_PACK_COPY) return copy(t, out, err);
    if (t->rows == 0 || t->columns == 0) return ATTN_OK;
    size_t rows = BLOCK_BYTES / sizeof(float) / t->columns;
    if (t->form == ATTN_PACK_INT4 && t->transposed) rows = ATTN_I4_GROUP;
    if (rows == 0) rows = 1;
    if (rows > t->rows) rows = t->rows;
    /* block, q, halves, scale, inverse: each at most as many floats as the block or a row of it */
    size_t count = rows * t->columns, side = rows > t->columns ? rows : t->columns;
    size_t bytes = (3 * count + 2 * side) * sizeof(float);
    void *memory_of_all;
    ATTN_TRY(attn_alloc(memory, bytes, "a block of a tensor", &memory_of_all, err));
    p.block = memory_of_all;
    p.scale = p.block + count;
    p.inverse = p.scale + side;
    p.halves = (uint16_t *)(void *)(p.inverse + side);
    p.q = (unsigned char *)(void *)((float *)(void *)p.halves + count);
    attn_status status = write_blocks(&p, rows);
    attn_release(memory, memory_of_all, bytes);
    if (t->source->mapping) attn_file_forget(t->source->mapping, t->source->data, t->source->bytes);
    return status;
}
