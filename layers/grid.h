/* How a matrix product is cut into tasks: rows of x by panels of w. Each output has its own sum, so
 * no result depends on the cut. */
#ifndef ATTN_LAYERS_GRID_H
#define ATTN_LAYERS_GRID_H

#include <stddef.h>

typedef struct attn_grid {
    size_t rows, panels;
    size_t row_parts, panel_parts; /* tasks: row_parts * panel_parts */
} attn_grid;

/* x: [rows, k], w: [k, panels of `width` columns], all at least 1. Tasks worth their start, of
 * nearly the same size, and as many as keep `workers` busy to the end. */
attn_grid attn_cut_grid(size_t rows, size_t panels, size_t width, size_t k, size_t workers);

/* Where part t of `parts` nearly equal parts of `count` begins; t == parts: the end. */
static inline size_t attn_part(size_t count, size_t parts, size_t t)
{
    size_t more = count % parts;
    return count / parts * t + (t < more ? t : more);
}

#endif
