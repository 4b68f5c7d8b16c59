/* libFuzzer target: the .npy reader on any bytes. Build with -fsanitize=fuzzer,address,undefined;
 * corpus: tests/golden/npy. */
#include "runtime/inputs/npy.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    attn_memory memory;
    attn_tensor tensor;
    size_t bytes, count;
    attn_error err;
    attn_memory_init(&memory, NULL, 0);
    if (attn_npy_parse(&tensor, "input", data, size, &memory, &bytes, &err)) {
        if (!err.text[0] || strchr(err.text, '\n')) abort();
    } else if (!attn_product(tensor.dim, tensor.rank, &count) ||
               count * attn_dtype_size(tensor.dtype) != bytes) {
        abort();
    }
    attn_release(&memory, tensor.data, bytes);
    if (memory.used) abort();
    return 0;
}
