/* BertNormalizer: control characters out, spaces around Chinese characters, accents off, lower
 * case; in one pass where the order of combining marks does not matter. */
#include "runtime/inputs/tokenizer/normalizer.h"

enum { CLEAN, CHINESE, ACCENTS, LOWER };

/* ASCII is most of most texts: eight cases of one byte to one byte. */
static attn_status ascii(const attn_normalizer *n, attn_edit *e, size_t end)
{
    const char *text = e->in->text;
    while (e->at < end) {
        size_t run = e->at;
        while (run < end && text[run] >= 0x20 && text[run] != 0x7f) run++;
        size_t from = e->out->length, bytes = run - e->at;
        if (bytes) {
            ATTN_TRY(attn_edit_copy(e, bytes));
            char *out = e->out->text + from;
            if (n->flag[LOWER])
                for (size_t i = 0; i < bytes; i++)
                    out[i] = (char)(out[i] + (out[i] >= 'A' && out[i] <= 'Z' ? 32 : 0));
        }
        if (run == end) break;
        char c = text[run];
        if (!n->flag[CLEAN])
            ATTN_TRY(attn_edit_copy(e, 1));
        else if (c == '\t' || c == '\n' || c == '\r')
            ATTN_TRY(attn_edit_replace(e, 1, ' '));
        else
            attn_edit_skip(e, 1);
    }
    return ATTN_OK;
}

static attn_status put_lower(const attn_normalizer *n, attn_edit *e, uint32_t c)
{
    uint32_t lower[2] = {c};
    size_t count = n->flag[LOWER] ? attn_lower(c, lower) : 1;
    for (size_t i = 0; i < count; i++) ATTN_TRY(attn_edit_insert_char(e, lower[i], e->at));
    return ATTN_OK;
}

static attn_status other(const attn_normalizer *n, const attn_unicode *u, attn_edit *e)
{
    uint32_t c, part[ATTN_DECOMPOSED_MAX];
    size_t bytes = attn_utf8_read(e->in->text + e->at, &c);
    unsigned is = attn_unicode_of(u, c);
    if (n->flag[CLEAN] && is & ATTN_IS_CONTROL) {
        attn_edit_skip(e, bytes);
        return ATTN_OK;
    }
    if (n->flag[CLEAN] && is & ATTN_IS_SPACE) return attn_edit_replace(e, bytes, ' ');
    bool alone = n->flag[CHINESE] && is & ATTN_IS_CHINESE;
    if (alone) ATTN_TRY(attn_edit_insert_char(e, ' ', e->at));
    size_t parts = n->flag[ACCENTS] ? attn_decompose(u, c, false, part) : (part[0] = c, 1);
    if (parts == 1 && !alone &&
        !(n->flag[ACCENTS] && attn_unicode_of(u, part[0]) & ATTN_IS_NONSPACING)) {
        uint32_t lower[2] = {part[0]};
        if (!n->flag[LOWER] || attn_lower(part[0], lower) == 1)
            return attn_edit_replace(e, bytes, lower[0]);
    }
    for (size_t i = 0; i < parts; i++)
        if (!n->flag[ACCENTS] || !(attn_unicode_of(u, part[i]) & ATTN_IS_NONSPACING))
            ATTN_TRY(put_lower(n, e, part[i]));
    if (alone) ATTN_TRY(attn_edit_insert_char(e, ' ', e->at));
    e->at += bytes;
    return ATTN_OK;
}

/* Canonical order moves marks that stay: the steps must follow each other. */
static bool needs_order(const attn_unicode *u, const attn_string *in)
{
    for (size_t at = 0; at < in->length;) {
        at += attn_ascii_run(in->text + at, in->length - at);
        if (at == in->length) break;
        uint32_t c, part[ATTN_DECOMPOSED_MAX];
        at += attn_utf8_read(in->text + at, &c);
        unsigned is = attn_unicode_of(u, c);
        if (is & ATTN_HAS_CLASS && !(is & ATTN_IS_NONSPACING)) return true;
        if (!(is & ATTN_DECOMPOSES)) continue;
        size_t parts = attn_decompose(u, c, false, part);
        for (size_t i = 0; i < parts; i++) {
            is = attn_unicode_of(u, part[i]);
            if (is & ATTN_HAS_CLASS && !(is & ATTN_IS_NONSPACING)) return true;
        }
    }
    return false;
}

static attn_status one_pass(const attn_normalizer *n, const attn_unicode *u, const attn_string *in,
                            attn_string *out, attn_error *err)
{
    attn_edit e = attn_edit_begin(in, out, err);
    while (e.at < in->length) {
        ATTN_TRY(ascii(n, &e, e.at + attn_ascii_run(in->text + e.at, in->length - e.at)));
        if (e.at < in->length) ATTN_TRY(other(n, u, &e));
    }
    return ATTN_OK;
}

attn_status attn_normalize_bert(const attn_normalizer *n, const attn_normalizing *shared,
                                const attn_string *in, attn_string *out, attn_error *err)
{
    const attn_unicode *u = shared->unicode;
    if (!n->flag[ACCENTS] || !needs_order(u, in)) return one_pass(n, u, in, out, err);
    const attn_normalizer clean = {.flag = {n->flag[CLEAN], n->flag[CHINESE]}},
                          decompose = {.flag = {false, false}},
                          strip = {.flag = {false, false, true, n->flag[LOWER]}};
    attn_string cleaned = {.memory = out->memory}, decomposed = {.memory = out->memory};
    attn_status status = one_pass(&clean, u, in, &cleaned, err);
    if (!status) status = attn_normalize_unicode(&decompose, shared, &cleaned, &decomposed, err);
    if (!status) status = one_pass(&strip, u, &decomposed, out, err);
    attn_string_free(&cleaned);
    attn_string_free(&decomposed);
    return status;
}
