#include "tools/picture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

/* stb_image_write writes through NULL when its realloc fails. So its memory is an arena, from which
 * a failure jumps out of the encoder; the arena is then freed as a whole. */
static _Thread_local struct {
    attn_arena arena;
    attn_error *err;
    jmp_buf failed;
} encoder;

static void *encoder_alloc(size_t size)
{
    void *memory = attn_arena_get(&encoder.arena, 1, size, encoder.err);
    if (!memory) longjmp(encoder.failed, 1);
    return memory;
}

static void *encoder_realloc(const void *old, size_t old_size, size_t size)
{
    void *memory = encoder_alloc(size);
    if (old) memcpy(memory, old, old_size < size ? old_size : size);
    return memory;
}

#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#define STBIW_ASSERT(condition) ((void)0)
#define STBIW_MALLOC(size) encoder_alloc((size_t)(size))
#define STBIW_REALLOC_SIZED(old, old_size, size)                                                   \
    encoder_realloc(old, (size_t)(old_size), (size_t)(size))
#define STBIW_FREE(memory) ((void)(memory))
#include <stb/stb_image_write.h>

typedef struct png_file {
    const char *path;
    attn_status status;
    attn_error *err;
} png_file;

/* Gets the whole PNG in one call. */
static void write_file(void *context, void *data, int size)
{
    png_file *out = context;
    FILE *file = fopen(out->path, "wb");
    if (!file) {
        out->status =
            attn_fail(out->err, ATTN_IO, "%s: cannot be written: %s", out->path, strerror(errno));
        return;
    }
    errno = 0;
    bool written = fwrite(data, 1, (size_t)size, file) == (size_t)size;
    int reason = errno;
    if (fclose(file) != 0 && written) {
        written = false;
        reason = errno;
    }
    if (written) {
        out->status = ATTN_OK;
        return;
    }
    out->status = attn_fail(out->err, ATTN_IO, "%s: writing %d bytes failed: %s", out->path, size,
                            strerror(reason));
}

attn_status picture_write_png(const picture *p, const char *path, attn_error *err)
{
    png_file out = {path, ATTN_NO_MEMORY, err};
    attn_arena_init(&encoder.arena, p->memory);
    encoder.err = err;
    if (setjmp(encoder.failed) == 0)
        stbi_write_png_to_func(write_file, &out, p->width, p->height, 3, p->pixels, p->width * 3);
    attn_arena_free(&encoder.arena);
    return out.status;
}
