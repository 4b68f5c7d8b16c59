/* attn_read: the text of an output whose rows are characters. */
#include "runtime/session.h"

#include <math.h>
#include <string.h>

/* The best column of a row, of equal ones the first, and its probability. False: there is none, for
 * a value is nan or the largest infinite. */
static bool best_of(const attn_kernels *kernels, attn_probability measure, const float *row,
                    size_t count, size_t *best, float *probability)
{
    *best = 0;
    for (size_t i = 0; i < count; i++) {
        if (isnan(row[i])) return false;
        if (row[i] > row[*best]) *best = i;
    }
    *probability = row[*best];
    if (!isfinite(*probability)) return false;
    if (measure == ATTN_BY_NONE) return true;
    if (measure == ATTN_BY_SIGMOID) {
        kernels->unary(ATTN_SIGMOID, probability, probability, 1);
        return true;
    }
    float sum = 0;
    for (size_t i = 0; i < count; i++) {
        float e = row[i] - row[*best];
        kernels->unary(ATTN_EXP, &e, &e, 1);
        sum += e;
    }
    *probability = 1 / sum;
    return true;
}

/* The rows of item `item` of a text output. */
static attn_status find_rows(const attn_session *s, const char *name, size_t item,
                             const attn_port **out, const float **values, size_t *rows,
                             attn_error *err)
{
    const attn_graph *g = &s->model->graph;
    const attn_port *port = NULL;
    size_t texts = 0;
    attn_tensor t;
    for (size_t i = 0; i < g->outputs; i++) {
        if (name ? strcmp(g->output[i].name, name) != 0 : !attn_port_is_text(&g->output[i]))
            continue;
        port = &g->output[i];
        texts++;
    }
    if (texts != 1 || !attn_port_is_text(port))
        return attn_fail(err, ATTN_BAD_ARGUMENT, "model \"%s\" has %zu outputs of text%s%s%s",
                         s->model->name, texts == 1 ? (size_t)0 : texts, name ? " named \"" : "",
                         name ? name : "",
                         name    ? "\""
                         : texts ? ": name one"
                                 : "");
    ATTN_TRY(attn_output(s, port->name, &t, err));
    size_t items = 1;
    *rows = t.dim[t.rank - 2];
    for (int i = 0; i < t.rank - 2; i++) items *= t.dim[i];
    if (item >= items)
        return attn_fail(err, ATTN_BAD_ARGUMENT, "output \"%s\" has no item %zu", port->name, item);
    *values = (const float *)t.data + item * *rows * port->label_count;
    *out = port;
    return ATTN_OK;
}

attn_status attn_read(const attn_session *s, const char *name, size_t item, size_t room,
                      attn_character *character, size_t *count, float *confidence, attn_error *err)
{
    const attn_port *port = NULL;
    const float *values = NULL;
    size_t rows = 0, before = SIZE_MAX, claims = 0;
    float sum = 0;
    *count = 0;
    if (confidence) *confidence = 0;
    ATTN_TRY(find_rows(s, name, item, &port, &values, &rows, err));
    for (size_t r = 0; r < rows; r++) {
        attn_character c = {.row = r};
        if (!best_of(s->model->kernels, port->measure, values + r * port->label_count,
                     port->label_count, &c.index, &c.probability))
            return attn_fail(err, ATTN_BAD_INPUT, "output \"%s\": row %zu has no largest number",
                             port->name, r);
        bool again = port->kind == ATTN_KIND_CTC && c.index == before;
        bool silent = c.index == port->silent;
        before = c.index;
        if (!again && !(silent && port->kind == ATTN_KIND_CTC)) {
            sum += c.probability;
            claims++;
        }
        if (again || silent) continue;
        c.text = port->labels[c.index];
        if (*count < room) character[*count] = c;
        ++*count;
    }
    if (confidence && claims) *confidence = sum / (float)claims;
    return ATTN_OK;
}
