/* attn tokenize: text to ids and back. */
#include "runtime/attn_text.h"
#include "tools/cli_text.h"
#include "tools/texts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the text ----------------------------------------------------------------------------- */

typedef struct source {
    const char *text;
    char *owned;
    size_t length;
} source;

/* ---- what is printed ---------------------------------------------------------------------- */

static void print_encoding(const attn_tokenizer *t, const attn_encoding *e, const source *text)
{
    printf("%8s  %-24s %s\n", "id", "token", "bytes");
    for (size_t i = 0; i < e->count; i++) {
        size_t length, first = e->offset[i][0], end = e->offset[i][1];
        const char *token = attn_tokenizer_token(t, e->ids[i], &length);
        int width = 0;
        for (size_t k = 0; token && k < length; k++) width += (token[k] & 0xc0) != 0x80;
        printf("%8ld  ", (long)e->ids[i]);
        texts_print_line(token ? token : "?", token ? length : 1);
        printf("%*s ", width < 24 ? 24 - width : 0, "");
        if (e->sequence[i] < 0) {
            puts("-");
            continue;
        }
        printf("%zu..%zu%s  ", first, end, e->sequence[i] ? " of the pair" : "");
        texts_print_line(text[e->sequence[i]].text + first, end - first);
        putchar('\n');
    }
}

static cJSON *integers(const int32_t *value, size_t count)
{
    return cJSON_CreateIntArray(value, (int)count);
}

static cJSON *encoding_json(const attn_tokenizer *t, const attn_encoding *e)
{
    cJSON *root = cJSON_CreateObject();
    cJSON *tokens = cJSON_AddArrayToObject(root, "tokens");
    cJSON *offsets = cJSON_AddArrayToObject(root, "offsets");
    for (size_t i = 0; i < e->count; i++) {
        const char *token = attn_tokenizer_token(t, e->ids[i], NULL);
        const int place[2] = {(int)e->offset[i][0], (int)e->offset[i][1]};
        cJSON_AddItemToArray(tokens, token ? cJSON_CreateString(token) : cJSON_CreateNull());
        cJSON_AddItemToArray(offsets, cJSON_CreateIntArray(place, 2));
    }
    cJSON_AddItemToObject(root, "ids", integers(e->ids, e->count));
    cJSON_AddItemToObject(root, "type_ids", integers(e->type_ids, e->count));
    cJSON_AddItemToObject(root, "attention_mask", integers(e->attention, e->count));
    cJSON_AddItemToObject(root, "special_tokens_mask", integers(e->special, e->count));
    cJSON_AddItemToObject(root, "sequence_ids", integers(e->sequence, e->count));
    cJSON_AddItemToObject(root, "word_ids", integers(e->word, e->count));
    return root;
}

static int encode(const cli *c, const attn_tokenizer *t, const source *text, bool pair,
                  bool windows, const attn_encode_options *options, attn_error *err)
{
    attn_encoding one, *e = &one;
    size_t count = 1;
    attn_status failed =
        windows
            ? attn_tokenizer_windows(t, text[0].text, text[0].length, pair ? text[1].text : NULL,
                                     text[1].length, options, &e, &count, err)
            : attn_tokenizer_encode(t, text[0].text, text[0].length, pair ? text[1].text : NULL,
                                    text[1].length, options, e, err);
    if (failed) return cli_error(err);
    cJSON *root = c->json && windows ? cJSON_CreateObject() : NULL;
    cJSON *list = root ? cJSON_AddArrayToObject(root, "windows") : NULL;
    for (size_t i = 0; i < count; i++) {
        if (list)
            cJSON_AddItemToArray(list, encoding_json(t, &e[i]));
        else if (c->json)
            root = encoding_json(t, e);
        else
            print_encoding(t, &e[i], text);
    }
    if (windows)
        attn_windows_free(t, e, count);
    else
        attn_encoding_free(t, e);
    return root ? cli_print_json(root, EXIT_DONE) : EXIT_DONE;
}

/* ---- decoding ----------------------------------------------------------------------------- */

static int decode(const cli *c, const attn_tokenizer *t, const char *list, bool no_special,
                  attn_error *err)
{
    int32_t *ids = NULL;
    size_t count, length;
    char *text = NULL;
    attn_status status = cli_parse_ids("--decode", list, &ids, &count, err);
    if (!status) status = attn_tokenizer_decode(t, ids, count, no_special, &text, &length, err);
    free(ids);
    if (status) return cli_error(err);
    int result = EXIT_DONE;
    if (c->json) {
        cJSON *root = cJSON_CreateObject();
        cJSON_AddStringToObject(root, "text", text);
        result = cli_print_json(root, EXIT_DONE);
    } else {
        fwrite(text, 1, length, stdout);
        putchar('\n');
    }
    attn_text_free(t, text);
    return result;
}

/* ---- the command -------------------------------------------------------------------------- */

int cmd_tokenize(int argc, char **argv)
{
    cli c = {.command = "tokenize",
             .usage =
                 "MODEL (TEXT | --file FILE) [--pair TEXT] [--no-special]\n"
                 "                     [--max-length TOKENS] [--windows [--stride TOKENS]]\n"
                 "       attn tokenize MODEL --decode IDS [--no-special]\n"
                 "MODEL is a folder with tokenizer.json or vocab.txt, or such a file; FILE may "
                 "be - for\nstandard input; IDS are such as 101,7592,102"};
    const char *pair = NULL, *file = NULL, *ids = NULL;
    bool windows = false;
    attn_encode_options how = {0};
    const cli_option options[] = {{"--pair", CLI_TEXT, &pair, 0, 0},
                                  {"--file", CLI_TEXT, &file, 0, 0},
                                  {"--decode", CLI_TEXT, &ids, 0, 0},
                                  {"--no-special", CLI_FLAG, &how.no_special, 0, 0},
                                  {"--max-length", CLI_NUMBER, &how.max_length, 1, SIZE_MAX},
                                  {"--stride", CLI_NUMBER, &how.stride, 0, SIZE_MAX},
                                  {"--windows", CLI_FLAG, &windows, 0, 0},
                                  {0}};
    int status;
    attn_error err = {0};
    attn_tokenizer *t;
    source text[2] = {{0}, {0}};
    if (!cli_options(&c, argc, argv, options, &status)) return status;
    size_t wanted = file || ids ? 1 : 2;
    if (c.count != wanted || (ids && (pair || file)))
        return cli_usage(&c, "a model and one text, file or list of ids are needed");
    if (how.stride && !windows) return cli_usage(&c, "--stride goes with --windows");
    if (ids && (windows || how.max_length))
        return cli_usage(&c, "--windows and --max-length are for texts, not for --decode");
    const attn_tokenizer_options own = {.budget = cli_budget()};
    if (attn_tokenizer_open(&t, c.argument[0], &own, &err)) return cli_error(&err);
    if (wanted == 2) text[0] = (source){c.argument[1], NULL, strlen(c.argument[1])};
    if (pair) text[1] = (source){pair, NULL, strlen(pair)};
    bool unread = file && cli_read_file(file, &text[0].owned, &text[0].length, &err);
    if (file) text[0].text = text[0].owned;
    if (ids)
        status = decode(&c, t, ids, how.no_special, &err);
    else if (unread)
        status = cli_error(&err);
    else
        status = encode(&c, t, text, pair != NULL, windows, &how, &err);
    free(text[0].owned);
    attn_tokenizer_close(t);
    return status;
}
