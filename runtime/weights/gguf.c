/* The reader of gguf.h's format. */
#include "runtime/weights/gguf.h"

#include "runtime/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_RANK = 4, MAX_NAME = 255, MAX_KEY = 65535, MAX_ARRAYS = 4, ALIGNMENT = 32 };

/* Types of tensors that are elements; blocks: attn_block_types. */
static const struct {
    uint32_t number;
    attn_dtype dtype;
} elements[] = {{0, ATTN_F32}, {1, ATTN_F16}, {30, ATTN_BF16}, {26, ATTN_I32}, {27, ATTN_I64}};

static const uint32_t block_numbers[ATTN_BLOCK_KINDS] = {
    [ATTN_BLOCK_Q4_0] = 2,  [ATTN_BLOCK_Q4_1] = 3,  [ATTN_BLOCK_Q5_0] = 6,  [ATTN_BLOCK_Q5_1] = 7,
    [ATTN_BLOCK_Q8_0] = 8,  [ATTN_BLOCK_Q2_K] = 10, [ATTN_BLOCK_Q3_K] = 11, [ATTN_BLOCK_Q4_K] = 12,
    [ATTN_BLOCK_Q5_K] = 13, [ATTN_BLOCK_Q6_K] = 14,
};

/* Known to the format, not to attn. */
static const struct {
    uint32_t number;
    const char *name;
} others[] = {
    {9, "Q8_1"},   {15, "Q8_K"},  {16, "IQ2_XXS"}, {17, "IQ2_XS"}, {18, "IQ3_XXS"}, {19, "IQ1_S"},
    {21, "IQ3_S"}, {22, "IQ2_S"}, {23, "IQ4_XS"},  {24, "I8"},     {25, "I16"},     {20, "IQ4_NL"},
    {28, "F64"},   {29, "IQ1_M"}, {34, "TQ1_0"},   {35, "TQ2_0"},  {39, "MXFP4"},   {40, "NVFP4"},
};

typedef struct reader {
    const char *file;
    const unsigned char *data;
    size_t size, at;
    size_t alignment;
    char place[300]; /* "metadata 3 of 20", then "... (KEY)" */
    attn_arena *arena;
    attn_error *err;
} reader;

