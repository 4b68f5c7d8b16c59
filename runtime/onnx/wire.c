/* The reader of wire.h's format. */
#include "runtime/onnx/wire.h"

#include <stdio.h>
#include <string.h>

enum { MAX_NUMBER = (1 << 29) - 1, MAX_LABEL = 80 };

/* ---- messages for people -------------------------------------------------------------------- */

/* Puts text in front of buffer[*from..], if there is room for three more bytes then. */
static bool prepend(char *buffer, size_t *from, const char *text)
{
    size_t length = strlen(text);
    if (length + 3 > *from) return false;
    *from -= length;
    memcpy(buffer + *from, text, length);
    return true;
}

attn_status attn_wire_fail(const attn_wire *w, attn_status status, const char *format, ...)
{
    char text[300], where[200], part[MAX_LABEL + 80];
    size_t from = sizeof where - 1;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    where[from] = 0;
    for (const attn_wire_place *p = w->place; p; p = p->up) {
        size_t used = (size_t)snprintf(part, sizeof part, "%s%s", p->up ? "." : "", p->field);
        if (p->index != SIZE_MAX)
            used += (size_t)snprintf(part + used, sizeof part - used, "[%zu]", p->index);
        if (p->label && *p->label)
            snprintf(part + used, sizeof part - used, " (%.*s)", MAX_LABEL, p->label);
        if (prepend(where, &from, part)) continue;
        from -= 2; /* and the part's own dot */
        memcpy(where + from, "..", 2);
        break;
    }
    return attn_fail(w->err, status, "%s: %s%s%s", w->file, where + from, w->place ? ": " : "",
                     text);
}

static attn_status fail_at(const attn_wire *w, const unsigned char *at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static attn_status fail_at(const attn_wire *w, const unsigned char *at, const char *format, ...)
{
    char text[250];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return attn_wire_fail(w, ATTN_BAD_FILE, "byte %zu: %s", (size_t)(at - w->data), text);
}

/* ---- fields --------------------------------------------------------------------------------- */

static const char *const cut_off = "the message ends within a number";

/* NULL, or what is wrong. */
static const char *take_varint(attn_wire_span *s, uint64_t *value)
{
    uint64_t result = 0;
    for (int shift = 0; shift < 70; shift += 7) {
        if (s->at == s->end) return cut_off;
        unsigned char byte = *s->at++;
        if (shift == 63 && byte > 1) return "a number of more than 64 bits";
        result |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *value = result;
            return NULL;
        }
    }
    return "a number of more than 64 bits";
}

static const char *take_fixed(attn_wire_span *s, size_t bytes, uint64_t *value)
{
    if ((size_t)(s->end - s->at) < bytes) return cut_off;
    *value = 0;
    for (size_t i = bytes; i-- > 0;) *value = *value << 8 | s->at[i];
    s->at += bytes;
    return NULL;
}

static const char *take_number(attn_wire_span *s, attn_wire_type type, uint64_t *value)
{
    if (type == ATTN_WIRE_VARINT) return take_varint(s, value);
    return take_fixed(s, type == ATTN_WIRE_FIXED64 ? 8 : 4, value);
}

typedef struct piece {
    unsigned number;
    attn_wire_type type;
    uint64_t value;
    attn_wire_span bytes;
} piece;

/* The next field of *s; w NULL: it is known to be well formed. */
static attn_status take_piece(const attn_wire *w, attn_wire_span *s, piece *p)
{
    const unsigned char *start = s->at;
    uint64_t key = 0;
    const char *wrong = take_varint(s, &key);
    if (wrong) return fail_at(w, start, "%s", wrong);
    *p = (piece){.type = (attn_wire_type)(key & 7)};
    if (key >> 3 == 0 || key >> 3 > MAX_NUMBER)
        return fail_at(w, start, "a field numbered %llu, expected 1 to %d",
                       (unsigned long long)(key >> 3), MAX_NUMBER);
    p->number = (unsigned)(key >> 3);
    switch (p->type) {
    case ATTN_WIRE_VARINT:
    case ATTN_WIRE_FIXED64:
    case ATTN_WIRE_FIXED32:
        wrong = take_number(s, p->type, &p->value);
        break;
    case ATTN_WIRE_BYTES:
        wrong = take_varint(s, &p->value);
        if (!wrong && p->value > (size_t)(s->end - s->at))
            return fail_at(w, start, "field %u of %llu bytes, but its message has %zu more",
                           p->number, (unsigned long long)p->value, (size_t)(s->end - s->at));
        if (wrong) break;
        p->bytes = (attn_wire_span){s->at, s->at + p->value};
        s->at = p->bytes.end;
        break;
    default:
        return fail_at(w, start, "field %u has the wire type %d, expected 0, 1, 2 or 5", p->number,
                       (int)p->type);
    }
    return wrong ? fail_at(w, start, "field %u: %s", p->number, wrong) : ATTN_OK;
}

