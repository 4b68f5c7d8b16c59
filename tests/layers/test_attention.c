/* The attention layers against themselves: fused = stepwise, bit for bit, for any instruction set,
 * number of workers and batch, and inside exactly the scratch that infer asked for (the sanitizers
 * watch its ends). What is right is held by test_golden.c. */
#include "tests/check.h"

#include "layers/attention.h"
#include "runtime/threads.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const attn_layer attn_layer_attention, attn_layer_normalize, attn_layer_score,
    attn_layer_select;

enum { MAX_BATCH = 3, OPERANDS = 6 };

/* One attention: its params, and operands of MAX_BATCH items. in: q, k, v, padding, mask, bias */
typedef struct problem {
    attn_score_params score;
    attn_normalize_params normalize;
    attn_select_params select;
    attn_value in[OPERANDS];
    float *weight, *score_bias; /* as in the file */
    attn_weight source;
} problem;

static uint32_t seed;

static uint32_t draw(uint32_t below)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % below;
}

static float draw_float(void)
{
    return (float)draw(1 << 20) / (1 << 18) - 2.0f;
}

static float *draw_floats(size_t count)
{
    float *x = malloc(count * sizeof *x);
    for (size_t i = 0; i < count; i++) x[i] = draw_float();
    return x;
}

static attn_value make_value(attn_shape shape)
{
    attn_value v = {.shape = shape};
    attn_product(shape.dim, shape.rank, &v.count);
    v.stride = draw(4) ? v.count : 0;
    v.data = draw_floats(v.count * MAX_BATCH);
    if (shape.dtype == ATTN_I32)
        for (size_t i = 0; i < v.count * MAX_BATCH; i++) ((int32_t *)v.data)[i] = draw(4) > 0;
    return v;
}

static attn_shape shape_of(attn_dtype dtype, int rank, size_t a, size_t b, size_t c)
{
    return (attn_shape){dtype, rank, {a, b, c}};
}

static void make_masks(problem *p, size_t heads, size_t q_len, size_t k_len)
{
    p->score.causal = draw(3) == 0;
    p->score.window = draw(3) == 0 ? 1 + draw(20) : 0;
    p->score.padding = draw(3) == 0 ? 2 : -1;
    p->score.mask = draw(3) == 0 ? 3 : -1;
    p->score.bias = draw(3) == 0 ? 4 : -1;
    p->in[3] = make_value(shape_of(draw(2) ? ATTN_I32 : ATTN_F32, 1, k_len, 0, 0));
    p->in[4] = make_value(shape_of(draw(2) ? ATTN_I32 : ATTN_F32, 3, heads, q_len, k_len));
    p->in[5] = make_value(shape_of(ATTN_F32, 2, q_len, k_len, 0));
}

static void make_problem(problem *p, uint32_t number)
{
    seed = number * 2654435761u + 1;
    size_t kv_heads = 1 + draw(3), heads = kv_heads * (1 + draw(3));
    size_t q_len = 1 + draw(40), k_len = draw(8) ? 1 + draw(70) : 1 + draw(1500);
    size_t q_dim = 1 + draw(20), v_dim = 1 + draw(20), k_dim = q_dim;
    bool per_head = draw(2);
    *p = (problem){
        .score = {.kind = (int)(number % 6), .heads = heads, .kv_heads = kv_heads},
        .normalize = {.kind = (int)(number / 6 % 4), .temperature = 0.5f + (float)draw(4) / 2},
        .select = {.kind = (int)(number / 24 % 4), .kv_heads = kv_heads},
    };
    if (p->score.kind == ATTN_SCORE_BILINEAR) k_dim = 1 + draw(40);
    p->score.has_scale = draw(2);
    p->score.scale = p->score.has_scale ? 0.25f : 1;
    p->score.sigma = 3;
    p->score.eps = 1e-8f;
    p->select.k = 1 + draw(9);
    p->select.threshold = 0.05f;
    p->select.renormalize = draw(2);
    p->in[0] = make_value(shape_of(ATTN_F32, 2, q_len, heads * q_dim, 0));
    p->in[1] = make_value(shape_of(ATTN_F32, 2, k_len, kv_heads * k_dim, 0));
    p->in[2] = make_value(shape_of(ATTN_F32, 2, k_len, kv_heads * v_dim, 0));
    p->in[0].stride = p->in[0].count; /* so that the stepwise scores are batched too */
    make_masks(p, heads, q_len, k_len);
    p->weight = draw_floats(heads * q_dim * k_dim);
    p->score_bias = draw_floats(heads * q_dim);
    p->source.name = "weight";
    attn_param *w = &p->score.weight, *b = &p->score.score_bias;
    size_t lead = per_head ? heads : 1;
    if (p->score.kind == ATTN_SCORE_BILINEAR) {
        *w = (attn_param){.source = &p->source, .form = ATTN_PANELS, .rank = 2 + per_head};
        memcpy(w->dim, per_head ? (size_t[3]){heads, q_dim, k_dim} : (size_t[3]){q_dim, k_dim, 0},
               3 * sizeof(size_t));
        w->k = lead * q_dim;
        w->n = k_dim;
        w->k_is_row = true;
    } else if (p->score.kind == ATTN_SCORE_ADDITIVE) {
        *w = (attn_param){.source = &p->source, .rank = 1 + per_head, .data = p->weight};
        memcpy(w->dim, per_head ? (size_t[2]){heads, q_dim} : (size_t[2]){q_dim, 0},
               2 * sizeof(size_t));
        *b = *w;
        b->data = p->score_bias;
        if (draw(2)) b->source = NULL;
    }
}

