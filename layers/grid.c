#include "layers/grid.h"

enum {
    TASKS_PER_WORKER = 4,
    TASK_PRODUCTS = 1 << 19, /* multiply-adds that take some microseconds */
    LEAST_ROWS = 8,          /* fewer cost as much: the panels have to be read */
    MOST_ROW_PARTS = 64,
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

attn_grid attn_cut_grid(size_t rows, size_t panels, size_t width, size_t k, size_t workers)
{
    attn_grid best = {rows, panels, 1, 1};
    double products = most((double)rows, LEAST_ROWS) * (double)panels * (double)width * (double)k;
    double worth = products / TASK_PRODUCTS;
    size_t tasks = workers * TASKS_PER_WORKER;
    if (workers == 1 || worth < 2) return best;
    if (worth < (double)tasks) tasks = (size_t)worth;
    if (tasks > workers) tasks -= tasks % workers;
    /* Of equal cuts the one with the fewest parts of rows: each part reads all of its panels. */
    for (size_t r = 1; r <= tasks && r <= rows && r <= MOST_ROW_PARTS; r++) {
        attn_grid g = {rows, panels, r, tasks / r < panels ? tasks / r : panels};
        if (duration(&g, workers) < 0.99 * duration(&best, workers)) best = g;
    }
    return best;
}
