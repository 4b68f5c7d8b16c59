/* WordLevel: a pre-token is a token, or unknown. */
#include "runtime/inputs/tokenizer/algorithm.h"

#include <string.h>

typedef struct wordlevel {
    int32_t unknown; /* -1: not in the vocabulary */
    const char *unknown_text;
} wordlevel;

static attn_status build(void *self, const cJSON *model, const char *file,
                         attn_vocabulary *vocabulary, attn_arena *arena, attn_error *err)
{
    wordlevel *w = self;
    const char *unknown;
    ATTN_TRY(attn_vocabulary_read(vocabulary, attn_json_get(model, "vocab"), file, "model.vocab",
                                  arena, err));
    ATTN_TRY(attn_model_text(model, "unk_token", true, file, &unknown, err));
    w->unknown_text = attn_arena_text(arena, unknown, strlen(unknown), err);
    w->unknown = attn_vocabulary_id(vocabulary, unknown, strlen(unknown));
    return w->unknown_text ? ATTN_OK : ATTN_NO_MEMORY;
}

static attn_status encode(const void *self, const attn_vocabulary *vocabulary, const char *text,
                          size_t length, attn_tokenizer_work *work, attn_pieces *out,
                          attn_error *err)
{
    const wordlevel *w = self;
    (void)work;
    int32_t id = attn_vocabulary_id(vocabulary, text, length);
    if (id < 0) id = w->unknown;
    if (id < 0)
        return attn_fail(err, ATTN_BAD_MODEL,
                         "\"%.*s\" is not in the vocabulary, nor is the unknown token \"%.80s\"",
                         length < 80 ? (int)length : 80, text, w->unknown_text);
    return attn_pieces_add(out, id, 0, length, err);
}

const attn_algorithm attn_algorithm_wordlevel = {
    .name = "WordLevel", .size = sizeof(wordlevel), .build = build, .encode = encode};
