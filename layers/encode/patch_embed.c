/* patch_embed: an image cut into patches, each through one linear map (Dosovitskiy et al. 2021,
 * eq. 1), as a convolution with stride = kernel does it.
 *   x: [C, H, W], weight: [dim, C, ph, pw], bias: [dim], y: [(H / ph) * (W / pw), dim]
 * Patches in row-major order; rows and columns of x that fill no patch are left out. */
#include "layers/support.h"

#include <string.h>

enum { BLOCK_PATCHES = 56 };

typedef struct patch_embed_params {
    attn_param weight, bias;
    size_t channels, height, width; /* of a patch */
} patch_embed_params;

static attn_status patch_embed_parse(attn_reader *r, void *params)
{
    patch_embed_params *p = params;
    attn_shape_text shape;
    long patch[2];
    int count;
    ATTN_TRY(attn_need_inputs(r, 1, 1, NULL));
    ATTN_TRY(attn_need_outputs(r, 1, 1, NULL));
    ATTN_TRY(attn_need_weight(r, "weight", ".weight", 4, &p->weight));
    ATTN_TRY(attn_need_elements(r, &p->weight));
    ATTN_TRY(attn_read_bias(r, "weight", &p->bias));
    attn_param *w = &p->weight;
    ATTN_TRY(attn_need_length(r, &p->bias, w->dim[0]));
    p->channels = w->dim[1];
    p->height = w->dim[2];
    p->width = w->dim[3];
    ATTN_TRY(attn_read_ints(r, "patch", 1, 1L << 20, false, 2, patch, &count));
    if (count == 1) patch[1] = patch[0];
    if (count && ((size_t)patch[0] != p->height || (size_t)patch[1] != p->width))
        return attn_reader_fail(r, "\"patch\" is [%ld, %ld], but tensor \"%s\" has shape %s",
                                patch[0], patch[1], w->source->name,
                                attn_format_shape(&shape, w->dim, w->rank));
    w->form = ATTN_PANELS;
    w->k = p->channels * p->height * p->width;
    w->n = w->dim[0];
    w->any_type = true;
    return ATTN_OK;
}

static attn_status patch_embed_infer(attn_infer *c, const void *params)
{
    const patch_embed_params *p = params;
    const attn_shape *x = &c->in[0];
    attn_shape_text shape;
    size_t count;
    ATTN_TRY(attn_want_filled(c, 0, ATTN_F32, 3, 3));
    if (x->dim[0] != p->channels || x->dim[1] < p->height || x->dim[2] < p->width)
        return attn_infer_fail(c, "input %s does not hold a patch [%zu, %zu, %zu] of \"%s\"",
                               attn_format_shape(&shape, x->dim, x->rank), p->channels, p->height,
                               p->width, p->weight.source->name);
    c->out[0] = (attn_shape){.dtype = ATTN_F32, .rank = 2};
    c->out[0].dim[0] = (x->dim[1] / p->height) * (x->dim[2] / p->width);
    c->out[0].dim[1] = p->weight.n;
    ATTN_TRY(attn_want_count(c, &c->out[0], &count));
    c->flops = (double)count * (double)p->weight.k;
    size_t bytes = c->kernels->row_bytes(p->weight.type, p->weight.k);
    if (bytes) ATTN_TRY(attn_add_scratch(c, BLOCK_PATCHES, bytes, &c->worker_scratch));
    return attn_add_scratch(c, p->weight.k, BLOCK_PATCHES * sizeof(float), &c->worker_scratch);
}

/* A call of memcpy costs more than a few pixels. */
static inline void copy_pixels(float *to, const float *from, size_t n)
{
    size_t i = 0;
    for (; n - i >= 4; i += 4) memcpy(to + i, from + i, 4 * sizeof *to);
    if (n & 2) memcpy(to + i, from + i, 2 * sizeof *to);
    i += n & 2;
    if (n & 1) to[i] = from[i];
}

/* Patch i of x as a row [channels, height, width]. */
static void copy_patch(const patch_embed_params *p, const attn_shape *x, const float *from,
                       size_t i, float *to)
{
    size_t height = x->dim[1], width = x->dim[2], across = width / p->width;
    from += i / across * p->height * width + i % across * p->width;
    for (size_t c = 0; c < p->channels; c++, from += height * width)
        for (size_t y = 0; y < p->height; y++, to += p->width)
            copy_pixels(to, from + y * width, p->width);
}

/* Patches [first, end): each becomes a row of the scratch, which then meets the weight. */
static void patch_embed_task(const attn_run_context *c, const void *params, size_t item,
                             size_t first, size_t end, size_t worker)
{
    const patch_embed_params *p = params;
    size_t k = p->weight.k, n = p->weight.n;
    size_t bytes = c->kernels->row_bytes(p->weight.type, k);
    /* Where the panels do not take floats: first the rows as they take them. */
    char *converted = attn_worker_scratch(c, worker);
    float *rows = (float *)(void *)(converted + bytes * BLOCK_PATCHES);
    while (first < end) {
        size_t count = end - first < BLOCK_PATCHES ? end - first : BLOCK_PATCHES;
        for (size_t i = 0; i < count; i++)
            copy_patch(p, &c->in[0].shape, attn_item(&c->in[0], item), first + i, rows + i * k);
        for (size_t i = 0; bytes && i < count; i++)
            c->kernels->quantize(p->weight.type, converted + i * bytes, rows + i * k, k);
        attn_gemm g = {.m = count,
                       .n = n,
                       .k = k,
                       .x = rows,
                       .ldx = k,
                       .rows = converted,
                       .type = p->weight.type,
                       .w = p->weight.panels,
                       .y = attn_item(&c->out[0], item) + first * n,
                       .ldy = n,
                       .scale = 1,
                       .column_bias = p->bias.source ? p->bias.data : NULL};
        c->kernels->gemm(&g);
        first += count;
    }
}

static void patch_embed_run(const attn_run_context *c, const void *params)
{
    attn_each_rows(c, params, c->out[0].shape.dim[0], BLOCK_PATCHES / 2, patch_embed_task);
}

const attn_layer attn_layer_patch_embed = {
    "patch_embed",     ATTN_STEP_ENCODE, 0, sizeof(patch_embed_params), patch_embed_parse,
    patch_embed_infer, patch_embed_run};
