/* What must work at the edges of the format, and what a session refuses. */
#define _XOPEN_SOURCE 700
#include "tests/check.h"

#include "runtime/session.h"

#include "tests/runtime/folder.h"

#include <math.h>

static folder here;
static attn_model *model;
static attn_session *session;

static int setup(void **state)
{
    (void)state;
    folder_make(&here);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    folder_remove(&here);
    return 0;
}

static void open_limited(const char *description, const char *config, const char *tensors,
                         size_t limit)
{
    attn_error err;
    folder_json(&here, "attn.json", description);
    folder_json(&here, "config.json", config);
    folder_weights(&here, tensors);
    if (attn_model_open(&model, here.path, NULL, &err)) fail_msg("%s", err.text);
    attn_session_options options = {.threads = 1, .max_memory = limit};
    if (attn_session_open(&session, model, &options, &err)) fail_msg("%s", err.text);
}

static void open_model(const char *description, const char *config, const char *tensors)
{
    open_limited(description, config, tensors, 0);
}

static void close_model(void)
{
    attn_session_close(session);
    attn_model_close(model);
}

static attn_status set(const char *name, const float *data, attn_error *err, int rank, size_t a,
                       size_t b, size_t c)
{
    attn_tensor t = {.dtype = ATTN_F32, .rank = rank, .dim = {a, b, c}, .data = (void *)data};
    return attn_set_input(session, name, &t, err);
}

static void run(void)
{
    attn_error err;
    if (attn_prepare(session, &err)) fail_msg("%s", err.text);
    if (attn_run(session, &err)) fail_msg("%s", err.text);
}

static const float *output(const char *name, attn_tensor *t)
{
    attn_error err;
    if (attn_output(session, name, t, &err)) fail_msg("%s", err.text);
    return t->data;
}

static void assert_shape(const attn_tensor *t, int rank, size_t a, size_t b, size_t c)
{
    size_t want[] = {a, b, c};
    assert_int_equal(t->rank, rank);
    for (int i = 0; i < rank; i++) assert_int_equal(t->dim[i], want[i]);
}

/* y[r, o] = bias[o] + sum over i of x[r, i] * w[o, i], in double. */
static double linear_at(const float *x, size_t row, size_t columns, size_t first, size_t step_out,
                        size_t step_in, size_t o, size_t bias)
{
    double sum = (double)folder_value(bias);
    for (size_t i = 0; i < columns; i++)
        sum +=
            (double)x[row * columns + i] * (double)folder_value(first + o * step_out + i * step_in);
    return sum;
}

static const float numbers[24] = {1,    -2,   0.5f, 3,  -1, 2, 0.25f, 4, -3, 1, 1, -1,
                                  0.5f, 1.5f, 2,    -2, 3,  1, -1,    2, 0,  1, 5, -4};

