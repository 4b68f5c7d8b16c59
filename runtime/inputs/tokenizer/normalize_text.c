/* The small normalizers: lower case, Strip, StripAccents, Replace, Prepend, Nmt, ByteLevel; and the
 * way to precompiled.h. */
#include "runtime/inputs/tokenizer/byte_level.h"
#include "runtime/inputs/tokenizer/normalizer.h"

static attn_status lower_ascii(attn_edit *e, size_t bytes)
{
    size_t from = e->out->length;
    ATTN_TRY(attn_edit_copy(e, bytes));
    char *out = e->out->text + from;
    for (size_t i = 0; i < bytes; i++)
        out[i] = (char)(out[i] + (out[i] >= 'A' && out[i] <= 'Z' ? 32 : 0));
    return ATTN_OK;
}

attn_status attn_normalize_lowercase(const attn_normalizer *n, const attn_normalizing *shared,
                                     const attn_string *in, attn_string *out, attn_error *err)
{
    (void)n;
    (void)shared;
    attn_edit e = attn_edit_begin(in, out, err);
    while (e.at < in->length) {
        ATTN_TRY(lower_ascii(&e, attn_ascii_run(in->text + e.at, in->length - e.at)));
        if (e.at == in->length) break;
        uint32_t c, lower[2];
        size_t bytes = attn_utf8_read(in->text + e.at, &c), from = e.at;
        size_t count = attn_lower(c, lower);
        ATTN_TRY(attn_edit_replace(&e, bytes, lower[0]));
        if (count > 1) ATTN_TRY(attn_edit_insert_char(&e, lower[1], from));
    }
    return ATTN_OK;
}

attn_status attn_normalize_strip(const attn_normalizer *n, const attn_normalizing *shared,
                                 const attn_string *in, attn_string *out, attn_error *err)
{
    attn_edit e = attn_edit_begin(in, out, err);
    size_t first = 0, end = in->length;
    uint32_t c;
    while (n->flag[0] && first < end) {
        size_t bytes = attn_utf8_read(in->text + first, &c);
        if (!(attn_unicode_of(shared->unicode, c) & ATTN_IS_SPACE)) break;
        first += bytes;
    }
    while (n->flag[1] && end > first) {
        size_t before = attn_utf8_back(in->text, end);
        attn_utf8_read(in->text + before, &c);
        if (!(attn_unicode_of(shared->unicode, c) & ATTN_IS_SPACE)) break;
        end = before;
    }
    attn_edit_skip(&e, first);
    return attn_edit_copy(&e, end - first);
}

attn_status attn_normalize_strip_accents(const attn_normalizer *n, const attn_normalizing *shared,
                                         const attn_string *in, attn_string *out, attn_error *err)
{
    (void)n;
    attn_edit e = attn_edit_begin(in, out, err);
    while (e.at < in->length) {
        ATTN_TRY(attn_edit_copy(&e, attn_ascii_run(in->text + e.at, in->length - e.at)));
        if (e.at == in->length) break;
        uint32_t c;
        size_t bytes = attn_utf8_read(in->text + e.at, &c);
        if (attn_unicode_of(shared->unicode, c) & ATTN_IS_MARK)
            attn_edit_skip(&e, bytes);
        else
            ATTN_TRY(attn_edit_copy(&e, bytes));
    }
    return ATTN_OK;
}

attn_status attn_normalize_replace(const attn_normalizer *n, const attn_normalizing *shared,
                                   const attn_string *in, attn_string *out, attn_error *err)
{
    attn_edit e = attn_edit_begin(in, out, err);
    attn_search search = attn_search_begin(n->pattern, shared->matcher, in->text, in->length);
    for (bool found;;) {
        ATTN_TRY(attn_search_next(&search, &found, err));
        if (!found) break;
        attn_range match = search.match;
        ATTN_TRY(attn_edit_copy(&e, match.first - e.at));
        /* The content stands for the last character that it replaces. */
        ATTN_TRY(attn_edit_insert(&e, n->text, n->length, match.end ? match.end - 1 : 0));
        attn_edit_skip(&e, match.end - match.first);
    }
    return attn_edit_copy(&e, in->length - e.at);
}

attn_status attn_normalize_prepend(const attn_normalizer *n, const attn_normalizing *shared,
                                   const attn_string *in, attn_string *out, attn_error *err)
{
    (void)shared;
    attn_edit e = attn_edit_begin(in, out, err);
    ATTN_TRY(attn_edit_insert(&e, n->text, n->length, 0));
    return attn_edit_copy(&e, in->length);
}

static bool nmt_drops(uint32_t c)
{
    return (c >= 0x01 && c <= 0x08) || c == 0x0b || (c >= 0x0e && c <= 0x1f) || c == 0x7f ||
           c == 0x8f || c == 0x9f;
}

static bool nmt_is_space(uint32_t c)
{
    return c == 0x09 || c == 0x0a || c == 0x0c || c == 0x0d || c == 0x1680 ||
           (c >= 0x200b && c <= 0x200f) || c == 0x2028 || c == 0x2029 || c == 0x2581 ||
           c == 0xfeff || c == 0xfffd;
}

attn_status attn_normalize_nmt(const attn_normalizer *n, const attn_normalizing *shared,
                               const attn_string *in, attn_string *out, attn_error *err)
{
    (void)n;
    (void)shared;
    attn_edit e = attn_edit_begin(in, out, err);
    while (e.at < in->length) {
        uint32_t c;
        size_t bytes = attn_utf8_read(in->text + e.at, &c);
        if (nmt_drops(c))
            attn_edit_skip(&e, bytes);
        else if (nmt_is_space(c))
            ATTN_TRY(attn_edit_replace(&e, bytes, ' '));
        else
            ATTN_TRY(attn_edit_copy(&e, bytes));
    }
    return ATTN_OK;
}

attn_status attn_normalize_byte_level(const attn_normalizer *n, const attn_normalizing *shared,
                                      const attn_string *in, attn_string *out, attn_error *err)
{
    (void)n;
    (void)shared;
    attn_edit e = attn_edit_begin(in, out, err);
    return attn_byte_level(&e, in->length);
}

attn_status attn_normalize_precompiled(const attn_normalizer *n, const attn_normalizing *shared,
                                       const attn_string *in, attn_string *out, attn_error *err)
{
    (void)shared;
    return attn_precompiled_apply(n->precompiled, in, out, err);
}
