#include "runtime/inputs/tokenizer/tokenizer.h"

#include <string.h>

/* One text on its way into a part. */
typedef struct encoding_text {
    const attn_tokenizer *tokenizer;
    attn_tokenizing *work;
    attn_part *part;
    size_t limit; /* tokens after which no more are needed */
    int32_t word;
    bool full;
    attn_error *err;
} encoding_text;

static attn_status add_token(encoding_text *e, int32_t id, attn_range place, bool added)
{
    const attn_entry entry = {
        .id = id, .word = e->word, .first = place.first, .end = place.end, .added = added};
    return attn_part_add(&e->work->memory, e->part, entry, e->err);
}

static attn_status encode_spans(encoding_text *e)
{
    const attn_tokenizer *t = e->tokenizer;
    attn_tokenizing *w = e->work;
    const attn_cutting *c = &w->cutting;
    for (size_t i = 0; i < c->spans.count && !e->full; i++, e->word++) {
        attn_range span = c->spans.range[i];
        w->pieces.count = 0;
        ATTN_TRY(t->algorithm->encode(t->model, &t->vocabulary, c->text->text + span.first,
                                      span.end - span.first, &w->work, &w->pieces, e->err));
        for (size_t k = 0; k < w->pieces.count; k++) {
            const attn_piece *piece = &w->pieces.piece[k];
            attn_range place =
                attn_string_origin(c->text, span.first + piece->first, span.first + piece->end);
            ATTN_TRY(add_token(e, piece->id, place, false));
        }
        e->full = e->part->count >= e->limit;
    }
    return ATTN_OK;
}

/* What lies between two added tokens of the text as it was given. */
static attn_status encode_between(encoding_text *e, const attn_string *given, attn_range range)
{
    const attn_tokenizer *t = e->tokenizer;
    attn_tokenizing *w = e->work;
    const attn_normalizing shared = {&t->unicode, &w->matcher};
    /* A view of the part. */
    attn_string view = *given;
    view.text += range.first;
    view.length = range.end - range.first;
    if (view.mapped)
        view.origin += range.first;
    else
        view.base += range.first;
    const attn_string *normal;
    ATTN_TRY(attn_normalize(&t->normalizers, &shared, &view, &w->normal[0], &w->normal[1], &normal,
                            e->err));
    ATTN_TRY(attn_added_cut(&t->added, true, &t->unicode, normal, &w->cut, e->err));
    for (size_t i = 0; i < w->cut.count && !e->full; i++) {
        const attn_added_piece *piece = &w->cut.piece[i];
        if (piece->token) {
            attn_range place = attn_string_origin(normal, piece->range.first, piece->range.end);
            ATTN_TRY(add_token(e, piece->token->id, place, true));
            e->word++;
            continue;
        }
        ATTN_TRY(attn_cut(&t->pretokenizers, &w->cutting, normal, piece->range.first,
                          piece->range.end, e->err));
        ATTN_TRY(encode_spans(e));
    }
    return ATTN_OK;
}

/* Malformed bytes become U+FFFD, which stands for them. */
static attn_status repair(const char *text, size_t length, attn_string *out, attn_error *err)
{
    const attn_string in = {.text = (char *)(uintptr_t)text, .length = length};
    attn_edit e = attn_edit_begin(&in, out, err);
    while (e.at < length) {
        size_t run = e.at, bad = 0;
        for (size_t bytes; run < length; run += bytes)
            if ((bytes = attn_utf8_valid(text + run, length - run, &bad)) == 0) break;
        ATTN_TRY(attn_edit_copy(&e, run - e.at));
        if (run == length) break;
        size_t at = out->length;
        ATTN_TRY(attn_edit_insert(&e, "\xef\xbf\xbd", 3, e.at));
        for (size_t i = at; i < out->length; i++)
            out->origin[i] = (attn_range){(uint32_t)e.at, (uint32_t)(e.at + bad)};
        attn_edit_skip(&e, bad);
    }
    return ATTN_OK;
}

static bool is_valid(const char *text, size_t length)
{
    size_t at = 0, bad;
    while (at < length) {
        at += attn_ascii_run(text + at, length - at);
        if (at == length) break;
        size_t bytes = attn_utf8_valid(text + at, length - at, &bad);
        if (!bytes) return false;
        at += bytes;
    }
    return true;
}

static attn_status encode_text(encoding_text *e, const char *text, size_t length)
{
    const attn_tokenizer *t = e->tokenizer;
    attn_tokenizing *w = e->work;
    const attn_string as_given = {.text = (char *)(uintptr_t)text, .length = length};
    const attn_string *given = &as_given;
    if (length >= UINT32_MAX / 2)
        return attn_fail(e->err, ATTN_LIMIT, "a text of %zu bytes: at most %u are encoded", length,
                         UINT32_MAX / 2);
    if (!is_valid(text, length)) {
        ATTN_TRY(repair(text, length, &w->given, e->err));
        given = &w->given;
    }
    attn_matcher_begin(&w->matcher, length);
    ATTN_TRY(attn_added_cut(&t->added, false, &t->unicode, given, &w->raw, e->err));
    for (size_t i = 0; i < w->raw.count && !e->full; i++) {
        const attn_added_piece *piece = &w->raw.piece[i];
        if (!piece->token) {
            ATTN_TRY(encode_between(e, given, piece->range));
            continue;
        }
        attn_range place = attn_string_origin(given, piece->range.first, piece->range.end);
        ATTN_TRY(add_token(e, piece->token->id, place, true));
        e->word++;
    }
    return ATTN_OK;
}

