/* What the parts of rolling share: roll.c finds equal blocks, roll_group.c makes groups of them. */
#ifndef ATTN_ONNX_ROLL_H
#define ATTN_ONNX_ROLL_H

#include "runtime/base/names.h"
#include "runtime/onnx/readable.h"

enum { ATTN_ROLL_CARRIED = 8 }; /* values from round to round */

/* A value: who makes it, and where among the outputs. */
typedef struct attn_roll_place {
    size_t layer; /* layers before the first: SIZE_MAX */
    size_t slot;
} attn_roll_place;

typedef struct attn_roll_line {
    cJSON *json;
    size_t signature;
    size_t reads, makes;
    cJSON **read, **make; /* the strings that name values */
} attn_roll_line;

typedef struct attn_roller {
    attn_arena *arena;
    attn_error *err;
    cJSON *root, *graph;
    size_t lines;
    attn_roll_line *line;
    attn_names maker;      /* value -> place */
    attn_names signatures; /* text -> number */
    size_t signature;
    bool failed;
} attn_roller;

typedef struct attn_roll_carried {
    size_t line, slot; /* in a block: what makes it */
    const char *first; /* the value that stands for it in the first block */
} attn_roll_carried;

typedef struct attn_roll_blocks {
    size_t start, length, repeats;
    size_t carries;
    attn_roll_carried carry[ATTN_ROLL_CARRIED];
} attn_roll_blocks;

/* The numbers in the names of tensors go up evenly from block to block. */
bool attn_roll_even_names(const attn_roller *r, const attn_roll_blocks *b);
/* The blocks become a group in r->graph; r->line is old then. */
void attn_roll_group(attn_roller *r, const attn_roll_blocks *b);
/* The value of a result. */
const char *attn_roll_result(const cJSON *output);

#endif
