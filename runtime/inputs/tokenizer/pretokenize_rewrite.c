/* Pre-tokenizers that rewrite the text as well: ByteLevel and Metaspace. */
#include "runtime/inputs/tokenizer/byte_level.h"
#include "runtime/inputs/tokenizer/pretokenizer.h"

static attn_string *free_string(attn_cutting *c)
{
    return &c->spare[c->text == &c->spare[0]];
}

/* The text between two spans is left out of the rewritten one: nobody looks at it any more. */
static attn_edit begin_rewrite(attn_cutting *c, attn_error *err)
{
    return attn_edit_begin(c->text, free_string(c), err);
}

static void end_rewrite(attn_cutting *c, const attn_edit *e)
{
    attn_ranges spans = c->spans;
    c->text = e->out;
    c->spans = c->next;
    c->next = spans;
    c->next.count = 0;
}

static attn_status add_prefix_spaces(attn_cutting *c, attn_error *err)
{
    attn_edit e = begin_rewrite(c, err);
    for (size_t i = 0; i < c->spans.count; i++) {
        attn_range span = c->spans.range[i];
        attn_edit_skip(&e, span.first - e.at);
        size_t begin = e.out->length;
        if (e.in->text[span.first] != ' ') ATTN_TRY(attn_edit_insert(&e, " ", 1, span.first));
        ATTN_TRY(attn_edit_copy(&e, span.end - span.first));
        ATTN_TRY(attn_ranges_add(&c->next, begin, e.out->length, err));
    }
    end_rewrite(c, &e);
    return ATTN_OK;
}

attn_status attn_cut_byte_level(const attn_pretokenizer *p, attn_cutting *c, attn_error *err)
{
    bool missing = false;
    for (size_t i = 0; i < c->spans.count && !missing; i++)
        missing = c->text->text[c->spans.range[i].first] != ' ';
    if (p->add_prefix_space && missing) ATTN_TRY(add_prefix_spaces(c, err));
    if (p->split) {
        ATTN_TRY(attn_cut_pattern(p, c, err));
        attn_ranges spans = c->spans;
        c->spans = c->next;
        c->next = spans;
        c->next.count = 0;
    }
    attn_edit e = begin_rewrite(c, err);
    for (size_t i = 0; i < c->spans.count; i++) {
        attn_range span = c->spans.range[i];
        attn_edit_skip(&e, span.first - e.at);
        size_t begin = e.out->length;
        ATTN_TRY(attn_byte_level(&e, span.end - span.first));
        ATTN_TRY(attn_ranges_add(&c->next, begin, e.out->length, err));
    }
    c->text = e.out;
    return ATTN_OK;
}

/* ---- Metaspace ------------------------------------------------------------------------------ */

static bool is_prepended(const attn_pretokenizer *p, const attn_string *text, size_t first)
{
    uint32_t c;
    if (p->prepend == ATTN_PREPEND_NEVER) return false;
    attn_utf8_read(text->text + first, &c);
    if (c == ' ' || c == p->character) return false;
    return p->prepend == ATTN_PREPEND_ALWAYS ||
           attn_string_origin(text, first, first + 1).first == 0;
}

static attn_status replace_spaces(attn_edit *e, size_t end, uint32_t replacement)
{
    while (e->at < end) {
        size_t run = e->at;
        while (run < end && e->in->text[run] != ' ') run++;
        ATTN_TRY(attn_edit_copy(e, run - e->at));
        if (run < end) ATTN_TRY(attn_edit_replace(e, 1, replacement));
    }
    return ATTN_OK;
}

/* A piece begins at each replacement. */
static attn_status split_before(attn_cutting *c, const attn_string *text, size_t first, size_t end,
                                uint32_t replacement, attn_error *err)
{
    size_t begin = first;
    for (size_t at = first, next; at < end; at = next) {
        uint32_t character;
        next = at + attn_utf8_read(text->text + at, &character);
        if (character != replacement || at == begin) continue;
        ATTN_TRY(attn_ranges_add(&c->next, begin, at, err));
        begin = at;
    }
    return begin < end ? attn_ranges_add(&c->next, begin, end, err) : ATTN_OK;
}

attn_status attn_cut_metaspace(const attn_pretokenizer *p, attn_cutting *c, attn_error *err)
{
    attn_edit e = begin_rewrite(c, err);
    char replacement[4];
    size_t bytes = attn_utf8_write(p->character, replacement);
    for (size_t i = 0; i < c->spans.count; i++) {
        attn_range span = c->spans.range[i];
        attn_edit_skip(&e, span.first - e.at);
        size_t begin = e.out->length;
        if (is_prepended(p, e.in, span.first))
            ATTN_TRY(attn_edit_insert(&e, replacement, bytes, span.first));
        ATTN_TRY(replace_spaces(&e, span.end, p->character));
        if (p->split)
            ATTN_TRY(split_before(c, e.out, begin, e.out->length, p->character, err));
        else
            ATTN_TRY(attn_ranges_add(&c->next, begin, e.out->length, err));
    }
    c->text = e.out;
    return ATTN_OK;
}
