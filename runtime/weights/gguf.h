/* GGUF, the weight container of ggml: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
 *
 *   [ "GGUF" | version u32 | tensors u64 | entries u64 | entries | tensor list | padding | data ]
 *   text    length u64, so many bytes
 *   entry   key (text), type u32, value; an array: element type u32, count u64, elements
 *   tensor  name (text), rank u32, sizes u64 (the last dimension first), type u32, offset u64
 *
 * Versions 2 and 3, little-endian. The data, and each tensor in it, is aligned to
 * "general.alignment" (32 without it). Sizes are turned round here: attn_weight.dim is in C order.
 *
 * Types F32, F16, BF16, I64 and I32 are elements; others are blocks, each of which stands for some
 * elements of one row, in order. d, m: f16. Formulas in f32, each operation rounded; a run of bits
 * starts at the lowest of the first byte unless shown otherwise.
 *
 *   Q4_0   32 in 18 bytes   d, q[16]: element j is d * (low half of q[j] - 8), j + 16 the high half
 *   Q4_1   32 in 20         d, m, q[16]: d * q + m, halves as in Q4_0
 *   Q5_0   32 in 22         d, h[4], q[16]: d * (q + 16 * bit j of h - 16)
 *   Q5_1   32 in 24         d, m, h[4], q[16]: d * (q + 16 * bit) + m
 *   Q8_0   32 in 34         d, q[32] signed: q * d
 *   Q2_K  256 in 84         s[16], q[64], d, m: in groups of 16, (d * low half of s) * q - m * high
 * half Q3_K  256 in 110        h[32], q[64], s[12], d: in groups of 16, (d * (s - 32)) * (q - 4 *
 * not h) Q4_K  256 in 144        d, m, s[12], q[128]: in groups of 32, (d * scale) * q - m *
 * minimum Q5_K  256 in 176        d, m, s[12], h[32], q[128]: the same, q with a fifth bit Q6_K 256
 * in 210        l[128], h[64], s[16] signed, d: in groups of 16, (d * s) * (q - 32)
 *
 * gguf_blocks.c shows where the bits of the last five lie. */
#ifndef ATTN_GGUF_H
#define ATTN_GGUF_H

#include "runtime/weights/weights.h"

/* ---- blocks ------------------------------------------------------------------------------- */

typedef enum attn_block_kind {
    ATTN_BLOCK_Q4_0,
    ATTN_BLOCK_Q4_1,
    ATTN_BLOCK_Q5_0,
    ATTN_BLOCK_Q5_1,
    ATTN_BLOCK_Q8_0,
    ATTN_BLOCK_Q2_K,
    ATTN_BLOCK_Q3_K,
    ATTN_BLOCK_Q4_K,
    ATTN_BLOCK_Q5_K,
    ATTN_BLOCK_Q6_K,
    ATTN_BLOCK_KINDS,
} attn_block_kind;

enum { ATTN_BLOCK_MAX = 256 }; /* elements of a block */

/* What attn_weight.blocks points to. */
typedef struct attn_blocks {
    attn_block_kind kind;
    const char *name;       /* "Q4_0" */
    size_t elements, bytes; /* of a block */
    attn_panel_type panel;  /* what takes the integers as they are; F32: none does */
    /* One block, as attn_blocks_split has it; or, if no panels take it, as floats. */
    void (*split)(const unsigned char *block, int8_t *q, float *scale, float *minimum);
    void (*widen)(const unsigned char *block, float *to);
} attn_blocks;

extern const attn_blocks attn_block_types[ATTN_BLOCK_KINDS];

/* attn_weight_to_f32 of a tensor in blocks. */
void attn_blocks_to_f32(const attn_weight *weight, size_t first, size_t count, float *to);

/* The same as integers, and a scale and a minimum for each group of blocks->panel; minimum: room
 * for as many, whether or not the kind has them. Whole blocks, of a kind that has panels. */
void attn_blocks_split(const attn_weight *weight, size_t first, size_t count, int8_t *q,
                       float *scale, float *minimum);

/* ---- metadata ----------------------------------------------------------------------------- */

/* The format's numbers. */
typedef enum attn_gguf_type {
    ATTN_GGUF_U8,
    ATTN_GGUF_I8,
    ATTN_GGUF_U16,
    ATTN_GGUF_I16,
    ATTN_GGUF_U32,
    ATTN_GGUF_I32,
    ATTN_GGUF_F32,
    ATTN_GGUF_BOOL,
    ATTN_GGUF_TEXT,
    ATTN_GGUF_ARRAY,
    ATTN_GGUF_U64,
    ATTN_GGUF_I64,
    ATTN_GGUF_F64,
    ATTN_GGUF_TYPES,
} attn_gguf_type;

/* Bytes of an element, 0 of a text and an array; "u32", "a text". */
size_t attn_gguf_size(attn_gguf_type type);
const char *attn_gguf_type_name(attn_gguf_type type);

/* An entry; data points into the file. */
typedef struct attn_gguf_value {
    const char *key;
    attn_gguf_type type;
    attn_gguf_type element;    /* of an array; otherwise type */
    uint64_t count;            /* elements of an array; otherwise 1 */
    const unsigned char *data; /* the first element */
} attn_gguf_value;

typedef struct attn_gguf {
    const char *file; /* for messages */
    unsigned version;
    size_t count;
    const attn_gguf_value *value; /* sorted by key */
    size_t header;                /* bytes before the data */
} attn_gguf;

/* Reads the file in data[0..size), all in the arena: the metadata, and the tensors, sorted by name,
 * whose data stays where it is; `file` is kept. Everything is checked before anything is used:
 * counts, lengths and offsets against the file's size, sizes for overflow, keys and names for
 * UTF-8 and for standing twice, types, arrays in arrays (to a depth of 4), alignment, and that the
 * tensors lie one after another, as ggml demands. A tensor of another type of the format (IQ2_XS,
 * Q8_K ...) is listed, and refused by attn_weight_check. Errors: ATTN_BAD_FILE, ATTN_NO_MEMORY;
 * ATTN_LIMIT: a rank over 4, a name over 255 or a key over 65535 bytes. */
attn_status attn_gguf_parse(const char *file, const void *data, size_t size, attn_arena *arena,
                            attn_gguf *gguf, attn_weight **list, size_t *count, attn_error *err);

/* NULL if there is none. */
const attn_gguf_value *attn_gguf_find(const attn_gguf *gguf, const char *key);

/* One element, walked through in order: *at starts as value->data and moves on. */
typedef struct attn_gguf_item {
    const char *text; /* TEXT: of `length` bytes, not terminated */
    size_t length;
    double number; /* numbers; BOOL: 0 or 1 */
} attn_gguf_item;
/* False: an element that is an array. */
bool attn_gguf_next(const attn_gguf_value *value, const unsigned char **at, attn_gguf_item *item);

/* The value as JSON; arrays of texts, numbers or flags too. Errors: ATTN_NO_MEMORY; ATTN_BAD_FILE:
 * an array of arrays or of more than `most` elements, a text that is no UTF-8 or has a zero byte, a
 * number that is not finite. The caller frees *out (cJSON_Delete). */
struct cJSON;
attn_status attn_gguf_json(const attn_gguf *gguf, const attn_gguf_value *value, size_t most,
                           struct cJSON **out, attn_error *err);

#endif
