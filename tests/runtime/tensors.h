/* A safetensors file made by a test, tensor by tensor. */
#ifndef ATTN_TESTS_TENSORS_H
#define ATTN_TESTS_TENSORS_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct tensors {
    const char *dtype;    /* of tensors_random: "F32" (default), "BF16", "F16" */
    const char *metadata; /* JSON, or NULL */
    char header[8192];
    char *data; /* until tensors_write */
    size_t used, end;
    uint32_t seed;
} tensors;

static inline size_t tensors_size(const char *dtype)
{
    return strstr(dtype, "64") ? 8 : strstr(dtype, "16") ? 2 : strstr(dtype, "32") ? 4 : 1;
}

static inline void tensors_add(tensors *t, const char *name, const char *dtype, int rank,
                               const size_t *dim, const void *data, size_t bytes)
{
    t->data = realloc(t->data, t->end + bytes + 1);
    if (!t->data) abort();
    char shape[100] = "";
    for (int i = 0; i < rank; i++)
        snprintf(shape + strlen(shape), sizeof shape - strlen(shape), "%s%zu", i ? "," : "",
                 dim[i]);
    t->used += (size_t)snprintf(t->header + t->used, sizeof t->header - t->used,
                                "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[%s],\"data_offsets\":[%zu,"
                                "%zu]}",
                                t->used ? "," : "", name, dtype, shape, t->end, t->end + bytes);
    if (bytes) memcpy(t->data + t->end, data, bytes);
    t->end += bytes;
}

/* Numbers without a pattern in (-1, 1), those of a dtype of 16 bits cut off to it. */
static inline void tensors_random(tensors *t, const char *name, int rank, const size_t *dim)
{
    const char *dtype = t->dtype ? t->dtype : "F32";
    size_t count = 1, size = tensors_size(dtype);
    for (int i = 0; i < rank; i++) count *= dim[i];
    char *data = malloc(count * size);
    if (!data) abort();
    for (size_t i = 0; i < count; i++) {
        t->seed = t->seed * 1664525u + 1013904223u;
        float value = (float)(t->seed >> 8) / 8388608.0f - 1;
        uint32_t bits;
        memcpy(&bits, &value, 4);
        uint16_t half = (uint16_t)(bits >> 16);
        if (strcmp(dtype, "F16") == 0) /* an exponent from -8 to -1 */
            half = (uint16_t)((t->seed >> 16 & 0x83ff) | (7 + (t->seed >> 8) % 8) << 10);
        memcpy(data + i * size, size == 4 ? (const void *)&bits : (const void *)&half, size);
    }
    tensors_add(t, name, dtype, rank, dim, data, count * size);
    free(data);
}

static inline void tensors_write(tensors *t, const char *path)
{
    char *header = malloc(sizeof t->header + 600);
    FILE *file = fopen(path, "wb");
    if (!header || !file) abort();
    uint64_t length = (uint64_t)snprintf(
        header, sizeof t->header + 500, "{%s%s%s%s}", t->metadata ? "\"__metadata__\":" : "",
        t->metadata ? t->metadata : "", t->metadata && t->used ? "," : "", t->header);
    while (length % 8) header[length++] = ' ';
    if (fwrite(&length, 8, 1, file) != 1 || fwrite(header, 1, length, file) != length ||
        fwrite(t->data, 1, t->end, file) != t->end || fclose(file) != 0)
        abort();
    free(header);
    free(t->data);
    t->data = NULL;
}

#endif
