/* Hashes of results, kept in a file that is the same for all machines: what holds x86 and ARM
 * together, where one test cannot run both. */
#ifndef TESTS_BITS_H
#define TESTS_BITS_H

#include "tests/check.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define BITS_START 14695981039346656037u

/* Word i of data, f32 or i32. All NaNs count as one: their bits are the processor's choice. */
static inline uint32_t bits_word(const void *data, size_t i)
{
    uint32_t word;
    memcpy(&word, (const char *)data + 4 * i, 4);
    return (word & 0x7fffffff) > 0x7f800000 ? 0x7fc00000 : word;
}

/* FNV-1a, 64 bits, by words. */
static inline uint64_t bits_hash(uint64_t hash, const void *data, size_t bytes)
{
    for (size_t i = 0; i < bytes / 4; i++) hash = (hash ^ bits_word(data, i)) * 1099511628211u;
    return hash;
}

static inline bool bits_same(const void *a, const void *b, size_t bytes)
{
    for (size_t i = 0; i < bytes / 4; i++)
        if (bits_word(a, i) != bits_word(b, i)) return false;
    return true;
}

static inline void bits_print(const char *name, const char *precision, uint64_t hash)
{
    printf("%s %s %016" PRIx64 "\n", name, precision, hash);
}

/* The file has lines as bits_print writes them. */
static inline void bits_check(const char *path, const char *name, const char *precision,
                              uint64_t hash)
{
    FILE *file = fopen(path, "r");
    char line[200], have_name[64], have_precision[16];
    uint64_t have, stored = 0;
    assert_non_null(file);
    while (!stored && fgets(line, sizeof line, file))
        if (sscanf(line, "%63s %15s %" SCNx64, have_name, have_precision, &have) == 3 &&
            strcmp(have_name, name) == 0 && strcmp(have_precision, precision) == 0)
            stored = have;
    fclose(file);
    if (hash != stored)
        fail_msg("%s in %s: the hash of the outputs is %016" PRIx64 ", %s has %016" PRIx64, name,
                 precision, hash, path, stored);
}

#endif
