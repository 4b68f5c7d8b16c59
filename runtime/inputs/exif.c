#include "runtime/inputs/exif.h"

#include <stdbool.h>
#include <string.h>

enum { TAG_ORIENTATION = 0x0112, TYPE_BYTE = 1, TYPE_SHORT = 3, TYPE_LONG = 4 };

/* Metadata, and how far it reaches. */
typedef struct span {
    const uint8_t *data;
    size_t size;
    bool little;
} span;

static unsigned read16(const span *s, size_t at)
{
    const uint8_t *p = s->data + at;
    return s->little ? p[0] | (unsigned)p[1] << 8 : (unsigned)p[0] << 8 | p[1];
}

static uint32_t read32(const span *s, size_t at)
{
    return s->little ? read16(s, at) | (uint32_t)read16(s, at + 2) << 16
                     : (uint32_t)read16(s, at) << 16 | read16(s, at + 2);
}

static bool starts_with(const uint8_t *data, size_t size, const char *text, size_t length)
{
    return size >= length && memcmp(data, text, length) == 0;
}

/* The tag in the first directory of a TIFF structure; 0 if there is none. The value is returned
 * as it stands: one outside 1..8 also hides a later source, as in Pillow. */
static uint32_t tiff_orientation(const uint8_t *data, size_t size)
{
    span tiff = {data, size, true};
    if (starts_with(data, size, "MM\0\x2a", 4))
        tiff.little = false;
    else if (!starts_with(data, size, "II\x2a\0", 4))
        return 0;
    if (size < 8) return 0;
    size_t at = read32(&tiff, 4);
    if (at > size || size - at < 2) return 0;
    unsigned entries = read16(&tiff, at);
    at += 2;
    for (unsigned i = 0; i < entries && size - at >= 12; i++, at += 12) {
        if (read16(&tiff, at) != TAG_ORIENTATION || read32(&tiff, at + 4) != 1) continue;
        unsigned type = read16(&tiff, at + 2);
        return type == TYPE_BYTE    ? data[at + 8]
               : type == TYPE_SHORT ? read16(&tiff, at + 8)
               : type == TYPE_LONG  ? read32(&tiff, at + 8)
                                    : 0;
    }
    return 0;
}

/* tiff:Orientation="6" or <tiff:Orientation>6 in XMP text; 0 if there is none. */
static uint32_t xmp_orientation(const uint8_t *data, size_t size)
{
    static const char key[] = "tiff:Orientation";
    enum { LENGTH = sizeof key - 1 };
    for (size_t i = 0; i + LENGTH + 3 <= size; i++) {
        if (memcmp(data + i, key, LENGTH) != 0) continue;
        const uint8_t *value = data + i + LENGTH;
        size_t skip = value[0] == '>' ? 1 : value[0] == '=' && value[1] == '"' ? 2 : 0;
        if (skip && value[skip] >= '0' && value[skip] <= '9') return (uint32_t)(value[skip] - '0');
    }
    return 0;
}

/* Segments up to the first scan: ff marker length(2, big endian, counts itself) data. */
static uint32_t jpeg_orientation(const uint8_t *data, size_t size)
{
    static const char xmp[] = "http://ns.adobe.com/xap/1.0/";
    span file = {data, size, false};
    uint32_t exif = 0, fallback = 0;
    size_t at = 2;
    while (at < size && size - at >= 4) {
        if (data[at] != 0xff) break;
        unsigned marker = data[at + 1];
        if (marker == 0xff) { /* fill byte */
            at++;
            continue;
        }
        if (marker == 0xda || marker == 0xd9) break;
        size_t length = read16(&file, at + 2);
        if (length < 2 || size - at - 2 < length) break;
        const uint8_t *body = data + at + 4;
        if (marker == 0xe1 && !exif && starts_with(body, length - 2, "Exif\0\0", 6))
            exif = tiff_orientation(body + 6, length - 8);
        else if (marker == 0xe1 && !fallback && starts_with(body, length - 2, xmp, sizeof xmp))
            fallback = xmp_orientation(body + sizeof xmp, length - 2 - sizeof xmp);
        at += 2 + length;
    }
    return exif ? exif : fallback;
}

/* Chunks: length(4, big endian) type(4) data crc(4). */
static uint32_t png_orientation(const uint8_t *data, size_t size)
{
    span file = {data, size, false};
    size_t at = 8;
    while (at < size && size - at >= 12) {
        size_t length = read32(&file, at);
        if (size - at - 12 < length) break;
        if (memcmp(data + at + 4, "eXIf", 4) == 0) return tiff_orientation(data + at + 8, length);
        at += 12 + length;
    }
    return 0;
}

int attn_exif_orientation(const uint8_t *data, size_t size)
{
    uint32_t value = 0;
    if (starts_with(data, size, "\xff\xd8\xff", 3))
        value = jpeg_orientation(data, size);
    else if (starts_with(data, size, "\x89PNG\r\n\x1a\n", 8))
        value = png_orientation(data, size);
    return value >= 1 && value <= 8 ? (int)value : 1;
}
