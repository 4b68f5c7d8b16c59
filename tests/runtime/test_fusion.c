/* What the planner makes one: which nodes, and the same bits as the layers as they are described,
 * on one thread and several, in a batch and alone. */
#define _XOPEN_SOURCE 700

#include "runtime/session.h"
#include "tests/check.h"
#include "tests/runtime/folder.h"

enum { MOST_SEQ = 9, DIM = 40, BATCH = 3, OUT = 4096 };

#define HEAD                                                                                       \
    "{'format':'attn/"                                                                             \
    "1','name':'t','symbols':{'seq':{'max':64}},'inputs':{'x':{'shape':['seq',40]}},"
#define WEIGHTS                                                                                    \
    "q.weight F32 48 40;q.bias F32 48;k.weight F32 24 40;k.bias F32 24;v.weight F32 80 40;"        \
    "v.bias F32 80;o.weight F32 40 40;o.bias F32 40;one.weight F32 40 40;up.weight F32 70 40;"     \
    "up.bias F32 70;down.weight F32 40 70;down.bias F32 40"

typedef struct fusion_case {
    const char *text;
    size_t steps;        /* of the fused plan */
    const char *made_of; /* of its first fused step, or NULL */
} fusion_case;

static const fusion_case cases[] = {
    /* query, key and value: 48 columns are no whole number of panels */
    {HEAD "'graph':[{'layer':'linear','in':'x','out':'q','weight':'q'},"
          "{'layer':'linear','in':'x','out':'k','weight':'k'},"
          "{'layer':'linear','in':'x','out':'v','weight':'v'}],'outputs':{'q':{},'k':{},'v':{}}}",
     1, "linear + linear + linear"},
    {HEAD "'graph':[{'layer':'linear','in':'x','out':['a','b'],'weight':'q','split':[17,31]},"
          "{'layer':'linear','in':'x','out':'k','weight':'k','activation':'gelu'},"
          "{'layer':'linear','in':'x','out':['c','d','e','f'],'weight':'v'}],"
          "'outputs':{'a':{},'b':{},'k':{},'c':{},'d':{},'e':{},'f':{}}}",
     1, "linear + linear + linear"},
    /* a feed-forward block, whose input lives on until the sum */
    {HEAD
     "'graph':[{'layer':'linear','in':'x','out':'h','weight':'up'},"
     "{'layer':'gelu','in':'h','out':'h'},{'layer':'linear','in':'h','out':'h','weight':'down'},"
     "{'layer':'add','in':['x','h'],'out':'y'}],'outputs':{'y':{}}}",
     2, "linear + gelu"},
    {HEAD "'graph':[{'layer':'linear','in':'x','out':'h','weight':'o'},"
          "{'layer':'activation','kind':'silu','in':'h','out':'h'},"
          "{'layer':'add','in':['h','x'],'out':'y'}],'outputs':{'y':{}}}",
     1, "linear + activation + add"},
    /* the residual is the product's own input: y may not be written over it */
    {HEAD "'graph':[{'layer':'relu','in':'x','out':'a'},"
          "{'layer':'linear','in':'a','out':'h','weight':'o'},"
          "{'layer':'add','in':['h','a'],'out':'y'}],'outputs':{'y':{}}}",
     2, "linear + add"},
    /* the residual is read once more; then it is not: written over it */
    {HEAD
     "'graph':[{'layer':'relu','in':'x','out':'a'},{'layer':'gelu','in':'x','out':'b'},"
     "{'layer':'linear','in':'b','out':'h','weight':'o'},{'layer':'add','in':['h','a'],'out':'y'},"
     "{'layer':'linear','in':'y','out':'h','weight':'one','bias':false},"
     "{'layer':'add','in':['a','h'],'out':'z'}],'outputs':{'z':{}}}",
     4, "linear + add"},
    /* what somebody else reads stays: the linear's output, the activation's */
    {HEAD "'graph':[{'layer':'linear','in':'x','out':'h','weight':'o'},"
          "{'layer':'gelu','in':'h','out':'a'},{'layer':'add','in':['x','a'],'out':'y'}],"
          "'outputs':{'y':{},'h':{}}}",
     3, NULL},
    {HEAD "'graph':[{'layer':'linear','in':'x','out':'h','weight':'o'},"
          "{'layer':'gelu','in':'h','out':'a'},{'layer':'add','in':['x','a'],'out':'y'}],"
          "'outputs':{'y':{},'a':{}}}",
     2, "linear + gelu"},
    /* other layers between queries, keys and values: all three are computed first */
    {HEAD "'graph':[{'layer':'linear','in':'x','out':'q','weight':'q'},"
          "{'layer':'tanh','in':'q','out':'q'},{'layer':'mul','in':'q','out':'q','value':3},"
          "{'layer':'linear','in':'x','out':'k','weight':'k'},"
          "{'layer':'rms_norm','in':'k','out':'k','eps':1e-6,'affine':false},"
          "{'layer':'linear','in':'x','out':'v','weight':'v'}],'outputs':{'q':{},'k':{},'v':{}}}",
     3, "linear + tanh + linear + linear"},
    /* a gate and what it lets through, from two matrices; the gate second, and read once more */
    {HEAD "'graph':[{'layer':'linear','in':'x','out':'g','weight':'up'},"
          "{'layer':'silu','in':'g','out':'g'},"
          "{'layer':'linear','in':'x','out':'u','weight':'up','bias':false},"
          "{'layer':'mul','in':['g','u'],'out':'h'},"
          "{'layer':'linear','in':'h','out':'h','weight':'down'},"
          "{'layer':'add','in':['x','h'],'out':'y'}],'outputs':{'y':{}}}",
     3, "linear + silu + linear"},
    {HEAD "'graph':[{'layer':'linear','in':'x','out':'u','weight':'o'},"
          "{'layer':'linear','in':'x','out':'g','weight':'one','bias':false},"
          "{'layer':'gelu_tanh','in':'g','out':'a'},{'layer':'mul','in':['u','a'],'out':'y'}],"
          "'outputs':{'y':{},'g':{}}}",
     2, "linear + linear"},
    /* from one matrix: activation and product in one pass, in both orders, and broadcast */
    {HEAD "'graph':[{'layer':'linear','in':'x','out':['g','u'],'weight':'v'},"
          "{'layer':'silu','in':'g','out':'g'},{'layer':'mul','in':['g','u'],'out':'y'}],"
          "'outputs':{'y':{}}}",
     2, "silu + mul"},
    {HEAD "'graph':[{'layer':'tanh','in':'x','out':'a'},{'layer':'gelu','in':'a','out':'g'},"
          "{'layer':'mul','in':['x','g'],'out':'y'}],'outputs':{'y':{},'a':{}}}",
     2, "gelu + mul"},
    {HEAD "'graph':[{'layer':'token','in':'x','index':0,'out':'t'},"
          "{'layer':'sigmoid','in':'t','out':'g'},{'layer':'mul','in':['g','x'],'out':'y'},"
          "{'layer':'slice','in':'x','axis':-1,'start':3,'end':4,'out':'c'},"
          "{'layer':'sigmoid','in':'c','out':'g'},{'layer':'mul','in':['g','y'],'out':'z'}],"
          "'outputs':{'z':{}}}",
     4, "sigmoid + mul"},
    /* x times a function of x: it may lie where x lies */
    {HEAD "'graph':[{'layer':'tanh','in':'x','out':'a'},{'layer':'sigmoid','in':'a','out':'g'},"
          "{'layer':'mul','in':['a','g'],'out':'y'}],'outputs':{'y':{}}}",
     3, NULL},
    /* h + h, a constant, and a sum that broadcasts: the plan falls back */
    {HEAD "'graph':[{'layer':'linear','in':'x','out':'h','weight':'o'},"
          "{'layer':'add','in':['h','h'],'out':'y'}],'outputs':{'y':{}}}",
     2, NULL},
    {HEAD "'graph':[{'layer':'linear','in':'x','out':'h','weight':'o'},"
          "{'layer':'add','in':'h','value':2,'out':'y'}],'outputs':{'y':{}}}",
     2, NULL},
    {HEAD "'graph':[{'layer':'token','in':'x','index':0,'out':'t'},"
          "{'layer':'linear','in':'x','out':'h','weight':'o'},"
          "{'layer':'add','in':['h','t'],'out':'y'}],'outputs':{'y':{}}}",
     3, NULL},
};

