/* An input's data as the graph has them: f32, or i32 within the declared range. */
#include "runtime/graph.h"

#include <string.h>

static int64_t read_integer(const attn_tensor *t, size_t i)
{
    int64_t wide;
    int32_t narrow;
    switch (t->dtype) {
    case ATTN_I64:
        memcpy(&wide, (const char *)t->data + i * 8, 8);
        return wide;
    case ATTN_I32:
        memcpy(&narrow, (const char *)t->data + i * 4, 4);
        return narrow;
    default:
        return ((const uint8_t *)t->data)[i];
    }
}

static attn_status copy_integers(const attn_port *port, const attn_tensor *t, size_t count,
                                 int32_t *to, attn_error *err)
{
    int64_t low = port->ranged ? port->low : INT32_MIN,
            high = port->ranged ? port->high : INT32_MAX;
    for (size_t i = 0; i < count; i++) {
        int64_t value = read_integer(t, i);
        if (value < low || value > high)
            return attn_fail(err, ATTN_BAD_INPUT,
                             "input \"%s\": element %zu is %lld, expected %lld to %lld", port->name,
                             i, (long long)value, (long long)low, (long long)high);
        to[i] = (int32_t)value;
    }
    return ATTN_OK;
}

static void fill_default(const attn_port *port, size_t count, void *to)
{
    for (size_t i = 0; i < count; i++)
        if (port->dtype == ATTN_I32)
            ((int32_t *)to)[i] = (int32_t)port->fallback;
        else
            ((float *)to)[i] = (float)port->fallback;
}

attn_status attn_port_copy(const attn_port *port, const attn_tensor *t, size_t count, void *to,
                           attn_error *err)
{
    if (!t) {
        fill_default(port, count, to);
        return ATTN_OK;
    }
    if (port->dtype == ATTN_I32) return copy_integers(port, t, count, to, err);
    if (t->dtype == ATTN_F32) {
        memcpy(to, t->data, count * sizeof(float));
    } else {
        attn_weight view = {.dtype = t->dtype, .data = t->data};
        attn_weight_to_f32(&view, 0, count, to);
    }
    return ATTN_OK;
}
