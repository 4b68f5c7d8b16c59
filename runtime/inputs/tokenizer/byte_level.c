#include "runtime/inputs/tokenizer/byte_level.h"

/* The bytes that are no printable characters of Latin-1 follow each other from 256 on. */
uint32_t attn_byte_to_char(unsigned char byte)
{
    if (byte < 0x21) return 0x100u + byte;
    if (byte < 0x7f) return byte;
    if (byte < 0xa1) return 0x100u + 0x21 + (byte - 0x7fu);
    return byte == 0xad ? 0x143 : byte;
}

int attn_char_to_byte(uint32_t c)
{
    if (c < 0x100) return (c >= 0x21 && c < 0x7f) || (c >= 0xa1 && c != 0xad) ? (int)c : -1;
    if (c < 0x121) return (int)(c - 0x100);
    if (c < 0x143) return (int)(c - 0x121 + 0x7f);
    return c == 0x143 ? 0xad : -1;
}

attn_status attn_byte_level(attn_edit *e, size_t bytes)
{
    const char *text = e->in->text;
    for (size_t end = e->at + bytes; e->at < end;) {
        size_t run = e->at;
        while (run < end && text[run] > 0x20 && text[run] != 0x7f) run++;
        ATTN_TRY(attn_edit_copy(e, run - e->at));
        if (run == end) break;
        /* Every byte of a character stands for the whole of it. */
        size_t at = e->at;
        do ATTN_TRY(attn_edit_insert_char(e, attn_byte_to_char((unsigned char)text[at]), e->at));
        while (++at < end && (text[at] & 0xc0) == 0x80);
        e->at = at;
    }
    return ATTN_OK;
}
