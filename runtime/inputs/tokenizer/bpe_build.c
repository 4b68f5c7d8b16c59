/* {"type": "BPE", "vocab": {"a": 0}, "merges": ["a b", ["a", "b"]], "unk_token": null,
 *  "fuse_unk": false, "byte_fallback": false, "ignore_merges": false, "dropout": null,
 *  "continuing_subword_prefix": null, "end_of_word_suffix": null}
 *
 * dropout is for training; here no merge is ever left out. */
#include "runtime/inputs/tokenizer/bpe.h"

#include <stdio.h>
#include <string.h>

static const char space_mark[] = "\xe2\x96\x81"; /* U+2581 */

typedef struct builder {
    attn_bpe *b;
    const cJSON *model;
    const char *file;
    attn_vocabulary *vocabulary;
    attn_arena *arena;
    attn_error *err;
    char *joined; /* the text of a merge's result */
} builder;

static attn_status keep_text(const builder *r, const char *key, const char **out, size_t *length)
{
    const char *text;
    ATTN_TRY(attn_model_text(r->model, key, false, r->file, &text, r->err));
    *length = text ? strlen(text) : 0;
    *out = text ? attn_arena_text(r->arena, text, *length, r->err) : NULL;
    return text && !*out ? ATTN_NO_MEMORY : ATTN_OK;
}

static attn_status read_affix(const builder *r, const char *key, const char **out, size_t *length)
{
    ATTN_TRY(keep_text(r, key, out, length));
    if (*length > ATTN_BPE_AFFIX)
        return attn_fail(r->err, ATTN_LIMIT, "%s: model.%s has %zu bytes, at most %d are read",
                         r->file, key, *length, ATTN_BPE_AFFIX);
    return ATTN_OK;
}

static attn_status read_options(const builder *r)
{
    attn_bpe *b = r->b;
    attn_json_text shown;
    const cJSON *dropout = attn_json_get(r->model, "dropout");
    if (dropout && !cJSON_IsNull(dropout) &&
        !(cJSON_IsNumber(dropout) && dropout->valuedouble >= 0 && dropout->valuedouble <= 1))
        return attn_fail(r->err, ATTN_BAD_FILE,
                         "%s: model.dropout: a number from 0 to 1 is needed, found %s", r->file,
                         attn_json_show(&shown, dropout));
    ATTN_TRY(attn_model_flag(r->model, "fuse_unk", r->file, &b->fuse_unk, r->err));
    ATTN_TRY(attn_model_flag(r->model, "byte_fallback", r->file, &b->byte_fallback, r->err));
    ATTN_TRY(attn_model_flag(r->model, "ignore_merges", r->file, &b->ignore_merges, r->err));
    ATTN_TRY(keep_text(r, "unk_token", &b->unk_token, &b->unk_length));
    ATTN_TRY(read_affix(r, "continuing_subword_prefix", &b->prefix, &b->prefix_length));
    return read_affix(r, "end_of_word_suffix", &b->suffix, &b->suffix_length);
}

/* ---- symbols ----------------------------------------------------------------------------- */

/* The one code point that text[0..length) is, if it is below ATTN_BPE_PLANE; else -1. */
static long single_code_point(const char *text, size_t length)
{
    const unsigned char *s = (const unsigned char *)text;
    if (length == 1 && s[0] < 0x80) return s[0];
    if (length == 2 && (s[0] & 0xe0) == 0xc0) return (s[0] & 31) << 6 | (s[1] & 63);
    if (length == 3 && (s[0] & 0xf0) == 0xe0)
        return (s[0] & 15) << 12 | (s[1] & 63) << 6 | (s[2] & 63);
    return -1;
}

