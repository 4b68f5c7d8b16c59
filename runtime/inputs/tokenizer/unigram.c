/* The unigram language model (Kudo 2018, arXiv:1804.10959): of all ways to cut a text into tokens,
 * the one of the largest sum of scores, found by Viterbi's algorithm. A character that is no token
 * of its own may also be an unknown one, at the lowest score minus 10.
 *
 * {"type": "Unigram", "vocab": [["<unk>", 0], ["a", -2.5]], "unk_id": 0, "byte_fallback": false}
 *
 * "exact_scores": true, of those who make the object from a file that is not JSON: the scores are
 * what they are, not what the reference would read.
 *
 * Scores are summed as the reference sums them, and of equal sums the one whose last token begins
 * first is kept, as there. */
#include "runtime/inputs/tokenizer/automaton.h"

#include "runtime/inputs/tokenizer/algorithm.h"
#include "runtime/inputs/tokenizer/decimal.h"

#include <float.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double unknown_penalty = 10;

typedef struct entry {
    double score;
    int32_t id;
    uint32_t length, shorter; /* as in attn_automaton_text, beside the score */
} entry;

typedef struct unigram {
    attn_automaton automaton;
    entry *entry; /* of each text of the automaton */
    size_t longest;
    double unknown_score;
    int32_t unknown; /* -1: none */
    int32_t byte[256];
    bool byte_fallback;
} unigram;

/* ---- build ------------------------------------------------------------------------------- */

static attn_status read_entry(const cJSON *item, size_t id, const char *file,
                              attn_vocabulary *vocabulary, double *score, attn_arena *arena,
                              attn_error *err)
{
    attn_json_text shown;
    const cJSON *text = cJSON_IsArray(item) ? item->child : NULL,
                *number = text ? text->next : NULL;
    if (!cJSON_IsString(text) || !cJSON_IsNumber(number) || number->next)
        return attn_fail(err, ATTN_BAD_FILE,
                         "%s: model.vocab[%zu]: [token, score] is needed, found %s", file, id,
                         attn_json_show(&shown, item));
    *score = number->valuedouble;
    return attn_vocabulary_add(vocabulary, text->valuestring, strlen(text->valuestring),
                               (int32_t)id, arena, err)
               ? ATTN_OK
               : ATTN_LIMIT;
}

static attn_status read_vocabulary(const cJSON *model, const char *file,
                                   attn_vocabulary *vocabulary, double **score, attn_arena *arena,
                                   attn_error *err)
{
    bool exact = false;
    const cJSON *list = attn_json_get(model, "vocab"), *item;
    size_t count = 0, id = 0;
    if (!cJSON_IsArray(list))
        return attn_fail(err, ATTN_BAD_FILE,
                         "%s: model.vocab: a list of tokens and scores is needed, found %s", file,
                         attn_json_kind(list));
    ATTN_TRY(attn_model_flag(model, "exact_scores", file, &exact, err));
    cJSON_ArrayForEach(item, list) count++;
    if (count == 0) return attn_fail(err, ATTN_BAD_FILE, "%s: model.vocab is empty", file);
    ATTN_TRY(attn_vocabulary_init(vocabulary, count, count, arena, err));
    *score = attn_arena_get(arena, count, sizeof **score, err);
    if (!*score) return ATTN_NO_MEMORY;
    cJSON_ArrayForEach(item, list)
    {
        ATTN_TRY(read_entry(item, id, file, vocabulary, &(*score)[id], arena, err));
        if (!exact) (*score)[id] = attn_decimal_quick((*score)[id]);
        id++;
    }
    return ATTN_OK;
}

static int compare_tokens(const void *a, const void *b)
{
    const attn_token *x = *(const attn_token *const *)a, *y = *(const attn_token *const *)b;
    int order = memcmp(x->text, y->text, x->length < y->length ? x->length : y->length);
    return order ? order : (x->length > y->length) - (x->length < y->length);
}

