/* Values and nodes, and how they are put together anew. */
#include "runtime/onnx/ir.h"

#include "runtime/base/names.h"

#include <stdio.h>
#include <string.h>

struct attn_ir_names {
    attn_names table;
    size_t next;
};

/* ---- errors -------------------------------------------------------------------------------- */

attn_status attn_ir_status(const attn_ir *ir)
{
    return ir->failed ? attn_ir_no_memory(ir) : ATTN_OK;
}

attn_status attn_ir_no_memory(const attn_ir *ir)
{
    if (ir->err && ir->err->status) return ir->err->status;
    return attn_fail(ir->err, ATTN_NO_MEMORY, "%s: out of memory", ir->file);
}

attn_status attn_ir_fail(const attn_ir *ir, const attn_ir_node *node, const char *format, ...)
{
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return attn_fail(ir->err, ATTN_BAD_MODEL, "%s: %s", node ? node->place : ir->file, text);
}

/* size bytes times count, or NULL and ir->failed. */
static void *get(attn_ir *ir, size_t count, size_t size)
{
    void *fresh = ir->failed ? NULL : attn_arena_get(ir->arena, count, size, ir->err);
    if (!fresh) ir->failed = true;
    return fresh;
}

/* ---- walking ------------------------------------------------------------------------------- */

bool attn_ir_is_symbol(const attn_ir_amount *a)
{
    return a->known && !a->base && a->factor == 1 && a->symbol[0] >= 0 &&
           a->symbol[0] < ATTN_IR_MAX_SYMBOLS && a->symbol[1] < 0;
}

bool attn_ir_is(const attn_ir_node *node, const char *op)
{
    return node && !*node->domain && strcmp(node->op, op) == 0;
}

attn_ir_node *attn_ir_made_by(const attn_ir_value *value, const char *op)
{
    return value && attn_ir_is(value->producer, op) ? value->producer : NULL;
}

attn_ir_node *attn_ir_only_reader(const attn_ir_value *value)
{
    return value && value->uses == 1 && !value->results ? value->use[0].node : NULL;
}

attn_ir_value *attn_ir_in(const attn_ir_node *node, size_t i)
{
    return node && i < node->inputs ? node->in[i] : NULL;
}

attn_ir_value *attn_ir_out(const attn_ir_node *node, size_t i)
{
    return node && i < node->outputs ? node->out[i] : NULL;
}

/* ---- values -------------------------------------------------------------------------------- */

attn_ir_value *attn_ir_new_value(attn_ir *ir, const char *name, attn_onnx_type type)
{
    if (!ir->names) {
        struct attn_ir_names *names = get(ir, 1, sizeof *names);
        if (!names) return NULL;
        *names = (struct attn_ir_names){.table = {.arena = ir->arena}, .next = 2};
        ir->names = names;
    }
    attn_ir_value *value = get(ir, 1, sizeof *value);
    if (!value) return NULL;
    value->type = type;
    value->name =
        attn_names_free(&ir->names->table, *name ? name : "value", &ir->names->next, ir->err);
    if (!value->name || !attn_names_set(&ir->names->table, value->name, value, ir->err)) {
        ir->failed = true;
        return NULL;
    }
    ir->values++;
    return value;
}

attn_ir_value *attn_ir_new_constant(attn_ir *ir, const char *name, const attn_onnx_tensor *tensor)
{
    attn_ir_value *value = tensor ? attn_ir_new_value(ir, name, tensor->type) : NULL;
    if (value) value->constant = tensor;
    return value;
}

static attn_ir_value *new_own(attn_ir *ir, const char *name, attn_onnx_type type, size_t size,
                              const void *data, int rank, const size_t *dim)
{
    attn_onnx_tensor *tensor = get(ir, 1, sizeof *tensor);
    size_t count = 1;
    if (!tensor) return NULL;
    *tensor = (attn_onnx_tensor){.name = "", .type = type, .rank = rank};
    for (int d = 0; d < rank; d++) tensor->dim[d] = dim[d];
    void *copy = attn_product(dim, rank, &count) ? get(ir, count, size) : NULL;
    if (!copy) {
        ir->failed = true;
        return NULL;
    }
    if (count) memcpy(copy, data, count * size);
    tensor->count = count;
    tensor->bytes = count * size;
    tensor->data = copy;
    return attn_ir_new_constant(ir, name, tensor);
}

attn_ir_value *attn_ir_new_floats(attn_ir *ir, const char *name, const float *numbers, int rank,
                                  const size_t *dim)
{
    return new_own(ir, name, ATTN_ONNX_FLOAT, sizeof *numbers, numbers, rank, dim);
}

attn_ir_value *attn_ir_new_ints(attn_ir *ir, const char *name, const int64_t *integers, int rank,
                                const size_t *dim)
{
    return new_own(ir, name, ATTN_ONNX_INT64, sizeof *integers, integers, rank, dim);
}

/* ---- uses ---------------------------------------------------------------------------------- */

static void add_use(attn_ir *ir, attn_ir_value *value, attn_ir_node *node, size_t slot)
{
    if (!value) return;
    if (value->uses == value->use_room) {
        size_t room = value->use_room ? 2 * value->use_room : 4;
        attn_ir_use *larger = get(ir, room, sizeof *larger);
        if (!larger) return;
        if (value->uses) memcpy(larger, value->use, value->uses * sizeof *larger);
        value->use = larger;
        value->use_room = room;
    }
    value->use[value->uses++] = (attn_ir_use){node, slot};
}

static void drop_use(attn_ir_value *value, const attn_ir_node *node, size_t slot)
{
    if (!value) return;
    for (size_t i = 0; i < value->uses; i++) {
        if (value->use[i].node != node || value->use[i].slot != slot) continue;
        memmove(&value->use[i], &value->use[i + 1], (value->uses - i - 1) * sizeof *value->use);
        value->uses--;
        return;
    }
}

