/* Sequences: what is in one is followed through the graph, so that no sequence is left.
 *
 *   SequenceEmpty, SequenceConstruct, SequenceInsert, SequenceErase, SplitToSequence: a list of
 * values SequenceAt, SequenceLength, ConcatFromSequence: a value, a number, a Concat of them
 *
 * Positions, and the sizes that are split, must be known. */
#include "runtime/onnx/unroll.h"

#include <string.h>

enum { MAX_ELEMENTS = 1 << 20 }; /* of all lists */

typedef struct list {
    size_t count;
    attn_ir_value **value;
} list;

bool attn_is_sequence_node(const attn_ir_node *n)
{
    static const char *const ops[] = {"SequenceEmpty",  "SequenceConstruct", "SequenceInsert",
                                      "SequenceErase",  "SplitToSequence",   "SequenceAt",
                                      "SequenceLength", "ConcatFromSequence"};
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        if (attn_ir_is(n, ops[i])) return true;
    return false;
}

static const list *find(const attn_sequences *s, const attn_ir_value *value)
{
    return value ? attn_names_get(&s->lists, value->name) : NULL;
}

bool attn_is_sequence(const attn_sequences *s, const attn_ir_value *value)
{
    return find(s, value) != NULL;
}

/* ---- lists ---------------------------------------------------------------------------------- */

static attn_status new_list(attn_ir *ir, attn_sequences *s, const attn_ir_node *n, size_t count,
                            list **out)
{
    if (count > MAX_ELEMENTS - s->elements)
        return attn_ir_fail(ir, n, "sequences of more than %d elements in all", MAX_ELEMENTS);
    s->elements += count;
    *out = attn_arena_get(ir->arena, 1, sizeof **out, ir->err);
    if (!*out) return ATTN_NO_MEMORY;
    (*out)->count = count;
    (*out)->value = attn_arena_get(ir->arena, count, sizeof *(*out)->value, ir->err);
    return (*out)->value ? ATTN_OK : ATTN_NO_MEMORY;
}

/* The node's output is the list; the node is no longer needed. */
static attn_status give_list(attn_ir *ir, attn_sequences *s, attn_ir_node *n, list *made)
{
    if (n->outputs != 1) return attn_ir_fail(ir, n, "has %zu outputs, expected 1", n->outputs);
    if (n->out[0] && !attn_names_set(&s->lists, n->out[0]->name, made, ir->err))
        return ATTN_NO_MEMORY;
    attn_ir_remove(ir, n);
    return attn_ir_status(ir);
}

/* The node's output is another value. */
static attn_status give_value(attn_ir *ir, attn_ir_node *n, attn_ir_value *value)
{
    if (!value) return attn_ir_status(ir);
    attn_ir_replace(ir, attn_ir_out(n, 0), value);
    attn_ir_remove(ir, n);
    return attn_ir_status(ir);
}

/* operand: where the position is; `otherwise` without it. *known false: it is not known. */
static attn_status read_position(attn_ir *ir, const attn_ir_node *n, size_t operand, size_t count,
                                 int64_t otherwise, size_t *at, bool *known)
{
    int64_t position = otherwise;
    *known = !attn_ir_in(n, operand) || attn_unroll_known(n->in[operand], &position);
    if (!*known) return ATTN_OK;
    if (position < 0) position += (int64_t)count;
    if (position < 0 || position > otherwise)
        return attn_ir_fail(ir, n, "position %lld in a sequence of %zu", (long long)position,
                            count);
    *at = (size_t)position;
    return ATTN_OK;
}

/* ---- operators ------------------------------------------------------------------------------ */

static attn_status construct(attn_ir *ir, attn_sequences *s, attn_ir_node *n)
{
    list *made;
    ATTN_TRY(new_list(ir, s, n, n->inputs, &made));
    for (size_t i = 0; i < n->inputs; i++) made->value[i] = n->in[i];
    return give_list(ir, s, n, made);
}

static attn_status put(attn_ir *ir, attn_sequences *s, attn_ir_node *n, const list *from)
{
    list *made;
    size_t at = 0;
    bool known;
    ATTN_TRY(read_position(ir, n, 2, from->count, (int64_t)from->count, &at, &known));
    if (!known || n->inputs < 2) return ATTN_OK;
    ATTN_TRY(new_list(ir, s, n, from->count + 1, &made));
    for (size_t i = 0; i < made->count; i++)
        made->value[i] = i == at ? n->in[1] : from->value[i - (i > at)];
    return give_list(ir, s, n, made);
}

static attn_status erase(attn_ir *ir, attn_sequences *s, attn_ir_node *n, const list *from)
{
    list *made;
    size_t at = 0;
    bool known;
    ATTN_TRY(read_position(ir, n, 1, from->count, (int64_t)from->count - 1, &at, &known));
    if (!known) return ATTN_OK;
    ATTN_TRY(new_list(ir, s, n, from->count - 1, &made));
    for (size_t i = 0; i < made->count; i++) made->value[i] = from->value[i + (i >= at)];
    return give_list(ir, s, n, made);
}

static attn_status take(attn_ir *ir, attn_ir_node *n, const list *from)
{
    size_t at = 0;
    bool known;
    if (n->inputs < 2) return ATTN_OK;
    ATTN_TRY(read_position(ir, n, 1, from->count, (int64_t)from->count - 1, &at, &known));
    return known ? give_value(ir, n, from->value[at]) : ATTN_OK;
}

