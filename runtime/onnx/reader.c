/* ModelProto and what is in it. The numbers of the fields: onnx.proto,
 * https://github.com/onnx/onnx/blob/main/onnx/onnx.proto */
#include "runtime/onnx/reader.h"

#include "runtime/json.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DEPTH = 64 };

/* ---- what all messages use ------------------------------------------------------------------ */

static attn_status read_within(attn_onnx_reader *r, const char *field, size_t index,
                               attn_wire_span message, attn_onnx_read *read, void *to)
{
    attn_wire_place place = {r->wire.place, field, index, NULL};
    r->wire.place = &place;
    attn_status status = ATTN_OK;
    if (++r->depth > MAX_DEPTH)
        status = attn_wire_fail(&r->wire, ATTN_LIMIT, "nested deeper than %d", MAX_DEPTH);
    else
        status = read(r, message, to);
    r->depth--;
    r->wire.place = (attn_wire_place *)place.up;
    return status;
}

attn_status attn_onnx_read_all(attn_onnx_reader *r, const attn_wire_field *field,
                               const attn_wire_rule *rule, attn_onnx_read *read, size_t size,
                               void *array, size_t *count)
{
    attn_wire_span rest = field->rest;
    if (count) *count = field->count;
    if (!field->count) return ATTN_OK;
    char *list = attn_arena_get(r->arena, field->count, size, r->wire.err);
    if (!list) return ATTN_NO_MEMORY;
    memcpy(array, &list, sizeof list);
    for (size_t i = 0; i < field->count; i++)
        ATTN_TRY(read_within(r, rule->name, i, attn_wire_next(&rest, rule), read, list + i * size));
    return ATTN_OK;
}

attn_status attn_onnx_read_one(attn_onnx_reader *r, const attn_wire_field *field,
                               const attn_wire_rule *rule, attn_onnx_read *read, void *to)
{
    return read_within(r, rule->name, SIZE_MAX, field->bytes, read, to);
}

attn_status attn_onnx_read_text(attn_onnx_reader *r, attn_wire_span bytes, const char *what,
                                const char **out)
{
    const char *text = (const char *)bytes.at;
    size_t length = (size_t)(bytes.end - bytes.at);
    *out = "";
    if (length == 0) return ATTN_OK;
    const char *bad = attn_json_bad_utf8(text, length);
    if (bad)
        return attn_wire_fail(&r->wire, ATTN_BAD_FILE, "byte %zu%s%s, 0x%02x, is no UTF-8 text",
                              (size_t)(bad - text), *what ? " of the " : "", what,
                              (unsigned)(unsigned char)*bad);
    *out = attn_arena_text(r->arena, text, length, r->wire.err);
    return *out ? ATTN_OK : ATTN_NO_MEMORY;
}

attn_status attn_onnx_read_word(attn_onnx_reader *r, attn_wire_span message, void *to)
{
    return attn_onnx_read_text(r, message, "", to);
}

attn_status attn_onnx_read_string(attn_onnx_reader *r, attn_wire_span message, void *to)
{
    attn_onnx_text *t = to;
    t->length = (size_t)(message.end - message.at);
    return attn_onnx_read_text(r, message, "", &t->text);
}

/* The standard domain has two names. */
static attn_status read_domain(attn_onnx_reader *r, attn_wire_span bytes, const char **out)
{
    ATTN_TRY(attn_onnx_read_text(r, bytes, "domain", out));
    if (strcmp(*out, "ai.onnx") == 0) *out = "";
    return ATTN_OK;
}

/* A text that must not be empty; it names the place. */
attn_status attn_onnx_read_name(attn_onnx_reader *r, attn_wire_span bytes, const char *what,
                                const char **out)
{
    ATTN_TRY(attn_onnx_read_text(r, bytes, what, out));
    r->wire.place->label = *out;
    if (!**out) return attn_wire_fail(&r->wire, ATTN_BAD_FILE, "has no %s", what);
    return ATTN_OK;
}

/* ---- nodes and graphs ----------------------------------------------------------------------- */

enum { N_INPUT, N_OUTPUT, N_NAME, N_OP, N_ATTR, N_DOMAIN, N_OVERLOAD, N_PROPERTY, N_RULES };

