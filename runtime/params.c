#include "runtime/params.h"

#include <stdlib.h>
#include <string.h>

static int compare_sizes(size_t a, size_t b)
{
    return (a > b) - (a < b);
}

/* Order of uses: equal ones meet. Ends with 0 only if one converted copy serves both. */
static int compare(const void *left, const void *right)
{
    const attn_param *a = *(attn_param *const *)left, *b = *(attn_param *const *)right;
    int c = strcmp(a->source->name, b->source->name);
    if (!c) c = compare_sizes(a->form, b->form);
    if (!c) c = compare_sizes(a->type, b->type);
    if (!c) c = compare_sizes(a->first, b->first);
    if (!c) c = compare_sizes(a->k_is_row, b->k_is_row);
    if (!c) c = compare_sizes(a->k, b->k);
    if (!c) c = compare_sizes(a->n, b->n);
    size_t count_a = 0, count_b = 0;
    attn_product(a->dim, a->rank, &count_a);
    attn_product(b->dim, b->rank, &count_b);
    return c ? c : compare_sizes(count_a, count_b);
}

static size_t elements(const attn_param *p)
{
    size_t count = 0;
    attn_product(p->dim, p->rank, &count); /* no more than the validated source has */
    return count;
}

/* Plain f32 of a file that happens to be aligned is used where it is mapped. */
static bool is_in_place(const attn_param *p)
{
    return p->form == ATTN_PLAIN && p->source->dtype == ATTN_F32 &&
           (uintptr_t)p->source->data % sizeof(float) == 0;
}

/* Bytes in memory of our own, a multiple of 64. */
static bool param_bytes(const attn_param *p, const attn_kernels *kernels, size_t *out)
{
    *out = 0;
    if (is_in_place(p)) return true;
    bool fits = p->form == ATTN_PANELS ? attn_packed_bytes(kernels, p->type, p->k, p->n, out)
                                       : attn_mul(elements(p), sizeof(float), out);
    fits = fits && attn_add(*out, 63, out);
    *out &= ~(size_t)63;
    return fits;
}

/* ---- types ------------------------------------------------------------------------------- */

/* f32 and f16 panels take x as floats everywhere; those of bf16 only where the CPU multiplies no
 * bf16: then f32 panels keep the promise. */
static attn_panel_type type_of_file(const attn_param *p, const attn_kernels *kernels)
{
    const attn_integers *q = p->source->integers;
    /* The integers as they are, if the scales stand for the outputs of this use. */
    if (q && q->transposed == p->k_is_row && p->k == (p->k_is_row ? q->rows : q->columns))
        return q->bits == 8 ? ATTN_PANEL_I8 : ATTN_PANEL_I4;
    switch (p->source->dtype) {
    case ATTN_F16:
        return ATTN_PANEL_F16;
    case ATTN_BF16:
        return kernels->row_bytes(ATTN_PANEL_BF16, p->k) ? ATTN_PANEL_F32 : ATTN_PANEL_BF16;
    default:
        return ATTN_PANEL_F32;
    }
}

attn_panel_type attn_params_type(attn_precision precision)
{
    static const attn_panel_type types[] = {
        [ATTN_IN_F32] = ATTN_PANEL_F32, [ATTN_IN_BF16] = ATTN_PANEL_BF16,
        [ATTN_IN_F16] = ATTN_PANEL_F16, [ATTN_IN_INT8] = ATTN_PANEL_I8,
        [ATTN_IN_INT4] = ATTN_PANEL_I4,
    };
    return types[precision];
}

static attn_panel_type choose(const attn_param *p, attn_precision precision,
                              const attn_kernels *kernels)
{
    attn_panel_type type =
        precision == ATTN_AS_FILE ? type_of_file(p, kernels) : attn_params_type(precision);
    /* A column longer than the integers' sums can hold stays f32. */
    return kernels->panel_bytes(type, p->k) ? type : ATTN_PANEL_F32;
}

