/* Preprocessing against the PIL backends of transformers' image processors:
 * tests/golden/images/preprocess.txt. Floats must be equal bit for bit. */
#include "runtime/inputs/preprocess.h"

#include "tests/runtime/golden_images.h"

#include <inttypes.h>
#include <string.h>

#define FOLDER "tests/golden/images/"

static attn_status parse(attn_preprocess *p, const char *text, attn_error *err)
{
    cJSON *root;
    assert_int_equal(attn_json_parse("p.json", text, strlen(text), &root, err), ATTN_OK);
    attn_status status = attn_preprocess_parse(p, "p.json", root, err);
    cJSON_Delete(root);
    return status;
}

static void test_equal_to_transformers(void **state)
{
    (void)state;
    FILE *f = fopen(FOLDER "preprocess.txt", "r");
    assert_non_null(f);
    attn_memory memory;
    attn_memory_init(&memory, NULL, 0);
    char line[1024];
    int cases = 0, wrong = 0;
    while (fgets(line, sizeof line, f)) {
        if (*line == '#') continue;
        char photo[64], config[800], path[128];
        size_t want_height, want_width;
        uint64_t want;
        assert_int_equal(sscanf(line, "%63[^\t]\t%799[^\t]\t%zu\t%zu\t%" SCNx64, photo, config,
                                &want_height, &want_width, &want),
                         5);
        snprintf(path, sizeof path, FOLDER "%s", photo);
        attn_image image;
        attn_preprocess p;
        attn_geometry g;
        attn_error err;
        assert_int_equal(attn_image_load(&image, path, &memory, &err), ATTN_OK);
        if (parse(&p, config, &err)) fail_msg("%s: %s", config, err.text);
        assert_int_equal(attn_preprocess_geometry(&p, image.height, image.width, &g, &err),
                         ATTN_OK);
        bool same = g.height == want_height && g.width == want_width;
        size_t bytes = g.height * g.width * 3 * sizeof(float);
        float *chw = malloc(bytes);
        assert_int_equal(attn_preprocess_apply(&p, &image, chw, &memory, &err), ATTN_OK);
        if (!same || fnv1a(chw, bytes) != want) {
            print_message("%s %s: %zu x %zu, transformers has %zu x %zu\n", photo, config, g.height,
                          g.width, want_height, want_width);
            wrong++;
        }
        free(chw);
        attn_image_free(&image, &memory);
        cases++;
    }
    fclose(f);
    assert_int_equal(wrong, 0);
    assert_true(cases >= 75);
    assert_int_equal(memory.used, 0);
}

#define WHOLE                                                                                      \
    "\"do_resize\":true,\"size\":{\"height\":4,\"width\":4},\"resample\":2,\"do_rescale\":true,"   \
    "\"rescale_factor\":0.5,\"do_normalize\":false"
#define VIT "\"image_processor_type\":\"ViTImageProcessor\","
#define CONVNEXT "\"image_processor_type\":\"ConvNextImageProcessor\","

static const struct {
    const char *config, *names; /* names: what the message must hold */
} refused[] = {
    {"[]", "a list"},
    {"3", "a number"},
    {"{}", "do_resize"},
    {"{\"image_processor_type\":\"SamImageProcessor\"}", "SamImageProcessor"},
    {"{\"image_processor_type\":7}", "image_processor_type"},
    {"{\"image_processor_type\":\"ViTImageProcessorX\",\"do_resize\":true}", "ViTImageProcessorX"},
    {"{" WHOLE ",\"do_thumbnail\":true}", "do_thumbnail"},
    {"{" VIT "\"do_align_long_axis\":true}", "do_align_long_axis"},
    {"{" VIT "\"size_divisor\":32}", "size_divisor"},
    {"{" VIT "\"size\":0}", "size"},
    {"{" VIT "\"size\":1.5}", "1.5"},
    {"{" VIT "\"size\":1e300}", "size"},
    {"{" VIT "\"size\":-4}", "-4"},
    {"{" VIT "\"size\":\"224\"}", "size"},
    {"{" VIT "\"size\":[1,2,3]}", "size"},
    {"{" VIT "\"size\":{}}", "shortest_edge"},
    {"{" VIT "\"size\":{\"height\":3}}", "height"},
    {"{" VIT "\"size\":{\"height\":3,\"width\":3,\"shortest_edge\":3}}", "size"},
    {"{" VIT "\"size\":{\"longest_edge\":3}}", "size"},
    {"{" VIT "\"size\":{\"shortest_edge\":\"x\"}}", "shortest_edge"},
    {"{" VIT "\"resample\":6}", "resample"},
    {"{" VIT "\"resample\":\"bicubic\"}", "bicubic"},
    {"{" VIT "\"do_resize\":1}", "do_resize"},
    {"{" VIT "\"do_center_crop\":true}", "crop_size"},
    {"{" VIT "\"do_center_crop\":true,\"crop_size\":{\"shortest_edge\":3}}", "crop_size"},
    {"{" VIT "\"crop_pct\":0.9}", "crop_pct"},
    {"{" VIT "\"rescale_factor\":\"1/255\"}", "rescale_factor"},
    {"{" VIT "\"image_mean\":[1,2]}", "image_mean"},
    {"{" VIT "\"image_mean\":[1,2,\"x\"]}", "image_mean"},
    {"{" VIT "\"image_mean\":[1,2,1e300]}", "image_mean"},
    {"{" VIT "\"image_std\":0}", "image_std"},
    {"{" VIT "\"image_std\":[1,1,-1]}", "-1"},
    {"{" VIT "\"do_pad\":true,\"pad_size\":{\"height\":3}}", "pad_size"},
    {"{" CONVNEXT "\"crop_pct\":0}", "crop_pct"},
    {"{" CONVNEXT "\"size\":{\"height\":9,\"width\":9}}", "shortest_edge"},
    {"{" CONVNEXT "\"do_center_crop\":true,\"crop_size\":9}", "do_center_crop"},
    {"{\"do_resize\":true,\"size\":4,\"resample\":2,\"do_rescale\":false,\"do_normalize\":false}",
     "default_to_square"},
    {"{\"do_resize\":false,\"do_rescale\":true,\"do_normalize\":false}", "rescale_factor"},
    {"{\"do_resize\":false,\"do_rescale\":false,\"do_normalize\":true}", "image_mean"},
};

