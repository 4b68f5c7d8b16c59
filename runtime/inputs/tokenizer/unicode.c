#include "runtime/inputs/tokenizer/unicode.h"

#include <string.h>
#include <utf8proc.h>

#include "runtime/inputs/tokenizer/unicode_tables.def"

static const uint16_t flags_of[] = {UNICODE_FLAGS};
static const unsigned char low_ranges[] = {UNICODE_LOW};
static const struct {
    uint32_t first, last, flags;
} high_ranges[] = {UNICODE_HIGH};
enum { HIGH_RANGES = sizeof high_ranges / sizeof *high_ranges };

/* As the original BERT code has it: the blocks of Unicode 8, two of them with a gap. */
static const struct {
    uint32_t first, last;
} chinese[] = {
    {0x3400, 0x4dbf},   {0x4e00, 0x9fff},   {0xf900, 0xfaff},   {0x20000, 0x2a6df},
    {0x2a700, 0x2b73f}, {0x2b740, 0x2b81f}, {0x2b920, 0x2ceaf}, {0x2f800, 0x2fa1f},
};
enum { CHINESE = sizeof chinese / sizeof *chinese };

/* 7 bits a byte, the lowest first. */
static uint32_t read_number(const unsigned char **at)
{
    uint32_t number = 0, byte;
    int shift = 0;
    do {
        byte = *(*at)++;
        number |= (byte & 0x7f) << shift;
        shift += 7;
    } while (byte & 0x80);
    return number;
}

attn_status attn_unicode_init(attn_unicode *u, attn_arena *arena, attn_error *err)
{
    u->flat = attn_arena_get(arena, ATTN_UNICODE_FLAT, sizeof *u->flat, err);
    if (!u->flat) return ATTN_NO_MEMORY;
    const unsigned char *at = low_ranges;
    for (uint32_t c = 0; at < low_ranges + sizeof low_ranges; at++) {
        c += read_number(&at);
        for (uint32_t count = read_number(&at) + 1; count; count--) u->flat[c++] = flags_of[*at];
    }
    for (size_t i = 0; i < CHINESE; i++)
        for (uint32_t c = chinese[i].first; c <= chinese[i].last && c < ATTN_UNICODE_FLAT; c++)
            u->flat[c] |= ATTN_IS_CHINESE;
    return ATTN_OK;
}

unsigned attn_unicode_search(uint32_t c)
{
    unsigned flags = 0;
    for (size_t i = 0; i < HIGH_RANGES; i++)
        if (c >= high_ranges[i].first && c <= high_ranges[i].last) flags = high_ranges[i].flags;
    for (size_t i = 0; i < CHINESE; i++)
        if (c >= chinese[i].first && c <= chinese[i].last) flags |= ATTN_IS_CHINESE;
    return flags;
}

/* ---- UTF-8 -------------------------------------------------------------------------------- */

