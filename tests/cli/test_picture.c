/* The canvas and the views: what is drawn is read back from the PNG by stb_image. */
#define _XOPEN_SOURCE 700

#include "tools/attention_view.h"
#include "tools/heat.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_ONLY_PNG
/* stb_image declares static functions that it then does not define; gcc says so at the end of the
 * file, so the pragma cannot be popped. */
#pragma GCC diagnostic ignored "-Wunused-function"
#include <stb/stb_image.h>

static char folder[] = "/tmp/attn_picture_XXXXXX";
static char file_path[sizeof folder + 16];

static int open_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder)) return -1;
    snprintf(file_path, sizeof file_path, "%s/out.png", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(file_path);
    return rmdir(folder);
}

static uint8_t *read_png(int *width, int *height)
{
    int channels;
    uint8_t *pixels = stbi_load(file_path, width, height, &channels, 3);
    assert_non_null(pixels);
    assert_int_equal(channels, 3);
    return pixels;
}

static const uint8_t *pixel_at(const picture *p, int x, int y)
{
    return p->pixels + ((size_t)y * (size_t)p->width + (size_t)x) * 3;
}

/* ---- canvas -----------------------------------------------------------------------------------
 */

static void test_canvas(void **state)
{
    (void)state;
    attn_memory memory;
    attn_error err;
    picture p, small;
    attn_memory_init(&memory, NULL, 0);
    assert_int_equal(picture_open(&p, &memory, 8, 6, (rgb){10, 20, 30}, &err), ATTN_OK);
    picture_fill(&p, (picture_rect){-5, -5, 7, 7}, (rgb){110, 120, 130}, 0.5);
    assert_int_equal(pixel_at(&p, 1, 1)[0], 60);
    assert_int_equal(pixel_at(&p, 2, 1)[0], 10);
    picture_fill(&p, (picture_rect){INT32_MAX, 0, INT32_MAX, 1}, (rgb){1, 1, 1}, 1);
    picture_fill(&p, (picture_rect){0, 0, -3, 2}, (rgb){1, 1, 1}, 1);
    picture_fill(&p, (picture_rect){7, 5, 100, 100}, (rgb){200, 0, 0}, 1);
    assert_int_equal(pixel_at(&p, 7, 5)[0], 200);

    assert_int_equal(picture_open(&small, &memory, 3, 3, (rgb){1, 2, 3}, &err), ATTN_OK);
    picture_blit(&p, -2, -2, &small);
    picture_blit(&p, 7, 4, &small);
    picture_blit(&p, 50, 50, &small);
    assert_int_equal(pixel_at(&p, 0, 0)[2], 3);
    assert_int_equal(pixel_at(&p, 1, 0)[2], 80);
    assert_int_equal(pixel_at(&p, 7, 5)[2], 3);
    picture_close(&small);
    picture_close(&p);
    picture_close(&p);
    assert_int_equal(memory.used, 0);
}

static void test_canvas_sizes(void **state)
{
    (void)state;
    attn_memory memory;
    attn_error err;
    picture p;
    attn_memory_init(&memory, NULL, 0);
    const rgb black = {0, 0, 0};
    assert_int_equal(picture_open(&p, &memory, 0, 5, black, &err), ATTN_BAD_INPUT);
    assert_int_equal(picture_open(&p, &memory, SIZE_MAX, 2, black, &err), ATTN_LIMIT);
    assert_int_equal(picture_open(&p, &memory, 32768, 32768, black, &err), ATTN_LIMIT);
    assert_non_null(strstr(err.text, "32768 x 32768"));
    picture_close(&p);
}

