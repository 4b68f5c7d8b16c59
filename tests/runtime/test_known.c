/* What is known when a run is planned: known inputs, choices by them, and what a new value changes.
 */
#define _XOPEN_SOURCE 700

#include "runtime/session.h"
#include "tests/check.h"
#include "tests/runtime/folder.h"

#define HEAD                                                                                       \
    "{'format':'attn/1','name':'t','inputs':{'x':{'shape':[4]},"                                   \
    "'flag':{'shape':[1],'dtype':'i32','known':true}},"
/* The side that is not taken has shapes that do not fit [4]. */
#define CHOICE                                                                                     \
    HEAD "'graph':[{'layer':'relu','in':'x','out':'a'},"                                           \
         "{'layer':'reshape','in':'x','out':'b','shape':[2,2]},"                                   \
         "{'layer':'reshape','in':'b','out':'b','shape':[4,1]},"                                   \
         "{'layer':'choose','in':['flag','a','b'],'out':'y'}],'outputs':{'y':{}}}"

static attn_status open_text(folder *f, const char *text, attn_model **model, attn_error *err)
{
    folder_make(f);
    folder_json(f, "attn.json", text);
    return attn_model_open(model, f->path, NULL, err);
}

static attn_status run(attn_session *s, const float *x, int32_t flag, attn_tensor *y,
                       attn_error *err)
{
    attn_tensor in = {.dtype = ATTN_F32, .rank = 1, .dim = {4}, .data = (void *)(uintptr_t)x};
    attn_tensor known = {.dtype = ATTN_I32, .rank = 1, .dim = {1}, .data = &flag};
    attn_status status = attn_set_input(s, "x", &in, err);
    if (!status) status = attn_set_input(s, "flag", &known, err);
    if (!status) status = attn_prepare(s, err);
    if (!status) status = attn_run(s, err);
    return status ? status : attn_output(s, "y", y, err);
}

static void test_choice(void **state)
{
    (void)state;
    static const float x[4] = {-1, 2, -3, 4};
    folder f;
    attn_error err;
    attn_model *model;
    attn_session *s;
    attn_tensor y;
    assert_int_equal(open_text(&f, CHOICE, &model, &err), ATTN_OK);
    assert_int_equal(attn_session_open(&s, model, NULL, &err), ATTN_OK);
    for (int round = 0; round < 3; round++) {
        assert_int_equal(run(s, x, 1, &y, &err), ATTN_OK);
        assert_int_equal(y.rank, 1);
        assert_true(((float *)y.data)[0] == 0 && ((float *)y.data)[3] == 4);
        assert_int_equal(s->plan->steps, 2); /* relu, choose: the other side is not there */
        assert_int_equal(run(s, x, 0, &y, &err), ATTN_OK);
        assert_int_equal(y.rank, 2);
        assert_int_equal(y.dim[0], 4);
        assert_true(((float *)y.data)[0] == -1 && ((float *)y.data)[3] == 4);
        assert_int_equal(s->plan->steps, 3);
    }
    /* A plan for each value, and no more. */
    size_t plans = 0;
    for (attn_plan *p = s->plans; p; p = p->next) plans++;
    assert_int_equal(plans, 2);
    attn_session_close(s);
    attn_model_close(model);
    folder_remove(&f);
}

static void test_errors(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {HEAD "'graph':[{'layer':'argmax','in':'x','out':'i'},"
              "{'layer':'choose','in':['i','x','x'],'out':'y'}],'outputs':{'y':{}}}",
         "(choose): the condition must be one integer that is known before a run"},
        {"{'format':'attn/1','name':'t','inputs':{'x':{'shape':[4]},"
         "'flag':{'shape':[1],'known':'yes'}},'graph':[],'outputs':{'y':{'value':'x'}}}",
         "inputs.flag: \"known\" is \"yes\", expected a flag"},
    };
    static const float x[4] = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        folder f;
        attn_error err;
        attn_model *model;
        attn_session *s;
        attn_tensor y;
        attn_status status = open_text(&f, cases[i].text, &model, &err);
        if (!status) {
            assert_int_equal(attn_session_open(&s, model, NULL, &err), ATTN_OK);
            status = run(s, x, 1, &y, &err);
            attn_session_close(s);
            attn_model_close(model);
        }
        assert_int_equal(status, ATTN_BAD_MODEL);
        if (!strstr(err.text, cases[i].message)) fail_msg("%s", err.text);
        folder_remove(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_choice),
                                       cmocka_unit_test(test_errors)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
