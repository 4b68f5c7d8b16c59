#include "runtime/inputs/tokenizer/sentencepiece.h"

#include "runtime/inputs/tokenizer/vocabulary.h"

#include <math.h>
#include <string.h>

/* ---- the protocol buffer ----------------------------------------------------------------- */

enum { VARINT, FIXED64, BYTES, FIXED32 = 5 };

/* A message: bytes [at, end) of the file that begins at `start`. */
typedef struct message {
    const char *file;
    const unsigned char *start, *at, *end;
    attn_error *err;
} message;

typedef struct field {
    uint64_t number;
    unsigned kind;
    uint64_t value; /* VARINT, FIXED32 */
    attn_slice bytes;
    size_t place; /* in the file, for messages */
} field;

static attn_status cut_off(const message *m, size_t place)
{
    return attn_fail(m->err, ATTN_BAD_FILE,
                     "%s: byte %zu: the file is cut off, or is no SentencePiece model", m->file,
                     place);
}

static attn_status read_varint(message *m, uint64_t *out)
{
    size_t place = (size_t)(m->at - m->start);
    *out = 0;
    for (unsigned shift = 0; m->at < m->end; shift += 7) {
        unsigned byte = *m->at++;
        if (shift == 63 && byte > 1)
            return attn_fail(m->err, ATTN_BAD_FILE, "%s: byte %zu: a number of more than 64 bits",
                             m->file, place);
        *out |= (uint64_t)(byte & 127) << shift;
        if (byte < 128) return ATTN_OK;
    }
    return cut_off(m, place);
}

/* The next field; m->at must be before the end. */
static attn_status read_field(message *m, field *f)
{
    uint64_t key;
    f->place = (size_t)(m->at - m->start);
    ATTN_TRY(read_varint(m, &key));
    f->number = key >> 3;
    f->kind = key & 7;
    f->bytes = (attn_slice){0};
    size_t left = (size_t)(m->end - m->at), need;
    if (f->number == 0 ||
        (f->kind != VARINT && f->kind != BYTES && f->kind != FIXED32 && f->kind != FIXED64))
        return attn_fail(
            m->err, ATTN_BAD_FILE,
            "%s: byte %zu: no field begins with 0x%02x, this is no SentencePiece model", m->file,
            f->place, m->start[f->place]);
    if (f->kind == VARINT) return read_varint(m, &f->value);
    if (f->kind == BYTES) {
        ATTN_TRY(read_varint(m, &f->value));
        left = (size_t)(m->end - m->at);
        if (f->value > left) return cut_off(m, f->place);
        need = (size_t)f->value;
        f->bytes = (attn_slice){(const char *)m->at, need};
    } else {
        need = f->kind == FIXED64 ? 8 : 4;
        if (need > left) return cut_off(m, f->place);
        f->value = m->at[0] | (uint32_t)m->at[1] << 8 | (uint32_t)m->at[2] << 16 |
                   (uint32_t)m->at[3] << 24;
    }
    m->at += need;
    return ATTN_OK;
}

static message inside(const message *m, const field *f)
{
    message inner = *m;
    inner.at = (const unsigned char *)f->bytes.text;
    inner.end = inner.at + f->bytes.length;
    return inner;
}

static attn_status want_kind(const message *m, const field *f, unsigned kind, const char *what)
{
    static const char *const name[8] = {"a number", "8 bytes", "bytes", 0, 0, "4 bytes", 0, 0};
    if (f->kind == kind) return ATTN_OK;
    return attn_fail(m->err, ATTN_BAD_FILE, "%s: byte %zu: %s is %s, not %s", m->file, f->place,
                     what, name[f->kind], name[kind]);
}

/* ---- pieces ------------------------------------------------------------------------------ */

static bool is_text(const attn_slice *s)
{
    const unsigned char *c = (const unsigned char *)s->text, *end = c + s->length;
    while (c < end) {
        unsigned lead = *c;
        size_t more = lead < 0x80 ? 0 : lead < 0xc2 ? 4 : lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
        if (lead == 0 || lead > 0xf4 || more == 4 || (size_t)(end - c) <= more) return false;
        if ((lead == 0xe0 && c[1] < 0xa0) || (lead == 0xed && c[1] > 0x9f) ||
            (lead == 0xf0 && c[1] < 0x90) || (lead == 0xf4 && c[1] > 0x8f))
            return false;
        for (size_t i = 1; i <= more; i++)
            if ((c[i] & 0xc0) != 0x80) return false;
        c += more + 1;
    }
    return true;
}

