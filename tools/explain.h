/* Attention maps of a session's last run, as pictures. */
#ifndef TOOLS_EXPLAIN_H
#define TOOLS_EXPLAIN_H

#include "tools/cli.h"

/* The one-picture summary: the photo, beside it the photo with what the result rests on (attention
 * rollout over all layers, or the last attention where layers are not of one size). The session has
 * keep_attention and has run. */
attn_status explain_heatmap(const attn_session *session, const char *photo, const char *title,
                            const char *path, attn_error *err);

/* The photo, and each of the `count` characters that the model read in it with what it was read
 * from: of the last attention that has as many queries as the text has rows. */
attn_status explain_reading(const attn_session *session, const char *photo,
                            const attn_character *character, size_t count, size_t rows,
                            const char *title, const char *path, attn_error *err);

/* All pictures of a photo into an existing folder: rollout.png, layers.png (each layer and head).
 * Of other inputs: one matrix per attention map. written: called with each file's path. */
attn_status explain_all(const attn_session *session, const char *photo, const char *title,
                        const char *folder, void (*written)(const char *path), attn_error *err);

#endif
