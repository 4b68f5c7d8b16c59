#include "tools/view_parts.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/*  [crop]  title
 *          little [bar] much attention
 *           head 1   head 2   ...
 *  layer 1  [tile]   [tile]
 *  layer 2  [tile]   [tile] */
typedef struct sheet_layout {
    int layers, heads;
    int tile_width, tile_height;
    int left, top; /* of the first tile */
    int width, height;
} sheet_layout;

enum { GAP = 4 };

static attn_status lay_out_sheet(sheet_layout *out, const view_scene *scene,
                                 const attention_map *maps, size_t count, const char *title,
                                 attn_error *err)
{
    enum { WIDTH = 1500, HEIGHT = 1900, SMALLEST = 48, LARGEST = 224, FLATTEST = 8 };
    size_t heads = 0;
    for (size_t i = 0; i < count; i++)
        if (maps[i].heads > heads) heads = maps[i].heads;
    if (heads > PICTURE_MAX_SIDE / SMALLEST || count > PICTURE_MAX_SIDE / SMALLEST)
        return attn_fail(err, ATTN_LIMIT,
                         "a sheet of %zu layers and %zu heads is too large for a picture: at most "
                         "%d of each",
                         count, heads, PICTURE_MAX_SIDE / SMALLEST);
    *out = (sheet_layout){.layers = (int)count, .heads = (int)heads};
    double width = scene->seen.width, height = scene->seen.height;
    width = picture_clamp(width, height / FLATTEST, height * FLATTEST);
    /* The largest tile with which both the sheet's width and its height stay in bounds. */
    double scale = fmin(WIDTH / out->heads / width, HEIGHT / out->layers / height);
    double side = picture_clamp(fmax(width, height) * scale, SMALLEST, LARGEST);
    view_fit_extent(width, height, (int)side, &out->tile_width, &out->tile_height);

    char label[32];
    snprintf(label, sizeof label, "layer %d", out->layers);
    out->left = VIEW_MARGIN + picture_text_width(label, VIEW_LABEL) + 12;
    int band = view_larger(out->tile_height, VIEW_LINE + 9 * VIEW_LABEL);
    out->top = VIEW_MARGIN + band + 16 + 9 * VIEW_LABEL + 6;
    out->width = out->left + out->heads * (out->tile_width + GAP) - GAP + VIEW_MARGIN;
    /* Room for the crop, the legend and the beginning of the title. */
    int header = VIEW_MARGIN + out->tile_width + 16 + view_legend_width() + VIEW_MARGIN;
    int title_width = title ? picture_text_width(title, VIEW_LABEL) : 0;
    header += view_larger(0, view_smaller(title_width, 900) - view_legend_width());
    out->width = view_larger(out->width, header);
    out->height = out->top + out->layers * (out->tile_height + GAP) - GAP + VIEW_MARGIN;
    return ATTN_OK;
}

static void draw_labels(picture *p, const sheet_layout *layout)
{
    char label[32];
    snprintf(label, sizeof label, "head %d", layout->heads);
    /* Narrow tiles: the word once, at the left, and the numbers alone. */
    bool fits = picture_text_width(label, VIEW_LABEL) <= layout->tile_width;
    int above = layout->top - 9 * VIEW_LABEL - 4;
    if (!fits)
        picture_text(p, layout->left - 12 - picture_text_width("head", VIEW_LABEL), above,
                     VIEW_LABEL, VIEW_FAINT, "head");
    for (int head = 0; head < layout->heads; head++) {
        snprintf(label, sizeof label, "head %d", head + 1);
        const char *text = fits ? label : label + strlen("head ");
        int width = picture_text_width(text, VIEW_LABEL);
        int x = layout->left + head * (layout->tile_width + GAP) + (layout->tile_width - width) / 2;
        picture_text(p, x, above, VIEW_LABEL, VIEW_FAINT, text);
    }
    for (int layer = 0; layer < layout->layers; layer++) {
        snprintf(label, sizeof label, "layer %d", layer + 1);
        int y = layout->top + layer * (layout->tile_height + GAP) +
                (layout->tile_height - 7 * VIEW_LABEL) / 2;
        picture_text(p, layout->left - 12 - picture_text_width(label, VIEW_LABEL), y, VIEW_LABEL,
                     VIEW_FAINT, label);
    }
}

