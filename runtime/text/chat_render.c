/* Messages to the text that a template makes of them. */
#define _POSIX_C_SOURCE 200809L

#include "runtime/text/chat.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

typedef struct part {
    const char *text;
    size_t length;
} part;

typedef struct writer {
    const attn_chat *chat;
    const char *date;
    char *to; /* NULL: only counted */
    size_t length;
    bool fits;
} writer;

static void put(writer *w, const char *text, size_t length)
{
    if (w->to && length) memcpy(w->to + w->length, text, length);
    w->fits = w->fits && attn_add(w->length, length, &w->length);
}

/* A text of the family's. */
static void put_text(writer *w, const char *text)
{
    for (const char *c = text ? text : ""; *c; c++) {
        const char *token = *c == '\1'   ? w->chat->bos
                            : *c == '\2' ? w->chat->eos
                            : *c == '\3' ? w->date
                                         : NULL;
        put(w, token ? token : c, token ? strlen(token) : 1);
    }
}

/* ---- whitespace as Python's strip() sees it ------------------------------------------------ */

/* Bytes of the whitespace character at the beginning of text[0..length), or 0. */
static size_t space_at(const char *text, size_t length)
{
    const unsigned char *c = (const unsigned char *)text;
    if (length && (*c == ' ' || (*c >= 9 && *c <= 13) || (*c >= 0x1c && *c <= 0x1f))) return 1;
    if (length >= 2 && c[0] == 0xc2 && (c[1] == 0x85 || c[1] == 0xa0)) return 2;
    if (length < 3) return 0;
    unsigned three = (unsigned)c[0] << 16 | (unsigned)c[1] << 8 | c[2];
    bool space = three == 0xe19a80 || (three >= 0xe28080 && three <= 0xe2808a) ||
                 three == 0xe280a8 || three == 0xe280a9 || three == 0xe280af || three == 0xe2819f ||
                 three == 0xe38080;
    return space ? 3 : 0;
}

static part trim(part p)
{
    for (size_t n; (n = space_at(p.text, p.length)) > 0;) p.text += n, p.length -= n;
    for (bool again = true; again && p.length;) {
        again = false;
        for (size_t n = 1; n <= 3 && n <= p.length && !again; n++)
            if (space_at(p.text + p.length - n, n) == n) {
                p.length -= n;
                again = true;
            }
    }
    return p;
}

/* ---- turns --------------------------------------------------------------------------------- */

enum { SYSTEM, USER, ASSISTANT, ROLES };

static attn_status role_of(const attn_message *m, size_t index, int *role, attn_error *err)
{
    static const char *const roles[ROLES] = {"system", "user", "assistant"};
    for (*role = 0; *role < ROLES; ++*role)
        if (strcmp(m->role, roles[*role]) == 0) return ATTN_OK;
    return attn_fail(err, ATTN_BAD_INPUT,
                     "message %zu is of \"%.40s\", expected system, user or assistant", index,
                     m->role);
}

static attn_status check(const attn_chat *chat, const attn_message *message, size_t count,
                         attn_error *err)
{
    const attn_chat_family *f = chat->family;
    size_t turns = 0;
    for (size_t i = 0; i < count; i++) {
        int role;
        ATTN_TRY(role_of(&message[i], i, &role, err));
        if (role == SYSTEM) {
            if (f->system == CHAT_SYSTEM_REFUSED)
                return attn_fail(err, ATTN_BAD_INPUT,
                                 "the chat template \"%s\" knows no system message", f->name);
            if (i > 0 && f->system != CHAT_SYSTEM_TURN && f->system != CHAT_SYSTEM_DROPPED)
                return attn_fail(err, ATTN_BAD_INPUT,
                                 "message %zu: a system message can only be the first", i);
        } else if (f->alternate && (role == USER) != (turns++ % 2 == 0)) {
            return attn_fail(err, ATTN_BAD_INPUT,
                             "message %zu is of \"%s\": user and assistant must take turns", i,
                             message[i].role);
        }
    }
    return ATTN_OK;
}

static part strip_lines(part p)
{
    while (p.length && *p.text == '\n') p.text++, p.length--;
    while (p.length && p.text[p.length - 1] == '\n') p.length--;
    return p;
}

/* The place of `what` in p, the first or the last; p.length if it is not there. */
static size_t find(part p, const char *what, bool last)
{
    size_t n = strlen(what), found = p.length;
    for (size_t i = 0; i + n <= p.length && (last || found == p.length); i++)
        if (memcmp(p.text + i, what, n) == 0) found = i;
    return found;
}

/* An answer is what stands after the last </think>; thoughts: what stands before the first. */
static part without_thoughts(part p, part *thoughts)
{
    static const char begin[] = "<think>", end[] = "</think>";
    size_t first = find(p, end, false), last = find(p, end, true), n = sizeof end - 1;
    *thoughts = (part){"", 0};
    if (first == p.length) return p;
    *thoughts = (part){p.text, first};
    size_t open = find(*thoughts, begin, true);
    if (open < thoughts->length) {
        thoughts->text += open + sizeof begin - 1;
        thoughts->length -= open + sizeof begin - 1;
    }
    *thoughts = strip_lines(*thoughts);
    p = (part){p.text + last + n, p.length - last - n};
    while (p.length && *p.text == '\n') p.text++, p.length--;
    return p;
}

