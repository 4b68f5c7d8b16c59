/* Files, mapped read-only. */
#ifndef ATTN_BASE_FILE_H
#define ATTN_BASE_FILE_H

#include "runtime/base/status.h"

typedef struct attn_file {
    const void *data; /* page-aligned; not NULL even for an empty file */
    size_t size;
    void *mapping;                /* NULL if nothing is mapped */
    int64_t seconds, nanoseconds; /* of the last change */
} attn_file;

/* Maps a regular file. Errors (ATTN_IO): not there, not readable, not a regular file. */
attn_status attn_file_map(attn_file *file, const char *path, attn_error *err);
/* The file `name`, without "/", of a folder ("" or with "/" at its end); a link is refused. */
attn_status attn_file_map_in(attn_file *file, const char *folder, const char *name,
                             attn_error *err);
/* Accepts a zeroed or failed file. */
void attn_file_unmap(attn_file *file);

/* All of the file will be read: in huge pages, where the system has them for files. */
void attn_file_expect_all(const attn_file *file);

/* data[0..bytes), part of the file, has been read: its pages, and those before it that the system
 * has mapped on the way, need not stay in memory. They are read again when they are used. */
void attn_file_forget(const attn_file *file, const void *data, size_t bytes);

bool attn_file_exists(const char *path);
bool attn_is_folder(const char *path);
/* How many files of the folder have names that end so, hidden ones left out, and the name of one
 * of them, "" if there is none. */
size_t attn_files_ending(const char *folder, const char *end, char *name, size_t size);

#endif
