/* Beam search: the same sequences as transformers' generate(num_beams=B, do_sample=False), scores
 * in f32 as there. Knows no model: it is given logits and says which beams go on with which token.
 *
 * The sequences are a tree: node t * beams + b is the token of beam b at step t, with the beam of
 * step t - 1 that it continues. */
#ifndef ATTN_GENERATE_BEAMS_H
#define ATTN_GENERATE_BEAMS_H

#include "layers/kernels/kernels.h"
#include "runtime/base/memory.h"

typedef struct attn_beams_options {
    size_t beams, vocabulary, max_tokens; /* each at least 1 */
    float length_penalty;                 /* a score is divided by length ^ this */
    attn_early_stopping early_stopping;
    float repetition_penalty; /* 0 or 1: none */
    size_t stops;
    const int32_t *stop; /* the ids that end a sequence; must live as long as the search */
} attn_beams_options;

typedef struct attn_beam_node {
    int32_t token;
    uint32_t parent; /* a beam of the step before */
} attn_beam_node;

/* A finished sequence, or a place where none is yet. */
typedef struct attn_beam_end {
    float score;
    bool finished;
    size_t length; /* tokens, with the last */
    attn_beam_node last;
} attn_beam_end;

typedef struct attn_beam_candidate {
    float score;
    size_t index; /* beam * vocabulary + token */
} attn_beam_candidate;

typedef struct attn_beams {
    attn_beams_options o;
    const attn_kernels *kernels;
    size_t length; /* tokens of the running beams */
    /* Of the last step, [beams]: the beam that beam b continues, its token, its score. */
    uint32_t *parent;
    int32_t *token;
    float *score;
    attn_beam_node *node; /* [max_tokens, beams] */
    attn_beam_end *end;   /* [beams] best first; then as much room to merge */
    size_t keep;          /* candidates of a step */
    attn_beam_candidate *candidate;
    float *row, *next_score;
    size_t prompt_ids;
    int32_t *prompt; /* each once; NULL without a repetition penalty */
    uint32_t *mark;  /* [vocabulary] the row that an id was last penalised for */
    uint32_t marked;
    bool can_improve;
    attn_memory *own;
    void *memory;
    size_t bytes;
} attn_beams;

/* Bytes that a search takes; false on overflow. */
bool attn_beams_bytes(const attn_beams_options *o, size_t *bytes);
/* prompt: the ids before the first token, for the repetition penalty; they must lie in the
 * vocabulary. */
attn_status attn_beams_open(attn_beams *b, const attn_beams_options *o, const int32_t *prompt,
                            size_t count, const attn_kernels *kernels, attn_memory *memory,
                            attn_error *err);
/* Accepts a zeroed one. */
void attn_beams_close(attn_beams *b);

/* logits: [vocabulary] of each beam, `stride` floats apart; at the first step all beams are the
 * prompt, and the stride may be 0. Fills parent and token; *done: the search has ended. */
attn_status attn_beams_step(attn_beams *b, const float *logits, size_t stride, bool *done,
                            attn_error *err);

/* The tokens of running beam i, as many as steps were made. */
void attn_beams_text(const attn_beams *b, size_t i, int32_t *tokens);
/* The best sequence: its number of tokens (at most max_tokens), the tokens, its score. */
size_t attn_beams_best(const attn_beams *b, int32_t *tokens, float *score);

#endif
