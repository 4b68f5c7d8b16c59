/* What ships inside the library is what stands in models/, byte for byte. */
#include "runtime/base/embedded.h"
#include "runtime/base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void test_files(void **state)
{
    attn_memory memory;
    attn_error err;
    char *text, path[200];
    size_t count = 0, bytes = 0;
    (void)state;
    attn_memory_init(&memory, NULL, 0);
    assert_int_equal(attn_embedded_open(&attn_builtins, &memory, &text, &err), ATTN_OK);
    for (const attn_embedded_file *f = attn_builtins.file; f->name; f++, count++) {
        attn_file file;
        snprintf(path, sizeof path, "models/%s", f->name);
        assert_int_equal(attn_file_map(&file, path, &err), ATTN_OK);
        assert_int_equal(f->offset, bytes);
        assert_int_equal(f->length, file.size);
        assert_memory_equal(text + f->offset, file.data, file.size);
        bytes += file.size;
        attn_file_unmap(&file);
    }
    assert_true(count > 10);
    assert_int_equal(bytes, attn_builtins.bytes);
    attn_release(&memory, text, attn_builtins.bytes + 1);
    assert_int_equal(memory.used, 0);
}

/* No more memory than there is; damage is no crash. */
static void test_refused(void **state)
{
    attn_memory memory;
    attn_error err;
    char *text;
    unsigned char packed[64] = {0};
    attn_embedded damaged = {packed, sizeof packed, 1000, attn_builtins.file};
    (void)state;
    attn_memory_init(&memory, NULL, 1000);
    assert_int_equal(attn_embedded_open(&attn_builtins, &memory, &text, &err), ATTN_LIMIT);
    attn_memory_init(&memory, NULL, 0);
    memcpy(packed, attn_builtins.packed, sizeof packed);
    assert_int_equal(attn_embedded_open(&damaged, &memory, &text, &err), ATTN_BAD_FILE);
    assert_int_equal(memory.used, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
