/* The n-th allocation fails, for every n: opening a small vision transformer, a session, its
 * inputs, plan and run. Each failure is a clean error, and everything is freed. */
#define _XOPEN_SOURCE 700
#include "tests/check.h"

#include "runtime/session.h"

#include "tests/runtime/failing.h"
#include "tests/runtime/folder.h"

static const char description[] =
    "{'format':'attn/1','name':'small "
    "vit','match':{'model_type':'v'},'weights':{'prefix':['v.','']},"
    "'config':{'dim':8,'heads':2},"
    "'inputs':{'pixels':{'kind':'image','shape':[3,8,8]}},'state':{'runs':{'shape':[1],'next':'n'}}"
    ","
    "'graph':["
    "{'layer':'patch_embed','in':'pixels','out':'x','patch':4,'weight':'patch'},"
    "{'layer':'prepend','in':'x','out':'x','weight':'cls'},"
    "{'layer':'add','in':'x','out':'x','weight':'pos'},"
    "{'layer':'add','in':'runs','out':'n','value':1},"
    "{'repeat':'layers','index':'i','prefix':'l{i}.','graph':["
    " {'layer':'layer_norm','in':'x','out':'h','weight':'norm','eps':'eps'},"
    " {'layer':'linear','in':'h','out':['q','k','v'],'weight':'qkv'},"
    " {'layer':'score','in':['q','k'],'out':'s','heads':'heads'},"
    " {'layer':'normalize','in':'s','out':'w'},"
    " {'layer':'select','in':['w','v'],'out':'h'},"
    " {'layer':'linear','in':'h','out':'h','weight':'out'},"
    " {'layer':'add','in':['x','h'],'out':'x'}]},"
    "{'layer':'token','in':'x','out':'c','index':0},"
    "{'layer':'linear','in':'c','out':'logits','weight':'head'}],"
    "'outputs':{'logits':{'kind':'classes','labels':'id2label'}}}";
static const char config[] =
    "{'model_type':'v','layers':2,'eps':1e-6,'id2label':{'0':'cat','1':'dog','2':'eel'}}";
static const char preprocess[] =
    "{'image_processor_type':'ViTImageProcessor','size':{'height':8,'width':8},"
    "'image_mean':[0.5,0.5,0.5],'image_std':[0.5,0.5,0.5]}";
static const char weights[] =
    "v.cls F32 1 1 8;v.head.bias F32 3;v.head.weight F32 3 8;"
    "v.l0.norm.bias F32 8;v.l0.norm.weight F32 8;v.l0.out.bias F32 8;v.l0.out.weight F32 8 8;"
    "v.l0.qkv.bias F32 24;v.l0.qkv.weight F16 24 8;"
    "v.l1.norm.bias F32 8;v.l1.norm.weight F32 8;v.l1.out.bias F32 8;v.l1.out.weight F32 8 8;"
    "v.l1.qkv.bias F32 24;v.l1.qkv.weight F16 24 8;"
    "v.patch.bias F32 8;v.patch.weight F32 8 3 4 4;v.pos F32 1 5 8";

static folder here;
static const char *photo;

/* From the file to the labels. */
static attn_status whole(attn_error *err)
{
    static float pixels[2 * 3 * 8 * 8];
    attn_tensor input = {ATTN_F32, 4, {2, 3, 8, 8}, pixels}, logits;
    attn_model_options options = {.allocator =
                                      &(attn_allocator){failing_alloc, failing_release, NULL}};
    attn_model *model;
    attn_session *session = NULL;
    attn_class top[2];
    size_t count;
    attn_status status = attn_model_open(&model, here.path, &options, err);
    if (status) {
        assert_null(model);
        return status;
    }
    attn_session_options keep = {.threads = 2, .keep_attention = true};
    status = attn_session_open(&session, model, &keep, err);
    if (!status) status = attn_set_input(session, NULL, &input, err);
    if (!status) status = attn_prepare(session, err);
    if (!status) {
        /* attn_run allocates nothing. */
        long requests = failing_state.requests;
        status = attn_run(session, err);
        assert_int_equal(failing_state.requests, requests);
    }
    if (!status && photo) status = attn_set_image(session, NULL, photo, err);
    if (!status) status = attn_prepare(session, err);
    if (!status) status = attn_run(session, err);
    if (!status) status = attn_output(session, NULL, &logits, err);
    if (!status) status = attn_top(session, NULL, 0, 2, top, &count, err);
    if (!status) assert_int_equal(count, 2);
    if (!status) assert_int_equal(attn_map_count(session), 2);
    attn_session_close(session);
    attn_model_close(model);
    return status;
}

