/* The weights as the layers use them: converted to f32, packed into panels, or left where the file
 * is mapped. Done once, when a model is opened; then they never change. */
#ifndef ATTN_PARAMS_H
#define ATTN_PARAMS_H

#include "runtime/graph.h"

/* Bytes that attn_params_fill needs; equal uses of one tensor (tied weights) are counted once. Sets
 * up *uses, which attn_params_fill takes. */
typedef struct attn_params {
    size_t bytes;
    size_t count;
    attn_param **param; /* every weight of every node, equal ones side by side */
} attn_params;

/* The panels that a precision other than ATTN_AS_FILE asks for. */
attn_panel_type attn_params_type(attn_precision precision);

/* Sets the type of every matrix: what `precision` asks for, or, as the file says, the narrowest
 * that gives the bits of f32 on the file's values. Before shapes are inferred: scratch depends on
 * it. */
void attn_params_choose(const attn_graph *graph, attn_precision precision,
                        const attn_kernels *kernels);

attn_status attn_params_measure(attn_params *params, const attn_graph *graph,
                                const attn_kernels *kernels, attn_arena *arena, attn_error *err);

/* memory: params->bytes, 64-byte aligned, kept as long as the model. temporary: room for one panel
 * of the largest matrix, attn_params_temporary() bytes. */
void attn_params_fill(const attn_params *params, const attn_kernels *kernels, void *memory,
                      float *temporary);
size_t attn_params_temporary(const attn_params *params, const attn_kernels *kernels);

#endif
