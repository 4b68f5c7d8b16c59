/* Inputs as the command line names them. */
#include "tools/cli.h"

#include "runtime/inputs/npy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool ends_with(const char *text, const char *end)
{
    size_t a = strlen(text), b = strlen(end);
    return a >= b && strcmp(text + a - b, end) == 0;
}

/* The shape of nested lists, by their first entries. */
static attn_status list_shape(const char *place, const cJSON *list, attn_tensor *t, attn_error *err)
{
    for (const cJSON *at = list; cJSON_IsArray(at); at = at->child) {
        if (t->rank == ATTN_MAX_RANK || !at->child)
            return attn_fail(err, ATTN_BAD_INPUT, "%s: %s", place,
                             at->child ? "nested too deeply" : "an empty list");
        t->dim[t->rank++] = (size_t)cJSON_GetArraySize(at);
    }
    return ATTN_OK;
}

static attn_status fill(const char *place, const cJSON *item, int level, attn_tensor *t, size_t *at,
                        attn_error *err)
{
    if (level == t->rank) {
        double value = item->valuedouble;
        bool whole = value >= INT32_MIN && value <= INT32_MAX && value == (double)(int32_t)value;
        if (!cJSON_IsNumber(item) || (t->dtype == ATTN_I32 && !whole))
            return attn_fail(err, ATTN_BAD_INPUT, "%s: element %zu is no %s", place, *at,
                             t->dtype == ATTN_I32 ? "32-bit integer" : "number");
        if (t->dtype == ATTN_I32)
            ((int32_t *)t->data)[*at] = (int32_t)value;
        else
            ((float *)t->data)[*at] = (float)value;
        ++*at;
        return ATTN_OK;
    }
    if (!cJSON_IsArray(item) || (size_t)cJSON_GetArraySize(item) != t->dim[level])
        return attn_fail(err, ATTN_BAD_INPUT, "%s: the lists are not all of one length", place);
    for (const cJSON *entry = item->child; entry; entry = entry->next)
        ATTN_TRY(fill(place, entry, level + 1, t, at, err));
    return ATTN_OK;
}

static attn_status read_list(const char *place, const char *text, attn_dtype dtype,
                             cli_input *input, attn_error *err)
{
    cJSON *list;
    size_t count, at = 0;
    attn_tensor *t = &input->tensor;
    ATTN_TRY(attn_json_parse(place, text, strlen(text), &list, err));
    *t = (attn_tensor){.dtype = dtype};
    attn_status status = list_shape(place, list, t, err);
    if (!status && (!attn_product(t->dim, t->rank, &count) || count > (size_t)1 << 28))
        status = attn_fail(err, ATTN_LIMIT, "%s: too many elements", place);
    if (!status) {
        input->bytes = count * 4;
        status = attn_alloc(cli_memory(), input->bytes, place, &t->data, err);
    }
    if (!status) status = fill(place, list, 0, t, &at, err);
    cJSON_Delete(list);
    return status;
}

/* "NAME=VALUE" is split only where NAME is an input of the model: a file name may hold a "=". */
static const attn_port *find_port(const attn_session *s, const char *text, cli_input *input,
                                  attn_error *err)
{
    const attn_graph *g = &s->model->graph;
    for (size_t i = 0; i < g->inputs; i++) {
        size_t length = strlen(g->input[i].name);
        if (strncmp(text, g->input[i].name, length) != 0 || text[length] != '=') continue;
        input->name = g->input[i].name;
        input->value = text + length + 1;
        return &g->input[i];
    }
    const attn_port *only = attn_graph_only_input(g);
    if (only && !(strchr(text, '=') && text[0] != '[' && !attn_file_exists(text))) {
        input->value = text;
        return only;
    }
    attn_fail(err, ATTN_BAD_ARGUMENT,
              "\"%.100s\" names no input of model \"%s\"; give NAME=VALUE, the first is \"%s\"",
              text, s->model->name, g->input[0].name);
    return NULL;
}

attn_status cli_set_input(attn_session *s, const char *text, cli_input *input, attn_error *err)
{
    *input = (cli_input){0};
    const attn_port *port = find_port(s, text, input, err);
    if (!port) return ATTN_BAD_ARGUMENT;
    if (ends_with(input->value, ".npy")) {
        ATTN_TRY(attn_npy_read(&input->tensor, input->value, cli_memory(), &input->bytes, err));
    } else if (input->value[0] == '[' || input->value[0] == '-' ||
               (input->value[0] >= '0' && input->value[0] <= '9' &&
                !attn_file_exists(input->value))) {
        ATTN_TRY(read_list(port->name, input->value, port->dtype, input, err));
    } else if (port->kind == ATTN_KIND_IMAGE) {
        input->photo = input->value;
        return attn_set_image(s, port->name, input->value, err);
    } else {
        return attn_fail(
            err, ATTN_BAD_INPUT,
            "input \"%s\": \"%.100s\" is neither a .npy file nor a list such as [[1,2]]",
            port->name, input->value);
    }
    return attn_set_input(s, port->name, &input->tensor, err);
}

void cli_free_input(cli_input *input)
{
    attn_release(cli_memory(), input->tensor.data, input->bytes);
    *input = (cli_input){0};
}
