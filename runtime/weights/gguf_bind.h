/* The "gguf" section of a description (models/FORMAT.md): what a GGUF file's metadata is as config,
 * and what its tensors are called. */
#ifndef ATTN_GGUF_BIND_H
#define ATTN_GGUF_BIND_H

#include "runtime/json.h"
#include "runtime/weights/gguf.h"

/* "general.architecture" as text in the arena. Errors: ATTN_BAD_FILE: missing, or no text; the file
 * is one part of several. */
attn_status attn_gguf_architecture(const attn_gguf *gguf, const char **out, attn_arena *arena,
                                   attn_error *err);

/* Whether the section of the description `root` names the architecture. */
bool attn_gguf_matches(const cJSON *root, const char *architecture);

/* Makes the config of the metadata, *config, for the caller to free (cJSON_Delete), and gives the
 * tensors of w, an opened GGUF file, the names that the description uses. Without a section: no
 * config (NULL), and the file's own names. file: the description's, for messages. Errors:
 * ATTN_BAD_MODEL: the section, or metadata that it needs and that is not there; ATTN_BAD_FILE:
 * values that cannot be; ATTN_NO_MEMORY. */
attn_status attn_gguf_bind(attn_weights *w, const char *file, const cJSON *root, cJSON **config,
                           attn_error *err);

#endif