/* Prefix lists, rows of a fused matrix, transposed, optional, tied. */
static void weights(void **state)
{
    (void)state;
    attn_tensor t;
    attn_error err;
    open_model(
        "{'format':'attn/1','name':'t','weights':{'prefix':['no.','m.','']},"
        "'inputs':{'x':{'shape':[2,3]}},'graph':["
        "{'layer':'linear','in':'x','out':'a','weight':'f','rows':[2,3]},"
        "{'layer':'linear','in':'x','out':'b','weight':'f','rows':[2,3]},"
        "{'layer':'linear','in':'x','out':['c','d'],'weight':'f','split':[2,4]},"
        "{'layer':'linear','in':'x','out':'e','weight':'t','transposed':true,'bias':'own'},"
        "{'when':'has(`gone.weight`)','layer':'linear','in':'x','out':'a','weight':'gone'},"
        "{'when':'has(`t.weight`) and not has(`t.bias`)','layer':'relu','in':'e','out':'g'}],"
        "'outputs':{'a':{},'b':{},'c':{},'d':{},'e':{},'g':{},"
        "'h':{'when':'has(`gone.weight`)'}}}",
        NULL, "m.f.weight F32 6 3;m.f.bias F32 6;t.weight F32 3 4;own F32 4");
    assert_int_equal(model->graph.outputs, 6);
    /* The two uses of the same rows share one packed copy; the whole matrix is another. */
    const attn_node *n = model->graph.node;
    assert_ptr_equal(n[0].weight[0]->panels, n[1].weight[0]->panels);
    assert_ptr_not_equal(n[0].weight[0]->panels, n[2].weight[0]->panels);
    assert_int_equal(set("x", numbers, &err, 2, 2, 3, 0), 0);
    run();
    const float *a = output("a", &t);
    assert_shape(&t, 2, 2, 3, 0);
    for (size_t r = 0; r < 2; r++)
        for (size_t o = 0; o < 3; o++)
            assert_true(fabs((double)a[r * 3 + o] - linear_at(numbers, r, 3, 6, 3, 1, o, 2 + o)) <
                        1e-5);
    assert_memory_equal(a, output("b", &t), 6 * sizeof *a);
    const float *d = output("d", &t);
    assert_shape(&t, 2, 2, 4, 0);
    for (size_t r = 0; r < 2; r++)
        for (size_t o = 0; o < 3; o++) assert_true(d[r * 4 + o] == a[r * 3 + o]);
    const float *e = output("e", &t);
    for (size_t r = 0; r < 2; r++)
        for (size_t o = 0; o < 4; o++)
            assert_true(fabs((double)e[r * 4 + o] - linear_at(numbers, r, 3, 0, 1, 4, o, o)) <
                        1e-5);
    assert_int_equal(attn_output(session, NULL, &t, &err), ATTN_BAD_ARGUMENT);
    assert_non_null(strstr(err.text, "has 6 outputs: name one"));
    assert_int_equal(attn_output(session, "h", &t, &err), ATTN_BAD_ARGUMENT);
    assert_non_null(strstr(err.text, "has no output \"h\""));
    close_model();
}

/* repeat 0, repeats within repeats, expressions in names. */
static void groups(void **state)
{
    (void)state;
    attn_tensor t;
    attn_error err;
    open_model("{'format':'attn/1','name':'t','inputs':{'x':{'shape':[3]}},'graph':["
               "{'repeat':0,'graph':[{'layer':'nonsense'}]},"
               "{'layer':'mul','in':'x','out':'v0','value':1},"
               "{'repeat':'n','index':'i','prefix':'b{i}.','graph':["
               " {'repeat':2,'index':'j','prefix':'c{i * 2 + j}.','graph':["
               "  {'when':'i + j > 0','layer':'add','in':['v{i * 2 + j}'],"
               "   'out':'v{i * 2 + j + 1}','value':'10 * i + j','name':'step'},"
               "  {'when':'i + j == 0','layer':'mul','in':'v0','out':'v1','value':2}]}]}],"
               "'outputs':{'y':{'value':'v4'}}}",
               "{'n':2}", "unused F32 1");
    assert_int_equal(model->graph.nodes, 5);
    assert_string_equal(model->graph.node[4].name, "b1.c3.step");
    assert_non_null(strstr(model->graph.node[4].place, "graph[2].graph[0].graph[0] (add)"));
    assert_int_equal(set(NULL, numbers, &err, 1, 3, 0, 0), 0);
    run();
    const float *y = output(NULL, &t);
    for (size_t i = 0; i < 3; i++) assert_true(y[i] == 2 * numbers[i] + 1 + 10 + 11);
    close_model();
}

