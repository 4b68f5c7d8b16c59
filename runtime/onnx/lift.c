#include "runtime/onnx/lift.h"

attn_status attn_lift(attn_ir *ir, bool *keep_batch)
{
    attn_lift_dequantized(ir);
    ATTN_TRY(attn_ir_probe(ir));
    attn_ir_fold(ir);
    ATTN_TRY(attn_ir_unroll(ir)); /* an If whose condition is one of sizes */
    attn_lift_sizes(ir);
    attn_lift_trivial(ir);
    attn_lift_moves(ir);
    ATTN_TRY(attn_ir_probe(ir));
    attn_lift_trivial(ir);
    attn_lift_norms(ir);
    attn_lift_activations(ir);
    attn_lift_conv(ir);
    attn_lift_linear(ir);
    attn_lift_attention(ir);
    attn_lift_masks(ir);
    attn_lift_sizes(ir);
    if (!*keep_batch) ATTN_TRY(attn_lift_batch(ir, keep_batch));
    attn_lift_names(ir);
    return attn_ir_status(ir);
}
