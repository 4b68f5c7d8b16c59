/* Byte-pair encoding: what its building and its encoding share. */
#ifndef ATTN_TOKENIZER_BPE_H
#define ATTN_TOKENIZER_BPE_H

#include "runtime/inputs/tokenizer/algorithm.h"

enum {
    ATTN_BPE_PLANE = 0x10000, /* code points whose symbols are found by a table */
    ATTN_BPE_AFFIX = 64,      /* bytes of a prefix or suffix, at most */
    ATTN_BPE_NONE = -1,
    ATTN_BPE_LOST = -2, /* the unknown token is named, but not in the vocabulary */
};

/* The pair left, right becomes result. Free slots have left < 0. */
typedef struct attn_bpe_merge {
    int32_t left, right, result;
    uint32_t rank; /* the lowest is merged first */
} attn_bpe_merge;

typedef struct attn_bpe {
    attn_bpe_merge *merge; /* open addressing, at most half full */
    size_t mask;           /* slots - 1 */
    uint64_t factor;       /* of the hash */
    int32_t *plane;        /* [ATTN_BPE_PLANE] code point to id, or NONE */
    int32_t byte[256];     /* <0x00> ... <0xFF>, or NONE */
    int32_t unk;           /* an id, NONE or LOST */
    const char *unk_token;
    const char *prefix, *suffix; /* of symbols that continue, or end, a word */
    size_t prefix_length, suffix_length, unk_length;
    bool fuse_unk, byte_fallback, ignore_merges;
    bool splits; /* no merge joins anything with a following U+2581: words are cut before it */
} attn_bpe;

/* The slot of the pair, or the free one where it belongs. */
static inline attn_bpe_merge *attn_bpe_slot(const attn_bpe *b, int32_t left, int32_t right)
{
    uint64_t key = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    size_t i = (size_t)((key ^ key >> 29) * b->factor >> 32) & b->mask;
    while (b->merge[i].left >= 0 && (b->merge[i].left != left || b->merge[i].right != right))
        i = (i + 1) & b->mask;
    return &b->merge[i];
}

/* attn_algorithm's build. */
attn_status attn_bpe_build(void *self, const cJSON *model, const char *file,
                           attn_vocabulary *vocabulary, attn_arena *arena, attn_error *err);

#endif