static const attn_wire_rule node_rules[N_RULES] = {
    [N_INPUT] = {1, ATTN_WIRE_BYTES, ATTN_WIRE_MANY, "input"},
    [N_OUTPUT] = {2, ATTN_WIRE_BYTES, ATTN_WIRE_MANY, "output"},
    [N_NAME] = {3, ATTN_WIRE_BYTES, ATTN_WIRE_ONCE, "name"},
    [N_OP] = {4, ATTN_WIRE_BYTES, ATTN_WIRE_ONCE, "op_type"},
    [N_ATTR] = {5, ATTN_WIRE_BYTES, ATTN_WIRE_FILLED, "attribute"},
    [N_DOMAIN] = {7, ATTN_WIRE_BYTES, ATTN_WIRE_ONCE, "domain"},
    [N_OVERLOAD] = {8, ATTN_WIRE_BYTES, ATTN_WIRE_ONCE, "overload"},
    [N_PROPERTY] = {9, ATTN_WIRE_BYTES, ATTN_WIRE_MANY, "metadata_props"},
};

static attn_status read_words(attn_onnx_reader *r, const attn_wire_field *f,
                              const attn_wire_rule *rule, const char ***out, size_t *count)
{
    return attn_onnx_read_all(r, f, rule, attn_onnx_read_word, sizeof **out, out, count);
}

static attn_status read_property(attn_onnx_reader *r, attn_wire_span message, void *to)
{
    static const attn_wire_rule rules[] = {{1, ATTN_WIRE_BYTES, ATTN_WIRE_ONCE, "key"},
                                           {2, ATTN_WIRE_BYTES, ATTN_WIRE_ONCE, "value"}};
    attn_wire_field f[2];
    struct attn_onnx_property *p = to;
    ATTN_TRY(attn_wire_scan(&r->wire, message, rules, 2, f));
    ATTN_TRY(attn_onnx_read_text(r, f[0].bytes, "key", &p->key));
    return attn_onnx_read_text(r, f[1].bytes, "value", &p->value);
}

/* PyTorch's exporter says which modules a node is of, the outermost first and its own operation
 * last: "['', 'vit', 'vit.layers.0', 'linear']". The last module, "" if it is not so. */
static attn_status read_scope(attn_onnx_reader *r, const attn_wire_field *f, const char **out)
{
    struct attn_onnx_property *list = NULL;
    size_t count = 0;
    *out = "";
    ATTN_TRY(attn_onnx_read_all(r, f, &node_rules[N_PROPERTY], read_property, sizeof *list, &list,
                                &count));
    for (size_t i = 0; i < count; i++) {
        if (strcmp(list[i].key, "pkg.torch.onnx.name_scopes") != 0) continue;
        const char *end = strrchr(list[i].value, ','), *begin = end;
        if (!end || end - list[i].value < 2 || end[-1] != '\'') return ATTN_OK;
        for (begin = end - 1; begin > list[i].value && begin[-1] != '\'';) begin--;
        *out = attn_arena_text(r->arena, begin, (size_t)(end - 1 - begin), r->wire.err);
        return *out ? ATTN_OK : ATTN_NO_MEMORY;
    }
    return ATTN_OK;
}

static attn_status read_node(attn_onnx_reader *r, attn_wire_span message, void *to)
{
    attn_onnx_node *n = to;
    attn_wire_field f[N_RULES];
    ATTN_TRY(attn_wire_scan(&r->wire, message, node_rules, N_RULES, f));
    ATTN_TRY(attn_onnx_read_name(r, f[N_OP].bytes, "op_type", &n->op));
    ATTN_TRY(attn_onnx_read_text(r, f[N_NAME].bytes, "name", &n->name));
    ATTN_TRY(attn_onnx_read_text(r, f[N_OVERLOAD].bytes, "overload", &n->overload));
    ATTN_TRY(read_domain(r, f[N_DOMAIN].bytes, &n->domain));
    ATTN_TRY(read_scope(r, &f[N_PROPERTY], &n->scope));
    ATTN_TRY(read_words(r, &f[N_INPUT], &node_rules[N_INPUT], &n->in, &n->inputs));
    ATTN_TRY(read_words(r, &f[N_OUTPUT], &node_rules[N_OUTPUT], &n->out, &n->outputs));
    return attn_onnx_read_attrs(r, &f[N_ATTR], &node_rules[N_ATTR], &n->attr, &n->attrs);
}

