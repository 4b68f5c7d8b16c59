/* What a model holds. Immutable after attn_model_open. */
#ifndef ATTN_MODEL_H
#define ATTN_MODEL_H

#include "runtime/graph.h"
#include "runtime/inputs/preprocess.h"
#include "runtime/weights/params.h"

struct attn_model {
    attn_memory memory;
    attn_arena arena;
    bool plain_import;            /* as asked for */
    bool wants_text;              /* `imported` is wanted */
    attn_precision precision;     /* what was asked for, or else what the weight file asks for */
    const char *folder;           /* "models/cifar10_cct" */
    const char *description_name; /* the description's file, or "vit.json (built in)" */
    bool builtin;                 /* the description is inside the library */
    const char *config_name;      /* or the GGUF file; NULL: the folder has none */
    const char *weights_name;     /* NULL: the folder has none */
    const char *imported;         /* the description, as text, that was made of an ONNX file; NULL:
                                   * there is a file, or a built-in */
    const char *preprocess_name;  /* NULL: the folder has none */
    const char *name;
    attn_weights weights;
    attn_graph graph;
    attn_params params;
    void *packed;          /* the weights as the layers use them; NULL: they are mapped */
    attn_file kept;        /* where they are mapped */
    const char *kept_name; /* NULL: nowhere */
    const char *notice;    /* NULL, or what attn_model_notice says */
    const attn_kernels *kernels;
    attn_preprocess preprocess;
};

/* attn_model_open without the packing: everything is checked, nothing can run. */
attn_status attn_model_describe(attn_model **out, const char *path,
                                const attn_model_options *options, attn_error *err);

/* What the products of attention are computed with: bf16 for a model in bf16 or int8, otherwise
 * f32. */
attn_panel_type attn_model_products(const attn_model *model);

/* How a photo becomes the image input `port`. Errors: neither the input nor the folder says so; it
 * would give an i32 input other numbers than integers. */
attn_status attn_image_preprocess(const attn_model *model, const attn_port *port,
                                  attn_preprocess *out, attn_error *err);

/* The size that the preprocessing gives must be that of the image input `port`, where the
 * description fixes it. */
attn_status attn_check_photo_size(const attn_model *model, const attn_port *port, size_t height,
                                  size_t width, attn_error *err);

/* Where the description of `path` comes from: a file of the folder, or a built-in that matches its
 * config.json or the architecture of its GGUF file; or it is made of an ONNX file. *root is the
 * caller's (cJSON_Delete). */
typedef struct attn_found {
    cJSON *root;
    const char *text; /* of a built-in, in `builtins`; NULL: a file */
    size_t length;
    cJSON *config; /* of config.json or of the GGUF file; NULL: there is none */
    char *builtins;
    attn_memory *memory; /* that they lie in */
} attn_found;

/* Fills model->folder and the names, and *found, whose trees the caller frees by
 * attn_found_free, also after an error. The weights of a GGUF or ONNX file, which are more
 * than weights, are opened. */
attn_status attn_find_description(attn_model *model, const char *path, attn_found *found,
                                  attn_error *err);
void attn_found_free(attn_found *found);

#endif
