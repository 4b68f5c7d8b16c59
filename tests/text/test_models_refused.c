/* Malformed BPE and Unigram models, SentencePiece files and vocab.json + merges.txt: each is
 * refused with one line that names file, place and values. */
#define _POSIX_C_SOURCE 200809L

#include "tests/text/algorithm_test.h"

#include "runtime/inputs/tokenizer/sentencepiece.h"
#include "runtime/inputs/tokenizer/vocab_merges.h"
#include "tests/runtime/failing.h"
#include "tests/runtime/folder.h"

typedef struct refused {
    const char *text, *part;
} refused;

static void expect(attn_status status, const attn_error *err, const char *file, const char *part,
                   const char *what)
{
    if (!status) fail_msg("accepted: %s", what);
    if (!strstr(err->text, part) || !strstr(err->text, file))
        fail_msg("\"%s\" does not name \"%s\"", err->text, part);
    assert_null(strchr(err->text, '\n'));
}

static const refused bad_bpe[] = {
    {"{}", "model.vocab"},
    {"{'vocab':[],'merges':[]}", "model.vocab"},
    {"{'vocab':{'a':-1},'merges':[]}", "\"a\""},
    {"{'vocab':{'a':0.5},'merges':[]}", "0.5"},
    {"{'vocab':{'a':'b'},'merges':[]}", "\"a\""},
    {"{'vocab':{'a':99999999999},'merges':[]}", "found 1e+11"},
    {"{'vocab':{'a':0}}", "model.merges: a list is needed"},
    {"{'vocab':{'a':0},'merges':{}}", "model.merges: a list is needed, found an object"},
    {"{'vocab':{'a':0,'b':1,'ab':2},'merges':['ab']}", "model.merges[0]: \"ab\" is neither"},
    {"{'vocab':{'a':0,'b':1,'ab':2},'merges':['a b','a b c']}", "model.merges[1]"},
    {"{'vocab':{'a':0,'b':1,'ab':2},'merges':[['a']]}", "model.merges[0]"},
    {"{'vocab':{'a':0,'b':1,'ab':2},'merges':[['a',1]]}", "model.merges[0]"},
    {"{'vocab':{'a':0,'b':1,'ab':2},'merges':[7]}", "model.merges[0]: 7 is neither"},
    {"{'vocab':{'a':0,'b':1},'merges':['a c']}", "\"c\" is not in the vocabulary"},
    {"{'vocab':{'a':0,'b':1},'merges':['a b']}", "the result \"ab\" is not in the vocabulary"},
    {"{'vocab':{'a':0,'b':1},'merges':['a b'],'continuing_subword_prefix':'##'}",
     "\"b\" is shorter than the prefix \"##\""},
    {"{'vocab':{'a':0},'merges':[],'dropout':2}", "model.dropout: a number from 0 to 1"},
    {"{'vocab':{'a':0},'merges':[],'dropout':'no'}", "model.dropout"},
    {"{'vocab':{'a':0},'merges':[],'unk_token':3}", "model.unk_token: a text"},
    {"{'vocab':{'a':0},'merges':[],'fuse_unk':1}", "model.fuse_unk: a flag"},
    {"{'vocab':{'a':0},'merges':[],'byte_fallback':'yes'}", "model.byte_fallback: a flag"},
    {"{'vocab':{'a':0},'merges':[],'ignore_merges':0}", "model.ignore_merges: a flag"},
    {"{'vocab':{'a':0},'merges':[],'end_of_word_suffix':"
     "'0123456789012345678901234567890123456789012345678901234567890123456789'}",
     "model.end_of_word_suffix has 70 bytes, at most 64"},
};

static const refused bad_unigram[] = {
    {"{}", "model.vocab: a list"},
    {"{'vocab':{'a':0}}", "model.vocab: a list of tokens and scores is needed, found an object"},
    {"{'vocab':[]}", "model.vocab is empty"},
    {"{'vocab':['a']}", "model.vocab[0]: [token, score] is needed, found \"a\""},
    {"{'vocab':[['a',0],['b']]}", "model.vocab[1]"},
    {"{'vocab':[['a',0],['b',1,2]]}", "model.vocab[1]"},
    {"{'vocab':[['a','0']]}", "model.vocab[0]"},
    {"{'vocab':[[0,'a']]}", "model.vocab[0]"},
    {"{'vocab':[['a',0]],'unk_id':1}", "model.unk_id: a number from 0 to 0 is needed, found 1"},
    {"{'vocab':[['a',0]],'unk_id':-1}", "model.unk_id"},
    {"{'vocab':[['a',0]],'unk_id':0.5}", "model.unk_id"},
    {"{'vocab':[['a',0]],'byte_fallback':1}", "model.byte_fallback: a flag"},
};

