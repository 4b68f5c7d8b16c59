/* UnicodeScripts: a piece ends where the script changes. Kana are of one script with Han, as
 * SentencePiece has it; characters of no script go with any. */
#include "runtime/inputs/tokenizer/pretokenizer.h"

static const struct {
    uint64_t first : 21, last : 21, script : 16;
} ranges[] = {
#include "runtime/inputs/tokenizer/script_tables.def"
};
enum { RANGES = sizeof ranges / sizeof *ranges };

/* -1: any. */
static int script_of(uint32_t c)
{
    size_t low = 0, high = RANGES;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (ranges[middle].last < c)
            low = middle + 1;
        else
            high = middle;
    }
    return low < RANGES && ranges[low].first <= c ? (int)ranges[low].script : -1;
}

attn_status attn_cut_scripts(const attn_pretokenizer *p, attn_cutting *c, attn_error *err)
{
    const char *text = c->text->text;
    (void)p;
    for (size_t i = 0; i < c->spans.count; i++) {
        attn_range span = c->spans.range[i];
        /* What comes before the first character that has a script is in no piece. */
        size_t begin = SIZE_MAX;
        int last = -1;
        for (size_t at = span.first, next; at < span.end; at = next) {
            uint32_t character;
            next = at + attn_utf8_read(text + at, &character);
            int script = script_of(character);
            if (script < 0 || script == last) continue;
            if (begin != SIZE_MAX) ATTN_TRY(attn_ranges_add(&c->next, begin, at, err));
            begin = at;
            last = script;
        }
        if (begin != SIZE_MAX) ATTN_TRY(attn_ranges_add(&c->next, begin, span.end, err));
    }
    return ATTN_OK;
}
