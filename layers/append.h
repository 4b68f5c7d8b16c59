/* Rows that are appended to packed panels which lie in a cache: a token costs its own row, and
 * nothing is packed twice. first: the rows that are there already. The bytes are those that packing
 * all rows at once would make. Types: F32 and BF16_DOT. */
#ifndef ATTN_LAYERS_APPEND_H
#define ATTN_LAYERS_APPEND_H

#include "layers/kernels/kernels.h"

/* Keys: x [count, k] (row stride ldx) becomes the columns from `first` on of panels [k, ...]. */
void attn_append_columns(const attn_kernels *kernels, attn_panel_type type, char *panels, size_t k,
                         size_t first, size_t count, const float *x, size_t ldx);

/* Values: x [count, n] becomes the rows from `first` on of panels [..., n], `stride` bytes from
 * panel to panel. Where the last pair of BF16_DOT has one row, the other is zero. */
void attn_append_rows(const attn_kernels *kernels, attn_panel_type type, char *panels,
                      size_t stride, size_t n, size_t first, size_t count, const float *x,
                      size_t ldx);

#endif
