/* Pictures as inputs described in JSON, and outputs that are read as text. Pixels are those of
 * OpenCV's resizing as PaddleOCR and fast-plate-ocr use it: tests/golden/images/pixels_opencv.txt.
 */
#define _XOPEN_SOURCE 700
#include "tests/runtime/golden_images.h"

#include "runtime/inputs/image.h"
#include "runtime/session.h"
#include "tests/runtime/folder.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

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

static attn_status open_model(const char *inputs, const char *symbols, const char *outputs,
                              attn_error *err)
{
    static char text[4096];
    snprintf(text, sizeof text,
             "{'format':'attn/1','name':'t',%s'inputs':{'x':%s},'graph':[{'layer':'slice','in':'x',"
             "'out':'y','axis':-1}],'outputs':{'y':%s}}",
             symbols, inputs, outputs);
    folder_json(&here, "attn.json", text);
    model = NULL;
    session = NULL;
    *err = (attn_error){0};
    attn_status status = attn_model_open(&model, here.path, NULL, err);
    attn_session_options one = {.threads = 1};
    return status ? status : attn_session_open(&session, model, &one, err);
}

static void close_model(void)
{
    attn_session_close(session);
    attn_model_close(model);
}

/* ---- pictures ----------------------------------------------------------------------------- */

#define PADDLE                                                                                     \
    "{'kind':'image','shape':[1,3,48,'w'],'channels':'bgr','image':{'resize':'opencv_linear',"     \
    "'fit':'height','min_width':320,'scale':'1 / 255','mean':0.5,'std':0.5}}"
#define PLATES                                                                                     \
    "{'kind':'image','shape':['n',64,128,3],'dtype':'i32','layout':'hwc','image':{'resize':"       \
    "'opencv_linear'}}"

/* What the model sees of photo.ppm: the hash of the input itself. */
static uint64_t hash_of_photo(const char *input, const char *symbols, size_t *width)
{
    attn_error err;
    if (open_model(input, symbols, "{}", &err)) fail_msg("%s", err.text);
    if (attn_set_image(session, NULL, folder_file(&here, "photo.ppm"), &err))
        fail_msg("%s", err.text);
    if (attn_prepare(session, &err) || attn_run(session, &err)) fail_msg("%s", err.text);
    const attn_tensor *t = &session->input[0].value;
    assert_int_equal(t->rank, 4);
    assert_int_equal(t->dim[0], 1);
    *width = t->dim[3];
    size_t bytes = t->dim[1] * t->dim[2] * t->dim[3] * attn_dtype_size(t->dtype);
    uint64_t hash = fnv1a(t->data, bytes);
    close_model();
    return hash;
}

static void write_crop(const attn_image *image, size_t left, size_t top, size_t width,
                       size_t height)
{
    FILE *f = fopen(folder_file(&here, "photo.ppm"), "wb");
    assert_non_null(f);
    fprintf(f, "P6\n%zu %zu\n255\n", width, height);
    for (size_t y = top; y < top + height; y++)
        fwrite(image->pixels + (y * image->width + left) * 3, 3, width, f);
    fclose(f);
}

static void test_pixels(void **state)
{
    (void)state;
    FILE *f = fopen("tests/golden/images/pixels_opencv.txt", "r");
    assert_non_null(f);
    char line[256];
    int cases = 0;
    attn_memory memory;
    attn_memory_init(&memory, NULL, 0);
    while (fgets(line, sizeof line, f)) {
        if (*line == '#') continue;
        char photo[64], path[128];
        size_t left, top, width, height, wide, seen;
        uint64_t paddle, plates;
        attn_image image;
        attn_error err;
        assert_int_equal(sscanf(line, "%63s %zu %zu %zu %zu %" SCNx64 " %zu %" SCNx64, photo, &left,
                                &top, &width, &height, &paddle, &wide, &plates),
                         8);
        snprintf(path, sizeof path, "tests/golden/images/%s", photo);
        assert_int_equal(attn_image_load(&image, path, &memory, &err), ATTN_OK);
        write_crop(&image, left, top, width, height);
        attn_image_free(&image, &memory);
        uint64_t hash = hash_of_photo(PADDLE, "'symbols':{'w':{}},", &seen);
        if (seen != wide || hash != paddle) fail_msg("%s differs from PaddleOCR", line);
        if (hash_of_photo(PLATES, "'symbols':{'n':{}},", &seen) != plates)
            fail_msg("%s differs from fast-plate-ocr", line);
        cases++;
    }
    fclose(f);
    assert_int_equal(cases, 24);
}

