/* Sampling: a token from a row of logits.
 *
 * The order is that of transformers' processors: repetition penalty (Keskar et al. 2019,
 * arXiv:1909.05858, sec. 4.1), frequency and presence penalties, temperature, top-k (Fan et al.
 * 2018), top-p (Holtzman et al. 2020), min-p (Nguyen et al. 2024), draw.
 *
 * The same seed gives the same tokens on every machine: exponentials are the kernels', sums are
 * made in double in a fixed order, and the generator of random numbers is SplitMix64. */
#ifndef ATTN_GENERATE_SAMPLER_H
#define ATTN_GENERATE_SAMPLER_H

#include "layers/kernels/kernels.h"
#include "runtime/base/memory.h"

/* SplitMix64 (Steele, Lea & Flood 2014): the state is a counter, so every seed is as good. */
typedef struct attn_random {
    uint64_t state;
} attn_random;

static inline uint64_t attn_random_next(attn_random *r)
{
    uint64_t z = r->state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* In [0, 1), a multiple of 2^-53. */
static inline double attn_random_unit(attn_random *r)
{
    return (double)(attn_random_next(r) >> 11) * 0x1p-53;
}

typedef struct attn_sampler {
    attn_sampling how;
    const attn_kernels *kernels;
    size_t vocabulary;
    attn_random random;
    size_t seen_count;
    int32_t *seen;   /* [seen_count] the ids that the text so far holds, each once */
    uint32_t *count; /* [vocabulary] 0: not seen; else 1 + how often it was generated */
    /* The candidates after the cuts, most probable first if top_p has sorted them, else by id. */
    size_t candidates;
    int32_t *id;      /* [vocabulary] */
    float *weight;    /* [vocabulary] exp of the score, 1 for the best */
    float *score;     /* [vocabulary] */
    attn_memory *own; /* what follows is freed by attn_sampler_close */
    void *memory;
    size_t bytes;
} attn_sampler;

/* ATTN_BAD_ARGUMENT for a setting outside its range. */
attn_status attn_sampling_check(const attn_sampling *how, attn_error *err);
/* Whether the most probable token is always taken. */
static inline bool attn_sampling_greedy(const attn_sampling *how)
{
    return how->temperature == 0 || how->top_k == 1;
}

/* Bytes that a sampler takes; false on overflow. */
bool attn_sampler_bytes(size_t vocabulary, size_t *bytes);
attn_status attn_sampler_open(attn_sampler *s, const attn_sampling *how, size_t vocabulary,
                              const attn_kernels *kernels, attn_memory *memory, attn_error *err);
/* Accepts a zeroed one. */
void attn_sampler_close(attn_sampler *s);

/* The text so far holds this id, 0 <= id < vocabulary; generated: it is none of the prompt's. */
void attn_sampler_note(attn_sampler *s, int32_t id, bool generated);

/* logits: [vocabulary]. Errors (ATTN_BAD_INPUT): a NaN or +infinity among them, or nothing but
 * -infinity. */
attn_status attn_sampler_choose(attn_sampler *s, const float *logits, int32_t *id, attn_error *err);
/* The candidates and their weights, without the draw. */
attn_status attn_sampler_weigh(attn_sampler *s, const float *logits, attn_error *err);

/* The value at place k (from 1) of the largest of x: [n]; heap: room for k floats. */
float attn_largest(const float *x, size_t n, size_t k, float *heap);

#endif
