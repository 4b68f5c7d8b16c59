/* What a model attended to, as PNG pictures.
 *
 * view_heatmap   the photo beside the same photo with one map laid over it
 * view_rollout   the same with attention rollout: the summary of all layers
 * view_sheet     all layers (rows) and heads (columns) as small pictures
 * view_reading   a text that was read in the photo: each character with what its query attended to
 * view_matrix    one map as a matrix, for inputs that are no image
 *
 * Errors of all: ATTN_BAD_INPUT (maps, grid and photo do not fit together; nothing to show; a value
 * that is not finite), ATTN_LIMIT (a picture too large), ATTN_NO_MEMORY, ATTN_IO. Texts are shown
 * in ASCII; title may be NULL. */
#ifndef TOOLS_ATTENTION_VIEW_H
#define TOOLS_ATTENTION_VIEW_H

#include "tools/attention_map.h"
#include "tools/picture.h"

typedef struct view_scene {
    attn_memory *memory;
    picture_photo photo;
    picture_region seen;  /* what the model saw of the photo, in its pixels */
    size_t rows, cols;    /* the grid of patches; tokens before it (CLS ...) are special */
    const float *pooling; /* [tokens] weights of a final attention pooling; NULL: CLS or mean */
    size_t tokens;        /* length of pooling */
} view_scene;

#define VIEW_ALL_HEADS ((size_t)-1)

/* The attention that the model's result pays to each patch in one map: out [rows * cols]. The
 * queries are mixed by the pooling weights if there are any; else it is the first token's (CLS)
 * row; without special tokens the mean over queries. head VIEW_ALL_HEADS: the mean over heads. */
attn_status view_importance(const view_scene *scene, const attention_map *map, size_t head,
                            double *out, attn_error *err);

/* importance: [rows * cols], any scale. */
attn_status view_heatmap(const char *path, const view_scene *scene, const double *importance,
                         const char *title, attn_error *err);
attn_status view_rollout(const char *path, const view_scene *scene, const attention_map *maps,
                         size_t count, const char *title, attn_error *err);
attn_status view_sheet(const char *path, const view_scene *scene, const attention_map *maps,
                       size_t count, const char *title, attn_error *err);
typedef struct view_character {
    const char *text;
    size_t row; /* the query of the map */
    double probability;
} view_character;
/* The scene has no pooling. */
attn_status view_reading(const char *path, const view_scene *scene, const attention_map *map,
                         const view_character *character, size_t count, const char *title,
                         attn_error *err);
/* query_labels: [queries], key_labels: [keys]; NULL: numbers. */
attn_status view_matrix(const char *path, attn_memory *memory, const attention_map *map,
                        size_t head, const char *const *query_labels, const char *const *key_labels,
                        const char *title, attn_error *err);

#endif
