/* Decoding against Pillow (tests/golden/images), and hostile files. */
#include "runtime/base/file.h"
#include "runtime/inputs/exif.h"
#include "runtime/inputs/image.h"

#include "tests/runtime/golden_images.h"

#include <inttypes.h>
#include <string.h>

#define FOLDER "tests/golden/images/"

static attn_memory memory;

static int set_up(void **state)
{
    (void)state;
    attn_memory_init(&memory, NULL, 0);
    return 0;
}

/* Calls visit for the first word of every line of a list of files. */
static int each_file(const char *list, void (*visit)(const char *path, const char *line))
{
    FILE *f = fopen(list, "r");
    assert_non_null(f);
    char line[256], name[100], path[200];
    int count = 0;
    while (fgets(line, sizeof line, f)) {
        if (*line == '#') continue;
        assert_int_equal(sscanf(line, "%99s", name), 1);
        snprintf(path, sizeof path, FOLDER "files/%s", name);
        visit(path, line);
        count++;
    }
    fclose(f);
    assert_int_equal(memory.used, 0);
    return count;
}

static void check_exact(const char *path, const char *line)
{
    size_t width, height;
    uint64_t want;
    attn_image image;
    attn_error err = {0};
    assert_int_equal(sscanf(line, "%*s %zu %zu %" SCNx64, &width, &height, &want), 3);
    if (attn_image_load(&image, path, &memory, &err)) fail_msg("%s", err.text);
    if (image.width != width || image.height != height ||
        fnv1a(image.pixels, width * height * 3) != want)
        fail_msg("%s: differs from Pillow (%zu x %zu; it has %zu x %zu)", path, image.width,
                 image.height, width, height);
    attn_image_free(&image, &memory);
}

static void test_equal_to_pillow(void **state)
{
    (void)state;
    assert_true(each_file(FOLDER "decode.txt", check_exact) >= 60);
}

static void check_jpeg(const char *path, const char *line)
{
    (void)line;
    char png[220];
    attn_image image, want;
    attn_error err = {0};
    snprintf(png, sizeof png, "%s.png", path);
    if (attn_image_load(&image, path, &memory, &err)) fail_msg("%s", err.text);
    if (attn_image_load(&want, png, &memory, &err)) fail_msg("%s", err.text);
    if (image.width != want.width || image.height != want.height)
        fail_msg("%s: %zu x %zu, Pillow has %zu x %zu", path, image.width, image.height, want.width,
                 want.height);
    int most = 0;
    double sum = 0;
    for (size_t i = 0; i < want.width * want.height * 3; i++) {
        int d = abs(image.pixels[i] - want.pixels[i]);
        sum += d;
        if (d > most) most = d;
    }
#ifdef ATTN_LIBJPEG
    const int limit = 0;
#else
    const int limit = 8;
#endif
    if (most > limit) fail_msg("%s: differs from Pillow by up to %d levels", path, most);
    assert_true(sum / (double)(want.width * want.height * 3) < 0.5);
    attn_image_free(&image, &memory);
    attn_image_free(&want, &memory);
}

static void test_jpeg(void **state)
{
    (void)state;
    assert_true(each_file(FOLDER "jpeg.txt", check_jpeg) >= 15);
}

/* Anything may come back, but with a message of one line and nothing left allocated. */
static bool try_decode(const void *data, size_t size)
{
    /* A copy of exact size: the sanitizer sees a read past the end. */
    uint8_t *copy = malloc(size ? size : 1);
    memcpy(copy, data, size);
    attn_image image;
    attn_error err = {0};
    attn_status status = attn_image_decode(&image, "hostile", copy, size, &memory, &err);
    free(copy);
    if (status) {
        assert_null(image.pixels);
        assert_true(strncmp(err.text, "hostile: ", 9) == 0 || status == ATTN_LIMIT);
        assert_null(strchr(err.text, '\n'));
    }
    attn_image_free(&image, &memory);
    assert_int_equal(memory.used, 0);
    return status == ATTN_OK;
}

