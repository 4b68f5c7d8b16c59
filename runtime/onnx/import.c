#include "runtime/onnx/import.h"
#include "runtime/onnx/lift.h"
#include "runtime/onnx/lower_state.h"
#include "runtime/onnx/readable.h"

#include <string.h>

/* The mapped files become the weights' own. */
static attn_status take_files(attn_weights *w, attn_onnx_model *model, attn_error *err)
{
    w->file = attn_arena_get(&w->arena, 1 + model->externals, sizeof *w->file, err);
    if (!w->file) return ATTN_NO_MEMORY;
    w->file[w->files++] = model->mapping;
    for (size_t i = 0; i < model->externals; i++) w->file[w->files++] = model->external[i];
    for (size_t i = 0; i < w->count; i++) {
        const attn_file *at = w->list[i].mapping;
        if (at == &model->mapping) w->list[i].mapping = &w->file[0];
        for (size_t e = 0; e < model->externals; e++)
            if (at == &model->external[e]) w->list[i].mapping = &w->file[1 + e];
    }
    model->mapping = (attn_file){0};
    model->externals = 0;
    return ATTN_OK;
}

/* *keep_batch: as of attn_lift; if it is set here, there is no *root yet. */
static attn_status import(attn_weights *w, const char *path, const attn_onnx_options *options,
                          bool *keep_batch, attn_onnx_model *model, attn_arena *arena, cJSON **root,
                          attn_error *err)
{
    bool kept = *keep_batch;
    attn_ir ir;
    attn_lowered lowered;
    ATTN_TRY(attn_onnx_open(model, path, arena, err));
    ATTN_TRY(attn_ir_build(&ir, model, options->photo, arena, err));
    ATTN_TRY(attn_lift_operators(&ir));
    ATTN_TRY(attn_ir_unroll(&ir));
    ATTN_TRY(attn_lowering_check(&ir, err));
    if (!options->plain) ATTN_TRY(attn_lift(&ir, keep_batch));
    if (*keep_batch != kept) return ATTN_OK;
    ATTN_TRY(attn_lower_graph(&ir, &w->arena, &lowered, err));
    *root = lowered.root;
    w->list = lowered.weight;
    w->count = lowered.weights;
    ATTN_TRY(attn_weights_sort(w, err));
    ATTN_TRY(attn_weights_pair(w->list, w->count, &w->arena, err));
    return take_files(w, model, err);
}

attn_status attn_imported_text(const cJSON *root, bool plain, attn_arena *arena, const char **text,
                               attn_error *err)
{
    attn_arena own;
    attn_error inner = {.status = ATTN_OK};
    attn_status status = ATTN_OK;
    attn_arena_init(&own, arena->memory);
    cJSON *copy = cJSON_Duplicate(root, true);
    if (!copy) status = attn_fail(&inner, ATTN_NO_MEMORY, "out of memory for the description");
    if (!status && !plain) status = attn_readable_roll(copy, &own, &inner);
    if (!status && !plain) status = attn_readable_names(copy, &own, &inner);
    *text = status ? NULL : attn_description_text(copy, arena, &inner);
    cJSON_Delete(copy);
    attn_arena_free(&own);
    if (!*text && err) *err = inner;
    return *text ? ATTN_OK : inner.status ? inner.status : ATTN_NO_MEMORY;
}

attn_status attn_onnx_import(attn_weights *w, const char *path, const attn_onnx_options *options,
                             attn_memory *memory, cJSON **root, attn_error *err)
{
    attn_arena arena;
    attn_onnx_model model;
    attn_error inner = {.status = ATTN_OK};
    *w = (attn_weights){.imported = true};
    *root = NULL;
    attn_arena_init(&w->arena, memory);
    const char *file = attn_arena_text(&w->arena, path, strlen(path), &inner);
    attn_status status = file ? ATTN_OK : ATTN_NO_MEMORY;
    bool keep_batch = false;
    for (int turn = 0; turn < 2 && !status && !*root; turn++) {
        model = (attn_onnx_model){0};
        attn_arena_init(&arena, memory);
        status = import(w, file, options, &keep_batch, &model, &arena, root, &inner);
        attn_onnx_close(&model);
        attn_arena_free(&arena);
    }
    if (!status) return ATTN_OK;
    cJSON_Delete(*root);
    *root = NULL;
    if (err) *err = inner;
    return status;
}
