/* Texts of like length together, so that little of a batch is padding. */
#ifndef ATTN_TEXT_BATCHES_H
#define ATTN_TEXT_BATCHES_H

#include "runtime/attn_text.h"
#include "runtime/base/memory.h"

/* encoding: [count], is sorted by length, longest first; index[i]: which one encoding[i] was. */
void attn_batches_sort(attn_encoding *encoding, size_t *index, size_t count);

/* How many of the sorted encodings run together, of those from the first of `count` on. */
size_t attn_batches_next(const attn_encoding *encoding, size_t count);

#endif
