/* The tables of the families, and all nodes of a graph in turn. */
#include "runtime/onnx/lower_state.h"

#include <stdio.h>
#include <string.h>

#define FAMILY(name) extern const attn_lowering attn_lowerings_##name[];
#include "runtime/onnx/families.def"
#undef FAMILY

#define FAMILY(name) attn_lowerings_##name,
static const attn_lowering *const families[] = {
#include "runtime/onnx/families.def"
    NULL};
#undef FAMILY

enum { MAX_NAMED = 6 }; /* operators that one message names */

const attn_lowering *attn_lowering_find(const attn_ir_node *node)
{
    for (const attn_lowering *const *f = families; *f; f++)
        for (const attn_lowering *e = *f; e->op; e++)
            if (strcmp(e->op, node->op) == 0 && strcmp(e->domain, node->domain) == 0) return e;
    return NULL;
}

/* ---- what is missing ----------------------------------------------------------------------- */

typedef struct missing {
    size_t nodes, kinds;
    const attn_ir_node *first[MAX_NAMED]; /* one of each operator */
    bool more;                            /* of operators than these */
} missing;

static void find_missing(const attn_ir_body *body, missing *m)
{
    for (const attn_ir_node *n = body->first; n; n = n->next) {
        for (size_t i = 0; i < n->bodies; i++) find_missing(n->body[i], m);
        if (attn_lowering_find(n)) continue;
        size_t i = 0;
        m->nodes++;
        while (i < m->kinds &&
               (strcmp(m->first[i]->op, n->op) != 0 || strcmp(m->first[i]->domain, n->domain) != 0))
            i++;
        if (i < m->kinds) continue;
        if (m->kinds < MAX_NAMED)
            m->first[m->kinds++] = n;
        else
            m->more = true;
    }
}

attn_status attn_lowering_check(const attn_ir *ir, attn_error *err)
{
    missing m = {0};
    char list[400] = "";
    find_missing(ir->main, &m);
    if (!m.nodes) return ATTN_OK;
    for (size_t i = 1; i < m.kinds; i++) {
        size_t used = strlen(list);
        const char *domain = m.first[i]->domain;
        snprintf(list + used, sizeof list - used, "%s%s%s%.40s", used ? ", " : "", domain,
                 *domain ? "." : "", m.first[i]->op);
    }
    size_t used = strlen(list);
    if (m.more) snprintf(list + used, sizeof list - used, ", ...");
    return attn_fail(err, ATTN_BAD_MODEL, "%s: attn has no such operator%s%s (%zu node%s in all)",
                     m.first[0]->place, *list ? "; nor has it " : "", list, m.nodes,
                     m.nodes > 1 ? "s" : "");
}

/* ---- nodes --------------------------------------------------------------------------------- */

static attn_status lower_node(attn_lower *l, const attn_ir_node *node)
{
    l->entry = attn_lowering_find(node);
    l->node = node;
    l->named = NULL;
    if (!l->entry) return attn_lower_fail(l, node, "attn has no such operator");
    ATTN_TRY(l->entry->function(l, node));
    attn_lower_close(l);
    if (l->failed) return attn_ir_no_memory(l->ir);
    if (!l->status) return ATTN_OK;
    if (l->err) *l->err = l->problem;
    return l->status;
}

attn_status attn_lower_body(attn_lower *l, const attn_ir_body *body)
{
    for (const attn_ir_node *n = body->first; n; n = n->next) ATTN_TRY(lower_node(l, n));
    return ATTN_OK;
}
