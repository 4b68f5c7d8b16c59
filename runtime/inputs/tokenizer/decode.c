#include "runtime/inputs/tokenizer/tokenizer.h"

#include <string.h>

/* A token is special if an added token of that text is. */
static bool is_special(const attn_tokenizer *t, const char *text, size_t length)
{
    const attn_added_token *added = attn_added_by_text(&t->added, text, length);
    return added && added->special;
}

static attn_status put_tokens(const attn_tokenizer *t, const int32_t *ids, size_t count,
                              bool skip_special, attn_words *words, attn_error *err)
{
    for (size_t i = 0; i < count; i++) {
        const attn_added_token *added = attn_added_by_id(&t->added, ids[i]);
        const attn_token *token = added ? NULL : attn_vocabulary_token(&t->vocabulary, ids[i]);
        if (!added && !token) continue;
        const char *text = added ? added->normal : token->text;
        size_t length = added ? added->normal_length : token->length;
        if (skip_special && is_special(t, text, length)) continue;
        ATTN_TRY(attn_words_put(words, text, length, err));
        ATTN_TRY(attn_words_end(words, err));
    }
    return ATTN_OK;
}

static attn_status join(const attn_tokenizer *t, const attn_words *words, char **text,
                        size_t *length, attn_error *err)
{
    size_t spaces = !t->decoders.set && words->count > 1 ? words->count - 1 : 0, at = 0;
    attn_memory memory;
    void *fresh;
    attn_memory_init(&memory, &t->memory.allocator, 0);
    ATTN_TRY(attn_alloc(&memory, words->length + spaces + 1, "the text of tokens", &fresh, err));
    char *joined = fresh;
    for (size_t i = 0; i < words->count; i++) {
        size_t bytes;
        const char *word = attn_words_at(words, i, &bytes);
        if (i && spaces) joined[at++] = ' ';
        if (bytes) memcpy(joined + at, word, bytes);
        at += bytes;
    }
    joined[at] = 0;
    *text = joined;
    *length = at;
    return ATTN_OK;
}

attn_status attn_tokenizer_decode(const attn_tokenizer *t, const int32_t *ids, size_t count,
                                  bool skip_special, char **text, size_t *length, attn_error *err)
{
    *text = NULL;
    *length = 0;
    attn_tokenizing *w = attn_tokenizing_take(t, err);
    if (!w) return err ? err->status : ATTN_NO_MEMORY;
    attn_words *words = &w->words[0];
    words->count = words->length = 0;
    attn_status status = put_tokens(t, ids, count, skip_special, words, err);
    attn_matcher_begin(&w->matcher, words->length);
    if (!status && words->count)
        status = attn_decode(&t->decoders, &w->matcher, words, &w->words[1], err);
    if (!status) status = join(t, words, text, length, err);
    attn_tokenizing_give(t, w);
    return status;
}

void attn_text_free(const attn_tokenizer *t, char *text)
{
    if (text) t->memory.allocator.release(t->memory.allocator.user, text);
}
