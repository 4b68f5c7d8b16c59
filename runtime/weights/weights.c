#include "runtime/weights/weights.h"

#include "runtime/json.h"
#include "runtime/weights/gguf.h"

#include <stdlib.h>
#include <string.h>

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const attn_weight *)a)->name, ((const attn_weight *)b)->name);
}

static const attn_weight *find(const attn_weight *list, size_t count, const char *name)
{
    attn_weight key = {.name = name};
    return count ? bsearch(&key, list, count, sizeof *list, compare_names) : NULL;
}

/* One file of the model: its name in the arena, its tensors sorted by name. */
typedef struct shard {
    const char *name; /* in the index */
    size_t count;
    attn_weight *list;
} shard;

static attn_status open_file(attn_weights *w, const char *path, shard *out, attn_error *err)
{
    char *file = attn_arena_text(&w->arena, path, strlen(path), err);
    if (!file) return ATTN_NO_MEMORY;
    attn_file *mapped = &w->file[w->files];
    ATTN_TRY(attn_file_map(mapped, file, err));
    w->files++;
    ATTN_TRY(attn_safetensors_parse(file, mapped->data, mapped->size, &w->arena, &out->list,
                                    &out->count, &w->packed, err));
    for (size_t i = 0; i < out->count; i++) out->list[i].mapping = mapped;
    return ATTN_OK;
}

static attn_status open_single(attn_weights *w, const char *path, attn_error *err)
{
    shard only = {0};
    w->file = attn_arena_get(&w->arena, 1, sizeof *w->file, err);
    if (!w->file) return ATTN_NO_MEMORY;
    ATTN_TRY(open_file(w, path, &only, err));
    w->list = only.list;
    w->count = only.count;
    return ATTN_OK;
}

static attn_status open_gguf(attn_weights *w, const char *path, attn_error *err)
{
    w->file = attn_arena_get(&w->arena, 1, sizeof *w->file, err);
    attn_gguf *gguf = attn_arena_get(&w->arena, 1, sizeof *gguf, err);
    char *file = attn_arena_text(&w->arena, path, strlen(path), err);
    if (!w->file || !gguf || !file) return ATTN_NO_MEMORY;
    ATTN_TRY(attn_file_map(w->file, file, err));
    w->files = 1;
    ATTN_TRY(attn_gguf_parse(file, w->file->data, w->file->size, &w->arena, gguf, &w->list,
                             &w->count, err));
    for (size_t i = 0; i < w->count; i++) w->list[i].mapping = w->file;
    w->gguf = gguf;
    return ATTN_OK;
}

attn_status attn_weights_sort(attn_weights *w, attn_error *err)
{
    if (w->count) qsort(w->list, w->count, sizeof *w->list, compare_names);
    for (size_t i = 1; i < w->count; i++)
        if (strcmp(w->list[i - 1].name, w->list[i].name) == 0)
            return attn_fail(err, ATTN_BAD_FILE, "%s: two tensors have the name \"%.200s\"",
                             w->list[i].file, w->list[i].name);
    return ATTN_OK;
}

/* ---- shards ------------------------------------------------------------------------------ */

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int compare_shards(const void *a, const void *b)
{
    return strcmp(((const shard *)a)->name, ((const shard *)b)->name);
}

/* An index comes from anywhere: it may not reach outside its folder. */
static bool is_plain_name(const char *name)
{
    return *name && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && !strpbrk(name, "/\\");
}

/* The different file names of the index, sorted, as shards without tensors. */
static attn_status list_shards(attn_weights *w, const char *path, const cJSON *map, size_t entries,
                               shard **out, size_t *out_count, attn_error *err)
{
    attn_json_text shown;
    const char **name = attn_arena_get(&w->arena, entries, sizeof *name, err);
    if (!name) return ATTN_NO_MEMORY;
    size_t i = 0, count = 0;
    for (const cJSON *item = map->child; item; item = item->next) {
        if (!cJSON_IsString(item) || !is_plain_name(item->valuestring))
            return attn_fail(err, ATTN_BAD_FILE,
                             "%s: weight_map: tensor \"%.200s\": %s is not the name of a file in "
                             "this folder",
                             path, item->string, attn_json_show(&shown, item));
        name[i++] = item->valuestring;
    }
    qsort(name, entries, sizeof *name, compare_texts);
    for (i = 0; i < entries; i++)
        if (count == 0 || strcmp(name[count - 1], name[i]) != 0) name[count++] = name[i];
    shard *shards = attn_arena_get(&w->arena, count, sizeof *shards, err);
    if (!shards) return ATTN_NO_MEMORY;
    for (i = 0; i < count; i++) shards[i].name = name[i];
    *out = shards;
    *out_count = count;
    return ATTN_OK;
}

