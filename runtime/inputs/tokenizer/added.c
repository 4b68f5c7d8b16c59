#include "runtime/inputs/tokenizer/added.h"

#include <string.h>

/* ---- reading ------------------------------------------------------------------------------ */

static attn_status read_token(attn_added_token *t, const attn_place *p, attn_arena *arena,
                              attn_error *err)
{
    const char *text = NULL;
    size_t id = 0;
    if (!cJSON_IsObject(p->object))
        return attn_place_fail(p, err, "an object is needed, found %s", attn_json_kind(p->object));
    ATTN_TRY(attn_place_size(p, "id", true, 0, ATTN_VOCABULARY_MAX - 1, &id, err));
    ATTN_TRY(attn_place_text(p, "content", true, &text, err));
    ATTN_TRY(attn_place_flag(p, "single_word", true, &t->single_word, err));
    ATTN_TRY(attn_place_flag(p, "lstrip", true, &t->lstrip, err));
    ATTN_TRY(attn_place_flag(p, "rstrip", true, &t->rstrip, err));
    ATTN_TRY(attn_place_flag(p, "normalized", true, &t->normalized, err));
    ATTN_TRY(attn_place_flag(p, "special", true, &t->special, err));
    t->length = t->normal_length = strlen(text);
    t->text = t->normal = attn_arena_text(arena, text, t->length, err);
    return t->text ? ATTN_OK : ATTN_NO_MEMORY;
}

static attn_status normalize_token(attn_added_token *t, const attn_normalizers *n,
                                   const attn_normalizing *shared, attn_string scratch[2],
                                   attn_arena *arena, attn_error *err)
{
    if (!t->normalized || !n->count) return ATTN_OK;
    const attn_string as_given = {.text = (char *)(uintptr_t)t->text, .length = t->length};
    const attn_string *normal;
    attn_matcher_begin(shared->matcher, t->length);
    ATTN_TRY(attn_normalize(n, shared, &as_given, &scratch[0], &scratch[1], &normal, err));
    t->normal = attn_arena_text(arena, normal->text ? normal->text : "", normal->length, err);
    t->normal_length = normal->length;
    return t->normal ? ATTN_OK : ATTN_NO_MEMORY;
}

/* Ids as the reference gives them: the model's, else one after another from the number of the
 * model's tokens on; what the file says does not count. A text that comes again keeps its id. */
static attn_status number_tokens(attn_added *a, const attn_vocabulary *vocabulary,
                                 attn_arena *arena, attn_error *err)
{
    size_t next = vocabulary->count;
    for (size_t i = 0; i < a->count; i++) {
        attn_added_token *t = &a->token[i];
        const attn_added_token *before = attn_added_by_text(a, t->text, t->length);
        int32_t id = before ? before->id : attn_vocabulary_id(vocabulary, t->text, t->length);
        t->id = id >= 0 ? id : (int32_t)next++;
        if (!attn_vocabulary_add(&a->vocabulary, t->text, t->length, (int32_t)i, arena, err))
            return ATTN_LIMIT;
        if ((size_t)t->id >= a->size) a->size = (size_t)t->id + 1;
    }
    a->by_id = attn_arena_get(arena, a->size, sizeof *a->by_id, err);
    if (!a->by_id) return ATTN_NO_MEMORY;
    memset(a->by_id, 0xff, a->size * sizeof *a->by_id);
    for (size_t i = 0; i < a->count; i++) a->by_id[a->token[i].id] = (uint32_t)i;
    return ATTN_OK;
}

static attn_status build_finders(attn_added *a, attn_arena *arena, attn_error *err)
{
    for (int normal = 0; normal < 2; normal++) {
        size_t bytes = 0;
        for (size_t i = 0; i < a->count; i++)
            if (a->token[i].normalized == normal) bytes += a->token[i].normal_length;
        ATTN_TRY(attn_finder_init(&a->finder[normal], bytes, arena, err));
        for (size_t i = 0; i < a->count; i++) {
            const attn_added_token *t = &a->token[i];
            if (t->normalized == normal && a->by_id[t->id] == i)
                attn_finder_add(&a->finder[normal], t->normal, t->normal_length, i);
        }
        ATTN_TRY(attn_finder_finish(&a->finder[normal], arena->memory, err));
    }
    return ATTN_OK;
}

