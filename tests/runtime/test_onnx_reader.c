/* ONNX files: what the onnx package reads in the good ones (tests/golden/make_onnx.py) is read
 * here; the malformed ones (make_onnx_bad.py) are refused, each with its line. */
#define _POSIX_C_SOURCE 200809L

#include "runtime/onnx/onnx.h"
#include "tests/runtime/failing.h"
#include "tests/runtime/folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define GOOD "tests/golden/onnx/good/"
#define BAD "tests/golden/onnx/bad/"

static const char *const good_files[] = {"tensors",  "attributes", "values",   "inputs",
                                         "branches", "functions",  "external", "domain"};

/* ---- a model as text, as make_onnx.py has it ------------------------------------------------- */

static char text[1 << 16];
static size_t used;

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    used += (size_t)vsnprintf(text + used, sizeof text - used, format, args);
    va_end(args);
    assert_true(used < sizeof text);
}

static void say_tensor(const attn_onnx_tensor *t)
{
    attn_shape_text shape;
    size_t count, bits = attn_onnx_type_bits(t->type);
    const unsigned char *data = t->data;
    say("tensor \"%s\" %s %s", t->name, attn_onnx_type_name(t->type),
        attn_format_shape(&shape, t->dim, t->rank));
    assert_true(attn_product(t->dim, t->rank, &count));
    assert_int_equal(count, t->count);
    assert_int_equal((count * bits + 7) / 8, t->bytes);
    if (t->type == ATTN_ONNX_STRING) {
        assert_true(!t->data && !t->mapping && !t->bytes);
        for (size_t i = 0; i < t->count; i++) {
            say(" \"%s\"", t->text[i].text);
            assert_int_equal(strlen(t->text[i].text), t->text[i].length);
        }
        say("\n");
        return;
    }
    if (t->mapping && t->bytes) {
        const unsigned char *start = t->mapping->data;
        assert_true(data >= start && data + t->bytes <= start + t->mapping->size);
    }
    say(" ");
    for (size_t i = 0; i < t->bytes; i++) say("%02x", data[i]);
    say("\n");
}

static void say_value(const char *what, const attn_onnx_value *v)
{
    say("%s \"%s\"", what, v->name);
    say(" %s", v->is_tensor ? attn_onnx_type_name(v->type) : "other");
    for (int i = 0; i < v->rank; i++) {
        say(i ? ", " : " [");
        if (v->dim[i].known)
            say("%zu", v->dim[i].size);
        else
            say("\"%s\"", v->dim[i].name);
    }
    say(v->rank ? "]\n" : v->shaped ? " []\n" : "\n");
}

static void say_graph(const attn_onnx_graph *g);

static void say_attr(const char *what, const attn_onnx_attr *a)
{
    say("%s \"%s\" ", what, a->name);
    if (a->ref) {
        say("ref \"%s\"\n", a->ref);
        return;
    }
    switch (a->kind) {
    case ATTN_ONNX_ATTR_FLOAT:
        say("float %.9g", (double)a->number);
        break;
    case ATTN_ONNX_ATTR_INT:
        say("int %" PRId64, a->integer);
        break;
    case ATTN_ONNX_ATTR_STRING:
        say("string \"%s\"", a->text.text);
        assert_int_equal(strlen(a->text.text), a->text.length);
        break;
    case ATTN_ONNX_ATTR_TENSOR:
        say_tensor(a->tensor);
        return;
    case ATTN_ONNX_ATTR_GRAPH:
        say("graph\n");
        say_graph(a->graph);
        return;
    case ATTN_ONNX_ATTR_FLOATS:
        say("floats");
        for (size_t i = 0; i < a->count; i++) say(" %.9g", (double)a->numbers[i]);
        break;
    case ATTN_ONNX_ATTR_INTS:
        say("ints");
        for (size_t i = 0; i < a->count; i++) say(" %" PRId64, a->integers[i]);
        break;
    case ATTN_ONNX_ATTR_STRINGS:
        say("strings");
        for (size_t i = 0; i < a->count; i++) say(" \"%s\"", a->texts[i].text);
        break;
    case ATTN_ONNX_ATTR_OTHER:
        say("other");
    }
    say("\n");
}

