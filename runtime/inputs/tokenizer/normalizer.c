#include "runtime/inputs/tokenizer/normalizer.h"

#include "runtime/inputs/tokenizer/precompiled.h"

#include <string.h>

enum { MOST = 64 }; /* normalizers of a file */

static attn_status read_bert(attn_normalizer *n, const attn_place *p, attn_error *err)
{
    static const char *const keys[] = {"clean_text", "handle_chinese_chars", NULL, "lowercase"};
    for (int i = 0; i < 4; i++)
        if (keys[i]) ATTN_TRY(attn_place_flag(p, keys[i], true, &n->flag[i], err));
    n->flag[2] = n->flag[3];
    n->run = attn_normalize_bert;
    return attn_place_flag(p, "strip_accents", false, &n->flag[2], err);
}

static attn_status read_text(attn_normalizer *n, const attn_place *p, const char *key,
                             attn_arena *arena, attn_error *err)
{
    const char *text = NULL;
    ATTN_TRY(attn_place_text(p, key, true, &text, err));
    n->length = strlen(text);
    n->text = attn_arena_text(arena, text, n->length, err);
    return n->text ? ATTN_OK : ATTN_NO_MEMORY;
}

/* The types that have no members. */
static const struct {
    const char *type;
    attn_normalize_run *run;
    bool flag[2];
} plain[] = {
    {"NFC", attn_normalize_unicode, {true, false}},
    {"NFD", attn_normalize_unicode, {false, false}},
    {"NFKC", attn_normalize_unicode, {true, true}},
    {"NFKD", attn_normalize_unicode, {false, true}},
    {"Lowercase", attn_normalize_lowercase, {0}},
    {"StripAccents", attn_normalize_strip_accents, {0}},
    {"Nmt", attn_normalize_nmt, {0}},
    {"ByteLevel", attn_normalize_byte_level, {0}},
};

static attn_status read_one(attn_normalizer *n, const char *type, const attn_place *p,
                            attn_pattern **patterns, attn_arena *arena, attn_error *err)
{
    if (strcmp(type, "BertNormalizer") == 0) return read_bert(n, p, err);
    if (strcmp(type, "Strip") == 0) {
        n->run = attn_normalize_strip;
        ATTN_TRY(attn_place_flag(p, "strip_left", true, &n->flag[0], err));
        return attn_place_flag(p, "strip_right", true, &n->flag[1], err);
    }
    if (strcmp(type, "Prepend") == 0) {
        n->run = attn_normalize_prepend;
        return read_text(n, p, "prepend", arena, err);
    }
    if (strcmp(type, "Replace") == 0) {
        n->run = attn_normalize_replace;
        ATTN_TRY(attn_place_pattern(p, "pattern", patterns, &n->pattern, arena, err));
        return read_text(n, p, "content", arena, err);
    }
    if (strcmp(type, "Precompiled") == 0) {
        const char *map = NULL;
        bool longest = false; /* of a SentencePiece file without a tokenizer_class */
        n->run = attn_normalize_precompiled;
        ATTN_TRY(attn_place_text(p, "precompiled_charsmap", true, &map, err));
        ATTN_TRY(attn_place_flag(p, "longest_match", false, &longest, err));
        return attn_precompiled_read(&n->precompiled, map, p->file, p->name, longest, arena, err);
    }
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        if (strcmp(type, plain[i].type) == 0) {
            n->run = plain[i].run;
            memcpy(n->flag, plain[i].flag, sizeof plain[i].flag);
            return ATTN_OK;
        }
    return attn_place_fail(p, err, "there is no normalizer \"%.60s\"", type);
}

static attn_status read_any(attn_normalizers *n, const attn_place *p, attn_pattern **patterns,
                            attn_arena *arena, attn_error *err)
{
    const char *type;
    const cJSON *list;
    int index = 0;
    ATTN_TRY(attn_place_component(p, "normalizers", &type, &list, err));
    if (list) {
        for (const cJSON *item = list->child; item; item = item->next, index++) {
            attn_place at = attn_place_at(p, "normalizers", item, index);
            ATTN_TRY(read_any(n, &at, patterns, arena, err));
        }
        return ATTN_OK;
    }
    if (n->count == MOST) return attn_place_fail(p, err, "more than %d normalizers", MOST);
    return read_one(&n->list[n->count++], type, p, patterns, arena, err);
}

attn_status attn_normalizers_read(attn_normalizers *n, const attn_place *place,
                                  attn_pattern **patterns, attn_arena *arena, attn_error *err)
{
    *n = (attn_normalizers){0};
    if (!place->object || cJSON_IsNull(place->object)) return ATTN_OK;
    n->list = attn_arena_get(arena, MOST, sizeof *n->list, err);
    return n->list ? read_any(n, place, patterns, arena, err) : ATTN_NO_MEMORY;
}

attn_status attn_normalize(const attn_normalizers *n, const attn_normalizing *shared,
                           const attn_string *in, attn_string *a, attn_string *b,
                           const attn_string **out, attn_error *err)
{
    *out = in;
    for (size_t i = 0; i < n->count && (*out)->length; i++) {
        attn_string *to = *out == a ? b : a;
        ATTN_TRY(n->list[i].run(&n->list[i], shared, *out, to, err));
        *out = to;
    }
    return ATTN_OK;
}
