/* attn pack: a model's weights written again in another precision, as a folder that runs like any
 * other. Streams: a few MB of memory, whatever the size of the weights. */
#ifndef ATTN_PACK_H
#define ATTN_PACK_H

#include "runtime/model.h"

typedef struct attn_pack_report {
    size_t tensors; /* of layers, scales not counted */
    size_t packed;  /* of these, in the new precision */
    size_t bytes;   /* of the weight file */
    char file[512]; /* its path */
} attn_pack_report;

/* Writes a folder with the description, config, labels, preprocessing and tokenizer files of
 * `model` and its weights, those that are the matrix of linear or patch_embed layers and nothing
 * else in the model's precision, others unchanged. model: attn_model_describe with the precision
 * wanted; ATTN_AS_FILE: all unchanged. The folder must not exist, or be empty; it appears whole, or
 * not at all. Errors: ATTN_IO; ATTN_BAD_MODEL: a weight that the precision cannot hold (NaN; too
 * large).
 */
attn_status attn_pack_folder(attn_model *model, const char *folder, attn_pack_report *report,
                             attn_error *err);

/* ---- parts -------------------------------------------------------------------------------- */

/* A file that is being written. */
typedef struct attn_output_file {
    int fd;
    const char *path; /* for messages */
} attn_output_file;

/* All of data[0..size) at `offset`. */
attn_status attn_write_at(const attn_output_file *out, size_t offset, const void *data, size_t size,
                          attn_error *err);

/* How a tensor is written. */
typedef enum attn_pack_form {
    ATTN_PACK_COPY,
    ATTN_PACK_F32,
    ATTN_PACK_BF16,
    ATTN_PACK_F16,
    ATTN_PACK_INT8,
    ATTN_PACK_INT4,
} attn_pack_form;

typedef struct attn_pack_tensor {
    const attn_weight *source;
    attn_pack_form form;
    bool transposed;           /* int8, int4: the outputs are the last of two dimensions */
    size_t rows, columns;      /* the first dimension, the product of the others */
    size_t data, scale, shape; /* int8, int4: offsets in the file; otherwise data alone */
} attn_pack_tensor;

/* The whole weight file; adds to the report. */
attn_status attn_pack_weights(attn_model *model, const attn_output_file *out,
                              attn_pack_report *report, attn_error *err);

/* One tensor of it. memory: for a block of about a megabyte, or of one row. */
attn_status attn_pack_write(const attn_pack_tensor *t, const attn_output_file *out,
                            attn_memory *memory, attn_error *err);

#endif
