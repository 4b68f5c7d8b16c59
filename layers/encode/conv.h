/* What the ways of convolution share: conv.c chooses among conv_direct.c, conv_packed.c, and, for
 * groups of one channel, conv_depthwise.c. */
#ifndef ATTN_CONV_H
#define ATTN_CONV_H

#include "layers/encode/window.h"
#include "layers/support.h"

typedef struct attn_conv_params {
    attn_param weight, bias;
    int weight_operand, bias_operand; /* or -1 */
    attn_unary unary;
    size_t groups;
    int axes; /* 0: as the weight says */
    attn_windows windows;
} attn_conv_params;

/* One image: [C, D, H, W]; y [O, D', H', W']. Axes that there are not have one element. */
typedef struct attn_conv_size {
    size_t out, group_in, k; /* output channels; input channels of a group; terms of a sum */
    attn_window z, y, x;
    size_t plane, pixels; /* elements of a channel of x, and of y */
    size_t images;        /* of one item */
} attn_conv_size;

/* The weight [O, C / groups, kernel...] and bias of an item. */
static inline const float *attn_conv_weight(const attn_run_context *c, const attn_conv_params *p,
                                            size_t item)
{
    return p->weight.source ? p->weight.data : attn_item(&c->in[p->weight_operand], item);
}
static inline const float *attn_conv_bias(const attn_run_context *c, const attn_conv_params *p,
                                          size_t item)
{
    if (p->bias.source) return p->bias.data;
    return p->bias_operand < 0 ? NULL : attn_item(&c->in[p->bias_operand], item);
}

/* Rows of x as they are copied, with the padding around them, so that a tap of a row of y is a run
 * of neighbours. With a stride s along the rows a copied row is s runs: the columns 0, s, 2 s ...
 * of the padded row, then 1, 1 + s ... and so on. */
typedef struct attn_conv_copy {
    size_t run, pitch; /* floats of a run; of a row */
    size_t rows;       /* of a plane, for those of y that a task computes at a time */
    size_t plane;      /* floats from plane to plane: neighbours do not meet in the cache */
} attn_conv_copy;

/* For `rows` rows of y, `columns` pixels of each. Errors: overflow, of the copy of all planes of a
 * group. */
attn_status attn_conv_fit_copy(attn_infer *c, const attn_conv_size *s, size_t rows, size_t columns,
                               size_t *floats);
attn_conv_copy attn_conv_cut_copy(const attn_conv_size *s, size_t rows, size_t columns);
/* Where tap k lies in the copies of all planes that a sum takes: offset [s->k]. */
void attn_conv_offsets(const attn_conv_size *s, const attn_conv_copy *t, size_t *offset);
/* A plane of x, or NULL if it is padding: what rows [first, first + rows) of y take of it, from
 * pixel `column` of each on. Up to ATTN_TAPS_BEHIND floats behind the copy are written, too; end:
 * of the readable memory. */
void attn_conv_copy_rows(const attn_kernels *kernels, const attn_conv_size *s,
                         const attn_conv_copy *t, float *to, const float *plane, const float *end,
                         size_t first, size_t rows, size_t column);
/* The same for all planes that plane z of y takes of one group of x. */
void attn_conv_copy_planes(const attn_kernels *kernels, const attn_conv_size *s,
                           const attn_conv_copy *t, float *to, const float *x, size_t z,
                           size_t first, size_t rows, size_t column);

/* What a task computes: plane z of y, of one group's channels. */
typedef struct attn_conv_part {
    size_t z;
    const float *x;      /* the group's channels */
    const float *weight; /* [m, k] */
    const float *bias;   /* [m], or NULL */
    float *y;            /* the plane in the first channel */
} attn_conv_part;
/* Part `index` of all: of the planes of the groups of the images. */
attn_conv_part attn_conv_find(const attn_run_context *c, const attn_conv_params *p,
                              const attn_conv_size *s, size_t index);
/* Rows of the weight [m, k] that stay in the second-level cache while pixels pass by. */
size_t attn_conv_cut_weight(size_t m, size_t k);
/* The product of so many rows, from `row` on, that lacks the pixels: n and w. y: part's plane. */
attn_gemm attn_conv_rows(const attn_conv_params *p, const attn_conv_size *s,
                         const attn_conv_part *part, size_t row);
/* Whether the pixels' columns are x as it is. */
bool attn_conv_is_pointwise(const attn_conv_size *s);

/* Pixels are packed into panels. parts: see attn_conv_find. */
attn_status attn_conv_packed_scratch(attn_infer *c, const attn_conv_size *s, size_t parts);
void attn_conv_run_packed(const attn_run_context *c, const attn_conv_params *p,
                          const attn_conv_size *s, size_t parts);

/* Pixels are read where they lie in the copied rows, in pieces of attn_kernels.piece neighbours.
 * Where a piece goes over the end of a row, so does y, at first. */
typedef struct attn_conv_direct {
    size_t rows, blocks; /* of y in a task; tasks of a plane */
    size_t pieces;       /* of a task; at most */
    bool whole;          /* pieces hold pixels of y alone, in order */
    attn_conv_copy copy;
} attn_conv_direct;
/* False if packing costs less. m: output channels of a group. */
bool attn_conv_cut_direct(const attn_kernels *kernels, const attn_conv_size *s, size_t m,
                          size_t parts, size_t workers, attn_conv_direct *d);
attn_status attn_conv_direct_scratch(attn_infer *c, const attn_conv_size *s, size_t m,
                                     const attn_conv_direct *d);
void attn_conv_run_direct(const attn_run_context *c, const attn_conv_params *p,
                          const attn_conv_size *s, const attn_conv_direct *d, size_t parts);

/* Whether a group is one channel of images that have no depth. */
static inline bool attn_conv_is_depthwise(const attn_conv_params *p, const attn_conv_size *s)
{
    return s->group_in == 1 && p->groups > 1 && s->z.in == 1 && s->z.kernel == 1;
}
attn_status attn_conv_depthwise_scratch(attn_infer *c, const attn_conv_size *s);
void attn_conv_depthwise(const attn_run_context *c, const attn_conv_params *p,
                         const attn_conv_size *s);

#endif