size_t attn_utf8_write(uint32_t c, char *text)
{
    if (c < 0x80) {
        text[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        text[0] = (char)(0xc0 | c >> 6);
        text[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        text[0] = (char)(0xe0 | c >> 12);
        text[1] = (char)(0x80 | (c >> 6 & 0x3f));
        text[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    text[0] = (char)(0xf0 | c >> 18);
    text[1] = (char)(0x80 | (c >> 12 & 0x3f));
    text[2] = (char)(0x80 | (c >> 6 & 0x3f));
    text[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

size_t attn_utf8_valid(const char *text, size_t length, size_t *bad)
{
    const unsigned char *s = (const unsigned char *)text;
    *bad = 1;
    if (s[0] < 0x80) return 1;
    size_t more = s[0] >= 0xc2 && s[0] <= 0xdf   ? 1
                  : (s[0] & 0xf0) == 0xe0        ? 2
                  : s[0] >= 0xf0 && s[0] <= 0xf4 ? 3
                                                 : 0;
    if (!more) return 0;
    unsigned low = s[0] == 0xe0 ? 0xa0 : s[0] == 0xf0 ? 0x90 : 0x80;
    unsigned high = s[0] == 0xed ? 0x9f : s[0] == 0xf4 ? 0x8f : 0xbf;
    for (size_t i = 1; i <= more; i++, *bad = i, low = 0x80, high = 0xbf)
        if (i >= length || s[i] < low || s[i] > high) return 0;
    return more + 1;
}

size_t attn_ascii_run(const char *text, size_t length)
{
    size_t i = 0;
    uint64_t word;
    for (; i + 8 <= length; i += 8) {
        memcpy(&word, text + i, 8);
        if (word & 0x8080808080808080u) break;
    }
    while (i < length && !(text[i] & 0x80)) i++;
    return i;
}

/* ---- case and composition ----------------------------------------------------------------- */

/* Pairs that are younger than some of the utf8proc versions in use. */
static const struct {
    uint32_t first, last, lower;
} new_lower[] = {
    {0x1c89, 0x1c89, 0x1c8a},    {0xa7cb, 0xa7cb, 0x0264}, {0xa7cc, 0xa7cc, 0xa7cd},
    {0xa7ce, 0xa7ce, 0xa7cf},    {0xa7d2, 0xa7d2, 0xa7d3}, {0xa7d4, 0xa7d4, 0xa7d5},
    {0xa7da, 0xa7da, 0xa7db},    {0xa7dc, 0xa7dc, 0x019b}, {0x10d50, 0x10d65, 0x10d70},
    {0x16ea0, 0x16eb8, 0x16ebb},
};

size_t attn_lower(uint32_t c, uint32_t out[2])
{
    if (c < 0x80) {
        out[0] = c >= 'A' && c <= 'Z' ? c + 32 : c;
        return 1;
    }
    if (c == 0x130) {
        out[0] = 'i';
        out[1] = 0x307;
        return 2;
    }
    if (c >= 0x1c89)
        for (size_t i = 0; i < sizeof new_lower / sizeof *new_lower; i++)
            if (c >= new_lower[i].first && c <= new_lower[i].last) {
                out[0] = c - new_lower[i].first + new_lower[i].lower;
                return 1;
            }
    out[0] = (uint32_t)utf8proc_tolower((utf8proc_int32_t)c);
    return 1;
}

uint32_t attn_combining_class(const attn_unicode *u, uint32_t c)
{
    if (!(attn_unicode_of(u, c) & ATTN_HAS_CLASS)) return 0;
    return (uint32_t)utf8proc_get_property((utf8proc_int32_t)c)->combining_class;
}

size_t attn_decompose(const attn_unicode *u, uint32_t c, bool compatible, uint32_t *out)
{
    out[0] = c;
    if (!(attn_unicode_of(u, c) & ATTN_DECOMPOSES)) return 1;
    utf8proc_int32_t decomposed[ATTN_DECOMPOSED_MAX];
    int last_class = 0;
    utf8proc_ssize_t count = utf8proc_decompose_char(
        (utf8proc_int32_t)c, decomposed, ATTN_DECOMPOSED_MAX,
        (utf8proc_option_t)(UTF8PROC_DECOMPOSE | (compatible ? UTF8PROC_COMPAT : 0)), &last_class);
    if (count < 1 || count > ATTN_DECOMPOSED_MAX) return 1;
    for (utf8proc_ssize_t i = 0; i < count; i++) out[i] = (uint32_t)decomposed[i];
    return (size_t)count;
}

uint32_t attn_compose(const attn_unicode *u, uint32_t a, uint32_t b)
{
    if (!(attn_unicode_of(u, b) & ATTN_IS_SECOND)) return 0;
    utf8proc_int32_t pair[3] = {(utf8proc_int32_t)a, (utf8proc_int32_t)b, 0};
    utf8proc_ssize_t count =
        utf8proc_normalize_utf32(pair, 2, (utf8proc_option_t)(UTF8PROC_COMPOSE | UTF8PROC_STABLE));
    if (count != 1 || !(attn_unicode_of(u, (uint32_t)pair[0]) & ATTN_DECOMPOSES)) return 0;
    return (uint32_t)pair[0];
}
