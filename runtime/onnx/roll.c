/* Layers that repeat become a group:
 *
 *   a0 b0 a1 b1 a2 b2   ->   { "repeat": 3, "index": "i", "graph": [a{i} b{i}] }
 *
 * Two blocks are equal if their layers have the same attributes, read the same values outside, each
 * other in the same way, and the block before in the same places (what is carried from round to
 * round); and if the numbers in the names of their tensors go up evenly. */
#include "runtime/onnx/roll.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LEAST_SAVED = 6,    /* layers, for which a group is worth it */
    MOST_LAYERS = 4096, /* more are left as they are */
};

bool attn_readable_reads(const cJSON *layer, const cJSON *item)
{
    const char *key = item->string;
    size_t length = strlen(key);
    const cJSON *kind = attn_json_get(layer, "layer");
    bool attends = cJSON_IsString(kind) && (strcmp(kind->valuestring, "attention") == 0 ||
                                            strcmp(kind->valuestring, "score") == 0);
    if (strcmp(key, "in") == 0 || strcmp(key, "padding") == 0 || strcmp(key, "mask") == 0)
        return cJSON_IsString(item) || strcmp(key, "in") == 0;
    if (strcmp(key, "bias") == 0) return attends && cJSON_IsString(item);
    return length > 5 && strcmp(key + length - 5, "_from") == 0 && cJSON_IsString(item);
}

bool attn_readable_names_weight(const cJSON *layer, const cJSON *item)
{
    if (!cJSON_IsString(item) || attn_readable_reads(layer, item)) return false;
    return strcmp(item->string, "weight") == 0 || strcmp(item->string, "bias") == 0 ||
           strcmp(item->string, "recurrent") == 0 || strcmp(item->string, "name") == 0;
}

static void *get(attn_roller *r, size_t count, size_t size)
{
    void *fresh = r->failed ? NULL : attn_arena_get(r->arena, count, size, r->err);
    if (!fresh) r->failed = true;
    return fresh;
}

/* ---- lines ---------------------------------------------------------------------------------- */

static size_t count_texts(const cJSON *item)
{
    return cJSON_IsArray(item) ? (size_t)cJSON_GetArraySize(item) : cJSON_IsString(item) ? 1 : 0;
}

static size_t add_texts(cJSON *item, cJSON **to)
{
    size_t n = 0;
    if (cJSON_IsString(item)) to[n++] = item;
    if (cJSON_IsArray(item))
        for (cJSON *c = item->child; c; c = c->next)
            if (cJSON_IsString(c)) to[n++] = c;
    return n;
}

/* Of a layer, or of all in a group. read, make: NULL to count. */
static void collect(cJSON *json, attn_roll_line *l)
{
    cJSON *graph = cJSON_GetObjectItemCaseSensitive(json, "graph");
    for (cJSON *c = cJSON_IsArray(graph) ? graph->child : NULL; c; c = c->next) collect(c, l);
    if (cJSON_IsArray(graph)) return;
    for (cJSON *c = json->child; c; c = c->next) {
        bool makes = strcmp(c->string, "out") == 0;
        if (makes && l->make) l->makes += add_texts(c, l->make + l->makes);
        if (makes && !l->make) l->makes += count_texts(c);
        if (!attn_readable_reads(json, c)) continue;
        if (l->read)
            l->reads += add_texts(c, l->read + l->reads);
        else
            l->reads += count_texts(c);
    }
}

/* Digits as '#', so that equal signatures differ in numbers alone. */
static void sign_text(const char *text, bool name, char *to, size_t room, size_t *used)
{
    for (; *text && *used + 2 < room; text++) {
        bool digit = name && *text >= '0' && *text <= '9';
        if (digit && *used && to[*used - 1] == '#') continue;
        to[(*used)++] = digit ? '#' : *text;
    }
    to[(*used)++] = '\n';
}

static size_t sign(attn_roller *r, cJSON *json)
{
    char text[2048];
    size_t used = 0;
    if (attn_json_get(json, "graph")) return ++r->signature;
    for (cJSON *c = json->child; c; c = c->next) {
        sign_text(c->string, false, text, sizeof text, &used);
        if (attn_readable_reads(json, c) || strcmp(c->string, "out") == 0) {
            char count[24];
            snprintf(count, sizeof count, "%zu", count_texts(c));
            sign_text(count, false, text, sizeof text, &used);
        } else if (attn_readable_names_weight(json, c)) {
            sign_text(c->valuestring, true, text, sizeof text, &used);
        } else {
            char *value = cJSON_PrintUnformatted(c);
            if (!value) r->failed = true;
            sign_text(value ? value : "", false, text, sizeof text, &used);
            cJSON_free(value);
        }
        if (used + 64 > sizeof text) return ++r->signature; /* too long to be compared */
    }
    text[used] = 0;
    void *known = attn_names_get(&r->signatures, text);
    if (known) return (size_t)(uintptr_t)known;
    const char *copy = attn_arena_text(r->arena, text, used, r->err);
    if (!copy || !attn_names_set(&r->signatures, copy, (void *)(uintptr_t)++r->signature, r->err))
        r->failed = true;
    return r->signature;
}

