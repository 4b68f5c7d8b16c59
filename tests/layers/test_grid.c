/* The cut of a product into tasks: every row meets every panel once, and all workers have about the
 * same to do. */
#include "tests/check.h"

#include "layers/grid.h"

static uint32_t seed = 1;

static size_t draw(size_t most)
{
    seed = seed * 1664525u + 1013904223u;
    return 1 + (seed >> 8) % most;
}

static void test_parts(void **state)
{
    (void)state;
    for (int i = 0; i < 1000; i++) {
        size_t count = draw(5000), parts = draw(count), each = count / parts;
        assert_int_equal(attn_part(count, parts, 0), 0);
        assert_int_equal(attn_part(count, parts, parts), count);
        for (size_t t = 0; t < parts; t++) {
            size_t size = attn_part(count, parts, t + 1) - attn_part(count, parts, t);
            assert_true(size == each || size == each + 1);
        }
    }
}

/* The rows times panels of the busiest worker, where each takes its share of the tasks. */
static size_t busiest(const attn_grid *g, size_t workers)
{
    size_t tasks = g->row_parts * g->panel_parts, most = 0;
    for (size_t w = 0; w < workers; w++) {
        size_t sum = 0;
        for (size_t t = attn_part(tasks, workers, w); t < attn_part(tasks, workers, w + 1); t++) {
            size_t r = t / g->panel_parts, p = t % g->panel_parts;
            sum += (attn_part(g->rows, g->row_parts, r + 1) - attn_part(g->rows, g->row_parts, r)) *
                   (attn_part(g->panels, g->panel_parts, p + 1) -
                    attn_part(g->panels, g->panel_parts, p));
        }
        if (sum > most) most = sum;
    }
    return most;
}

static void test_grids(void **state)
{
    (void)state;
    for (int i = 0; i < 20000; i++) {
        size_t rows = draw(i % 4 ? 600 : 20000), panels = draw(i % 3 ? 40 : 4), k = draw(4000);
        size_t workers = draw(16);
        attn_grid g = attn_cut_grid(rows, panels, 32, k, workers);
        assert_int_equal(g.rows, rows);
        assert_int_equal(g.panels, panels);
        assert_in_range(g.row_parts, 1, rows);
        assert_in_range(g.panel_parts, 1, panels);
    }
}

/* The shapes of small transformers: nobody waits for long. */
static void test_balance(void **state)
{
    (void)state;
    static const size_t rows[] = {128, 197, 512, 1500}, widths[] = {192, 384, 576, 768, 1152, 3072};
    for (size_t workers = 2; workers <= 4; workers += 2)
        for (size_t r = 0; r < 4; r++)
            for (size_t w = 0; w < 6; w++) {
                size_t panels = widths[w] / 32;
                attn_grid g = attn_cut_grid(rows[r], panels, 32, 384, workers);
                double even = (double)rows[r] * (double)panels / (double)workers;
                double over = (double)busiest(&g, workers) / even;
                if (over > 1.08)
                    fail_msg("%zu x %zu columns, %zu workers: %zu x %zu tasks, %.2f of a share",
                             rows[r], widths[w], workers, g.row_parts, g.panel_parts, over);
            }
}

/* A product too small to share is one task; one row reads every panel once. */
static void test_small(void **state)
{
    (void)state;
    attn_grid g = attn_cut_grid(4, 2, 32, 64, 4);
    assert_int_equal(g.row_parts * g.panel_parts, 1);
    g = attn_cut_grid(1, 48, 32, 1536, 4);
    assert_int_equal(g.row_parts, 1);
    assert_true(g.panel_parts >= 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_grids),
        cmocka_unit_test(test_balance),
        cmocka_unit_test(test_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