static void test_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        attn_preprocess p;
        attn_error err = {0};
        if (parse(&p, refused[i].config, &err) != ATTN_BAD_FILE)
            fail_msg("%s was accepted", refused[i].config);
        if (strncmp(err.text, "p.json: ", 8) != 0 || !strstr(err.text, refused[i].names))
            fail_msg("%s: unclear message: %s", refused[i].config, err.text);
    }
    attn_preprocess p;
    assert_int_equal(parse(&p, "{" WHOLE ",\"do_thumbnail\":false,\"do_pad\":null}", NULL),
                     ATTN_OK);
}

static void test_geometry(void **state)
{
    (void)state;
    attn_preprocess p;
    attn_geometry g;
    attn_error err;
    const char *clip = "{\"image_processor_type\":\"CLIPImageProcessor\"}";
    assert_int_equal(parse(&p, clip, &err), ATTN_OK);
    assert_int_equal(attn_preprocess_geometry(&p, 448, 896, &g, &err), ATTN_OK);
    assert_true(g.height == 224 && g.width == 224 && g.resized_width == 448 && g.left == 112);
    assert_true(g.x == 224 && g.y == 0 && g.photo_width == 448 && g.photo_height == 448);
    assert_int_equal(attn_preprocess_geometry(&p, 1, 10000000, &g, &err), ATTN_LIMIT);
    assert_int_equal(attn_preprocess_geometry(&p, 0, 5, &g, &err), ATTN_BAD_INPUT);

    const char *pad = "{" VIT "\"do_resize\":false,\"do_center_crop\":true,\"crop_size\":11}";
    assert_int_equal(parse(&p, pad, &err), ATTN_OK);
    assert_int_equal(attn_preprocess_geometry(&p, 8, 20, &g, &err), ATTN_OK);
    assert_true(g.top == -2 && g.left == 4 && g.y == -2 && g.photo_height == 11);

    const char *thin = "{" VIT "\"size\":{\"max_height\":10,\"max_width\":10}}";
    assert_int_equal(parse(&p, thin, &err), ATTN_OK);
    assert_int_equal(attn_preprocess_geometry(&p, 1, 100, &g, &err), ATTN_BAD_INPUT);
}

static void test_every_allocation_fails(void **state)
{
    (void)state;
    uint8_t pixels[6 * 5 * 3];
    float chw[3 * 4 * 4];
    attn_preprocess p;
    fill_lcg(pixels, sizeof pixels, 3);
    attn_image image = {pixels, 6, 5, sizeof pixels};
    assert_int_equal(parse(&p, "{" WHOLE "}", NULL), ATTN_OK);
    attn_status status = ATTN_NO_MEMORY;
    for (long n = 0; status != ATTN_OK; n++) {
        failing f = {0, n, 0};
        attn_memory memory;
        attn_memory_init(&memory, &(attn_allocator){failing_alloc, failing_release, &f}, 0);
        status = attn_preprocess_apply(&p, &image, chw, &memory, NULL);
        assert_true(status == ATTN_OK || status == ATTN_NO_MEMORY);
        assert_int_equal(f.live, 0);
        assert_true(n < 20);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal_to_transformers),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_geometry),
        cmocka_unit_test(test_every_allocation_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
