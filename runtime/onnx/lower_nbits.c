/* com.microsoft MatMulNBits: x W^T, where W [N, K] lies in blocks of integers of 2, 4 or 8 bits
 * with a scale, and a zero point, each. The weight is made floats of; --dtype int4 or int8 packs
 * them. */
#include "runtime/onnx/lower_state.h"

typedef struct blocks {
    size_t rows, columns, size, bits, per_row; /* W: [rows, columns]; per_row blocks of `size` */
    const attn_onnx_tensor *codes, *scales, *zeros; /* zeros may be NULL */
} blocks;

/* Number i of those that lie from byte `first` on, the lowest bits first. */
static int64_t code_at(const blocks *b, const attn_onnx_tensor *t, size_t first, size_t i)
{
    size_t each = 8 / b->bits;
    int64_t byte = attn_tensor_int(t, first + i / each) & 0xff;
    return byte >> (i % each * b->bits) & ((1 << b->bits) - 1);
}

static double zero_at(const blocks *b, size_t row, size_t block)
{
    if (!b->zeros) return 1 << (b->bits - 1);
    if (attn_onnx_is_float(b->zeros->type))
        return attn_tensor_float(b->zeros, row * b->per_row + block);
    return (double)code_at(b, b->zeros, row * ((b->per_row * b->bits + 7) / 8), block);
}

static attn_status read_blocks(attn_lower *l, const attn_ir_node *node, blocks *b)
{
    const attn_ir_value *in[] = {attn_ir_in(node, 1), attn_ir_in(node, 2), attn_ir_in(node, 3)};
    int64_t n = attn_ir_int(node, "N", 0), k = attn_ir_int(node, "K", 0);
    int64_t bits = attn_ir_int(node, "bits", 4), size = attn_ir_int(node, "block_size", 0);
    size_t codes, scales;
    if (!attn_ir_in(node, 0) || !in[0] || !in[0]->constant || !in[1] || !in[1]->constant ||
        (in[2] && !in[2]->constant) || attn_ir_in(node, 4))
        return attn_lower_fail(l, node, "constant weights and scales without g_idx are needed");
    if ((bits != 2 && bits != 4 && bits != 8) || n < 1 || k < 1 || size < 8 || n > INT32_MAX ||
        k > INT32_MAX || size > INT32_MAX || size % 8)
        return attn_lower_fail(l, node, "%lld bits in blocks of %lld of [%lld, %lld]",
                               (long long)bits, (long long)size, (long long)n, (long long)k);
    *b = (blocks){
        .rows = (size_t)n, .columns = (size_t)k, .size = (size_t)size, .bits = (size_t)bits};
    b->per_row = (b->columns - 1) / b->size + 1;
    b->codes = in[0]->constant;
    b->scales = in[1]->constant;
    b->zeros = in[2] ? in[2]->constant : NULL;
    size_t zeros = b->zeros && attn_onnx_is_float(b->zeros->type) ? b->per_row
                                                                  : (b->per_row * b->bits + 7) / 8;
    if (!attn_mul(b->rows, b->per_row, &scales) ||
        !attn_mul(scales, b->size / 8 * b->bits, &codes) || b->codes->count != codes ||
        b->scales->count != scales || (b->zeros && b->zeros->count != b->rows * zeros))
        return attn_lower_fail(l, node, "the weight has %zu bytes and %zu scales, which do not fit",
                               b->codes->count, b->scales->count);
    return ATTN_OK;
}

static attn_status lower_matmul_nbits(attn_lower *l, const attn_ir_node *node)
{
    blocks b = {0};
    size_t count;
    ATTN_TRY(read_blocks(l, node, &b));
    if (!attn_mul(b.rows, b.columns, &count)) return attn_lower_fail(l, node, "it is too large");
    float *w = attn_arena_get(l->ir->arena, count, sizeof *w, l->err);
    if (!w) return ATTN_NO_MEMORY;
    for (size_t row = 0; row < b.rows; row++)
        for (size_t i = 0; i < b.columns; i++) {
            size_t block = i / b.size, index = row * b.per_row + block;
            int64_t code = code_at(&b, b.codes, index * (b.size / 8 * b.bits), i % b.size);
            w[row * b.columns + i] = (float)(((double)code - zero_at(&b, row, block)) *
                                             attn_tensor_float(b.scales, index));
        }
    attn_ir_value *weight =
        attn_ir_new_floats(l->ir, node->in[1]->name, w, 2, (const size_t[]){b.rows, b.columns});
    if (!weight) return ATTN_NO_MEMORY;
    const char *x = attn_lower_value(l, node->in[0]);
    attn_ir_value *bias = attn_ir_in(node, 5);
    cJSON *layer = attn_lower_layer(l, node, "linear");
    attn_lower_in_name(l, layer, x);
    attn_lower_out(l, layer, attn_ir_out(node, 0));
    ATTN_TRY(attn_lower_weight(l, node, layer, "weight", weight, ".weight"));
    return attn_lower_bias(l, node, layer, bias);
}

const attn_lowering attn_lowerings_nbits[] = {
    {"MatMulNBits", "com.microsoft", lower_matmul_nbits, NULL},
    {NULL, NULL, NULL, NULL},
};