/* Open dimensions: planned again, remembered; and what does not fit them. */
static void symbols(void **state)
{
    (void)state;
    attn_tensor t;
    attn_error err;
    open_model("{'format':'attn/1','name':'t','symbols':{'s':{'max':4},'u':{}},"
               "'inputs':{'x':{'shape':['s',2]},'z':{'shape':['u','s']}},'graph':["
               "{'layer':'matmul','in':['z','x'],'out':'y'},"
               "{'layer':'reshape','in':'x','out':'r','shape':['s',1,-1]}],"
               "'outputs':{'y':{},'r':{}}}",
               NULL, "unused F32 1");
    const attn_plan *plan[2];
    for (size_t round = 0; round < 4; round++) {
        size_t s = 2 + round % 2;
        assert_int_equal(set("x", numbers, &err, 2, s, 2, 0), 0);
        assert_int_equal(set("z", numbers + 1, &err, 2, 3, s, 0), 0);
        run();
        const float *y = output("y", &t);
        assert_shape(&t, 2, 3, 2, 0);
        double sum = 0;
        for (size_t k = 0; k < s; k++) sum += (double)(numbers[1 + s + k] * numbers[k * 2]);
        assert_true(fabs((double)y[2] - sum) < 1e-5);
        output("r", &t);
        assert_shape(&t, 3, s, 1, 2);
        if (round < 2)
            plan[round] = session->plan;
        else
            assert_ptr_equal(session->plan, plan[round % 2]);
    }
    /* More shapes than are remembered: the oldest plans go. */
    for (size_t u = 1; u < 20; u++) {
        assert_int_equal(set("z", numbers, &err, 2, u, 1, 0), 0);
        assert_int_equal(set("x", numbers, &err, 2, 1, 2, 0), 0);
        run();
    }
    size_t plans = 0;
    for (const attn_plan *p = session->plans; p; p = p->next) plans++;
    assert_true(plans <= 8);

    assert_int_equal(set("x", numbers, &err, 2, 5, 2, 0), 0);
    assert_int_equal(attn_prepare(session, &err), ATTN_BAD_INPUT);
    assert_non_null(strstr(err.text, "input \"x\": shape [5, 2], but \"s\" is at most 4"));
    assert_int_equal(set("x", numbers, &err, 2, 3, 2, 0), 0);
    assert_int_equal(set("z", numbers, &err, 2, 3, 2, 0), 0);
    assert_int_equal(attn_prepare(session, &err), ATTN_BAD_INPUT);
    assert_non_null(strstr(err.text, "input \"z\": shape [3, 2], expected 3 at dimension 1"));
    assert_int_equal(attn_run(session, &err), ATTN_BAD_ARGUMENT);
    assert_int_equal(attn_output(session, "y", &t, &err), ATTN_BAD_ARGUMENT);
    /* After all that, right ones still work. */
    assert_int_equal(set("z", numbers, &err, 2, 1, 3, 0), 0);
    run();
    close_model();
}

