/* attn inspect: the weights, in the file and in memory. */
#include "tools/inspect.h"

#include <stdio.h>

bool inspect_is_part(const attn_model *m, const attn_weight *w)
{
    const attn_weight *owner = w->part_of ? attn_weights_find(&m->weights, w->part_of) : NULL;
    return owner && owner->integers;
}

bool inspect_is_used(const attn_model *m, const attn_weight *w)
{
    if (inspect_is_part(m, w)) w = attn_weights_find(&m->weights, w->part_of);
    for (size_t i = 0; i < m->params.count; i++)
        if (m->params.param[i]->source == w) return true;
    return false;
}

static const char *memory_type(const attn_param *p)
{
    static const char *const names[ATTN_PANEL_PACKED] = {
        [ATTN_PANEL_F32] = "f32", [ATTN_PANEL_BF16] = "bf16", [ATTN_PANEL_BF16_DOT] = "bf16",
        [ATTN_PANEL_F16] = "f16", [ATTN_PANEL_I8] = "int8",   [ATTN_PANEL_I4] = "int4",
    };
    if (p->form == ATTN_ROWS && attn_param_in_place(p)) return attn_weight_type(p->source);
    if (p->form == ATTN_PANELS && attn_is_blocks(p->type)) return "blocks";
    return p->form == ATTN_PANELS ? names[p->type] : "f32";
}

/* The next use that has its own place in memory, or NULL. */
static const attn_param *next_use(const attn_model *m, size_t *i)
{
    const attn_params *all = &m->params;
    while (*i < all->count) {
        attn_param *const *p = &all->param[(*i)++];
        if (p == all->param || attn_params_compare(p - 1, p) != 0) return *p;
    }
    return NULL;
}

void inspect_print_weights(const attn_model *m)
{
    attn_shape_text shape;
    size_t i = 0, bytes;
    printf("\n%-16s %-6s %-12s %10s  %s\n", "shape", "file", "memory", "bytes", "weight");
    for (const attn_param *p; (p = next_use(m, &i));) {
        char memory[40];
        attn_param_bytes(p, m->kernels, &bytes);
        snprintf(memory, sizeof memory, "%s%s", memory_type(p),
                 p->form == ATTN_PANELS ? " panels"
                 : bytes                ? ""
                                        : " mapped");
        printf("%-16s %-6s %-12s %10zu  %s\n", attn_format_shape(&shape, p->dim, p->rank),
               attn_weight_type(p->source), memory, bytes, p->source->name);
    }
}

cJSON *inspect_weights_json(const attn_model *m)
{
    cJSON *list = cJSON_CreateArray();
    size_t i = 0, bytes;
    for (const attn_param *p; (p = next_use(m, &i));) {
        cJSON *entry = cJSON_CreateObject();
        attn_param_bytes(p, m->kernels, &bytes);
        cJSON_AddStringToObject(entry, "name", p->source->name);
        cJSON_AddItemToObject(entry, "shape", cli_shape_json(p->dim, p->rank));
        cJSON_AddStringToObject(entry, "file", attn_weight_type(p->source));
        cJSON_AddStringToObject(entry, "memory", memory_type(p));
        cJSON_AddBoolToObject(entry, "panels", p->form == ATTN_PANELS);
        cJSON_AddNumberToObject(entry, "bytes", (double)bytes);
        cJSON_AddItemToArray(list, entry);
    }
    return list;
}
