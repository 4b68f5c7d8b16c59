/* Malformed tokenizer.json files: each is refused with one line that names file, place and what is
 * wrong. ' stands for " here. */
#define _POSIX_C_SOURCE 200809L

#include "runtime/inputs/tokenizer/tokenizer.h"
#include "tests/check.h"
#include "tests/runtime/folder.h"

#include <stdlib.h>

/* A file of a good model and one part. */
#define MODEL "'model':{'type':'WordLevel','unk_token':'a','vocab':{'a':0,'b':1}}"
#define PART(text) "{" MODEL "," text "}"
#define ADDED(text) PART("'added_tokens':[" text "]")
#define TOKEN "'single_word':false,'lstrip':false,'rstrip':false,'normalized':false"

static const struct {
    const char *text, *part;
} refused[] = {
    {"", "not valid JSON"},
    {"[]", "an object is needed, found a list"},
    {"{}", "model: an object is needed, found nothing"},
    {"{'model':null}", "model: an object is needed, found null"},
    {"{'model':{'type':'GPT'}}", "model: there is no model \"GPT\""},
    {"{'model':{'type':7}}", "model: \"type\": a text is needed, found 7"},
    {"{" MODEL ",'version':'2.0'}", "version \"2.0\""},
    {"{" MODEL ",'version':1}", "\"version\": a text is needed, found 1"},
    {"{" MODEL "," MODEL "}", "the key \"model\" stands twice"},
    {"{" MODEL "", "not valid JSON"},
    {"{'model':{'type':'WordLevel','unk_token':'a','vocab':['a']}}", "model.vocab: an object"},
    {"{'model':{'type':'WordLevel','unk_token':'a','vocab':{'a':-1}}}", "found -1"},
    {"{'model':{'type':'WordLevel','unk_token':'a','vocab':{'a':1e9}}}", "found 1000000000"},
    {"{'model':{'type':'WordLevel','unk_token':'a','vocab':{'a':'0'}}}", "found \"0\""},
    {"{'model':{'type':'WordLevel','vocab':{'a':0}}}", "model.unk_token: a text is needed"},
    {"{'model':{'type':'WordPiece','unk_token':'a','vocab':{'a':0}}}",
     "model.continuing_subword_prefix: a text is needed"},
    {"{'model':{'type':'WordPiece','unk_token':'a','continuing_subword_prefix':'#',"
     "'max_input_chars_per_word':-1,'vocab':{'a':0}}}",
     "model.max_input_chars_per_word"},
    /* normalizers */
    {PART("'normalizer':7"), "normalizer: an object is needed, found a number"},
    {PART("'normalizer':{}"), "normalizer: \"type\": a text is needed, found nothing"},
    {PART("'normalizer':{'type':'NFX'}"), "normalizer: there is no normalizer \"NFX\""},
    {PART("'normalizer':{'type':'BertNormalizer'}"), "normalizer: \"clean_text\": a flag"},
    {PART("'normalizer':{'type':'BertNormalizer','clean_text':true,'handle_chinese_chars':true,"
          "'lowercase':true,'strip_accents':3}"),
     "\"strip_accents\": a flag is needed, found 3"},
    {PART("'normalizer':{'type':'Strip','strip_left':true}"), "\"strip_right\": a flag"},
    {PART("'normalizer':{'type':'Prepend'}"), "\"prepend\": a text"},
    {PART("'normalizer':{'type':'Replace','content':''}"), "\"pattern\": an object of one"},
    {PART("'normalizer':{'type':'Replace','pattern':{'Glob':'*'},'content':''}"), "\"pattern\""},
    {PART("'normalizer':{'type':'Replace','pattern':{'Regex':'('},'content':''}"),
     "normalizer.pattern: the pattern \"(\""},
    {PART("'normalizer':{'type':'Replace','pattern':{'String':'a'}}"), "\"content\": a text"},
    {PART("'normalizer':{'type':'Precompiled','precompiled_charsmap':'%%'}"), "normalizer"},
    {PART("'normalizer':{'type':'Sequence'}"), "\"normalizers\": a list is needed, found nothing"},
    {PART("'normalizer':{'type':'Sequence','normalizers':[{'type':'NFC'},{'type':'X'}]}"),
     "normalizer.normalizers[1]: there is no normalizer \"X\""},
    {PART("'normalizer':{'type':'Sequence','normalizers':[null]}"), "normalizers[0]: an object"},
    /* pre-tokenizers */
    {PART("'pre_tokenizer':[]"), "pre_tokenizer: an object is needed, found a list"},
    {PART("'pre_tokenizer':{'type':'Magic'}"), "there is no pre-tokenizer \"Magic\""},
    {PART("'pre_tokenizer':{'type':'Punctuation','behavior':'Eaten'}"),
     "\"behavior\": one of Removed, Isolated"},
    {PART("'pre_tokenizer':{'type':'Digits'}"), "\"individual_digits\": a flag"},
    {PART("'pre_tokenizer':{'type':'CharDelimiterSplit','delimiter':'ab'}"), "one character"},
    {PART("'pre_tokenizer':{'type':'CharDelimiterSplit','delimiter':''}"), "one character"},
    {PART("'pre_tokenizer':{'type':'FixedLength','length':0}"),
     "\"length\": a whole number from 1"},
    {PART("'pre_tokenizer':{'type':'ByteLevel'}"), "\"add_prefix_space\": a flag"},
    {PART("'pre_tokenizer':{'type':'Metaspace'}"), "\"replacement\": a text"},
    {PART("'pre_tokenizer':{'type':'Metaspace','replacement':'_','prepend_scheme':'often'}"),
     "\"prepend_scheme\": one of first, never, always"},
    {PART("'pre_tokenizer':{'type':'Metaspace','replacement':'_','prepend_scheme':'always',"
          "'add_prefix_space':false}"),
     "\"add_prefix_space\" is false"},
    {PART("'pre_tokenizer':{'type':'Split','pattern':{'Regex':'[a&&b]'},'behavior':'Isolated',"
          "'invert':false}"),
     "an intersection of classes is not supported"},
    {PART("'pre_tokenizer':{'type':'Split','pattern':{'Regex':'[[^a]b]'},'behavior':'Isolated',"
          "'invert':false}"),
     "a negated class within a class"},
    {PART("'pre_tokenizer':{'type':'Split','pattern':{'Regex':'\\\\p{Klingon}'},"
          "'behavior':'Isolated','invert':false}"),
     "pre_tokenizer.pattern: the pattern"},
    {PART("'pre_tokenizer':{'type':'Split','pattern':{'Regex':'(?<=a+)b'},'behavior':'Isolated',"
          "'invert':false}"),
     "pre_tokenizer.pattern: the pattern"},
    {PART("'pre_tokenizer':{'type':'Split','pattern':{'Regex':'a\\\\'},'behavior':'Isolated',"
          "'invert':false}"),
     "it ends in a backslash"},
    {PART("'pre_tokenizer':{'type':'Split','pattern':{'String':'a'},'behavior':'Isolated'}"),
     "\"invert\": a flag"},
    {PART("'pre_tokenizer':{'type':'Sequence','pretokenizers':{}}"), "\"pretokenizers\": a list"},
    /* post-processors */
    {PART("'post_processor':{'type':'Magic'}"), "there is no post-processor \"Magic\""},
    {PART("'post_processor':{'type':'BertProcessing','sep':['a'],'cls':['b',1]}"),
     "\"sep\": a list of a token and its id"},
    {PART("'post_processor':{'type':'BertProcessing','sep':['a',0],'cls':['b',-1]}"), "\"cls\""},
    {PART("'post_processor':{'type':'RobertaProcessing','sep':['a',0],'cls':['b',1]}"),
     "\"trim_offsets\": a flag"},
    {PART("'post_processor':{'type':'TemplateProcessing','single':'$A'}"), "\"single\": a list"},
    {PART("'post_processor':{'type':'TemplateProcessing','single':[{'Sequence':{'id':'C',"
          "'type_id':0}}],'pair':[],'special_tokens':{}}"),
     "post_processor.single[0].Sequence: \"id\": \"A\" or \"B\""},
    {PART("'post_processor':{'type':'TemplateProcessing','single':[{'SpecialToken':{'id':'[C]',"
          "'type_id':0}}],'pair':[],'special_tokens':{}}"),
     "no list of ids of \"[C]\""},
    {PART("'post_processor':{'type':'TemplateProcessing','single':[{'Sequence':{'id':'B',"
          "'type_id':0}}],'pair':[],'special_tokens':{}}"),
     "there is no text \"B\""},
    {PART("'post_processor':{'type':'TemplateProcessing','single':[{'A':1,'B':2}],'pair':[]}"),
     "single[0]: an object of one"},
    {PART("'post_processor':{'type':'Sequence','processors':[7]}"), "processors[0]: an object"},
    /* decoders */
    {PART("'decoder':{'type':'Magic'}"), "there is no decoder \"Magic\""},
    {PART("'decoder':{'type':'WordPiece','prefix':'##'}"), "\"cleanup\": a flag"},
    {PART("'decoder':{'type':'Strip','content':'ab','start':0,'stop':0}"), "one character"},
    {PART("'decoder':{'type':'Strip','content':'a','start':-1,'stop':0}"),
     "\"start\": a whole number"},
    {PART("'decoder':{'type':'CTC','pad_token':'a'}"), "\"word_delimiter_token\": a text"},
    {PART("'decoder':{'type':'Sequence','decoders':7}"), "\"decoders\": a list"},
    /* truncation, padding, added tokens */
    {PART("'truncation':7"), "truncation: an object is needed, found a number"},
    {PART("'truncation':{'max_length':-1}"), "\"max_length\": a whole number"},
    {PART("'truncation':{'max_length':1,'stride':0,'strategy':'Shortest'}"),
     "\"strategy\": one of"},
    {PART("'truncation':{'max_length':1,'stride':0,'strategy':'OnlyFirst','direction':'Up'}"),
     "\"direction\": one of Left, Right"},
    {PART("'padding':{'strategy':'Wide'}"), "\"strategy\": \"BatchLongest\" or"},
    {PART("'padding':{'strategy':{'Fixed':1e9}}"), "\"Fixed\": a whole number"},
    {PART("'padding':{'strategy':'BatchLongest','direction':'Left','pad_id':-3}"), "\"pad_id\""},
    {PART("'added_tokens':{}"), "added_tokens: a list is needed, found an object"},
    {ADDED("7"), "added_tokens[0]: an object is needed"},
    {ADDED("{'id':-1,'content':'x'}"), "added_tokens[0]: \"id\""},
    {ADDED("{'id':2," TOKEN ",'special':true}"), "\"content\": a text"},
    {ADDED("{'id':2,'content':'x'," TOKEN "}"), "\"special\": a flag"},
    {ADDED("{'id':2,'content':'x'," TOKEN ",'special':true},{'id':1}"), "added_tokens[1]"},
};

