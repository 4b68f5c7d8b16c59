/* PNG, GIF, BMP, TGA and JPEG by stb_image.
 *
 * stb_image reads from a list of pieces instead of the file, for three reasons: a read past the
 * end is noticed (stb_image takes zeros and carries on); palettes are filled up to 256 entries (it
 * would look up missing ones in uninitialized memory); a GIF's transparent colour is hidden from
 * it (Pillow keeps the colour of transparent pixels). Its memory comes from attn_memory, with a
 * bound that follows from the image's size, so that no small file inflates without end. */
#include "runtime/inputs/decode.h"
#include "runtime/inputs/npz.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* ---- memory for stb_image ----------------------------------------------------------------- */

/* Stands before each block, in 64 bytes to keep the alignment. */
typedef struct block_head {
    struct block_head *previous, *next;
    size_t bytes; /* this head included */
} block_head;

enum { HEAD = 64 };

typedef struct budget {
    attn_memory *memory;
    size_t left;
    attn_status status; /* of the allocation that failed, if one did */
    attn_error *err;
    block_head *blocks; /* stb_image forgets some when it fails */
} budget;

static _Thread_local budget *current; /* of the decoding under way in this thread */

static void *stb_alloc(size_t size)
{
    void *block;
    size_t bytes;
    if (!attn_add(size, HEAD, &bytes) || bytes > current->left) return NULL;
    attn_status status =
        attn_alloc(current->memory, bytes, "decoding an image", &block, current->err);
    if (status) {
        current->status = status;
        return NULL;
    }
    block_head *head = block;
    *head = (block_head){NULL, current->blocks, bytes};
    if (head->next) head->next->previous = head;
    current->blocks = head;
    current->left -= bytes;
    /* Zeroed: stb_image looks up what a malformed file never defined. */
    return memset((char *)block + HEAD, 0, size);
}

static void stb_free(void *p)
{
    if (!p) return;
    block_head *head = (block_head *)(void *)((char *)p - HEAD);
    if (head->next) head->next->previous = head->previous;
    if (head->previous)
        head->previous->next = head->next;
    else
        current->blocks = head->next;
    current->left += head->bytes;
    attn_release(current->memory, head, head->bytes);
}

static void *stb_realloc(void *p, size_t old_size, size_t size)
{
    void *fresh = stb_alloc(size);
    if (!fresh) return NULL; /* the old block stays valid, as after realloc */
    if (p) memcpy(fresh, p, old_size < size ? old_size : size);
    stb_free(p);
    return fresh;
}

#define STBI_MALLOC(size) stb_alloc(size)
#define STBI_REALLOC_SIZED(p, old_size, size) stb_realloc(p, old_size, size)
#define STBI_FREE(p) stb_free(p)
#define STBI_ASSERT(condition) ((void)0)
#define STBI_MAX_DIMENSIONS (1 << 24)
#define STB_IMAGE_STATIC
#define STBI_NO_STDIO
#define STBI_ONLY_PNG
#define STBI_ONLY_GIF
#define STBI_ONLY_BMP
#define STBI_ONLY_TGA
#ifndef ATTN_LIBJPEG
#define STBI_ONLY_JPEG
#endif
#define STB_IMAGE_IMPLEMENTATION
/* Declared but never defined in the 2022 release. */
#define stbi_set_unpremultiply_on_load_thread stbi_set_unpremultiply_on_load
#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wall"
#pragma GCC diagnostic ignored "-Wextra"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wpointer-arith"
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wunused-but-set-variable"
#pragma GCC diagnostic ignored "-Wsign-compare"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#endif
#include <stb/stb_image.h>
#if defined(__GNUC__) && !defined(__clang__) /* what is called once or is rare: for size */
#define COLD __attribute__((cold, noinline))
#define COLD_TEST(name) COLD static int stbi__##name##_test(stbi__context *);
#define COLD_LOAD(name)                                                                            \
    COLD static void *stbi__##name##_load(stbi__context *, int *, int *, int *, int,               \
                                          stbi__result_info *);
