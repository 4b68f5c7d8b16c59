/* libFuzzer target: the tokenizer that GGUF metadata of any bytes make. Build with
 * -fsanitize=fuzzer,address,undefined; corpus: tests/fuzz/corpus/gguf_tokenizer. */
#include "runtime/inputs/tokenizer/gguf.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    attn_memory memory;
    attn_arena arena;
    attn_gguf gguf;
    attn_weight *list;
    size_t count;
    attn_error err;
    cJSON *tokenizer, *config;
    attn_memory_init(&memory, NULL, (size_t)1 << 28);
    attn_arena_init(&arena, &memory);
    if (!attn_gguf_parse("input", data, size, &arena, &gguf, &list, &count, &err)) {
        err.text[0] = 0;
        if (!attn_gguf_tokenizer(&gguf, &memory, &tokenizer, &config, &err)) {
            if (!cJSON_IsObject(config) || !tokenizer) abort();
            cJSON_Delete(tokenizer);
            cJSON_Delete(config);
        } else if (!err.text[0] || strchr(err.text, '\n') || tokenizer || config) {
            abort();
        }
    }
    attn_arena_free(&arena);
    if (memory.used) abort();
    return 0;
}
