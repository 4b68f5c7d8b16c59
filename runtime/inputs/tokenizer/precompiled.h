/* SentencePiece's precompiled character map: which text becomes which.
 *
 *   u32 bytes of the trie | trie: a double array of u32 units | texts, each ended by a zero byte
 *
 * A unit of the trie: label in bits 0-7 and 31, "a text ends at my child 0" in bit 8, the distance
 * to the children in bits 10-30, times 256 if bit 9 is set. The value of a text is where its
 * replacement begins. All numbers are little-endian. */
#ifndef ATTN_TOKENIZER_PRECOMPILED_H
#define ATTN_TOKENIZER_PRECOMPILED_H

#include "runtime/inputs/tokenizer/text.h"

typedef struct attn_precompiled attn_precompiled;

/* "precompiled_charsmap" of a tokenizer.json. Errors are "FILE: PLACE: ...": not base64, a trie
 * that is not whole units or goes beyond the end, replacements that are not UTF-8. */
attn_status attn_precompiled_read(attn_precompiled **out, const char *base64, const char *file,
                                  const char *place, bool longest, attn_arena *arena,
                                  attn_error *err);

/* The `tokenizers` library's Precompiled normalizer: a grapheme of less than 6 bytes is replaced as
 * a whole by what the shortest of its beginnings that the map holds becomes; otherwise each of its
 * characters alone is looked up. If `longest`, what the sentencepiece library does: the longest
 * text of the map that stands at a place is replaced. Linear. */
attn_status attn_precompiled_apply(const attn_precompiled *p, const attn_string *in,
                                   attn_string *out, attn_error *err);

#endif
