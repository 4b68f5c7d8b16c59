/* What the files of the reader share: messages of onnx.proto become the records of onnx.h. */
#ifndef ATTN_ONNX_READER_H
#define ATTN_ONNX_READER_H

#include "runtime/onnx/onnx.h"
#include "runtime/onnx/wire.h"

typedef struct attn_onnx_reader {
    attn_wire wire;
    int depth; /* of messages in messages */
    attn_onnx_model *model;
    attn_arena *arena;
    const char *folder; /* of the file, for external data; NULL: there is none */
} attn_onnx_reader;

enum { ATTN_ONNX_MAX_ATTRS = 256 }; /* of a node or a function, and domains of a model */

/* Reads one message, or the bytes of a text, to a record that is zero. */
typedef attn_status attn_onnx_read(attn_onnx_reader *r, attn_wire_span message, void *to);

/* All of a field as an array of records of `size` bytes; *count may be NULL. */
attn_status attn_onnx_read_all(attn_onnx_reader *r, const attn_wire_field *field,
                               const attn_wire_rule *rule, attn_onnx_read *read, size_t size,
                               void *array, size_t *count);
/* The one that there is. */
attn_status attn_onnx_read_one(attn_onnx_reader *r, const attn_wire_field *field,
                               const attn_wire_rule *rule, attn_onnx_read *read, void *to);

/* UTF-8 without zero bytes, copied, as `what` of the place; "" of no bytes. */
attn_status attn_onnx_read_text(attn_onnx_reader *r, attn_wire_span bytes, const char *what,
                                const char **out);
/* The same, not empty; it becomes the label of the place. */
attn_status attn_onnx_read_name(attn_onnx_reader *r, attn_wire_span bytes, const char *what,
                                const char **out);
attn_onnx_read attn_onnx_read_word;   /* to a const char * */
attn_onnx_read attn_onnx_read_string; /* to an attn_onnx_text */

attn_onnx_read attn_onnx_read_tensor; /* to an attn_onnx_tensor */
attn_onnx_read attn_onnx_read_value;  /* to an attn_onnx_value */
attn_onnx_read attn_onnx_read_graph;  /* to an attn_onnx_graph */
/* All attributes of a node, no name twice. */
attn_status attn_onnx_read_attrs(attn_onnx_reader *r, const attn_wire_field *f,
                                 const attn_wire_rule *rule, attn_onnx_attr **attr, size_t *count);

/* That names are made once and before they are read, in every graph and function, and that
 * functions and versions are there for what needs them. Equal names of values become one pointer;
 * inputs that are initialisers are left out. */
attn_status attn_onnx_check_order(attn_onnx_reader *r);

#endif
