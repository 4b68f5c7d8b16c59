/* madvise. */
#define _DEFAULT_SOURCE

#include "runtime/base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static attn_status map_file(attn_file *file, const char *path, int flags, attn_error *err)
{
    *file = (attn_file){.data = ""};
    struct stat info;
    /* O_NONBLOCK: opening a FIFO must not wait for a writer. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | flags);
    if (fd < 0 && errno == ELOOP && flags) return attn_fail(err, ATTN_IO, "%s: a link", path);
    if (fd < 0) return attn_fail(err, ATTN_IO, "%s: %s", path, strerror(errno));
    attn_status status = ATTN_OK;
    if (fstat(fd, &info) != 0) {
        status = attn_fail(err, ATTN_IO, "%s: %s", path, strerror(errno));
    } else if (!S_ISREG(info.st_mode)) {
        status = attn_fail(err, ATTN_IO, "%s: not a regular file", path);
    } else if (info.st_size > 0) {
        file->seconds = info.st_mtim.tv_sec;
        file->nanoseconds = info.st_mtim.tv_nsec;
        void *mapping = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (mapping == MAP_FAILED) {
            status = attn_fail(err, ATTN_IO, "%s: %s", path, strerror(errno));
        } else {
            file->mapping = mapping;
            file->data = mapping;
            file->size = (size_t)info.st_size;
        }
    }
    close(fd);
    return status;
}

attn_status attn_file_map(attn_file *file, const char *path, attn_error *err)
{
    return map_file(file, path, 0, err);
}

attn_status attn_file_map_in(attn_file *file, const char *folder, const char *name, attn_error *err)
{
    char path[4096];
    int length = snprintf(path, sizeof path, "%s%s", folder, name);
    *file = (attn_file){.data = ""};
    if (length < 0 || (size_t)length >= sizeof path)
        return attn_fail(err, ATTN_IO, "%.200s: the path is too long", name);
    return map_file(file, path, O_NOFOLLOW, err);
}

void attn_file_unmap(attn_file *file)
{
    if (file->mapping) munmap(file->mapping, file->size);
    *file = (attn_file){.data = ""};
}

void attn_file_expect_all(const attn_file *file)
{
#if defined(MADV_HUGEPAGE)
    if (file->mapping) madvise(file->mapping, file->size, MADV_HUGEPAGE);
#else
    (void)file;
#endif
}

void attn_file_forget(const attn_file *file, const void *data, size_t bytes)
{
    /* A fault maps the pages around it, too: 64 KB on Linux. */
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), around = 1 << 16;
    uintptr_t start = (uintptr_t)file->mapping, end = start + (file->size + page - 1) / page * page;
    uintptr_t from = (uintptr_t)data / around * around;
    uintptr_t to = ((uintptr_t)data + bytes + page - 1) / page * page;
    if (from < start) from = start;
    if (to > end) to = end;
    if (file->mapping && bytes && from < to) madvise((void *)from, to - from, MADV_DONTNEED);
}

bool attn_file_exists(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

bool attn_is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

size_t attn_files_ending(const char *folder, const char *end, char *name, size_t size)
{
    DIR *list = opendir(folder);
    size_t count = 0, tail = strlen(end);
    *name = 0;
    for (struct dirent *entry; list && (entry = readdir(list));) {
        size_t length = strlen(entry->d_name);
        if (entry->d_name[0] == '.' || length < tail ||
            strcmp(entry->d_name + length - tail, end) != 0)
            continue;
        if (count++ == 0) snprintf(name, size, "%s", entry->d_name);
    }
    if (list) closedir(list);
    return count;
}
