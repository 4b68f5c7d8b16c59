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

/* What an encoding lies in counts in the tokenizer's budget, but not in its own limit. */
static attn_memory encoding_memory(const attn_tokenizer *t)
{
    attn_memory memory;
    attn_memory_init(&memory, &t->memory.allocator, 0);
    memory.budget = t->memory.budget;
    memory.holder = ATTN_HELD_BY_TOKENIZER;
    return memory;
}

/* Everything lies in one block: the offsets first, which are the widest. */
static attn_status write_encoding(const attn_tokenizer *t, const attn_parts *parts,
                                  attn_encoding *out, attn_error *err)
{
    enum { EACH = sizeof(size_t[2]) + 6 * sizeof(int32_t) };
    size_t count = 0, at = 0;
    for (size_t i = 0; i < parts->count; i++) count += parts->part[i].count;
    attn_memory memory = encoding_memory(t);
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

static attn_truncation truncation_of(const attn_tokenizer *t, const attn_encode_options *options)
{
    attn_truncation truncation = t->truncation;
    if (options->no_truncation) truncation.set = false;
    if (options->max_length) {
        truncation.set = true;
        truncation.max_length = options->max_length;
    }
    if (options->stride) truncation.stride = options->stride;
    if (options->cut) truncation.strategy = (attn_truncate)(options->cut - ATTN_CUT_LONGEST_FIRST);
    return truncation;
}

/* The tokens of each text; `most` of a text, after which no more are needed. */
static attn_status encode_texts(const attn_tokenizer *t, attn_tokenizing *w, const inputs *in,
                                size_t most, attn_parts *parts, attn_error *err)
{
    for (size_t i = 0; i < in->count; i++) {
        encoding_text e = {
            .tokenizer = t, .work = w, .part = &parts->part[i], .limit = most, .err = err};
        ATTN_TRY(encode_text(&e, in->text[i], in->length[i]));
    }
    return ATTN_OK;
}

static size_t added_tokens(const attn_tokenizer *t, const inputs *in,
                           const attn_encode_options *options)
{
    return options->no_special ? 0 : attn_postprocessors_added(&t->postprocessors, in->count > 1);
}

static attn_status postprocess(const attn_tokenizer *t, const inputs *in, bool special,
                               attn_parts *parts, attn_error *err)
{
    const attn_token_texts texts = {
        &t->unicode,
        &t->vocabulary,
        {{in->text[0], in->length[0]}, {in->text[1], in->length[1]}},
    };
    return attn_postprocess(&t->postprocessors, parts, special, &texts, err);
}

static attn_status encode_all(const attn_tokenizer *t, attn_tokenizing *w, const inputs *in,
                              const attn_encode_options *options, attn_parts *parts,
                              attn_error *err)
{
    attn_truncation truncation = truncation_of(t, options);
    /* Of a single text the tokens beyond what truncation leaves are not looked for. */
    bool limited = truncation.set && !truncation.left && in->count == 1 &&
                   truncation.strategy != ATTN_ONLY_SECOND;
    ATTN_TRY(encode_texts(t, w, in, limited ? truncation.max_length : SIZE_MAX, parts, err));
    ATTN_TRY(attn_truncate_parts(&truncation, parts, added_tokens(t, in, options), err));
    ATTN_TRY(postprocess(t, in, !options->no_special, parts, err));
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
    attn_memory memory = encoding_memory(t);
    attn_release(&memory, encoding->memory, encoding->bytes);
    *encoding = (attn_encoding){0};
}

/* ---- windows ----------------------------------------------------------------------------------
 */

enum { MOST_WINDOWS = 1 << 20 };

/* How the windows of one text lie: `size` tokens each, `step` apart, from the side that stays. */
typedef struct slide {
    size_t tokens, size, step, count;
    bool left;
} slide;

static slide slide_of(const attn_truncation *t, size_t tokens, size_t size)
{
    slide s = {.tokens = tokens, .size = size, .count = 1, .left = t->left};
    if (size == tokens) return s;
    s.step = size ? size - t->stride : tokens;
    /* A window without tokens, and the whole text as what is over. */
    s.count = size ? 1 + (tokens - size + s.step - 1) / s.step : 2;
    return s;
}

typedef struct window {
    size_t first, end; /* tokens */
} window;

static window window_at(const slide *s, size_t k)
{
    if (!s->size && k) return (window){0, s->tokens};
    size_t at = k * s->step;
    if (!s->left) return (window){at, s->tokens - at < s->size ? s->tokens : at + s->size};
    size_t end = s->tokens - at;
    return (window){end < s->size ? 0 : end - s->size, end};
}

typedef struct windows {
    const attn_tokenizer *tokenizer;
    const inputs *in;
    attn_parts parts; /* all tokens */
    slide slide[2];
    bool special;
    attn_encoding *out; /* [total], of which `count` are done */
    size_t count, total;
} windows;

/* Window number at[i] of each text. */
static attn_status write_window(windows *w, size_t first, size_t second, attn_error *err)
{
    const size_t at[2] = {first, second};
    attn_parts parts = {
        .memory = w->parts.memory, .count = w->parts.count, .later = {first > 0, second > 0}};
    attn_status status = ATTN_OK;
    for (size_t i = 0; i < parts.count; i++) {
        window range = window_at(&w->slide[i], at[i]);
        for (size_t k = range.first; k < range.end && !status; k++)
            status = attn_part_add(parts.memory, &parts.part[i], w->parts.part[i].entry[k], err);
    }
    if (!status) status = postprocess(w->tokenizer, w->in, w->special, &parts, err);
    if (!status) status = write_encoding(w->tokenizer, &parts, &w->out[w->count], err);
    w->count += !status;
    for (int i = 0; i < 2; i++) attn_part_free(parts.memory, &parts.part[i]);
    return status;
}

/* In the order of the reference: each further window of the first text with all of the second, then
 * the first one with the second's others. */
static attn_status write_windows(windows *w, attn_error *err)
{
    size_t most[2] = {w->slide[0].count, w->parts.count > 1 ? w->slide[1].count : 1}, total;
    void *memory;
    if (!attn_mul(most[0], most[1], &total) || total > MOST_WINDOWS)
        return attn_fail(err, ATTN_LIMIT, "%zu x %zu windows are more than %d", most[0], most[1],
                         MOST_WINDOWS);
    attn_memory own = encoding_memory(w->tokenizer);
    ATTN_TRY(attn_alloc(&own, total * sizeof *w->out, "the windows of a text", &memory, err));
    w->out = memset(memory, 0, total * sizeof *w->out);
    w->total = total;
    ATTN_TRY(write_window(w, 0, 0, err));
    for (size_t i = 1; i < most[0]; i++)
        for (size_t j = 0; j < most[1]; j++) ATTN_TRY(write_window(w, i, j, err));
    for (size_t j = 1; j < most[1]; j++) ATTN_TRY(write_window(w, 0, j, err));
    return ATTN_OK;
}

static attn_status encode_windows(windows *w, attn_tokenizing *work,
                                  const attn_encode_options *options, attn_error *err)
{
    const attn_tokenizer *t = w->tokenizer;
    attn_truncation truncation = truncation_of(t, options), counted = truncation;
    ATTN_TRY(encode_texts(t, work, w->in, SIZE_MAX, &w->parts, err));
    attn_parts cut = w->parts; /* the counts alone */
    counted.left = false;
    ATTN_TRY(attn_truncate_parts(&counted, &cut, added_tokens(t, w->in, options), err));
    for (size_t i = 0; i < cut.count; i++)
        w->slide[i] = slide_of(&truncation, w->parts.part[i].count, cut.part[i].count);
    return write_windows(w, err);
}

attn_status attn_tokenizer_windows(const attn_tokenizer *t, const char *text, size_t length,
                                   const char *pair, size_t pair_length,
                                   const attn_encode_options *options, attn_encoding **out,
                                   size_t *count, attn_error *err)
{
    static const attn_encode_options defaults;
    const inputs in = {{text ? text : "", pair}, {text ? length : 0, pair_length}, pair ? 2 : 1};
    *out = NULL;
    *count = 0;
    attn_tokenizing *work = attn_tokenizing_take(t, err);
    if (!work) return err ? err->status : ATTN_NO_MEMORY;
    if (!options) options = &defaults;
    windows w = {.tokenizer = t,
                 .in = &in,
                 .parts = {.memory = &work->memory, .count = in.count},
                 .special = !options->no_special};
    attn_status status = encode_windows(&w, work, options, err);
    for (int i = 0; i < 2; i++) attn_part_free(&work->memory, &w.parts.part[i]);
    attn_tokenizing_give(t, work);
    if (status) {
        attn_windows_free(t, w.out, w.total);
        return status;
    }
    *out = w.out;
    *count = w.count;
    return ATTN_OK;
}

void attn_windows_free(const attn_tokenizer *t, attn_encoding *w, size_t count)
{
    attn_memory memory = encoding_memory(t);
    for (size_t i = 0; w && i < count; i++) attn_encoding_free(t, &w[i]);
    attn_release(&memory, w, count * sizeof *w);
}
