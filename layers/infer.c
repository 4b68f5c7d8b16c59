/* What infer of every layer checks its operands with. */
#include "layers/layer.h"

#include <stdio.h>

attn_status attn_infer_fail(attn_infer *c, const char *format, ...)
{
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return attn_fail(c->err, ATTN_BAD_MODEL, "%s: %s", c->place, text);
}

attn_status attn_want_known(attn_infer *c, size_t input, const char *what, const void **data)
{
    *data = c->known ? c->known[input] : NULL;
    if (*data) return ATTN_OK;
    return attn_infer_fail(
        c, "input %zu (%s) is computed from data, but must be known before a run", input, what);
}

attn_status attn_infer_ints(attn_infer *c, const attn_ints *ints, int most, long *out, int *count)
{
    const void *data = NULL;
    size_t have = (size_t)ints->count;
    if (ints->operand >= 0) {
        size_t input = (size_t)ints->operand;
        ATTN_TRY(attn_want(c, input, ATTN_I32, 0, 1));
        ATTN_TRY(attn_want_known(c, input, ints->key, &data));
        have = c->in[input].rank ? c->in[input].dim[0] : 1;
    }
    if (have > (size_t)most || have > ATTN_MAX_INTS)
        return attn_infer_fail(c, "\"%s\" has %zu numbers, expected at most %d", ints->key, have,
                               most < ATTN_MAX_INTS ? most : ATTN_MAX_INTS);
    *count = (int)have;
    for (size_t i = 0; i < have; i++) {
        out[i] = data ? ((const int32_t *)data)[i] : attn_resolve_dim(c, ints->value[i]);
        if (out[i] < ints->min || out[i] > ints->max)
            return attn_infer_fail(c, "\"%s\" has %ld, expected integers in [%ld, %ld]", ints->key,
                                   out[i], ints->min, ints->max);
    }
    return ATTN_OK;
}

attn_status attn_want(attn_infer *c, size_t input, attn_dtype dtype, int min_rank, int max_rank)
{
    const attn_shape *s = &c->in[input];
    attn_shape_text shape;
    if (s->dtype == dtype && s->rank >= min_rank && s->rank <= max_rank) return ATTN_OK;
    attn_format_shape(&shape, s->dim, s->rank);
    if (min_rank == max_rank)
        return attn_infer_fail(c, "input %zu is %s %s, expected %s of rank %d", input,
                               attn_dtype_name(s->dtype), shape.text, attn_dtype_name(dtype),
                               min_rank);
    return attn_infer_fail(c, "input %zu is %s %s, expected %s of rank %d to %d", input,
                           attn_dtype_name(s->dtype), shape.text, attn_dtype_name(dtype), min_rank,
                           max_rank);
}

attn_status attn_add_scratch(attn_infer *c, size_t count, size_t size, size_t *bytes)
{
    size_t need, total;
    if (!attn_mul(count, size, &need) || !attn_add(need, 63, &need) ||
        !attn_add(*bytes, need / 64 * 64, &total))
        return attn_infer_fail(c, "scratch of %zu x %zu bytes is more than can exist", count, size);
    *bytes = total;
    return ATTN_OK;
}
