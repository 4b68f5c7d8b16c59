/* libFuzzer target: SentencePiece files. The first byte picks the tokenizer_class, the rest is the
 * file; what is accepted is built, and encodes and decodes a text. Build with
 * -fsanitize=fuzzer,address,undefined; corpus: tests/fuzz/corpus/sentencepiece. */
#include "runtime/inputs/tokenizer/sentencepiece.h"
#include "runtime/inputs/tokenizer/tokenizer.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const class[] = {
    NULL,
    "LlamaTokenizer",
    "GemmaTokenizer",
    "T5Tokenizer",
    "XLMRobertaTokenizer",
    "AlbertTokenizer",
    "DebertaV2Tokenizer",
    "TokenizersBackend",
};
static const char text[] =
    "Hello  w\xc3\xb6rld, \xe2\x96\x81 \xc2\xbd\r\n\xff<s>unk</s> "
    "a\xcc\x81 \xe4\xb8\xad\xf0\x9f\x98\x80<0x41>aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

static void check(attn_status status, const attn_error *err)
{
    if (status && (!err->text[0] || strchr(err->text, '\n'))) abort();
}

static void use(const cJSON *json)
{
    attn_error err;
    attn_tokenizer *t;
    attn_encoding e;
    char *decoded;
    size_t length;
    attn_status status = attn_tokenizer_build(&t, "input", json, NULL, &err);
    check(status, &err);
    if (status) return;
    status = attn_tokenizer_encode(t, text, sizeof text - 1, text, 5, NULL, &e, &err);
    check(status, &err);
    if (!status) {
        for (size_t i = 0; i < e.count; i++)
            if (e.offset[i][0] > e.offset[i][1] || e.offset[i][1] > sizeof text - 1) abort();
        if (attn_tokenizer_decode(t, e.ids, e.count, false, &decoded, &length, &err) == ATTN_OK)
            attn_text_free(t, decoded);
        attn_encoding_free(t, &e);
    }
    attn_tokenizer_close(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    attn_memory memory;
    attn_error err;
    cJSON *json, *config = cJSON_CreateObject();
    size_t pick = size ? data[0] % (sizeof class / sizeof *class) : 0;
    if (!config) return 0;
    if (class[pick]) cJSON_AddStringToObject(config, "tokenizer_class", class[pick]);
    if (size && data[0] & 0x40) cJSON_AddTrueToObject(config, "add_bos_token");
    attn_memory_init(&memory, NULL, 0);
    attn_status status = attn_sentencepiece_json("input", data + (size > 0), size - (size > 0),
                                                 config, &memory, &json, &err);
    check(status, &err);
    if (!status) use(json);
    cJSON_Delete(json);
    cJSON_Delete(config);
    if (memory.used) abort();
    return 0;
}
