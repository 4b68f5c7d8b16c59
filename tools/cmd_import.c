/* attn import: an ONNX file as a folder, a description to read and to edit, with its weights. */
#include "tools/cli.h"

#include "runtime/onnx/onnx.h"
#include "runtime/weights/pack.h"

#include <stdio.h>

static void report_folder(cJSON *result, const char *folder, const attn_model *m,
                          const attn_pack_report *report)
{
    if (!result) {
        printf("%s: %zu layers, %zu tensors, %zu bytes\n", folder, m->graph.nodes, report->tensors,
               report->bytes);
        return;
    }
    cJSON_AddStringToObject(result, "folder", folder);
    cJSON_AddNumberToObject(result, "layers", (double)m->graph.nodes);
    cJSON_AddNumberToObject(result, "tensors", (double)report->tensors);
    cJSON_AddNumberToObject(result, "bytes", (double)report->bytes);
}

static attn_status write_folder(const cli *c, const char *folder, cJSON *result, attn_error *err)
{
    attn_model_options options = cli_model_options(c);
    attn_model *model;
    attn_pack_report report;
    ATTN_TRY(attn_model_describe(&model, c->argument[0], &options, err));
    attn_status status = attn_pack_folder(model, folder, &report, err);
    if (!status) report_folder(result, folder, model, &report);
    attn_model_close(model);
    return status;
}

int cmd_import(int argc, char **argv)
{
    cli c = {.command = "import", .usage = "MODEL.onnx -o FOLDER [--dtype TYPE]"};
    const char *folder = NULL;
    const cli_option options[] = {{"-o", CLI_TEXT, &folder, 0, 0}, {0}};
    int status;
    attn_error err;
    if (!cli_options(&c, argc, argv, options, &status)) return status;
    if (c.count != 1) return cli_usage(&c, "one model is needed, found %zu", c.count);
    if (!folder) return cli_usage(&c, "-o FOLDER is needed");
    if (!attn_is_onnx(c.argument[0]))
        return cli_usage(&c, "%s: a file whose name ends in .onnx is needed", c.argument[0]);
    cJSON *result = c.json ? cJSON_CreateObject() : NULL;
    status = write_folder(&c, folder, result, &err) ? cli_error(&err) : EXIT_DONE;
    if (result && status == EXIT_DONE) return cli_print_json(result, status);
    cJSON_Delete(result);
    return status;
}