/* A scale of 1 copies; a constant stays constant; what lies beyond the photo stays untouched. */
static void test_scale(void **state)
{
    (void)state;
    attn_memory memory;
    attn_error err;
    picture p;
    uint8_t noise[12 * 9 * 3], flat[12 * 9 * 3];
    for (size_t i = 0; i < sizeof noise; i++) noise[i] = (uint8_t)(i * 37 + i * i * 11);
    memset(flat, 77, sizeof flat);
    picture_photo photo = {noise, 12, 9};
    attn_memory_init(&memory, NULL, 0);
    assert_int_equal(picture_open(&p, &memory, 30, 20, (rgb){0, 0, 0}, &err), ATTN_OK);
    picture_region region = {0, 0, 12, 9};
    assert_int_equal(picture_scale(&p, (picture_rect){5, 4, 12, 9}, &photo, region, &err), ATTN_OK);
    for (int y = 0; y < 9; y++)
        assert_memory_equal(pixel_at(&p, 5, 4 + y), noise + y * 12 * 3, 12 * 3);
    assert_int_equal(pixel_at(&p, 4, 4)[0], 0);

    photo.pixels = flat;
    picture_region beyond = {-12, -9, 36, 27};
    const int sizes[][2] = {{30, 20}, {3, 3}, {30, 3}};
    for (size_t i = 0; i < 3; i++) {
        int width = sizes[i][0], height = sizes[i][1];
        picture_fill(&p, (picture_rect){0, 0, 30, 20}, (rgb){5, 5, 5}, 1);
        picture_rect rect = {0, 0, width, height};
        assert_int_equal(picture_scale(&p, rect, &photo, beyond, &err), ATTN_OK);
        assert_int_equal(pixel_at(&p, 0, 0)[0], 5);
        assert_int_equal(pixel_at(&p, width / 2, height / 2)[1], 77);
        assert_int_equal(pixel_at(&p, width - 1, height - 1)[2], 5);
    }
    picture_close(&p);
    assert_int_equal(memory.used, 0);
}

static void test_text(void **state)
{
    (void)state;
    attn_memory memory;
    attn_error err;
    picture p, q;
    char line[64], cut[8];
    attn_memory_init(&memory, NULL, 0);
    assert_int_equal(picture_text_width("", 2), 0);
    assert_int_equal(picture_text_width("gr\xc3\xbc\xc3\x9f\n\x7f", 2),
                     picture_text_width("gr????", 2));
    assert_int_equal(picture_text_width("\xe2\x96\x81 \xff\x80\x80", 1),
                     picture_text_width("? ?", 1));

    picture_text_fit("short", 2, 200, line, sizeof line);
    assert_string_equal(line, "short");
    picture_text_fit("a rather long label", 2, 100, line, sizeof line);
    assert_true(picture_text_width(line, 2) <= 100);
    assert_string_equal(line + strlen(line) - 2, "..");
    picture_text_fit("a rather long label", 2, 1000, cut, sizeof cut);
    assert_int_equal(strlen(cut), sizeof cut - 1);
    picture_text_fit("abc", 2, 0, line, sizeof line);
    assert_string_equal(line, "");

    /* Upwards: the same pixels, turned; and both are clipped anywhere. */
    assert_int_equal(picture_open(&p, &memory, 60, 60, (rgb){0, 0, 0}, &err), ATTN_OK);
    assert_int_equal(picture_open(&q, &memory, 60, 60, (rgb){0, 0, 0}, &err), ATTN_OK);
    picture_text(&p, 0, 0, 2, (rgb){255, 0, 0}, "Rq7");
    picture_text_up(&q, 0, 60, 2, (rgb){255, 0, 0}, "Rq7");
    int lit = 0;
    for (int y = 0; y < 60; y++) {
        for (int x = 0; x < 60; x++) {
            assert_int_equal(pixel_at(&p, x, y)[0], pixel_at(&q, y, 59 - x)[0]);
            lit += pixel_at(&p, x, y)[0] == 255;
        }
    }
    assert_true(lit > 60);
    for (int i = -40; i < 80; i += 7) {
        picture_text(&p, i, i / 2, 3, (rgb){1, 2, 3}, "clipped");
        picture_text_up(&p, i, i / 2, 3, (rgb){1, 2, 3}, "clipped");
    }
    picture_close(&p);
    picture_close(&q);
}

