#define _POSIX_C_SOURCE 200809L

#include "runtime/text/chat.h"

#include "runtime/base/file.h"
#include "runtime/json.h"
#include "runtime/weights/gguf.h"

#include <stdio.h>
#include <string.h>

/* Where the template and the texts of its tokens come from. */
typedef struct source {
    char path[4096];
    const char *text; /* the template, or NULL */
    size_t length;
    cJSON *config; /* tokenizer_config.json */
    attn_file file;
} source;

/* ---- the folder ---------------------------------------------------------------------------- */

static attn_status set_path(source *s, const char *folder, const char *name, attn_error *err)
{
    int length = snprintf(s->path, sizeof s->path, "%s/%s", folder, name);
    if (length < 0 || (size_t)length >= sizeof s->path)
        return attn_fail(err, ATTN_IO, "%.100s...: the path is too long", folder);
    return ATTN_OK;
}

/* A special token: a text, or an object with "content". */
static attn_status read_token(attn_chat *chat, const cJSON *config, const char *key,
                              const char **out, attn_error *err)
{
    const cJSON *item = attn_json_get(config, key);
    if (cJSON_IsObject(item)) item = attn_json_get(item, "content");
    if (!cJSON_IsString(item)) return ATTN_OK;
    *out = attn_arena_text(&chat->arena, item->valuestring, strlen(item->valuestring), err);
    return *out ? ATTN_OK : ATTN_NO_MEMORY;
}

/* "chat_template": a text, or a list of {"name", "template"}, of which "default" counts. */
static const cJSON *find_template(const cJSON *config)
{
    const cJSON *item = attn_json_get(config, "chat_template");
    if (!cJSON_IsArray(item)) return cJSON_IsString(item) ? item : NULL;
    for (const cJSON *entry = item->child; entry; entry = entry->next) {
        const cJSON *name = attn_json_get(entry, "name"), *text = attn_json_get(entry, "template");
        if (cJSON_IsString(name) && cJSON_IsString(text) &&
            strcmp(name->valuestring, "default") == 0)
            return text;
    }
    return NULL;
}

static attn_status read_folder(attn_chat *chat, source *s, const char *folder, attn_error *err)
{
    ATTN_TRY(set_path(s, folder, "tokenizer_config.json", err));
    if (attn_file_exists(s->path)) {
        ATTN_TRY(attn_json_read(s->path, &s->config, err));
        ATTN_TRY(read_token(chat, s->config, "bos_token", &chat->bos, err));
        ATTN_TRY(read_token(chat, s->config, "eos_token", &chat->eos, err));
        const cJSON *item = find_template(s->config);
        if (item) {
            s->text = item->valuestring;
            s->length = strlen(s->text);
        }
    }
    char config_path[sizeof s->path];
    memcpy(config_path, s->path, sizeof config_path);
    ATTN_TRY(set_path(s, folder, "chat_template.jinja", err));
    if (!attn_file_exists(s->path)) {
        memcpy(s->path, config_path, sizeof config_path);
        return ATTN_OK;
    }
    ATTN_TRY(attn_file_map(&s->file, s->path, err));
    s->text = s->file.data;
    s->length = s->file.size;
    return ATTN_OK;
}

/* ---- a GGUF file --------------------------------------------------------------------------- */

/* The text of the token whose number stands under `key`. */
static attn_status read_gguf_token(attn_chat *chat, const attn_gguf *gguf, const char *key,
                                   const char **out, attn_error *err)
{
    const attn_gguf_value *id = attn_gguf_find(gguf, key),
                          *tokens = attn_gguf_find(gguf, "tokenizer.ggml.tokens");
    attn_gguf_item item;
    const unsigned char *at;
    if (!id || !tokens || tokens->element != ATTN_GGUF_TEXT || id->type == ATTN_GGUF_ARRAY)
        return ATTN_OK;
    at = id->data;
    if (!attn_gguf_next(id, &at, &item) || id->type == ATTN_GGUF_TEXT || !(item.number >= 0) ||
        item.number >= (double)tokens->count)
        return ATTN_OK;
    at = tokens->data;
    for (size_t i = 0, last = (size_t)item.number; i <= last; i++)
        if (!attn_gguf_next(tokens, &at, &item)) return ATTN_OK;
    *out = attn_arena_text(&chat->arena, item.text, item.length, err);
    return *out ? ATTN_OK : ATTN_NO_MEMORY;
}

