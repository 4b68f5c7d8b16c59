/* The weights as the layers use them: converted to f32, packed into panels, or left where the file
 * is mapped. Done once, when a model is opened; then they never change. */
#ifndef ATTN_PARAMS_H
#define ATTN_PARAMS_H

#include "runtime/graph.h"

/* Uses of weights that one copy serves (tied weights). */
typedef struct attn_use {
    attn_param **param; /* [count], side by side */
    size_t count;
    size_t offset, bytes; /* in attn_params.bytes; multiples of 64. No bytes: used where mapped */
} attn_use;

/* All weights of a graph, and the memory that attn_params_fill needs for them. */
typedef struct attn_params {
    size_t bytes;
    size_t count;
    attn_param **param; /* every weight of every node, in the order of attn_params_compare */
    size_t uses;
    attn_use *use;
} attn_params;

/* The panels that a precision other than ATTN_AS_FILE asks for. */
attn_panel_type attn_params_type(attn_precision precision);

/* Sets the type of every matrix: what `precision` asks for, or, as the file says, the narrowest
 * that gives the bits of f32 on the file's values. Blocks of a GGUF file stay what they are in
 * int8, too: x is quantised in groups then. Before shapes are inferred: scratch depends on it. */
void attn_params_choose(const attn_graph *graph, attn_precision precision,
                        const attn_kernels *kernels);

/* Order of uses of weights, behind attn_param pointers: 0 if one converted copy serves both. */
int attn_params_compare(const void *left, const void *right);
size_t attn_param_elements(const attn_param *p);
/* Whether it is used where the file is mapped. */
bool attn_param_in_place(const attn_param *p);
/* Bytes in memory of our own, a multiple of 64; 0 if it is used where it is mapped. False on
 * overflow. */
bool attn_param_bytes(const attn_param *p, const attn_kernels *kernels, size_t *out);

attn_status attn_params_measure(attn_params *params, const attn_graph *graph,
                                const attn_kernels *kernels, attn_arena *arena, attn_error *err);

/* Converts and packs everything to memory[0..params->bytes), 64-byte aligned, kept as long as the
 * model, on all CPUs, and binds it. What was read of the weight file is let go of page by page.
 * budget: for what is needed meanwhile. */
attn_status attn_params_fill(const attn_params *params, const attn_kernels *kernels, void *memory,
                             attn_memory *budget, attn_error *err);
/* A pool of all CPUs for the time of opening a model with so many bytes of weights; NULL if they
 * are few, or if no threads are to be had: what it was for is then done by the caller alone. */
struct attn_pool *attn_params_pool(size_t bytes, attn_memory *budget);
/* Binds the weights to memory that holds them already. */
void attn_params_bind(const attn_params *params, const void *memory);

#endif