static void test_png(void **state)
{
    (void)state;
    attn_memory memory;
    attn_error err;
    picture p;
    const int sizes[][2] = {{1, 1}, {7, 3}, {300, 200}};
    attn_memory_init(&memory, NULL, 0);
    for (size_t i = 0; i < 3; i++) {
        int width, height;
        assert_int_equal(picture_open(&p, &memory, (size_t)sizes[i][0], (size_t)sizes[i][1],
                                      (rgb){0, 0, 0}, &err),
                         ATTN_OK);
        size_t bytes = (size_t)(p.width * p.height * 3);
        for (size_t k = 0; k < bytes; k++) p.pixels[k] = (uint8_t)(k * k >> 5);
        assert_int_equal(picture_write_png(&p, file_path, &err), ATTN_OK);
        uint8_t *pixels = read_png(&width, &height);
        assert_int_equal(width, p.width);
        assert_int_equal(height, p.height);
        assert_memory_equal(pixels, p.pixels, bytes);
        stbi_image_free(pixels);
        picture_close(&p);
    }
    assert_int_equal(picture_open(&p, &memory, 4, 4, (rgb){0, 0, 0}, &err), ATTN_OK);
    assert_int_equal(picture_write_png(&p, "/nowhere/at/all.png", &err), ATTN_IO);
    assert_string_equal(err.text,
                        "/nowhere/at/all.png: cannot be written: No such file or directory");
    if (access("/dev/full", W_OK) == 0) {
        assert_int_equal(picture_write_png(&p, "/dev/full", &err), ATTN_IO);
        assert_non_null(strstr(err.text, "No space left"));
    }
    picture_close(&p);
    assert_int_equal(memory.used, 0);
}

/* ---- heat -------------------------------------------------------------------------------------
 */

static void test_heat(void **state)
{
    (void)state;
    attn_error err;
    heat_colours colours;
    heat_colours_make(&colours);
    double before = -1;
    for (int i = 0; i < 256; i++) {
        rgb c = colours.at[i];
        double light = 0.2126 * c.r + 0.7152 * c.g + 0.0722 * c.b;
        assert_true(light >= before - 0.8); /* but for rounding to 8 bits */
        before = light;
    }
    double values[101], scratch[101];
    for (int i = 0; i <= 100; i++) values[i] = i < 100 ? 3 + i : 1e9;
    assert_int_equal(heat_normalise(values, scratch, 101, 0.99, &err), ATTN_OK);
    assert_true(values[0] == 0 && values[99] == 1 && values[100] == 1);
    assert_true(fabs(values[33] - 1 / 3.0) < 1e-12);
    double flat[3] = {0.25, 0.25 + 1e-9, 0.25}, extreme[3] = {-1.7e308, 0, 1.7e308};
    assert_int_equal(heat_normalise(flat, scratch, 3, 1, &err), ATTN_OK);
    assert_true(flat[0] == 0 && flat[1] == 0);
    assert_int_equal(heat_normalise(extreme, scratch, 3, 1, &err), ATTN_OK);
    assert_true(extreme[0] == 0 && extreme[1] == 0.5 && extreme[2] == 1);
    double single[1] = {7}, broken[2] = {0, INFINITY};
    assert_int_equal(heat_normalise(single, scratch, 1, 0.98, &err), ATTN_OK);
    assert_int_equal(heat_normalise(broken, scratch, 2, 1, &err), ATTN_BAD_INPUT);

    double cells[6] = {1, 1, 1, 1, 1, 1};
    heat_grid grid = {cells, 2, 3};
    for (double u = 0; u < 3; u += 0.37) assert_true(fabs(heat_at(&grid, u, u * 0.6) - 1) < 1e-12);
    cells[0] = 0;
    assert_true(heat_at(&grid, 0.5, 0.5) < 0.35 && heat_at(&grid, 2.5, 1.5) > 0.99);
}

/* ---- views ------------------------------------------------------------------------------------
 */

/* Counts allocations and fails the one that is named. */
typedef struct counter {
    int made, live, failing;
} counter;

static void *counted_alloc(void *user, size_t size)
{
    counter *count = user;
    if (count->made++ == count->failing) return NULL;
    count->live++;
    return aligned_alloc(64, (size + 63) / 64 * 64);
}

static void counted_release(void *user, void *memory)
{
    if (memory) ((counter *)user)->live--;
    free(memory);
}

enum { LAYERS = 2, HEADS = 3, ROWS = 4, COLS = 5, CELLS = ROWS * COLS, TOKENS = CELLS + 1 };

typedef struct made_up {
    counter count;
    attn_memory memory;
    uint8_t pixels[60 * 40 * 3];
    float weights[LAYERS][HEADS][TOKENS][TOKENS];
    attention_map maps[LAYERS];
    view_scene scene;
} made_up;

