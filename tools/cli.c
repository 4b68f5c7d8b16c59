#define _POSIX_C_SOURCE 200809L

#include "tools/cli.h"

#include <errno.h>
#include <float.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int cli_error(const attn_error *err)
{
    fprintf(stderr, "attn: %s\n", err->text);
    return EXIT_BAD;
}

int cli_refused(cJSON *results, const char *input, const attn_error *err)
{
    if (results) {
        cJSON *result = cJSON_CreateObject();
        cJSON_AddStringToObject(result, "input", input);
        cJSON_AddStringToObject(result, "error", err->text);
        cJSON_AddItemToArray(results, result);
    }
    return cli_error(err);
}

int cli_usage(const cli *c, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "attn %s: ", c->command);
    vfprintf(stderr, format, args);
    fprintf(stderr, "\nusage: attn %s %s\n", c->command, c->usage);
    va_end(args);
    return EXIT_USAGE;
}

/* A whole number; with a suffix K, M or G (powers of 1024) if `units`. */
static bool parse_size(const char *text, bool units, size_t *out)
{
    char *end;
    if (*text < '0' || *text > '9') return false;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (errno || number > SIZE_MAX) return false;
    size_t shift = 0;
    if (units && *end) {
        const char *unit = strchr("KMG", *end);
        if (!unit) return false;
        shift = (size_t)(unit - "KMG") * 10 + 10;
        end++;
        if (*end == 'i') end++;
        if (*end == 'B') end++;
    }
    if (*end || number > SIZE_MAX >> shift) return false;
    *out = (size_t)number << shift;
    return true;
}

/* A finite number in decimal. */
static bool parse_real(const char *text, float *out)
{
    char *end;
    if (!text[strspn(text, "+-.0123456789eE")] && strpbrk(text, "0123456789")) {
        double number = strtod(text, &end);
        *out = (float)number;
        return !*end && *out >= -FLT_MAX && *out <= FLT_MAX;
    }
    return false;
}

static bool common_option(cli *c, const char *name, const char *value, int *used, int *status)
{
    size_t number;
    *used = 2;
    if (strcmp(name, "--json") == 0 || strcmp(name, "--quiet") == 0) {
        *(name[2] == 'j' ? &c->json : &c->quiet) = true;
        *used = 1;
    } else if (strcmp(name, "--threads") == 0) {
        if (!value || !parse_size(value, false, &number) || number < 1 || number > 256)
            *status = cli_usage(c, "--threads takes a number from 1 to 256");
        else
            c->threads = (unsigned)number;
    } else if (strcmp(name, "--max-mem") == 0) {
        if (!value || !parse_size(value, true, &number) || number < 1)
            *status = cli_usage(c, "--max-mem takes a size such as 64M");
        else
            cli_budget()->limit = number;
    } else if (strcmp(name, "--dtype") == 0) {
        c->precision = attn_precision_named(value ? value : "");
        if (c->precision == ATTN_AS_FILE)
            *status = cli_usage(c, "--dtype takes f32, bf16, f16, int8 or int4, not %s",
                                value ? value : "nothing");
    } else {
        *used = 0;
    }
    return *used != 0;
}

static void take_option(cli *c, const cli_option *o, const char *value, int *used, int *status)
{
    size_t number;
    float real;
    cli_list *list = o->target;
    *used = o->kind == CLI_FLAG ? 1 : 2;
    if (o->kind == CLI_FLAG) {
        *(bool *)o->target = true;
    } else if (!value) {
        *status = cli_usage(c, "%s needs a value", o->name);
    } else if (o->kind == CLI_TEXT) {
        *(const char **)o->target = value;
    } else if (o->kind == CLI_LIST) {
        if (list->count == CLI_LIST_MAX)
            *status = cli_usage(c, "%s: more than %d of them", o->name, CLI_LIST_MAX);
        else
            list->item[list->count++] = value;
    } else if (o->kind == CLI_REAL) {
        if (!parse_real(value, &real))
            *status = cli_usage(c, "%s takes a number, not \"%s\"", o->name, value);
        else if (o->min != o->max && (real < (float)o->min || real > (float)o->max))
            *status = cli_usage(c, "%s takes a number from %zu to %zu, not %s", o->name, o->min,
                                o->max, value);
        else
            *(float *)o->target = real;
    } else if (!parse_size(value, false, &number) || number < o->min || number > o->max) {
        *status = cli_usage(c, "%s takes a number from %zu to %zu, not \"%s\"", o->name, o->min,
                            o->max, value);
    } else {
        *(size_t *)o->target = number;
    }
}

