/* Oniguruma's syntax as PCRE2's. What means the same in both is copied; what does not:
 *
 *     \w \s \h \b \v \uHHHH \O      other sets of characters, other names
 *     [a[bc]]  [[:punct:]]          classes within classes
 *     \p{Letter}                    long names of properties
 *     (?m)                          "." matches line ends: PCRE2's (?s)
 *     x{2,3}+  x{,3}                repeated again, not possessive; from none on
 *     \q                            a q, as any letter that has no meaning */
#include "runtime/inputs/tokenizer/pattern.h"

#include <string.h>

#define WORD "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\x{b2}\\x{b3}\\x{b9}\\x{bc}-\\x{be}"
#define SPACE "\\p{Z}\\t-\\r\\x{85}"
#define HEX "0-9A-Fa-f"

enum { DEEPEST = 64 };

typedef struct translation {
    const char *at;
    char *out;
    size_t length, room;
    size_t atom;           /* where in out the last atom begins; SIZE_MAX: none */
    size_t group[DEEPEST]; /* where the open groups begin */
    int groups;
    const char *wrong;
} translation;

static void put(translation *t, const char *text, size_t length)
{
    if (t->room - t->length <= length) {
        t->wrong = "too long";
        return;
    }
    memcpy(t->out + t->length, text, length);
    t->length += length;
}

static void puts_to(translation *t, const char *text)
{
    put(t, text, strlen(text));
}

/* Puts text in at a place before the end. */
static void insert(translation *t, size_t at, const char *text)
{
    size_t length = strlen(text), moved = t->length - at;
    puts_to(t, text);
    if (t->wrong) return;
    memmove(t->out + at + length, t->out + at, moved);
    memcpy(t->out + at, text, length);
}

/* ---- properties --------------------------------------------------------------------------- */

static const struct {
    const char *name, *pcre2;
} properties[] = {
    {"letter", "L"},
    {"lowercaseletter", "Ll"},
    {"uppercaseletter", "Lu"},
    {"titlecaseletter", "Lt"},
    {"modifierletter", "Lm"},
    {"otherletter", "Lo"},
    {"mark", "M"},
    {"nonspacingmark", "Mn"},
    {"spacingmark", "Mc"},
    {"enclosingmark", "Me"},
    {"number", "N"},
    {"decimalnumber", "Nd"},
    {"digit", "Nd"},
    {"letternumber", "Nl"},
    {"othernumber", "No"},
    {"punctuation", "P"},
    {"punct", "P"},
    {"symbol", "S"},
    {"mathsymbol", "Sm"},
    {"currencysymbol", "Sc"},
    {"modifiersymbol", "Sk"},
    {"othersymbol", "So"},
    {"separator", "Z"},
    {"spaceseparator", "Zs"},
    {"other", "C"},
    {"control", "Cc"},
    {"cntrl", "Cc"},
    {"format", "Cf"},
    {"connectorpunctuation", "Pc"},
    {"dashpunctuation", "Pd"},
    {"openpunctuation", "Ps"},
    {"closepunctuation", "Pe"},
    {"alpha", "Alphabetic"},
    {"upper", "Uppercase"},
    {"lower", "Lowercase"},
    {"space", "White_Space"},
};

/* What a property holds in Oniguruma's version of Unicode, and not in older ones of PCRE2's. */
static const struct {
    const char *name, *set;
} new_members[] = {
#include "runtime/inputs/tokenizer/pattern_new.def"
};

static const char *new_members_of(const char *name)
{
    for (size_t i = 0; i < sizeof new_members / sizeof *new_members; i++)
        if (strcmp(new_members[i].name, name) == 0) return new_members[i].set;
    return "";
}

/* A property by PCRE2's name, with its new members; negated only alone. */
static void put_property(translation *t, const char *name, bool negated, bool inside)
{
    const char *more = new_members_of(name);
    bool alone = !inside && *more;
    if (alone) puts_to(t, negated ? "[^" : "[");
    puts_to(t, negated && !alone ? "\\P{" : "\\p{");
    puts_to(t, name);
    puts_to(t, "}");
    if (alone || !negated) puts_to(t, more);
    if (alone) puts_to(t, "]");
}