static void each(bool go_on)
{
    attn_memory unused;
    attn_error err;
    long n = 1;
    for (attn_status status = ATTN_NO_MEMORY; status; n++) {
        err = (attn_error){0};
        failing_begin(&unused, n, go_on);
        status = whole(&err);
        failing_end();
        if (failing_state.live)
            fail_msg("n = %ld: %ld allocations are left", n, failing_state.live);
        if (!status) {
            /* Either nothing failed any more, or something went on without that memory. */
            if (failing_state.requests >= n) fail_msg("n = %ld: success in spite of it", n);
            break;
        }
        /* cJSON does not say whether it lacked memory or the text was wrong. */
        bool json = status == ATTN_BAD_FILE && strstr(err.text, "not valid JSON");
        if ((status != ATTN_NO_MEMORY && !json) || err.status != status || !err.text[0])
            fail_msg("n = %ld: %s, \"%s\"", n, attn_status_name(status), err.text);
        assert_true(n < 100000);
    }
    print_message("%ld allocations, each failed once\n", n - 1);
    assert_true(n > 100);
}

static void one_fails(void **state)
{
    (void)state;
    each(true);
}

static void all_fail_from_there(void **state)
{
    (void)state;
    each(false);
}

/* A second photo of another size fails half-way: the run after it must not read the first one. */
static void second_photo(void **state)
{
    (void)state;
    attn_model *model;
    attn_session *session;
    attn_memory unused;
    attn_error err;
    if (!photo) skip();
    folder_json(&here, "attn.json",
                "{'format':'attn/1','name':'any','symbols':{'h':{},'w':{}},"
                "'inputs':{'x':{'kind':'image','shape':[3,'h','w']}},"
                "'graph':[{'layer':'relu','in':'x','out':'y'}],'outputs':{'y':{}}}");
    folder_json(&here, "preprocessor_config.json",
                "{'image_processor_type':'ViTImageProcessor','do_resize':false}");
    const attn_allocator allocator = {failing_alloc, failing_release, NULL};
    attn_status status = ATTN_NO_MEMORY;
    for (long n = 1; status; n++) {
        failing_begin(&unused, 0, true);
        assert_int_equal(attn_model_open(&model, here.path,
                                         &(attn_model_options){.allocator = &allocator}, &err),
                         0);
        assert_int_equal(
            attn_session_open(&session, model, &(attn_session_options){.threads = 1}, &err), 0);
        assert_int_equal(attn_set_image(session, NULL, photo, &err), 0);
        assert_int_equal(attn_prepare(session, &err), 0);
        failing_state.fail_at = failing_state.requests + n;
        status = attn_set_image(session, NULL, "tests/golden/images/photo_a.png", &err);
        failing_state.fail_at = 0;
        attn_status ran = attn_run(session, &err);
        assert_true(ran == ATTN_OK || ran == ATTN_BAD_ARGUMENT);
        attn_session_close(session);
        attn_model_close(model);
        failing_end();
        assert_int_equal(failing_state.live, 0);
        assert_true(n < 1000);
    }
    folder_json(&here, "attn.json", description);
    folder_json(&here, "preprocessor_config.json", preprocess);
}

/* The same with every limit below what it takes: a clean refusal, nothing left. */
static void limits(void **state)
{
    (void)state;
    attn_error err;
    attn_model *model;
    attn_memory unused;
    size_t limit = 1024, refused = 0;
    for (;; limit += 4096) {
        attn_model_options options = {.allocator =
                                          &(attn_allocator){failing_alloc, failing_release, NULL},
                                      .max_memory = limit};
        failing_begin(&unused, 0, false);
        attn_status status = attn_model_open(&model, here.path, &options, &err);
        attn_model_close(model);
        failing_end();
        assert_int_equal(failing_state.live, 0);
        if (!status) break;
        assert_int_equal(status, ATTN_LIMIT);
        assert_null(model);
        refused++;
    }
    assert_true(refused > 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(one_fails),
                                       cmocka_unit_test(all_fail_from_there),
                                       cmocka_unit_test(second_photo), cmocka_unit_test(limits)};
    folder_make(&here);
    folder_json(&here, "attn.json", description);
    folder_json(&here, "config.json", config);
    folder_json(&here, "preprocessor_config.json", preprocess);
    folder_weights(&here, weights);
    photo = "tests/golden/images/files/rgb.png";
    if (access(photo, R_OK) != 0) {
        photo = NULL;
        print_message("SKIP: attn_set_image: tests/golden/images is not here\n");
    }
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    folder_remove(&here);
    return failed;
}
