#include "layers/reader.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

attn_status attn_reader_fail(attn_reader *r, const char *format, ...)
{
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (r->object)
        return attn_fail(r->err, ATTN_BAD_MODEL, "%s: \"%s\": %s", r->place, r->object, text);
    return attn_fail(r->err, ATTN_BAD_MODEL, "%s: %s", r->place, text);
}

static attn_attr *find(const attn_reader *r, const char *key)
{
    for (size_t i = 0; i < r->attr_count; i++)
        if (strcmp(r->attrs[i].key, key) == 0) return &r->attrs[i];
    return NULL;
}

bool attn_has_key(const attn_reader *r, const char *key)
{
    return find(r, key) != NULL;
}

/* What an attribute holds, for messages. */
static const char *show(const attn_attr *a, char *buffer, size_t size)
{
    static const char *const kinds[] = {"null", "", "", "", "a list", "an object"};
    if (a->kind == ATTN_ATTR_NUMBER)
        snprintf(buffer, size, "%.10g", a->number);
    else if (a->kind == ATTN_ATTR_BOOL)
        snprintf(buffer, size, a->number != 0 ? "true" : "false");
    else if (a->kind == ATTN_ATTR_TEXT)
        snprintf(buffer, size, "\"%.80s\"", a->text);
    else
        snprintf(buffer, size, "%s", kinds[a->kind]);
    return buffer;
}

static attn_status missing(attn_reader *r, const char *key)
{
    return attn_reader_fail(r, "the key \"%s\" is missing", key);
}

/* The attribute with its expression evaluated; *found is false if the key is absent. */
static attn_status get(attn_reader *r, const char *key, attn_attr *value, bool *found)
{
    attn_attr *a = find(r, key);
    *found = a != NULL;
    if (!a) return ATTN_OK;
    a->used = true;
    *value = *a;
    if (a->kind != ATTN_ATTR_TEXT) return ATTN_OK;
    attn_error inner = {0};
    attn_status status = r->evaluate(r->user, a->text, value, &inner);
    value->key = a->key;
    return status ? attn_reader_fail(r, "key \"%s\": %s", key, inner.text) : ATTN_OK;
}

/* needed: null is no number; otherwise it stands for an absent key. */
static attn_status get_number(attn_reader *r, const char *key, double min, double max, bool whole,
                              bool needed, double *out, bool *found)
{
    attn_attr value;
    char text[100];
    ATTN_TRY(get(r, key, &value, found));
    if (*found && value.kind == ATTN_ATTR_NULL && !needed) *found = false;
    if (!*found) return ATTN_OK;
    double x = value.number;
    if (value.kind != ATTN_ATTR_NUMBER || !(x >= min && x <= max) || (whole && x != floor(x)))
        return attn_reader_fail(r, "key \"%s\" is %s, expected %s in [%.10g, %.10g]", key,
                                show(&value, text, sizeof text), whole ? "an integer" : "a number",
                                min, max);
    *out = x;
    return ATTN_OK;
}

static attn_status get_size(attn_reader *r, const char *key, size_t min, size_t max, bool needed,
                            size_t *value)
{
    double x = 0;
    bool found;
    /* Beyond 2^53 a double is no exact integer. */
    double top = max > ((size_t)1 << 53) ? 9007199254740992.0 : (double)max;
    ATTN_TRY(get_number(r, key, (double)min, top, true, needed, &x, &found));
    if (found) *value = (size_t)x;
    return ATTN_OK;
}

attn_status attn_read_size(attn_reader *r, const char *key, size_t min, size_t max, size_t *value)
{
    return get_size(r, key, min, max, false, value);
}

attn_status attn_need_size(attn_reader *r, const char *key, size_t min, size_t max, size_t *value)
{
    return attn_has_key(r, key) ? get_size(r, key, min, max, true, value) : missing(r, key);
}

static attn_status get_int(attn_reader *r, const char *key, long min, long max, bool needed,
                           long *value)
{
    double x = 0;
    bool found;
    ATTN_TRY(get_number(r, key, (double)min, (double)max, true, needed, &x, &found));
    if (found) *value = (long)x;
    return ATTN_OK;
}

attn_status attn_read_int(attn_reader *r, const char *key, long min, long max, long *value)
{
    return get_int(r, key, min, max, false, value);
}

attn_status attn_need_int(attn_reader *r, const char *key, long min, long max, long *value)
{
    return attn_has_key(r, key) ? get_int(r, key, min, max, true, value) : missing(r, key);
}