static void free_problem(problem *p)
{
    for (int i = 0; i < OPERANDS; i++) free(p->in[i].data);
    free(p->weight);
    free(p->score_bias);
}

/* How it is run. */
typedef struct setting {
    const attn_kernels *kernels;
    attn_pool *pool;
    size_t batch;
} setting;

/* Runs one layer; out: values to be made, for the caller to free. */
static void run_layer(const attn_layer *layer, const void *params, const attn_value *in,
                      size_t inputs, attn_value *out, size_t outputs, const setting *s)
{
    attn_shape in_shape[OPERANDS], out_shape[2];
    attn_error err = {0};
    for (size_t i = 0; i < inputs; i++) in_shape[i] = in[i].shape;
    attn_infer c = {.inputs = inputs,
                    .in = in_shape,
                    .outputs = outputs,
                    .out = out_shape,
                    .batch = s->batch,
                    .workers = attn_pool_workers(s->pool),
                    .kernels = s->kernels,
                    .place = layer->name,
                    .err = &err};
    if (layer->infer(&c, params)) fail_msg("%s", err.text);
    for (size_t i = 0; i < outputs; i++) {
        out[i] = (attn_value){.shape = out_shape[i]};
        attn_product(out[i].shape.dim, out[i].shape.rank, &out[i].count);
        out[i].stride = out[i].count;
        out[i].data = malloc(out[i].count * s->batch * sizeof(float));
    }
    size_t all_workers = c.worker_scratch * c.workers;
    char *scratch = aligned_alloc(64, c.scratch ? c.scratch : 64);
    char *worker_scratch = aligned_alloc(64, all_workers ? all_workers : 64);
    memset(scratch, 0xff, c.scratch); /* NaN */
    memset(worker_scratch, 0xff, all_workers);
    attn_run_context run = {.in = in,
                            .out = out,
                            .outputs = outputs,
                            .batch = s->batch,
                            .kernels = s->kernels,
                            .workers = c.workers,
                            .scratch = scratch,
                            .worker_scratch = worker_scratch,
                            .worker_scratch_size = c.worker_scratch,
                            .parallel = attn_pool_run,
                            .pool = s->pool};
    layer->run(&run, params);
    free(scratch);
    free(worker_scratch);
}

/* q, k, (v,) then the further operands that are used, renumbered. */
static size_t gather(const problem *p, attn_score_params *score, attn_value *in, bool fused)
{
    size_t count = 0;
    in[count++] = p->in[0];
    in[count++] = p->in[1];
    if (fused) in[count++] = p->in[2];
    int *index[] = {&score->padding, &score->mask, &score->bias};
    for (int i = 0; i < 3; i++) {
        if (*index[i] < 0) continue;
        *index[i] = (int)count - (fused ? 1 : 0);
        in[count++] = p->in[3 + i];
    }
    return count;
}

/* The weight, as the runtime packs it for these kernels. */
static float *bind_weight(const problem *p, attn_score_params *score, const attn_kernels *kernels)
{
    *score = p->score;
    if (score->kind != ATTN_SCORE_BILINEAR) return NULL;
    size_t floats = 0;
    attn_packed_floats(kernels, score->weight.k, score->weight.n, &floats);
    float *packed = malloc(floats * sizeof *packed);
    kernels->pack(ATTN_PANEL_F32, packed, p->weight, score->weight.k, score->weight.n,
                  score->weight.n, 1);
    score->weight.panels = packed;
    return packed;
}

static float *run_fused(const problem *p, const setting *s, size_t outputs, attn_value *out)
{
    attn_score_params score;
    attn_attention_params params = {0};
    attn_value in[OPERANDS];
    float *packed = bind_weight(p, &score, s->kernels);
    size_t inputs = gather(p, &score, in, true);
    assert_true(attn_attention_fuse(&score, &p->normalize, &p->select, &params));
    run_layer(&attn_layer_attention, &params, in, inputs, out, outputs, s);
    free(packed);
    return out[0].data;
}

/* scores, weights, y */
static void run_stepwise(const problem *p, const setting *s, attn_value *out)
{
    attn_score_params score;
    attn_value in[OPERANDS];
    float *packed = bind_weight(p, &score, s->kernels);
    size_t inputs = gather(p, &score, in, false);
    run_layer(&attn_layer_score, &score, in, inputs, &out[0], 1, s);
    run_layer(&attn_layer_normalize, &p->normalize, &out[0], 1, &out[1], 1, s);
    attn_value mixed[2] = {out[1], p->in[2]};
    run_layer(&attn_layer_select, &p->select, mixed, 2, &out[2], 1, s);
    free(packed);
}

