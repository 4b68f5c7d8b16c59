/* What the importer knows of an ONNX file, a line for each node: its operator, and of each output
 * the type, the shape and the elements as the probes found them. For tests/models/test_onnx.py, and
 * for whoever works on the importer. show_onnx MODEL.onnx [fold] */
#include "runtime/onnx/ir.h"

#include <stdio.h>
#include <string.h>

static void print_amount(const attn_ir *ir, const attn_ir_amount *a)
{
    if (!a->known) {
        printf("?");
        return;
    }
    if (!a->factor) {
        printf("%ld", a->base);
        return;
    }
    if (a->factor != 1) printf("%ld*", a->factor);
    for (int i = 0; i < 2; i++) {
        int s = a->symbol[i];
        if (s < 0) continue;
        if (i) printf("*");
        if (s < ATTN_IR_MAX_SYMBOLS)
            printf("%s", ir->symbol[s].name);
        else
            printf("size%d", s - ATTN_IR_MAX_SYMBOLS);
    }
    if (a->base) printf("%+ld", a->base);
}

static void print_value(const attn_ir *ir, const attn_ir_value *v)
{
    printf(" %s: %s ", v->name, attn_onnx_type_name(v->type));
    if (!v->shaped) {
        printf("?");
        return;
    }
    printf("[");
    for (int d = 0; d < v->rank; d++) {
        if (d) printf(", ");
        print_amount(ir, &v->dim[d]);
    }
    printf("]");
    if (v->elements) {
        printf(" = {");
        for (size_t i = 0; i < v->elements; i++) {
            if (i) printf(", ");
            print_amount(ir, &v->element[i]);
        }
        printf("}");
    } else if (v->fixed) {
        printf(" fixed");
    }
}

static void print_body(const attn_ir *ir, const attn_ir_body *body, int depth)
{
    for (const attn_ir_node *n = body->first; n; n = n->next) {
        printf("%*s%s%s%s:", depth, "", n->domain, *n->domain ? "." : "", n->op);
        for (size_t i = 0; i < n->outputs; i++)
            if (n->out[i]) print_value(ir, n->out[i]);
        printf("\n");
        for (size_t i = 0; i < n->bodies; i++) print_body(ir, n->body[i], depth + 2);
    }
}

static attn_status show(const char *path, bool fold, attn_arena *arena, attn_onnx_model *model,
                        attn_error *err)
{
    attn_ir ir;
    ATTN_TRY(attn_onnx_open(model, path, arena, err));
    ATTN_TRY(attn_ir_build(&ir, model, (const size_t[2]){0}, arena, err));
    ATTN_TRY(attn_ir_probe(&ir));
    if (fold) {
        attn_ir_fold(&ir);
        ATTN_TRY(attn_ir_probe(&ir));
    }
    print_body(&ir, ir.main, 0);
    return ATTN_OK;
}

int main(int argc, char **argv)
{
    attn_memory memory;
    attn_arena arena;
    attn_onnx_model model = {0};
    attn_error err;
    if (argc < 2) return 2;
    attn_memory_init(&memory, NULL, 0);
    attn_arena_init(&arena, &memory);
    bool fold = argc > 2 && strcmp(argv[2], "fold") == 0;
    attn_status status = show(argv[1], fold, &arena, &model, &err);
    if (status) fprintf(stderr, "%s\n", err.text);
    attn_onnx_close(&model);
    attn_arena_free(&arena);
    return status != ATTN_OK;
}
