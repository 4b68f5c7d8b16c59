#include "runtime/inputs/tokenizer/precompiled.h"

#include <string.h>
#include <utf8proc.h>

struct attn_precompiled {
    const uint32_t *unit;
    size_t units;
    const char *texts; /* ended by a zero byte */
    size_t length;
    bool longest;
    bool ascii[128]; /* looked up: the map may have something for what begins with it */
};

/* ---- the map ------------------------------------------------------------------------------ */

static size_t children(uint32_t unit)
{
    return (size_t)(unit >> 10) << ((unit & 1u << 9) >> 6);
}

/* What the shortest, or the longest, beginning of key[0..length) that the map holds becomes, and
 * how long that is; NULL: none. The file may lead anywhere, so each step is checked. */
static const char *find(const attn_precompiled *p, const char *key, size_t length, size_t *matched)
{
    const char *found = NULL;
    size_t at = children(p->unit[0]);
    for (size_t i = 0; i < length && key[i]; i++) {
        unsigned char c = (unsigned char)key[i];
        at ^= c;
        if (at >= p->units) break;
        uint32_t unit = p->unit[at];
        if ((unit & (1u << 31 | 0xff)) != c) break;
        at ^= children(unit);
        if (!(unit >> 8 & 1)) continue;
        size_t text = at < p->units ? p->unit[at] & 0x7fffffff : SIZE_MAX;
        if (text < p->length && ((unsigned char)p->texts[text] & 0xc0) != 0x80) {
            found = p->texts + text;
            *matched = i + 1;
        }
        if (!p->longest) break;
    }
    return found;
}

static bool begins_any(const attn_precompiled *p, unsigned char c)
{
    size_t at = children(p->unit[0]) ^ c;
    return at < p->units && (p->unit[at] & (1u << 31 | 0xff)) == c;
}

static int base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* to: room for 3 bytes of every 4 characters. False: not base64. */
static bool decode_base64(const char *text, size_t length, unsigned char *to, size_t *size)
{
    *size = 0;
    if (length % 4) return false;
    for (size_t i = 0; i < length; i += 4) {
        uint32_t bits = 0;
        int padding = 0;
        for (size_t j = 0; j < 4; j++) {
            int digit = base64_digit(text[i + j]);
            if (text[i + j] == '=' && i + 4 == length && j >= 2) {
                padding++;
                digit = 0;
            } else if (padding) {
                return false;
            }
            if (digit < 0) return false;
            bits = bits << 6 | (uint32_t)digit;
        }
        to[(*size)++] = (unsigned char)(bits >> 16);
        if (padding < 2) to[(*size)++] = (unsigned char)(bits >> 8);
        if (padding < 1) to[(*size)++] = (unsigned char)bits;
    }
    return true;
}

static attn_status read_units(attn_precompiled *p, unsigned char *bytes, size_t size,
                              const char *file, const char *place, attn_arena *arena,
                              attn_error *err)
{
    size_t trie = size < 4 ? SIZE_MAX
                           : bytes[0] | (size_t)bytes[1] << 8 | (size_t)bytes[2] << 16 |
                                 (size_t)bytes[3] << 24;
    if (size < 4 || trie > size - 4 || trie % 4 || trie == 0)
        return attn_fail(err, ATTN_BAD_FILE,
                         "%s: %s: a character map of %zu bytes cannot hold a trie of %zu", file,
                         place, size, size < 4 ? 0 : trie);
    uint32_t *unit = attn_arena_get(arena, trie / 4, 4, err);
    if (!unit) return ATTN_NO_MEMORY;
    for (size_t i = 0; i < trie / 4; i++) {
        const unsigned char *b = bytes + 4 + 4 * i;
        unit[i] = b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
    }
    p->unit = unit;
    p->units = trie / 4;
    p->length = size - 4 - trie;
    p->texts = (const char *)bytes + 4 + trie; /* a zero byte follows */
    for (size_t i = 0, bad, n; i < p->length; i += n) {
        n = attn_utf8_valid(p->texts + i, p->length - i, &bad);
        if (!n)
            return attn_fail(err, ATTN_BAD_FILE,
                             "%s: %s: the replacements of the character map are not UTF-8 at %zu",
                             file, place, i);
    }
    return ATTN_OK;
}