attn_status attn_added_read(attn_added *a, const attn_place *place,
                            const attn_vocabulary *vocabulary, const attn_normalizers *normalizers,
                            const attn_normalizing *shared, attn_arena *arena, attn_error *err)
{
    *a = (attn_added){0};
    const cJSON *list = place->object;
    size_t count = 0;
    if (list && !cJSON_IsNull(list) && !cJSON_IsArray(list))
        return attn_place_fail(place, err, "a list is needed, found %s", attn_json_kind(list));
    for (const cJSON *item = list ? list->child : NULL; item; item = item->next) count++;
    ATTN_TRY(attn_vocabulary_init(&a->vocabulary, count, count, arena, err));
    a->token = attn_arena_get(arena, count, sizeof *a->token, err);
    if (!a->token) return ATTN_NO_MEMORY;
    attn_string scratch[2] = {{.memory = arena->memory}, {.memory = arena->memory}};
    attn_status status = ATTN_OK;
    int index = 0;
    for (const cJSON *item = list ? list->child : NULL; item && !status; item = item->next) {
        attn_place at = attn_place_at(place, "", item, index++);
        attn_added_token *t = &a->token[a->count];
        *t = (attn_added_token){0};
        status = read_token(t, &at, arena, err);
        if (!status) status = normalize_token(t, normalizers, shared, scratch, arena, err);
        if (!status && t->length) a->count++; /* an empty one is nowhere to be found */
    }
    for (int i = 0; i < 2; i++) attn_string_free(&scratch[i]);
    if (!status) status = number_tokens(a, vocabulary, arena, err);
    return status ? status : build_finders(a, arena, err);
}

const attn_added_token *attn_added_by_id(const attn_added *a, int32_t id)
{
    if (id < 0 || (size_t)id >= a->size || a->by_id[id] == UINT32_MAX) return NULL;
    return &a->token[a->by_id[id]];
}

const attn_added_token *attn_added_by_text(const attn_added *a, const char *text, size_t length)
{
    int32_t index = attn_vocabulary_id(&a->vocabulary, text, length);
    return index < 0 ? NULL : &a->token[index];
}

/* ---- cutting ------------------------------------------------------------------------------ */

static bool has_before(const attn_unicode *u, const attn_string *s, size_t at, unsigned property)
{
    uint32_t c;
    if (!at) return false;
    attn_utf8_read(s->text + attn_utf8_back(s->text, at), &c);
    return attn_unicode_of(u, c) & property;
}

static bool has_after(const attn_unicode *u, const attn_string *s, size_t at, unsigned property)
{
    uint32_t c;
    if (at >= s->length) return false;
    attn_utf8_read(s->text + at, &c);
    return attn_unicode_of(u, c) & property;
}

static attn_status add_piece(attn_added_pieces *out, size_t first, size_t end,
                             const attn_added_token *token, attn_error *err)
{
    if (first >= end) return ATTN_OK;
    if (out->count == out->room) {
        size_t room = out->room ? 2 * out->room : 16, bytes;
        void *fresh;
        if (!attn_mul(room, sizeof *out->piece, &bytes))
            return attn_fail(err, ATTN_NO_MEMORY, "%zu pieces are more than can exist", room);
        ATTN_TRY(attn_alloc(out->memory, bytes, "the added tokens of a text", &fresh, err));
        if (out->count) memcpy(fresh, out->piece, out->count * sizeof *out->piece);
        attn_release(out->memory, out->piece, out->room * sizeof *out->piece);
        out->piece = fresh;
        out->room = room;
    }
    out->piece[out->count++] = (attn_added_piece){{(uint32_t)first, (uint32_t)end}, token};
    return ATTN_OK;
}

attn_status attn_added_cut(const attn_added *a, bool normal, const attn_unicode *u,
                           const attn_string *text, attn_added_pieces *out, attn_error *err)
{
    size_t begin = 0, matched = 0; /* ends of the last piece, and of the last match */
    out->count = out->hits.count = 0;
    if (a->finder[normal].nodes > 1)
        ATTN_TRY(attn_finder_run(&a->finder[normal], text->text, text->length, &out->hits, err));
    for (size_t i = out->hits.count; i-- > 0;) {
        const attn_added_token *t = &a->token[out->hits.range[i].end];
        size_t first = out->hits.range[i].first, end = first + t->normal_length;
        if (first < matched) continue;
        matched = end;
        if (t->single_word &&
            (has_before(u, text, first, ATTN_IS_WORD) || has_after(u, text, end, ATTN_IS_WORD)))
            continue;
        while (t->lstrip && first > begin && has_before(u, text, first, ATTN_IS_SPACE))
            first = attn_utf8_back(text->text, first);
        /* White space that the match before has taken is not looked at again. */
        if (t->rstrip && end < begin) end = begin;
        while (t->rstrip && has_after(u, text, end, ATTN_IS_SPACE)) {
            uint32_t c;
            end += attn_utf8_read(text->text + end, &c);
        }
        ATTN_TRY(add_piece(out, begin, first, NULL, err));
        ATTN_TRY(add_piece(out, first, end, t, err));
        begin = end;
    }
    return add_piece(out, begin, text->length, NULL, err);
}

void attn_added_pieces_free(attn_added_pieces *p)
{
    attn_release(p->memory, p->piece, p->room * sizeof *p->piece);
    attn_ranges_free(&p->hits);
    *p = (attn_added_pieces){.memory = p->memory, .hits = {.memory = p->hits.memory}};
}
