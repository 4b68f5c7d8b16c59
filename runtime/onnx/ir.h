/* The importer's graph: what an ONNX file computes, in a form that passes can rewrite.
 *
 * It is made of a file by attn_ir_build: functions are inlined, Constant and Identity are gone,
 * an If whose condition is a constant is its branch. Every value has one producer (a node), or is
 * an input or a constant; nodes stand in an order in which producers come first. All of it lies in
 * one arena; what is removed stays there until the arena goes.
 *
 * Functions that can fail because memory is lacking set ir->failed and return NULL or do nothing,
 * so that a pass checks once, at its end (attn_ir_status); every function accepts the NULL that
 * another one gave. */
#ifndef ATTN_ONNX_IR_H
#define ATTN_ONNX_IR_H

#include "runtime/onnx/onnx.h"

enum { ATTN_IR_MAX_SYMBOLS = 16, ATTN_IR_MAX_DERIVED = 32 };

typedef struct attn_ir attn_ir;
typedef struct attn_ir_node attn_ir_node;
typedef struct attn_ir_value attn_ir_value;

/* A size, or an element of an integer value, as the probes found it: base + factor * the product
 * of the symbols (indices into ir->symbol, -1: none; from ATTN_IR_MAX_SYMBOLS on, sizes that are
 * derived from symbols in another way, each standing for itself). A plain number: factor is 0. */
typedef struct attn_ir_amount {
    bool known;
    long base, factor;
    int symbol[2];
} attn_ir_amount;

/* One place that reads a value. */
typedef struct attn_ir_use {
    attn_ir_node *node;
    size_t slot; /* node->in[slot] is the value */
} attn_ir_use;

struct attn_ir_value {
    const char *name;                 /* of the file, or made up; unique */
    attn_onnx_type type;              /* UNDEFINED: not known */
    const attn_onnx_tensor *constant; /* NULL: an input, or computed */
    const attn_onnx_value *declared;  /* what the file says of it, or NULL */
    attn_ir_node *producer;           /* NULL: an input or a constant */
    size_t slot;                      /* producer->out[slot] is the value */
    size_t uses, use_room;
    attn_ir_use *use;    /* a node that reads it twice stands here twice */
    size_t results;      /* how many results of bodies it is: not to be taken away then */
    bool is_input;       /* of the model (or of a body) */
    attn_ir_value *copy; /* while the body it is in is copied: what it is there; otherwise NULL */
    unsigned char batch; /* of lift_batch.c: where it has the batch */
    bool of_data;        /* the same: it depends on an input */
    /* After attn_ir_probe; of inputs always. */
    bool shaped;
    int rank;
    attn_ir_amount dim[ATTN_MAX_RANK];
    size_t elements;               /* 0: its elements are not known without data */
    const attn_ir_amount *element; /* of an integer value, where each is known */
    bool counts;                   /* known integers: each is its own index, 0, 1, 2 ... */
    bool grid;    /* known integers: its rows are the indices of an array, all of them in order */
    bool uniform; /* all its elements are this number, at every size */
    double number;
    const attn_onnx_tensor *fixed; /* the elements, if they are the same at every size: float or
                                    * int32; NULL: they are not */
};

/* Results of the main graph, or the body of an If or Loop. */
typedef struct attn_ir_body {
    attn_ir_node *first, *last;
    size_t inputs, results;
    attn_ir_value **input, **result;
    const char **result_name;
} attn_ir_body;

struct attn_ir_node {
    const char *op, *domain; /* domain: "" standard, "com.microsoft", "attn": made by lifting */
    const char *name;        /* "/layer.0/MatMul"; "" of none */
    const char *scope;       /* "layer.0": the module that it is of; "" if not known */
    const char *place;       /* x.onnx: node 12 "/layer.0/MatMul" (MatMul) */
    int64_t version;         /* of the domain's opset; 0: not said */
    size_t inputs, outputs, attrs, attr_room;
    attn_ir_value **in, **out; /* NULL: left out */
    attn_onnx_attr *attr;
    size_t bodies;
    attn_ir_body **body; /* If: then, else; Loop, Scan: the body */
    attn_ir_body *parent;
    attn_ir_node *previous, *next;
    bool dead; /* taken out */
};

typedef struct attn_ir_symbol {
    const char *name; /* a valid name of a description, unique */
    const char *said; /* the file's; "" of none */
} attn_ir_symbol;

struct attn_ir {
    attn_arena *arena;
    attn_error *err;
    const char *file;
    const attn_onnx_model *model;
    attn_ir_body *main;
    size_t symbols;
    attn_ir_symbol symbol[ATTN_IR_MAX_SYMBOLS];
    size_t values, nodes; /* made so far */
    struct attn_ir_names *names;
    struct attn_names *labels; /* of the values in the last description: see attn_lowered_name */
    size_t view_work;          /* of lift_view.c */
    size_t dequantized;        /* elements of constants: of lift_quantized.c */
    bool failed;               /* memory was lacking, once */
};

/* Builds it. photo: height and width of the photos for an input pixel_values, where the file leaves
 * them open; 0: they stay open. Errors: ATTN_BAD_MODEL: functions that call themselves, too many
 * nodes; ATTN_NO_MEMORY.
 */
attn_status attn_ir_build(attn_ir *ir, const attn_onnx_model *model, const size_t photo[2],
                          attn_arena *arena, attn_error *err);
