/* What a run gave beside what it should give: attn trace --compare, attn import --check. */
#ifndef TOOLS_COMPARE_H
#define TOOLS_COMPARE_H

#include "tools/cli.h"

typedef struct compare_result {
    double worst, largest; /* the largest difference; the largest finite value of the reference */
    size_t place;          /* of the largest difference */
    double have, want;     /* there */
    bool differs; /* by more than the tolerance, or a tenth of it times the largest value */
} compare_result;

/* The reference: a .safetensors or .npz file, closed by attn_weights_close. */
attn_status compare_open(attn_weights *reference, const char *path, attn_error *err);
/* items: the batch of ours; the reference has all items, or one. Errors: ATTN_BAD_INPUT: another
 * number of elements. */
attn_status compare_values(const attn_value *ours, size_t items, const attn_weight *reference,
                           double tolerance, compare_result *result, attn_error *err);

#endif