/* The numbers in packed[0..): how many. */
static attn_status count_packed(const attn_wire *w, attn_wire_span packed,
                                const attn_wire_rule *rule, size_t *count)
{
    size_t size = rule->type == ATTN_WIRE_FIXED64 ? 8 : 4, all = (size_t)(packed.end - packed.at);
    if (rule->type != ATTN_WIRE_VARINT) {
        *count += all / size;
        if (all % size == 0) return ATTN_OK;
        return fail_at(w, packed.at, "%s: %zu bytes are no whole numbers of %zu", rule->name, all,
                       size);
    }
    for (uint64_t value; packed.at < packed.end; ++*count) {
        const unsigned char *start = packed.at;
        const char *wrong = take_varint(&packed, &value);
        if (wrong) return fail_at(w, start, "%s: %s", rule->name, wrong);
    }
    return ATTN_OK;
}

static attn_status note(const attn_wire *w, const unsigned char *start, const piece *p,
                        const attn_wire_rule *rule, attn_wire_field *f)
{
    bool packed = rule->times == ATTN_WIRE_LIST && p->type == ATTN_WIRE_BYTES;
    if (p->type != rule->type && !packed)
        return fail_at(w, start, "%s has the wire type %d, expected %d", rule->name, (int)p->type,
                       (int)rule->type);
    if (rule->times == ATTN_WIRE_ONCE && f->count)
        return fail_at(w, start, "%s stands there twice", rule->name);
    if (rule->times == ATTN_WIRE_FILLED && p->bytes.at == p->bytes.end)
        return fail_at(w, start, "%s[%zu] is empty", rule->name, f->count);
    f->pieces++;
    f->value = p->value;
    f->bytes = p->bytes;
    if (packed) return count_packed(w, p->bytes, rule, &f->count);
    f->count++;
    return ATTN_OK;
}

attn_status attn_wire_scan(const attn_wire *w, attn_wire_span message, const attn_wire_rule *rules,
                           size_t count, attn_wire_field *found)
{
    memset(found, 0, count * sizeof *found);
    while (message.at < message.end) {
        attn_wire_span from = message;
        piece p;
        ATTN_TRY(take_piece(w, &message, &p));
        for (size_t i = 0; i < count; i++) {
            if (rules[i].number != p.number) continue;
            if (found[i].pieces == 0) found[i].rest = from;
            ATTN_TRY(note(w, from.at, &p, &rules[i], &found[i]));
            break;
        }
    }
    return ATTN_OK;
}

attn_wire_span attn_wire_next(attn_wire_span *rest, const attn_wire_rule *rule)
{
    piece p = {0};
    while (rest->at < rest->end && !take_piece(NULL, rest, &p))
        if (p.number == rule->number) break;
    return p.bytes;
}

/* ---- lists of numbers ----------------------------------------------------------------------- */

attn_wire_list attn_wire_begin(const attn_wire_field *field, const attn_wire_rule *rule)
{
    return (attn_wire_list){.rest = field->rest, .rule = rule};
}

uint64_t attn_wire_number(attn_wire_list *list)
{
    uint64_t value = 0;
    while (list->packed.at == list->packed.end) {
        piece p = {0};
        if (list->rest.at == list->rest.end || take_piece(NULL, &list->rest, &p)) return 0;
        if (p.number != list->rule->number) continue;
        if (p.type != ATTN_WIRE_BYTES) return p.value;
        list->packed = p.bytes;
    }
    take_number(&list->packed, list->rule->type, &value);
    return value;
}