/* ---- the whole --------------------------------------------------------------------------------
 */

/* Everything lies in one block: the offsets first, which are the widest. */
static attn_status write_encoding(const attn_tokenizer *t, const attn_parts *parts,
                                  attn_encoding *out, attn_error *err)
{
    enum { EACH = sizeof(size_t[2]) + 6 * sizeof(int32_t) };
    size_t count = 0, at = 0;
    for (size_t i = 0; i < parts->count; i++) count += parts->part[i].count;
    attn_memory memory;
    attn_memory_init(&memory, &t->memory.allocator, 0);
    memory.budget = t->memory.budget;
    memory.holder = ATTN_HELD_BY_TOKENIZER;
    ATTN_TRY(attn_alloc(&memory, count * EACH, "an encoding", &out->memory, err));
    out->count = count;
    out->bytes = count * EACH;
    out->offset = out->memory;
    int32_t *rest = (int32_t *)(void *)(out->offset + count);
    out->ids = rest;
    out->type_ids = rest + count;
    out->attention = rest + 2 * count;
    out->special = rest + 3 * count;
    out->sequence = rest + 4 * count;
    out->word = rest + 5 * count;
    for (size_t i = 0; i < parts->count; i++)
        for (size_t k = 0; k < parts->part[i].count; k++, at++) {
            const attn_entry *e = &parts->part[i].entry[k];
            out->ids[at] = e->id;
            out->type_ids[at] = e->type;
            out->attention[at] = !e->padding;
            out->special[at] = e->special;
            out->sequence[at] = e->sequence;
            out->word[at] = e->word;
            out->offset[at][0] = e->first;
            out->offset[at][1] = e->end;
        }
    return ATTN_OK;
}

typedef struct inputs {
    const char *text[2];
    size_t length[2];
    size_t count;
} inputs;

static attn_status encode_all(const attn_tokenizer *t, attn_tokenizing *w, const inputs *in,
                              const attn_encode_options *options, attn_parts *parts,
                              attn_error *err)
{
    attn_truncation truncation = t->truncation;
    if (options->no_truncation) truncation.set = false;
    if (options->max_length) {
        truncation.set = true;
        truncation.max_length = options->max_length;
    }
    for (size_t i = 0; i < in->count; i++) {
        /* Of a single text the tokens beyond what truncation leaves are not looked for. */
        bool limited = truncation.set && !truncation.left && in->count == 1 &&
                       truncation.strategy != ATTN_ONLY_SECOND;
        encoding_text e = {.tokenizer = t,
                           .work = w,
                           .part = &parts->part[i],
                           .limit = limited ? truncation.max_length : SIZE_MAX,
                           .err = err};
        ATTN_TRY(encode_text(&e, in->text[i], in->length[i]));
    }
    bool special = !options->no_special;
    size_t added = special ? attn_postprocessors_added(&t->postprocessors, in->count > 1) : 0;
    ATTN_TRY(attn_truncate_parts(&truncation, parts, added, err));
    const attn_token_texts texts = {
        &t->unicode,
        &t->vocabulary,
        {{in->text[0], in->length[0]}, {in->text[1], in->length[1]}},
    };
    ATTN_TRY(attn_postprocess(&t->postprocessors, parts, special, &texts, err));
    if (options->no_padding || !t->padding.set) return ATTN_OK;
    for (size_t i = 0; parts->count > 1 && i < parts->part[1].count; i++)
        ATTN_TRY(attn_part_add(&w->memory, &parts->part[0], parts->part[1].entry[i], err));
    parts->count = 1;
    /* Without a post-processor a single text covers all there is. */
    int sequence = in->count == 1 && !t->postprocessors.count ? 0 : -1;
    return attn_pad(&t->padding, &w->memory, &parts->part[0], sequence, err);
}

attn_status attn_tokenizer_encode(const attn_tokenizer *t, const char *text, size_t length,
                                  const char *pair, size_t pair_length,
                                  const attn_encode_options *options, attn_encoding *out,
                                  attn_error *err)
{
    static const attn_encode_options defaults;
    *out = (attn_encoding){0};
    const inputs in = {{text ? text : "", pair}, {text ? length : 0, pair_length}, pair ? 2 : 1};
    attn_tokenizing *w = attn_tokenizing_take(t, err);
    if (!w) return err ? err->status : ATTN_NO_MEMORY;
    attn_parts parts = {.memory = &w->memory, .count = in.count};
    attn_status status = encode_all(t, w, &in, options ? options : &defaults, &parts, err);
    if (!status) status = write_encoding(t, &parts, out, err);
    for (int i = 0; i < 2; i++) attn_part_free(&w->memory, &parts.part[i]);
    attn_tokenizing_give(t, w);
    return status;
}

void attn_encoding_free(const attn_tokenizer *t, attn_encoding *encoding)
{
    if (encoding->memory) {
        t->memory.allocator.release(t->memory.allocator.user, encoding->memory);
        attn_budget_give(t->memory.budget, ATTN_HELD_BY_TOKENIZER, encoding->bytes);
    }
    *encoding = (attn_encoding){0};
}
