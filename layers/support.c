#include "layers/support.h"

#include <string.h>

/* ---- parse and infer ---------------------------------------------------------------------- */

static attn_status want_no_zero(attn_infer *c, size_t input)
{
    const attn_shape *s = &c->in[input];
    attn_shape_text shape;
    for (int i = 0; i < s->rank; i++)
        if (s->dim[i] == 0)
            return attn_infer_fail(c, "input %zu is %s: it has no elements", input,
                                   attn_format_shape(&shape, s->dim, s->rank));
    return ATTN_OK;
}

attn_status attn_want_filled(attn_infer *c, size_t input, attn_dtype dtype, int min_rank,
                             int max_rank)
{
    ATTN_TRY(attn_want(c, input, dtype, min_rank, max_rank));
    return want_no_zero(c, input);
}

attn_status attn_want_any(attn_infer *c, size_t input, int min_rank, int max_rank)
{
    return attn_want_filled(c, input, c->in[input].dtype == ATTN_I32 ? ATTN_I32 : ATTN_F32,
                            min_rank, max_rank);
}

attn_status attn_want_axis(attn_infer *c, size_t input, long axis, int *out)
{
    const attn_shape *s = &c->in[input];
    attn_shape_text shape;
    if (axis < -s->rank || axis >= s->rank)
        return attn_infer_fail(c, "axis %ld is none of input %zu, %s", axis, input,
                               attn_format_shape(&shape, s->dim, s->rank));
    *out = (int)(axis < 0 ? axis + s->rank : axis);
    return ATTN_OK;
}

attn_status attn_want_appended(attn_infer *c, size_t rows)
{
    if (!c->context || rows == c->appended) return ATTN_OK;
    return attn_infer_fail(c, "%zu rows, but a run appends %zu to the cache", rows, c->appended);
}

attn_status attn_want_count(attn_infer *c, const attn_shape *shape, size_t *count)
{
    attn_shape_text text;
    if (attn_product(shape->dim, shape->rank, count)) return ATTN_OK;
    return attn_infer_fail(c, "the output %s has more elements than can be counted",
                           attn_format_shape(&text, shape->dim, shape->rank));
}

attn_status attn_need_elements(attn_reader *r, const attn_param *param)
{
    if (!param->source) return ATTN_OK;
    for (int i = 0; i < param->rank; i++)
        if (param->dim[i] == 0)
            return attn_reader_fail(r, "tensor \"%s\" has no elements", param->source->name);
    return ATTN_OK;
}

attn_status attn_need_length(attn_reader *r, const attn_param *param, size_t size)
{
    size_t count = 0;
    attn_shape_text shape;
    if (!param->source) return ATTN_OK;
    if (attn_product(param->dim, param->rank, &count) && count == size) return ATTN_OK;
    return attn_reader_fail(r, "tensor \"%s\" has shape %s, expected [%zu]", param->source->name,
                            attn_format_shape(&shape, param->dim, param->rank), size);
}

attn_status attn_read_activation(attn_reader *r, const char *key, attn_unary *unary)
{
    /* The names of ATTN_UNARY, then those of transformers' ACT2FN for the same functions. */
    static const char *const words[] = {"identity",
                                        "relu",
                                        "gelu",
                                        "gelu_tanh",
                                        "quick_gelu",
                                        "silu",
                                        "tanh",
                                        "sigmoid",
                                        "linear",
                                        "gelu_python",
                                        "gelu_accurate",
                                        "gelu_new",
                                        "gelu_fast",
                                        "gelu_pytorch_tanh",
                                        "swish",
                                        "relu6",
                                        "hard_swish",
                                        "hardswish",
                                        NULL};
    static const attn_unary ops[] = {
        ATTN_IDENTITY,  ATTN_RELU,       ATTN_GELU,      ATTN_GELU_TANH, ATTN_QUICK_GELU,
        ATTN_SILU,      ATTN_TANH,       ATTN_SIGMOID,   ATTN_IDENTITY,  ATTN_GELU,
        ATTN_GELU_TANH, ATTN_GELU_TANH,  ATTN_GELU_TANH, ATTN_GELU_TANH, ATTN_SILU,
        ATTN_RELU6,     ATTN_HARD_SWISH, ATTN_HARD_SWISH};
    int word = -1;
    ATTN_TRY(attn_read_word(r, key, words, &word));
    if (word >= 0) *unary = ops[word];
    return ATTN_OK;
}

