#include "runtime/inputs/tokenizer/tokenizer.h"

#include <stdatomic.h>
#include <string.h>

const char *const attn_role_names[ATTN_ROLE_COUNT] = {"bos", "eos", "unk", "pad",
                                                      "cls", "sep", "mask"};

static const attn_algorithm *const algorithms[] = {&attn_algorithm_wordpiece, &attn_algorithm_bpe,
                                                   &attn_algorithm_unigram,
                                                   &attn_algorithm_wordlevel};

/* ---- the model --------------------------------------------------------------------------------
 */

/* Files of the library's first versions name no type: it is told by the members. */
static const char *guess_type(const cJSON *model)
{
    if (attn_json_get(model, "merges")) return "BPE";
    if (cJSON_IsArray(attn_json_get(model, "vocab"))) return "Unigram";
    return attn_json_get(model, "continuing_subword_prefix") ? "WordPiece" : "WordLevel";
}

static attn_status build_model(attn_tokenizer *t, const char *file, const cJSON *model,
                               attn_error *err)
{
    const char *type = NULL;
    attn_place place = {.file = file, .name = "model", .object = model};
    if (!cJSON_IsObject(model))
        return attn_place_fail(&place, err, "an object is needed, found %s", attn_json_kind(model));
    ATTN_TRY(attn_place_text(&place, "type", false, &type, err));
    if (!type) type = guess_type(model);
    for (size_t i = 0; i < sizeof algorithms / sizeof *algorithms; i++)
        if (strcmp(algorithms[i]->name, type) == 0) t->algorithm = algorithms[i];
    if (!t->algorithm) return attn_place_fail(&place, err, "there is no model \"%.60s\"", type);
    t->model = attn_arena_get(&t->arena, 1, t->algorithm->size, err);
    if (!t->model) return ATTN_NO_MEMORY;
    return t->algorithm->build(t->model, model, file, &t->vocabulary, &t->arena, err);
}

/* ---- tokenizer.json ---------------------------------------------------------------------------
 */

static attn_status build(attn_tokenizer *t, const char *file, const cJSON *json, attn_error *err)
{
    attn_matcher matcher = {0};
    const attn_normalizing shared = {&t->unicode, &matcher};
    const char *version = NULL;
    attn_place root = {.file = file, .object = json};
    if (!cJSON_IsObject(json))
        return attn_place_fail(&root, err, "an object is needed, found %s", attn_json_kind(json));
    ATTN_TRY(attn_place_text(&root, "version", false, &version, err));
    if (version && strcmp(version, "1.0") != 0)
        return attn_place_fail(&root, err, "version \"%.20s\"; only \"1.0\" is known", version);
#define PLACE(key) attn_place key = attn_place_at(&root, #key, attn_json_get(json, #key), -1)
    PLACE(normalizer);
    PLACE(pre_tokenizer);
    PLACE(post_processor);
    PLACE(decoder);
    PLACE(truncation);
    PLACE(padding);
    PLACE(added_tokens);
#undef PLACE
    attn_arena *arena = &t->arena;
    ATTN_TRY(attn_unicode_init(&t->unicode, arena, err));
    ATTN_TRY(build_model(t, file, attn_json_get(json, "model"), err));
    ATTN_TRY(attn_normalizers_read(&t->normalizers, &normalizer, &t->patterns, arena, err));
    ATTN_TRY(attn_pretokenizers_read(&t->pretokenizers, &pre_tokenizer, &t->patterns, arena, err));
    ATTN_TRY(attn_postprocessors_read(&t->postprocessors, &post_processor, arena, err));
    ATTN_TRY(attn_decoders_read(&t->decoders, &decoder, &t->patterns, arena, err));
    ATTN_TRY(attn_truncation_read(&t->truncation, &truncation, err));
    ATTN_TRY(attn_padding_read(&t->padding, &padding, err));
    attn_status status = attn_added_read(&t->added, &added_tokens, &t->vocabulary, &t->normalizers,
                                         &shared, arena, err);
    attn_matcher_free(&matcher);
    if (status) return status;
    attn_tokenizer_read_roles(t, attn_json_get(json, "special_tokens_map"));
    return ATTN_OK;
}

attn_status attn_tokenizer_build(attn_tokenizer **out, const char *file, const cJSON *json,
                                 const attn_tokenizer_options *options, attn_error *err)
{
    attn_memory memory;
    void *fresh;
    *out = NULL;
    attn_memory_init(&memory, options ? options->allocator : NULL,
                     options ? options->max_memory : 0);
    memory.budget = options ? options->budget : NULL;
    memory.holder = ATTN_HELD_BY_TOKENIZER;
    ATTN_TRY(attn_alloc(&memory, sizeof **out, "a tokenizer", &fresh, err));
    attn_tokenizer *t = memset(fresh, 0, sizeof *t);
    t->memory = memory;
    attn_arena_init(&t->arena, &t->memory);
    atomic_init(&t->spare, NULL);
    for (int i = 0; i < ATTN_ROLE_COUNT; i++) t->role[i] = -1;
    attn_status status = build(t, file, json, err);
    if (status)
        attn_tokenizer_close(t);
    else
        *out = t;
    return status;
}

/* ---- work that is kept ------------------------------------------------------------------------
 */