void attn_ir_set_in(attn_ir *ir, attn_ir_node *node, size_t slot, attn_ir_value *value)
{
    if (!node || slot >= node->inputs || node->in[slot] == value) return;
    drop_use(node->in[slot], node, slot);
    node->in[slot] = value;
    add_use(ir, value, node, slot);
}

/* Results are few, but stand in every body. */
static void replace_results(attn_ir_body *body, attn_ir_value *value, attn_ir_value *by)
{
    for (size_t i = 0; i < body->results; i++) {
        if (body->result[i] != value) continue;
        body->result[i] = by;
        by->results++;
        value->results--;
    }
    for (attn_ir_node *n = body->first; n && value->results; n = n->next)
        for (size_t i = 0; i < n->bodies; i++) replace_results(n->body[i], value, by);
}

void attn_ir_replace(attn_ir *ir, attn_ir_value *value, attn_ir_value *by)
{
    if (!value || !by || value == by) return;
    for (size_t i = 0; i < value->uses; i++) {
        value->use[i].node->in[value->use[i].slot] = by;
        add_use(ir, by, value->use[i].node, value->use[i].slot);
    }
    value->uses = 0;
    if (value->results) replace_results(ir->main, value, by);
}

/* ---- nodes --------------------------------------------------------------------------------- */

static attn_ir_node *new_node(attn_ir *ir, const char *op, const char *domain, size_t inputs,
                              attn_ir_value *const *in, size_t outputs, attn_ir_value *const *out)
{
    attn_ir_node *node = get(ir, 1, sizeof *node);
    attn_ir_value **lists = get(ir, inputs + outputs, sizeof *lists);
    if (!node || !lists) return NULL;
    *node = (attn_ir_node){.op = op,
                           .domain = domain,
                           .name = "",
                           .scope = "",
                           .place = ir->file,
                           .inputs = inputs,
                           .outputs = outputs,
                           .in = lists,
                           .out = lists + inputs};
    for (size_t i = 0; i < inputs; i++) {
        node->in[i] = in[i];
        add_use(ir, in[i], node, i);
    }
    for (size_t i = 0; i < outputs; i++) {
        node->out[i] = NULL;
        attn_ir_give(ir, out[i], node, i);
    }
    ir->nodes++;
    return node;
}

attn_ir_node *attn_ir_append(attn_ir *ir, attn_ir_body *body, const char *op, const char *domain,
                             size_t inputs, attn_ir_value *const *in, size_t outputs,
                             attn_ir_value *const *out)
{
    attn_ir_node *node = new_node(ir, op, domain, inputs, in, outputs, out);
    if (!node) return NULL;
    node->parent = body;
    node->previous = body->last;
    *(body->last ? &body->last->next : &body->first) = node;
    body->last = node;
    return node;
}

attn_ir_node *attn_ir_insert(attn_ir *ir, attn_ir_node *before, const char *op, const char *domain,
                             size_t inputs, attn_ir_value *const *in, size_t outputs,
                             attn_ir_value *const *out)
{
    attn_ir_node *node = before ? new_node(ir, op, domain, inputs, in, outputs, out) : NULL;
    if (!node) return NULL;
    node->name = before->name;
    node->scope = before->scope;
    node->place = before->place;
    node->version = before->version;
    node->parent = before->parent;
    node->previous = before->previous;
    node->next = before;
    *(before->previous ? &before->previous->next : &before->parent->first) = node;
    before->previous = node;
    return node;
}

void attn_ir_give(attn_ir *ir, attn_ir_value *value, attn_ir_node *node, size_t slot)
{
    (void)ir;
    if (!value || !node || slot >= node->outputs) return;
    if (value->producer && value->producer->out[value->slot] == value)
        value->producer->out[value->slot] = NULL;
    value->producer = node;
    value->slot = slot;
    node->out[slot] = value;
}

static void unlink_node(attn_ir_node *node)
{
    attn_ir_body *body = node->parent;
    *(node->previous ? &node->previous->next : &body->first) = node->next;
    *(node->next ? &node->next->previous : &body->last) = node->previous;
    node->previous = NULL;
    node->dead = true;
}

static void remove_body(attn_ir_body *body)
{
    for (size_t i = 0; i < body->results; i++)
        if (body->result[i]) body->result[i]->results--;
    body->results = 0;
    while (body->first) attn_ir_remove(NULL, body->first);
}

/* node->next stays, for whoever walks. */
void attn_ir_remove(attn_ir *ir, attn_ir_node *node)
{
    (void)ir;
    if (!node || node->dead) return;
    for (size_t i = 0; i < node->bodies; i++) remove_body(node->body[i]);
    for (size_t i = 0; i < node->inputs; i++) drop_use(node->in[i], node, i);
    for (size_t i = 0; i < node->outputs; i++)
        if (node->out[i]) node->out[i]->producer = NULL;
    unlink_node(node);
}

static bool is_read(const attn_ir_node *node)
{
    for (size_t i = 0; i < node->outputs; i++)
        if (node->out[i] && (node->out[i]->uses || node->out[i]->results)) return true;
    return false;
}

static void sweep(attn_ir *ir, attn_ir_body *body)
{
    attn_ir_node *before;
    for (attn_ir_node *n = body->last; n; n = before) {
        before = n->previous;
        if (!is_read(n)) {
            attn_ir_remove(ir, n);
            continue;
        }
        for (size_t i = 0; i < n->bodies; i++) sweep(ir, n->body[i]);
    }
}

void attn_ir_sweep(attn_ir *ir)
{
    sweep(ir, ir->main);
}
