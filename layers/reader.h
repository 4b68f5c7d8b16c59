/* What lies behind attn_reader: the runtime fills it, reader.c reads it for the layers. */
#ifndef ATTN_READER_H
#define ATTN_READER_H

#include "layers/layer.h"

typedef enum attn_attr_kind {
    ATTN_ATTR_NULL,
    ATTN_ATTR_NUMBER,
    ATTN_ATTR_BOOL, /* number is 0 or 1 */
    ATTN_ATTR_TEXT, /* a word, a name or an expression: the reading function decides */
    ATTN_ATTR_LIST,
    ATTN_ATTR_OBJECT, /* items have keys */
} attn_attr_kind;

typedef struct attn_attr {
    const char *key;
    attn_attr_kind kind;
    double number;
    const char *text;
    size_t count;
    struct attn_attr *items;
    bool used;
} attn_attr;

enum { ATTN_MAX_PARAMS = 8 };

struct attn_reader {
    const char *place; /* "FILE: graph[3] (linear)" */
    attn_error *err;
    size_t attr_count;
    attn_attr *attrs;
    /* Where the attributes are those of an object: its key, and the node's own meanwhile. */
    const char *object;
    size_t outer_count;
    attn_attr *outer;
    size_t inputs, outputs;

    /* The graph under construction. */
    void *user;
    /* Evaluates an expression into result (number, flag or text, which lives as long as the model).
     */
    attn_status (*evaluate)(void *user, const char *text, attn_attr *result, attn_error *err);
    /* Puts indexes into a name ("layer.{i}.") and the value of that name after the inputs. */
    attn_status (*operand)(void *user, const char *name, int *index, attn_error *err);
    /* The tensor of that name, prefixes applied; *found NULL and a message if there is none. */
    attn_status (*weight)(void *user, const char *name, const char *suffix,
                          const attn_weight **found, attn_error *err);
    /* Index of a symbolic dimension, or -1. */
    int (*symbol)(void *user, const char *name);
    /* Is this the name of the model's cache? */
    attn_status (*cache)(void *user, const char *name, attn_error *err);

    /* Zeroed memory that lives as long as the model; NULL if there is none. */
    void *(*keep)(void *user, size_t count, size_t size);

    /* What parse asked for. */
    attn_param *params[ATTN_MAX_PARAMS];
    size_t param_count;
    bool rows_given; /* "rows" of the last matrix */
    size_t first_row, row_count;
};

#endif