static attn_status read_piece(message m, size_t index, attn_sentencepiece_entry *piece)
{
    field f;
    *piece = (attn_sentencepiece_entry){.type = ATTN_PIECE_NORMAL};
    while (m.at < m.end) {
        ATTN_TRY(read_field(&m, &f));
        if (f.number == 1) {
            ATTN_TRY(want_kind(&m, &f, BYTES, "a piece's text"));
            piece->text = f.bytes;
        } else if (f.number == 2) {
            ATTN_TRY(want_kind(&m, &f, FIXED32, "a piece's score"));
            uint32_t bits = (uint32_t)f.value;
            memcpy(&piece->score, &bits, 4);
        } else if (f.number == 3) {
            ATTN_TRY(want_kind(&m, &f, VARINT, "a piece's type"));
            if (f.value < ATTN_PIECE_NORMAL || f.value > ATTN_PIECE_BYTE)
                return attn_fail(m.err, ATTN_BAD_FILE, "%s: piece %zu: there is no type %llu",
                                 m.file, index, (unsigned long long)f.value);
            piece->type = (attn_piece_type)f.value;
        }
    }
    const char *problem = piece->text.length == 0   ? "has no text"
                          : !is_text(&piece->text)  ? "is not UTF-8 text"
                          : !isfinite(piece->score) ? "has a score that is not finite"
                                                    : NULL;
    if (problem) return attn_fail(m.err, ATTN_BAD_FILE, "%s: piece %zu %s", m.file, index, problem);
    return ATTN_OK;
}

/* ---- trainer and normalizer --------------------------------------------------------------- */

enum { UNIGRAM = 1, BPE, WORD, CHARACTER };

static attn_status read_trainer(message m, attn_sentencepiece *model)
{
    field f;
    while (m.at < m.end) {
        ATTN_TRY(read_field(&m, &f));
        if (f.number != 3 && f.number != 24 && f.number != 35 && (f.number < 40 || f.number > 43))
            continue;
        ATTN_TRY(want_kind(&m, &f, VARINT, "an option of the trainer"));
        if (f.number == 3) {
            if (f.value != UNIGRAM && f.value != BPE)
                return attn_fail(
                    m.err, ATTN_BAD_FILE,
                    "%s: a model of type %llu%s, only Unigram (1) and BPE (2) are read", m.file,
                    (unsigned long long)f.value,
                    f.value == WORD        ? ", words"
                    : f.value == CHARACTER ? ", characters"
                                           : "");
            model->is_bpe = f.value == BPE;
        } else if (f.number == 24) {
            if (f.value)
                return attn_fail(m.err, ATTN_BAD_FILE,
                                 "%s: white space as a suffix of words is not supported", m.file);
        } else if (f.number == 35) {
            model->byte_fallback = f.value != 0;
        } else {
            /* Negative: 64 bits with the sign. */
            int64_t id = (int64_t)f.value;
            if (id > ATTN_VOCABULARY_MAX || id < -ATTN_VOCABULARY_MAX) id = ATTN_VOCABULARY_MAX;
            model->role[f.number - 40] = (int32_t)id;
        }
    }
    return ATTN_OK;
}

static attn_status read_normalizer(message m, attn_sentencepiece *model)
{
    field f;
    while (m.at < m.end) {
        ATTN_TRY(read_field(&m, &f));
        if (f.number == 2) {
            ATTN_TRY(want_kind(&m, &f, BYTES, "the character map"));
            model->charsmap = f.bytes;
        } else if (f.number >= 3 && f.number <= 5) {
            ATTN_TRY(want_kind(&m, &f, VARINT, "an option of the normalizer"));
            bool *flag = f.number == 3   ? &model->add_dummy_prefix
                         : f.number == 4 ? &model->remove_extra_whitespaces
                                         : &model->escape_whitespaces;
            *flag = f.value != 0;
        }
    }
    return ATTN_OK;
}

/* ---- the whole ---------------------------------------------------------------------------- */

static attn_status count_pieces(message m, size_t *count)
{
    field f;
    *count = 0;
    while (m.at < m.end) {
        ATTN_TRY(read_field(&m, &f));
        if (f.number > 3) continue;
        ATTN_TRY(want_kind(&m, &f, BYTES, f.number == 1 ? "a piece" : "a part of the model"));
        *count += f.number == 1;
    }
    if (*count == 0)
        return attn_fail(m.err, ATTN_BAD_FILE, "%s: a SentencePiece model without pieces", m.file);
    if (*count > ATTN_VOCABULARY_MAX)
        return attn_fail(m.err, ATTN_LIMIT, "%s: %zu pieces, at most %d are read", m.file, *count,
                         ATTN_VOCABULARY_MAX);
    return ATTN_OK;
}

