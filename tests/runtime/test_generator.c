/* The generator on a small model with a cache: the same tokens whatever the way, limits, windows.
 */
#define _POSIX_C_SOURCE 200809L

#include "runtime/generate/generator.h"

#include "tests/check.h"
#include "tests/runtime/folder.h"

enum { VOCABULARY = 40, MOST = 48 };

static folder place;
static attn_model *model;
static attn_error err;

static const char description[] =
    "{'format':'attn/1','name':'tiny','symbols':{'seq':{'max':48}},"
    "'inputs':{'ids':{'kind':'tokens','shape':['seq'],'range':[0,39]}},"
    "'state':{'past':{'kind':'cache','rows':'seq','max':48}},"
    "'graph':[{'layer':'embedding','in':'ids','out':'x','weight':'embed'},"
    "{'layer':'add','in':'x','out':'x','weight':'place','slice_rows':true,'past':'past'},"
    "{'layer':'linear','in':'x','out':['q','k','v'],'weight':'qkv','bias':false},"
    "{'layer':'attention','in':['q','k','v'],'out':'h','heads':2,'causal':true,'cache':'past'},"
    "{'layer':'add','in':['x','h'],'out':'x'},"
    "{'layer':'layer_norm','in':'x','out':'x','eps':1e-5,'affine':false},"
    "{'layer':'token','in':'x','out':'x','index':-1},"
    "{'layer':'linear','in':'x','out':'logits','weight':'head','bias':false}],"
    "'outputs':{'logits':{}}}";

static int open_model(void **state)
{
    (void)state;
    folder_make(&place);
    folder_json(&place, "attn.json", description);
    folder_weights(&place, "embed.weight F32 40 8;place F32 48 8;qkv.weight F32 24 8;"
                           "head.weight F32 40 8");
    return attn_model_open(&model, place.path, NULL, &err) != ATTN_OK;
}

static int close_model(void **state)
{
    (void)state;
    attn_model_close(model);
    folder_remove(&place);
    return 0;
}

static const int32_t prompt[] = {3, 17, 5, 29, 11, 8, 2};
enum { PROMPT = sizeof prompt / sizeof *prompt };

/* Generates with these options into `ids`. */
static size_t generate(const attn_generator_options *o, int32_t *ids, attn_finish *finish)
{
    attn_generator *g;
    size_t count = 0;
    if (attn_generator_open(&g, model, prompt, PROMPT, o, &err)) fail_msg("%s", err.text);
    for (*finish = ATTN_GOES_ON; !*finish; count++) {
        assert_true(count < MOST);
        if (attn_generator_next(g, &ids[count], finish, &err)) fail_msg("%s", err.text);
    }
    assert_true(!o->max_memory || attn_generator_memory(g) <= o->max_memory);
    int32_t after;
    assert_int_equal(attn_generator_next(g, &after, finish, &err), ATTN_OK);
    assert_int_equal(after, -1);
    attn_generator_close(g);
    return count;
}

static void test_same_tokens(void **state)
{
    (void)state;
    const attn_generator_options ways[] = {
        {.max_tokens = 30},
        {.max_tokens = 30, .sampling = {.temperature = 1, .seed = 7}},
        {.max_tokens = 30, .sampling = {.repetition_penalty = 1.3f}},
        {.max_tokens = 30, .sampling = {.temperature = 1.5f, .top_k = 9, .top_p = 0.9f}},
        {.max_tokens = 12, .beams = 4, .length_penalty = 1},
        {.max_tokens = 12, .beams = 3, .sampling = {.repetition_penalty = 1.3f}}};
    for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
        int32_t want[MOST], got[MOST];
        attn_finish finish;
        size_t count = generate(&ways[w], want, &finish);
        assert_int_equal(finish, ATTN_FINISH_LENGTH);
        assert_int_equal(count, ways[w].max_tokens);
        for (size_t block = 1; block <= 9; block += 2)
            for (unsigned threads = 1; threads <= 2; threads++)
                for (int cached = 0; cached < 2; cached++) {
                    attn_generator_options o = ways[w];
                    o.block = block;
                    o.threads = threads;
                    o.no_cache = !cached;
                    assert_int_equal(generate(&o, got, &finish), count);
                    assert_memory_equal(got, want, count * sizeof *want);
                }
    }
}

