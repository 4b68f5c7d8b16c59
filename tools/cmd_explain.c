/* attn explain: every attention map as a picture. */
#define _POSIX_C_SOURCE 200809L

#include "tools/cli.h"
#include "tools/explain.h"

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

/* "cat: 93.1 %" if the model classifies, else its name. */
static void make_title(const attn_session *s, char *title, size_t size)
{
    const attn_graph *g = &s->model->graph;
    attn_class top;
    size_t count;
    snprintf(title, size, "%s", s->model->name);
    for (size_t i = 0; i < g->outputs; i++)
        if (g->output[i].kind == ATTN_KIND_CLASSES &&
            !attn_top(s, g->output[i].name, 0, 1, &top, &count, NULL) && count && top.label)
            snprintf(title, size, "%s: %.1f %%", top.label, 100 * (double)top.probability);
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
    if (mkdir(folder, 0777) != 0 && errno != EEXIST)
        return attn_fail(err, ATTN_IO, "%s: %s", folder, strerror(errno));
    make_title(s, title, sizeof title);
    return explain_all(s, photo, title, folder, written, err);
}

int cmd_explain(int argc, char **argv)
{
    cli c = {.command = "explain", .usage = "MODEL INPUT... --out FOLDER"};
    static cli_input inputs[CLI_LIST_MAX];
    const char *folder = NULL;
    const cli_option options[] = {{"--out", CLI_TEXT, &folder, 0, 0}, {0}};
    int status;
    attn_error err;
    attn_model *model;
    attn_session *session;
    if (!cli_options(&c, argc, argv, options, &status)) return status;
    if (c.count < 2 || c.count > CLI_LIST_MAX)
        return cli_usage(&c, "a model and its inputs are needed");
    if (!folder) return cli_usage(&c, "--out FOLDER is needed");
    attn_session_options keep = {.keep_attention = true};
    if (cli_open(&c, c.argument[0], &keep, &model, &session, &err)) return cli_error(&err);
    written_files = c.json ? cJSON_CreateArray() : NULL;
    status = explain(&c, session, inputs, folder, &err) ? cli_error(&err) : EXIT_DONE;
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