static attn_status get_float(attn_reader *r, const char *key, double min, double max, bool needed,
                             float *value)
{
    double x = 0;
    bool found;
    ATTN_TRY(get_number(r, key, min, max, false, needed, &x, &found));
    if (!found) return ATTN_OK;
    float narrow = (float)x;
    /* A tiny temperature must not become 0 on the way to f32. */
    if (!isfinite(narrow) || (x != 0 && narrow == 0))
        return attn_reader_fail(r, "key \"%s\" is %.10g, which f32 cannot hold", key, x);
    *value = narrow;
    return ATTN_OK;
}

attn_status attn_read_float(attn_reader *r, const char *key, double min, double max, float *value)
{
    return get_float(r, key, min, max, false, value);
}

attn_status attn_need_float(attn_reader *r, const char *key, double min, double max, float *value)
{
    return attn_has_key(r, key) ? get_float(r, key, min, max, true, value) : missing(r, key);
}

attn_status attn_read_bool(attn_reader *r, const char *key, bool *value)
{
    attn_attr a;
    bool found;
    char text[100];
    ATTN_TRY(get(r, key, &a, &found));
    if (!found || a.kind == ATTN_ATTR_NULL) return ATTN_OK;
    if (a.kind != ATTN_ATTR_BOOL)
        return attn_reader_fail(r, "key \"%s\" is %s, expected true or false", key,
                                show(&a, text, sizeof text));
    *value = a.number != 0;
    return ATTN_OK;
}

static int word_index(const char *const *words, const char *word)
{
    for (int i = 0; words[i]; i++)
        if (strcmp(words[i], word) == 0) return i;
    return -1;
}

/* A text that is one of the words is that word; any other is an expression that gives one. */
attn_status attn_read_word(attn_reader *r, const char *key, const char *const *words, int *value)
{
    attn_attr *a = find(r, key), result;
    if (!a) return ATTN_OK;
    a->used = true;
    result = *a;
    int index = a->kind == ATTN_ATTR_TEXT ? word_index(words, a->text) : -1;
    if (index < 0 && a->kind == ATTN_ATTR_TEXT) {
        attn_error inner;
        if (r->evaluate(r->user, a->text, &result, &inner)) result = *a;
        index = result.kind == ATTN_ATTR_TEXT ? word_index(words, result.text) : -1;
    }
    if (index < 0) {
        char list[240] = "", shown[100];
        for (int i = 0; words[i]; i++) {
            size_t used = strlen(list);
            snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", words[i]);
        }
        return attn_reader_fail(r, "key \"%s\" is %s, expected one of: %s", key,
                                show(&result, shown, sizeof shown), list);
    }
    *value = index;
    return ATTN_OK;
}

attn_status attn_read_text(attn_reader *r, const char *key, const char **text)
{
    attn_attr *a = find(r, key);
    char shown[100];
    *text = NULL;
    if (!a) return ATTN_OK;
    a->used = true;
    if (a->kind != ATTN_ATTR_TEXT)
        return attn_reader_fail(r, "key \"%s\" is %s, expected a text", key,
                                show(a, shown, sizeof shown));
    *text = a->text;
    return ATTN_OK;
}

attn_status attn_need_word(attn_reader *r, const char *key, const char *const *words, int *value)
{
    return attn_has_key(r, key) ? attn_read_word(r, key, words, value) : missing(r, key);
}

static attn_status read_entry(attn_reader *r, const char *key, const attn_attr *item, long min,
                              long max, bool symbols, long *value)
{
    attn_attr result = *item;
    char text[100];
    if (item->kind == ATTN_ATTR_TEXT) {
        int symbol = symbols ? r->symbol(r->user, item->text) : -1;
        if (symbol >= 0) {
            *value = ATTN_SYMBOL(symbol);
            return ATTN_OK;
        }
        attn_error inner;
        if (r->evaluate(r->user, item->text, &result, &inner))
            return attn_reader_fail(r, "key \"%s\": %s", key, inner.text);
    }
    double x = result.number;
    if (result.kind != ATTN_ATTR_NUMBER || !(x >= (double)min && x <= (double)max) || x != floor(x))
        return attn_reader_fail(r, "key \"%s\" has %s, expected integers in [%ld, %ld]", key,
                                show(&result, text, sizeof text), min, max);
    *value = (long)x;
    return ATTN_OK;
}