/* \p{...} at t->at. */
static void translate_property(translation *t, bool inside)
{
    const char *end = strchr(t->at, '}');
    char name[40];
    size_t length = 0;
    if (t->at[2] != '{' || !end) {
        t->wrong = "\\p without {...}";
        return;
    }
    const char *from = t->at + 3;
    bool negated = *from == '^';
    for (const char *c = from + negated; c < end && length + 1 < sizeof name; c++)
        if (!strchr(" _-", *c)) name[length++] = (char)(*c >= 'A' && *c <= 'Z' ? *c + 32 : *c);
    name[length] = 0;
    from += negated;
    const char *known = NULL;
    for (size_t i = 0; i < sizeof properties / sizeof *properties; i++)
        if (strcmp(properties[i].name, name) == 0) known = properties[i].pcre2;
    if (!known) {
        length = (size_t)(end - from) < sizeof name ? (size_t)(end - from) : sizeof name - 1;
        memcpy(name, from, length);
        name[length] = 0;
        known = name;
    }
    put_property(t, known, negated != (t->at[1] == 'P'), inside);
    t->at = end + 1;
}

/* ---- escapes ------------------------------------------------------------------------------ */

/* A set of characters, alone or as part of a class. */
static void put_set(translation *t, const char *set, bool negated, bool inside)
{
    static const char *const parts[] = {"L", "M", "Nd"};
    if (!inside) puts_to(t, negated ? "[^" : "[");
    puts_to(t, set);
    for (size_t i = 0; i < 3 && strcmp(set, WORD) == 0; i++) puts_to(t, new_members_of(parts[i]));
    if (!inside) puts_to(t, "]");
    t->at += 2;
}

static void translate_escape(translation *t, bool inside)
{
    char c = t->at[1], text[3] = {'\\', c, 0};
    if (c == 'p' || c == 'P') {
        translate_property(t, inside);
    } else if (c == 'w' || (c == 'W' && !inside)) {
        put_set(t, WORD, c == 'W', inside);
    } else if (c == 's' || (c == 'S' && !inside)) {
        put_set(t, SPACE, c == 'S', inside);
    } else if (c == 'h' || (c == 'H' && !inside)) {
        put_set(t, HEX, c == 'H', inside);
    } else if ((c == 'b' || c == 'B') && !inside) {
        puts_to(t, c == 'b' ? "(?:(?<=[" WORD "])(?![" WORD "])|(?<![" WORD "])(?=[" WORD "]))"
                            : "(?:(?<=[" WORD "])(?=[" WORD "])|(?<![" WORD "])(?![" WORD "]))");
        t->at += 2;
    } else if (c == 'v') {
        puts_to(t, "\\x0b");
        t->at += 2;
    } else if (c == 'O' && !inside) {
        puts_to(t, "(?s:.)");
        t->at += 2;
    } else if (c == 'u' && strspn(t->at + 2, "0123456789abcdefABCDEF") >= 4) {
        puts_to(t, "\\x{");
        put(t, t->at + 2, 4);
        puts_to(t, "}");
        t->at += 6;
    } else if (((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) &&
               !strchr("WSHdDbBAZzGKRXNxceatnrfkg", c)) {
        put(t, &c, 1);
        t->at += 2;
    } else if (c) {
        puts_to(t, text);
        t->at += 2;
    } else {
        t->wrong = "it ends in a backslash";
    }
}

/* ---- classes ------------------------------------------------------------------------------ */

static bool translate_posix(translation *t)
{
    static const struct {
        const char *name, *set;
    } sets[] = {{"[:punct:]", "\\p{P}\\p{S}"},
                {"[:word:]", WORD},
                {"[:space:]", SPACE},
                {"[:alpha:]", "\\p{Alphabetic}"},
                {"[:upper:]", "\\p{Uppercase}"},
                {"[:lower:]", "\\p{Lowercase}"},
                {"[:digit:]", "\\p{Nd}"},
                {"[:xdigit:]", HEX}};
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        size_t length = strlen(sets[i].name);
        if (strncmp(t->at, sets[i].name, length) != 0) continue;
        puts_to(t, sets[i].set);
        t->at += length;
        return true;
    }
    const char *end = strstr(t->at, ":]");
    if (t->at[1] != ':' || !end) return false;
    put(t, t->at, (size_t)(end - t->at) + 2);
    t->at = end + 2;
    return true;
}

