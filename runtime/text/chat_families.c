/* The chat templates that are known, each as its model publishes it. The first that fits counts. */
#include "runtime/text/chat.h"

#include <string.h>

#define HEADER(role) "<|start_header_id|>" role "<|end_header_id|>\n\n"

const attn_chat_family attn_chat_families[] = {
    {.name = "qwen3", /* Qwen3: as ChatML; what was thought is not said again */
     .has = {"'<|im_start|>'", "'</think>'", "enable_thinking"},
     .hasnt = {"bos_token"},
     .system = CHAT_SYSTEM_TURN,
     .system_before = "<|im_start|>system\n",
     .system_after = "<|im_end|>\n",
     .user_before = "<|im_start|>user\n",
     .user_after = "<|im_end|>\n",
     .assistant_before = "<|im_start|>assistant\n",
     .assistant_after = "<|im_end|>\n",
     .thinking = true,
     .prompt = "<|im_start|>assistant\n",
     .end = "<|im_end|>"},
    {.name = "chatml", /* ChatML with tools, which are never given here: Qwen2.5, SmolLM2 1.7B */
     .has = {"<|im_start|>", "<|im_end|>", "if tools%}", "tool_call"},
     .hasnt = {"think>", "|trim", "strip(", "bos_token"},
     .system = CHAT_SYSTEM_TURN,
     .system_before = "<|im_start|>system\n",
     .system_after = "<|im_end|>\n",
     .user_before = "<|im_start|>user\n",
     .user_after = "<|im_end|>\n",
     .assistant_before = "<|im_start|>assistant\n",
     .assistant_after = "<|im_end|>\n",
     .prompt = "<|im_start|>assistant\n",
     .end = "<|im_end|>"},
    {.name = "chatml", /* ChatML: SmolLM2, Qwen2, OpenHermes and many more */
     .has = {"<|im_start|>", "<|im_end|>"},
     .strict = true,
     .literal = {"<|im_start|>", "<|im_end|>", "<|im_end|>\n", "\n", "<|im_start|>assistant\n",
                 "<|im_start|>assistant", "<|im_start|>user\n", "<|im_start|>system\n"},
     .system = CHAT_SYSTEM_TURN,
     .system_before = "<|im_start|>system\n",
     .system_after = "<|im_end|>\n",
     .user_before = "<|im_start|>user\n",
     .user_after = "<|im_end|>\n",
     .assistant_before = "<|im_start|>assistant\n",
     .assistant_after = "<|im_end|>\n",
     .prompt = "<|im_start|>assistant\n",
     .end = "<|im_end|>"},
    {.name = "llama-3.1", /* Llama 3.1 and 3.2: a date, and tools, which are never given here */
     .has = {"<|start_header_id|>", "<|eot_id|>", "Cutting Knowledge Date: December 2023\n",
             "'Today Date: '+date_string+'\n\n'", "'26 Jul 2024'"},
     .bos = true,
     .system = CHAT_SYSTEM_ALWAYS,
     .system_before = HEADER("system") "Cutting Knowledge Date: December 2023\nToday Date: \3\n\n",
     .system_after = "<|eot_id|>",
     .user_before = HEADER("user"),
     .user_after = "<|eot_id|>",
     .assistant_before = HEADER("assistant"),
     .assistant_after = "<|eot_id|>",
     .trim = true,
     .trim_user = true,
     .prompt = HEADER("assistant"),
     .end = "<|eot_id|>"},
    {.name = "llama-3",
     .has = {"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "bos_token"},
     .strict = true,
     .literal = {"<|start_header_id|>", "<|end_header_id|>\n\n", "<|eot_id|>", HEADER("assistant")},
     .bos = true,
     .system = CHAT_SYSTEM_TURN,
     .system_before = HEADER("system"),
     .system_after = "<|eot_id|>",
     .user_before = HEADER("user"),
     .user_after = "<|eot_id|>",
     .assistant_before = HEADER("assistant"),
     .assistant_after = "<|eot_id|>",
     .trim = true,
     .trim_user = true,
     .prompt = HEADER("assistant"),
     .end = "<|eot_id|>"},
    {.name = "llama-2",
     .has = {"'<<SYS>>\n'+system_message+'\n<</SYS>>\n\n'+message['content']",
             "{{bos_token+'[INST] '+content.strip()+' [/INST]'}}",
             "{{' '+content.strip()+' '+eos_token}}"},
     .strict = true,
     .literal = {"<<SYS>>\n", "\n<</SYS>>\n\n", "[INST] ", " [/INST]", " "},
     .system = CHAT_SYSTEM_IN_FIRST,
     .system_before = "<<SYS>>\n",
     .system_after = "\n<</SYS>>\n\n",
     .user_before = "\1[INST] ",
     .user_after = " [/INST]",
     .assistant_before = " ",
     .assistant_after = " \2",
     .trim = true,
     .trim_user = true,
     .alternate = true,
     .prompt = ""},
    {.name = "mistral-v0.2", /* also v0.1, where a space follows an answer */
     .has = {"{{'[INST] '+message['content']+' [/INST]'}}", "{{message['content']+eos_token}}"},
     .strict = true,
     .literal = {"[INST] ", " [/INST]"},
     .bos = true,
     .system = CHAT_SYSTEM_REFUSED,
     .user_before = "[INST] ",
     .user_after = " [/INST]",
     .assistant_before = "",
     .assistant_after = "\2",
     .alternate = true,
     .prompt = ""},
    {.name = "mistral-v0.1",
     .has = {"{{'[INST] '+message['content']+' [/INST]'}}", "{{message['content']+eos_token+' '}}"},
     .strict = true,
     .literal = {"[INST] ", " [/INST]", " "},
     .bos = true,
     .system = CHAT_SYSTEM_REFUSED,
     .user_before = "[INST] ",
     .user_after = " [/INST]",
     .assistant_before = "",
     .assistant_after = "\2 ",
     .alternate = true,
     .prompt = ""},
    {.name = "mistral-v1", /* with a system message: Mistral 7B v0.1 and v0.2 as changed later */
     .has = {"' [INST] '+system_message+'\n\n'+message['content']+' [/INST]'",
             "{{' [INST] '+message['content']+' [/INST]'}}",
             "{{' '+message['content']+eos_token}}"},
     .strict = true,
     .literal = {" [INST] ", " [/INST]", "\n\n", " "},
     .bos = true,
     .system = CHAT_SYSTEM_IN_FIRST,
     .system_before = "",
     .system_after = "\n\n",
     .user_before = " [INST] ",
     .user_after = " [/INST]",
     .assistant_before = " ",
     .assistant_after = "\2",
     .alternate = true,
     .prompt = ""},
    {.name = "mistral-v3", /* with tools, which are never given here: Mistral 7B v0.3 */
     .has = {"{%if loop.last and system_message is defined%}{{'[INST] "
             "'+system_message+'\n\n'+message['content']+'[/INST]'}}",
             "{{'[INST] '+message['content']+'[/INST]'}}",
             "{{' '+message['content']|trim+eos_token}}"},
     .bos = true,
     .system = CHAT_SYSTEM_IN_LAST,
     .system_before = "",
     .system_after = "\n\n",
     .user_before = "[INST] ",
     .user_after = "[/INST]",
     .assistant_before = " ",
     .assistant_after = "\2",
     .trim = true,
     .alternate = true,
     .prompt = ""},
    {.name = "zephyr", /* Zephyr, TinyLlama: a line feed stands after each tag */
     .has = {"'<|user|>\n'+message['content']+eos_token", "'<|system|>\n'+message['content']",
             "'<|assistant|>\n'+message['content']+eos_token"},
     .strict = true,
     .literal = {"<|user|>\n", "<|system|>\n", "<|assistant|>\n", "<|assistant|>"},
     .system = CHAT_SYSTEM_TURN,
     .system_before = "<|system|>\n",
     .system_after = "\2\n",
     .user_before = "<|user|>\n",
     .user_after = "\2\n",
     .assistant_before = "<|assistant|>\n",
     .assistant_after = "\2\n",
     .prompt = "<|assistant|>\n"},
    {.name = "gemma-3", /* also with pictures, which are never given here */
     .has = {"'<start_of_turn>'", "first_user_prefix if loop.first", "'model'",
             "{{'<end_of_turn>\n'}}"},
     .hasnt = {"tool"},
     .bos = true,
     .system = CHAT_SYSTEM_IN_FIRST,
     .system_before = "",
     .system_after = "\n\n",
     .user_before = "<start_of_turn>user\n",
     .user_after = "<end_of_turn>\n",
     .assistant_before = "<start_of_turn>model\n",
     .assistant_after = "<end_of_turn>\n",
     .trim = true,
     .trim_user = true,
     .alternate = true,
     .prompt = "<start_of_turn>model\n",
     .end = "<end_of_turn>"},
    {.name = "gemma", /* 1 and 2 */
     .has = {"'<start_of_turn>'+role+'\n'+message['content']|trim+'<end_of_turn>\n'", "'model'"},
     .strict = true,
     .literal = {"<start_of_turn>", "\n", "<end_of_turn>\n", "<start_of_turn>model\n", "model"},
     .system = CHAT_SYSTEM_REFUSED,
     .user_before = "<start_of_turn>user\n",
     .user_after = "<end_of_turn>\n",
     .assistant_before = "<start_of_turn>model\n",
     .assistant_after = "<end_of_turn>\n",
     .trim = true,
     .trim_user = true,
     .alternate = true,
     .prompt = "<start_of_turn>model\n",
     .end = "<end_of_turn>"},
    {.name = "phi-3-mini", /* the first ones: no system message */
     .has = {"{{'<|user|>'+'\n'+message['content']+'<|end|>'+'\n'+'<|assistant|>'+'\n'}}"},
     .strict = true,
     .literal = {"<|user|>", "\n", "<|end|>", "<|assistant|>"},
     .system = CHAT_SYSTEM_DROPPED,
     .user_before = "<|user|>\n",
     .user_after = "<|end|>\n",
     .assistant_before = "<|assistant|>\n",
     .assistant_after = "<|end|>\n",
     .prompt = "<|assistant|>\n",
     .end = "<|end|>"},
    {.name = "phi-3",
     .has = {"<|end|>\n", "<|assistant|>\n"},
     .strict = true,
     .literal = {"<|", "|>", "\n", "<|end|>\n", "<|assistant|>\n", "<|user|>\n", "<|system|>\n"},
     .system = CHAT_SYSTEM_TURN,
     .system_before = "<|system|>\n",
     .system_after = "<|end|>\n",
     .user_before = "<|user|>\n",
     .user_after = "<|end|>\n",
     .assistant_before = "<|assistant|>\n",
     .assistant_after = "<|end|>\n",
     .prompt = "<|assistant|>\n",
     .end = "<|end|>"},
    {0},
};

/* ---- recognition --------------------------------------------------------------------------- */

static bool is_one_of(const char *text, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count && list[i]; i++)
        if (strcmp(text, list[i]) == 0) return true;
    return false;
}

