/* Chat templates against transformers: tests/golden/chat.json. */
#define _POSIX_C_SOURCE 200809L

#include "runtime/json.h"
#include "runtime/text/chat.h"

#include "tests/check.h"
#include "tests/runtime/folder.h"

enum { MOST = 8 };

static attn_error err;

static void write_config(const folder *f, const cJSON *entry)
{
    cJSON *config = cJSON_CreateObject();
    cJSON_AddStringToObject(config, "chat_template", attn_json_get(entry, "template")->valuestring);
    cJSON_AddStringToObject(config, "bos_token", attn_json_get(entry, "bos")->valuestring);
    cJSON *eos = cJSON_AddObjectToObject(config, "eos_token");
    cJSON_AddStringToObject(eos, "content", attn_json_get(entry, "eos")->valuestring);
    char *text = cJSON_Print(config);
    folder_text(f, "tokenizer_config.json", text);
    cJSON_free(text);
    cJSON_Delete(config);
}

static size_t read_chat(const cJSON *chats, int index, attn_message *message)
{
    size_t count = 0;
    for (const cJSON *m = cJSON_GetArrayItem(chats, index)->child; m; m = m->next) {
        const char *text = m->child->next->valuestring;
        message[count++] = (attn_message){m->child->valuestring, text, strlen(text)};
    }
    return count;
}

static void check_case(const attn_chat *chat, const cJSON *chats, const cJSON *item)
{
    attn_message message[MOST];
    const cJSON *want = attn_json_get(item, "text");
    int index = attn_json_get(item, "chat")->valueint;
    size_t length, count = read_chat(chats, index, message);
    bool prompt = strcmp(message[count - 1].role, "user") == 0;
    char *text;
    attn_status status = attn_chat_render(chat, message, count, prompt, &text, &length, &err);
    if (!cJSON_IsString(want)) {
        assert_int_equal(status, ATTN_BAD_INPUT);
        return;
    }
    if (status) fail_msg("%s, chat %d: %s", attn_chat_name(chat), index, err.text);
    if (strcmp(text, want->valuestring) != 0)
        fail_msg("%s, chat %d: \"%s\", not \"%s\"", attn_chat_name(chat), index, text,
                 want->valuestring);
    assert_int_equal(length, strlen(text));
    attn_chat_free(chat, text);
}

static void test_equal_to_transformers(void **state)
{
    (void)state;
    cJSON *root;
    folder f;
    size_t cases = 0, unknown = 0;
    assert_int_equal(attn_json_read("tests/golden/chat.json", &root, &err), ATTN_OK);
    const cJSON *chats = attn_json_get(root, "chats");
    folder_make(&f);
    for (const cJSON *e = attn_json_get(root, "templates")->child; e; e = e->next) {
        attn_chat *chat;
        const char *family = attn_json_get(e, "family")->valuestring;
        write_config(&f, e);
        attn_status status = attn_chat_open(&chat, f.path, NULL, &err);
        if (strcmp(family, "-") == 0) {
            assert_int_equal(status, ATTN_BAD_MODEL);
            assert_null(chat);
            assert_non_null(strstr(err.text, "--template NAME"));
            unknown++;
            continue;
        }
        if (status) fail_msg("%s: %s", family, err.text);
        assert_string_equal(attn_chat_name(chat), family);
        for (const cJSON *c = attn_json_get(e, "cases")->child; c; c = c->next, cases++)
            check_case(chat, chats, c);
        attn_chat_close(chat);
    }
    assert_true(cases >= 120 && unknown >= 9);
    cJSON_Delete(root);
    folder_remove(&f);
}

