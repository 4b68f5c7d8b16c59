/* Equal blocks become a group: names of tensors with {i}, one name for what is carried. */
#include "runtime/onnx/roll.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_NUMBERS = 8 }; /* in a name */

const char *attn_roll_result(const cJSON *output)
{
    const cJSON *value = attn_json_get(output, "value");
    return cJSON_IsString(value) ? value->valuestring : output->string;
}

/* ---- names with numbers ---------------------------------------------------------------------- */

static size_t numbers_of(const char *text, long *number)
{
    size_t n = 0;
    for (const char *at = text; *at;) {
        if (*at < '0' || *at > '9') {
            at++;
            continue;
        }
        char *end;
        if (n == MOST_NUMBERS) return SIZE_MAX;
        number[n++] = strtol(at, &end, 10);
        if (end - at > 6) return SIZE_MAX;
        at = end;
    }
    return n;
}

static const cJSON *item_of(const attn_roller *r, const attn_roll_blocks *b, size_t round,
                            size_t position, const char *key)
{
    return attn_json_get(r->line[b->start + round * b->length + position].json, key);
}

/* first + round * step for each number of the names; false: they do not go up evenly. */
static bool read_steps(const attn_roller *r, const attn_roll_blocks *b, size_t position,
                       const char *key, long *first, long *step, size_t *count)
{
    long number[MOST_NUMBERS];
    *count = numbers_of(item_of(r, b, 0, position, key)->valuestring, first);
    if (*count == SIZE_MAX) return false;
    for (size_t round = 1; round < b->repeats; round++) {
        if (numbers_of(item_of(r, b, round, position, key)->valuestring, number) != *count)
            return false;
        for (size_t i = 0; i < *count; i++) {
            if (round == 1) step[i] = number[i] - first[i];
            if (number[i] != first[i] + (long)round * step[i]) return false;
        }
    }
    return true;
}

bool attn_roll_even_names(const attn_roller *r, const attn_roll_blocks *b)
{
    long first[MOST_NUMBERS], step[MOST_NUMBERS];
    size_t count;
    for (size_t j = 0; j < b->length; j++) {
        const cJSON *json = r->line[b->start + j].json;
        for (const cJSON *c = json->child; c; c = c->next)
            if (attn_readable_names_weight(json, c) &&
                !read_steps(r, b, j, c->string, first, step, &count))
                return false;
    }
    return true;
}

/* "layer.0.x" of round 0 as "layer.{i}.x". */
static const char *template_of(attn_roller *r, const attn_roll_blocks *b, size_t position,
                               const char *key)
{
    long first[MOST_NUMBERS], step[MOST_NUMBERS];
    size_t count, used = 0, n = 0;
    char text[600];
    const char *at = item_of(r, b, 0, position, key)->valuestring;
    if (!read_steps(r, b, position, key, first, step, &count)) return at;
    while (*at && used + 80 < sizeof text) {
        if (*at < '0' || *at > '9') {
            text[used++] = *at++;
            continue;
        }
        char *end;
        strtol(at, &end, 10);
        size_t room = sizeof text - used, digits = (size_t)(end - at);
        char *to = text + used;
        int wrote;
        if (step[n] == 0)
            wrote = snprintf(to, room, "%.*s", (int)digits, at);
        else if (step[n] == 1 && first[n] == 0)
            wrote = snprintf(to, room, "{i}");
        else if (step[n] == 1)
            wrote = snprintf(to, room, "{i + %ld}", first[n]);
        else
            wrote = snprintf(to, room, "{%ld * i + %ld}", step[n], first[n]);
        used += (size_t)wrote;
        n++;
        at = end;
    }
    const char *copy = *at ? NULL : attn_arena_text(r->arena, text, used, r->err);
    if (!copy) r->failed = true;
    return copy ? copy : "";
}

/* ---- the group ------------------------------------------------------------------------------- */

static void set_text(attn_roller *r, cJSON *item, const char *text)
{
    if (!cJSON_SetValuestring(item, text)) r->failed = true;
}

/* Every line from `from` on, and the results, read `by` instead of `name`. */
static void rename_reads(attn_roller *r, size_t from, const char *name, const char *by)
{
    for (size_t i = from; i < r->lines; i++)
        for (size_t k = 0; k < r->line[i].reads; k++)
            if (strcmp(r->line[i].read[k]->valuestring, name) == 0)
                set_text(r, r->line[i].read[k], by);
    cJSON *outputs = cJSON_GetObjectItemCaseSensitive(r->root, "outputs");
    for (cJSON *o = outputs ? outputs->child : NULL; o; o = o->next) {
        if (strcmp(attn_roll_result(o), name) != 0) continue;
        cJSON_DeleteItemFromObjectCaseSensitive(o, "value");
        if (strcmp(o->string, by) != 0 && !cJSON_AddStringToObject(o, "value", by))
            r->failed = true;
    }
}

