/* Model folders made by a test: in a temporary place, removed at the end. */
#ifndef ATTN_TESTS_FOLDER_H
#define ATTN_TESTS_FOLDER_H

#include "runtime/attn.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct folder {
    char path[64];
} folder;

static inline void folder_make(folder *f)
{
    strcpy(f->path, "/tmp/attn_test_XXXXXX");
    if (!mkdtemp(f->path)) abort();
}

static inline const char *folder_file(const folder *f, const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", f->path, name);
    return path;
}

static inline void folder_bytes(const folder *f, const char *name, const void *data, size_t size)
{
    FILE *file = fopen(folder_file(f, name), "wb");
    if (!file || fwrite(data, 1, size, file) != size || fclose(file) != 0) abort();
}

static inline void folder_text(const folder *f, const char *name, const char *text)
{
    folder_bytes(f, name, text, strlen(text));
}

/* JSON in C: ' stands for a double quote, ` for a single one. NULL: no such file. */
static inline void folder_json(const folder *f, const char *name, const char *text)
{
    if (!text) {
        unlink(folder_file(f, name));
        return;
    }
    size_t length = strlen(text);
    char *copy = malloc(length + 1);
    if (!copy) abort();
    for (size_t i = 0; i <= length; i++)
        copy[i] = text[i] == '\'' ? '"' : text[i] == '`' ? '\'' : text[i];
    folder_bytes(f, name, copy, length);
    free(copy);
}

/* A float of tensor data: small, exact in f16 and bf16 too. */
static inline float folder_value(size_t i)
{
    return (float)((int)(i * 7 % 11) - 5) / 8;
}

/* model.safetensors from "NAME DTYPE DIM DIM ...; NAME ...": element i of each F32 tensor is
 * folder_value(i), of another dtype zero. */
static inline void folder_weights(const folder *f, const char *spec)
{
    static char header[8192], data[65536];
    size_t used = 0, end = 0;
    char copy[2048], *save = NULL;
    snprintf(copy, sizeof copy, "%s", spec);
    header[used++] = '{';
    for (char *entry = strtok_r(copy, ";", &save); entry; entry = strtok_r(NULL, ";", &save)) {
        char *inner = NULL, *name = strtok_r(entry, " ", &inner),
             *dtype = strtok_r(NULL, " ", &inner);
        size_t count = 1, start = end, size = strchr(dtype, '6') ? (dtype[1] == '6' ? 8 : 2) : 4;
        used += (size_t)snprintf(header + used, sizeof header - used,
                                 "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[", used > 1 ? "," : "",
                                 name, dtype);
        bool first = true;
        for (char *dim; (dim = strtok_r(NULL, " ", &inner)); first = false) {
            count *= strtoul(dim, NULL, 10);
            used += (size_t)snprintf(header + used, sizeof header - used, "%s%s", first ? "" : ",",
                                     dim);
        }
        end += count * size;
        if (end > sizeof data) abort();
        memset(data + start, 0, end - start);
        for (size_t i = 0; i < count && strcmp(dtype, "F32") == 0; i++) {
            float value = folder_value(i);
            memcpy(data + start + i * 4, &value, 4);
        }
        used += (size_t)snprintf(header + used, sizeof header - used,
                                 "],\"data_offsets\":[%zu,%zu]}", start, end);
    }
    header[used++] = '}';
    while (used % 8) header[used++] = ' ';
    static char all[sizeof header + sizeof data + 8];
    uint64_t length = used;
    memcpy(all, &length, 8);
    memcpy(all + 8, header, used);
    memcpy(all + 8 + used, data, end);
    folder_bytes(f, "model.safetensors", all, 8 + used + end);
}

static inline void folder_remove(const folder *f)
{
    DIR *list = opendir(f->path);
    for (struct dirent *entry; list && (entry = readdir(list));)
        unlink(folder_file(f, entry->d_name));
    if (list) closedir(list);
    rmdir(f->path);
}

#endif
