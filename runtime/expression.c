#include "runtime/expression.h"

#include <ctype.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DEPTH = 12, MAX_NAME = 160 };

typedef struct parser {
    const attn_scope *scope;
    const char *text, *at;
    int depth;
    bool skip; /* this branch is not taken: parse only */
    attn_error *err;
} parser;

typedef attn_expr_value value;

static attn_status parse_value(parser *p, value *out);

static attn_status fail(parser *p, const char *what)
{
    return attn_fail(p->err, ATTN_BAD_MODEL, "expression \"%.120s\": %s at character %zu", p->text,
                     what, (size_t)(p->at - p->text) + 1);
}

static attn_status fail_name(parser *p, const char *what, const char *name, size_t length)
{
    return attn_fail(p->err, ATTN_BAD_MODEL, "expression \"%.120s\": %s \"%.*s\"", p->text, what,
                     (int)length, name);
}

static value number_value(double number)
{
    return (value){.kind = ATTN_EXPR_NUMBER, .number = number};
}

static value bool_value(bool truth)
{
    return (value){.kind = ATTN_EXPR_BOOL, .number = truth};
}

static value json_value(const cJSON *json)
{
    if (cJSON_IsNumber(json)) return number_value(json->valuedouble);
    if (cJSON_IsBool(json)) return bool_value(cJSON_IsTrue(json));
    if (cJSON_IsString(json))
        return (value){
            .kind = ATTN_EXPR_TEXT, .text = json->valuestring, .length = strlen(json->valuestring)};
    if (cJSON_IsNull(json)) return (value){.kind = ATTN_EXPR_NULL};
    return (value){.kind = ATTN_EXPR_JSON, .json = json};
}

static void skip_space(parser *p)
{
    while (*p->at == ' ' || *p->at == '\t') p->at++;
}

