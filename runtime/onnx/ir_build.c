/* From the records of a file to the importer's graph. */
#include "runtime/onnx/ir_build.h"

#include "runtime/base/names.h"

#include <stdio.h>
#include <string.h>

enum {
    MAX_NODES = 1 << 16, /* nodes that are looked at, those of functions at every call */
    MAX_DEPTH = 32,      /* calls and bodies around a node */
};

/* What the names mean: in a graph, in a body (which sees what is around it), in a function. */
typedef struct scope {
    attn_names values;                  /* name -> attn_ir_value */
    attn_names infos;                   /* name -> attn_onnx_value */
    const struct scope *outer;          /* of a body; NULL: none */
    const attn_onnx_function *function; /* NULL: the file's own graph */
    const attn_onnx_node *call;         /* of the function */
    const struct scope *call_scope;     /* in which its attributes are */
    const char *place;                  /* in front of the nodes' places */
    int depth;
} scope;

typedef struct build {
    attn_ir *ir;
    attn_names functions; /* "domain\n name \n overload" -> attn_onnx_function */
    size_t seen;
} build;

static attn_status add_nodes(build *b, scope *s, attn_ir_body *body, const attn_onnx_node *node,
                             size_t count);

static void *get(build *b, size_t count, size_t size)
{
    return attn_arena_get(b->ir->arena, count, size, b->ir->err);
}

/* ---- names --------------------------------------------------------------------------------- */

static attn_ir_value *look_up(const scope *s, const char *name)
{
    for (; s; s = s->outer) {
        attn_ir_value *found = attn_names_get(&s->values, name);
        if (found) return found;
    }
    return NULL;
}

static attn_status bind(build *b, scope *s, const char *name, attn_ir_value *value)
{
    if (!value || !attn_names_set(&s->values, name, value, b->ir->err))
        return attn_ir_no_memory(b->ir);
    return ATTN_OK;
}

/* A new value of that name, with what the file says of it. */
static attn_status define(build *b, scope *s, const char *name, attn_ir_value **out)
{
    const attn_onnx_value *info = attn_names_get(&s->infos, name);
    attn_ir_value *value = attn_ir_new_value(b->ir, name, info ? info->type : ATTN_ONNX_UNDEFINED);
    if (value) value->declared = info;
    *out = value;
    return bind(b, s, name, value);
}

static attn_status make_place(build *b, const scope *s, const attn_onnx_node *node, size_t index,
                              const char **out)
{
    const char *named = *node->name ? " \"" : "";
    *out = attn_arena_printf(b->ir->arena, b->ir->err, "%.240s: node %zu%s%.100s%s (%.40s)",
                             s->place, index, named, node->name, *named ? "\"" : "", node->op);
    return *out ? ATTN_OK : attn_ir_no_memory(b->ir);
}

static attn_status fail_at(const build *b, const char *place, const char *what)
{
    return attn_fail(b->ir->err, ATTN_BAD_MODEL, "%s: %s", place, what);
}

/* ---- attributes ---------------------------------------------------------------------------- */

static const attn_onnx_attr *find_attr(const attn_onnx_attr *list, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(list[i].name, name) == 0) return &list[i];
    return NULL;
}

/* What the attribute `name` of the function's call is, as the caller means it; NULL: the call does
 * not have it, and it has no default. */
static const attn_onnx_attr *call_attr(const scope *s, const char *name)
{
    const attn_onnx_attr *found = NULL;
    if (!s->function) return NULL;
    found = find_attr(s->call->attr, s->call->attrs, name);
    if (found && found->ref) return call_attr(s->call_scope, found->ref);
    return found ? found : find_attr(s->function->fallback, s->function->defaults, name);
}