/* A photo of 2 x 2 pixels, and what every way of laying it out makes of it. */
static void check_layout(const char *input, const float *want)
{
    static const uint8_t pixels[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    attn_image image = {.pixels = (uint8_t *)pixels, .width = 2, .height = 2};
    attn_error err;
    attn_tensor out;
    write_crop(&image, 0, 0, 2, 2);
    if (open_model(input, "", "{}", &err)) fail_msg("%s", err.text);
    if (attn_set_image(session, "x", folder_file(&here, "photo.ppm"), &err))
        fail_msg("%s", err.text);
    if (attn_prepare(session, &err) || attn_run(session, &err)) fail_msg("%s", err.text);
    assert_int_equal(attn_output(session, NULL, &out, &err), ATTN_OK);
    for (int i = 0; i < 12; i++)
        if (((float *)out.data)[i] != want[i])
            fail_msg("%s: element %d is %g, not %g", input, i, (double)((float *)out.data)[i],
                     (double)want[i]);
    close_model();
}

static void test_layouts(void **state)
{
    (void)state;
    check_layout("{'kind':'image','shape':[3,2,2],'image':{'resize':'nearest'}}",
                 (float[]){1, 4, 7, 10, 2, 5, 8, 11, 3, 6, 9, 12});
    check_layout("{'kind':'image','shape':[3,2,2],'channels':'bgr','image':{'resize':'box'}}",
                 (float[]){3, 6, 9, 12, 2, 5, 8, 11, 1, 4, 7, 10});
    check_layout("{'kind':'image','shape':[1,2,2,3],'layout':'hwc','image':{'resize':'bilinear'}}",
                 (float[]){1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12});
    /* Statistics are in the order of the model's channels. */
    check_layout("{'kind':'image','shape':[2,2,3],'layout':'hwc','channels':'bgr','image':{"
                 "'resize':'lanczos','scale':2,'mean':[1,2,3],'std':[1,2,4]}}",
                 (float[]){5, 1, -0.25f, 11, 4, 1.25f, 17, 7, 2.75f, 23, 10, 4.25f});
    /* Padding at the right; the photo itself is as wide as it is high. */
    check_layout("{'kind':'image','shape':[3,1,4],'image':{'resize':'nearest','fit':'height',"
                 "'mean':1}}",
                 (float[]){9, 0, 0, 0, 10, 0, 0, 0, 11, 0, 0, 0});
    check_layout("{'kind':'image','shape':[3,2,2],'image':{'resize':'nearest','fit':'crop'}}",
                 (float[]){1, 4, 7, 10, 2, 5, 8, 11, 3, 6, 9, 12});
}

/* ---- text --------------------------------------------------------------------------------- */

static void check_text(const char *outputs, size_t rows, size_t columns, const float *values,
                       const char *want, const size_t *want_row, float want_confidence)
{
    char shape[64], text[256] = "";
    attn_error err;
    attn_character c[8];
    size_t count;
    float confidence;
    snprintf(shape, sizeof shape, "{'shape':[1,%zu,%zu]}", rows, columns);
    if (open_model(shape, "", outputs, &err)) fail_msg("%s", err.text);
    attn_tensor t = {.rank = 3, .dim = {1, rows, columns}, .data = (void *)values};
    assert_int_equal(attn_read(session, NULL, 0, 8, c, &count, NULL, &err), ATTN_BAD_ARGUMENT);
    assert_int_equal(attn_set_input(session, NULL, &t, &err), ATTN_OK);
    if (attn_prepare(session, &err) || attn_run(session, &err)) fail_msg("%s", err.text);
    if (attn_read(session, NULL, 0, 8, c, &count, &confidence, &err)) fail_msg("%s", err.text);
    for (size_t i = 0; i < count; i++) {
        strcat(text, c[i].text);
        assert_int_equal(c[i].row, want_row[i]);
    }
    assert_string_equal(text, want);
    if (!(fabsf(confidence - want_confidence) < 1e-6f))
        fail_msg("%s: confidence %g, not %g", outputs, (double)confidence, (double)want_confidence);
    attn_character first = {0};
    size_t all = count;
    assert_int_equal(attn_read(session, "y", 0, 1, &first, &count, NULL, &err), ATTN_OK);
    assert_int_equal(count, all);
    if (all) assert_ptr_equal(first.text, c[0].text);
    assert_int_equal(attn_read(session, "y", 1, 0, NULL, &count, NULL, &err), ATTN_BAD_ARGUMENT);
    assert_non_null(strstr(err.text, "output \"y\" has no item 1"));
    assert_int_equal(attn_read(session, "z", 0, 0, NULL, &count, NULL, &err), ATTN_BAD_ARGUMENT);
    assert_non_null(strstr(err.text, "has 0 outputs of text named \"z\""));
    close_model();
}

static void test_text(void **state)
{
    (void)state;
    /* The probabilities as they are; of equal ones the first. */
    static const float slots[] = {0.7f, 0.3f, 0, 0.25f, 0.25f, 0.5f, 0.2f, 0.4f, 0.4f};
    check_text("{'kind':'slots','keys':'A\xc3\xa9_','filler':'_','probability':'none'}", 3, 3,
               slots, "A\xc3\xa9", (size_t[]){0, 2}, (0.7f + 0.5f + 0.4f) / 3);
    check_text("{'kind':'slots','keys':['one','two','_'],'probability':'none'}", 3, 3, slots,
               "one_two", (size_t[]){0, 1, 2}, (0.7f + 0.5f + 0.4f) / 3);
    /* blank A A blank A B B: a blank parts two of a kind */
    static const float ctc[] = {5, 1, 0, 0, 2, 0, 0, 3, 0, 4, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 7};
    double third = 0;
    const double best[] = {2, 1, 1}; /* of the rows 1, 4 and 5 */
    for (int i = 0; i < 3; i++) third += exp(best[i]) / (exp(best[i]) + 2) / 3;
    check_text("{'kind':'ctc','keys':'AB'}", 7, 3, ctc, "AAB", (size_t[]){1, 4, 5}, (float)third);
    check_text("{'kind':'ctc','keys':['A'],'space':true}", 7, 3, ctc, "AA ", (size_t[]){1, 4, 5},
               (float)third);
    folder_text(&here, "keys.txt", "A\r\n\xe4\xb8\x80");
    check_text("{'kind':'ctc','keys':{'file':'keys.txt'},'probability':'none'}", 7, 3, ctc,
               "AA\xe4\xb8\x80", (size_t[]){1, 4, 5}, (2.0f + 1 + 1) / 3);
    check_text("{'kind':'ctc','keys':'AB','blank':2,'probability':'none'}", 5, 3, ctc, "ABAB",
               (size_t[]){0, 1, 3, 4}, (5.0f + 2 + 4 + 1) / 4);
    static const float blanks[] = {1, 0, 0, 1, 0, 0};
    check_text("{'kind':'ctc','keys':'AB'}", 2, 3, blanks, "", NULL, 0);
}

static void test_no_number(void **state)
{
    (void)state;
    attn_error err;
    attn_character c[2];
    size_t count;
    const float bad[] = {NAN, INFINITY, -INFINITY};
    for (int i = 0; i < 3; i++) {
        float values[4] = {0, 1, bad[i], bad[i]};
        attn_tensor t = {.rank = 2, .dim = {2, 2}, .data = values};
        if (open_model("{'shape':[2,2]}", "", "{'kind':'slots','keys':'AB'}", &err))
            fail_msg("%s", err.text);
        assert_int_equal(attn_set_input(session, NULL, &t, &err), ATTN_OK);
        if (attn_prepare(session, &err) || attn_run(session, &err)) fail_msg("%s", err.text);
        assert_int_equal(attn_read(session, NULL, 0, 2, c, &count, NULL, &err), ATTN_BAD_INPUT);
        assert_string_equal(err.text, "output \"y\": row 1 has no largest number");
        close_model();
    }
}

/* ---- what is refused ---------------------------------------------------------------------- */

typedef struct refusal {
    const char *inputs, *outputs, *message;
} refusal;

#define IMAGE(rest) "{'kind':'image','shape':[3,4,4],'image':" rest "}"
#define ROWS "{'shape':[2,3]}"

static const refusal refusals[] = {
    {"{'shape':[2],'layout':'hwc'}", "{}", "inputs.x: \"layout\" is for inputs of kind image"},
    {"{'kind':'image','shape':[3,4,4],'layout':'cwh'}", "{}",
     "\"layout\" is \"cwh\", expected one of"},
    {"{'kind':'image','shape':[3,4,4],'channels':1}", "{}",
     "\"channels\" is 1, expected one of: rgb"},
    {"{'kind':'image','shape':[1,1,3,4,4]}", "{}", "an image is of rank 3"},
    {"{'kind':'image','shape':[1,4,4],'image':{'resize':'box'}}", "{}", "a shape of 3 channels"},
    {"{'kind':'image','shape':[2,3,4,4],'image':{'resize':'box'}}", "{}", "and a batch of 1"},
    {IMAGE("7"), "{}", "\"image\" is 7, expected an object"},
    {IMAGE("{}"), "{}", "inputs.x: image: the key \"resize\" is missing"},
    {IMAGE("{'resize':'box','size':4}"), "{}", "unknown key \"size\""},
    {IMAGE("{'resize':'linear'}"), "{}", "\"resize\" is \"linear\", expected one of: bilinear"},
    {IMAGE("{'resize':'box','fit':'best'}"), "{}", "\"fit\" is \"best\""},
    {IMAGE("{'resize':'box','edge':9}"), "{}", "\"edge\" goes with \"fit\": \"crop\""},
    {IMAGE("{'resize':'box','multiple':8}"), "{}", "\"multiple\" goes with \"fit\": \"height\""},
    {IMAGE("{'resize':'box','fit':'height','min_width':5}"), "{}", "widths of 5 to 4 do not fit"},
    {IMAGE("{'resize':'box','fit':'height','multiple':0}"), "{}", "\"multiple\" is 0, expected"},
    {IMAGE("{'resize':'box','scale':'1 / none'}"), "{}", "\"scale\": "},
    {IMAGE("{'resize':'box','std':0}"), "{}", "\"std\" is 0, expected a number in"},
    {IMAGE("{'resize':'box','mean':[1,2]}"), "{}",
     "\"mean\" is a list, expected a number or a list"},
    {"{'kind':'image','shape':[3,4,4],'dtype':'i32','image':{'resize':'box','mean':1}}", "{}",
     "an image of dtype i32 has no scale"},
    {ROWS, "{'keys':'ABC'}", "outputs.y: \"keys\" is for outputs of kind slots and ctc"},
    {ROWS, "{'kind':'ctc','keys':'AB','filler':'A'}", "\"filler\" is for outputs of kind slots"},
    {ROWS, "{'kind':'slots','keys':'ABC','blank':0}", "\"blank\" is for outputs of kind ctc"},
    {ROWS, "{'kind':'slots'}", "the key \"keys\" is missing"},
    {ROWS, "{'kind':'slots','keys':3}", "\"keys\" is 3, expected a text, a list"},
    {ROWS, "{'kind':'slots','keys':''}", "\"keys\" is empty"},
    {ROWS, "{'kind':'slots','keys':['a','','c']}",
     "\"keys\": entry 1 has 0 bytes, expected 1 to 64"},
    {ROWS, "{'kind':'slots','keys':['a',2,'c']}", "\"keys\": entry 1 is 2, expected a text"},
    {ROWS, "{'kind':'slots','keys':'ABC','filler':'_'}",
     "\"filler\" is \"_\", expected one of the"},
    {ROWS, "{'kind':'slots','keys':'AB'}", "[2, 3], expected f32 [..., rows, 2]"},
    {ROWS, "{'kind':'ctc','keys':'ABC'}", "[2, 3], expected f32 [..., rows, 4]"},
    {"{'shape':[3]}", "{'kind':'slots','keys':'ABC'}", "output \"y\" is f32 [3], expected"},
    {"{'shape':[2,3],'dtype':'i32'}", "{'kind':'slots','keys':'ABC'}",
     "output \"y\" is i32 [2, 3]"},
    {ROWS, "{'kind':'ctc','keys':'AB','blank':3}", "\"blank\" is 3, expected an integer in [0, 2]"},
    {ROWS, "{'kind':'ctc','keys':'AB','space':1}", "\"space\" is 1, expected a flag"},
    {ROWS, "{'kind':'ctc','keys':{'file':'../k'}}", "\"file\" is \"../k\", expected a file name"},
    {ROWS, "{'kind':'ctc','keys':{'file':'none.txt'}}", "/none.txt"},
    {ROWS, "{'kind':'ctc','keys':{'name':'k'}}", "unknown key \"name\""},
    {ROWS, "{'kind':'ctc','keys':{'file':'bad.txt'}}", "bad.txt: line 2: byte 0xff is not UTF-8"},
    {ROWS, "{'kind':'ctc','keys':{'file':'gap.txt'}}", "\"keys\": line 2 has 0 bytes"},
    {ROWS, "{'kind':'ctc','keys':{'file':'long.txt'}}", "\"keys\": line 1 has 65 bytes"},
    {ROWS, "{'kind':'ctc','keys':{'file':'empty.txt'}}", "\"keys\" is empty"},
};

static void test_refused(void **state)
{
    (void)state;
    char many[66];
    memset(many, 'a', 65);
    many[65] = 0;
    folder_text(&here, "bad.txt", "A\n\xff\n");
    folder_text(&here, "gap.txt", "A\n\nB\n");
    folder_text(&here, "long.txt", many);
    folder_text(&here, "empty.txt", "");
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        const refusal *r = &refusals[i];
        attn_error err;
        if (!open_model(r->inputs, "", r->outputs, &err))
            fail_msg("accepted: %s %s", r->inputs, r->outputs);
        if (!strstr(err.text, r->message))
            fail_msg("\"%s\" does not say \"%s\"", err.text, r->message);
        if (!strstr(err.text, here.path)) fail_msg("\"%s\" names no file", err.text);
    }
}