static void say_names(const char *what, const char **name, size_t count)
{
    for (size_t i = 0; i < count; i++) say("%s \"%s\"\n", what, name[i]);
}

static void say_nodes(const attn_onnx_node *node, size_t count)
{
    for (size_t k = 0; k < count; k++) {
        const attn_onnx_node *n = &node[k];
        say("node %s \"%s\" \"%s\" \"%s\"\n", n->op, n->domain, n->name, n->overload);
        say_names("in", n->in, n->inputs);
        say_names("out", n->out, n->outputs);
        for (size_t i = 0; i < n->attrs; i++) say_attr("attr", &n->attr[i]);
    }
    say("end\n");
}

static void say_graph(const attn_onnx_graph *g)
{
    say("graph \"%s\"\n", g->name);
    for (size_t i = 0; i < g->tensors; i++) say_tensor(&g->tensor[i]);
    for (size_t i = 0; i < g->inputs; i++) say_value("input", &g->input[i]);
    for (size_t i = 0; i < g->outputs; i++) say_value("output", &g->output[i]);
    for (size_t i = 0; i < g->infos; i++) say_value("info", &g->info[i]);
    say_nodes(g->node, g->nodes);
}

static void say_opsets(const attn_onnx_opset *opset, size_t count)
{
    for (size_t i = 0; i < count; i++)
        say("opset \"%s\" %" PRId64 "\n", opset[i].domain, opset[i].version);
}

static void say_model(const attn_onnx_model *m)
{
    used = 0;
    say("model %" PRId64 " \"%s\"\n", m->ir_version, m->producer);
    say_opsets(m->opset, m->opsets);
    for (size_t i = 0; i < m->properties; i++)
        say("property \"%s\" \"%s\"\n", m->property[i].key, m->property[i].value);
    for (size_t k = 0; k < m->functions; k++) {
        const attn_onnx_function *f = &m->function[k];
        say("function \"%s\" \"%s\" \"%s\"\n", f->name, f->domain, f->overload);
        say_names("in", f->in, f->inputs);
        say_names("out", f->out, f->outputs);
        say_names("name", f->attr, f->attrs);
        for (size_t i = 0; i < f->defaults; i++) say_attr("default", &f->fallback[i]);
        say_opsets(f->opset, f->opsets);
        say_nodes(f->node, f->nodes);
    }
    say_graph(&m->graph);
}

/* ---- good files ----------------------------------------------------------------------------- */

typedef struct opened {
    attn_memory memory;
    attn_arena arena;
    attn_onnx_model model;
} opened;

static attn_status open_file(opened *o, const char *path, attn_error *err)
{
    *err = (attn_error){0};
    attn_memory_init(&o->memory, NULL, 0);
    attn_arena_init(&o->arena, &o->memory);
    return attn_onnx_open(&o->model, path, &o->arena, err);
}

static void close_file(opened *o)
{
    attn_onnx_close(&o->model);
    attn_arena_free(&o->arena);
    assert_int_equal(o->memory.used, 0);
}

static size_t read_file(const char *path, unsigned char *data, size_t size)
{
    FILE *f = fopen(path, "rb");
    if (!f) fail_msg("%s is missing", path);
    size = fread(data, 1, size, f);
    fclose(f);
    return size;
}

static void test_good(void **state)
{
    (void)state;
    static char expected[sizeof text];
    for (size_t i = 0; i < sizeof good_files / sizeof *good_files; i++) {
        opened o;
        attn_error err;
        char path[100];
        snprintf(path, sizeof path, GOOD "%s.onnx", good_files[i]);
        if (open_file(&o, path, &err)) fail_msg("%s", err.text);
        say_model(&o.model);
        close_file(&o);
        snprintf(path, sizeof path, GOOD "%s.txt", good_files[i]);
        expected[read_file(path, (unsigned char *)expected, sizeof expected - 1)] = 0;
        if (strcmp(text, expected) != 0)
            fail_msg("%s: expected\n%s, got\n%s", path, expected, text);
    }
}

