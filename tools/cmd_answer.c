/* attn answer: the part of a context that answers a question, as transformers' pipeline
 * "question-answering" finds it; a long context in windows that overlap. */
#include "tools/cli_text.h"
#include "tools/text_tasks.h"

#include <stdio.h>
#include <stdlib.h>
#include <utf8proc.h>

/* The pipeline's defaults: windows of 384 tokens that share 128 (at most half of them), answers of
 * at most 15 tokens. Of each window so many more than are wanted are looked at, since several may
 * be one text. */
enum { WINDOW = 384, SHARED = 128, LONGEST = 15, MORE = 10 };

typedef struct span {
    size_t first, end; /* bytes of the context; of a window, its tokens */
    double score;
} span;

typedef struct answer {
    cli c;
    const char *question, *context, *file;
    size_t top, max_length, stride, longest;
    text_model m;
    attn_encoding *window;
    size_t windows;
    float *p;                       /* probabilities of start and end, [2, max_length] */
    span *best, *all;               /* [most] of one window; [windows, most] answers of all */
    size_t most, candidates, found; /* room and entries of the one, entries of the other */
} answer;

/* The same text, apart from upper and lower case. */
static bool same_text(const char *a, size_t a_length, const char *b, size_t b_length)
{
    const utf8proc_uint8_t *x = (const utf8proc_uint8_t *)a, *y = (const utf8proc_uint8_t *)b;
    while (a_length && b_length) {
        utf8proc_int32_t c, d;
        utf8proc_ssize_t n = utf8proc_iterate(x, (utf8proc_ssize_t)a_length, &c);
        utf8proc_ssize_t m = utf8proc_iterate(y, (utf8proc_ssize_t)b_length, &d);
        if (n < 1 || m < 1) return a_length == b_length && memcmp(x, y, a_length) == 0;
        if (c != d && utf8proc_tolower(c) != utf8proc_tolower(d)) return false;
        x += n;
        y += m;
        a_length -= (size_t)n;
        b_length -= (size_t)m;
    }
    return a_length == b_length;
}

/* Into a list of the `most` best; of equal ones the first stays in front. */
static void keep(span *list, size_t *count, size_t most, span s)
{
    size_t at = *count < most ? (*count)++ : most;
    if (at == most && !(s.score > list[--at].score)) return;
    for (; at > 0 && s.score > list[at - 1].score; at--) list[at] = list[at - 1];
    list[at] = s;
}

/* The bytes of the words that tokens [s.first, s.end) of a window belong to, as far as it has them.
 * What two spans have in common by their text is one answer, and has the sum of their scores. */
static void add_answer(answer *k, const attn_encoding *e, span s)
{
    size_t i = s.first, j = s.end - 1;
    while (i > 0 && e->sequence[i - 1] == 1 && e->word[i - 1] == e->word[i]) i--;
    while (j + 1 < e->count && e->sequence[j + 1] == 1 && e->word[j + 1] == e->word[j]) j++;
    span made = {.first = e->offset[i][0], .end = e->offset[j][1], .score = s.score};
    for (size_t n = 0; n < k->found; n++)
        if (same_text(k->context + k->all[n].first, k->all[n].end - k->all[n].first,
                      k->context + made.first, made.end - made.first)) {
            k->all[n].score += made.score;
            return;
        }
    k->all[k->found++] = made;
}

/* Softmax over the tokens of the context and those of the special token that begins the text, as a
 * model that may find no answer was trained. */
static void probabilities(const answer *k, const attn_encoding *e, const float *logits, float *p)
{
    int32_t cls = attn_tokenizer_special(k->m.tokenizer, "cls");
    for (size_t i = 0; i < e->count; i++)
        p[i] = e->sequence[i] == 1 || (cls >= 0 && e->ids[i] == cls) ? logits[i] : -10000;
    text_softmax(&k->m, p, p, e->count);
}

static attn_status run_window(answer *k, const attn_encoding *e, attn_error *err)
{
    attn_tensor starts, ends;
    ATTN_TRY(text_model_run(&k->m, e, 1, err));
    ATTN_TRY(text_model_row(&k->m, "start_logits", 0, 1, &starts, err));
    ATTN_TRY(text_model_row(&k->m, "end_logits", 0, 1, &ends, err));
    float *start = k->p, *end = k->p + k->max_length;
    probabilities(k, e, starts.data, start);
    probabilities(k, e, ends.data, end);
    k->candidates = 0;
    for (size_t i = 0; i < e->count; i++)
        for (size_t j = i; e->sequence[i] == 1 && j < e->count && j < i + k->longest; j++)
            if (e->sequence[j] == 1)
                keep(k->best, &k->candidates, k->most, (span){i, j + 1, start[i] * end[j]});
    for (size_t i = 0; i < k->candidates; i++) add_answer(k, e, k->best[i]);
    return ATTN_OK;
}

