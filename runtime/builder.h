/* The graph under construction, shared by builder.c (values and names), node.c (one layer), graph.c
 * (groups, the whole) and ports*.c (inputs, outputs, states). */
#ifndef ATTN_BUILDER_H
#define ATTN_BUILDER_H

#include "layers/reader.h"
#include "runtime/base/names.h"
#include "runtime/graph.h"

enum { ATTN_NAME_BUCKETS = 1024, ATTN_MAX_NAME = 512 };

typedef struct attn_builder {
    const attn_graph_source *source;
    attn_graph *graph;
    attn_arena *arena;
    attn_error *err;
    attn_scope scope;
    const char *prefix; /* of weight names, from the groups around */
    size_t work;        /* of expressions */
    size_t items;       /* entries of "graph" read so far, repetitions counted */
    size_t node_room, value_room;
    attn_names node_names; /* of the layers so far */
    /* What the names mean now. */
    struct attn_binding {
        const char *name;
        size_t value;
        struct attn_binding *next;
    } * bucket[ATTN_NAME_BUCKETS];
    /* The node that is being read. */
    attn_node *node;
    size_t node_inputs;
    size_t node_in[ATTN_MAX_OPERANDS];
} attn_builder;

/* "PLACE: text", ATTN_BAD_MODEL. */
attn_status attn_builder_fail(attn_builder *b, const char *place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Evaluates a number, flag, or expression of the JSON; false and null are refused as numbers. */
attn_status attn_builder_integer(attn_builder *b, const char *place, const char *key,
                                 const cJSON *json, double min, double max, double *out);
/* "when": true if the key is absent. */
attn_status attn_builder_when(attn_builder *b, const char *place, const cJSON *object, bool *out);
/* text with every {expression} replaced by its value; in the arena. */
attn_status attn_builder_name(attn_builder *b, const char *text, const char **out, attn_error *err);
/* Every key of object must be one of the words (ended by NULL). */
attn_status attn_builder_keys(attn_builder *b, const char *place, const cJSON *object,
                              const char *const *words);

/* json as an attribute, in the arena; level: lists around it. */
attn_status attn_builder_attr(attn_builder *b, const cJSON *json, int level, attn_attr *out,
                              attn_error *err);
/* The callback of attn_reader; user: the attn_builder. */
attn_status attn_builder_evaluate(void *user, const char *text, attn_attr *result, attn_error *err);
/* Makes room for one entry more in an array of the arena. */
attn_status attn_builder_grow(attn_builder *b, void **array, size_t count, size_t *room,
                              size_t size);

/* A new value of that name, which the name means from now on. */
attn_status attn_builder_define(attn_builder *b, const char *name, size_t *value);
/* The value that the name means; false if it means none. */
bool attn_builder_lookup(const attn_builder *b, const char *name, size_t *value);

/* node.c: adds the layer that json describes. */
attn_status attn_builder_add_node(attn_builder *b, const cJSON *json, const char *place);
/* The callback of attn_scope; user: the attn_builder. */
bool attn_builder_has(void *user, const char *name, size_t length);

/* ports.c */
attn_status attn_builder_symbols(attn_builder *b);
attn_status attn_builder_inputs(attn_builder *b);
attn_status attn_builder_states(attn_builder *b);
bool attn_builder_is_cache(const cJSON *state);
/* ports_out.c */
attn_status attn_builder_outputs(attn_builder *b); /* and what the states become */
/* ports_image.c, ports_keys.c: the keys of an image input, and of an output that is read as text.
 */
attn_status attn_builder_image(attn_builder *b, const char *place, const cJSON *input,
                               attn_port *port);
attn_status attn_builder_text_keys(attn_builder *b, const char *place, const cJSON *output,
                                   attn_port *port);

/* The member `key` of the description: an object of at most that many entries, or NULL. */
attn_status attn_builder_object(attn_builder *b, const char *key, int most, const cJSON **out);
/* One of the words (ended by NULL) at `key`, or `fallback` if the key is absent. */
attn_status attn_builder_choice(attn_builder *b, const char *place, const cJSON *object,
                                const char *key, const char *const *words, int fallback, int *out);
/* A text into the arena. */
attn_status attn_builder_copy(attn_builder *b, const char *text, const char **out);

enum { ATTN_MAX_LABELS = 1 << 20 };

#endif