attn_status attn_precompiled_read(attn_precompiled **out, const char *base64, const char *file,
                                  const char *place, bool longest, attn_arena *arena,
                                  attn_error *err)
{
    size_t length = strlen(base64), size;
    attn_precompiled *p = attn_arena_get(arena, 1, sizeof *p, err);
    unsigned char *bytes = attn_arena_get(arena, length / 4 + 1, 3, err);
    *out = NULL;
    if (!p || !bytes) return ATTN_NO_MEMORY;
    if (!decode_base64(base64, length, bytes, &size))
        return attn_fail(err, ATTN_BAD_FILE, "%s: %s: the character map is not base64", file,
                         place);
    ATTN_TRY(read_units(p, bytes, size, file, place, arena, err));
    p->longest = longest;
    for (int c = 1; c < 128; c++) p->ascii[c] = begins_any(p, (unsigned char)c);
    *out = p;
    return ATTN_OK;
}

/* ---- graphemes ---------------------------------------------------------------------------- */

/* Characters that extend a grapheme in Unicode 17, which the reference follows, and that are
 * younger than Unicode 15. */
static const struct {
    uint32_t first, last;
} young[] = {
    {0x897, 0x897},     {0x1ACF, 0x1ADD},   {0x1AE0, 0x1AEB},   {0x10D69, 0x10D6D},
    {0x10EFA, 0x10EFC}, {0x113B8, 0x113C0}, {0x113C2, 0x113C2}, {0x113C5, 0x113C5},
    {0x113C7, 0x113CA}, {0x113CC, 0x113D0}, {0x113D2, 0x113D2}, {0x113E1, 0x113E2},
    {0x11B60, 0x11B67}, {0x11F5A, 0x11F5A}, {0x1611E, 0x1612F}, {0x1E5EE, 0x1E5EF},
    {0x1E6E3, 0x1E6E3}, {0x1E6E6, 0x1E6E6}, {0x1E6EE, 0x1E6EF}, {0x1E6F5, 0x1E6F5},
};

static uint32_t known_to_all(uint32_t c)
{
    if (c < 0x897) return c;
    for (size_t i = 0; i < sizeof young / sizeof *young && c >= young[i].first; i++)
        if (c <= young[i].last) return 0x300;
    return c;
}

/* The end of the grapheme that begins at `at`. */
static size_t grapheme_end(const char *text, size_t length, size_t at)
{
    utf8proc_int32_t state = 0;
    uint32_t before, c;
    at += attn_utf8_read(text + at, &before);
    before = known_to_all(before);
    while (at < length) {
        if (before < 0x80 && before != '\r' && (unsigned char)text[at] < 0x80) break;
        size_t n = attn_utf8_read(text + at, &c);
        c = known_to_all(c);
        if (utf8proc_grapheme_break_stateful((utf8proc_int32_t)before, (utf8proc_int32_t)c, &state))
            break;
        before = c;
        at += n;
    }
    return at;
}

/* ---- rewriting ---------------------------------------------------------------------------- */

/* The reference writes a list of characters, each with a number: 1 means put in, 0 that it stands
 * for the next character of the text, -n for that and the n after it. The last of the list waits,
 * as a removal after it changes its number; a removal before anything is written is lost, and all
 * that follows stands for what is before it. While nothing is changed, a run of bytes waits. */
typedef struct rewriter {
    attn_edit edit;
    size_t run;
    bool waits;
    uint32_t c;
    long change;
} rewriter;

static void skip_characters(attn_edit *e, long count)
{
    size_t end = e->at;
    uint32_t c;
    for (; count > 0 && end < e->in->length; count--) end += attn_utf8_read(e->in->text + end, &c);
    attn_edit_skip(e, end - e->at);
}

static attn_status flush(rewriter *r)
{
    attn_edit *e = &r->edit;
    uint32_t there;
    if (r->run) {
        size_t run = r->run;
        r->run = 0;
        return attn_edit_copy(e, run);
    }
    if (!r->waits) return ATTN_OK;
    r->waits = false;
    if (r->change > 0 || e->at >= e->in->length)
        return attn_edit_insert_char(e, r->c, e->at ? e->at - 1 : 0);
    size_t n = attn_utf8_read(e->in->text + e->at, &there);
    ATTN_TRY(there == r->c ? attn_edit_copy(e, n) : attn_edit_replace(e, n, r->c));
    skip_characters(e, -r->change);
    return ATTN_OK;
}