static attn_status read_initializer(attn_onnx_reader *r, attn_wire_span message, void *to)
{
    attn_onnx_tensor *t = to;
    ATTN_TRY(attn_onnx_read_tensor(r, message, t));
    return *t->name ? ATTN_OK : attn_wire_fail(&r->wire, ATTN_BAD_FILE, "has no name");
}

enum { G_NODE, G_NAME, G_TENSOR, G_INPUT, G_OUTPUT, G_INFO, G_SPARSE, G_RULES };

static const attn_wire_rule graph_rules[G_RULES] = {
    [G_NODE] = {1, ATTN_WIRE_BYTES, ATTN_WIRE_FILLED, "node"},
    [G_NAME] = {2, ATTN_WIRE_BYTES, ATTN_WIRE_ONCE, "name"},
    [G_TENSOR] = {5, ATTN_WIRE_BYTES, ATTN_WIRE_FILLED, "initializer"},
    [G_INPUT] = {11, ATTN_WIRE_BYTES, ATTN_WIRE_FILLED, "input"},
    [G_OUTPUT] = {12, ATTN_WIRE_BYTES, ATTN_WIRE_FILLED, "output"},
    [G_INFO] = {13, ATTN_WIRE_BYTES, ATTN_WIRE_FILLED, "value_info"},
    [G_SPARSE] = {15, ATTN_WIRE_BYTES, ATTN_WIRE_MANY, "sparse_initializer"},
};

attn_status attn_onnx_read_graph(attn_onnx_reader *r, attn_wire_span message, void *to)
{
    attn_onnx_graph *g = to;
    attn_wire_field f[G_RULES];
    const attn_wire_rule *rules = graph_rules;
    ATTN_TRY(attn_wire_scan(&r->wire, message, rules, G_RULES, f));
    if (f[G_SPARSE].count)
        return attn_wire_fail(&r->wire, ATTN_BAD_FILE, "sparse initializers are not read");
    ATTN_TRY(attn_onnx_read_text(r, f[G_NAME].bytes, "name", &g->name));
    ATTN_TRY(attn_onnx_read_all(r, &f[G_TENSOR], &rules[G_TENSOR], read_initializer,
                                sizeof *g->tensor, &g->tensor, &g->tensors));
    ATTN_TRY(attn_onnx_read_all(r, &f[G_INPUT], &rules[G_INPUT], attn_onnx_read_value,
                                sizeof *g->input, &g->input, &g->inputs));
    ATTN_TRY(attn_onnx_read_all(r, &f[G_OUTPUT], &rules[G_OUTPUT], attn_onnx_read_value,
                                sizeof *g->output, &g->output, &g->outputs));
    ATTN_TRY(attn_onnx_read_all(r, &f[G_INFO], &rules[G_INFO], attn_onnx_read_value,
                                sizeof *g->info, &g->info, &g->infos));
    return attn_onnx_read_all(r, &f[G_NODE], &rules[G_NODE], read_node, sizeof *g->node, &g->node,
                              &g->nodes);
}

/* ---- functions ------------------------------------------------------------------------------ */

static attn_status read_opset(attn_onnx_reader *r, attn_wire_span message, void *to)
{
    static const attn_wire_rule rules[] = {{1, ATTN_WIRE_BYTES, ATTN_WIRE_ONCE, "domain"},
                                           {2, ATTN_WIRE_VARINT, ATTN_WIRE_ONCE, "version"}};
    attn_wire_field f[2];
    attn_onnx_opset *opset = to;
    ATTN_TRY(attn_wire_scan(&r->wire, message, rules, 2, f));
    ATTN_TRY(read_domain(r, f[0].bytes, &opset->domain));
    r->wire.place->label = opset->domain;
    opset->version = (int64_t)f[1].value;
    if (*opset->domain ||
        (opset->version >= ATTN_ONNX_LEAST_OPSET && opset->version <= ATTN_ONNX_MOST_OPSET))
        return ATTN_OK;
    return attn_wire_fail(&r->wire, ATTN_BAD_FILE,
                          "version %" PRId64 " of the standard domain, only %d to %d are read",
                          opset->version, ATTN_ONNX_LEAST_OPSET, ATTN_ONNX_MOST_OPSET);
}

