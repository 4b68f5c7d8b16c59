/* From sizes at a few probes to what they are in general. */
#include "runtime/onnx/probe.h"

#include <string.h>

static const attn_ir_amount unknown = {.known = false, .symbol = {-1, -1}};

/* Of a symbol, or of a size that is derived from them. */
static long size_at(const attn_probe_set *set, size_t p, int symbol)
{
    if (symbol < 0) return 1;
    return symbol < ATTN_IR_MAX_SYMBOLS ? set->size[p][symbol]
                                        : set->derived[symbol - ATTN_IR_MAX_SYMBOLS][p];
}

/* Every probe must agree. */
static bool agrees(const attn_probe_set *set, const long *number, const attn_ir_amount *a)
{
    for (size_t p = 0; p < set->probes; p++) {
        long product = a->factor * size_at(set, p, a->symbol[0]) * size_at(set, p, a->symbol[1]);
        if (a->base + product != number[p]) return false;
    }
    return true;
}

/* base + factor * the product of both; not known if the numbers are not that. */
static attn_ir_amount fit_line(const attn_probe_set *set, const long *number, int first, int second)
{
    size_t at = 1;
    long begin = size_at(set, 0, first) * size_at(set, 0, second), run = 0;
    for (; at < set->probes && run == 0; at++)
        run = size_at(set, at, first) * size_at(set, at, second) - begin;
    if (run == 0 || (number[at - 1] - number[0]) % run != 0) return unknown;
    long factor = (number[at - 1] - number[0]) / run;
    attn_ir_amount a = {.known = factor != 0,
                        .base = number[0] - factor * begin,
                        .factor = factor,
                        .symbol = {first, second}};
    return a.known && agrees(set, number, &a) ? a : unknown;
}

/* Of one or two symbols. */
static attn_ir_amount fit_symbols(const attn_probe_set *set, const long *number)
{
    int changed[2] = {-1, -1}, changes = 0;
    for (size_t s = 0; s < set->symbols; s++) {
        if (number[1 + s] == number[0]) continue;
        if (changes == 2) return unknown;
        changed[changes++] = (int)s;
    }
    return fit_line(set, number, changed[0], changed[1]);
}

/* Of a derived size, alone or times a symbol or another one. */
static attn_ir_amount fit_derived(const attn_probe_set *set, const long *number)
{
    for (size_t d = 0; d < set->deriveds; d++) {
        int first = ATTN_IR_MAX_SYMBOLS + (int)d;
        attn_ir_amount a = fit_line(set, number, first, -1);
        for (size_t s = 0; s < set->symbols && !a.known; s++)
            a = fit_line(set, number, (int)s, first);
        for (size_t e = d; e < set->deriveds && !a.known; e++)
            a = fit_line(set, number, first, ATTN_IR_MAX_SYMBOLS + (int)e);
        if (a.known) return a;
    }
    return unknown;
}

attn_ir_amount attn_probe_fit(attn_probe_set *set, const long *number)
{
    const long most = 1L << 31;
    bool same = true, small = true;
    for (size_t p = 0; p < set->probes; p++) {
        same = same && number[p] == number[0];
        small = small && number[p] <= most && number[p] >= -most;
    }
    if (same) return (attn_ir_amount){.known = true, .base = number[0], .symbol = {-1, -1}};
    if (!small) return unknown;
    attn_ir_amount a = fit_symbols(set, number);
    /* One that is the sum of others changes with each of them. */
    for (size_t s = 0; s < set->symbols && !a.known; s++) a = fit_line(set, number, (int)s, -1);
    if (!a.known) a = fit_derived(set, number);
    if (a.known || set->deriveds == ATTN_IR_MAX_DERIVED || number[0] < 2) return a;
    /* Half of a symbol, rounded up, say: it stands for itself. */
    memcpy(set->derived[set->deriveds], number, set->probes * sizeof *number);
    return (attn_ir_amount){
        .known = true, .factor = 1, .symbol = {ATTN_IR_MAX_SYMBOLS + (int)set->deriveds++, -1}};
}

