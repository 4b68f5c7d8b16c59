#include "runtime/inputs/tokenizer/sentencepiece.h"

#include "runtime/inputs/tokenizer/likeness.h"
#include "runtime/inputs/tokenizer/vocabulary.h"

#include <stdio.h>
#include <string.h>

#define MARK "\xe2\x96\x81" /* U+2581 */

typedef enum family { PLAIN, GENERIC, LLAMA, GEMMA, T5, XLM_ROBERTA, ALBERT, DEBERTA } family;

/* Defaults of transformers 5.23. single, pair: the post-processor, each token by its first letter
 * and its type. */
static const struct known {
    const char *name;
    family family;
    bool is_bpe;
    const char *role[ATTN_SPECIAL_ROLES];
    const char *single, *pair;
} knowns[] = {
    {"LlamaTokenizer", LLAMA, true, {"<s>", "</s>", "<unk>"}, NULL, NULL},
    {"GemmaTokenizer",
     GEMMA,
     true,
     {"<bos>", "<eos>", "<unk>", NULL, "<pad>", NULL, "<mask>"},
     NULL,
     NULL},
    {"T5Tokenizer", T5, false, {NULL, "</s>", "<unk>", NULL, "<pad>"}, "A0e0", "A0e0B0e0"},
    {"XLMRobertaTokenizer",
     XLM_ROBERTA,
     false,
     {"<s>", "</s>", "<unk>", "</s>", "<pad>", "<s>", "<mask>"},
     "b0A0e0",
     "b0A0e0e0B0e0"},
    {"AlbertTokenizer",
     ALBERT,
     false,
     {"[CLS]", "[SEP]", "<unk>", "[SEP]", "<pad>", "[CLS]", "[MASK]"},
     "c0A0s0",
     "c0A0s0B1s1"},
    {"DebertaV2Tokenizer",
     DEBERTA,
     false,
     {"[CLS]", "[SEP]", "[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"},
     "c0A0s0",
     "c0A0s0B1s1"},
    {"PreTrainedTokenizer", GENERIC, false, {NULL}, NULL, NULL},
    {"TokenizersBackend", GENERIC, false, {NULL}, NULL, NULL},
};

typedef struct builder {
    const char *file;
    attn_sentencepiece model;
    const cJSON *config;
    family family;
    const struct known *known;            /* NULL: PLAIN */
    const char *role[ATTN_SPECIAL_ROLES]; /* NULL: none */
    attn_vocabulary vocabulary;           /* and the tokens added to it */
    int32_t ids;                          /* so far */
    attn_arena *arena;
    attn_error *err;
    bool failed; /* no memory for a value */
} builder;

/* A terminated copy in the arena. */
static const char *text_of(builder *b, size_t piece)
{
    const attn_slice *s = &b->model.piece[piece].text;
    const char *copy = attn_arena_text(b->arena, s->text, s->length, b->err);
    if (!copy) b->failed = true;
    return copy ? copy : "";
}

/* ---- what the configuration says ------------------------------------------------------------ */

static attn_status find_family(builder *b)
{
    const cJSON *class = attn_json_get(b->config, "tokenizer_class");
    if (!cJSON_IsString(class)) return ATTN_OK;
    const char *name = class->valuestring;
    size_t length = strlen(name);
    if (length > 4 && strcmp(name + length - 4, "Fast") == 0) length -= 4;
    for (size_t i = 0; i < sizeof knowns / sizeof *knowns; i++)
        if (strlen(knowns[i].name) == length && memcmp(knowns[i].name, name, length) == 0)
            b->known = &knowns[i];
    if (!b->known)
        return attn_fail(b->err, ATTN_BAD_FILE,
                         "%s: how a %.80s uses this file is not known; save it as tokenizer.json",
                         b->file, name);
    b->family = b->known->family;
    if (b->family != GENERIC && b->known->is_bpe != b->model.is_bpe)
        return attn_fail(b->err, ATTN_BAD_FILE, "%s: a %.80s needs a %s model, this is %s", b->file,
                         name, b->known->is_bpe ? "BPE" : "Unigram",
                         b->model.is_bpe ? "BPE" : "Unigram");
    return ATTN_OK;
}

