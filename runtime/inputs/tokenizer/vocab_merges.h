/* The older folders of GPT-2's kind: vocab.json {"token": id} and merges.txt, a line "a b" each. */
#ifndef ATTN_TOKENIZER_VOCAB_MERGES_H
#define ATTN_TOKENIZER_VOCAB_MERGES_H

#include "runtime/json.h"

/* The likeness of a tokenizer.json, to be freed by cJSON_Delete. config: the folder's
 * tokenizer_config.json, or NULL; its tokenizer_class, or else model_type, the one of config.json
 * (may be NULL), decides, as in transformers: GPT2Tokenizer and CodeGenTokenizer, RobertaTokenizer
 * with BartTokenizer, LongformerTokenizer and LEDTokenizer, Qwen2Tokenizer ("Fast" may follow
 * each). Without either it is GPT-2's. Beyond tokenizer.json there is the object
 * "special_tokens_map". Errors name the file and the line. */
attn_status attn_vocab_merges_json(const char *vocab_path, const char *merges_path,
                                   const cJSON *config, const char *model_type, cJSON **out,
                                   attn_error *err);

#endif
