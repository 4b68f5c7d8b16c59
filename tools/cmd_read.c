/* attn read: the text that a model reads in images. */
#include "tools/cli.h"
#include "tools/explain.h"
#include "tools/texts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct reading {
    cli c;
    const char *heatmap;
    attn_model *model;
    attn_session *session;
    cJSON *results;
    /* of the image at hand */
    attn_character *character;
    size_t count, room;
    float confidence;
    char *text;
} reading;

static attn_status take_text(reading *k, attn_error *err)
{
    size_t length = 1;
    ATTN_TRY(attn_read(k->session, NULL, 0, k->room, k->character, &k->count, &k->confidence, err));
    if (k->count > k->room) {
        attn_character *more = realloc(k->character, k->count * sizeof *more);
        if (!more) return attn_fail(err, ATTN_NO_MEMORY, "out of memory: %zu characters", k->count);
        k->character = more;
        k->room = k->count;
        ATTN_TRY(attn_read(k->session, NULL, 0, k->room, more, &k->count, &k->confidence, err));
    }
    for (size_t i = 0; i < k->count; i++) length += strlen(k->character[i].text);
    char *text = realloc(k->text, length);
    if (!text) return attn_fail(err, ATTN_NO_MEMORY, "out of memory: a text of %zu bytes", length);
    k->text = text;
    *text = 0;
    for (size_t i = 0; i < k->count; i++) {
        size_t bytes = strlen(k->character[i].text);
        memcpy(text, k->character[i].text, bytes + 1);
        text += bytes;
    }
    return ATTN_OK;
}

static cJSON *result_json(const reading *k, const char *file)
{
    cJSON *result = cJSON_CreateObject(), *list = cJSON_CreateArray();
    cJSON_AddStringToObject(result, "input", file);
    cJSON_AddStringToObject(result, "text", k->text);
    cJSON_AddNumberToObject(result, "confidence", (double)k->confidence);
    for (size_t i = 0; i < k->count; i++) {
        cJSON *entry = cJSON_CreateObject();
        cJSON_AddStringToObject(entry, "text", k->character[i].text);
        cJSON_AddNumberToObject(entry, "probability", (double)k->character[i].probability);
        cJSON_AddNumberToObject(entry, "row", (double)k->character[i].row);
        cJSON_AddItemToArray(list, entry);
    }
    cJSON_AddItemToObject(result, "characters", list);
    return result;
}

static attn_status draw(const reading *k, const char *file, attn_error *err)
{
    const attn_graph *g = &k->model->graph;
    char title[300];
    attn_tensor rows = {0};
    for (size_t i = 0; i < g->outputs; i++)
        if (attn_port_is_text(&g->output[i]))
            ATTN_TRY(attn_output(k->session, g->output[i].name, &rows, err));
    snprintf(title, sizeof title, "%.200s: %.1f %%", k->text, 100 * (double)k->confidence);
    return explain_reading(k->session, file, k->character, k->count, rows.dim[rows.rank - 2], title,
                           k->heatmap, err);
}

static attn_status read_one(reading *k, const char *file, attn_error *err)
{
    ATTN_TRY(attn_set_image(k->session, NULL, file, err));
    ATTN_TRY(attn_prepare(k->session, err));
    ATTN_TRY(attn_run(k->session, err));
    ATTN_TRY(take_text(k, err));
    if (k->heatmap) ATTN_TRY(draw(k, file, err));
    if (k->results) {
        cJSON_AddItemToArray(k->results, result_json(k, file));
        return ATTN_OK;
    }
    printf("%s\n  %6.2f %%  ", file, 100 * (double)k->confidence);
    texts_print_line(k->text, strlen(k->text));
    putchar('\n');
    return ATTN_OK;
}

/* Every image is tried: one that cannot be read is reported, and the rest go on. */
static int read_all(reading *k)
{
    int status = EXIT_DONE;
    for (size_t i = 1; i < k->c.count; i++) {
        attn_error err;
        const char *file = k->c.argument[i];
        if (read_one(k, file, &err)) status = cli_refused(k->results, file, &err);
        cli_progress(&k->c, i, k->c.count - 1);
    }
    if (k->heatmap && !status && !k->c.quiet) fprintf(stderr, "attn: wrote %s\n", k->heatmap);
    return status;
}

static attn_status check_model(const attn_model *m, attn_error *err)
{
    for (size_t i = 0; i < m->graph.outputs; i++)
        if (attn_port_is_text(&m->graph.output[i])) return ATTN_OK;
    return attn_fail(err, ATTN_BAD_MODEL,
                     "%s: model \"%s\" has no output of kind slots or ctc, which is read as text",
                     m->description_name, m->name);
}

int cmd_read(int argc, char **argv)
{
    reading k = {.c = {.command = "read", .usage = "MODEL IMAGE... [--heatmap OUT.png]"}};
    const cli_option options[] = {{"--heatmap", CLI_TEXT, &k.heatmap, 0, 0}, {0}};
    int status;
    attn_error err;
    if (!cli_options(&k.c, argc, argv, options, &status)) return status;
    if (k.c.count < 2) return cli_usage(&k.c, "a model and at least one image are needed");
    if (k.heatmap && k.c.count != 2) return cli_usage(&k.c, "--heatmap takes one image");
    attn_session_options session = {.keep_attention = k.heatmap != NULL};
    if (cli_open(&k.c, k.c.argument[0], &session, &k.model, &k.session, &err))
        return cli_error(&err);
    if (check_model(k.model, &err)) {
        status = cli_error(&err);
    } else {
        if (k.c.json) k.results = cJSON_CreateArray();
        status = read_all(&k);
    }
    if (k.results) {
        cJSON *root = cJSON_CreateObject();
        cJSON_AddStringToObject(root, "model", k.model->name);
        cJSON_AddItemToObject(root, "results", k.results);
        status = cli_print_json(root, status);
    }
    free(k.character);
    free(k.text);
    attn_session_close(k.session);
    attn_model_close(k.model);
    return status;
}
