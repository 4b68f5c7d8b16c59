/* Expressions over a model's config, as descriptions use them:
 *
 *     value    = or [ "if" or "else" value ]                (as in Python)
 *     or       = and { "or" and }          and = not { "and" not }      not = [ "not" ] compare
 *     compare  = sum [ ("==" | "!=" | "<" | "<=" | ">" | ">=" | "in") sum ]
 *     sum      = product { ("+" | "-") product }
 *     product  = sign { ("*" | "/" | "//" | "%") sign }     sign = [ "-" ] postfix
 *     postfix  = primary { "[" value "]" }
 *     primary  = number | 'text' | true | false | null | name { "." name } | call | "(" value ")"
 *     call     = ("min" | "max" | "floor" | "ceil" | "sqrt" | "len" | "has" | "given" | "get")
 *                "(" ... ")"
 *
 * A name is a repeat's index, one of "let", or a key of the config. has('tensor') tells whether the
 * weight file has that tensor (prefixes applied), given('key') whether the config has the key with
 * a value; get('key', otherwise) is that value, or `otherwise` where there is none. What `if`,
 * `and`, `or` and `get` do not need is not evaluated. */
#ifndef ATTN_EXPRESSION_H
#define ATTN_EXPRESSION_H

#include "runtime/json.h"

typedef enum attn_expr_kind {
    ATTN_EXPR_NULL,
    ATTN_EXPR_NUMBER,
    ATTN_EXPR_BOOL, /* number is 0 or 1 */
    ATTN_EXPR_TEXT,
    ATTN_EXPR_JSON, /* a list or an object of the config */
} attn_expr_kind;

typedef struct attn_expr_value {
    attn_expr_kind kind;
    double number;
    const char *text; /* not terminated: points into the expression or the config */
    size_t length;
    const cJSON *json;
} attn_expr_value;

enum { ATTN_MAX_REPEATS = 8, ATTN_MAX_LETS = 16 };

typedef struct attn_scope {
    const char *config_name; /* for messages */
    const cJSON *config;     /* the folder's, or NULL; before ... */
    const cJSON *defaults;   /* ... the description's, or NULL */
    size_t named; /* values of "let", then the indexes of repeats: the last of a name counts */
    struct {
        const char *name;
        attn_expr_value value;
    } name[ATTN_MAX_LETS + ATTN_MAX_REPEATS];
    bool (*has)(void *user, const char *name, size_t length);
    void *user;
    /* Entries of config and defaults that were looked at so far; NULL: not counted. All expressions
     * of a description together may look at ATTN_MAX_WORK. */
    size_t *work;
} attn_scope;

#define ATTN_MAX_WORK ((size_t)1 << 27)

/* Evaluates text. Errors (ATTN_BAD_MODEL) quote the expression, without a file name in front. */
attn_status attn_evaluate(const attn_scope *scope, const char *text, attn_expr_value *out,
                          attn_error *err);

/* The value of a config key (dots descend), or NULL. */
const cJSON *attn_scope_config(const attn_scope *scope, const char *key, size_t length);

#endif
