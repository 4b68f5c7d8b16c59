#include "runtime/inputs/npz.h"

#include "runtime/inputs/npy.h"
#include "runtime/json.h"

#include <stdio.h>
#include <string.h>

enum {
    END_BYTES = 22,       /* the record at the end of an archive, without its comment */
    ENTRY_BYTES = 46,     /* of the directory, without names */
    LOCAL_BYTES = 30,     /* in front of the data, without names */
    MAX_COMMENT = 0xffff, /* bytes that may follow the end record */
    MAX_ENTRIES = 10000,
    STORED = 0,
    DEFLATED = 8,
};
#define LARGE 0xffffffffu /* the true number stands elsewhere: 4 GB or more */

typedef struct archive {
    const char *file;
    const unsigned char *data;
    size_t size;
    attn_weights *w;
    attn_memory *memory;
    attn_error *err;
} archive;

typedef struct entry {
    const char *name; /* without .npy */
    unsigned method;
    uint32_t crc;
    size_t packed, bytes, local;
} entry;

static unsigned read16(const unsigned char *at)
{
    return at[0] | (unsigned)at[1] << 8;
}

static uint32_t read32(const unsigned char *at)
{
    return read16(at) | (uint32_t)read16(at + 2) << 16;
}

static attn_status bad(const archive *a, const char *what)
{
    return attn_fail(a->err, ATTN_BAD_FILE, "%s: %s", a->file, what);
}

static attn_status bad_entry(const archive *a, const char *name, const char *what)
{
    return attn_fail(a->err, ATTN_BAD_FILE, "%s: \"%.100s\" %s", a->file, name, what);
}

/* Polynomial 0xedb88320, four bits at a time. */
static uint32_t crc_of(const unsigned char *data, size_t size)
{
    static const uint32_t table[16] = {0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac,
                                       0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
                                       0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
                                       0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};
    uint32_t crc = ~0u;
    for (size_t i = 0; i < size; i++) {
        crc = table[(crc ^ data[i]) & 15] ^ crc >> 4;
        crc = table[(crc ^ data[i] >> 4) & 15] ^ crc >> 4;
    }
    return ~crc;
}

/* The last place where an end record can stand. */
static const unsigned char *find_end(const archive *a)
{
    if (a->size < END_BYTES) return NULL;
    size_t first = a->size - END_BYTES, tries = first < MAX_COMMENT ? first : MAX_COMMENT;
    for (size_t i = 0; i <= tries; i++)
        if (memcmp(a->data + first - i, "PK\5\6", 4) == 0) return a->data + first - i;
    return NULL;
}

static attn_status read_entry(const archive *a, size_t *at, entry *e)
{
    const unsigned char *p = a->data + *at;
    if (a->size - *at < ENTRY_BYTES || memcmp(p, "PK\1\2", 4) != 0)
        return bad(a, "the archive's directory is damaged");
    size_t name = read16(p + 28), extra = read16(p + 30), comment = read16(p + 32);
    if (a->size - *at - ENTRY_BYTES < name + extra + comment)
        return bad(a, "the archive's directory is cut off");
    const char *text = (const char *)p + ENTRY_BYTES;
    *e = (entry){.method = read16(p + 10),
                 .crc = read32(p + 16),
                 .packed = read32(p + 20),
                 .bytes = read32(p + 24),
                 .local = read32(p + 42)};
    *at += ENTRY_BYTES + name + extra + comment;
    if (name < 5 || memcmp(text + name - 4, ".npy", 4) != 0 || attn_json_bad_utf8(text, name - 4))
        return bad(a, "the archive holds something that is no .npy file");
    e->name = attn_arena_text(&a->w->arena, text, name - 4, a->err);
    if (!e->name) return ATTN_NO_MEMORY;
    if (e->packed == LARGE || e->bytes == LARGE || e->local == LARGE)
        return attn_fail(a->err, ATTN_LIMIT, "%s: \"%.100s\" is of 4 GB or more", a->file, e->name);
    if (read16(p + 8) & 1) return bad_entry(a, e->name, "is encrypted");
    if (e->method != STORED && e->method != DEFLATED)
        return bad_entry(a, e->name, "is packed in another way than by deflate");
    return ATTN_OK;
}