/* tile: the muted crop of the photo. numbers: two arrays of `cells`. */
static attn_status draw_tiles(picture *p, const picture *tile, const sheet_layout *layout,
                              const view_scene *scene, const attention_map *maps, size_t cells,
                              double *numbers, const heat_colours *colours, attn_error *err)
{
    heat_grid grid = {numbers, scene->rows, scene->cols};
    for (int layer = 0; layer < layout->layers; layer++) {
        const attention_map *map = &maps[layer];
        for (int head = 0; head < (int)map->heads; head++) {
            view_mix_queries(scene, map, (size_t)head, cells, numbers);
            ATTN_TRY(heat_normalise(numbers, numbers + cells, cells, VIEW_TOP, err));
            picture_rect rect = {layout->left + head * (tile->width + GAP),
                                 layout->top + layer * (tile->height + GAP), tile->width,
                                 tile->height};
            picture_region region = {rect.x, rect.y, rect.width, rect.height};
            picture_blit(p, rect.x, rect.y, tile);
            heat_overlay(p, rect, region, &grid, colours);
        }
    }
    return ATTN_OK;
}

static attn_status draw_sheet(picture *p, const sheet_layout *layout, const view_scene *scene,
                              const attention_map *maps, size_t cells, double *numbers,
                              const char *title, attn_error *err)
{
    heat_colours colours;
    heat_colours_make(&colours);
    picture tile;
    picture_rect whole = {0, 0, layout->tile_width, layout->tile_height};
    attn_status status = picture_open(&tile, scene->memory, (size_t)whole.width,
                                      (size_t)whole.height, (rgb){0, 0, 0}, err);
    if (status == ATTN_OK) status = picture_scale(&tile, whole, &scene->photo, scene->seen, err);
    if (status == ATTN_OK) {
        picture_blit(p, VIEW_MARGIN, VIEW_MARGIN, &tile);
        int x = VIEW_MARGIN + tile.width + 16;
        view_draw_title(p, x, VIEW_MARGIN, p->width - VIEW_MARGIN - x, title);
        view_draw_legend(p, x + view_legend_width(), VIEW_MARGIN + VIEW_LINE, &colours);
        draw_labels(p, layout);
        picture_mute(&tile, whole, 0.2, 40, 225);
        status = draw_tiles(p, &tile, layout, scene, maps, cells, numbers, &colours, err);
    }
    picture_close(&tile);
    return status;
}

attn_status view_sheet(const char *path, const view_scene *scene, const attention_map *maps,
                       size_t count, const char *title, attn_error *err)
{
    size_t cells;
    sheet_layout layout;
    double *numbers;
    ATTN_TRY(view_check_scene(scene, &cells, err));
    if (count == 0) return attn_fail(err, ATTN_BAD_INPUT, "sheet: the model has no attention");
    for (size_t i = 0; i < count; i++) ATTN_TRY(view_check_map(scene, &maps[i], i, cells, err));
    ATTN_TRY(lay_out_sheet(&layout, scene, maps, count, title, err));
    ATTN_TRY(view_get_numbers(scene, cells, &numbers, err));
    picture p;
    attn_status status = picture_open(&p, scene->memory, (size_t)layout.width,
                                      (size_t)layout.height, VIEW_BACKGROUND, err);
    if (status == ATTN_OK)
        status = draw_sheet(&p, &layout, scene, maps, cells, numbers, title, err);
    if (status == ATTN_OK) status = picture_write_png(&p, path, err);
    picture_close(&p);
    view_release_numbers(scene, cells, numbers);
    return status;
}