/* "<|im_start|>system\nTEXT<|im_end|>" with a text in it: the default system message. */
static bool is_default_system(const char *literal, size_t *first, size_t *length)
{
    static const char before[] = "<|im_start|>system\n";
    const char *end = strstr(literal, "<|im_end|>");
    *first = sizeof before - 1;
    if (strncmp(literal, before, *first) != 0 || !end || end <= literal + *first) return false;
    if (strcmp(end, "<|im_end|>\n") != 0 && strcmp(end, "<|im_end|>") != 0) return false;
    *length = (size_t)(end - literal) - *first;
    return true;
}

/* A strict family's templates have no other words than these, so that one that does more than the
 * family's entry says is not taken for it. */
static bool words_are_known(const attn_template_words *w, const attn_chat_family *f)
{
    static const char *const names[] = {"for",
                                        "in",
                                        "if",
                                        "elif",
                                        "else",
                                        "endif",
                                        "endfor",
                                        "set",
                                        "not",
                                        "is",
                                        "defined",
                                        "and",
                                        "or",
                                        "true",
                                        "false",
                                        "none",
                                        "messages",
                                        "message",
                                        "loop_messages",
                                        "loop",
                                        "first",
                                        "last",
                                        "index0",
                                        "role",
                                        "content",
                                        "system_message",
                                        "add_generation_prompt",
                                        "raise_exception",
                                        "bos_token",
                                        "eos_token",
                                        NULL};
    static const char *const roles[] = {"role", "content", "user", "assistant", "system", "", NULL};
    bool trims = false;
    size_t first, length;
    for (size_t i = 0; i < w->names; i++) {
        bool trim = strcmp(w->name[i], "trim") == 0 || strcmp(w->name[i], "strip") == 0;
        trims = trims || trim;
        if (!trim && !is_one_of(w->name[i], names, SIZE_MAX)) return false;
    }
    for (size_t i = 0; i < w->count; i++)
        if (!w->in_error[i] && !is_one_of(w->literal[i], roles, SIZE_MAX) &&
            !is_one_of(w->literal[i], f->literal, sizeof f->literal / sizeof *f->literal) &&
            !is_default_system(w->literal[i], &first, &length))
            return false;
    return trims == f->trim && !w->has_text;
}

static bool fits(const attn_template_words *w, const attn_chat_family *f)
{
    for (size_t i = 0; i < sizeof f->has / sizeof *f->has && f->has[i]; i++)
        if (!strstr(w->text, f->has[i])) return false;
    for (size_t i = 0; i < sizeof f->hasnt / sizeof *f->hasnt && f->hasnt[i]; i++)
        if (strstr(w->text, f->hasnt[i])) return false;
    return !f->strict || words_are_known(w, f);
}

attn_status attn_chat_recognise(const attn_template_words *words, const attn_chat_family **family,
                                const char **system, attn_arena *arena, attn_error *err)
{
    *family = NULL;
    *system = NULL;
    for (const attn_chat_family *f = attn_chat_families; f->name && !*family; f++)
        if (fits(words, f)) *family = f;
    if (!*family) return ATTN_OK;
    for (size_t i = 0; i < words->count; i++) {
        size_t first, length;
        if (!is_default_system(words->literal[i], &first, &length)) continue;
        *system = attn_arena_text(arena, words->literal[i] + first, length, err);
        return *system ? ATTN_OK : ATTN_NO_MEMORY;
    }
    return ATTN_OK;
}
