/* Who makes a value before it is read. One walk over everything visits every name of a value; done
 * three times it counts the names, notes where they stand, and, once equal names have got one
 * number (by sorting: n log n whatever the names are), checks them with arrays only.
 *
 * A graph in an attribute sees what the graphs around it have made before the node; a name of its
 * own may hide theirs. The body of a function sees nothing else. */
#include "runtime/onnx/reader.h"

#include "runtime/base/hash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct name {
    uint64_t hash;
    const char **slot; /* where it stands */
    size_t at;         /* which of all that are visited */
} name;

/* What a name meant outside a graph that gives it a meaning of its own. */
typedef struct hidden {
    uint32_t number, before;
} hidden;

typedef struct walk {
    attn_onnx_reader *r;
    enum { COUNT, NOTE, CHECK } stage;
    size_t at;        /* names visited */
    name *names;      /* NOTE */
    uint32_t *number; /* [names]: the same for equal names */
    uint32_t *made;   /* by number: 0: not made; 2 * depth: an initializer there;
                       * 2 * depth + 1: another value */
    hidden *stack;    /* to undo when a graph ends */
    size_t hides;
    uint32_t depth;                     /* of graphs, the outermost: 1 */
    const attn_onnx_function *function; /* whose body it is; NULL: the model's graph */
} walk;

static attn_status fail(const walk *w, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static attn_status fail(const walk *w, const char *format, ...)
{
    char text[200];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return attn_wire_fail(&w->r->wire, ATTN_BAD_FILE, "%s", text);
}

/* ---- one name ------------------------------------------------------------------------------- */

/* False: there is nothing to check, yet. */
static bool visit(walk *w, const char **slot, uint32_t *number)
{
    if (!**slot) return false; /* left out */
    size_t at = w->at++;
    if (w->stage == NOTE) w->names[at] = (name){attn_hash(0, *slot, strlen(*slot)), slot, at};
    if (w->stage == CHECK) *number = w->number[at];
    return w->stage == CHECK;
}

static void mark(walk *w, uint32_t number, bool initializer)
{
    w->stack[w->hides++] = (hidden){number, w->made[number]};
    w->made[number] = 2 * w->depth + !initializer;
}

static attn_status make(walk *w, const char **slot, bool initializer)
{
    uint32_t number;
    if (!visit(w, slot, &number)) return ATTN_OK;
    if (w->made[number] / 2 == w->depth)
        return fail(w, "makes \"%.100s\", which is made before", *slot);
    mark(w, number, initializer);
    return ATTN_OK;
}

static attn_status use(walk *w, const char **slot)
{
    uint32_t number;
    if (!visit(w, slot, &number) || w->made[number]) return ATTN_OK;
    return fail(w, "reads \"%.100s\", which nothing before it makes", *slot);
}

/* ---- places --------------------------------------------------------------------------------- */

static void enter(walk *w, attn_wire_place *place, const char *field, size_t index,
                  const char *label)
{
    *place = (attn_wire_place){w->r->wire.place, field, index, label};
    w->r->wire.place = place;
}

static void leave(walk *w)
{
    w->r->wire.place = (attn_wire_place *)w->r->wire.place->up;
}

typedef attn_status visit_name(walk *w, const char **slot);

static attn_status make_value(walk *w, const char **slot)
{
    return make(w, slot, false);
}

/* Values, one every `stride` bytes. */
static attn_status visit_all(walk *w, const char *field, const char **first, size_t count,
                             size_t stride, visit_name *what)
{
    for (size_t i = 0; i < count; i++) {
        attn_wire_place place;
        const char **slot = (const char **)(void *)((char *)(void *)first + i * stride);
        enter(w, &place, field, i, NULL);
        attn_status status = what(w, slot);
        leave(w);
        if (status) return status;
    }
    return ATTN_OK;
}

/* ---- nodes ---------------------------------------------------------------------------------- */

static attn_status walk_graph(walk *w, attn_onnx_graph *g);

/* That a function has an attribute of that name. */
static attn_status check_reference(const walk *w, const char *ref)
{
    const attn_onnx_function *fn = w->function;
    if (!fn) return fail(w, "refers to \"%.100s\", but is in no function", ref);
    for (size_t i = 0; i < fn->attrs; i++)
        if (strcmp(fn->attr[i], ref) == 0) return ATTN_OK;
    for (size_t i = 0; i < fn->defaults; i++)
        if (strcmp(fn->fallback[i].name, ref) == 0) return ATTN_OK;
    return fail(w, "refers to \"%.100s\", which its function does not have", ref);
}

static attn_status walk_attr(walk *w, attn_onnx_attr *a)
{
    attn_wire_place place;
    if (a->ref) return w->stage == CHECK ? check_reference(w, a->ref) : ATTN_OK;
    if (!a->graph) return ATTN_OK;
    enter(w, &place, "g", SIZE_MAX, NULL);
    attn_status status = walk_graph(w, a->graph);
    leave(w);
    return status;
}

static attn_status walk_attrs(walk *w, const char *field, attn_onnx_attr *attr, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        attn_wire_place place;
        enter(w, &place, field, i, attr[i].name);
        attn_status status = walk_attr(w, &attr[i]);
        leave(w);
        if (status) return status;
    }
    return ATTN_OK;
}

