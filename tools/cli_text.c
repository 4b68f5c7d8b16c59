/* Text and ids as the command line gives them. */
#include "tools/cli_text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

attn_status cli_read_file(const char *path, char **text, size_t *length, attn_error *err)
{
    FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
    size_t room = 0, got = 1;
    *text = NULL;
    *length = 0;
    if (!f) return attn_fail(err, ATTN_IO, "%s: %s", path, strerror(errno));
    attn_status status = ATTN_OK;
    while (got && !status) {
        if (*length == room) {
            room = room ? 2 * room : 1 << 16;
            char *more = realloc(*text, room);
            if (!more) {
                status = attn_fail(err, ATTN_NO_MEMORY, "%s: out of memory: %zu bytes", path, room);
                break;
            }
            *text = more;
        }
        got = fread(*text + *length, 1, room - *length, f);
        *length += got;
    }
    if (!status && ferror(f)) status = attn_fail(err, ATTN_IO, "%s: %s", path, strerror(errno));
    if (f != stdin) fclose(f);
    return status;
}

attn_status cli_parse_ids(const char *option, const char *text, int32_t **ids, size_t *count,
                          attn_error *err)
{
    size_t room = strlen(text) / 2 + 1;
    *count = 0;
    *ids = malloc(room * sizeof **ids);
    if (!*ids) return attn_fail(err, ATTN_NO_MEMORY, "out of memory: %zu ids", room);
    while (*(text += strspn(text, " ,\t\n[]"))) {
        char *end;
        errno = 0;
        long id = strtol(text, &end, 10);
        if (end == text || errno || id < 0 || id > INT32_MAX)
            return attn_fail(err, ATTN_BAD_INPUT, "%s takes ids such as 101,7592, not \"%.40s\"",
                             option, text);
        (*ids)[(*count)++] = (int32_t)id;
        text = end;
    }
    return ATTN_OK;
}
