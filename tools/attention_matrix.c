#include "tools/view_parts.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/*           keys, running upwards or across
 *  queries  [matrix]
 *           0 [bar] greatest weight */
typedef struct matrix_layout {
    int rows, cols;         /* of cells shown */
    size_t pool;            /* a cell shows the greatest of pool x pool weights */
    int cell;               /* pixels */
    bool upwards, numbered; /* key labels run upwards; cells hold their weights */
    int left, top, width, height;
} matrix_layout;

typedef struct matrix {
    const attention_map *map;
    size_t head;
    const char *const *query_labels, *const *key_labels;
    const char *title;
} matrix;

enum { NUMBER_CELL = 64, WIDEST_LABEL = 170, LABEL_SIZE = 64 };

/* The label of query or key i, shortened; numbers count from 1. */
static void make_label(char *out, const char *const *labels, size_t i)
{
    char number[32];
    snprintf(number, sizeof number, "%zu", i + 1);
    picture_text_fit(labels && labels[i] ? labels[i] : number, VIEW_LABEL, WIDEST_LABEL, out,
                     LABEL_SIZE);
}

static int widest_label(const char *const *labels, size_t count)
{
    char label[LABEL_SIZE];
    int widest = 0;
    for (size_t i = 0; i < count; i++) {
        make_label(label, labels, i);
        widest = view_larger(widest, picture_text_width(label, VIEW_LABEL));
    }
    return widest;
}

/* Labels are drawn where they fit: cells of at least 20 pixels. */
static bool has_labels(const matrix_layout *layout)
{
    return layout->cell >= 20;
}

static matrix_layout lay_out_matrix(const matrix *m)
{
    enum { SIDE = 1000, MOST_NUMBERS = 14 };
    const attention_map *map = m->map;
    matrix_layout out = {.pool = 1};
    size_t longest = map->keys > map->queries ? map->keys : map->queries;
    out.pool = (longest + SIDE - 1) / SIDE;
    out.rows = (int)((map->queries + out.pool - 1) / out.pool);
    out.cols = (int)((map->keys + out.pool - 1) / out.pool);
    out.numbered = longest <= MOST_NUMBERS;
    out.cell = out.numbered ? NUMBER_CELL : SIDE / view_larger(out.rows, out.cols);
    out.cell = view_smaller(out.cell, NUMBER_CELL);
    out.left = VIEW_MARGIN;
    out.top = VIEW_MARGIN + (m->title ? VIEW_LINE + 8 : 0) + 9 * VIEW_LABEL + 12;
    if (has_labels(&out)) {
        int keys = widest_label(m->key_labels, map->keys);
        out.upwards = keys > out.cell - 6;
        out.left += 30 + widest_label(m->query_labels, map->queries) + 8;
        out.top += (out.upwards ? keys : 9 * VIEW_LABEL) + 6;
    } else {
        out.left += 30;
    }
    int title = m->title ? view_smaller(picture_text_width(m->title, VIEW_LABEL), 900) : 0;
    out.width = out.left + view_larger(out.cols * out.cell, 300) + VIEW_MARGIN;
    out.width = view_larger(out.width, title + 2 * VIEW_MARGIN);
    out.height =
        out.top + view_larger(out.rows * out.cell, 100) + 14 + 9 * VIEW_LABEL + VIEW_MARGIN - 6;
    return out;
}

static double weight_at(const matrix *m, size_t query, size_t key)
{
    const attention_map *map = m->map;
    size_t first = m->head == VIEW_ALL_HEADS ? 0 : m->head;
    size_t last = m->head == VIEW_ALL_HEADS ? map->heads : m->head + 1;
    double sum = 0;
    for (size_t h = first; h < last; h++)
        sum += map->weights[(h * map->queries + query) * map->keys + key];
    return sum / (double)(last - first);
}

static double cell_value(const matrix *m, const matrix_layout *layout, int row, int col)
{
    size_t query = (size_t)row * layout->pool, key = (size_t)col * layout->pool;
    double greatest = weight_at(m, query, key);
    for (size_t i = query; i < query + layout->pool && i < m->map->queries; i++)
        for (size_t j = key; j < key + layout->pool && j < m->map->keys; j++)
            greatest = fmax(greatest, weight_at(m, i, j));
    return greatest;
}

static void draw_number(picture *p, picture_rect rect, double value, rgb ground)
{
    char text[32];
    snprintf(text, sizeof text, "%.2f", value);
    if (picture_text_width(text, VIEW_LABEL) > rect.width)
        snprintf(text, sizeof text, "%.0e", value);
    double light = 0.2126 * ground.r + 0.7152 * ground.g + 0.0722 * ground.b;
    rgb ink = light > 120 ? (rgb){20, 20, 24} : VIEW_TEXT;
    picture_text(p, rect.x + (rect.width - picture_text_width(text, VIEW_LABEL)) / 2,
                 rect.y + (rect.height - 7 * VIEW_LABEL) / 2, VIEW_LABEL, ink, text);
}

