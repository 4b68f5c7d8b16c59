#include "runtime/inputs/tokenizer/postprocessor.h"
#include "runtime/inputs/tokenizer/byte_level.h"

#include <string.h>

attn_status attn_part_add(attn_memory *memory, attn_part *part, attn_entry entry, attn_error *err)
{
    if (part->count == part->room) {
        size_t room = part->room ? 2 * part->room : 64, bytes;
        void *fresh;
        if (!attn_mul(room, sizeof *part->entry, &bytes))
            return attn_fail(err, ATTN_NO_MEMORY, "%zu tokens are more than can exist", room);
        ATTN_TRY(attn_alloc(memory, bytes, "the tokens of a text", &fresh, err));
        if (part->count) memcpy(fresh, part->entry, part->count * sizeof *part->entry);
        attn_release(memory, part->entry, part->room * sizeof *part->entry);
        part->entry = fresh;
        part->room = room;
    }
    part->entry[part->count++] = entry;
    return ATTN_OK;
}

void attn_part_free(attn_memory *memory, attn_part *part)
{
    attn_release(memory, part->entry, part->room * sizeof *part->entry);
    *part = (attn_part){0};
}

/* ---- offsets without white space ---------------------------------------------------------- */

static bool is_space(const attn_unicode *u, uint32_t c)
{
    return c == ATTN_BYTE_SPACE || attn_unicode_of(u, c) & ATTN_IS_SPACE;
}

/* How many characters of white space a text begins or ends with. */
static size_t leading(const attn_unicode *u, const char *text, size_t length)
{
    size_t count = 0;
    uint32_t c;
    for (size_t at = 0; at < length; count++) {
        at += attn_utf8_read(text + at, &c);
        if (!is_space(u, c)) break;
    }
    return count;
}

static size_t trailing(const attn_unicode *u, const char *text, size_t length)
{
    size_t count = 0;
    uint32_t c;
    for (; length; count++) {
        length = attn_utf8_back(text, length);
        attn_utf8_read(text + length, &c);
        if (!is_space(u, c)) break;
    }
    return count;
}

void attn_trim_offsets(attn_part *part, int text, bool add_prefix_space,
                       const attn_token_texts *texts)
{
    const char *given = texts->given[text].text;
    for (size_t i = 0; i < part->count; i++) {
        attn_entry *e = &part->entry[i];
        const attn_token *known = attn_vocabulary_token(texts->vocabulary, e->id);
        const char *token = e->added ? given + e->first : known ? known->text : "";
        size_t length = e->added ? e->end - e->first : known ? known->length : 0;
        size_t before = leading(texts->unicode, token, length);
        size_t after = trailing(texts->unicode, token, length);
        if (before == 1 && add_prefix_space && (i == 0 || e->first == 0)) before = 0;
        for (; before && e->first < e->end; before--) do
                e->first++;
            while (e->first < e->end && (given[e->first] & 0xc0) == 0x80);
        for (; after && e->end > e->first; after--) do
                e->end--;
            while (e->end > e->first && (given[e->end] & 0xc0) == 0x80);
    }
}

/* ---- the processors ----------------------------------------------------------------------- */

static attn_entry special_entry(int32_t id, int32_t type)
{
    return (attn_entry){.id = id, .word = -1, .type = type, .sequence = -1, .special = 1};
}

/* first and last: special tokens around a part; -1: none. */
static attn_status surround(attn_parts *parts, size_t index, int32_t first, int32_t last,
                            int32_t type, attn_error *err)
{
    attn_part *part = &parts->part[index];
    ATTN_TRY(attn_part_add(parts->memory, part, special_entry(last, type), err));
    if (first < 0) return ATTN_OK;
    ATTN_TRY(attn_part_add(parts->memory, part, special_entry(last, type), err));
    memmove(part->entry + 1, part->entry, (part->count - 1) * sizeof *part->entry);
    part->entry[0] = special_entry(first, type);
    return ATTN_OK;
}

static void set_sequence(attn_part *part, int32_t sequence)
{
    for (size_t i = 0; i < part->count; i++) part->entry[i].sequence = sequence;
}

static void set_type(attn_part *part, int32_t type)
{
    for (size_t i = 0; i < part->count; i++) part->entry[i].type = type;
}

