/* The plan: one graph for one set of input shapes.
 *
 *   shapes    every layer infers its outputs and its scratch
 *   known     nodes whose operands are known (constants, shapes, inputs marked so) run here and
 * now: shapes may depend on what they give, and a run does not repeat them lifetimes a value lives
 * from the step that makes it to the last that reads it offsets   lifetimes that do not meet share
 * bytes of one arena
 *
 * After attn_plan_build the peak memory is known; nothing that follows can fail. */
#ifndef ATTN_PLAN_H
#define ATTN_PLAN_H

#include "runtime/graph.h"

/* ---- the memory planner: plain records, no graph ------------------------------------------- */

typedef struct attn_block {
    size_t size;        /* bytes */
    size_t first, last; /* steps, inclusive, during which it is in use */
    size_t offset;      /* out: multiple of 64 */
} attn_block;

/* Gives each block an offset so that blocks in use at the same step never overlap; *total: the
 * bytes of all. order: [2 * count], scratch. Largest first, each at the lowest gap that takes it
 * (Pisarchyk & Lee 2020, "greedy by size"). False if the sum overflows. */
bool attn_plan_blocks(attn_block *block, size_t count, size_t *order, size_t *total);

/* ---- the plan -------------------------------------------------------------------------------- */

typedef struct attn_plan_input {
    bool absent; /* not set: of the description's shape, the same for every item */
    int rank;    /* of one item */
    size_t dim[ATTN_MAX_RANK];
    size_t batch;              /* 0: not batched */
    const attn_tensor *tensor; /* of a port that is `known`: its elements; the plan keeps a copy */
} attn_plan_input;

typedef struct attn_plan_options {
    size_t workers;
    size_t context, past; /* see attn_infer */
    const attn_kernels *kernels;
    attn_panel_type products; /* see attn_infer */
    bool keep_attention, no_fusion;
    bool *unfilled; /* NULL: the weights are there. Else they are not yet: what is computed from
                     * them is not known, and this is set where it would be */
} attn_plan_options;

typedef struct attn_plan_value {
    attn_shape shape; /* of one item */
    size_t count;     /* elements of one item */
    bool batched;
    bool used;         /* a value of this plan */
    size_t bytes;      /* of all items */
    size_t block;      /* its place in the arena; in-place layers share their input's */
    size_t offset;     /* bytes from the arena's start */
    const void *known; /* not NULL: its elements, which have no place in the arena */
} attn_plan_value;

/* A part of what a node keeps from run to run. */
typedef struct attn_plan_cache {
    attn_cache_part part;
    size_t offset; /* within an item of the session's cache */
} attn_plan_cache;

typedef struct attn_plan_step {
    const attn_node *node;
    attn_value *in, *out; /* data is set by attn_run */
    size_t outputs;       /* node->outputs, or one more: the kept attention */
    size_t *out_value;
    size_t batch;
    size_t scratch, worker_scratch; /* offsets in the arena */
    size_t worker_scratch_size;
    size_t cache; /* offset of its parts in an item of the cache */
    double flops; /* multiply-adds of all items */
    bool known;   /* while planning: it has been run already, or needs not */
    bool dead;    /* while planning: a choice needs it not */
} attn_plan_step;

typedef struct attn_plan {
    struct attn_plan *next; /* the session's list */
    attn_arena arena;       /* of this plan's own records */
    size_t inputs;
    attn_plan_input *input;
    size_t batch; /* of the batched values; 1 if none is */
    attn_panel_type products;
    size_t *symbol; /* [graph->symbols]: their sizes */
    size_t values;
    attn_plan_value *value; /* the graph's, then the kept attentions */
    size_t steps;
    attn_plan_step *step;
    size_t kept; /* attention maps */
    struct attn_plan_kept {
        const attn_node *node;
        size_t value;
    } * kept_map;
    size_t state_bytes; /* of the states at this batch */
    size_t context;     /* rows of the cache; 0: none */
    size_t appended;    /* rows that a run adds to it */
    bool by_past;       /* it is for a run after `past` rows alone */
    size_t past;
    size_t caches;
    attn_plan_cache *cache;
    size_t cache_bytes; /* of one item */
    size_t arena_bytes;
    const char *bound; /* the arena that the steps' operands point into; NULL: none yet */
} attn_plan;

/* Where the elements of a value lie; arena NULL: NULL if they are not known. */
static inline void *attn_plan_data(const attn_plan_value *v, char *arena)
{
    return v->known ? (void *)(uintptr_t)v->known : arena ? arena + v->offset : NULL;
}

/* input: [graph->inputs]. The plan's records come from `memory`. */
attn_status attn_plan_build(attn_plan **out, const attn_graph *graph, const attn_plan_input *input,
                            const attn_plan_options *options, attn_memory *memory, attn_error *err);
void attn_plan_free(attn_plan *plan, attn_memory *memory);

#endif
