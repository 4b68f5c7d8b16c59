#include "tools/explain_text.h"

#include "tools/page/page.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define MAX_WEIGHTS ((size_t)64 << 20)

/* ---- JSON inside a page -------------------------------------------------------------------- */

/* Length of the well-formed UTF-8 character at text[0..length), or 0. */
static size_t character(const unsigned char *text, size_t length)
{
    unsigned first = text[0];
    size_t size = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (size == 0 || size > length || first > 0xf4) return 0;
    for (size_t i = 1; i < size; i++)
        if ((text[i] & 0xc0) != 0x80) return 0;
    if ((first == 0xe0 && text[1] < 0xa0) || (first == 0xed && text[1] > 0x9f) ||
        (first == 0xf0 && text[1] < 0x90) || (first == 0xf4 && text[1] > 0x8f))
        return 0;
    return size;
}

/* A JSON text. "<" is escaped, so that no text can end the script that it stands in; half a
 * character, as a token may hold, becomes U+FFFD. */
static void put_text(FILE *f, const char *text, size_t length)
{
    const unsigned char *at = (const unsigned char *)text;
    putc('"', f);
    for (size_t i = 0; i < length;) {
        size_t size = character(at + i, length - i);
        if (size == 0)
            fputs("\\ufffd", f);
        else if (at[i] < 0x20 || at[i] == '"' || at[i] == '\\' || at[i] == '<' || at[i] == 0x7f)
            fprintf(f, "\\u%04x", at[i]);
        else
            fwrite(at + i, 1, size, f);
        i += size ? size : 1;
    }
    putc('"', f);
}

static void put_base64(FILE *f, const unsigned char *bytes, size_t count)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < count; i += 3) {
        size_t left = count - i;
        unsigned group = (unsigned)bytes[i] << 16 | (left > 1 ? (unsigned)bytes[i + 1] << 8 : 0) |
                         (left > 2 ? bytes[i + 2] : 0U);
        putc(digits[group >> 18], f);
        putc(digits[group >> 12 & 63], f);
        putc(left > 1 ? digits[group >> 6 & 63] : '=', f);
        putc(left > 2 ? digits[group & 63] : '=', f);
    }
}

/* ---- the data ------------------------------------------------------------------------------ */

/* gap: the text between this token and the one before of the same text. */
static void put_tokens(FILE *f, const explain_words *w)
{
    const attn_encoding *e = w->encoding;
    size_t at[2] = {0, 0};
    fputs(",\"tokens\":[", f);
    for (size_t i = 0; i < e->count; i++) {
        int of = e->sequence[i];
        size_t length = 0, first = 0, end = 0;
        const char *piece = attn_tokenizer_token(w->tokenizer, e->ids[i], &length);
        fprintf(f, "%s{\"id\":%d,\"special\":%s,\"piece\":", i ? "," : "", (int)e->ids[i],
                e->special[i] ? "true" : "false");
        put_text(f, piece ? piece : "", length);
        if (of >= 0 && of < 2 && w->text[of] && !e->special[i]) {
            first = e->offset[i][0] < at[of] ? at[of] : e->offset[i][0];
            end = e->offset[i][1] < first ? first : e->offset[i][1];
            fputs(",\"gap\":", f);
            put_text(f, w->text[of] + at[of], first - at[of]);
            fputs(",\"text\":", f);
            put_text(f, w->text[of] + first, end - first);
            at[of] = end;
        }
        putc('}', f);
    }
    putc(']', f);
}

/* [heads, tokens, tokens], or something else over which a page cannot be drawn. */
static bool is_over(const attn_plan_value *v, size_t tokens)
{
    return v->shape.rank == 3 && v->shape.dim[1] == tokens && v->shape.dim[2] == tokens;
}

static attn_status count_maps(const attn_session *s, size_t tokens, size_t *largest,
                              attn_error *err)
{
    size_t total = 0;
    *largest = 0;
    for (size_t i = 0; i < attn_map_count(s); i++) {
        const attn_plan_value *v = &s->plan->value[s->plan->kept_map[i].value];
        if (!is_over(v, tokens)) continue;
        total += v->count;
        if (v->count > *largest) *largest = v->count;
    }
    if (total == 0)
        return attn_fail(err, ATTN_BAD_MODEL, "model \"%s\" has no attention over its %zu tokens",
                         s->model->name, tokens);
    if (total > MAX_WEIGHTS)
        return attn_fail(err, ATTN_LIMIT,
                         "%zu tokens make %zu attention weights, a page takes at most %zu", tokens,
                         total, MAX_WEIGHTS);
    return ATTN_OK;
}

/* A weight w as the byte round(255 sqrt(w)): small ones keep their differences. */
static void put_maps(FILE *f, const attn_session *s, size_t tokens, unsigned char *bytes)
{
    size_t put = 0;
    fputs(",\"maps\":[", f);
    for (size_t i = 0; i < attn_map_count(s); i++) {
        const struct attn_plan_kept *kept = &s->plan->kept_map[i];
        const attn_plan_value *v = &s->plan->value[kept->value];
        attn_map map;
        if (!is_over(v, tokens) || attn_get_map(s, i, &map, NULL)) continue;
        const float *weights = map.weights.data;
        for (size_t j = 0; j < v->count; j++) {
            float w = weights[j];
            bytes[j] = w > 0 ? (unsigned char)lrintf(255 * sqrtf(w < 1 ? w : 1)) : 0;
        }
        fputs(put++ ? ",{\"name\":" : "{\"name\":", f);
        put_text(f, map.node, strlen(map.node));
        fprintf(f, ",\"heads\":%zu,\"weights\":\"", v->shape.dim[0]);
        put_base64(f, bytes, v->count);
        fputs("\"}", f);
    }
    putc(']', f);
}

static attn_status write_page(const char *page, const attn_session *s, const explain_words *words,
                              const char *title, const char *path, attn_error *err)
{
    const char *mark = strstr(page, PAGE_MARK);
    size_t tokens = words->encoding->count, largest;
    void *bytes;
    ATTN_TRY(count_maps(s, tokens, &largest, err));
    ATTN_TRY(attn_alloc(cli_memory(), largest, "the weights of a page", &bytes, err));
    FILE *f = fopen(path, "wb");
    bool failed = !f;
    if (f) {
        fwrite(page, 1, (size_t)(mark - page), f);
        fputs("{\"model\":", f);
        put_text(f, s->model->name, strlen(s->model->name));
        if (title) {
            fputs(",\"result\":", f);
            put_text(f, title, strlen(title));
        }
        put_tokens(f, words);
        put_maps(f, s, tokens, bytes);
        putc('}', f);
        fputs(mark + strlen(PAGE_MARK), f);
        failed = ferror(f) != 0;
        failed = fclose(f) != 0 || failed;
    }
    attn_release(cli_memory(), bytes, largest);
    return failed ? attn_fail(err, ATTN_IO, "%s: %s", path, strerror(errno)) : ATTN_OK;
}

attn_status explain_page(const attn_session *s, const explain_words *words, const char *title,
                         const char *path, attn_error *err)
{
    char *page; /* the only one */
    ATTN_TRY(attn_embedded_open(&attention_page, cli_memory(), &page, err));
    attn_status status = write_page(page, s, words, title, path, err);
    attn_release(cli_memory(), page, attention_page.bytes + 1);
    return status;
}
