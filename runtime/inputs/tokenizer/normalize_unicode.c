/* NFD, NFC, NFKD, NFKC. Where a mark moves past another, the reference gives each place the origin
 * of the character that was there before: the characters change, the places do not. So does this.
 */
#include "runtime/inputs/tokenizer/normalizer.h"

#include <string.h>

/* A character of the result: it replaces one of the text and removes -change more; or, if change is
 * 1, it is one more. */
typedef struct mark {
    uint32_t c;
    uint32_t class;
    int32_t change;
} mark;

typedef struct marks {
    attn_memory *memory;
    size_t count, room;
    mark *list;
} marks;

typedef struct run {
    const attn_unicode *unicode;
    bool composed, compatible;
    attn_edit edit;
    marks pending; /* in canonical order once the next starter comes */
    marks buffer;  /* composition: what did not compose with the starter */
    mark starter;
    bool has_starter;
    int last_class; /* of the buffer; -1: it is empty */
} run;

static attn_status add(marks *m, mark value, attn_error *err)
{
    if (m->count == m->room) {
        size_t room = m->room ? 2 * m->room : 32, bytes;
        void *fresh;
        if (!attn_mul(room, sizeof *m->list, &bytes))
            return attn_fail(err, ATTN_NO_MEMORY, "%zu marks are more than can exist", room);
        ATTN_TRY(attn_alloc(m->memory, bytes, "combining marks", &fresh, err));
        if (m->count) memcpy(fresh, m->list, m->count * sizeof *m->list);
        attn_release(m->memory, m->list, m->room * sizeof *m->list);
        m->list = fresh;
        m->room = room;
    }
    m->list[m->count++] = value;
    return ATTN_OK;
}

static attn_status emit(run *r, mark m)
{
    attn_edit *e = &r->edit;
    uint32_t old;
    if (m.change > 0 || e->at >= e->in->length) {
        /* Stands for what the character before does. */
        return attn_edit_insert_char(e, m.c, e->at ? e->at - 1 : 0);
    }
    size_t bytes = attn_utf8_read(e->in->text + e->at, &old);
    ATTN_TRY(attn_edit_replace(e, bytes, m.c));
    for (; m.change < 0 && e->at < e->in->length; m.change++)
        attn_edit_skip(e, attn_utf8_read(e->in->text + e->at, &old));
    return ATTN_OK;
}

static attn_status emit_buffer(run *r)
{
    for (size_t i = 0; i < r->buffer.count; i++) ATTN_TRY(emit(r, r->buffer.list[i]));
    r->buffer.count = 0;
    r->last_class = -1;
    return ATTN_OK;
}

/* The next character in canonical order. */
static attn_status compose(run *r, mark m)
{
    if (!r->composed) return emit(r, m);
    if (!r->has_starter) {
        if (m.class) return emit(r, m);
        r->starter = m;
        r->has_starter = true;
        return ATTN_OK;
    }
    if (r->last_class < (int)m.class) {
        uint32_t c = attn_compose(r->unicode, r->starter.c, m.c);
        if (c) {
            r->starter.c = c;
            r->starter.change += m.change - 1;
            return ATTN_OK;
        }
    }
    if (m.class) {
        r->last_class = (int)m.class;
        return add(&r->buffer, m, r->edit.err);
    }
    ATTN_TRY(emit(r, r->starter));
    ATTN_TRY(emit_buffer(r));
    r->starter = m;
    return ATTN_OK;
}

/* Stable, by class: few marks by insertion, a long run by counting. */
static attn_status order(marks *m, attn_error *err)
{
    if (m->count <= 32) {
        for (size_t i = 1; i < m->count; i++) {
            mark value = m->list[i];
            size_t j = i;
            for (; j && m->list[j - 1].class > value.class; j--) m->list[j] = m->list[j - 1];
            m->list[j] = value;
        }
        return ATTN_OK;
    }
    size_t place[257] = {0}, bytes = m->count * sizeof *m->list;
    void *fresh;
    ATTN_TRY(attn_alloc(m->memory, bytes, "combining marks", &fresh, err));
    mark *sorted = fresh;
    for (size_t i = 0; i < m->count; i++) place[(m->list[i].class & 255) + 1]++;
    for (int c = 0; c < 256; c++) place[c + 1] += place[c];
    for (size_t i = 0; i < m->count; i++) sorted[place[m->list[i].class & 255]++] = m->list[i];
    memcpy(m->list, sorted, bytes);
    attn_release(m->memory, fresh, bytes);
    return ATTN_OK;
}

static attn_status flush(run *r)
{
    if (r->pending.count > 1) ATTN_TRY(order(&r->pending, r->edit.err));
    for (size_t i = 0; i < r->pending.count; i++) ATTN_TRY(compose(r, r->pending.list[i]));
    r->pending.count = 0;
    return ATTN_OK;
}

static attn_status finish(run *r)
{
    ATTN_TRY(flush(r));
    if (r->has_starter) ATTN_TRY(emit(r, r->starter));
    r->has_starter = false;
    return emit_buffer(r);
}

static attn_status all(run *r)
{
    const attn_string *in = r->edit.in;
    for (size_t at = 0; at < in->length;) {
        size_t plain = attn_ascii_run(in->text + at, in->length - at);
        if (plain > 1) {
            /* All but the last, to which a mark may belong; what is open ends before them. */
            ATTN_TRY(finish(r));
            ATTN_TRY(attn_edit_copy(&r->edit, plain - 1));
            at += plain - 1;
        }
        uint32_t c, part[ATTN_DECOMPOSED_MAX];
        at += attn_utf8_read(in->text + at, &c);
        size_t parts = attn_decompose(r->unicode, c, r->compatible, part);
        for (size_t i = 0; i < parts; i++) {
            mark m = {part[i], attn_combining_class(r->unicode, part[i]), i > 0};
            if (!m.class) ATTN_TRY(flush(r));
            if (m.class)
                ATTN_TRY(add(&r->pending, m, r->edit.err));
            else
                ATTN_TRY(compose(r, m));
        }
    }
    return finish(r);
}

attn_status attn_normalize_unicode(const attn_normalizer *n, const attn_normalizing *shared,
                                   const attn_string *in, attn_string *out, attn_error *err)
{
    run r = {.unicode = shared->unicode,
             .composed = n->flag[0],
             .compatible = n->flag[1],
             .edit = attn_edit_begin(in, out, err),
             .pending = {.memory = out->memory},
             .buffer = {.memory = out->memory},
             .last_class = -1};
    attn_status status = all(&r);
    attn_release(out->memory, r.pending.list, r.pending.room * sizeof *r.pending.list);
    attn_release(out->memory, r.buffer.list, r.buffer.room * sizeof *r.buffer.list);
    return status;
}
