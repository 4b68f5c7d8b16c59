/* Text and ids as the command line gives them. */
#ifndef TOOLS_CLI_TEXT_H
#define TOOLS_CLI_TEXT_H

#include "tools/cli.h"

/* A file, or standard input for "-", whole; *text is not terminated, and freed by the caller, also
 * after an error. */
attn_status cli_read_file(const char *path, char **text, size_t *length, attn_error *err);

/* "101, 7592 102"; *ids is freed by the caller, also after an error. option: for the message. */
attn_status cli_parse_ids(const char *option, const char *text, int32_t **ids, size_t *count,
                          attn_error *err);

#endif