static attn_status build_automaton(unigram *u, const attn_vocabulary *v, const double *score,
                                   attn_arena *arena, attn_error *err)
{
    size_t count = 0;
    const attn_token **token = attn_arena_get(arena, v->count, sizeof *token, err);
    attn_automaton_text *text = attn_arena_get(arena, v->count, sizeof *text, err);
    u->entry = attn_arena_get(arena, v->count, sizeof *u->entry, err);
    if (!token || !text || !u->entry) return ATTN_NO_MEMORY;
    /* What begins within a character stands nowhere in a valid text. */
    for (size_t i = 0; i < v->count; i++)
        if (v->token[i].length && ((unsigned char)v->token[i].text[0] & 0xc0) != 0x80)
            token[count++] = &v->token[i];
    if (count) qsort(token, count, sizeof *token, compare_tokens);
    for (size_t i = 0; i < count; i++) {
        text[i] = (attn_automaton_text){.text = token[i]->text, .length = token[i]->length};
        if (token[i]->length > u->longest) u->longest = token[i]->length;
    }
    ATTN_TRY(attn_automaton_build(&u->automaton, text, count, arena, err));
    for (size_t i = 0; i < count; i++)
        u->entry[i] = (entry){score[token[i]->id], token[i]->id, text[i].length, text[i].shorter};
    return ATTN_OK;
}

static attn_status build(void *self, const cJSON *model, const char *file,
                         attn_vocabulary *vocabulary, attn_arena *arena, attn_error *err)
{
    unigram *u = self;
    double *score = NULL, lowest = DBL_MAX;
    size_t unknown = SIZE_MAX;
    ATTN_TRY(read_vocabulary(model, file, vocabulary, &score, arena, err));
    ATTN_TRY(
        attn_model_integer(model, "unk_id", 0, (double)vocabulary->size - 1, file, &unknown, err));
    ATTN_TRY(attn_model_flag(model, "byte_fallback", file, &u->byte_fallback, err));
    u->unknown = unknown == SIZE_MAX ? -1 : (int32_t)unknown;
    for (size_t i = 0; i < vocabulary->size; i++)
        if (score[i] < lowest) lowest = score[i];
    u->unknown_score = lowest - unknown_penalty;
    for (int i = 0; i < 256; i++) {
        char text[8];
        int length = snprintf(text, sizeof text, "<0x%02X>", i);
        u->byte[i] = attn_vocabulary_id(vocabulary, text, (size_t)length);
    }
    return build_automaton(u, vocabulary, score, arena, err);
}

/* ---- encode ------------------------------------------------------------------------------ */

/* The best last token of the text up to a place; later, the token that begins there. */
typedef struct step {
    uint32_t length;
    int32_t id;
} step;

typedef struct work_area {
    step *step; /* [length of the text + 1] */
    size_t room;
    double *score; /* ring of the best sums: of the last `ring` places */
    size_t ring;
} work_area;

static attn_status make_room(const unigram *u, attn_tokenizer_work *work, size_t length,
                             attn_error *err)
{
    void *fresh;
    if (!work->data) {
        ATTN_TRY(attn_alloc(work->memory, sizeof(work_area), "a text", &work->data, err));
        memset(work->data, 0, sizeof(work_area));
        work->bytes = sizeof(work_area);
    }
    work_area *w = work->data;
    if (!w->ring) {
        size_t ring = 16;
        while (ring <= u->longest) ring *= 2;
        ATTN_TRY(attn_alloc(work->memory, ring * sizeof *w->score, "a text", &fresh, err));
        w->score = fresh;
        w->ring = ring;
    }
    if (w->room > length) return ATTN_OK;
    size_t room = length < 256 ? 512 : length + length / 2, bytes;
    if (!attn_mul(room, sizeof *w->step, &bytes))
        return attn_fail(err, ATTN_NO_MEMORY, "a text of %zu bytes is too long", length);
    ATTN_TRY(attn_alloc(work->memory, bytes, "a text", &fresh, err));
    attn_release(work->memory, w->step, w->room * sizeof *w->step);
    w->step = fresh;
    w->room = room;
    return ATTN_OK;
}

