#include "tools/explain.h"

#include "tools/attention_view.h"
#include "tools/rollout.h"

#include "runtime/inputs/image.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { MAX_SPECIAL = 8 }; /* tokens that are no patch: CLS, distillation, registers */

typedef struct gathered {
    attention_map *map; /* those of shape [heads, queries, keys], in graph order */
    size_t maps, room;
    const float *pooling; /* [tokens] */
    size_t tokens;
} gathered;

/* The maps of the last run; of a batch, the first item's. */
static attn_status gather(const attn_session *s, gathered *g, attn_error *err)
{
    void *memory;
    *g = (gathered){.room = attn_map_count(s)};
    ATTN_TRY(attn_alloc(cli_memory(), g->room * sizeof *g->map, "the maps", &memory, err));
    g->map = memory;
    for (size_t i = 0; i < g->room; i++) {
        const attn_plan_value *v = &s->plan->value[s->plan->kept_map[i].value];
        const size_t *dim = v->shape.dim;
        int rank = v->shape.rank;
        attn_map map;
        ATTN_TRY(attn_get_map(s, i, &map, err));
        for (; rank > 3 && *dim == 1; rank--) dim++; /* a batch of the model's own */
        if (rank == 3) {
            g->map[g->maps++] = (attention_map){map.node, dim[0], dim[1], dim[2], map.weights.data};
        } else if (rank == 1) {
            g->pooling = map.weights.data;
            g->tokens = v->count;
        }
    }
    if (g->maps) return ATTN_OK;
    return attn_fail(err, ATTN_BAD_MODEL, "model \"%s\" has no attention layer to show",
                     s->model->name);
}

static void release(gathered *g)
{
    attn_release(cli_memory(), g->map, g->room * sizeof *g->map);
}

/* The grid that the tokens were made of: the size of the last feature map with about as many
 * places, or of the patches. */
static bool find_grid(const attn_session *s, size_t tokens, size_t *rows, size_t *cols)
{
    for (size_t i = s->plan->steps; i-- > 0;) {
        const attn_plan_step *step = &s->plan->step[i];
        if (step->node->layer->step != ATTN_STEP_ENCODE) continue;
        const attn_shape *out = &step->out[0].shape, *in = &step->in[0].shape;
        if (out->rank == 3 || (out->rank == 4 && out->dim[0] == 1)) {
            *rows = out->dim[out->rank - 2];
            *cols = out->dim[out->rank - 1];
            size_t places = *rows * *cols;
            if (places > 1 && places <= tokens && tokens - places <= MAX_SPECIAL) return true;
        } else if (out->rank == 2 && step->node->inputs && in->rank == 3) {
            size_t patches = out->dim[0];
            for (size_t side = 1; side <= in->dim[1]; side++) {
                *rows = in->dim[1] / side;
                *cols = in->dim[2] / side;
                if (*rows * *cols == patches && patches <= tokens &&
                    tokens - patches <= MAX_SPECIAL)
                    return true;
            }
        }
    }
    return false;
}

static attn_status set_scene(const attn_session *s, const gathered *g, const attn_image *image,
                             view_scene *scene, attn_error *err)
{
    const attention_map *last = &g->map[g->maps - 1];
    *scene = (view_scene){.memory = cli_memory(),
                          .photo = {image->pixels, image->width, image->height},
                          .tokens = g->tokens};
    /* Weights of other tokens than the last layer's say nothing about its queries. */
    if (g->tokens == last->queries) scene->pooling = g->pooling;
    if (!find_grid(s, last->keys, &scene->rows, &scene->cols))
        return attn_fail(err, ATTN_BAD_MODEL, "model \"%s\": its %zu tokens are no grid of patches",
                         s->model->name, last->keys);
    const attn_graph *graph = &s->model->graph;
    const attn_port *port = NULL;
    attn_preprocess preprocess;
    attn_geometry seen;
    for (size_t i = 0; i < graph->inputs && !port; i++)
        if (graph->input[i].kind == ATTN_KIND_IMAGE) port = &graph->input[i];
    if (!port)
        return attn_fail(err, ATTN_BAD_MODEL, "model \"%s\" has no image input", s->model->name);
    ATTN_TRY(attn_image_preprocess(s->model, port, &preprocess, err));
    ATTN_TRY(attn_preprocess_geometry(&preprocess, image->height, image->width, &seen, err));
    scene->seen = (picture_region){seen.x, seen.y, seen.photo_width, seen.photo_height};
    return ATTN_OK;
}

/* Rollout needs layers over the same tokens; without that, the last layer speaks. */
static bool can_roll(const gathered *g)
{
    for (size_t i = 0; i < g->maps; i++)
        if (g->map[i].queries != g->map[i].keys || g->map[i].keys != g->map[0].keys) return false;
    return true;
}

