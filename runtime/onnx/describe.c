/* The description around the layers: inputs, symbols, outputs. */
#include "runtime/onnx/import.h"
#include "runtime/onnx/lower_state.h"

#include <stdio.h>
#include <string.h>

/* "model.onnx" of a path, without its end. */
static void write_name(attn_lower *l, cJSON *root)
{
    const char *slash = strrchr(l->ir->file, '/'), *base = slash ? slash + 1 : l->ir->file;
    const char *dot = strrchr(base, '.');
    size_t length = dot && dot != base ? (size_t)(dot - base) : strlen(base);
    char text[120];
    snprintf(text, sizeof text, "%.*s", (int)(length < 100 ? length : 100), base);
    attn_lower_put(l, root, "name", cJSON_CreateString(*text ? text : "model"));
}

static cJSON *amount_json(const attn_lower *l, const attn_ir_amount *dim)
{
    return dim->factor ? cJSON_CreateString(l->ir->symbol[dim->symbol[0]].name)
                       : cJSON_CreateNumber((double)dim->base);
}

static void write_inputs(attn_lower *l, cJSON *root)
{
    const attn_ir *ir = l->ir;
    if (ir->symbols) {
        cJSON *symbols = cJSON_AddObjectToObject(root, "symbols");
        for (size_t i = 0; i < ir->symbols; i++)
            attn_lower_put(l, symbols, ir->symbol[i].name, cJSON_CreateObject());
    }
    cJSON *inputs = cJSON_AddObjectToObject(root, "inputs");
    for (size_t i = 0; i < ir->main->inputs; i++) {
        const attn_ir_value *value = ir->main->input[i];
        cJSON *input = cJSON_CreateObject(), *shape = cJSON_CreateArray();
        for (int d = 0; d < value->rank; d++)
            attn_lower_put(l, shape, NULL, amount_json(l, &value->dim[d]));
        attn_lower_put(l, input, "shape", shape);
        if (!attn_onnx_is_float(value->type))
            attn_lower_put(l, input, "dtype", cJSON_CreateString("i32"));
        attn_lower_put(l, inputs, attn_lower_label(l, value), input);
    }
}

static void write_outputs(attn_lower *l, cJSON *root)
{
    const attn_ir_body *main = l->ir->main;
    cJSON *outputs = cJSON_CreateObject();
    for (size_t i = 0; i < main->results; i++) {
        const char *label = attn_lower_value(l, main->result[i]);
        cJSON *output = cJSON_CreateObject();
        char name[100];
        snprintf(name, sizeof name, "%.90s", main->result_name[i]);
        for (char *at = name; *at; at++)
            if (*at == '{' || *at == '}') *at = '_';
        for (int n = 2; cJSON_GetObjectItemCaseSensitive(outputs, name) && n < 100; n++)
            snprintf(name, sizeof name, "%.90s_%d", main->result_name[i], n);
        if (strcmp(name, label) != 0) attn_lower_put(l, output, "value", cJSON_CreateString(label));
        attn_lower_put(l, outputs, name, output);
    }
    attn_lower_put(l, root, "outputs", outputs);
}

static attn_status fill(attn_lower *l, cJSON *root)
{
    attn_lower_put(l, root, "format", cJSON_CreateString("attn/1"));
    write_name(l, root);
    write_inputs(l, root);
    l->graph = cJSON_AddArrayToObject(root, "graph");
    ATTN_TRY(attn_lower_body(l, l->ir->main));
    l->node = NULL;
    write_outputs(l, root);
    if (l->failed) return attn_ir_no_memory(l->ir);
    if (l->status && l->err) *l->err = l->problem;
    return l->status;
}

attn_status attn_lower_graph(attn_ir *ir, attn_arena *keep, attn_lowered *out, attn_error *err)
{
    attn_lower l = {.ir = ir,
                    .keep = keep,
                    .err = err,
                    .used = {.arena = ir->arena},
                    .labels = {.arena = ir->arena},
                    .tensors = {.arena = ir->arena},
                    .constants = {.arena = ir->arena},
                    .next_value = 2,
                    .next_tensor = 2};
    *out = (attn_lowered){.root = cJSON_CreateObject()};
    attn_status status = fill(&l, out->root);
    cJSON_Delete(l.open);
    l.open = NULL;
    if (!status) status = attn_mark_known(out->root, ir->file, ir->arena->memory, err);
    if (status) {
        cJSON_Delete(out->root);
        out->root = NULL;
        return status;
    }
    ir->labels = attn_arena_get(ir->arena, 1, sizeof *ir->labels, err);
    if (!ir->labels) {
        cJSON_Delete(out->root);
        out->root = NULL;
        return ATTN_NO_MEMORY;
    }
    *ir->labels = l.labels;
    out->weights = l.weights;
    out->weight = l.weight;
    return ATTN_OK;
}

const char *attn_lowered_name(const attn_ir *ir, const attn_ir_value *value)
{
    return ir->labels ? attn_names_get(ir->labels, value->name) : NULL;
}
