/* How text is cut before a byte-level BPE: the patterns of the models' own tokenizer.json, by the
 * name that llama.cpp's conversion gives them. */
#include "runtime/inputs/tokenizer/gguf.h"

#include <string.h>

#define CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define REST "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define REST_SLASH "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define UPPER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define BEFORE "[^\\r\\n\\p{L}\\p{N}]?"
#define GPT2 "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)"

static const attn_gguf_cut cuts[] = {
    {.names = " gpt-2 phi-2 jina-es jina-de jina-v2-es jina-v2-de jina-v1-en jina-v2-code "
              "roberta-bpe mpt "
              "olmo jais exaone4 trillion granite-docling modern-bert gigachat a.x-4.0 mellum ",
     .byte_level = true},
    {.names = " smollm starcoder refact command-r codeshell exaone minerva-7b ",
     .digits = true,
     .byte_level = true},
    {.names = " llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano ",
     .pattern = {CONTRACTIONS "|" BEFORE "\\p{L}+|\\p{N}{1,3}" REST},
     .whole_words = true,
     .begins = true},
    {.names = " dbrx smaug-bpe chatglm-bpe ",
     .pattern = {CONTRACTIONS "|" BEFORE "\\p{L}+|\\p{N}{1,3}" REST}},
    {.names = " qwen2 ", .pattern = {CONTRACTIONS "|" BEFORE "\\p{L}+|\\p{N}" REST}, .nfc = true},
    {.names = " deepseek-r1-qwen megrez stablelm2 hunyuan kormo f2llmv2 ",
     .pattern = {CONTRACTIONS "|" BEFORE "\\p{L}+|\\p{N}" REST}},
    {.names = " tekken ",
     .pattern = {BEFORE UPPER "*" LOWER "+|" BEFORE UPPER "+" LOWER "*|\\p{N}" REST_SLASH},
     .whole_words = true,
     .begins = true},
    {.names = " gpt-4o llama4 kanana2 ",
     .pattern = {BEFORE UPPER "*" LOWER "+" CONTRACTIONS "?|" BEFORE UPPER "+" LOWER
                              "*" CONTRACTIONS "?|\\p{N}{1,3}" REST_SLASH}},
    {.names = " default ",
     .pattern = {"[\\p{P}\\$\\+<=>\\^~\\|]+", GPT2, "\\p{N}+", "[0-9][0-9][0-9]"}},
};

const attn_gguf_cut *attn_gguf_find_cut(const char *name, size_t length)
{
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        const char *at = cuts[i].names;
        while (*++at) {
            size_t word = strcspn(at, " ");
            if (word == length && memcmp(at, name, length) == 0) return &cuts[i];
            at += word;
        }
    }
    return NULL;
}
