#include "runtime/inputs/tokenizer/gguf.h"
#include "runtime/inputs/tokenizer/vocabulary.h"

#include <stdlib.h>
#include <string.h>

/* Splitting a token looks up as many parts as it has bytes: a bound for hostile files. */
enum { MAX_TOKEN = 256, MAX_MERGES = 1 << 24 };

typedef struct merge {
    float score;
    uint32_t token, left, right; /* ids */
    uint16_t cut;                /* bytes of the left side */
    uint16_t left_characters, right_characters;
} merge;

typedef struct merges {
    const attn_gguf *gguf;
    const attn_gguf_value *tokens, *scores;
    attn_arena arena;
    attn_vocabulary vocabulary;
    const char **text; /* [tokens] */
    size_t *length;
    size_t count, room;
    merge *list;
    attn_error *err;
} merges;

size_t attn_gguf_spell(const attn_gguf_item *token, char *to)
{
    size_t length = token->length;
    bool spaces = length > 1;
    for (size_t i = 0; i < length; i++) spaces = spaces && token->text[i] == ' ';
    for (size_t i = 0; spaces && i < length; i++) memcpy(to + 3 * i, "\xe2\x96\x81", 3);
    if (spaces)
        length *= 3;
    else
        memcpy(to, token->text, length);
    to[length] = 0;
    return length;
}

/* "tokenizer.ggml.tokens" as a vocabulary. */
static attn_status read_tokens(merges *m)
{
    size_t count = (size_t)m->tokens->count;
    const unsigned char *at = m->tokens->data;
    ATTN_TRY(attn_vocabulary_init(&m->vocabulary, count, count, &m->arena, m->err));
    m->text = attn_arena_get(&m->arena, count, sizeof *m->text, m->err);
    m->length = attn_arena_get(&m->arena, count, sizeof *m->length, m->err);
    if (!m->text || !m->length) return ATTN_NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        char text[3 * MAX_TOKEN + 1];
        attn_gguf_item item;
        attn_gguf_next(m->tokens, &at, &item);
        if (item.length > MAX_TOKEN)
            return attn_fail(m->err, ATTN_LIMIT,
                             "%s: metadata \"%s\": token %zu has %zu bytes, at most %d are read "
                             "where merges are not given",
                             m->gguf->file, m->tokens->key, i, item.length, MAX_TOKEN);
        m->length[i] = attn_gguf_spell(&item, text);
        m->text[i] = attn_arena_text(&m->arena, text, m->length[i], m->err);
        if (!m->text[i]) return ATTN_NO_MEMORY;
        if (!attn_vocabulary_add(&m->vocabulary, text, m->length[i], (int32_t)i, &m->arena, m->err))
            return m->err->status;
    }
    return ATTN_OK;
}

static attn_status grow(merges *m)
{
    if (m->count < m->room) return ATTN_OK;
    size_t larger = m->room ? m->room * 2 : 4096;
    if (larger > MAX_MERGES)
        return attn_fail(m->err, ATTN_LIMIT, "%s: the vocabulary implies more than %d merges",
                         m->gguf->file, MAX_MERGES);
    merge *fresh = attn_arena_get(&m->arena, larger, sizeof *fresh, m->err);
    if (!fresh) return ATTN_NO_MEMORY;
    if (m->count) memcpy(fresh, m->list, m->count * sizeof *fresh);
    m->list = fresh;
    m->room = larger;
    return ATTN_OK;
}

static size_t characters(const char *text, size_t length)
{
    size_t count = 0;
    for (size_t i = 0; i < length; i++) count += ((unsigned char)text[i] & 0xc0) != 0x80;
    return count;
}