static bool is_name_char(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

/* Takes the symbol or word if it stands here. */
static bool take(parser *p, const char *token)
{
    skip_space(p);
    size_t length = strlen(token);
    if (strncmp(p->at, token, length) != 0) return false;
    if (is_name_char(token[0]) && is_name_char(p->at[length])) return false;
    if (strcmp(token, "/") == 0 && p->at[1] == '/') return false;
    p->at += length;
    return true;
}

static bool truth(const value *v)
{
    switch (v->kind) {
    case ATTN_EXPR_NUMBER:
    case ATTN_EXPR_BOOL:
        return v->number != 0;
    case ATTN_EXPR_TEXT:
        return v->length != 0;
    case ATTN_EXPR_JSON:
        return v->json->child != NULL;
    default:
        return false;
    }
}

static bool equal(const value *a, const value *b);

/* Lists of plain values are compared entry by entry; of objects and lists within lists only the
 * same one is equal: cJSON_Compare takes quadratic time on objects. */
static bool equal_lists(const cJSON *a, const cJSON *b)
{
    if (a == b) return true;
    if (!cJSON_IsArray(a) || !cJSON_IsArray(b)) return false;
    for (a = a->child, b = b->child; a && b; a = a->next, b = b->next) {
        value x = json_value(a), y = json_value(b);
        if (x.kind == ATTN_EXPR_JSON || !equal(&x, &y)) return false;
    }
    return !a && !b;
}

static bool equal(const value *a, const value *b)
{
    bool numeric_a = a->kind == ATTN_EXPR_NUMBER || a->kind == ATTN_EXPR_BOOL;
    bool numeric_b = b->kind == ATTN_EXPR_NUMBER || b->kind == ATTN_EXPR_BOOL;
    if (numeric_a && numeric_b) return a->number == b->number;
    if (a->kind != b->kind) return false;
    if (a->kind == ATTN_EXPR_TEXT)
        return a->length == b->length && memcmp(a->text, b->text, a->length) == 0;
    return a->kind == ATTN_EXPR_NULL || equal_lists(a->json, b->json);
}

static attn_status need_number(parser *p, const value *v)
{
    if (p->skip || v->kind == ATTN_EXPR_NUMBER || v->kind == ATTN_EXPR_BOOL) return ATTN_OK;
    return fail(p, "a number is needed before here");
}

static attn_status checked_number(parser *p, double number, value *out)
{
    if (!p->skip && !isfinite(number)) return fail(p, "the result is no finite number");
    *out = number_value(p->skip ? 0 : number);
    return ATTN_OK;
}

static void spend(const attn_scope *scope, size_t entries)
{
    if (scope->work) *scope->work += entries;
}

static const cJSON *member(const attn_scope *scope, const cJSON *object, const char *name,
                           size_t length)
{
    size_t seen = 1;
    const cJSON *item = cJSON_IsObject(object) ? object->child : NULL;
    for (; item; item = item->next, seen++)
        if (strncmp(item->string, name, length) == 0 && !item->string[length]) break;
    spend(scope, seen);
    return item;
}

const cJSON *attn_scope_config(const attn_scope *scope, const char *key, size_t length)
{
    const cJSON *sources[] = {scope->config, scope->defaults};
    for (size_t i = 0; i < 2; i++) {
        const cJSON *item = sources[i];
        for (const char *at = key, *end = key + length;; at++) {
            const char *dot = memchr(at, '.', (size_t)(end - at)), *stop = dot ? dot : end;
            item = item ? member(scope, item, at, (size_t)(stop - at)) : NULL;
            if (!item || !dot) break;
            at = dot;
        }
        if (item) return item;
    }
    return NULL;
}

static int list_size(const parser *p, const cJSON *list)
{
    int size = cJSON_GetArraySize(list);
    spend(p->scope, (size_t)size);
    return size;
}

static attn_status call_text(parser *p, const char *name, const value *arg, value *out)
{
    if (p->skip) return ATTN_OK;
    if (arg->kind != ATTN_EXPR_TEXT)
        return fail(p, "a text in single quotes is needed before here");
    if (strcmp(name, "has") == 0) {
        *out = bool_value(p->scope->has && p->scope->has(p->scope->user, arg->text, arg->length));
    } else {
        const cJSON *item = attn_scope_config(p->scope, arg->text, arg->length);
        *out = bool_value(item && !cJSON_IsNull(item));
    }
    return ATTN_OK;
}

/* get('key', otherwise): `otherwise` is evaluated only where the config gives no value. */
static attn_status call_get(parser *p, const value *key, value *out)
{
    const cJSON *item = NULL;
    bool skipped = p->skip;
    value otherwise;
    if (!skipped && key->kind != ATTN_EXPR_TEXT)
        return fail(p, "a text in single quotes is needed before here");
    if (!skipped) item = attn_scope_config(p->scope, key->text, key->length);
    if (!take(p, ",")) return fail(p, "get needs a second value, for where there is none,");
    bool found = item && !cJSON_IsNull(item);
    p->skip = skipped || found;
    attn_status status = parse_value(p, &otherwise);
    p->skip = skipped;
    *out = found ? json_value(item) : otherwise;
    return status;
}

static attn_status call_number(parser *p, const char *name, const value *arg, value *out)
{
    if (strcmp(name, "len") == 0) {
        if (p->skip) return ATTN_OK;
        if (arg->kind == ATTN_EXPR_TEXT)
            *out = number_value((double)arg->length);
        else if (arg->kind == ATTN_EXPR_JSON)
            *out = number_value(list_size(p, arg->json));
        else
            return fail(p, "len needs a list or a text before here");
        return ATTN_OK;
    }
    ATTN_TRY(need_number(p, arg));
    double x = arg->number;
    return checked_number(p,
                          strcmp(name, "floor") == 0  ? floor(x)
                          : strcmp(name, "ceil") == 0 ? ceil(x)
                                                      : sqrt(x),
                          out);
}

static attn_status parse_call(parser *p, const char *name, value *out)
{
    value first, more;
    ATTN_TRY(parse_value(p, &first));
    *out = first;
    if (strcmp(name, "min") == 0 || strcmp(name, "max") == 0) {
        ATTN_TRY(need_number(p, &first));
        while (take(p, ",")) {
            ATTN_TRY(parse_value(p, &more));
            ATTN_TRY(need_number(p, &more));
            if (p->skip) continue;
            bool smaller = more.number < out->number;
            if (smaller == (name[1] == 'i')) out->number = more.number;
        }
    } else if (strcmp(name, "has") == 0 || strcmp(name, "given") == 0) {
        ATTN_TRY(call_text(p, name, &first, out));
    } else if (strcmp(name, "get") == 0) {
        ATTN_TRY(call_get(p, &first, out));
    } else if (strcmp(name, "floor") == 0 || strcmp(name, "ceil") == 0 ||
               strcmp(name, "sqrt") == 0 || strcmp(name, "len") == 0) {
        ATTN_TRY(call_number(p, name, &first, out));
    } else {
        return fail_name(p, "there is no function", name, strlen(name));
    }
    return take(p, ")") ? ATTN_OK : fail(p, "a ) is missing");
}

static attn_status parse_name(parser *p, value *out)
{
    const char *start = p->at;
    while (is_name_char(*p->at) || (*p->at == '.' && is_name_char(p->at[1]))) p->at++;
    size_t length = (size_t)(p->at - start);
    if (length >= MAX_NAME) return fail(p, "this name is too long");
    char name[MAX_NAME];
    memcpy(name, start, length);
    name[length] = 0;
    if (take(p, "(")) return parse_call(p, name, out);
    *out = (value){.kind = ATTN_EXPR_NULL};
    if (strcmp(name, "true") == 0 || strcmp(name, "false") == 0) *out = bool_value(name[0] == 't');
    if (strcmp(name, "true") == 0 || strcmp(name, "false") == 0 || strcmp(name, "null") == 0)
        return ATTN_OK;
    if (p->skip) return ATTN_OK;
    for (size_t i = p->scope->named; i-- > 0;)
        if (strcmp(p->scope->name[i].name, name) == 0) {
            *out = p->scope->name[i].value;
            return ATTN_OK;
        }
    const cJSON *item = attn_scope_config(p->scope, name, length);
    if (!item)
        return attn_fail(
            p->err, ATTN_BAD_MODEL,
            "expression \"%.120s\": the config value \"%s\" is needed, and neither %s nor "
            "the description's \"config\" gives it",
            p->text, name, p->scope->config_name ? p->scope->config_name : "a config.json");
    *out = json_value(item);
    return ATTN_OK;
}

static attn_status parse_number(parser *p, value *out)
{
    /* Digits, a fraction and an exponent only: strtod alone would take hexadecimal and "inf". */
    char digits[64];
    size_t n = 0;
    const char *at = p->at;
    while (isdigit((unsigned char)*at) || *at == '.' || *at == 'e' || *at == 'E' ||
           ((*at == '-' || *at == '+') && (at[-1] == 'e' || at[-1] == 'E'))) {
        if (n + 1 >= sizeof digits) return fail(p, "this number is too long");
        digits[n++] = *at++;
    }
    digits[n] = 0;
    /* strtod wants the point of the caller's locale. */
    char *end, *point = strchr(digits, '.');
    if (point) *point = localeconv()->decimal_point[0];
    double number = strtod(digits, &end);
    if (*end || end == digits) return fail(p, "this is no number");
    p->at = at;
    return checked_number(p, number, out);
}

static attn_status parse_primary(parser *p, value *out)
{
    skip_space(p);
    if (p->scope->work && *p->scope->work > ATTN_MAX_WORK)
        return fail(p, "the expressions look at too many entries of the config, the last");
    if (take(p, "(")) {
        ATTN_TRY(parse_value(p, out));
        return take(p, ")") ? ATTN_OK : fail(p, "a ) is missing");
    }
    if (*p->at == '\'') {
        const char *end = strchr(p->at + 1, '\'');
        if (!end) return fail(p, "this text does not end");
        *out =
            (value){.kind = ATTN_EXPR_TEXT, .text = p->at + 1, .length = (size_t)(end - p->at - 1)};
        p->at = end + 1;
        return ATTN_OK;
    }
    if (isdigit((unsigned char)*p->at)) return parse_number(p, out);
    if (is_name_char(*p->at)) return parse_name(p, out);
    return fail(p, *p->at ? "a value is expected" : "the expression ends too early");
}

static attn_status parse_postfix(parser *p, value *out)
{
    ATTN_TRY(parse_primary(p, out));
    while (take(p, "[")) {
        value index;
        ATTN_TRY(parse_value(p, &index));
        ATTN_TRY(need_number(p, &index));
        if (!take(p, "]")) return fail(p, "a ] is missing");
        if (p->skip) continue;
        if (out->kind != ATTN_EXPR_JSON || !cJSON_IsArray(out->json))
            return fail(p, "only a list has [ ] before here");
        int size = list_size(p, out->json);
        double i = index.number < 0 ? index.number + size : index.number;
        if (!(i >= 0 && i < size) || i != floor(i))
            return fail(p, "no such entry of the list before here");
        *out = json_value(cJSON_GetArrayItem(out->json, (int)i));
    }
    return ATTN_OK;
}

static attn_status parse_sign(parser *p, value *out)
{
    bool negative = false;
    while (take(p, "-")) negative = !negative;
    ATTN_TRY(parse_postfix(p, out));
    if (!negative) return ATTN_OK;
    ATTN_TRY(need_number(p, out));
    return checked_number(p, -out->number, out);
}

static attn_status parse_product(parser *p, value *out)
{
    ATTN_TRY(parse_sign(p, out));
    for (;;) {
        int op = take(p, "//")  ? 'f'
                 : take(p, "*") ? '*'
                 : take(p, "/") ? '/'
                 : take(p, "%") ? '%'
                                : 0;
        if (!op) return ATTN_OK;
        value b;
        ATTN_TRY(need_number(p, out));
        ATTN_TRY(parse_sign(p, &b));
        ATTN_TRY(need_number(p, &b));
        double x = out->number, y = b.number;
        if (!p->skip && op != '*' && y == 0) return fail(p, "division by zero before here");
        ATTN_TRY(checked_number(p,
                                op == '*'   ? x * y
                                : op == '/' ? x / y
                                : op == 'f' ? floor(x / y)
                                            : x - y * floor(x / y),
                                out));
    }
}

static attn_status parse_sum(parser *p, value *out)
{
    ATTN_TRY(parse_product(p, out));
    for (;;) {
        int op = take(p, "+") ? '+' : take(p, "-") ? '-' : 0;
        if (!op) return ATTN_OK;
        value b;
        ATTN_TRY(need_number(p, out));
        ATTN_TRY(parse_product(p, &b));
        ATTN_TRY(need_number(p, &b));
        ATTN_TRY(
            checked_number(p, op == '+' ? out->number + b.number : out->number - b.number, out));
    }
}

static bool contains(const value *list, const value *item)
{
    for (const cJSON *entry = list->json->child; entry; entry = entry->next) {
        value v = json_value(entry);
        if (equal(&v, item)) return true;
    }
    return false;
}

/* Config values are short; the length is bounded so that a hostile one costs no more than a list.
 */
static bool contains_text(const value *text, const value *part)
{
    enum { LONGEST = 1000 };
    if (text->length > LONGEST) return false;
    for (size_t i = 0; i + part->length <= text->length; i++)
        if (memcmp(text->text + i, part->text, part->length) == 0) return true;
    return false;
}

static attn_status parse_compare(parser *p, value *out)
{
    static const char *const symbols[] = {"==", "!=", "<=", ">=", "<", ">", "in"};
    ATTN_TRY(parse_sum(p, out));
    int op = 0;
    while (op < 7 && !take(p, symbols[op])) op++;
    if (op == 7) return ATTN_OK;
    value b;
    ATTN_TRY(parse_sum(p, &b));
    if (op == 6) {
        bool texts = out->kind == ATTN_EXPR_TEXT && b.kind == ATTN_EXPR_TEXT;
        bool nothing = p->skip || b.kind == ATTN_EXPR_NULL;
        if (!nothing && b.kind != ATTN_EXPR_JSON && !texts)
            return fail(p, "\"in\" needs a list before here");
        *out = bool_value(!nothing && (texts ? contains_text(&b, out)
                                             : list_size(p, b.json) > 0 && contains(&b, out)));
        return ATTN_OK;
    }
    if (op < 2) {
        if (!p->skip && b.kind == ATTN_EXPR_JSON) list_size(p, b.json);
        *out = bool_value(!p->skip && equal(out, &b) == (op == 0));
        return ATTN_OK;
    }
    ATTN_TRY(need_number(p, out));
    ATTN_TRY(need_number(p, &b));
    double x = out->number, y = b.number;
    *out = bool_value(op == 2 ? x <= y : op == 3 ? x >= y : op == 4 ? x < y : x > y);
    return ATTN_OK;
}

static attn_status parse_not(parser *p, value *out)
{
    bool negate = false;
    while (take(p, "not")) negate = !negate;
    ATTN_TRY(parse_compare(p, out));
    if (negate) *out = bool_value(!truth(out));
    return ATTN_OK;
}

/* and, or: the value is a flag; the right side is skipped once the left decides. */
static attn_status parse_and(parser *p, value *out)
{
    ATTN_TRY(parse_not(p, out));
    while (take(p, "and")) {
        bool left = truth(out), skipped = p->skip;
        p->skip = skipped || !left;
        attn_status status = parse_not(p, out);
        p->skip = skipped;
        ATTN_TRY(status);
        *out = bool_value(left && truth(out));
    }
    return ATTN_OK;
}

static attn_status parse_or(parser *p, value *out)
{
    ATTN_TRY(parse_and(p, out));
    while (take(p, "or")) {
        bool left = truth(out), skipped = p->skip;
        p->skip = skipped || left;
        attn_status status = parse_and(p, out);
        p->skip = skipped;
        ATTN_TRY(status);
        *out = bool_value(left || truth(out));
    }
    return ATTN_OK;
}

/* A if C else B: A is read once to find C, and evaluated only if C holds. */
static attn_status parse_choice(parser *p, value *out)
{
    const char *start = p->at;
    bool skipped = p->skip;
    p->skip = true;
    attn_status status = parse_or(p, out);
    p->skip = skipped;
    ATTN_TRY(status);
    if (!take(p, "if")) {
        if (skipped) return ATTN_OK;
        p->at = start;
        return parse_or(p, out);
    }
    value condition;
    ATTN_TRY(parse_or(p, &condition));
    if (!take(p, "else")) return fail(p, "an \"else\" is missing");
    const char *otherwise = p->at;
    bool taken = truth(&condition);
    if (taken && !skipped) {
        p->at = start;
        ATTN_TRY(parse_or(p, out));
        p->at = otherwise;
    }
    value unused;
    p->skip = skipped || taken;
    status = parse_value(p, taken ? &unused : out);
    p->skip = skipped;
    return status;
}

static attn_status parse_value(parser *p, value *out)
{
    *out = (value){.kind = ATTN_EXPR_NULL};
    if (++p->depth > MAX_DEPTH) return fail(p, "nested too deeply");
    attn_status status = parse_choice(p, out);
    p->depth--;
    return status;
}

attn_status attn_evaluate(const attn_scope *scope, const char *text, attn_expr_value *out,
                          attn_error *err)
{
    parser p = {.scope = scope, .text = text, .at = text, .err = err};
    /* Each nested value may be read three times: the length bounds the work. */
    if (strlen(text) > 400)
        return attn_fail(err, ATTN_BAD_MODEL, "expression \"%.60s...\": longer than 400 characters",
                         text);
    ATTN_TRY(parse_value(&p, out));
    skip_space(&p);
    return *p.at ? fail(&p, "unexpected text") : ATTN_OK;
}
