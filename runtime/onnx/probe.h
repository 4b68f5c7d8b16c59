/* What probe.c and probe_fit.c share. */
#ifndef ATTN_ONNX_PROBE_H
#define ATTN_ONNX_PROBE_H

#include "runtime/onnx/ir.h"
#include "runtime/plan.h"

enum {
    ATTN_PROBES = ATTN_IR_MAX_SYMBOLS + 2, /* plans: the base, each symbol changed, all changed */
    ATTN_PROBE_ELEMENTS = 64,              /* of a value, that are fitted one by one */
    ATTN_PROBE_FIXED = 1 << 16,            /* of a value that is the same at every size */
};

/* The plans of one set of sizes. probe 0: base sizes; 1 + s: symbol s has another; the last: all
 * have a third. */
typedef struct attn_probe_set {
    size_t symbols, probes;
    long size[ATTN_PROBES][ATTN_IR_MAX_SYMBOLS];
    attn_plan *plan[ATTN_PROBES];
    /* Sizes that are no such sum, by the numbers that they have in the probes. */
    size_t deriveds;
    long derived[ATTN_IR_MAX_DERIVED][ATTN_PROBES];
} attn_probe_set;

/* What number[0..set->probes) is, as base + factor * symbols; not known if it is nothing of the
 * kind. */
attn_ir_amount attn_probe_fit(attn_probe_set *set, const long *number);
/* Fills what the value is known to be from its place in the plans. */
void attn_probe_value(attn_ir *ir, attn_probe_set *set, attn_ir_value *value, size_t index);
/* Forgets it. */
void attn_probe_forget(attn_ir_value *value);
/* A constant's shape and elements are those of its tensor. */
void attn_probe_constant(attn_ir *ir, attn_ir_value *value);

#endif
