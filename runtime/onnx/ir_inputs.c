/* The dimensions of a model's inputs: sizes, and symbols where the file leaves them open. */
#include "runtime/onnx/ir_build.h"

#include <stdio.h>
#include <string.h>

/* What an expression would read as something else. */
static bool is_reserved(const char *name)
{
    static const char *const words[] = {"and",  "or",    "not",  "in",  "if",    "else",
                                        "true", "false", "null", "min", "max",   "floor",
                                        "ceil", "sqrt",  "len",  "has", "given", "get"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(words[i], name) == 0) return true;
    return false;
}

/* A name of the letters, digits and "_" of what the file says. */
static void make_name(const char *from, char *to, size_t size)
{
    size_t used = 0;
    bool first = *from >= '0' && *from <= '9';
    if (first) to[used++] = 'd';
    for (; *from && used + 3 < size; from++) {
        bool digit = *from >= '0' && *from <= '9';
        bool letter = (*from >= 'a' && *from <= 'z') || (*from >= 'A' && *from <= 'Z');
        bool good = digit || letter || *from == '_';
        if (good || (used && to[used - 1] != '_')) to[used++] = good ? *from : '_';
    }
    to[used] = 0;
    if (!used || is_reserved(to)) strcat(to, "_");
}

static int find_symbol(const attn_ir *ir, const char *name)
{
    for (size_t i = 0; i < ir->symbols; i++)
        if (strcmp(ir->symbol[i].name, name) == 0) return (int)i;
    return -1;
}

/* said: the file's name of it, by which it is the same in another place; "" of none. */
static attn_status add_symbol(attn_ir *ir, const char *said, const char *base, int *out)
{
    char name[72], whole[96];
    for (size_t i = 0; *said && i < ir->symbols; i++)
        if (strcmp(ir->symbol[i].said, said) == 0) {
            *out = (int)i;
            return ATTN_OK;
        }
    if (ir->symbols == ATTN_IR_MAX_SYMBOLS)
        return attn_fail(ir->err, ATTN_LIMIT, "%s: the inputs have more than %d open dimensions",
                         ir->file, ATTN_IR_MAX_SYMBOLS);
    make_name(*said ? said : base, name, 64);
    snprintf(whole, sizeof whole, "%s", name);
    for (int i = 2; find_symbol(ir, whole) >= 0; i++)
        snprintf(whole, sizeof whole, "%s_%d", name, i);
    const char *copy = attn_arena_text(ir->arena, whole, strlen(whole), ir->err);
    if (!copy) return ATTN_NO_MEMORY;
    ir->symbol[ir->symbols] = (attn_ir_symbol){copy, said};
    *out = (int)ir->symbols++;
    return ATTN_OK;
}

/* What a photo makes of an open dimension of pixel_values, [batch, 3, height, width]; 0: nothing.
 */
static size_t photo_size(const attn_ir_value *value, int d, const size_t photo[2])
{
    bool pixels = strcmp(value->name, "pixel_values") == 0 && value->rank == 4;
    return !pixels || !photo[0] || d == 0 ? 0 : d == 1 ? 3 : photo[d - 2];
}

static attn_status read_input(attn_ir *ir, size_t i, const size_t photo[2])
{
    attn_ir_value *value = ir->main->input[i];
    const attn_onnx_value *said = value->declared;
    if (!said->is_tensor)
        return attn_fail(ir->err, ATTN_BAD_MODEL, "%s: input \"%.100s\" is no tensor", ir->file,
                         value->name);
    if (!attn_onnx_is_float(said->type) && !attn_onnx_is_integer(said->type))
        return attn_fail(ir->err, ATTN_BAD_MODEL,
                         "%s: input \"%.100s\" is a tensor of %s, which attn does not take",
                         ir->file, value->name, attn_onnx_type_name(said->type));
    if (!said->shaped)
        return attn_fail(ir->err, ATTN_BAD_MODEL,
                         "%s: input \"%.100s\" has no shape: how many dimensions it has must be "
                         "known",
                         ir->file, value->name);
    value->shaped = true;
    value->rank = said->rank;
    for (int d = 0; d < said->rank; d++) {
        attn_ir_amount *dim = &value->dim[d];
        *dim = (attn_ir_amount){.known = true, .symbol = {-1, -1}};
        if (said->dim[d].known && said->dim[d].size) {
            dim->base = (long)said->dim[d].size;
            continue;
        }
        dim->base = (long)photo_size(value, d, photo);
        if (dim->base) continue;
        char base[80];
        snprintf(base, sizeof base, "%.60s_%d", value->name, d);
        dim->factor = 1;
        ATTN_TRY(
            add_symbol(ir, said->dim[d].known ? "" : said->dim[d].name, base, &dim->symbol[0]));
    }
    return ATTN_OK;
}

/* Of a list of integers without any, such as axes, there is nothing to set: it is a constant. */
static bool is_empty_list(const attn_ir_value *value)
{
    const attn_onnx_value *said = value->declared;
    return said->is_tensor && said->shaped && said->rank == 1 && said->dim[0].known &&
           !said->dim[0].size && attn_onnx_is_integer(said->type);
}

attn_status attn_ir_read_inputs(attn_ir *ir, const size_t photo[2])
{
    size_t kept = 0;
    for (size_t i = 0; i < ir->main->inputs; i++) {
        attn_ir_value *value = ir->main->input[i];
        if (!is_empty_list(value)) {
            ir->main->input[kept++] = value;
            continue;
        }
        attn_onnx_tensor *t = attn_arena_get(ir->arena, 1, sizeof *t, ir->err);
        if (!t) return ATTN_NO_MEMORY;
        *t = (attn_onnx_tensor){.name = "", .type = value->type, .rank = 1, .data = ""};
        value->constant = t;
        value->is_input = false;
    }
    ir->main->inputs = kept;
    for (size_t i = 0; i < ir->main->inputs; i++) ATTN_TRY(read_input(ir, i, photo));
    return ATTN_OK;
}
