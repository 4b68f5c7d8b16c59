/* Heat: numbers on a grid as a smooth layer of colour. */
#ifndef TOOLS_HEAT_H
#define TOOLS_HEAT_H

#include "tools/picture.h"

/* From dark violet over red and orange to pale yellow: lightness rises evenly. */
typedef struct heat_colours {
    rgb at[256];
} heat_colours;

void heat_colours_make(heat_colours *colours);
/* t in [0, 1]. */
rgb heat_colour(const heat_colours *colours, double t);

/* Numbers in [0, 1], 0: little, 1: much. values: [rows, cols], row 0 at the top. */
typedef struct heat_grid {
    const double *values;
    size_t rows, cols;
} heat_grid;

/* Maps values [count] onto [0, 1] in place: the least to 0, the quantile `top` (in (0, 1]) and all
 * above it to 1, so that one extreme does not hide the rest. All alike: all 0.
 * scratch: [count], overwritten. Errors: ATTN_BAD_INPUT if a value is not finite. */
attn_status heat_normalise(double *values, double *scratch, size_t count, double top,
                           attn_error *err);

/* The grid at (u, v), in cells from its top left corner, smoothed between the cells' centres. */
double heat_at(const heat_grid *grid, double u, double v);

/* Lays the grid over `region` of the canvas, the more opaque the hotter; only within clip. */
void heat_overlay(picture *p, picture_rect clip, picture_region region, const heat_grid *grid,
                  const heat_colours *colours);
/* A bar of all colours, from little at the left to much at the right, as heat_overlay shows them
 * over grey, or, if `opaque`, as they are. */
void heat_bar(picture *p, picture_rect rect, const heat_colours *colours, bool opaque);

#endif
