/* libFuzzer target: the safetensors parser on any bytes, then every byte of what it accepts. Build
 * with -fsanitize=fuzzer,address,undefined; corpus: tests/fuzz/corpus/weights. */
#include "runtime/weights/weights.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void convert(const attn_weight *weight)
{
    float values[16];
    size_t count = 0;
    if (attn_weight_check(weight, NULL)) return;
    if (!attn_product(weight->dim, weight->rank, &count)) abort();
    if (!weight->integers && count != weight->bytes / attn_dtype_size(weight->dtype)) abort();
    for (size_t i = 0; i < count; i += 16)
        attn_weight_to_f32(weight, i, count - i < 16 ? count - i : 16, values);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    attn_memory memory;
    attn_arena arena;
    attn_weight *list;
    size_t count;
    attn_error err;
    attn_memory_init(&memory, NULL, 0);
    attn_arena_init(&arena, &memory);
    if (attn_safetensors_parse("input", data, size, &arena, &list, &count, NULL, &err)) {
        if (!err.text[0] || strchr(err.text, '\n')) abort();
    } else if (attn_weights_pair(list, count, &arena, &err)) {
        abort();
    } else {
        for (size_t i = 0; i < count; i++) {
            if (i && strcmp(list[i - 1].name, list[i].name) >= 0) abort();
            convert(&list[i]);
        }
    }
    attn_arena_free(&arena);
    if (memory.used) abort();
    return 0;
}
