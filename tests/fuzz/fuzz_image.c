/* Fuzz target: attn_image_decode. With libFuzzer, or with replay.c:
 *     clang -fsanitize=fuzzer,address,undefined -I. tests/fuzz/fuzz_image.c runtime/inputs/image*.c
 *         runtime/inputs/exif.c runtime/base/x.c -lm  (x: status, memory, file) */
#include "runtime/inputs/image.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    attn_memory memory;
    attn_image image;
    attn_error err;
    attn_memory_init(&memory, NULL, (size_t)32 << 20);
    if (attn_image_decode(&image, "input", data, size, &memory, &err) == ATTN_OK) {
        /* Every pixel was written: a branch on each lets MemorySanitizer see it. */
        unsigned sum = 0;
        for (size_t i = 0; i < image.bytes; i++)
            if (image.pixels[i] > 127) sum++;
        if (sum > image.bytes) abort();
    }
    attn_image_free(&image, &memory);
    if (memory.used) abort();
    return 0;
}