static void test_models(void **state)
{
    (void)state;
    algorithm_test t;
    attn_error err;
    for (size_t i = 0; i < sizeof bad_bpe / sizeof *bad_bpe; i++)
        expect(algorithm_open(&t, &attn_algorithm_bpe, bad_bpe[i].text, &err), &err, "bad.json",
               bad_bpe[i].part, bad_bpe[i].text);
    for (size_t i = 0; i < sizeof bad_unigram / sizeof *bad_unigram; i++)
        expect(algorithm_open(&t, &attn_algorithm_unigram, bad_unigram[i].text, &err), &err,
               "bad.json", bad_unigram[i].part, bad_unigram[i].text);
}

/* What the reference, too, finds only when it meets the character. */
static void test_unknown_characters(void **state)
{
    (void)state;
    algorithm_test t;
    attn_error err;
    assert_int_equal(algorithm_open(&t, &attn_algorithm_bpe,
                                    "{'vocab':{'a':0},'merges':[],'unk_token':'<unk>'}", &err),
                     ATTN_OK);
    assert_int_equal(algorithm_encode(&t, "aa", 2, &err), ATTN_OK);
    assert_int_equal(t.pieces.count, 2);
    assert_int_equal(algorithm_encode(&t, "ab", 2, &err), ATTN_BAD_MODEL);
    assert_non_null(strstr(err.text, "\"b\" is not in the vocabulary, nor is the unknown token"));
    algorithm_close(&t);
    assert_int_equal(algorithm_open(&t, &attn_algorithm_unigram, "{'vocab':[['a',-1]]}", &err),
                     ATTN_OK);
    assert_int_equal(algorithm_encode(&t, "aaa", 3, &err), ATTN_OK);
    assert_int_equal(t.pieces.count, 3);
    assert_int_equal(algorithm_encode(&t, "aba", 3, &err), ATTN_BAD_MODEL);
    assert_non_null(strstr(err.text, "model.unk_id names no token"));
    algorithm_close(&t);
}

/* ---- SentencePiece ------------------------------------------------------------------------ */

/* A piece, of fewer than 128 bytes: text, score 0, type. */
#define PIECE(length, text_length, text, type)                                                     \
    "\x0a" length "\x0a" text_length text "\x15\0\0\0\0\x18" type
#define UNK PIECE("\x0c", "\x03", "unk", "\x02")
#define A PIECE("\x0a", "\x01", "a", "\x01")

typedef struct refused_bytes {
    const char *bytes;
    size_t size;
    const char *part;
} refused_bytes;
#define BAD(bytes, part)                                                                           \
    {                                                                                              \
        bytes, sizeof(bytes) - 1, part                                                             \
    }

