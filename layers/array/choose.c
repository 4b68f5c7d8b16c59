/* choose: one of two values, by a flag that is known before a run.
 *   flag: i32, one element; a, b: any shape and dtype, each its own; y: a if flag is not 0, else b
 * What only the value that is not taken needs is not computed, and its shapes need not fit: it has
 * no elements then. */
#include "layers/support.h"

#include <string.h>

static attn_status choose_parse(attn_reader *r, void *params)
{
    (void)params;
    ATTN_TRY(attn_need_inputs(r, 3, 3, NULL));
    return attn_need_outputs(r, 1, 1, NULL);
}

static size_t taken(const void *flag)
{
    return *(const int32_t *)flag ? 1 : 2;
}

static attn_status choose_infer(attn_infer *c, const void *params)
{
    const void *flag;
    (void)params;
    ATTN_TRY(attn_want_known(c, 0, "the condition", &flag));
    c->out[0] = c->in[taken(flag)];
    return ATTN_OK;
}

static void choose_run(const attn_run_context *c, const void *params)
{
    (void)params;
    const attn_value *from = &c->in[taken(c->in[0].data)], *to = &c->out[0];
    for (size_t item = 0; item < c->batch; item++)
        memcpy(attn_item(to, item), attn_item(from, item), to->count * sizeof(float));
}

const attn_layer attn_layer_choose = {"choose",  ATTN_STEP_SHARED, ATTN_CHOOSES | ATTN_TAKES_EMPTY,
                                      1,         choose_parse,     choose_infer,
                                      choose_run};