COLD_TEST(png)
COLD_TEST(bmp)
COLD_TEST(gif)
COLD_TEST(tga)
COLD_LOAD(bmp)
COLD_LOAD(tga)
COLD static void *stbi__bmp_parse_header(stbi__context *, stbi__bmp_data *);
COLD static int stbi__gif_header(stbi__context *, stbi__gif *, int *, int);
#ifndef ATTN_LIBJPEG
COLD_TEST(jpeg)
COLD static int stbi__process_marker(stbi__jpeg *, int);
COLD static int stbi__process_frame_header(stbi__jpeg *, int);
COLD static int stbi__process_scan_header(stbi__jpeg *);
#endif
#endif
#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

/* ---- the file as stb_image sees it --------------------------------------------------------- */

typedef struct piece {
    const uint8_t *data;
    size_t size;
} piece;

enum { MAX_PIECES = 8 };

typedef struct reader {
    piece pieces[MAX_PIECES];
    size_t count, index, at;
    bool past_end; /* a byte was wanted after the last one */
} reader;

static void add_piece(reader *r, const uint8_t *data, size_t size)
{
    r->pieces[r->count++] = (piece){data, size};
}

static int read_pieces(void *user, char *out, int size)
{
    reader *r = user;
    size_t want = size < 0 ? 0 : (size_t)size, done = 0;
    while (done < want && r->index < r->count) {
        const piece *p = &r->pieces[r->index];
        size_t n = p->size - r->at < want - done ? p->size - r->at : want - done;
        if (n && out) memcpy(out + done, p->data + r->at, n);
        done += n;
        r->at += n;
        if (r->at == p->size) {
            r->index++;
            r->at = 0;
        }
    }
    if (done == 0) r->past_end = true;
    return (int)done;
}

static void skip_pieces(void *user, int size)
{
    reader *r = user;
    bool past_end = r->past_end; /* padding after the last row may be missing */
    read_pieces(user, NULL, size);
    r->past_end = past_end;
}

static int at_end(void *user)
{
    reader *r = user;
    return r->index == r->count;
}

static const stbi_io_callbacks callbacks = {read_pieces, skip_pieces, at_end};

/* ---- what each format needs ---------------------------------------------------------------- */

typedef struct job {
    const attn_source *source;
    reader reader;
    uint8_t head[64];   /* a changed copy of a header */
    uint8_t extra[768]; /* entries that fill up a palette */
    bool deep_grey;     /* PNG: 16-bit grey */
    bool keep_alpha;    /* GIF: to find what the first frame leaves open */
    uint8_t background[3];
    bool mirrored;       /* TGA: rows go from right to left */
    uint32_t mask_green; /* BMP with 16 bits per pixel; 0: another */
} job;

