/* Layers, values and keys: what lowerings are written with. */
#include "runtime/onnx/lower.h"

#include "runtime/onnx/lower_state.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const attn_lowering *attn_lower_entry(const attn_lower *l)
{
    return l->entry;
}

attn_status attn_lower_fail(attn_lower *l, const attn_ir_node *node, const char *format, ...)
{
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return attn_fail(l->err, ATTN_BAD_MODEL, "%s: %s", node ? node->place : l->ir->file, text);
}

void attn_lower_check(attn_lower *l, const void *made)
{
    if (!made) l->failed = true;
}

/* ---- names --------------------------------------------------------------------------------- */

/* Braces would be expressions. */
const char *attn_lower_clean(const char *name, char *text, size_t size)
{
    size_t length = strlen(name);
    if (length >= size) {
        length = size - 1;
        while (length && ((unsigned char)name[length] & 0xc0) == 0x80) length--;
    }
    memcpy(text, name, length);
    text[length] = 0;
    for (char *at = text; *at; at++)
        if (*at == '{' || *at == '}' || (unsigned char)*at < ' ') *at = '_';
    return text;
}

const char *attn_lower_label(attn_lower *l, const attn_ir_value *value)
{
    char text[ATTN_LOWER_LABEL];
    const char *label = attn_names_get(&l->labels, value->name);
    if (label) return label;
    label = attn_names_free(&l->used, attn_lower_clean(value->name, text, sizeof text),
                            &l->next_value, l->err);
    if (!label || !attn_names_set(&l->used, label, (void *)value, l->err) ||
        !attn_names_set(&l->labels, value->name, (void *)label, l->err)) {
        l->failed = true;
        return "";
    }
    return label;
}

const char *attn_lower_temp(attn_lower *l)
{
    char base[32];
    snprintf(base, sizeof base, "t%zu", ++l->temps);
    const char *name = attn_names_free(&l->used, base, &l->next_value, l->err);
    if (name && attn_names_set(&l->used, name, l, l->err)) return name;
    l->failed = true;
    return "";
}

/* ---- layers -------------------------------------------------------------------------------- */

/* One name instead of a list of one; no key instead of an empty list. */
static void shorten(attn_lower *l, cJSON *layer, const char *key)
{
    cJSON *list = cJSON_GetObjectItemCaseSensitive(layer, key);
    int count = list ? cJSON_GetArraySize(list) : -1;
    if (count == 0) cJSON_DeleteItemFromObjectCaseSensitive(layer, key);
    if (count != 1) return;
    cJSON *only = cJSON_DetachItemFromArray(list, 0);
    if (!only || !cJSON_ReplaceItemInObjectCaseSensitive(layer, key, only)) l->failed = true;
}

void attn_lower_close(attn_lower *l)
{
    cJSON *layer = l->open;
    l->open = NULL;
    if (!layer) return;
    shorten(l, layer, "in");
    shorten(l, layer, "out");
    if (cJSON_AddItemToArray(l->graph, layer)) return;
    cJSON_Delete(layer);
    l->failed = true;
}

/* A layer that stands before the one that is open, such as a constant. */
cJSON *attn_lower_begin(attn_lower *l, const char *name)
{
    cJSON *layer = cJSON_CreateObject();
    attn_lower_check(l, cJSON_AddStringToObject(layer, "layer", name));
    attn_lower_check(l, cJSON_AddArrayToObject(layer, "in"));
    attn_lower_check(l, cJSON_AddArrayToObject(layer, "out"));
    return layer;
}

cJSON *attn_lower_layer(attn_lower *l, const attn_ir_node *node, const char *layer)
{
    char text[ATTN_LOWER_LABEL];
    attn_lower_close(l);
    l->open = attn_lower_begin(l, layer);
    if (node && *node->name && node != l->named)
        attn_lower_check(l, cJSON_AddStringToObject(
                                l->open, "name", attn_lower_clean(node->name, text, sizeof text)));
    l->named = node;
    return l->open;
}

cJSON *attn_lower_plain(attn_lower *l, const attn_ir_node *node, const char *layer)
{
    cJSON *made = attn_lower_layer(l, node, layer);
    for (size_t i = 0; i < node->inputs; i++) attn_lower_in(l, made, node->in[i]);
    for (size_t i = 0; i < node->outputs; i++) attn_lower_out(l, made, node->out[i]);
    return made;
}

attn_status attn_lower_same(attn_lower *l, const attn_ir_node *node)
{
    attn_lower_plain(l, node, l->entry->layer);
    return ATTN_OK;
}

static void add_name(attn_lower *l, cJSON *layer, const char *key, const char *name)
{
    cJSON *list = cJSON_GetObjectItemCaseSensitive(layer, key), *text = cJSON_CreateString(name);
    if (list && text && cJSON_AddItemToArray(list, text)) return;
    cJSON_Delete(text);
    l->failed = true;
}

void attn_lower_in_name(attn_lower *l, cJSON *layer, const char *name)
{
    add_name(l, layer, "in", name);
}

void attn_lower_out_name(attn_lower *l, cJSON *layer, const char *name)
{
    add_name(l, layer, "out", name);
}