static attn_status fail(const reader *r, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static attn_status fail(const reader *r, const char *format, ...)
{
    char text[300];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return attn_fail(r->err, ATTN_BAD_FILE, "%s: %s: %s", r->file, r->place, text);
}

/* ---- the bytes ------------------------------------------------------------------------------ */

static uint64_t read_number(const unsigned char *at, size_t size)
{
    uint64_t value = 0;
    for (size_t i = size; i-- > 0;) value = value << 8 | at[i];
    return value;
}

static attn_status take(reader *r, const char *what, size_t size, uint64_t *value)
{
    if (size > r->size - r->at)
        return fail(r, "%s at byte %zu goes beyond the end of the file at %zu", what, r->at,
                    r->size);
    *value = read_number(r->data + r->at, size);
    r->at += size;
    return ATTN_OK;
}

/* count things of at least `size` bytes each, still to come. */
static attn_status check_count(const reader *r, const char *what, uint64_t count, size_t size)
{
    if (count <= (r->size - r->at) / size) return ATTN_OK;
    return fail(r, "%llu %s need more than the %zu bytes that the file has from byte %zu on",
                (unsigned long long)count, what, r->size - r->at, r->at);
}

static attn_status take_text(reader *r, const char *what, const char **text, size_t *length)
{
    uint64_t bytes = 0;
    ATTN_TRY(take(r, what, 8, &bytes));
    if (bytes > r->size - r->at)
        return fail(r, "%s of %llu bytes at byte %zu goes beyond the end of the file at %zu", what,
                    (unsigned long long)bytes, r->at, r->size);
    *text = (const char *)r->data + r->at;
    *length = (size_t)bytes;
    r->at += (size_t)bytes;
    return ATTN_OK;
}

/* A key or a tensor's name, copied. */
static attn_status take_name(reader *r, const char *what, size_t most, const char **out)
{
    const char *text;
    size_t length;
    ATTN_TRY(take_text(r, what, &text, &length));
    if (length == 0) return fail(r, "%s is empty", what);
    if (length > most)
        return attn_fail(r->err, ATTN_LIMIT, "%s: %s: %s has %zu bytes, at most %zu are read",
                         r->file, r->place, what, length, most);
    const char *bad = attn_json_bad_utf8(text, length);
    if (bad)
        return fail(r, "byte %zu of %s, 0x%02x, is no UTF-8 text", (size_t)(bad - text), what,
                    (unsigned)(unsigned char)*bad);
    *out = attn_arena_text(r->arena, text, length, r->err);
    return *out ? ATTN_OK : ATTN_NO_MEMORY;
}

/* ---- metadata ------------------------------------------------------------------------------- */

static attn_status take_type(reader *r, attn_gguf_type *type)
{
    uint64_t number = 0;
    ATTN_TRY(take(r, "the type", 4, &number));
    if (number >= ATTN_GGUF_TYPES)
        return fail(r, "type %llu, expected one below %d", (unsigned long long)number,
                    ATTN_GGUF_TYPES);
    *type = (attn_gguf_type)number;
    return ATTN_OK;
}

static attn_status skip_elements(reader *r, attn_gguf_type type, uint64_t count, int depth);

static attn_status skip_array(reader *r, attn_gguf_type *element, uint64_t *count, int depth)
{
    if (depth == MAX_ARRAYS) return fail(r, "arrays nested deeper than %d", MAX_ARRAYS);
    ATTN_TRY(take_type(r, element));
    ATTN_TRY(take(r, "the number of elements", 8, count));
    return ATTN_OK;
}

/* The elements, of `count` in all, are there and well formed. */
static attn_status skip_elements(reader *r, attn_gguf_type type, uint64_t count, int depth)
{
    static const char *const whats[] = {"elements", "texts", "arrays"};
    size_t size = attn_gguf_size(type);
    size_t least = type == ATTN_GGUF_TEXT ? 8 : type == ATTN_GGUF_ARRAY ? 12 : size;
    ATTN_TRY(check_count(r,
                         whats[type == ATTN_GGUF_TEXT    ? 1
                               : type == ATTN_GGUF_ARRAY ? 2
                                                         : 0],
                         count, least));
    for (uint64_t i = 0; i < count && !size; i++) {
        const char *text;
        size_t length;
        attn_gguf_type element = ATTN_GGUF_U8;
        uint64_t inner = 0;
        if (type == ATTN_GGUF_TEXT) {
            ATTN_TRY(take_text(r, "the text", &text, &length));
        } else {
            ATTN_TRY(skip_array(r, &element, &inner, depth));
            ATTN_TRY(skip_elements(r, element, inner, depth + 1));
        }
    }
    for (uint64_t i = 0; i < count && type == ATTN_GGUF_BOOL; i++)
        if (r->data[r->at + i] > 1)
            return fail(r, "a flag at byte %zu is %d, expected 0 or 1", r->at + (size_t)i,
                        r->data[r->at + i]);
    r->at += size * (size_t)count;
    return ATTN_OK;
}

static attn_status read_entry(reader *r, attn_gguf_value *v)
{
    ATTN_TRY(take_name(r, "the key", MAX_KEY, &v->key));
    size_t used = strlen(r->place);
    snprintf(r->place + used, sizeof r->place - used, " (%.200s)", v->key);
    ATTN_TRY(take_type(r, &v->type));
    v->element = v->type;
    v->count = 1;
    if (v->type == ATTN_GGUF_ARRAY) ATTN_TRY(skip_array(r, &v->element, &v->count, 0));
    v->data = r->data + r->at;
    return skip_elements(r, v->element, v->count, 1);
}

static int compare_keys(const void *a, const void *b)
{
    return strcmp(((const attn_gguf_value *)a)->key, ((const attn_gguf_value *)b)->key);
}

static attn_status read_metadata(reader *r, attn_gguf *gguf, uint64_t count)
{
    /* A key's length and one byte, the type, one byte of a value. */
    ATTN_TRY(check_count(r, "metadata entries", count, 14));
    attn_gguf_value *list = attn_arena_get(r->arena, (size_t)count, sizeof *list, r->err);
    if (!list) return ATTN_NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        snprintf(r->place, sizeof r->place, "metadata %zu of %zu", i + 1, (size_t)count);
        ATTN_TRY(read_entry(r, &list[i]));
    }
    if (count) qsort(list, (size_t)count, sizeof *list, compare_keys);
    for (size_t i = 1; i < count; i++)
        if (strcmp(list[i - 1].key, list[i].key) == 0)
            return attn_fail(r->err, ATTN_BAD_FILE,
                             "%s: metadata: the key \"%.200s\" stands there twice", r->file,
                             list[i].key);
    gguf->value = list;
    gguf->count = (size_t)count;
    return ATTN_OK;
}

/* ---- tensors -------------------------------------------------------------------------------- */

