/* Weights become panels: in the order in which they lie in the file, cut into tasks for all CPUs,
 * and what has been read of the file is let go. Each panel stands for itself, so the result depends
 * neither on the tasks nor on the threads. */
#include "runtime/weights/params.h"

#include "runtime/threads.h"
#include "runtime/weights/gguf.h"

#include <stdlib.h>
#include <string.h>

enum { TASK_BYTES = 1 << 19, SMALL_BYTES = 1 << 21, MAX_WORKERS = 16 };

/* Panels, or elements of a plain weight, [from, to) of a use. */
typedef struct fill_task {
    const attn_use *use;
    size_t from, to;
} fill_task;

typedef struct filler {
    const attn_kernels *kernels;
    char *memory;
    size_t tasks;
    fill_task *task;
    float *temporary; /* of worker 0 */
    size_t temporary_floats;
} filler;

/* f32 that the kernels can read where it lies. */
static bool is_readable(const attn_weight *w)
{
    return w->dtype == ATTN_F32 && (uintptr_t)w->data % sizeof(float) == 0;
}

static void pack_blocks(const filler *f, const attn_param *p, size_t j, size_t columns, char *to,
                        float *temporary)
{
    size_t count = columns * p->k, groups = count / attn_block_group(p->type);
    float *minimum = temporary + groups;
    int8_t *q = (int8_t *)(minimum + groups); /* 1.5 bytes an element, where there is room for 4 */
    if (p->source->integers)
        attn_integers_split(p->source, p->first + (p->k_is_row ? j : j * p->k), p->k, columns,
                            attn_block_group(p->type), q, temporary);
    else
        attn_blocks_split(p->source, p->first + j * p->k, count, q, temporary, minimum);
    f->kernels->pack_blocks(p->type, to, q, temporary, minimum, p->k, columns);
}

static void pack_panel(const filler *f, const attn_param *p, size_t j, char *to, float *temporary)
{
    size_t columns = p->n - j < f->kernels->panel ? p->n - j : f->kernels->panel;
    size_t row = p->source->dim[p->source->rank - 1];
    size_t first = p->first + (p->k_is_row ? j : j * p->k);
    const float *w = temporary;
    if (attn_is_blocks(p->type)) {
        pack_blocks(f, p, j, columns, to, temporary);
        return;
    }
    size_t stride_k = p->k_is_row ? columns : 1, stride_n = p->k_is_row ? 1 : p->k;
    if (is_readable(p->source)) {
        w = (const float *)p->source->data + first;
        if (p->k_is_row) stride_k = row;
    } else if (p->k_is_row) {
        for (size_t i = 0; i < p->k; i++)
            attn_weight_to_f32(p->source, first + i * row, columns, temporary + i * columns);
    } else {
        attn_weight_to_f32(p->source, first, columns * p->k, temporary);
    }
    f->kernels->pack(p->type, to, w, p->k, columns, stride_k, stride_n);
}

/* Rows [from, to). What lies between them is zero, as a kept file has no other bytes there. */
static void fill_spread(const attn_param *p, size_t from, size_t to, float *y)
{
    size_t step = attn_spread_rows(p->n, p->k);
    for (size_t row = from; row < to; row++) {
        attn_weight_to_f32(p->source, p->first + row * p->k, p->k, y + row * step);
        memset(y + row * step + p->k, 0, (step - p->k) * sizeof *y);
    }
    attn_weight_forget(p->source, p->first + from * p->k, (to - from) * p->k);
}

static void fill(void *arg, size_t index, size_t worker)
{
    const filler *f = arg;
    const fill_task *t = &f->task[index];
    const attn_param *p = *t->use->param;
    char *to = f->memory + t->use->offset;
    float *temporary = f->temporary + worker * f->temporary_floats;
    if (p->form == ATTN_SPREAD) {
        fill_spread(p, t->from, t->to, (float *)(void *)to);
        return;
    }
    if (p->form != ATTN_PANELS) {
        size_t first = p->first + t->from, count = t->to - t->from;
        if (p->form == ATTN_INTEGERS)
            attn_weight_to_i32(p->source, first, count, (int32_t *)(void *)to + t->from);
        else
            attn_weight_to_f32(p->source, first, count, (float *)(void *)to + t->from);
        attn_weight_forget(p->source, p->first + t->from, t->to - t->from);
        return;
    }
    size_t panel = f->kernels->panel, bytes = f->kernels->panel_bytes(p->type, p->k);
    for (size_t i = t->from; i < t->to; i++) pack_panel(f, p, i * panel, to + i * bytes, temporary);
    size_t end = t->to * panel < p->n ? t->to * panel : p->n;
    if (p->k_is_row)
        attn_weight_forget(p->source, 0, p->k * p->source->dim[p->source->rank - 1]);
    else
        attn_weight_forget(p->source, p->first + t->from * panel * p->k,
                           (end - t->from * panel) * p->k);
}