static void translate_class(translation *t)
{
    int depth = 0;
    do {
        char c = *t->at;
        if (!c) {
            t->wrong = "a class without end";
        } else if (c == '\\') {
            translate_escape(t, true);
        } else if (c == '[' && depth && translate_posix(t)) {
            continue;
        } else if (c == '[') {
            if (depth && t->at[1] == '^') t->wrong = "a negated class within a class";
            if (depth == 0) put(t, t->at, t->at[1] == '^' ? 2 : 1);
            t->at += depth == 0 && t->at[1] == '^' ? 2 : 1;
            if (*t->at == ']') {
                puts_to(t, "\\]"); /* the first one stands for itself */
                t->at++;
            }
            depth++;
        } else if (c == ']') {
            if (--depth == 0) puts_to(t, "]");
            t->at++;
        } else if (c == '&' && t->at[1] == '&') {
            t->wrong = "an intersection of classes";
        } else {
            put(t, t->at++, 1);
        }
    } while (depth && !t->wrong);
}

/* ---- groups and repeats ------------------------------------------------------------------- */

static void translate_open(translation *t)
{
    if (t->groups == DEEPEST) {
        t->wrong = "groups nested too deep";
        return;
    }
    t->group[t->groups++] = t->length;
    put(t, t->at++, 1);
    if (*t->at != '?') return;
    if (t->at[1] == '#') {
        t->groups--;
        t->length--;
        const char *end = strchr(t->at, ')');
        if (!end) t->wrong = "a comment without end";
        t->at = end ? end + 1 : t->at;
        return;
    }
    put(t, t->at++, 1);
    for (; *t->at && strchr("imx-", *t->at); t->at++)
        puts_to(t, *t->at == 'm' ? "s" : (char[]){*t->at, 0});
}

/* {n}, {n,}, {n,m}, {,m} at t->at; its length or 0: a brace like any other. */
static size_t repeat_length(const char *at)
{
    size_t low = strspn(at + 1, "0123456789"), length = 1 + low, high = 0;
    if (at[length] == ',') {
        high = strspn(at + length + 1, "0123456789");
        length += 1 + high;
    }
    return (low || high) && at[length] == '}' ? length + 1 : 0;
}

static void translate_repeat(translation *t, size_t length)
{
    bool exact = !memchr(t->at, ',', length);
    put(t, t->at, 1);
    if (t->at[1] == ',') puts_to(t, "0");
    put(t, t->at + 1, length - 1);
    t->at += length;
    if (t->atom != SIZE_MAX && (*t->at == '+' || (*t->at == '?' && exact))) {
        insert(t, t->atom, "(?:");
        puts_to(t, ")");
    }
}

static void translate_atom(translation *t)
{
    char c = *t->at;
    size_t begin = t->length, repeat;
    if (c == '{' && (repeat = repeat_length(t->at)) != 0) {
        translate_repeat(t, repeat);
        return;
    }
    if (strchr("*+?|", c)) {
        put(t, t->at++, 1);
        if (c == '|') t->atom = SIZE_MAX;
        return;
    }
    if (c == '(') {
        translate_open(t);
        t->atom = SIZE_MAX;
        return;
    }
    t->atom = begin;
    if (c == ')') {
        if (t->groups) t->atom = t->group[--t->groups];
        put(t, t->at++, 1);
    } else if (c == '\\') {
        translate_escape(t, false);
    } else if (c == '[') {
        translate_class(t);
    } else {
        do put(t, t->at++, 1);
        while ((*t->at & 0xc0) == 0x80);
    }
}

char *attn_pattern_translate(const char *text, const char *file, const char *where,
                             attn_arena *arena, attn_error *err)
{
    /* Sets are written out; a pattern that names them a thousand times is refused. */
    enum { ROOM = 1 << 18 };
    size_t room = ROOM + 8 * strlen(text);
    translation t = {.at = text, .room = room, .atom = SIZE_MAX};
    t.out = attn_arena_get(arena, room, 1, err);
    if (!t.out) return NULL;
    while (*t.at && !t.wrong) translate_atom(&t);
    if (t.wrong) {
        attn_fail(err, ATTN_BAD_FILE, "%s: %s: the pattern \"%.100s\": %s is not supported", file,
                  where, text, t.wrong);
        return NULL;
    }
    t.out[t.length] = 0;
    return t.out;
}
