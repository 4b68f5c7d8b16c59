/* Constants: as layers, or as tensors of the weight list. */
#include "runtime/onnx/lower_state.h"

#include <stdio.h>
#include <string.h>

enum {
    SMALL_INTEGERS = 64, /* elements that a "constant" writes out; more are a tensor */
    SMALL_FLOATS = 16,
};

/* For functions without a status: the first problem is kept until the node is done. */
static void note(attn_lower *l, const char *name, const char *what)
{
    if (l->status) return;
    l->status = attn_fail(&l->problem, ATTN_BAD_MODEL, "%s: \"%.100s\" is %s",
                          l->node ? l->node->place : l->ir->file, name, what);
}

/* ---- constants ----------------------------------------------------------------------------- */

static void append_closed(attn_lower *l, cJSON *layer)
{
    cJSON *open = l->open;
    l->open = layer;
    attn_lower_close(l);
    l->open = open;
}

/* The name of a constant's value: of one that says the same, if there is one already, so that a
 * number stands once; otherwise `label`, or a fresh one. */
static const char *place_constant(attn_lower *l, cJSON *layer, const char *label)
{
    char *text = cJSON_PrintUnformatted(layer);
    const char *known = text ? attn_names_get(&l->constants, text) : NULL;
    if (known) {
        cJSON_Delete(layer);
        cJSON_free(text);
        return known;
    }
    const char *key = text ? attn_arena_text(l->ir->arena, text, strlen(text), l->err) : NULL;
    cJSON_free(text);
    if (!label) label = attn_lower_temp(l);
    if (!key || !attn_names_set(&l->constants, key, (void *)label, l->err)) l->failed = true;
    attn_lower_out_name(l, layer, label);
    append_closed(l, layer);
    return label;
}

static cJSON *constant_layer(attn_lower *l, const attn_onnx_tensor *t)
{
    bool is_float = attn_onnx_is_float(t->type);
    cJSON *layer = attn_lower_begin(l, "constant");
    cJSON *list = cJSON_CreateArray(), *shape = cJSON_CreateArray();
    for (size_t i = 0; i < t->count; i++)
        attn_lower_put(l, list, NULL,
                       is_float ? attn_lower_number_json((float)attn_tensor_float(t, i))
                                : cJSON_CreateNumber(attn_lower_clamp(attn_tensor_int(t, i))));
    for (int d = 0; d < t->rank; d++)
        attn_lower_put(l, shape, NULL, cJSON_CreateNumber((double)t->dim[d]));
    if (t->rank == 0 && t->count == 1) {
        attn_lower_put(l, layer, "value", cJSON_DetachItemFromArray(list, 0));
        cJSON_Delete(list);
        cJSON_Delete(shape);
    } else {
        attn_lower_put(l, layer, "value", list);
        attn_lower_put(l, layer, "shape", shape);
    }
    attn_lower_check(l, cJSON_AddStringToObject(layer, "dtype", is_float ? "f32" : "i32"));
    return layer;
}

/* The name is free in the list, or the tensor's already. */
static const char *tensor_name(attn_lower *l, const attn_ir_value *value, const char *base,
                               const char *suffix)
{
    const char *full = attn_arena_printf(l->ir->arena, l->err, "%s%s", base, suffix);
    for (size_t i = 2; full; i++) {
        const char *scales = value->constant->scale ? attn_lower_scale_name(l, full) : NULL;
        const attn_onnx_tensor *other = attn_names_get(&l->tensors, full);
        if (other == value->constant) return full;
        if (!other && !(scales && attn_names_get(&l->tensors, scales))) {
            if (attn_lower_add_tensor(l, full, value->constant)) return full;
            break;
        }
        full = attn_arena_printf(l->ir->arena, l->err, "%s_%zu%s", base,
                                 i < 8 ? i : l->next_tensor++, suffix);
    }
    l->failed = true;
    return "";
}

static void write_parameter(attn_lower *l, const char *label, const attn_ir_value *value)
{
    char text[ATTN_LOWER_LABEL];
    bool is_float = attn_onnx_is_float(value->constant->type) || value->constant->scale;
    cJSON *layer = attn_lower_begin(l, "parameter");
    const char *name = tensor_name(l, value, attn_lower_clean(value->name, text, sizeof text), "");
    attn_lower_out_name(l, layer, label);
    attn_lower_check(l, cJSON_AddStringToObject(layer, "weight", name));
    if (!is_float) attn_lower_check(l, cJSON_AddStringToObject(layer, "dtype", "i32"));
    append_closed(l, layer);
}

