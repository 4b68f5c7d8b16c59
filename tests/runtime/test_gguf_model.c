/* A GGUF file as a model: its description's section, and its tokenizer; when memory ends at any
 * request. What they compute is compared with the originals in tests/models/test_gguf.py and
 * tests/text. */
#define _POSIX_C_SOURCE 200809L

#include "runtime/inputs/tokenizer/gguf.h"
#include "runtime/model.h"
#include "tests/runtime/failing.h"
#include "tests/runtime/folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

/* cJSON does not tell want of memory from a text that is no JSON. */
static bool is_memory(attn_status status, const attn_error *err)
{
    return status == ATTN_NO_MEMORY ||
           (status == ATTN_BAD_FILE && strstr(err->text, "not valid JSON"));
}

#define CORPUS "tests/fuzz/corpus/gguf_tokenizer/"

/* ---- tokenizers ----------------------------------------------------------------------------- */

static attn_status make_tokenizer(const char *path, attn_memory *memory, cJSON **tokenizer,
                                  cJSON **config, attn_error *err)
{
    attn_file file;
    attn_arena arena;
    attn_gguf gguf;
    attn_weight *list;
    size_t count;
    attn_arena_init(&arena, memory);
    *tokenizer = *config = NULL;
    attn_status status = attn_file_map(&file, path, err);
    if (!status)
        status = attn_gguf_parse(path, file.data, file.size, &arena, &gguf, &list, &count, err);
    if (!status) status = attn_gguf_tokenizer(&gguf, memory, tokenizer, config, err);
    attn_arena_free(&arena);
    attn_file_unmap(&file);
    return status;
}

static void test_tokenizers(void **state)
{
    static const struct {
        const char *file, *model, *end;
    } cases[] = {{CORPUS "gpt2", "BPE", "<s>"},
                 {CORPUS "qwen2", "BPE", NULL},
                 {CORPUS "llama", "BPE", NULL},
                 {CORPUS "bert", "WordPiece", NULL}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (long n = 1;; n++) {
            attn_memory memory;
            attn_error err;
            cJSON *tokenizer, *config;
            failing_begin(&memory, n, false);
            attn_status status = make_tokenizer(cases[i].file, &memory, &tokenizer, &config, &err);
            if (!status) {
                const cJSON *model = attn_json_get(tokenizer, "model");
                const cJSON *end = attn_json_get(config, "eos_token");
                assert_string_equal(attn_json_get(model, "type")->valuestring, cases[i].model);
                if (cases[i].end) assert_string_equal(end->valuestring, cases[i].end);
                assert_string_equal(attn_json_get(config, "chat_template")->valuestring, "{{ x }}");
            }
            cJSON_Delete(tokenizer);
            cJSON_Delete(config);
            failing_end();
            assert_int_equal(failing_state.live, 0);
            if (!status) break;
            if (!is_memory(status, &err)) fail_msg("%s", err.text);
        }
}

/* ---- a model -------------------------------------------------------------------------------- */

static const char description[] =
    "{'format': 'attn/1', 'name': 'tiny', 'inputs': {'x': {'shape': ['size']}}, 'graph': ["
    "{'layer': 'add', 'in': 'x', 'out': 'y', 'weight': 'table.1'}, "
    "{'layer': 'mul', 'in': 'y', 'out': 'z', 'value': 'inner.factor'}], 'outputs': {'z': {}}, "
    "'gguf': {'architecture': ['none', 'tiny'], 'config': {'size': ['{arch}.size', 4], "
    "'count': {'length': 'test.texts'}, 'inner.flag': 'test.flag', 'left_out': ['test.none', "
    "null], "
    "'inner.factor': {'key': 'test.u8', 'words': {'200': 3}}, 'list': 'test.numbers'}, "
    "'tensors': {'table.{i}': 'F{i}', 'table.1': 'F32'}}}";

static void test_model(void **state)
{
    (void)state;
    folder f;
    attn_file golden;
    attn_error err;
    folder_make(&f);
    assert_int_equal(attn_file_map(&golden, "tests/golden/gguf/blocks.gguf", &err), ATTN_OK);
    folder_bytes(&f, "x.gguf", golden.data, golden.size);
    attn_file_unmap(&golden);
    folder_json(&f, "attn.json", description);
    for (long n = 1;; n++) {
        attn_memory memory;
        attn_model *model;
        failing_begin(&memory, n, false);
        attn_model_options options = {.allocator = &memory.allocator};
        attn_status status = attn_model_open(&model, f.path, &options, &err);
        if (!status) {
            assert_int_equal(model->graph.input[0].dim[0], 4);
            assert_non_null(attn_weights_find(&model->weights, "table.1"));
            assert_null(attn_weights_find(&model->weights, "F32"));
            assert_non_null(attn_weights_find(&model->weights, "F16"));
        }
        attn_model_close(model);
        failing_end();
        assert_int_equal(failing_state.live, 0);
        if (!status) break;
        if (!is_memory(status, &err)) fail_msg("%s", err.text);
    }
    folder_remove(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tokenizers),
        cmocka_unit_test(test_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