/* Where tensors lie: in the file's mapping, in another one, or in the arena. */
static void test_places(void **state)
{
    (void)state;
    opened o;
    attn_error err;
    if (open_file(&o, GOOD "external.onnx", &err)) fail_msg("%s", err.text);
    assert_int_equal(o.model.externals, 1);
    assert_string_equal(o.model.external_name[0], "weights.bin");
    const attn_onnx_tensor *t = o.model.graph.tensor;
    assert_ptr_equal(t[0].mapping, &o.model.external[0]);
    assert_ptr_equal(t[1].data, (const char *)o.model.external[0].data + 8);
    close_file(&o);
    if (open_file(&o, GOOD "tensors.onnx", &err)) fail_msg("%s", err.text);
    t = o.model.graph.tensor;
    size_t list = 0, raw = 0;
    for (size_t i = 0; i < o.model.graph.tensors; i++) {
        if (strcmp(t[i].name, "int64 list") == 0) list += !t[i].mapping;
        if (strcmp(t[i].name, "int64 raw") == 0) raw += t[i].mapping == &o.model.mapping;
        if (strcmp(t[i].name, "float list") == 0) raw += t[i].mapping == &o.model.mapping;
    }
    assert_true(list == 1 && raw == 2);
    close_file(&o);
}

/* Equal names of values are one pointer. */
static void test_names(void **state)
{
    (void)state;
    opened o;
    attn_error err;
    if (open_file(&o, GOOD "branches.onnx", &err)) fail_msg("%s", err.text);
    const attn_onnx_graph *g = &o.model.graph, *then = NULL;
    for (size_t i = 0; i < g->node[1].attrs; i++)
        if (strcmp(g->node[1].attr[i].name, "then_branch") == 0) then = g->node[1].attr[i].graph;
    assert_non_null(then);
    assert_ptr_equal(g->tensor[0].name, g->node[0].in[1]);
    assert_ptr_equal(g->tensor[0].name, then->tensor[0].name);
    assert_ptr_equal(g->node[0].out[0], then->node[0].in[0]);
    assert_ptr_equal(g->node[2].out[0], g->output[0].name);
    assert_ptr_not_equal(g->node[0].out[0], g->node[1].out[0]);
    close_file(&o);
}

static void test_words(void **state)
{
    (void)state;
    assert_true(attn_is_onnx("a.onnx") && attn_is_onnx("b/c.onnx"));
    assert_false(attn_is_onnx(".onnx") || attn_is_onnx("a.onnx/b") || attn_is_onnx("onnx"));
    assert_string_equal(attn_onnx_type_name(ATTN_ONNX_FLOAT8E4M3FNUZ), "float8e4m3fnuz");
    assert_string_equal(attn_onnx_type_name((attn_onnx_type)99), "unknown");
    assert_int_equal(attn_onnx_type_bits(ATTN_ONNX_COMPLEX128), 128);
    assert_int_equal(attn_onnx_type_bits(ATTN_ONNX_INT4), 4);
    assert_int_equal(attn_onnx_type_bits(ATTN_ONNX_STRING), 0);
    assert_int_equal(attn_onnx_type_bits((attn_onnx_type)99), 0);
}

/* ---- malformed files ------------------------------------------------------------------------ */

static void test_bad(void **state)
{
    (void)state;
    size_t count = 0;
    char line[600], path[sizeof line + 64], expected[sizeof path + sizeof line];
    FILE *list = fopen(BAD "expected.txt", "r");
    assert_non_null(list);
    while (fgets(line, sizeof line, list)) {
        opened o;
        attn_error err;
        char *colon = strchr(line, ':');
        assert_non_null(colon);
        *colon = 0;
        line[strcspn(colon + 1, "\n") + (size_t)(colon + 1 - line)] = 0;
        snprintf(path, sizeof path, BAD "%s.onnx", line);
        snprintf(expected, sizeof expected, "%s:%s", path, colon + 1);
        attn_status status = open_file(&o, path, &err);
        assert_true(status == ATTN_BAD_FILE || status == ATTN_LIMIT || status == ATTN_IO);
        assert_int_equal(status, err.status);
        assert_string_equal(err.text, expected);
        close_file(&o);
        count++;
    }
    fclose(list);
    assert_true(count >= 60);
}