/* Every entry of the map names a tensor of its shard, and every tensor has its entry. */
static attn_status merge_shards(attn_weights *w, const char *path, const cJSON *map, size_t entries,
                                const shard *shards, size_t count, attn_error *err)
{
    attn_weight *list = attn_arena_get(&w->arena, entries, sizeof *list, err);
    if (!list) return ATTN_NO_MEMORY;
    size_t i = 0, held = 0;
    for (const cJSON *item = map->child; item; item = item->next) {
        shard key = {.name = item->valuestring};
        const shard *s = bsearch(&key, shards, count, sizeof *shards, compare_shards);
        const attn_weight *weight = find(s->list, s->count, item->string);
        if (!weight)
            return attn_fail(err, ATTN_BAD_FILE,
                             "%s: weight_map: tensor \"%.200s\" is not in \"%.100s\"", path,
                             item->string, item->valuestring);
        list[i++] = *weight;
    }
    qsort(list, entries, sizeof *list, compare_names);
    for (i = 0; i < count; i++) held += shards[i].count;
    for (i = 0; i < count && held != entries; i++)
        for (size_t j = 0; j < shards[i].count; j++) {
            const attn_weight *weight = &shards[i].list[j];
            const attn_weight *listed = find(list, entries, weight->name);
            if (!listed || listed->file != weight->file)
                return attn_fail(err, ATTN_BAD_FILE,
                                 "%s: weight_map does not list tensor \"%.200s\" of \"%.100s\"",
                                 path, weight->name, shards[i].name);
        }
    w->list = list;
    w->count = entries;
    return ATTN_OK;
}

static attn_status open_index(attn_weights *w, const char *path, const cJSON *index,
                              attn_error *err)
{
    const cJSON *map = attn_json_get(index, "weight_map");
    if (!cJSON_IsObject(map))
        return attn_fail(err, ATTN_BAD_FILE, "%s: weight_map is %s, not an object", path,
                         attn_json_kind(map));
    size_t entries = 0, count = 0;
    for (const cJSON *item = map->child; item; item = item->next) entries++;
    if (entries == 0) return attn_fail(err, ATTN_BAD_FILE, "%s: weight_map is empty", path);
    shard *shards = NULL;
    ATTN_TRY(list_shards(w, path, map, entries, &shards, &count, err));
    w->file = attn_arena_get(&w->arena, count, sizeof *w->file, err);
    if (!w->file) return ATTN_NO_MEMORY;
    const char *slash = strrchr(path, '/');
    int folder = slash ? (int)(slash + 1 - path) : 0;
    for (size_t i = 0; i < count; i++) {
        char *file = attn_arena_printf(&w->arena, err, "%.*s%s", folder, path, shards[i].name);
        if (!file) return ATTN_NO_MEMORY;
        ATTN_TRY(open_file(w, file, &shards[i], err));
    }
    return merge_shards(w, path, map, entries, shards, count, err);
}

/* ---- open, close, find -------------------------------------------------------------------- */

static bool ends_with(const char *path, const char *end)
{
    size_t length = strlen(path), tail = strlen(end);
    return length >= tail && strcmp(path + length - tail, end) == 0;
}

bool attn_is_gguf(const char *path)
{
    return ends_with(path, ".gguf");
}

attn_status attn_weights_open(attn_weights *w, const char *path, attn_memory *memory,
                              attn_error *err)
{
    *w = (attn_weights){0};
    attn_arena_init(&w->arena, memory);
    attn_error cause = {.status = ATTN_OK};
    attn_status status;
    if (ends_with(path, ".json")) {
        cJSON *index;
        status = attn_json_read(path, &index, &cause);
        if (!status) status = open_index(w, path, index, &cause);
        cJSON_Delete(index);
    } else if (attn_is_gguf(path)) {
        status = open_gguf(w, path, &cause);
    } else {
        status = open_single(w, path, &cause);
    }
    if (!status && !w->gguf) status = attn_weights_pair(w->list, w->count, &w->arena, &cause);
    if (!status) return ATTN_OK;
    attn_weights_close(w);
    if (err) *err = cause;
    return cause.status;
}

void attn_weights_close(attn_weights *w)
{
    for (size_t i = 0; i < w->files; i++) attn_file_unmap(&w->file[i]);
    attn_arena_free(&w->arena);
    *w = (attn_weights){0};
}

const attn_weight *attn_weights_find(const attn_weights *w, const char *name)
{
    return find(w->list, w->count, name);
}