static void check_same(uint32_t number, const char *what, const attn_value *a, const attn_value *b,
                       size_t items)
{
    assert_int_equal(a->count, b->count);
    const float *x = a->data, *y = b->data;
    for (size_t i = 0; i < a->count * items; i++)
        if (memcmp(&x[i], &y[i], sizeof *x) && !(isnan(x[i]) && isnan(y[i])))
            fail_msg("problem %u, %s: element %zu is %.9g and %.9g", (unsigned)number, what, i,
                     (double)x[i], (double)y[i]);
}

static void check_setting(uint32_t number, const problem *p, const setting *s, const attn_value *y)
{
    attn_value fused[2], shown[2], step[3];
    run_fused(p, s, 1, fused);
    check_same(number, "fused, one output", &fused[0], y, s->batch);
    run_fused(p, s, 2, shown);
    check_same(number, "fused, two outputs", &shown[0], y, s->batch);
    run_stepwise(p, s, step);
    check_same(number, "stepwise", &step[2], y, s->batch);
    if (p->select.kind == ATTN_SELECT_WEIGHTED)
        check_same(number, "weights", &shown[1], &step[1], s->batch);
    free(fused[0].data);
    for (int i = 0; i < 2; i++) free(shown[i].data);
    for (int i = 0; i < 3; i++) free(step[i].data);
}

static void all_ways_give_the_same_bits(void **state)
{
    (void)state;
    enum { PROBLEMS = 192 };
    attn_memory memory;
    attn_pool *pool[4];
    attn_memory_init(&memory, NULL, 0);
    for (unsigned t = 0; t < 4; t++)
        assert_int_equal(attn_pool_open(&pool[t], t + 1, &memory, NULL), ATTN_OK);
    for (uint32_t number = 0; number < PROBLEMS; number++) {
        problem p;
        attn_value y;
        make_problem(&p, number);
        setting first = {attn_kernels_level(ATTN_CPU_SCALAR), pool[0], MAX_BATCH};
        run_fused(&p, &first, 1, &y);
        for (int level = 0; level < ATTN_CPU_LEVELS; level++) {
            const attn_kernels *kernels = attn_kernels_level((attn_cpu_level)level);
            if (!kernels) continue;
            size_t batch = 1 + (number + (size_t)level) % MAX_BATCH;
            check_setting(number, &p, &(setting){kernels, pool[number % 4], batch}, &y);
        }
        free(y.data);
        free_problem(&p);
    }
    for (unsigned t = 0; t < 4; t++) attn_pool_close(pool[t], &memory);
}

/* Scratch grows with the sequence, not with its square. */
static void scratch_is_linear(void **state)
{
    (void)state;
    attn_attention_params params = {
        .score = {.heads = 4, .kv_heads = 4, .padding = -1, .mask = -1, .bias = -1},
        .normalize = {.kind = ATTN_NORMALIZE_SPARSEMAX, .temperature = 1},
        .select = {.kv_heads = 4},
    };
    size_t bytes[2];
    for (size_t i = 0; i < 2; i++) {
        size_t length = i ? 65536 : 8192;
        attn_shape in[3], out[1];
        for (int j = 0; j < 3; j++) in[j] = shape_of(ATTN_F32, 2, length, 64, 0);
        attn_infer c = {.inputs = 3,
                        .in = in,
                        .outputs = 1,
                        .out = out,
                        .batch = 1,
                        .workers = 4,
                        .kernels = attn_kernels_level(ATTN_CPU_SCALAR),
                        .place = "test"};
        assert_int_equal(attn_layer_attention.infer(&c, &params), ATTN_OK);
        bytes[i] = c.scratch + 4 * c.worker_scratch;
    }
    assert_true(bytes[1] <= 9 * bytes[0]);
}

/* Shapes at the edge of size_t are refused, not wrapped. */
static void huge_shapes_are_refused(void **state)
{
    (void)state;
    attn_attention_params params = {
        .score = {.heads = 1, .kv_heads = 1, .padding = -1, .mask = -1, .bias = -1},
        .normalize = {.temperature = 1},
    };
    const size_t lengths[] = {SIZE_MAX, SIZE_MAX / 2, SIZE_MAX / 64, (size_t)1 << 60};
    for (size_t i = 0; i < 4; i++) {
        attn_error err = {0};
        attn_shape in[3], out[1];
        for (int j = 0; j < 3; j++) in[j] = shape_of(ATTN_F32, 2, lengths[i], 64, 0);
        attn_infer c = {.inputs = 3,
                        .in = in,
                        .outputs = 1,
                        .out = out,
                        .batch = 3,
                        .workers = 4,
                        .kernels = attn_kernels_level(ATTN_CPU_SCALAR),
                        .place = "test",
                        .err = &err};
        assert_int_not_equal(attn_layer_attention.infer(&c, &params), ATTN_OK);
        assert_non_null(strstr(err.text, "too large"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_ways_give_the_same_bits),
        cmocka_unit_test(scratch_is_linear),
        cmocka_unit_test(huge_shapes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