bool cli_options(cli *c, int argc, char **argv, const cli_option *options, int *status)
{
    c->argument = (const char **)argv;
    bool only_arguments = false;
    *status = EXIT_DONE;
    for (int i = 0; i < argc;) {
        const char *text = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
        int used = 0;
        if (!only_arguments && strcmp(text, "--") == 0) {
            only_arguments = true;
            i++;
            continue;
        }
        if (only_arguments || text[0] != '-' || !text[1]) {
            c->argument[c->count++] = text;
            i++;
            continue;
        }
        if (strcmp(text, "--help") == 0 || strcmp(text, "-h") == 0) {
            printf("usage: attn %s %s\n", c->command, c->usage);
            return false;
        }
        if (!common_option(c, text, value, &used, status)) {
            const cli_option *o = options;
            while (o->name && strcmp(o->name, text) != 0) o++;
            if (!o->name)
                *status = cli_usage(c, "there is no option %s", text);
            else
                take_option(c, o, value, &used, status);
        }
        if (*status) return false;
        i += used;
    }
    return true;
}

attn_model_options cli_model_options(const cli *c)
{
    return (attn_model_options){.budget = cli_budget(), .precision = c->precision};
}

attn_status cli_open_model(const cli *c, const char *path, attn_model **model, attn_error *err)
{
    attn_model_options options = cli_model_options(c);
    ATTN_TRY(attn_model_open(model, path, &options, err));
    if (attn_model_notice(*model) && !c->quiet)
        fprintf(stderr, "attn: %s\n", attn_model_notice(*model));
    return ATTN_OK;
}

attn_status cli_open(const cli *c, const char *path, const attn_session_options *options,
                     attn_model **model, attn_session **session, attn_error *err)
{
    *session = NULL;
    ATTN_TRY(cli_open_model(c, path, model, err));
    attn_session_options own = options ? *options : (attn_session_options){0};
    own.threads = c->threads;
    attn_status status = attn_session_open(session, *model, &own, err);
    if (status) {
        attn_model_close(*model);
        *model = NULL;
    }
    return status;
}

attn_budget *cli_budget(void)
{
    static attn_budget budget;
    return &budget;
}

attn_memory *cli_memory(void)
{
    static attn_memory memory;
    if (!memory.allocator.alloc) attn_memory_init(&memory, NULL, 0);
    memory.budget = cli_budget();
    memory.holder = ATTN_HELD_BY_COMMAND;
    return &memory;
}

int cli_print_json(cJSON *root, int status)
{
    char *text = cJSON_Print(root);
    cJSON_Delete(root);
    if (!text) {
        fprintf(stderr, "attn: out of memory for the JSON\n");
        return EXIT_BAD;
    }
    puts(text);
    cJSON_free(text);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "attn: standard output: %s\n", strerror(errno));
        return EXIT_BAD;
    }
    return status;
}

cJSON *cli_shape_json(const size_t *dim, int rank)
{
    cJSON *list = cJSON_CreateArray();
    for (int i = 0; i < rank; i++) cJSON_AddItemToArray(list, cJSON_CreateNumber((double)dim[i]));
    return list;
}

static cJSON *nest(const attn_tensor *t, int level, size_t *at)
{
    if (level == t->rank) {
        size_t i = (*at)++;
        return cJSON_CreateNumber(t->dtype == ATTN_I32 ? ((const int32_t *)t->data)[i]
                                                       : (double)((const float *)t->data)[i]);
    }
    cJSON *list = cJSON_CreateArray();
    for (size_t i = 0; i < t->dim[level]; i++) cJSON_AddItemToArray(list, nest(t, level + 1, at));
    return list;
}

cJSON *cli_tensor_json(const attn_tensor *t)
{
    size_t at = 0;
    return nest(t, 0, &at);
}

void cli_progress(const cli *c, size_t done, size_t total)
{
    enum { WIDTH = 40 };
    static size_t shown = (size_t)-1;
    if (c->quiet || total < 2 || !isatty(STDERR_FILENO)) return;
    size_t filled = done * WIDTH / total, mark = done * 1000 / total;
    if (mark == shown && done != total) return;
    shown = mark;
    char bar[WIDTH + 1];
    memset(bar, '#', filled);
    memset(bar + filled, '.', WIDTH - filled);
    bar[WIDTH] = 0;
    fprintf(stderr, "\r[%s] %zu of %zu%s", bar, done, total, done == total ? "\n" : "");
}

double cli_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
