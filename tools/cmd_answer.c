/* attn answer: the part of a context that answers a question; a long context in windows that
 * overlap. */
#include "tools/cli_text.h"
#include "tools/text_tasks.h"

#include <stdio.h>
#include <stdlib.h>

/* As question answering is usually run: windows of 384 tokens that share 128 (at most half of
 * them), answers of at most 15 tokens. */
enum { WINDOW = 384, SHARED = 128, LONGEST = 15 };

typedef struct span {
    size_t first, end; /* bytes of the context */
    float score;
} span;

typedef struct answer {
    cli c;
    const char *question, *context, *file;
    size_t top;
    text_model m;
    attn_encoding e;   /* question and whole context */
    size_t begin, end; /* tokens of the context */
    int32_t *window;   /* ids, types and mask of one window, each `room` long */
    size_t room;
    float *p; /* probabilities of start and end */
    span *best;
    size_t found;
} answer;

/* The bytes of the words that tokens i to j belong to. */
static span span_of(const answer *k, size_t i, size_t j)
{
    const attn_encoding *e = &k->e;
    while (i > k->begin && e->word[i] >= 0 && e->word[i - 1] == e->word[i]) i--;
    while (j + 1 < k->end && e->word[j] >= 0 && e->word[j + 1] == e->word[j]) j++;
    return (span){.first = e->offset[i][0], .end = e->offset[j][1]};
}

/* Into the list of the best, where it is not there with a better score. */
static void keep(answer *k, span s)
{
    for (size_t i = 0; i < k->found; i++) {
        if (k->best[i].first != s.first || k->best[i].end != s.end) continue;
        if (k->best[i].score >= s.score) return;
        memmove(&k->best[i], &k->best[i + 1], (--k->found - i) * sizeof s);
        break;
    }
    size_t at = k->found < k->top ? k->found++ : k->top;
    if (at == k->top && k->best[--at].score >= s.score) return;
    for (; at > 0 && k->best[at - 1].score < s.score; at--) k->best[at] = k->best[at - 1];
    k->best[at] = s;
}

/* Tokens [from, to) of the context, between the question and what ends the text. */
static attn_status run_window(answer *k, size_t from, size_t to, attn_error *err)
{
    size_t lead = k->begin, tail = k->e.count - k->end, n = to - from, count = lead + n + tail;
    attn_encoding e = {.count = count,
                       .ids = k->window,
                       .type_ids = k->window + k->room,
                       .attention = k->window + 2 * k->room};
    int32_t *const to_list[3] = {e.ids, e.type_ids, e.attention};
    int32_t *const from_list[3] = {k->e.ids, k->e.type_ids, k->e.attention};
    attn_tensor starts, ends;
    for (size_t i = 0; i < 3; i++) {
        memcpy(to_list[i], from_list[i], lead * sizeof(int32_t));
        memcpy(to_list[i] + lead, from_list[i] + from, n * sizeof(int32_t));
        memcpy(to_list[i] + lead + n, from_list[i] + k->end, tail * sizeof(int32_t));
    }
    ATTN_TRY(text_model_run(&k->m, &e, 1, err));
    ATTN_TRY(text_model_row(&k->m, "start_logits", 0, 1, &starts, err));
    ATTN_TRY(text_model_row(&k->m, "end_logits", 0, 1, &ends, err));
    float *start = k->p, *end = k->p + k->room;
    text_softmax(&k->m, (const float *)starts.data + lead, start, n);
    text_softmax(&k->m, (const float *)ends.data + lead, end, n);
    for (size_t i = 0; i < n; i++)
        for (size_t j = i; j < n && j < i + LONGEST; j++) {
            float score = start[i] * end[j];
            if (k->found == k->top && score <= k->best[k->top - 1].score) continue;
            span s = span_of(k, from + i, from + j);
            s.score = score;
            keep(k, s);
        }
    return ATTN_OK;
}

static attn_status run_windows(answer *k, size_t length, attn_error *err)
{
    attn_encode_options options = {.no_padding = true, .no_truncation = true};
    ATTN_TRY(attn_tokenizer_encode(k->m.tokenizer, k->question, strlen(k->question), k->context,
                                   length, &options, &k->e, err));
    while (k->begin < k->e.count && k->e.sequence[k->begin] != 1) k->begin++;
    k->end = k->begin;
    while (k->end < k->e.count && k->e.sequence[k->end] == 1) k->end++;
    k->room = k->m.limit < WINDOW ? k->m.limit : WINDOW;
    size_t around = k->e.count - (k->end - k->begin);
    if (k->begin == k->end) return attn_fail(err, ATTN_BAD_INPUT, "the context has no tokens");
    size_t share = k->room / 2 < SHARED ? k->room / 2 : SHARED;
    if (around + share >= k->room)
        return attn_fail(err, ATTN_BAD_INPUT, "the question has %zu tokens, too many of %zu",
                         around, k->room);
    k->window = malloc(3 * k->room * sizeof *k->window);
    k->p = malloc(2 * k->room * sizeof *k->p);
    k->best = malloc((k->top + 1) * sizeof *k->best);
    if (!k->window || !k->p || !k->best) return attn_fail(err, ATTN_NO_MEMORY, "out of memory");
    size_t n = k->room - around;
    for (size_t from = k->begin;; from += n - share) {
        size_t to = k->end - from < n ? k->end : from + n;
        ATTN_TRY(run_window(k, from, to, err));
        cli_progress(&k->c, to - k->begin, k->end - k->begin);
        if (to == k->end) return ATTN_OK;
    }
}

static int print_answers(const answer *k)
{
    cJSON *root = k->c.json ? cJSON_CreateObject() : NULL, *list = NULL;
    if (root) {
        cJSON_AddStringToObject(root, "model", k->m.model->name);
        list = cJSON_AddArrayToObject(root, "answers");
    }
    for (size_t i = 0; i < k->found; i++) {
        const span *s = &k->best[i];
        size_t first = texts_characters(k->context, s->first);
        size_t end = texts_characters(k->context, s->end);
        if (!root) {
            printf("%6.2f %%  ", 100 * (double)s->score);
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
        cJSON_AddNumberToObject(entry, "score", (double)s->score);
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
                      .usage = "MODEL --question Q --context TEXT|--file CONTEXT.txt [--top K]"},
                .top = 1};
    const cli_option options[] = {{"--question", CLI_TEXT, &k.question, 0, 0},
                                  {"--context", CLI_TEXT, &k.context, 0, 0},
                                  {"--file", CLI_TEXT, &k.file, 0, 0},
                                  {"--top", CLI_NUMBER, &k.top, 1, 100},
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
    free(k.window);
    free(k.p);
    free(k.best);
    if (k.e.memory) attn_encoding_free(k.m.tokenizer, &k.e);
    text_model_close(&k.m);
    free(bytes);
    return status;
}
