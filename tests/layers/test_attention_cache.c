/* attention with a cache, as a layer: rows appended in blocks and one by one give the bits of all
 * rows at once, for every instruction set, number of workers and way of cutting a step; inside
 * exactly the scratch and the cache that infer asked for (the sanitizers watch their ends). */
#include "tests/check.h"

#include "layers/attention.h"
#include "runtime/threads.h"

#include <stdlib.h>
#include <string.h>

extern const attn_layer attn_layer_attention;

enum { ROWS = 640, BATCH = 2, CONTEXT = 650 }; /* rows: at most */

typedef struct setting {
    const attn_kernels *kernels;
    attn_panel_type products;
    attn_pool *pool;
    size_t batch;
} setting;

static float *draw_floats(size_t count, uint32_t seed)
{
    float *x = malloc(count * sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < count; i++) {
        seed = seed * 1664525u + 1013904223u;
        x[i] = (float)(seed >> 8) / 8388608.0f - 1;
    }
    return x;
}

/* Rows [first, first + count) of every item of whole: [BATCH, ROWS, columns]. */
static attn_value part_of(float *whole, size_t columns, size_t first, size_t count)
{
    return (attn_value){.shape = {ATTN_F32, 2, {count, columns}},
                        .count = count * columns,
                        .stride = ROWS * columns,
                        .data = whole + first * columns};
}

static attn_infer infer(const attn_attention_params *p, const attn_value *in, size_t context,
                        size_t past, const setting *s)
{
    static attn_error err;
    attn_shape shape[3], out[1];
    for (int i = 0; i < 3; i++) shape[i] = in[i].shape;
    attn_infer c = {.inputs = 3,
                    .in = shape,
                    .outputs = 1,
                    .out = out,
                    .batch = s->batch,
                    .workers = attn_pool_workers(s->pool),
                    .kernels = s->kernels,
                    .products = s->products,
                    .context = context,
                    .appended = in[1].shape.dim[0],
                    .past = past,
                    .place = "test",
                    .err = &err};
    if (attn_layer_attention.infer(&c, p)) fail_msg("%s", err.text);
    return c;
}

/* The rows [past, past + count) into y: [BATCH, ROWS, columns[3]]. cache: NULL without one. */
static void run_rows(const attn_attention_params *p, float *const *whole, const size_t *columns,
                     size_t past, size_t count, char *cache, size_t stride, const setting *s,
                     float *y)
{
    attn_value in[3], out = part_of(y, columns[3], past, count);
    for (int i = 0; i < 3; i++) in[i] = part_of(whole[i], columns[i], past, count);
    attn_infer c = infer(p, in, cache ? CONTEXT : 0, past, s);
    size_t all_workers = c.worker_scratch * c.workers;
    char *scratch = aligned_alloc(64, c.scratch ? c.scratch : 64);
    char *worker_scratch = aligned_alloc(64, all_workers ? all_workers : 64);
    memset(scratch, 0xff, c.scratch); /* NaN */
    memset(worker_scratch, 0xff, all_workers);
    attn_run_context run = {.in = in,
                            .out = &out,
                            .outputs = 1,
                            .batch = s->batch,
                            .kernels = s->kernels,
                            .products = s->products,
                            .past = cache ? past : 0,
                            .context = c.context,
                            .cache = cache,
                            .cache_stride = stride,
                            .workers = c.workers,
                            .scratch = scratch,
                            .worker_scratch = worker_scratch,
                            .worker_scratch_size = c.worker_scratch,
                            .parallel = attn_pool_run,
                            .pool = s->pool};
    attn_layer_attention.run(&run, p);
    free(scratch);
    free(worker_scratch);
}

static void in_blocks(const attn_attention_params *p, float *const *whole, const size_t *columns,
                      size_t rows, const setting *s, float *y)
{
    const size_t blocks[] = {3, rows - 25, 1, 1, 2, 1, 13, 1};
    attn_value in[3];
    size_t stride = 0, past = 0;
    for (int i = 0; i < 3; i++) in[i] = part_of(whole[i], columns[i], 0, 1);
    attn_infer c = infer(p, in, CONTEXT, 0, s);
    assert_int_equal(c.cache_parts, 2);
    for (size_t i = 0; i < c.cache_parts; i++) {
        const attn_cache_part *part = &c.cache[i];
        size_t groups = (CONTEXT + part->rows - 1) / part->rows;
        assert_true(part->lane_bytes % 64 == 0 && groups * part->bytes <= part->lane_bytes);
        stride += part->lanes * part->lane_bytes;
    }
    char *cache = aligned_alloc(64, s->batch * stride);
    assert_non_null(cache);
    memset(cache, 0xff, s->batch * stride); /* NaN: what is not appended is not looked at */
    for (size_t i = 0; past < rows; i++) {
        size_t n = i < sizeof blocks / sizeof *blocks ? blocks[i] : 1;
        if (n > rows - past) n = rows - past;
        run_rows(p, whole, columns, past, n, cache, stride, s, y);
        past += n;
    }
    free(cache);
}

