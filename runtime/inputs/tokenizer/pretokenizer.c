#include "runtime/inputs/tokenizer/pretokenizer.h"

#include <string.h>

enum { MOST = 64 }; /* pre-tokenizers of a file */

static const char gpt2[] =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

static const char *const behaviors[] = {"Removed",        "Isolated",   "MergedWithPrevious",
                                        "MergedWithNext", "Contiguous", NULL};

static attn_status read_behavior(attn_pretokenizer *t, const attn_place *p, bool needed,
                                 attn_error *err)
{
    int choice = ATTN_ISOLATED;
    ATTN_TRY(attn_place_choice(p, "behavior", needed, behaviors, &choice, err));
    t->behavior = (attn_behavior)choice;
    return ATTN_OK;
}

attn_status attn_metaspace_read(const attn_place *p, uint32_t *replacement, attn_prepend *prepend,
                                bool *split, attn_error *err)
{
    static const char *const schemes[] = {"first", "never", "always", NULL};
    int scheme = ATTN_PREPEND_ALWAYS;
    bool prefix = true;
    *split = true;
    ATTN_TRY(attn_place_char(p, "replacement", replacement, err));
    ATTN_TRY(attn_place_choice(p, "prepend_scheme", false, schemes, &scheme, err));
    ATTN_TRY(attn_place_flag(p, "split", false, split, err));
    ATTN_TRY(attn_place_flag(p, "add_prefix_space", false, &prefix, err));
    /* The older form: no scheme, which means "always", or the flag. */
    if (!prefix && scheme != ATTN_PREPEND_NEVER) {
        if (attn_json_get(p->object, "prepend_scheme"))
            return attn_place_fail(
                p, err, "\"add_prefix_space\" is false, but \"prepend_scheme\" is \"%s\"",
                schemes[scheme]);
        scheme = ATTN_PREPEND_NEVER;
    }
    *prepend = (attn_prepend)scheme;
    return ATTN_OK;
}

static attn_status read_byte_level(attn_pretokenizer *t, const attn_place *p,
                                   attn_pattern **patterns, attn_arena *arena, attn_error *err)
{
    bool trim;
    t->run = attn_cut_byte_level;
    t->split = true;
    t->behavior = ATTN_ISOLATED;
    ATTN_TRY(attn_place_flag(p, "add_prefix_space", true, &t->add_prefix_space, err));
    ATTN_TRY(attn_place_flag(p, "trim_offsets", true, &trim, err));
    ATTN_TRY(attn_place_flag(p, "use_regex", false, &t->split, err));
    attn_pattern *pattern = attn_arena_get(arena, 1, sizeof *pattern, err);
    if (!pattern) return ATTN_NO_MEMORY;
    t->pattern = pattern;
    attn_status status = attn_pattern_init(pattern, gpt2, false, p->file, p->name, arena, err);
    pattern->next = *patterns;
    *patterns = pattern;
    return status;
}

static attn_status read_digits(attn_pretokenizer *t, const attn_place *p, attn_error *err)
{
    bool single = false;
    ATTN_TRY(attn_place_flag(p, "individual_digits", true, &single, err));
    *t = (attn_pretokenizer){.run = attn_cut_property,
                             .is = ATTN_IS_NUMBER,
                             .behavior = single ? ATTN_ISOLATED : ATTN_CONTIGUOUS};
    return ATTN_OK;
}

static attn_status read_one(attn_pretokenizer *t, const char *type, const attn_place *p,
                            attn_pattern **patterns, attn_arena *arena, attn_error *err)
{
    if (strcmp(type, "BertPreTokenizer") == 0) {
        t->run = attn_cut_bert;
    } else if (strcmp(type, "Whitespace") == 0) {
        t->run = attn_cut_words;
    } else if (strcmp(type, "UnicodeScripts") == 0) {
        t->run = attn_cut_scripts;
    } else if (strcmp(type, "WhitespaceSplit") == 0) {
        *t = (attn_pretokenizer){
            .run = attn_cut_property, .is = ATTN_IS_SPACE, .behavior = ATTN_REMOVED};
    } else if (strcmp(type, "Punctuation") == 0) {
        *t = (attn_pretokenizer){.run = attn_cut_property, .is = ATTN_IS_PUNCTUATION};
        return read_behavior(t, p, false, err);
    } else if (strcmp(type, "Digits") == 0) {
        return read_digits(t, p, err);
    } else if (strcmp(type, "CharDelimiterSplit") == 0) {
        *t = (attn_pretokenizer){.run = attn_cut_character, .behavior = ATTN_REMOVED};
        return attn_place_char(p, "delimiter", &t->character, err);
    } else if (strcmp(type, "FixedLength") == 0) {
        *t = (attn_pretokenizer){.run = attn_cut_length, .length = 5};
        return attn_place_size(p, "length", false, 1, UINT32_MAX, &t->length, err);
    } else if (strcmp(type, "Split") == 0) {
        t->run = attn_cut_pattern;
        ATTN_TRY(attn_place_pattern(p, "pattern", patterns, &t->pattern, arena, err));
        ATTN_TRY(attn_place_flag(p, "invert", true, &t->invert, err));
        return read_behavior(t, p, true, err);
    } else if (strcmp(type, "Metaspace") == 0) {
        t->run = attn_cut_metaspace;
        return attn_metaspace_read(p, &t->character, &t->prepend, &t->split, err);
    } else if (strcmp(type, "ByteLevel") == 0) {
        return read_byte_level(t, p, patterns, arena, err);
    } else {
        return attn_place_fail(p, err, "there is no pre-tokenizer \"%.60s\"", type);
    }
    return ATTN_OK;
}

static attn_status read_any(attn_pretokenizers *t, const attn_place *p, attn_pattern **patterns,
                            attn_arena *arena, attn_error *err)
{
    const char *type;
    const cJSON *list;
    int index = 0;
    ATTN_TRY(attn_place_component(p, "pretokenizers", &type, &list, err));
    if (list) {
        for (const cJSON *item = list->child; item; item = item->next, index++) {
            attn_place at = attn_place_at(p, "pretokenizers", item, index);
            ATTN_TRY(read_any(t, &at, patterns, arena, err));
        }
        return ATTN_OK;
    }
    if (t->count == MOST) return attn_place_fail(p, err, "more than %d pre-tokenizers", MOST);
    return read_one(&t->list[t->count++], type, p, patterns, arena, err);
}

attn_status attn_pretokenizers_read(attn_pretokenizers *p, const attn_place *place,
                                    attn_pattern **patterns, attn_arena *arena, attn_error *err)
{
    *p = (attn_pretokenizers){0};
    if (!place->object || cJSON_IsNull(place->object)) return ATTN_OK;
    p->list = attn_arena_get(arena, MOST, sizeof *p->list, err);
    return p->list ? read_any(p, place, patterns, arena, err) : ATTN_NO_MEMORY;
}

attn_status attn_cut(const attn_pretokenizers *p, attn_cutting *c, const attn_string *text,
                     size_t first, size_t end, attn_error *err)
{
    c->text = text;
    c->spans.count = c->next.count = 0;
    if (first < end) ATTN_TRY(attn_ranges_add(&c->spans, first, end, err));
    for (size_t i = 0; i < p->count; i++) {
        ATTN_TRY(p->list[i].run(&p->list[i], c, err));
        attn_ranges spans = c->spans;
        c->spans = c->next;
        c->next = spans;
        c->next.count = 0;
    }
    return ATTN_OK;
}
