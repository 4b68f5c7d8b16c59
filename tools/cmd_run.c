/* attn run: raw tensors in and out. */
#include "tools/cli.h"

#include "runtime/inputs/npy.h"

#include <stdio.h>
#include <string.h>

static attn_status write_output(attn_session *s, const char *text, attn_error *err)
{
    char name[128];
    const char *equals = strchr(text, '=');
    size_t length = equals ? (size_t)(equals - text) : 0;
    attn_tensor value;
    if (length >= sizeof name)
        return attn_fail(err, ATTN_BAD_ARGUMENT, "--out \"%.60s...\": the name is too long", text);
    memcpy(name, text, length);
    name[length] = 0;
    ATTN_TRY(attn_output(s, equals ? name : NULL, &value, err));
    return attn_npy_write(equals ? equals + 1 : text, &value, err);
}

static void print_tensor(const char *name, const attn_tensor *t)
{
    attn_shape_text shape;
    cJSON *list = cli_tensor_json(t);
    char *text = cJSON_PrintUnformatted(list);
    printf("%s %s %s = %s\n", name, attn_dtype_name(t->dtype),
           attn_format_shape(&shape, t->dim, t->rank), text ? text : "(out of memory)");
    cJSON_free(text);
    cJSON_Delete(list);
}

/* Without --out, and with --json, the results themselves are printed. */
static attn_status print_outputs(const attn_session *s, cJSON *root, attn_error *err)
{
    const attn_graph *g = &s->model->graph;
    cJSON *outputs = root ? cJSON_AddObjectToObject(root, "outputs") : NULL;
    for (size_t i = 0; i < g->outputs; i++) {
        attn_tensor value;
        ATTN_TRY(attn_output(s, g->output[i].name, &value, err));
        if (!root) {
            print_tensor(g->output[i].name, &value);
            continue;
        }
        cJSON *entry = cJSON_AddObjectToObject(outputs, g->output[i].name);
        cJSON_AddStringToObject(entry, "dtype", attn_dtype_name(value.dtype));
        cJSON_AddItemToObject(entry, "shape", cli_shape_json(value.dim, value.rank));
        cJSON_AddItemToObject(entry, "data", cli_tensor_json(&value));
    }
    return ATTN_OK;
}

static attn_status run_model(attn_session *s, const cli_list *in, cli_input *inputs,
                             const cli_list *out, cJSON *root, attn_error *err)
{
    for (size_t i = 0; i < in->count; i++) ATTN_TRY(cli_set_input(s, in->item[i], &inputs[i], err));
    ATTN_TRY(attn_prepare(s, err));
    ATTN_TRY(attn_run(s, err));
    for (size_t i = 0; i < out->count; i++) ATTN_TRY(write_output(s, out->item[i], err));
    return out->count && !root ? ATTN_OK : print_outputs(s, root, err);
}

int cmd_run(int argc, char **argv)
{
    cli c = {.command = "run",
             .usage = "MODEL --in NAME=FILE.npy|LIST|IMAGE ... [--out NAME=FILE.npy ...]"};
    static cli_list in, out;
    static cli_input inputs[CLI_LIST_MAX];
    const cli_option options[] = {
        {"--in", CLI_LIST, &in, 0, 0}, {"--out", CLI_LIST, &out, 0, 0}, {0}};
    int status;
    attn_error err;
    attn_model *model;
    attn_session *session;
    if (!cli_options(&c, argc, argv, options, &status)) return status;
    if (c.count != 1) return cli_usage(&c, "one model is needed, found %zu", c.count);
    if (cli_open(&c, c.argument[0], NULL, &model, &session, &err)) return cli_error(&err);
    cJSON *root = c.json ? cJSON_CreateObject() : NULL;
    if (root) cJSON_AddStringToObject(root, "model", model->name);
    if (run_model(session, &in, inputs, &out, root, &err)) {
        status = cli_error(&err);
        cJSON_Delete(root);
    } else if (root) {
        status = cli_print_json(root, EXIT_DONE);
    }
    attn_session_close(session);
    attn_model_close(model);
    for (size_t i = 0; i < in.count; i++) cli_free_input(&inputs[i]);
    return status;
}
