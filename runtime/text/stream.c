/* Text from ids as they come.
 *
 * What a decoder makes of a token depends on the tokens around it (a space that is left out at the
 * beginning, bytes that make a character together), so a window of the last tokens is decoded
 * again for each new one: those of the last piece, and those since. The new text is what the window
 * decodes to after the text that its first tokens decode to. */
#include "runtime/attn_text.h"
#include "runtime/text/stops.h"

#include <string.h>

enum { ROOM = 64, MOST = 32, CONTEXT = 8, MOST_SILENT = 1024 };

struct attn_text_stream {
    attn_memory memory;
    attn_arena arena; /* the stop strings */
    const attn_tokenizer *tokenizer;
    bool skip_special;
    attn_stops stops;
    bool stopped;
    int32_t *id; /* the window: [context] whose text is told, then [count - context] */
    size_t count, context, room;
    size_t told; /* bytes of the window's text that went into `text` */
    bool in_run; /* the window ends with tokens that stand for one byte each */
    char *text;  /* what is not given yet, because it may begin a stop string */
    size_t length, given, text_room;
};

attn_status attn_text_stream_open(attn_text_stream **out, const attn_tokenizer *tokenizer,
                                  const attn_text_stream_options *options, attn_error *err)
{
    const attn_text_stream_options none = {0};
    attn_memory memory;
    void *fresh;
    *out = NULL;
    if (!options) options = &none;
    attn_memory_init(&memory, NULL, 0);
    ATTN_TRY(attn_alloc(&memory, sizeof(attn_text_stream), "a text stream", &fresh, err));
    attn_text_stream *s = fresh;
    *s = (attn_text_stream){
        .memory = memory, .tokenizer = tokenizer, .skip_special = options->skip_special};
    attn_arena_init(&s->arena, &s->memory);
    attn_status status = attn_stops_init(&s->stops, options->stop, options->stops, &s->arena, err);
    if (status) {
        attn_text_stream_close(s);
        return status;
    }
    *out = s;
    return ATTN_OK;
}

void attn_text_stream_close(attn_text_stream *s)
{
    if (!s) return;
    attn_arena_free(&s->arena);
    attn_release(&s->memory, s->id, s->room * sizeof *s->id);
    attn_release(&s->memory, s->text, s->text_room);
    attn_memory memory = s->memory;
    attn_release(&memory, s, sizeof *s);
}

/* Room for `more` bytes behind the first `used`. */
static attn_status grow(attn_text_stream *s, void **array, size_t used, size_t more, size_t *room,
                        attn_error *err)
{
    size_t need, size;
    void *fresh;
    if (!attn_add(used, more, &need) || !attn_mul(need, 2, &size))
        return attn_fail(err, ATTN_LIMIT, "a text of %zu bytes", used);
    if (need <= *room) return ATTN_OK;
    ATTN_TRY(attn_alloc(&s->memory, size, "the text", &fresh, err));
    if (used) memcpy(fresh, *array, used);
    attn_release(&s->memory, *array, *room);
    *array = fresh;
    *room = size;
    return ATTN_OK;
}

/* A token that stands for one byte: "<0x0A>". What a run of them makes is known at its end. */
static bool is_byte(const attn_text_stream *s, int32_t id)
{
    size_t length;
    const char *token = attn_tokenizer_token(s->tokenizer, id, &length);
    return token && length == 6 && memcmp(token, "<0x", 3) == 0 && token[5] == '>';
}

/* Whether the window's text must wait: its last token is a byte's, or comes after such and has no
 * text of its own, so that it may be skipped and the bytes go on behind it. */
static attn_status must_wait(attn_text_stream *s, bool *wait, attn_error *err)
{
    char *text;
    size_t length;
    *wait = is_byte(s, s->id[s->count - 1]);
    if (!*wait && s->in_run) {
        ATTN_TRY(attn_tokenizer_decode(s->tokenizer, s->id + s->count - 1, 1, s->skip_special,
                                       &text, &length, err));
        attn_text_free(s->tokenizer, text);
        *wait = length == 0;
    }
    s->in_run = *wait;
    return ATTN_OK;
}

/* Bytes of the text without a replacement character at its end, which may be the beginning of a
 * character. */
static size_t settled(const char *text, size_t length)
{
    bool open = length >= 3 && memcmp(text + length - 3, "\xef\xbf\xbd", 3) == 0;
    return open ? length - 3 : length;
}

