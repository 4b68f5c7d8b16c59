/* An ONNX file as a description and its weights. */
#ifndef ATTN_ONNX_IMPORT_H
#define ATTN_ONNX_IMPORT_H

#include "runtime/json.h"
#include "runtime/onnx/ir.h"
#include "runtime/weights/weights.h"

typedef struct attn_onnx_options {
    bool plain;      /* operator by operator: what they spell is not recognised (lift.h) */
    size_t photo[2]; /* as of attn_ir_build */
} attn_onnx_options;

/* Opens the file as attn_weights_open does others: w holds the tensors, which are views into the
 * mapped file wherever that has what layers take, and *root is the description, the caller's
 * (cJSON_Delete). w is zeroed or closed before,
 * and half-open after an error: attn_weights_close. Errors: those of attn_onnx_open;
 * ATTN_BAD_MODEL: operators that attn does not have, or attributes that it cannot carry, with the
 * node; ATTN_LIMIT; ATTN_NO_MEMORY. */
attn_status attn_onnx_import(attn_weights *w, const char *path, const attn_onnx_options *options,
                             attn_memory *memory, cJSON **root, attn_error *err);

/* The folder of an .onnx file, in the arena: what stands before its last slash; but of the hub's
 * "DIR/onnx/model.onnx" DIR, if the config.json is there and not beside the file. */
attn_status attn_onnx_folder(const char *path, attn_arena *arena, const char **folder,
                             attn_error *err);

/* Says in *root what the files beside an ONNX file tell: which inputs are tokens and which a photo,
 * their ranges and defaults, how long a text may be, what the outputs are. config: the config.json,
 * like: the built-in description that it matches; both may be NULL. photos: a
 * preprocessor_config.json is there. */
attn_status attn_onnx_beside(cJSON *root, const cJSON *config, const cJSON *like, bool photos,
                             attn_error *err);

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