/* What all tensors of the block have in front, up to a dot. */
static size_t shared_prefix(const cJSON *graph, char *prefix, size_t room)
{
    size_t length = 0;
    bool any = false;
    for (const cJSON *json = graph->child; json; json = json->next)
        for (const cJSON *c = json->child; c; c = c->next) {
            if (!attn_readable_names_weight(json, c)) continue;
            size_t n = 0;
            if (!any) snprintf(prefix, room, "%.*s", (int)room - 1, c->valuestring);
            if (!any) length = strlen(prefix);
            while (n < length && c->valuestring[n] == prefix[n]) n++;
            length = n;
            any = true;
        }
    /* Not within {braces}, and something must remain of each. */
    while (length && prefix[length - 1] != '.') length--;
    prefix[length] = 0;
    size_t open = 0;
    for (size_t i = 0; i < length; i++) open += (prefix[i] == '{') - (size_t)(prefix[i] == '}');
    return open ? 0 : length;
}

static void add_prefix(attn_roller *r, cJSON *group, cJSON *graph)
{
    char prefix[300];
    size_t length = shared_prefix(graph, prefix, sizeof prefix);
    if (length == 0) return;
    for (cJSON *json = graph->child; json; json = json->next)
        for (cJSON *c = json->child; c; c = c->next) {
            if (!attn_readable_names_weight(json, c)) continue;
            const char *rest = attn_arena_text(r->arena, c->valuestring + length,
                                               strlen(c->valuestring + length), r->err);
            if (rest)
                set_text(r, c, rest);
            else
                r->failed = true;
        }
    if (!cJSON_AddStringToObject(group, "prefix", prefix)) r->failed = true;
}

/* The lines up to `end` as one group, among the others. */
static void replace_lines(attn_roller *r, const attn_roll_blocks *b, size_t end)
{
    cJSON *all = cJSON_CreateArray(), *group = cJSON_CreateObject(), *graph = cJSON_CreateArray();
    if (!all || !group || !graph || !cJSON_AddNumberToObject(group, "repeat", (double)b->repeats) ||
        !cJSON_AddStringToObject(group, "index", "i")) {
        cJSON_Delete(all);
        cJSON_Delete(group);
        cJSON_Delete(graph);
        r->failed = true;
        return;
    }
    for (size_t i = 0; i < r->lines; i++) {
        cJSON *json = cJSON_DetachItemViaPointer(r->graph, r->line[i].json);
        bool inside = i >= b->start && i < end;
        if (inside && i >= b->start + b->length)
            cJSON_Delete(json);
        else
            cJSON_AddItemToArray(inside ? graph : all, json);
        if (i + 1 == b->start + b->length) cJSON_AddItemToArray(all, group);
    }
    add_prefix(r, group, graph);
    cJSON_AddItemToObject(group, "graph", graph);
    cJSON_ReplaceItemInObjectCaseSensitive(r->root, "graph", all);
    r->graph = all;
}

void attn_roll_group(attn_roller *r, const attn_roll_blocks *b)
{
    size_t last = b->start + (b->repeats - 1) * b->length, end = last + b->length;
    /* Behind the blocks, a value of the last round has the name that the first gave it. */
    for (size_t j = 0; j < b->length; j++)
        for (size_t k = 0; k < r->line[b->start + j].makes; k++) {
            const char *by = r->line[b->start + j].make[k]->valuestring;
            for (size_t i = 0; i < b->carries; i++)
                if (b->carry[i].line == j && b->carry[i].slot == k) by = b->carry[i].first;
            rename_reads(r, end, r->line[last + j].make[k]->valuestring, by);
        }
    for (size_t j = 0; j < b->length; j++) {
        cJSON *json = r->line[b->start + j].json;
        for (cJSON *c = json->child; c; c = c->next)
            if (attn_readable_names_weight(json, c))
                set_text(r, c, template_of(r, b, j, c->string));
    }
    /* Inside the block what is carried has the name of its first value: last, since names are
     * compared above. */
    for (size_t i = 0; i < b->carries; i++) {
        const attn_roll_line *l = &r->line[b->start + b->carry[i].line];
        const char *name = attn_arena_text(r->arena, l->make[b->carry[i].slot]->valuestring,
                                           strlen(l->make[b->carry[i].slot]->valuestring), r->err);
        const char *first =
            attn_arena_text(r->arena, b->carry[i].first, strlen(b->carry[i].first), r->err);
        if (!name || !first) {
            r->failed = true;
            return;
        }
        set_text(r, l->make[b->carry[i].slot], first);
        for (size_t j = b->carry[i].line + 1; j < b->length; j++)
            for (size_t k = 0; k < r->line[b->start + j].reads; k++)
                if (strcmp(r->line[b->start + j].read[k]->valuestring, name) == 0)
                    set_text(r, r->line[b->start + j].read[k], first);
    }
    replace_lines(r, b, end);
}
