/* Protobuf's wire format, checked: https://protobuf.dev/programming-guides/encoding
 *
 *   message  [ field | field | ... ]           ends where what holds it says so
 *   field    key varint (number << 3 | type), then by type
 *              0: a varint   1: 8 bytes   5: 4 bytes   2: a length varint, so many bytes
 *   varint   7 bits a byte, the lowest first, bit 7: more follow; at most 64 bits
 *
 * A message is read in two passes: attn_wire_scan checks all of it and counts, so that its lists
 * are allocated once, of a size that the bytes in the file bound; attn_wire_next then walks through
 * them. A scan steps over what a field holds by its length: all messages of a file, however nested,
 * are scanned in time linear in it. */
#ifndef ATTN_ONNX_WIRE_H
#define ATTN_ONNX_WIRE_H

#include "runtime/base/status.h"

typedef enum attn_wire_type {
    ATTN_WIRE_VARINT = 0,
    ATTN_WIRE_FIXED64 = 1,
    ATTN_WIRE_BYTES = 2,
    ATTN_WIRE_FIXED32 = 5,
} attn_wire_type;

/* Where in the file something is: "graph.node[12] (MatMul)", from the innermost outwards. */
typedef struct attn_wire_place {
    const struct attn_wire_place *up;
    const char *field;
    size_t index;      /* SIZE_MAX: a field that stands there once */
    const char *label; /* "MatMul"; NULL or "": none */
} attn_wire_place;

typedef struct attn_wire {
    const char *file;
    const unsigned char *data; /* of the file, for positions in messages */
    attn_wire_place *place;    /* NULL: the file's own message */
    attn_error *err;
} attn_wire;

/* "x.onnx: graph.node[12] (MatMul): ..."; returns status. */
attn_status attn_wire_fail(const attn_wire *w, attn_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

typedef struct attn_wire_span {
    const unsigned char *at, *end;
} attn_wire_span;

/* How often a field may stand there. */
typedef enum attn_wire_times {
    ATTN_WIRE_ONCE,
    ATTN_WIRE_MANY,
    ATTN_WIRE_FILLED, /* many, none of no bytes */
    ATTN_WIRE_LIST,   /* many numbers, singly or packed: as BYTES that hold them */
} attn_wire_times;

/* A field of the schema. Others are stepped over. */
typedef struct attn_wire_rule {
    unsigned number;
    attn_wire_type type;
    attn_wire_times times;
    const char *name;
} attn_wire_rule;

/* What a scan found of a rule's field. */
typedef struct attn_wire_field {
    size_t count;         /* how many there are; of a LIST: the numbers */
    size_t pieces;        /* of a LIST: how many times the field stands there */
    uint64_t value;       /* of a number, the last one */
    attn_wire_span bytes; /* of BYTES, the last ones */
    attn_wire_span rest;  /* of the message, from the first one's key on */
} attn_wire_field;

/* Errors: ATTN_BAD_FILE. found[count], in the order of the rules. */
attn_status attn_wire_scan(const attn_wire *w, attn_wire_span message, const attn_wire_rule *rules,
                           size_t count, attn_wire_field *found);

/* The field's BYTES in order: *rest starts as field->rest. After a scan alone. */
attn_wire_span attn_wire_next(attn_wire_span *rest, const attn_wire_rule *rule);

/* The numbers of a LIST, field->count of them, in order: as they are, not yet signed. */
typedef struct attn_wire_list {
    attn_wire_span rest, packed;
    const attn_wire_rule *rule;
} attn_wire_list;
attn_wire_list attn_wire_begin(const attn_wire_field *field, const attn_wire_rule *rule);
uint64_t attn_wire_number(attn_wire_list *list);

#endif
