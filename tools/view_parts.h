/* What the views share: checks, sizes, colours, legend and title. */
#ifndef TOOLS_VIEW_PARTS_H
#define TOOLS_VIEW_PARTS_H

#include "tools/attention_view.h"
#include "tools/heat.h"

#define VIEW_BACKGROUND ((rgb){22, 22, 27})
#define VIEW_TEXT ((rgb){236, 236, 240})
#define VIEW_FAINT ((rgb){168, 168, 178})

enum {
    VIEW_MARGIN = 24,
    VIEW_TITLE = 3, /* scales of text */
    VIEW_LABEL = 2,
    VIEW_LINE = 34, /* the height of a title with the space below it */
    VIEW_BAR_WIDTH = 120,
};

/* heat_normalise's quantile: a trained ViT has a few background patches that collect attention and
 * would leave the rest dark. */
#define VIEW_TOP 0.985

/* cells: rows * cols. */
attn_status view_check_scene(const view_scene *scene, size_t *cells, attn_error *err);
attn_status view_check_map(const view_scene *scene, const attention_map *map, size_t index,
                           size_t cells, attn_error *err);

/* Two arrays of `cells` numbers, one after the other. */
attn_status view_get_numbers(const view_scene *scene, size_t cells, double **out, attn_error *err);
void view_release_numbers(const view_scene *scene, size_t cells, double *numbers);

/* The share of a query in the model's result; special: the number of tokens before the grid. */
double view_query_share(const view_scene *scene, size_t special, size_t queries, size_t query);
/* view_importance without its checks. */
void view_mix_queries(const view_scene *scene, const attention_map *map, size_t head, size_t cells,
                      double *out);

/* Width and height in pixels of an extent, its longer side as given; each at least 1. */
void view_fit_extent(double width, double height, int side, int *out_width, int *out_height);

/* "little [bar] much attention", its right end at `right`. */
void view_draw_legend(picture *p, int right, int y, const heat_colours *colours);
int view_legend_width(void);
/* title may be NULL. */
void view_draw_title(picture *p, int x, int y, int width, const char *title);

static inline int view_larger(int a, int b)
{
    return a > b ? a : b;
}
static inline int view_smaller(int a, int b)
{
    return a < b ? a : b;
}

#endif
