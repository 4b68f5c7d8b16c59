/* Status, errors and checked sizes: the vocabulary below everything else. */
#ifndef ATTN_BASE_STATUS_H
#define ATTN_BASE_STATUS_H

#include "runtime/attn.h"

#include <stdarg.h>

/* Fills err (may be NULL) and returns status, so that a caller writes `return attn_fail(...)`.
 * Control characters in the text become '?': it stays one line whatever a hostile file holds. */
attn_status attn_fail(attn_error *err, attn_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
attn_status attn_fail_v(attn_error *err, attn_status status, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));

#define ATTN_TRY(call)                                                                             \
    do {                                                                                           \
        attn_status try_status = (call);                                                           \
        if (try_status != ATTN_OK) return try_status;                                              \
    } while (0)

/* a * b and a + b; false on overflow (then *out is not to be used). */
static inline bool attn_mul(size_t a, size_t b, size_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}
static inline bool attn_add(size_t a, size_t b, size_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}

/* Product of dim[0..rank); 1 for rank 0; false on overflow. */
bool attn_product(const size_t *dim, int rank, size_t *out);

/* "[3, 224, 224]" into text; returns text, for use in messages. */
typedef struct attn_shape_text {
    char text[192];
} attn_shape_text;
const char *attn_format_shape(attn_shape_text *buffer, const size_t *dim, int rank);

#endif
