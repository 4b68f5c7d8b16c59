#include "runtime/text/stops.h"

#include <string.h>

attn_status attn_stops_init(attn_stops *s, const char *const *texts, size_t count,
                            attn_arena *arena, attn_error *err)
{
    *s = (attn_stops){0};
    s->stop = attn_arena_get(arena, count, sizeof *s->stop, err);
    if (!s->stop) return ATTN_NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        attn_stop *stop = &s->stop[i];
        stop->length = strlen(texts[i]);
        if (stop->length == 0)
            return attn_fail(err, ATTN_BAD_ARGUMENT, "stop string %zu is empty", i);
        stop->text = attn_arena_text(arena, texts[i], stop->length, err);
        stop->failure = attn_arena_get(arena, stop->length, sizeof *stop->failure, err);
        if (!stop->text || !stop->failure) return ATTN_NO_MEMORY;
        for (size_t at = 1, border = 0; at < stop->length; at++) {
            while (border && stop->text[at] != stop->text[border])
                border = stop->failure[border - 1];
            if (stop->text[at] == stop->text[border]) border++;
            stop->failure[at] = border;
        }
    }
    s->count = count;
    return ATTN_OK;
}

size_t attn_stops_take(attn_stops *s, const char *text, size_t length, size_t *taken)
{
    for (size_t i = 0; i < length; i++) {
        size_t longest = 0;
        for (size_t k = 0; k < s->count; k++) {
            attn_stop *stop = &s->stop[k];
            while (stop->state && text[i] != stop->text[stop->state])
                stop->state = stop->failure[stop->state - 1];
            if (text[i] == stop->text[stop->state]) stop->state++;
            if (stop->state == stop->length && stop->length > longest) longest = stop->length;
        }
        *taken = i + 1;
        if (longest) return longest;
    }
    *taken = length;
    return 0;
}

size_t attn_stops_held(const attn_stops *s)
{
    size_t held = 0;
    for (size_t k = 0; k < s->count; k++)
        if (s->stop[k].state > held) held = s->stop[k].state;
    return held;
}