static const refused_bytes bad_files[] = {
    BAD("", "without pieces"),
    BAD("{}", "byte 0: no field begins with 0x7b"),
    BAD("\x02\x01", "byte 0: no field begins with 0x02"),
    BAD("\x0b", "byte 0: no field begins with 0x0b"),
    BAD("\x0e", "byte 0: no field begins with 0x0e"),
    BAD("\x0a", "byte 1: the file is cut off"),
    BAD("\x0a\x05"
        "ab",
        "byte 0: the file is cut off"),
    BAD("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "byte 0: the file is cut off"),
    BAD("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", "byte 1: a number of more than 64 bits"),
    BAD("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", "more than 64 bits"),
    BAD("\x25\0\0\0", "byte 0: the file is cut off"),
    BAD("\x21\0\0\0\0\0\0\0", "byte 0: the file is cut off"),
    BAD("\x08\x01", "byte 0: a piece is a number, not bytes"),
    BAD(A "\x15\0\0\0\0", "a part of the model is 4 bytes, not bytes"),
    BAD("\x0a\x00", "piece 0 has no text"),
    BAD("\x0a\x02\x0a\x00", "piece 0 has no text"),
    BAD("\x0a\x05\x0a\x04"
        "abc",
        "byte 2: the file is cut off"),
    BAD("\x0a\x03\x0a\x04"
        "a",
        "byte 2: the file is cut off"),
    BAD("\x0a\x02\x08\x01", "byte 2: a piece's text is a number, not bytes"),
    BAD("\x0a\x02\x10\x01", "byte 2: a piece's score is a number, not 4 bytes"),
    BAD("\x0a\x06\x1d\0\0\0\0\0", "a piece's type is 4 bytes, not a number"),
    BAD(UNK "\x0a\x03\x0a\x01\xff", "piece 1 is not UTF-8"),
    BAD(UNK "\x0a\x04\x0a\x02"
            "a\xc3",
        "piece 1 is not UTF-8"),
    BAD(UNK "\x0a\x05\x0a\x03\xed\xa0\x80", "piece 1 is not UTF-8"),
    BAD(UNK "\x0a\x05\x0a\x03"
            "a\0b",
        "piece 1 is not UTF-8"),
    BAD(UNK "\x0a\x08\x0a\x01"
            "a\x15\0\0\xc0\x7f",
        "piece 1 has a score that is not finite"),
    BAD(UNK "\x0a\x08\x0a\x01"
            "a\x15\0\0\x80\xff",
        "piece 1 has a score that is not finite"),
    BAD(UNK PIECE("\x0a", "\x01", "a", "\x07"), "piece 1: there is no type 7"),
    BAD(UNK PIECE("\x0a", "\x01", "a", "\x00"), "piece 1: there is no type 0"),
    BAD(A, "no piece is the unknown one"),
    BAD(UNK UNK, "pieces 0 and 1 are both unknown"),
    BAD(A UNK, "unk_id is 0, the unknown piece is 1"),
    BAD(UNK A "\x12\x03\xc0\x02\x05", "trainer: unk_id is 5, the unknown piece is 0"),
    BAD(UNK A "\x12\x03\xc8\x02\x09", "trainer: bos_id is 9, there are 2 pieces"),
    BAD(UNK A A "\x12\x03\xd8\x02\x63", "trainer: pad_id is 99, there are 3 pieces"),
    BAD(UNK A "\x12\x08\xc0\x02\xff\xff\xff\xff\xff\x7f", "trainer: unk_id is"),
    BAD(UNK A A "\x12\x02\x18\x03", "a model of type 3, words, only Unigram"),
    BAD(UNK A A "\x12\x02\x18\x04", "a model of type 4, characters, only Unigram"),
    BAD(UNK A A "\x12\x02\x18\x63", "a model of type 99, only Unigram"),
    BAD(UNK A A "\x12\x03\x1a\x01\x00", "an option of the trainer is bytes, not a number"),
    BAD(UNK A A "\x12\x03\xc0\x01\x01", "white space as a suffix"),
    BAD(UNK A A "\x12\x03\x98\x02\x01", "byte fallback with 0 of the 256 bytes"),
    BAD(UNK A PIECE("\x0f", "\x06", "<0xZZ>", "\x06"), "piece 2, \"<0xZZ>\", is no byte"),
    BAD(UNK A PIECE("\x0d", "\x04", "0x12", "\x06"), "piece 2, \"0x12\", is no byte"),
    BAD(UNK A A "\x1a\x02\x10\x01", "the character map is a number, not bytes"),
    BAD(UNK A A "\x1a\x05\x1d\0\0\0\0", "an option of the normalizer is 4 bytes, not a number"),
    BAD(UNK A A "\x1a\x09\x10", "the file is cut off"),
};

/* The copy ends where the bytes end: a sanitizer sees a read beyond. */
static attn_status convert(const void *bytes, size_t size, const cJSON *config, attn_error *err)
{
    attn_memory memory;
    cJSON *made;
    void *copy = malloc(size ? size : 1);
    assert_non_null(copy);
    if (size) memcpy(copy, bytes, size);
    attn_memory_init(&memory, NULL, 0);
    attn_status status =
        attn_sentencepiece_json("bad.model", copy, size, config, &memory, &made, err);
    assert_true((status == ATTN_OK) == (made != NULL));
    cJSON_Delete(made);
    free(copy);
    assert_int_equal(memory.used, 0);
    return status;
}

static void test_sentencepiece(void **state)
{
    (void)state;
    attn_error err;
    char what[16];
    for (size_t i = 0; i < sizeof bad_files / sizeof *bad_files; i++) {
        snprintf(what, sizeof what, "file %zu", i);
        expect(convert(bad_files[i].bytes, bad_files[i].size, NULL, &err), &err, "bad.model",
               bad_files[i].part, what);
    }
    static const char good[] =
        UNK A "\x12\x0e\xd0\x02\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x18\x02";
    assert_int_equal(convert(good, sizeof good - 1, NULL, &err), ATTN_OK);
    for (size_t size = 0; size < sizeof good - 1; size++) /* only a cut between fields may pass */
        convert(good, size, NULL, &err);
}

static void test_sentencepiece_classes(void **state)
{
    (void)state;
    static const char unigram[] = UNK A A;
    static const refused configs[] = {
        {"{'tokenizer_class':'MBartTokenizer'}",
         "how a MBartTokenizer uses this file is not known"},
        {"{'tokenizer_class':'LlamaTokenizer'}", "a LlamaTokenizer needs a BPE model, this is Uni"},
        {"{'tokenizer_class':'T5Tokenizer','eos_token':null}", "a T5Tokenizer needs a eos_token"},
        {"{'tokenizer_class':'XLMRobertaTokenizer','mask_token':3}", "needs a mask_token"},
    };
    attn_error err;
    for (size_t i = 0; i < sizeof configs / sizeof *configs; i++) {
        cJSON *config = algorithm_json(configs[i].text);
        expect(convert(unigram, sizeof unigram - 1, config, &err), &err, "bad.model",
               configs[i].part, configs[i].text);
        cJSON_Delete(config);
    }
}

static void test_no_memory(void **state)
{
    (void)state;
    static const char bytes[] = UNK A PIECE("\x0b", "\x02", "aa", "\x01") "\x12\x02\x18\x02"
                                                                          "\x1a\x06\x12\x04"
                                                                          "abcd";
    attn_error err;
    long n = 0;
    for (attn_status status = ATTN_NO_MEMORY; status; n++) {
        attn_memory memory;
        cJSON *made;
        failing_begin(&memory, n + 1, false);
        status = attn_sentencepiece_json("bad.model", bytes, sizeof bytes - 1, NULL, &memory, &made,
                                         &err);
        if (!status) cJSON_Delete(made);
        failing_end();
        assert_true(status == ATTN_OK || status == ATTN_NO_MEMORY);
        assert_int_equal(failing_state.live, 0);
        assert_true(n < 10000);
    }
    assert_true(n > 20);
}

/* ---- vocab.json and merges.txt ------------------------------------------------------------- */

static void test_vocab_merges(void **state)
{
    (void)state;
    static const struct {
        const char *vocab, *merges, *config, *part;
    } bad[] = {
        {"{'a':0", "a b\n", "{}", "vocab.json: line 1: not valid JSON"},
        {"{'a':0,'a':1}", "a b\n", "{}", "\"a\" stands twice"},
        {NULL, "a b\n", "{}", "vocab.json: No such file"},
        {"{'a':0,'b':1,'ab':2}", NULL, "{}", "merges.txt: No such file"},
        {"{'a':0,'b':1,'ab':2}", "#version: 0.2\na\n", "{}", "merges.txt: line 2: \"a\" is not"},
        {"{'a':0,'b':1,'ab':2}", "a b\na b c\n", "{}", "merges.txt: line 2: \"a b c\" is not"},
        {"{'a':0,'b':1,'ab':2}", "a b\n b\n", "{}", "merges.txt: line 2: \" b\" is not"},
        {"{'a':0,'b':1,'ab':2}", "a \n", "{}", "merges.txt: line 1: \"a \" is not"},
        {"{'a':0,'b':1,'ab':2}", "a b\n", "{'tokenizer_class':'WhisperTokenizer'}",
         "how a WhisperTokenizer uses this file is not known"},
        {"{'a':0,'b':1,'ab':2}", "a b\n", "{'tokenizer_class':'BartTokenizer','sep_token':null}",
         "needs a sep_token"},
    };
    folder f;
    folder_make(&f);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char vocab[512], merges[512];
        attn_error err;
        cJSON *made, *config = algorithm_json(bad[i].config);
        folder_json(&f, "vocab.json", bad[i].vocab);
        folder_json(&f, "merges.txt", bad[i].merges);
        snprintf(vocab, sizeof vocab, "%s/vocab.json", f.path);
        snprintf(merges, sizeof merges, "%s/merges.txt", f.path);
        attn_status status = attn_vocab_merges_json(vocab, merges, config, NULL, &made, &err);
        expect(status, &err, f.path, bad[i].part, bad[i].part);
        assert_null(made);
        cJSON_Delete(config);
    }
    folder_remove(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_models),        cmocka_unit_test(test_unknown_characters),
        cmocka_unit_test(test_sentencepiece), cmocka_unit_test(test_sentencepiece_classes),
        cmocka_unit_test(test_no_memory),     cmocka_unit_test(test_vocab_merges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
