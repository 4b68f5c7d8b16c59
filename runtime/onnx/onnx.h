/* An ONNX file as it stands: what the protobuf of onnx.proto says, checked, and nothing more.
 *
 * Names and texts are copies in the arena; the data of tensors lie where the file is mapped (or in
 * the arena, if the file spells them as lists of numbers), and have no particular alignment. */
#ifndef ATTN_ONNX_H
#define ATTN_ONNX_H

#include "runtime/base/file.h"
#include "runtime/base/memory.h"

/* Versions of the standard domain that are read. */
enum { ATTN_ONNX_LEAST_OPSET = 7, ATTN_ONNX_MOST_OPSET = 23 };

/* TensorProto.DataType */
typedef enum attn_onnx_type {
    ATTN_ONNX_UNDEFINED = 0,
    ATTN_ONNX_FLOAT = 1,
    ATTN_ONNX_UINT8 = 2,
    ATTN_ONNX_INT8 = 3,
    ATTN_ONNX_UINT16 = 4,
    ATTN_ONNX_INT16 = 5,
    ATTN_ONNX_INT32 = 6,
    ATTN_ONNX_INT64 = 7,
    ATTN_ONNX_STRING = 8,
    ATTN_ONNX_BOOL = 9,
    ATTN_ONNX_FLOAT16 = 10,
    ATTN_ONNX_DOUBLE = 11,
    ATTN_ONNX_UINT32 = 12,
    ATTN_ONNX_UINT64 = 13,
    ATTN_ONNX_COMPLEX64 = 14,
    ATTN_ONNX_COMPLEX128 = 15,
    ATTN_ONNX_BFLOAT16 = 16,
    ATTN_ONNX_FLOAT8E4M3FN = 17,
    ATTN_ONNX_FLOAT8E4M3FNUZ = 18,
    ATTN_ONNX_FLOAT8E5M2 = 19,
    ATTN_ONNX_FLOAT8E5M2FNUZ = 20,
    ATTN_ONNX_UINT4 = 21,
    ATTN_ONNX_INT4 = 22,
    ATTN_ONNX_FLOAT4E2M1 = 23,
} attn_onnx_type;

typedef struct attn_onnx_text {
    const char *text; /* terminated; never NULL */
    size_t length;
} attn_onnx_text;

typedef struct attn_onnx_tensor {
    const char *name; /* "" of an attribute's */
    attn_onnx_type type;
    int rank;
    size_t dim[ATTN_MAX_RANK];
    size_t count;     /* elements: the product of dim */
    const void *data; /* little-endian, as raw_data has them; 4-bit types: two in a byte, low first.
                       * STRING: NULL */
    size_t bytes;
    const attn_file *mapping;   /* the mapped file that data lies in; NULL: the arena */
    const attn_onnx_text *text; /* [count], STRING alone */
    /* NULL; or, of a matrix of INT8 that lifting has made: its FLOAT scales, as a weight file has
     * them (runtime/weights/integers.c). Each element stands for q * scale. */
    const struct attn_onnx_tensor *scale;
} attn_onnx_tensor;

typedef struct attn_onnx_graph attn_onnx_graph;

/* AttributeProto.AttributeType */
typedef enum attn_onnx_attr_kind {
    ATTN_ONNX_ATTR_FLOAT = 1,
    ATTN_ONNX_ATTR_INT = 2,
    ATTN_ONNX_ATTR_STRING = 3,
    ATTN_ONNX_ATTR_TENSOR = 4,
    ATTN_ONNX_ATTR_GRAPH = 5,
    ATTN_ONNX_ATTR_FLOATS = 6,
    ATTN_ONNX_ATTR_INTS = 7,
    ATTN_ONNX_ATTR_STRINGS = 8,
    ATTN_ONNX_ATTR_OTHER = 9, /* sparse tensors, types, lists of tensors and graphs: not read */
} attn_onnx_attr_kind;

typedef struct attn_onnx_attr {
    const char *name;
    attn_onnx_attr_kind kind;
    const char *ref; /* in the body of a function: the attribute of the call that stands here; NULL:
                      * none */
    float number;
    int64_t integer;
    attn_onnx_text text;
    attn_onnx_tensor *tensor;
    attn_onnx_graph *graph;
    size_t count; /* of the lists */
    const float *numbers;
    const int64_t *integers;
    const attn_onnx_text *texts;
} attn_onnx_attr;