/* It stops with the token, also where several are given; the folder's own where none are. */
static void test_stops(void **state)
{
    (void)state;
    int32_t all[MOST], got[MOST];
    attn_finish finish;
    attn_generator_options o = {.max_tokens = 20, .sampling = {.temperature = 1, .seed = 3}};
    generate(&o, all, &finish);
    size_t first = 5;
    for (size_t i = 0; i < first; i++)
        if (all[i] == all[first]) first = i;
    const int32_t stop[] = {all[first], 1000000};
    o.stop = stop;
    o.stops = 2;
    assert_int_equal(generate(&o, got, &finish), first + 1);
    assert_int_equal(finish, ATTN_FINISH_STOP);
    assert_memory_equal(got, all, (first + 1) * sizeof *all);
    char text[200];
    snprintf(text, sizeof text, "{'eos_token_id':[39999,%d],'bos_token_id':1}", (int)all[first]);
    folder_json(&place, "generation_config.json", text);
    folder_json(&place, "config.json", "{'eos_token_id':7,'bos_token_id':2}");
    o.stop = NULL;
    o.stops = 0;
    assert_int_equal(generate(&o, got, &finish), first + 1);
    attn_special_ids ids;
    assert_int_equal(attn_model_special_ids(model, &ids, &err), ATTN_OK);
    assert_true(ids.bos == 1 && ids.stops == 2 && ids.stop[0] == 39999);
    folder_json(&place, "generation_config.json", "{'bos_token_id':null}");
    assert_int_equal(attn_model_special_ids(model, &ids, &err), ATTN_OK);
    assert_true(ids.bos == 2 && ids.stops == 1 && ids.stop[0] == 7);
    folder_json(&place, "generation_config.json", "{'eos_token_id':'x'}");
    assert_int_equal(attn_model_special_ids(model, &ids, &err), ATTN_BAD_FILE);
    assert_non_null(strstr(err.text, "\"eos_token_id\" is \"x\", expected a token id"));
    folder_json(&place, "generation_config.json", NULL);
    folder_json(&place, "config.json", NULL);
}

static void refused(const int32_t *ids, size_t count, const attn_generator_options *o,
                    attn_status status, const char *says)
{
    attn_generator *g;
    assert_int_equal(attn_generator_open(&g, model, ids, count, o, &err), status);
    assert_null(g);
    if (!strstr(err.text, says)) fail_msg("%s", err.text);
}

static void test_limits(void **state)
{
    (void)state;
    static int32_t long_prompt[3000];
    const int32_t wrong[] = {1, 40, 2}, negative[] = {-1};
    int32_t got[MOST];
    attn_finish finish;
    attn_generator_options o = {.max_tokens = 42};
    refused(prompt, PROMPT, &o, ATTN_LIMIT,
            "a prompt of 7 tokens and 42 to come do not fit into the context of 48 that model "
            "\"tiny\" allows");
    o.max_tokens = 41;
    assert_int_equal(generate(&o, got, &finish), 41);
    o.max_tokens = 0; /* what is left */
    assert_int_equal(generate(&o, got, &finish), 41);
    refused(long_prompt, 3000, &o, ATTN_LIMIT, "a prompt of 3000 tokens");
    o.max_tokens = SIZE_MAX;
    refused(prompt, PROMPT, &o, ATTN_LIMIT, "do not fit");
    o.context = 10;
    o.max_tokens = 4;
    refused(prompt, PROMPT, &o, ATTN_LIMIT, "the context of 10 that was asked for");
    o.context = 0;
    refused(prompt, 0, &o, ATTN_BAD_INPUT, "the prompt is empty");
    refused(wrong, 3, &o, ATTN_BAD_INPUT,
            "token 1 of the prompt is 40, model \"tiny\" takes 0 to 39");
    refused(negative, 1, &o, ATTN_BAD_INPUT, "token 0 of the prompt is -1");
    o.beams = 1000;
    refused(prompt, PROMPT, &o, ATTN_BAD_ARGUMENT, "1000 beams, at most 256");
    o.beams = 2;
    o.window = true;
    refused(prompt, PROMPT, &o, ATTN_BAD_ARGUMENT, "takes no window");
    o.window = false;
    o.sampling.temperature = 1;
    refused(prompt, PROMPT, &o, ATTN_BAD_ARGUMENT, "takes no temperature");
    o.beams = 0;
    o.sampling.temperature = -1;
    refused(prompt, PROMPT, &o, ATTN_BAD_ARGUMENT, "the temperature is -1");
}

