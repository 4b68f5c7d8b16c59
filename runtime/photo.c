/* attn_set_image: an image file through the preprocessing of an input or of the folder. */
#include "runtime/session.h"

#include <string.h>

/* The image input of that name, or the only one. */
static attn_status find_image_input(const attn_session *s, const char *name, size_t *index,
                                    attn_error *err)
{
    const attn_graph *g = &s->model->graph;
    size_t images = 0;
    for (size_t i = 0; i < g->inputs; i++) {
        if (g->input[i].kind != ATTN_KIND_IMAGE) continue;
        if (name && strcmp(name, g->input[i].name) != 0) continue;
        *index = i;
        images++;
    }
    if (images == 1) return ATTN_OK;
    return attn_fail(err, ATTN_BAD_ARGUMENT, "model \"%s\" has %zu image inputs%s%s%s",
                     s->model->name, images,
                     name     ? " named \""
                     : images ? ": name one"
                              : "",
                     name ? name : "", name ? "\"" : "");
}

attn_status attn_image_preprocess(const attn_model *m, const attn_port *port, attn_preprocess *out,
                                  attn_error *err)
{
    if (!port->preprocess && !m->preprocess_name)
        return attn_fail(err, ATTN_BAD_MODEL,
                         "%s has no preprocessor_config.json, nor input \"%s\" an \"image\", which "
                         "say how a photo becomes its pixels",
                         m->folder, port->name);
    *out = port->preprocess ? *port->preprocess : m->preprocess;
    out->channels_last = port->channels_last;
    out->bgr = port->bgr;
    out->bytes = port->dtype == ATTN_I32;
    if (out->bytes && (out->do_rescale || out->do_normalize))
        return attn_fail(err, ATTN_BAD_MODEL,
                         "%s gives numbers that are no integers, but input \"%s\" is i32",
                         m->preprocess_name, port->name);
    return ATTN_OK;
}

/* The value's shape for pixels of that size: the input's, with the batch of 1 that it may have. */
static void photo_shape(const attn_port *port, size_t height, size_t width, attn_tensor *t)
{
    const size_t chw[3] = {3, height, width}, hwc[3] = {height, width, 3};
    t->rank = 0;
    if (port->rank == 4) t->dim[t->rank++] = 1;
    memcpy(t->dim + t->rank, port->channels_last ? hwc : chw, sizeof chw);
    t->rank += 3;
}

attn_status attn_check_photo_size(const attn_model *m, const attn_port *port, size_t height,
                                  size_t width, attn_error *err)
{
    attn_tensor have;
    attn_shape_text text;
    photo_shape(port, height, width, &have);
    for (int i = 0; i < have.rank; i++)
        if (port->dim[i] > ATTN_SYMBOL_BASE && (size_t)port->dim[i] != have.dim[i])
            return attn_fail(
                err, ATTN_BAD_MODEL, "%s makes %s, but dimension %d of input \"%s\" is %ld",
                port->preprocess ? m->description_name : m->preprocess_name,
                attn_format_shape(&text, have.dim, have.rank), i, port->name, port->dim[i]);
    return ATTN_OK;
}

static attn_status preprocess(attn_session *s, size_t index, const attn_preprocess *p,
                              const attn_image *image, attn_error *err)
{
    attn_session_input *input = &s->input[index];
    const attn_port *port = &s->model->graph.input[index];
    attn_geometry geometry;
    attn_tensor value = {.dtype = p->bytes ? ATTN_U8 : ATTN_F32};
    size_t bytes;
    ATTN_TRY(attn_preprocess_geometry(p, image->height, image->width, &geometry, err));
    const size_t height = geometry.height, width = geometry.width;
    ATTN_TRY(attn_check_photo_size(s->model, port, height, width, err));
    const size_t dim[4] = {3, height, width, attn_dtype_size(value.dtype)};
    if (!attn_product(dim, 4, &bytes))
        return attn_fail(err, ATTN_LIMIT, "an input of [3, %zu, %zu] is too large", height, width);
    /* What the input was is overwritten: should the rest fail, it is not set. */
    if (input->own && input->value.data == input->own) {
        input->set = false;
        s->plan = NULL;
    }
    if (!input->own || input->own_bytes != bytes) {
        attn_release(&s->memory, input->own, input->own_bytes);
        input->own = NULL;
        input->own_bytes = 0;
        ATTN_TRY(attn_alloc(&s->memory, bytes, "the photo's pixels", &input->own, err));
        input->own_bytes = bytes;
    }
    ATTN_TRY(attn_preprocess_apply(p, image, input->own, &s->memory, err));
    value.data = input->own;
    photo_shape(port, height, width, &value);
    return attn_set_input(s, port->name, &value, err);
}

attn_status attn_set_image(attn_session *s, const char *name, const char *file, attn_error *err)
{
    size_t index = 0;
    attn_image image;
    ATTN_TRY(find_image_input(s, name, &index, err));
    attn_preprocess p;
    ATTN_TRY(attn_image_preprocess(s->model, &s->model->graph.input[index], &p, err));
    ATTN_TRY(attn_image_load(&image, file, &s->memory, err));
    attn_status status = preprocess(s, index, &p, &image, err);
    attn_image_free(&image, &s->memory);
    return status;
}
