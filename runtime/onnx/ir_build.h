/* How the importer's graph is made of a file: ir_build.c, ir_types.c. */
#ifndef ATTN_ONNX_IR_BUILD_H
#define ATTN_ONNX_IR_BUILD_H

#include "runtime/onnx/ir.h"

/* The types of the node's outputs, where they are not known yet. */
void attn_ir_infer_types(attn_ir_node *node);
/* The dimensions of the inputs, and the symbols. Errors: ATTN_BAD_MODEL: an input that is no
 * tensor, or has no shape; ATTN_LIMIT: too many symbols. */
attn_status attn_ir_read_inputs(attn_ir *ir, const size_t photo[2]);

#endif
