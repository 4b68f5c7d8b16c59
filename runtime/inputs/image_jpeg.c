/* JPEG by libjpeg-turbo: the same pixels as Pillow. */
#ifdef ATTN_LIBJPEG

#include "runtime/inputs/decode.h"

#include <setjmp.h>
#include <stdio.h>

#include <jerror.h>
#include <jpeglib.h>

typedef struct decoder {
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    struct jpeg_source_mgr input;
    jmp_buf escape;
    char text[JMSG_LENGTH_MAX];
    void *line; /* [width, 4]: one row of a CMYK image */
    size_t line_bytes;
} decoder;

static void on_error(j_common_ptr common)
{
    decoder *d = common->client_data;
    common->err->format_message(common, d->text);
    longjmp(d->escape, 1);
}

/* Warnings are not errors, as for Pillow; nothing is printed. */
static void on_message(j_common_ptr common)
{
    (void)common;
}

static void on_start_or_end(j_decompress_ptr jpeg)
{
    (void)jpeg;
}

static boolean on_past_end(j_decompress_ptr jpeg)
{
    ERREXIT(jpeg, JERR_INPUT_EOF);
    return FALSE;
}

static void on_skip(j_decompress_ptr jpeg, long count)
{
    if (count <= 0) return;
    if ((size_t)count > jpeg->src->bytes_in_buffer) ERREXIT(jpeg, JERR_INPUT_EOF);
    jpeg->src->next_input_byte += count;
    jpeg->src->bytes_in_buffer -= (size_t)count;
}

static void start(decoder *d, const attn_source *source)
{
    jpeg_create_decompress(&d->jpeg);
    d->jpeg.client_data = d;
    d->input = (struct jpeg_source_mgr){
        .next_input_byte = source->data,
        .bytes_in_buffer = source->size,
        .init_source = on_start_or_end,
        .fill_input_buffer = on_past_end,
        .skip_input_data = on_skip,
        .resync_to_restart = jpeg_resync_to_restart,
        .term_source = on_start_or_end,
    };
    d->jpeg.src = &d->input;
}

/* Everything that may jump to d->escape. */
static attn_status read_rows(decoder *d, attn_image *image, const attn_source *source)
{
    struct jpeg_decompress_struct *jpeg = &d->jpeg;
    jpeg_read_header(jpeg, TRUE);
    int channels = jpeg->num_components;
    if (channels != 1 && channels != 3 && channels != 4)
        return attn_fail(source->err, ATTN_BAD_FILE, "%s: JPEG with %d components", source->name,
                         channels);
    jpeg->out_color_space = channels == 4 ? JCS_CMYK : channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
    ATTN_TRY(attn_image_alloc(image, source, jpeg->image_width, jpeg->image_height));
    if (channels != 3) {
        d->line_bytes = image->width * (size_t)channels;
        ATTN_TRY(attn_alloc(source->memory, d->line_bytes, source->name, &d->line, source->err));
    }
    jpeg_start_decompress(jpeg);
    while (jpeg->output_scanline < jpeg->output_height) {
        uint8_t *out = image->pixels + (size_t)jpeg->output_scanline * image->width * 3;
        JSAMPROW row = channels == 3 ? out : d->line;
        jpeg_read_scanlines(jpeg, &row, 1);
        for (size_t x = 0; channels != 3 && x < image->width; x++, out += 3) {
            const uint8_t *in = (const uint8_t *)d->line + x * (size_t)channels;
            if (channels == 4)
                attn_cmyk_to_rgb(out, in);
            else
                out[0] = out[1] = out[2] = *in;
        }
    }
    jpeg_finish_decompress(jpeg);
    return ATTN_OK;
}

/* The frame that setjmp returns to holds nothing that changes after it. */
static attn_status read_guarded(decoder *d, attn_image *image, const attn_source *source)
{
    if (setjmp(d->escape))
        return attn_fail(source->err, ATTN_BAD_FILE, "%s: JPEG: %s", source->name, d->text);
    start(d, source);
    return read_rows(d, image, source);
}

attn_status attn_decode_jpeg(attn_image *image, const attn_source *source)
{
    decoder d = {0};
    d.jpeg.err = jpeg_std_error(&d.errors);
    d.jpeg.client_data = &d;
    d.errors.error_exit = on_error;
    d.errors.output_message = on_message;
    attn_status status = read_guarded(&d, image, source);
    attn_release(source->memory, d.line, d.line_bytes);
    jpeg_destroy_decompress(&d.jpeg);
    return status;
}

#else
typedef int attn_no_libjpeg; /* a source file is not empty */
#endif
