/* What a lowering works on; the families use lower.h alone. */
#ifndef ATTN_ONNX_LOWER_STATE_H
#define ATTN_ONNX_LOWER_STATE_H

#include "layers/layer.h"
#include "runtime/base/names.h"
#include "runtime/onnx/lower.h"

struct attn_lower {
    attn_ir *ir;
    attn_arena *keep; /* for the tensors, which outlive the importer's graph */
    attn_error *err;
    cJSON *graph; /* the list of layers */
    cJSON *open;  /* the layer that was begun last; not in the list yet */
    const attn_lowering *entry;
    const attn_ir_node *node;  /* the one that is being lowered */
    const attn_ir_node *named; /* the one whose name a layer has got */
    attn_names used;           /* names of values in the description */
    attn_names labels;         /* value->name: its name in the description */
    attn_names tensors;        /* names of tensors: their constants */
    attn_names constants;      /* layers of constants, as text without their names: the names */
    size_t next_value, next_tensor, temps;
    size_t weights, weight_room;
    attn_weight *weight;
    bool failed;        /* memory was lacking, once */
    attn_status status; /* the first thing that cannot be lowered, found where no status is given */
    attn_error problem;
};

enum { ATTN_LOWER_LABEL = 160 }; /* bytes of a name in the description */

/* made: what cJSON gave; NULL is remembered. */
void attn_lower_check(attn_lower *l, const void *made);
/* The name without what a description would read as something else; returns text. */
const char *attn_lower_clean(const char *name, char *text, size_t size);
/* A layer that is in no list yet. */
cJSON *attn_lower_begin(attn_lower *l, const char *name);
/* A number, or the texts "inf", "-inf", "nan"; an f32 in as few digits as say it. */
cJSON *attn_lower_number_json(double number);
double attn_lower_clamp(int64_t value); /* to 32 bits */
/* Adds the item to an object, or without a key to a list; NULL is remembered. */
void attn_lower_put(attn_lower *l, cJSON *object, const char *key, cJSON *item);

/* All nodes of a body, one after the other. */
attn_status attn_lower_body(attn_lower *l, const attn_ir_body *body);
/* A name for the value, as like its own as a description allows. */
const char *attn_lower_label(attn_lower *l, const attn_ir_value *value);
/* Puts the layer that was begun last into the list. */
void attn_lower_close(attn_lower *l);

/* The entry for the node, or NULL. */
const attn_lowering *attn_lowering_find(const attn_ir_node *node);
/* ATTN_OK if every node has one; otherwise an error that names the first ones. */
attn_status attn_lowering_check(const attn_ir *ir, attn_error *err);

/* "NAME_scale" */
const char *attn_lower_scale_name(attn_lower *l, const char *name);
/* The constant as tensor `name` of the list: i32 of integers, f32 of double; integers with scales
 * stay as they are, and the scales are a tensor after it. */
bool attn_lower_add_tensor(attn_lower *l, const char *name, const attn_onnx_tensor *tensor);

#endif
