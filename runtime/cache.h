/* The cache of a session: what nodes keep of earlier rows, and the position that they share.
 *
 *   item 0: [ node | node | ... ]    item 1: the same    ...
 *
 * A node's place within an item, and its parts, are the plan's (attn_plan_cache). */
#ifndef ATTN_CACHE_H
#define ATTN_CACHE_H

#include "runtime/plan.h"

typedef struct attn_cache {
    size_t past;  /* rows in use, of every item */
    size_t items; /* in use: the batch of the runs */
    size_t room;  /* items that there is memory for */
    char *data;
    size_t bytes;
    size_t item_bytes, parts;
    attn_plan_cache *part; /* [parts], then room for `room` counts, each size_t */
    size_t part_bytes;
} attn_cache;

/* Makes room for a run of this plan: ATTN_LIMIT if its rows do not fit after those there are. What
 * is kept stays; a plan that it is not for is refused (ATTN_BAD_ARGUMENT). */
attn_status attn_cache_prepare(attn_cache *cache, const attn_plan *plan, attn_memory *memory,
                               attn_error *err);
/* Do the plan's rows fit? */
attn_status attn_cache_check(const attn_cache *cache, const attn_plan *plan, attn_error *err);
void attn_cache_free(attn_cache *cache, attn_memory *memory);

#endif