static uint32_t read_be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint32_t read_le32(const uint8_t *p)
{
    return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

static attn_status bad_file(const job *j, const char *what)
{
    return attn_fail(j->source->err, ATTN_BAD_FILE, "%s: %s", j->source->name, what);
}

/* The bytes from `from` on; chunks begin at `at`. Empty IDAT chunks before the first that holds
 * something are left out: stb_image would add to a null pointer there. */
static attn_status add_png_rest(job *j, size_t from, size_t at)
{
    const uint8_t *data = j->source->data;
    size_t size = j->source->size;
    while (at < size && size - at >= 12 && memcmp(data + at + 4, "IDAT", 4) != 0) {
        size_t length = read_be32(data + at);
        if (size - at - 12 < length) break;
        at += 12 + length;
    }
    size_t end = at;
    while (end < size && size - end >= 12 && memcmp(data + end, "\0\0\0\0IDAT", 8) == 0) end += 12;
    if (end > at && (size - end < 12 || memcmp(data + end + 4, "IDAT", 4) != 0))
        return bad_file(j, "PNG: its IDAT chunks are empty");
    if (end > at) add_piece(&j->reader, data + from, at - from);
    if (end > at) from = end;
    add_piece(&j->reader, data + from, size - from);
    return ATTN_OK;
}

static attn_status prepare_png(job *j)
{
    const uint8_t *data = j->source->data;
    size_t size = j->source->size, at = 8;
    if (size < 33 || memcmp(data + 12, "IHDR", 4) != 0)
        return bad_file(j, "PNG: the first chunk is not IHDR");
    j->deep_grey = data[24] == 16 && data[25] == 0;
    while (data[25] == 3 && size - at >= 12) {
        size_t length = read_be32(data + at);
        if (size - at - 12 < length) break;
        if (memcmp(data + at + 4, "PLTE", 4) == 0 && length < 768 && length % 3 == 0) {
            add_piece(&j->reader, data, at);
            memcpy(j->head, (const uint8_t[]){0, 0, 3, 0, 'P', 'L', 'T', 'E'}, 8);
            add_piece(&j->reader, j->head, 8);
            add_piece(&j->reader, data + at + 8, length);
            add_piece(&j->reader, j->extra, 768 - length);
            at += 8 + length;
            break;
        }
        at += 12 + length;
        if (at > size) break;
    }
    if (j->reader.count == 0) return add_png_rest(j, 0, 8);
    return add_png_rest(j, at, at + 4);
}

/* Header 6 + 7 bytes, colour table, then blocks. Before the first image (0x2c) the last graphic
 * control extension (0x21 0xf9 4 flags delay(2) index 0) names the transparent colour. */
static attn_status prepare_gif(job *j)
{
    const uint8_t *data = j->source->data;
    size_t size = j->source->size, at = 13, flags = 0, entry = 0, table = 13, entries = 0;
    if (size < 13) return bad_file(j, "GIF: truncated header");
    if (data[10] & 0x80) {
        entries = (size_t)2 << (data[10] & 7);
        at += entries * 3;
    }
    while (at + 2 < size && data[at] == 0x21) {
        if (data[at + 1] == 0xf9 && data[at + 2] == 4 && size - at > 7) flags = at + 3;
        at += 2;
        while (at < size && data[at]) at += (size_t)data[at] + 1;
        at++;
    }
    if (at >= size || size - at < 11 || data[at] != 0x2c)
        return bad_file(j, "GIF: no image, or truncated before it");
    if (data[at + 9] & 0x80) {
        table = at + 10;
        entries = (size_t)2 << (data[at + 9] & 7);
    }
    if (flags && (data[flags] & 1)) entry = data[flags + 3];
    if (entry < entries && size - table >= 3 && entry * 3 <= size - table - 3)
        memcpy(j->background, data + table + entry * 3, 3);
    j->keep_alpha = true;
    memcpy(j->head, data, 13);
    j->head[11] = 0; /* background colour */
    add_piece(&j->reader, j->head, 13);
    size_t from = 13;
    if (flags) {
        add_piece(&j->reader, data + 13, flags - 13);
        j->head[13] = data[flags] & 0xfe;
        add_piece(&j->reader, j->head + 13, 1);
        from = flags + 1;
    }
    add_piece(&j->reader, data + from, size - from);
    return ATTN_OK;
}

/* File header 14 bytes with the offset of the pixels, info header (its size first), masks,
 * palette. */
static attn_status prepare_bmp(job *j)
{
    const uint8_t *data = j->source->data;
    size_t size = j->source->size;
    if (size < 30) return bad_file(j, "BMP: truncated header");
    size_t offset = read_le32(data + 10), info = read_le32(data + 14);
    if (info != 12 && size < 54) return bad_file(j, "BMP: truncated header");
    unsigned depth = info == 12 ? data[24] : data[28], packing = info == 12 ? 0 : data[30];
    if (depth == 16 && packing == 0) j->mask_green = 0x3e0;
    if (depth == 16 && packing == 3 && size >= 66) j->mask_green = read_le32(data + 58);
    /* Where a full palette ends; stb_image counts 12 bytes too many before that of OS/2. */
    size_t full = info == 12 ? 38 + 768 : 14 + info + 1024;
    if (depth <= 8 && (offset < 14 + info || offset > size))
        return bad_file(j, "BMP: the offset of the pixels lies outside the file");
    if (depth > 8 || offset >= full) {
        add_piece(&j->reader, data, size);
        return ATTN_OK;
    }
    memcpy(j->head, data, 14);
    for (int i = 0; i < 4; i++) j->head[10 + i] = (uint8_t)(full >> 8 * i);
    add_piece(&j->reader, j->head, 14);
    add_piece(&j->reader, data + 14, offset - 14);
    for (size_t left = full - offset; left;) {
        size_t n = left < sizeof j->extra ? left : sizeof j->extra;
        add_piece(&j->reader, j->extra, n);
        left -= n;
    }
    add_piece(&j->reader, data + offset, size - offset);
    return ATTN_OK;
}

static attn_status prepare_tga(job *j)
{
    const uint8_t *h = j->source->data;
    size_t bytes = 18u + h[0], pixels = ((size_t)h[13] << 8 | h[12]) * ((size_t)h[15] << 8 | h[14]);
    if (h[1]) bytes += ((size_t)h[6] << 8 | h[5]) * ((h[7] + 7u) / 8);
    if (!(h[2] & 8)) bytes += pixels * ((h[16] + 7u) / 8);
    if (j->source->size < bytes) return bad_file(j, "TGA: truncated");
    j->mirrored = h[17] & 0x10;
    add_piece(&j->reader, h, j->source->size);
    return ATTN_OK;
}

/* Huffman tables: class and id, the number of codes per length [16], the symbols. stb_image has
 * room for 256 symbols and does not check; it reads tables that start within the segment to their
 * end. */
static bool huffman_fits(const uint8_t *tables, size_t segment, size_t rest)
{
    for (size_t used = 0, symbols; used < segment && used < rest; used += 17 + symbols) {
        symbols = 0;
        for (size_t i = used + 1; i < used + 17 && i < rest; i++) symbols += tables[i];
        if (symbols > 256) return false;
    }
    return true;
}

/* Walks the segments as stb_image does: after one, anything is skipped up to the next marker. */
static attn_status prepare_jpeg(job *j)
{
    const uint8_t *data = j->source->data;
    size_t size = j->source->size, at = 2;
    bool adobe = false, four = false;
    while (at < size && size - at >= 4) {
        unsigned marker = data[at + 1];
        if (data[at] != 0xff || marker == 0 || marker == 0xff ||
            (marker >= 0xd0 && marker <= 0xd8)) {
            at++;
            continue;
        }
        if (marker == 0xd9) break;
        size_t length = (size_t)data[at + 2] << 8 | data[at + 3], rest = size - at - 4;
        if (length < 2) break;
        size_t body = length - 2 < rest ? length - 2 : rest;
        if (marker == 0xc4 && !huffman_fits(data + at + 4, length - 2, rest))
            return bad_file(j, "JPEG: a Huffman table of more than 256 symbols");
        if (marker == 0xee && body >= 5 && memcmp(data + at + 4, "Adobe", 5) == 0) adobe = true;
        if (marker >= 0xc0 && marker <= 0xc2 && body > 5) four = data[at + 9] == 4;
        at += 4 + body;
    }
    if (four && !adobe)
        return bad_file(j, "JPEG: four components without an Adobe marker need a build with "
                           "ATTN_LIBJPEG");
    add_piece(&j->reader, data, size);
    return ATTN_OK;
}

/* ---- from stb_image's pixels to the image -------------------------------------------------- */

/* stb_image widens 5 or 6 bits by repeating the upper ones, Pillow by v * 255 / 31 and / 63. */
static void rescale_bmp16(attn_image *image, uint32_t mask_green)
{
    unsigned green = mask_green == 0x7e0 ? 2 : 3;
    for (size_t i = 0; i < image->bytes; i++) {
        unsigned drop = i % 3 == 1 ? green : 3;
        image->pixels[i] = (uint8_t)((image->pixels[i] >> drop) * 255u / (255u >> drop));
    }
}

static void mirror_rows(attn_image *image)
{
    for (size_t y = 0; y < image->height; y++) {
        uint8_t *left = image->pixels + y * image->width * 3, keep[3];
        for (uint8_t *right = left + (image->width - 1) * 3; left < right; left += 3, right -= 3) {
            memcpy(keep, left, 3);
            memcpy(left, right, 3);
            memcpy(right, keep, 3);
        }
    }
}

static void copy_pixels(attn_image *image, const job *j, const void *decoded)
{
    const uint8_t *in = decoded;
    uint8_t *out = image->pixels;
    size_t count = image->width * image->height;
    if (j->deep_grey) {
        const uint16_t *grey = decoded;
        for (size_t i = 0; i < count; i++, out += 3)
            memset(out, grey[i] > 255 ? 255 : (uint8_t)grey[i], 3);
    } else if (j->keep_alpha) {
        for (size_t i = 0; i < count; i++, in += 4, out += 3)
            memcpy(out, in[3] ? in : j->background, 3);
    } else {
        memcpy(out, in, image->bytes);
    }
    if (j->mirrored) mirror_rows(image);
    if (j->mask_green == 0x3e0 || j->mask_green == 0x7e0) rescale_bmp16(image, j->mask_green);
}

static attn_status decode(attn_image *image, job *j)
{
    const attn_source *source = j->source;
    int width, height, channels;
    if (!stbi_info_from_callbacks(&callbacks, &j->reader, &width, &height, &channels))
        return current->status ? current->status : bad_file(j, stbi_failure_reason());
    /* Before the pixels: a file that claims too much costs nothing. */
    if (height < 0 && height != INT_MIN) height = -height; /* BMP: rows from the top down */
    ATTN_TRY(attn_image_alloc(image, source, width < 0 ? 0 : (size_t)width,
                              height < 0 ? 0 : (size_t)height));
    budget *b = current;
    b->left = ((size_t)2 << 20) + 3 * source->size + 48 * image->width * image->height;
    j->reader.index = j->reader.at = 0;
    j->reader.past_end = false;
    void *decoded = j->deep_grey
                        ? (void *)stbi_load_16_from_callbacks(&callbacks, &j->reader, &width,
                                                              &height, &channels, 1)
                        : (void *)stbi_load_from_callbacks(&callbacks, &j->reader, &width, &height,
                                                           &channels, j->keep_alpha ? 4 : 3);
    attn_status status = ATTN_OK;
    if (b->status)
        status = b->status;
    else if (j->reader.past_end)
        status = bad_file(j, "the image is truncated");
    else if (!decoded)
        status = bad_file(j, stbi_failure_reason());
    else if ((size_t)width != image->width || (size_t)height != image->height)
        status = bad_file(j, "two image sizes in one file");
    else
        copy_pixels(image, j, decoded);
    return status;
}

attn_status attn_decode_stb(attn_image *image, const attn_source *source, attn_image_format format)
{
    if (source->size > INT_MAX / 2)
        return attn_fail(source->err, ATTN_LIMIT, "%s: an image file of %zu bytes, at most %d",
                         source->name, source->size, INT_MAX / 2);
    job j = {.source = source};
    ATTN_TRY(format == ATTN_IMAGE_PNG   ? prepare_png(&j)
             : format == ATTN_IMAGE_GIF ? prepare_gif(&j)
             : format == ATTN_IMAGE_BMP ? prepare_bmp(&j)
             : format == ATTN_IMAGE_TGA ? prepare_tga(&j)
                                        : prepare_jpeg(&j));
    budget b = {source->memory, (size_t)2 << 20, ATTN_OK, source->err, NULL};
    current = &b;
    attn_status status = decode(image, &j);
    while (b.blocks) stb_free((char *)b.blocks + HEAD);
    current = NULL;
    return status;
}

/* ---- other things that are deflated --------------------------------------------------------- */

bool attn_inflate(const void *data, size_t size, void *to, size_t room)
{
    if (size > INT_MAX || room > INT_MAX) return false;
    return stbi_zlib_decode_noheader_buffer(to, (int)room, data, (int)size) == (int)room;
}
