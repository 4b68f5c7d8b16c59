/* From the rows of a text's tokens to its vector. */
#include "runtime/text/modules.h"

#include <math.h>
#include <string.h>

size_t attn_modules_size(const attn_modules *m, size_t dim)
{
    for (size_t i = 0; i < m->count; i++) {
        const attn_module *module = &m->module[i];
        if (module->kind == ATTN_MODULE_POOLING) dim *= module->poolings;
        if (module->kind == ATTN_MODULE_DENSE) dim = module->in == dim ? module->out : 0;
        if (dim == 0) return 0;
    }
    return dim;
}

size_t attn_modules_width(const attn_modules *m, size_t dim)
{
    size_t most = dim;
    for (size_t i = 0; i < m->count; i++) {
        const attn_module *module = &m->module[i];
        if (module->kind == ATTN_MODULE_POOLING) dim *= module->poolings;
        if (module->kind == ATTN_MODULE_DENSE) dim = module->out;
        if (dim > most) most = dim;
    }
    return most;
}

/* Each column is one sum over the tokens in their order. */
static void pool(attn_pooling kind, const attn_kernels *kernels, const float *rows, size_t count,
                 size_t dim, size_t first, float *out)
{
    float total = 0;
    if (kind == ATTN_POOL_CLS || kind == ATTN_POOL_LAST) {
        size_t row = kind == ATTN_POOL_CLS ? first : count - 1;
        memcpy(out, rows + row * dim, dim * sizeof *out);
        return;
    }
    memset(out, 0, dim * sizeof *out);
    for (size_t t = first; t < count; t++) {
        const float *row = rows + t * dim;
        float weight = kind == ATTN_POOL_WEIGHTED_MEAN ? (float)(t + 1) : 1;
        if (kind == ATTN_POOL_MAX) {
            if (t == first)
                memcpy(out, row, dim * sizeof *out);
            else
                kernels->binary(ATTN_BIN_MAX, out, out, 1, row, 1, dim);
        } else if (kind == ATTN_POOL_WEIGHTED_MEAN) {
            for (size_t i = 0; i < dim; i++) out[i] = fmaf(row[i], weight, out[i]);
        } else {
            kernels->binary(ATTN_BIN_ADD, out, out, 1, row, 1, dim);
        }
        total += weight;
    }
    if (kind == ATTN_POOL_MAX) return;
    if (kind == ATTN_POOL_MEAN_SQRT) total = sqrtf(total);
    if (total < 1e-9f) total = 1e-9f;
    kernels->binary(ATTN_BIN_DIV, out, out, 1, &total, 0, dim);
}

static void dense(const attn_module *m, const attn_kernels *kernels, const float *x, float *y)
{
    for (size_t o = 0; o < m->out; o++) {
        const float *w = m->weight + o * m->in;
        float sum = 0;
        for (size_t k = 0; k < m->in; k++) sum = fmaf(w[k], x[k], sum);
        y[o] = sum + (m->bias ? m->bias[o] : 0);
    }
    if (!m->identity) kernels->unary(m->activation, y, y, m->out);
}

static void normalize(const attn_kernels *kernels, float *x, size_t dim)
{
    float norm = sqrtf(kernels->dot(x, x, dim));
    if (norm < 1e-12f) norm = 1e-12f;
    kernels->binary(ATTN_BIN_DIV, x, x, 1, &norm, 0, dim);
}

void attn_modules_run(const attn_modules *m, const attn_kernels *kernels, const float *rows,
                      size_t count, size_t dim, size_t prompt, float *scratch, float *out)
{
    size_t width = dim;
    for (size_t i = 0; i < m->count; i++) {
        const attn_module *module = &m->module[i];
        if (module->kind == ATTN_MODULE_POOLING) {
            size_t first = module->include_prompt || prompt >= count ? 0 : prompt;
            for (size_t p = 0; p < module->poolings; p++)
                pool(module->pooling[p], kernels, rows, count, dim, first, out + p * dim);
            width = dim * module->poolings;
        } else if (module->kind == ATTN_MODULE_DENSE) {
            memcpy(scratch, out, width * sizeof *out);
            dense(module, kernels, scratch, out);
            width = module->out;
        } else {
            normalize(kernels, out, width);
        }
    }
}