attn_status attn_read_ints(attn_reader *r, const char *key, long min, long max, bool symbols,
                           int most, long *values, int *count)
{
    attn_attr *a = find(r, key), value;
    *count = 0;
    if (!a) return ATTN_OK;
    a->used = true;
    value = *a;
    bool symbol = a->kind == ATTN_ATTR_TEXT && symbols && r->symbol(r->user, a->text) >= 0;
    if (a->kind == ATTN_ATTR_TEXT && !symbol) {
        bool found;
        ATTN_TRY(get(r, key, &value, &found)); /* may give a list of the config */
    }
    if (value.kind != ATTN_ATTR_LIST) {
        *count = 1;
        return read_entry(r, key, &value, min, max, symbols, values);
    }
    if (value.count > (size_t)most)
        return attn_reader_fail(r, "key \"%s\" has %zu entries, expected at most %d", key,
                                value.count, most);
    if (value.count == 0 && !symbols)
        return attn_reader_fail(r, "key \"%s\" is an empty list", key);
    for (size_t i = 0; i < value.count; i++)
        ATTN_TRY(read_entry(r, key, &value.items[i], min, max, symbols, &values[i]));
    *count = (int)value.count;
    return ATTN_OK;
}

/* inf, -inf and nan, which JSON has not. */
static bool special_number(const attn_attr *a, double *value)
{
    static const char *const words[] = {"inf", "-inf", "nan", NULL};
    static const double numbers[] = {INFINITY, -INFINITY, NAN};
    int word = a->kind == ATTN_ATTR_TEXT ? word_index(words, a->text) : -1;
    if (word >= 0) *value = numbers[word];
    return word >= 0;
}

static attn_status read_number(attn_reader *r, const char *key, const attn_attr *item,
                               double *value)
{
    attn_attr result = *item;
    attn_error inner;
    char text[100];
    if (special_number(item, value)) return ATTN_OK;
    if (item->kind == ATTN_ATTR_TEXT && r->evaluate(r->user, item->text, &result, &inner))
        return attn_reader_fail(r, "key \"%s\": %s", key, inner.text);
    if (result.kind != ATTN_ATTR_NUMBER)
        return attn_reader_fail(r, "key \"%s\" has %s, expected numbers", key,
                                show(&result, text, sizeof text));
    *value = result.number;
    return ATTN_OK;
}

attn_status attn_read_numbers(attn_reader *r, const char *key, size_t most, double **values,
                              size_t *count, bool *is_list)
{
    attn_attr *a = find(r, key);
    *values = NULL;
    *count = 0;
    *is_list = false;
    if (!a) return ATTN_OK;
    a->used = true;
    bool list = *is_list = a->kind == ATTN_ATTR_LIST;
    size_t n = list ? a->count : 1;
    if (n == 0 || n > most)
        return attn_reader_fail(r, "key \"%s\" has %zu entries, expected 1 to %zu", key, n, most);
    *values = r->keep(r->user, n, sizeof **values);
    if (!*values) return ATTN_NO_MEMORY;
    for (; *count < n; ++*count)
        ATTN_TRY(read_number(r, key, list ? &a->items[*count] : a, &(*values)[*count]));
    return ATTN_OK;
}

attn_status attn_read_known_ints(attn_reader *r, const char *key, long min, long max,
                                 attn_ints *ints)
{
    char from[64];
    snprintf(from, sizeof from, "%s_from", key);
    *ints = (attn_ints){.operand = -1, .min = min, .max = max, .key = key};
    bool listed = attn_has_key(r, key);
    ints->given = listed || attn_has_key(r, from);
    if (listed && attn_has_key(r, from))
        return attn_reader_fail(r, "both \"%s\" and \"%s\" are given", key, from);
    if (!listed) return attn_read_operand(r, from, &ints->operand);
    return attn_read_ints(r, key, min, max, true, ATTN_MAX_INTS, ints->value, &ints->count);
}

attn_status attn_enter_object(attn_reader *r, const char *key, bool *found)
{
    attn_attr value;
    char text[100];
    ATTN_TRY(get(r, key, &value, found));
    if (*found && value.kind == ATTN_ATTR_NULL) *found = false;
    if (!*found) return ATTN_OK;
    if (value.kind != ATTN_ATTR_OBJECT)
        return attn_reader_fail(r, "key \"%s\" is %s, expected an object", key,
                                show(&value, text, sizeof text));
    r->object = key;
    r->outer_count = r->attr_count;
    r->outer = r->attrs;
    r->attr_count = value.count;
    r->attrs = value.items;
    return ATTN_OK;
}

