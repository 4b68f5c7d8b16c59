/* What preprocessor_config.json says, or "image" of a description's input (see models/FORMAT.md,
 * Inputs): from an upright RGB image to the pixels of the model.
 *
 *     resize -> centre crop -> rescale -> normalize -> pad
 *
 * The reference is the PIL/NumPy path of Hugging Face's image processors (transformers 5:
 * backend="pil"), also where the file names a ...Fast class or where transformers would choose
 * torchvision, whose antialiased resize differs by a level here and there. Results are equal to
 * that path bit for bit. As there, null means "not given", and what is not given has the default
 * of the class in image_processor_type or feature_extractor_type: ViT, DeiT, CLIP, Bit, ConvNext,
 * LeViT, SigLIP, BEiT and SegFormer are known. Another class, or none, is accepted only if the
 * file itself says everything that matters.
 *
 * Alpha is dropped by the loader before any of this (see image.h), so do_convert_rgb changes
 * nothing. */
#ifndef ATTN_INPUTS_PREPROCESS_H
#define ATTN_INPUTS_PREPROCESS_H

#include "runtime/inputs/image.h"
#include "runtime/inputs/resize.h"
#include "runtime/json.h"

typedef enum attn_size_rule {
    ATTN_SIZE_EXACT,    /* height x width */
    ATTN_SIZE_SHORTEST, /* the shorter side becomes `shortest`; the longer one is truncated */
    ATTN_SIZE_LONGEST,  /* the same, but the longer side at most `longest` */
    ATTN_SIZE_WITHIN,   /* the largest that fits into height x width */
    ATTN_SIZE_HEIGHT,   /* `height`, and a width in proportion: see attn_preprocess_geometry */
} attn_size_rule;

/* Plain data: may be copied, owns nothing. */
typedef struct attn_preprocess {
    bool do_resize, do_center_crop, do_rescale, do_normalize, do_pad;
    attn_size_rule rule;
    size_t height, width, shortest, longest;
    attn_filter resample;
    size_t crop_height, crop_width;
    size_t pad_height, pad_width;
    double rescale_factor;
    float mean[3], std[3]; /* of red, green and blue, whatever their order in the result */
    size_t min_width, max_width, multiple; /* ATTN_SIZE_HEIGHT: of the result's width */
    /* How the result lies: as the input of the model that it is for. */
    bool channels_last, bgr, bytes; /* bytes: uint8 instead of float */
} attn_preprocess;

/* Reads the object `root` of the file `file` (for messages).
 * Errors: ATTN_BAD_FILE: a key of the wrong kind or value; a key that is not known and not null or
 * false; an unknown image processor for which not all is given. */
attn_status attn_preprocess_parse(attn_preprocess *preprocess, const char *file, const cJSON *root,
                                  attn_error *err);

typedef struct attn_geometry {
    size_t height, width;                 /* of the result */
    size_t resized_height, resized_width; /* between resize and crop */
    ptrdiff_t top, left;                  /* of the result in the resized image; may be < 0 */
    /* What the model sees, in pixels of the upright photo; reaches outside where zeros are added.
     */
    double x, y, photo_width, photo_height;
} attn_geometry;

/* size: height and width of every result, or zeros where they depend on the image. */
void attn_preprocess_size(const attn_preprocess *preprocess, size_t size[2]);

/* ATTN_SIZE_HEIGHT: of an image of height h and width w, r = height * (w / h) in double. The result
 * is r wide, rounded down, at least min_width, rounded up to a multiple, and at most max_width;
 * what the image does not fill at the right is 0. The image itself becomes r wide, rounded up, or
 * as wide as the result if that is less. So PaddleOCR does it (with 320 and 1).
 *
 * Errors: ATTN_BAD_INPUT if a side would become 0; ATTN_LIMIT if the resized image would have more
 * than ATTN_IMAGE_MAX_PIXELS pixels. */
attn_status attn_preprocess_geometry(const attn_preprocess *preprocess, size_t image_height,
                                     size_t image_width, attn_geometry *geometry, attn_error *err);

/* pixels: [3, height, width] of attn_preprocess_geometry, or [height, width, 3] with channels_last;
 * float or uint8 (bytes: without rescaling and normalizing). Errors: as there, and of
 * attn_resize. */
attn_status attn_preprocess_apply(const attn_preprocess *preprocess, const attn_image *image,
                                  void *pixels, attn_memory *memory, attn_error *err);

#endif
