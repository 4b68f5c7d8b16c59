/* Weight files: safetensors, one file or shards with an index; mapped, validated in full. */
#ifndef ATTN_WEIGHTS_H
#define ATTN_WEIGHTS_H

#include "layers/layer.h"
#include "runtime/base/file.h"
#include "runtime/base/memory.h"

typedef struct attn_weights {
    size_t count;
    attn_weight *list; /* sorted by name */
    size_t files;
    attn_file *file; /* the mapped files */
    attn_arena arena;
} attn_weights;

/* Opens `path`: a .safetensors file, or an index (model.safetensors.index.json), whose shards must
 * lie in its own folder (a name with a slash, or "..", is refused). Checked before anything is
 * used, as the safetensors library does: header length and its 100 MB limit, JSON, dtype, shape,
 * overflow-free sizes, offsets contiguous and covering the whole buffer, no name twice; for an
 * index: every tensor is in the shard that it says, and none is missing. */
attn_status attn_weights_open(attn_weights *w, const char *path, attn_memory *memory,
                              attn_error *err);
/* Accepts a zeroed or half-open one. */
void attn_weights_close(attn_weights *w);
/* Binary search; NULL if there is none of that name. */
const attn_weight *attn_weights_find(const attn_weights *w, const char *name);

/* Converts count elements from element `first` on to f32 (F16, BF16 exactly; integers rounded to
 * nearest). to: no overlap with the file. */
void attn_weight_to_f32(const attn_weight *weight, size_t first, size_t count, float *to);

#endif
