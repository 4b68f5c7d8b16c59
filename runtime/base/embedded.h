/* Files that ship inside the binary, which embed.cmake has joined and deflated. */
#ifndef ATTN_BASE_EMBEDDED_H
#define ATTN_BASE_EMBEDDED_H

#include "runtime/base/memory.h"

typedef struct attn_embedded_file {
    const char *name; /* "vit.json" */
    size_t offset, length;
} attn_embedded_file;

typedef struct attn_embedded {
    const unsigned char *packed;
    size_t packed_bytes, bytes;
    const attn_embedded_file *file; /* ended by a NULL name */
} attn_embedded;

extern const attn_embedded attn_builtins; /* the descriptions, models/ */

/* The joined files, with a terminating zero, into *text, the caller's: attn_release of
 * e->bytes + 1. */
attn_status attn_embedded_open(const attn_embedded *e, attn_memory *memory, char **text,
                               attn_error *err);

#endif
