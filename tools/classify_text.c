/* attn classify with texts: the class of each, or its entities. */
#include "tools/text_tasks.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct result {
    size_t count;
    attn_class *top;     /* of a text, or */
    text_entity *entity; /* those in it */
} result;

typedef struct job {
    const classify_text *k;
    text_model m;
    texts texts;
    const attn_port *port;
    size_t classes;
    bool per_token;
    result *result;
} job;

static attn_status take_top(job *j, size_t index, size_t item, attn_error *err)
{
    result *r = &j->result[index];
    r->top = malloc(j->k->top * sizeof *r->top);
    if (!r->top) return attn_fail(err, ATTN_NO_MEMORY, "out of memory for the classes");
    return attn_top(j->m.session, j->port->name, item, j->k->top, r->top, &r->count, err);
}

static attn_status take_entities(job *j, size_t index, size_t item, const attn_encoding *e,
                                 attn_error *err)
{
    result *r = &j->result[index];
    attn_tensor logits;
    size_t more;
    ATTN_TRY(text_model_row(&j->m, j->port->name, item, 2, &logits, err));
    float *scratch = malloc(logits.dim[1] * sizeof *scratch);
    text_entity *all =
        attn_mul(r->count + e->count + 1, sizeof *all, &more) ? realloc(r->entity, more) : NULL;
    if (all) r->entity = all;
    attn_status status = ATTN_OK;
    if (scratch && all)
        r->count += text_entities(&j->m, j->port, &logits, e, scratch, all + r->count);
    else
        status = attn_fail(err, ATTN_NO_MEMORY, "out of memory for the entities");
    free(scratch);
    return status;
}

static attn_status take(void *user, size_t index, size_t item, const attn_encoding *e,
                        attn_error *err)
{
    job *j = user;
    attn_tensor t;
    ATTN_TRY(attn_output(j->m.session, j->port->name, &t, err));
    /* One shape for all: a row of classes, or one for each token. */
    attn_tensor ids = j->m.session->input[0].value;
    j->per_token = t.rank > ids.rank;
    return j->per_token ? take_entities(j, index, item, e, err) : take_top(j, index, item, err);
}

/* ---- windows ------------------------------------------------------------------------------ */

/* Of entities that overlap, as those of two windows do, the longest in characters stays, or the
 * likeliest; as transformers' aggregate_overlapping_entities. */
static void join_windows(result *r, const char *text)
{
    size_t kept = 0;
    for (size_t i = 1; i < r->count; i++) { /* nearly in order */
        text_entity e = r->entity[i];
        size_t at = i;
        for (; at > 0 && r->entity[at - 1].first > e.first; at--) r->entity[at] = r->entity[at - 1];
        r->entity[at] = e;
    }
    for (size_t i = 0; i < r->count; i++) {
        text_entity e = r->entity[i], *last = kept ? &r->entity[kept - 1] : NULL;
        if (!last || e.first >= last->end) {
            r->entity[kept++] = e;
            continue;
        }
        size_t length = texts_characters(text + e.first, e.end - e.first);
        size_t before = texts_characters(text + last->first, last->end - last->first);
        if (length > before || (length == before && e.score > last->score)) *last = e;
    }
    r->count = kept;
}

static attn_status take_windows(job *j, size_t index, attn_error *err)
{
    const classify_text *k = j->k;
    size_t limit = k->max_length && k->max_length < j->m.limit ? k->max_length : j->m.limit, count;
    const attn_encode_options options = {.max_length = limit, .stride = k->stride};
    attn_encoding *window;
    ATTN_TRY(attn_tokenizer_windows(j->m.tokenizer, j->texts.text[index], j->texts.length[index],
                                    NULL, 0, &options, &window, &count, err));
    attn_status status = ATTN_OK;
    for (size_t i = 0; i < count && !status; i++) {
        status = text_model_run(&j->m, &window[i], 1, err);
        if (!status) status = take(j, index, 0, &window[i], err);
        if (!status && !j->per_token)
            status = attn_fail(err, ATTN_BAD_INPUT,
                               "--stride is for models that label tokens, model \"%s\" does not",
                               j->m.model->name);
    }
    attn_windows_free(j->m.tokenizer, window, count);
    if (!status && count > 1) join_windows(&j->result[index], j->texts.text[index]);
    return status;
}

/* ---- what is printed ---------------------------------------------------------------------- */

static void add_label(cJSON *entry, const char *key, const char *label)
{
    if (label)
        cJSON_AddStringToObject(entry, key, label);
    else
        cJSON_AddNullToObject(entry, key);
}

/* A text of the command line as JSON wants it: malformed bytes become "?". */
static void add_text(cJSON *entry, const char *key, const char *text, size_t length)
{
    char *copy = malloc(length + 1);
    if (!copy) return;
    memcpy(copy, text, length);
    copy[length] = 0;
    for (const char *bad; (bad = attn_json_bad_utf8(copy, length));) copy[bad - copy] = '?';
    cJSON_AddStringToObject(entry, key, copy);
    free(copy);
}

