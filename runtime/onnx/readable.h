/* A description that was lowered, made readable: layers that repeat become one group, values get
 * short names. What it computes, and the names of its tensors, stay. */
#ifndef ATTN_ONNX_READABLE_H
#define ATTN_ONNX_READABLE_H

#include "runtime/base/memory.h"
#include "runtime/json.h"

/* Both change `root` in place. arena: for what they need meanwhile. Errors: ATTN_NO_MEMORY. */
attn_status attn_readable_roll(cJSON *root, attn_arena *arena, attn_error *err);
attn_status attn_readable_names(cJSON *root, attn_arena *arena, attn_error *err);

/* ---- what both walk ------------------------------------------------------------------------ */

/* Does the key of a layer name values ("in", "padding", "shape_from")? "out" does not. */
bool attn_readable_reads(const cJSON *layer, const cJSON *item);
/* Does the key name a tensor, or the layer itself? */
bool attn_readable_names_weight(const cJSON *layer, const cJSON *item);

#endif
