#include "tools/view_parts.h"

#include <math.h>
#include <string.h>

/* ---- checks -----------------------------------------------------------------------------------
 */

attn_status view_check_scene(const view_scene *scene, size_t *cells, attn_error *err)
{
    const picture_photo *photo = &scene->photo;
    const picture_region *seen = &scene->seen;
    size_t dim[3] = {photo->height, photo->width, 3}, bytes;
    if (!photo->pixels || !attn_product(dim, 3, &bytes) || bytes == 0)
        return attn_fail(err, ATTN_BAD_INPUT, "a photo of %zu x %zu pixels cannot be shown",
                         photo->width, photo->height);
    double limit = 1e9; /* far beyond every photo, and exact in all that follows */
    if (!(seen->width > 0 && seen->height > 0 && seen->width < limit && seen->height < limit &&
          seen->x > -limit && seen->y > -limit && seen->x < (double)photo->width &&
          seen->y < (double)photo->height && seen->x + seen->width > 0 &&
          seen->y + seen->height > 0))
        return attn_fail(err, ATTN_BAD_INPUT,
                         "the part that the model saw, %g x %g at (%g, %g), does not lie on the "
                         "photo of %zu x %zu",
                         seen->width, seen->height, seen->x, seen->y, photo->width, photo->height);
    if (!attn_mul(scene->rows, scene->cols, cells) || *cells == 0 || *cells > PICTURE_MAX_PIXELS)
        return attn_fail(err, ATTN_BAD_INPUT, "a grid of %zu x %zu patches cannot be shown",
                         scene->rows, scene->cols);
    return ATTN_OK;
}

attn_status view_check_map(const view_scene *scene, const attention_map *map, size_t index,
                           size_t cells, attn_error *err)
{
    ATTN_TRY(attention_map_check(map, index, err));
    const char *name = map->name ? map->name : "unnamed";
    if (map->keys < cells)
        return attn_fail(err, ATTN_BAD_INPUT,
                         "attention map %zu (%s) has %zu keys, fewer than the grid of %zu x %zu "
                         "patches",
                         index, name, map->keys, scene->rows, scene->cols);
    if (scene->pooling && scene->tokens != map->queries)
        return attn_fail(err, ATTN_BAD_INPUT,
                         "attention map %zu (%s) has %zu queries, but the final pooling has %zu "
                         "weights",
                         index, name, map->queries, scene->tokens);
    return ATTN_OK;
}

attn_status view_get_numbers(const view_scene *scene, size_t cells, double **out, attn_error *err)
{
    void *memory;
    ATTN_TRY(attn_alloc(scene->memory, cells * 2 * sizeof(double), "importance", &memory, err));
    *out = memory;
    return ATTN_OK;
}

void view_release_numbers(const view_scene *scene, size_t cells, double *numbers)
{
    attn_release(scene->memory, numbers, cells * 2 * sizeof(double));
}

double view_query_share(const view_scene *scene, size_t special, size_t queries, size_t query)
{
    if (scene->pooling) return scene->pooling[query];
    if (special > 0) return query == 0;
    return 1 / (double)queries;
}

void view_mix_queries(const view_scene *scene, const attention_map *map, size_t head, size_t cells,
                      double *out)
{
    size_t special = map->keys - cells;
    size_t first = head == VIEW_ALL_HEADS ? 0 : head;
    size_t last = head == VIEW_ALL_HEADS ? map->heads : head + 1;
    memset(out, 0, cells * sizeof *out);
    for (size_t h = first; h < last; h++) {
        for (size_t query = 0; query < map->queries; query++) {
            double share =
                view_query_share(scene, special, map->queries, query) / (double)(last - first);
            if (share == 0) continue;
            const float *row = map->weights + (h * map->queries + query) * map->keys + special;
            for (size_t i = 0; i < cells; i++) out[i] += share * row[i];
        }
    }
}

attn_status view_importance(const view_scene *scene, const attention_map *map, size_t head,
                            double *out, attn_error *err)
{
    size_t cells;
    ATTN_TRY(view_check_scene(scene, &cells, err));
    ATTN_TRY(view_check_map(scene, map, 0, cells, err));
    if (head != VIEW_ALL_HEADS && head >= map->heads)
        return attn_fail(err, ATTN_BAD_ARGUMENT, "attention map %s has %zu heads, no head %zu",
                         map->name ? map->name : "unnamed", map->heads, head);
    view_mix_queries(scene, map, head, cells, out);
    return ATTN_OK;
}

/* ---- parts ------------------------------------------------------------------------------------
 */

static const char LITTLE[] = "little", MUCH[] = "much attention";
enum { BAR_GAP = 8 };

int view_legend_width(void)
{
    return picture_text_width(LITTLE, VIEW_LABEL) + BAR_GAP + VIEW_BAR_WIDTH + BAR_GAP +
           picture_text_width(MUCH, VIEW_LABEL);
}

void view_draw_legend(picture *p, int right, int y, const heat_colours *colours)
{
    int x = right - view_legend_width();
    picture_text(p, x, y, VIEW_LABEL, VIEW_FAINT, LITTLE);
    x += picture_text_width(LITTLE, VIEW_LABEL) + BAR_GAP;
    heat_bar(p, (picture_rect){x, y - 1, VIEW_BAR_WIDTH, 7 * VIEW_LABEL + 2}, colours, false);
    x += VIEW_BAR_WIDTH + BAR_GAP;
    picture_text(p, x, y, VIEW_LABEL, VIEW_FAINT, MUCH);
}

void view_draw_title(picture *p, int x, int y, int width, const char *title)
{
    if (!title) return;
    char line[512];
    int scale = picture_text_width(title, VIEW_TITLE) <= width ? VIEW_TITLE : VIEW_LABEL;
    picture_text_fit(title, scale, width, line, sizeof line);
    picture_text(p, x, y, scale, VIEW_TEXT, line);
}

void view_fit_extent(double width, double height, int side, int *out_width, int *out_height)
{
    double scale = side / fmax(width, height);
    *out_width = view_larger(1, (int)(width * scale + 0.5));
    *out_height = view_larger(1, (int)(height * scale + 0.5));
}
