/* Lowering: each node of the importer's graph becomes layers of a description.
 *
 * A lowering is a function of one node. It appends layers, whose keys it sets, and says by
 * attn_lower_fail what it cannot do. It needs no shapes. Where memory is lacking the functions here
 * do nothing and remember it: a lowering need not look at what they return.
 *
 *     static attn_status lower_softmax(attn_lower *l, const attn_ir_node *node)
 *     {
 *         cJSON *layer = attn_lower_plain(l, node, "softmax");
 *         attn_lower_number(l, layer, "axis", (double)attn_ir_int(node, "axis", -1));
 *         return ATTN_OK;
 *     }
 *
 *     const attn_lowering attn_lowerings_example[] = {
 *         {"Softmax", "", lower_softmax, NULL},
 *         {"Relu", "", attn_lower_same, "relu"},
 *         {NULL, NULL, NULL, NULL},
 *     };
 *
 * A family's table is named in runtime/onnx/families.def. */
#ifndef ATTN_ONNX_LOWER_H
#define ATTN_ONNX_LOWER_H

#include "runtime/json.h"
#include "runtime/onnx/ir.h"

typedef struct attn_lower attn_lower;
typedef attn_status (*attn_lower_function)(attn_lower *l, const attn_ir_node *node);

typedef struct attn_lowering {
    const char *op, *domain; /* op NULL: the end of the table */
    attn_lower_function function;
    const char
        *layer; /* of attn_lower_same; otherwise as the function likes, by attn_lower_entry */
} attn_lowering;

/* The node's entry in its table. */
const attn_lowering *attn_lower_entry(const attn_lower *l);

/* ---- layers -------------------------------------------------------------------------------- */

/* Appends {"layer": layer}. The first layer of a node gets the node's name. It is closed, and its
 * place in the graph taken, when the next one is begun (also by the shorthands below): what it
 * reads is made before, but for constants, which take their place in front of it by themselves. */
cJSON *attn_lower_layer(attn_lower *l, const attn_ir_node *node, const char *layer);
/* The same with all inputs of the node that are not left out, and all its outputs. */
cJSON *attn_lower_plain(attn_lower *l, const attn_ir_node *node, const char *layer);
/* A lowering: attn_lower_plain with the entry's layer, no attributes. */
attn_status attn_lower_same(attn_lower *l, const attn_ir_node *node);

/* The next of the layer's "in" and "out". A NULL value: nothing for "in"; a name that nobody reads
 * for "out". The other two take names, of attn_lower_temp or attn_lower_value. */
void attn_lower_in(attn_lower *l, cJSON *layer, attn_ir_value *value);
void attn_lower_out(attn_lower *l, cJSON *layer, attn_ir_value *value);
void attn_lower_in_name(attn_lower *l, cJSON *layer, const char *name);
void attn_lower_out_name(attn_lower *l, cJSON *layer, const char *name);

/* The value's name in the description. Of a constant, the first time: a layer "constant" if it is
 * small, otherwise "parameter" with its tensor. */
const char *attn_lower_value(attn_lower *l, attn_ir_value *value);
/* A name that nothing else has. */
const char *attn_lower_temp(attn_lower *l);

/* Shorthands to compose with. Each appends a layer with one output of a fresh name, and returns the
 * name; *layer (may be NULL) is the layer, for further keys. */
const char *attn_lower_unary(attn_lower *l, const attn_ir_node *node, const char *layer_name,
                             const char *in, cJSON **layer);
const char *attn_lower_binary(attn_lower *l, const attn_ir_node *node, const char *layer_name,
                              const char *a, const char *b, cJSON **layer);
/* A "constant" of one number, rank 0; integer: i32. */
const char *attn_lower_scalar(attn_lower *l, double number, bool integer);
/* Another name for what `name` computed: an "identity" that makes the node's output. */
void attn_lower_result(attn_lower *l, const attn_ir_node *node, const char *name,
                       attn_ir_value *value);

/* ---- keys ---------------------------------------------------------------------------------- */

void attn_lower_number(attn_lower *l, cJSON *layer, const char *key, double number);
void attn_lower_flag(attn_lower *l, cJSON *layer, const char *key, bool flag);
void attn_lower_word(attn_lower *l, cJSON *layer, const char *key, const char *word);
/* Integers beyond 32 bits become the nearest of 32 bits. */
void attn_lower_int_list(attn_lower *l, cJSON *layer, const char *key, const int64_t *values,
                         size_t count);
/* "axes": [...] of a constant value, "axes_from": its name otherwise; nothing for NULL. */
void attn_lower_ints(attn_lower *l, cJSON *layer, const char *key, attn_ir_value *value);
/* "min": the number of a constant of one element, "min_from": the name otherwise; nothing for NULL.
 */
void attn_lower_operand(attn_lower *l, cJSON *layer, const char *key, attn_ir_value *value);

/* Registers a constant as tensor "NAME<suffix>" and sets the key to NAME, as `linear`, `conv2d` and
 * others want it: the value's own name without the suffix, if it ends so. Integers become i32,
 * double f32. Not a constant: an error. */
attn_status attn_lower_weight(attn_lower *l, const attn_ir_node *node, cJSON *layer,
                              const char *key, attn_ir_value *value, const char *suffix);
/* The "bias" of a layer whose "weight" is set already; NULL: false. */
attn_status attn_lower_bias(attn_lower *l, const attn_ir_node *node, cJSON *layer,
                            attn_ir_value *value);

/* ---- errors -------------------------------------------------------------------------------- */

/* "x.onnx: node 12 "/layer/MatMul" (MatMul): text" */
attn_status attn_lower_fail(attn_lower *l, const attn_ir_node *node, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