static attn_status read_gguf(attn_chat *chat, source *s, const char *path, attn_error *err)
{
    attn_arena arena;
    attn_gguf gguf;
    attn_weight *list;
    size_t count;
    snprintf(s->path, sizeof s->path, "%s", path);
    ATTN_TRY(attn_file_map(&s->file, path, err));
    attn_arena_init(&arena, &chat->memory);
    attn_status status =
        attn_gguf_parse(path, s->file.data, s->file.size, &arena, &gguf, &list, &count, err);
    if (!status)
        status = read_gguf_token(chat, &gguf, "tokenizer.ggml.bos_token_id", &chat->bos, err);
    if (!status)
        status = read_gguf_token(chat, &gguf, "tokenizer.ggml.eos_token_id", &chat->eos, err);
    const attn_gguf_value *value = status ? NULL : attn_gguf_find(&gguf, "tokenizer.chat_template");
    attn_gguf_item item;
    const unsigned char *at = value ? value->data : NULL;
    if (value && value->type == ATTN_GGUF_TEXT && attn_gguf_next(value, &at, &item)) {
        s->text = item.text; /* in the file, which stays mapped */
        s->length = item.length;
    }
    attn_arena_free(&arena);
    return status;
}

/* ---- which one ----------------------------------------------------------------------------- */

static attn_status named(attn_chat *chat, const char *name, attn_error *err)
{
    char known[300] = "";
    for (const attn_chat_family *f = attn_chat_families; f->name; f++) {
        if (strcmp(f->name, name) == 0) {
            chat->family = f;
            chat->begins = f->bos;
            return ATTN_OK;
        }
        size_t used = strlen(known);
        if (f == attn_chat_families || strcmp(f->name, f[-1].name) != 0)
            snprintf(known + used, sizeof known - used, "%s%s", used ? ", " : "", f->name);
    }
    return attn_fail(err, ATTN_BAD_ARGUMENT, "there is no chat template \"%.60s\"; there are: %s",
                     name, known);
}

static attn_status recognised(attn_chat *chat, const source *s, attn_error *err)
{
    attn_template_words words;
    if (!s->text)
        return attn_fail(err, ATTN_BAD_MODEL,
                         "%s: there is no chat template; name one (--template NAME) or give the "
                         "text as it is (--raw)",
                         s->path);
    ATTN_TRY(attn_template_read(&words, s->path, s->text, s->length, &chat->arena, err));
    ATTN_TRY(attn_chat_recognise(&words, &chat->family, &chat->system, &chat->arena, err));
    if (!chat->family)
        return attn_fail(err, ATTN_BAD_MODEL,
                         "%s: the chat template is none that is known here; name a known one "
                         "(--template NAME) or give the text as it is (--raw)",
                         s->path);
    chat->begins = chat->family->bos || strncmp(words.text, "{{bos_token}}", 13) == 0;
    chat->today = strstr(words.text, "strftime_now(") != NULL;
    return ATTN_OK;
}

static bool is_gguf(const char *path)
{
    size_t length = strlen(path);
    return length > 5 && strcmp(path + length - 5, ".gguf") == 0;
}

attn_status attn_chat_open(attn_chat **out, const char *path, const char *name, attn_error *err)
{
    attn_memory memory;
    source s = {.path = ""};
    void *fresh;
    *out = NULL;
    attn_memory_init(&memory, NULL, 0);
    ATTN_TRY(attn_alloc(&memory, sizeof(attn_chat), "a chat", &fresh, err));
    attn_chat *chat = fresh;
    *chat = (attn_chat){.memory = memory, .bos = "", .eos = ""};
    attn_arena_init(&chat->arena, &chat->memory);
    attn_status status =
        is_gguf(path) ? read_gguf(chat, &s, path, err) : read_folder(chat, &s, path, err);
    if (!status) status = name ? named(chat, name, err) : recognised(chat, &s, err);
    cJSON_Delete(s.config);
    attn_file_unmap(&s.file);
    if (status) {
        attn_chat_close(chat);
        return status;
    }
    *out = chat;
    return ATTN_OK;
}

void attn_chat_close(attn_chat *chat)
{
    if (!chat) return;
    attn_arena_free(&chat->arena);
    attn_memory memory = chat->memory;
    attn_release(&memory, chat, sizeof *chat);
}

const char *attn_chat_name(const attn_chat *chat)
{
    return chat->family->name;
}

const char *attn_chat_end(const attn_chat *chat)
{
    return chat->family->end ? chat->family->end : chat->eos;
}