static attn_status run_windows(answer *k, size_t length, attn_error *err)
{
    if (!k->max_length || k->max_length > k->m.limit)
        k->max_length = k->m.limit < WINDOW ? k->m.limit : WINDOW;
    if (!k->stride) k->stride = k->max_length / 2 < SHARED ? k->max_length / 2 : SHARED;
    const attn_encode_options options = {
        .max_length = k->max_length, .stride = k->stride, .cut = ATTN_CUT_ONLY_SECOND};
    ATTN_TRY(attn_tokenizer_windows(k->m.tokenizer, k->question, strlen(k->question), k->context,
                                    length, &options, &k->window, &k->windows, err));
    k->most = 2 * k->top + MORE;
    k->p = malloc(2 * k->max_length * sizeof *k->p);
    k->best = malloc(k->most * sizeof *k->best);
    k->all = malloc(k->windows * k->most * sizeof *k->all);
    if (!k->p || !k->best || !k->all) return attn_fail(err, ATTN_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < k->windows; i++) {
        ATTN_TRY(run_window(k, &k->window[i], err));
        cli_progress(&k->c, i + 1, k->windows);
    }
    if (!k->found) return attn_fail(err, ATTN_BAD_INPUT, "the context has no tokens");
    /* The best of all come first, in place: what is kept is never behind what is read. */
    size_t all = k->found;
    k->found = 0;
    for (size_t i = 0; i < all; i++) keep(k->all, &k->found, k->top, k->all[i]);
    return ATTN_OK;
}

static int print_answers(const answer *k)
{
    cJSON *root = k->c.json ? cJSON_CreateObject() : NULL, *list = NULL;
    if (root) {
        cJSON_AddStringToObject(root, "model", k->m.model->name);
        list = cJSON_AddArrayToObject(root, "answers");
    }
    for (size_t i = 0; i < k->found; i++) {
        const span *s = &k->all[i];
        size_t first = texts_characters(k->context, s->first);
        size_t end = texts_characters(k->context, s->end);
        if (!root) {
            printf("%6.2f %%  ", 100 * s->score);
            texts_print_line(k->context + s->first, s->end - s->first);
            printf("  (%zu..%zu)\n", first, end);
            continue;
        }
        char *text = malloc(s->end - s->first + 1);
        cJSON *entry = cJSON_CreateObject();
        if (text) {
            memcpy(text, k->context + s->first, s->end - s->first);
            text[s->end - s->first] = 0;
            cJSON_AddStringToObject(entry, "answer", text);
        }
        free(text);
        cJSON_AddNumberToObject(entry, "score", s->score);
        cJSON_AddNumberToObject(entry, "start", (double)first);
        cJSON_AddNumberToObject(entry, "end", (double)end);
        cJSON_AddItemToArray(list, entry);
    }
    return root ? cli_print_json(root, EXIT_DONE) : EXIT_DONE;
}

static attn_status find_answers(answer *k, size_t length, attn_error *err)
{
    if (!text_model_output(&k->m, ATTN_KIND_ARRAY, "start_logits") ||
        !text_model_output(&k->m, ATTN_KIND_ARRAY, "end_logits"))
        return attn_fail(err, ATTN_BAD_MODEL,
                         "%s: model \"%s\" answers no questions: it has no outputs start_logits "
                         "and end_logits",
                         k->m.model->description_name, k->m.model->name);
    return run_windows(k, length, err);
}

int cmd_answer(int argc, char **argv)
{
    answer k = {.c = {.command = "answer",
                      .usage = "MODEL --question Q --context TEXT|--file CONTEXT.txt [--top K] "
                               "[--max-length N] [--stride N] [--longest N]"},
                .top = 1,
                .longest = LONGEST};
    const cli_option options[] = {{"--question", CLI_TEXT, &k.question, 0, 0},
                                  {"--context", CLI_TEXT, &k.context, 0, 0},
                                  {"--file", CLI_TEXT, &k.file, 0, 0},
                                  {"--top", CLI_NUMBER, &k.top, 1, 100},
                                  {"--max-length", CLI_NUMBER, &k.max_length, 4, 1 << 20},
                                  {"--stride", CLI_NUMBER, &k.stride, 1, 1 << 20},
                                  {"--longest", CLI_NUMBER, &k.longest, 1, 1 << 20},
                                  {0}};
    int status;
    attn_error err;
    char *bytes = NULL;
    size_t length = 0;
    if (!cli_options(&k.c, argc, argv, options, &status)) return status;
    if (k.c.count != 1 || !k.question || !k.context == !k.file)
        return cli_usage(&k.c, "a model, a question and a context are needed");
    if (k.context)
        length = strlen(k.context);
    else if (cli_read_file(k.file, &bytes, &length, &err))
        return cli_error(&err);
    if (bytes) k.context = bytes;
    if (text_model_open(&k.m, &k.c, k.c.argument[0], &err)) {
        free(bytes);
        return cli_error(&err);
    }
    status = find_answers(&k, length, &err) ? cli_error(&err) : print_answers(&k);
    free(k.p);
    free(k.best);
    free(k.all);
    attn_windows_free(k.m.tokenizer, k.window, k.windows);
    text_model_close(&k.m);
    free(bytes);
    return status;
}
