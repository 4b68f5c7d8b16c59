/* Weight files: safetensors, one file or shards with an index, and GGUF; mapped, validated in full.
 */
#ifndef ATTN_WEIGHTS_H
#define ATTN_WEIGHTS_H

#include "layers/layer.h"
#include "runtime/base/file.h"
#include "runtime/base/memory.h"

/* A quantised tensor of `attn pack`: element e, in C order, lies in row e / columns; its value is
 * (float)q * scale. models/FORMAT.md has how it lies in the file. */
typedef struct attn_integers {
    int bits;                   /* 8: one scale per output; 4: one per ATTN_I4_GROUP inputs */
    bool grouped;               /* 8 bits: one scale per ATTN_I4_GROUP inputs, too */
    const unsigned char *scale; /* f32, or bf16 for 4 bits; unaligned */
    size_t rows, columns;       /* the first dimension, and the product of the others */
    bool transposed;            /* the columns are the outputs, otherwise the rows are */
} attn_integers;

typedef struct attn_weights {
    attn_precision packed; /* what "attn.dtype" in the metadata says, or ATTN_AS_FILE */
    size_t count;
    attn_weight *list; /* sorted by name */
    size_t files;
    attn_file *file;              /* the mapped files */
    const struct attn_gguf *gguf; /* NULL: safetensors, or imported */
    bool imported;                /* of an ONNX file, and what that holds as external data */
    attn_arena arena;
} attn_weights;

/* Opens `path`: a .gguf file (see gguf.h), a .safetensors file, or an index
 * (model.safetensors.index.json), whose shards must lie in its own folder (a name with a slash, or
 * "..", is refused). Checked before anything is used, as the safetensors library does: header
 * length and its 100 MB limit, JSON, dtype, shape, overflow-free sizes, offsets contiguous and
 * covering the whole buffer, no name twice; for an index: every tensor is in the shard that it
 * says, and every tensor of a shard is in the index. A tensor of another dtype of the format (F64,
 * I8, F8_E4M3 ...) is listed, and refused by attn_weight_check. Errors: ATTN_IO, ATTN_BAD_FILE,
 * ATTN_NO_MEMORY; ATTN_LIMIT: memory, a header over 16 MiB (the format allows 100 MB), a rank over
 * ATTN_MAX_RANK. */
attn_status attn_weights_open(attn_weights *w, const char *path, attn_memory *memory,
                              attn_error *err);
/* Accepts a zeroed or half-open one. */
void attn_weights_close(attn_weights *w);

/* The tensors of one safetensors file in memory, data[0..size), sorted by name; all in the arena,
 * their data in `data`, `file` kept as their file name. The checks of attn_weights_open.
 * packed: set if the file's metadata says so, otherwise left; may be NULL. */
attn_status attn_safetensors_parse(const char *file, const void *data, size_t size,
                                   attn_arena *arena, attn_weight **list, size_t *count,
                                   attn_precision *packed, attn_error *err);

/* By the end of its name. */
bool attn_is_gguf(const char *path);

/* Sorts w->list again, whose names have changed. Errors: ATTN_BAD_FILE: a name stands twice. */
attn_status attn_weights_sort(attn_weights *w, attn_error *err);

/* Finds the quantised tensors of a sorted list, whole with their scales and shapes: sets integers,
 * part_of and, where they do not fit together, problem. */
attn_status attn_weights_pair(attn_weight *list, size_t count, attn_arena *arena, attn_error *err);

/* "f32", "int8", or "F64" of one that attn does not read. */
const char *attn_weight_type(const attn_weight *weight);

/* The names of --dtype: "bf16"; "" of ATTN_AS_FILE. The precision of a name, or ATTN_AS_FILE. */
const char *attn_precision_name(attn_precision precision);
attn_precision attn_precision_named(const char *name);

/* Binary search; NULL if there is none of that name. */
const attn_weight *attn_weights_find(const attn_weights *w, const char *name);

/* To be called before a tensor that was found is used. Errors: ATTN_BAD_MODEL if its dtype is one
 * that attn does not read (weight->unsupported), or if its scales do not fit it. */
attn_status attn_weight_check(const attn_weight *weight, attn_error *err);

/* Converts count elements from element `first` on to f32 (F16, BF16 and quantised ones exactly;
 * integers rounded to nearest). to: no overlap with the file. weight: passed attn_weight_check. */
void attn_weight_to_f32(const attn_weight *weight, size_t first, size_t count, float *to);
/* The same to i32, of a tensor of integers: those that do not fit become the nearest. */
void attn_weight_to_i32(const attn_weight *weight, size_t first, size_t count, int32_t *to);
/* What of the file these elements take need not stay in memory: it is read again when it is used.
 */
void attn_weight_forget(const attn_weight *weight, size_t first, size_t count);
/* The same of everything in the files. */
void attn_weights_forget(const attn_weights *w);
/* IEEE 754 binary16 to binary32, as bits. */
uint32_t attn_half_bits(uint32_t half);
/* attn_weight_to_f32 of a quantised tensor. */
void attn_integers_to_f32(const attn_weight *weight, size_t first, size_t count, float *to);
/* 8 bits: columns [at, at + columns) of the matrix [k, n] whose outputs have the scales, as
 * attn_kernels.pack_blocks takes them in groups of `group` (16 or 32, k is a multiple of 32).
 * first: the element of the tensor that is row 0 of column `at`. */
void attn_integers_split(const attn_weight *weight, size_t first, size_t k, size_t columns,
                         size_t group, int8_t *q, float *scale);

#endif
