/* What each character of a text was read from: the photo, and below it, for each character, the
 * part that the model saw with its query's attention over it. */
#include "tools/view_parts.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/*  title
 *  [photo]
 *  [tile] [tile] [tile]
 *  A 99 % B 98 %  ...
 *          little [bar] much attention */
typedef struct reading_layout {
    picture_rect photo;
    int columns, rows, tile_width, tile_height, left, top, label;
    int width, height;
} reading_layout;

enum { GAP = 10, MOST = 512 };

static reading_layout lay_out(const view_scene *scene, size_t count, bool has_title)
{
    enum { WIDTH = 1000, TILE = 96, NARROWEST = 180, PHOTO = 320, SMALLEST = 200 };
    reading_layout out = {.label = 9 * VIEW_LABEL + 6};
    double ratio = picture_clamp(scene->seen.width / scene->seen.height, 0.125, 40);
    int width = (int)picture_clamp(TILE * ratio, NARROWEST, WIDTH);
    out.tile_width = width;
    out.tile_height = view_larger(1, (int)(width / ratio + 0.5));
    out.columns = view_larger(1, view_smaller((int)count, (WIDTH + GAP) / (width + GAP)));
    out.rows = ((int)count + out.columns - 1) / out.columns;
    int content = out.columns * (width + GAP) - GAP;
    double photo_width = (double)scene->photo.width, photo_height = (double)scene->photo.height;
    int side = (int)picture_clamp(fmax(photo_width, photo_height), SMALLEST, PHOTO);
    if (photo_width > 4 * photo_height) side = view_larger(content, PHOTO);
    int top = VIEW_MARGIN + (has_title ? VIEW_LINE + 8 : 0);
    out.photo = (picture_rect){VIEW_MARGIN, top, 0, 0};
    view_fit_extent(photo_width, photo_height, side, &out.photo.width, &out.photo.height);
    out.left = VIEW_MARGIN;
    out.top = top + out.photo.height + VIEW_MARGIN;
    content = view_larger(view_larger(content, out.photo.width), view_legend_width());
    out.width = content + 2 * VIEW_MARGIN;
    out.height =
        out.top + out.rows * (out.tile_height + out.label + GAP) + 9 * VIEW_LABEL + VIEW_MARGIN;
    return out;
}

/* numbers: two arrays of `cells`, which begin with the attention of one row. */
static attn_status take_row(const attention_map *map, size_t row, size_t cells, double *numbers,
                            attn_error *err)
{
    size_t special = map->keys - cells;
    memset(numbers, 0, cells * sizeof *numbers);
    for (size_t h = 0; h < map->heads; h++) {
        const float *weights = map->weights + (h * map->queries + row) * map->keys + special;
        for (size_t i = 0; i < cells; i++) numbers[i] += (double)weights[i] / (double)map->heads;
    }
    return heat_normalise(numbers, numbers + cells, cells, VIEW_TOP, err);
}

static attn_status draw_tiles(picture *p, const picture *tile, const reading_layout *layout,
                              const view_scene *scene, const attention_map *map,
                              const view_character *character, size_t count, size_t cells,
                              double *numbers, const heat_colours *colours, attn_error *err)
{
    heat_grid grid = {numbers, scene->rows, scene->cols};
    for (size_t i = 0; i < count; i++) {
        char label[64];
        int row = (int)i / layout->columns, column = (int)i % layout->columns;
        picture_rect rect = {layout->left + column * (layout->tile_width + GAP),
                             layout->top + row * (layout->tile_height + layout->label + GAP),
                             tile->width, tile->height};
        picture_region region = {rect.x, rect.y, rect.width, rect.height};
        ATTN_TRY(take_row(map, character[i].row, cells, numbers, err));
        picture_blit(p, rect.x, rect.y, tile);
        heat_overlay(p, rect, region, &grid, colours);
        snprintf(label, sizeof label, "%.40s  %.0f %%", character[i].text,
                 100 * character[i].probability);
        picture_text(p, rect.x, rect.y + rect.height + 6, VIEW_LABEL, VIEW_TEXT, label);
    }
    return ATTN_OK;
}

static attn_status draw(picture *p, const reading_layout *layout, const view_scene *scene,
                        const attention_map *map, const view_character *character, size_t count,
                        size_t cells, double *numbers, const char *title, attn_error *err)
{
    heat_colours colours;
    heat_colours_make(&colours);
    picture tile;
    picture_rect all = {0, 0, layout->tile_width, layout->tile_height};
    picture_region whole = {0, 0, (double)scene->photo.width, (double)scene->photo.height};
    attn_status status = picture_open(&tile, scene->memory, (size_t)all.width, (size_t)all.height,
                                      (rgb){0, 0, 0}, err);
    if (status == ATTN_OK) status = picture_scale(&tile, all, &scene->photo, scene->seen, err);
    if (status == ATTN_OK) status = picture_scale(p, layout->photo, &scene->photo, whole, err);
    if (status == ATTN_OK) {
        view_draw_title(p, VIEW_MARGIN, VIEW_MARGIN, p->width - 2 * VIEW_MARGIN, title);
        picture_mute(&tile, all, 0.2, 40, 225);
        status = draw_tiles(p, &tile, layout, scene, map, character, count, cells, numbers,
                            &colours, err);
        view_draw_legend(p, p->width - VIEW_MARGIN, p->height - VIEW_MARGIN - 9 * VIEW_LABEL + 6,
                         &colours);
    }
    picture_close(&tile);
    return status;
}

attn_status view_reading(const char *path, const view_scene *scene, const attention_map *map,
                         const view_character *character, size_t count, const char *title,
                         attn_error *err)
{
    size_t cells;
    double *numbers;
    if (title && !title[0]) title = NULL;
    ATTN_TRY(view_check_scene(scene, &cells, err));
    ATTN_TRY(view_check_map(scene, map, 0, cells, err));
    if (count > MOST)
        return attn_fail(err, ATTN_LIMIT, "a picture of %zu characters: at most %d are drawn",
                         count, MOST);
    for (size_t i = 0; i < count; i++)
        if (character[i].row >= map->queries)
            return attn_fail(err, ATTN_BAD_INPUT, "character %zu is of row %zu of %zu", i,
                             character[i].row, map->queries);
    ATTN_TRY(view_get_numbers(scene, cells, &numbers, err));
    reading_layout layout = lay_out(scene, count, title != NULL);
    picture p;
    attn_status status = picture_open(&p, scene->memory, (size_t)layout.width,
                                      (size_t)layout.height, VIEW_BACKGROUND, err);
    if (status == ATTN_OK)
        status = draw(&p, &layout, scene, map, character, count, cells, numbers, title, err);
    if (status == ATTN_OK) status = picture_write_png(&p, path, err);
    picture_close(&p);
    view_release_numbers(scene, cells, numbers);
    return status;
}
