/* Decoders: from tokens back to text. Each rewrites a list of words; the last list is joined. */
#ifndef ATTN_TOKENIZER_DECODER_H
#define ATTN_TOKENIZER_DECODER_H

#include "runtime/inputs/tokenizer/pretokenizer.h"

/* A list of words: word i is text[end[i - 1] .. end[i]). */
typedef struct attn_words {
    attn_memory *memory;
    char *text;
    size_t length, room;
    size_t *end;
    size_t count, end_room;
} attn_words;

void attn_words_free(attn_words *w);
/* Adds to the word that is being written. */
attn_status attn_words_put(attn_words *w, const char *text, size_t length, attn_error *err);
/* Ends that word. */
attn_status attn_words_end(attn_words *w, attn_error *err);
static inline const char *attn_words_at(const attn_words *w, size_t i, size_t *length)
{
    size_t begin = i ? w->end[i - 1] : 0;
    *length = w->end[i] - begin;
    return w->text ? w->text + begin : "";
}

typedef struct attn_decoder attn_decoder;

typedef attn_status attn_decode_run(const attn_decoder *d, attn_matcher *matcher,
                                    const attn_words *in, attn_words *out, attn_error *err);

struct attn_decoder {
    attn_decode_run *run;
    const char *text, *second; /* WordPiece: prefix; BPEDecoder: suffix; Replace: content; CTC: pad
                                  and delimiter */
    size_t length, second_length;
    const attn_pattern *pattern;
    uint32_t character;
    size_t start, stop;
    bool flag; /* cleanup; Metaspace: a prefix was put in */
};

typedef struct attn_decoders {
    bool set; /* none: words are joined by spaces */
    size_t count;
    attn_decoder *list; /* sequences are part of it, flat */
} attn_decoders;

attn_status attn_decoders_read(attn_decoders *d, const attn_place *place, attn_pattern **patterns,
                               attn_arena *arena, attn_error *err);
/* Rewrites *words by all of them; *spare is overwritten. */
attn_status attn_decode(const attn_decoders *d, attn_matcher *matcher, attn_words *words,
                        attn_words *spare, attn_error *err);

attn_decode_run attn_decode_wordpiece, attn_decode_bpe, attn_decode_byte_level,
    attn_decode_metaspace, attn_decode_byte_fallback, attn_decode_fuse, attn_decode_strip,
    attn_decode_replace, attn_decode_ctc;

#endif