static void check_mutations(const char *path, const char *line)
{
    (void)line;
    attn_file file;
    assert_int_equal(attn_file_map(&file, path, NULL), ATTN_OK);
    const uint8_t *data = file.data;
    size_t step = file.size > 400 ? file.size / 150 : 1;
    memory.limit = 64 << 20;
    for (size_t n = 0; n < file.size; n += step) try_decode(data, n);
    assert_false(try_decode(data, file.size / 2));
    uint8_t *changed = malloc(file.size);
    uint32_t x = 1;
    for (int round = 0; round < 150; round++) {
        memcpy(changed, data, file.size);
        for (int k = 0; k <= round % 4; k++) {
            x = x * 1664525u + 1013904223u;
            size_t at = (x >> 8) % (round % 2 ? file.size : file.size < 64 ? file.size : 64);
            changed[at] = (uint8_t)(x >> 24);
        }
        try_decode(changed, file.size);
    }
    free(changed);
    memory.limit = 0;
    attn_file_unmap(&file);
}

static void test_mutations(void **state)
{
    (void)state;
    each_file(FOLDER "decode.txt", check_mutations);
    each_file(FOLDER "jpeg.txt", check_mutations);
}

#define HOSTILE(text)                                                                              \
    {                                                                                              \
        text, sizeof text - 1                                                                      \
    }
#define IHDR(w, h, depth, color) "\x89PNG\r\n\x1a\n\0\0\0\rIHDR" w h depth color "\0\0\0\1\2\3\4"
#define IEND "\0\0\0\0IEND\1\2\3\4"

