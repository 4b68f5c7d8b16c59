/* An ONNX file as a description and its weights. */
#ifndef ATTN_ONNX_IMPORT_H
#define ATTN_ONNX_IMPORT_H

#include "runtime/json.h"
#include "runtime/onnx/ir.h"
#include "runtime/weights/weights.h"

/* Opens the file as attn_weights_open does others: w holds the tensors, which are views into the
 * mapped file wherever that has what layers take, and *root is the description, the caller's
 * (cJSON_Delete). lift: what operators spell is recognised (lift.h). w is zeroed or closed before,
 * and half-open after an error: attn_weights_close. Errors: those of attn_onnx_open;
 * ATTN_BAD_MODEL: operators that attn does not have, or attributes that it cannot carry, with the
 * node; ATTN_LIMIT; ATTN_NO_MEMORY. */
attn_status attn_onnx_import(attn_weights *w, const char *path, bool lift, attn_memory *memory,
                             cJSON **root, attn_error *err);

/* The description as text, one layer in a line, as the files of models/ are written; in the arena.
 * NULL: no memory. */
const char *attn_description_text(const cJSON *root, attn_arena *arena, attn_error *err);

/* That text of an imported description; unless it is plain, with groups and short names. */
attn_status attn_imported_text(const cJSON *root, bool plain, attn_arena *arena, const char **text,
                               attn_error *err);

/* ---- parts ----------------------------------------------------------------------------------- */

/* What lowering gives. */
typedef struct attn_lowered {
    cJSON *root; /* the caller's */
    size_t weights;
    attn_weight *weight;
} attn_lowered;

/* The graph as it is now, as a description. keep: for the names and converted data of tensors. */
attn_status attn_lower_graph(attn_ir *ir, attn_arena *keep, attn_lowered *out, attn_error *err);
/* Sets "known" of the inputs whose elements a plan needs. */
attn_status attn_mark_known(cJSON *root, const char *file, attn_memory *memory, attn_error *err);
/* The name that a value has in the last description that was made of its graph; NULL: none. */
const char *attn_lowered_name(const attn_ir *ir, const attn_ir_value *value);

#endif