void attn_params_choose(const attn_graph *graph, attn_precision precision,
                        const attn_kernels *kernels)
{
    for (size_t n = 0; n < graph->nodes; n++)
        for (size_t i = 0; i < graph->node[n].weights; i++) {
            attn_param *p = graph->node[n].weight[i];
            if (p->source && p->any_type) p->type = choose(p, precision, kernels);
        }
}

/* ---- sizes ------------------------------------------------------------------------------- */

attn_status attn_params_measure(attn_params *params, const attn_graph *graph,
                                const attn_kernels *kernels, attn_arena *arena, attn_error *err)
{
    size_t count = 0;
    *params = (attn_params){0};
    for (size_t n = 0; n < graph->nodes; n++) count += graph->node[n].weights;
    params->param = attn_arena_get(arena, count, sizeof(attn_param *), err);
    if (!params->param) return ATTN_NO_MEMORY;
    for (size_t n = 0; n < graph->nodes; n++)
        for (size_t i = 0; i < graph->node[n].weights; i++)
            if (graph->node[n].weight[i]->source)
                params->param[params->count++] = graph->node[n].weight[i];
    qsort(params->param, params->count, sizeof(attn_param *), compare);
    for (size_t i = 0; i < params->count; i++) {
        size_t bytes;
        if (i && compare(&params->param[i - 1], &params->param[i]) == 0) continue;
        if (!param_bytes(params->param[i], kernels, &bytes) ||
            !attn_add(params->bytes, bytes, &params->bytes))
            return attn_fail(err, ATTN_LIMIT, "the weights need more bytes than can exist");
    }
    return ATTN_OK;
}

size_t attn_params_temporary(const attn_params *params, const attn_kernels *kernels)
{
    size_t most = 0;
    for (size_t i = 0; i < params->count; i++)
        if (params->param[i]->form == ATTN_PANELS && params->param[i]->k > most)
            most = params->param[i]->k;
    return most * kernels->panel *
           sizeof(float); /* one panel of a packed matrix that fits memory */
}

/* Packs one panel at a time, by way of f32 rows in `temporary`. */
static void pack(const attn_param *p, const attn_kernels *kernels, char *to, float *temporary)
{
    size_t panel = kernels->panel, bytes = p->k ? kernels->panel_bytes(p->type, p->k) : 0;
    for (size_t j = 0; j < p->n; j += panel) {
        size_t columns = p->n - j < panel ? p->n - j : panel;
        if (p->k_is_row) {
            size_t row = p->source->dim[p->source->rank - 1];
            for (size_t i = 0; i < p->k; i++)
                attn_weight_to_f32(p->source, p->first + i * row + j, columns,
                                   temporary + i * columns);
            kernels->pack(p->type, to, temporary, p->k, columns, columns, 1);
        } else {
            attn_weight_to_f32(p->source, p->first + j * p->k, columns * p->k, temporary);
            kernels->pack(p->type, to, temporary, p->k, columns, 1, p->k);
        }
        to += bytes;
    }
}

void attn_params_fill(const attn_params *params, const attn_kernels *kernels, void *memory,
                      float *temporary)
{
    char *at = memory;
    for (size_t i = 0; i < params->count; i++) {
        attn_param *p = params->param[i];
        if (i && compare(&params->param[i - 1], &params->param[i]) == 0) {
            p->data = params->param[i - 1]->data;
            p->panels = params->param[i - 1]->panels;
            continue;
        }
        if (is_in_place(p)) {
            p->data = (const float *)p->source->data + p->first;
            continue;
        }
        size_t bytes = 0;
        param_bytes(p, kernels, &bytes);
        if (p->form == ATTN_PANELS) {
            pack(p, kernels, at, temporary);
            p->panels = at;
        } else {
            attn_weight_to_f32(p->source, p->first, elements(p), (float *)at);
            p->data = (const float *)at;
        }
        at += bytes;
    }
}
