/* A run of `attention`, between attention.c (blocks of query rows) and attention_step.c (the one
 * query row of a decoding step). */
#ifndef ATTN_ATTENTION_RUN_H
#define ATTN_ATTENTION_RUN_H

#include "layers/attention.h"

/* How a run is cut. By heads, where these are enough for all workers: a task prepares the keys and
 * values of a key head in the worker's own scratch, then goes through all query rows that meet it.
 * Otherwise all heads are prepared first, in the shared scratch, and a task is a block of rows. */
typedef struct attn_attention_layout {
    bool by_heads;
    attn_row_blocks blocks; /* by heads: of one key head */
    size_t keys, values;    /* bytes of a prepared head */
    size_t scores, own;     /* bytes of a block of scores (0: they go to the second output), and of
                             * the steps' scratch */
} attn_attention_layout;

typedef struct attn_attention_job {
    const attn_run_context *c;
    const attn_attention_params *p;
    attn_score_run score;
    attn_select_run select;
    attn_attention_layout l;
    bool cached;        /* keys and values lie in the cache; sizes count all rows */
    attn_value padding; /* cached: of all rows */
} attn_attention_job;

/* Keys that the masks leave out have weight 0 and can be passed over, unless the weights are wanted
 * or may be less than that. */
static inline bool attn_may_narrow(const attn_attention_job *job)
{
    return job->c->outputs == 1 && job->p->normalize.kind != ATTN_NORMALIZE_NONE;
}

/* ---- attention_lead.c: q, k, v [lead..., length, columns] are as many items without the leading
 * dimensions. What else is read has them too, has 1 in their place, or lacks them. padding: its
 * place, or -1. */
typedef attn_status (*attn_item_infer)(attn_infer *c, const void *params);
typedef void (*attn_items_run)(const attn_run_context *c, const void *params);
attn_status attn_lead_infer(attn_infer *c, const void *params, int padding, attn_item_infer infer);
void attn_lead_run(const attn_run_context *c, const void *params, int padding, attn_items_run run);

/* ---- attention_cache.c: an item keeps [ keys | values | padding ]
 *
 *   keys     of a key head: panels [k_dim, context]; a row is a column of one of them
 *   values   of a value head: panels [context, v_dim]; a row is a row of each
 *   padding  i32 [context], if there is such an operand */

/* What the node keeps: its parts into c. z, y: of `context` rows. */
attn_status attn_attention_keep(attn_infer *c, const attn_attention_params *p,
                                const attn_score_size *z, const attn_select_size *y);
/* Points the job at the cache, and appends the padding. */
void attn_attention_resume(attn_attention_job *job);
/* Appends this run's keys or values of a head. */
void attn_append_keys(const attn_attention_job *job, size_t item, size_t head);
void attn_append_values(const attn_attention_job *job, size_t item, size_t head);
char *attn_cached_keys(const attn_attention_job *job, size_t item, size_t head);
char *attn_cached_values(const attn_attention_job *job, size_t item, size_t head);

/* ---- attention_step.c: one query row after cached keys ---- */

/* Is it for this? z: with q_len. */
bool attn_is_step(const attn_attention_params *p, const attn_score_size *z,
                  const attn_select_size *y);
/* Its scratch. z, y: of `context` rows. */
attn_status attn_step_scratch(attn_infer *c, const attn_attention_params *p,
                              const attn_score_size *z);
void attn_step_run(attn_attention_job *job);

#endif
