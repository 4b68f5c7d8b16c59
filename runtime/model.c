#include "runtime/model.h"

#include "runtime/plan.h"
#include "runtime/weights/kept.h"

#include <string.h>

const char *attn_model_name(const attn_model *model)
{
    return model->name;
}

attn_panel_type attn_model_products(const attn_model *model)
{
    bool reduced = model->precision == ATTN_IN_BF16 || model->precision == ATTN_IN_INT8;
    return reduced ? ATTN_PANEL_BF16_DOT : ATTN_PANEL_F32;
}

const char *attn_model_notice(const attn_model *model)
{
    return model->notice;
}

static attn_status build_graph(attn_model *m, const attn_found *found, attn_error *err)
{
    attn_graph_source source = {.file = m->description_name,
                                .folder = m->folder,
                                .root = found->root,
                                .config_name = m->config_name,
                                .config = found->config,
                                .weights_name = m->weights_name ? m->weights_name : m->folder,
                                .weights = &m->weights};
    ATTN_TRY(attn_graph_build(&m->graph, &source, &m->arena, err));
    const cJSON *name = attn_json_get(found->root, "name");
    attn_json_text shown;
    if (!cJSON_IsString(name))
        return attn_fail(err, ATTN_BAD_MODEL, "%s: \"name\" is %s, expected a text",
                         m->description_name, attn_json_show(&shown, name));
    m->name = attn_arena_text(&m->arena, name->valuestring, strlen(name->valuestring), err);
    return m->name ? ATTN_OK : ATTN_NO_MEMORY;
}

static attn_status prepare_weights(attn_model *m, attn_error *err)
{
    ATTN_TRY(attn_kept_open(m, err));
    if (m->kept_name) {
        attn_params_bind(&m->params, attn_kept_panels(m));
    } else {
        ATTN_TRY(attn_alloc(&m->memory, m->params.bytes, "the packed weights", &m->packed, err));
        ATTN_TRY(attn_params_fill(&m->params, m->kernels, m->packed, &m->memory, err));
    }
    attn_weights_forget(&m->weights);
    return attn_graph_fuse(&m->graph, &m->arena, err);
}

/* Without symbolic dimensions every shape is known now: a trial plan finds what does not fit. */
static attn_status check_shapes(attn_model *m, attn_error *err)
{
    const attn_graph *g = &m->graph;
    attn_plan_input input[ATTN_MAX_PORTS];
    attn_plan *plan;
    if (g->symbols) return ATTN_OK;
    for (size_t i = 0; i < g->inputs; i++) {
        if (g->input[i].known) return ATTN_OK;
        input[i] = (attn_plan_input){.rank = g->input[i].rank};
        for (int d = 0; d < g->input[i].rank; d++) input[i].dim[d] = (size_t)g->input[i].dim[d];
    }
    bool deferred = false;
    attn_plan_options options = {.workers = 1,
                                 .kernels = m->kernels,
                                 .products = attn_model_products(m),
                                 .no_fusion = true,
                                 .unfilled = &deferred};
    attn_error inner;
    attn_status status = attn_plan_build(&plan, g, input, &options, &m->memory, &inner);
    if (status == ATTN_NO_MEMORY) {
        if (err) *err = inner;
        return status;
    }
    if (status && deferred) return ATTN_OK; /* shapes depend on weights: attn_prepare sees them */
    /* What stands in no layer has no place of its own. */
    if (status) {
        bool placed = strncmp(inner.text, m->description_name, strlen(m->description_name)) == 0;
        return attn_fail(err, status, "%s%s%s", placed ? "" : m->description_name,
                         placed ? "" : ": ", inner.text);
    }
    attn_plan_free(plan, &m->memory);
    return ATTN_OK;
}

static attn_status read_preprocess(attn_model *m, attn_error *err)
{
    bool image = false;
    for (size_t i = 0; i < m->graph.inputs; i++)
        image |= m->graph.input[i].kind == ATTN_KIND_IMAGE && !m->graph.input[i].preprocess;
    if (!image) m->preprocess_name = NULL;
    if (!m->preprocess_name) return ATTN_OK;
    cJSON *root;
    ATTN_TRY(attn_json_read(m->preprocess_name, &root, err));
    attn_status status = attn_preprocess_parse(&m->preprocess, m->preprocess_name, root, err);
    cJSON_Delete(root);
    return status;
}

static attn_status describe(attn_model *m, const char *path, attn_error *err)
{
    const char *problem = NULL;
    attn_found found;
    m->kernels = attn_kernels_select(&problem);
    if (!m->kernels) return attn_fail(err, ATTN_BAD_ARGUMENT, "%s", problem);
    attn_status status = attn_find_description(m, path, &found, err);
    if (!status && m->weights_name && !m->weights.files)
        status = attn_weights_open(&m->weights, m->weights_name, &m->memory, err);
    if (!status) status = build_graph(m, &found, err);
    attn_found_free(&found);
    ATTN_TRY(status);
    if (m->precision == ATTN_AS_FILE) m->precision = m->weights.packed;
    attn_params_choose(&m->graph, m->precision, m->kernels);
    ATTN_TRY(check_shapes(m, err));
    ATTN_TRY(attn_params_measure(&m->params, &m->graph, m->kernels, &m->arena, err));
    return read_preprocess(m, err);
}

static attn_status open_described(attn_model **out, const char *path, bool wants_text,
                                  const attn_model_options *options, attn_error *err)
{
    attn_model_options defaults = {0};
    attn_error inner;
    if (!options) options = &defaults;
    if (!err) err = &inner;
    *out = NULL;
    if ((unsigned)options->precision > ATTN_IN_INT4)
        return attn_fail(err, ATTN_BAD_ARGUMENT, "there is no precision %d",
                         (int)options->precision);
    attn_memory memory;
    void *fresh;
    attn_memory_init(&memory, options->allocator, options->max_memory);
    memory.budget = options->budget;
    ATTN_TRY(attn_alloc(&memory, sizeof(attn_model), "a model", &fresh, err));
    attn_model *m = fresh;
    *m = (attn_model){.memory = memory,
                      .precision = options->precision,
                      .plain_import = options->plain_import,
                      .wants_text = wants_text};
    attn_arena_init(&m->arena, &m->memory);
    attn_status status = describe(m, path, err);
    if (status) {
        attn_model_close(m);
        return err->status; /* an arena only says NULL: out of memory, or the limit */
    }
    *out = m;
    return ATTN_OK;
}

attn_status attn_model_describe(attn_model **out, const char *path,
                                const attn_model_options *options, attn_error *err)
{
    return open_described(out, path, true, options, err);
}

attn_status attn_model_open(attn_model **out, const char *path, const attn_model_options *options,
                            attn_error *err)
{
    attn_error inner;
    if (!err) err = &inner;
    ATTN_TRY(open_described(out, path, false, options, err));
    if (prepare_weights(*out, err) == ATTN_OK) return ATTN_OK;
    attn_model_close(*out);
    *out = NULL;
    return err->status;
}

void attn_model_close(attn_model *m)
{
    if (!m) return;
    attn_weights_close(&m->weights);
    attn_file_unmap(&m->kept);
    attn_release(&m->memory, m->packed, m->params.bytes);
    attn_arena_free(&m->arena);
    attn_memory memory = m->memory;
    attn_release(&memory, m, sizeof *m);
}