/* ---- tasks -------------------------------------------------------------------------------- */

/* How many panels or elements a use has, and of how many a task is made. A transposed matrix, whose
 * panels lie all over it, is one task, so that its pages are read once. */
static size_t count_units(const attn_use *use, const attn_kernels *kernels, size_t *each)
{
    const attn_param *p = *use->param;
    size_t units = p->form == ATTN_SPREAD   ? p->n
                   : p->form != ATTN_PANELS ? attn_param_elements(p)
                                            : p->n / kernels->panel + (p->n % kernels->panel != 0);
    size_t parts = use->bytes / TASK_BYTES + 1;
    if (p->form == ATTN_PANELS && (p->k_is_row || p->k == 0)) parts = 1;
    *each = units / parts + (units % parts != 0);
    return p->form == ATTN_PANELS && p->k == 0 ? 0 : units;
}

static int compare_places(const void *left, const void *right)
{
    const fill_task *a = left, *b = right;
    const char *p = (*a->use->param)->source->data, *q = (*b->use->param)->source->data;
    if (p != q) return p < q ? -1 : 1;
    if (a->use != b->use) return a->use < b->use ? -1 : 1;
    return (a->from > b->from) - (a->from < b->from);
}

/* Writes the tasks, if there is room for them, and counts them. */
static size_t cut(const attn_params *params, const attn_kernels *kernels, fill_task *task)
{
    size_t count = 0;
    for (size_t i = 0; i < params->uses; i++) {
        const attn_use *use = &params->use[i];
        size_t each, units = use->bytes ? count_units(use, kernels, &each) : 0;
        for (size_t from = 0; from < units; from += each, count++)
            if (task)
                task[count] = (fill_task){use, from, units - from < each ? units : from + each};
    }
    return count;
}

/* Floats of one panel of the largest matrix that cannot be read where it lies. */
static size_t temporary_floats(const attn_params *params, const attn_kernels *kernels)
{
    size_t most = 0;
    for (size_t i = 0; i < params->uses; i++) {
        const attn_param *p = *params->use[i].param;
        if (p->form == ATTN_PANELS && p->k > most && !is_readable(p->source)) most = p->k;
    }
    return most * kernels->panel; /* of a packed matrix, whose size has been computed */
}

void attn_params_bind(const attn_params *params, const void *memory)
{
    for (size_t i = 0; i < params->uses; i++) {
        const attn_use *use = &params->use[i];
        const char *at = (const char *)memory + use->offset;
        for (size_t j = 0; j < use->count; j++) {
            attn_param *p = use->param[j];
            if (p->form == ATTN_PANELS)
                p->panels = at;
            else if (attn_param_in_place(p))
                p->data = is_readable(p->source) || p->form == ATTN_INTEGERS
                              ? (const float *)p->source->data + p->first
                              : NULL;
            else
                p->data = (const float *)(const void *)at;
            p->widen = attn_weight_to_f32;
        }
    }
}

attn_pool *attn_params_pool(size_t bytes, attn_memory *budget)
{
    attn_pool *pool;
    unsigned cpus = attn_cpu_count() < MAX_WORKERS ? attn_cpu_count() : MAX_WORKERS;
    if (bytes < SMALL_BYTES || cpus < 2) return NULL;
    return attn_pool_open(&pool, cpus, budget, NULL) ? NULL : pool;
}

attn_status attn_params_fill(const attn_params *params, const attn_kernels *kernels, void *memory,
                             attn_memory *budget, attn_error *err)
{
    filler f = {.kernels = kernels, .memory = memory};
    size_t workers = 1, bytes;
    void *fresh;
    attn_params_bind(params, memory);
    f.tasks = cut(params, kernels, NULL);
    if (f.tasks == 0) return ATTN_OK;
    attn_pool *pool = attn_params_pool(params->bytes, budget);
    if (pool) workers = attn_pool_workers(pool);
    f.temporary_floats = temporary_floats(params, kernels);
    size_t list = f.tasks * sizeof *f.task;
    attn_status status = ATTN_OK;
    if (!attn_mul(f.temporary_floats, workers * sizeof(float), &bytes) ||
        !attn_add(bytes, list, &bytes))
        status = attn_fail(err, ATTN_LIMIT, "packing the weights needs more bytes than can exist");
    if (!status) status = attn_alloc(budget, bytes, "packing the weights", &fresh, err);
    if (!status) {
        f.temporary = fresh;
        f.task = (fill_task *)(void *)(f.temporary + f.temporary_floats * workers);
        cut(params, kernels, f.task);
        qsort(f.task, f.tasks, sizeof *f.task, compare_places);
        if (pool)
            attn_pool_run(pool, f.tasks, fill, &f);
        else
            for (size_t i = 0; i < f.tasks; i++) fill(&f, i, 0);
        attn_release(budget, fresh, bytes);
    }
    attn_pool_close(pool, budget);
    return status;
}
