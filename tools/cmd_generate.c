/* attn generate: a prompt goes on, token by token. */
#define _POSIX_C_SOURCE 200809L

#include "tools/generate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What was not given is NaN or UNSET. */
#define UNSET SIZE_MAX

typedef struct given {
    float temperature, top_p, min_p, repetition, frequency, presence, length_penalty;
    size_t top_k, max_tokens, beams, seed;
    const char *early;
    bool config;
} given;

static void set_real(float *to, float value)
{
    if (!isnan(value)) *to = value;
}

static void set_size(size_t *to, size_t value)
{
    if (value != UNSET) *to = value;
}

/* Flags win over what the folder says, and that is asked only with --config-sampling. A cut without
 * a temperature means that it is sampled, too. */
static attn_status choose_sampling(generate *g, const given *in, attn_error *err)
{
    attn_generator_options *o = &g->options;
    attn_sampling *how = &o->sampling;
    o->length_penalty = 1;
    if (in->config) ATTN_TRY(attn_generation_config(g->model, o, err));
    bool cuts = in->top_k != UNSET || !isnan(in->top_p) || !isnan(in->min_p);
    if (cuts && how->temperature == 0) how->temperature = 1;
    set_real(&how->temperature, in->temperature);
    set_real(&how->top_p, in->top_p);
    set_real(&how->min_p, in->min_p);
    set_real(&how->repetition_penalty, in->repetition);
    set_real(&how->frequency_penalty, in->frequency);
    set_real(&how->presence_penalty, in->presence);
    set_real(&o->length_penalty, in->length_penalty);
    set_size(&how->top_k, in->top_k);
    set_size(&o->max_tokens, in->max_tokens);
    set_size(&o->beams, in->beams);
    how->seed = in->seed;
    if (!in->early) return ATTN_OK;
    static const char *const words[] = {"false", "true", "never"};
    for (int i = 0; i < 3; i++)
        if (strcmp(in->early, words[i]) == 0) {
            o->early_stopping = (attn_early_stopping)i;
            return ATTN_OK;
        }
    return attn_fail(err, ATTN_BAD_ARGUMENT, "--early-stopping takes true, false or never, not %s",
                     in->early);
}

static int check_usage(const cli *c, const generate *g)
{
    int texts = (g->prompt != NULL) + (g->file != NULL) + (g->ids_text != NULL);
    if (c->count != 1) return cli_usage(c, "one model is needed, found %zu", c->count);
    if (texts != 1)
        return cli_usage(c, "one of --prompt, --file and --ids is needed, found %d", texts);
    if (g->chat && (g->raw || g->ids_text))
        return cli_usage(c, "--chat and %s exclude each other", g->raw ? "--raw" : "--ids");
    if (g->system && !g->chat) return cli_usage(c, "--system needs --chat");
    if (g->ids_text && g->stop.count) return cli_usage(c, "--stop needs text, not --ids");
    return EXIT_DONE;
}

int cmd_generate(int argc, char **argv)
{
    cli c = {
        .command = "generate",
        .usage =
            "MODEL (--prompt TEXT | --file FILE | --ids IDS)\n"
            "  text       [--chat] [--system TEXT] [--template NAME] [--raw] [--stop TEXT]... "
            "[--echo]\n"
            "  length     [--max-tokens N] [--context N] [--window]\n"
            "  sampling   [--temperature T] [--top-k K] [--top-p P] [--min-p P] [--seed S]\n"
            "             [--repetition-penalty R] [--frequency-penalty F] [--presence-penalty F]\n"
            "             [--config-sampling]\n"
            "  beams      [--beams B] [--length-penalty L] [--early-stopping true|false|never]\n"
            "  for tests  [--block N] [--no-cache]\n"
            "FILE may be - for standard input; IDS are such as 1,2,3. Without sampling or beams "
            "the\n"
            "most probable token is taken"};
    static generate g;
    given in = {.temperature = NAN,
                .top_p = NAN,
                .min_p = NAN,
                .repetition = NAN,
                .frequency = NAN,
                .presence = NAN,
                .length_penalty = NAN,
                .top_k = UNSET,
                .max_tokens = UNSET,
                .beams = UNSET};
    const char *template_name = NULL;
    const cli_option options[] = {{"--prompt", CLI_TEXT, &g.prompt, 0, 0},
                                  {"--file", CLI_TEXT, &g.file, 0, 0},
                                  {"--ids", CLI_TEXT, &g.ids_text, 0, 0},
                                  {"--chat", CLI_FLAG, &g.chat, 0, 0},
                                  {"--system", CLI_TEXT, &g.system, 0, 0},
                                  {"--template", CLI_TEXT, &template_name, 0, 0},
                                  {"--raw", CLI_FLAG, &g.raw, 0, 0},
                                  {"--stop", CLI_LIST, &g.stop, 0, 0},
                                  {"--echo", CLI_FLAG, &g.echo, 0, 0},
                                  {"--max-tokens", CLI_NUMBER, &in.max_tokens, 1, INT32_MAX},
                                  {"--context", CLI_NUMBER, &g.options.context, 1, INT32_MAX},
                                  {"--window", CLI_FLAG, &g.options.window, 0, 0},
                                  {"--temperature", CLI_REAL, &in.temperature, 0, 1000000},
                                  {"--top-k", CLI_NUMBER, &in.top_k, 0, INT32_MAX},
                                  {"--top-p", CLI_REAL, &in.top_p, 0, 1},
                                  {"--min-p", CLI_REAL, &in.min_p, 0, 1},
                                  {"--seed", CLI_NUMBER, &in.seed, 0, SIZE_MAX},
                                  {"--repetition-penalty", CLI_REAL, &in.repetition, 0, 1000000},
                                  {"--frequency-penalty", CLI_REAL, &in.frequency, 0, 0},
                                  {"--presence-penalty", CLI_REAL, &in.presence, 0, 0},
                                  {"--config-sampling", CLI_FLAG, &in.config, 0, 0},
                                  {"--beams", CLI_NUMBER, &in.beams, 1, 256},
                                  {"--length-penalty", CLI_REAL, &in.length_penalty, 0, 0},
                                  {"--early-stopping", CLI_TEXT, &in.early, 0, 0},
                                  {"--block", CLI_NUMBER, &g.options.block, 1, INT32_MAX},
                                  {"--no-cache", CLI_FLAG, &g.options.no_cache, 0, 0},
                                  {0}};
    int status;
    attn_error err;
    if (!cli_options(&c, argc, argv, options, &status)) return status;
    g.template_name = template_name;
    g.chat = g.chat || template_name;
    if ((status = check_usage(&c, &g)) != EXIT_DONE) return status;
    g.cli = &c;
    if (cli_open_model(&c, c.argument[0], &g.model, &err)) return cli_error(&err);
    if (choose_sampling(&g, &in, &err) || generate_open(&g, &err))
        status = cli_error(&err);
    else
        status = generate_run(&g);
    generate_close(&g);
    attn_model_close(g.model);
    return status;
}