static void draw_cells(picture *p, const matrix *m, const matrix_layout *layout, double low,
                       double high, const heat_colours *colours)
{
    int cell = layout->cell, gap = cell >= 8 ? 1 : 0;
    for (int row = 0; row < layout->rows; row++) {
        for (int col = 0; col < layout->cols; col++) {
            double value = cell_value(m, layout, row, col);
            rgb colour = heat_colour(colours, high > low ? (value - low) / (high - low) : 0);
            picture_rect rect = {layout->left + col * cell, layout->top + row * cell, cell - gap,
                                 cell - gap};
            picture_fill(p, rect, colour, 1);
            if (layout->numbered) draw_number(p, rect, value, colour);
        }
    }
}

static void draw_matrix_labels(picture *p, const matrix *m, const matrix_layout *layout)
{
    char label[LABEL_SIZE];
    int bottom = layout->top - 6, cell = layout->cell, middle = (cell - 7 * VIEW_LABEL) / 2;
    picture_text(p, layout->left, VIEW_MARGIN + (m->title ? VIEW_LINE + 8 : 0), VIEW_LABEL,
                 VIEW_FAINT, "attends to (keys)");
    picture_text_up(p, VIEW_MARGIN, layout->top + picture_text_width("queries", VIEW_LABEL),
                    VIEW_LABEL, VIEW_FAINT, "queries");
    if (!has_labels(layout)) return;
    for (int i = 0; i < layout->cols; i++) {
        make_label(label, m->key_labels, (size_t)i);
        int x = layout->left + i * cell, width = picture_text_width(label, VIEW_LABEL);
        if (layout->upwards)
            picture_text_up(p, x + middle, bottom, VIEW_LABEL, VIEW_TEXT, label);
        else
            picture_text(p, x + (cell - width) / 2, bottom - 9 * VIEW_LABEL, VIEW_LABEL, VIEW_TEXT,
                         label);
    }
    for (int i = 0; i < layout->rows; i++) {
        make_label(label, m->query_labels, (size_t)i);
        picture_text(p, layout->left - 8 - picture_text_width(label, VIEW_LABEL),
                     layout->top + i * cell + middle, VIEW_LABEL, VIEW_TEXT, label);
    }
}

static void draw_scale(picture *p, const matrix_layout *layout, double low, double high,
                       const heat_colours *colours)
{
    char text[32];
    int x = layout->left, y = p->height - VIEW_MARGIN + 6 - 9 * VIEW_LABEL;
    snprintf(text, sizeof text, "%.3g", low);
    picture_text(p, x, y, VIEW_LABEL, VIEW_FAINT, text);
    x += picture_text_width(text, VIEW_LABEL) + 8;
    heat_bar(p, (picture_rect){x, y - 1, VIEW_BAR_WIDTH, 7 * VIEW_LABEL + 2}, colours, true);
    snprintf(text, sizeof text, "%.3g", high);
    picture_text(p, x + VIEW_BAR_WIDTH + 8, y, VIEW_LABEL, VIEW_FAINT, text);
}

attn_status view_matrix(const char *path, attn_memory *memory, const attention_map *map,
                        size_t head, const char *const *query_labels, const char *const *key_labels,
                        const char *title, attn_error *err)
{
    ATTN_TRY(attention_map_check(map, 0, err));
    if (head != VIEW_ALL_HEADS && head >= map->heads)
        return attn_fail(err, ATTN_BAD_ARGUMENT, "attention map %s has %zu heads, no head %zu",
                         map->name ? map->name : "unnamed", map->heads, head);
    matrix m = {map, head, query_labels, key_labels, title};
    matrix_layout layout = lay_out_matrix(&m);
    /* From 0, or from the least if weights are negative. */
    double low = 0, high = 0;
    for (size_t query = 0; query < map->queries; query++) {
        for (size_t key = 0; key < map->keys; key++) {
            double value = weight_at(&m, query, key);
            low = fmin(low, value);
            high = fmax(high, value);
        }
    }
    heat_colours colours;
    heat_colours_make(&colours);
    picture p;
    ATTN_TRY(picture_open(&p, memory, (size_t)layout.width, (size_t)layout.height, VIEW_BACKGROUND,
                          err));
    view_draw_title(&p, VIEW_MARGIN, VIEW_MARGIN, p.width - 2 * VIEW_MARGIN, title);
    draw_cells(&p, &m, &layout, low, high, &colours);
    draw_matrix_labels(&p, &m, &layout);
    draw_scale(&p, &layout, low, high, &colours);
    attn_status status = picture_write_png(&p, path, err);
    picture_close(&p);
    return status;
}