void attn_probe_forget(attn_ir_value *value)
{
    value->fixed = NULL;
    value->uniform = value->counts = value->grid = false;
    value->element = NULL;
    value->elements = 0;
    if (!value->is_input) value->shaped = false;
}

/* ---- values -------------------------------------------------------------------------------- */

static bool fit_shape(attn_probe_set *set, attn_ir_value *value, size_t index)
{
    const attn_plan_value *first = &set->plan[0]->value[index];
    long number[ATTN_PROBES];
    for (size_t p = 0; p < set->probes; p++) {
        const attn_plan_value *v = &set->plan[p]->value[index];
        if (!v->used || v->batched || v->shape.rank != first->shape.rank) return false;
    }
    value->shaped = true;
    value->rank = first->shape.rank;
    for (int d = 0; d < value->rank; d++) {
        for (size_t p = 0; p < set->probes; p++)
            number[p] = (long)set->plan[p]->value[index].shape.dim[d];
        value->dim[d] = attn_probe_fit(set, number);
    }
    return true;
}

/* The elements are known in every probe. *same: and of one number. */
static bool is_known(const attn_probe_set *set, size_t index, bool *same)
{
    *same = true;
    for (size_t p = 0; p < set->probes; p++) {
        const attn_plan_value *v = &set->plan[p]->value[index];
        if (!v->known) return false;
        *same = *same && v->count == set->plan[0]->value[index].count;
    }
    return true;
}

static void fit_uniform(attn_probe_set *set, attn_ir_value *value, size_t index)
{
    const uint32_t *first = set->plan[0]->value[index].known;
    for (size_t p = 0; p < set->probes; p++) {
        const attn_plan_value *v = &set->plan[p]->value[index];
        const uint32_t *bits = v->known;
        for (size_t i = 0; i < v->count; i++)
            if (bits[i] != first[0]) return;
    }
    float number;
    int32_t integer;
    memcpy(&number, first, sizeof number);
    memcpy(&integer, first, sizeof integer);
    value->number = set->plan[0]->value[index].shape.dtype == ATTN_F32 ? (double)number : integer;
    value->uniform = true;
}

static void fit_elements(attn_ir *ir, attn_probe_set *set, attn_ir_value *value, size_t index)
{
    const attn_plan_value *first = &set->plan[0]->value[index];
    long number[ATTN_PROBES];
    if (first->shape.dtype != ATTN_I32 || first->count > ATTN_PROBE_ELEMENTS) return;
    attn_ir_amount *list = attn_arena_get(ir->arena, first->count, sizeof *list, ir->err);
    if (!list) {
        ir->failed = true;
        return;
    }
    for (size_t i = 0; i < first->count; i++) {
        for (size_t p = 0; p < set->probes; p++)
            number[p] = ((const int32_t *)set->plan[p]->value[index].known)[i];
        list[i] = attn_probe_fit(set, number);
    }
    value->element = list;
    value->elements = first->count;
}

static void fit_fixed(attn_ir *ir, attn_probe_set *set, attn_ir_value *value, size_t index)
{
    const attn_plan_value *first = &set->plan[0]->value[index];
    size_t bytes = first->count * 4;
    if (first->count > ATTN_PROBE_FIXED) return;
    for (size_t p = 1; p < set->probes; p++) {
        const attn_plan_value *v = &set->plan[p]->value[index];
        if (memcmp(v->shape.dim, first->shape.dim, sizeof(size_t) * (size_t)first->shape.rank) !=
                0 ||
            memcmp(v->known, first->known, bytes) != 0)
            return;
    }
    attn_onnx_tensor *t = attn_arena_get(ir->arena, 1, sizeof *t, ir->err);
    void *data = attn_arena_get(ir->arena, first->count, 4, ir->err);
    if (!t || !data) {
        ir->failed = true;
        return;
    }
    *t = (attn_onnx_tensor){.name = "",
                            .type =
                                first->shape.dtype == ATTN_F32 ? ATTN_ONNX_FLOAT : ATTN_ONNX_INT32,
                            .rank = first->shape.rank,
                            .count = first->count,
                            .bytes = bytes,
                            .data = memcpy(data, first->known, bytes)};
    memcpy(t->dim, first->shape.dim, sizeof t->dim);
    value->fixed = t;
}