static attn_status read_opsets(attn_onnx_reader *r, const attn_wire_field *f,
                               const attn_wire_rule *rule, attn_onnx_opset **opset, size_t *count)
{
    if (f->count > ATTN_ONNX_MAX_ATTRS)
        return attn_wire_fail(&r->wire, ATTN_LIMIT, "%zu domains, at most %d are read", f->count,
                              ATTN_ONNX_MAX_ATTRS);
    ATTN_TRY(attn_onnx_read_all(r, f, rule, read_opset, sizeof **opset, opset, count));
    for (size_t i = 1; i < *count; i++)
        for (size_t j = 0; j < i; j++)
            if (strcmp((*opset)[i].domain, (*opset)[j].domain) == 0)
                return attn_wire_fail(&r->wire, ATTN_BAD_FILE,
                                      "two versions of the domain \"%.100s\"", (*opset)[i].domain);
    return ATTN_OK;
}

enum {
    F_NAME,
    F_INPUT,
    F_OUTPUT,
    F_ATTR,
    F_NODE,
    F_OPSET,
    F_DOMAIN,
    F_DEFAULT,
    F_OVERLOAD,
    F_RULES
};

static const attn_wire_rule function_rules[F_RULES] = {
    [F_NAME] = {1, ATTN_WIRE_BYTES, ATTN_WIRE_ONCE, "name"},
    [F_INPUT] = {4, ATTN_WIRE_BYTES, ATTN_WIRE_FILLED, "input"},
    [F_OUTPUT] = {5, ATTN_WIRE_BYTES, ATTN_WIRE_FILLED, "output"},
    [F_ATTR] = {6, ATTN_WIRE_BYTES, ATTN_WIRE_FILLED, "attribute"},
    [F_NODE] = {7, ATTN_WIRE_BYTES, ATTN_WIRE_FILLED, "node"},
    [F_OPSET] = {9, ATTN_WIRE_BYTES, ATTN_WIRE_MANY, "opset_import"},
    [F_DOMAIN] = {10, ATTN_WIRE_BYTES, ATTN_WIRE_ONCE, "domain"},
    [F_DEFAULT] = {11, ATTN_WIRE_BYTES, ATTN_WIRE_FILLED, "attribute_proto"},
    [F_OVERLOAD] = {13, ATTN_WIRE_BYTES, ATTN_WIRE_ONCE, "overload"},
};

static attn_status read_function(attn_onnx_reader *r, attn_wire_span message, void *to)
{
    attn_onnx_function *fn = to;
    attn_wire_field f[F_RULES];
    const attn_wire_rule *rules = function_rules;
    ATTN_TRY(attn_wire_scan(&r->wire, message, rules, F_RULES, f));
    ATTN_TRY(attn_onnx_read_name(r, f[F_NAME].bytes, "name", &fn->name));
    ATTN_TRY(read_domain(r, f[F_DOMAIN].bytes, &fn->domain));
    ATTN_TRY(attn_onnx_read_text(r, f[F_OVERLOAD].bytes, "overload", &fn->overload));
    if (f[F_ATTR].count > ATTN_ONNX_MAX_ATTRS)
        return attn_wire_fail(&r->wire, ATTN_LIMIT, "%zu attributes, at most %d are read",
                              f[F_ATTR].count, ATTN_ONNX_MAX_ATTRS);
    ATTN_TRY(read_words(r, &f[F_INPUT], &rules[F_INPUT], &fn->in, &fn->inputs));
    ATTN_TRY(read_words(r, &f[F_OUTPUT], &rules[F_OUTPUT], &fn->out, &fn->outputs));
    ATTN_TRY(read_words(r, &f[F_ATTR], &rules[F_ATTR], &fn->attr, &fn->attrs));
    ATTN_TRY(
        attn_onnx_read_attrs(r, &f[F_DEFAULT], &rules[F_DEFAULT], &fn->fallback, &fn->defaults));
    ATTN_TRY(read_opsets(r, &f[F_OPSET], &rules[F_OPSET], &fn->opset, &fn->opsets));
    return attn_onnx_read_all(r, &f[F_NODE], &rules[F_NODE], read_node, sizeof *fn->node, &fn->node,
                              &fn->nodes);
}

/* ---- the model ------------------------------------------------------------------------------ */

enum { M_IR, M_PRODUCER, M_GRAPH, M_OPSET, M_PROPERTY, M_FUNCTION, M_RULES };

