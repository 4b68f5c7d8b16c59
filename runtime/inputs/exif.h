/* The orientation tag of a photo. */
#ifndef ATTN_INPUTS_EXIF_H
#define ATTN_INPUTS_EXIF_H

#include <stddef.h>
#include <stdint.h>

/* The orientation 1..8 that a JPEG (APP1: EXIF, else XMP) or PNG (eXIf) file states; 1 for none,
 * for another format, and for malformed metadata. data: [size] */
int attn_exif_orientation(const uint8_t *data, size_t size);

#endif
