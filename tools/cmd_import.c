/* attn import: an ONNX file as a folder, a description to read and to edit, with its weights; and
 * whether it computes what the exporter's framework did. */
#include "tools/compare.h"

#include "runtime/onnx/onnx.h"
#include "runtime/weights/pack.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct import {
    cli c;
    bool plain;
    const char *folder, *inputs, *expect, *tolerance_text;
    double tolerance;
    cJSON *result; /* with --json */
    attn_session *session;
    attn_weights given, wanted;
    size_t compared, differing; /* values on the way */
    char first[400];            /* the first that differs, in words */
    attn_status failed;         /* in the observer */
    attn_error *err;
} import;

/* ---- the folder ---------------------------------------------------------------------------- */

static void report_folder(const import *k, const attn_model *m, const attn_pack_report *report)
{
    if (!k->result) {
        printf("%s: %zu layers, %zu tensors, %zu bytes\n", k->folder, m->graph.nodes,
               report->tensors, report->bytes);
        return;
    }
    cJSON_AddStringToObject(k->result, "folder", k->folder);
    cJSON_AddNumberToObject(k->result, "layers", (double)m->graph.nodes);
    cJSON_AddNumberToObject(k->result, "tensors", (double)report->tensors);
    cJSON_AddNumberToObject(k->result, "bytes", (double)report->bytes);
}

static attn_status write_folder(const import *k, attn_error *err)
{
    attn_model_options options = cli_model_options(&k->c);
    options.plain_import = k->plain;
    attn_model *model;
    attn_pack_report report;
    ATTN_TRY(attn_model_describe(&model, k->c.argument[0], &options, err));
    attn_status status = attn_pack_folder(model, k->folder, &report, err);
    if (!status) report_folder(k, model, &report);
    attn_model_close(model);
    return status;
}

/* ---- --check ------------------------------------------------------------------------------- */

static void report(const import *k, const char *name, const attn_shape *shape,
                   const compare_result *r)
{
    attn_shape_text text;
    if (!k->result) {
        printf("%-8s %-32s %-16s largest difference %.3g (values up to %.4g)\n",
               r->differs ? "DIFFERS" : "same", name,
               attn_format_shape(&text, shape->dim, shape->rank), r->worst, r->largest);
        return;
    }
    cJSON *outputs = cJSON_GetObjectItemCaseSensitive(k->result, "outputs");
    if (!outputs) outputs = cJSON_AddObjectToObject(k->result, "outputs");
    cJSON *entry = cJSON_AddObjectToObject(outputs, name);
    cJSON_AddItemToObject(entry, "shape", cli_shape_json(shape->dim, shape->rank));
    cJSON_AddNumberToObject(entry, "difference", isinf(r->worst) ? 1e300 : r->worst);
    cJSON_AddNumberToObject(entry, "largest", r->largest);
    cJSON_AddBoolToObject(entry, "differs", r->differs);
}

static bool is_output(const attn_graph *g, size_t value)
{
    for (size_t i = 0; i < g->outputs; i++)
        if (g->output[i].value == value) return true;
    return false;
}

/* Values on the way to the outputs, where the file has them by name. */
static void observe(void *user, const attn_plan_step *step, double seconds)
{
    import *k = user;
    const attn_graph *g = &k->session->model->graph;
    (void)seconds;
    for (size_t i = 0; i < step->outputs && !k->failed; i++) {
        size_t value = step->out_value[i];
        if (value >= g->values || is_output(g, value)) continue;
        const attn_weight *w = attn_weights_find(&k->wanted, g->value_name[value]);
        compare_result r;
        if (!w) continue;
        k->failed = compare_values(&step->out[i], step->batch, w, k->tolerance, &r, k->err);
        if (k->failed) return;
        k->compared++;
        if (r.differs && !k->differing++)
            snprintf(k->first, sizeof k->first,
                     "the first value that differs is \"%.100s\" of %.100s (%s): element %zu is "
                     "%.9g, the reference %.9g",
                     w->name, step->node->name, step->node->layer->name, r.place, r.have, r.want);
    }
}

static attn_status set_inputs(import *k, attn_error *err)
{
    const attn_graph *g = &k->session->model->graph;
    for (size_t i = 0; i < g->inputs; i++) {
        const attn_weight *w = attn_weights_find(&k->given, g->input[i].name);
        if (!w && g->input[i].optional) continue;
        if (!w)
            return attn_fail(err, ATTN_BAD_INPUT, "%s: has no array \"%s\", an input of the model",
                             k->inputs, g->input[i].name);
        attn_tensor t = {.dtype = w->dtype, .rank = w->rank, .data = (void *)(uintptr_t)w->data};
        memcpy(t.dim, w->dim, sizeof t.dim);
        ATTN_TRY(attn_weight_check(w, err));
        ATTN_TRY(attn_set_input(k->session, g->input[i].name, &t, err));
    }
    return ATTN_OK;
}