/* What a long text has left is not kept. */
enum { KEPT_BYTES = 8 << 20 };

static void free_work(const attn_tokenizer *t, attn_tokenizing *w)
{
    attn_memory memory = w->memory;
    attn_matcher_free(&w->matcher);
    attn_string_free(&w->given);
    attn_added_pieces_free(&w->raw);
    attn_added_pieces_free(&w->cut);
    for (int i = 0; i < 2; i++) {
        attn_string_free(&w->normal[i]);
        attn_string_free(&w->cutting.spare[i]);
        attn_words_free(&w->words[i]);
    }
    attn_ranges_free(&w->cutting.spans);
    attn_ranges_free(&w->cutting.next);
    attn_ranges_free(&w->cutting.matches);
    attn_pieces_free(&w->pieces);
    if (t->algorithm->close_work) t->algorithm->close_work(&w->work);
    attn_release(&memory, w, sizeof *w);
}

attn_tokenizing *attn_tokenizing_take(const attn_tokenizer *t, attn_error *err)
{
    attn_tokenizer *shared = (attn_tokenizer *)(uintptr_t)t; /* the spare is all that changes */
    attn_tokenizing *w = atomic_exchange(&shared->spare, NULL);
    if (w) return w;
    attn_memory memory;
    void *fresh;
    size_t limit = t->memory.limit;
    if (limit) limit = limit > t->memory.used ? limit - t->memory.used : 1;
    attn_memory_init(&memory, &t->memory.allocator, limit);
    memory.budget = t->memory.budget;
    memory.holder = ATTN_HELD_BY_TOKENIZER;
    if (attn_alloc(&memory, sizeof *w, "encoding a text", &fresh, err)) return NULL;
    w = memset(fresh, 0, sizeof *w);
    w->memory = w->decoding = memory;
    w->decoding.used = 0;
    w->decoding.budget = NULL;
    attn_memory *m = &w->memory;
    w->given.memory = w->raw.memory = w->raw.hits.memory = w->cut.memory = w->cut.hits.memory = m;
    for (int i = 0; i < 2; i++) w->normal[i].memory = w->cutting.spare[i].memory = m;
    w->words[0].memory = w->words[1].memory = &w->decoding;
    w->cutting.spans.memory = w->cutting.next.memory = w->cutting.matches.memory = m;
    w->pieces.memory = w->work.memory = m;
    w->cutting.unicode = &t->unicode;
    w->cutting.matcher = &w->matcher;
    return w;
}

void attn_tokenizing_give(const attn_tokenizer *t, attn_tokenizing *w)
{
    attn_tokenizer *shared = (attn_tokenizer *)(uintptr_t)t;
    attn_tokenizing *none = NULL;
    if (w->memory.used + w->decoding.used > KEPT_BYTES ||
        !atomic_compare_exchange_strong(&shared->spare, &none, w))
        free_work(t, w);
}

void attn_tokenizer_close(attn_tokenizer *t)
{
    if (!t) return;
    attn_tokenizing *w = atomic_exchange(&t->spare, NULL);
    if (w) free_work(t, w);
    for (attn_pattern *p = t->patterns; p; p = p->next) attn_pattern_free(p);
    attn_arena_free(&t->arena);
    attn_memory memory = t->memory;
    attn_release(&memory, t, sizeof *t);
}

/* ---- questions --------------------------------------------------------------------------------
 */

size_t attn_tokenizer_size(const attn_tokenizer *t)
{
    return t->added.size > t->vocabulary.size ? t->added.size : t->vocabulary.size;
}

int32_t attn_tokenizer_id(const attn_tokenizer *t, const char *token, size_t length)
{
    const attn_added_token *added = attn_added_by_text(&t->added, token, length);
    return added ? added->id : attn_vocabulary_id(&t->vocabulary, token, length);
}

const char *attn_tokenizer_token(const attn_tokenizer *t, int32_t id, size_t *length)
{
    const attn_added_token *added = attn_added_by_id(&t->added, id);
    const attn_token *token = added ? NULL : attn_vocabulary_token(&t->vocabulary, id);
    if (length) *length = added ? added->length : token ? token->length : 0;
    return added ? added->text : token ? token->text : NULL;
}

int32_t attn_tokenizer_special(const attn_tokenizer *t, const char *role)
{
    for (int i = 0; i < ATTN_ROLE_COUNT; i++)
        if (strcmp(attn_role_names[i], role) == 0) return t->role[i];
    return -1;
}

size_t attn_tokenizer_max_tokens(const attn_tokenizer *t)
{
    return t->max_tokens;
}

void attn_tokenizer_read_roles(attn_tokenizer *t, const cJSON *object)
{
    char key[16];
    for (int i = 0; i < ATTN_ROLE_COUNT; i++) {
        size_t length = strlen(attn_role_names[i]);
        memcpy(key, attn_role_names[i], length);
        memcpy(key + length, "_token", 7);
        const cJSON *token = attn_json_get(object, key);
        if (cJSON_IsObject(token)) token = attn_json_get(token, "content");
        if (!cJSON_IsString(token)) continue;
        t->role[i] = attn_tokenizer_id(t, token->valuestring, strlen(token->valuestring));
    }
}
