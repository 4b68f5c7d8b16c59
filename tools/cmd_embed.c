/* attn embed: texts or images as vectors. */
#include "runtime/inputs/npy.h"
#include "tools/texts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct embed {
    cli c;
    const char *file, *out, *prompt;
    texts inputs;
    const char *model;
    size_t size; /* of a vector */
} embed;

static int print_json(const embed *k, const float *vectors)
{
    cJSON *root = cJSON_CreateObject(), *list = cJSON_CreateArray();
    cJSON_AddStringToObject(root, "model", k->model);
    cJSON_AddNumberToObject(root, "size", (double)k->size);
    for (size_t i = 0; i < k->inputs.count; i++) {
        attn_tensor vector = {.dtype = ATTN_F32, .rank = 1, .dim = {k->size}};
        vector.data = (void *)(vectors + i * k->size);
        cJSON_AddItemToArray(list, cli_tensor_json(&vector));
    }
    cJSON_AddItemToObject(root, "vectors", list);
    return cli_print_json(root, EXIT_DONE);
}

/* vectors: [inputs, size]. */
static int print_vectors(const embed *k, const float *vectors, attn_error *err)
{
    if (k->out) {
        attn_tensor all = {.dtype = ATTN_F32, .rank = 2, .dim = {k->inputs.count, k->size}};
        all.data = (void *)vectors;
        if (attn_npy_write(k->out, &all, err)) return cli_error(err);
        if (!k->c.quiet) fprintf(stderr, "attn: wrote %s\n", k->out);
        return EXIT_DONE;
    }
    if (k->c.json) return print_json(k, vectors);
    for (size_t i = 0; i < k->inputs.count; i++)
        for (size_t j = 0; j < k->size; j++)
            printf("%.9g%c", (double)vectors[i * k->size + j], j + 1 < k->size ? ' ' : '\n');
    return EXIT_DONE;
}

static int embed_texts(embed *k, attn_error *err)
{
    attn_embedder *embedder;
    const float *vectors;
    attn_model_options model = cli_model_options(&k->c);
    attn_session_options session = {.threads = k->c.threads};
    if (attn_embedder_open(&embedder, k->c.argument[0], &model, &session, err))
        return cli_error(err);
    k->model = attn_model_name(attn_embedder_model(embedder));
    const char *notice = attn_model_notice(attn_embedder_model(embedder));
    if (notice && !k->c.quiet) fprintf(stderr, "attn: %s\n", notice);
    int status = attn_embedder_run(embedder, k->inputs.text, k->inputs.length, k->inputs.count,
                                   k->prompt, &vectors, &k->size, err)
                     ? cli_error(err)
                     : print_vectors(k, vectors, err);
    attn_embedder_close(embedder);
    return status;
}

/* The vector of one image after the others; *vectors grows once its size is known. */
static attn_status embed_image(embed *k, attn_session *session, const char *output, size_t i,
                               float **vectors, attn_error *err)
{
    attn_tensor t;
    size_t count;
    ATTN_TRY(attn_set_image(session, NULL, k->inputs.text[i], err));
    ATTN_TRY(attn_prepare(session, err));
    ATTN_TRY(attn_run(session, err));
    ATTN_TRY(attn_output(session, output, &t, err));
    if (t.dtype != ATTN_F32 || !attn_product(t.dim, t.rank, &count) || count == 0 ||
        (*vectors && count != k->size))
        return attn_fail(err, ATTN_BAD_MODEL, "%s: output \"%s\" is no vector", k->inputs.text[i],
                         output);
    k->size = count;
    if (!*vectors) *vectors = calloc(k->inputs.count, count * sizeof **vectors);
    if (!*vectors) return attn_fail(err, ATTN_NO_MEMORY, "out of memory for the vectors");
    memcpy(*vectors + i * count, t.data, count * sizeof **vectors);
    return ATTN_OK;
}

static int embed_images(embed *k, attn_error *err)
{
    attn_model *model;
    attn_session *session;
    const char *output = NULL;
    float *vectors = NULL;
    if (cli_open(&k->c, k->c.argument[0], NULL, &model, &session, err)) return cli_error(err);
    k->model = attn_model_name(model);
    for (size_t i = 0; i < model->graph.outputs && !output; i++)
        if (model->graph.output[i].kind == ATTN_KIND_EMBEDDING)
            output = model->graph.output[i].name;
    attn_status status = ATTN_OK;
    if (!output)
        status = attn_fail(err, ATTN_BAD_MODEL, "%s: model \"%s\" has no output of kind embedding",
                           model->description_name, model->name);
    for (size_t i = 0; i < k->inputs.count && !status; i++) {
        status = embed_image(k, session, output, i, &vectors, err);
        cli_progress(&k->c, i + 1, k->inputs.count);
    }
    int result = status ? cli_error(err) : print_vectors(k, vectors, err);
    free(vectors);
    attn_session_close(session);
    attn_model_close(model);
    return result;
}

int cmd_embed(int argc, char **argv)
{
    embed k = {.c = {.command = "embed",
                     .usage = "MODEL TEXT...|IMAGE... [--file LINES.txt|-] [--prompt NAME] [--out "
                              "OUT.npy]"}};
    const cli_option options[] = {{"--file", CLI_TEXT, &k.file, 0, 0},
                                  {"--out", CLI_TEXT, &k.out, 0, 0},
                                  {"--prompt", CLI_TEXT, &k.prompt, 0, 0},
                                  {0}};
    int status;
    attn_error err;
    if (!cli_options(&k.c, argc, argv, options, &status)) return status;
    if (k.c.count < 1 || (k.c.count < 2 && !k.file))
        return cli_usage(&k.c, "a model and at least one text or image are needed");
    if (texts_read(&k.inputs, &k.c, 1, k.file, &err))
        status = cli_error(&err);
    else if (k.inputs.count == 0)
        status = cli_usage(&k.c, "%s has no lines", k.file);
    else
        status = texts_model_sees(k.c.argument[0]) ? embed_images(&k, &err) : embed_texts(&k, &err);
    texts_free(&k.inputs);
    return status;
}
