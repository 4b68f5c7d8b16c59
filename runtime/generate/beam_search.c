/* Beam search over a session. */
#include "runtime/generate/generator.h"

#include <string.h>

/* Runs the last token of each beam, after its own past; without a cache, its whole text. */
static attn_status run_beams(attn_generator *g, attn_error *err)
{
    size_t beams = g->o.beams, n = g->prompt + g->beams.length;
    if (g->cached) {
        for (size_t i = 0; i < beams; i++) {
            g->parent[i] = g->beams.length == 1 ? 0 : g->beams.parent[i]; /* of the prompt */
            g->rows[i] = g->beams.token[i];
        }
        ATTN_TRY(attn_reorder(g->session, g->parent, beams, err));
        return attn_generator_run(g, g->rows, beams, 1, err);
    }
    for (size_t i = 0; i < beams; i++) {
        memcpy(g->rows + i * n, g->text, g->prompt * sizeof *g->text);
        attn_beams_text(&g->beams, i, g->rows + i * n + g->prompt);
    }
    return attn_generator_run(g, g->rows, beams, n, err);
}

attn_status attn_generator_search(attn_generator *g, attn_error *err)
{
    bool done = false;
    while (!done) {
        const float *row;
        size_t stride;
        bool first = g->beams.length == 0;
        if (!first) ATTN_TRY(run_beams(g, err));
        ATTN_TRY(attn_generator_logits(g, &row, &stride, err));
        ATTN_TRY(attn_beams_step(&g->beams, row, first ? 0 : stride, &done, err));
    }
    float score;
    g->length += attn_beams_best(&g->beams, g->text + g->prompt, &score);
    return ATTN_OK;
}