/* The node's attributes, references replaced. */
static attn_status read_attrs(build *b, const scope *s, const attn_onnx_node *from,
                              attn_onnx_attr **list, size_t *count)
{
    size_t refs = 0, used = 0;
    *list = from->attr;
    *count = from->attrs;
    for (size_t i = 0; i < from->attrs; i++) refs += from->attr[i].ref != NULL;
    if (!refs) return ATTN_OK;
    attn_onnx_attr *own = get(b, from->attrs, sizeof *own);
    if (!own) return attn_ir_no_memory(b->ir);
    for (size_t i = 0; i < from->attrs; i++) {
        const attn_onnx_attr *a = &from->attr[i];
        const attn_onnx_attr *meant = a->ref ? call_attr(s, a->ref) : a;
        if (!meant) continue;
        own[used] = *meant;
        own[used].ref = NULL;
        own[used++].name = a->name;
    }
    *list = own;
    *count = used;
    return ATTN_OK;
}

/* ---- constants ----------------------------------------------------------------------------- */

/* The tensor that a Constant is, or NULL if it is none that is known here. */
static attn_status constant_tensor(build *b, const attn_onnx_attr *list, size_t count,
                                   const attn_onnx_tensor **out)
{
    const attn_onnx_attr *a = count == 1 ? list : find_attr(list, count, "value");
    *out = NULL;
    if (!a) return ATTN_OK;
    attn_onnx_tensor *t = get(b, 1, sizeof *t);
    int64_t *integer = get(b, 1, sizeof *integer);
    float *number = get(b, 1, sizeof *number);
    if (!t || !integer || !number) return attn_ir_no_memory(b->ir);
    *t = (attn_onnx_tensor){.name = "", .count = 1};
    *integer = a->integer;
    *number = a->number;
    switch (a->kind) {
    case ATTN_ONNX_ATTR_TENSOR:
        *out = a->tensor;
        return ATTN_OK;
    case ATTN_ONNX_ATTR_INTS:
    case ATTN_ONNX_ATTR_FLOATS:
        t->rank = 1;
        t->dim[0] = t->count = a->count;
        break;
    case ATTN_ONNX_ATTR_INT:
    case ATTN_ONNX_ATTR_FLOAT:
        break;
    default:
        return ATTN_OK;
    }
    bool whole = a->kind == ATTN_ONNX_ATTR_INT || a->kind == ATTN_ONNX_ATTR_INTS;
    t->type = whole ? ATTN_ONNX_INT64 : ATTN_ONNX_FLOAT;
    t->bytes = t->count * (whole ? 8 : 4);
    if (whole)
        t->data = a->kind == ATTN_ONNX_ATTR_INT ? integer : a->integers;
    else
        t->data = a->kind == ATTN_ONNX_ATTR_FLOAT ? number : a->numbers;
    *out = t;
    return ATTN_OK;
}

/* ---- bodies -------------------------------------------------------------------------------- */

static attn_status read_infos(build *b, scope *s, const attn_onnx_graph *g)
{
    for (size_t i = 0; i < g->infos; i++)
        if (!attn_names_set(&s->infos, g->info[i].name, &g->info[i], b->ir->err))
            return attn_ir_no_memory(b->ir);
    for (size_t i = 0; i < g->outputs; i++)
        if (!attn_names_set(&s->infos, g->output[i].name, &g->output[i], b->ir->err))
            return attn_ir_no_memory(b->ir);
    return ATTN_OK;
}

static attn_status add_initializers(build *b, scope *s, const attn_onnx_graph *g)
{
    for (size_t i = 0; i < g->tensors; i++)
        ATTN_TRY(bind(b, s, g->tensor[i].name,
                      attn_ir_new_constant(b->ir, g->tensor[i].name, &g->tensor[i])));
    return ATTN_OK;
}

static attn_status find_result(build *b, const scope *s, const char *name, attn_ir_value **out)
{
    *out = look_up(s, name);
    if (*out) return ATTN_OK;
    return attn_fail(b->ir->err, ATTN_BAD_MODEL, "%s: nothing makes the output \"%.100s\"",
                     s->place, name);
}