attn_status attn_leave_object(attn_reader *r)
{
    for (size_t i = 0; i < r->attr_count; i++)
        if (!r->attrs[i].used && r->attrs[i].kind != ATTN_ATTR_NULL)
            return attn_reader_fail(r, "the key \"%.100s\" is not known here", r->attrs[i].key);
    r->object = NULL;
    r->attr_count = r->outer_count;
    r->attrs = r->outer;
    return ATTN_OK;
}

/* ---- operands ---------------------------------------------------------------------------- */

static attn_status need_operands(attn_reader *r, const char *key, size_t have, size_t min,
                                 size_t max, size_t *number)
{
    if (have < min || have > max) {
        if (min == max)
            return attn_reader_fail(r, "\"%s\" names %zu values, expected %zu", key, have, min);
        return attn_reader_fail(r, "\"%s\" names %zu values, expected %zu to %zu", key, have, min,
                                max);
    }
    if (number) *number = have;
    return ATTN_OK;
}

attn_status attn_need_inputs(attn_reader *r, size_t min, size_t max, size_t *number)
{
    return need_operands(r, "in", r->inputs, min, max, number);
}

attn_status attn_need_outputs(attn_reader *r, size_t min, size_t max, size_t *number)
{
    return need_operands(r, "out", r->outputs, min, max, number);
}

attn_status attn_read_operand(attn_reader *r, const char *key, int *index)
{
    attn_attr *a = find(r, key);
    char text[100];
    *index = -1;
    if (!a) return ATTN_OK;
    a->used = true;
    if (a->kind != ATTN_ATTR_TEXT)
        return attn_reader_fail(r, "key \"%s\" is %s, expected the name of a value", key,
                                show(a, text, sizeof text));
    attn_error inner;
    if (r->operand(r->user, a->text, index, &inner))
        return attn_reader_fail(r, "key \"%s\": %s", key, inner.text);
    return ATTN_OK;
}

attn_status attn_read_cache(attn_reader *r, const char *key, bool *takes_part)
{
    attn_attr *a = find(r, key);
    char text[100];
    attn_error inner;
    *takes_part = a != NULL;
    if (!a) return ATTN_OK;
    a->used = true;
    if (a->kind != ATTN_ATTR_TEXT)
        return attn_reader_fail(r, "key \"%s\" is %s, expected the name of a cache", key,
                                show(a, text, sizeof text));
    if (r->cache(r->user, a->text, &inner))
        return attn_reader_fail(r, "key \"%s\": %s", key, inner.text);
    return ATTN_OK;
}

/* ---- weights ----------------------------------------------------------------------------- */

static attn_status add_param(attn_reader *r, attn_param *param)
{
    if (r->param_count == ATTN_MAX_PARAMS)
        return attn_reader_fail(r, "more than %d weights", ATTN_MAX_PARAMS);
    r->params[r->param_count++] = param;
    return ATTN_OK;
}

static attn_status find_weight(attn_reader *r, const char *key, const char *suffix, int rank,
                               const attn_weight **found)
{
    attn_attr *a = find(r, key);
    char text[100];
    a->used = true;
    if (a->kind != ATTN_ATTR_TEXT)
        return attn_reader_fail(r, "key \"%s\" is %s, expected the name of a weight", key,
                                show(a, text, sizeof text));
    attn_error inner;
    if (r->weight(r->user, a->text, suffix, found, &inner))
        return attn_reader_fail(r, "key \"%s\": %s", key, inner.text);
    if (rank >= 0 && (*found)->rank != rank) {
        attn_shape_text shape;
        return attn_reader_fail(r, "key \"%s\": tensor \"%s\" has shape %s, expected rank %d", key,
                                (*found)->name,
                                attn_format_shape(&shape, (*found)->dim, (*found)->rank), rank);
    }
    return ATTN_OK;
}

attn_status attn_read_weight(attn_reader *r, const char *key, const char *suffix, int rank,
                             attn_param *param)
{
    *param = (attn_param){0};
    if (!attn_has_key(r, key)) return ATTN_OK;
    const attn_weight *w;
    ATTN_TRY(find_weight(r, key, suffix, rank, &w));
    *param = (attn_param){.source = w, .form = ATTN_PLAIN, .rank = w->rank};
    memcpy(param->dim, w->dim, sizeof param->dim);
    return add_param(r, param);
}

