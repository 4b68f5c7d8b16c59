#include "runtime/inputs/tokenizer/text.h"

#include <string.h>

/* ---- memory ------------------------------------------------------------------------------- */

/* Room for `need` items of `size` bytes, `used` of which are kept. */
static attn_status grow(attn_memory *memory, void **items, size_t *room, size_t used, size_t need,
                        size_t size, attn_error *err)
{
    if (need <= *room) return ATTN_OK;
    size_t more = *room + *room / 2, bytes;
    if (more < need) more = need;
    if (more < 64) more = 64;
    void *fresh;
    if (need > UINT32_MAX || !attn_mul(more, size, &bytes))
        return attn_fail(err, ATTN_LIMIT, "a text of %zu bytes in normal form: at most %u", need,
                         UINT32_MAX);
    ATTN_TRY(attn_alloc(memory, bytes, "a text in normal form", &fresh, err));
    if (used) memcpy(fresh, *items, used * size);
    attn_release(memory, *items, *room * size);
    *items = fresh;
    *room = more;
    return ATTN_OK;
}

void attn_string_free(attn_string *s)
{
    attn_release(s->memory, s->text, s->room);
    attn_release(s->memory, s->origin, s->origin_room * sizeof *s->origin);
    *s = (attn_string){.memory = s->memory};
}

void attn_string_clear(attn_string *s, size_t base)
{
    s->length = 0;
    s->mapped = false;
    s->base = base;
}

attn_status attn_string_reserve(attn_string *s, size_t length, attn_error *err)
{
    void *items = s->text;
    attn_status status = grow(s->memory, &items, &s->room, s->length, length, 1, err);
    s->text = items;
    if (status || !s->mapped) return status;
    items = s->origin;
    status = grow(s->memory, &items, &s->origin_room, s->length, length, sizeof *s->origin, err);
    s->origin = items;
    return status;
}

attn_status attn_ranges_grow(attn_ranges *r, attn_error *err)
{
    void *items = r->range;
    attn_status status =
        grow(r->memory, &items, &r->room, r->count, r->count + 1, sizeof *r->range, err);
    r->range = items;
    return status;
}

void attn_ranges_free(attn_ranges *r)
{
    attn_release(r->memory, r->range, r->room * sizeof *r->range);
    *r = (attn_ranges){.memory = r->memory};
}

/* ---- origins ------------------------------------------------------------------------------ */

/* origin[0..length) of text that begins at byte `base` of the original. */
static void write_own_origins(attn_range *origin, const char *text, size_t length, size_t base)
{
    for (size_t i = 0; i < length;) {
        size_t end = i + 1;
        while (end < length && (text[end] & 0xc0) == 0x80) end++;
        for (attn_range own = {(uint32_t)(base + i), (uint32_t)(base + end)}; i < end; i++)
            origin[i] = own;
    }
}

attn_status attn_string_map(attn_string *s, attn_error *err)
{
    if (s->mapped) return ATTN_OK;
    void *items = s->origin;
    attn_status status =
        grow(s->memory, &items, &s->origin_room, 0, s->room, sizeof *s->origin, err);
    s->origin = items;
    if (status) return status;
    write_own_origins(s->origin, s->text, s->length, s->base);
    s->mapped = true;
    return ATTN_OK;
}

attn_range attn_string_origin(const attn_string *s, size_t first, size_t end)
{
    if (first >= end) {
        uint32_t at = (uint32_t)(s->base + first);
        if (s->mapped && s->length) at = s->origin[first < s->length ? first : s->length - 1].first;
        return (attn_range){at, at};
    }
    if (s->mapped) return (attn_range){s->origin[first].first, s->origin[end - 1].end};
    while (first && (s->text[first] & 0xc0) == 0x80) first--;
    while (end < s->length && (s->text[end] & 0xc0) == 0x80) end++;
    return (attn_range){(uint32_t)(s->base + first), (uint32_t)(s->base + end)};
}

/* ---- rewriting ---------------------------------------------------------------------------- */

attn_edit attn_edit_begin(const attn_string *in, attn_string *out, attn_error *err)
{
    attn_string_clear(out, in->base);
    out->mapped = in->mapped;
    return (attn_edit){in, out, 0, err};
}

/* Room for `more` bytes. Rooms are for the whole of `in` at once: most texts stay that long. */
static attn_status make_room(attn_edit *e, size_t more)
{
    attn_string *out = e->out;
    size_t need = out->length + more;
    if (need <= out->room && (!out->mapped || need <= out->origin_room)) return ATTN_OK;
    size_t rest = e->in->length - e->at;
    return attn_string_reserve(out, need + (rest > more ? rest - more : 0), e->err);
}

/* Something has been left out: from here on, bytes do not stand for themselves. */
static attn_status note_gap(attn_edit *e)
{
    attn_string *out = e->out;
    if (out->mapped || out->base + out->length == e->in->base + e->at) return ATTN_OK;
    if (out->length) return attn_string_map(out, e->err);
    out->base = e->in->base + e->at;
    return ATTN_OK;
}

attn_status attn_edit_copy(attn_edit *e, size_t bytes)
{
    if (!bytes) return ATTN_OK;
    ATTN_TRY(note_gap(e));
    ATTN_TRY(make_room(e, bytes));
    const attn_string *in = e->in;
    attn_string *out = e->out;
    memcpy(out->text + out->length, in->text + e->at, bytes);
    if (out->mapped && in->mapped)
        memcpy(out->origin + out->length, in->origin + e->at, bytes * sizeof *out->origin);
    else if (out->mapped)
        write_own_origins(out->origin + out->length, in->text + e->at, bytes, in->base + e->at);
    out->length += bytes;
    e->at += bytes;
    return ATTN_OK;
}

attn_status attn_edit_insert(attn_edit *e, const char *text, size_t length, size_t from)
{
    attn_string *out = e->out;
    ATTN_TRY(attn_string_map(out, e->err));
    ATTN_TRY(make_room(e, length));
    if (from >= e->in->length) from = e->in->length ? e->in->length - 1 : 0;
    attn_range origin = attn_string_origin(e->in, from, e->in->length ? from + 1 : from);
    memcpy(out->text + out->length, text, length);
    for (size_t i = 0; i < length; i++) out->origin[out->length + i] = origin;
    out->length += length;
    return ATTN_OK;
}

attn_status attn_edit_insert_char(attn_edit *e, uint32_t c, size_t from)
{
    char text[4];
    return attn_edit_insert(e, text, attn_utf8_write(c, text), from);
}

attn_status attn_edit_replace(attn_edit *e, size_t bytes, uint32_t c)
{
    ATTN_TRY(note_gap(e));
    if (!e->out->mapped && attn_utf8_length(c) == bytes) {
        ATTN_TRY(make_room(e, bytes));
        e->out->length += attn_utf8_write(c, e->out->text + e->out->length);
    } else {
        ATTN_TRY(attn_edit_insert_char(e, c, e->at));
    }
    e->at += bytes;
    return ATTN_OK;
}
