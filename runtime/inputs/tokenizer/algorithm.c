#include "runtime/inputs/tokenizer/algorithm.h"

#include <string.h>

attn_status attn_pieces_add(attn_pieces *pieces, int32_t id, size_t first, size_t end,
                            attn_error *err)
{
    if (pieces->count == pieces->room) {
        size_t room = pieces->room ? 2 * pieces->room : 64, bytes;
        void *fresh;
        if (!attn_mul(room, sizeof *pieces->piece, &bytes))
            return attn_fail(err, ATTN_NO_MEMORY, "%zu tokens are more than can exist", room);
        ATTN_TRY(attn_alloc(pieces->memory, bytes, "the tokens of a text", &fresh, err));
        if (pieces->count) memcpy(fresh, pieces->piece, pieces->count * sizeof *pieces->piece);
        attn_release(pieces->memory, pieces->piece, pieces->room * sizeof *pieces->piece);
        pieces->piece = fresh;
        pieces->room = room;
    }
    pieces->piece[pieces->count++] = (attn_piece){id, (uint32_t)first, (uint32_t)end};
    return ATTN_OK;
}

void attn_pieces_free(attn_pieces *pieces)
{
    attn_release(pieces->memory, pieces->piece, pieces->room * sizeof *pieces->piece);
    *pieces = (attn_pieces){.memory = pieces->memory};
}

static bool is_there(const cJSON *item)
{
    return item && !cJSON_IsNull(item);
}

attn_status attn_model_text(const cJSON *model, const char *key, bool needed, const char *file,
                            const char **out, attn_error *err)
{
    const cJSON *item = attn_json_get(model, key);
    *out = NULL;
    if (cJSON_IsString(item))
        *out = item->valuestring;
    else if (needed || is_there(item))
        return attn_fail(err, ATTN_BAD_FILE, "%s: model.%s: a text is needed, found %s", file, key,
                         attn_json_kind(item));
    return ATTN_OK;
}

attn_status attn_model_flag(const cJSON *model, const char *key, const char *file, bool *out,
                            attn_error *err)
{
    const cJSON *item = attn_json_get(model, key);
    if (cJSON_IsBool(item))
        *out = cJSON_IsTrue(item);
    else if (is_there(item))
        return attn_fail(err, ATTN_BAD_FILE, "%s: model.%s: a flag is needed, found %s", file, key,
                         attn_json_kind(item));
    return ATTN_OK;
}

attn_status attn_model_integer(const cJSON *model, const char *key, double min, double max,
                               const char *file, size_t *out, attn_error *err)
{
    const cJSON *item = attn_json_get(model, key);
    attn_json_text shown;
    double value;
    if (attn_json_integer(item, min, max, &value))
        *out = (size_t)value;
    else if (is_there(item))
        return attn_fail(err, ATTN_BAD_FILE,
                         "%s: model.%s: a number from %.0f to %.0f is needed, found %s", file, key,
                         min, max, attn_json_show(&shown, item));
    return ATTN_OK;
}
