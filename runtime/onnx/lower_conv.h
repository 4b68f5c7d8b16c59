/* What operators that are made of a convolution share. */
#ifndef ATTN_ONNX_LOWER_CONV_H
#define ATTN_ONNX_LOWER_CONV_H

#include "runtime/onnx/lower.h"

/* "groups", "stride", "dilation" and "padding" of a layer conv or conv_transpose. */
attn_status attn_lower_conv_attributes(attn_lower *l, const attn_ir_node *node, cJSON *layer);

#endif