static attn_status set_type(const reader *r, attn_weight *w, uint32_t number)
{
    enum { ELEMENTS = sizeof elements / sizeof *elements, OTHERS = sizeof others / sizeof *others };
    for (size_t i = 0; i < ELEMENTS; i++)
        if (elements[i].number == number) {
            w->dtype = elements[i].dtype;
            return ATTN_OK;
        }
    w->dtype = ATTN_U8;
    for (size_t i = 0; i < ATTN_BLOCK_KINDS; i++)
        if (block_numbers[i] == number) {
            w->blocks = &attn_block_types[i];
            return ATTN_OK;
        }
    for (size_t i = 0; i < OTHERS; i++)
        if (others[i].number == number) w->unsupported = others[i].name;
    if (!w->unsupported) w->unsupported = attn_arena_printf(r->arena, r->err, "type %u", number);
    if (!w->unsupported) return ATTN_NO_MEMORY;
    w->problem = attn_arena_printf(r->arena, r->err,
                                   "%s is not supported (F32, F16, BF16, I32, I64, Q4_0, Q4_1, "
                                   "Q5_0, Q5_1, Q8_0, Q2_K, Q3_K, Q4_K, Q5_K and Q6_K are)",
                                   w->unsupported);
    return w->problem ? ATTN_OK : ATTN_NO_MEMORY;
}

/* The bytes of a tensor; those of an unsupported type are not known and stay 0. */
static attn_status set_bytes(const reader *r, attn_weight *w)
{
    attn_shape_text shape;
    size_t count, row = w->rank ? w->dim[w->rank - 1] : 1;
    bool fits = attn_product(w->dim, w->rank, &count);
    if (fits && w->unsupported) return ATTN_OK;
    if (w->blocks && row % w->blocks->elements != 0)
        return fail(r, "its rows of %zu are no whole blocks of %zu (%s)", row, w->blocks->elements,
                    w->blocks->name);
    if (w->blocks)
        fits = fits && attn_mul(count / w->blocks->elements, w->blocks->bytes, &w->bytes);
    else
        fits = fits && attn_mul(count, attn_dtype_size(w->dtype), &w->bytes);
    if (fits) return ATTN_OK;
    return fail(r, "shape %s is too large", attn_format_shape(&shape, w->dim, w->rank));
}

/* data: its offset, until all is known. */
static attn_status read_tensor(reader *r, attn_weight *w, size_t *offset)
{
    uint64_t rank = 0, number = 0, at = 0, size = 0;
    ATTN_TRY(take_name(r, "the name", MAX_NAME, &w->name));
    snprintf(r->place, sizeof r->place, "tensor \"%.200s\"", w->name);
    ATTN_TRY(take(r, "the rank", 4, &rank));
    if (rank > MAX_RANK)
        return attn_fail(r->err, ATTN_LIMIT, "%s: %s: has %llu dimensions, at most %d are read",
                         r->file, r->place, (unsigned long long)rank, MAX_RANK);
    w->rank = (int)rank;
    for (int i = w->rank; i-- > 0;) {
        ATTN_TRY(take(r, "a size", 8, &size));
        if (size == 0 || size > (uint64_t)1 << 53)
            return fail(r, "a size is %llu, expected a number in [1, 2^53]",
                        (unsigned long long)size);
        w->dim[i] = (size_t)size;
    }
    ATTN_TRY(take(r, "the type", 4, &number));
    ATTN_TRY(take(r, "the offset", 8, &at));
    if (at % r->alignment != 0)
        return fail(r, "its offset %llu is no multiple of the alignment %zu",
                    (unsigned long long)at, r->alignment);
    if (at > r->size)
        return fail(r, "its offset %llu is beyond the end of the file at %zu",
                    (unsigned long long)at, r->size);
    *offset = (size_t)at;
    w->file = r->file;
    ATTN_TRY(set_type(r, w, (uint32_t)number));
    return set_bytes(r, w);
}

typedef struct placed {
    attn_weight *weight;
    size_t offset;
} placed;

static int compare_offsets(const void *a, const void *b)
{
    size_t p = ((const placed *)a)->offset, q = ((const placed *)b)->offset;
    return (p > q) - (p < q);
}