/* A grey photo of 60 x 40; the model saw 40 x 40 of it, and every query looks at token `hot`. */
static void make_up(made_up *m, int hot)
{
    memset(m, 0, sizeof *m);
    m->count.failing = -1;
    attn_allocator allocator = {counted_alloc, counted_release, &m->count};
    attn_memory_init(&m->memory, &allocator, 0);
    memset(m->pixels, 128, sizeof m->pixels);
    for (int layer = 0; layer < LAYERS; layer++) {
        for (int head = 0; head < HEADS; head++)
            for (int query = 0; query < TOKENS; query++)
                for (int key = 0; key < TOKENS; key++)
                    m->weights[layer][head][query][key] = key == hot ? 0.8f : 0.2f / (TOKENS - 1);
        m->maps[layer] =
            (attention_map){"block", HEADS, TOKENS, TOKENS, &m->weights[layer][0][0][0]};
    }
    m->scene = (view_scene){.memory = &m->memory,
                            .photo = {m->pixels, 60, 40},
                            .seen = {10, 0, 40, 40},
                            .rows = ROWS,
                            .cols = COLS};
}

static attn_status draw(made_up *m, int view, attn_error *err)
{
    const char *labels[TOKENS] = {"[CLS]", "caf\xc3\xa9"};
    double importance[CELLS];
    switch (view) {
    case 0:
        for (int i = 0; i < CELLS; i++) importance[i] = i;
        return view_heatmap(file_path, &m->scene, importance, "cat  87.3 %", err);
    case 1:
        return view_rollout(file_path, &m->scene, m->maps, LAYERS, "cat", err);
    case 2:
        return view_sheet(file_path, &m->scene, m->maps, LAYERS, "cat", err);
    default:
        return view_matrix(file_path, &m->memory, &m->maps[0], VIEW_ALL_HEADS, labels, labels,
                           "layer 1", err);
    }
}

static void test_views_and_allocations(void **state)
{
    (void)state;
    static made_up m;
    attn_error err;
    for (int view = 0; view < 4; view++) {
        make_up(&m, 9);
        unlink(file_path);
        assert_int_equal(draw(&m, view, &err), ATTN_OK);
        assert_int_equal(m.count.live, 0);
        assert_int_equal(m.memory.used, 0);
        int width, height;
        stbi_image_free(read_png(&width, &height));
        assert_true(width > 100 && height > 100 && width < 2000 && height < 2000);
        int made = m.count.made;
        for (int n = 0; n < made; n++) {
            make_up(&m, 9);
            m.count.failing = n;
            assert_int_equal(draw(&m, view, &err), ATTN_NO_MEMORY);
            assert_int_equal(m.count.live, 0);
            assert_int_equal(m.memory.used, 0);
        }
    }
}

/* The hot patch is the yellowest place of the right half, and what the model did not see is dark.
 */
static void test_rollout_place(void **state)
{
    (void)state;
    static made_up m;
    attn_error err;
    int width, height;
    for (int patch = 0; patch < CELLS; patch += 7) {
        make_up(&m, 1 + patch);
        assert_int_equal(view_rollout(file_path, &m.scene, m.maps, LAYERS, NULL, &err), ATTN_OK);
        uint8_t *pixels = read_png(&width, &height);
        /* two panels of 440 pixels, 24 around and between them */
        assert_int_equal(width, 3 * 24 + 2 * 440);
        double scale = 440 / 60.0;
        int left = 24 + 440 + 24, best = -1000, best_x = 0, best_y = 0;
        for (int y = 24; y < 24 + (int)(40 * scale); y++) {
            for (int x = left; x < left + 440; x++) {
                const uint8_t *pixel = pixels + (y * width + x) * 3;
                int yellow = pixel[0] + pixel[1] - pixel[2];
                if (yellow <= best) continue;
                best = yellow, best_x = x, best_y = y;
            }
        }
        int col = (int)(((best_x - left) / scale - 10) / 40 * COLS);
        int row = (int)((best_y - 24) / scale / 40 * ROWS);
        assert_int_equal(row * COLS + col, patch);
        assert_true(pixels[(100 * width + left + 5) * 3] < 80);
        assert_int_equal(pixels[(100 * width + 24 + 5) * 3], 128);
        stbi_image_free(pixels);
    }
}