/* *differs: an output does. */
static attn_status compare_outputs(import *k, bool *differs, attn_error *err)
{
    const attn_graph *g = &k->session->model->graph;
    size_t outputs = 0;
    for (size_t i = 0; i < g->outputs; i++) {
        const attn_weight *w = attn_weights_find(&k->wanted, g->output[i].name);
        attn_tensor t;
        compare_result r;
        if (!w) continue;
        ATTN_TRY(attn_output(k->session, g->output[i].name, &t, err));
        attn_value v = {.shape = {.dtype = t.dtype, .rank = t.rank}, .data = t.data};
        memcpy(v.shape.dim, t.dim, sizeof v.shape.dim);
        attn_product(t.dim, t.rank, &v.count);
        ATTN_TRY(compare_values(&v, 1, w, k->tolerance, &r, err));
        report(k, g->output[i].name, &v.shape, &r);
        *differs |= r.differs;
        outputs++;
    }
    if (outputs) return ATTN_OK;
    return attn_fail(err, ATTN_BAD_INPUT,
                     "%s: no array has the name of an output; the first is \"%s\"", k->expect,
                     g->output[0].name);
}

static attn_status check(import *k, bool *differs, attn_error *err)
{
    ATTN_TRY(compare_open(&k->given, k->inputs, err));
    ATTN_TRY(compare_open(&k->wanted, k->expect, err));
    ATTN_TRY(set_inputs(k, err));
    ATTN_TRY(attn_prepare(k->session, err));
    k->err = err;
    k->session->observer = observe;
    k->session->observer_user = k;
    ATTN_TRY(attn_run(k->session, err));
    ATTN_TRY(k->failed);
    ATTN_TRY(compare_outputs(k, differs, err));
    *differs |= k->differing > 0;
    if (k->result) {
        cJSON_AddNumberToObject(k->result, "compared", (double)k->compared);
        if (k->differing) cJSON_AddStringToObject(k->result, "first", k->first);
        return ATTN_OK;
    }
    if (k->compared)
        printf("%zu values on the way compared, %zu differ\n", k->compared, k->differing);
    if (k->differing) printf("%s\n", k->first);
    return ATTN_OK;
}

static attn_status open_and_check(import *k, bool *differs, attn_error *err)
{
    attn_model_options options = cli_model_options(&k->c);
    options.plain_import = k->plain;
    attn_session_options run = {.threads = k->c.threads};
    attn_model *model;
    ATTN_TRY(attn_model_open(&model, k->c.argument[0], &options, err));
    attn_status status = attn_session_open(&k->session, model, &run, err);
    if (!status) status = check(k, differs, err);
    attn_weights_close(&k->given);
    attn_weights_close(&k->wanted);
    attn_session_close(k->session);
    attn_model_close(model);
    return status;
}

/* ---- the command --------------------------------------------------------------------------- */

int cmd_import(int argc, char **argv)
{
import k = {.c = {.command = "import", .usage = "MODEL.onnx [-o FOLDER] [--dtype TYPE] [--plain] [--check INPUTS.npz --expect "
                                                    "OUTPUTS.npz [--tolerance T]]" }, .tolerance = 1e-4 };
    const cli_option options[] = {{"-o", CLI_TEXT, &k.folder, 0, 0},
                                  {"--plain", CLI_FLAG, &k.plain, 0, 0},
                                  {"--check", CLI_TEXT, &k.inputs, 0, 0},
                                  {"--expect", CLI_TEXT, &k.expect, 0, 0},
                                  {"--tolerance", CLI_TEXT, &k.tolerance_text, 0, 0},
                                  {0}};
    int status;
    attn_error err;
    bool differs = false;
    char *end = NULL;
    if (!cli_options(&k.c, argc, argv, options, &status)) return status;
    if (k.c.count != 1) return cli_usage(&k.c, "one model is needed, found %zu", k.c.count);
    if (!k.folder && !k.inputs) return cli_usage(&k.c, "-o FOLDER or --check is needed");
    if (!k.inputs != !k.expect) return cli_usage(&k.c, "--check and --expect go together");
    if (k.tolerance_text) k.tolerance = strtod(k.tolerance_text, &end);
    if (k.tolerance_text && (*end || !(k.tolerance >= 0)))
        return cli_usage(&k.c, "--tolerance is \"%s\", expected a number", k.tolerance_text);
    if (k.folder && !attn_is_onnx(k.c.argument[0]))
        return cli_usage(&k.c, "%s: a file whose name ends in .onnx is needed", k.c.argument[0]);
    k.result = k.c.json ? cJSON_CreateObject() : NULL;
    attn_status failed = k.folder ? write_folder(&k, &err) : ATTN_OK;
    if (!failed && k.inputs) failed = open_and_check(&k, &differs, &err);
    status = failed ? cli_error(&err) : differs ? EXIT_BAD : EXIT_DONE;
    if (k.result && !failed) return cli_print_json(k.result, status);
    cJSON_Delete(k.result);
    return status;
}