attn_status attn_read_whole(attn_reader *r, const char *key, int rank, attn_param *whole)
{
    const attn_weight *w;
    size_t count;
    *whole = (attn_param){0};
    if (!attn_has_key(r, key)) return ATTN_OK;
    ATTN_TRY(find_weight(r, key, "", rank, &w));
    if (!attn_product(w->dim, w->rank, &count) || count == 0)
        return attn_reader_fail(r, "tensor \"%s\" has no elements", w->name);
    *whole = (attn_param){.source = w, .rank = w->rank};
    memcpy(whole->dim, w->dim, sizeof whole->dim);
    return ATTN_OK;
}

attn_status attn_take_rows(attn_reader *r, const attn_param *whole, size_t first, size_t count,
                           attn_param *param)
{
    size_t k = whole->dim[whole->rank - 1];
    *param = (attn_param){.source = whole->source,
                          .form = ATTN_PANELS,
                          .rank = 2,
                          .dim = {count, k},
                          .first = first * k,
                          .k = k,
                          .n = count};
    return add_param(r, param);
}

attn_status attn_need_weight(attn_reader *r, const char *key, const char *suffix, int rank,
                             attn_param *param)
{
    return attn_has_key(r, key) ? attn_read_weight(r, key, suffix, rank, param) : missing(r, key);
}

attn_status attn_read_bias(attn_reader *r, const char *key, attn_param *param)
{
    attn_attr *a = find(r, "bias"), value = {.kind = ATTN_ATTR_BOOL, .number = 1};
    *param = (attn_param){0};
    if (a) {
        attn_error inner;
        a->used = true;
        value = *a;
        /* A text is a flag of the config if it gives one, else the name of a tensor. */
        if (a->kind == ATTN_ATTR_TEXT &&
            (r->evaluate(r->user, a->text, &value, &inner) || value.kind != ATTN_ATTR_BOOL))
            value = *a;
        char text[100];
        if (value.kind != ATTN_ATTR_BOOL && value.kind != ATTN_ATTR_TEXT)
            return attn_reader_fail(r, "key \"bias\" is %s, expected true, false or a name",
                                    show(&value, text, sizeof text));
    }
    if (value.kind == ATTN_ATTR_BOOL && value.number == 0) return ATTN_OK;
    bool named = value.kind == ATTN_ATTR_TEXT;
    if (!named && !attn_has_key(r, key)) return ATTN_OK;
    const attn_weight *w;
    ATTN_TRY(find_weight(r, named ? "bias" : key, named ? "" : ".bias", 1, &w));
    *param = (attn_param){.source = w, .rank = 1, .dim = {w->dim[0]}};
    if (r->rows_given) {
        if (r->first_row > w->dim[0] || r->row_count > w->dim[0] - r->first_row)
            return attn_reader_fail(r, "\"rows\" [%zu, %zu] go beyond the bias \"%s\" of [%zu]",
                                    r->first_row, r->row_count, w->name, w->dim[0]);
        param->first = r->first_row;
        param->dim[0] = r->row_count;
    }
    return add_param(r, param);
}

attn_status attn_need_matrix(attn_reader *r, const char *key, size_t *in, size_t *out,
                             attn_param *param)
{
    *param = (attn_param){0};
    if (!attn_has_key(r, key)) return missing(r, key);
    const attn_weight *w;
    bool transposed = false;
    long rows[2] = {0, 0};
    int count;
    ATTN_TRY(find_weight(r, key, ".weight", 2, &w));
    ATTN_TRY(attn_read_bool(r, "transposed", &transposed));
    ATTN_TRY(attn_read_ints(r, "rows", 0, 1L << 40, false, 2, rows, &count));
    size_t outputs = w->dim[transposed ? 1 : 0];
    *in = w->dim[transposed ? 0 : 1];
    size_t first = 0, taken = outputs;
    if (count) {
        first = (size_t)rows[0];
        taken = (size_t)rows[1];
        if (count != 2 || taken == 0 || first > outputs || taken > outputs - first)
            return attn_reader_fail(
                r, "\"rows\" [%zu, %zu] do not lie within the %zu outputs of \"%s\"", first, taken,
                outputs, w->name);
    }
    r->rows_given = count != 0;
    r->first_row = first;
    r->row_count = taken;
    if (*in == 0 || taken == 0)
        return attn_reader_fail(r, "tensor \"%s\" has no elements", w->name);
    *out = taken;
    *param = (attn_param){.source = w,
                          .form = ATTN_PANELS,
                          .rank = 2,
                          .dim = {transposed ? *in : taken, transposed ? taken : *in},
                          .first = transposed ? first : first * *in,
                          .k = *in,
                          .n = taken,
                          .k_is_row = transposed,
                          .any_type = true};
    return add_param(r, param);
}
