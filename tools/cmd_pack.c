/* attn pack: a model's weights in another precision, or as this CPU takes them. */
#include "tools/cli.h"

#include "runtime/weights/kept.h"
#include "runtime/weights/pack.h"

#include <stdio.h>

typedef struct pack {
    cli c;
    const char *folder; /* to be written, or NULL */
    bool panels;
    cJSON *result; /* with --json */
} pack;

static void report_folder(pack *k, const attn_model *m, const attn_pack_report *report)
{
    size_t before = 0;
    for (size_t i = 0; i < m->weights.count; i++) before += m->weights.list[i].bytes;
    if (!k->result) {
        printf("%s: %zu of %zu tensors in %s, %zu bytes (from %zu)\n", report->file, report->packed,
               report->tensors, attn_precision_name(m->precision), report->bytes, before);
        return;
    }
    cJSON_AddStringToObject(k->result, "file", report->file);
    cJSON_AddStringToObject(k->result, "dtype", attn_precision_name(m->precision));
    cJSON_AddNumberToObject(k->result, "tensors", (double)report->tensors);
    cJSON_AddNumberToObject(k->result, "packed", (double)report->packed);
    cJSON_AddNumberToObject(k->result, "bytes", (double)report->bytes);
}

static attn_status write_folder(pack *k, attn_error *err)
{
    attn_model_options options = cli_model_options(&k->c);
    attn_model *model;
    attn_pack_report report;
    ATTN_TRY(attn_model_describe(&model, k->c.argument[0], &options, err));
    attn_status status = attn_pack_folder(model, k->folder, &report, err);
    if (!status) report_folder(k, model, &report);
    attn_model_close(model);
    return status;
}

/* Beside the weights of the model; those that are there and good stay. */
static attn_status write_panels(pack *k, const char *model_path, attn_error *err)
{
    attn_model_options options = cli_model_options(&k->c);
    attn_model *model;
    attn_status status = ATTN_OK;
    ATTN_TRY(attn_model_open(&model, model_path, &options, err));
    const char *path = model->kept_name;
    bool fresh = !path;
    if (fresh && (!model->weights_name || !model->params.bytes))
        status = attn_fail(err, ATTN_BAD_MODEL, "%s: has no weights to pack", model_path);
    if (fresh && !status) {
        path = attn_kept_path(model, err);
        status = path ? attn_kept_write(model, path, err) : err->status;
    }
    if (!status && k->result) {
        cJSON_AddStringToObject(k->result, "panels", path);
        cJSON_AddNumberToObject(k->result, "panels_bytes", (double)model->params.bytes);
        cJSON_AddBoolToObject(k->result, "written", fresh);
    } else if (!status) {
        printf("%s: %zu bytes%s\n", path, model->params.bytes,
               fresh ? "" : ", good as it is: nothing written");
    }
    attn_model_close(model);
    return status;
}

int cmd_pack(int argc, char **argv)
{
    pack k = {.c = {.command = "pack",
                    .usage = "MODEL [--dtype f32|bf16|f16|int8|int4] [-o FOLDER] [--panels]"}};
    const cli_option options[] = {
        {"-o", CLI_TEXT, &k.folder, 0, 0}, {"--panels", CLI_FLAG, &k.panels, 0, 0}, {0}};
    int status;
    attn_error err;
    if (!cli_options(&k.c, argc, argv, options, &status)) return status;
    if (k.c.count != 1) return cli_usage(&k.c, "one model is needed, found %zu", k.c.count);
    if (!k.folder && !k.panels) return cli_usage(&k.c, "-o FOLDER or --panels is needed");
    if (k.folder && k.c.precision == ATTN_AS_FILE)
        return cli_usage(&k.c, "with -o, --dtype is needed");
    if (k.c.json) k.result = cJSON_CreateObject();
    attn_status failed = k.folder ? write_folder(&k, &err) : ATTN_OK;
    if (!failed && k.panels) {
        if (k.folder) k.c.precision = ATTN_AS_FILE; /* as the new folder says */
        failed = write_panels(&k, k.folder ? k.folder : k.c.argument[0], &err);
    }
    status = failed ? cli_error(&err) : EXIT_DONE;
    if (k.result && !failed) return cli_print_json(k.result, status);
    cJSON_Delete(k.result);
    return status;
}