/* The array's bytes as a .npy file; *own: they are in fresh memory of so many bytes. */
static attn_status unpack(const archive *a, const entry *e, const void **data, size_t *own)
{
    *own = 0;
    if (e->local > a->size || a->size - e->local < LOCAL_BYTES ||
        memcmp(a->data + e->local, "PK\3\4", 4) != 0)
        return bad_entry(a, e->name, "is not where the directory says");
    const unsigned char *p = a->data + e->local;
    size_t from = LOCAL_BYTES + (size_t)read16(p + 26) + read16(p + 28);
    if (a->size - e->local < from || a->size - e->local - from < e->packed)
        return bad_entry(a, e->name, "is cut off");
    *data = p + from;
    if (e->method == STORED) {
        if (e->packed != e->bytes) return bad_entry(a, e->name, "has two sizes");
        return ATTN_OK;
    }
    /* Deflate makes at most 1032 bytes of one. */
    if (e->bytes / 1032 > e->packed) return bad_entry(a, e->name, "has a size that cannot be");
    /* The decoder wants bytes behind the end, as the checksum of a zlib stream is: something
     * follows in every archive. */
    size_t left = a->size - e->local - from, more = left - e->packed < 8 ? left - e->packed : 8;
    void *fresh;
    ATTN_TRY(attn_alloc(a->memory, e->bytes, a->file, &fresh, a->err));
    if (!attn_inflate(*data, e->packed + more, fresh, e->bytes)) {
        attn_release(a->memory, fresh, e->bytes);
        return bad_entry(a, e->name, "cannot be unpacked");
    }
    *data = fresh;
    *own = e->bytes;
    return ATTN_OK;
}

static attn_status add_tensor(const archive *a, const entry *e, const void *data)
{
    char place[300];
    attn_tensor t;
    size_t bytes;
    snprintf(place, sizeof place, "%.150s: %.100s", a->file, e->name);
    if (crc_of(data, e->bytes) != e->crc) return bad_entry(a, e->name, "has another checksum");
    ATTN_TRY(attn_npy_parse(&t, place, data, e->bytes, a->memory, &bytes, a->err));
    attn_weight *w = &a->w->list[a->w->count];
    void *copy = attn_arena_get(&a->w->arena, bytes, 1, a->err);
    if (copy && bytes) memcpy(copy, t.data, bytes);
    attn_release(a->memory, t.data, bytes);
    if (!copy) return ATTN_NO_MEMORY;
    *w = (attn_weight){.name = e->name,
                       .dtype = t.dtype,
                       .rank = t.rank,
                       .data = copy,
                       .bytes = bytes,
                       .file = a->file};
    memcpy(w->dim, t.dim, sizeof w->dim);
    a->w->count++;
    return ATTN_OK;
}

static attn_status read_archive(const archive *a)
{
    const unsigned char *end = find_end(a);
    if (!end) return bad(a, "is no zip archive, as .npz files are");
    size_t count = read16(end + 10), at = read32(end + 16);
    if (count > MAX_ENTRIES)
        return attn_fail(a->err, ATTN_LIMIT, "%s: more than %d arrays", a->file, MAX_ENTRIES);
    if (at > a->size) return bad(a, "the archive's directory lies outside the file");
    a->w->list = attn_arena_get(&a->w->arena, count, sizeof *a->w->list, a->err);
    if (!a->w->list) return ATTN_NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        entry e = {0};
        const void *data = NULL;
        size_t own;
        ATTN_TRY(read_entry(a, &at, &e));
        ATTN_TRY(unpack(a, &e, &data, &own));
        attn_status status = add_tensor(a, &e, data);
        if (own) attn_release(a->memory, (void *)(uintptr_t)data, own);
        ATTN_TRY(status);
    }
    return attn_weights_sort(a->w, a->err);
}

bool attn_is_npz(const char *path)
{
    size_t length = strlen(path);
    return length >= 4 && strcmp(path + length - 4, ".npz") == 0;
}

attn_status attn_npz_open(attn_weights *w, const char *path, attn_memory *memory, attn_error *err)
{
    attn_file file;
    attn_error cause = {.status = ATTN_OK};
    *w = (attn_weights){0};
    attn_arena_init(&w->arena, memory);
    ATTN_TRY(attn_file_map(&file, path, err));
    archive a = {.data = file.data, .size = file.size, .w = w, .memory = memory, .err = &cause};
    a.file = attn_arena_text(&w->arena, path, strlen(path), &cause);
    attn_status status = a.file ? read_archive(&a) : ATTN_NO_MEMORY;
    attn_file_unmap(&file);
    if (!status) return ATTN_OK;
    attn_weights_close(w);
    if (err) *err = cause;
    return cause.status;
}