static attn_status put(rewriter *r, uint32_t c, long change)
{
    ATTN_TRY(flush(r));
    r->waits = true;
    r->c = c;
    r->change = change;
    return ATTN_OK;
}

/* The bytes [at, end) stay as they are. */
static attn_status keep(rewriter *r, size_t at, size_t end)
{
    const attn_string *in = r->edit.in;
    uint32_t c;
    if (r->waits) ATTN_TRY(flush(r));
    if (r->edit.at + r->run == at) {
        r->run += end - at;
        return ATTN_OK;
    }
    for (; at < end; at += attn_utf8_read(in->text + at, &c)) {
        attn_utf8_read(in->text + at, &c);
        ATTN_TRY(put(r, c, 0));
    }
    return ATTN_OK;
}

static attn_status remove_after(rewriter *r, long count)
{
    const attn_string *in = r->edit.in;
    if (r->run) {
        size_t last = attn_utf8_back(in->text, r->edit.at + r->run);
        r->waits = true;
        r->change = 0;
        attn_utf8_read(in->text + last, &r->c);
        size_t before = last - r->edit.at;
        r->run = 0;
        if (before) ATTN_TRY(attn_edit_copy(&r->edit, before));
    }
    r->change -= count; /* of nothing, if none waits */
    return ATTN_OK;
}

/* `count` characters become the text. */
static attn_status replace(rewriter *r, long count, const char *text)
{
    uint32_t c;
    long written = 0;
    for (; *text; written++) {
        text += attn_utf8_read(text, &c);
        ATTN_TRY(put(r, c, written < count ? 0 : 1));
    }
    return written < count ? remove_after(r, count - written) : ATTN_OK;
}

static long count_characters(const char *text, size_t length)
{
    long count = 0;
    for (size_t i = 0; i < length; i++) count += ((unsigned char)text[i] & 0xc0) != 0x80;
    return count;
}

static attn_status map_grapheme(const attn_precompiled *p, rewriter *r, size_t at, size_t end)
{
    const char *text = r->edit.in->text, *to;
    size_t matched;
    uint32_t c;
    if (end - at < 6 && (to = find(p, text + at, end - at, &matched)) != NULL)
        return replace(r, count_characters(text + at, end - at), to);
    for (size_t n; at < end; at += n) {
        n = attn_utf8_read(text + at, &c);
        to = find(p, text + at, n, &matched);
        ATTN_TRY(to ? replace(r, 1, to) : keep(r, at, at + n));
    }
    return ATTN_OK;
}

/* As the sentencepiece library does. */
static attn_status map_longest(const attn_precompiled *p, rewriter *r, size_t at, size_t *end)
{
    const char *text = r->edit.in->text;
    size_t matched;
    uint32_t c;
    const char *to = find(p, text + at, r->edit.in->length - at, &matched);
    bool whole = to && (at + matched == r->edit.in->length || (text[at + matched] & 0xc0) != 0x80);
    *end = at + (whole ? matched : attn_utf8_read(text + at, &c));
    return whole ? replace(r, count_characters(text + at, matched), to) : keep(r, at, *end);
}

attn_status attn_precompiled_apply(const attn_precompiled *p, const attn_string *in,
                                   attn_string *out, attn_error *err)
{
    rewriter r = {.edit = attn_edit_begin(in, out, err)};
    const unsigned char *text = (const unsigned char *)in->text;
    for (size_t at = 0, end; at < in->length; at = end) {
        /* Letters that nothing can join: up to the last before what is not ASCII. */
        for (end = at; end + 1 < in->length && text[end] < 0x80 && text[end + 1] < 0x80 &&
                       text[end] != '\r' && !p->ascii[text[end]];)
            end++;
        if (end > at) {
            ATTN_TRY(keep(&r, at, end));
        } else if (p->longest) {
            ATTN_TRY(map_longest(p, &r, at, &end));
        } else {
            end = grapheme_end(in->text, in->length, at);
            ATTN_TRY(map_grapheme(p, &r, at, end));
        }
    }
    ATTN_TRY(flush(&r));
    attn_edit_skip(&r.edit, in->length - r.edit.at);
    return ATTN_OK;
}
