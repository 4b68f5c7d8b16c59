/* Pre-tokenizers that only cut: at characters of some kind, at a pattern, every so many characters.
 */
#include "runtime/inputs/tokenizer/pretokenizer.h"

/* ---- the matches of a pattern, and what becomes of them ------------------------------------- */

typedef struct folding {
    attn_ranges *out;
    attn_behavior behavior;
    bool previous;   /* the segment before was a match */
    bool any;        /* there was one */
    attn_range open; /* the piece being made; not yet in out */
    attn_error *err;
} folding;

static attn_status put(folding *f)
{
    if (!f->any || f->open.first == f->open.end) return ATTN_OK;
    return attn_ranges_add(f->out, f->open.first, f->open.end, f->err);
}

/* The next segment of a span, matched or not. */
static attn_status fold(folding *f, size_t first, size_t end, bool match)
{
    bool joins = false;
    if (f->behavior == ATTN_CONTIGUOUS) joins = match == f->previous;
    if (f->behavior == ATTN_WITH_PREVIOUS) joins = match && !f->previous;
    if (f->behavior == ATTN_WITH_NEXT) joins = !match && f->previous;
    if (joins && f->any) {
        f->open.end = (uint32_t)end;
    } else {
        ATTN_TRY(put(f));
        f->any = f->behavior != ATTN_REMOVED || !match;
        f->open = (attn_range){(uint32_t)first, (uint32_t)end};
    }
    f->previous = match;
    return ATTN_OK;
}

attn_status attn_cut_span(attn_cutting *c, attn_range span, attn_behavior behavior, bool invert,
                          attn_error *err)
{
    folding f = {.out = &c->next, .behavior = behavior, .err = err};
    size_t at = span.first;
    for (size_t i = 0; i < c->matches.count; i++) {
        attn_range match = c->matches.range[i];
        if (at != match.first) ATTN_TRY(fold(&f, at, match.first, invert));
        ATTN_TRY(fold(&f, match.first, match.end, !invert));
        at = match.end;
    }
    if (at != span.end) ATTN_TRY(fold(&f, at, span.end, invert));
    return put(&f);
}

attn_status attn_cut_pattern(const attn_pretokenizer *p, attn_cutting *c, attn_error *err)
{
    for (size_t i = 0; i < c->spans.count; i++) {
        attn_range span = c->spans.range[i];
        attn_search search = attn_search_begin(p->pattern, c->matcher, c->text->text + span.first,
                                               span.end - span.first);
        c->matches.count = 0;
        for (bool found;;) {
            ATTN_TRY(attn_search_next(&search, &found, err));
            if (!found) break;
            ATTN_TRY(attn_ranges_add(&c->matches, span.first + search.match.first,
                                     span.first + search.match.end, err));
        }
        ATTN_TRY(attn_cut_span(c, span, p->behavior, p->invert, err));
    }
    return ATTN_OK;
}

/* ---- single characters ---------------------------------------------------------------------- */

/* At each character that has the property, or is the character. */
static attn_status cut_characters(const attn_pretokenizer *p, attn_cutting *c, bool property,
                                  attn_error *err)
{
    const char *text = c->text->text;
    for (size_t i = 0; i < c->spans.count; i++) {
        attn_range span = c->spans.range[i];
        c->matches.count = 0;
        for (size_t at = span.first, next; at < span.end; at = next) {
            uint32_t character;
            next = at + attn_utf8_read(text + at, &character);
            if (property ? attn_unicode_of(c->unicode, character) & p->is
                         : character == p->character)
                ATTN_TRY(attn_ranges_add(&c->matches, at, next, err));
        }
        ATTN_TRY(attn_cut_span(c, span, p->behavior, false, err));
    }
    return ATTN_OK;
}

attn_status attn_cut_property(const attn_pretokenizer *p, attn_cutting *c, attn_error *err)
{
    return cut_characters(p, c, true, err);
}

attn_status attn_cut_character(const attn_pretokenizer *p, attn_cutting *c, attn_error *err)
{
    return cut_characters(p, c, false, err);
}

/* BertPreTokenizer: words between white space, each mark of punctuation on its own. */
attn_status attn_cut_bert(const attn_pretokenizer *p, attn_cutting *c, attn_error *err)
{
    const char *text = c->text->text;
    (void)p;
    for (size_t i = 0; i < c->spans.count; i++) {
        attn_range span = c->spans.range[i];
        size_t begin = span.first;
        for (size_t at = span.first, next; at < span.end; at = next) {
            uint32_t character;
            next = at + attn_utf8_read(text + at, &character);
            unsigned is = attn_unicode_of(c->unicode, character);
            if (!(is & (ATTN_IS_SPACE | ATTN_IS_PUNCTUATION))) continue;
            if (begin < at) ATTN_TRY(attn_ranges_add(&c->next, begin, at, err));
            if (!(is & ATTN_IS_SPACE)) ATTN_TRY(attn_ranges_add(&c->next, at, next, err));
            begin = next;
        }
        if (begin < span.end) ATTN_TRY(attn_ranges_add(&c->next, begin, span.end, err));
    }
    return ATTN_OK;
}

/* Whitespace: \w+ and [^\w\s]+ are pieces. */
attn_status attn_cut_words(const attn_pretokenizer *p, attn_cutting *c, attn_error *err)
{
    enum { SPACE, WORD, OTHER };
    const char *text = c->text->text;
    (void)p;
    for (size_t i = 0; i < c->spans.count; i++) {
        attn_range span = c->spans.range[i];
        size_t begin = span.first;
        int kind = SPACE;
        for (size_t at = span.first, next; at < span.end; at = next) {
            uint32_t character;
            next = at + attn_utf8_read(text + at, &character);
            unsigned is = attn_unicode_of(c->unicode, character);
            int own = is & ATTN_IS_WORD ? WORD : is & ATTN_IS_SPACE ? SPACE : OTHER;
            if (own == kind) continue;
            if (kind != SPACE) ATTN_TRY(attn_ranges_add(&c->next, begin, at, err));
            begin = at;
            kind = own;
        }
        if (kind != SPACE) ATTN_TRY(attn_ranges_add(&c->next, begin, span.end, err));
    }
    return ATTN_OK;
}

attn_status attn_cut_length(const attn_pretokenizer *p, attn_cutting *c, attn_error *err)
{
    const char *text = c->text->text;
    for (size_t i = 0; i < c->spans.count; i++) {
        attn_range span = c->spans.range[i];
        size_t begin = span.first, characters = 0;
        for (size_t at = span.first; at < span.end;) {
            uint32_t character;
            at += attn_utf8_read(text + at, &character);
            if (++characters < p->length && at < span.end) continue;
            ATTN_TRY(attn_ranges_add(&c->next, begin, at, err));
            begin = at;
            characters = 0;
        }
    }
    return ATTN_OK;
}
