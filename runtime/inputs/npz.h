/* NumPy .npz files: a zip archive of .npy files, as numpy.savez and savez_compressed write them. */
#ifndef ATTN_NPZ_H
#define ATTN_NPZ_H

#include "runtime/weights/weights.h"

/* Reads all arrays of the file as tensors of w (f8 becomes f32), by name, closed by
 * attn_weights_close. Errors: ATTN_IO; ATTN_BAD_FILE: no zip archive, entries that are no .npy
 * files, packed in another way than by deflate, damaged, or of one name; ATTN_LIMIT: 4 GB and more,
 * 10,000 arrays and more; ATTN_NO_MEMORY. */
attn_status attn_npz_open(attn_weights *w, const char *path, attn_memory *memory, attn_error *err);

/* By the end of its name. */
bool attn_is_npz(const char *path);

/* The deflated data[0..size), behind whose end some bytes more may stand, into exactly to[0..room)
 * (image_stb.c). */
bool attn_inflate(const void *data, size_t size, void *to, size_t room);

#endif
