/* Views: what transposes, reshapes and the like do to the places of elements. */
#include "runtime/onnx/lift.h"

#include <string.h>

enum {
    MOST_ELEMENTS = 1 << 21,
    MOST_WORK = 1 << 30, /* elements of all views of a file: some seconds, for a hostile one */
};

/* Small, and all different, so that what is equal at these sizes is equal at all. */
static const unsigned char size_of_symbol[ATTN_IR_MAX_SYMBOLS + ATTN_IR_MAX_DERIVED] = {
    2,  3,  5,  7,  11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 4,  6,  8,  9,  10, 12, 14, 15,
    16, 18, 20, 21, 22, 24, 25, 26, 27, 28, 30, 32, 33, 34, 35, 36, 38, 39, 40, 42, 44, 45, 46, 48};

static bool evaluate(const attn_ir_amount *a, long *out)
{
    long product = a->factor;
    if (!a->known) return false;
    for (int i = 0; i < 2 && a->factor; i++)
        if (a->symbol[i] >= 0) product *= size_of_symbol[a->symbol[i]];
    *out = a->base + product;
    return true;
}

bool attn_view_dims(const attn_ir *ir, const attn_ir_value *value, size_t *dim, size_t *count)
{
    (void)ir;
    if (!value || !value->shaped) return false;
    *count = 1;
    for (int i = 0; i < value->rank; i++) {
        long size;
        if (!evaluate(&value->dim[i], &size) || size < 1) return false;
        dim[i] = (size_t)size;
        if (!attn_mul(*count, dim[i], count) || *count > MOST_ELEMENTS) return false;
    }
    return true;
}

static const char *const flat[] = {"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", NULL};

/* The elements of the first input in their order, if there are as many. */
static bool is_flat(const attn_ir_node *node)
{
    for (int i = 0; flat[i]; i++)
        if (attn_ir_is(node, flat[i])) return true;
    if (attn_ir_is(node, "Gather"))
        return node->in[1] && node->in[1]->counts && !attn_ir_int(node, "axis", 0);
    return attn_ir_is(node, "GatherND") && node->in[1] && node->in[1]->grid &&
           !attn_ir_int(node, "batch_dims", 0);
}

bool attn_view_is_flat(const attn_ir_node *node)
{
    size_t in[ATTN_MAX_RANK], out[ATTN_MAX_RANK], count, total;
    return node && is_flat(node) && attn_view_dims(NULL, node->in[0], in, &count) &&
           attn_view_dims(NULL, node->out[0], out, &total) && total == count;
}

bool attn_view_is(const attn_ir_node *node)
{
    if (!node) return false;
    return is_flat(node) || attn_ir_is(node, "Transpose") || attn_ir_is(node, "Expand") ||
           attn_ir_is(node, "Slice") || attn_ir_is(node, "Split") ||
           (attn_ir_is(node, "Gather") && node->in[1] && node->in[1]->elements == 1);
}

/* How the elements of an output lie in the input: its dimensions, and the step of each there. */
typedef struct strides {
    int rank;
    size_t dim[ATTN_MAX_RANK];
    long step[ATTN_MAX_RANK], offset;
} strides;

static void steps_of(const size_t *dim, int rank, long *step)
{
    long at = 1;
    for (int i = rank - 1; i >= 0; i--) {
        step[i] = at;
        at *= (long)dim[i];
    }
}

static bool element(const attn_ir_value *value, size_t i, long *out)
{
    return value && i < value->elements && evaluate(&value->element[i], out);
}

static int positive_axis(long axis, int rank)
{
    return (int)(axis < 0 ? axis + rank : axis);
}

/* Number i of a Slice: of its input, or (the first opsets) of its attribute. */
static bool slice_number(const attn_ir_node *node, size_t input, const char *name, size_t i,
                         long otherwise, long *out)
{
    size_t count;
    const int64_t *list = attn_ir_ints(node, name, &count);
    *out = otherwise;
    if (node->inputs > 1) return !attn_ir_in(node, input) || element(node->in[input], i, out);
    if (list && i < count) *out = (long)list[i];
    return !list || i < count;
}

static bool follow_slice(const attn_ir_node *node, const size_t *in, int rank, strides *s)
{
    size_t count = 0;
    attn_ir_ints(node, "starts", &count);
    if (node->inputs > 1) count = node->in[1] ? node->in[1]->elements : 0;
    for (size_t i = 0; i < count; i++) {
        long start, axis, step;
        if (!slice_number(node, 1, "starts", i, 0, &start) ||
            !slice_number(node, 3, "axes", i, (long)i, &axis) ||
            !slice_number(node, 4, "", i, 1, &step) || step < 1)
            return false;
        int at = positive_axis(axis, rank);
        if (at < 0 || at >= rank) return false;
        if (start < 0) start += (long)in[at];
        if (start < 0) start = 0;
        s->offset += start * s->step[at];
        s->step[at] *= step;
    }
    return count > 0;
}