static attn_status run_bert(const attn_postprocessor *p, attn_parts *parts, bool special,
                            attn_error *err)
{
    if (!special) return ATTN_OK;
    for (size_t i = 0; i < parts->count; i++)
        ATTN_TRY(surround(parts, i, i ? -1 : p->cls, p->sep, i > 0, err));
    return ATTN_OK;
}

static attn_status run_roberta(const attn_postprocessor *p, attn_parts *parts, bool special,
                               const attn_token_texts *texts, attn_error *err)
{
    for (size_t i = 0; i < parts->count; i++) {
        if (p->trim_offsets) attn_trim_offsets(&parts->part[i], (int)i, p->add_prefix_space, texts);
        set_type(&parts->part[i], 0);
        if (special) ATTN_TRY(surround(parts, i, i ? p->sep : p->cls, p->sep, 0, err));
    }
    return ATTN_OK;
}

static void run_bytes(const attn_postprocessor *p, attn_parts *parts, const attn_token_texts *texts)
{
    for (size_t i = 0; i < parts->count; i++) {
        if (p->trim_offsets) attn_trim_offsets(&parts->part[i], (int)i, p->add_prefix_space, texts);
        set_sequence(&parts->part[i], (int32_t)i);
    }
}

static attn_status run_template(const attn_postprocessor *p, attn_parts *parts, bool special,
                                attn_error *err)
{
    const attn_template *t = parts->count > 1 ? &p->pair : &p->single;
    attn_part made = {0};
    attn_status status = ATTN_OK;
    for (size_t i = 0; i < t->count && !status; i++) {
        const attn_template_piece *piece = &t->piece[i];
        if (piece->sequence < 0) {
            for (size_t k = 0; special && k < piece->count && !status; k++)
                status = attn_part_add(parts->memory, &made,
                                       special_entry(piece->id[k], piece->type), err);
            continue;
        }
        if ((size_t)piece->sequence >= parts->count) continue;
        /* Of a text that stands in the template twice, the last place is the one that counts. */
        for (size_t k = 0; k < made.count; k++)
            if (made.entry[k].sequence == piece->sequence) made.entry[k].sequence = -1;
        attn_part *part = &parts->part[piece->sequence];
        if (!parts->later[piece->sequence]) set_type(part, piece->type);
        set_sequence(part, piece->sequence);
        for (size_t k = 0; k < part->count && !status; k++)
            status = attn_part_add(parts->memory, &made, part->entry[k], err);
    }
    for (size_t i = 0; i < parts->count; i++) attn_part_free(parts->memory, &parts->part[i]);
    parts->part[0] = made;
    parts->count = 1;
    return status;
}

size_t attn_postprocessors_added(const attn_postprocessors *p, bool pair)
{
    size_t added = 0;
    for (size_t i = 0; i < p->count; i++) {
        const attn_postprocessor *one = &p->list[i];
        if (one->kind == ATTN_POST_BERT) added += pair ? 3 : 2;
        if (one->kind == ATTN_POST_ROBERTA) added += pair ? 4 : 2;
        if (one->kind == ATTN_POST_TEMPLATE) added += pair ? one->pair.added : one->single.added;
    }
    return added;
}

attn_status attn_postprocess(const attn_postprocessors *p, attn_parts *parts, bool special,
                             const attn_token_texts *texts, attn_error *err)
{
    for (size_t i = 0; i < parts->count; i++) {
        set_type(&parts->part[i], (int32_t)i);
        set_sequence(&parts->part[i], (int32_t)i);
    }
    for (size_t i = 0; i < p->count; i++) {
        const attn_postprocessor *one = &p->list[i];
        if (one->kind == ATTN_POST_BERT) ATTN_TRY(run_bert(one, parts, special, err));
        if (one->kind == ATTN_POST_ROBERTA) ATTN_TRY(run_roberta(one, parts, special, texts, err));
        if (one->kind == ATTN_POST_TEMPLATE) ATTN_TRY(run_template(one, parts, special, err));
        if (one->kind == ATTN_POST_BYTES) run_bytes(one, parts, texts);
    }
    return ATTN_OK;
}
