/* The frequencies of rotary positions, and how a model stretches them beyond the length that it was
 * trained for: what Hugging Face writes as "rope_scaling" or "rope_parameters". */
#ifndef ATTN_ROPE_SCALING_H
#define ATTN_ROPE_SCALING_H

#include "layers/layer.h"

typedef enum attn_rope_type {
    ATTN_ROPE_DEFAULT,
    ATTN_ROPE_LINEAR,  /* Chen et al. 2023 (arXiv:2306.15595): every frequency / factor */
    ATTN_ROPE_DYNAMIC, /* changes them only beyond the trained length, which no run exceeds */
    ATTN_ROPE_LLAMA3,  /* by wavelength: short ones stay, long ones / factor, between a mixture */
    ATTN_ROPE_YARN,    /* Peng et al. 2023 (arXiv:2309.00071), sec. 3.2-3.4 */
    ATTN_ROPE_LONG,    /* Ding et al. 2024 (arXiv:2402.13753): each / its own factor, of which there
                        * are two sets: for texts up to the trained length, and for longer ones */
} attn_rope_type;

typedef struct attn_rope {
    int type;    /* attn_rope_type */
    size_t dims; /* rotated columns of a head, even */
    double theta_log;
    double factor, length;   /* length: that of the training */
    double low, high;        /* llama3: factors; yarn: the first and last index of the ramp */
    double attention_factor; /* of sine and cosine */
    double *factors[2];      /* longrope: [dims / 2] each, of short and of long texts */
} attn_rope;

/* Reads "head_dim", "fraction", "theta", "positions", "max_positions" and the object "scaling" of a
 * node. */
attn_status attn_rope_parse(attn_reader *r, attn_rope *rope);
/* frequency: [dims / 2]; angle of position t and index i: t * frequency[i], in a text of so many
 * rows. */
void attn_rope_frequencies(const attn_rope *rope, size_t text, double *frequency);

#endif
