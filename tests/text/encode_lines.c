/* A tokenizer for the Python tests: encode_lines MODEL [--no-special] reads texts from standard
 * input, each a u32 length and its bytes, and writes for each
 *
 *     u32 count | count x {i32 id, u32 first, u32 end} | u32 length | the ids decoded, without
 *                                                                     special tokens
 * With --time ROUNDS instead: one line "OPEN_SECONDS ENCODE_SECONDS BYTES TOKENS", the time of the
 * fastest of so many rounds over all texts. */
#define _POSIX_C_SOURCE 200809L

#include "runtime/attn_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct text {
    char *bytes;
    uint32_t length;
} text;

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void stop(const char *what)
{
    fprintf(stderr, "encode_lines: %s\n", what);
    exit(1);
}

static text *read_texts(size_t *count)
{
    size_t room = 0;
    text *texts = NULL, t;
    for (*count = 0; fread(&t.length, 4, 1, stdin) == 1; (*count)++) {
        if (*count == room) {
            room = room ? 2 * room : 1024;
            text *more = realloc(texts, room * sizeof *texts);
            if (!more) stop("out of memory");
            texts = more;
        }
        t.bytes = malloc((size_t)t.length + 1);
        if (!t.bytes || fread(t.bytes, 1, t.length, stdin) != t.length) stop("a text is cut off");
        texts[*count] = t;
    }
    return texts;
}

static void write_text(const attn_tokenizer *t, const attn_encoding *e)
{
    attn_error err;
    char *decoded;
    size_t length;
    uint32_t count = (uint32_t)e->count, size;
    fwrite(&count, 4, 1, stdout);
    for (size_t i = 0; i < e->count; i++) {
        uint32_t token[3] = {(uint32_t)e->ids[i], (uint32_t)e->offset[i][0],
                             (uint32_t)e->offset[i][1]};
        fwrite(token, 4, 3, stdout);
    }
    if (attn_tokenizer_decode(t, e->ids, e->count, true, &decoded, &length, &err)) stop(err.text);
    size = (uint32_t)length;
    fwrite(&size, 4, 1, stdout);
    fwrite(decoded, 1, length, stdout);
    attn_text_free(t, decoded);
}

/* The tokens. */
static size_t encode_all(const attn_tokenizer *t, const text *texts, size_t count,
                         const attn_encode_options *options, bool write)
{
    size_t tokens = 0;
    for (size_t i = 0; i < count; i++) {
        attn_error err;
        attn_encoding e;
        if (attn_tokenizer_encode(t, texts[i].bytes, texts[i].length, NULL, 0, options, &e, &err))
            stop(err.text);
        tokens += e.count;
        if (write) write_text(t, &e);
        attn_encoding_free(t, &e);
    }
    return tokens;
}

int main(int argc, char **argv)
{
    attn_error err;
    attn_tokenizer *t;
    attn_encode_options options = {0};
    int rounds = 0;
    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], "--no-special") == 0) options.no_special = true;
        if (strcmp(argv[i], "--time") == 0 && i + 1 < argc) rounds = atoi(argv[++i]);
    }
    if (argc < 2) stop("a model is needed");
    double begin = seconds();
    if (attn_tokenizer_open(&t, argv[1], NULL, &err)) stop(err.text);
    double open = seconds() - begin, best = 0;
    size_t count, tokens = 0, bytes = 0;
    text *texts = read_texts(&count);
    if (!rounds) encode_all(t, texts, count, &options, true);
    for (int i = 0; i < rounds; i++) {
        begin = seconds();
        tokens = encode_all(t, texts, count, &options, false);
        double taken = seconds() - begin;
        if (i == 0 || taken < best) best = taken;
    }
    for (size_t i = 0; i < count; i++) {
        bytes += texts[i].length;
        free(texts[i].bytes);
    }
    if (rounds) printf("%.6f %.6f %zu %zu\n", open, best, bytes, tokens);
    free(texts);
    attn_tokenizer_close(t);
    return 0;
}
