/* Kept panels: the weights as a CPU's kernels take them, in a file beside the weight file. Mapped
 * instead of packed; used only if it was made from these very weights, for these kernels, and is
 * whole. What is in it is numbers alone: a forged file can give wrong results, nothing else. */
#ifndef ATTN_KEPT_H
#define ATTN_KEPT_H

#include "runtime/model.h"

/* "model.safetensors.avx512-int8.panels", beside the weight file, in the model's arena. NULL: out
 * of memory. The model has weights. */
const char *attn_kept_path(attn_model *model, attn_error *err);

/* Maps and checks the kept panels of a described model: sets model->kept and kept_name; or, if
 * there is a file that cannot be used, model->notice. Errors: only ATTN_NO_MEMORY and ATTN_LIMIT.
 */
attn_status attn_kept_open(attn_model *model, attn_error *err);

/* What is mapped: the memory that attn_params_bind takes. */
const void *attn_kept_panels(const attn_model *model);

/* Writes the panels of an open model, whole or not at all. Errors: ATTN_IO. */
attn_status attn_kept_write(attn_model *model, const char *path, attn_error *err);

#endif