/* The outputs of a run, one after the other; returns how many floats. */
static size_t run(const char *path, attn_session_options options, size_t seq, size_t batch,
                  float *out, const fusion_case *expected)
{
    static float x[BATCH * MOST_SEQ * DIM];
    attn_error err;
    attn_model *model;
    attn_session *session;
    attn_tensor in = {.dtype = ATTN_F32, .data = x};
    for (size_t i = 0; i < sizeof x / sizeof *x; i++) x[i] = (float)(i * 31 % 97) / 48 - 1;
    if (batch) in.dim[in.rank++] = batch;
    in.dim[in.rank++] = seq;
    in.dim[in.rank++] = DIM;
    if (attn_model_open(&model, path, NULL, &err) ||
        attn_session_open(&session, model, &options, &err) ||
        attn_set_input(session, NULL, &in, &err) || attn_prepare(session, &err) ||
        attn_run(session, &err))
        fail_msg("%s", err.text);
    if (expected) {
        const char *made_of = NULL;
        assert_int_equal(session->plan->steps, expected->steps);
        for (size_t s = 0; s < expected->steps && !made_of; s++)
            made_of = session->plan->step[s].node->made_of;
        if (expected->made_of)
            assert_string_equal(made_of, expected->made_of);
        else
            assert_null(made_of);
    }
    size_t used = 0;
    for (size_t o = 0; o < model->graph.outputs; o++) {
        attn_tensor t;
        size_t count = 0;
        if (attn_output(session, model->graph.output[o].name, &t, &err)) fail_msg("%s", err.text);
        attn_product(t.dim, t.rank, &count);
        assert_true(used + count <= (size_t)BATCH * OUT);
        memcpy(out + used, t.data, count * sizeof *out);
        used += count;
    }
    attn_session_close(session);
    attn_model_close(model);
    return used;
}