static void test_importance(void **state)
{
    (void)state;
    static made_up m;
    attn_error err;
    double out[CELLS];
    make_up(&m, 3);
    m.weights[0][1][0][5] = 0.5f; /* the CLS row of head 1 */
    m.weights[0][1][4][6] = 0.7f;
    assert_int_equal(view_importance(&m.scene, &m.maps[0], 1, out, &err), ATTN_OK);
    assert_true(out[4] == 0.5f && out[2] == 0.8f && out[5] == 0.2f / (TOKENS - 1));
    assert_int_equal(view_importance(&m.scene, &m.maps[0], VIEW_ALL_HEADS, out, &err), ATTN_OK);
    assert_true(fabs(out[4] - (0.5 + 0.4 / (TOKENS - 1)) / 3) < 1e-7);

    float pooling[TOKENS] = {0};
    pooling[4] = 1;
    m.scene.pooling = pooling;
    m.scene.tokens = TOKENS;
    assert_int_equal(view_importance(&m.scene, &m.maps[0], 1, out, &err), ATTN_OK);
    assert_true(out[5] == 0.7f);
    assert_int_equal(view_rollout(file_path, &m.scene, m.maps, LAYERS, "", &err), ATTN_OK);

    /* Without special tokens: the mean over queries. */
    m.scene.pooling = NULL;
    m.scene.rows = 3;
    m.scene.cols = 7;
    double all[TOKENS];
    assert_int_equal(view_importance(&m.scene, &m.maps[0], 1, all, &err), ATTN_OK);
    assert_true(fabs(all[6] - (0.7 + (TOKENS - 1) * 0.2 / (TOKENS - 1)) / TOKENS) < 1e-7);
    assert_int_equal(view_importance(&m.scene, &m.maps[0], HEADS, out, &err), ATTN_BAD_ARGUMENT);
}

static void refuse(made_up *m, attn_status expected, const char *part)
{
    attn_error err = {0};
    double importance[CELLS] = {0};
    attn_status sheet = view_sheet(file_path, &m->scene, m->maps, LAYERS, "x", &err);
    assert_int_equal(sheet, expected);
    if (!strstr(err.text, part)) fail_msg("\"%s\" does not say \"%s\"", err.text, part);
    assert_int_not_equal(view_rollout(file_path, &m->scene, m->maps, LAYERS, "x", &err), ATTN_OK);
    assert_int_not_equal(view_importance(&m->scene, &m->maps[0], 0, importance, &err), ATTN_OK);
    assert_int_equal(m->count.live, 0);
    make_up(m, 1);
}

static void test_refusals(void **state)
{
    (void)state;
    static made_up m;
    attn_error err;
    make_up(&m, 1);
    m.maps[0].heads = 0;
    refuse(&m, ATTN_BAD_INPUT, "map 0 (block) of shape [heads, queries, keys] = [0, 21, 21]");
    m.maps[0].weights = NULL;
    refuse(&m, ATTN_BAD_INPUT, "holds nothing");
    m.maps[0].heads = SIZE_MAX / 2;
    refuse(&m, ATTN_BAD_INPUT, "holds nothing");
    m.weights[0][2][1][4] = NAN;
    refuse(&m, ATTN_BAD_INPUT, "weight [2, 1, 4] is nan");
    m.scene.rows = 5;
    refuse(&m, ATTN_BAD_INPUT, "21 keys, fewer than the grid of 5 x 5");
    m.scene.rows = 0;
    refuse(&m, ATTN_BAD_INPUT, "grid of 0 x 5");
    m.scene.rows = SIZE_MAX;
    refuse(&m, ATTN_BAD_INPUT, "x 5 patches");
    m.scene.photo.pixels = NULL;
    refuse(&m, ATTN_BAD_INPUT, "photo of 60 x 40");
    m.scene.photo.height = 0;
    refuse(&m, ATTN_BAD_INPUT, "photo of 60 x 0");
    m.scene.photo.width = SIZE_MAX;
    refuse(&m, ATTN_BAD_INPUT, "cannot be shown");
    m.scene.seen.width = 0;
    refuse(&m, ATTN_BAD_INPUT, "0 x 40 at (10, 0)");
    m.scene.seen.x = NAN;
    refuse(&m, ATTN_BAD_INPUT, "at (nan, 0)");
    m.scene.seen.x = 60;
    refuse(&m, ATTN_BAD_INPUT, "does not lie on the photo of 60 x 40");
    float pooling[3] = {1, 0, 0};
    m.scene.pooling = pooling;
    m.scene.tokens = 3;
    refuse(&m, ATTN_BAD_INPUT, "21 queries, but the final pooling has 3");

    assert_int_equal(view_sheet(file_path, &m.scene, m.maps, 0, "x", &err), ATTN_BAD_INPUT);
    assert_int_equal(view_rollout(file_path, &m.scene, m.maps, 0, "x", &err), ATTN_BAD_INPUT);
    assert_int_equal(view_matrix(file_path, &m.memory, &m.maps[0], HEADS, NULL, NULL, NULL, &err),
                     ATTN_BAD_ARGUMENT);
    double importance[CELLS] = {[3] = INFINITY};
    assert_int_equal(view_heatmap(file_path, &m.scene, importance, "x", &err), ATTN_BAD_INPUT);
    assert_int_equal(view_sheet("/nowhere/x.png", &m.scene, m.maps, LAYERS, "x", &err), ATTN_IO);
}