static void find_roles(builder *b)
{
    static const int of_trainer[ATTN_ROLES] = {ATTN_UNK, ATTN_BOS, ATTN_EOS, ATTN_PAD};
    if (b->family == PLAIN || b->family == GENERIC)
        for (int i = 0; i < (b->family == PLAIN ? ATTN_ROLES : ATTN_ROLE_PAD); i++)
            if (b->model.role[i] >= 0)
                b->role[of_trainer[i]] = text_of(b, (size_t)b->model.role[i]);
    for (int i = 0; i < ATTN_SPECIAL_ROLES; i++) {
        const cJSON *item = attn_json_get(b->config, attn_role_key[i]);
        if (b->known && b->known->role[i]) b->role[i] = b->known->role[i];
        if (item) b->role[i] = attn_config_token(item);
    }
}

/* ---- the model ---------------------------------------------------------------------------- */

static size_t extra_ids(const builder *b)
{
    double value = 100;
    if (b->family != T5) return 0;
    attn_json_integer(attn_json_get(b->config, "extra_ids"), 0, 100000, &value);
    return (size_t)value;
}

/* The next id. */
static void put_entry(builder *b, cJSON *list, const char *text, double score)
{
    if (b->model.is_bpe) {
        attn_put_number(&b->failed, list, text, b->ids);
    } else {
        cJSON *entry = attn_put(&b->failed, list, NULL, cJSON_CreateArray());
        attn_put_text(&b->failed, entry, NULL, text);
        attn_put_number(&b->failed, entry, NULL, score);
    }
    if (!attn_vocabulary_add(&b->vocabulary, text, strlen(text), b->ids++, b->arena, b->err))
        b->failed = true;
}

static attn_status put_vocabulary(builder *b, cJSON *model)
{
    size_t extra = extra_ids(b), room = b->model.count + extra + 64, first = 0;
    cJSON *list = attn_put(&b->failed, model, "vocab",
                           b->model.is_bpe ? cJSON_CreateObject() : cJSON_CreateArray());
    ATTN_TRY(attn_vocabulary_init(&b->vocabulary, room, room, b->arena, b->err));
    if (b->family == XLM_ROBERTA) {
        static const int order[] = {ATTN_BOS, ATTN_PAD, ATTN_EOS, ATTN_UNK};
        for (int i = 0; i < 4; i++) put_entry(b, list, b->role[order[i]], 0);
        first = 3; /* the file's <unk>, <s>, </s> */
    }
    for (size_t i = first; i < b->model.count && !b->failed; i++)
        put_entry(b, list, text_of(b, i), b->model.piece[i].score);
    if (b->family == XLM_ROBERTA) put_entry(b, list, b->role[ATTN_MASK], 0);
    for (size_t i = extra; i-- > 0;) {
        char text[32];
        snprintf(text, sizeof text, "<extra_id_%zu>", i);
        put_entry(b, list, text, 0);
    }
    return ATTN_OK;
}

/* Every way to cut a token into two tokens; of all merges, first those whose result has the lower
 * id, then those with the shorter left part. */
static attn_status put_merges(builder *b, cJSON *model)
{
    enum { LONGEST = 256 };
    const attn_vocabulary *v = &b->vocabulary;
    cJSON *list = attn_put(&b->failed, model, "merges", cJSON_CreateArray());
    for (int32_t id = 0; id < b->ids && !b->failed; id++) {
        const attn_token *t = attn_vocabulary_token(v, id);
        if (!t) continue;
        if (t->length > LONGEST)
            return attn_fail(b->err, ATTN_LIMIT,
                             "%s: piece %d has %u bytes, at most %d are read in a BPE model",
                             b->file, (int)id, (unsigned)t->length, LONGEST);
        for (size_t i = 1; i < t->length; i++) {
            char left[LONGEST + 1];
            if ((t->text[i] & 0xc0) == 0x80 || attn_vocabulary_id(v, t->text, i) < 0 ||
                attn_vocabulary_id(v, t->text + i, t->length - i) < 0)
                continue;
            cJSON *pair = attn_put(&b->failed, list, NULL, cJSON_CreateArray());
            memcpy(left, t->text, i);
            left[i] = 0;
            attn_put_text(&b->failed, pair, NULL, left);
            attn_put_text(&b->failed, pair, NULL, t->text + i);
        }
    }
    return ATTN_OK;
}

