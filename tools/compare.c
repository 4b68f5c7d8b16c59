#include "tools/compare.h"

#include "runtime/inputs/npz.h"

#include <math.h>

attn_status compare_open(attn_weights *reference, const char *path, attn_error *err)
{
    if (attn_is_npz(path)) return attn_npz_open(reference, path, cli_memory(), err);
    return attn_weights_open(reference, path, cli_memory(), err);
}

static double element(const attn_value *v, size_t i)
{
    return v->shape.dtype == ATTN_I32 ? ((const int32_t *)v->data)[i]
                                      : (double)((const float *)v->data)[i];
}

/* Element i of all items, one after the other. */
static double element_of_items(const attn_value *v, size_t i)
{
    return element(v, i / v->count * v->stride + i % v->count);
}

static void compare(const attn_value *ours, const float *reference, size_t count, compare_result *r)
{
    for (size_t i = 0; i < count; i++) {
        double have = element_of_items(ours, i), want = (double)reference[i];
        bool same = have == want || (isnan(have) && isnan(want)); /* infinities, such as masks */
        double difference = same ? 0 : fabs(have - want);
        /* NaN on one side is the largest difference there is. */
        if (isnan(difference)) difference = INFINITY;
        /* An infinity must not allow every other difference. */
        if (isfinite(want)) r->largest = fmax(r->largest, fabs(want));
        if (i && !(difference > r->worst)) continue;
        r->worst = difference;
        r->place = i;
        r->have = have;
        r->want = want;
    }
}

attn_status compare_values(const attn_value *ours, size_t items, const attn_weight *reference,
                           double tolerance, compare_result *result, attn_error *err)
{
    size_t count, all;
    void *memory;
    attn_shape_text a, b;
    *result = (compare_result){0};
    ATTN_TRY(attn_weight_check(reference, err));
    attn_product(reference->dim, reference->rank, &count);
    bool batch = reference->rank == ours->shape.rank + 1 && reference->dim[0] == items &&
                 attn_mul(items, ours->count, &all) && count == all;
    if (count != ours->count && !batch)
        return attn_fail(err, ATTN_BAD_INPUT, "%s: \"%s\" has shape %s, here it is %s",
                         reference->file, reference->name,
                         attn_format_shape(&b, reference->dim, reference->rank),
                         attn_format_shape(&a, ours->shape.dim, ours->shape.rank));
    ATTN_TRY(attn_alloc(cli_memory(), count * sizeof(float), "the reference", &memory, err));
    attn_weight_to_f32(reference, 0, count, memory);
    compare(ours, memory, count, result);
    attn_release(cli_memory(), memory, count * sizeof(float));
    result->differs = result->worst > fmax(tolerance, tolerance / 10 * result->largest);
    return ATTN_OK;
}