void attn_lower_in(attn_lower *l, cJSON *layer, attn_ir_value *value)
{
    if (value) add_name(l, layer, "in", attn_lower_value(l, value));
}

void attn_lower_out(attn_lower *l, cJSON *layer, attn_ir_value *value)
{
    add_name(l, layer, "out", value ? attn_lower_label(l, value) : attn_lower_temp(l));
}

/* ---- numbers -------------------------------------------------------------------------------- */

/* The shortest decimal that is the same f32, so that 0.1 is written as that. */
static double shortest(double number)
{
    char text[40];
    if ((double)(float)number != number) return number;
    for (int digits = 6; digits < 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, number);
        double other = strtod(text, NULL);
        if ((float)other == (float)number) return other;
    }
    return number;
}

cJSON *attn_lower_number_json(double number)
{
    if (isnan(number)) return cJSON_CreateString("nan");
    if (isinf(number)) return cJSON_CreateString(number < 0 ? "-inf" : "inf");
    return cJSON_CreateNumber(shortest(number));
}

double attn_lower_clamp(int64_t value)
{
    return value > INT32_MAX ? INT32_MAX : value < INT32_MIN ? INT32_MIN : (double)value;
}

void attn_lower_put(attn_lower *l, cJSON *object, const char *key, cJSON *item)
{
    bool done = item && (key ? cJSON_AddItemToObject(object, key, item)
                             : cJSON_AddItemToArray(object, item));
    if (done) return;
    cJSON_Delete(item);
    l->failed = true;
}

/* ---- shorthands ---------------------------------------------------------------------------- */

const char *attn_lower_unary(attn_lower *l, const attn_ir_node *node, const char *layer_name,
                             const char *in, cJSON **layer)
{
    return attn_lower_binary(l, node, layer_name, in, NULL, layer);
}

const char *attn_lower_binary(attn_lower *l, const attn_ir_node *node, const char *layer_name,
                              const char *a, const char *b, cJSON **layer)
{
    cJSON *made = attn_lower_layer(l, node, layer_name);
    const char *name = attn_lower_temp(l);
    attn_lower_in_name(l, made, a);
    if (b) attn_lower_in_name(l, made, b);
    attn_lower_out_name(l, made, name);
    if (layer) *layer = made;
    return name;
}

void attn_lower_result(attn_lower *l, const attn_ir_node *node, const char *name,
                       attn_ir_value *value)
{
    if (!value) return;
    cJSON *layer = attn_lower_layer(l, node, "identity");
    attn_lower_in_name(l, layer, name);
    attn_lower_out(l, layer, value);
}

/* ---- keys ---------------------------------------------------------------------------------- */

void attn_lower_number(attn_lower *l, cJSON *layer, const char *key, double number)
{
    attn_lower_put(l, layer, key, attn_lower_number_json(number));
}

void attn_lower_flag(attn_lower *l, cJSON *layer, const char *key, bool flag)
{
    attn_lower_put(l, layer, key, cJSON_CreateBool(flag));
}

void attn_lower_word(attn_lower *l, cJSON *layer, const char *key, const char *word)
{
    attn_lower_put(l, layer, key, cJSON_CreateString(word));
}

void attn_lower_int_list(attn_lower *l, cJSON *layer, const char *key, const int64_t *values,
                         size_t count)
{
    cJSON *list = cJSON_CreateArray();
    for (size_t i = 0; i < count; i++)
        attn_lower_put(l, list, NULL, cJSON_CreateNumber(attn_lower_clamp(values[i])));
    attn_lower_put(l, layer, key, list);
}

void attn_lower_ints(attn_lower *l, cJSON *layer, const char *key, attn_ir_value *value)
{
    char from[80];
    if (!value) return;
    const attn_onnx_tensor *t = value->constant;
    if (t && t->count <= 2 * ATTN_MAX_RANK) {
        int64_t list[2 * ATTN_MAX_RANK];
        for (size_t i = 0; i < t->count; i++) list[i] = attn_tensor_int(t, i);
        attn_lower_int_list(l, layer, key, list, t->count);
        return;
    }
    if (!t && !value->producer && !value->is_input && value->elements) { /* numbers and symbols */
        cJSON *list = layer ? cJSON_AddArrayToObject(layer, key) : NULL;
        if (!list) l->failed = true;
        for (size_t i = 0; list && i < value->elements; i++) {
            const attn_ir_amount *a = &value->element[i];
            cJSON *item = a->factor ? cJSON_CreateString(l->ir->symbol[a->symbol[0]].name)
                                    : cJSON_CreateNumber((double)a->base);
            if (!item || !cJSON_AddItemToArray(list, item)) l->failed = true;
        }
        return;
    }
    snprintf(from, sizeof from, "%s_from", key);
    attn_lower_word(l, layer, from, attn_lower_value(l, value));
}

void attn_lower_operand(attn_lower *l, cJSON *layer, const char *key, attn_ir_value *value)
{
    char from[80];
    double number;
    if (!value) return;
    if (attn_ir_number(value, &number)) {
        attn_lower_number(l, layer, key, number);
        return;
    }
    snprintf(from, sizeof from, "%s_from", key);
    attn_lower_word(l, layer, from, attn_lower_value(l, value));
}