/* A whole graph with its inputs and results as one body. */
static attn_status fill_body(build *b, scope *s, attn_ir_body *body, const attn_onnx_graph *g)
{
    body->inputs = g->inputs;
    body->results = g->outputs;
    body->input = get(b, g->inputs, sizeof(attn_ir_value *));
    body->result = get(b, g->outputs, sizeof(attn_ir_value *));
    body->result_name = get(b, g->outputs, sizeof(char *));
    if (!body->input || !body->result || !body->result_name) return attn_ir_no_memory(b->ir);
    ATTN_TRY(read_infos(b, s, g));
    for (size_t i = 0; i < g->inputs; i++) {
        ATTN_TRY(define(b, s, g->input[i].name, &body->input[i]));
        body->input[i]->is_input = true;
        body->input[i]->declared = &g->input[i];
        body->input[i]->type = g->input[i].type;
    }
    ATTN_TRY(add_initializers(b, s, g));
    body->results = 0;
    ATTN_TRY(add_nodes(b, s, body, g->node, g->nodes));
    for (size_t i = 0; i < g->outputs; i++) {
        ATTN_TRY(find_result(b, s, g->output[i].name, &body->result[i]));
        body->result_name[i] = g->output[i].name;
        body->result[i]->results++;
        body->results++;
    }
    return ATTN_OK;
}

/* The bodies of an If, Loop or Scan. */
static attn_status add_bodies(build *b, const scope *s, attn_ir_node *node)
{
    static const char *const order[] = {"then_branch", "else_branch", "body"};
    node->body = get(b, 3, sizeof(attn_ir_body *));
    if (!node->body) return attn_ir_no_memory(b->ir);
    for (size_t i = 0; i < 3; i++) {
        const attn_onnx_attr *a = attn_ir_attr(node, order[i]);
        if (!a || a->kind != ATTN_ONNX_ATTR_GRAPH || !a->graph) continue;
        scope inner = {.values = {.arena = b->ir->arena},
                       .infos = {.arena = b->ir->arena},
                       .outer = s,
                       .function = s->function,
                       .call = s->call,
                       .call_scope = s->call_scope,
                       .depth = s->depth + 1};
        inner.place = attn_arena_printf(b->ir->arena, b->ir->err, "%s: %s", node->place, order[i]);
        attn_ir_body *body = get(b, 1, sizeof *body);
        if (!inner.place || !body) return attn_ir_no_memory(b->ir);
        node->body[node->bodies++] = body;
        ATTN_TRY(fill_body(b, &inner, body, a->graph));
    }
    return ATTN_OK;
}

/* The nodes of the branch that a constant condition chooses, in place of the If. */
static attn_status add_branch(build *b, const scope *s, attn_ir_body *body,
                              const attn_onnx_node *from, const attn_onnx_graph *g,
                              const char *place, scope *outer)
{
    scope inner = {.values = {.arena = b->ir->arena},
                   .infos = {.arena = b->ir->arena},
                   .outer = s,
                   .function = s->function,
                   .call = s->call,
                   .call_scope = s->call_scope,
                   .place = place,
                   .depth = s->depth + 1};
    ATTN_TRY(read_infos(b, &inner, g));
    ATTN_TRY(add_initializers(b, &inner, g));
    ATTN_TRY(add_nodes(b, &inner, body, g->node, g->nodes));
    if (g->outputs != from->outputs)
        return fail_at(b, place, "the branch has another number of outputs");
    for (size_t i = 0; i < g->outputs; i++) {
        attn_ir_value *result;
        ATTN_TRY(find_result(b, &inner, g->output[i].name, &result));
        if (*from->out[i]) ATTN_TRY(bind(b, outer, from->out[i], result));
    }
    return ATTN_OK;
}

/* ---- functions ----------------------------------------------------------------------------- */