static void put_system(writer *w, part said)
{
    const attn_chat_family *f = w->chat->family;
    bool own_turn = f->system == CHAT_SYSTEM_TURN || f->system == CHAT_SYSTEM_ALWAYS;
    if (f->trim && own_turn) said = trim(said);
    put_text(w, f->system_before);
    put(w, said.text, said.length);
    put_text(w, f->system_after);
}

/* system: to be said in this turn, or NULL. */
static void put_user(writer *w, part said, const part *system)
{
    const attn_chat_family *f = w->chat->family;
    put_text(w, f->user_before);
    /* Llama 2 trims the two as one text. */
    bool one = system && f->system_before && f->system_before[0];
    if (f->trim_user && !one) said = trim(said);
    if (system) put_system(w, *system);
    if (f->trim_user && one) {
        part ends = trim(said);
        /* what stands before it is the system message: only the end is whitespace of the whole */
        said.length = ends.length ? (size_t)(ends.text + ends.length - said.text) : 0;
    }
    put(w, said.text, said.length);
    put_text(w, f->user_after);
}

static void put_assistant(writer *w, part said, bool last)
{
    const attn_chat_family *f = w->chat->family;
    put_text(w, f->assistant_before);
    if (f->thinking) {
        part thoughts;
        said = without_thoughts(said, &thoughts);
        if (last) {
            put_text(w, "<think>\n");
            put(w, thoughts.text, thoughts.length);
            put_text(w, "\n</think>\n\n");
        }
    }
    if (f->trim) said = trim(said);
    put(w, said.text, said.length);
    put_text(w, f->assistant_after);
}

static part part_of(const attn_message *m)
{
    return (part){m->text, m->length};
}

/* The system message: the first, or the default; false: none. */
static bool system_of(const attn_chat *chat, const attn_message *message, size_t count, part *said)
{
    *said = (part){chat->system ? chat->system : "", chat->system ? strlen(chat->system) : 0};
    if (count && strcmp(message[0].role, "system") == 0) {
        *said = part_of(&message[0]);
        return true;
    }
    return chat->system != NULL;
}

static void write_all(writer *w, const attn_message *message, size_t count, bool prompt)
{
    const attn_chat_family *f = w->chat->family;
    part system;
    bool given = system_of(w->chat, message, count, &system);
    size_t first = count && strcmp(message[0].role, "system") == 0, carrier = SIZE_MAX;
    if (w->chat->begins) put_text(w, "\1");
    if ((f->system == CHAT_SYSTEM_TURN && given) || f->system == CHAT_SYSTEM_ALWAYS)
        put_system(w, system);
    if (given && f->system == CHAT_SYSTEM_IN_FIRST) carrier = first;
    if (given && f->system == CHAT_SYSTEM_IN_LAST) carrier = count - 1;
    for (size_t i = first; i < count; i++) {
        if (strcmp(message[i].role, "user") == 0)
            put_user(w, part_of(&message[i]), i == carrier ? &system : NULL);
        else if (strcmp(message[i].role, "assistant") == 0)
            put_assistant(w, part_of(&message[i]), i + 1 == count);
        else if (f->system == CHAT_SYSTEM_TURN)
            put_system(w, part_of(&message[i]));
    }
    if (prompt) put_text(w, f->prompt);
}

static void write_date(char *to, size_t size, bool today)
{
    time_t now = time(NULL);
    struct tm local;
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    if (!today || !localtime_r(&now, &local))
        snprintf(to, size, "26 Jul 2024"); /* what the template has */
    else
        snprintf(to, size, "%02d %s %04d", local.tm_mday, months[local.tm_mon % 12],
                 local.tm_year + 1900);
}

attn_status attn_chat_render(const attn_chat *chat, const attn_message *message, size_t count,
                             bool prompt, char **text, size_t *length, attn_error *err)
{
    char date[32];
    writer w = {.chat = chat, .date = date, .fits = true};
    attn_memory memory = chat->memory;
    void *fresh;
    size_t bytes;
    *text = NULL;
    ATTN_TRY(check(chat, message, count, err));
    write_date(date, sizeof date, chat->today);
    write_all(&w, message, count, prompt);
    if (!w.fits || !attn_add(w.length, 1, &bytes))
        return attn_fail(err, ATTN_LIMIT, "%zu messages are too long", count);
    ATTN_TRY(attn_alloc(&memory, bytes, "the text of a chat", &fresh, err));
    *text = w.to = fresh;
    w.length = 0;
    write_all(&w, message, count, prompt);
    w.to[w.length] = 0;
    *length = w.length;
    return ATTN_OK;
}

void attn_chat_free(const attn_chat *chat, char *text)
{
    if (text) chat->memory.allocator.release(chat->memory.allocator.user, text);
}