/* Inputs: batches, dtypes, ranges, and wrong use. */
static void inputs(void **state)
{
    (void)state;
    attn_tensor t, ids = {.dtype = ATTN_I64, .rank = 2, .dim = {2, 3}};
    attn_error err;
    int64_t wide[6] = {0, 1, 2, 2, 1, 3};
    open_model("{'format':'attn/1','name':'t','inputs':{'x':{'shape':[3,2]},"
               "'ids':{'kind':'tokens','shape':[3],'range':[0,'len(l)']}},'graph':["
               "{'layer':'embedding','in':'ids','out':'e','weight':'e'},"
               "{'layer':'add','in':['e','x'],'out':'y'}],'outputs':{'y':{},'ids':{}}}",
               "{'l':[7,7,7]}", "e.weight F32 4 2");
    assert_int_equal(attn_prepare(session, &err), ATTN_BAD_ARGUMENT);
    assert_non_null(strstr(err.text, "input \"x\" is not set"));
    assert_int_equal(set("q", numbers, &err, 2, 3, 2, 0), ATTN_BAD_ARGUMENT);
    assert_non_null(strstr(err.text, "has no input \"q\"; its first is \"x\""));
    assert_int_equal(set(NULL, numbers, &err, 2, 3, 2, 0), ATTN_BAD_ARGUMENT);
    assert_non_null(strstr(err.text, "has 2 inputs: name one"));
    assert_int_equal(set("x", numbers, &err, 1, 3, 0, 0), ATTN_BAD_INPUT);
    assert_non_null(strstr(err.text, "shape [3], expected rank 2, or 3 with a batch"));
    assert_int_equal(set("x", numbers, &err, 3, 0, 3, 2), ATTN_BAD_INPUT);
    assert_non_null(strstr(err.text, "shape [0, 3, 2] has no elements"));
    assert_int_equal(set("x", NULL, &err, 2, 3, 2, 0), ATTN_BAD_ARGUMENT);
    assert_int_equal(set("ids", numbers, &err, 1, 3, 0, 0), ATTN_BAD_INPUT);
    assert_non_null(strstr(err.text, "input \"ids\" is f32, expected integers"));
    t = (attn_tensor){.dtype = (attn_dtype)99, .rank = 2, .dim = {3, 2}, .data = wide};
    assert_int_equal(attn_set_input(session, "x", &t, &err), ATTN_BAD_INPUT);
    t = (attn_tensor){.dtype = ATTN_F32, .rank = 99, .data = wide};
    assert_int_equal(attn_set_input(session, "x", &t, &err), ATTN_BAD_INPUT);

    /* Two items of ids over one shared x. */
    ids.data = wide;
    assert_int_equal(set("x", numbers, &err, 2, 3, 2, 0), 0);
    assert_int_equal(attn_set_input(session, "ids", &ids, &err), 0);
    run();
    const float *y = output("y", &t);
    assert_shape(&t, 3, 2, 3, 2);
    for (size_t i = 0; i < 12; i++)
        assert_true(y[i] == folder_value((size_t)wide[i / 2] * 2 + i % 2) + numbers[i % 6]);
    const int32_t *same = (const int32_t *)output("ids", &t);
    for (size_t i = 0; i < 6; i++) assert_int_equal(same[i], wide[i]);
    assert_int_equal(set("x", numbers, &err, 3, 3, 3, 2), 0);
    assert_int_equal(attn_prepare(session, &err), ATTN_BAD_INPUT);
    assert_non_null(strstr(err.text, "has a batch of 2, another input one of 3"));
    assert_int_equal(set("x", numbers, &err, 2, 3, 2, 0), 0);
    assert_int_equal(attn_prepare(session, &err), 0);
    wide[4] = 4;
    assert_int_equal(attn_run(session, &err), ATTN_BAD_INPUT);
    assert_non_null(strstr(err.text, "input \"ids\": element 4 is 4, expected 0 to 3"));
    wide[4] = INT64_MIN;
    assert_int_equal(attn_run(session, &err), ATTN_BAD_INPUT);
    assert_int_equal(attn_output(session, "y", &t, &err), ATTN_BAD_ARGUMENT);
    wide[4] = 1;
    assert_int_equal(attn_run(session, &err), 0);
    attn_class top[2];
    size_t count;
    assert_int_equal(attn_top(session, "y", 0, 2, top, &count, &err), ATTN_BAD_ARGUMENT);
    assert_non_null(strstr(err.text, "output \"y\" is no row of logits"));
    close_model();
}