static const char *function_key(build *b, const char *domain, const char *name,
                                const char *overload)
{
    return attn_arena_printf(b->ir->arena, b->ir->err, "%s\n%s\n%s", domain, name, overload);
}

static attn_status list_functions(build *b)
{
    const attn_onnx_model *m = b->ir->model;
    b->functions.arena = b->ir->arena;
    for (size_t i = 0; i < m->functions; i++) {
        attn_onnx_function *f = &m->function[i];
        const char *key = function_key(b, f->domain, f->name, f->overload);
        if (!key || !attn_names_set(&b->functions, key, f, b->ir->err))
            return attn_ir_no_memory(b->ir);
    }
    return ATTN_OK;
}

static attn_status find_function(build *b, const attn_onnx_node *node,
                                 const attn_onnx_function **out)
{
    *out = NULL;
    if (!b->functions.count) return ATTN_OK;
    const char *key = function_key(b, node->domain, node->op, node->overload);
    if (!key) return attn_ir_no_memory(b->ir);
    *out = attn_names_get(&b->functions, key);
    return ATTN_OK;
}

static attn_status add_call(build *b, scope *s, attn_ir_body *body, const attn_onnx_node *node,
                            const attn_onnx_function *f, const char *place)
{
    scope inner = {.values = {.arena = b->ir->arena},
                   .infos = {.arena = b->ir->arena},
                   .function = f,
                   .call = node,
                   .call_scope = s,
                   .place = place,
                   .depth = s->depth + 1};
    if (node->inputs > f->inputs || node->outputs > f->outputs)
        return fail_at(b, place, "more inputs or outputs than the function has");
    for (size_t i = 0; i < node->inputs; i++) {
        attn_ir_value *in = *node->in[i] ? look_up(s, node->in[i]) : NULL;
        if (in) ATTN_TRY(bind(b, &inner, f->in[i], in));
    }
    ATTN_TRY(add_nodes(b, &inner, body, f->node, f->nodes));
    for (size_t i = 0; i < node->outputs; i++) {
        attn_ir_value *result;
        if (!*node->out[i]) continue;
        ATTN_TRY(find_result(b, &inner, f->out[i], &result));
        ATTN_TRY(bind(b, s, node->out[i], result));
    }
    return ATTN_OK;
}

/* ---- nodes --------------------------------------------------------------------------------- */

static int64_t opset_of(const build *b, const scope *s, const char *domain)
{
    const attn_onnx_opset *list = b->ir->model->opset;
    size_t count = b->ir->model->opsets;
    for (int own = s->function && s->function->opsets; own >= 0; own--) {
        if (own) {
            list = s->function->opset;
            count = s->function->opsets;
        }
        for (size_t i = 0; i < count; i++)
            if (strcmp(list[i].domain, domain) == 0) return list[i].version;
        list = b->ir->model->opset;
        count = b->ir->model->opsets;
    }
    return 0;
}

/* in: of the node; an operand that a function's call has left out is left out. */
static attn_status add_plain(build *b, scope *s, attn_ir_body *body, const attn_onnx_node *from,
                             const char *place, attn_onnx_attr *attr, size_t attrs)
{
    attn_ir_value **in = get(b, from->inputs, sizeof *in);
    attn_ir_value **out = get(b, from->outputs, sizeof *out);
    if (!in || !out) return attn_ir_no_memory(b->ir);
    for (size_t i = 0; i < from->inputs; i++) {
        in[i] = *from->in[i] ? look_up(s, from->in[i]) : NULL;
        if (*from->in[i] && !in[i] && !s->function)
            return attn_fail(b->ir->err, ATTN_BAD_MODEL, "%s: nothing makes \"%.100s\"", place,
                             from->in[i]);
    }
    for (size_t i = 0; i < from->outputs; i++)
        if (*from->out[i]) ATTN_TRY(define(b, s, from->out[i], &out[i]));
    attn_ir_node *node =
        attn_ir_append(b->ir, body, from->op, from->domain, from->inputs, in, from->outputs, out);
    if (!node) return attn_ir_no_memory(b->ir);
    node->name = from->name;
    node->scope = from->scope ? from->scope : "";
    node->place = place;
    node->version = opset_of(b, s, from->domain);
    node->attr = attr;
    node->attrs = attrs;
    ATTN_TRY(add_bodies(b, s, node));
    attn_ir_infer_types(node);
    return ATTN_OK;
}

