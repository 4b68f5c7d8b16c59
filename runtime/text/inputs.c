/* Encoded texts as the inputs of a session. */
#include "runtime/attn_text.h"
#include "runtime/session.h"

#include <string.h>

static const attn_port *find_tokens(const attn_graph *g)
{
    for (size_t i = 0; i < g->inputs; i++)
        if (g->input[i].kind == ATTN_KIND_TOKENS && g->input[i].rank == 1) return &g->input[i];
    return NULL;
}

static const attn_port *find_named(const attn_graph *g, const char *name)
{
    for (size_t i = 0; i < g->inputs; i++)
        if (strcmp(g->input[i].name, name) == 0 && g->input[i].dtype == ATTN_I32 &&
            g->input[i].rank == 1)
            return &g->input[i];
    return NULL;
}

size_t attn_text_limit(const attn_model *model)
{
    const attn_port *port = find_tokens(&model->graph);
    if (!port) return SIZE_MAX;
    long dim = port->dim[0];
    return dim > ATTN_SYMBOL_BASE ? (size_t)dim : model->graph.symbol[ATTN_SYMBOL_BASE - dim].max;
}

typedef struct batch {
    const attn_encoding *encoding;
    size_t count, width;
} batch;

/* Where member `at` of an encoding (an int32_t array) becomes the input `port`. */
static attn_status fill(attn_session *s, const attn_port *port, const batch *b, size_t at,
                        int32_t padding, attn_error *err)
{
    attn_session_input *input = &s->input[port - s->model->graph.input];
    size_t bytes;
    if (!attn_mul(b->count, b->width, &bytes) || !attn_mul(bytes, sizeof(int32_t), &bytes))
        return attn_fail(err, ATTN_LIMIT, "%zu texts of %zu tokens are too many", b->count,
                         b->width);
    if (input->own_bytes < bytes) {
        attn_release(&s->memory, input->own, input->own_bytes);
        input->own = NULL;
        input->own_bytes = 0;
        input->set = false;
        ATTN_TRY(attn_alloc(&s->memory, bytes, "the tokens", &input->own, err));
        input->own_bytes = bytes;
    }
    int32_t *to = input->own;
    for (size_t i = 0; i < b->count; i++) {
        const attn_encoding *e = &b->encoding[i];
        const int32_t *from;
        memcpy(&from, (const char *)e + at, sizeof from);
        memcpy(to, from, e->count * sizeof *to);
        for (size_t t = e->count; t < b->width; t++) to[t] = padding;
        to += b->width;
    }
    attn_tensor value = {.dtype = ATTN_I32, .data = input->own};
    if (b->count > 1) value.dim[value.rank++] = b->count;
    value.dim[value.rank++] = b->width;
    return attn_set_input(s, port->name, &value, err);
}

attn_status attn_set_encodings(attn_session *s, const attn_encoding *encoding, size_t count,
                               int32_t padding_id, attn_error *err)
{
    const attn_graph *g = &s->model->graph;
    const attn_port *ids = find_tokens(g), *mask = find_named(g, "attention_mask");
    const attn_port *types = find_named(g, "token_type_ids");
    batch b = {.encoding = encoding, .count = count};
    bool equal = true;
    if (!ids)
        return attn_fail(err, ATTN_BAD_MODEL, "model \"%s\" has no input of tokens",
                         s->model->name);
    for (size_t i = 0; i < count; i++) {
        if (encoding[i].count > b.width) b.width = encoding[i].count;
        equal = equal && encoding[i].count == encoding[0].count;
    }
    if (b.width == 0) return attn_fail(err, ATTN_BAD_INPUT, "the text has no tokens");
    if (!equal && !mask)
        return attn_fail(err, ATTN_BAD_MODEL,
                         "model \"%s\" has no attention_mask: texts of unequal length do not run "
                         "together",
                         s->model->name);
    ATTN_TRY(fill(s, ids, &b, offsetof(attn_encoding, ids), padding_id, err));
    if (mask) ATTN_TRY(fill(s, mask, &b, offsetof(attn_encoding, attention), 0, err));
    /* A pair's second text may have a type that the model does not know (RoBERTa knows 0 alone):
     * the tokenizer's post-processor says what there is. */
    if (types) ATTN_TRY(fill(s, types, &b, offsetof(attn_encoding, type_ids), 0, err));
    return ATTN_OK;
}
