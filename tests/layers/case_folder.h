/* A model folder of its own for one case of tests/golden/layers.json or its like: its description,
 * and those tensors of the golden file that its weights are. Small, so that opening it thousands of
 * times is quick.
 */
#ifndef TESTS_CASE_FOLDER_H
#define TESTS_CASE_FOLDER_H

#include "runtime/json.h"
#include "runtime/weights/weights.h"
#include "tests/check.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct case_folder {
    char path[32], description[64], weights[64];
} case_folder;

static inline void case_add_tensor(cJSON *header, const attn_weight *w, size_t at)
{
    cJSON *entry = cJSON_AddObjectToObject(header, w->name);
    char dtype[16];
    snprintf(dtype, sizeof dtype, "%s",
             w->unsupported ? w->unsupported : attn_dtype_name(w->dtype));
    for (char *c = dtype; *c; c++) *c = (char)toupper((unsigned char)*c);
    cJSON_AddStringToObject(entry, "dtype", dtype);
    cJSON *shape = cJSON_AddArrayToObject(entry, "shape");
    for (int i = 0; i < w->rank; i++)
        cJSON_AddItemToArray(shape, cJSON_CreateNumber((double)w->dim[i]));
    cJSON *offsets = cJSON_AddArrayToObject(entry, "data_offsets");
    cJSON_AddItemToArray(offsets, cJSON_CreateNumber((double)at));
    cJSON_AddItemToArray(offsets, cJSON_CreateNumber((double)(at + w->bytes)));
}

/* The tensors "PREFIX..." as a safetensors file. */
static inline void case_write_weights(const char *path, const attn_weights *golden,
                                      const char *prefix)
{
    cJSON *header = cJSON_CreateObject();
    size_t at = 0, length = strlen(prefix);
    for (size_t i = 0; i < golden->count; i++)
        if (strncmp(golden->list[i].name, prefix, length) == 0) {
            case_add_tensor(header, &golden->list[i], at);
            at += golden->list[i].bytes;
        }
    char *text = cJSON_PrintUnformatted(header);
    FILE *file = fopen(path, "wb");
    assert_non_null(text);
    assert_non_null(file);
    uint64_t size = strlen(text); /* little-endian, as the machines are that this runs on */
    fwrite(&size, 8, 1, file);
    fwrite(text, 1, size, file);
    for (size_t i = 0; i < golden->count; i++)
        if (strncmp(golden->list[i].name, prefix, length) == 0 && golden->list[i].bytes)
            fwrite(golden->list[i].data, 1, golden->list[i].bytes, file);
    assert_int_equal(fclose(file), 0);
    cJSON_free(text);
    cJSON_Delete(header);
}

static inline void case_folder_make(case_folder *f, const cJSON *description,
                                    const attn_weights *golden)
{
    const cJSON *weights = attn_json_get(description, "weights");
    const cJSON *prefix = attn_json_get(weights, "prefix");
    snprintf(f->path, sizeof f->path, "/tmp/attn_case_XXXXXX");
    assert_non_null(mkdtemp(f->path));
    snprintf(f->description, sizeof f->description, "%s/attn.json", f->path);
    snprintf(f->weights, sizeof f->weights, "%s/model.safetensors", f->path);
    char *text = cJSON_PrintUnformatted(description);
    FILE *file = fopen(f->description, "w");
    assert_non_null(text);
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
    cJSON_free(text);
    if (prefix) case_write_weights(f->weights, golden, cJSON_GetArrayItem(prefix, 0)->valuestring);
}

static inline void case_folder_remove(const case_folder *f)
{
    unlink(f->description);
    unlink(f->weights);
    rmdir(f->path);
}

#endif
