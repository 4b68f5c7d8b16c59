/* libFuzzer target: any bytes as a tokenizer.json and, after a line of its own that is "---", a
 * text; encoded alone and with itself as its pair, whole and in windows, and decoded. Build with
 * -fsanitize=fuzzer,address,undefined; corpus: tests/fuzz/corpus/tokenizer. */
#define _GNU_SOURCE /* memmem */

#include "runtime/inputs/tokenizer/tokenizer.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_error(const attn_error *err)
{
    if (!err->text[0] || strchr(err->text, '\n')) abort();
}

static void encode(const attn_tokenizer *t, const char *text, size_t length, bool pair)
{
    attn_encoding e;
    attn_error err = {0};
    if (attn_tokenizer_encode(t, text, length, pair ? text : NULL, length, NULL, &e, &err)) {
        check_error(&err);
        if (e.memory || e.count) abort();
        return;
    }
    for (size_t i = 0; i < e.count; i++)
        if (e.offset[i][0] > e.offset[i][1] || e.offset[i][1] > length || e.ids[i] < 0 ||
            e.sequence[i] < -1 || e.sequence[i] > 1)
            abort();
    char *decoded;
    size_t bytes;
    if (attn_tokenizer_decode(t, e.ids, e.count, pair, &decoded, &bytes, &err))
        check_error(&err);
    else if (decoded[bytes])
        abort();
    attn_text_free(t, decoded);
    attn_encoding_free(t, &e);
}

static void windows(const attn_tokenizer *t, const char *text, size_t length, bool pair)
{
    const attn_encode_options options = {
        .max_length = 5 + length % 7, .stride = length % 3, .cut = (attn_cut_texts)(length % 4)};
    attn_encoding *w;
    size_t count;
    attn_error err = {0};
    /* Each window of the one meets each of the other: short ones. */
    if (pair && length > 100) length = 100;
    attn_status status = attn_tokenizer_windows(t, text, length, pair ? text : NULL, length,
                                                &options, &w, &count, &err);
    if (status) check_error(&err);
    if (status ? w || count : !count) abort();
    if (count && w[0].count > options.max_length) abort();
    attn_windows_free(t, w, count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char mark[] = "\n---\n";
    const char *all = (const char *)data;
    const char *place = size ? memmem(all, size, mark, sizeof mark - 1) : NULL;
    size_t file = place ? (size_t)(place - all) : size;
    const char *text = place ? place + sizeof mark - 1 : "Hello  w\xc3\xb6rld 12 [MASK]";
    size_t length = place ? size - file - (sizeof mark - 1) : strlen(text);
    const attn_tokenizer_options options = {.max_memory = (size_t)64 << 20};
    attn_error err = {0};
    cJSON *json;
    attn_tokenizer *t;
    if (attn_json_parse("input", file ? all : "", file, &json, &err)) {
        check_error(&err);
        return 0;
    }
    attn_status status = attn_tokenizer_build(&t, "input", json, &options, &err);
    cJSON_Delete(json);
    if (status) {
        check_error(&err);
        if (t) abort();
        return 0;
    }
    encode(t, text, length, false);
    encode(t, text, length, true);
    windows(t, text, length, false);
    windows(t, text, length, true);
    attn_tokenizer_close(t);
    return 0;
}
