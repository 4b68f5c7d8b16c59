/* Names for people: a weight that an exporter has renamed ("onnx::MatMul_415", "val_28"), or given
 * away to another because both have the same elements, gets the name of its module back. */
#include "runtime/onnx/lift.h"

#include <stdio.h>
#include <string.h>

enum { MOST = 160 };

/* The module of a node: as the file says, or as the name's path has it: "/vit/layers.0/q/MatMul".
 */
static bool scope_of(const attn_ir_node *node, char *text)
{
    const char *from = node->scope, *slash = strrchr(node->name, '/');
    size_t length = strlen(from);
    if (length == 0 && node->name[0] == '/' && slash > node->name) {
        from = node->name + 1;
        length = (size_t)(slash - from);
    }
    if (length == 0 || length >= MOST) return false;
    for (size_t i = 0; i < length; i++) {
        text[i] = from[i] == '/' ? '.' : from[i];
        if (text[i] == '{' || text[i] == '}' || (unsigned char)text[i] <= ' ') return false;
    }
    text[length] = 0;
    return true;
}

static void rename_input(attn_ir *ir, attn_ir_node *node, size_t slot, const char *scope,
                         const char *what)
{
    attn_ir_value *value = attn_ir_in(node, slot);
    char name[MOST + 20];
    if (!value || !value->constant) return;
    snprintf(name, sizeof name, "%s.%s", scope, what);
    size_t length = strlen(scope);
    if (strncmp(value->name, scope, length) == 0 && value->name[length] == '.') return;
    attn_ir_value *fresh = attn_ir_new_constant(ir, name, value->constant);
    if (!fresh) return;
    fresh->type = value->type;
    fresh->shaped = value->shaped;
    fresh->rank = value->rank;
    memcpy(fresh->dim, value->dim, sizeof fresh->dim);
    attn_ir_set_in(ir, node, slot, fresh);
}

void attn_lift_names(attn_ir *ir)
{
    static const struct {
        const char *op, *domain;
    } named[] = {{"Linear", "attn"},         {"LayerNorm", "attn"}, {"RMSNorm", "attn"},
                 {"LayerNormalization", ""}, {"Conv", ""},          {"Conv", "attn"},
                 {"ConvTranspose", ""},      {"PatchEmbed", "attn"}};
    for (attn_ir_node *n = ir->main->first; n; n = n->next) {
        char scope[MOST];
        if (strcmp(n->op, "Attention") == 0 && strcmp(n->domain, "attn") == 0 &&
            scope_of(n, scope)) {
            const char *name = attn_arena_text(ir->arena, scope, strlen(scope), ir->err);
            if (!name) ir->failed = true;
            if (name) n->name = name;
        }
        for (size_t i = 0; i < sizeof named / sizeof *named; i++) {
            if (strcmp(n->op, named[i].op) != 0 || strcmp(n->domain, named[i].domain) != 0)
                continue;
            if (!scope_of(n, scope)) continue;
            rename_input(ir, n, 1, scope, "weight");
            rename_input(ir, n, 2, scope, "bias");
        }
    }
}