/* A node that needs none: its outputs are other values. *done: it was one. */
static attn_status add_alias(build *b, scope *s, attn_ir_body *body, const attn_onnx_node *node,
                             const char *place, const attn_onnx_attr *attr, size_t attrs,
                             bool *done)
{
    attn_ir_value *in = node->inputs && *node->in[0] ? look_up(s, node->in[0]) : NULL;
    bool single = node->outputs == 1 && *node->out[0];
    *done = true;
    if (!*node->domain && single && strcmp(node->op, "Identity") == 0 && in)
        return bind(b, s, node->out[0], in);
    if (!*node->domain && single && strcmp(node->op, "Constant") == 0) {
        const attn_onnx_tensor *tensor;
        ATTN_TRY(constant_tensor(b, attr, attrs, &tensor));
        if (tensor)
            return bind(b, s, node->out[0], attn_ir_new_constant(b->ir, node->out[0], tensor));
    }
    if (!*node->domain && strcmp(node->op, "If") == 0 && in && in->constant &&
        in->constant->count == 1) {
        bool yes = attn_tensor_int(in->constant, 0) != 0;
        const attn_onnx_attr *branch = find_attr(attr, attrs, yes ? "then_branch" : "else_branch");
        if (branch && branch->kind == ATTN_ONNX_ATTR_GRAPH && branch->graph)
            return add_branch(b, s, body, node, branch->graph, place, s);
    }
    *done = false;
    return ATTN_OK;
}

static attn_status add_nodes(build *b, scope *s, attn_ir_body *body, const attn_onnx_node *node,
                             size_t count)
{
    if (s->depth > MAX_DEPTH)
        return fail_at(b, s->place, "functions and bodies nested deeper than 32");
    for (size_t i = 0; i < count; i++) {
        const attn_onnx_function *function;
        const char *place;
        attn_onnx_attr *attr;
        size_t attrs;
        bool done;
        if (++b->seen > MAX_NODES)
            return fail_at(b, b->ir->file,
                           "more than 65536 nodes, those of functions at each call");
        ATTN_TRY(make_place(b, s, &node[i], i, &place));
        ATTN_TRY(read_attrs(b, s, &node[i], &attr, &attrs));
        ATTN_TRY(find_function(b, &node[i], &function));
        if (function) {
            ATTN_TRY(add_call(b, s, body, &node[i], function, place));
            continue;
        }
        ATTN_TRY(add_alias(b, s, body, &node[i], place, attr, attrs, &done));
        if (!done) ATTN_TRY(add_plain(b, s, body, &node[i], place, attr, attrs));
    }
    return ATTN_OK;
}

attn_status attn_ir_build(attn_ir *ir, const attn_onnx_model *model, const size_t photo[2],
                          attn_arena *arena, attn_error *err)
{
    *ir = (attn_ir){.arena = arena, .err = err, .file = model->file, .model = model};
    build b = {.ir = ir};
    scope top = {.values = {.arena = arena}, .infos = {.arena = arena}, .place = model->file};
    ir->main = get(&b, 1, sizeof *ir->main);
    if (!ir->main) return attn_ir_no_memory(ir);
    ATTN_TRY(list_functions(&b));
    ATTN_TRY(fill_body(&b, &top, ir->main, &model->graph));
    if (ir->failed) return attn_ir_no_memory(ir);
    attn_ir_sweep(ir);
    return attn_ir_read_inputs(ir, photo);
}