attn_status attn_weight_check(const attn_weight *weight, attn_error *err)
{
    if (weight->problem)
        return attn_fail(err, ATTN_BAD_MODEL, "%s: tensor \"%.200s\": %s", weight->file,
                         weight->name, weight->problem);
    if (!weight->unsupported) return ATTN_OK;
    return attn_fail(err, ATTN_BAD_MODEL,
                     "%s: tensor \"%.200s\": dtype %s is not supported (F32, F16, BF16, I64, I32, "
                     "U8 and BOOL are)",
                     weight->file, weight->name, weight->unsupported);
}

/* ---- conversion --------------------------------------------------------------------------- */

/* Bits only: no compiler or CPU quiets a NaN on the way. */
uint32_t attn_half_bits(uint32_t h)
{
    uint32_t sign = (h & 0x8000) << 16, exponent = h >> 10 & 0x1f, fraction = h & 0x3ff;
    if (exponent == 0x1f) return sign | 0x7f800000 | fraction << 13;
    if (exponent) return sign | (exponent + 112) << 23 | fraction << 13;
    if (!fraction) return sign;
    /* Subnormal: fraction * 2^-24, shifted until its leading one is implicit. */
    unsigned shift = (unsigned)__builtin_clz(fraction) - 21;
    return sign | (113 - shift) << 23 | (fraction << shift & 0x3ff) << 13;
}

void attn_weight_to_f32(const attn_weight *weight, size_t first, size_t count, float *to)
{
    const unsigned char *from = weight->data;
    if (weight->integers) {
        attn_integers_to_f32(weight, first, count, to);
        return;
    }
    if (weight->blocks) {
        attn_blocks_to_f32(weight, first, count, to);
        return;
    }
    from += first * attn_dtype_size(weight->dtype);
    switch (weight->dtype) {
    case ATTN_F32:
        if (count) memcpy(to, from, count * sizeof *to);
        break;
    case ATTN_F16:
    case ATTN_BF16:
        for (size_t i = 0; i < count; i++) {
            uint16_t half;
            memcpy(&half, from + 2 * i, 2);
            uint32_t bits = weight->dtype == ATTN_F16 ? attn_half_bits(half) : (uint32_t)half << 16;
            memcpy(to + i, &bits, 4);
        }
        break;
    case ATTN_I64:
        for (size_t i = 0; i < count; i++) {
            int64_t value;
            memcpy(&value, from + 8 * i, 8);
            to[i] = (float)value;
        }
        break;
    case ATTN_I32:
        for (size_t i = 0; i < count; i++) {
            int32_t value;
            memcpy(&value, from + 4 * i, 4);
            to[i] = (float)value;
        }
        break;
    case ATTN_U8:
        for (size_t i = 0; i < count; i++) to[i] = from[i];
        break;
    case ATTN_BOOL:
        for (size_t i = 0; i < count; i++) to[i] = from[i] != 0;
        break;
    }
}

void attn_weight_to_i32(const attn_weight *weight, size_t first, size_t count, int32_t *to)
{
    size_t size = attn_dtype_size(weight->dtype);
    const unsigned char *from = (const unsigned char *)weight->data + first * size;
    for (size_t i = 0; i < count; i++, from += size) {
        int64_t value = *from;
        if (size == 8) memcpy(&value, from, 8);
        if (size == 4) memcpy(&to[i], from, 4);
        if (size == 4) continue;
        if (weight->dtype == ATTN_BOOL) value = value != 0;
        to[i] = value > INT32_MAX ? INT32_MAX : value < INT32_MIN ? INT32_MIN : (int32_t)value;
    }
}

void attn_weight_forget(const attn_weight *weight, size_t first, size_t count)
{
    const attn_integers *q = weight->integers;
    size_t size = attn_dtype_size(weight->dtype), from = first * size, bytes = count * size;
    if (!weight->mapping || !count) return;
    if (q && q->bits == 4) {
        size_t each = q->columns / 2 + q->columns % 2, row = first / q->columns;
        from = row * each;
        bytes = ((first + count - 1) / q->columns + 1 - row) * each;
        if (q->transposed) { /* rows share bytes; it is read as a whole */
            from = 0;
            bytes = weight->bytes;
        }
    }
    if (weight->blocks) {
        const attn_blocks *b = weight->blocks;
        from = first / b->elements * b->bytes;
        bytes = ((first + count - 1) / b->elements + 1) * b->bytes - from;
    }
    attn_file_forget(weight->mapping, (const char *)weight->data + from, bytes);
}

void attn_weights_forget(const attn_weights *w)
{
    for (size_t i = 0; i < w->files; i++)
        attn_file_forget(&w->file[i], w->file[i].data, w->file[i].size);
}