static void test_refused(void **state)
{
    folder f;
    (void)state;
    folder_make(&f);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        char text[1024];
        size_t length = strlen(refused[i].text);
        for (size_t k = 0; k <= length; k++)
            text[k] = (char)(refused[i].text[k] == '\'' ? '"' : refused[i].text[k]);
        folder_text(&f, "tokenizer.json", text);
        attn_tokenizer *t;
        attn_error err = {0};
        if (!attn_tokenizer_open(&t, f.path, NULL, &err)) fail_msg("accepted: %s", text);
        assert_null(t);
        if (!strstr(err.text, refused[i].part) || !strstr(err.text, "tokenizer.json"))
            fail_msg("\"%s\" does not name \"%s\"", err.text, refused[i].part);
        assert_null(strchr(err.text, '\n'));
    }
    folder_remove(&f);
}

static void test_vocab_txt(void **state)
{
    static const struct {
        const char *text, *config, *part;
    } bad[] = {
        {"a\nb\xff\n", "{}", "vocab.txt: line 2: byte 0xff is not UTF-8"},
        {"a\n", "[]", "tokenizer_config.json: an object is needed, found a list"},
        {"a\n", "{", "tokenizer_config.json"},
        {"a\n", "{\"added_tokens_decoder\":{\"1\":{}}}", "\"content\" is no text"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        folder f;
        attn_tokenizer *t;
        attn_error err = {0};
        folder_make(&f);
        folder_text(&f, "vocab.txt", bad[i].text);
        folder_text(&f, "tokenizer_config.json", bad[i].config);
        assert_int_not_equal(attn_tokenizer_open(&t, f.path, NULL, &err), ATTN_OK);
        if (!strstr(err.text, bad[i].part)) fail_msg("%s", err.text);
        folder_remove(&f);
    }
}

/* What opens, but cannot encode. */
static void test_encode(void **state)
{
    static const char text[] =
        "{\"model\":{\"type\":\"WordLevel\",\"unk_token\":\"x\",\"vocab\":{\"a\":0}},"
        "\"truncation\":"
        "{\"max_length\":1,\"stride\":0,\"strategy\":\"OnlyFirst\"},\"post_processor\":{\"type\":"
        "\"BertProcessing\",\"sep\":[\"a\",0],\"cls\":[\"a\",0]}}";
    folder f;
    attn_tokenizer *t;
    attn_encoding e;
    attn_error err = {0};
    (void)state;
    folder_make(&f);
    folder_text(&f, "tokenizer.json", text);
    assert_int_equal(attn_tokenizer_open(&t, f.path, NULL, &err), ATTN_OK);
    assert_int_equal(attn_tokenizer_encode(t, "b", 1, NULL, 0, NULL, &e, &err), ATTN_BAD_MODEL);
    assert_non_null(strstr(err.text, "\"b\" is not in the vocabulary"));
    assert_int_equal(attn_tokenizer_encode(t, "a", 1, NULL, 0, NULL, &e, &err), ATTN_BAD_ARGUMENT);
    assert_non_null(strstr(err.text, "2 special ones alone are more"));
    assert_int_equal(e.count, 0);
    attn_tokenizer_close(t);
    folder_remove(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_refused),
                                       cmocka_unit_test(test_vocab_txt),
                                       cmocka_unit_test(test_encode)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