static const attn_wire_rule model_rules[M_RULES] = {
    [M_IR] = {1, ATTN_WIRE_VARINT, ATTN_WIRE_ONCE, "ir_version"},
    [M_PRODUCER] = {2, ATTN_WIRE_BYTES, ATTN_WIRE_ONCE, "producer_name"},
    [M_GRAPH] = {7, ATTN_WIRE_BYTES, ATTN_WIRE_ONCE, "graph"},
    [M_OPSET] = {8, ATTN_WIRE_BYTES, ATTN_WIRE_MANY, "opset_import"},
    [M_PROPERTY] = {14, ATTN_WIRE_BYTES, ATTN_WIRE_FILLED, "metadata_props"},
    [M_FUNCTION] = {25, ATTN_WIRE_BYTES, ATTN_WIRE_FILLED, "functions"},
};

static attn_status read_model(attn_onnx_reader *r, attn_wire_span message)
{
    attn_onnx_model *m = r->model;
    attn_wire_field f[M_RULES];
    const attn_wire_rule *rules = model_rules;
    ATTN_TRY(attn_wire_scan(&r->wire, message, rules, M_RULES, f));
    m->ir_version = (int64_t)f[M_IR].value;
    if (m->ir_version < 3)
        return attn_wire_fail(&r->wire, ATTN_BAD_FILE, "ir_version %" PRId64 ", expected 3 or more",
                              m->ir_version);
    if (!f[M_GRAPH].count) return attn_wire_fail(&r->wire, ATTN_BAD_FILE, "has no graph");
    ATTN_TRY(attn_onnx_read_text(r, f[M_PRODUCER].bytes, "producer_name", &m->producer));
    ATTN_TRY(read_opsets(r, &f[M_OPSET], &rules[M_OPSET], &m->opset, &m->opsets));
    ATTN_TRY(attn_onnx_read_all(r, &f[M_PROPERTY], &rules[M_PROPERTY], read_property,
                                sizeof *m->property, &m->property, &m->properties));
    ATTN_TRY(attn_onnx_read_all(r, &f[M_FUNCTION], &rules[M_FUNCTION], read_function,
                                sizeof *m->function, &m->function, &m->functions));
    ATTN_TRY(attn_onnx_read_one(r, &f[M_GRAPH], &rules[M_GRAPH], attn_onnx_read_graph, &m->graph));
    if (!m->graph.outputs) return attn_wire_fail(&r->wire, ATTN_BAD_FILE, "graph has no outputs");
    return attn_onnx_check_order(r);
}

static attn_status parse(attn_onnx_model *model, const char *file, const char *folder,
                         attn_arena *arena, attn_error *err)
{
    const unsigned char *data = model->mapping.data;
    attn_onnx_reader r = {
        .wire = {.file = file, .data = data, .err = err},
        .model = model,
        .arena = arena,
        .folder = folder,
    };
    return read_model(&r, (attn_wire_span){data, data + model->mapping.size});
}

attn_status attn_onnx_parse(attn_onnx_model *model, const char *file, const void *data, size_t size,
                            attn_arena *arena, attn_error *err)
{
    *model = (attn_onnx_model){.file = file, .mapping = {.data = data, .size = size}};
    return parse(model, file, NULL, arena, err);
}

attn_status attn_onnx_open(attn_onnx_model *model, const char *path, attn_arena *arena,
                           attn_error *err)
{
    *model = (attn_onnx_model){0};
    const char *slash = strrchr(path, '/');
    size_t length = slash ? (size_t)(slash - path) + 1 : 0;
    char *folder = attn_arena_text(arena, length ? path : "./", length ? length : 2, err);
    model->file = attn_arena_text(arena, path, strlen(path), err);
    if (!folder || !model->file) return ATTN_NO_MEMORY;
    ATTN_TRY(attn_file_map(&model->mapping, path, err));
    attn_status status = parse(model, model->file, folder, arena, err);
    if (status) attn_onnx_close(model);
    return status;
}

void attn_onnx_close(attn_onnx_model *model)
{
    for (size_t i = 0; i < model->externals; i++) attn_file_unmap(&model->external[i]);
    attn_file_unmap(&model->mapping);
    *model = (attn_onnx_model){0};
}

bool attn_is_onnx(const char *path)
{
    size_t length = strlen(path);
    return length > 5 && strcmp(path + length - 5, ".onnx") == 0;
}
