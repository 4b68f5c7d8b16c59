/* attn classify: the labels of images; of texts, see classify_text.c. */
#include "tools/cli.h"
#include "tools/explain.h"
#include "tools/text_tasks.h"

#include <stdio.h>

typedef struct classify {
    cli c;
    size_t top;
    const char *heatmap;
    attn_model *model;
    attn_session *session;
    const char *output; /* the output of kind classes */
    cJSON *results;
} classify;

static attn_status find_classes(classify *k, attn_error *err)
{
    const attn_graph *g = &k->model->graph;
    for (size_t i = 0; i < g->outputs && !k->output; i++)
        if (g->output[i].kind == ATTN_KIND_CLASSES) k->output = g->output[i].name;
    if (!k->output)
        return attn_fail(err, ATTN_BAD_MODEL, "%s: model \"%s\" has no output of kind classes",
                         k->model->description_name, k->model->name);
    return ATTN_OK;
}

static void print_top(const classify *k, const char *file, const attn_class *top, size_t count)
{
    if (k->results) {
        cJSON *result = cJSON_CreateObject(), *list = cJSON_CreateArray();
        cJSON_AddStringToObject(result, "input", file);
        for (size_t i = 0; i < count; i++) {
            cJSON *entry = cJSON_CreateObject();
            cJSON_AddNumberToObject(entry, "index", (double)top[i].index);
            if (top[i].label)
                cJSON_AddStringToObject(entry, "label", top[i].label);
            else
                cJSON_AddNullToObject(entry, "label");
            cJSON_AddNumberToObject(entry, "probability", (double)top[i].probability);
            cJSON_AddItemToArray(list, entry);
        }
        cJSON_AddItemToObject(result, "top", list);
        cJSON_AddItemToArray(k->results, result);
        return;
    }
    printf("%s\n", file);
    for (size_t i = 0; i < count; i++) {
        printf("  %6.2f %%  ", 100 * (double)top[i].probability);
        if (top[i].label)
            printf("%s\n", top[i].label);
        else
            printf("class %zu\n", top[i].index);
    }
}

static attn_status classify_one(classify *k, const char *file, attn_error *err)
{
    attn_class top[1000];
    size_t count;
    ATTN_TRY(attn_set_image(k->session, NULL, file, err));
    ATTN_TRY(attn_prepare(k->session, err));
    ATTN_TRY(attn_run(k->session, err));
    ATTN_TRY(attn_top(k->session, k->output, 0, k->top, top, &count, err));
    if (k->heatmap) {
        char title[200];
        snprintf(title, sizeof title, "%s: %.1f %%",
                 count && top[0].label ? top[0].label : "result", 100 * (double)top[0].probability);
        ATTN_TRY(explain_heatmap(k->session, file, title, k->heatmap, err));
    }
    print_top(k, file, top, count);
    return ATTN_OK;
}

/* Every photo is tried: one that cannot be read is reported, and the rest go on. */
static int classify_all(classify *k)
{
    int status = EXIT_DONE;
    for (size_t i = 1; i < k->c.count; i++) {
        attn_error err;
        const char *file = k->c.argument[i];
        if (classify_one(k, file, &err)) status = cli_refused(k->results, file, &err);
        cli_progress(&k->c, i, k->c.count - 1);
    }
    if (k->heatmap && !status && !k->c.quiet) fprintf(stderr, "attn: wrote %s\n", k->heatmap);
    return status;
}

int cmd_classify(int argc, char **argv)
{
    classify k = {.c = {.command = "classify",
                        .usage = "MODEL IMAGE...|--text TEXT... [--file LINES.txt|-] [--pair TEXT] "
                                 "[--top K] [--stride N [--max-length N]] [--heatmap OUT.png]"},
                  .top = 5};
    classify_text text = {.c = &k.c};
    const cli_option options[] = {{"--top", CLI_NUMBER, &k.top, 1, 1000},
                                  {"--heatmap", CLI_TEXT, &k.heatmap, 0, 0},
                                  {"--text", CLI_LIST, &text.text, 0, 0},
                                  {"--pair", CLI_TEXT, &text.pair, 0, 0},
                                  {"--file", CLI_TEXT, &text.file, 0, 0},
                                  {"--stride", CLI_NUMBER, &text.stride, 1, 1 << 20},
                                  {"--max-length", CLI_NUMBER, &text.max_length, 1, 1 << 20},
                                  {0}};
    int status;
    attn_error err;
    if (!cli_options(&k.c, argc, argv, options, &status)) return status;
    if (text.text.count || text.file) {
        text.top = k.top;
        if (k.c.count != 1 || k.heatmap)
            return cli_usage(&k.c, "texts are given by --text and --file, and have no heat map");
        if (text.stride ? text.pair != NULL : text.max_length > 0)
            return cli_usage(&k.c, "--stride and --max-length are for windows of single texts");
        return classify_texts(&text);
    }
    if (text.pair || text.stride || text.max_length)
        return cli_usage(&k.c, "--pair goes with --text, as do --stride and --max-length");
    if (k.c.count < 2) return cli_usage(&k.c, "a model and at least one image are needed");
    if (k.heatmap && k.c.count != 2) return cli_usage(&k.c, "--heatmap takes one image");
    attn_session_options session = {.keep_attention = k.heatmap != NULL};
    if (cli_open(&k.c, k.c.argument[0], &session, &k.model, &k.session, &err))
        return cli_error(&err);
    if (find_classes(&k, &err)) {
        status = cli_error(&err);
    } else {
        if (k.c.json) k.results = cJSON_CreateArray();
        status = classify_all(&k);
    }
    if (k.results) {
        cJSON *root = cJSON_CreateObject();
        cJSON_AddStringToObject(root, "model", k.model->name);
        cJSON_AddItemToObject(root, "results", k.results);
        status = cli_print_json(root, status);
    }
    attn_session_close(k.session);
    attn_model_close(k.model);
    return status;
}