static attn_status read_parts(message m, attn_sentencepiece *model)
{
    field f;
    size_t index = 0;
    while (m.at < m.end) {
        ATTN_TRY(read_field(&m, &f));
        if (f.number == 1) {
            ATTN_TRY(read_piece(inside(&m, &f), index, &model->piece[index]));
            index++;
        } else if (f.number == 2) {
            ATTN_TRY(read_trainer(inside(&m, &f), model));
        } else if (f.number == 3) {
            ATTN_TRY(read_normalizer(inside(&m, &f), model));
        }
    }
    return ATTN_OK;
}

static attn_status check_roles(const attn_sentencepiece *model, const char *file, attn_error *err)
{
    static const char *const name[ATTN_ROLES] = {"unk", "bos", "eos", "pad"};
    for (int i = 0; i < ATTN_ROLES; i++)
        if (model->role[i] >= 0 && (size_t)model->role[i] >= model->count)
            return attn_fail(err, ATTN_BAD_FILE, "%s: trainer: %s_id is %d, there are %zu pieces",
                             file, name[i], (int)model->role[i], model->count);
    return ATTN_OK;
}

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* 18 of "<0x12>", or -1. */
static int byte_value(const attn_slice *s)
{
    if (s->length != 6 || memcmp(s->text, "<0x", 3) != 0 || s->text[5] != '>') return -1;
    int high = digit(s->text[3]), low = digit(s->text[4]);
    return high < 0 || low < 0 ? -1 : 16 * high + low;
}

/* One unknown piece, where the trainer says; every byte piece is "<0x00>" ... "<0xFF>", and there
 * are all of them where they are needed. */
static attn_status check_types(attn_sentencepiece *model, const char *file, attn_error *err)
{
    bool seen[256] = {false};
    size_t unknown = SIZE_MAX, bytes = 0;
    for (size_t i = 0; i < model->count; i++) {
        const attn_sentencepiece_entry *p = &model->piece[i];
        if (p->type == ATTN_PIECE_UNKNOWN) {
            if (unknown != SIZE_MAX)
                return attn_fail(err, ATTN_BAD_FILE, "%s: pieces %zu and %zu are both unknown",
                                 file, unknown, i);
            unknown = i;
        } else if (p->type == ATTN_PIECE_BYTE) {
            int value = byte_value(&p->text);
            if (value < 0)
                return attn_fail(err, ATTN_BAD_FILE, "%s: piece %zu, \"%.*s\", is no byte", file, i,
                                 p->text.length < 40 ? (int)p->text.length : 40, p->text.text);
            bytes += !seen[value];
            seen[value] = true;
        }
    }
    if (unknown == SIZE_MAX)
        return attn_fail(err, ATTN_BAD_FILE, "%s: no piece is the unknown one", file);
    if (model->role[ATTN_ROLE_UNK] != (int32_t)unknown)
        return attn_fail(err, ATTN_BAD_FILE, "%s: trainer: unk_id is %d, the unknown piece is %zu",
                         file, (int)model->role[ATTN_ROLE_UNK], unknown);
    if (model->byte_fallback && bytes != 256)
        return attn_fail(err, ATTN_BAD_FILE, "%s: byte fallback with %zu of the 256 bytes", file,
                         bytes);
    return ATTN_OK;
}

attn_status attn_sentencepiece_read(attn_sentencepiece *model, const char *file, const void *data,
                                    size_t size, attn_arena *arena, attn_error *err)
{
    message m = {file, data, data, (const unsigned char *)data + size, err};
    *model = (attn_sentencepiece){.role = {0, 1, 2, -1},
                                  .add_dummy_prefix = true,
                                  .remove_extra_whitespaces = true,
                                  .escape_whitespaces = true};
    ATTN_TRY(count_pieces(m, &model->count));
    model->piece = attn_arena_get(arena, model->count, sizeof *model->piece, err);
    if (!model->piece) return ATTN_NO_MEMORY;
    ATTN_TRY(read_parts(m, model));
    ATTN_TRY(check_types(model, file, err));
    return check_roles(model, file, err);
}