static void test_fused(void **state)
{
    (void)state;
    static float plain[BATCH * OUT], fused[BATCH * OUT];
    static const size_t lengths[] = {1, 2, MOST_SEQ};
    folder f;
    folder_make(&f);
    folder_weights(&f, WEIGHTS);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        folder_json(&f, "attn.json", cases[i].text);
        for (size_t l = 0; l < 3; l++)
            for (size_t batch = 0; batch <= BATCH; batch += BATCH)
                for (unsigned threads = 1; threads <= 4; threads += 3) {
                    attn_session_options options = {.threads = threads, .no_fusion = true};
                    size_t seq = lengths[l], n = run(f.path, options, seq, batch, plain, NULL);
                    options.no_fusion = false;
                    bool broadcasts = i + 1 == sizeof cases / sizeof *cases && seq == 1;
                    size_t m =
                        run(f.path, options, seq, batch, fused, broadcasts ? NULL : &cases[i]);
                    assert_int_equal(n, m);
                    assert_memory_equal(plain, fused, n * sizeof *plain);
                }
    }
    folder_remove(&f);
}

/* An error names the nodes as they are described. */
static void test_error(void **state)
{
    (void)state;
    folder f;
    attn_error err;
    attn_model *model;
    folder_make(&f);
    folder_weights(&f, "o.weight F32 40 40;o.bias F32 40");
    folder_json(
        &f, "attn.json",
        "{'format':'attn/1','name':'t','inputs':{'x':{'shape':[9,40]},'z':{'shape':[8,40]}},"
        "'graph':[{'layer':'linear','in':'x','out':'h','weight':'o'},"
        "{'layer':'add','in':['h','z'],'out':'y'}],'outputs':{'y':{}}}");
    assert_int_equal(attn_model_open(&model, f.path, NULL, &err), ATTN_BAD_MODEL);
    if (!strstr(err.text, "graph[1] (add): inputs [9, 40] and [8, 40]"))
        fail_msg("unclear message: %s", err.text);
    folder_remove(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fused),
        cmocka_unit_test(test_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