static attn_status draw_summary(const view_scene *scene, const gathered *g, const char *title,
                                const char *path, attn_error *err)
{
    if (can_roll(g)) return view_rollout(path, scene, g->map, g->maps, title, err);
    size_t bytes = scene->rows * scene->cols * sizeof(double);
    void *memory;
    ATTN_TRY(attn_alloc(cli_memory(), bytes, "a heat map", &memory, err));
    attn_status status = view_importance(scene, &g->map[g->maps - 1], VIEW_ALL_HEADS, memory, err);
    if (!status) status = view_heatmap(path, scene, memory, title, err);
    attn_release(cli_memory(), memory, bytes);
    return status;
}

attn_status explain_heatmap(const attn_session *s, const char *photo, const char *title,
                            const char *path, attn_error *err)
{
    gathered g;
    attn_image image = {0};
    view_scene scene;
    attn_status status = gather(s, &g, err);
    if (!status) status = attn_image_load(&image, photo, cli_memory(), err);
    if (!status) status = set_scene(s, &g, &image, &scene, err);
    if (!status) status = draw_summary(&scene, &g, title, path, err);
    attn_image_free(&image, cli_memory());
    release(&g);
    return status;
}

attn_status explain_reading(const attn_session *s, const char *photo,
                            const attn_character *character, size_t count, size_t rows,
                            const char *title, const char *path, attn_error *err)
{
    gathered g;
    attn_image image = {0};
    view_scene scene;
    void *memory = NULL;
    attn_status status = gather(s, &g, err);
    while (!status && g.maps && g.map[g.maps - 1].queries != rows) g.maps--;
    if (!status && !g.maps)
        status = attn_fail(err, ATTN_BAD_MODEL,
                           "model \"%s\" has no attention of %zu queries, one for each row of its "
                           "text",
                           s->model->name, rows);
    g.tokens = 0;
    if (!status) status = attn_image_load(&image, photo, cli_memory(), err);
    if (!status) status = set_scene(s, &g, &image, &scene, err);
    size_t bytes = count * sizeof(view_character);
    if (!status) status = attn_alloc(cli_memory(), bytes, "the text", &memory, err);
    view_character *shown = memory;
    for (size_t i = 0; !status && i < count; i++)
        shown[i] =
            (view_character){character[i].text, character[i].row, (double)character[i].probability};
    scene.pooling = NULL;
    if (!status) status = view_reading(path, &scene, &g.map[g.maps - 1], shown, count, title, err);
    attn_release(cli_memory(), memory, bytes);
    attn_image_free(&image, cli_memory());
    release(&g);
    return status;
}

/* ---- the folder of explain ---------------------------------------------------------------- */

static attn_status draw_photo(const attn_session *s, const gathered *g, const char *photo,
                              const char *title, const char *folder,
                              void (*written)(const char *path), attn_error *err)
{
    attn_image image = {0};
    view_scene scene;
    char path[1024];
    ATTN_TRY(attn_image_load(&image, photo, cli_memory(), err));
    attn_status status = set_scene(s, g, &image, &scene, err);
    if (!status) {
        snprintf(path, sizeof path, "%s/summary.png", folder);
        status = draw_summary(&scene, g, title, path, err);
        if (!status) written(path);
    }
    if (!status) {
        snprintf(path, sizeof path, "%s/layers.png", folder);
        status = view_sheet(path, &scene, g->map, g->maps, title, err);
        if (!status) written(path);
    }
    attn_image_free(&image, cli_memory());
    return status;
}

/* One picture per map, named by its place in the graph and its layer. */
static attn_status draw_matrices(const gathered *g, const char *folder,
                                 void (*written)(const char *path), attn_error *err)
{
    for (size_t i = 0; i < g->maps; i++) {
        char path[1024], name[64];
        snprintf(name, sizeof name, "%s", g->map[i].name);
        for (char *c = name; *c; c++)
            if (!isalnum((unsigned char)*c)) *c = '_';
        for (size_t head = 0; head < g->map[i].heads; head++) {
            snprintf(path, sizeof path, "%s/%02zu_%s_head%zu.png", folder, i, name, head);
            ATTN_TRY(
                view_matrix(path, cli_memory(), &g->map[i], head, NULL, NULL, g->map[i].name, err));
            written(path);
        }
    }
    return ATTN_OK;
}

attn_status explain_all(const attn_session *s, const char *photo, const char *title,
                        const char *folder, void (*written)(const char *path), attn_error *err)
{
    gathered g;
    attn_status status = gather(s, &g, err);
    if (!status)
        status = photo ? draw_photo(s, &g, photo, title, folder, written, err)
                       : draw_matrices(&g, folder, written, err);
    release(&g);
    return status;
}
