#include "tools/picture.h"

#include <stb/stb_easy_font.h>
#include <string.h>

/* The next character of *text as something the font has; 0 at the end. */
static char next_character(const char **text)
{
    unsigned char byte = (unsigned char)*(*text);
    if (byte == 0) return 0;
    (*text)++;
    if (byte >= 32 && byte < 127) return (char)byte;
    if (byte >= 0xc0)
        while (((unsigned char)**text & 0xc0) == 0x80) (*text)++;
    return '?';
}

/* In pixels; set a little closer than the font says, which is meant for scale 1. */
static int advance_of(char character, int scale)
{
    char text[2] = {character, 0};
    return stb_easy_font_width(text) * scale - scale / 2;
}

int picture_text_width(const char *text, int scale)
{
    long long width = 0;
    for (char character; (character = next_character(&text)) != 0;)
        width += advance_of(character, scale);
    return width < PICTURE_MAX_SIDE ? (int)width : PICTURE_MAX_SIDE;
}

/* The font draws a character as axis-aligned quads of four vertices {x, y, z, colour}. */
typedef struct vertex {
    float x, y, z;
    uint8_t colour[4];
} vertex;

static void draw(picture *p, int x, int y, int scale, rgb colour, const char *text, bool up)
{
    int at = 0;
    for (char character; (character = next_character(&text)) != 0 && at < PICTURE_MAX_SIDE;) {
        vertex quads[4 * 64];
        char one[2] = {character, 0};
        int count = stb_easy_font_print(0, 0, one, NULL, quads, (int)sizeof quads);
        for (int i = 0; i < count; i++) {
            const vertex *low = &quads[4 * i], *high = &quads[4 * i + 2];
            int left = at + (int)low->x * scale, top = (int)low->y * scale;
            int width = (int)(high->x - low->x) * scale, height = (int)(high->y - low->y) * scale;
            picture_rect rect = up ? (picture_rect){x + top, y - left - width, height, width}
                                   : (picture_rect){x + left, y + top, width, height};
            picture_fill(p, rect, colour, 1);
        }
        at += advance_of(character, scale);
    }
}

void picture_text(picture *p, int x, int y, int scale, rgb colour, const char *text)
{
    draw(p, x, y, scale, colour, text, false);
}

void picture_text_up(picture *p, int x, int y, int scale, rgb colour, const char *text)
{
    draw(p, x, y, scale, colour, text, true);
}

void picture_text_fit(const char *text, int scale, int width, char *out, size_t size)
{
    static const char dots[] = "..";
    bool whole = picture_text_width(text, scale) <= width;
    int room = whole ? width : width - picture_text_width(dots, scale), used = 0;
    size_t length = 0;
    for (char character; (character = next_character(&text)) != 0;) {
        used += advance_of(character, scale);
        if (used > room || length + sizeof dots >= size) {
            whole = false;
            break;
        }
        out[length++] = character;
    }
    if (!whole && room >= 0) {
        memcpy(out + length, dots, sizeof dots - 1);
        length += sizeof dots - 1;
    }
    out[length] = 0;
}