/* A state: zero at first, then "next"; reset by attn_reset and by other shapes. */
static void states(void **state)
{
    (void)state;
    attn_tensor t;
    attn_error err;
    open_model("{'format':'attn/1','name':'t','symbols':{'s':{}},'inputs':{'x':{'shape':['s']}},"
               "'state':{'h':{'shape':['s'],'next':'n'},'last':{'shape':['s'],'next':'x'},"
               "'same':{'shape':[1],'next':'same'}},"
               "'graph':[{'layer':'add','in':['h','x'],'out':'n'}],"
               "'outputs':{'n':{},'h':{},'last':{},'same':{}}}",
               NULL, "unused F32 1");
    assert_int_equal(set("x", numbers, &err, 1, 3, 0, 0), 0);
    assert_int_equal(attn_prepare(session, &err), 0);
    for (int round = 1; round < 4; round++) {
        assert_int_equal(attn_run(session, &err), 0);
        assert_true(output("n", &t)[1] == (float)round * numbers[1]);
        assert_true(output("h", &t)[1] == (float)(round - 1) * numbers[1]);
        assert_true(output("last", &t)[1] == (round > 1 ? numbers[1] : 0));
        assert_true(output("same", &t)[0] == 0);
    }
    attn_reset(session);
    assert_int_equal(attn_run(session, &err), 0);
    assert_true(output("n", &t)[1] == numbers[1]);
    /* The same shape again keeps it; as many bytes in another shape do not. */
    assert_int_equal(set("x", numbers, &err, 1, 3, 0, 0), 0);
    run();
    assert_true(output("n", &t)[1] == 2 * numbers[1]);
    assert_int_equal(set("x", numbers, &err, 2, 1, 3, 0), 0);
    run();
    assert_true(output("n", &t)[1] == 3 * numbers[1]);
    assert_int_equal(set("x", numbers, &err, 2, 3, 1, 0), 0);
    assert_int_equal(attn_prepare(session, &err), ATTN_OK);
    assert_int_equal(attn_run(session, &err), 0);
    assert_true(output("n", &t)[0] == numbers[0]);
    close_model();
}

/* A plan beyond max_memory is refused with the numbers, and a smaller one then runs. */
static void memory(void **state)
{
    (void)state;
    static float large[1 << 18];
    attn_error err;
    open_limited("{'format':'attn/1','name':'t','symbols':{'s':{}},'inputs':{'x':{'shape':['s']}},"
                 "'graph':[{'layer':'relu','in':'x','out':'y'}],'outputs':{'y':{}}}",
                 NULL, "unused F32 1", 512 * 1024);
    assert_int_equal(set("x", large, &err, 1, 1 << 18, 0, 0), 0);
    assert_int_equal(attn_prepare(session, &err), ATTN_LIMIT);
    assert_non_null(strstr(err.text, "the arena of activations needs 1048576 bytes"));
    assert_non_null(strstr(err.text, "more than the memory limit of 524288"));
    assert_int_equal(attn_run(session, &err), ATTN_BAD_ARGUMENT);
    /* Every size of a long series is planned: old plans do not use up the limit. */
    for (size_t s = 1; s < 40; s++) {
        assert_int_equal(set("x", large, &err, 1, s, 0, 0), 0);
        if (attn_prepare(session, &err)) fail_msg("%zu: %s", s, err.text);
        assert_int_equal(attn_run(session, &err), 0);
        assert_true(attn_session_memory(session) <= 512 * 1024);
    }
    close_model();
    attn_model_options options = {.max_memory = 1000};
    assert_int_equal(attn_model_open(&model, here.path, &options, &err), ATTN_LIMIT);
    assert_non_null(strstr(err.text, "the memory limit of 1000"));
    assert_null(model);
}

/* Very long chains and many values: the work grows with the size, not with its square. */
static void large_graph(void **state)
{
    (void)state;
    attn_tensor t;
    attn_error err;
    open_model(
        "{'format':'attn/1','name':'t','inputs':{'x':{'shape':[4]}},'graph':["
        "{'repeat':8,'index':'i','graph':[{'repeat':1000,'index':'j','graph':["
        "{'layer':'add','in':'x','out':'x','value':1,'name':'n{i}_{j}'}]}]}],'outputs':{'x':{}}}",
        NULL, "unused F32 1");
    assert_int_equal(set("x", numbers, &err, 1, 4, 0, 0), 0);
    run();
    assert_true(output("x", &t)[0] == numbers[0] + 8000);
    close_model();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights),     cmocka_unit_test(groups), cmocka_unit_test(symbols),
        cmocka_unit_test(inputs),      cmocka_unit_test(states), cmocka_unit_test(memory),
        cmocka_unit_test(large_graph),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
