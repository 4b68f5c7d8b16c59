/* attn explain: every attention map as a picture. */
#define _POSIX_C_SOURCE 200809L

#include "tools/cli.h"
#include "tools/explain.h"
#include "tools/text_input.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static cJSON *written_files;

static void written(const char *path)
{
    if (written_files)
        cJSON_AddItemToArray(written_files, cJSON_CreateString(path));
    else
        printf("%s\n", path);
}

/* "cat: 93.1 %" if the model classifies, else `other`. */
static void make_title(const attn_session *s, const char *other, char *title, size_t size)
{
    const attn_graph *g = &s->model->graph;
    attn_class top;
    size_t count;
    snprintf(title, size, "%s", other);
    for (size_t i = 0; i < g->outputs; i++)
        if (g->output[i].kind == ATTN_KIND_CLASSES &&
            !attn_top(s, g->output[i].name, 0, 1, &top, &count, NULL) && count && top.label)
            snprintf(title, size, "%s: %.1f %%", top.label, 100 * (double)top.probability);
}

static attn_status make_folder(const char *folder, attn_error *err)
{
    if (mkdir(folder, 0777) != 0 && errno != EEXIST)
        return attn_fail(err, ATTN_IO, "%s: %s", folder, strerror(errno));
    return ATTN_OK;
}

static attn_status explain_a_text(const cli *c, attn_session *s, const char *text, const char *pair,
                                  const char *folder, attn_error *err)
{
    char title[200], path[1024];
    text_input input;
    attn_status status = text_input_set(s, c->argument[0], text, pair, &input, err);
    if (!status) status = attn_prepare(s, err);
    if (!status) status = attn_run(s, err);
    if (!status) status = make_folder(folder, err);
    if (!status) {
        make_title(s, "", title, sizeof title);
        snprintf(path, sizeof path, "%s/attention.html", folder);
        status = explain_page(s, &input.words, title, path, err);
    }
    if (!status) written(path);
    text_input_free(&input);
    return status;
}

static attn_status explain(const cli *c, attn_session *s, cli_input *inputs, const char *folder,
                           attn_error *err)
{
    char title[200];
    const char *photo = NULL;
    for (size_t i = 1; i < c->count; i++) {
        ATTN_TRY(cli_set_input(s, c->argument[i], &inputs[i], err));
        if (inputs[i].photo) photo = inputs[i].photo;
    }
    ATTN_TRY(attn_prepare(s, err));
    ATTN_TRY(attn_run(s, err));
    ATTN_TRY(make_folder(folder, err));
    make_title(s, s->model->name, title, sizeof title);
    return explain_all(s, photo, title, folder, written, err);
}

int cmd_explain(int argc, char **argv)
{
    cli c = {.command = "explain",
             .usage = "MODEL INPUT... | --text TEXT [--pair TEXT] --out FOLDER"};
    static cli_input inputs[CLI_LIST_MAX];
    const char *folder = NULL, *text = NULL, *pair = NULL;
    const cli_option options[] = {{"--out", CLI_TEXT, &folder, 0, 0},
                                  {"--text", CLI_TEXT, &text, 0, 0},
                                  {"--pair", CLI_TEXT, &pair, 0, 0},
                                  {0}};
    int status;
    attn_error err;
    attn_model *model;
    attn_session *session;
    if (!cli_options(&c, argc, argv, options, &status)) return status;
    if (text ? c.count != 1 : c.count < 2 || c.count > CLI_LIST_MAX)
        return cli_usage(&c, text ? "with --text, a model alone is needed"
                                  : "a model and its inputs are needed");
    if (pair && !text) return cli_usage(&c, "--pair goes with --text");
    if (!folder) return cli_usage(&c, "--out FOLDER is needed");
    attn_session_options keep = {.keep_attention = true};
    if (cli_open(&c, c.argument[0], &keep, &model, &session, &err)) return cli_error(&err);
    written_files = c.json ? cJSON_CreateArray() : NULL;
    attn_status failed = text ? explain_a_text(&c, session, text, pair, folder, &err)
                              : explain(&c, session, inputs, folder, &err);
    status = failed ? cli_error(&err) : EXIT_DONE;
    if (written_files) {
        cJSON *root = cJSON_CreateObject();
        cJSON_AddStringToObject(root, "model", model->name);
        cJSON_AddItemToObject(root, "files", written_files);
        status = cli_print_json(root, status);
    }
    attn_session_close(session);
    attn_model_close(model);
    for (size_t i = 1; i < c.count; i++) cli_free_input(&inputs[i]);
    return status;
}
