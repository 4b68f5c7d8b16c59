/* Truncation and padding. */
#include "runtime/inputs/tokenizer/postprocessor.h"

#include <string.h>

static attn_status read_direction(const attn_place *p, bool needed, bool *left, attn_error *err)
{
    static const char *const names[] = {"Left", "Right", NULL};
    int choice = 1;
    ATTN_TRY(attn_place_choice(p, "direction", needed, names, &choice, err));
    *left = choice == 0;
    return ATTN_OK;
}

static attn_status check_object(const attn_place *p, bool *there, attn_error *err)
{
    *there = p->object && !cJSON_IsNull(p->object);
    if (*there && !cJSON_IsObject(p->object))
        return attn_place_fail(p, err, "an object is needed, found %s", attn_json_kind(p->object));
    return ATTN_OK;
}

attn_status attn_truncation_read(attn_truncation *t, const attn_place *place, attn_error *err)
{
    static const char *const names[] = {"LongestFirst", "OnlyFirst", "OnlySecond", NULL};
    int choice = 0;
    *t = (attn_truncation){0};
    ATTN_TRY(check_object(place, &t->set, err));
    if (!t->set) return ATTN_OK;
    ATTN_TRY(read_direction(place, false, &t->left, err));
    ATTN_TRY(attn_place_size(place, "max_length", true, 0, INT32_MAX, &t->max_length, err));
    ATTN_TRY(attn_place_size(place, "stride", true, 0, INT32_MAX, &t->stride, err));
    ATTN_TRY(attn_place_choice(place, "strategy", true, names, &choice, err));
    t->strategy = (attn_truncate)choice;
    return ATTN_OK;
}

attn_status attn_padding_read(attn_padding *p, const attn_place *place, attn_error *err)
{
    size_t id = 0, type = 0;
    const char *token = NULL;
    *p = (attn_padding){0};
    ATTN_TRY(check_object(place, &p->set, err));
    if (!p->set) return ATTN_OK;
    const cJSON *strategy = attn_json_get(place->object, "strategy");
    if (cJSON_IsObject(strategy)) {
        attn_place at = attn_place_at(place, "strategy", strategy, -1);
        ATTN_TRY(attn_place_size(&at, "Fixed", true, 0, 1 << 24, &p->fixed, err));
    } else if (!cJSON_IsString(strategy) || strcmp(strategy->valuestring, "BatchLongest") != 0) {
        attn_json_text shown;
        return attn_place_fail(
            place, err, "\"strategy\": \"BatchLongest\" or {\"Fixed\": N} is needed, found %s",
            attn_json_show(&shown, strategy));
    }
    ATTN_TRY(read_direction(place, true, &p->left, err));
    ATTN_TRY(attn_place_size(place, "pad_to_multiple_of", false, 0, 1 << 24, &p->multiple_of, err));
    ATTN_TRY(attn_place_size(place, "pad_id", true, 0, INT32_MAX, &id, err));
    ATTN_TRY(attn_place_size(place, "pad_type_id", true, 0, INT32_MAX, &type, err));
    ATTN_TRY(attn_place_text(place, "pad_token", true, &token, err));
    p->id = (int32_t)id;
    p->type = (int32_t)type;
    return ATTN_OK;
}

/* ---- truncation ----------------------------------------------------------------------------- */

static attn_status cut_part(const attn_truncation *t, attn_part *part, size_t length,
                            attn_error *err)
{
    if (length >= part->count) return ATTN_OK;
    if (length && t->stride >= length)
        return attn_fail(err, ATTN_BAD_ARGUMENT,
                         "truncation to %zu tokens: the stride of %zu must be less", length,
                         t->stride);
    if (t->left)
        memmove(part->entry, part->entry + (part->count - length), length * sizeof *part->entry);
    part->count = length;
    return ATTN_OK;
}

static attn_status cut_both(const attn_truncation *t, attn_parts *parts, size_t length,
                            attn_error *err)
{
    size_t one = parts->part[0].count, two = parts->part[1].count;
    bool swap = one > two;
    if (swap) {
        size_t other = one;
        one = two;
        two = other;
    }
    if (one > length)
        two = one;
    else
        two = length - one > one ? length - one : one;
    if (one + two > length) {
        one = length / 2;
        two = one + length % 2;
    }
    ATTN_TRY(cut_part(t, &parts->part[0], swap ? two : one, err));
    return cut_part(t, &parts->part[1], swap ? one : two, err);
}

attn_status attn_truncate_parts(const attn_truncation *t, attn_parts *parts, size_t added,
                                attn_error *err)
{
    if (!t->set) return ATTN_OK;
    if (t->max_length < added)
        return attn_fail(err, ATTN_BAD_ARGUMENT,
                         "truncation to %zu tokens: %zu special ones alone are more", t->max_length,
                         added);
    size_t length = t->max_length - added, total = 0;
    for (size_t i = 0; i < parts->count; i++) total += parts->part[i].count;
    if (!length)
        for (size_t i = 0; i < parts->count; i++) parts->part[i].count = 0;
    if (total <= length || !length) return ATTN_OK;
    if (t->strategy == ATTN_LONGEST_FIRST)
        return parts->count > 1 ? cut_both(t, parts, length, err)
                                : cut_part(t, &parts->part[0], length, err);
    size_t target = t->strategy == ATTN_ONLY_SECOND, remove = total - length;
    if (target >= parts->count)
        return attn_fail(err, ATTN_BAD_ARGUMENT,
                         "truncation cuts the second text only, and there is none");
    if (parts->part[target].count <= remove)
        return attn_fail(
            err, ATTN_BAD_ARGUMENT,
            "truncation to %zu tokens: %zu would have to go of the %s text, which has %zu",
            t->max_length, remove, target ? "second" : "first", parts->part[target].count);
    return cut_part(t, &parts->part[target], parts->part[target].count - remove, err);
}

/* ---- padding -------------------------------------------------------------------------------- */

attn_status attn_pad(const attn_padding *p, attn_memory *memory, attn_part *part, int sequence,
                     attn_error *err)
{
    if (!p->set) return ATTN_OK;
    size_t length = p->fixed ? p->fixed : part->count;
    if (p->multiple_of && length % p->multiple_of)
        length += p->multiple_of - length % p->multiple_of;
    if (part->count >= length) return ATTN_OK;
    size_t before = part->count, more = length - before;
    const attn_entry pad = {
        .id = p->id, .word = -1, .type = p->type, .sequence = sequence, .special = 1, .padding = 1};
    for (size_t i = 0; i < more; i++) ATTN_TRY(attn_part_add(memory, part, pad, err));
    if (!p->left) return ATTN_OK;
    memmove(part->entry + more, part->entry, before * sizeof *part->entry);
    for (size_t i = 0; i < more; i++) part->entry[i] = pad;
    return ATTN_OK;
}
