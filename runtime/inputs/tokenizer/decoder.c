#include "runtime/inputs/tokenizer/decoder.h"

#include <string.h>

enum { MOST = 64 }; /* decoders of a file */

/* ---- words -------------------------------------------------------------------------------- */

void attn_words_free(attn_words *w)
{
    attn_release(w->memory, w->text, w->room);
    attn_release(w->memory, w->end, w->end_room * sizeof *w->end);
    *w = (attn_words){.memory = w->memory};
}

/* Room for `need` items; the old ones are kept. */
static attn_status grow(attn_memory *memory, void **items, size_t *room, size_t used, size_t more,
                        size_t size, attn_error *err)
{
    size_t need, bytes;
    void *fresh;
    if (!attn_add(used, more, &need) || !attn_add(need, need / 2 + 64, &need) ||
        !attn_mul(need, size, &bytes))
        return attn_fail(err, ATTN_NO_MEMORY, "a text of %zu bytes is more than can exist", used);
    ATTN_TRY(attn_alloc(memory, bytes, "the text of tokens", &fresh, err));
    if (used) memcpy(fresh, *items, used * size);
    attn_release(memory, *items, *room * size);
    *items = fresh;
    *room = need;
    return ATTN_OK;
}

attn_status attn_words_put(attn_words *w, const char *text, size_t length, attn_error *err)
{
    if (w->room - w->length < length) {
        void *items = w->text;
        ATTN_TRY(grow(w->memory, &items, &w->room, w->length, length, 1, err));
        w->text = items;
    }
    if (length) memcpy(w->text + w->length, text, length);
    w->length += length;
    return ATTN_OK;
}

attn_status attn_words_end(attn_words *w, attn_error *err)
{
    if (w->count == w->end_room) {
        void *items = w->end;
        ATTN_TRY(grow(w->memory, &items, &w->end_room, w->count, 1, sizeof *w->end, err));
        w->end = items;
    }
    w->end[w->count++] = w->length;
    return ATTN_OK;
}

/* ---- reading ------------------------------------------------------------------------------ */

static attn_status read_text(const attn_place *p, const char *key, const char **text,
                             size_t *length, attn_arena *arena, attn_error *err)
{
    const char *value = NULL;
    ATTN_TRY(attn_place_text(p, key, true, &value, err));
    *length = strlen(value);
    *text = attn_arena_text(arena, value, *length, err);
    return *text ? ATTN_OK : ATTN_NO_MEMORY;
}

static attn_status read_ctc(attn_decoder *d, const attn_place *p, attn_arena *arena,
                            attn_error *err)
{
    d->run = attn_decode_ctc;
    ATTN_TRY(read_text(p, "pad_token", &d->text, &d->length, arena, err));
    ATTN_TRY(read_text(p, "word_delimiter_token", &d->second, &d->second_length, arena, err));
    return attn_place_flag(p, "cleanup", true, &d->flag, err);
}

static attn_status read_metaspace(attn_decoder *d, const attn_place *p, attn_error *err)
{
    attn_prepend prepend;
    bool split;
    d->run = attn_decode_metaspace;
    ATTN_TRY(attn_metaspace_read(p, &d->character, &prepend, &split, err));
    d->flag = prepend != ATTN_PREPEND_NEVER;
    return ATTN_OK;
}

static attn_status read_one(attn_decoder *d, const char *type, const attn_place *p,
                            attn_pattern **patterns, attn_arena *arena, attn_error *err)
{
    *d = (attn_decoder){0};
    if (strcmp(type, "CTC") == 0) return read_ctc(d, p, arena, err);
    if (strcmp(type, "Metaspace") == 0) return read_metaspace(d, p, err);
    if (strcmp(type, "ByteLevel") == 0) {
        d->run = attn_decode_byte_level;
    } else if (strcmp(type, "ByteFallback") == 0) {
        d->run = attn_decode_byte_fallback;
    } else if (strcmp(type, "Fuse") == 0) {
        d->run = attn_decode_fuse;
    } else if (strcmp(type, "WordPiece") == 0) {
        d->run = attn_decode_wordpiece;
        ATTN_TRY(read_text(p, "prefix", &d->text, &d->length, arena, err));
        return attn_place_flag(p, "cleanup", true, &d->flag, err);
    } else if (strcmp(type, "BPEDecoder") == 0) {
        d->run = attn_decode_bpe;
        return read_text(p, "suffix", &d->text, &d->length, arena, err);
    } else if (strcmp(type, "Replace") == 0) {
        d->run = attn_decode_replace;
        ATTN_TRY(attn_place_pattern(p, "pattern", patterns, &d->pattern, arena, err));
        return read_text(p, "content", &d->text, &d->length, arena, err);
    } else if (strcmp(type, "Strip") == 0) {
        d->run = attn_decode_strip;
        ATTN_TRY(attn_place_char(p, "content", &d->character, err));
        ATTN_TRY(attn_place_size(p, "start", true, 0, UINT32_MAX, &d->start, err));
        return attn_place_size(p, "stop", true, 0, UINT32_MAX, &d->stop, err);
    } else {
        return attn_place_fail(p, err, "there is no decoder \"%.60s\"", type);
    }
    return ATTN_OK;
}

static attn_status read_any(attn_decoders *d, const attn_place *p, attn_pattern **patterns,
                            attn_arena *arena, attn_error *err)
{
    const char *type;
    const cJSON *list;
    int index = 0;
    ATTN_TRY(attn_place_component(p, "decoders", &type, &list, err));
    if (list) {
        for (const cJSON *item = list->child; item; item = item->next, index++) {
            attn_place at = attn_place_at(p, "decoders", item, index);
            ATTN_TRY(read_any(d, &at, patterns, arena, err));
        }
        return ATTN_OK;
    }
    if (d->count == MOST) return attn_place_fail(p, err, "more than %d decoders", MOST);
    return read_one(&d->list[d->count++], type, p, patterns, arena, err);
}

attn_status attn_decoders_read(attn_decoders *d, const attn_place *place, attn_pattern **patterns,
                               attn_arena *arena, attn_error *err)
{
    *d = (attn_decoders){0};
    if (!place->object || cJSON_IsNull(place->object)) return ATTN_OK;
    d->set = true;
    d->list = attn_arena_get(arena, MOST, sizeof *d->list, err);
    return d->list ? read_any(d, place, patterns, arena, err) : ATTN_NO_MEMORY;
}

attn_status attn_decode(const attn_decoders *d, attn_matcher *matcher, attn_words *words,
                        attn_words *spare, attn_error *err)
{
    for (size_t i = 0; i < d->count; i++) {
        spare->count = spare->length = 0;
        ATTN_TRY(d->list[i].run(&d->list[i], matcher, words, spare, err));
        attn_words done = *spare;
        *spare = *words;
        *words = done;
    }
    return ATTN_OK;
}
