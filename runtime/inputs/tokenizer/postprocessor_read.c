#include "runtime/inputs/tokenizer/postprocessor.h"

#include <string.h>

enum { PIECES_MAX = 256, TEXTS_MAX = 8 }; /* of a template; so often may it name a text */

/* "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [101], "tokens": ["[CLS]"]}} */
static attn_status read_ids(attn_template_piece *piece, const char *name, const attn_place *p,
                            attn_arena *arena, attn_error *err)
{
    const cJSON *tokens = attn_json_get(p->object, "special_tokens");
    const cJSON *ids = attn_json_get(attn_json_get(tokens, name), "ids");
    double id;
    if (!cJSON_IsArray(ids))
        return attn_place_fail(p, err, "\"special_tokens\" has no list of ids of \"%.60s\"", name);
    for (const cJSON *item = ids->child; item; item = item->next, piece->count++)
        if (!attn_json_integer(item, 0, INT32_MAX, &id))
            return attn_place_fail(p, err,
                                   "\"special_tokens\": \"%.60s\": an id is no whole number", name);
    piece->id = attn_arena_get(arena, piece->count, sizeof *piece->id, err);
    if (!piece->id) return ATTN_NO_MEMORY;
    piece->count = 0;
    for (const cJSON *item = ids->child; item; item = item->next)
        piece->id[piece->count++] = (int32_t)item->valuedouble;
    return ATTN_OK;
}

/* {"Sequence": {"id": "A", "type_id": 0}} or {"SpecialToken": {"id": "[CLS]", "type_id": 0}} */
static attn_status read_piece(attn_template_piece *piece, const attn_place *p,
                              const attn_place *processor, attn_arena *arena, attn_error *err)
{
    const cJSON *child = cJSON_IsObject(p->object) ? p->object->child : NULL;
    const char *id = NULL;
    size_t type = 0;
    bool special = child && strcmp(child->string, "SpecialToken") == 0;
    if (!child || child->next || (!special && strcmp(child->string, "Sequence") != 0))
        return attn_place_fail(p, err,
                               "an object of one \"Sequence\" or \"SpecialToken\" is needed");
    attn_place at = attn_place_at(p, child->string, child, -1);
    ATTN_TRY(attn_place_text(&at, "id", true, &id, err));
    ATTN_TRY(attn_place_size(&at, "type_id", true, 0, INT32_MAX, &type, err));
    *piece = (attn_template_piece){.sequence = -1, .type = (int32_t)type};
    if (special) return read_ids(piece, id, processor, arena, err);
    if (strcmp(id, "A") != 0 && strcmp(id, "B") != 0)
        return attn_place_fail(&at, err, "\"id\": \"A\" or \"B\" is needed, found \"%.60s\"", id);
    piece->sequence = id[0] == 'B';
    return ATTN_OK;
}

static attn_status read_template(attn_template *t, const attn_place *p, const char *key,
                                 attn_arena *arena, attn_error *err)
{
    const cJSON *list = attn_json_get(p->object, key);
    size_t count = 0, texts = 0;
    if (!cJSON_IsArray(list))
        return attn_place_fail(p, err, "\"%s\": a list is needed, found %s", key,
                               attn_json_kind(list));
    for (const cJSON *item = list->child; item; item = item->next) count++;
    if (count > PIECES_MAX)
        return attn_place_fail(p, err, "\"%s\" has %zu pieces, at most %d", key, count, PIECES_MAX);
    t->piece = attn_arena_get(arena, count, sizeof *t->piece, err);
    if (!t->piece) return ATTN_NO_MEMORY;
    for (const cJSON *item = list->child; item; item = item->next) {
        attn_place at = attn_place_at(p, key, item, (int)t->count);
        attn_template_piece *piece = &t->piece[t->count++];
        ATTN_TRY(read_piece(piece, &at, p, arena, err));
        if (piece->sequence == 1 && strcmp(key, "single") == 0)
            return attn_place_fail(&at, err, "there is no text \"B\" in \"single\"");
        t->added += piece->count;
        texts += piece->sequence >= 0;
        if (texts > TEXTS_MAX || t->added > PIECES_MAX)
            return attn_place_fail(&at, err,
                                   "a template of more than %d texts or %d special tokens",
                                   TEXTS_MAX, PIECES_MAX);
    }
    return ATTN_OK;
}

static attn_status read_one(attn_postprocessor *post, const char *type, const attn_place *p,
                            attn_arena *arena, attn_error *err)
{
    const char *token;
    *post = (attn_postprocessor){0};
    if (strcmp(type, "TemplateProcessing") == 0) {
        post->kind = ATTN_POST_TEMPLATE;
        ATTN_TRY(read_template(&post->single, p, "single", arena, err));
        return read_template(&post->pair, p, "pair", arena, err);
    }
    bool roberta = strcmp(type, "RobertaProcessing") == 0, bytes = strcmp(type, "ByteLevel") == 0;
    if (!roberta && !bytes && strcmp(type, "BertProcessing") != 0)
        return attn_place_fail(p, err, "there is no post-processor \"%.60s\"", type);
    post->kind = roberta ? ATTN_POST_ROBERTA : bytes ? ATTN_POST_BYTES : ATTN_POST_BERT;
    if (!bytes) {
        ATTN_TRY(attn_place_pair(p, "sep", &token, &post->sep, err));
        ATTN_TRY(attn_place_pair(p, "cls", &token, &post->cls, err));
    }
    if (roberta || bytes) {
        ATTN_TRY(attn_place_flag(p, "trim_offsets", true, &post->trim_offsets, err));
        ATTN_TRY(attn_place_flag(p, "add_prefix_space", true, &post->add_prefix_space, err));
    }
    return ATTN_OK;
}

static attn_status read_any(attn_postprocessors *posts, const attn_place *p, attn_arena *arena,
                            attn_error *err)
{
    const char *type;
    const cJSON *list;
    int index = 0;
    ATTN_TRY(attn_place_component(p, "processors", &type, &list, err));
    if (list) {
        for (const cJSON *item = list->child; item; item = item->next, index++) {
            attn_place at = attn_place_at(p, "processors", item, index);
            ATTN_TRY(read_any(posts, &at, arena, err));
        }
        return ATTN_OK;
    }
    if (posts->count == ATTN_POSTPROCESSORS_MAX)
        return attn_place_fail(p, err, "more than %d post-processors", ATTN_POSTPROCESSORS_MAX);
    return read_one(&posts->list[posts->count++], type, p, arena, err);
}

attn_status attn_postprocessors_read(attn_postprocessors *p, const attn_place *place,
                                     attn_arena *arena, attn_error *err)
{
    *p = (attn_postprocessors){0};
    if (!place->object || cJSON_IsNull(place->object)) return ATTN_OK;
    p->list = attn_arena_get(arena, ATTN_POSTPROCESSORS_MAX, sizeof *p->list, err);
    return p->list ? read_any(p, place, arena, err) : ATTN_NO_MEMORY;
}