static cJSON *result_json(const job *j, size_t i)
{
    const result *r = &j->result[i];
    const char *text = j->texts.text[i];
    cJSON *root = cJSON_CreateObject();
    add_text(root, "input", text, j->texts.length[i]);
    cJSON *list = cJSON_AddArrayToObject(root, j->per_token ? "entities" : "top");
    for (size_t n = 0; n < r->count; n++) {
        cJSON *entry = cJSON_CreateObject();
        cJSON_AddItemToArray(list, entry);
        if (j->per_token) {
            const text_entity *e = &r->entity[n];
            add_label(entry, "label", e->label);
            cJSON_AddNumberToObject(entry, "score", (double)e->score);
            add_text(entry, "text", text + e->first, e->end - e->first);
            cJSON_AddNumberToObject(entry, "start", (double)texts_characters(text, e->first));
            cJSON_AddNumberToObject(entry, "end", (double)texts_characters(text, e->end));
            continue;
        }
        cJSON_AddNumberToObject(entry, "index", (double)r->top[n].index);
        add_label(entry, "label", r->top[n].label);
        cJSON_AddNumberToObject(entry, j->port->measure == ATTN_BY_NONE ? "value" : "probability",
                                (double)r->top[n].probability);
    }
    return root;
}

static void print_label(const char *label, size_t index)
{
    if (label)
        printf("%s", label);
    else
        printf("class %zu", index);
}

static void print_result(const job *j, size_t i)
{
    const result *r = &j->result[i];
    const char *text = j->texts.text[i];
    texts_print_line(text, j->texts.length[i]);
    putchar('\n');
    for (size_t n = 0; n < r->count; n++) {
        if (j->per_token) {
            const text_entity *e = &r->entity[n];
            printf("  %6.2f %%  ", 100 * (double)e->score);
            print_label(e->label, e->index);
            printf("  ");
            texts_print_line(text + e->first, e->end - e->first);
            printf("  (%zu..%zu)\n", texts_characters(text, e->first),
                   texts_characters(text, e->end));
            continue;
        }
        if (j->port->measure == ATTN_BY_NONE)
            printf("  %9.6g  ", (double)r->top[n].probability);
        else
            printf("  %6.2f %%  ", 100 * (double)r->top[n].probability);
        print_label(r->top[n].label, r->top[n].index);
        putchar('\n');
    }
}

static int print_all(const job *j)
{
    if (!j->k->c->json) {
        for (size_t i = 0; i < j->texts.count; i++) print_result(j, i);
        return EXIT_DONE;
    }
    cJSON *root = cJSON_CreateObject();
    cJSON_AddStringToObject(root, "model", j->m.model->name);
    cJSON *list = cJSON_AddArrayToObject(root, "results");
    for (size_t i = 0; i < j->texts.count; i++) cJSON_AddItemToArray(list, result_json(j, i));
    return cli_print_json(root, EXIT_DONE);
}

/* ---- the whole ---------------------------------------------------------------------------- */

static attn_status read_texts(job *j, attn_error *err)
{
    for (size_t i = 0; i < j->k->text.count; i++)
        ATTN_TRY(texts_add(&j->texts, j->k->text.item[i], strlen(j->k->text.item[i]), err));
    ATTN_TRY(texts_read(&j->texts, j->k->c, 1, j->k->file, err));
    if (j->texts.count == 0) return attn_fail(err, ATTN_BAD_INPUT, "%s has no lines", j->k->file);
    j->result = calloc(j->texts.count, sizeof *j->result);
    return j->result ? ATTN_OK : attn_fail(err, ATTN_NO_MEMORY, "out of memory for the results");
}

static attn_status run_texts(job *j, attn_error *err)
{
    ATTN_TRY(read_texts(j, err));
    ATTN_TRY(text_model_open(&j->m, j->k->c, j->k->c->argument[0], err));
    j->port = text_model_output(&j->m, ATTN_KIND_CLASSES, NULL);
    if (!j->port)
        return attn_fail(err, ATTN_BAD_MODEL, "%s: model \"%s\" has no output of kind classes",
                         j->m.model->description_name, j->m.model->name);
    for (size_t i = 0; j->k->stride && i < j->texts.count; i++) {
        ATTN_TRY(take_windows(j, i, err));
        cli_progress(j->k->c, i + 1, j->texts.count);
    }
    if (j->k->stride) return ATTN_OK;
    return text_model_each(&j->m, &j->texts, j->k->pair, j->k->c, take, j, err);
}

int classify_texts(const classify_text *k)
{
    job j = {.k = k};
    attn_error err;
    int status = run_texts(&j, &err) ? cli_error(&err) : print_all(&j);
    for (size_t i = 0; j.result && i < j.texts.count; i++) {
        free(j.result[i].top);
        free(j.result[i].entity);
    }
    free(j.result);
    texts_free(&j.texts);
    text_model_close(&j.m);
    return status;
}
