/* The modules of a folder of sentence-transformers: what makes a vector of a text. */
#ifndef ATTN_TEXT_MODULES_H
#define ATTN_TEXT_MODULES_H

#include "runtime/json.h"
#include "runtime/weights/weights.h"

enum { ATTN_MAX_MODULES = 16, ATTN_MAX_POOLINGS = 6 };

typedef enum attn_pooling {
    ATTN_POOL_CLS,
    ATTN_POOL_MAX,
    ATTN_POOL_MEAN,
    ATTN_POOL_MEAN_SQRT,     /* the sum / sqrt(tokens) */
    ATTN_POOL_WEIGHTED_MEAN, /* token t counts t + 1 times */
    ATTN_POOL_LAST,
} attn_pooling;

typedef struct attn_module {
    enum { ATTN_MODULE_POOLING, ATTN_MODULE_DENSE, ATTN_MODULE_NORMALIZE } kind;
    size_t poolings; /* pooling: their vectors one after the other */
    attn_pooling pooling[ATTN_MAX_POOLINGS];
    bool include_prompt;
    attn_weights file; /* dense: y = activation(W x + b); W [out, in] */
    size_t in, out;
    const float *weight, *bias; /* in the arena; bias may be NULL */
    attn_unary activation;
    bool identity;
} attn_module;

typedef struct attn_modules {
    const char *folder; /* of the transformer */
    size_t max_tokens;  /* 0: not said */
    bool lower;
    bool by_default; /* there is no modules.json */
    cJSON *config;   /* config_sentence_transformers.json, or NULL */
    size_t count;
    attn_module module[ATTN_MAX_MODULES];
} attn_modules;

/* Reads the folder's files; without modules.json: mean pooling and normalisation. */
attn_status attn_modules_read(attn_modules *m, const char *folder, attn_memory *memory,
                              attn_arena *arena, attn_error *err);
void attn_modules_close(attn_modules *m);

/* The text of a prompt by its name; NULL: the default's. "" where there is none. Errors: no prompt
 * of this name. */
attn_status attn_modules_prompt(const attn_modules *m, const char *name, const char **text,
                                attn_error *err);

/* Columns of the vector that the modules make of rows of `dim` columns; 0: they do not fit. */
size_t attn_modules_size(const attn_modules *m, size_t dim);

/* The vector of a text. rows: [count, dim]; the first `prompt` ones are a prompt's. scratch and
 * out: as many floats as the widest vector on the way, attn_modules_width(). */
void attn_modules_run(const attn_modules *m, const attn_kernels *kernels, const float *rows,
                      size_t count, size_t dim, size_t prompt, float *scratch, float *out);
size_t attn_modules_width(const attn_modules *m, size_t dim);

#endif
