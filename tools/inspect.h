/* Parts of attn inspect. */
#ifndef TOOLS_INSPECT_H
#define TOOLS_INSPECT_H

#include "tools/cli.h"

/* Each weight as the layers use it: its shape, its type in the file and in memory, its bytes. */
void inspect_print_weights(const attn_model *m);
cJSON *inspect_weights_json(const attn_model *m);

/* Whether a layer uses the tensor, or one that it belongs to. */
bool inspect_is_used(const attn_model *m, const attn_weight *w);
/* Whether it is the scales or the shape of another one. */
bool inspect_is_part(const attn_model *m, const attn_weight *w);

#endif