/* With too little memory it does not begin; what begins comes to its end, within the limit. */
static void test_memory(void **state)
{
    (void)state;
    attn_generator *g;
    for (size_t beams = 1; beams <= 3; beams += 2) {
        attn_generator_options o = {
            .max_tokens = 20, .beams = beams, .length_penalty = 1, .threads = 1, .block = 4};
        int32_t want[MOST], got[MOST];
        attn_finish finish;
        size_t refusals = 0;
        assert_int_equal(attn_generator_open(&g, model, prompt, PROMPT, &o, &err), ATTN_OK);
        size_t bytes = attn_generator_memory(g);
        attn_generator_close(g);
        generate(&o, want, &finish);
        for (o.max_memory = bytes; o.max_memory > 99; o.max_memory -= o.max_memory / 50) {
            attn_status status = attn_generator_open(&g, model, prompt, PROMPT, &o, &err);
            attn_generator_close(g);
            assert_true(status == ATTN_OK || status == ATTN_LIMIT);
            assert_true(o.max_memory != bytes || status == ATTN_OK);
            refusals += status == ATTN_LIMIT;
            if (status) continue;
            assert_int_equal(refusals, 0);
            assert_int_equal(generate(&o, got, &finish), 20);
            assert_memory_equal(got, want, 20 * sizeof *want);
        }
        assert_true(refusals > 9);
    }
}

/* The window's text is run as if it were the whole: where 12 tokens are full, the newest 6 stay. */
static void test_window(void **state)
{
    (void)state;
    attn_generator_options o = {.max_tokens = 40, .context = 12, .window = true};
    for (int cached = 0; cached < 2; cached++) {
        int32_t got[MOST], text[PROMPT + MOST];
        attn_finish finish;
        o.no_cache = !cached;
        assert_int_equal(generate(&o, got, &finish), 40);
        memcpy(text, prompt, sizeof prompt);
        size_t first = 0;
        for (size_t length = PROMPT; length < PROMPT + 40; length++) {
            attn_generator_options one = {.max_tokens = 1};
            attn_generator *g;
            int32_t id;
            if (length - first > 12) first = length - 6;
            assert_int_equal(
                attn_generator_open(&g, model, text + first, length - first, &one, &err), ATTN_OK);
            assert_int_equal(attn_generator_next(g, &id, &finish, &err), ATTN_OK);
            attn_generator_close(g);
            assert_int_equal(id, got[length - PROMPT]);
            text[length] = id;
        }
    }
}

static void test_config(void **state)
{
    (void)state;
    attn_generator_options o = {.max_tokens = 5};
    assert_int_equal(attn_generation_config(model, &o, &err), ATTN_OK);
    assert_true(o.max_tokens == 5 && o.sampling.temperature == 0);
    folder_json(&place, "generation_config.json",
                "{'do_sample':true,'temperature':0.6,'top_p':0.95,'repetition_penalty':1.1,"
                "'max_new_tokens':9}");
    assert_int_equal(attn_generation_config(model, &o, &err), ATTN_OK);
    assert_true(o.max_tokens == 9 && o.sampling.temperature == 0.6f && o.sampling.top_k == 50 &&
                o.sampling.top_p == 0.95f && o.sampling.repetition_penalty == 1.1f);
    folder_json(&place, "generation_config.json",
                "{'num_beams':4,'early_stopping':'never','length_penalty':0.5,'temperature':0.6}");
    o = (attn_generator_options){0};
    assert_int_equal(attn_generation_config(model, &o, &err), ATTN_OK);
    assert_true(o.beams == 4 && o.early_stopping == ATTN_STOP_NEVER_EARLY &&
                o.length_penalty == 0.5f && o.sampling.temperature == 0);
    static const char *const wrong[] = {"{'do_sample':1}",
                                        "{'num_beams':2,'early_stopping':3}",
                                        "{'do_sample':true,'top_k':-1}",
                                        "{'max_new_tokens':'many'}",
                                        "[",
                                        "{'num_beams':1.5}"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        folder_json(&place, "generation_config.json", wrong[i]);
        assert_int_equal(attn_generation_config(model, &o, &err), ATTN_BAD_FILE);
    }
    folder_json(&place, "generation_config.json", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_tokens), cmocka_unit_test(test_stops),
        cmocka_unit_test(test_limits),      cmocka_unit_test(test_memory),
        cmocka_unit_test(test_window),      cmocka_unit_test(test_config),
    };
    return cmocka_run_group_tests(tests, open_model, close_model);
}
