/* NumPy .npy files: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html */
#ifndef ATTN_NPY_H
#define ATTN_NPY_H

#include "runtime/base/memory.h"

/* Reads one array (format versions 1.0 to 3.0; little-endian f8 f4 f2 i8 i4 u1 b1, C order) into
 * fresh memory; f8 becomes f32. The caller releases tensor->data by
 * attn_release(memory, tensor->data, *bytes_allocated). On failure data is NULL, *bytes_allocated
 * 0. Errors: ATTN_IO; ATTN_BAD_FILE: malformed, or of another dtype or order; ATTN_LIMIT: memory,
 * more than ATTN_MAX_RANK dimensions; ATTN_NO_MEMORY. */
attn_status attn_npy_read(attn_tensor *tensor, const char *path, attn_memory *memory,
                          size_t *bytes_allocated, attn_error *err);

/* attn_npy_read on a file in memory, data[0..size); file: its name for messages. */
attn_status attn_npy_parse(attn_tensor *tensor, const char *file, const void *data, size_t size,
                           attn_memory *memory, size_t *bytes_allocated, attn_error *err);

/* Writes version 1.0. A failed write leaves no file. Errors: ATTN_IO; ATTN_BAD_ARGUMENT for bf16,
 * which NumPy does not have. */
attn_status attn_npy_write(const char *path, const attn_tensor *tensor, attn_error *err);

#endif
