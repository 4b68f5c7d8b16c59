#include "runtime/json.h"

#include "runtime/base/file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t line_of(const char *text, const char *at)
{
    size_t line = 1;
    for (const char *c = text; c < at; c++) line += *c == '\n';
    return line;
}

/* RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF. */
const char *attn_json_bad_utf8(const char *text, size_t length)
{
    const unsigned char *s = (const unsigned char *)text, *end = s + length;
    while (s < end) {
        const unsigned char *at = s;
        unsigned c = *s++;
        if (c < 0x80) {
            if (c == 0) return (const char *)at;
            continue;
        }
        int more = c >= 0xc2 && c <= 0xdf   ? 1
                   : (c & 0xf0) == 0xe0     ? 2
                   : c >= 0xf0 && c <= 0xf4 ? 3
                                            : 0;
        if (!more || end - s < more) return (const char *)at;
        unsigned low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
        unsigned high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
        if (*s < low || *s > high) return (const char *)at;
        for (s++; --more; s++)
            if ((*s & 0xc0) != 0x80) return (const char *)at;
    }
    return NULL;
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

typedef struct fault {
    const char *at; /* NULL: none */
    const char *what;
} fault;

/* A backslash at `c`. cJSON reads bad hexadecimal digits as 0 and would cut a text at \u0000. */
static const char *find_bad_escape(const char *c, const char *end)
{
    if (end - c < 2) return "the text ends within an escape";
    if (c[1] != 'u') return NULL;
    if (end - c < 6) return "the text ends within an escape";
    for (int i = 2; i < 6; i++)
        if (!is_hex(c[i])) return "\\u needs four hexadecimal digits";
    return memcmp(c + 2, "0000", 4) == 0 ? "a zero character in a text" : NULL;
}

/* What cJSON lets pass or, as it recurses once per level, would not survive. */
static fault find_fault(const char *text, size_t length)
{
    _Static_assert(ATTN_JSON_MAX_DEPTH == 64, "the text below names it");
    int depth = 0;
    bool quoted = false;
    for (const char *c = text, *end = text + length; c < end; c++) {
        if ((unsigned char)*c < 0x20 && (quoted || !strchr("\t\r\n", *c)))
            return (fault){c, "a control character"};
        if (quoted) {
            if (*c == '\\') {
                const char *bad = find_bad_escape(c, end);
                if (bad) return (fault){c, bad};
                c++;
            } else if (*c == '"') {
                quoted = false;
            }
        } else if (*c == '"') {
            quoted = true;
        } else if (*c == '[' || *c == '{') {
            if (++depth > ATTN_JSON_MAX_DEPTH) return (fault){c, "nested deeper than 64 levels"};
        } else if (*c == ']' || *c == '}') {
            depth--;
        }
    }
    return (fault){0};
}

static int compare_keys(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Objects in a header may have a million keys: sorted, not compared pairwise. */
static attn_status check_keys(const char *file, const cJSON *object, attn_error *err)
{
    size_t count = 0, i = 0;
    for (const cJSON *item = object->child; item; item = item->next) count++;
    if (count < 2) return ATTN_OK;
    const char **keys = cJSON_malloc(count * sizeof *keys);
    if (!keys) return attn_fail(err, ATTN_NO_MEMORY, "%s: out of memory", file);
    for (const cJSON *item = object->child; item; item = item->next) keys[i++] = item->string;
    qsort(keys, count, sizeof *keys, compare_keys);
    attn_status status = ATTN_OK;
    for (i = 1; i < count && !status; i++)
        if (strcmp(keys[i - 1], keys[i]) == 0)
            status = attn_fail(err, ATTN_BAD_FILE,
                               "%s: the key \"%.80s\" stands twice in one object", file, keys[i]);
    cJSON_free(keys);
    return status;
}

static attn_status check_value(const char *file, const cJSON *value, attn_error *err)
{
    if (cJSON_IsNumber(value) && !isfinite(value->valuedouble))
        return attn_fail(err, ATTN_BAD_FILE, "%s: %s is a number too large for a double", file,
                         value->string ? value->string : "a list entry");
    if (cJSON_IsObject(value)) ATTN_TRY(check_keys(file, value, err));
    for (const cJSON *item = value->child; item; item = item->next)
        ATTN_TRY(check_value(file, item, err));
    return ATTN_OK;
}

/* text: terminated, without a zero byte before that. */
static attn_status parse_copy(const char *file, const char *text, size_t length, cJSON **out,
                              attn_error *err)
{
    const char *end = NULL;
    /* cJSON leaves the place of an error in a global variable unless it is asked for it here. */
    cJSON *value = cJSON_ParseWithLengthOpts(text, length + 1, &end, false);
    if (!value) {
        const char *at = end && end >= text && end < text + length ? end : text + length;
        return attn_fail(err, ATTN_BAD_FILE, "%s: line %zu: not valid JSON near \"%.*s\"", file,
                         line_of(text, at),
                         (int)(text + length - at < 20 ? text + length - at : 20), at);
    }
    attn_status status = ATTN_OK;
    for (; end < text + length; end++)
        if (!strchr(" \t\r\n", *end)) {
            status =
                attn_fail(err, ATTN_BAD_FILE, "%s: line %zu: text after the JSON value: \"%.*s\"",
                          file, line_of(text, end),
                          (int)(text + length - end < 20 ? text + length - end : 20), end);
            break;
        }
    if (!status) status = check_value(file, value, err);
    if (status) {
        cJSON_Delete(value);
        return status;
    }
    *out = value;
    return ATTN_OK;
}

static attn_status parse(const char *file, const char *text, size_t length, size_t limit,
                         cJSON **out, attn_error *err)
{
    *out = NULL;
    if (length > limit)
        return attn_fail(err, ATTN_LIMIT, "%s: %zu bytes of JSON, at most %zu are read", file,
                         length, limit);
    const char *bad = attn_json_bad_utf8(text, length);
    if (bad)
        return attn_fail(err, ATTN_BAD_FILE, "%s: line %zu: byte 0x%02x is not UTF-8 text", file,
                         line_of(text, bad), (unsigned char)*bad);
    fault f = find_fault(text, length);
    if (f.at)
        return attn_fail(err, ATTN_BAD_FILE, "%s: line %zu: %s", file, line_of(text, f.at), f.what);
    /* A terminated copy: cJSON (to 1.7.18) reads one byte beyond a text that ends after a comma. */
    char *copy = cJSON_malloc(length + 1);
    if (!copy)
        return attn_fail(err, ATTN_NO_MEMORY, "%s: out of memory: %zu bytes of JSON", file, length);
    memcpy(copy, text, length);
    copy[length] = 0;
    attn_status status = parse_copy(file, copy, length, out, err);
    cJSON_free(copy);
    return status;
}

attn_status attn_json_parse(const char *file, const char *text, size_t length, cJSON **out,
                            attn_error *err)
{
    return parse(file, text, length, ATTN_JSON_MAX_BYTES, out, err);
}

attn_status attn_json_read_to(const char *path, size_t limit, cJSON **out, attn_error *err)
{
    *out = NULL;
    attn_file file;
    ATTN_TRY(attn_file_map(&file, path, err));
    attn_status status = parse(path, file.data, file.size, limit, out, err);
    attn_file_unmap(&file);
    return status;
}

attn_status attn_json_read(const char *path, cJSON **out, attn_error *err)
{
    return attn_json_read_to(path, ATTN_JSON_MAX_BYTES, out, err);
}

const cJSON *attn_json_get(const cJSON *object, const char *key)
{
    return cJSON_IsObject(object) ? cJSON_GetObjectItemCaseSensitive(object, key) : NULL;
}

bool attn_json_integer(const cJSON *item, double min, double max, double *out)
{
    if (!cJSON_IsNumber(item)) return false;
    double value = item->valuedouble;
    if (!(value >= min && value <= max) || value != floor(value) ||
        fabs(value) > 9007199254740992.0)
        return false;
    *out = value;
    return true;
}

const char *attn_json_kind(const cJSON *item)
{
    return !item                  ? "nothing"
           : cJSON_IsNumber(item) ? "a number"
           : cJSON_IsString(item) ? "a text"
           : cJSON_IsBool(item)   ? "a flag"
           : cJSON_IsArray(item)  ? "a list"
           : cJSON_IsObject(item) ? "an object"
                                  : "null";
}

const char *attn_json_show(attn_json_text *buffer, const cJSON *item)
{
    size_t size = sizeof buffer->text;
    if (cJSON_IsNumber(item))
        snprintf(buffer->text, size, "%.10g", item->valuedouble);
    else if (cJSON_IsString(item))
        snprintf(buffer->text, size, "\"%.80s\"", item->valuestring);
    else if (cJSON_IsBool(item))
        snprintf(buffer->text, size, cJSON_IsTrue(item) ? "true" : "false");
    else
        snprintf(buffer->text, size, "%s", attn_json_kind(item));
    return buffer->text;
}