typedef struct attn_onnx_node {
    const char *op, *domain, *name; /* "MatMul", "" (also of "ai.onnx"), "/layer.0/MatMul" or "" */
    const char *overload;           /* of a function; "" */
    const char *scope;              /* "vit.layers.0": the module that it is of; "" if not said */
    size_t inputs, outputs, attrs;
    const char **in, **out; /* "" of one that is left out */
    attn_onnx_attr *attr;
} attn_onnx_node;

/* An input, an output, or what value_info says of another value. */
typedef struct attn_onnx_value {
    const char *name;
    attn_onnx_type type; /* UNDEFINED: not a tensor, or not said */
    bool is_tensor;      /* false: a sequence, map, optional ..., or not said */
    bool shaped;         /* rank and dim are known */
    int rank;
    struct attn_onnx_dim {
        bool known;
        size_t size;      /* if known */
        const char *name; /* else: "batch", or "" */
    } dim[ATTN_MAX_RANK];
} attn_onnx_value;

struct attn_onnx_graph {
    const char *name;
    size_t nodes, tensors, inputs, outputs, infos;
    attn_onnx_node *node;                   /* in the file's order: producers first (checked) */
    attn_onnx_tensor *tensor;               /* initialisers */
    attn_onnx_value *input, *output, *info; /* inputs that are initialisers, too, are left out */
};

typedef struct attn_onnx_opset {
    const char *domain; /* "" of the standard one */
    int64_t version;
} attn_onnx_opset;

typedef struct attn_onnx_function {
    const char *name, *domain, *overload;
    size_t inputs, outputs, attrs, nodes, opsets, defaults;
    const char **in, **out, **attr; /* names */
    attn_onnx_attr *fallback;       /* [defaults]: attributes with a default */
    attn_onnx_node *node;
    attn_onnx_opset *opset;
} attn_onnx_function;

typedef struct attn_onnx_model {
    const char *file; /* for messages */
    int64_t ir_version;
    const char *producer; /* "pytorch", or "" */
    size_t opsets, functions, properties, externals;
    attn_onnx_opset *opset;
    attn_onnx_function *function;
    struct attn_onnx_property {
        const char *key, *value;
    } * property; /* metadata_props */
    attn_onnx_graph graph;
    attn_file mapping;   /* the file */
    attn_file *external; /* [externals]: files beside it that hold tensors, and their names */
    const char **external_name;
} attn_onnx_model;

/* Opens and checks `path`. All records lie in `arena`, which must outlive the model; tensors point
 * to `model`, which stays where it is. Equal names of values are one pointer, in all graphs.
 *
 * Refused: malformed protobuf (cut off, numbers of more than 64 bits, wrong wire types, lengths
 * beyond their message, a field twice that may stand there once, nesting deeper than 64), text that
 * is not UTF-8 or has a zero byte, names that two values of a graph share, a node that reads a
 * value nobody makes before it, tensors whose data do not have the size of their shape or not the
 * field of their type, more than ATTN_MAX_RANK dimensions, sparse initialisers, external data that
 * is not a plain file of the model's own folder (no "/" but in front of "./", no "..", no link),
 * more than 256 attributes of a node, opsets of the standard domain outside 7 to 23. A graph in an
 * attribute may read what the graphs around it have made before, and may hide their names. What is
 * unknown to the schema is stepped over. Errors: ATTN_IO, ATTN_BAD_FILE, ATTN_LIMIT,
 * ATTN_NO_MEMORY, each with file, place and values: "x.onnx: graph.node[12] (MatMul): ..."; then
 * the model is closed.
 *
 * Time is linear in the file but for sorting the names; memory is at most about 50 times the size
 * of a file that is made to need much, and a fraction of that of one with weights. */
attn_status attn_onnx_open(attn_onnx_model *model, const char *path, attn_arena *arena,
                           attn_error *err);
/* The same of a file in memory (no external data is possible). For fuzzing. */
attn_status attn_onnx_parse(attn_onnx_model *model, const char *file, const void *data, size_t size,
                            attn_arena *arena, attn_error *err);
/* Unmaps the files; accepts a zeroed or failed one. */
void attn_onnx_close(attn_onnx_model *model);

/* By the end of its name. */
bool attn_is_onnx(const char *path);
/* "float", "int64": as onnx.proto has it, in small letters; "type 99" is "unknown". */
const char *attn_onnx_type_name(attn_onnx_type type);
/* Bits of an element; 0 of STRING and what is not known. */
size_t attn_onnx_type_bits(attn_onnx_type type);

#endif
