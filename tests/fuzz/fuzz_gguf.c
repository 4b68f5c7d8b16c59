/* libFuzzer target: the GGUF reader on any bytes, then every entry and element of what it accepts.
 * Build with -fsanitize=fuzzer,address,undefined; corpus: tests/fuzz/corpus/gguf. */
#include "runtime/json.h"
#include "runtime/weights/gguf.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void convert(const attn_weight *weight, size_t *work)
{
    float values[300];
    size_t count = 0;
    if (attn_weight_check(weight, NULL)) return;
    if (!attn_product(weight->dim, weight->rank, &count)) abort();
    for (size_t i = 0; i < count && ++*work < 10000; i += 300)
        attn_weight_to_f32(weight, i, count - i < 300 ? count - i : 300, values);
}

static void show(const attn_gguf *gguf, const attn_gguf_value *value)
{
    cJSON *json;
    attn_error err = {0};
    if (attn_gguf_find(gguf, value->key) != value) abort();
    if (!attn_gguf_json(gguf, value, 10000, &json, &err))
        cJSON_Delete(json);
    else if (!err.text[0] || strchr(err.text, '\n'))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    attn_memory memory;
    attn_arena arena;
    attn_gguf gguf;
    attn_weight *list;
    size_t count, work = 0;
    attn_error err;
    attn_memory_init(&memory, NULL, 0);
    attn_arena_init(&arena, &memory);
    if (attn_gguf_parse("input", data, size, &arena, &gguf, &list, &count, &err)) {
        if (!err.text[0] || strchr(err.text, '\n')) abort();
    } else {
        if (gguf.header > size) abort();
        for (size_t i = 0; i < gguf.count; i++) show(&gguf, &gguf.value[i]);
        for (size_t i = 0; i < count; i++) {
            if (i && strcmp(list[i - 1].name, list[i].name) >= 0) abort();
            convert(&list[i], &work);
        }
    }
    attn_arena_free(&arena);
    if (memory.used) abort();
    return 0;
}