static attn_status find_symbols(const builder *r)
{
    attn_bpe *b = r->b;
    const attn_vocabulary *v = r->vocabulary;
    b->plane = attn_arena_get(r->arena, ATTN_BPE_PLANE, sizeof *b->plane, r->err);
    if (!b->plane) return ATTN_NO_MEMORY;
    for (size_t i = 0; i < ATTN_BPE_PLANE; i++) b->plane[i] = ATTN_BPE_NONE;
    for (size_t i = 0; i < v->count; i++) {
        long c = single_code_point(v->token[i].text, v->token[i].length);
        if (c >= 0) b->plane[c] = v->token[i].id;
    }
    for (int i = 0; i < 256; i++) {
        char text[8];
        int length = snprintf(text, sizeof text, "<0x%02X>", i);
        b->byte[i] = attn_vocabulary_id(v, text, (size_t)length);
    }
    b->unk = ATTN_BPE_NONE;
    if (b->unk_token) {
        b->unk = attn_vocabulary_id(v, b->unk_token, b->unk_length);
        if (b->unk < 0) b->unk = ATTN_BPE_LOST;
    }
    return ATTN_OK;
}

/* ---- merges ------------------------------------------------------------------------------ */

typedef struct part {
    const char *text;
    size_t length;
    int32_t id;
} part;

/* "a b", or ["a", "b"]. */
static attn_status read_merge(const builder *r, const cJSON *item, size_t index, part pair[2])
{
    attn_json_text shown;
    const char *left = NULL, *right = NULL, *space = NULL;
    if (cJSON_IsString(item)) {
        left = item->valuestring;
        space = strchr(left, ' ');
        right = space && !strchr(space + 1, ' ') ? space + 1 : NULL;
    } else if (cJSON_IsArray(item) && cJSON_GetArraySize(item) == 2 &&
               cJSON_IsString(item->child) && cJSON_IsString(item->child->next)) {
        left = item->child->valuestring;
        right = item->child->next->valuestring;
    }
    if (!left || !right)
        return attn_fail(r->err, ATTN_BAD_FILE,
                         "%s: model.merges[%zu]: %s is neither \"a b\" nor [\"a\", \"b\"]", r->file,
                         index, attn_json_show(&shown, item));
    pair[0] = (part){.text = left, .length = space ? (size_t)(space - left) : strlen(left)};
    pair[1] = (part){.text = right, .length = strlen(right)};
    for (int i = 0; i < 2; i++) {
        pair[i].id = attn_vocabulary_id(r->vocabulary, pair[i].text, pair[i].length);
        if (pair[i].id < 0)
            return attn_fail(r->err, ATTN_BAD_FILE,
                             "%s: model.merges[%zu]: \"%.*s\" is not in the vocabulary", r->file,
                             index, (int)(pair[i].length < 80 ? pair[i].length : 80), pair[i].text);
    }
    return ATTN_OK;
}

static bool starts_with_mark(const part *p)
{
    return p->length >= 3 && memcmp(p->text, space_mark, 3) == 0;
}

static bool ends_with_mark(const part *p)
{
    return p->length >= 3 && memcmp(p->text + p->length - 3, space_mark, 3) == 0;
}

/* joined has room: it is as long as the two longest tokens. */
static attn_status add_merge(builder *r, const cJSON *item, size_t index)
{
    attn_bpe *b = r->b;
    part pair[2];
    ATTN_TRY(read_merge(r, item, index, pair));
    if (pair[1].length < b->prefix_length)
        return attn_fail(r->err, ATTN_BAD_FILE,
                         "%s: model.merges[%zu]: \"%s\" is shorter than the prefix \"%s\"", r->file,
                         index, pair[1].text, b->prefix);
    size_t rest = pair[1].length - b->prefix_length, length = pair[0].length + rest;
    memcpy(r->joined, pair[0].text, pair[0].length);
    memcpy(r->joined + pair[0].length, pair[1].text + b->prefix_length, rest);
    int32_t result = attn_vocabulary_id(r->vocabulary, r->joined, length);
    if (result < 0)
        return attn_fail(r->err, ATTN_BAD_FILE,
                         "%s: model.merges[%zu]: the result \"%.*s\" is not in the vocabulary",
                         r->file, index, (int)(length < 80 ? length : 80), r->joined);
    if (starts_with_mark(&pair[1]) && !ends_with_mark(&pair[0])) b->splits = false;
    attn_bpe_merge *slot = attn_bpe_slot(b, pair[0].id, pair[1].id);
    *slot = (attn_bpe_merge){pair[0].id, pair[1].id, result, (uint32_t)index};
    return ATTN_OK;
}

