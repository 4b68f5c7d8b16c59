/* What the parts of planning share (plan.c, plan_known.c). */
#ifndef ATTN_PLANNER_H
#define ATTN_PLANNER_H

#include "runtime/plan.h"

typedef struct attn_planner {
    const attn_graph *graph;
    const attn_plan_options *options;
    const attn_node *node; /* the nodes to run: as described, or fused */
    attn_plan *plan;
    size_t *last; /* [values]: the last step that reads it */
    double work;  /* operations of what was computed here */
    size_t blocks;
    attn_block *block; /* of values and scratch */
    attn_error *err;
} attn_planner;

/* Shapes, places and known elements of one step, whose inputs are placed. */
attn_status attn_plan_place_step(attn_planner *p, size_t s);

/* ---- plan_known.c -------------------------------------------------------------------------- */

/* The elements of an input that is `known`, if they are given: a copy of them into v->known. */
attn_status attn_plan_take_known(attn_planner *p, const attn_port *port, attn_plan_value *v);

/* Runs the step if all that it reads is known: its outputs are, then, and step->known is set. c: of
 * its infer. */
attn_status attn_plan_evaluate(attn_planner *p, attn_plan_step *step, const attn_infer *c);

/* Places all steps; where there are choices (ATTN_CHOOSES), those alone that the chosen values
 * need.
 */
attn_status attn_plan_steps(attn_planner *p);

#endif
