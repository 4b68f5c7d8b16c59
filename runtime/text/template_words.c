#include "runtime/text/chat.h"

#include <string.h>

#define MAX_TEMPLATE ((size_t)1 << 20)

typedef struct reader {
    attn_template_words *words;
    const char *file, *text, *end;
    attn_arena *arena;
    attn_error *err;
    size_t literal_room, name_room;
    unsigned error_depth; /* brackets open inside raise_exception(...); 0: not in it */
    bool after_raise;
} reader;

static bool is_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool grow(reader *r, void **array, size_t count, size_t *room, size_t size)
{
    if (count < *room) return true;
    size_t more = *room ? 2 * *room : 64;
    void *fresh = attn_arena_get(r->arena, more, size, r->err);
    if (!fresh) return false;
    if (count) memcpy(fresh, *array, count * size);
    *array = fresh;
    *room = more;
    return true;
}

static char unescape(char c)
{
    switch (c) {
    case 'n':
        return '\n';
    case 't':
        return '\t';
    case 'r':
        return '\r';
    default:
        return c;
    }
}

/* A literal in quotes, at *at. */
static attn_status read_literal(reader *r, const char **at)
{
    attn_template_words *w = r->words;
    const char *c = *at + 1;
    char quote = **at;
    while (c < r->end && *c != quote) c += *c == '\\' && c + 1 < r->end ? 2 : 1;
    if (c >= r->end)
        return attn_fail(r->err, ATTN_BAD_FILE, "%s: the chat template has a text without an end",
                         r->file);
    char *copy = attn_arena_get(r->arena, (size_t)(c - *at), 1, r->err);
    size_t used = 0, room = r->literal_room;
    if (!copy || !grow(r, (void **)&w->literal, w->count, &room, sizeof *w->literal) ||
        !grow(r, (void **)&w->in_error, w->count, &r->literal_room, sizeof *w->in_error))
        return ATTN_NO_MEMORY;
    w->text[w->length++] = '\'';
    for (const char *from = *at + 1; from < c; from++) {
        char byte = *from == '\\' && from + 1 < c ? unescape(*++from) : *from;
        copy[used++] = byte;
        w->text[w->length++] = byte;
    }
    w->text[w->length++] = '\'';
    w->in_error[w->count] = r->error_depth > 0;
    w->literal[w->count++] = copy;
    *at = c + 1;
    return ATTN_OK;
}

static attn_status read_word(reader *r, const char **at)
{
    attn_template_words *w = r->words;
    const char *c = *at;
    while (c < r->end && is_name(*c)) c++;
    size_t length = (size_t)(c - *at);
    if (w->length && is_name(w->text[w->length - 1])) w->text[w->length++] = ' ';
    memcpy(w->text + w->length, *at, length);
    w->length += length;
    r->after_raise = length == 15 && memcmp(*at, "raise_exception", 15) == 0;
    if (**at < '0' || **at > '9') {
        if (!grow(r, (void **)&w->name, w->names, &r->name_room, sizeof *w->name))
            return ATTN_NO_MEMORY;
        w->name[w->names] = attn_arena_text(r->arena, *at, length, r->err);
        if (!w->name[w->names++]) return ATTN_NO_MEMORY;
    }
    *at = c;
    return ATTN_OK;
}

static void read_mark(reader *r, const char **at)
{
    char c = *(*at)++;
    if (c == '(' && (r->after_raise || r->error_depth)) r->error_depth++;
    if (c == ')' && r->error_depth) r->error_depth--;
    r->after_raise = false;
    r->words->text[r->words->length++] = c;
}

/* A tag, at *at: "{{ ... }}" or "{% ... %}". A "-" beside a bracket is left out: it only takes
 * whitespace away. */
static attn_status read_tag(reader *r, const char **at)
{
    attn_template_words *w = r->words;
    char close = (*at)[1] == '{' ? '}' : '%';
    memcpy(w->text + w->length, *at, 2);
    w->length += 2;
    for (*at += 2; *at < r->end && (**at == '-' || **at == '+');) ++*at;
    while (*at < r->end) {
        const char *c = *at;
        if (is_space(*c)) {
            ++*at;
        } else if (*c == '-' && c + 2 < r->end && c[1] == close && c[2] == '}') {
            ++*at;
        } else if (*c == close && c + 1 < r->end && c[1] == '}') {
            *at += 2;
            w->text[w->length++] = close;
            w->text[w->length++] = '}';
            return ATTN_OK;
        } else if (*c == '\'' || *c == '"') {
            ATTN_TRY(read_literal(r, at));
        } else if (is_name(*c)) {
            ATTN_TRY(read_word(r, at));
        } else {
            read_mark(r, at);
        }
    }
    return attn_fail(r->err, ATTN_BAD_FILE, "%s: the chat template has a tag without an end",
                     r->file);
}

attn_status attn_template_read(attn_template_words *words, const char *file, const char *text,
                               size_t length, attn_arena *arena, attn_error *err)
{
    reader r = {words, file, text, text + length, arena, err, 0, 0, 0, false};
    *words = (attn_template_words){0};
    if (length > MAX_TEMPLATE)
        return attn_fail(err, ATTN_LIMIT, "%s: a chat template of %zu bytes", file, length);
    /* A space between words that only a line feed parts adds nothing. */
    words->text = attn_arena_get(arena, length + 1, 2, err);
    if (!words->text) return ATTN_NO_MEMORY;
    for (const char *at = text; at < r.end;) {
        if (*at == '{' && at + 1 < r.end && (at[1] == '{' || at[1] == '%')) {
            ATTN_TRY(read_tag(&r, &at));
        } else if (*at == '{' && at + 1 < r.end && at[1] == '#') {
            while (at < r.end && !(at[0] == '#' && at + 1 < r.end && at[1] == '}')) at++;
            at = at < r.end ? at + 2 : at;
        } else {
            words->has_text = words->has_text || !is_space(*at);
            at++;
        }
    }
    words->text[words->length] = 0;
    return ATTN_OK;
}
