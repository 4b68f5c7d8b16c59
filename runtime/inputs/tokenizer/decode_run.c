#define _GNU_SOURCE /* memmem */

#include "runtime/inputs/tokenizer/byte_level.h"
#include "runtime/inputs/tokenizer/decoder.h"

#include <string.h>

/* ---- replacing ---------------------------------------------------------------------------- */

/* The text with `old` replaced wherever it stands; an empty one stands before each character and at
 * the end. */
static attn_status replace(const char *text, size_t length, const char *old, size_t old_length,
                           const char *fresh, size_t fresh_length, attn_words *out, attn_error *err)
{
    size_t at = 0;
    if (!length) text = "";
    while (old_length && at < length) {
        const char *place = memmem(text + at, length - at, old, old_length);
        if (!place) break;
        ATTN_TRY(attn_words_put(out, text + at, (size_t)(place - text) - at, err));
        ATTN_TRY(attn_words_put(out, fresh, fresh_length, err));
        at = (size_t)(place - text) + old_length;
    }
    if (old_length) return attn_words_put(out, text + at, length - at, err);
    while (at < length) {
        uint32_t c;
        size_t bytes = attn_utf8_read(text + at, &c);
        ATTN_TRY(attn_words_put(out, fresh, fresh_length, err));
        ATTN_TRY(attn_words_put(out, text + at, bytes, err));
        at += bytes;
    }
    return attn_words_put(out, fresh, fresh_length, err);
}

