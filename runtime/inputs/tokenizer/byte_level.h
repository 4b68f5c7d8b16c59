/* GPT-2's alphabet: a printable character for each byte. */
#ifndef ATTN_TOKENIZER_BYTE_LEVEL_H
#define ATTN_TOKENIZER_BYTE_LEVEL_H

#include "runtime/inputs/tokenizer/text.h"

uint32_t attn_byte_to_char(unsigned char byte);
/* The byte of a character of the alphabet, or -1. */
int attn_char_to_byte(uint32_t c);
enum { ATTN_BYTE_SPACE = 0x120 }; /* Ġ */

/* The next `bytes` bytes of e->in, whole characters, in the alphabet. */
attn_status attn_byte_level(attn_edit *e, size_t bytes);

#endif