/* A million keys are too many, whatever their file says; so is a file of that size. */
static void test_large_files(void **state)
{
    (void)state;
    const size_t size = ((size_t)16 << 20) + 1;
    char *text = malloc(size);
    attn_error err;
    assert_non_null(text);
    for (size_t i = 0; i < size; i++) text[i] = i % 2 ? '\n' : 'a';
    folder_bytes(&here, "large.txt", text, (size_t)4 << 20);
    assert_int_not_equal(open_model(ROWS, "", "{'kind':'ctc','keys':{'file':'large.txt'}}", &err),
                         ATTN_OK);
    assert_non_null(strstr(err.text, "\"keys\": more than 1048576"));
    folder_bytes(&here, "large.txt", text, size);
    assert_int_not_equal(open_model(ROWS, "", "{'kind':'ctc','keys':{'file':'large.txt'}}", &err),
                         ATTN_OK);
    assert_non_null(strstr(err.text, "has 16777217 bytes"));
    free(text);
}

/* An i32 image takes no preprocessing that gives fractions; without any it takes no photo. */
static void test_no_preprocessing(void **state)
{
    (void)state;
    attn_error err;
    static const uint8_t pixels[12] = {0};
    attn_image image = {.pixels = (uint8_t *)pixels, .width = 2, .height = 2};
    write_crop(&image, 0, 0, 2, 2);
    const char *input = "{'kind':'image','shape':[3,2,2],'dtype':'i32'}";
    assert_int_equal(open_model(input, "", "{}", &err), ATTN_OK);
    assert_int_equal(attn_set_image(session, NULL, folder_file(&here, "photo.ppm"), &err),
                     ATTN_BAD_MODEL);
    assert_non_null(
        strstr(err.text, "has no preprocessor_config.json, nor input \"x\" an \"image\""));
    close_model();
    folder_json(&here, "preprocessor_config.json",
                "{'image_processor_type':'ViTImageProcessor','size':{'height':2,'width':2}}");
    assert_int_equal(open_model(input, "", "{}", &err), ATTN_OK);
    assert_int_equal(attn_set_image(session, NULL, folder_file(&here, "photo.ppm"), &err),
                     ATTN_BAD_MODEL);
    assert_non_null(strstr(err.text, "gives numbers that are no integers, but input \"x\" is i32"));
    close_model();
    folder_json(&here, "preprocessor_config.json",
                "{'image_processor_type':'ViTImageProcessor','size':{'height':2,'width':2},"
                "'do_rescale':false,'do_normalize':false}");
    assert_int_equal(open_model(input, "", "{}", &err), ATTN_OK);
    assert_int_equal(attn_set_image(session, NULL, folder_file(&here, "photo.ppm"), &err), ATTN_OK);
    close_model();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pixels),
        cmocka_unit_test(test_layouts),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_no_number),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_large_files),
        cmocka_unit_test(test_no_preprocessing),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