/* The label of the value, or of the constant before it that says the same. */
static const char *small_constant(attn_lower *l, const attn_ir_value *value)
{
    cJSON *layer = constant_layer(l, value->constant);
    char *text = cJSON_PrintUnformatted(layer);
    const char *known = text ? attn_names_get(&l->constants, text) : NULL;
    cJSON_free(text);
    if (!known) return place_constant(l, layer, attn_lower_label(l, value));
    cJSON_Delete(layer);
    if (!attn_names_set(&l->labels, value->name, (void *)known, l->err)) l->failed = true;
    return known;
}

const char *attn_lower_value(attn_lower *l, attn_ir_value *value)
{
    const attn_onnx_tensor *t = value->constant;
    const char *label = attn_names_get(&l->labels, value->name);
    if (label) return label;
    if (!t || l->failed) return attn_lower_label(l, value);
    bool is_float = attn_onnx_is_float(t->type);
    bool small = t->count && !t->scale && t->count <= (is_float ? SMALL_FLOATS : SMALL_INTEGERS);
    if (small && (is_float || attn_onnx_is_integer(t->type))) return small_constant(l, value);
    label = attn_lower_label(l, value);
    if (!is_float && !attn_onnx_is_integer(t->type)) {
        char text[80];
        snprintf(text, sizeof text, "a tensor of %s, which no layer takes",
                 attn_onnx_type_name(t->type));
        note(l, value->name, text);
    } else if (t->count == 0) {
        note(l, value->name, "a tensor without elements, which no layer takes");
    } else {
        write_parameter(l, label, value);
    }
    return label;
}

const char *attn_lower_scalar(attn_lower *l, double number, bool integer)
{
    cJSON *layer = attn_lower_begin(l, "constant");
    attn_lower_put(l, layer, "value", attn_lower_number_json(number));
    attn_lower_check(l, cJSON_AddStringToObject(layer, "dtype", integer ? "i32" : "f32"));
    return place_constant(l, layer, NULL);
}

/* ---- weights ------------------------------------------------------------------------------- */

attn_status attn_lower_weight(attn_lower *l, const attn_ir_node *node, cJSON *layer,
                              const char *key, attn_ir_value *value, const char *suffix)
{
    char text[ATTN_LOWER_LABEL];
    size_t tail = strlen(suffix);
    if (!value || !value->constant)
        return attn_lower_fail(l, node, "\"%s\" is computed%s%.100s%s; a constant is needed", key,
                               value ? " (" : "", value ? value->name : "", value ? ")" : "");
    if (!value->constant->count)
        return attn_lower_fail(l, node, "\"%s\" (%.100s) has no elements", key, value->name);
    attn_lower_clean(value->name, text, sizeof text);
    size_t length = strlen(text);
    if (length > tail && strcmp(text + length - tail, suffix) == 0) text[length - tail] = 0;
    const char *full = tensor_name(l, value, text, suffix);
    length = strlen(full) - (l->failed ? 0 : tail);
    const char *name = attn_arena_text(l->ir->arena, full, length, l->err);
    attn_lower_check(l, name);
    attn_lower_check(l, cJSON_AddStringToObject(layer, key, name ? name : ""));
    return ATTN_OK;
}

attn_status attn_lower_bias(attn_lower *l, const attn_ir_node *node, cJSON *layer,
                            attn_ir_value *value)
{
    const cJSON *weight = attn_json_get(layer, "weight");
    char text[ATTN_LOWER_LABEL];
    if (!value) {
        attn_lower_flag(l, layer, "bias", false);
        return ATTN_OK;
    }
    ATTN_TRY(attn_lower_weight(l, node, layer, "bias", value, ""));
    const cJSON *bias = attn_json_get(layer, "bias");
    if (!cJSON_IsString(weight) || !cJSON_IsString(bias)) return ATTN_OK;
    snprintf(text, sizeof text, "%s.bias", weight->valuestring);
    if (strcmp(text, bias->valuestring) == 0)
        cJSON_DeleteItemFromObjectCaseSensitive(layer, "bias");
    return ATTN_OK;
}
