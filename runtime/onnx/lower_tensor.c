/* Constants as tensors of the weight list: views into the file wherever it has what layers take. */
#include "runtime/onnx/lower_state.h"

#include <string.h>

static bool convert(attn_lower *l, const attn_onnx_tensor *t, attn_weight *w)
{
    bool is_float = attn_onnx_is_float(t->type);
    unsigned char *to = attn_arena_get(l->keep, t->count, 4, l->err);
    if (!to) return false;
    for (size_t i = 0; i < t->count; i++) {
        float number = is_float ? (float)attn_tensor_float(t, i) : 0;
        int64_t wide = is_float ? 0 : attn_tensor_int(t, i);
        int32_t integer = wide > INT32_MAX   ? INT32_MAX
                          : wide < INT32_MIN ? INT32_MIN
                                             : (int32_t)wide;
        if (is_float)
            memcpy(to + 4 * i, &number, 4);
        else
            memcpy(to + 4 * i, &integer, 4);
    }
    w->dtype = is_float ? ATTN_F32 : ATTN_I32;
    w->data = to;
    w->bytes = 4 * t->count;
    return true;
}

static bool grow(attn_lower *l)
{
    size_t room = l->weight_room ? 2 * l->weight_room : 64;
    if (l->weights < l->weight_room) return true;
    attn_weight *larger = attn_arena_get(l->keep, room, sizeof *larger, l->err);
    if (!larger) return false;
    if (l->weights) memcpy(larger, l->weight, l->weights * sizeof *larger);
    l->weight = larger;
    l->weight_room = room;
    return true;
}

const char *attn_lower_scale_name(attn_lower *l, const char *name)
{
    return attn_arena_printf(l->ir->arena, l->err, "%s_scale", name);
}

bool attn_lower_add_tensor(attn_lower *l, const char *name, const attn_onnx_tensor *tensor)
{
    attn_weight w = {.name = name,
                     .rank = tensor->rank,
                     .data = tensor->data,
                     .bytes = tensor->bytes,
                     .mapping = tensor->mapping,
                     .file = l->ir->file};
    memcpy(w.dim, tensor->dim, sizeof w.dim);
    switch (tensor->type) {
    case ATTN_ONNX_FLOAT:
        w.dtype = ATTN_F32;
        break;
    case ATTN_ONNX_FLOAT16:
        w.dtype = ATTN_F16;
        break;
    case ATTN_ONNX_BFLOAT16:
        w.dtype = ATTN_BF16;
        break;
    case ATTN_ONNX_INT32:
        w.dtype = ATTN_I32;
        break;
    case ATTN_ONNX_INT8:
        if (tensor->scale) {
            w.dtype = ATTN_U8;
            w.unsupported = "I8"; /* until it is paired with its scales */
            break;
        }
        /* fall through */
    default:
        w.mapping = NULL;
        if (!convert(l, tensor, &w)) return false;
    }
    /* What the file spells as a list of numbers lies in the reader's arena. */
    if (!w.mapping && w.data == tensor->data) {
        void *copy = attn_arena_get(l->keep, w.bytes, 1, l->err);
        if (!copy) return false;
        w.data = memcpy(copy, tensor->data, w.bytes);
    }
    w.name = attn_arena_text(l->keep, name, strlen(name), l->err);
    if (!w.name || !grow(l) || !attn_names_set(&l->tensors, name, (void *)tensor, l->err))
        return false;
    l->weight[l->weights++] = w;
    if (!tensor->scale) return true;
    const char *scales = attn_lower_scale_name(l, name);
    return scales && attn_lower_add_tensor(l, scales, tensor->scale);
}
