/* normalize: x [..., n] -> y of the same shape; every row of n on its own. */
#include "layers/normalize/normalize.h"

#include <math.h>

static const char *const kinds[] = {"softmax", "sigmoid", "sparsemax", "none", NULL};

attn_status attn_normalize_parse(attn_reader *r, const char *kind_key, attn_normalize_params *p)
{
    p->kind = ATTN_NORMALIZE_SOFTMAX;
    p->temperature = 1;
    ATTN_TRY(attn_read_word(r, kind_key, kinds, &p->kind));
    return attn_read_float(r, "temperature", 1e-6, 1e6, &p->temperature);
}

void attn_normalize_rows(const attn_kernels *kernels, const attn_normalize_params *p, float *y,
                         const float *x, size_t rows, size_t n, float *worker_scratch)
{
    float scale = 1 / p->temperature;
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        switch (p->kind) {
        case ATTN_NORMALIZE_SOFTMAX:
            kernels->softmax(y, x, n, scale);
            break;
        case ATTN_NORMALIZE_SIGMOID:
            kernels->binary(ATTN_BIN_MUL, y, x, 1, &scale, 0, n);
            kernels->unary(ATTN_SIGMOID, y, y, n);
            break;
        case ATTN_NORMALIZE_SPARSEMAX:
            attn_sparsemax(kernels, y, x, n, scale, worker_scratch);
            break;
        default:
            for (size_t i = 0; i < n; i++) y[i] = x[i] == -INFINITY ? 0 : x[i] * scale;
        }
    }
}

static attn_status parse(attn_reader *r, void *params)
{
    size_t number;
    ATTN_TRY(attn_need_inputs(r, 1, 1, &number));
    ATTN_TRY(attn_need_outputs(r, 1, 1, &number));
    return attn_normalize_parse(r, "kind", params);
}

static attn_status infer(attn_infer *c, const void *params)
{
    ATTN_TRY(attn_want(c, 0, ATTN_F32, 1, ATTN_MAX_RANK));
    const attn_shape *x = &c->in[0];
    size_t count, n = x->dim[x->rank - 1];
    attn_shape_text text;
    if (!attn_product(x->dim, x->rank, &count) || count == 0)
        return attn_infer_fail(c, "nothing to normalize in shape %s",
                               attn_format_shape(&text, x->dim, x->rank));
    c->out[0] = *x;
    c->flops = 4 * (double)count;
    return attn_add_scratch(c, attn_normalize_worker_floats(params, n), sizeof(float),
                            &c->worker_scratch);
}

typedef struct normalize_job {
    const attn_run_context *c;
    const attn_normalize_params *p;
    size_t rows, n, each; /* rows of a task */
} normalize_job;

static void rows_task(void *arg, size_t task, size_t worker)
{
    const normalize_job *job = arg;
    size_t first = task * job->each, left = job->rows - first;
    attn_normalize_rows(job->c->kernels, job->p, attn_item(&job->c->out[0], 0) + first * job->n,
                        attn_item(&job->c->in[0], 0) + first * job->n,
                        left < job->each ? left : job->each, job->n,
                        attn_worker_scratch(job->c, worker));
}

/* The items of a batched value follow each other, so all rows are one run of rows. */
static void run(const attn_run_context *c, const void *params)
{
    const attn_shape *x = &c->in[0].shape;
    normalize_job job = {.c = c,
                         .p = params,
                         .rows = attn_rows(&c->in[0]) * (c->in[0].stride ? c->batch : 1),
                         .n = x->dim[x->rank - 1]};
    size_t grain = 4096 / job.n + 1, tasks = attn_split(job.rows, grain, c->workers, &job.each);
    c->parallel(c->pool, tasks, rows_task, &job);
}

const attn_layer attn_layer_normalize = {
    .name = "normalize",
    .step = ATTN_STEP_NORMALIZE,
    .flags = ATTN_IN_PLACE,
    .params_size = sizeof(attn_normalize_params),
    .parse = parse,
    .infer = infer,
    .run = run,
};
