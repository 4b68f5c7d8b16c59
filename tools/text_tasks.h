/* What the commands for text do with a model's output. */
#ifndef TOOLS_TEXT_TASKS_H
#define TOOLS_TEXT_TASKS_H

#include "tools/texts.h"

#include <string.h>

/* The result of text `index`, which is item `item` of the run that has just ended. */
typedef attn_status (*text_result)(void *user, size_t index, size_t item, const attn_encoding *e,
                                   attn_error *err);

/* Runs all texts, each with this pair (or NULL), in batches of like length; says on standard error
 * how many were too long. */
attn_status text_model_each(const text_model *m, const texts *t, const char *pair,
                            const cli *command, text_result result, void *user, attn_error *err);

/* The output of one item, of this rank without the batch. */
attn_status text_model_row(const text_model *m, const char *output, size_t item, int rank,
                           attn_tensor *row, attn_error *err);

/* attn classify with texts: sequence or token classification, by the model's output. */
typedef struct classify_text {
    const cli *c;
    size_t top;
    size_t stride, max_length; /* of a long text's windows, if their entities are joined; or 0 */
    cli_list text;
    const char *pair, *file;
} classify_text;
int classify_texts(const classify_text *k);

/* Entities of a text, as the reference groups them with the strategy "simple". */
typedef struct text_entity {
    const char *label; /* without B- and I-; NULL: class `index` has no label */
    size_t index;
    float score;       /* the mean of its tokens' */
    size_t first, end; /* bytes of the text */
} text_entity;

/* logits: [tokens, labels]; out: room for a text's tokens. Tokens of the class "O" are no entity.
 * Returns how many there are. scratch: [labels]. */
size_t text_entities(const text_model *m, const attn_port *port, const attn_tensor *logits,
                     const attn_encoding *e, float *scratch, text_entity *out);

#endif