static attn_status join(attn_ir *ir, attn_ir_node *n, const list *from)
{
    attn_ir_value *out = attn_ir_out(n, 0);
    if (!from->count || !out) return attn_ir_fail(ir, n, "joins a sequence without elements");
    attn_ir_value **values = attn_arena_get(ir->arena, from->count, sizeof *values, ir->err);
    if (!values) return ATTN_NO_MEMORY;
    memcpy(values, from->value, from->count * sizeof *values);
    return give_value(ir, n,
                      attn_unroll_join(ir, n, values, from->count, attn_ir_int(n, "axis", 0),
                                       attn_ir_int(n, "new_axis", 0) != 0, out->name));
}

/* ---- splitting ------------------------------------------------------------------------------ */

/* Part i: from *start on, so many; 0: there is none. */
static size_t part(const attn_onnx_tensor *sizes, size_t i, size_t start, size_t all)
{
    int64_t size = 1;
    if (start >= all) return 0;
    if (sizes && sizes->rank && i >= sizes->count) return 0;
    if (sizes) size = attn_tensor_int(sizes, sizes->rank ? i : 0);
    if (size < 1) return 0;
    return (uint64_t)size < all - start ? (size_t)size : all - start;
}

static attn_ir_value *slice(attn_ir *ir, attn_ir_node *n, int64_t axis, size_t start, size_t size,
                            bool keep)
{
    attn_ir_value *out = NULL, *x = n->in[0];
    if (!keep) {
        attn_ir_value *at = attn_unroll_number(ir, "at", (int64_t)start, 0, ATTN_ONNX_INT64);
        attn_ir_value *in[] = {x, at};
        attn_ir_node *node = attn_unroll_insert(ir, n, "Gather", x->name, 2, in, &out);
        attn_ir_set_int(ir, node, "axis", axis);
        return out;
    }
    attn_ir_value *in[] = {x, attn_unroll_list(ir, (int64_t)start),
                           attn_unroll_list(ir, (int64_t)(start + size)),
                           attn_unroll_list(ir, axis)};
    attn_unroll_insert(ir, n, "Slice", x->name, 4, in, &out);
    return out;
}

static attn_status split(attn_ir *ir, attn_sequences *s, attn_ir_node *n)
{
    enum { MAX_PARTS = 4096 };
    attn_ir_value *by = attn_ir_in(n, 1);
    const attn_onnx_tensor *sizes = !by ? NULL : by->constant ? by->constant : by->fixed;
    int64_t axis = attn_ir_int(n, "axis", 0);
    bool keep = by || attn_ir_int(n, "keepdims", 1);
    size_t all, count = 0, size;
    list *made;
    if (!attn_ir_in(n, 0) || !attn_unroll_size(n->in[0], axis, &all) || (by && !sizes))
        return ATTN_OK;
    if (sizes && !attn_onnx_is_integer(sizes->type))
        return attn_ir_fail(ir, n, "sizes of the type %s", attn_onnx_type_name(sizes->type));
    for (size_t start = 0; (size = part(sizes, count, start, all)) > 0; start += size)
        if (++count > MAX_PARTS)
            return attn_ir_fail(ir, n, "splits into more than %d parts", MAX_PARTS);
    ATTN_TRY(new_list(ir, s, n, count, &made));
    for (size_t i = 0, start = 0; i < count && !ir->failed; i++, start += size) {
        size = part(sizes, i, start, all);
        made->value[i] = slice(ir, n, axis, start, size, keep);
    }
    ATTN_TRY(attn_ir_status(ir));
    return give_list(ir, s, n, made);
}

/* ---- the whole ------------------------------------------------------------------------------ */

attn_status attn_sequence_resolve(attn_ir *ir, attn_sequences *s, attn_ir_node *n)
{
    const list *from = find(s, attn_ir_in(n, 0));
    if (attn_ir_is(n, "SequenceEmpty") || attn_ir_is(n, "SequenceConstruct"))
        return construct(ir, s, n);
    if (attn_ir_is(n, "SplitToSequence")) return split(ir, s, n);
    if (!from) return ATTN_OK;
    if (attn_ir_is(n, "SequenceInsert")) return put(ir, s, n, from);
    if (attn_ir_is(n, "SequenceErase")) return erase(ir, s, n, from);
    if (attn_ir_is(n, "SequenceAt")) return take(ir, n, from);
    if (attn_ir_is(n, "ConcatFromSequence")) return join(ir, n, from);
    if (attn_ir_is(n, "SequenceLength"))
        return give_value(
            ir, n, attn_unroll_number(ir, "length", (int64_t)from->count, 0, ATTN_ONNX_INT64));
    return ATTN_OK;
}

attn_status attn_sequence_check(attn_ir *ir, const attn_sequences *s, const attn_ir_body *body)
{
    for (const attn_ir_node *n = body->first; n && s->lists.count; n = n->next) {
        for (size_t i = 0; i < n->inputs; i++)
            if (attn_is_sequence(s, n->in[i]))
                return attn_ir_fail(ir, n,
                                    "what it does to the sequence \"%.100s\" is not known "
                                    "when the file is read",
                                    n->in[i]->name);
        for (size_t i = 0; i < n->bodies; i++) ATTN_TRY(attn_sequence_check(ir, s, n->body[i]));
    }
    for (size_t i = 0; i < body->results; i++)
        if (attn_is_sequence(s, body->result[i]))
            return attn_ir_fail(ir, NULL, "the output \"%.100s\" is a sequence",
                                body->result_name[i]);
    return ATTN_OK;
}
