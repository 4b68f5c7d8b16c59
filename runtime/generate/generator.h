/* What a generator holds: a session whose caches are as long as the text can become, the text, and
 * what chooses its tokens. */
#ifndef ATTN_GENERATE_GENERATOR_H
#define ATTN_GENERATE_GENERATOR_H

#include "runtime/generate/beams.h"
#include "runtime/generate/sampler.h"
#include "runtime/session.h"

struct attn_generator {
    const attn_model *model;
    attn_memory memory; /* all but the session's */
    attn_generator_options o;
    int32_t stop[ATTN_MAX_STOPS];
    const attn_port *tokens, *logits;
    size_t vocabulary;
    bool cached;
    size_t context; /* tokens that may be kept */
    attn_session *session;
    int32_t *text; /* [room] the prompt and what was generated */
    size_t room, prompt, length;
    size_t first; /* of the text: where the window begins */
    size_t fed;   /* of the text: what has been run */
    attn_finish finish;
    bool started;
    attn_sampler sampler;
    /* beam search */
    attn_beams beams;
    size_t *parent;  /* [beams] */
    int32_t *rows;   /* [beams, 1], without a cache [beams, room] */
    size_t row_room; /* ids of all rows */
    size_t shown;    /* of the text: what attn_generator_next has given */
};

/* beam_search.c: the whole search; the best sequence is then in the text. */
attn_status attn_generator_search(attn_generator *g, attn_error *err);
/* Runs ids: [n], or with a batch [batch, n]. */
attn_status attn_generator_run(attn_generator *g, int32_t *ids, size_t batch, size_t n,
                               attn_error *err);
/* Runs the text up to its end, in blocks. */
attn_status attn_generator_feed(attn_generator *g, attn_error *err);
/* The logits of the last token of item 0; those of the next item lie *stride floats behind. */
attn_status attn_generator_logits(const attn_generator *g, const float **row, size_t *stride,
                                  attn_error *err);

#endif