static attn_status decode(const attn_text_stream *s, size_t first, size_t count, char **text,
                          size_t *length, attn_error *err)
{
    return attn_tokenizer_decode(s->tokenizer, s->id + first, count, s->skip_special, text, length,
                                 err);
}

/* Keeps the last tokens of the window as context, and so many that they alone have a text: at the
 * beginning of a text a decoder may leave something out. But MOST_SILENT without one are enough. */
static attn_status move_window(attn_text_stream *s, size_t keep, attn_error *err)
{
    char *text;
    size_t length;
    for (; keep < s->count; keep *= 2) {
        ATTN_TRY(decode(s, s->count - keep, keep, &text, &length, err));
        size_t told = settled(text, length);
        attn_text_free(s->tokenizer, text);
        if (told == 0 && keep < MOST_SILENT) continue;
        memmove(s->id, s->id + s->count - keep, keep * sizeof *s->id);
        s->count = keep;
        s->told = told;
        break;
    }
    s->context = s->count;
    return ATTN_OK;
}

/* Decodes the window and appends what is new. all: nothing more comes. */
static attn_status tell(attn_text_stream *s, bool all, attn_error *err)
{
    char *text;
    size_t length;
    ATTN_TRY(decode(s, 0, s->count, &text, &length, err));
    size_t end = all ? length : settled(text, length);
    bool clean = end == length && end > s->told;
    attn_status status = ATTN_OK;
    if (end > s->told) {
        void *to = s->text;
        status = grow(s, &to, s->length, end - s->told, &s->text_room, err);
        s->text = to;
        if (!status) {
            memcpy(s->text + s->length, text + s->told, end - s->told);
            s->length += end - s->told;
            s->told = end;
        }
    }
    attn_text_free(s->tokenizer, text);
    if (status || all) return status;
    if (clean) return move_window(s, s->count - s->context, err);
    return s->count >= MOST ? move_window(s, CONTEXT, err) : ATTN_OK;
}

/* What of s->text may be given: all but what begins a stop string. */
static void give(attn_text_stream *s, size_t before, bool all, const char **text, size_t *length,
                 bool *stopped)
{
    size_t taken, found = 0, end = s->length;
    if (s->stops.count)
        found = attn_stops_take(&s->stops, s->text + before, s->length - before, &taken);
    if (found) {
        s->stopped = true;
        end = before + taken - found;
    } else if (!all) {
        end -= attn_stops_held(&s->stops);
    }
    *stopped = s->stopped;
    *text = s->text ? s->text + s->given : "";
    *length = end - s->given;
    s->given = end;
}

/* Forgets what has been given. */
static void drop_given(attn_text_stream *s)
{
    if (s->given) memmove(s->text, s->text + s->given, s->length - s->given);
    s->length -= s->given;
    s->given = 0;
}

attn_status attn_text_stream_push(attn_text_stream *s, int32_t id, const char **text,
                                  size_t *length, bool *stopped, attn_error *err)
{
    *text = "";
    *length = 0;
    *stopped = s->stopped;
    if (s->stopped) return ATTN_OK;
    drop_given(s);
    size_t before = s->length;
    if (s->count == s->room) {
        size_t room = s->room ? 2 * s->room : ROOM;
        void *fresh;
        ATTN_TRY(attn_alloc(&s->memory, room * sizeof *s->id, "the ids of a text", &fresh, err));
        if (s->count) memcpy(fresh, s->id, s->count * sizeof *s->id);
        attn_release(&s->memory, s->id, s->room * sizeof *s->id);
        s->id = fresh;
        s->room = room;
    }
    s->id[s->count++] = id;
    bool wait;
    ATTN_TRY(must_wait(s, &wait, err));
    if (!wait) ATTN_TRY(tell(s, false, err));
    give(s, before, false, text, length, stopped);
    return ATTN_OK;
}

attn_status attn_text_stream_end(attn_text_stream *s, const char **text, size_t *length,
                                 bool *stopped, attn_error *err)
{
    *text = "";
    *length = 0;
    *stopped = s->stopped;
    if (s->stopped) return ATTN_OK;
    drop_given(s);
    size_t before = s->length;
    ATTN_TRY(tell(s, true, err));
    give(s, before, true, text, length, stopped);
    s->count = s->context = s->told = 0;
    s->in_run = false;
    return ATTN_OK;
}