static attn_status parse(const unsigned char *data, size_t size, size_t *memory, attn_error *err)
{
    opened o;
    unsigned char *exact = malloc(size ? size : 1); /* a sanitizer sees a read beyond it */
    assert_non_null(exact);
    memcpy(exact, data, size);
    *err = (attn_error){0};
    attn_memory_init(&o.memory, NULL, 0);
    attn_arena_init(&o.arena, &o.memory);
    attn_status status = attn_onnx_parse(&o.model, "x.onnx", exact, size, &o.arena, err);
    if (memory) *memory = o.memory.used;
    close_file(&o);
    free(exact);
    if (status) {
        assert_int_equal(status, err->status);
        assert_memory_equal(err->text, "x.onnx: ", 8);
        assert_null(strchr(err->text, '\n'));
    }
    return status;
}

/* Cut off anywhere, it is refused: the versions of the domains come last. */
static void test_truncated(void **state)
{
    (void)state;
    static unsigned char data[1 << 14];
    attn_error err;
    size_t size = read_file(GOOD "tensors.onnx", data, sizeof data);
    if (parse(data, size, NULL, &err)) fail_msg("%s", err.text);
    for (size_t i = 0; i < size; i++)
        if (!parse(data, i, NULL, &err)) fail_msg("%zu bytes are taken", i);
}

/* No single bit makes it read what is not there, or need much memory. */
static void test_every_bit(void **state)
{
    (void)state;
    static unsigned char data[1 << 14];
    static const char *const files[] = {"attributes", "values", "branches", "functions"};
    attn_error err;
    for (size_t f = 0; f < sizeof files / sizeof *files; f++) {
        char path[100];
        snprintf(path, sizeof path, GOOD "%s.onnx", files[f]);
        size_t size = read_file(path, data, sizeof data), memory;
        for (size_t at = 0; at < size; at++)
            for (int bit = 0; bit < 8; bit++) {
                data[at] ^= (unsigned char)(1 << bit);
                parse(data, size, &memory, &err);
                assert_true(memory <= 1 << 18);
                data[at] ^= (unsigned char)(1 << bit);
            }
    }
}

/* ---- files made to cost much ---------------------------------------------------------------- */

enum { LARGE = 1 << 20, HEAD = 16 };

static size_t put_length(unsigned char *to, size_t length)
{
    for (int i = 0; i < 4; i++) to[i] = (unsigned char)((length >> 7 * i & 0x7f) | 0x80);
    to[4] = (unsigned char)(length >> 28);
    return 5;
}

/* A file whose graph is the unit again and again, to 1 MB. */
static size_t make_large(unsigned char *data, const char *unit, size_t bytes)
{
    static const unsigned char head[] = {0x08, 0x08, 0x42, 0x02, 0x10, 0x11, 0x3a};
    size_t count = (LARGE - HEAD) / bytes, at = sizeof head;
    memcpy(data, head, sizeof head);
    at += put_length(data + at, count * bytes);
    for (size_t i = 0; i < count; i++, at += bytes) memcpy(data + at, unit, bytes);
    return at;
}

static void test_memory(void **state)
{
    static const struct {
        const char *unit;
        size_t bytes;
    } cases[] = {
        {"\x0a\x01\x0a", 3},              /* nodes */
        {"\x0a\x05\x22\x01O\x12\x00", 7}, /* with an output that is left out */
        {"\x2a\x02\x42\x00", 4},          /* initializers */
        {"\x5a\x01\x0a", 3},              /* inputs */
        {"\x5a\x03\x0a\x01i", 5},         /* of one name */
        {"\x6a\x0b\x0a\x01v\x12\x06\x0a\x04\x12\x02\x0a\x00", 13}, /* value_info */
        {"\x0a\x0d\x22\x01O\x2a\x08\x0a\x01"
         "a\xa0\x01\x07\x42\x00",
         15}, /* an attribute of a node */
    };
    (void)state;
    unsigned char *data = malloc(LARGE + 64);
    assert_non_null(data);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        attn_error err;
        size_t memory = 0, size = make_large(data, cases[i].unit, cases[i].bytes);
        parse(data, size, &memory, &err);
        if (memory > (size_t)80 * LARGE) fail_msg("case %zu: %zu bytes", i, memory);
    }
    free(data);
}