/* The steps that finding every merge takes. */
static size_t count_probes(const attn_bpe *b)
{
    size_t run = 0, probes = 0;
    for (size_t i = 0; i <= b->mask; i++) {
        run = b->merge[i].left < 0 ? 0 : run + 1;
        if (run > 64) probes += run; /* such runs are no accident */
    }
    return probes;
}

/* Merges that were chosen to collide would make the table slow: then another factor is tried. */
static attn_status spread_merges(builder *r)
{
    attn_bpe *b = r->b;
    size_t slots = b->mask + 1, used = 0;
    if (count_probes(b) == 0) return ATTN_OK;
    attn_bpe_merge *old = b->merge;
    b->merge = attn_arena_get(r->arena, slots, sizeof *b->merge, r->err);
    if (!b->merge) return ATTN_NO_MEMORY;
    for (size_t i = 0; i < slots; i++)
        if (old[i].left >= 0) old[used++] = old[i];
    for (int attempt = 0; attempt < 8; attempt++) {
        b->factor = b->factor * 0xda942042e4dd58b5u + 0x5851f42d4c957f2eu;
        for (size_t i = 0; i < slots; i++) b->merge[i].left = -1;
        for (size_t i = 0; i < used; i++) *attn_bpe_slot(b, old[i].left, old[i].right) = old[i];
        if (count_probes(b) == 0) return ATTN_OK;
    }
    return attn_fail(r->err, ATTN_LIMIT, "%s: model.merges: no hash spreads these %zu pairs",
                     r->file, used);
}

static attn_status read_merges(builder *r)
{
    attn_bpe *b = r->b;
    const cJSON *merges = attn_json_get(r->model, "merges"), *item;
    if (!cJSON_IsArray(merges))
        return attn_fail(r->err, ATTN_BAD_FILE, "%s: model.merges: a list is needed, found %s",
                         r->file, attn_json_kind(merges));
    size_t count = 0, slots = 16, longest = 0, index = 0;
    cJSON_ArrayForEach(item, merges) count++;
    while (slots < 2 * count) slots *= 2;
    for (size_t i = 0; i < r->vocabulary->count; i++)
        if (r->vocabulary->token[i].length > longest) longest = r->vocabulary->token[i].length;
    b->mask = slots - 1;
    b->factor = 0x9e3779b97f4a7c15u;
    b->merge = attn_arena_get(r->arena, slots, sizeof *b->merge, r->err);
    r->joined = attn_arena_get(r->arena, 2 * longest + 1, 1, r->err);
    if (!b->merge || !r->joined) return ATTN_NO_MEMORY;
    for (size_t i = 0; i < slots; i++) b->merge[i].left = -1;
    part unk = {.text = b->unk_token, .length = b->unk_length};
    b->splits =
        !b->prefix_length && !b->suffix_length && b->plane[0x2581] >= 0 && !ends_with_mark(&unk);
    cJSON_ArrayForEach(item, merges)
    {
        if (cJSON_IsString(item) && strncmp(item->valuestring, "#version", 8) == 0) continue;
        ATTN_TRY(add_merge(r, item, index++));
    }
    return spread_merges(r);
}

attn_status attn_bpe_build(void *self, const cJSON *model, const char *file,
                           attn_vocabulary *vocabulary, attn_arena *arena, attn_error *err)
{
    builder r = {self, model, file, vocabulary, arena, err, NULL};
    ATTN_TRY(read_options(&r));
    ATTN_TRY(attn_vocabulary_read(vocabulary, attn_json_get(model, "vocab"), file, "model.vocab",
                                  arena, err));
    ATTN_TRY(find_symbols(&r));
    return read_merges(&r);
}