attn_status attn_want_mask(attn_infer *c, int index, size_t seq)
{
    if (index < 0) return ATTN_OK;
    const attn_shape *s = &c->in[index];
    attn_shape_text shape;
    if (s->rank == 1 && s->dim[0] == seq) return ATTN_OK;
    return attn_infer_fail(c, "the padding mask has shape %s, expected [%zu]",
                           attn_format_shape(&shape, s->dim, s->rank), seq);
}

/* ---- run ---------------------------------------------------------------------------------- */

int attn_run_ints(const attn_run_context *c, const attn_ints *ints, long *out)
{
    if (ints->operand < 0) {
        for (int i = 0; i < ints->count; i++)
            out[i] = ints->value[i] <= ATTN_SYMBOL_BASE
                         ? (long)c->symbols[ATTN_SYMBOL_BASE - ints->value[i]]
                         : ints->value[i];
        return ints->count;
    }
    const attn_value *from = &c->in[ints->operand];
    for (size_t i = 0; i < from->count; i++) out[i] = ((const int32_t *)from->data)[i];
    return (int)from->count;
}

typedef struct rows_job {
    const attn_run_context *c;
    const void *params;
    size_t rows, total, size;
    attn_row_task task;
} rows_job;

static void rows_task(void *arg, size_t task, size_t worker)
{
    const rows_job *job = arg;
    size_t at = task * job->size, end = at + job->size;
    if (end > job->total) end = job->total;
    while (at < end) {
        size_t item = at / job->rows, first = at % job->rows;
        size_t count = job->rows - first < end - at ? job->rows - first : end - at;
        job->task(job->c, job->params, item, first, first + count, worker);
        at += count;
    }
}

void attn_each_rows(const attn_run_context *c, const void *params, size_t rows, size_t grain,
                    attn_row_task task)
{
    rows_job job = {.c = c, .params = params, .rows = rows, .total = rows * c->batch, .task = task};
    size_t tasks = attn_split(job.total, grain, c->workers, &job.size);
    c->parallel(c->pool, tasks, rows_task, &job);
}

size_t attn_block_panels(const attn_kernels *kernels, size_t k, size_t n, size_t jobs,
                         size_t workers)
{
    enum { BLOCK_BYTES = 256 * 1024 };
    size_t panels = (n + kernels->panel - 1) / kernels->panel, size;
    size_t each = k < BLOCK_BYTES ? k * kernels->panel * sizeof(float) : BLOCK_BYTES;
    size_t most = BLOCK_BYTES / each;
    attn_split(panels, 1, jobs < workers ? workers : 1, &size);
    if (size > most) size = most;
    return size ? size : 1;
}

bool attn_mask_keeps(const attn_value *mask, size_t item, size_t t)
{
    if (mask->shape.dtype == ATTN_I32) return attn_item_i32(mask, item)[t] != 0;
    return attn_item(mask, item)[t] != 0;
}

static void copy_task(const attn_run_context *c, const void *params, size_t item, size_t first,
                      size_t end, size_t worker)
{
    (void)params;
    (void)worker;
    memcpy(attn_item(&c->out[0], item) + first, attn_item(&c->in[0], item) + first,
           (end - first) * 4);
}

void attn_run_copy(const attn_run_context *c)
{
    if (c->out[0].data == c->in[0].data) return;
    attn_each_rows(c, NULL, c->out[0].count, 65536, copy_task);
}
