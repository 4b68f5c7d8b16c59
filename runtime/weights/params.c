#include "runtime/weights/params.h"

#include "runtime/weights/gguf.h"

#include <stdlib.h>
#include <string.h>

enum { IN_PLACE_BYTES = 1 << 18 };

static int compare_sizes(size_t a, size_t b)
{
    return (a > b) - (a < b);
}

int attn_params_compare(const void *left, const void *right)
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

size_t attn_param_elements(const attn_param *p)
{
    size_t count = 0;
    attn_product(p->dim, p->rank, &count); /* no more than the validated source has */
    return count;
}

/* Large plain f32 of a file, if it happens to be aligned, is used where it is mapped, and rows of a
 * large table, whatever they are. A small one is cheaper as a copy: the system maps 64 KB around
 * each page that is touched. */
bool attn_param_in_place(const attn_param *p)
{
    bool large = attn_param_elements(p) >= IN_PLACE_BYTES / sizeof(float);
    if (p->form == ATTN_ROWS) return large;
    attn_dtype dtype = p->form == ATTN_INTEGERS ? ATTN_I32 : ATTN_F32;
    return p->form != ATTN_PANELS && p->form != ATTN_SPREAD && p->source->dtype == dtype &&
           (uintptr_t)p->source->data % sizeof(float) == 0 && large;
}

bool attn_param_bytes(const attn_param *p, const attn_kernels *kernels, size_t *out)
{
    *out = 0;
    if (attn_param_in_place(p)) return true;
    size_t floats = attn_param_elements(p);
    if (p->form == ATTN_SPREAD) floats += p->n * (attn_spread_rows(p->n, p->k) - p->k);
    bool fits = p->form == ATTN_PANELS ? attn_packed_bytes(kernels, p->type, p->k, p->n, out)
                                       : attn_mul(floats, sizeof(float), out);
    fits = fits && attn_add(*out, 63, out);
    *out &= ~(size_t)63;
    return fits;
}

/* ---- types ------------------------------------------------------------------------------- */

/* Panels that take x as floats: sums of f32 on the file's values, nothing rounded. */
static attn_panel_type type_of_file(const attn_param *p)
{
    const attn_integers *q = p->source->integers;
    /* The integers as they are, if the scales stand for the outputs of this use; of 8 bits in
     * panels whose groups have f32 scales. */
    if (q && q->transposed == p->k_is_row && p->k == (p->k_is_row ? q->rows : q->columns))
        return q->bits == 8 ? ATTN_PANEL_Q6_K : ATTN_PANEL_I4;
    switch (p->source->dtype) {
    case ATTN_F16:
        return ATTN_PANEL_F16;
    case ATTN_BF16:
        return ATTN_PANEL_BF16;
    default:
        return ATTN_PANEL_F32;
    }
}

/* Blocks of a file as they are, if this use has whole rows of them; F32 if not. */
static attn_panel_type type_of_blocks(const attn_param *p, const attn_kernels *kernels)
{
    const attn_blocks *b = p->source->blocks;
    bool rows = b && !p->k_is_row && p->k == p->source->dim[p->source->rank - 1];
    bool whole = rows && p->k && p->first % p->k == 0 && p->k % b->elements == 0;
    return whole && kernels->panel_bytes(b->panel, p->k) ? b->panel : ATTN_PANEL_F32;
}

attn_panel_type attn_params_type(attn_precision precision)
{
    static const attn_panel_type types[] = {
        [ATTN_IN_F32] = ATTN_PANEL_F32, [ATTN_IN_BF16] = ATTN_PANEL_BF16_DOT,
        [ATTN_IN_F16] = ATTN_PANEL_F16, [ATTN_IN_INT8] = ATTN_PANEL_I8,
        [ATTN_IN_INT4] = ATTN_PANEL_I4,
    };
    return types[precision];
}

static attn_panel_type choose(const attn_param *p, attn_precision precision,
                              const attn_kernels *kernels)
{
    attn_panel_type type =
        precision == ATTN_AS_FILE ? type_of_file(p) : attn_params_type(precision);
    attn_panel_type blocks = type_of_blocks(p, kernels);
    if (blocks != ATTN_PANEL_F32 && precision == ATTN_AS_FILE) return blocks;
    if (blocks != ATTN_PANEL_F32 && precision == ATTN_IN_INT8) return attn_dot_of_blocks(blocks);
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
    qsort(params->param, params->count, sizeof(attn_param *), attn_params_compare);
    params->use = attn_arena_get(arena, params->count, sizeof *params->use, err);
    if (!params->use) return ATTN_NO_MEMORY;
    for (size_t i = 0; i < params->count; i++) {
        attn_param **param = &params->param[i];
        if (i && attn_params_compare(param - 1, param) == 0) {
            params->use[params->uses - 1].count++;
            continue;
        }
        attn_use *use = &params->use[params->uses++];
        *use = (attn_use){.param = param, .count = 1, .offset = params->bytes};
        if (!attn_param_bytes(*param, kernels, &use->bytes) ||
            !attn_add(params->bytes, use->bytes, &params->bytes))
            return attn_fail(err, ATTN_LIMIT, "the weights need more bytes than can exist");
    }
    return ATTN_OK;
}
