/* libFuzzer target: the ONNX reader on any bytes, then all that it says of what it accepts. Build
 * with -fsanitize=fuzzer,address,undefined; corpus: tests/fuzz/corpus/onnx and tests/golden/onnx.
 */
#include "runtime/onnx/onnx.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
    if (!good) abort();
}

/* Reads it to its end. */
static void check_text(const char *text)
{
    check(text && strlen(text) < SIZE_MAX);
}

static void check_texts(const attn_onnx_text *text, size_t count)
{
    for (size_t i = 0; i < count; i++)
        check(text[i].text && strlen(text[i].text) == text[i].length);
}

static void check_tensor(const attn_onnx_model *m, const attn_onnx_tensor *t)
{
    size_t count;
    unsigned sum = 0;
    check_text(t->name);
    check(t->rank >= 0 && t->rank <= ATTN_MAX_RANK);
    check(attn_product(t->dim, t->rank, &count) && count == t->count);
    check(t->bytes == (count * attn_onnx_type_bits(t->type) + 7) / 8);
    check(!t->mapping || t->mapping == &m->mapping);
    if (t->type == ATTN_ONNX_STRING) check_texts(t->text, t->count);
    for (size_t i = 0; i < t->bytes; i++) sum += ((const unsigned char *)t->data)[i];
    if (t->mapping && t->bytes) {
        const unsigned char *start = t->mapping->data, *data = t->data;
        check(data >= start && t->bytes <= t->mapping->size - (size_t)(data - start));
    }
    check(sum < UINT32_MAX);
}

static void check_value(const attn_onnx_value *v)
{
    check_text(v->name);
    check(*v->name && v->rank >= 0 && v->rank <= ATTN_MAX_RANK && (v->shaped || v->rank == 0));
    for (int i = 0; i < ATTN_MAX_RANK; i++) check_text(v->dim[i].name);
}

static void check_graph(const attn_onnx_model *m, const attn_onnx_graph *g);

static void check_attr(const attn_onnx_model *m, const attn_onnx_attr *a)
{
    double sum = 0;
    check_text(a->name);
    check_texts(&a->text, 1);
    if (a->ref) {
        check_text(a->ref);
        return;
    }
    check((a->kind == ATTN_ONNX_ATTR_TENSOR) == (a->tensor != NULL));
    check((a->kind == ATTN_ONNX_ATTR_GRAPH) == (a->graph != NULL));
    if (a->tensor) check_tensor(m, a->tensor);
    if (a->graph) check_graph(m, a->graph);
    for (size_t i = 0; i < a->count && a->numbers; i++) sum += (double)a->numbers[i];
    for (size_t i = 0; i < a->count && a->integers; i++) sum += (double)a->integers[i];
    if (a->texts) check_texts(a->texts, a->count);
    check(!(sum == 0 && sum != 0));
}

static void check_nodes(const attn_onnx_model *m, const attn_onnx_node *node, size_t count)
{
    for (size_t k = 0; k < count; k++) {
        const attn_onnx_node *n = &node[k];
        check_text(n->op);
        check_text(n->domain);
        check_text(n->name);
        check_text(n->overload);
        for (size_t i = 0; i < n->inputs; i++) check_text(n->in[i]);
        for (size_t i = 0; i < n->outputs; i++) check_text(n->out[i]);
        for (size_t i = 0; i < n->attrs; i++) check_attr(m, &n->attr[i]);
    }
}

static void check_graph(const attn_onnx_model *m, const attn_onnx_graph *g)
{
    check_text(g->name);
    for (size_t i = 0; i < g->tensors; i++) check_tensor(m, &g->tensor[i]);
    for (size_t i = 0; i < g->inputs; i++) check_value(&g->input[i]);
    for (size_t i = 0; i < g->outputs; i++) check_value(&g->output[i]);
    for (size_t i = 0; i < g->infos; i++) check_value(&g->info[i]);
    check_nodes(m, g->node, g->nodes);
}

static void check_model(const attn_onnx_model *m)
{
    check_text(m->producer);
    for (size_t i = 0; i < m->opsets; i++) check_text(m->opset[i].domain);
    for (size_t i = 0; i < m->properties; i++) {
        check_text(m->property[i].key);
        check_text(m->property[i].value);
    }
    for (size_t k = 0; k < m->functions; k++) {
        const attn_onnx_function *f = &m->function[k];
        check_text(f->domain);
        for (size_t i = 0; i < f->inputs; i++) check_text(f->in[i]);
        for (size_t i = 0; i < f->outputs; i++) check_text(f->out[i]);
        for (size_t i = 0; i < f->attrs; i++) check_text(f->attr[i]);
        for (size_t i = 0; i < f->defaults; i++) check_attr(m, &f->fallback[i]);
        check_nodes(m, f->node, f->nodes);
    }
    check_graph(m, &m->graph);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    attn_memory memory;
    attn_arena arena;
    attn_onnx_model model;
    attn_error err = {0};
    attn_memory_init(&memory, NULL, 0);
    attn_arena_init(&arena, &memory);
    if (attn_onnx_parse(&model, "input", data, size, &arena, &err))
        check(*err.text && !strchr(err.text, '\n'));
    else
        check_model(&model);
    check(memory.used <= 100 * size + (1 << 18));
    attn_onnx_close(&model);
    attn_arena_free(&arena);
    check(memory.used == 0);
    return 0;
}