static double unknown_id(const builder *b)
{
    const char *text = b->role[ATTN_UNK];
    if (b->family == T5) return 2;
    if (b->family == XLM_ROBERTA) return 3;
    if (b->family == ALBERT) return 1;
    if (b->family == DEBERTA && text) {
        int32_t id = attn_vocabulary_id(&b->vocabulary, text, strlen(text));
        if (id >= 0 && b->model.piece[id].score == 0) return id;
    }
    return b->model.role[ATTN_ROLE_UNK];
}

static attn_status put_model(builder *b, cJSON *root)
{
    cJSON *model = attn_put(&b->failed, root, "model", cJSON_CreateObject());
    const attn_sentencepiece *m = &b->model;
    bool fallback = b->family == LLAMA || b->family == GEMMA ||
                    ((b->family == PLAIN || b->family == GENERIC) && m->byte_fallback);
    attn_put_text(&b->failed, model, "type", m->is_bpe ? "BPE" : "Unigram");
    attn_put_flag(&b->failed, model, "byte_fallback", fallback);
    ATTN_TRY(put_vocabulary(b, model));
    if (!m->is_bpe) {
        attn_put_flag(&b->failed, model, "exact_scores", true);
        attn_put_number(&b->failed, model, "unk_id", unknown_id(b));
        return ATTN_OK;
    }
    attn_put_flag(&b->failed, model, "fuse_unk", true);
    attn_put_text(&b->failed, model, "unk_token",
                  b->family == LLAMA   ? NULL
                  : b->family == GEMMA ? b->role[ATTN_UNK]
                                       : text_of(b, (size_t)m->role[ATTN_ROLE_UNK]));
    return put_merges(b, model);
}

/* ---- around the model --------------------------------------------------------------------- */

static cJSON *charsmap(builder *b)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *from = (const unsigned char *)b->model.charsmap.text;
    size_t length = b->model.charsmap.length, used = 0;
    char *text = attn_arena_get(b->arena, length / 3 + 2, 4, b->err);
    cJSON *item = cJSON_CreateObject();
    if (!text) {
        b->failed = true;
        return item;
    }
    for (size_t i = 0; i < length; i += 3) {
        size_t left = length - i;
        uint32_t bits = (uint32_t)from[i] << 16 | (left > 1 ? (uint32_t)from[i + 1] << 8 : 0) |
                        (left > 2 ? from[i + 2] : 0);
        text[used++] = digits[bits >> 18];
        text[used++] = digits[bits >> 12 & 63];
        text[used++] = left > 1 ? digits[bits >> 6 & 63] : '=';
        text[used++] = left > 2 ? digits[bits & 63] : '=';
    }
    attn_put_text(&b->failed, item, "type", "Precompiled");
    attn_put_text(&b->failed, item, "precompiled_charsmap", text);
    if (b->family == PLAIN) attn_put_flag(&b->failed, item, "longest_match", true);
    return item;
}

static void put_replace(builder *b, cJSON *object, const char *key, bool regex, const char *from,
                        const char *to)
{
    cJSON *item = attn_put(&b->failed, object, key, cJSON_CreateObject());
    attn_put_text(&b->failed, item, "type", "Replace");
    attn_put_text(&b->failed, attn_put(&b->failed, item, "pattern", cJSON_CreateObject()),
                  regex ? "Regex" : "String", from);
    attn_put_text(&b->failed, item, "content", to);
}

static void put_type(builder *b, cJSON *list, bool when, const char *type)
{
    if (when)
        attn_put_text(&b->failed, attn_put(&b->failed, list, NULL, cJSON_CreateObject()), "type",
                      type);
}

static void put_charsmap(builder *b, cJSON *object, const char *key)
{
    if (b->model.charsmap.length) attn_put(&b->failed, object, key, charsmap(b));
}

/* As the sentencepiece library does. */
static void put_own_normalizers(builder *b, cJSON *list)
{
    const attn_sentencepiece *m = &b->model;
    if (m->remove_extra_whitespaces) {
        put_replace(b, list, NULL, true, "^ +| +$", "");
        put_replace(b, list, NULL, true, " {2,}", " ");
    }
    if (m->add_dummy_prefix)
        attn_put_json(&b->failed, list, NULL, "{'type':'Prepend','prepend':' '}");
    if (m->escape_whitespaces) put_replace(b, list, NULL, false, " ", MARK);
}

