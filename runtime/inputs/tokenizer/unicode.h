/* UTF-8, and what the `tokenizers` library takes a character for.
 *
 * Its parts follow different versions of Unicode: the categories of its BERT parts are those of
 * Unicode 8, its decompositions those of Unicode 11, \w, numbers and letter case those of Unicode
 * 16 and 17. So these properties stand in a table made from its behaviour, and the same text gives
 * the same ids whatever version of utf8proc is installed; utf8proc says what a character that the
 * table names decomposes to, composes to, and its lower case. */
#ifndef ATTN_TOKENIZER_UNICODE_H
#define ATTN_TOKENIZER_UNICODE_H

#include "runtime/base/memory.h"

enum {
    ATTN_IS_SPACE = 1 << 0,
    ATTN_IS_PUNCTUATION = 1 << 1,
    ATTN_IS_CONTROL = 1 << 2,    /* what BERT's cleaning leaves out, but tab and line ends */
    ATTN_IS_NONSPACING = 1 << 3, /* Mn */
    ATTN_IS_MARK = 1 << 4,       /* Mn, Mc, Me */
    ATTN_IS_NUMBER = 1 << 5,     /* Nd, Nl, No */
    ATTN_IS_WORD = 1 << 6,       /* \w */
    ATTN_DECOMPOSES = 1 << 7,    /* NFKD changes it */
    ATTN_HAS_CLASS = 1 << 8,     /* a combining class other than 0 */
    ATTN_IS_SECOND = 1 << 9,     /* may compose with a character before it */
    ATTN_IS_CHINESE = 1 << 10,   /* as BERT has it */
};

/* The properties of the first two planes flat, of the others by search. */
enum { ATTN_UNICODE_FLAT = 0x20000 };
typedef struct attn_unicode {
    uint16_t *flat; /* [ATTN_UNICODE_FLAT] */
} attn_unicode;

attn_status attn_unicode_init(attn_unicode *u, attn_arena *arena, attn_error *err);
unsigned attn_unicode_search(uint32_t c); /* c >= ATTN_UNICODE_FLAT */

static inline unsigned attn_unicode_of(const attn_unicode *u, uint32_t c)
{
    return c < ATTN_UNICODE_FLAT ? u->flat[c] : attn_unicode_search(c);
}

/* The character at text, which is valid UTF-8; its length. */
static inline size_t attn_utf8_read(const char *text, uint32_t *c)
{
    const unsigned char *s = (const unsigned char *)text;
    if (s[0] < 0x80) return *c = s[0], 1;
    if (s[0] < 0xe0) return *c = (s[0] & 0x1fu) << 6 | (s[1] & 0x3fu), 2;
    if (s[0] < 0xf0) return *c = (s[0] & 0x0fu) << 12 | (s[1] & 0x3fu) << 6 | (s[2] & 0x3fu), 3;
    *c = (s[0] & 0x07u) << 18 | (s[1] & 0x3fu) << 12 | (s[2] & 0x3fu) << 6 | (s[3] & 0x3fu);
    return 4;
}

/* Where the character before text[at] begins; at > 0. */
static inline size_t attn_utf8_back(const char *text, size_t at)
{
    do at--;
    while (at && (text[at] & 0xc0) == 0x80);
    return at;
}

/* Writes a character; its length. */
size_t attn_utf8_write(uint32_t c, char *text);
static inline size_t attn_utf8_length(uint32_t c)
{
    return c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
}
/* The bytes of the valid character at text[0..length), or 0; then *bad is how many bytes one U+FFFD
 * stands for. */
size_t attn_utf8_valid(const char *text, size_t length, size_t *bad);
/* The bytes at the beginning that are ASCII. */
size_t attn_ascii_run(const char *text, size_t length);

/* Lower case; 'İ' gives two characters. The number written to out. */
size_t attn_lower(uint32_t c, uint32_t out[2]);
uint32_t attn_combining_class(const attn_unicode *u, uint32_t c);
/* The full decomposition of a character, itself if it has none: at most 18 characters. */
enum { ATTN_DECOMPOSED_MAX = 18 };
size_t attn_decompose(const attn_unicode *u, uint32_t c, bool compatible, uint32_t *out);
/* What two characters compose to, or 0. */
uint32_t attn_compose(const attn_unicode *u, uint32_t a, uint32_t b);

#endif
