#include "runtime/inputs/tokenizer/vocabulary.h"

#include <string.h>

/* Tokens are short: eight bytes at a time, mixed by a multiplication. */
static uint64_t hash_of(const char *text, size_t length)
{
    uint64_t h = 0x9e3779b97f4a7c15u ^ length * 0xff51afd7ed558ccdu, word;
    for (; length >= 8; text += 8, length -= 8) {
        memcpy(&word, text, 8);
        h = (h ^ word) * 0xd6e8feb86659fd93u;
        h ^= h >> 32;
    }
    word = 0;
    memcpy(&word, text, length);
    h = (h ^ word) * 0xd6e8feb86659fd93u;
    return h ^ h >> 32;
}

attn_status attn_vocabulary_init(attn_vocabulary *v, size_t count, size_t size, attn_arena *arena,
                                 attn_error *err)
{
    *v = (attn_vocabulary){.room = count, .size = size, .slots = 4};
    if (count > ATTN_VOCABULARY_MAX || size > ATTN_VOCABULARY_MAX)
        return attn_fail(err, ATTN_LIMIT, "a vocabulary of %zu tokens, ids to %zu: at most %d",
                         count, size, ATTN_VOCABULARY_MAX);
    while (v->slots < 2 * count) v->slots *= 2;
    v->token = attn_arena_get(arena, count, sizeof *v->token, err);
    v->by_id = attn_arena_get(arena, size, sizeof *v->by_id, err);
    v->slot = attn_arena_get(arena, v->slots, sizeof *v->slot, err);
    if (!v->token || !v->by_id || !v->slot) {
        *v = (attn_vocabulary){0};
        return ATTN_NO_MEMORY;
    }
    memset(v->by_id, 0xff, size * sizeof *v->by_id);
    memset(v->slot, 0xff, v->slots * sizeof *v->slot);
    return ATTN_OK;
}

/* The slot that holds the text, or the free one where it would be put; NULL if neither is near:
 * then the tokens were made to collide. */
static uint32_t *find_slot(const attn_vocabulary *v, const char *text, size_t length)
{
    enum { MOST_PROBES = 4096 };
    size_t mask = v->slots - 1, at = (size_t)hash_of(text, length) & mask;
    for (int probes = 0; probes < MOST_PROBES; probes++, at = (at + 1) & mask) {
        uint32_t index = v->slot[at];
        if (index == UINT32_MAX) return &v->slot[at];
        const attn_token *token = &v->token[index];
        if (token->length == length && memcmp(token->text, text, length) == 0) return &v->slot[at];
    }
    return NULL;
}

bool attn_vocabulary_add(attn_vocabulary *v, const char *text, size_t length, int32_t id,
                         attn_arena *arena, attn_error *err)
{
    if (id < 0 || (size_t)id >= v->size || length > UINT32_MAX) {
        attn_fail(err, ATTN_LIMIT, "the id %ld of a token is not below %zu", (long)id, v->size);
        return false;
    }
    uint32_t *slot = find_slot(v, text, length);
    if (!slot || (*slot == UINT32_MAX && v->count == v->room)) {
        attn_fail(err, ATTN_LIMIT,
                  slot ? "a vocabulary has more than its %zu tokens"
                       : "too many of a vocabulary's %zu tokens collide",
                  v->room);
        return false;
    }
    if (*slot == UINT32_MAX) {
        char *copy = attn_arena_text(arena, text, length, err);
        if (!copy) return false;
        v->token[v->count] = (attn_token){copy, (uint32_t)length, id};
        *slot = (uint32_t)v->count++;
    } else if (v->token[*slot].id != id) {
        if (v->by_id[v->token[*slot].id] == *slot) v->by_id[v->token[*slot].id] = UINT32_MAX;
        v->token[*slot].id = id;
    }
    v->by_id[id] = *slot;
    return true;
}

int32_t attn_vocabulary_id(const attn_vocabulary *v, const char *text, size_t length)
{
    if (!v->count) return -1;
    const uint32_t *slot = find_slot(v, text, length);
    return slot && *slot != UINT32_MAX ? v->token[*slot].id : -1;
}

const attn_token *attn_vocabulary_token(const attn_vocabulary *v, int32_t id)
{
    if (id < 0 || (size_t)id >= v->size || v->by_id[id] == UINT32_MAX) return NULL;
    return &v->token[v->by_id[id]];
}

/* ---- from JSON ---------------------------------------------------------------------------- */

attn_status attn_vocabulary_read(attn_vocabulary *v, const cJSON *object, const char *file,
                                 const char *where, attn_arena *arena, attn_error *err)
{
    size_t count = 0;
    double highest = -1, id;
    attn_json_text shown;
    if (!cJSON_IsObject(object))
        return attn_fail(err, ATTN_BAD_FILE,
                         "%s: %s: an object of tokens and ids is needed, found %s", file, where,
                         attn_json_kind(object));
    for (const cJSON *item = object->child; item; item = item->next, count++) {
        if (!attn_json_integer(item, 0, ATTN_VOCABULARY_MAX - 1, &id))
            return attn_fail(
                err, ATTN_BAD_FILE, "%s: %s: \"%.80s\": an id from 0 to %d is needed, found %s",
                file, where, item->string, ATTN_VOCABULARY_MAX - 1, attn_json_show(&shown, item));
        if (id > highest) highest = id;
    }
    ATTN_TRY(attn_vocabulary_init(v, count, (size_t)(highest + 1), arena, err));
    for (const cJSON *item = object->child; item; item = item->next)
        if (!attn_vocabulary_add(v, item->string, strlen(item->string), (int32_t)item->valuedouble,
                                 arena, err))
            return ATTN_LIMIT;
    return ATTN_OK;
}