static void put_normalizer(builder *b, cJSON *root)
{
    if (b->family == LLAMA) return;
    if (b->family == GEMMA) {
        put_replace(b, root, "normalizer", false, " ", MARK);
        return;
    }
    if (b->family == T5 || b->family == XLM_ROBERTA) {
        put_charsmap(b, root, "normalizer");
        return;
    }
    cJSON *list = attn_put_sequence(&b->failed, root, "normalizer", "normalizers");
    if (b->family == DEBERTA) {
        put_type(b, list, attn_config_flag(b->config, "do_lower_case", false), "Lowercase");
        put_replace(b, list, NULL, true, "\\s{2,}|[\\n\\r\\t]", " ");
        put_type(b, list, true, "NFC");
        attn_put_json(&b->failed, list, NULL,
                      "{'type':'Strip','strip_left':false,'strip_right':true}");
        return;
    }
    if (b->family == ALBERT) {
        bool accents = attn_config_flag(b->config, "keep_accents", false);
        put_replace(b, list, NULL, false, "``", "\"");
        put_replace(b, list, NULL, false, "''", "\"");
        put_type(b, list, !accents, "NFKD");
        put_type(b, list, !accents, "StripAccents");
        put_type(b, list, attn_config_flag(b->config, "do_lower_case", true), "Lowercase");
    }
    put_charsmap(b, list, NULL);
    if (b->family == GENERIC) put_replace(b, list, NULL, false, " ", MARK);
    if (b->family == PLAIN) put_own_normalizers(b, list);
}

/* The pre-tokenizer's or decoder's. */
static void put_metaspace(builder *b, cJSON *object, const char *key)
{
    bool prefix = attn_config_flag(b->config, "add_prefix_space", true);
    const char *scheme = prefix || b->family == T5 ? "always"
                         : b->family == DEBERTA    ? "first"
                                                   : "never";
    if (b->family == LLAMA && prefix && !attn_config_flag(b->config, "legacy", false))
        scheme = "first";
    cJSON *item = attn_put(&b->failed, object, key, cJSON_CreateObject());
    attn_put_text(&b->failed, item, "type", "Metaspace");
    attn_put_text(&b->failed, item, "replacement", MARK);
    attn_put_text(&b->failed, item, "prepend_scheme", scheme);
    attn_put_flag(&b->failed, item, "split", b->family != LLAMA);
}

static void put_pre_tokenizer(builder *b, cJSON *root)
{
    if (b->family == PLAIN || b->family == GENERIC) return;
    if (b->family == LLAMA) {
        put_metaspace(b, root, "pre_tokenizer");
    } else if (b->family == GEMMA) {
        attn_put_json(&b->failed, root, "pre_tokenizer",
                      "{'type':'Split','pattern':{'String':' '},'behavior':'MergedWithPrevious',"
                      "'invert':false}");
    } else {
        cJSON *list = attn_put_sequence(&b->failed, root, "pre_tokenizer", "pretokenizers");
        put_type(b, list, b->family != DEBERTA, "WhitespaceSplit");
        if (b->family == DEBERTA && attn_config_flag(b->config, "split_by_punct", false))
            attn_put_json(&b->failed, list, NULL, "{'type':'Punctuation','behavior':'Isolated'}");
        put_metaspace(b, list, NULL);
    }
}

static void put_decoder(builder *b, cJSON *root)
{
    const attn_sentencepiece *m = &b->model;
    if (b->family >= T5) {
        put_metaspace(b, root, "decoder");
        return;
    }
    cJSON *list = attn_put_sequence(&b->failed, root, "decoder", "decoders");
    put_replace(b, list, NULL, false, MARK, " ");
    if (b->family == GENERIC && !m->byte_fallback) return;
    put_type(b, list, true, "ByteFallback");
    put_type(b, list, true, "Fuse");
    bool strip = b->family == LLAMA   ? attn_config_flag(b->config, "add_prefix_space", true)
                 : b->family == PLAIN ? m->add_dummy_prefix || m->remove_extra_whitespaces
                                      : false;
    if (strip)
        attn_put_json(&b->failed, list, NULL, "{'type':'Strip','content':' ','start':1,'stop':0}");
}

/* ---- added tokens ------------------------------------------------------------------------- */