static bool has_domain(const attn_onnx_opset *opset, size_t count, const char *domain)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(opset[i].domain, domain) == 0) return true;
    return false;
}

static attn_status walk_node(walk *w, attn_onnx_node *n)
{
    const attn_onnx_model *m = w->r->model;
    if (w->stage == CHECK && !*n->domain && !has_domain(m->opset, m->opsets, "") &&
        !(w->function && has_domain(w->function->opset, w->function->opsets, "")))
        return fail(w, "is of the standard domain, of which opset_import has no version");
    ATTN_TRY(visit_all(w, "input", n->in, n->inputs, sizeof *n->in, use));
    ATTN_TRY(walk_attrs(w, "attribute", n->attr, n->attrs));
    return visit_all(w, "output", n->out, n->outputs, sizeof *n->out, make_value);
}

static attn_status walk_nodes(walk *w, attn_onnx_node *node, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        attn_wire_place place;
        enter(w, &place, "node", i, node[i].op);
        attn_status status = walk_node(w, &node[i]);
        leave(w);
        if (status) return status;
    }
    return ATTN_OK;
}

/* ---- graphs --------------------------------------------------------------------------------- */

static attn_status make_initializer(walk *w, const char **slot)
{
    return make(w, slot, true);
}

/* Makes it, unless it is an initializer: then its name becomes "". */
static attn_status make_input(walk *w, const char **slot)
{
    uint32_t number;
    if (!visit(w, slot, &number)) return ATTN_OK;
    if (w->made[number] == 2 * w->depth) {
        w->made[number]++;
        *slot = "";
        return ATTN_OK;
    }
    if (w->made[number] / 2 == w->depth)
        return fail(w, "the name \"%.100s\" stands there twice", *slot);
    mark(w, number, false);
    return ATTN_OK;
}

/* An output of the model; it becomes what no other name is. */
static attn_status use_once(walk *w, const char **slot)
{
    uint32_t number;
    ATTN_TRY(use(w, slot));
    if (w->stage != CHECK) return ATTN_OK;
    number = w->number[w->at - 1];
    if (w->made[number] == UINT32_MAX)
        return fail(w, "the name \"%.100s\" stands there twice", *slot);
    w->made[number] = UINT32_MAX;
    return ATTN_OK;
}

static attn_status name_only(walk *w, const char **slot)
{
    uint32_t number;
    visit(w, slot, &number);
    return ATTN_OK;
}

/* Without those whose name is "". */
static void drop_initializers(attn_onnx_graph *g)
{
    size_t kept = 0;
    for (size_t i = 0; i < g->inputs; i++)
        if (*g->input[i].name) g->input[kept++] = g->input[i];
    g->inputs = kept;
}

static void hide_nothing(walk *w, size_t hides)
{
    for (; w->hides > hides; w->hides--)
        w->made[w->stack[w->hides - 1].number] = w->stack[w->hides - 1].before;
}

static attn_status walk_graph(walk *w, attn_onnx_graph *g)
{
    enum { STEP = sizeof(attn_onnx_value) };
    size_t hides = w->hides;
    const char **tensor = g->tensors ? &g->tensor->name : NULL;
    const char **input = g->inputs ? &g->input->name : NULL;
    const char **output = g->outputs ? &g->output->name : NULL;
    const char **info = g->infos ? &g->info->name : NULL;
    w->depth++;
    ATTN_TRY(visit_all(w, "initializer", tensor, g->tensors, sizeof *g->tensor, make_initializer));
    ATTN_TRY(visit_all(w, "input", input, g->inputs, STEP, make_input));
    ATTN_TRY(walk_nodes(w, g->node, g->nodes));
    ATTN_TRY(visit_all(w, "output", output, g->outputs, STEP, w->depth == 1 ? use_once : use));
    ATTN_TRY(visit_all(w, "value_info", info, g->infos, STEP, name_only));
    if (w->stage == CHECK) drop_initializers(g);
    hide_nothing(w, hides);
    w->depth--;
    return ATTN_OK;
}