/* By name, with the folder's tokens; a file of its own goes before; a list has a "default". */
static void test_sources(void **state)
{
    (void)state;
    folder f;
    attn_chat *chat;
    char *text;
    size_t length;
    const attn_message hello = {"user", "Hello", 5};
    folder_make(&f);
    assert_int_equal(attn_chat_open(&chat, f.path, NULL, &err), ATTN_BAD_MODEL);
    assert_non_null(strstr(err.text, "there is no chat template"));
    assert_int_equal(attn_chat_open(&chat, f.path, "chatml", &err), ATTN_OK);
    assert_int_equal(attn_chat_render(chat, &hello, 1, true, &text, &length, &err), ATTN_OK);
    assert_string_equal(text, "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n");
    assert_string_equal(attn_chat_end(chat), "<|im_end|>");
    attn_chat_free(chat, text);
    attn_chat_close(chat);
    assert_int_equal(attn_chat_open(&chat, f.path, "chatmel", &err), ATTN_BAD_ARGUMENT);
    assert_non_null(strstr(err.text, "there are: qwen3, chatml, llama-3.1"));
    folder_json(&f, "tokenizer_config.json",
                "{'eos_token':'</s>','chat_template':[{'name':'rag','template':'x'},"
                "{'name':'default','template':'{{ bos_token }}'}]}");
    assert_int_equal(attn_chat_open(&chat, f.path, NULL, &err), ATTN_BAD_MODEL);
    assert_int_equal(attn_chat_open(&chat, f.path, "mistral-v0.2", &err), ATTN_OK);
    assert_int_equal(attn_chat_render(chat, &hello, 1, true, &text, &length, &err), ATTN_OK);
    assert_string_equal(text, "[INST] Hello [/INST]");
    assert_string_equal(attn_chat_end(chat), "</s>");
    attn_chat_free(chat, text);
    attn_chat_close(chat);
    folder_text(&f, "chat_template.jinja",
                "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + "
                "message['content'] + '<|im_end|>' + '\n'}}{% endfor %}");
    assert_int_equal(attn_chat_open(&chat, f.path, NULL, &err), ATTN_OK);
    assert_string_equal(attn_chat_name(chat), "chatml");
    attn_chat_close(chat);
    attn_chat_close(NULL);
    folder_remove(&f);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name, *says;
        attn_message message[3];
        size_t count;
    } cases[] = {
        {"chatml", "message 0 is of \"tool\"", {{"tool", "x", 1}}, 1},
        {"gemma", "knows no system message", {{"system", "x", 1}, {"user", "x", 1}}, 2},
        {"llama-2", "must take turns", {{"user", "x", 1}, {"user", "x", 1}}, 2},
        {"llama-3.1", "only be the first", {{"user", "x", 1}, {"system", "x", 1}}, 2},
        {"mistral-v1", "must take turns", {{"system", "x", 1}, {"assistant", "x", 1}}, 2},
    };
    folder f;
    folder_make(&f);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        attn_chat *chat;
        char *text;
        size_t length;
        assert_int_equal(attn_chat_open(&chat, f.path, cases[i].name, &err), ATTN_OK);
        assert_int_equal(
            attn_chat_render(chat, cases[i].message, cases[i].count, true, &text, &length, &err),
            ATTN_BAD_INPUT);
        if (!strstr(err.text, cases[i].says)) fail_msg("%s", err.text);
        assert_null(text);
        attn_chat_close(chat);
    }
    static const char *const broken[] = {"{{ 'a", "{% if", "{{ '\\", "{% \"", "{{", "{#"};
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        attn_chat *chat;
        folder_text(&f, "chat_template.jinja", broken[i]);
        attn_status status = attn_chat_open(&chat, f.path, NULL, &err);
        assert_true(status == ATTN_BAD_FILE || status == ATTN_BAD_MODEL);
        assert_null(chat);
    }
    char *large = malloc((1 << 20) + 2);
    memset(large, ' ', (1 << 20) + 1);
    large[(1 << 20) + 1] = 0;
    folder_text(&f, "chat_template.jinja", large);
    attn_chat *chat;
    assert_int_equal(attn_chat_open(&chat, f.path, NULL, &err), ATTN_LIMIT);
    free(large);
    folder_remove(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal_to_transformers),
        cmocka_unit_test(test_sources),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