static void appended_rows_give_the_same_bits(void **state)
{
    (void)state;
    static const struct {
        size_t rows, heads, kv_heads, k_dim, v_dim, window;
        int normalize;
    } cases[] = {
        {ROWS, 9, 3, 48, 48, 0, ATTN_NORMALIZE_SOFTMAX}, /* many keys, heads that do not divide */
        {90, 12, 2, 17, 33, 0, ATTN_NORMALIZE_SOFTMAX},
        {150, 9, 3, 32, 40, 90, ATTN_NORMALIZE_SOFTMAX},
        {60, 2, 2, 9, 70, 5, ATTN_NORMALIZE_SIGMOID},
        {40, 3, 1, 8, 8, 0, ATTN_NORMALIZE_NONE},
        {80, 4, 4, 16, 16, 0, ATTN_NORMALIZE_SPARSEMAX},
    };
    attn_memory memory;
    attn_pool *pool[4];
    attn_memory_init(&memory, NULL, 0);
    for (unsigned t = 0; t < 4; t++)
        assert_int_equal(attn_pool_open(&pool[t], t + 1, &memory, NULL), ATTN_OK);
    bool brief = getenv("ATTN_TEST_BRIEF") != NULL;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        attn_attention_params p = {
            .score = {.heads = cases[i].heads,
                      .kv_heads = cases[i].kv_heads,
                      .causal = true,
                      .window = cases[i].window,
                      .padding = -1,
                      .mask = -1,
                      .bias = -1},
            .normalize = {.kind = cases[i].normalize, .temperature = 1},
            .select = {.kv_heads = cases[i].kv_heads},
            .cached = true,
        };
        const size_t columns[4] = {
            cases[i].heads * cases[i].k_dim, cases[i].kv_heads * cases[i].k_dim,
            cases[i].kv_heads * cases[i].v_dim, cases[i].heads * cases[i].v_dim};
        size_t count = BATCH * ROWS * columns[3];
        float *whole[3], *y = malloc(count * sizeof *y), *expected = malloc(count * sizeof *y);
        for (size_t j = 0; j < 3; j++)
            whole[j] = draw_floats(BATCH * ROWS * columns[j], (uint32_t)(i * 3 + j));
        assert_true(y && expected);
        for (int type = 0; type < 2; type++) {
            attn_panel_type products = type ? ATTN_PANEL_BF16_DOT : ATTN_PANEL_F32;
            setting first = {attn_kernels_level(ATTN_CPU_SCALAR), products, pool[3], BATCH};
            run_rows(&p, whole, columns, 0, cases[i].rows, NULL, 0, &first, expected);
            for (int level = 0; level < ATTN_CPU_LEVELS; level++) {
                const attn_kernels *kernels = attn_kernels_level((attn_cpu_level)level);
                for (unsigned t = 0; kernels && t < 4;
                     t += brief || level == ATTN_CPU_SCALAR ? 3 : 1) {
                    setting s = {kernels, products, pool[t], 1 + (t + (unsigned)level) % BATCH};
                    memset(y, 0xff, count * sizeof *y);
                    in_blocks(&p, whole, columns, cases[i].rows, &s, y);
                    for (size_t item = 0; item < s.batch; item++)
                        if (memcmp(y + item * ROWS * columns[3],
                                   expected + item * ROWS * columns[3],
                                   cases[i].rows * columns[3] * sizeof *y))
                            fail_msg("case %zu, type %d, %s, %u workers", i, type, kernels->name,
                                     t + 1);
                }
            }
        }
        for (size_t j = 0; j < 3; j++) free(whole[j]);
        free(y);
        free(expected);
    }
    for (unsigned t = 0; t < 4; t++) attn_pool_close(pool[t], &memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(appended_rows_give_the_same_bits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
