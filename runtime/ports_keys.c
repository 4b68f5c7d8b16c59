/* The keys of an output that is read as text: "keys", its characters, in the order of the columns,
 * and which column stands for no character. */
#include "runtime/builder.h"

#include "runtime/base/file.h"

#include <stdio.h>
#include <string.h>

enum { MAX_FILE = 16 << 20, MAX_KEY = 64 }; /* bytes */

/* The characters so far, and room for `room` of them. */
typedef struct key_list {
    attn_builder *b;
    const char *place;
    attn_port *port;
    size_t room;
} key_list;

static attn_status make_room(key_list *k, size_t room)
{
    if (room > ATTN_MAX_LABELS)
        return attn_builder_fail(k->b, k->place, "\"keys\": more than %d", ATTN_MAX_LABELS);
    k->room = room;
    k->port->labels = attn_arena_get(k->b->arena, room, sizeof *k->port->labels, k->b->err);
    return k->port->labels ? ATTN_OK : ATTN_NO_MEMORY;
}

/* The key text[0..length), which is UTF-8; `what` and `number` name it in messages. */
static attn_status add_key(key_list *k, const char *text, size_t length, const char *what,
                           size_t number)
{
    if (length == 0 || length > MAX_KEY)
        return attn_builder_fail(k->b, k->place, "\"keys\": %s %zu has %zu bytes, expected 1 to %d",
                                 what, number, length, MAX_KEY);
    const char *copy = attn_arena_text(k->b->arena, text, length, k->b->err);
    if (!copy) return ATTN_NO_MEMORY;
    k->port->labels[k->port->label_count++] = copy;
    return ATTN_OK;
}

/* Each character of a text is a key. */
static attn_status keys_of_text(key_list *k, const char *text, size_t extra)
{
    size_t length = strlen(text), count = 0;
    for (size_t i = 0; i < length; i++) count += ((unsigned char)text[i] & 0xc0) != 0x80;
    ATTN_TRY(make_room(k, count + extra));
    for (size_t at = 0, end; at < length; at = end) {
        for (end = at + 1; end < length && ((unsigned char)text[end] & 0xc0) == 0x80;) end++;
        ATTN_TRY(add_key(k, text + at, end - at, "character", at));
    }
    return ATTN_OK;
}

static attn_status keys_of_list(key_list *k, const cJSON *list, size_t extra)
{
    size_t i = 0;
    attn_json_text shown;
    ATTN_TRY(make_room(k, (size_t)cJSON_GetArraySize(list) + extra));
    for (const cJSON *item = list->child; item; item = item->next, i++) {
        if (!cJSON_IsString(item))
            return attn_builder_fail(k->b, k->place, "\"keys\": entry %zu is %s, expected a text",
                                     i, attn_json_show(&shown, item));
        ATTN_TRY(add_key(k, item->valuestring, strlen(item->valuestring), "entry", i));
    }
    return ATTN_OK;
}

/* One key in each line; a line may end with a carriage return. */
static attn_status keys_of_lines(key_list *k, const char *path, const char *text, size_t size,
                                 size_t extra)
{
    size_t lines = 0, number = 0;
    if (size > MAX_FILE)
        return attn_builder_fail(k->b, k->place, "%s has %zu bytes, expected keys of at most %d",
                                 path, size, MAX_FILE);
    const char *bad = attn_json_bad_utf8(text, size);
    for (size_t i = 0; i < size; i++) lines += text[i] == '\n' || i + 1 == size;
    if (bad) {
        for (const char *c = text; c < bad; c++) number += *c == '\n';
        return attn_builder_fail(k->b, k->place, "%s: line %zu: byte 0x%02x is not UTF-8 text",
                                 path, number + 1, *(const unsigned char *)bad);
    }
    ATTN_TRY(make_room(k, lines + extra));
    for (const char *at = text, *end = text + size; at < end;) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        if (!stop) stop = end;
        size_t length = (size_t)(stop - at);
        if (length && at[length - 1] == '\r') length--;
        ATTN_TRY(add_key(k, at, length, "line", ++number));
        at = stop + 1;
    }
    return ATTN_OK;
}

