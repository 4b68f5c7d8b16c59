/* What a session holds. Used by one thread at a time. */
#ifndef ATTN_SESSION_H
#define ATTN_SESSION_H

#include "runtime/cache.h"
#include "runtime/model.h"
#include "runtime/plan.h"
#include "runtime/threads.h"

typedef struct attn_session_input {
    attn_tensor value; /* the caller's data, or ours below */
    bool set;
    void *own; /* a photo after preprocessing */
    size_t own_bytes;
} attn_session_input;

/* Called after each step of attn_run, for tracing: its operands still hold. seconds: the step's. */
typedef void (*attn_observer)(void *user, const attn_plan_step *step, double seconds);

struct attn_session {
    const attn_model *model;
    attn_memory memory;
    attn_session_options options;
    attn_pool *pool;
    attn_session_input input[ATTN_MAX_PORTS];
    attn_plan *plans; /* most recently used first */
    attn_plan *plan;  /* for the inputs as they are set; NULL: attn_prepare is due */
    bool ran;
    char *arena;
    size_t arena_bytes;
    char *state;
    size_t state_bytes;
    size_t state_batch, state_dim[ATTN_MAX_PORTS][ATTN_MAX_RANK]; /* what the state is for */
    attn_cache cache;
    size_t text;    /* rows that the text of the caches is known to get, or 0 */
    size_t turn;    /* texts of more rows are rotated otherwise (attn_layer.turn); 0: none are */
    bool past_turn; /* what the caches keep is of such a text */
    attn_observer observer;
    void *observer_user;
};

/* The rows beyond which a layer of the model turns (attn_layer.turn); 0: none does. */
size_t attn_model_turn(const attn_model *model);

#endif