/* A token that the vocabulary has not yet gets the next id. */
static int32_t id_of(builder *b, const char *text)
{
    size_t length = strlen(text);
    int32_t id = attn_vocabulary_id(&b->vocabulary, text, length);
    if (id >= 0) return id;
    if (!attn_vocabulary_add(&b->vocabulary, text, length, b->ids, b->arena, b->err))
        b->failed = true;
    return b->ids++;
}

static void put_added_tokens(builder *b, cJSON *root)
{
    cJSON *list = attn_put(&b->failed, root, "added_tokens", cJSON_CreateArray());
    cJSON *map = attn_put(&b->failed, root, "special_tokens_map", cJSON_CreateObject());
    for (size_t i = 0; i < b->model.count && !b->failed; i++) {
        attn_piece_type type = b->model.piece[i].type;
        if (type != ATTN_PIECE_CONTROL && type != ATTN_PIECE_USER) continue;
        const char *text = text_of(b, i);
        attn_put_added(&b->failed, list, id_of(b, text), text, type == ATTN_PIECE_CONTROL, false);
    }
    for (int i = 0; i < ATTN_SPECIAL_ROLES; i++) {
        if (!b->role[i]) continue;
        attn_put_text(&b->failed, map, attn_role_key[i], b->role[i]);
        attn_put_added(&b->failed, list, id_of(b, b->role[i]), b->role[i], true, false);
    }
    for (size_t i = extra_ids(b); i-- > 0 && !b->failed;) {
        char text[32];
        snprintf(text, sizeof text, "<extra_id_%zu>", i);
        attn_put_added(&b->failed, list, id_of(b, text), text, true, false);
    }
}

static void put_post_processor(builder *b, cJSON *root)
{
    char single[16], pair[32];
    int32_t id[ATTN_SPECIAL_ROLES] = {0};
    for (int i = 0; i < ATTN_SPECIAL_ROLES; i++)
        if (b->role[i]) id[i] = id_of(b, b->role[i]);
    if (b->known && b->known->single) {
        attn_put_template(&b->failed, root, b->known->single, b->known->pair, b->role, id);
        return;
    }
    bool bos = b->role[ATTN_BOS] && attn_config_flag(b->config, "add_bos_token", false);
    bool eos = b->role[ATTN_EOS] && attn_config_flag(b->config, "add_eos_token", false);
    snprintf(single, sizeof single, "%sA0%s", bos ? "b0" : "", eos ? "e0" : "");
    snprintf(pair, sizeof pair, "%s%sB1%s", single, bos ? "b1" : "", eos ? "e1" : "");
    if (bos || eos) attn_put_template(&b->failed, root, single, pair, b->role, id);
}

/* ---- the whole ---------------------------------------------------------------------------- */

static attn_status put_all(builder *b, cJSON *root)
{
    ATTN_TRY(find_family(b));
    find_roles(b);
    for (int i = 0; b->known && b->known->single && i < ATTN_SPECIAL_ROLES; i++)
        if (b->known->role[i] && !b->role[i])
            return attn_fail(b->err, ATTN_BAD_FILE, "%s: a %s needs a %s", b->file, b->known->name,
                             attn_role_key[i]);
    put_normalizer(b, root);
    put_pre_tokenizer(b, root);
    ATTN_TRY(put_model(b, root));
    put_added_tokens(b, root);
    put_post_processor(b, root);
    put_decoder(b, root);
    return b->failed ? attn_fail(b->err, ATTN_NO_MEMORY, "%s: out of memory", b->file) : ATTN_OK;
}

attn_status attn_sentencepiece_json(const char *file, const void *data, size_t size,
                                    const cJSON *config, attn_memory *memory, cJSON **out,
                                    attn_error *err)
{
    attn_arena arena;
    attn_arena_init(&arena, memory);
    builder b = {.file = file, .config = config, .arena = &arena, .err = err};
    *out = NULL;
    attn_status status = attn_sentencepiece_read(&b.model, file, data, size, &arena, err);
    cJSON *root = status ? NULL : cJSON_CreateObject();
    if (!status)
        status =
            root ? put_all(&b, root) : attn_fail(err, ATTN_NO_MEMORY, "%s: out of memory", file);
    attn_arena_free(&arena);
    if (status)
        cJSON_Delete(root);
    else
        *out = root;
    return status;
}