static void read_line(attn_roller *r, cJSON *json, size_t index)
{
    attn_roll_line *l = &r->line[index];
    l->json = json;
    l->signature = sign(r, json);
    collect(json, l);
    cJSON **all = get(r, l->reads + l->makes + 1, sizeof *all);
    if (!all) return;
    l->read = all;
    l->make = all + l->reads;
    l->reads = l->makes = 0;
    collect(json, l);
    for (size_t i = 0; i < l->makes; i++) {
        attn_roll_place *p = get(r, 1, sizeof *p);
        if (!p) return;
        *p = (attn_roll_place){index, i};
        if (!attn_names_set(&r->maker, l->make[i]->valuestring, p, r->err)) r->failed = true;
    }
}

static void read_lines(attn_roller *r)
{
    r->lines = (size_t)cJSON_GetArraySize(r->graph);
    r->line = get(r, r->lines, sizeof *r->line);
    r->maker = (attn_names){.arena = r->arena};
    size_t i = 0;
    for (cJSON *c = r->graph->child; c && !r->failed; c = c->next) read_line(r, c, i++);
}

static attn_roll_place maker_of(const attn_roller *r, const char *name)
{
    const attn_roll_place *p = attn_names_get(&r->maker, name);
    return p ? *p : (attn_roll_place){SIZE_MAX, 0};
}

/* ---- blocks --------------------------------------------------------------------------------- */

typedef enum relation { INSIDE, BEFORE, OUTSIDE, ELSEWHERE } relation;

static relation relate(const attn_roller *r, const attn_roll_blocks *b, size_t round,
                       const char *name, attn_roll_place *at)
{
    size_t first = b->start + round * b->length;
    *at = maker_of(r, name);
    if (at->layer == SIZE_MAX || at->layer < b->start) return OUTSIDE;
    if (at->layer >= first && at->layer < first + b->length) {
        at->layer -= first;
        return INSIDE;
    }
    if (round > 0 && at->layer >= first - b->length && at->layer < first) {
        at->layer -= first - b->length;
        return BEFORE;
    }
    return ELSEWHERE;
}

static bool carry(attn_roll_blocks *b, size_t position, const attn_roll_place *at,
                  const char *first)
{
    if (position > at->layer) return false; /* the new one stands already */
    for (size_t i = 0; i < b->carries; i++) {
        bool same = b->carry[i].line == at->layer && b->carry[i].slot == at->slot;
        if (same || strcmp(b->carry[i].first, first) == 0)
            return same && strcmp(b->carry[i].first, first) == 0;
    }
    if (b->carries == ATTN_ROLL_CARRIED) return false;
    b->carry[b->carries++] = (attn_roll_carried){at->layer, at->slot, first};
    return true;
}

/* One operand of one line in all rounds. */
static bool same_operand(const attn_roller *r, attn_roll_blocks *b, size_t position, size_t operand)
{
    attn_roll_place first, at, other;
    const char *name = r->line[b->start + position].read[operand]->valuestring;
    const char *next = r->line[b->start + b->length + position].read[operand]->valuestring;
    relation begin = relate(r, b, 0, name, &first), usual = relate(r, b, 1, next, &at);
    for (size_t round = 2; round < b->repeats; round++) {
        const attn_roll_line *l = &r->line[b->start + round * b->length + position];
        relation now = relate(r, b, round, l->read[operand]->valuestring, &other);
        if (now != usual) return false;
        if (usual == OUTSIDE ? strcmp(l->read[operand]->valuestring, next) != 0
                             : other.layer != at.layer || other.slot != at.slot)
            return false;
    }
    switch (usual) {
    case INSIDE:
        return begin == INSIDE && first.layer == at.layer && first.slot == at.slot;
    case BEFORE:
        return begin == OUTSIDE && carry(b, position, &at, name);
    case OUTSIDE:
        return begin == OUTSIDE && strcmp(name, next) == 0;
    default:
        return false;
    }
}

static bool is_first(const attn_roll_blocks *b, const char *name)
{
    for (size_t i = 0; i < b->carries; i++)
        if (strcmp(b->carry[i].first, name) == 0) return true;
    return false;
}

/* May a line or result behind the blocks read the value? */
static bool lasts(const attn_roller *r, const attn_roll_blocks *b, const char *name)
{
    size_t end = b->start + b->repeats * b->length;
    attn_roll_place at = maker_of(r, name);
    if (is_first(b, name)) return false; /* another value has that name then */
    return at.layer == SIZE_MAX || at.layer < b->start || at.layer >= end - b->length;
}

