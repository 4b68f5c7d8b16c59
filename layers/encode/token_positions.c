/* token_positions: the places of tokens, with padding left out of the count.
 *   ids, y: [seq] i32; y[t] = first + the number of ids before t that are not `padding_id`;
 *   a padding token itself has first - 1
 * Wherever a text is padded, its tokens have the positions that they have without. */
#include "layers/support.h"

typedef struct token_positions_params {
    long padding_id, first;
} token_positions_params;

static attn_status token_positions_parse(attn_reader *r, void *params)
{
    token_positions_params *p = params;
    ATTN_TRY(attn_need_inputs(r, 1, 1, NULL));
    ATTN_TRY(attn_need_outputs(r, 1, 1, NULL));
    ATTN_TRY(attn_need_int(r, "padding_id", INT32_MIN, INT32_MAX, &p->padding_id));
    return attn_read_int(r, "first", 0, 1L << 30, &p->first);
}

static attn_status token_positions_infer(attn_infer *c, const void *params)
{
    (void)params;
    ATTN_TRY(attn_want_filled(c, 0, ATTN_I32, 1, 1));
    if (c->in[0].dim[0] > (size_t)1 << 30)
        return attn_infer_fail(c, "%zu tokens are more than %zu", c->in[0].dim[0], (size_t)1 << 30);
    c->out[0] = c->in[0];
    return ATTN_OK;
}

static void token_positions_run(const attn_run_context *c, const void *params)
{
    const token_positions_params *p = params;
    for (size_t item = 0; item < c->batch; item++) {
        const int32_t *ids = attn_item_i32(&c->in[0], item);
        int32_t *y = attn_item_i32(&c->out[0], item), next = (int32_t)p->first;
        for (size_t t = 0; t < c->in[0].count; t++) {
            bool padding = ids[t] == p->padding_id;
            y[t] = padding ? (int32_t)p->first - 1 : next;
            next += !padding;
        }
    }
}

const attn_layer attn_layer_token_positions = {"token_positions",
                                               ATTN_STEP_ENCODE,
                                               0,
                                               sizeof(token_positions_params),
                                               token_positions_parse,
                                               token_positions_infer,
                                               token_positions_run};
