#include "tools/rollout.h"
#include "tools/view_parts.h"

#include <math.h>
#include <string.h>

/* ---- heat map ---------------------------------------------------------------------------------
 */

/* Darkens what the model did not see of the photo, pales what it saw, and lays the heat over it.
 * panel: where the whole photo is drawn. */
static void draw_attention(picture *p, picture_rect panel, const view_scene *scene,
                           const heat_grid *grid, const heat_colours *colours)
{
    double across = panel.width / (double)scene->photo.width;
    double down = panel.height / (double)scene->photo.height;
    picture_region region = {panel.x + scene->seen.x * across, panel.y + scene->seen.y * down,
                             scene->seen.width * across, scene->seen.height * down};
    int right = panel.x + panel.width, bottom = panel.y + panel.height;
    int x0 = (int)picture_clamp(round(region.x), panel.x, right);
    int y0 = (int)picture_clamp(round(region.y), panel.y, bottom);
    int x1 = (int)picture_clamp(round(region.x + region.width), panel.x, right);
    int y1 = (int)picture_clamp(round(region.y + region.height), panel.y, bottom);
    picture_rect seen = {x0, y0, x1 - x0, y1 - y0};
    const picture_rect unseen[4] = {{panel.x, panel.y, panel.width, y0 - panel.y},
                                    {panel.x, y1, panel.width, bottom - y1},
                                    {panel.x, y0, x0 - panel.x, y1 - y0},
                                    {x1, y0, right - x1, y1 - y0}};
    for (int i = 0; i < 4; i++) picture_mute(p, unseen[i], 0.15, 16, 84);
    picture_mute(p, seen, 0.3, 40, 235);
    heat_overlay(p, seen, region, grid, colours);
}

typedef struct heatmap_layout {
    picture_rect photo, heat;
    int width, height, title, caption; /* caption: y of the last line */
} heatmap_layout;

static heatmap_layout lay_out_heatmap(const view_scene *scene, bool has_title)
{
    enum { SMALLEST = 440, LARGEST = 720, NARROWEST = 640 };
    heatmap_layout out = {.title = VIEW_MARGIN};
    double width = (double)scene->photo.width, height = (double)scene->photo.height;
    int side = (int)picture_clamp(fmax(width, height), SMALLEST, LARGEST), w, h;
    view_fit_extent(width, height, side, &w, &h);
    bool stacked = w > 2 * h;
    int top = VIEW_MARGIN + (has_title ? VIEW_LINE + 8 : 0);
    int content = stacked ? w : 2 * w + VIEW_MARGIN;
    out.width = view_larger(content + 2 * VIEW_MARGIN, NARROWEST);
    int left = (out.width - content) / 2;
    out.photo = (picture_rect){left, top, w, h};
    out.heat = stacked ? (picture_rect){left, top + h + VIEW_MARGIN / 2, w, h}
                       : (picture_rect){left + w + VIEW_MARGIN, top, w, h};
    out.caption = out.heat.y + h + 14;
    out.height = out.caption + 9 * VIEW_LABEL + VIEW_MARGIN - 6;
    return out;
}

static attn_status draw_heatmap(picture *p, const view_scene *scene, const heat_grid *grid,
                                const heatmap_layout *layout, const char *title, attn_error *err)
{
    heat_colours colours;
    heat_colours_make(&colours);
    picture_region whole = {0, 0, (double)scene->photo.width, (double)scene->photo.height};
    picture panel;
    picture_rect rect = {0, 0, layout->photo.width, layout->photo.height};
    attn_status status = picture_open(&panel, scene->memory, (size_t)rect.width,
                                      (size_t)rect.height, VIEW_BACKGROUND, err);
    if (status == ATTN_OK) status = picture_scale(&panel, rect, &scene->photo, whole, err);
    if (status == ATTN_OK) {
        picture_blit(p, layout->photo.x, layout->photo.y, &panel);
        draw_attention(&panel, rect, scene, grid, &colours);
        picture_blit(p, layout->heat.x, layout->heat.y, &panel);
        int right = view_larger(layout->heat.x + layout->heat.width, layout->width - VIEW_MARGIN);
        view_draw_legend(p, right, layout->caption, &colours);
        view_draw_title(p, VIEW_MARGIN, layout->title, layout->width - 2 * VIEW_MARGIN, title);
    }
    picture_close(&panel);
    return status;
}

attn_status view_heatmap(const char *path, const view_scene *scene, const double *importance,
                         const char *title, attn_error *err)
{
    size_t cells;
    double *numbers;
    if (title && !title[0]) title = NULL;
    ATTN_TRY(view_check_scene(scene, &cells, err));
    ATTN_TRY(view_get_numbers(scene, cells, &numbers, err));
    memcpy(numbers, importance, cells * sizeof *numbers);
    heatmap_layout layout = lay_out_heatmap(scene, title != NULL);
    heat_grid grid = {numbers, scene->rows, scene->cols};
    picture p = {0};
    attn_status status = heat_normalise(numbers, numbers + cells, cells, VIEW_TOP, err);
    if (status == ATTN_OK)
        status = picture_open(&p, scene->memory, (size_t)layout.width, (size_t)layout.height,
                              VIEW_BACKGROUND, err);
    if (status == ATTN_OK) status = draw_heatmap(&p, scene, &grid, &layout, title, err);
    if (status == ATTN_OK) status = picture_write_png(&p, path, err);
    picture_close(&p);
    view_release_numbers(scene, cells, numbers);
    return status;
}

attn_status view_rollout(const char *path, const view_scene *scene, const attention_map *maps,
                         size_t count, const char *title, attn_error *err)
{
    size_t cells, bytes;
    ATTN_TRY(view_check_scene(scene, &cells, err));
    if (count == 0) return attn_fail(err, ATTN_BAD_INPUT, "rollout: the model has no attention");
    for (size_t i = 0; i < count; i++) ATTN_TRY(view_check_map(scene, &maps[i], i, cells, err));
    size_t tokens = maps[0].keys;
    if (scene->pooling && scene->tokens != tokens)
        return attn_fail(err, ATTN_BAD_INPUT,
                         "rollout: the final pooling has %zu weights, the model %zu tokens",
                         scene->tokens, tokens);
    if (!attn_mul(tokens, 2 * sizeof(double), &bytes))
        return attn_fail(err, ATTN_LIMIT, "rollout: %zu tokens are too many", tokens);
    void *memory;
    ATTN_TRY(attn_alloc(scene->memory, bytes, "rollout", &memory, err));
    double *from = memory, *reach = from + tokens;
    for (size_t i = 0; i < tokens; i++)
        from[i] = view_query_share(scene, tokens - cells, tokens, i);
    attn_status status = rollout(scene->memory, maps, count, tokens, from, reach, err);
    if (status == ATTN_OK) status = view_heatmap(path, scene, reach + (tokens - cells), title, err);
    attn_release(scene->memory, memory, bytes);
    return status;
}