static const struct {
    const char *data;
    size_t size;
} hostile[] = {
    HOSTILE(""),
    HOSTILE("x"),
    HOSTILE("\x89PNG\r\n\x1a\n"),
    HOSTILE("\x89PNG\r\n\x1a\n\0\0\0\4CgBI1234\1\2\3\4\0\0\0\rIHDR"),
    HOSTILE(IHDR("\0\0\0\0", "\0\0\0\1", "\10", "\2") IEND),
    HOSTILE(IHDR("\0\xff\xff\xff", "\0\xff\xff\xff", "\10", "\2") IEND),
    HOSTILE(IHDR("\xff\xff\xff\xff", "\0\0\0\1", "\10", "\2") IEND),
    HOSTILE(IHDR("\0\0\0\1", "\0\0\0\1", "\7", "\2") IEND),
    HOSTILE(IHDR("\0\0\0\1", "\0\0\0\1", "\10", "\3") IEND),
    HOSTILE(IHDR("\0\0\0\1", "\0\0\0\1", "\10", "\2") IEND),
    HOSTILE(IHDR("\0\0\0\1", "\0\0\0\1", "\10", "\2") "\xff\xff\xff\xffIDAT"),
    HOSTILE(IHDR("\0\0\0\1", "\0\0\0\1", "\10", "\3") "\0\0\3\3PLTE"),
    HOSTILE("\xff\xd8\xff"),
    HOSTILE("\xff\xd8\xff\xe1\0\0"),
    HOSTILE("\xff\xd8\xff\xc0\0\x11\10\xff\xff\xff\xff\3\1\x22\0\2\x11\1\3\x11\1\xff\xd9"),
    HOSTILE("\xff\xd8\xff\xc0\0\x11\10\0\0\0\0\3\1\x22\0\2\x11\1\3\x11\1\xff\xd9"),
    HOSTILE("\xff\xd8\xff\xc0\0\x14\10\0\1\0\1\4\1\x11\0\2\x11\0\3\x11\0\4\x11\0\xff\xd9"),
    HOSTILE("GIF89a"),
    HOSTILE("GIF89a\xff\xff\xff\xff\0\0\0\x2c\0\0\0\0\xff\xff\xff\xff\0\2\2\x44\1\0\x3b"),
    HOSTILE("GIF89a\1\0\1\0\0\0\0\x2c\0\0\0\0\2\0\2\0\0\2\2\x44\1\0\x3b"),
    HOSTILE("GIF89a\1\0\1\0\0\0\0\x2c\0\0\0\0\1\0\1\0\0\xff\2\x44\1\0\x3b"),
    HOSTILE("GIF89a\1\0\1\0\x80\0\0\x21\xf9\4\1\0\0\xff\0\x21\xfe\xff"),
    HOSTILE("BM"),
    HOSTILE("BM\0\0\0\0\0\0\0\0\xff\xff\xff\xff\x28\0\0\0\1\0\0\0\1\0\0\0\1\0\x18\0\0\0\0\0"),
    HOSTILE("BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\xff\xff\xff\x7f\xff\xff\xff\x7f\1\0\x18\0"
            "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
    HOSTILE("BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\4\0\0\0\4\0\0\0\1\0\10\0"
            "\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
    HOSTILE("BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\4\0\0\0\0\0\0\x80\1\0\x18\0"
            "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
    HOSTILE("P6\n1 1\n"),
    HOSTILE("P6\n1 1\n0\n123"),
    HOSTILE("P6\n1 1\n65536\n123456"),
    HOSTILE("P6\n99999 99999\n255\n123"),
    HOSTILE("P5\n99999999999999999999 1\n255\n1"),
    HOSTILE("P5\n0 1\n255\n1"),
    HOSTILE("P1\n1 1\n1\n"),
    HOSTILE("P6 #"),
    HOSTILE("\0\0\2\0\0\0\0\0\0\0\0\0\xff\xff\xff\xff\x18\0\1\2\3"),
    HOSTILE("\0\0\2\0\0\0\0\0\0\0\0\0\0\0\1\0\x18\0\1\2\3"),
    HOSTILE("\xff\0\2\0\0\0\0\0\0\0\0\0\1\0\1\0\x18\0\1\2\3"),
    HOSTILE("\0\1\1\0\0\xff\xff\x18\0\0\0\0\1\0\1\0\10\0\1\2\3"),
    HOSTILE("\0\0\x0a\0\0\0\0\0\0\0\0\0\2\0\2\0\x18\0\xff\1\2"),
    HOSTILE("RIFF\1\2\3\4WEBPVP8 "),
    HOSTILE("II*\0\10\0\0\0"),
    HOSTILE("\0\0\0\x20"
            "ftypavif"),
    HOSTILE("<svg xmlns=\"http://www.w3.org/2000/svg\"></svg>"),
};

static void test_hostile(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++)
        if (try_decode(hostile[i].data, hostile[i].size))
            fail_msg("hostile file %zu was decoded", i);
    attn_image image;
    attn_error err;
    assert_int_equal(attn_image_decode(&image, "big", IHDR("\0\0\x40\0", "\0\0\x40\0", "\10", "\2"),
                                       33, &memory, &err),
                     ATTN_LIMIT);
    assert_string_equal(err.text,
                        "big: 16384 x 16384 pixels, at most 178956970 in all are decoded");
    assert_int_equal(attn_image_load(&image, "tests/no such file", &memory, &err), ATTN_IO);
}

static void check_allocations(const char *path, const char *line)
{
    (void)line;
    attn_status status = ATTN_NO_MEMORY;
    for (long n = 0; status != ATTN_OK; n++) {
        failing f = {0, n, 0};
        attn_memory m;
        attn_memory_init(&m, &(attn_allocator){failing_alloc, failing_release, &f}, 0);
        attn_image image;
        status = attn_image_load(&image, path, &m, NULL);
        assert_true(status == ATTN_OK || status == ATTN_NO_MEMORY);
        attn_image_free(&image, &m);
        assert_int_equal(f.live, 0);
        assert_int_equal(m.used, 0);
        assert_true(n < 200);
    }
}

static void test_every_allocation_fails(void **state)
{
    (void)state;
    each_file(FOLDER "decode.txt", check_allocations);
    each_file(FOLDER "jpeg.txt", check_allocations);
}

static void test_orientation(void **state)
{
    (void)state;
    static const uint8_t cut[] = "\xff\xd8\xff\xe1\0\x10"
                                 "Exif\0\0MM\0*\xff\xff\xff\xff";
    for (size_t n = 0; n <= sizeof cut; n++) assert_int_equal(attn_exif_orientation(cut, n), 1);
    static const uint8_t nine[] = "\xff\xd8\xff\xe1\0\x22"
                                  "Exif\0\0II*\0\10\0\0\0\1\0"
                                  "\x12\1\3\0\1\0\0\0\11\0\0\0\0\0\0\0\0\0";
    assert_int_equal(attn_exif_orientation(nine, sizeof nine), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_equal_to_pillow, set_up),
        cmocka_unit_test_setup(test_jpeg, set_up),
        cmocka_unit_test_setup(test_mutations, set_up),
        cmocka_unit_test_setup(test_hostile, set_up),
        cmocka_unit_test_setup(test_every_allocation_fails, set_up),
        cmocka_unit_test_setup(test_orientation, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