static bool is_sound(const attn_roller *r, const attn_roll_blocks *b)
{
    size_t end = b->start + b->repeats * b->length;
    for (size_t i = b->start; i < end; i++)
        for (size_t k = 0; k < r->line[i].reads; k++) {
            /* In later rounds, the first value of what is carried is gone. */
            bool later = i >= b->start + b->length;
            if (later && is_first(b, r->line[i].read[k]->valuestring)) return false;
        }
    for (size_t i = end; i < r->lines; i++)
        for (size_t k = 0; k < r->line[i].reads; k++)
            if (!lasts(r, b, r->line[i].read[k]->valuestring)) return false;
    const cJSON *outputs = attn_json_get(r->root, "outputs");
    for (const cJSON *o = outputs ? outputs->child : NULL; o; o = o->next)
        if (!lasts(r, b, attn_roll_result(o))) return false;
    return true;
}

/* In the first block, what is carried must be read as the first value in all its places before
 * it is made anew. */
static bool first_reads(const attn_roller *r, const attn_roll_blocks *b)
{
    for (size_t j = 0; j < b->length; j++) {
        const attn_roll_line *l = &r->line[b->start + j];
        for (size_t k = 0; k < l->reads; k++) {
            if (!is_first(b, l->read[k]->valuestring)) continue;
            attn_roll_place at;
            const attn_roll_line *next = &r->line[b->start + b->length + j];
            if (relate(r, b, 1, next->read[k]->valuestring, &at) != BEFORE) return false;
        }
    }
    return true;
}

/* ---- the search ------------------------------------------------------------------------------ */

static bool are_equal(attn_roller *r, attn_roll_blocks *b)
{
    b->carries = 0;
    for (size_t j = 0; j < b->length; j++)
        for (size_t k = 0; k < r->line[b->start + j].reads; k++)
            if (!same_operand(r, b, j, k)) return false;
    return first_reads(r, b) && is_sound(r, b) && attn_roll_even_names(r, b);
}

/* The best group that starts among lines [start, start + matches], where each line equals the one
 * `length` further on. */
static bool try_run(attn_roller *r, size_t start, size_t matches, size_t length, size_t *saved,
                    attn_roll_blocks *best)
{
    bool found = false;
    for (size_t shift = 0; shift < length && shift + length <= matches; shift++) {
        attn_roll_blocks b = {
            .start = start + shift, .length = length, .repeats = (matches - shift) / length + 1};
        for (; b.repeats >= 2; b.repeats--) {
            size_t gain = (b.repeats - 1) * length;
            if (gain <= *saved || gain < LEAST_SAVED) break;
            if (!are_equal(r, &b)) continue;
            *saved = gain;
            *best = b;
            found = true;
            break;
        }
    }
    return found;
}

static bool find_blocks(attn_roller *r, attn_roll_blocks *best)
{
    size_t saved = 0;
    bool found = false;
    for (size_t length = 1; length <= r->lines / 2; length++) {
        size_t matches = 0;
        for (size_t i = 0; i + length <= r->lines; i++) {
            bool same =
                i + length < r->lines && r->line[i].signature == r->line[i + length].signature;
            if (same) {
                matches++;
                continue;
            }
            if (matches >= length && (matches / length) * length > saved)
                found |= try_run(r, i - matches, matches, length, &saved, best);
            matches = 0;
        }
    }
    return found;
}

/* Names of layers are for those that show maps; others have their tensor's. */
static void drop_names(cJSON *graph)
{
    for (cJSON *c = graph->child; c; c = c->next) {
        const cJSON *kind = attn_json_get(c, "layer");
        bool attends = cJSON_IsString(kind) && strcmp(kind->valuestring, "attention") == 0;
        if (!attends) cJSON_DeleteItemFromObjectCaseSensitive(c, "name");
    }
}

attn_status attn_readable_roll(cJSON *root, attn_arena *arena, attn_error *err)
{
    attn_roller r = {.arena = arena, .err = err, .root = root, .signatures = {.arena = arena}};
    r.graph = cJSON_GetObjectItemCaseSensitive(root, "graph");
    if (!cJSON_IsArray(r.graph)) return ATTN_OK;
    drop_names(r.graph);
    while (!r.failed) {
        attn_roll_blocks b;
        read_lines(&r);
        if (r.failed || r.lines > MOST_LAYERS || !find_blocks(&r, &b)) break;
        attn_roll_group(&r, &b);
    }
    if (!r.failed) return ATTN_OK;
    return attn_fail(err, ATTN_NO_MEMORY, "out of memory for the description");
}
