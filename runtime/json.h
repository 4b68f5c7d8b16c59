/* JSON text for the runtime: cJSON with the checks that it leaves out. */
#ifndef ATTN_JSON_H
#define ATTN_JSON_H

#include "runtime/base/memory.h"

#include <cjson/cJSON.h>

/* Limits for a text: bytes (vocabularies are larger), and nesting. */
enum { ATTN_JSON_MAX_DEPTH = 64 };
#define ATTN_JSON_MAX_BYTES ((size_t)16 << 20)
#define ATTN_JSON_MAX_VOCABULARY ((size_t)64 << 20)

/* Parses text[0..length) (need not be terminated). Refuses: bytes over the limit, a zero byte,
 * invalid UTF-8, nesting deeper than ATTN_JSON_MAX_DEPTH, anything after the value, a key twice in
 * one object, numbers that are not finite. The message names `file` and the line. The caller frees
 * *out by cJSON_Delete. */
attn_status attn_json_parse(const char *file, const char *text, size_t length, cJSON **out,
                            attn_error *err);
/* Reads and parses a file. */
attn_status attn_json_read(const char *path, cJSON **out, attn_error *err);
/* The same, with a limit of its own in bytes. */
attn_status attn_json_read_to(const char *path, size_t limit, cJSON **out, attn_error *err);

/* NULL, or the first byte of text[0..length) that is not valid UTF-8, or is zero. */
const char *attn_json_bad_utf8(const char *text, size_t length);

/* Case-sensitive; NULL if object is no object or has no such key. */
const cJSON *attn_json_get(const cJSON *object, const char *key);

/* An integer in [min, max], exactly (not a rounded 1.5 or 1e300). */
bool attn_json_integer(const cJSON *item, double min, double max, double *out);

/* "a number", "an object" ...: for messages. */
const char *attn_json_kind(const cJSON *item);
/* The value as short text (numbers, "texts", true, [...]) for messages. */
typedef struct attn_json_text {
    char text[96];
} attn_json_text;
const char *attn_json_show(attn_json_text *buffer, const cJSON *item);

#endif
