/* attn fill: what stands in a masked place. */
#include "tools/text_tasks.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct fill {
    cli c;
    size_t top;
    text_model m;
    attn_encoding e;
    cJSON *places;
    size_t masks;
} fill;

/* Candidate `id` in the masked place t. */
static attn_status show(fill *k, size_t t, int32_t id, float probability, cJSON *list,
                        attn_error *err)
{
    char *token = NULL, *text = NULL;
    size_t length, whole;
    int32_t before = k->e.ids[t];
    k->e.ids[t] = id;
    attn_status status = attn_tokenizer_decode(k->m.tokenizer, &id, 1, false, &token, &length, err);
    if (!status)
        status = attn_tokenizer_decode(k->m.tokenizer, k->e.ids, k->e.count, k->masks == 1, &text,
                                       &whole, err);
    k->e.ids[t] = before;
    if (!status && list) {
        cJSON *entry = cJSON_CreateObject();
        cJSON_AddNumberToObject(entry, "token", id);
        cJSON_AddStringToObject(entry, "text", token);
        cJSON_AddNumberToObject(entry, "probability", (double)probability);
        cJSON_AddStringToObject(entry, "sequence", text);
        cJSON_AddItemToArray(list, entry);
    } else if (!status) {
        printf("  %6.2f %%  ", 100 * (double)probability);
        texts_print_line(token, length);
        printf("  |  ");
        texts_print_line(text, whole);
        putchar('\n');
    }
    if (token) attn_text_free(k->m.tokenizer, token);
    if (text) attn_text_free(k->m.tokenizer, text);
    return status;
}

/* The most probable tokens of one place; p: their probabilities, which are used up. */
static attn_status show_best(fill *k, size_t t, float *p, size_t n, attn_error *err)
{
    cJSON *list = k->places ? cJSON_CreateArray() : NULL;
    attn_status status = ATTN_OK;
    if (list) cJSON_AddItemToArray(k->places, list);
    if (!list && k->masks > 1) printf("token %zu\n", t);
    for (size_t i = 0; i < k->top && i < n && !status; i++) {
        size_t best = 0;
        for (size_t j = 1; j < n; j++)
            if (p[j] > p[best]) best = j;
        status = show(k, t, (int32_t)best, p[best], list, err);
        p[best] = -1;
    }
    return status;
}

static attn_status fill_text(fill *k, const char *text, attn_error *err)
{
    int32_t mask = attn_tokenizer_special(k->m.tokenizer, "mask");
    const attn_port *port = text_model_output(&k->m, ATTN_KIND_VOCABULARY, NULL);
    const char *name = mask < 0 ? NULL : attn_tokenizer_token(k->m.tokenizer, mask, NULL);
    attn_tensor logits;
    bool cut;
    if (!port)
        return attn_fail(err, ATTN_BAD_MODEL, "%s: model \"%s\" has no output of kind vocabulary",
                         k->m.model->description_name, k->m.model->name);
    if (mask < 0)
        return attn_fail(err, ATTN_BAD_MODEL, "%s: the tokenizer has no mask token",
                         k->m.model->folder);
    ATTN_TRY(text_model_encode(&k->m, text, strlen(text), NULL, 0, &k->e, &cut, err));
    for (size_t t = 0; t < k->e.count; t++) k->masks += k->e.ids[t] == mask;
    if (k->masks == 0)
        return attn_fail(err, ATTN_BAD_INPUT, "the text has no %s%s", name,
                         cut ? " within the model's limit" : "");
    ATTN_TRY(text_model_run(&k->m, &k->e, 1, err));
    ATTN_TRY(text_model_row(&k->m, port->name, 0, 2, &logits, err));
    size_t n = logits.dim[1];
    float *p = malloc(n * sizeof *p);
    if (!p) return attn_fail(err, ATTN_NO_MEMORY, "out of memory: %zu tokens", n);
    attn_status status = ATTN_OK;
    for (size_t t = 0; t < k->e.count && !status; t++) {
        if (k->e.ids[t] != mask) continue;
        text_softmax(&k->m, (const float *)logits.data + t * n, p, n);
        status = show_best(k, t, p, n, err);
    }
    free(p);
    return status;
}

int cmd_fill(int argc, char **argv)
{
    fill k = {
        .c = {.command = "fill", .usage = "MODEL \"Paris is the [MASK] of France.\" [--top K]"},
        .top = 5};
    const cli_option options[] = {{"--top", CLI_NUMBER, &k.top, 1, 1000}, {0}};
    int status;
    attn_error err;
    if (!cli_options(&k.c, argc, argv, options, &status)) return status;
    if (k.c.count != 2) return cli_usage(&k.c, "a model and one text are needed");
    if (text_model_open(&k.m, &k.c, k.c.argument[0], &err)) return cli_error(&err);
    if (k.c.json) k.places = cJSON_CreateArray();
    if (fill_text(&k, k.c.argument[1], &err)) status = cli_error(&err);
    if (k.places) {
        cJSON *root = cJSON_CreateObject();
        cJSON_AddStringToObject(root, "model", k.m.model->name);
        cJSON_AddItemToObject(root, "places", k.places);
        if (status)
            cJSON_Delete(root);
        else
            status = cli_print_json(root, status);
    }
    if (k.e.memory) attn_encoding_free(k.m.tokenizer, &k.e);
    text_model_close(&k.m);
    return status;
}
