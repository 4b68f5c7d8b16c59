/* Resizing of 8-bit RGB images, equal to Pillow's Image.resize byte for byte.
 *
 * The convolution filters are separable: each output pixel is a weighted sum of the input pixels
 * within the filter's support, which widens with the scale when an image is made smaller
 * (antialiasing). Weights are computed in double, divided by their sum and rounded to 22 bits
 * after the point, with bytes between the two passes; a pass whose size does not change is left
 * out. The horizontal pass comes first, except where the height loses more than twice as many
 * pixels as the width: since Pillow 13 the vertical pass comes first there (for such images
 * earlier releases of Pillow give other bytes). Reference: Pillow, src/libImaging/Resample.c.
 * Nearest takes the input pixel at a coordinate that is summed up in double, as Pillow's affine
 * transform does (Geometry.c, ImagingScaleAffine).
 *
 * One filter is not Pillow's: OpenCV's linear one, equal to cv2.resize (see resize_opencv.c). */
#ifndef ATTN_INPUTS_RESIZE_H
#define ATTN_INPUTS_RESIZE_H

#include "runtime/base/memory.h"

/* The numbers are Pillow's, as in "resample" of preprocessor_config.json. */
typedef enum attn_filter {
    ATTN_FILTER_NEAREST = 0,
    ATTN_FILTER_LANCZOS = 1,  /* sinc windowed by sinc, support 3 */
    ATTN_FILTER_BILINEAR = 2, /* triangle, support 1 */
    ATTN_FILTER_BICUBIC = 3,  /* Keys' cubic with a = -0.5, support 2 */
    ATTN_FILTER_BOX = 4,
    ATTN_FILTER_HAMMING = 5, /* sinc windowed by Hamming, support 1 */
    ATTN_FILTER_COUNT,
    ATTN_FILTER_OPENCV_LINEAR, /* cv2.INTER_LINEAR: two taps, no antialiasing */
} attn_filter;

/* in: [in_height, in_width, 3], out: [out_height, out_width, 3], not overlapping.
 * Errors: ATTN_BAD_ARGUMENT for a size of 0 or above 2^30, or an unknown filter; ATTN_NO_MEMORY
 * and ATTN_LIMIT for the scratch memory (given back before the return). */
attn_status attn_resize(uint8_t *out, size_t out_height, size_t out_width, const uint8_t *in,
                        size_t in_height, size_t in_width, attn_filter filter, attn_memory *memory,
                        attn_error *err);

/* ATTN_FILTER_OPENCV_LINEAR, for sizes that differ and that attn_resize has checked. */
attn_status attn_resize_opencv(uint8_t *out, size_t out_height, size_t out_width, const uint8_t *in,
                               size_t in_height, size_t in_width, attn_memory *memory,
                               attn_error *err);

#endif