/* Fills w->step at every place where a character ends. False: an unknown character, and no unknown
 * token. */
static bool find_best(const unigram *u, const char *text, size_t length, work_area *w)
{
    const attn_automaton_node *node = u->automaton.node;
    size_t mask = w->ring - 1, begin = 0;
    uint32_t state = 0;
    w->score[0] = 0;
    for (size_t end = 1; end <= length; end++) {
        state = attn_automaton_step(&u->automaton, state, (unsigned char)text[end - 1]);
        if (end < length && ((unsigned char)text[end] & 0xc0) == 0x80) continue;
        step best = {0, 0};
        double best_score = 0;
        uint32_t shortest = 0;
        for (uint32_t i = node[state].match; i != ATTN_AUTOMATON_NONE; i = u->entry[i].shorter) {
            const entry *e = &u->entry[i];
            double score = e->score + w->score[(end - e->length) & mask];
            if (best.length == 0 || score > best_score) {
                best = (step){e->length, e->id};
                best_score = score;
            }
            shortest = e->length;
        }
        if (shortest != end - begin) {
            double score = u->unknown_score + w->score[begin & mask];
            if (best.length == 0 || score > best_score) {
                if (u->unknown < 0) return false;
                best = (step){(uint32_t)(end - begin), u->unknown};
                best_score = score;
            }
        }
        w->step[end] = best;
        w->score[end & mask] = best_score;
        begin = end;
    }
    return true;
}

/* Turns the chain of steps that ends at `length` into one that begins at 0. */
static void reverse(step *s, size_t length)
{
    step taken = s[length];
    for (size_t at = length; at;) {
        at -= taken.length;
        step before = s[at];
        s[at] = taken;
        taken = before;
    }
}

/* Unknown characters that follow one another are one token, unless bytes stand for them. */
static attn_status put_unknown(const unigram *u, const attn_vocabulary *v, const char *text,
                               size_t first, size_t end, attn_pieces *out, attn_error *err)
{
    int32_t id = attn_vocabulary_id(v, text + first, end - first);
    bool bytes = id < 0 && u->byte_fallback;
    for (size_t i = first; i < end && bytes; i++) bytes = u->byte[(unsigned char)text[i]] >= 0;
    if (!bytes) return attn_pieces_add(out, id < 0 ? u->unknown : id, first, end, err);
    for (size_t i = first; i < end; i++)
        ATTN_TRY(attn_pieces_add(out, u->byte[(unsigned char)text[i]], first, end, err));
    return ATTN_OK;
}

static attn_status encode(const void *self, const attn_vocabulary *vocabulary, const char *text,
                          size_t length, attn_tokenizer_work *work, attn_pieces *out,
                          attn_error *err)
{
    const unigram *u = self;
    ATTN_TRY(make_room(u, work, length, err));
    step *s = ((work_area *)work->data)->step;
    if (!find_best(u, text, length, work->data))
        return attn_fail(err, ATTN_BAD_MODEL,
                         "a character is not in the vocabulary, and model.unk_id names no token");
    reverse(s, length);
    for (size_t at = 0, end; at < length; at = end) {
        int32_t id = s[at].id;
        end = at + s[at].length;
        if (id != u->unknown) {
            ATTN_TRY(attn_pieces_add(out, id, at, end, err));
            continue;
        }
        while (end < length && s[end].id == id) end += s[end].length;
        ATTN_TRY(put_unknown(u, vocabulary, text, at, end, out, err));
    }
    return ATTN_OK;
}

static void close_work(attn_tokenizer_work *work)
{
    work_area *w = work->data;
    if (!w) return;
    attn_release(work->memory, w->step, w->room * sizeof *w->step);
    attn_release(work->memory, w->score, w->ring * sizeof *w->score);
    attn_release(work->memory, w, work->bytes);
    *work = (attn_tokenizer_work){.memory = work->memory};
}

const attn_algorithm attn_algorithm_unigram = {.name = "Unigram",
                                               .size = sizeof(unigram),
                                               .build = build,
                                               .encode = encode,
                                               .close_work = close_work};