static attn_status walk_function(walk *w, attn_onnx_function *fn)
{
    size_t hides = w->hides;
    w->function = fn;
    w->depth++;
    ATTN_TRY(walk_attrs(w, "attribute_proto", fn->fallback, fn->defaults));
    ATTN_TRY(visit_all(w, "input", fn->in, fn->inputs, sizeof *fn->in, make_value));
    ATTN_TRY(walk_nodes(w, fn->node, fn->nodes));
    ATTN_TRY(visit_all(w, "output", fn->out, fn->outputs, sizeof *fn->out, use));
    hide_nothing(w, hides);
    w->depth--;
    w->function = NULL;
    return ATTN_OK;
}

static attn_status walk_model(walk *w)
{
    attn_onnx_model *m = w->r->model;
    w->at = 0;
    for (size_t i = 0; i < m->functions; i++) {
        attn_wire_place place;
        enter(w, &place, "functions", i, m->function[i].name);
        attn_status status = walk_function(w, &m->function[i]);
        leave(w);
        if (status) return status;
    }
    attn_wire_place place;
    enter(w, &place, "graph", SIZE_MAX, NULL);
    attn_status status = walk_graph(w, &m->graph);
    leave(w);
    return status;
}

/* ---- numbers -------------------------------------------------------------------------------- */

static int compare_names(const void *left, const void *right)
{
    const name *a = left, *b = right;
    if (a->hash != b->hash) return a->hash < b->hash ? -1 : 1;
    return strcmp(*a->slot, *b->slot);
}

/* Equal names get one number and one pointer. */
static void number_names(walk *w, size_t count)
{
    uint32_t number = 0;
    const char *text = NULL;
    if (count) qsort(w->names, count, sizeof *w->names, compare_names);
    for (size_t i = 0; i < count; i++) {
        const name *n = &w->names[i];
        if (!text || strcmp(text, *n->slot) != 0) {
            text = *n->slot;
            number++;
        }
        w->number[n->at] = number;
    }
    /* The pointers last: sorting compares what they point to. */
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || w->number[w->names[i].at] != w->number[w->names[i - 1].at])
            text = *w->names[i].slot;
        *w->names[i].slot = text;
    }
}

static int compare_functions(const void *left, const void *right)
{
    const attn_onnx_function *a = *(const attn_onnx_function *const *)left;
    const attn_onnx_function *b = *(const attn_onnx_function *const *)right;
    int order = strcmp(a->name, b->name);
    if (!order) order = strcmp(a->domain, b->domain);
    return order ? order : strcmp(a->overload, b->overload);
}

static attn_status check_functions(attn_onnx_reader *r)
{
    const attn_onnx_model *m = r->model;
    if (m->functions < 2) return ATTN_OK;
    const attn_onnx_function **list =
        attn_arena_get(r->arena, m->functions, sizeof *list, r->wire.err);
    if (!list) return ATTN_NO_MEMORY;
    for (size_t i = 0; i < m->functions; i++) list[i] = &m->function[i];
    qsort(list, m->functions, sizeof *list, compare_functions);
    for (size_t i = 1; i < m->functions; i++)
        if (compare_functions(&list[i - 1], &list[i]) == 0)
            return attn_wire_fail(&r->wire, ATTN_BAD_FILE,
                                  "two functions have the name \"%.100s\" of the domain \"%.100s\"",
                                  list[i]->name, list[i]->domain);
    return ATTN_OK;
}

static attn_status check_all(walk *w, size_t count, attn_arena *arena, attn_error *err)
{
    w->names = attn_arena_get(arena, count, sizeof *w->names, err);
    w->number = attn_arena_get(arena, count, sizeof *w->number, err);
    w->made = attn_arena_get(arena, count + 1, sizeof *w->made, err);
    w->stack = attn_arena_get(arena, count, sizeof *w->stack, err);
    if (!w->names || !w->number || !w->made || !w->stack) return ATTN_NO_MEMORY;
    w->stage = NOTE;
    ATTN_TRY(walk_model(w));
    number_names(w, count);
    w->stage = CHECK;
    return walk_model(w);
}

attn_status attn_onnx_check_order(attn_onnx_reader *r)
{
    attn_arena scratch;
    walk w = {.r = r, .stage = COUNT};
    ATTN_TRY(check_functions(r));
    ATTN_TRY(walk_model(&w));
    if (w.at >= UINT32_MAX / 2)
        return attn_wire_fail(&r->wire, ATTN_LIMIT, "%zu names of values", w.at);
    attn_arena_init(&scratch, r->arena->memory);
    attn_status status = check_all(&w, w.at, &scratch, r->wire.err);
    attn_arena_free(&scratch);
    return status;
}
