/* The loop of attn generate, and what it prints. */
#define _POSIX_C_SOURCE 200809L

#include "tools/generate.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXIT_INTERRUPTED = 130 }; /* as shells report SIGINT */

typedef struct output {
    int32_t *ids; /* for --json */
    size_t count, room;
    char *text;
    size_t length, text_room;
    bool failed; /* standard output takes no more: */
    int problem; /* its errno */
    const char *finish;
    double prompt_seconds, first, last; /* clock */
} output;

static volatile sig_atomic_t interrupted;

static void interrupt(int signal)
{
    (void)signal;
    interrupted = 1;
}

static void watch_signals(void)
{
    struct sigaction action = {.sa_handler = interrupt};
    sigemptyset(&action.sa_mask);
    action.sa_flags = SA_RESETHAND; /* a second one ends it at once */
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/* Writes at once: what reads it sees each token as it comes. */
static void write_out(output *out, const char *text, size_t length)
{
    if (out->failed) return;
    out->failed = fwrite(text, 1, length, stdout) != length || fflush(stdout) != 0;
    if (out->failed) out->problem = errno;
}

static attn_status keep(output *out, const char *text, size_t length, attn_error *err)
{
    if (length > out->text_room - out->length) {
        size_t room = 2 * (out->length + length) + 256;
        char *more = realloc(out->text, room);
        if (!more) return attn_fail(err, ATTN_NO_MEMORY, "out of memory: %zu bytes", room);
        out->text = more;
        out->text_room = room;
    }
    if (length) memcpy(out->text + out->length, text, length);
    out->length += length;
    return ATTN_OK;
}

static attn_status keep_id(output *out, int32_t id, attn_error *err)
{
    if (out->count == out->room) {
        size_t room = 2 * out->room + 64;
        int32_t *more = realloc(out->ids, room * sizeof *more);
        if (!more) return attn_fail(err, ATTN_NO_MEMORY, "out of memory: %zu ids", room);
        out->ids = more;
        out->room = room;
    }
    out->ids[out->count++] = id;
    return ATTN_OK;
}

static attn_status show(const generate *g, output *out, const char *text, size_t length,
                        attn_error *err)
{
    if (g->cli->json) return keep(out, text, length, err);
    if (length) write_out(out, text, length);
    return ATTN_OK;
}

/* One token more. *stopped: a stop string has come. */
static attn_status show_token(const generate *g, output *out, int32_t id, bool *stopped,
                              attn_error *err)
{
    const char *text;
    size_t length;
    char number[16];
    *stopped = false;
    ATTN_TRY(keep_id(out, id, err));
    if (!g->stream) {
        int used = snprintf(number, sizeof number, "%s%d", out->count > 1 ? " " : "", (int)id);
        return g->cli->json ? ATTN_OK : show(g, out, number, (size_t)used, err);
    }
    ATTN_TRY(attn_text_stream_push(g->stream, id, &text, &length, stopped, err));
    return show(g, out, text, length, err);
}

static attn_status loop(const generate *g, output *out, attn_error *err)
{
    double begin = cli_seconds();
    const char *text;
    size_t length;
    bool stopped = false, beams = g->options.beams > 1;
    ATTN_TRY(attn_generator_start(g->generator, err));
    out->prompt_seconds = cli_seconds() - begin;
    for (attn_finish finish = ATTN_GOES_ON; !finish && !stopped;) {
        int32_t id;
        if (interrupted || out->failed) {
            out->finish = "interrupted";
            break;
        }
        ATTN_TRY(attn_generator_next(g->generator, &id, &finish, err));
        out->last = cli_seconds();
        if (out->count == 0) out->first = beams ? begin + out->prompt_seconds : out->last;
        if (id >= 0) ATTN_TRY(show_token(g, out, id, &stopped, err));
        out->finish = finish == ATTN_FINISH_LENGTH ? "length" : "stop";
    }
    if (stopped) out->finish = "stop string";
    if (!g->stream || stopped) return ATTN_OK;
    ATTN_TRY(attn_text_stream_end(g->stream, &text, &length, &stopped, err));
    if (stopped) out->finish = "stop string";
    return show(g, out, text, length, err);
}

/* The first token comes from the prompt's last run: the time between tokens is that of the others.
 * Of a beam search it is that of the whole. */
static double per_second(const generate *g, const output *out)
{
    double seconds = out->last - out->first;
    size_t count = out->count - (g->options.beams <= 1);
    return out->count > 1 && seconds > 0 ? (double)count / seconds : 0;
}

static int print_json(const generate *g, const output *out)
{
    cJSON *root = cJSON_CreateObject();
    double prompt = out->prompt_seconds > 0 ? (double)g->count / out->prompt_seconds : 0;
    cJSON_AddStringToObject(root, "model", attn_model_name(g->model));
    if (g->stream) {
        const char *text = out->text ? out->text : "";
        cJSON_AddStringToObject(root, "text", text);
    }
    cJSON_AddItemToObject(root, "prompt_ids", cJSON_CreateIntArray(g->ids, (int)g->count));
    cJSON_AddItemToObject(root, "ids", cJSON_CreateIntArray(out->ids, (int)out->count));
    cJSON_AddStringToObject(root, "finish", out->finish);
    cJSON_AddNumberToObject(root, "prompt_tokens", (double)g->count);
    cJSON_AddNumberToObject(root, "tokens", (double)out->count);
    cJSON_AddNumberToObject(root, "prompt_seconds", out->prompt_seconds);
    cJSON_AddNumberToObject(root, "prompt_tokens_per_second", prompt);
    cJSON_AddNumberToObject(root, "seconds", out->last - out->first);
    cJSON_AddNumberToObject(root, "tokens_per_second", per_second(g, out));
    cJSON_AddNumberToObject(root, "memory", (double)attn_generator_memory(g->generator));
    return cli_print_json(root, EXIT_DONE);
}

static void print_speed(const generate *g, const output *out)
{
    double prompt = out->prompt_seconds > 0 ? (double)g->count / out->prompt_seconds : 0;
    fprintf(stderr,
            "prompt: %zu tokens, %.1f tokens/s; generated: %zu tokens, %.1f tokens/s (%s); "
            "%.1f MB beside the weights\n",
            g->count, prompt, out->count, per_second(g, out), out->finish,
            (double)attn_generator_memory(g->generator) / 1e6);
}

/* A reader that has gone away wants no more: no error. */
static int end_status(const output *out)
{
    if (out->failed && out->problem != EPIPE) {
        fprintf(stderr, "attn: standard output: %s\n", strerror(out->problem));
        return EXIT_BAD;
    }
    return interrupted ? EXIT_INTERRUPTED : EXIT_DONE;
}

int generate_run(generate *g)
{
    attn_error err;
    output out = {.finish = ""};
    watch_signals();
    if (g->echo && g->prompt && !g->cli->json) write_out(&out, g->prompt, strlen(g->prompt));
    attn_status status = loop(g, &out, &err);
    if (!status && g->cli->json && g->stream) status = keep(&out, "", 1, &err); /* its end */
    if (!g->cli->json && (out.count || !status)) write_out(&out, "\n", 1);
    int result = status ? cli_error(&err) : end_status(&out);
    if (!status && g->cli->json && !out.failed) {
        int printed = print_json(g, &out);
        if (printed) result = printed;
    }
    if (!status && !g->cli->quiet && !g->cli->json) print_speed(g, &out);
    free(out.ids);
    free(out.text);
    return result;
}