/* Element i is i. */
static bool counts(const int32_t *element, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (element[i] < 0 || (size_t)element[i] != i) return false;
    return true;
}

/* The rows are [0, 0], [0, 1] ... [1, 0] ... */
static bool is_grid(const int32_t *element, const attn_shape *shape)
{
    size_t width = shape->rank ? shape->dim[shape->rank - 1] : 0, rows = 1, all = 1;
    int32_t index[ATTN_MAX_RANK] = {0}, last[ATTN_MAX_RANK] = {0};
    if (width < 2 || width > ATTN_MAX_RANK) return false;
    for (int d = 0; d < shape->rank - 1; d++) rows *= shape->dim[d];
    for (size_t r = 0; r < rows; r++)
        for (size_t d = 0; d < width; d++)
            if (element[r * width + d] > last[d]) last[d] = element[r * width + d];
    for (size_t d = 0; d < width; d++)
        if (!attn_mul(all, (size_t)last[d] + 1, &all)) return false;
    if (all != rows) return false;
    for (size_t r = 0; r < rows; r++) {
        if (memcmp(element + r * width, index, width * sizeof *index) != 0) return false;
        for (size_t d = width; d-- > 0;) {
            if (++index[d] <= last[d]) break;
            index[d] = 0;
        }
    }
    return true;
}

static void fit_order(const attn_probe_set *set, attn_ir_value *value, size_t index)
{
    if (set->plan[0]->value[index].shape.dtype != ATTN_I32) return;
    value->counts = value->grid = true;
    for (size_t p = 0; p < set->probes; p++) {
        const attn_plan_value *v = &set->plan[p]->value[index];
        value->counts = value->counts && counts(v->known, v->count);
        value->grid = value->grid && is_grid(v->known, &v->shape);
    }
}

void attn_probe_value(attn_ir *ir, attn_probe_set *set, attn_ir_value *value, size_t index)
{
    bool same;
    if (!fit_shape(set, value, index) || !is_known(set, index, &same)) return;
    fit_uniform(set, value, index);
    fit_order(set, value, index);
    if (!same) return;
    fit_elements(ir, set, value, index);
    fit_fixed(ir, set, value, index);
}

void attn_probe_constant(attn_ir *ir, attn_ir_value *value)
{
    const attn_onnx_tensor *t = value->constant;
    value->shaped = true;
    value->rank = t->rank;
    value->fixed = t->scale ? NULL : t;
    for (int d = 0; d < t->rank; d++)
        value->dim[d] =
            (attn_ir_amount){.known = true, .base = (long)t->dim[d], .symbol = {-1, -1}};
    if (t->scale) return;
    value->uniform = t->count && t->count <= ATTN_PROBE_FIXED && t->type != ATTN_ONNX_STRING;
    value->number = value->uniform ? attn_tensor_float(t, 0) : 0;
    for (size_t i = 1; i < t->count && value->uniform; i++)
        value->uniform = attn_tensor_float(t, i) == value->number;
    if (!attn_onnx_is_integer(t->type) || t->count > ATTN_PROBE_ELEMENTS || value->element) return;
    attn_ir_amount *list = attn_arena_get(ir->arena, t->count, sizeof *list, ir->err);
    if (!list) {
        ir->failed = true;
        return;
    }
    for (size_t i = 0; i < t->count; i++)
        list[i] = (attn_ir_amount){
            .known = true, .base = (long)attn_tensor_int(t, i), .symbol = {-1, -1}};
    value->element = list;
    value->elements = t->count;
}
