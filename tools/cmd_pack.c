/* attn pack: a model's weights in another precision. */
#include "tools/cli.h"

#include "runtime/pack.h"

#include <stdio.h>

static int report_packed(const cli *c, const attn_model *m, const attn_pack_report *report)
{
    size_t before = 0;
    for (size_t i = 0; i < m->weights.count; i++) before += m->weights.list[i].bytes;
    if (c->json) {
        cJSON *root = cJSON_CreateObject();
        cJSON_AddStringToObject(root, "model", m->name);
        cJSON_AddStringToObject(root, "file", report->file);
        cJSON_AddStringToObject(root, "dtype", attn_precision_name(m->precision));
        cJSON_AddNumberToObject(root, "tensors", (double)report->tensors);
        cJSON_AddNumberToObject(root, "packed", (double)report->packed);
        cJSON_AddNumberToObject(root, "bytes", (double)report->bytes);
        return cli_print_json(root, EXIT_DONE);
    }
    printf("%s: %zu of %zu tensors in %s, %zu bytes (from %zu)\n", report->file, report->packed,
           report->tensors, attn_precision_name(m->precision), report->bytes, before);
    return EXIT_DONE;
}

int cmd_pack(int argc, char **argv)
{
    cli c = {.command = "pack", .usage = "MODEL --dtype f32|bf16|f16|int8|int4 -o FOLDER"};
    const char *folder = NULL;
    const cli_option options[] = {{"-o", CLI_TEXT, &folder, 0, 0}, {0}};
    int status;
    attn_error err;
    attn_model *model;
    attn_pack_report report;
    if (!cli_options(&c, argc, argv, options, &status)) return status;
    if (c.count != 1) return cli_usage(&c, "one model is needed, found %zu", c.count);
    if (!folder) return cli_usage(&c, "-o FOLDER is needed");
    if (c.precision == ATTN_AS_FILE) return cli_usage(&c, "--dtype is needed");
    attn_model_options model_options = cli_model_options(&c);
    if (attn_model_describe(&model, c.argument[0], &model_options, &err)) return cli_error(&err);
    status = attn_pack_folder(model, folder, &report, &err) ? cli_error(&err)
                                                            : report_packed(&c, model, &report);
    attn_model_close(model);
    return status;
}
