/* The graph: a description, unrolled for one config and bound to one weight file.
 *
 * Names become values in single assignment: a node that writes "x" makes a new value, and later
 * nodes that read "x" read that one. All of it lies in the model's arena and never changes. */
#ifndef ATTN_GRAPH_H
#define ATTN_GRAPH_H

#include "layers/layer.h"
#include "runtime/expression.h"
#include "runtime/weights/weights.h"

enum {
    ATTN_MAX_NODES = 8192,
    ATTN_MAX_VALUES = 32768,
    ATTN_MAX_PORTS = 64, /* inputs, outputs, states: of each */
    ATTN_MAX_SYMBOLS = 16,
};

typedef struct attn_symbol {
    const char *name;
    size_t max;
} attn_symbol;

typedef enum attn_kind {
    ATTN_KIND_ARRAY,
    ATTN_KIND_IMAGE,   /* input: a picture, through `image` or preprocessor_config.json */
    ATTN_KIND_TOKENS,  /* input: token ids */
    ATTN_KIND_CLASSES, /* output: logits, with labels */
    ATTN_KIND_EMBEDDING,
    ATTN_KIND_VOCABULARY, /* output: logits of the tokens of the vocabulary */
    ATTN_KIND_SLOTS,      /* output: rows of logits of characters; each row is one, or a filler */
    ATTN_KIND_CTC,        /* output: rows of logits of characters, with repeats and blanks */
} attn_kind;

/* What the logits of classes become. */
typedef enum attn_probability {
    ATTN_BY_SOFTMAX, /* one of the classes; of one class alone, its sigmoid */
    ATTN_BY_SIGMOID, /* each class for itself */
    ATTN_BY_NONE,    /* the value itself: a regression */
} attn_probability;

/* An input, an output or a state. */
typedef struct attn_port {
    const char *name;
    attn_kind kind;
    attn_dtype dtype;
    int rank;
    long dim[ATTN_MAX_RANK]; /* a size, or ATTN_SYMBOL(i) */
    bool ranged;             /* i32 inputs: low <= value <= high, checked by attn_run */
    long low, high;
    bool optional; /* inputs: where it is not set, every element is */
    double fallback;
    bool known; /* inputs: the plan is made for its elements, too */
    size_t value;
    size_t next; /* state: the value that it takes after a run */
    size_t label_count;
    const char **labels;      /* entries may be NULL */
    attn_probability measure; /* classes: what their logits become */
    /* slots, ctc: labels are the characters; one of no text: the filler or blank; SIZE_MAX: none */
    size_t silent;
    /* images */
    bool channels_last, bgr;
    const struct attn_preprocess *preprocess; /* NULL: that of preprocessor_config.json */
} attn_port;

static inline bool attn_port_is_text(const attn_port *port)
{
    return port->kind == ATTN_KIND_SLOTS || port->kind == ATTN_KIND_CTC;
}

/* A state of kind "cache": one position for all nodes that keep rows of their own. */
typedef struct attn_cache_port {
    const char *name; /* NULL: the model has none */
    size_t symbol;    /* its size is the number of rows that a run appends */
    size_t max;       /* rows that the model allows; SIZE_MAX: any number */
} attn_cache_port;

typedef struct attn_node {
    const attn_layer *layer;
    const char *name;    /* unique: "encoder.layer.0.layernorm_before" */
    const char *place;   /* "FILE: graph[3].graph[0] (linear)" */
    const char *made_of; /* fused: "linear + gelu + add"; otherwise NULL */
    void *params;
    size_t inputs, outputs;
    size_t *in, *out; /* values; out has room for one more */
    size_t weights;
    attn_param **weight;
} attn_node;

typedef struct attn_graph {
    size_t symbols, inputs, states, outputs;
    attn_symbol symbol[ATTN_MAX_SYMBOLS];
    attn_port *input, *state, *output;
    attn_cache_port cache;
    size_t values; /* the inputs' come first, then the states' */
    const char **value_name;
    size_t nodes;
    attn_node *node;
    /* The same with layers made one where that gives the same bits: see fuse.c. */
    size_t fused_nodes;
    attn_node *fused;
    size_t prefixes;
    const char **prefix; /* of weight names, tried in order */
    size_t renamed;      /* ends of weight names, and what may stand there instead */
    const char **rename; /* [2 * renamed] */
} attn_graph;

typedef struct attn_graph_source {
    const char *file;   /* the description's name, for messages */
    const char *folder; /* where the files lie that it names; NULL: it may name none */
    const cJSON *root;
    const char *config_name;
    const cJSON *config; /* NULL: none */
    const char *weights_name;
    const attn_weights *weights;
} attn_graph_source;

attn_status attn_graph_build(attn_graph *graph, const attn_graph_source *source, attn_arena *arena,
                             attn_error *err);

/* `count` elements of an input's data, as the graph has them: f32 or i32. t NULL: the default.
 * Errors: ATTN_BAD_INPUT, an integer outside the port's range. */
attn_status attn_port_copy(const attn_port *port, const attn_tensor *t, size_t count, void *to,
                           attn_error *err);

/* Fills graph->fused, once the weights are where they stay. */
attn_status attn_graph_fuse(attn_graph *graph, attn_arena *arena, attn_error *err);

/* The only input, or the only one without a default; NULL if that is none. */
const attn_port *attn_graph_only_input(const attn_graph *graph);

/* The symbolic dimension of that name, or -1. */
int attn_graph_symbol(const attn_graph *graph, const char *name);

#endif
