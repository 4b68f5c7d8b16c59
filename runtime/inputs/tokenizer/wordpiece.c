/* WordPiece, BERT's: the longest token that begins the word, then the longest "##..." that goes on
 * from there; a word that cannot be finished so is unknown as a whole. */
#include "runtime/inputs/tokenizer/algorithm.h"
#include "runtime/inputs/tokenizer/trie.h"

#include <string.h>

typedef struct wordpiece {
    attn_trie trie;
    uint32_t inner; /* the node of the prefix "##"; UINT32_MAX: no token begins so */
    size_t most;    /* characters of a word */
    int32_t unknown;
    const char *unknown_text;
} wordpiece;

static attn_status build(void *self, const cJSON *model, const char *file,
                         attn_vocabulary *vocabulary, attn_arena *arena, attn_error *err)
{
    wordpiece *w = self;
    const char *unknown, *prefix;
    size_t bytes = 0;
    w->most = 100;
    ATTN_TRY(attn_vocabulary_read(vocabulary, attn_json_get(model, "vocab"), file, "model.vocab",
                                  arena, err));
    ATTN_TRY(attn_model_text(model, "unk_token", true, file, &unknown, err));
    ATTN_TRY(attn_model_text(model, "continuing_subword_prefix", true, file, &prefix, err));
    ATTN_TRY(
        attn_model_integer(model, "max_input_chars_per_word", 0, UINT32_MAX, file, &w->most, err));
    for (size_t i = 0; i < vocabulary->count; i++) bytes += vocabulary->token[i].length;
    ATTN_TRY(attn_trie_init(&w->trie, bytes, arena, err));
    for (size_t i = 0; i < vocabulary->count; i++) {
        const attn_token *token = &vocabulary->token[i];
        attn_trie_add(&w->trie, token->text, token->length, token->id);
    }
    for (const char *c = prefix; *c && w->inner != UINT32_MAX; c++) {
        w->inner = attn_trie_step(&w->trie, w->inner, (unsigned char)*c);
        if (!w->inner) w->inner = UINT32_MAX;
    }
    w->unknown = attn_vocabulary_id(vocabulary, unknown, strlen(unknown));
    w->unknown_text = attn_arena_text(arena, unknown, strlen(unknown), err);
    return w->unknown_text ? ATTN_OK : ATTN_NO_MEMORY;
}

static bool is_too_long(const char *text, size_t length, size_t most)
{
    size_t characters = 0;
    if (length <= most) return false;
    for (size_t i = 0; i < length; i++) characters += (text[i] & 0xc0) != 0x80;
    return characters > most;
}

static attn_status encode(const void *self, const attn_vocabulary *vocabulary, const char *text,
                          size_t length, attn_tokenizer_work *work, attn_pieces *out,
                          attn_error *err)
{
    const wordpiece *w = self;
    size_t before = out->count, at = 0;
    (void)work;
    (void)vocabulary;
    if (is_too_long(text, length, w->most)) at = SIZE_MAX;
    while (at < length) {
        uint32_t node = at ? w->inner : 0;
        int32_t id = -1;
        size_t end = at;
        if (node != UINT32_MAX) {
            for (size_t i = at; i < length; i++) {
                node = attn_trie_step(&w->trie, node, (unsigned char)text[i]);
                if (!node) break;
                if (w->trie.value[node] < 0) continue;
                id = w->trie.value[node];
                end = i + 1;
            }
        }
        if (id < 0) {
            at = SIZE_MAX;
            break;
        }
        ATTN_TRY(attn_pieces_add(out, id, at, end, err));
        at = end;
    }
    if (at != SIZE_MAX) return ATTN_OK;
    out->count = before;
    if (w->unknown >= 0) return attn_pieces_add(out, w->unknown, 0, length, err);
    return attn_fail(err, ATTN_BAD_MODEL,
                     "\"%.*s\" has no tokens, and the vocabulary no unknown token \"%.80s\"",
                     length < 80 ? (int)length : 80, text, w->unknown_text);
}

const attn_algorithm attn_algorithm_wordpiece = {
    .name = "WordPiece", .size = sizeof(wordpiece), .build = build, .encode = encode};