attn_status attn_ir_status(const attn_ir *ir);
/* The error that memory was lacking: what the arena has said of it, a limit say, stays. */
attn_status attn_ir_no_memory(const attn_ir *ir);
/* "PLACE: text", ATTN_BAD_MODEL. */
attn_status attn_ir_fail(const attn_ir *ir, const attn_ir_node *node, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- to walk ------------------------------------------------------------------------------- */

/* for (attn_ir_node *n = ir->main->first; n; n = n->next): a pass may remove n itself if it has
 * taken n->next before, and insert in front of n. */

/* One of ir->symbol, and nothing else. */
bool attn_ir_is_symbol(const attn_ir_amount *a);
bool attn_ir_is(const attn_ir_node *node, const char *op); /* of the standard domain; NULL: false */
/* The node that makes the value, if it is that operator; otherwise NULL. */
attn_ir_node *attn_ir_made_by(const attn_ir_value *value, const char *op);
/* The only node that reads it, NULL if there are none, several, or if it is a result. */
attn_ir_node *attn_ir_only_reader(const attn_ir_value *value);
/* in[i], or NULL if it is left out or there are fewer. */
attn_ir_value *attn_ir_in(const attn_ir_node *node, size_t i);
attn_ir_value *attn_ir_out(const attn_ir_node *node, size_t i);

/* ---- to rewrite ---------------------------------------------------------------------------- */

/* A new value, computed later by a node; name: what its name begins with, made unique. */
attn_ir_value *attn_ir_new_value(attn_ir *ir, const char *name, attn_onnx_type type);
/* A constant of the tensor; tensor->name is not looked at. */
attn_ir_value *attn_ir_new_constant(attn_ir *ir, const char *name, const attn_onnx_tensor *tensor);
/* A constant of its own elements, in the arena: FLOAT from numbers, INT64 from integers. */
attn_ir_value *attn_ir_new_floats(attn_ir *ir, const char *name, const float *numbers, int rank,
                                  const size_t *dim);
attn_ir_value *attn_ir_new_ints(attn_ir *ir, const char *name, const int64_t *integers, int rank,
                                const size_t *dim);
/* A node at the end of a body, without version and place. */
attn_ir_node *attn_ir_append(attn_ir *ir, attn_ir_body *body, const char *op, const char *domain,
                             size_t inputs, attn_ir_value *const *in, size_t outputs,
                             attn_ir_value *const *out);
/* A node in front of `before` (of its body), with version and place of it. in, out: copied. */
attn_ir_node *attn_ir_insert(attn_ir *ir, attn_ir_node *before, const char *op, const char *domain,
                             size_t inputs, attn_ir_value *const *in, size_t outputs,
                             attn_ir_value *const *out);
/* Changes in[slot], which must exist; value may be NULL. */
void attn_ir_set_in(attn_ir *ir, attn_ir_node *node, size_t slot, attn_ir_value *value);
/* Every reader and result takes `by` instead of `value`. */
void attn_ir_replace(attn_ir *ir, attn_ir_value *value, attn_ir_value *by);
/* Makes a computed value the out[slot] of another node: what made it no longer does. */
void attn_ir_give(attn_ir *ir, attn_ir_value *value, attn_ir_node *node, size_t slot);
/* Takes the node out; nobody may read its outputs. */
void attn_ir_remove(attn_ir *ir, attn_ir_node *node);
/* Takes out every node of which nothing is read. */
void attn_ir_sweep(attn_ir *ir);

void attn_ir_set_int(attn_ir *ir, attn_ir_node *node, const char *name, int64_t value);
void attn_ir_set_float(attn_ir *ir, attn_ir_node *node, const char *name, float value);
void attn_ir_set_text(attn_ir *ir, attn_ir_node *node, const char *name, const char *value);
void attn_ir_set_ints(attn_ir *ir, attn_ir_node *node, const char *name, const int64_t *values,
                      size_t count);

/* Bodies that run a known number of times become plain nodes (unroll.c): an If whose condition is
 * known, a Loop, a Scan. What is known: constants, and what a probe has found; the graph in front
 * of a Loop or a Scan is probed for it. What cannot be unrolled stays. */
attn_status attn_ir_unroll(attn_ir *ir);

/* ---- attributes ---------------------------------------------------------------------------- */

/* The value, or `otherwise` if the node has no such attribute (or one of another kind). */
const attn_onnx_attr *attn_ir_attr(const attn_ir_node *node, const char *name); /* or NULL */
int64_t attn_ir_int(const attn_ir_node *node, const char *name, int64_t otherwise);
float attn_ir_float(const attn_ir_node *node, const char *name, float otherwise);
const char *attn_ir_text(const attn_ir_node *node, const char *name, const char *otherwise);
/* NULL and *count 0 if there is none. */
const int64_t *attn_ir_ints(const attn_ir_node *node, const char *name, size_t *count);
const float *attn_ir_floats(const attn_ir_node *node, const char *name, size_t *count);
const attn_onnx_tensor *attn_ir_tensor(const attn_ir_node *node, const char *name);

/* ---- elements of constants ----------------------------------------------------------------- */

/* Element i (below tensor->count): any numeric type; integers beyond int64 are clamped, floats are
 * cut towards zero. */
double attn_tensor_float(const attn_onnx_tensor *tensor, size_t i);
int64_t attn_tensor_int(const attn_onnx_tensor *tensor, size_t i);
/* A constant of one element that is the number (exactly, as f32). */
bool attn_ir_is_number(const attn_ir_value *value, double number);
/* A constant of one element: *number. */
bool attn_ir_number(const attn_ir_value *value, double *number);
bool attn_onnx_is_float(attn_onnx_type type);
bool attn_onnx_is_integer(attn_onnx_type type); /* and bool */

/* ---- probing (probe.c) --------------------------------------------------------------------- */

/* Lowers the graph, plans it at a few sizes of the symbols, and fills what is said above of shapes
 * and elements. What cannot be found stays unknown: no error. */
attn_status attn_ir_probe(attn_ir *ir);
/* What the probes found to be the same at every size becomes a constant. */
void attn_ir_fold(attn_ir *ir);

#endif