/* What tokenization has done to English punctuation is undone, in this order. */
static attn_status clean_up(attn_words *out, size_t begin, attn_error *err)
{
    static const char *const pairs[][2] = {
        {" .", "."},   {" ?", "?"},     {" !", "!"},     {" ,", ","},
        {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},   {" do not", " don't"},
        {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        size_t length = out->length - begin, old = strlen(pairs[i][0]);
        if (!length || !memchr(out->text + begin, ' ', length)) return ATTN_OK;
        if (!memmem(out->text + begin, length, pairs[i][0], old)) continue;
        attn_words copy = {.memory = out->memory};
        attn_status status = attn_words_put(&copy, out->text + begin, length, err);
        out->length = begin;
        if (!status)
            status = replace(copy.text, length, pairs[i][0], old, pairs[i][1], strlen(pairs[i][1]),
                             out, err);
        attn_words_free(&copy);
        if (status) return status;
    }
    return ATTN_OK;
}

/* ---- one word to one word ----------------------------------------------------------------- */

attn_status attn_decode_wordpiece(const attn_decoder *d, attn_matcher *matcher,
                                  const attn_words *in, attn_words *out, attn_error *err)
{
    (void)matcher;
    for (size_t i = 0; i < in->count; i++) {
        size_t length, begin = out->length;
        const char *word = attn_words_at(in, i, &length);
        if (i && length >= d->length && memcmp(word, d->text, d->length) == 0) {
            word += d->length;
            length -= d->length;
        } else if (i) {
            ATTN_TRY(attn_words_put(out, " ", 1, err));
        }
        ATTN_TRY(attn_words_put(out, word, length, err));
        if (d->flag) ATTN_TRY(clean_up(out, begin, err));
        ATTN_TRY(attn_words_end(out, err));
    }
    return ATTN_OK;
}

attn_status attn_decode_bpe(const attn_decoder *d, attn_matcher *matcher, const attn_words *in,
                            attn_words *out, attn_error *err)
{
    (void)matcher;
    for (size_t i = 0; i < in->count; i++) {
        size_t length;
        const char *word = attn_words_at(in, i, &length);
        ATTN_TRY(replace(word, length, d->text, d->length, " ", i + 1 < in->count, out, err));
        ATTN_TRY(attn_words_end(out, err));
    }
    return ATTN_OK;
}

attn_status attn_decode_metaspace(const attn_decoder *d, attn_matcher *matcher,
                                  const attn_words *in, attn_words *out, attn_error *err)
{
    char old[4];
    size_t old_length = attn_utf8_write(d->character, old);
    (void)matcher;
    for (size_t i = 0; i < in->count; i++) {
        size_t length;
        const char *word = attn_words_at(in, i, &length);
        ATTN_TRY(replace(word, length, old, old_length, " ", i || !d->flag, out, err));
        ATTN_TRY(attn_words_end(out, err));
    }
    return ATTN_OK;
}

attn_status attn_decode_replace(const attn_decoder *d, attn_matcher *matcher, const attn_words *in,
                                attn_words *out, attn_error *err)
{
    for (size_t i = 0; i < in->count; i++) {
        size_t length, at = 0;
        const char *word = attn_words_at(in, i, &length);
        attn_search search = attn_search_begin(d->pattern, matcher, word, length);
        for (bool found; length;) {
            ATTN_TRY(attn_search_next(&search, &found, err));
            if (!found) break;
            ATTN_TRY(attn_words_put(out, word + at, search.match.first - at, err));
            ATTN_TRY(attn_words_put(out, d->text, d->length, err));
            at = search.match.end;
        }
        ATTN_TRY(attn_words_put(out, word + at, length - at, err));
        ATTN_TRY(attn_words_end(out, err));
    }
    return ATTN_OK;
}

attn_status attn_decode_strip(const attn_decoder *d, attn_matcher *matcher, const attn_words *in,
                              attn_words *out, attn_error *err)
{
    (void)matcher;
    for (size_t i = 0; i < in->count; i++) {
        size_t length, first = 0, end;
        const char *word = attn_words_at(in, i, &length);
        uint32_t c;
        for (size_t n = 0; n < d->start && first < length; n++) {
            size_t bytes = attn_utf8_read(word + first, &c);
            if (c != d->character) break;
            first += bytes;
        }
        end = length;
        for (size_t n = 0; n < d->stop && end > first; n++) {
            size_t before = attn_utf8_back(word, end);
            attn_utf8_read(word + before, &c);
            if (c != d->character) break;
            end = before;
        }
        ATTN_TRY(attn_words_put(out, word + first, end - first, err));
        ATTN_TRY(attn_words_end(out, err));
    }
    return ATTN_OK;
}

/* ---- bytes -------------------------------------------------------------------------------- */

/* Bytes as text: what is malformed becomes U+FFFD. */
static attn_status put_bytes(attn_words *out, const char *bytes, size_t length, attn_error *err)
{
    for (size_t at = 0; at < length;) {
        size_t begin = at, good = 1, bad = 0;
        while (at < length && (good = attn_utf8_valid(bytes + at, length - at, &bad)) != 0)
            at += good;
        ATTN_TRY(attn_words_put(out, bytes + begin, at - begin, err));
        if (at == length) break;
        ATTN_TRY(attn_words_put(out, "\xef\xbf\xbd", 3, err));
        at += bad;
    }
    return ATTN_OK;
}

attn_status attn_decode_byte_level(const attn_decoder *d, attn_matcher *matcher,
                                   const attn_words *in, attn_words *out, attn_error *err)
{
    attn_words bytes = {.memory = out->memory};
    attn_status status = ATTN_OK;
    (void)d;
    (void)matcher;
    for (size_t i = 0; i < in->count && !status; i++) {
        size_t length, begin = bytes.length, at = 0;
        const char *word = attn_words_at(in, i, &length);
        while (at < length && !status) {
            uint32_t c;
            at += attn_utf8_read(word + at, &c);
            int byte = attn_char_to_byte(c);
            char text = (char)byte;
            if (byte < 0) {
                /* A word with another character is text as it is. */
                bytes.length = begin;
                status = attn_words_put(&bytes, word, length, err);
                break;
            }
            status = attn_words_put(&bytes, &text, 1, err);
        }
    }
    if (!status) status = put_bytes(out, bytes.text, bytes.length, err);
    if (!status) status = attn_words_end(out, err);
    attn_words_free(&bytes);
    return status;
}

static int hex(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* "<0x41>" is a byte; -1: it is not. A sign is a digit here, as the reference reads it. */
static int byte_of(const char *word, size_t length)
{
    if (length != 6 || memcmp(word, "<0x", 3) != 0 || word[5] != '>') return -1;
    int high = word[3] == '+' ? 0 : hex(word[3]), low = hex(word[4]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/* Bytes that follow each other are one text if they are valid, else a U+FFFD each. */
static attn_status flush_bytes(attn_words *bytes, attn_words *out, attn_error *err)
{
    bool valid = true;
    size_t bad, good;
    if (!bytes->length) return ATTN_OK;
    for (size_t at = 0; at < bytes->length && valid; at += good) {
        good = attn_utf8_valid(bytes->text + at, bytes->length - at, &bad);
        valid = good != 0;
    }
    if (valid) {
        ATTN_TRY(attn_words_put(out, bytes->text, bytes->length, err));
        ATTN_TRY(attn_words_end(out, err));
    }
    for (size_t i = 0; i < bytes->length && !valid; i++) {
        ATTN_TRY(attn_words_put(out, "\xef\xbf\xbd", 3, err));
        ATTN_TRY(attn_words_end(out, err));
    }
    bytes->length = 0;
    return ATTN_OK;
}

attn_status attn_decode_byte_fallback(const attn_decoder *d, attn_matcher *matcher,
                                      const attn_words *in, attn_words *out, attn_error *err)
{
    attn_words bytes = {.memory = out->memory};
    attn_status status = ATTN_OK;
    (void)d;
    (void)matcher;
    for (size_t i = 0; i < in->count && !status; i++) {
        size_t length;
        const char *word = attn_words_at(in, i, &length);
        int byte = byte_of(word, length);
        char text = (char)byte;
        if (byte >= 0) {
            status = attn_words_put(&bytes, &text, 1, err);
            continue;
        }
        status = flush_bytes(&bytes, out, err);
        if (!status) status = attn_words_put(out, word, length, err);
        if (!status) status = attn_words_end(out, err);
    }
    if (!status) status = flush_bytes(&bytes, out, err);
    attn_words_free(&bytes);
    return status;
}

/* ---- whole lists -------------------------------------------------------------------------- */

attn_status attn_decode_fuse(const attn_decoder *d, attn_matcher *matcher, const attn_words *in,
                             attn_words *out, attn_error *err)
{
    (void)d;
    (void)matcher;
    ATTN_TRY(attn_words_put(out, in->text, in->length, err));
    return attn_words_end(out, err);
}

attn_status attn_decode_ctc(const attn_decoder *d, attn_matcher *matcher, const attn_words *in,
                            attn_words *out, attn_error *err)
{
    attn_words word = {.memory = out->memory};
    attn_status status = ATTN_OK;
    size_t before_length = 0;
    const char *before = NULL;
    (void)matcher;
    for (size_t i = 0; i < in->count && !status; i++) {
        size_t length, begin = out->length;
        const char *text = attn_words_at(in, i, &length);
        bool again = before && length == before_length && memcmp(text, before, length) == 0;
        before = text;
        before_length = length;
        if (again) continue;
        word.length = 0;
        status = replace(text, length, d->text, d->length, "", 0, &word, err);
        if (!status && d->flag) status = clean_up(&word, 0, err);
        if (!status && d->flag)
            status = replace(word.text, word.length, d->second, d->second_length, " ", 1, out, err);
        else if (!status)
            status = attn_words_put(out, word.text, word.length, err);
        if (!status && out->length > begin) status = attn_words_end(out, err);
    }
    attn_words_free(&word);
    return status;
}