static attn_status split_token(merges *m, size_t token, float score)
{
    const char *text = m->text[token];
    size_t length = m->length[token], all = characters(text, length);
    for (size_t cut = 1; cut < length; cut++) {
        if (((unsigned char)text[cut] & 0xc0) == 0x80) continue;
        int32_t left = attn_vocabulary_id(&m->vocabulary, text, cut);
        int32_t right =
            left < 0 ? -1 : attn_vocabulary_id(&m->vocabulary, text + cut, length - cut);
        if (right < 0) continue;
        ATTN_TRY(grow(m));
        size_t before = characters(text, cut);
        m->list[m->count++] = (merge){.score = score,
                                      .token = (uint32_t)token,
                                      .left = (uint32_t)left,
                                      .right = (uint32_t)right,
                                      .cut = (uint16_t)cut,
                                      .left_characters = (uint16_t)before,
                                      .right_characters = (uint16_t)(all - before)};
    }
    return ATTN_OK;
}

static int compare_merges(const void *left, const void *right)
{
    const merge *a = left, *b = right;
    if (a->score != b->score) return a->score > b->score ? -1 : 1;
    if (a->left_characters != b->left_characters)
        return a->left_characters > b->left_characters ? -1 : 1;
    if (a->right_characters != b->right_characters)
        return a->right_characters > b->right_characters ? -1 : 1;
    if (a->token != b->token) return a->token < b->token ? -1 : 1;
    if (a->left != b->left) return a->left < b->left ? -1 : 1;
    return (a->right > b->right) - (a->right < b->right);
}

static attn_status write_merge(const merges *m, const merge *entry, cJSON *list)
{
    char side[3 * MAX_TOKEN + 1];
    const char *text = m->text[entry->token];
    size_t rest = m->length[entry->token] - entry->cut;
    cJSON *pair = cJSON_CreateArray();
    memcpy(side, text, entry->cut);
    side[entry->cut] = 0;
    bool added = cJSON_AddItemToArray(pair, cJSON_CreateString(side));
    memcpy(side, text + entry->cut, rest);
    side[rest] = 0;
    added = added && cJSON_AddItemToArray(pair, cJSON_CreateString(side));
    if (added && cJSON_AddItemToArray(list, pair)) return ATTN_OK;
    cJSON_Delete(pair);
    return attn_fail(m->err, ATTN_NO_MEMORY, "%s: out of memory", m->gguf->file);
}

static attn_status imply(merges *m, cJSON *list)
{
    const unsigned char *at = m->scores ? m->scores->data : NULL;
    ATTN_TRY(read_tokens(m));
    for (size_t i = 0; i < m->tokens->count; i++) {
        attn_gguf_item item = {.number = -(double)i};
        if (at) attn_gguf_next(m->scores, &at, &item);
        if (item.number != item.number)
            return attn_fail(m->err, ATTN_BAD_FILE, "%s: metadata \"%s\": score %zu is no number",
                             m->gguf->file, m->scores->key, i);
        /* Of two equal tokens the later counts. */
        if (attn_vocabulary_id(&m->vocabulary, m->text[i], m->length[i]) == (int32_t)i)
            ATTN_TRY(split_token(m, i, (float)item.number));
    }
    if (m->count) qsort(m->list, m->count, sizeof *m->list, compare_merges);
    for (size_t i = 0; i < m->count; i++) ATTN_TRY(write_merge(m, &m->list[i], list));
    return ATTN_OK;
}

attn_status attn_gguf_imply_merges(const attn_gguf *gguf, const attn_gguf_value *tokens,
                                   const attn_gguf_value *scores, attn_memory *memory, cJSON **out,
                                   attn_error *err)
{
    merges m = {.gguf = gguf, .tokens = tokens, .scores = scores, .err = err};
    attn_arena_init(&m.arena, memory);
    *out = cJSON_CreateArray();
    attn_status status =
        *out ? imply(&m, *out) : attn_fail(err, ATTN_NO_MEMORY, "%s: out of memory", gguf->file);
    attn_arena_free(&m.arena);
    if (!status) return ATTN_OK;
    cJSON_Delete(*out);
    *out = NULL;
    return status;
}
