#include "layers/grid.h"

#include <stdbool.h>

enum {
    TASKS_PER_WORKER = 4,
    TASK_PRODUCTS = 1 << 19, /* multiply-adds that take some microseconds */
    LEAST_ROWS = 8,          /* fewer cost as much: the panels have to be read */
    OWN_ROWS = 32,           /* of a worker, from which on it is given rows of its own */
    BLOCK_BYTES = 384 << 10, /* of x, which a task reads once for each panel */
    BLOCK_ROWS = 56,         /* but so many read a panel in any case */
};

static size_t divide_up(size_t a, size_t b)
{
    return a / b + (a % b != 0);
}

static double most(double a, double b)
{
    return a > b ? a : b;
}

/* How long the tasks of a grid take, all in all, in rows times panels. */
static double duration(const attn_grid *g, size_t workers)
{
    double rows = most((double)divide_up(g->rows, g->row_parts), LEAST_ROWS);
    double panels = (double)divide_up(g->panels, g->panel_parts);
    return (double)divide_up(g->row_parts * g->panel_parts, workers) * rows * panels;
}

/* The best of the grids with these parts of rows and at most `tasks` tasks. */
static attn_grid cut_panels(const attn_grid *whole, size_t row_parts, size_t tasks, size_t workers)
{
    attn_grid best = *whole;
    best.row_parts = row_parts;
    for (size_t n = 2; n <= whole->panels && n * row_parts <= tasks; n++) {
        attn_grid g = best;
        g.panel_parts = n;
        if (duration(&g, workers) <= duration(&best, workers)) best = g;
    }
    return best;
}

/* Parts of the rows of x that stay in the second-level cache, where x is larger than w: w is then
 * read once for each part, and x once in all. */
static size_t cut_rows(size_t rows, size_t columns, size_t k)
{
    size_t block = k < BLOCK_BYTES ? BLOCK_BYTES / sizeof(float) / k : 0;
    if (rows < columns) return 1;
    return divide_up(rows, block < BLOCK_ROWS ? BLOCK_ROWS : block);
}

attn_grid attn_cut_grid(size_t rows, size_t panels, size_t width, size_t k, size_t workers)
{
    attn_grid whole = {rows, panels, 1, 1};
    double products = most((double)rows, LEAST_ROWS) * (double)panels * (double)width * (double)k;
    double worth = products / TASK_PRODUCTS;
    size_t tasks = workers * TASKS_PER_WORKER;
    if (workers == 1 || worth < 2) {
        whole.row_parts = cut_rows(rows, panels * width, k);
        return whole;
    }
    if (worth < (double)tasks) tasks = (size_t)worth;
    if (tasks > workers) tasks -= tasks % workers;
    /* Each worker its own rows, which are in its cache from the layer before and stay there for the
     * next; or, where these are few, its own panels, so that each is read once. */
    attn_grid by_panels = cut_panels(&whole, 1, tasks, workers), by_rows = by_panels;
    if (rows / workers >= OWN_ROWS && tasks >= workers) {
        size_t parts = workers * cut_rows(divide_up(rows, workers), panels * width, k);
        by_rows = cut_panels(&whole, parts, tasks > parts ? tasks : parts, workers);
    }
    bool better = duration(&by_rows, workers) < 1.03 * duration(&by_panels, workers);
    attn_grid best = better ? by_rows : by_panels;
    /* Panels may be too few for all. */
    double even = (double)rows * (double)panels / (double)workers;
    for (size_t r = 2; r <= tasks && r <= rows / LEAST_ROWS; r++) {
        if (duration(&best, workers) < 1.1 * even) break;
        attn_grid g = cut_panels(&whole, r, tasks, workers);
        if (duration(&g, workers) < 0.9 * duration(&best, workers)) best = g;
    }
    return best;
}