static attn_status keys_of_file(key_list *k, const cJSON *item, size_t extra)
{
    static const char *const keys[] = {"file", "note", NULL};
    const char *folder = k->b->source->folder;
    const cJSON *name = attn_json_get(item, "file");
    attn_json_text shown;
    attn_file file;
    attn_error inner;
    ATTN_TRY(attn_builder_keys(k->b, k->place, item, keys));
    if (!cJSON_IsString(name) || !folder || strchr(name->valuestring, '/') ||
        strcmp(name->valuestring, "..") == 0)
        return attn_builder_fail(k->b, k->place,
                                 "\"keys\": \"file\" is %s, expected a file name of this folder",
                                 attn_json_show(&shown, name));
    const char *path =
        attn_arena_printf(k->b->arena, k->b->err, "%s/%s", folder, name->valuestring);
    if (!path) return ATTN_NO_MEMORY;
    if (attn_file_map(&file, path, &inner))
        return attn_builder_fail(k->b, k->place, "\"keys\": %s", inner.text);
    attn_status status = keys_of_lines(k, path, file.data, file.size, extra);
    attn_file_unmap(&file);
    return status;
}

/* extra: columns that are to be added to the list. */
static attn_status read_keys(key_list *k, const cJSON *item, size_t extra)
{
    attn_json_text shown;
    if (cJSON_IsString(item)) return keys_of_text(k, item->valuestring, extra);
    if (cJSON_IsArray(item)) return keys_of_list(k, item, extra);
    if (cJSON_IsObject(item)) return keys_of_file(k, item, extra);
    return attn_builder_fail(
        k->b, k->place,
        "\"keys\" is %s, expected a text, a list of texts or {\"file\": a file name}",
        attn_json_show(&shown, item));
}

static attn_status read_filler(key_list *k, const cJSON *item)
{
    attn_port *port = k->port;
    attn_json_text shown;
    if (!item) return ATTN_OK;
    for (size_t i = 0; cJSON_IsString(item) && i < port->label_count; i++)
        if (strcmp(port->labels[i], item->valuestring) == 0) {
            port->silent = i;
            return ATTN_OK;
        }
    return attn_builder_fail(k->b, k->place, "\"filler\" is %s, expected one of the keys",
                             attn_json_show(&shown, item));
}

/* The blank is no key: it moves those from its column on. */
static attn_status read_blank(key_list *k, const cJSON *output)
{
    const cJSON *item = attn_json_get(output, "blank"), *space = attn_json_get(output, "space");
    attn_port *port = k->port;
    attn_json_text shown;
    double blank = 0;
    if (space && !cJSON_IsBool(space))
        return attn_builder_fail(k->b, k->place, "\"space\" is %s, expected a flag",
                                 attn_json_show(&shown, space));
    if (cJSON_IsTrue(space)) ATTN_TRY(add_key(k, " ", 1, "entry", port->label_count));
    if (item)
        ATTN_TRY(attn_builder_integer(k->b, k->place, "blank", item, 0, (double)port->label_count,
                                      &blank));
    port->silent = (size_t)blank;
    memmove(port->labels + port->silent + 1, port->labels + port->silent,
            (port->label_count - port->silent) * sizeof *port->labels);
    port->labels[port->silent] = NULL;
    port->label_count++;
    return ATTN_OK;
}

attn_status attn_builder_text_keys(attn_builder *b, const char *place, const cJSON *output,
                                   attn_port *port)
{
    static const char *const keys[] = {"keys", "filler", "blank", "space"};
    key_list k = {.b = b, .place = place, .port = port};
    bool slots = port->kind == ATTN_KIND_SLOTS, ctc = port->kind == ATTN_KIND_CTC;
    const bool allowed[] = {slots || ctc, slots, ctc, ctc};
    static const char *const kinds[] = {"slots and ctc", "slots", "ctc", "ctc"};
    port->silent = SIZE_MAX;
    for (int i = 0; i < 4; i++)
        if (!allowed[i] && attn_json_get(output, keys[i]))
            return attn_builder_fail(b, place, "\"%s\" is for outputs of kind %s", keys[i],
                                     kinds[i]);
    if (!slots && !ctc) return ATTN_OK;
    const cJSON *item = attn_json_get(output, "keys");
    if (!item) return attn_builder_fail(b, place, "the key \"keys\" is missing");
    ATTN_TRY(read_keys(&k, item, ctc ? 2 : 0));
    if (port->label_count == 0) return attn_builder_fail(b, place, "\"keys\" is empty");
    return slots ? read_filler(&k, attn_json_get(output, "filler")) : read_blank(&k, output);
}
