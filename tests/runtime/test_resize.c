/* Resizing against Pillow and OpenCV: tests/golden/images/resize.txt, resize_opencv.txt. */
#include "runtime/inputs/resize.h"

#include "tests/runtime/golden_images.h"

#include <inttypes.h>
#include <string.h>

static void test_equal_to_pillow(void **state)
{
    (void)state;
    FILE *f = fopen("tests/golden/images/resize.txt", "r");
    assert_non_null(f);
    attn_memory memory;
    attn_memory_init(&memory, NULL, 0);
    char line[256];
    int cases = 0;
    while (fgets(line, sizeof line, f)) {
        if (*line == '#') continue;
        size_t iw, ih, ow, oh;
        unsigned seed;
        uint64_t want[ATTN_FILTER_COUNT];
        assert_int_equal(sscanf(line,
                                "%zu %zu %zu %zu %u %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64
                                " %" SCNx64 " %" SCNx64,
                                &iw, &ih, &ow, &oh, &seed, &want[0], &want[1], &want[2], &want[3],
                                &want[4], &want[5]),
                         11);
        uint8_t *in = malloc(iw * ih * 3), *out = malloc(ow * oh * 3);
        fill_lcg(in, iw * ih * 3, seed);
        for (int filter = 0; filter < ATTN_FILTER_COUNT; filter++) {
            memset(out, 0xa5, ow * oh * 3);
            attn_error err;
            assert_int_equal(
                attn_resize(out, oh, ow, in, ih, iw, (attn_filter)filter, &memory, &err), ATTN_OK);
            if (fnv1a(out, ow * oh * 3) != want[filter])
                fail_msg("%zux%zu to %zux%zu, filter %d differs from Pillow", iw, ih, ow, oh,
                         filter);
        }
        free(in);
        free(out);
        cases++;
    }
    fclose(f);
    assert_int_equal(memory.used, 0);
    assert_true(cases >= 200);
}

static void test_equal_to_opencv(void **state)
{
    (void)state;
    FILE *f = fopen("tests/golden/images/resize_opencv.txt", "r");
    assert_non_null(f);
    attn_memory memory;
    attn_memory_init(&memory, NULL, 0);
    char line[256];
    int cases = 0;
    while (fgets(line, sizeof line, f)) {
        if (*line == '#') continue;
        size_t iw, ih, ow, oh;
        unsigned seed;
        uint64_t want;
        attn_error err;
        assert_int_equal(
            sscanf(line, "%zu %zu %zu %zu %u %" SCNx64, &iw, &ih, &ow, &oh, &seed, &want), 6);
        uint8_t *in = malloc(iw * ih * 3), *out = malloc(ow * oh * 3);
        fill_lcg(in, iw * ih * 3, seed);
        assert_int_equal(
            attn_resize(out, oh, ow, in, ih, iw, ATTN_FILTER_OPENCV_LINEAR, &memory, &err),
            ATTN_OK);
        if (fnv1a(out, ow * oh * 3) != want)
            fail_msg("%zux%zu to %zux%zu differs from OpenCV", iw, ih, ow, oh);
        free(in);
        free(out);
        cases++;
    }
    fclose(f);
    assert_int_equal(memory.used, 0);
    assert_true(cases >= 150);
}

static void test_refused(void **state)
{
    (void)state;
    attn_memory memory;
    attn_memory_init(&memory, NULL, 0);
    attn_error err;
    uint8_t pixel[12] = {0}, out[12];
    assert_int_equal(attn_resize(out, 0, 1, pixel, 1, 1, ATTN_FILTER_BOX, &memory, &err),
                     ATTN_BAD_ARGUMENT);
    assert_int_equal(attn_resize(out, 1, 1, pixel, 1, 0, ATTN_FILTER_BOX, &memory, &err),
                     ATTN_BAD_ARGUMENT);
    assert_int_equal(
        attn_resize(out, (size_t)1 << 40, 1, pixel, 1, 1, ATTN_FILTER_BOX, &memory, &err),
        ATTN_BAD_ARGUMENT);
    assert_int_equal(attn_resize(out, 2, 2, pixel, 1, 1, (attn_filter)6, &memory, &err),
                     ATTN_BAD_ARGUMENT);
    memory.limit = 16;
    assert_int_equal(attn_resize(out, 2, 2, pixel, 1, 1, ATTN_FILTER_BICUBIC, &memory, &err),
                     ATTN_LIMIT);
    assert_int_equal(memory.used, 0);
}

static void test_every_allocation_fails(void **state)
{
    (void)state;
    uint8_t in[5 * 7 * 3], out[9 * 4 * 3];
    fill_lcg(in, sizeof in, 1);
    for (int filter = 0; filter < ATTN_FILTER_COUNT; filter++) {
        attn_status status = ATTN_NO_MEMORY;
        for (long n = 0; status != ATTN_OK; n++) {
            failing f = {0, n, 0};
            attn_memory memory;
            attn_memory_init(&memory, &(attn_allocator){failing_alloc, failing_release, &f}, 0);
            status = attn_resize(out, 9, 4, in, 7, 5, (attn_filter)filter, &memory, NULL);
            assert_true(status == ATTN_OK || status == ATTN_NO_MEMORY);
            assert_int_equal(f.live, 0);
            assert_int_equal(memory.used, 0);
            assert_true(n < 20);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal_to_pillow),
        cmocka_unit_test(test_equal_to_opencv),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_every_allocation_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