/* Sheets of 1 x 1 to 24 x 16; one of 1000 heads is refused with its size. */
static void test_sheet_sizes(void **state)
{
    (void)state;
    attn_memory memory;
    attn_error err;
    static uint8_t pixels[64 * 48 * 3];
    static float weights[1000 * 4 * 4];
    for (size_t i = 0; i < 1000 * 16; i++) weights[i] = (float)(i * 7919 % 101) / 100;
    attn_memory_init(&memory, NULL, 0);
    view_scene scene = {&memory, {pixels, 64, 48}, {0, 0, 64, 48}, 2, 2, NULL, 0};
    const size_t sizes[][2] = {{1, 1}, {2, 4}, {12, 3}, {12, 12}, {24, 16}};
    attention_map maps[24];
    for (size_t i = 0; i < 5; i++) {
        int width, height;
        for (size_t k = 0; k < sizes[i][0]; k++)
            maps[k] = (attention_map){NULL, sizes[i][1], 4, 4, weights};
        assert_int_equal(view_sheet(file_path, &scene, maps, sizes[i][0], "ship", &err), ATTN_OK);
        stbi_image_free(read_png(&width, &height));
        assert_true(width <= 1800 && height <= 2300);
    }
    maps[3].heads = 1000;
    assert_int_equal(view_sheet(file_path, &scene, maps, 24, "ship", &err), ATTN_LIMIT);
    assert_non_null(strstr(err.text, "24 layers and 1000 heads"));
}

static void test_matrix_sizes(void **state)
{
    (void)state;
    attn_memory memory;
    attn_error err;
    float *weights = calloc(3000 * 40, sizeof *weights);
    assert_non_null(weights);
    for (int i = 0; i < 3000 * 40; i++) weights[i] = (float)(i % 17) - 3;
    attn_memory_init(&memory, NULL, 0);
    const size_t sizes[][2] = {{1, 1}, {1, 3}, {14, 2}, {40, 40}, {40, 3000}, {3000, 1}};
    for (size_t i = 0; i < 6; i++) {
        int width, height;
        attention_map map = {"attention", 1, sizes[i][0], sizes[i][1], weights};
        assert_int_equal(view_matrix(file_path, &memory, &map, 0, NULL, NULL, "m", &err), ATTN_OK);
        stbi_image_free(read_png(&width, &height));
        assert_true(width < 1300 && height < 1300);
    }
    assert_int_equal(memory.used, 0);
    free(weights);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_canvas),
        cmocka_unit_test(test_canvas_sizes),
        cmocka_unit_test(test_scale),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_png),
        cmocka_unit_test(test_heat),
        cmocka_unit_test(test_views_and_allocations),
        cmocka_unit_test(test_rollout_place),
        cmocka_unit_test(test_importance),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_sheet_sizes),
        cmocka_unit_test(test_matrix_sizes),
    };
    return cmocka_run_group_tests(tests, open_folder, remove_folder);
}