/* One after another, each aligned, within the data. */
static attn_status place_all(reader *r, placed *list, size_t count)
{
    size_t start = r->at, end = 0;
    if (count == 0) return ATTN_OK;
    qsort(list, count, sizeof *list, compare_offsets);
    for (size_t i = 0; i < count; i++) {
        attn_weight *w = list[i].weight;
        size_t offset = list[i].offset, left = r->size - start;
        snprintf(r->place, sizeof r->place, "tensor \"%.200s\"", w->name);
        if (offset != end)
            return fail(r, "begins at byte %zu of the data, but the tensors before it end at %zu",
                        offset, end);
        if (w->unsupported) w->bytes = (i + 1 < count ? list[i + 1].offset : left) - offset;
        if (offset > left || w->bytes > left - offset)
            return fail(r,
                        "its %zu bytes at byte %zu of the data go beyond the end of the file, "
                        "at %zu",
                        w->bytes, offset, left);
        w->data = r->data + start + offset;
        end = (offset + w->bytes + r->alignment - 1) / r->alignment * r->alignment;
    }
    return ATTN_OK;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const attn_weight *)a)->name, ((const attn_weight *)b)->name);
}

static attn_status read_tensors(reader *r, uint64_t count, attn_weight **out)
{
    /* A name's length and one byte, rank, type, offset. */
    snprintf(r->place, sizeof r->place, "tensors");
    ATTN_TRY(check_count(r, "tensors", count, 25));
    attn_weight *list = attn_arena_get(r->arena, (size_t)count, sizeof *list, r->err);
    placed *place = attn_arena_get(r->arena, (size_t)count, sizeof *place, r->err);
    if (!list || !place) return ATTN_NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        snprintf(r->place, sizeof r->place, "tensor %zu of %zu", i + 1, (size_t)count);
        place[i].weight = &list[i];
        ATTN_TRY(read_tensor(r, &list[i], &place[i].offset));
    }
    r->at += (r->alignment - r->at % r->alignment) % r->alignment;
    if (r->at > r->size) r->at = r->size;
    ATTN_TRY(place_all(r, place, (size_t)count));
    if (count) qsort(list, (size_t)count, sizeof *list, compare_names);
    for (size_t i = 1; i < count; i++)
        if (strcmp(list[i - 1].name, list[i].name) == 0)
            return attn_fail(r->err, ATTN_BAD_FILE, "%s: two tensors have the name \"%.200s\"",
                             r->file, list[i].name);
    *out = list;
    return ATTN_OK;
}

/* ---- the whole ------------------------------------------------------------------------------ */

static attn_status read_head(reader *r, uint64_t *version, uint64_t *tensors, uint64_t *entries)
{
    if (r->size < 4 || memcmp(r->data, "GGUF", 4) != 0)
        return attn_fail(r->err, ATTN_BAD_FILE, "%s: does not begin with \"GGUF\": not a GGUF file",
                         r->file);
    r->at = 4;
    ATTN_TRY(take(r, "the version", 4, version));
    if (*version && (*version & 0xffff) == 0)
        return fail(r, "version 0x%08llx: a big-endian file; only little-endian ones are read",
                    (unsigned long long)*version);
    if (*version != 2 && *version != 3)
        return fail(r, "version %llu, only 2 and 3 are read", (unsigned long long)*version);
    ATTN_TRY(take(r, "the number of tensors", 8, tensors));
    return take(r, "the number of metadata entries", 8, entries);
}

static attn_status read_alignment(reader *r, const attn_gguf *gguf)
{
    const attn_gguf_value *v = attn_gguf_find(gguf, "general.alignment");
    r->alignment = ALIGNMENT;
    if (!v) return ATTN_OK;
    snprintf(r->place, sizeof r->place, "metadata \"general.alignment\"");
    if (v->type != ATTN_GGUF_U32)
        return fail(r, "is %s, expected u32", attn_gguf_type_name(v->type));
    uint64_t alignment = read_number(v->data, 4);
    if (alignment == 0 || alignment > 1 << 20 || (alignment & (alignment - 1)) != 0)
        return fail(r, "is %llu, expected a power of two up to 2^20",
                    (unsigned long long)alignment);
    r->alignment = (size_t)alignment;
    return ATTN_OK;
}

attn_status attn_gguf_parse(const char *file, const void *data, size_t size, attn_arena *arena,
                            attn_gguf *gguf, attn_weight **list, size_t *count, attn_error *err)
{
    reader r = {.file = file,
                .data = data,
                .size = size,
                .place = "the header",
                .arena = arena,
                .err = err};
    uint64_t version = 0, tensors = 0, entries = 0;
    *gguf = (attn_gguf){.file = file};
    *list = NULL;
    *count = 0;
    ATTN_TRY(read_head(&r, &version, &tensors, &entries));
    ATTN_TRY(read_metadata(&r, gguf, entries));
    ATTN_TRY(read_alignment(&r, gguf));
    ATTN_TRY(read_tensors(&r, tensors, list));
    gguf->version = (unsigned)version;
    gguf->header = r.at;
    *count = (size_t)tensors;
    return ATTN_OK;
}