/* 100,000 nodes in a row, then one attribute of as many numbers: not quadratic in either. */
static void test_many(void **state)
{
    enum { NODES = 100000, BYTES = 24 };
    static const unsigned char head[] = {0x08, 0x08, 0x42, 0x02, 0x10, 0x11, 0x3a};
    static const char ends[] = "\x5a\x09\x0a\x07v000000\x62\x09\x0a\x07v100000";
    (void)state;
    unsigned char *data = malloc(NODES * BYTES + 200);
    assert_non_null(data);
    size_t at = sizeof head;
    memcpy(data, head, sizeof head);
    at += put_length(data + at, NODES * BYTES + sizeof ends - 1);
    for (int i = 0; i < NODES; i++) {
        char unit[64];
        snprintf(unit, sizeof unit, "\x0a\x16\x22\x02No\x0a\x07v%06d\x12\x07v%06d", i, i + 1);
        memcpy(data + at, unit, BYTES);
        at += BYTES;
    }
    memcpy(data + at, ends, sizeof ends - 1);
    attn_error err;
    if (parse(data, at + sizeof ends - 1, NULL, &err)) fail_msg("%s", err.text);
    free(data);
}

/* ---- files beside it ------------------------------------------------------------------------ */

static void test_external(void **state)
{
    (void)state;
    static unsigned char data[1 << 12];
    static const char zeros[16];
    opened o;
    attn_error err;
    folder f;
    char path[600], other[600], expected[800];
    folder_make(&f);
    size_t size = read_file(GOOD "external.onnx", data, sizeof data);
    folder_bytes(&f, "m.onnx", data, size);
    folder_bytes(&f, "other.bin", zeros, sizeof zeros);
    snprintf(path, sizeof path, "%s", folder_file(&f, "m.onnx"));
    snprintf(other, sizeof other, "%s", folder_file(&f, "other.bin"));

    assert_int_equal(symlink(other, folder_file(&f, "weights.bin")), 0);
    assert_int_equal(open_file(&o, path, &err), ATTN_IO);
    snprintf(expected, sizeof expected,
             "%s: graph.initializer[0] (w): external data: %s/weights.bin: a link", path, f.path);
    assert_string_equal(err.text, expected);
    close_file(&o);

    unlink(folder_file(&f, "weights.bin"));
    assert_int_equal(mkfifo(folder_file(&f, "weights.bin"), 0600), 0);
    assert_int_equal(open_file(&o, path, &err), ATTN_IO);
    assert_non_null(strstr(err.text, "weights.bin: not a regular file"));
    close_file(&o);

    unlink(folder_file(&f, "weights.bin"));
    folder_bytes(&f, "weights.bin", zeros, 15);
    assert_int_equal(open_file(&o, path, &err), ATTN_BAD_FILE);
    assert_non_null(strstr(err.text, "initializer[1] (v): 8 bytes of external data at byte 8 go "
                                     "beyond the end of \"./weights.bin\", at 15"));
    close_file(&o);

    folder_bytes(&f, "weights.bin", zeros, 16);
    assert_string_equal(open_file(&o, path, &err) ? err.text : "", "");
    close_file(&o);
    folder_remove(&f);

    assert_int_equal(parse(data, size, NULL, &err), ATTN_BAD_FILE);
    assert_string_equal(err.text, "x.onnx: graph.initializer[0] (w): external data in "
                                  "\"weights.bin\", but the model is no file");
    assert_int_equal(open_file(&o, "no/such.onnx", &err), ATTN_IO);
    assert_string_equal(err.text, "no/such.onnx: No such file or directory");
    close_file(&o);
}

static void test_no_memory(void **state)
{
    (void)state;
    for (long n = 1;; n++) {
        opened o;
        attn_error err;
        failing_begin(&o.memory, n, false);
        attn_arena_init(&o.arena, &o.memory);
        attn_status status = attn_onnx_open(&o.model, GOOD "functions.onnx", &o.arena, &err);
        failing_end();
        attn_onnx_close(&o.model);
        attn_arena_free(&o.arena);
        assert_int_equal(failing_state.live, 0);
        if (!status) break;
        assert_int_equal(status, ATTN_NO_MEMORY);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),      cmocka_unit_test(test_places),
        cmocka_unit_test(test_names),     cmocka_unit_test(test_words),
        cmocka_unit_test(test_bad),       cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_every_bit), cmocka_unit_test(test_memory),
        cmocka_unit_test(test_many),      cmocka_unit_test(test_external),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