static bool follow_split(const attn_ir_node *node, size_t slot, int rank, strides *s)
{
    int axis = positive_axis((long)attn_ir_int(node, "axis", 0), rank);
    if (axis < 0 || axis >= rank) return false;
    for (size_t i = 0; i < slot; i++) {
        size_t dim[ATTN_MAX_RANK], count;
        if (!attn_view_dims(NULL, node->out[i], dim, &count)) return false;
        s->offset += (long)dim[axis] * s->step[axis];
    }
    return true;
}

static bool follow_gather(const attn_ir_node *node, const size_t *in, int rank, strides *s)
{
    int axis = positive_axis((long)attn_ir_int(node, "axis", 0), rank);
    long index;
    if (axis < 0 || axis >= rank || !element(node->in[1], 0, &index)) return false;
    if (index < 0) index += (long)in[axis];
    s->offset += index * s->step[axis];
    if (node->in[1]->rank == 1) return true; /* one remains */
    if (node->in[1]->rank != 0) return false;
    for (int i = axis; i + 1 < rank; i++) s->step[i] = s->step[i + 1];
    return true;
}

static bool follow_transpose(const attn_ir_node *node, int rank, strides *s)
{
    size_t count;
    const int64_t *perm = attn_ir_ints(node, "perm", &count);
    long old[ATTN_MAX_RANK];
    memcpy(old, s->step, sizeof old);
    if (perm && count != (size_t)rank) return false;
    for (int i = 0; i < rank; i++) {
        int64_t from = perm ? perm[i] : rank - 1 - i;
        if (from < 0 || from >= rank) return false;
        s->step[i] = old[from];
    }
    return true;
}

/* Aligned at the last dimension; a dimension of 1 is repeated. */
static bool follow_expand(const size_t *in, int rank, strides *s)
{
    long old[ATTN_MAX_RANK];
    memcpy(old, s->step, sizeof old);
    if (rank > s->rank) return false;
    for (int i = 0; i < s->rank; i++) {
        int at = i - (s->rank - rank);
        s->step[i] = at < 0 || in[at] == 1 ? 0 : old[at];
    }
    return true;
}

static bool get_strides(const attn_ir_node *node, size_t slot, size_t in_count, strides *s)
{
    size_t in[ATTN_MAX_RANK], count, total;
    const attn_ir_value *from = node->in[0];
    if (!attn_view_dims(NULL, from, in, &count) || count != in_count ||
        !attn_view_dims(NULL, node->out[slot], s->dim, &total))
        return false;
    s->rank = node->out[slot]->rank;
    if (is_flat(node)) {
        steps_of(s->dim, s->rank, s->step);
        return total == count;
    }
    steps_of(in, from->rank, s->step);
    if (attn_ir_is(node, "Transpose")) return follow_transpose(node, from->rank, s);
    if (attn_ir_is(node, "Expand")) return follow_expand(in, from->rank, s);
    if (attn_ir_is(node, "Slice")) return follow_slice(node, in, from->rank, s);
    if (attn_ir_is(node, "Split")) return follow_split(node, slot, from->rank, s);
    return attn_ir_is(node, "Gather") && follow_gather(node, in, from->rank, s);
}

bool attn_view_follow(attn_ir *ir, const attn_ir_node *node, size_t slot, const attn_view *in,
                      attn_view *out)
{
    strides s = {.rank = 0};
    void *fresh;
    size_t index[ATTN_MAX_RANK] = {0}, count = 1;
    *out = (attn_view){0};
    if (!get_strides(node, slot, in->count, &s)) return false;
    for (int i = 0; i < s.rank; i++) count *= s.dim[i];
    if (ir->view_work + count > MOST_WORK) return false;
    ir->view_work += count;
    if (attn_alloc(ir->arena->memory, count * sizeof(uint32_t), "a view", &fresh, NULL))
        return false;
    *out = (attn_view){count, fresh};
    long at = s.offset;
    for (size_t i = 0; i < count; i++) {
        if (at < 0 || (size_t)at >= in->count) {
            attn_view_free(ir, out);
            return false;
        }
        out->from[i] = in->from[at];
        for (int d = s.rank - 1; d >= 0; d--) {
            at += s.step[d];
            if (++index[d] < s.dim[d]) break;
            at -= s.step[d] * (long)s.dim[d];
            index[d] = 0;
        }
    }
    return true;
}

bool attn_view_begin(const attn_ir *ir, size_t count, attn_view *view)
{
    void *fresh;
    *view = (attn_view){0};
    if (attn_alloc(ir->arena->memory, count * sizeof(uint32_t), "a view", &fresh, NULL))
        return false;
    *view = (attn_view){count, fresh};
    for (size_t i = 0; i < count; i++) view->from[i] = (uint32_t)i;
    return true;
}

void attn_view_free(const attn_ir *ir, attn_view *view)
{
    attn_release(ir->arena->memory, view->from, view->count * sizeof(uint32_t));
    *view = (attn_view){0};
}
